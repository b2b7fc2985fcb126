"""Optimizers in the NumPy stepper: one rule, two codes that agree; and runs that go on from what was remembered."""

import os
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sympy import Max
from test_steppers import TOLERANCE, examples, network_of, random_networks

from codegen import memory
from codegen.checkpoints import load_checkpoint, save_checkpoint
from codegen.functions import lambdify, namespace_of
from codegen.initialization import initialize
from codegen.numpy_stepper import NumpyStepper
from codegen.optimizer_memory import Memory
from codegen.optimizers import OPTIMIZERS, State, eta, g, rule_of, theta, v, v_next
from codegen.safety import check_source
from codegen.stepped import SteppedWeights
from codegen.steppers import Request, choose_stepper
from codegen.targets.update_source import BLOCK, rule_source, update_source
from codegen.training import Diverged, Interrupted, train
from symbolic.backpropagation import derive
from symbolic.errors import LoweringError
from symbolic.network import Network

REMEMBERING = sorted(name for name, optimizer in OPTIMIZERS.items() if optimizer.slots)


def near(found, expected, dtype):
    """Up to rounding in the array's scale."""
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


def same_state(one, other):
    assert one.steps == other.steps and one.slots.keys() == other.slots.keys()
    for slot, arrays in other.slots.items():
        assert one.slots[slot].keys() == arrays.keys()
        for key, value in arrays.items():
            np.testing.assert_array_equal(one.slots[slot][key], value)


def same_run(one, other):
    assert one.step_losses == other.step_losses
    assert [replace(e, seconds=0) for e in one.epochs] == [replace(e, seconds=0) for e in other.epochs]
    assert (one.batches, one.random, one.settings) == (other.batches, other.random, other.settings)
    same_state(one.state, other.state)
    for key, value in one.params.items():
        np.testing.assert_array_equal(value, other.params[key])


# The rule


def built(rule, slots, arrays, count):
    """The update that writes over arrays: theta, g, slots."""
    source = "import numpy as np\n" + update_source(rule, slots, len(arrays[0]))
    check_source(source)
    return namespace_of(source)["build_update"](*arrays, count, memory.empty)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("entries", [1, 7, BLOCK, 2 * BLOCK + 3])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_both_codes_of_a_rule_agree(name, entries, dtype):
    optimizer, random = OPTIMIZERS[name], np.random.default_rng(1)
    arrays = [memory.empty((entries,), dtype) for _ in range(2 + len(optimizer.slots))]
    arrays[0][...] = random.normal(size=entries)
    for slot in arrays[2:]:
        slot[...] = 0
    count = np.zeros(1, np.int64)
    update = built(optimizer.rule, optimizer.slots, arrays, count)
    new = [arrays[0].copy(), *(slot.copy() for slot in arrays[2:])]
    for step in range(1, 8):
        arrays[1][...] = gradient = random.normal(size=entries).astype(dtype)
        new = optimizer.function(new[0], gradient, *new[1:], 0.05, step)
        update(0.05)
        for found, expected in zip((arrays[0], *arrays[2:]), new, strict=True):
            assert expected.dtype == dtype
            near(found, expected, dtype)
        assert count[0] == step
        np.testing.assert_array_equal(arrays[1], gradient)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_update_allocates_nothing(name):
    optimizer = OPTIMIZERS[name]
    arrays = [np.ones(3 * BLOCK) for _ in range(2 + len(optimizer.slots))]
    update = built(optimizer.rule, optimizer.slots, arrays, np.zeros(1, np.int64))
    update(0.1)
    tracemalloc.start()
    update(0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BLOCK


def test_a_slot_is_not_read_after_it_was_written_over():
    """The old slot is read by the parameter's equation, which must then come first."""
    late = rule_of(("v",), v_next=v + g, theta_next=theta - eta * v)
    with pytest.raises(LoweringError, match="v is read after v_next was written in its place"):
        update_source(late, ("v",), 5)
    arrays = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0])]
    built(rule_of(("v",), theta_next=theta - eta * v, v_next=v + g), ("v",), arrays, np.zeros(1, np.int64))(0.5)
    np.testing.assert_array_equal(arrays, [[-1.5, -1.0], [3.0, 4.0], [8.0, 10.0]])


