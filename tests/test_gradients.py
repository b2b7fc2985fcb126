"""The numbers: gradients of lambdified and of written modules against three independent opinions."""

import warnings
from functools import cache

import numpy as np
import pytest
from reference import (
    complex_step,
    data,
    elementwise_gradient,
    pairs,
    quiet,
    reference_loss,
    worst_difference,
)

from codegen import check_gradients, import_module, lambdify, write_module
from symbolic import ACTIVATIONS, derive

PAIRS = pairs()
DEPTHS = {1: (3, 2), 2: (3, 4, 2), 3: (4, 3, 5, 2), 4: (2, 5, 3, 4, 3), "square": (3, 3, 3)}


def architecture(widths, activation, loss, hidden=None):
    hidden = hidden or activation
    layers = [f"{width} {hidden}" for width in widths[1:-1]] + [f"{widths[-1]} {activation}"]
    return f"{widths[0]} -> {' -> '.join(layers)}; {loss}"


@cache
def compiled(text):
    """The network of a text, and its functions: many tests ask for the same one, and none changes it."""
    network = quiet(text)
    return network, lambdify(derive(network))


def test_the_pairs_are_all_there():
    assert len(PAIRS) >= 25
    assert {activation for activation, _ in PAIRS} == set(ACTIVATIONS)
    assert ("softmax", "cross_entropy") in PAIRS and ("sigmoid", "binary_cross_entropy") in PAIRS


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_every_pair_at_every_depth_against_the_complex_step(activation, loss):
    for depth, widths in DEPTHS.items():
        network, functions = compiled(architecture(widths, activation, loss))
        reference = reference_loss(network)
        for batch in (1, 7):
            params, X, Y = data(network, batch, seed=batch)
            value, found = functions.loss_and_gradients(params, X, Y)
            assert value == pytest.approx(float(reference(params, X, Y)), rel=1e-12)
            assert worst_difference(found, complex_step(reference, params, X, Y)) < 1e-10, (depth, batch)


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_every_pair_against_elementwise_sympy(activation, loss):
    network, functions = compiled(architecture((2, 3, 2), activation, loss))
    params, X, Y = data(network, 1, seed=5)
    _, found = functions.loss_and_gradients(params, X, Y)
    assert worst_difference(found, elementwise_gradient(network, params, X, Y)) < 1e-10


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_every_pair_against_central_differences(activation, loss):
    network, functions = compiled(architecture((3, 4, 2), activation, loss))
    params, X, Y = data(network, 7, seed=3)
    _, found = functions.loss_and_gradients(params, X, Y)
    report = check_gradients(lambda moved: functions.loss(moved, X, Y), found, params, tolerance=1e-6)
    assert report.ok, str(report)


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_float32_agrees_with_float64(activation, loss):
    network, functions = compiled(architecture((4, 3, 5, 2), activation, loss))
    params, X, Y = data(network, 7, seed=4)
    _, wide = functions.loss_and_gradients(params, X, Y)
    single = {key: array.astype(np.float32) for key, array in params.items()}
    value, narrow = functions.loss_and_gradients(single, X.astype(np.float32), Y.astype(np.float32))
    assert isinstance(value, float)
    assert {array.dtype for array in narrow.values()} == {np.dtype(np.float32)}
    assert worst_difference(narrow, wide) < 1e-4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_far_out_everything_is_finite_and_quiet(activation, loss, dtype):
    network, functions = compiled(architecture((2, 2, 2), activation, loss, hidden="tanh"))
    for far in (1000.0, -1000.0):
        params = {key: np.zeros(shape, dtype) for key, shape in network.parameters.items()}
        params["b1"] += dtype(0.5)
        params["b2"] += np.array([far, -far], dtype)
        X, Y = np.ones((3, 2), dtype), np.tile(np.array([0.25, 0.75], dtype), (3, 1))
        with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
            warnings.simplefilter("error")
            value, found = functions.loss_and_gradients(params, X, Y)
            output = functions.forward(params, X)
        assert np.isfinite(value) and np.isfinite(output).all()
        assert all(np.isfinite(array).all() for array in found.values())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_pre_activations_far_out_are_finite_and_quiet(activation):
    network, functions = compiled(f"2 -> 3 {activation} -> 2 tanh; half_squared_error")
    for dtype in (np.float32, np.float64):
        params = {key: np.full(shape, 0.01, dtype) for key, shape in network.parameters.items()}
        params["b1"] = np.array([1000.0, -1000.0, 0.0], dtype)
        X, Y = np.ones((2, 2), dtype), np.ones((2, 2), dtype)
        with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
            warnings.simplefilter("error")
            value, found = functions.loss_and_gradients(params, X, Y)
        assert np.isfinite(value) and all(np.isfinite(array).all() for array in found.values())


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_nan_in_stays_nan_out(activation, loss):
    network, functions = compiled(architecture((3, 4, 2), activation, loss))
    params, X, Y = data(network, 2, seed=0)
    X[0, 0] = np.nan
    value, found = functions.loss_and_gradients(params, X, Y)
    assert np.isnan(value)
    assert np.isnan(functions.forward(params, X)[0]).all() and not np.isnan(functions.forward(params, X)[1]).any()
    assert np.isnan(found["W1"]).any()


