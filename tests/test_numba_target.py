"""The numba target: the same numbers as the NumPy module for every batch size and dtype, in the extremes too."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reference import data, quiet
from steps import folder

from codegen.functions import lambdify
from codegen.targets.numba_source import LARGEST_PRODUCT, UNROLLED, check_numba_source, numba_code
from codegen.training import train
from codegen.unrolled_step import plan
from symbolic.activations import ACTIVATIONS
from symbolic.backpropagation import derive
from symbolic.errors import DataError, LoweringError, MissingExtra, UsageError

pytest.importorskip("numba", reason="numba is not installed: pip install 'deltaform[numba]'")
pytest.importorskip("scipy", reason="scipy is not installed: pip install 'deltaform[numba]'")

from codegen import numba_stepper as steppers
from codegen.numba_stepper import cache_folder, numba_stepper
from codegen.small_kinds import NUMBA, SCALAR
from codegen.steppers import Request

__all__ = ["folder"]

RATE = 0.05


def plain(derivation, params, X, Y, batches):
    functions = lambdify(derivation)
    now, losses = {key: value.copy() for key, value in params.items()}, []
    rate = X.dtype.type(RATE if derivation.program.sense == "maximise" else -RATE)
    with np.errstate(all="ignore"):
        for batch in batches:
            loss, gradients = functions.loss_and_gradients(now, X[batch], Y[batch])
            losses.append(loss)
            now = {key: now[key] + rate * gradients[key] for key in now}
    return np.array(losses), now


def stepper_with(derivation, batch_size, params):
    stepper = numba_stepper(derivation, batch_size, next(iter(params.values())).dtype)
    for key, value in params.items():
        stepper.params[key][...] = value
    return stepper


def compare(text, batch, dtype="float64", seed=0, scale=1.0, steps=2):
    network = quiet(text)
    derivation = derive(network)
    params, X, Y = data(network, batch * steps, seed, np.dtype(dtype))
    X = (X * scale).astype(dtype)
    batches = list(np.random.default_rng(seed).permutation(len(X)).reshape(steps, batch))
    losses, after = plain(derivation, params, X, Y, batches)
    stepper = stepper_with(derivation, batch, params)
    same = (1e-12 if dtype == "float64" else 1e-5) * (1 if scale == 1 else 10)
    np.testing.assert_allclose(stepper.epoch(X, Y, batches, RATE), losses, rtol=same, atol=same)
    for key, value in after.items():
        assert stepper.params[key].dtype == dtype
        largest = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(stepper.params[key], value, rtol=same, atol=same * largest)
    return stepper


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activations", [tuple(ACTIVATIONS)[n : n + 6] for n in range(0, len(ACTIVATIONS), 6)])
def test_every_activation_in_loops(activations, dtype):
    hidden = " -> ".join(f"{size} {name}" for size, name in zip((8, 5, 7, 6, 4, 9), activations, strict=False))
    stepper = compare(f"5 -> {hidden} -> 3 sigmoid; binary_cross_entropy", 9, dtype)
    assert "np.dot" in stepper.source


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("text", [
    "2 -> 3 relu -> 4 relu -> 1 identity; half_squared_error",
    "2 -> 3 silu -> 2 softmax; cross_entropy",
    "2 -> 3 tanh -> 2 sigmoid; log_likelihood",
])  # fmt: skip
@pytest.mark.parametrize("batch", [2])
def test_written_out(text, dtype, batch):
    stepper = compare(text, batch, dtype, steps=3)
    assert "np.dot" not in stepper.source


def equal_layers(layers, dtype="float32"):
    text = "8 -> " + "8 tanh -> " * layers + "4 softmax; cross_entropy"
    return text, numba_code(plan(derive(quiet(text)), 8), dtype).source


def test_equal_layers_share_their_functions():
    (_, few), (_, more) = equal_layers(8), equal_layers(10)
    assert check_numba_source(few) and check_numba_source(more)
    assert few.count("\ndef ") == more.count("\ndef ") and few.count("np.dot(") == more.count("np.dot(")
    for call in ("matmul_from_a_and_W", "z_from_matmul_and_b", "a_from_z", "dW_from_matmul", "W_moved_by_dW"):
        assert few.count(f"\ndef {call}(") == 1
        assert more.count(f"        {call}(") == few.count(f"        {call}(") + 2
    assert "# a5[p, j] = tanh(z5[p, j])\n        a_from_z(" in few


def test_a_few_layers_are_written_out():
    _, source = equal_layers(3)
    assert "_from_" not in source and "_moved_by_" not in source and "at_" not in source


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_of_equal_layers(dtype):
    compare(equal_layers(7, dtype)[0], 8, dtype, steps=3)


def test_layers_that_are_equal_by_turns_and_an_ascent():
    stepper = compare("7 -> " + "9 gelu -> 5 silu -> " * 4 + "3 sigmoid; log_likelihood", 6)
    assert stepper.source.count("_moved_by_dW") > 4


def test_random_architectures():
    source = random.Random(3)
    for seed in range(2):
        hidden = [f"{source.randint(4, 17)} {source.choice(['tanh', 'elu', 'softplus', 'leaky_relu'])}" for _ in "ab"]
        end = source.choice(["softmax; cross_entropy", "identity; squared_error"])
        text = " -> ".join([str(source.randint(1, 9)), *hidden, f"{source.randint(2, 9)} {end}"])
        compare(text, source.randint(1, 20), source.choice(["float32", "float64"]), seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_inputs(dtype):
    compare("6 -> 9 elu -> 8 softplus -> 7 sigmoid -> 6 tanh -> 4 softmax; cross_entropy", 7, dtype, scale=1e3)


def test_nan_in_nan_out():
    for text, batch in (("2 -> 3 relu -> 1 identity; half_squared_error", 1), ("5 -> 9 tanh -> 8 relu -> 3 softmax; "
                        "cross_entropy", 6), ("5 -> 9 sigmoid -> 3 sigmoid; binary_cross_entropy", 6)):  # fmt: skip
        network = quiet(text)
        derivation = derive(network)
        params, X, Y = data(network, batch, 0)
        X[0, 0] = np.nan
        stepper = stepper_with(derivation, batch, params)
        assert np.isnan(stepper.step(X, Y, RATE))
        assert all(np.isnan(value).any() for value in stepper.params.values())


@pytest.mark.parametrize("text", ["2 -> 3 tanh -> 2 softmax; cross_entropy", "9 -> 8 tanh -> 4 softmax; cross_entropy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_step_and_epoch_are_the_same_to_the_last_bit_and_a_short_batch_is_done_too(text, dtype):
    network = quiet(text)
    derivation = derive(network)
    params, X, Y = data(network, 8, 1, np.dtype(dtype))
    batches = [np.array([0, 5, 3]), np.array([7, 1, 2]), np.array([6, 4])]
    one, other = stepper_with(derivation, 3, params), stepper_with(derivation, 3, params)
    losses = [one.step(X[batch], Y[batch], RATE) for batch in batches]
    assert (other.epoch(X, Y, batches, RATE) == losses).all() and (one.flat == other.flat).all()
    expected, _ = plain(derivation, params, X, Y, batches)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_idle_is_the_first_step_without_gradient():
    for text in ("1 -> 2 relu -> 1 identity; half_squared_error", "7 -> 9 relu -> 8 identity; half_squared_error"):
        network = quiet(text)
        stepper = numba_stepper(derive(network), 2)
        X, Y = np.ones((6, network.inputs)), np.zeros((6, network.layers[-1].units))
        Y[:2] = 1.0
        batches = [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])]
        stepper.epoch(X, Y, batches[:1], RATE)
        assert stepper.idle == -1
        stepper.flat[:] = 0.0
        stepper.epoch(X, Y, [batches[0], batches[1]], 0.0)
        assert stepper.idle in (-1, 0, 1) and stepper.step(X[2:4], Y[2:4], RATE) == 0.0 and stepper.idle == 0


def test_the_exponential():
    """Against NumPy in twice the digits, from underflow to overflow."""
    for dtype, same, low, high in (("float32", 3e-7, -87, 88.7), ("float64", 1e-14, -708, 709.7)):
        code = numba_code(plan(derive(quiet("9 -> 8 elu -> 8 tanh -> 8 gelu -> 3 softmax; cross_entropy")), 9), dtype)
        module = steppers.cached_module(code.source)
        for points in (np.linspace(low, high, 4001), np.linspace(-1, 1, 4001), 10.0 ** np.linspace(-30, 1, 200)):
            x = points.astype(dtype)
            exact = x.astype(np.longdouble)
            for name, function in (("_exp", np.exp), ("_tanh", np.tanh)):
                found = np.array([getattr(module, name)(value) for value in x]).astype(dtype)
                np.testing.assert_allclose(found, function(exact).astype(np.float64), rtol=same)
        kind = np.dtype(dtype).type
        assert module._exp(kind(800)) == np.inf and module._exp(kind(-800)) == 0 and np.isnan(module._exp(kind("nan")))
        assert module._tanh(kind(800)) == 1 and module._tanh(kind(-800)) == -1 and np.isnan(module._tanh(kind("nan")))


def test_what_lies_on_the_disk():
    code = numba_code(plan(derive(quiet("2 -> 2 tanh -> 2 softmax; cross_entropy")), 1), "float64")
    steppers.cached_module(code.source)
    files = [path for path in cache_folder().glob("*.py") if path.read_text(encoding="ascii") == code.source]
    assert len(files) == 1 and files[0].stem.startswith("deltaform_step_")
    assert str(cache_folder()).startswith(os.environ["XDG_CACHE_HOME"])


def test_compiling_is_announced_and_done_once():
    derivation, told = derive(quiet("3 -> 2 tanh -> 3 softmax; cross_entropy")), []
    first = numba_stepper(derivation, 1, "float64", told.append)
    assert told == [
        "compiling with numba: seconds, minutes for dozens of layers of different sizes; kept in "
        f"{cache_folder()} for the next time"
    ]
    numba_stepper(derivation, 1, "float64", told.append)
    name = next(name for name, module in sys.modules.items() if getattr(module, "epoch", None) is first._epoch)
    del sys.modules[name]  # as in a later run
    numba_stepper(derivation, 1, "float64", told.append)
    assert len(told) == 1


def test_training_that_shows_progress_says_that_it_compiles(capsys):
    X, Y = np.ones((3, 2)), np.full((3, 2), 0.5)
    for units, progress, said in ((4, False, []), (5, True, ["compiling", "epoch"]), (5, True, ["epoch"])):
        text = f"2 -> {units} tanh -> 2 softmax; cross_entropy"
        train(quiet(text), X, Y, epochs=1, batch_size=1, target="numba", progress=progress)
        assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == said


def test_missing(monkeypatch):
    monkeypatch.setattr(steppers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'deltaform\[numba\]'"):
        numba_stepper(derive(quiet("2 -> 2 softmax; cross_entropy")), 1)


def test_data_that_does_not_fit():
    stepper = numba_stepper(derive(quiet("2 -> 3 tanh -> 2 softmax; cross_entropy")), 1)
    X, Y = np.ones((4, 2)), np.full((4, 2), 0.5)
    with pytest.raises(DataError, match=r"X has shape \(1, 1\); required is \(N, 2\)"):
        stepper.step(np.ones((1, 1)), Y[:1], RATE)
    with pytest.raises(DataError, match="none of 0 to 3"):
        stepper.epoch(X, Y, [np.array([4])], RATE)


def test_refused():
    with pytest.raises(UsageError, match=str(LARGEST_PRODUCT)):
        numba_stepper(derive(quiet("784 -> 256 relu -> 10 softmax; cross_entropy")), 128)
    with pytest.raises(UsageError, match="batch size"):
        numba_stepper(derive(quiet("2 -> 2 softmax; cross_entropy")), 0)
    with pytest.raises(LoweringError, match="undefined"):
        numba_stepper(derive(quiet("2 -> 2 g(z); half_squared_error")), 1)
    assert plan(derive(quiet("2 -> 3 relu -> 4 relu -> 1 identity; half_squared_error")), 1).operations < UNROLLED


@pytest.mark.parametrize("source", [
    "import os", "from numba import jit", "@njit\ndef f(x):\n    return x", "def f(x):\n    return x.tofile",
    "import numpy as np\nx = np.load", "x = open",
])  # fmt: skip
def test_the_whitelist(source):
    with pytest.raises(LoweringError, match="not allowed"):
        check_numba_source(source)


def test_same_bytes_under_every_hash_seed():
    code = (
        "import sys, warnings; warnings.simplefilter('ignore');"
        "from symbolic.network import Network; from symbolic.backpropagation import derive;"
        "from codegen.targets.numba_source import numba_code; from codegen.unrolled_step import plan;"
        "sys.stdout.write(''.join(numba_code(plan(derive(Network.parse(t)), 8), 'float32').source for t in ("
        "'9 -> 4 elu -> 3 gelu -> 8 softmax; cross_entropy', '8 -> 9 silu -> 2 sigmoid; binary_cross_entropy')))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent.parent,
            env={**os.environ, "PYTHONHASHSEED": str(seed)}, capture_output=True, check=True,
        ).stdout
        for seed in range(3)
    }  # fmt: skip
    assert len(seen) == 1 and len(text := seen.pop()) > 1000 and text.isascii()


def test_the_kinds_say_why_they_cannot():
    derivation = derive(quiet("2 -> 3 tanh -> 2 softmax; cross_entropy"))
    one = Request(derivation, 1, np.dtype("float64"))
    assert SCALAR.refusal(one) == "" and NUMBA.refusal(one) == "" and SCALAR.make(one).name == "scalar"
    assert SCALAR.estimate(one) > 0 and NUMBA.estimate(one) > 0
    assert "one example" in SCALAR.refusal(Request(derivation, 2, np.dtype("float64")))
    assert "float64" in SCALAR.refusal(Request(derivation, 1, np.dtype("float32")))
    assert "sgd" in SCALAR.refusal(Request(derivation, 1, np.dtype("float64"), "adam"))
    assert "sgd" in NUMBA.refusal(Request(derivation, 1, np.dtype("float64"), "adam"))