def test_parts_are_not_computed_over_what_is_still_read():
    """v is read twice, the second time after a part of v_next that could lie in its memory."""
    rule = rule_of(("v",), v_next=(v + g) ** 2 * (v - g), theta_next=theta - eta * v_next)
    arrays = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0])]
    expected = namespace_of(rule_source(rule, ("v",)))["rule"](*arrays, 0.5, 1)
    built(rule, ("v",), arrays, np.zeros(1, np.int64))(0.5)
    np.testing.assert_allclose([arrays[0], arrays[2]], expected, rtol=1e-15)


def test_the_largest_of_two_is_served():
    rule = rule_of(("v",), v_next=Max(v, g), theta_next=theta - eta * g / v_next)
    arrays = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 2.0])]
    built(rule, ("v",), arrays, np.zeros(1, np.int64))(0.5)
    np.testing.assert_allclose([arrays[0], arrays[2]], [[0.7, 1.5], [5.0, 4.0]], rtol=1e-15)


def test_what_counts_as_descent():
    assert [name for name, optimizer in OPTIMIZERS.items() if optimizer.is_descent] == ["sgd"]


# The stepper


@pytest.mark.parametrize("name", REMEMBERING)
@pytest.mark.parametrize(("text", "size", "dtype"), list(random_networks())[::3])
def test_steps_are_the_rule_with_the_right_gradients(text, size, dtype, name):
    """Three batches, a shorter one, and the first again. A rule may divide by gradients near 0, so that each step is
    held against the rule with the stepper's own gradient, and that gradient against the readable module's.
    """
    network, optimizer = network_of(text), OPTIMIZERS[name]
    derivation = derive(network)
    functions, sense = lambdify(derivation), derivation.program.sense
    params = initialize(derivation, 1, dtype)
    stepper = choose_stepper(derivation, size, dtype, name, "numpy", params)
    views = stepper.memory.views
    X, Y = examples(network, 3 * size + 1, dtype)
    batches = [np.arange(first, min(first + size, len(X)))[::-1] for first in range(0, len(X), size)]
    state = optimizer.start(params)
    for rows in [*batches, np.arange(size)]:
        before = {key: value.copy() for key, value in stepper.params.items()}
        loss = stepper.step(X[rows], Y[rows], 0.05)
        value, gradients = functions.loss_and_gradients(before, X[rows], Y[rows])
        assert loss == pytest.approx(value, rel=TOLERANCE[dtype], abs=TOLERANCE[dtype])
        own = {key: array if sense == "minimise" else -array for key, array in views(stepper.gradient).items()}
        params, state = optimizer.step(before, own, state, 0.05, sense)
        remembered = stepper.memory.state()
        assert remembered.steps == state.steps
        for key, gradient in gradients.items():
            near(own[key], gradient, dtype)
            near(stepper.params[key], params[key], dtype)
            assert stepper.params[key].dtype == dtype
            for slot in optimizer.slots:
                near(remembered.slots[slot][key], state.slots[slot][key], dtype)


TEXT = "3 -> 5 tanh -> 2 softmax; cross_entropy"
NETWORK = Network.parse(TEXT)
DERIVATION = derive(NETWORK)
X, Y = examples(NETWORK, 23)
ONES = np.eye(2)[(X[:, 0] > 0).astype(int)]


@pytest.mark.parametrize("kind", ["numpy", "textbook"])
@pytest.mark.parametrize("name", REMEMBERING)
def test_epoch_and_step_give_the_same_to_the_bit(name, kind):
    batches = [np.arange(23)[first : first + 5] for first in range(0, 23, 5)]
    one, other = (choose_stepper(DERIVATION, 5, "float64", name, kind, initialize(NETWORK, 2)) for _ in range(2))
    assert one.epoch(X, Y, batches, 0.1).tolist() == [other.step(X[rows], Y[rows], 0.1) for rows in batches]
    np.testing.assert_array_equal(one.flat, other.flat)
    same_state(one.memory.state(), other.memory.state())
    assert one.memory.state().steps == 5