@pytest.mark.parametrize(
    "text",
    [
        "3 -> 4 relu -> 2 softmax; cross_entropy",
        "3 -> 4 gelu -> 2 identity; half_squared_error",
        "2 -> 3 elu -> 2 sigmoid; binary_cross_entropy",
    ],
)
def test_a_written_module_equals_the_lambdified_one_and_the_complex_step(text, tmp_path):
    network = quiet(text)
    derivation = derive(network)
    module = import_module(write_module(derivation, tmp_path / "written.py"))
    params, X, Y = data(network, 7, seed=11)
    value, found = module.loss_and_gradients(params, X, Y)
    same_value, same = lambdify(derivation).loss_and_gradients(params, X, Y)
    assert value == same_value and all(np.array_equal(found[key], same[key]) for key in same)
    assert worst_difference(found, complex_step(reference_loss(network), params, X, Y)) < 1e-10


def test_the_sum_over_examples_is_n_times_the_mean():
    text = "3 -> 4 tanh -> 2 softmax; cross_entropy"
    mean, total = quiet(text), quiet(text, reduction="sum")
    params, X, Y = data(mean, 7, seed=1)
    value, found = lambdify(derive(mean)).loss_and_gradients(params, X, Y)
    summed, gradients = lambdify(derive(total)).loss_and_gradients(params, X, Y)
    assert summed == pytest.approx(7 * value, rel=1e-12)
    assert worst_difference(gradients, {key: 7 * array for key, array in found.items()}) < 1e-12


def test_one_example_without_an_axis_equals_a_batch_of_one():
    text = "3 -> 4 sigmoid -> 2 softmax; cross_entropy"
    network = quiet(text)
    params, X, Y = data(network, 1, seed=2)
    _, batch = lambdify(derive(network)).loss_and_gradients(params, X, Y)
    alone = lambdify(derive(quiet(text, examples=None)))
    _, single = alone.loss_and_gradients(params, X[0], Y[0])
    assert worst_difference(single, batch) < 1e-14


def test_integer_labels_equal_one_hot_rows():
    network, functions = compiled("3 -> 4 relu -> 5 softmax; cross_entropy")
    params, X, _ = data(network, 7, seed=6)
    labels = np.array([0, 4, 2, 1, 3, 0, 2])
    value, found = functions.loss_and_gradients(params, X, labels)
    expected, same = functions.loss_and_gradients(params, X, np.eye(5)[labels])
    assert value == expected and all(np.array_equal(found[key], same[key]) for key in same)
