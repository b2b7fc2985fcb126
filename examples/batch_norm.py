"""Batch norm mixes examples: to the mathematics, the examples' axis is an axis like any other.

    python examples/batch_norm.py

How a Program is put together is told line by line in layer_norm.py.
"""

import numpy as np
from sympy import Rational, Sum, sqrt

from codegen import check_gradients, lambdify
from symbolic import Equation, Program, Tensor, derive, index, over, size

# N examples p of n_0 inputs s, n_1 units j. Each unit is normalised over all examples, so none of them is by itself:
# Program.example, which promises that each example is, stays out.
N, n_0, n_1 = size("N"), size("n_0"), size("n_1")
p, s, j = (index(letter) for letter in "psj")

x = Tensor("x", "input", shape=(N, n_0), indices=(p, s))
y = Tensor("y", "target", shape=(N, n_1), indices=(p, j))
W = Tensor("W", "parameter", shape=(n_1, n_0), indices=(j, s))
gain, bias = (Tensor(name, "parameter", shape=(n_1,), indices=(j,)) for name in ("gain", "bias"))
mean, variance = (Tensor(name, shape=(n_1,), indices=(j,)) for name in ("mean", "variance"))
z, centred, out = (Tensor(name, shape=(N, n_1), indices=(p, j)) for name in ("z", "centred", "out"))
cost = Tensor("J", "cost")

program = Program(
    leaves=(x, W, gain, bias, y),
    equations=(
        Equation(z, (p, j), Sum(W[j, s] * x[p, s], over(s, n_0))),
        Equation(mean, (j,), Sum(z[p, j], over(p, N)) / N),
        Equation(centred, (p, j), z[p, j] - mean[j]),
        Equation(variance, (j,), Sum(centred[p, j] ** 2, over(p, N)) / N),
        Equation(out, (p, j), gain[j] * centred[p, j] / sqrt(variance[j] + Rational(1, 100000)) + bias[j]),
        Equation(cost, (), Sum((out[p, j] - y[p, j]) ** 2 / 2, over(p, N), over(j, n_1)) / N),
    ),
    title="batch norm",
)

derivation = derive(program)
for result in derivation.results:
    if result.named:
        print(f"{result.equation.lhs} = {result.equation.rhs}\n")
steps = derivation.verify()
print(f"{steps.summary}\n")

functions = lambdify(derivation)
random = np.random.default_rng(0)
params = {"W": random.normal(size=(2, 3)), "gain": random.normal(size=2), "bias": random.normal(size=2)}
X, Y = random.normal(size=(7, 3)), random.normal(size=(7, 2))
_, gradients = functions.loss_and_gradients(params, X, Y)
numbers = check_gradients(lambda moved: functions.loss(moved, X, Y), gradients, params)
print(numbers)

assert steps.ok and numbers.ok
print(f"checked: {program.title}, by its steps and by central differences")
