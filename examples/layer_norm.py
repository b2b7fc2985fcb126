"""Layer norm from its bare equations: a Program, where there is no Network to make one.

python examples/layer_norm.py
"""

import numpy as np
from sympy import Rational, Sum, sqrt

from codegen import check_gradients, lambdify
from symbolic import Equation, Program, Tensor, derive, index, over, size

# A size stays open until arrays say what it is; an index runs along an axis. Here: rows t < T, features d < D.
T, D = size("T"), size("D")
t, d = index("t"), index("d")

# A tensor is a name with a shape. Its role says what it is for: inputs, targets and parameters are given, and a
# derivation is by the parameters unless `derive(program, wrt=[...])` asks for others. The rest is intermediate.
x = Tensor("x", "input", shape=(T, D), indices=(t, d))
y = Tensor("y", "target", shape=(T, D), indices=(t, d))
gain = Tensor("gain", "parameter", shape=(D,), indices=(d,))
bias = Tensor("bias", "parameter", shape=(D,), indices=(d,))
mean, variance = (Tensor(name, shape=(T,), indices=(t,)) for name in ("mean", "variance"))
centred, out = (Tensor(name, shape=(T, D), indices=(t, d)) for name in ("centred", "out"))
loss = Tensor("L", "loss")

# An equation defines one tensor, element by element, from earlier ones. The last, a scalar, is what is differentiated.
program = Program(
    leaves=(x, gain, bias, y),
    equations=(
        Equation(mean, (t,), Sum(x[t, d], over(d, D)) / D),
        Equation(centred, (t, d), x[t, d] - mean[t]),
        Equation(variance, (t,), Sum(centred[t, d] ** 2, over(d, D)) / D),
        Equation(out, (t, d), gain[d] * centred[t, d] / sqrt(variance[t] + Rational(1, 100000)) + bias[d]),
        Equation(loss, (), Sum((out[t, d] - y[t, d]) ** 2 / 2, over(t, T), over(d, D))),
    ),
    title="layer norm",
)

# By the input too: its gradient is what a layer below would need, and the hard part, since x acts in three ways.
derivation = derive(program, wrt=["gain", "bias", "x"])
for result in derivation.results:
    if result.named:
        print(f"{result.equation.lhs} = {result.equation.rhs}\n")
steps = derivation.verify()
print(f"{steps.summary}\n")

functions = lambdify(derivation)
random = np.random.default_rng(0)
params = {"gain": random.normal(size=5), "bias": random.normal(size=5)}
X, Y = random.normal(size=(3, 5)), random.normal(size=(3, 5))
_, gradients = functions.loss_and_gradients(params, X, Y)


def loss_at(moved):
    """The loss where `moved` has the parameters and x."""
    return functions.loss({key: moved[key] for key in params}, moved["x"], Y)


numbers = check_gradients(loss_at, gradients, {**params, "x": X})
print(numbers)
assert steps.ok and numbers.ok
print(f"checked: {program.title}, by its steps and by central differences")
