"""Single-head attention from its bare equations, softmax over each row of scores included.

    python examples/attention.py

How a Program is put together is told line by line in layer_norm.py.
"""

import numpy as np
from sympy import Sum, exp, sqrt

from codegen import check_gradients, lambdify
from symbolic import Equation, Program, Tensor, derive, index, over, size

# T positions t, u, v; D features d of each; K features k of a query, a key, a value.
T, D, K = size("T"), size("D"), size("K")
t, u, v, d, k = (index(letter) for letter in "tuvdk")

x = Tensor("x", "input", shape=(T, D), indices=(t, d))
y = Tensor("y", "target", shape=(T, K), indices=(t, k))
WQ, WK, WV = (Tensor(name, "parameter", shape=(K, D), indices=(k, d)) for name in ("WQ", "WK", "WV"))
Q, keys, values, out = (Tensor(name, shape=(T, K), indices=(t, k)) for name in ("queries", "keys", "values", "out"))
scores, weights = (Tensor(name, shape=(T, T), indices=(t, u)) for name in ("scores", "weights"))
loss = Tensor("L", "loss")

# An index is either on the left side or bound by a Sum. Position t attends to position u, so both stand on the left of
# scores; the softmax over u needs a third letter, v, for the positions that it sums over.
program = Program(
    leaves=(x, WQ, WK, WV, y),
    equations=(
        Equation(Q, (t, k), Sum(x[t, d] * WQ[k, d], over(d, D))),
        Equation(keys, (t, k), Sum(x[t, d] * WK[k, d], over(d, D))),
        Equation(values, (t, k), Sum(x[t, d] * WV[k, d], over(d, D))),
        Equation(scores, (t, u), Sum(Q[t, k] * keys[u, k], over(k, K)) / sqrt(K)),
        Equation(weights, (t, u), exp(scores[t, u]) / Sum(exp(scores[t, v]), over(v, T))),
        Equation(out, (t, k), Sum(weights[t, u] * values[u, k], over(u, T))),
        Equation(loss, (), Sum((out[t, k] - y[t, k]) ** 2 / 2, over(t, T), over(k, K))),
    ),
    title="single-head attention",
)

derivation = derive(program)
for result in derivation.results:
    if result.named:
        print(f"{result.equation.lhs} = {result.equation.rhs}")
steps = derivation.verify()
print(f"\n{steps.summary}\n")

functions = lambdify(derivation)
random = np.random.default_rng(0)
params = {key: random.normal(size=(3, 4)) for key in ("WQ", "WK", "WV")}
X, Y = random.normal(size=(6, 4)), random.normal(size=(6, 3))
_, gradients = functions.loss_and_gradients(params, X, Y)
numbers = check_gradients(lambda moved: functions.loss(moved, X, Y), gradients, params)
print(numbers)

assert steps.ok and numbers.ok
print(f"checked: {program.title}, by its steps and by central differences")
