"""Products that BLAS adds to what is there: beside NumPy's, however the arrays lie; and steps that use them."""

import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from steps import RATE, close, derived, descending, given, step_is_right

from codegen import blas
from codegen.blas import Descent, can_descend
from codegen.numpy_stepper import NumpyStepper
from codegen.passes import without
from codegen.steppers import Request, choose_stepper

pytestmark = pytest.mark.skipif(not can_descend("float64"), reason="NumPy's BLAS is not found")
WIDE = "40 -> 50 relu -> 60 tanh -> 3 softmax; cross_entropy"


def by_columns(array):
    return np.asfortranarray(array)


def part_of_longer_rows(array):
    return np.hstack([array, array])[:, : array.shape[1]]


def every_other_row(array):
    return np.repeat(array, 2, axis=0)[::2]


def every_other_column(array):
    return np.repeat(array, 2, axis=1)[:, ::2]


def backwards(array):
    return array[::-1].copy()[::-1]


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    room[...] = array
    return room


def other_order_of_bytes(array):
    return array.astype(array.dtype.newbyteorder())


def single(array):
    return array.astype(np.float32)


def test_the_kernel_is_the_one_that_openblas_has_taken():
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Nehalem"}
    code = "from codegen.passes.processor import this_processor; print(this_processor().kernel)"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    if not blas.kernel():
        pytest.skip("NumPy's BLAS is not OpenBLAS, or does not say what it was compiled for")
    assert run.stdout.strip() == "Nehalem"


MAKES = (
    np.array, by_columns, part_of_longer_rows, every_other_row, every_other_column, backwards, unaligned,
    other_order_of_bytes, single,
)  # fmt: skip


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1), (70, 33, 65)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_is_subtracted_however_its_factors_lie(make, shape, dtype):
    random, (m, k, n) = np.random.default_rng(3), shape
    left, right = (random.integers(-4, 5, size=size).astype(dtype) for size in ((m, k), (k, n)))
    start = random.integers(-4, 5, size=(m, n)).astype(dtype)
    for one, two in ((make(left), right), (left, make(right)), (make(left), make(right))):
        out = start.copy()
        descent = Descent(one, two, out)
        descent()
        np.testing.assert_array_equal(out, start - left @ right)
        descent()
        np.testing.assert_array_equal(out, start - 2 * (left @ right))


@pytest.mark.parametrize("make", MAKES)
def test_a_factor_that_is_lent_is_read_from_where_it_lies(make):
    random = np.random.default_rng(4)
    lefts, rights = (random.integers(-4, 5, size=(2, *size)).astype(float) for size in ((3, 4), (4, 5)))
    start, out = np.ones((3, 5)), np.ones((3, 5))
    descent = Descent(lefts[0], by_columns(rights[0]), out)
    descent.right(make(rights[1]))
    descent()
    np.testing.assert_array_equal(out, start - lefts[0] @ rights[1])
    descent.left(make(lefts[1]))
    descent()
    # What was lent is given back: the right factor is the first again.
    np.testing.assert_array_equal(out, start - lefts[0] @ rights[1] - lefts[1] @ rights[0])
    descent()
    np.testing.assert_array_equal(out, start - lefts[0] @ rights.sum(axis=0) - lefts[1] @ rights[0])
    descent.left(np.zeros((3, 4)))
    assert not descent.moves()
    descent()
    assert descent.moves()
    for refused, factor in ((descent.left, lefts[0].T), (descent.right, rights[1, :3]), (descent.right, rights[1, 0])):
        with pytest.raises(ValueError, match="shape"):
            refused(factor)


def test_a_factor_that_begins_between_numbers_is_copied():
    """Not every processor reads it where it lies."""
    odd, right = unaligned(np.ones((3, 4))), np.ones((4, 5))
    first, second = Descent(odd, right, np.zeros((3, 5)))._factors
    assert not np.shares_memory(first, odd) and np.shares_memory(second, right)


def test_what_does_not_fit_is_refused_before_anything_is_written():
    left, right = np.ones((3, 4)), np.ones((4, 5))
    read_only = np.zeros((3, 5))
    read_only.flags.writeable = False
    for out in (np.zeros((5, 3)), np.zeros(15), np.zeros((5, 3)).T, np.zeros((3, 5), int), read_only):
        with pytest.raises(ValueError):
            Descent(left, right, out)
        assert not out.any()
    for one, two in ((left, right[:3]), (left[0], right), (left.T, right)):
        with pytest.raises(ValueError):
            Descent(one, two, np.zeros((3, 5)))


def test_whether_a_product_moves_anything():
    left, right, out = np.zeros((3, 2)), np.zeros((2, 4)), np.zeros((3, 4))
    descent = Descent(left, right, out)
    assert not descent.moves()
    left[:], right[:] = [[1, -1]], 1
    assert not descent.moves()  # the terms cancel
    left[0, 0] = 1.5
    assert descent.moves()
    left[:], right[:] = 0, np.nan
    assert descent.moves()
    assert not out.any()


def test_a_product_of_zeros_moves_nothing_however_large_its_factors():
    left, right = np.zeros((3, 4)), np.full((4, 5), 1e306)
    assert not Descent(left, right, np.zeros((3, 5))).moves()


