"""An activation of your own is its formula and nothing else: the derivative is derived like all others.

python examples/own_activation.py
"""

import numpy as np
from sympy import Max, exp

from codegen import check_gradients, initialize, lambdify
from symbolic import Activation, Dense, Network, derive
from symbolic.activations import z

# `z` is the preactivation of one unit. Max is rewritten by cases, so the kink at 0 is known and checked as well.
gaussian = Activation("gaussian", exp(-(z**2)))
squared_relu = Activation("squared_relu", Max(z, 0) ** 2)

network = Network(4, [Dense(6, gaussian), Dense(5, squared_relu), Dense(1, "sigmoid")], "binary_cross_entropy")
derivation = derive(network)
print(f"{network}\n")

# gaussian'(z) = -2 z exp(-z^2): as a = exp(-z^2) is computed anyway, the delta of layer 1 is written with it.
for result in derivation.results:
    if result.named and result.tensor.role == "adjoint":
        print(f"{result.equation.lhs} = {result.equation.rhs}")

steps = derivation.verify()
print(f"\n{steps.summary}\n")

random = np.random.default_rng(1)
X, Y = random.normal(size=(12, 4)), random.integers(0, 2, size=(12, 1)).astype(float)
params = initialize(network, seed=1)
functions = lambdify(derivation)
_, gradients = functions.loss_and_gradients(params, X, Y)
numbers = check_gradients(lambda moved: functions.loss(moved, X, Y), gradients, params)
print(numbers)

assert steps.ok and numbers.ok
print(f"checked: {gaussian.name} and {squared_relu.name}, by their steps and by central differences")
