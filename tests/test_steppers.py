"""Steppers: the same steps as by hand, for random networks of all activations and losses; and training with them."""

import json
import os
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest

from codegen import numba_stepper
from codegen.checkpoints import load_checkpoint, save_checkpoint
from codegen.functions import lambdify
from codegen.initialization import initialize
from codegen.numpy_stepper import NumpyStepper
from codegen.stepped import SteppedWeights
from codegen.steppers import choose_stepper, stepper_kinds
from codegen.textbook import TextbookStepper
from codegen.training import Diverged, Interrupted, train
from symbolic.activations import ACTIVATIONS
from symbolic.backpropagation import derive
from symbolic.errors import ArchitectureError, DataError, DeltaformWarning, UsageError
from symbolic.losses import LOSSES
from symbolic.network import Network

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def network_of(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        return Network.parse(text)


def random_networks():
    """Every activation under every loss that takes it, at depths 1 to 4, with batches of 1 to 7 examples."""
    random = np.random.default_rng(5)
    names = list(ACTIVATIONS)
    for output in names:
        for loss in LOSSES:
            hidden = [f"{random.integers(1, 6)} {random.choice(names[:-1])} -> " for _ in range(random.integers(0, 4))]
            text = f"{random.integers(1, 6)} -> {''.join(hidden)}{random.integers(2, 5)} {output}; {loss}"
            try:
                network_of(text)
            except ArchitectureError:
                continue
            for dtype in ("float32", "float64"):
                yield text, int(random.choice([1, 2, 5, 7])), dtype


def examples(network, count, dtype="float64", seed=0):
    random = np.random.default_rng(seed)
    Y = random.uniform(0.1, 1, size=(count, network.layers[-1].units))
    Y = (Y / Y.sum(axis=1, keepdims=True)).astype(dtype)
    return random.normal(size=(count, network.inputs)).astype(dtype), Y


@pytest.mark.parametrize(("text", "size", "dtype"), list(random_networks()))
def test_steps_are_those_by_hand(text, size, dtype):
    """Three batches and a shorter one, then one by `step`; losses and weights up to rounding in the array's scale."""
    network = network_of(text)
    derivation = derive(network)
    functions, sign = lambdify(derivation), 1 if derivation.program.sense == "minimise" else -1
    params = initialize(derivation, 1, dtype)
    stepper = choose_stepper(derivation, size, dtype, target="numpy", params=params)
    X, Y = examples(network, 3 * size + 1, dtype)
    batches = [np.arange(first, min(first + size, len(X)))[::-1] for first in range(0, len(X), size)]
    losses = [*stepper.epoch(X, Y, batches, 0.05), stepper.step(X[:size], Y[:size], 0.05)]
    assert stepper.idle == -1
    for loss, rows in zip(losses, [*batches, np.arange(size)], strict=True):
        value, gradients = functions.loss_and_gradients(params, X[rows], Y[rows])
        assert loss == pytest.approx(value, rel=TOLERANCE[dtype], abs=TOLERANCE[dtype])
        params = {key: value - sign * np.dtype(dtype).type(0.05) * gradients[key] for key, value in params.items()}
    for key, value in params.items():
        scale = max(1.0, np.abs(value).max())
        np.testing.assert_allclose(stepper.params[key], value, rtol=0, atol=4 * TOLERANCE[dtype] * scale)
        assert np.shares_memory(stepper.params[key], stepper.flat)


TEXT = "3 -> 5 tanh -> 2 softmax; cross_entropy"
NETWORK = Network.parse(TEXT)
DERIVATION = derive(NETWORK)
X, Y = examples(NETWORK, 23)
ONES = np.eye(2)[(X[:, 0] > 0).astype(int)]


@pytest.mark.parametrize("kind", ["numpy", "textbook"])
def test_epoch_and_step_give_the_same_to_the_bit(kind):
    batches = [np.arange(23)[first : first + 5] for first in range(0, 23, 5)]
    one, other = (choose_stepper(DERIVATION, 5, target=kind, params=initialize(NETWORK, 2)) for _ in range(2))
    losses = one.epoch(X, Y, batches, 0.1)
    assert losses.dtype == np.float64 and losses.tolist() == [other.step(X[rows], Y[rows], 0.1) for rows in batches]
    np.testing.assert_array_equal(one.flat, other.flat)
    saved = one.flat.copy()
    one.epoch(X, Y, batches, 0.1)
    one.flat[...] = saved
    again = one.epoch(X, Y, batches, 0.1)
    other.epoch(X, Y, batches, 0.1)
    np.testing.assert_array_equal(one.flat, other.flat)
    assert again.shape == (5,)


@pytest.mark.parametrize("kind", ["numpy", "textbook"])
def test_idle_steps_are_told(kind):
    network = Network.parse("3 -> 4 relu -> 1; half_squared_error")
    dead = initialize(network)
    dead["b1"][:] = -1e3
    stepper = choose_stepper(network, 5, target=kind, params=dead)
    targets = np.zeros((23, 1))
    targets[:5] = 1.0
    batches = [np.arange(first, first + 5) for first in (0, 5, 10)]
    stepper.epoch(X, targets, batches[:1], 0.1)
    assert stepper.idle == -1
    stepper = choose_stepper(network, 5, target=kind, params=dead)
    stepper.epoch(X, targets, [batches[1], batches[0], batches[2]], 0.1)
    assert stepper.idle == 0
    stepper.step(X[:5], targets[:5], 0.1)
    assert stepper.idle == -1


def test_the_choice():
    assert {"numpy", "textbook"} <= set(stepper_kinds())
    assert isinstance(choose_stepper(NETWORK, 5, target="textbook"), TextbookStepper)
    assert isinstance(choose_stepper(Network.parse("64 -> 32 relu -> 10 softmax; cross_entropy"), 32), NumpyStepper)
    assert "batches of 5 in float32" in choose_stepper(NETWORK, 5, "float32", target="numpy").why
    with pytest.raises(UsageError, match="target 'numpi' is unknown; did you mean numpy"):
        choose_stepper(NETWORK, 5, target="numpi")
    with pytest.raises(UsageError, match="target 'scalar' cannot serve: it does steps of sgd, not of adam"):
        choose_stepper(NETWORK, 1, optimizer="adam", target="scalar")
    with pytest.raises(UsageError, match="batch size must be a whole number from 1, not 0"):
        choose_stepper(NETWORK, 0)
    with pytest.raises(DataError, match=r'params\["W1"\] of shape \(2, 2\) is no parameter'):
        choose_stepper(NETWORK, 5, params={"W1": np.ones((2, 2))})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X.astype(np.float32), Y), "X is float32, but the stepper computes in float64"),
        ((X, Y[:4]), "X has 23 rows and Y has 4"),
        ((X[:, :2], Y), r"X has shape \(23, 2\); required is \(N, 3\)"),
        ((X[0], Y[0]), r"X has shape \(3,\); required is \(N, 3\)"),
        ((X.tolist(), Y), "X is a list"),
    ],
)
def test_a_stepper_refuses(given, message):
    stepper = choose_stepper(NETWORK, 5, target="numpy", params=initialize(NETWORK))
    before = stepper.flat.copy()
    with pytest.raises(DataError, match=message):
        stepper.step(*given, 0.1)
    with pytest.raises(DataError, match="has a number of a row that is none of 0 to 22"):
        stepper.epoch(X, Y, [np.array([0, 23])], 0.1)
    np.testing.assert_array_equal(stepper.flat, before)


