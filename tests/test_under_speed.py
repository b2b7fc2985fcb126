"""Fast code under attack: random architectures, what is no number, far logits, threads. The numbers are right."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import mpmath
import numpy as np
import pytest
from reference import quiet
from steps import (
    DESCENDING,
    KINDS,
    RATE,
    close,
    derived,
    descending,
    folder,
    given,
    step_is_right,
    stepper,
    workspace,
    workspace_is_right,
)

from codegen.numpy_stepper import NumpyStepper
from codegen.passes import ALL, PASSES, without
from codegen.steppers import Request, stepper_kinds
from codegen.workspace import Workspace
from symbolic.errors import ArchitectureError

__all__ = ["folder"]
pytestmark = pytest.mark.usefixtures("every_pass")


# Architectures, targets, passes


def architectures(count):
    source = random.Random(11)
    names = ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu", "gelu_tanh", "softmax"]
    ends = ["softmax; cross_entropy", "sigmoid; binary_cross_entropy", "identity; half_squared_error",
            "sigmoid; log_likelihood", "softmax; squared_error"]  # fmt: skip
    for _ in range(count):
        hidden = [f"{source.randint(2, 6)} {source.choice(names)} -> " for _ in range(source.randint(0, 3))]
        yield f"{source.randint(1, 6)} -> {''.join(hidden)}{source.randint(2, 4)} {source.choice(ends)}"


@pytest.mark.parametrize("text", list(architectures(8)))
def test_random_architectures_on_every_target_with_passes_on_and_off_at_random(text):
    source = random.Random(text)
    for dtype, size in (("float64", 1), ("float32", source.randint(2, 9)), ("float64", source.randint(2, 9))):
        params, X, Y = given(size, text, dtype, seed=size)
        some = frozenset(name for name in PASSES if source.random() < 0.5)
        for passes in (some, ALL - some):
            workspace_is_right(Workspace(derived(text)[0], size, dtype, passes), params, X, Y, text, dtype)
            for made in (
                NumpyStepper(Request(derived(text)[0], size, np.dtype(dtype)), passes),
                descending(text, size, dtype, passes),
            ):
                for key, value in params.items():
                    made.params[key][...] = value
                step_is_right(made, params, X, Y, RATE, text, dtype)
        for kind in ("numpy", "textbook", *["scalar"] * (size == 1)):
            step_is_right(stepper(kind, size, params, text), params, X, Y, RATE, text, dtype)


def test_every_kind_of_stepper_is_attacked_here():
    assert {kind for kind, _ in KINDS} == {*stepper_kinds(), DESCENDING}


@pytest.mark.parametrize("only", [*PASSES, ""])
def test_what_is_no_number_goes_through_each_pass_and_is_gone_afterwards(only):
    """With one pass alone and with all but it: NaN or infinity in one example, weights that overflow, then health."""
    text = "3 -> 4 relu -> 4 leaky_relu -> 4 elu -> 4 tanh -> 3 softmax; cross_entropy"
    params, X, Y = given(4, text)
    for passes in (frozenset({only} - {""}), ALL - {only}):
        made = Workspace(derived(text)[0], 4, "float64", passes)
        for bad, scale in ((np.nan, 1), (np.inf, 1), (-np.inf, 1), (1e200, 1), (0.5, 1e200), (0.5, 1e308)):
            ill = X.copy()
            ill[2, 1] = bad
            with np.errstate(all="ignore"):
                workspace_is_right(made, {key: scale * value for key, value in params.items()}, ill, Y, text)
        workspace_is_right(made, params, X, Y, text)


# The guard of the softmax, against fifty digits


def exact(logits, Y):
    """Loss, and its gradient by the logits of all examples, of softmax with cross-entropy."""
    loss, slopes = mpmath.mpf(0), []
    for row, target in zip(logits.tolist(), Y.tolist(), strict=True):
        weights = [mpmath.exp(mpmath.mpf(z) - max(row)) for z in row]
        total = mpmath.fsum(weights)
        loss -= mpmath.fsum(
            y * (mpmath.mpf(z) - max(row) - mpmath.log(total)) for y, z in zip(target, row, strict=True)
        )
        slopes.append([w / total * sum(target) - y for w, y in zip(weights, target, strict=True)])
    return float(loss / len(logits)), np.array([[float(one / len(logits)) for one in row] for row in slopes])


def far_logits(dtype):
    """Where exp overflows, is denormal or 0; about the bound of the guard's sum of squares; equal; tiny."""
    kind = np.dtype(dtype).type
    bound = kind(64 if dtype == "float32" else 600)
    base = np.array([[0, 0, 0], [1, -1, 0.5], [0, 20, -20], [3, 3, -40]], dtype)
    yield from (base + kind(shift) for shift in (0, 95, -95, 200, -200, 590, -590, 720, -720, 800, -800, 1e6))
    one = np.zeros((4, 3), dtype)
    for edge in (np.nextafter(bound, kind(0)), bound, np.nextafter(bound, kind(1e4)), kind(1.45) * bound):
        for sign in (1, -1):
            one[0, 0] = sign * edge
            yield one.copy()
    yield np.array([[0.7, -0.7, 0]] * 4, dtype) * bound
    yield np.full((4, 3), bound / kind(12) ** kind(0.5), dtype)
    yield np.full((4, 3), 0.3, dtype)
    yield base * kind(1e-42 if dtype == "float32" else 1e-310)
    yield np.array([[0, -88, -103], [0, -87.5, -740], [-95, -95, -95], [-745, 0, -708]], dtype)