def test_what_a_caller_does_with_an_array_after_a_step_is_no_concern_of_the_stepper():
    text = "400 -> 300 relu -> 3 softmax; cross_entropy"
    params, X, Y = given(64, text)
    made, other = (choose_stepper(derived(text)[0], 64, target="numpy") for _ in range(2))
    assert "down_W1.right(X)" in made.source
    for one in (made, other):
        for key, value in params.items():
            one.params[key][...] = value
    first = X.copy()
    seen = weakref.ref(first)
    made.step(first, Y, RATE)
    first.shape = (64, 400)[::-1]
    made.step(X, Y, RATE)
    del first
    assert seen() is None
    for _ in range(2):
        other.step(X, Y, RATE)
    np.testing.assert_array_equal(made.flat, other.flat)


def test_without_that_blas_steps_are_as_right(monkeypatch):
    monkeypatch.setattr(blas, "NAMES", ("no_such_{}gemm",))
    blas._gemm.cache_clear()
    try:
        assert not can_descend("float32")
        made = NumpyStepper(Request(derived(WIDE)[0], 8, np.dtype("float64")))
    finally:
        blas._gemm.cache_clear()
    assert "descent" not in made.source
    params, X, Y = given(8, WIDE)
    for key, value in params.items():
        made.params[key][...] = value
    step_is_right(made, params, X, Y, RATE, WIDE)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_descent_is_the_update_by_the_gradient(dtype):
    """Step after step, an epoch with a shorter last batch, and batches of another size."""
    params, X, Y = given(20, WIDE, dtype)
    request = Request(derived(WIDE)[0], 8, np.dtype(dtype))
    both = NumpyStepper(request, without("fused_update")), descending(WIDE, 8, dtype)
    for made in both:
        for key, value in params.items():
            made.params[key][...] = value
        made.step(X[:8], Y[:8], RATE)
        made.step(X[3:16], Y[3:16], RATE)
        made.epoch(X, Y, [np.arange(8), np.arange(8, 16), np.arange(16, 20)], RATE)
    for key in params:
        close(both[1].params[key], both[0].params[key], dtype)
        assert not np.array_equal(both[0].params[key], params[key])


def test_gradients_that_go_into_the_weights_need_no_memory():
    made = descending("3 -> 4; half_squared_error", 5)
    assert made.gradient.size == 1
    wide = NumpyStepper(Request(derived("400 -> 300 relu -> 3; half_squared_error")[0], 64, np.dtype("float64")))
    assert wide.gradient.size < 2000 < 120_000 < wide.flat.size


def test_a_gradient_of_nothing_but_zeros_is_told():
    for text in ("3 -> 4 relu -> 2; half_squared_error", "3 -> 4 relu -> 2 relu; half_squared_error"):
        params, X, Y = given(6, text)
        made = descending(text, 6)

        def idle(X, Y, made=made, params=params, **changed):
            found = []
            for key, value in {**params, **changed}.items():
                made.params[key][...] = value
            made.step(X, Y, RATE)
            found.append(made.idle)
            for key, value in {**params, **changed}.items():
                made.params[key][...] = value
            made.epoch(X, Y, [np.arange(6)] * 2, RATE)
            return [*found, made.idle]

        assert idle(X, Y) == [-1, -1]
        # All units dead, and an answer that is right: nothing moves, in the first step already.
        dead = {"b1": np.full(4, -1e6), "b2": np.zeros(2)}
        assert idle(X, np.zeros((6, 2)), **dead) == [0, 0]
        # The errors of the examples cancel in the bias, but not in the weights.
        opposite = np.array([[1.0], [-1], [1], [-1], [1], [-1]]) * np.ones((6, 2))
        alive = {"W1": np.eye(4, 3), "b1": np.zeros(4), "W2": np.zeros((2, 4)), "b2": np.full(2, 1.0)}
        assert idle(np.abs(X), 1 - opposite, **alive) == [-1, -1]


def test_what_a_product_moves_is_told_by_less_than_another_product():
    """Of the pixels of images the last is always 0."""
    whole = []

    class Counted(np.ndarray):
        def dot(self, other, out=None):
            if np.ndim(other) == 2 and self.ndim == 2:
                whole.append(other.shape)
            return np.ndarray.dot(self, other)

    left, right = np.ones((4, 3)).view(Counted), np.arange(15.0).reshape(3, 5)
    right[:, -1] = 0
    descent = Descent(left, right, np.zeros((4, 5)))
    descent._factors = [left, right]
    assert descent.moves() and not whole
    descent._factors = [left, 0 * right]
    assert not descent.moves() and whole == [(3, 5)]


def test_a_stepper_says_why_it_was_chosen():
    chosen = choose_stepper(derived(WIDE)[0], 8)
    assert "us a step, textbook at" in chosen.why and "scalar cannot serve: it takes one example" in chosen.why
    assert "estimated" not in choose_stepper(derived(WIDE)[0], 8, target="numpy").why
    assert choose_stepper(derived(WIDE)[0], 8, target="textbook").why.endswith("; it was asked for")