# Training


def run(epochs=4, **options):
    options = {"batch_size": 5, "seed": 1, "target": "numpy"} | options
    return train(NETWORK, X, ONES, (X[:6], ONES[:6]), epochs=epochs, **options)


def same_run(one, other):
    assert one.step_losses == other.step_losses
    assert [replace(e, seconds=0) for e in one.epochs] == [replace(e, seconds=0) for e in other.epochs]
    assert (one.batches, one.random, one.settings, one.state) == (
        other.batches,
        other.random,
        other.settings,
        other.state,
    )
    for key, value in one.params.items():
        np.testing.assert_array_equal(value, other.params[key])


def test_training_does_the_same_steps_up_to_rounding():
    fast, plain = run(), run(target="textbook")
    np.testing.assert_allclose(fast.step_losses, plain.step_losses, rtol=1e-12)
    assert fast.settings.target == "numpy" and fast.settings == replace(plain.settings, target="numpy")
    assert "generated for batches of 5" in fast.why and "it was asked for" in plain.why
    assert [epoch.steps for epoch in fast.epochs] == [5, 10, 15, 20] and fast.state.steps == 20
    for key, value in plain.params.items():
        np.testing.assert_allclose(fast.params[key], value, atol=1e-12)
        assert fast.params[key].flags.c_contiguous and fast.params[key].base is None