SETS = {"all": ALL, "none": frozenset(), "shifted": without("guarded_shift"), "summed": without("totals")}


@pytest.mark.parametrize("passes", SETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_guard_of_the_softmax_in_fifty_digits(dtype, passes):
    text = "3 -> 3 softmax; cross_entropy"
    params = {"W1": np.eye(3, dtype=dtype), "b1": np.zeros(3, dtype)}
    spread = np.array([[0.2, 0.3, 0.5], [0.25, 0.25, 0.5], [0.5, 0.5, 0], [0, 0, 1]], dtype)
    made = Workspace(derived(text)[0], 4, dtype, SETS[passes])
    fast = NumpyStepper(Request(derived(text)[0], 4, np.dtype(dtype)), SETS[passes])
    for X in far_logits(dtype):
        for Y in (np.eye(3, dtype=dtype)[[0, 1, 2, 0]], spread):
            with mpmath.workdps(50):
                loss, slopes = exact(X, Y)
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                value, found = made.loss_and_gradients(params, X, Y)
                fast.params["W1"][...], fast.params["b1"][...] = params["W1"], 0
                stepped = fast.step(X, Y, 0.125)
            for number in (value, stepped):
                close(number, loss, dtype)
            close(found["b1"], slopes.sum(axis=0), dtype)
            close(found["W1"], slopes.T @ X.astype(float), dtype)
            close(fast.params["b1"], -0.125 * slopes.sum(axis=0), dtype)
            close(fast.params["W1"], params["W1"] - 0.125 * (slopes.T @ X.astype(float)), dtype)


def test_scalar_code_in_fifty_digits():
    text, params = "3 -> 3 softmax; cross_entropy", {"W1": np.eye(3), "b1": np.zeros(3)}
    for X in far_logits("float64"):
        for place, label in enumerate((0, 1, 2, 0)):
            row, Y = X[place : place + 1], np.eye(3)[[label]]
            with mpmath.workdps(50):
                loss, slopes = exact(row, Y)
            made = stepper("scalar", 1, params, text)
            close(made.step(row, Y, RATE), loss)
            close(made.params["b1"], -RATE * slopes[0])


def test_equal_logits_labels_and_a_single_class():
    """Equal logits give log 3 to the last bits; labels are rows; one class is refused where it is written."""
    params, X, _ = given(4, dtype="float32")
    params = {key: 0 * value for key, value in params.items()}
    made = workspace(4, "float32")
    labels = np.array([2, 0, 0, 1])
    by_label = made.loss_and_gradients(params, X, labels)
    assert by_label[0] == pytest.approx(np.log(3), rel=1e-7)
    kept = {key: value.copy() for key, value in by_label[1].items()}
    by_row = made.loss_and_gradients(params, X, np.eye(3, dtype="float32")[labels])
    assert by_row[0] == by_label[0] and all(np.array_equal(by_row[1][key], value) for key, value in kept.items())
    with pytest.raises(ArchitectureError, match="is always 1"):
        quiet("3 -> 1 softmax; cross_entropy")


# Threads


CHILD = """
import sys; sys.path.insert(0, "tests")
import numpy as np
from steps import *
text = "200 -> 150 tanh -> 90 relu -> 10 softmax; cross_entropy"
params, X, Y = given(120, text, sys.argv[2])
params = {key: array / 9 for key, array in params.items()}
value, gradients = Workspace(derived(text)[0], 120, sys.argv[2]).loss_and_gradients(params, X, Y)
made = stepper("numpy", 120, params, text)
losses = made.epoch(X, Y, [np.arange(120)] * 3, 0.1)
np.savez(sys.argv[1], value=value, losses=losses, **made.params, **{"d" + key: one for key, one in gradients.items()})
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_thread_of_blas_and_two(tmp_path, dtype):
    found = []
    for threads in ("1", "2"):
        path = tmp_path / f"{threads}.npz"
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads}
        root = Path(__file__).parent.parent
        subprocess.run([sys.executable, "-c", CHILD, str(path), dtype], cwd=root, env=environment, check=True)
        with np.load(path) as saved:
            found.append({key: saved[key] for key in saved})
    one, two = found
    assert len(one) == 14 and all(np.isfinite(array).all() for array in one.values())
    for key, array in one.items():
        close(two[key], array, dtype)


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_steppers_in_two_threads_and_interleaved_do_not_disturb_each_other(kind, size):
    params, X, Y = given(12)
    batches = [np.arange(first, first + size) for first in range(0, 12, size)]
    inputs, ends = (X, 2 * X[::-1].copy()), []

    def run(one, X, times=40):
        for _ in range(times):
            one.epoch(X, Y, batches, RATE)

    def pair():
        return [stepper(kind, size, params, number=number) for number in (0, 1)]

    both = pair()
    threads = [threading.Thread(target=run, args=one) for one in zip(both, inputs, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends.append([one.flat.copy() for one in both])
    both = pair()
    for turn in range(80):
        run(both[turn % 2], inputs[turn % 2], 1)
    ends.append([one.flat.copy() for one in both])
    both = pair()
    run(both[0], inputs[0])
    run(both[1], inputs[1])
    ends.append([one.flat.copy() for one in both])
    np.testing.assert_array_equal(ends[0], ends[2])
    np.testing.assert_array_equal(ends[1], ends[2])
    assert not np.array_equal(*ends[0])
