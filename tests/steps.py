"""For tests of fast code: steppers and workspaces, and their numbers beside those of the readable module."""

from functools import cache

import numpy as np
import pytest
from reference import data, quiet

from codegen.blas import can_descend
from codegen.functions import lambdify
from codegen.numba_stepper import missing
from codegen.numpy_stepper import NumpyStepper
from codegen.passes import ALL
from codegen.passes.costs import Costs
from codegen.steppers import Request, choose_stepper
from codegen.workspace import Workspace
from symbolic.backpropagation import derive

TEXT = "3 -> 5 tanh -> 3 softmax; cross_entropy"
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
RATE = 0.1
# A kind of stepper and the examples a step. Numba compiles one function in all.
# Where even small products are added to the weights by BLAS.
DESCENDING = "numpy that descends"
KINDS = [("numpy", 4), ("numpy", 1), (DESCENDING, 4), ("scalar", 1), ("textbook", 4), ("numba", 4)]


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    """Compiled modules are no surprise in anybody's home."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@cache
def derived(text):
    derivation = derive(quiet(text))
    return derivation, lambdify(derivation)


def given(size, text=TEXT, dtype="float64", seed=0):
    return data(quiet(text), size, seed, np.dtype(dtype))


@cache
def made_once(kind, size, text, dtype, number):
    if kind == "numba" and missing():
        pytest.skip(missing())
    if kind == DESCENDING:
        return descending(text, size, dtype)
    return choose_stepper(derived(text)[0], size, dtype, target=kind)


def descending(text, size, dtype="float64", passes=ALL):
    """A NumPy stepper whose gradients of matrices all go into the weights at once; without the pass, a usual one."""
    if not can_descend(dtype):
        pytest.skip("NumPy's BLAS is not found")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Costs, "descent", lambda *_: -1.0)
        made = NumpyStepper(Request(derived(text)[0], size, np.dtype(dtype)), passes)
    assert ("descent(" in made.source) == (passes >= {"fused_update", "folded_step"})
    return made


def stepper(kind, size, params, text=TEXT, number=0):
    """A stepper with these weights; the same object for the same arguments, which are the same code."""
    made = made_once(kind, size, text, params["W1"].dtype.name, number)
    for key, value in params.items():
        made.params[key][...] = value
    return made


@cache
def workspace(size, dtype="float64"):
    return Workspace(derived(TEXT)[0], size, dtype)


def close(found, expected, dtype="float64"):
    """Up to rounding in the scale of the array; infinite or NaN in the same places."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    usual = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(found), usual)
    scale = max(1.0, np.abs(expected[usual]).max(initial=0))
    np.testing.assert_allclose(found[usual], expected[usual], rtol=0, atol=TOLERANCE[dtype] * scale)


def step_is_right(made, params, X, Y, rate=RATE, text=TEXT, dtype="float64"):
    """One step from `params`, which `made` has, is that of the module on copies of the arrays."""
    X_before, Y_before = np.array(X), np.array(Y)
    loss, gradients = derived(text)[1].unchecked["loss_and_gradients"](params, X_before, Y_before)
    sign = 1 if derived(text)[0].program.sense == "minimise" else -1
    close(made.step(X, Y, rate), loss, dtype)
    for key, gradient in gradients.items():
        close(made.params[key], params[key] - sign * np.dtype(dtype).type(rate) * gradient, dtype)


def workspace_is_right(made, params, X, Y, text=TEXT, dtype="float64"):
    loss, gradients = derived(text)[1].loss_and_gradients(params, X, Y)
    value, found = made.loss_and_gradients(params, X, Y)
    close(value, loss, dtype)
    assert set(found) == set(gradients)
    for key, gradient in gradients.items():
        close(found[key], gradient, dtype)
