"""Fast code under attack: arrays of every make, shared memory, odd batches and rates: right, or a clear error."""

import copy
import gc
import pickle
from tempfile import TemporaryFile

import numpy as np
import pytest
from steps import (
    KINDS,
    RATE,
    TEXT,
    close,
    derived,
    folder,
    given,
    made_once,
    step_is_right,
    stepper,
    workspace,
    workspace_is_right,
)  # fmt: skip

from codegen.numba_stepper import missing
from codegen.optimizers import OPTIMIZERS
from codegen.steppers import choose_stepper
from codegen.training import train
from codegen.workspace import Workspace
from symbolic.errors import DataError, DeltaformError, UsageError

__all__ = ["folder"]


# Arrays of every make


def in_memory_like(room, array):
    room[...] = array
    return room


def mapped(array):
    with TemporaryFile() as file:
        return in_memory_like(np.memmap(file, array.dtype, shape=array.shape), array)


MAKES = {
    "fortran": np.asfortranarray,
    "backwards": lambda array: array[::-1, ::-1].copy()[::-1, ::-1],
    "every_other": lambda array: np.repeat(np.repeat(array, 2, axis=0), 2, axis=1)[::2, ::2],
    "one_row": lambda array: np.broadcast_to(array[0], array.shape),
    "read_only": lambda array: np.frombuffer(array.tobytes()).reshape(array.shape),
    "unaligned": lambda array: in_memory_like(
        np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape), array
    ),
    "subclass": lambda array: array.view(np.recarray),
    "mapped": mapped,
}


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_arrays_of_every_make(kind, size, make):
    params, X, Y = given(size)
    X, Y = MAKES[make](X), MAKES[make](Y)
    step_is_right(stepper(kind, size, params), params, X, Y)
    one, other = stepper(kind, size, params), stepper(kind, size, params, number=1)
    assert one.epoch(X, Y, [np.arange(size)], RATE) == [other.step(np.array(X), np.array(Y), RATE)]
    np.testing.assert_array_equal(one.flat, other.flat)
    workspace_is_right(workspace(size), params, X, Y)
    of_this_make = {key: value if value.ndim == 1 else MAKES[make](value) for key, value in params.items()}
    workspace_is_right(workspace(size), of_this_make, X, Y)


def bad_arrays(size):
    _, X, Y = given(size)
    yield from ((X[:, :2], Y), (X, Y[:, :2]), (X[0], Y[0]), (X, np.vstack([Y, Y])), (X[:0], Y[:0]), (X.tolist(), Y))
    yield from ((X + 1j, Y), (np.array([["a"] * 3] * size), Y))


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_what_does_not_fit_is_refused_and_moves_no_weight(kind, size):
    params, X, Y = given(size)
    made = stepper(kind, size, params)
    before = made.flat.copy()
    for bad in bad_arrays(size):
        with pytest.raises(DataError):
            made.step(*bad, RATE)
        with pytest.raises(DataError):
            made.epoch(*bad, [np.arange(size)], RATE)
        np.testing.assert_array_equal(made.flat, before)
    for rows in (np.array([size] * size), np.array([-1] * size)):
        with pytest.raises(DataError, match="none of 0 to"):
            made.epoch(X, Y, [rows], RATE)
    for rows in (np.arange(size) + 0.5, np.arange(float(size)), np.ones(size, bool)):
        with pytest.raises(DataError, match=f"a batch holds {rows.dtype}; it must hold the numbers of rows"):
            made.epoch(X, Y, [rows], RATE)
    np.testing.assert_array_equal(made.flat, before)
    step_is_right(made, params, X, Y)


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_numbers_of_rows_may_be_a_list(kind, size):
    params, X, Y = given(size)
    one, other = stepper(kind, size, params), stepper(kind, size, params, number=1)
    for last in (size, 1):
        batches = [list(range(size))[::-1], list(range(last))]
        losses = one.epoch(X, Y, batches, RATE)
        assert list(losses) == list(other.epoch(X, Y, [np.array(rows) for rows in batches], RATE))
    np.testing.assert_array_equal(one.flat, other.flat)


