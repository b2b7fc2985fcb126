"""The scalar target: the same numbers as the NumPy module, in the extremes too, and what it refuses."""

import ast
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import sympy
from reference import data, pairs, quiet

from codegen.functions import lambdify
from codegen.scalar_stepper import module_of, scalar_stepper
from codegen.targets.scalar_source import LARGEST, check_scalar_source, scalar_source
from symbolic.activations import ACTIVATIONS, Activation, z
from symbolic.backpropagation import derive
from symbolic.errors import LoweringError, UsageError
from symbolic.layers import Dense
from symbolic.losses import LOSSES, Loss, h, y
from symbolic.network import Network

ROOT = Path(__file__).parent.parent
RATE = 0.05


def plain(derivation, params, X, Y, rate=RATE):
    """Steps by the NumPy module, an example a step: the losses and the parameters."""
    functions = lambdify(derivation)
    now, losses = {key: value.copy() for key, value in params.items()}, []
    way = 1 if derivation.program.sense == "maximise" else -1
    with np.errstate(all="ignore"):
        for place in range(len(X)):
            loss, gradients = functions.loss_and_gradients(now, X[place : place + 1], Y[place : place + 1])
            losses.append(loss)
            for key in now:
                now[key] = now[key] + way * rate * gradients[key]
    return np.array(losses), now


def stepper_with(derivation, params):
    stepper = scalar_stepper(derivation)
    for key, value in params.items():
        stepper.params[key][...] = value
    return stepper


def singles(X):
    return [np.array([place]) for place in range(len(X))]


def compare(network, seed=0, scale=1.0, count=4, same=1e-12):
    derivation = derive(network)
    params, X, Y = data(network, count, seed)
    X = X * scale
    losses, after = plain(derivation, params, X, Y)
    stepper = stepper_with(derivation, params)
    found = stepper.epoch(X, Y, singles(X), RATE)
    np.testing.assert_allclose(found, losses, rtol=same, atol=same)
    for key, value in after.items():
        largest = max(1.0, float(np.abs(value[np.isfinite(value)]).max(initial=0.0)))
        np.testing.assert_allclose(stepper.params[key], value, rtol=same, atol=same * largest)
    return stepper


@pytest.mark.parametrize(("activation", "loss"), pairs())
def test_every_pair_of_the_tables(activation, loss):
    compare(quiet(f"3 -> 4 {activation} -> 3 {activation}; {loss}"))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("end", "scale"), [("sigmoid; binary_cross_entropy", 1e3), ("softmax; cross_entropy", 1e6)])
def test_huge_inputs(activation, end, scale):
    compare(quiet(f"3 -> 4 {activation} -> 2 {end}"), scale=scale, same=1e-9)


def test_random_architectures():
    source = random.Random(5)
    for seed in range(12):
        layers = [
            f"{source.randint(1, 6)} {source.choice([name for name in ACTIVATIONS if name != 'softmax'])}"
            for _ in range(source.randint(1, 4))
        ]
        end, loss = source.choice([("softmax", "cross_entropy"), ("identity", "squared_error")])
        compare(quiet(" -> ".join([str(source.randint(1, 5)), *layers, f"{source.randint(2, 4)} {end}; {loss}"])), seed)


def test_expressions_of_ones_own():
    swish = Activation("swish_b", z / (1 + sympy.exp(-sympy.Rational(3, 2) * z)))
    bent = Activation("bent", (sympy.sqrt(z**2 + 1) - 1) / 2 + z)
    steps = Activation("three", sympy.Piecewise((z + 1, z < -1), (0, z <= 0), (z**3, True)))
    huber = Loss("huber", sympy.Piecewise(((h - y) ** 2 / 2, sympy.Abs(h - y) < 1), (sympy.Abs(h - y) - 0.5, True)))
    for one in (swish, bent, steps):
        compare(Network(inputs=2, layers=[Dense(3, one), Dense(2, "identity")], loss=huber))


@pytest.mark.parametrize("loss", LOSSES)
def test_nan_in_nan_out(loss):
    end = "softmax" if loss == "cross_entropy" else "sigmoid"
    network = quiet(f"2 -> 3 relu -> 2 {end}; {loss}")
    params, X, Y = data(network, 1, 0)
    X[0, 0] = np.nan
    stepper = stepper_with(derive(network), params)
    assert np.isnan(stepper.step(X, Y, RATE)) and all(np.isnan(value).any() for value in stepper.params.values())


def test_step_and_epoch_are_the_same_to_the_last_bit():
    network = quiet("3 -> 4 tanh -> 2 softmax; cross_entropy")
    derivation = derive(network)
    params, X, Y = data(network, 6, 1)
    one, other = stepper_with(derivation, params), stepper_with(derivation, params)
    losses = [one.step(X[n : n + 1], Y[n : n + 1], RATE) for n in (3, 1, 4, 1, 5)]
    assert (other.epoch(X, Y, [np.array([n]) for n in (3, 1, 4, 1, 5)], RATE) == losses).all()
    assert (one.flat == other.flat).all()


def test_held_arrays_are_read_and_written():
    network = quiet("2 -> 3 tanh -> 1 identity; half_squared_error")
    derivation = derive(network)
    params, X, Y = data(network, 1, 1)
    held, free = stepper_with(derivation, params), stepper_with(derivation, params)
    views, flat = held.params, held.flat
    for _ in range(3):
        assert held.step(X, Y, RATE) == free.step(X, Y, RATE)
        assert all((views[key] == value).all() for key, value in free.params.items())
    saved = flat.copy()
    views["W1"][...] = 7.0
    held.step(X, Y, RATE)
    assert (views["W1"] != 7.0).any() and abs(views["W1"] - 7).max() < 3
    flat[:] = saved
    assert held.step(X, Y, RATE) == free.step(X, Y, RATE)
    free.flat[:] = 0.0  # nobody holds it, and yet it counts
    assert free.step(X, Y, RATE) == 0.5 * Y.item() ** 2