def test_what_is_chosen_when_nothing_is_asked_for():
    why = run(1, target=None, sampling="uniform").why
    assert "to the last bit the algorithm" in why and why.endswith("--target numpy")
    assert "functions given to train()" in run(1, target=None, functions=lambdify(DERIVATION)).why
    with pytest.raises(UsageError, match="functions are given, but the steps are to be done by 'numpy'"):
        run(1, functions=lambdify(DERIVATION))


@pytest.mark.parametrize("sampling", ["shuffled", "uniform"])
def test_a_stepped_run_resumes_to_the_bit(tmp_path, sampling):
    history, path = None, tmp_path / "run.npz"
    for iterations in (2, 3, 5, 12, 20):
        history = run(None, iterations=iterations, sampling=sampling, resume=history)
        same_run(history, run(None, iterations=iterations, sampling=sampling))
        save_checkpoint(history, path, force=True)
        history = load_checkpoint(path)
    resumed = run(6, resume=history, target=None)
    assert resumed.settings.target == "numpy"
    same_run(resumed, run(6, sampling=sampling))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize(("first", "then"), [("numpy", "textbook"), ("textbook", "numpy")])
def test_a_run_goes_on_with_another_target_when_asked(tmp_path, optimizer, first, then):
    """Weights and what the optimizer remembers lie in another order there."""
    history = run(None, iterations=7, optimizer=optimizer, target=first)
    save_checkpoint(history, tmp_path / "run.npz")
    resumed = run(6, optimizer=optimizer, target=then, resume=load_checkpoint(tmp_path / "run.npz"))
    whole = run(6, optimizer=optimizer, target=first)
    assert resumed.settings.target == then and resumed.state.steps == whole.state.steps == 30
    assert resumed.why.endswith(f"; up to step 7 it was target '{first}'") and "up to step" not in whole.why
    assert resumed.step_losses[:7] == whole.step_losses[:7]
    np.testing.assert_allclose(resumed.step_losses, whole.step_losses, rtol=1e-10)
    for key, value in whole.params.items():
        np.testing.assert_allclose(resumed.params[key], value, rtol=0, atol=1e-10)


def test_every_target_that_did_steps_is_told(tmp_path):
    history, path = None, tmp_path / "run.npz"
    for iterations, target in ((7, None), (14, "numpy"), (20, None), (23, "textbook")):
        history = run(None, iterations=iterations, sampling="uniform", target=target, resume=history)
        save_checkpoint(history, path, force=True)
        history = load_checkpoint(path)
        first = "; up to step 7 it was target 'textbook'"
        told = {7: "--target numpy", 14: first, 20: first, 23: f"{first}, then up to step 20 it was target 'numpy'"}
        assert history.why.endswith(told[iterations])


def test_a_target_that_did_no_step_is_not_told():
    history = run(None, iterations=7, target="textbook")
    history.goes_on_with("numpy", "because")
    history.goes_on_with("scalar", "because")
    assert history.why == "because; up to step 7 it was target 'textbook'"


def test_a_run_whose_target_is_gone_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr(numba_stepper.importlib.util, "find_spec", lambda name: None)
    history = run(1)
    history.settings = replace(history.settings, target="numba")
    with pytest.raises(UsageError, match=r"'numba' cannot serve: .*pip install.*; ask for another: numpy, textbook$"):
        run(2, resume=history, target=None)
    assert run(2, resume=history).step_losses == run(2).step_losses