def test_complex_numbers_do_not_get_into_the_weights():
    """A linear network would take them."""
    made = choose_stepper(derived("2 -> 1; half_squared_error")[0], 1, target="scalar")
    X, Y = np.ones((1, 2)), np.ones((1, 1))
    for bad in ((X + 2j, Y), (X, Y + 2j)):
        with pytest.raises(DataError, match="is complex128; a step takes plain arrays of real numbers"):
            made.step(*bad, RATE)
    made.step(X, Y, RATE)
    assert made.flat.tolist() == [0.1, 0.1, 0.1]


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_masked_arrays_are_refused(kind, size):
    params, X, Y = given(size)
    made = stepper(kind, size, params)
    for act in (lambda X: made.step(X, Y, RATE), lambda X: made.epoch(X, Y, [np.arange(size)], RATE)):
        with pytest.raises(DataError, match="MaskedArray"):
            act(np.ma.array(X, mask=X > 0))


# Memory that is shared


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_inputs_may_lie_in_the_weights(kind, size):
    """The step reads them as they were, though it moves the weights."""
    params, _, Y = given(size)
    made = stepper(kind, size, params)
    step_is_right(made, params, made.params["W1"][:size], Y)
    made = stepper(kind, size, params)
    step_is_right(made, params, made.flat[: 3 * size].reshape(size, 3), Y)


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_an_epoch_on_inputs_in_the_weights_is_as_many_steps(kind, size):
    """The examples are others after each step."""
    params, _, Y = given(size)
    one, other = (stepper(kind, size, params, number=number) for number in range(2))
    batches = [np.arange(size), np.arange(size)[::-1], np.arange(size)]
    losses = one.epoch(one.params["W1"][:size], Y, batches, RATE)
    assert list(losses) == [other.step(other.params["W1"][rows], Y[rows], RATE) for rows in batches]
    np.testing.assert_array_equal(one.flat, other.flat)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_inputs_may_lie_where_gradients_are_written(optimizer):
    """The stepper reads them in place, and so may have written there before it reads them for the last time."""
    text, size = "400 -> 300 relu -> 3 softmax; cross_entropy", 64
    params, X, Y = given(size, text)
    one, other = (choose_stepper(derived(text)[0], size, "float64", optimizer, "numpy", params) for _ in range(2))
    assert "np_may_share_memory(X, G)" in one.source
    rows = min(size, one.gradient.size // 400)
    for room in (one.gradient[: 400 * rows], one.gradient[-400 * rows :]):
        there = room.reshape(rows, 400)
        there[...] = X[:rows]
        one.step(there, Y[:rows], RATE)
        other.step(X[:rows].copy(), Y[:rows], RATE)
        np.testing.assert_array_equal(one.flat, other.flat)


def test_parameters_may_be_views_of_one_buffer_and_gradients_of_another_workspace():
    params, X, Y = given(4)
    flat, made = np.concatenate([value.ravel() for value in params.values()]), workspace(4)
    views, first = {}, 0
    for key, value in params.items():
        views[key] = flat[first : first + value.size].reshape(value.shape)
        first += value.size
    workspace_is_right(made, views, X, Y)
    overlapping = {"W1": flat[:15].reshape(5, 3), "b1": flat[:5], "W2": flat[3:18].reshape(3, 5), "b2": flat[14:17]}
    workspace_is_right(made, overlapping, flat[2:14].reshape(4, 3), Y)
    other = Workspace(derived(TEXT)[0], 4)
    workspace_is_right(other, made.loss_and_gradients(params, X, Y)[1], X, Y)
    inside = made.flat[:12].reshape(4, 3)
    for arguments in ((params, inside, Y), (params, X, inside), ({**params, "b1": made.flat[:5]}, X, Y)):
        inside[...] = 1 / 3
        with pytest.raises(DataError, match="lies in the workspace's memory"):
            made.loss_and_gradients(*arguments)


def test_a_workspace_for_one_example_reads_its_own_memory_before_it_writes_or_refuses_it():
    params, X, Y = given(1)
    made = workspace(1)
    for key in ("W1", "b1", "X", "Y"):
        found = made.loss_and_gradients(params, X, Y)[1]
        inside = found[key] if key in found else made.flat[:3].reshape(1, 3)
        inside[...] = 1 / 3
        arrays = {"X": X, "Y": Y, **params, key: inside}
        of_copies = {name: np.array(arrays[name]) for name in arrays}
        X_then, Y_then = of_copies.pop("X"), of_copies.pop("Y")
        expected = derived(TEXT)[1].loss_and_gradients(of_copies, X_then, Y_then)
        try:
            value, found = made.loss_and_gradients({name: arrays[name] for name in params}, arrays["X"], arrays["Y"])
        except DataError as error:
            assert "lies in the workspace's memory" in str(error)
            continue
        close(value, expected[0])
        for name, gradient in expected[1].items():
            close(found[name], gradient)


def test_what_a_caller_does_to_the_answer_changes_no_later_one():
    """Clipping into the dict that was returned, emptying it, or writing over the arrays."""
    params, X, Y = given(4)
    made = Workspace(derived(TEXT)[0], 4)
    for spoil in (
        lambda found: found.update({key: value.clip(-0.01, 0.01) for key, value in found.items()}),
        lambda found: found.clear(),
        lambda found: [value.fill(np.nan) for value in found.values()],
        lambda found: made.gradients.clear(),
    ):
        spoil(made.loss_and_gradients(params, X, Y)[1])
        workspace_is_right(made, params, X, Y)
        assert set(made.gradients) == set(params)
    with pytest.raises(AttributeError):
        made.flat = np.zeros(3)
    workspace_is_right(made, params, X, Y)


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_the_vector_of_weights_is_written_into_and_not_replaced(kind, size):
    params, X, Y = given(size)
    made = stepper(kind, size, params)
    with pytest.raises(AttributeError):
        made.flat = np.ones_like(made.flat)
    made.params["W1"] = np.zeros((5, 3))  # in a dict that is new each time
    step_is_right(made, params, X, Y)
    assert all(np.shares_memory(value, made.flat) for value in made.params.values())


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_weights_outlive_their_stepper(kind, size):
    params, X, Y = given(size)
    made_once.cache_clear()
    made = made_once(kind, size, TEXT, "float64", 0)
    views, vector = made.params, made.flat
    views["W1"][...] = params["W1"]
    made.step(X, Y, RATE)
    kept = vector.copy()
    del made
    made_once.cache_clear()
    gc.collect()
    rubbish = [np.full(len(vector), 7.0) for _ in range(500)]
    np.testing.assert_array_equal(vector, kept)
    assert all(np.shares_memory(view, vector) for view in views.values()) and len(rubbish) == 500


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_what_writes_into_its_own_memory_is_not_copied(duplicate):
    params, _, _ = given(4)
    with pytest.raises(UsageError, match="a Workspace cannot be copied or pickled"):
        duplicate(workspace(4))
    for kind, size in KINDS:
        if kind != "numba" or not missing():
            with pytest.raises(UsageError, match="Stepper cannot be copied or pickled"):
                duplicate(stepper(kind, size, params))


# Batches and rates


@pytest.mark.parametrize(("kind", "size"), [one for one in KINDS if one[0] != "scalar"])
def test_a_batch_may_be_shorter_or_longer_and_comes_back(kind, size):
    for count in (size, 1, 3, 4 * size + 1, size):
        params, X, Y = given(count, seed=count)
        step_is_right(stepper(kind, size, params), params, X, Y)
    made, plain = stepper(kind, size, params), stepper("textbook", size, params, number=1)
    params, X, Y = given(11)
    batches = [np.arange(11)[first : first + 4] for first in (0, 4, 8, 2, 10)]
    close(made.epoch(X, Y, batches, RATE), plain.epoch(X, Y, batches, RATE))
    for key, value in plain.params.items():
        close(made.params[key], value)


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_rates(kind, size):
    params, X, Y = given(size)
    for rate in (0, 0.0, -0.5, 1e-300, np.float64(0.3), np.array(0.25), 2):
        step_is_right(stepper(kind, size, params), params, X, Y, rate)
    for rate in (np.nan, np.inf):
        made = stepper(kind, size, params)
        with np.errstate(invalid="ignore", over="ignore"):
            step_is_right(made, params, X, Y, rate)
        assert not np.isfinite(made.flat).any()
    for rate in (0, -0.5, np.nan, np.inf):
        with pytest.raises(UsageError, match="learning rate must be a number above 0"):
            train(derived(TEXT)[0], X, Y, epochs=1, learning_rate=rate, batch_size=size)


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_a_rate_of_another_precision_makes_no_weight_coarser(kind, size):
    params, X, Y = given(size)
    made = stepper(kind, size, params)
    for _ in range(3):
        now = {key: value.copy() for key, value in made.params.items()}
        step_is_right(made, now, X, Y, np.float32(0.3))
    with pytest.raises((TypeError, DeltaformError)):
        made.step(X, Y, None)