def test_what_python_refuses_is_done_by_numpy_for_one_step_alone():
    growth = Dense(1, Activation("growth", sympy.exp(z)))
    network = Network(inputs=1, layers=[growth, Dense(1, "identity")], loss="half_squared_error")
    derivation = derive(network)
    params = {key: np.ones(shape) for key, shape in network.parameters.items()}
    X, Y = np.array([[0.1], [1e4], [0.2]]), np.ones((3, 1))
    losses, after = plain(derivation, params, X, Y)
    stepper = stepper_with(derivation, params)
    assert np.array_equal(stepper.epoch(X, Y, singles(X), RATE), losses, equal_nan=True) and np.isinf(losses[1])
    one = stepper_with(derivation, params)
    with np.errstate(all="ignore"):
        found = [one.step(X[n : n + 1], Y[n : n + 1], RATE) for n in range(3)]
    assert np.array_equal(found, losses, equal_nan=True)
    assert all(np.array_equal(one.params[key], value, equal_nan=True) for key, value in after.items())


def test_idle_is_the_first_step_without_gradient():
    network = quiet("1 -> 2 relu -> 1 identity; half_squared_error")
    stepper = scalar_stepper(derive(network))
    X, Y = np.ones((4, 1)), np.array([[1.0], [0.0], [0.0], [2.0]])
    stepper.params["b2"][...] = 1.0
    stepper.epoch(X, Y, singles(X)[:1], RATE)
    assert stepper.idle == 0 and stepper.step(X[1:2], Y[1:2], RATE) == 0.5 and stepper.idle == -1
    stepper.params["b2"][...] = 0.0
    stepper.epoch(X, Y, [np.array([n]) for n in (3, 1)], RATE)
    assert stepper.idle == -1


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("784 -> 128 relu -> 10 softmax; cross_entropy", {}, f"at most {LARGEST}"),
        ("n_0 -> 3 relu -> 2 softmax; cross_entropy", {}, "no number"),
        ("2 -> 2 softmax; cross_entropy", {"examples": None}, "many examples"),
    ],
)
def test_refused(text, options, reason):
    with pytest.raises(UsageError, match=reason):
        scalar_stepper(derive(quiet(text, **options)))


def test_more_refusals():
    derivation = derive(quiet("2 -> 2 softmax; cross_entropy"))
    with pytest.raises(UsageError, match="float64"):
        scalar_stepper(derivation, "float32")
    with pytest.raises(UsageError, match="one example a step"):
        scalar_stepper(derivation).epoch(np.ones((2, 2)), np.ones((2, 2)), [np.array([0, 1])], RATE)
    with pytest.raises(UsageError, match="W1 was not derived"):
        scalar_stepper(derive(quiet("2 -> 2 softmax; cross_entropy"), wrt=["b1"]))
    with pytest.raises(LoweringError, match="undefined"):
        scalar_stepper(derive(quiet("2 -> 2 g(z); half_squared_error")))


def test_the_text():
    source = scalar_source(derive(quiet("2 -> 3 relu -> 1 identity; half_squared_error")))
    lines = [line.strip() for line in source.splitlines()]
    assert source.isascii() and max(map(len, source.splitlines())) <= 120
    assert lines[lines.index("z1_0 = x_0 * W1_0_0 + x_1 * W1_0_1 + b1_0") - 1].startswith("# z1[p, j] = b1[j] + sum_s")
    guard = lines.index("if rate_delta1_0 != 0.0:")
    assert lines[guard + 1] == "W1_0_0 -= rate_delta1_0 * x_0" and lines[guard - 2].endswith("W1 <- W1 - rate*dW1")
    assert "def epoch(parameters, xs, ys, rate, losses):" in lines
    assert hasattr(module_of(source), "stepping")


def test_same_bytes_under_every_hash_seed():
    code = (
        "import sys, warnings; warnings.simplefilter('ignore');"
        "from symbolic.network import Network; from symbolic.backpropagation import derive;"
        "from codegen.targets.scalar_source import scalar_source;"
        "sys.stdout.write(''.join(scalar_source(derive(Network.parse(t))) for t in ("
        "'3 -> 4 elu -> 3 gelu -> 2 softmax; cross_entropy', '2 -> 3 silu -> 2 sigmoid; binary_cross_entropy')))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True, check=True,
        ).stdout
        for seed in range(3)
    }  # fmt: skip
    assert len(seen) == 1 and len(seen.pop()) > 1000


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "from math import exp as zip",
        "from os import exp",
        "def f(x):\n    return x.real",
        "def f(x):\n    return open(x)",
        "def f(losses):\n    losses.clear()",
        "f = lambda x: x",
        "x = __builtins__",
        "x = [1][0]",
    ],
)
def test_the_whitelist(source):
    with pytest.raises(LoweringError, match="not allowed"):
        check_scalar_source(source)


def test_a_title_cannot_end_the_docstring():
    derivation = derive(quiet("2 -> 2 softmax; cross_entropy"))
    object.__setattr__(derivation.program, "title", 'x"""\nimport os\n\\')
    tree = check_scalar_source(scalar_source(derivation))
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_warnings_are_not_lost():
    """Nothing here silences what a caller should see."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(quiet("2 -> 3 sigmoid -> 1 identity; squared_error"))