def test_what_ran_is_in_the_checkpoint(tmp_path):
    history = run(1)
    save_checkpoint(history, tmp_path / "run.npz")
    assert load_checkpoint(tmp_path / "run.npz").why == history.why != ""
    with np.load(tmp_path / "run.npz") as arrays:
        kept = dict(arrays)
    about = json.loads(str(kept["about"]))
    del about["why"], about["earlier"]
    np.savez(tmp_path / "older.npz", **kept | {"about": np.array(json.dumps(about))})
    older = load_checkpoint(tmp_path / "older.npz")
    assert (older.why, older.earlier) == ("", ())


def test_a_target_that_cannot_serve_is_refused_before_anything_is_derived(monkeypatch):
    monkeypatch.setattr("codegen.training.derive", lambda source: pytest.fail("derived"))
    monkeypatch.setattr("codegen.steppers.derive", lambda source: pytest.fail("derived"))
    for options, message in (
        ({"target": "numpi"}, "target 'numpi' is unknown; did you mean numpy.*textbook"),
        ({"target": ["numpy"]}, "is unknown; .*known: numba, numpy, scalar, textbook"),
        ({"target": "scalar"}, "'scalar' cannot serve: it takes one example a step, not 5; ask for another: numpy"),
        ({"target": "numba", "optimizer": "adam"}, "sgd, not of adam; ask for another: numpy, textbook"),
    ):
        with pytest.raises(UsageError, match=message):
            run(**options)
        with pytest.raises(UsageError, match=message):
            choose_stepper(NETWORK, 5, optimizer=options.get("optimizer", "sgd"), target=options["target"])


@pytest.mark.parametrize("options", [{}, {"held": True}, {"sampling": "uniform", "batch_size": 1}])
@pytest.mark.parametrize("rate", [1e20, 1e200, 1e308, 3.0])
def test_divergence_ends_as_it_does_by_hand(rate, options):
    """The same step is named, with the same losses before it and the same last good weights."""
    network = Network.parse("3 -> 2; half_squared_error")
    options = dict(options)
    held = (X, X[:, :2]) if options.pop("held", False) else None
    found = []
    for target in ("numpy", "textbook"):
        with pytest.raises(Diverged) as stopped:
            train(network, X, X[:, :2], held, epochs=400, learning_rate=rate, batch_size=options.get("batch_size", 5),
                  sampling=options.get("sampling"), target=target)  # fmt: skip
        found.append((str(stopped.value), stopped.value.history))
    (message, fast), (expected, plain) = found
    assert np.isfinite(fast.step_losses).all() and all(np.isfinite(value).all() for value in fast.params.values())
    assert message.split(":")[0] == expected.split(":")[0] and len(fast.step_losses) == len(plain.step_losses)
    for key, value in plain.params.items():
        np.testing.assert_allclose(fast.params[key], value, rtol=1e-6)


def test_a_step_that_cannot_be_done_again_is_found(monkeypatch):
    stepper = choose_stepper(NETWORK, 5, target="numpy")
    weights = SteppedWeights(stepper, initialize(NETWORK), X, Y, 0.1)
    advance = weights.advance([np.arange(5)] * 3)
    assert advance.failure == "" and len(advance.losses) == 3
    before = weights.before_last()
    assert weights.advance([np.arange(5)]).losses == advance.losses[2:]
    np.testing.assert_array_equal(before["W1"], weights.before_last()["W1"])


def test_warns_once_when_every_gradient_is_zero():
    network = Network.parse("3 -> 4 relu -> 1; half_squared_error")
    dead = initialize(network)
    dead["b1"][:] = -1e3
    with pytest.warns(DeltaformWarning, match=r"step 1 \(epoch 1\): every gradient is exactly zero") as caught:
        train(network, X, np.zeros((23, 1)), epochs=3, params=dead, target="numpy")
    assert len(caught) == 1 and caught[0].filename == __file__


def test_ctrl_c_keeps_what_was_done(tmp_path):
    """The signal comes amid a run; what is saved goes on to the bit."""

    def press(epoch):
        if epoch.number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as stopped:
        run(on_epoch=press)
    history = stopped.value.history
    assert 10 < len(history.step_losses) <= 15
    same_run(run(resume=history), run())


def test_refuses_params():
    for change, key in ((lambda p: p | {"b1": p["b1"][:, None]}, "b1"), (lambda p: {"W1": p["W1"]}, "b1")):
        with pytest.raises(DataError, match=key):
            run(params=change(initialize(NETWORK)))
