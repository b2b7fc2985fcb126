"""Programs of bare equations, against the complex step of a forward pass written by hand."""

import numpy as np
import pytest
from programs import PROGRAMS, attention, layer_norm, residual_block
from reference import complex_step, worst_difference

from codegen import lambdify
from symbolic import derive

SIZES = {"residual block": {"n": 4}, "layer norm": {"T": 3, "D": 5}, "attention": {"T": 4, "D": 3, "K": 2}}


def forward_residual(params, x, y):
    h = params["V"] @ x
    return ((np.tanh(params["W"] @ h) + h - y) ** 2).sum() / 2


def forward_layer_norm(params, x, y):
    h = x * params["scale"]
    centred = h - h.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return ((params["gamma"] * normed + params["beta"] - y) ** 2).sum() / 2


def forward_attention(params, x, y):
    queries, keys, values = (x @ params[name].T for name in ("WQ", "WK", "WV"))
    scores = queries @ keys.T / np.sqrt(queries.shape[1])
    weights = np.exp(scores)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return ((weights @ values - y) ** 2).sum() / 2


FORWARD = {"residual block": forward_residual, "layer norm": forward_layer_norm, "attention": forward_attention}


def numbers(program, sizes, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {
        leaf.key: rng.normal(0, 0.8, tuple(sizes[str(extent)] for extent in leaf.shape)) for leaf in program.leaves
    }
    params = {leaf.key: arrays[leaf.key] for leaf in program.parameters}
    return params, arrays["x"], arrays["y"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_step_is_true(name):
    report = derive(PROGRAMS[name]()).verify()
    assert report.ok, str(report)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_gradients_are_those_of_the_forward_pass(name):
    program = PROGRAMS[name]()
    params, x, y = numbers(program, SIZES[name])
    value, found = lambdify(derive(program)).loss_and_gradients(params, x, y)
    assert value == pytest.approx(FORWARD[name](params, x, y), rel=1e-12)
    assert worst_difference(found, complex_step(FORWARD[name], params, x, y)) < 1e-10


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_gradient_by_the_input(name):
    program = PROGRAMS[name]()
    params, x, y = numbers(program, SIZES[name], seed=1)
    derivation = derive(program, wrt=["x"])
    assert list(derivation.gradients) == ["x"]
    _, found = lambdify(derivation).loss_and_gradients(params, x, y)
    expected = complex_step(lambda moved, a, b: FORWARD[name](params, moved["x"], b), {"x": x}, None, y)
    assert worst_difference(found, expected) < 1e-10


def test_a_tensor_used_twice_adds_its_contributions():
    adjoint = next(r for r in derive(residual_block()).results if r.tensor.of == "h")
    assert len(adjoint.equation.rhs.args) == 2


def test_adjoints_used_more_than_once_are_named_and_the_rest_is_written_out():
    named = {r.tensor.of for r in derive(attention()).results if r.named and r.tensor.role == "adjoint"}
    assert {"queries", "keys", "values", "scores", "weights", "out"} == named
    assert "mean" not in {r.tensor.of for r in derive(layer_norm()).results if r.named}