@pytest.mark.parametrize("passes", [frozenset(), frozenset({"folded_step"})])
@pytest.mark.parametrize("text", [TEXT, "3 -> 4 tanh -> 1 sigmoid; log_likelihood"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_are_as_they_are_with_every_pass(text, reduction, passes):
    """G holds the gradients to be gone down, whether or not a factor of them is folded into the first adjoint."""
    derivation = derive(Network.parse(text, reduction=reduction))
    rows, targets = examples(Network.parse(text), 5)
    stepper = NumpyStepper(Request(derivation, 5, np.dtype("float64"), "momentum"), passes)
    params = initialize(derivation, 1)
    for key, value in params.items():
        stepper.params[key][...] = value
    stepper.step(rows, targets, 0.1)
    sign = 1 if derivation.program.sense == "minimise" else -1
    for key, gradient in lambdify(derivation).loss_and_gradients(params, rows, targets)[1].items():
        near(sign * stepper.memory.views(stepper.gradient)[key], gradient, "float64")


@pytest.mark.parametrize("name", REMEMBERING)
def test_stepping_back(name):
    weights = [
        SteppedWeights(choose_stepper(NETWORK, 5, "float64", name, "numpy"), initialize(NETWORK), X, Y, 0.1)
        for _ in range(2)
    ]
    for one, count in zip(weights, (3, 2), strict=True):
        assert one.advance([np.arange(5)] * count).failure == ""
    before = weights[0].before_last()
    np.testing.assert_array_equal(before["W1"], weights[1].params()["W1"])
    same_state(weights[0].state(), weights[1].state())
    assert weights[0].advance([np.arange(5)]).losses == weights[1].advance([np.arange(5)]).losses
    same_state(weights[0].state(), weights[1].state())


def test_memory_without_slots_counts():
    remembered = Memory()
    remembered.resume(State(7, {}))
    assert remembered.state() == State(7, {})


# Training


def run(epochs=4, **options):
    options = {"batch_size": 5, "seed": 1, "target": "numpy"} | options
    return train(NETWORK, X, ONES, (X[:6], ONES[:6]), epochs=epochs, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "text", [TEXT, "3 -> 4 sigmoid -> 1 sigmoid; log_likelihood", "3 -> 4 tanh -> 2; squared_error"]
)
@pytest.mark.parametrize("name", REMEMBERING)
def test_training_does_the_same_steps_up_to_rounding(name, text, dtype):
    """Batches of 5, 5, 5, 5 and 3 in each epoch; one network is to be maximised."""
    network = Network.parse(text)
    rows, targets = examples(network, 23, dtype)
    fast, plain = (
        train(network, rows, targets, epochs=3, batch_size=5, seed=1, optimizer=name, dtype=dtype, target=target)
        for target in ("numpy", "textbook")
    )
    np.testing.assert_allclose(fast.step_losses, plain.step_losses, rtol=TOLERANCE[dtype])
    assert fast.state.steps == plain.state.steps == 15
    for key, value in plain.params.items():
        near(fast.params[key], value, dtype)
        for slot in OPTIMIZERS[name].slots:
            near(fast.state.slots[slot][key], plain.state.slots[slot][key], dtype)
            assert fast.state.slots[slot][key].dtype == dtype and fast.state.slots[slot][key].base is None


@pytest.mark.parametrize("sampling", ["shuffled", "uniform"])
@pytest.mark.parametrize("target", ["numpy", "textbook"])
@pytest.mark.parametrize("name", REMEMBERING)
def test_a_run_resumes_to_the_bit(tmp_path, name, target, sampling):
    options = {"optimizer": name, "sampling": sampling, "target": target}
    history, path = None, tmp_path / "run.npz"
    for iterations in (2, 3, 5, 12, 20):
        history = run(None, iterations=iterations, resume=history, **options)
        same_run(history, run(None, iterations=iterations, **options))
        assert history.state.steps == iterations
        save_checkpoint(history, path, force=True)
        history = load_checkpoint(path)
    resumed = run(6, resume=history, target=None)
    assert resumed.settings.target == target
    same_run(resumed, run(6, **options))


def test_what_is_chosen_when_nothing_is_asked_for():
    network = Network.parse("64 -> 32 relu -> 10 softmax; cross_entropy")
    rows, targets = examples(network, 64)
    for name in OPTIMIZERS:
        history = train(network, rows, targets, epochs=1, optimizer=name)
        assert history.settings.target == "numpy" and "generated for batches of 32 in float64" in history.why
    history = train(network, rows, targets, epochs=2, resume=replace(history))
    assert "generated for batches of 32" in history.why and history.why.endswith("; as before the run was resumed")
    plain = train(network, rows, targets, epochs=1, target="textbook")
    assert "as before the run was resumed" in train(network, rows, targets, epochs=2, resume=plain).why


@pytest.mark.parametrize("name", REMEMBERING)
def test_ctrl_c_keeps_what_was_done(name):
    def press(epoch):
        if epoch.number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as stopped:
        run(on_epoch=press, optimizer=name)
    history = stopped.value.history
    assert history.state.steps == len(history.step_losses)
    same_run(run(resume=history), run(optimizer=name))


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("rate", [1e160, 1e200, 1e307])
@pytest.mark.parametrize("name", REMEMBERING)
def test_divergence_ends_as_it_does_by_hand(name, rate, held):
    """The same step is named, and what is kept belongs to the last good weights: from there both go on alike."""
    network = Network.parse("3 -> 2; half_squared_error")
    found = []
    for target in ("numpy", "textbook"):
        with pytest.raises(Diverged) as stopped:
            train(network, X, X[:, :2], (X, X[:, :2]) if held else None, epochs=400, learning_rate=rate, batch_size=5,
                  optimizer=name, target=target)  # fmt: skip
        found.append((str(stopped.value), stopped.value.history))
    (message, fast), (expected, plain) = found
    assert message.split(":")[0] == expected.split(":")[0] and len(fast.step_losses) == len(plain.step_losses)
    assert fast.state.steps == plain.state.steps in (len(plain.step_losses), len(plain.step_losses) - 1)
    for key, value in plain.params.items():
        np.testing.assert_allclose(fast.params[key], value, rtol=1e-6)
        for slot in OPTIMIZERS[name].slots:
            np.testing.assert_allclose(fast.state.slots[slot][key], plain.state.slots[slot][key], rtol=1e-6)


# The text


def test_same_bytes_under_every_hash_seed():
    code = (
        "import sys; from codegen.optimizers import OPTIMIZERS;"
        "from codegen.targets.update_source import rule_source, update_source;"
        "sys.stdout.write(''.join(rule_source(o.rule, o.slots) + update_source(o.rule, o.slots, 40000)"
        " for o in OPTIMIZERS.values()))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent.parent, capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in range(3)
    }  # fmt: skip
    assert len(seen) == 1 and len(seen.pop()) > 3000


def test_text_of_an_update():
    source = NumpyStepper(Request(DERIVATION, 5, np.dtype("f4"), "momentum")).source
    check_source(source)
    lines = [line.strip() for line in source.splitlines()]
    at = lines.index("# v_next[i] = g[i] + 0.9*v[i]")
    assert lines[at + 1 : at + 6] == [
        "np_multiply(c_0_9, v, v)",
        "np_add(g, v, v)",
        "# theta_next[i] = -eta*v_next[i] + theta[i]",
        "np_multiply(c_eta, v, spare_1)",
        "np_subtract(theta, spare_1, theta)",
    ]
    assert lines[lines.index("update(learning_rate)") + 1] == "return J"
    assert "def build(P, G, N, empty, update):" in lines and "step[()] = 1.0 / N" in lines
