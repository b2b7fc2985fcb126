"""Tensors that are called like something in the code that trains: it computes the same, or refuses the name."""

import numpy as np
import pytest
from sympy import Sum, tanh

from codegen.functions import lambdify
from codegen.passes.plans import OWN
from codegen.steppers import choose_stepper
from codegen.targets.stepper_source import TAKEN
from symbolic import Equation, Program, Tensor, derive, index, over, size
from symbolic.errors import NameRefused, UsageError

p, j, s = (index(letter) for letter in "pjs")
N, n, m = size("N"), size("n"), size("m")
NAMES = sorted({*TAKEN, "X", "Y", "g", "labels", "rows_of_X", "given_rows", "loss", "t"})


def layer(**names):
    """a = tanh(W x) and its squared distance from y, under other names."""
    called = {key: names.get(key, key) for key in ("x", "y", "z", "W")}
    x, y = Tensor(called["x"], "input", None, (N, n)), Tensor(called["y"], "target", None, (N, m))
    W, cost = Tensor(called["W"], "parameter", None, (m, n)), Tensor("J", "cost")
    z, a = (Tensor(name, shape=(N, m), indices=(p, j)) for name in (called["z"], "act"))
    each = Tensor("ell", "loss", None, (N,), (p,))
    equations = (
        Equation(z, (p, j), Sum(W[j, s] * x[p, s], over(s, n))),
        Equation(a, (p, j), tanh(z[p, j])),
        Equation(each, (p,), Sum((a[p, j] - y[p, j]) ** 2, over(j, m))),
        Equation(cost, (), Sum(each[p], over(p, N)) / N),
    )
    return derive(Program((x, W, y), equations, sizes={n: 3, m: 2}, example=p))


def trained(derivation, key):
    """Losses, weights and the gradient after a few steps of the NumPy stepper."""
    generator = np.random.default_rng(0)
    X, Y, start = generator.normal(size=(9, 3)), generator.normal(size=(9, 2)), generator.normal(size=(2, 3))
    stepper = choose_stepper(derivation, 4, target="numpy", params={key: start})
    losses = stepper.epoch(X, Y, [np.arange(4), np.arange(4, 8), np.array([8])], 0.1)
    with lambdify(derivation).workspace(9) as space:
        loss, gradients = space.loss_and_gradients({key: start}, X, Y)
        return np.concatenate([losses, stepper.params[key].ravel(), [loss], gradients[key].ravel()])


@pytest.fixture(scope="module")
def usual():
    return trained(layer(), "W")


@pytest.mark.parametrize("role", "xyzW")
@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_codes_own(role, name, usual):
    try:
        derivation = layer(**{role: name})
    except NameRefused:
        return
    if name in OWN:
        with pytest.raises(UsageError, match="which is a name of this code's own"):
            choose_stepper(derivation, 4, target="numpy")
        return
    np.testing.assert_allclose(trained(derivation, name if role == "W" else "W"), usual, rtol=1e-12)
