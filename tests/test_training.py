"""Start values, optimizers, training, saving and resuming. Numbers in test ids are rows of the list of bad
inputs."""

import io
import json
import os
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sympy import Sum

from codegen.checkpoints import load_checkpoint, save_checkpoint
from codegen.commands import DEMO_NETWORK, DEMO_TRAINING
from codegen.datasets import load
from codegen.functions import lambdify
from codegen.history import Epoch
from codegen.initialization import initialize
from codegen.optimizers import OPTIMIZERS
from codegen.plots import draw_loss_curve
from codegen.training import SAMPLINGS, Diverged, Interrupted, describe, train
from symbolic.backpropagation import derive
from symbolic.errors import (
    ArchitectureError,
    DataError,
    DeltaformWarning,
    FileError,
    TrainingError,
    UsageError,
)
from symbolic.files import write_atomically
from symbolic.network import Network
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, index, over, size

NETWORK = Network.parse("3 -> 5 tanh -> 2 softmax; cross_entropy")
FUNCTIONS = lambdify(derive(NETWORK))
RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(23, 3))
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
HELD = (X[:6], Y[:6])


def run(epochs=4, **options):
    options = {"batch_size": 5, "seed": 1, "functions": FUNCTIONS} | options
    return train(NETWORK, X, Y, HELD, epochs=epochs, **options)


def same_run(one, other):
    assert one.step_losses == other.step_losses
    assert [replace(epoch, seconds=0) for epoch in one.epochs] == [replace(epoch, seconds=0) for epoch in other.epochs]
    assert (one.batches, one.random, one.settings) == (other.batches, other.random, other.settings)
    for key, value in one.params.items():
        np.testing.assert_array_equal(value, other.params[key])
        for slot in one.state.slots:
            np.testing.assert_array_equal(one.state.slots[slot][key], other.state.slots[slot][key])


# Start values


def test_start_values():
    params = initialize(NETWORK, seed=3)
    assert {key: value.shape for key, value in params.items()} == {
        "W1": (5, 3),
        "b1": (5,),
        "W2": (2, 5),
        "b2": (2,),
    }
    assert not params["b1"].any() and not params["b2"].any()
    again, other = initialize(NETWORK.program(), seed=3), initialize(derive(NETWORK), seed=4)
    np.testing.assert_array_equal(params["W1"], again["W1"])
    assert not np.array_equal(params["W1"], other["W1"])
    small = initialize(NETWORK, seed=3, dtype="float32")
    assert small["W1"].dtype == np.float32
    np.testing.assert_array_equal(small["W1"], params["W1"].astype(np.float32))


def test_start_values_are_glorot_uniform():
    weights = initialize(Network.parse("300 -> 200; half_squared_error"))["W1"]
    reach = np.sqrt(6 / 500)
    assert np.abs(weights).max() <= reach and np.abs(weights).max() > 0.999 * reach
    assert weights.var() == pytest.approx(2 / 500, rel=0.02)


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        pytest.param("n -> 2; half_squared_error", {}, ArchitectureError, r"W1: the size n has no number", id="open"),
        pytest.param("2 -> 2; half_squared_error", {"seed": -1}, UsageError, "whole number from 0", id="52-negative"),
        pytest.param("2 -> 2; half_squared_error", {"seed": True}, UsageError, "whole number from 0", id="52-bool"),
        pytest.param("2 -> 2; half_squared_error", {"dtype": "int64"}, UsageError, "float32 or float64", id="dtype"),
        pytest.param("2 -> 2; half_squared_error", {"dtype": "x"}, UsageError, "float32 or float64", id="dtype-none"),
    ],
)
def test_initialize_refuses(text, options, error, message):
    with pytest.raises(error, match=message):
        initialize(Network.parse(text), **options)


def test_15_says_the_memory_first(monkeypatch):
    monkeypatch.setattr("codegen.initialization.machine_memory", lambda: 10**6)
    with pytest.raises(ArchitectureError, match=r"need 8\.02 MB in float64 .* has 1 MB; the largest is W1 of shape"):
        initialize(Network.parse("1000 -> 1000 -> 2; half_squared_error"))


def test_initialize_wants_a_network():
    with pytest.raises(UsageError, match="a Network, a Program or a Derivation is needed, not 'text'"):
        initialize("text")


# Optimizers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_optimizer_keeps_dtype_and_arguments(name, dtype):
    optimizer = OPTIMIZERS[name]
    params = {"W": np.ones((2, 3), dtype), "s": np.ones((), dtype)}
    gradients = {"W": np.full((2, 3), 0.5, dtype), "s": np.asarray(2, dtype)}
    state = optimizer.start(params)
    updated, after = optimizer.step(params, gradients, state, 0.1)
    updated, after = optimizer.step(updated, gradients, after, 0.1)
    assert after.steps == 2 and state.steps == 0
    for key in params:
        assert updated[key].dtype == dtype and updated[key].shape == params[key].shape
        assert (params[key] == 1).all() and (updated[key] < 1).all()
        assert all(after.slots[slot][key].dtype == dtype for slot in optimizer.slots)
    up, _ = optimizer.step(params, gradients, state, 0.1, sense="maximise")
    assert (up["W"] > 1).all()


def test_formulas():
    g = [np.array([0.5, -2.0]), np.array([1.5, 1.0]), np.array([-0.25, 3.0])]
    found = {}
    for name, optimizer in OPTIMIZERS.items():
        params, state = {"w": np.zeros(2)}, optimizer.start({"w": np.zeros(2)})
        for gradient in g:
            params, state = optimizer.step(params, {"w": gradient}, state, 0.1)
        found[name] = params["w"]
    np.testing.assert_allclose(found["sgd"], -0.1 * (g[0] + g[1] + g[2]), rtol=1e-14)
    # The heavy ball: theta' = theta - eta g + 0.9 (theta - theta_before).
    theta = [np.zeros(2), -0.1 * g[0]]
    for gradient in g[1:]:
        theta.append(theta[-1] - 0.1 * gradient + 0.9 * (theta[-1] - theta[-2]))
    np.testing.assert_allclose(found["momentum"], theta[-1], rtol=1e-14)
    # Written out: the averages are sums with the weights 0.1 * 0.9^(3 - k), and so on.
    expected = np.zeros(2)
    for t in (1, 2, 3):
        mean = sum(0.1 * 0.9 ** (t - k) * g[k - 1] for k in range(1, t + 1)) / (1 - 0.9**t)
        square = sum(0.001 * 0.999 ** (t - k) * g[k - 1] ** 2 for k in range(1, t + 1)) / (1 - 0.999**t)
        expected -= 0.1 * mean / (np.sqrt(square) + 1e-8)
    np.testing.assert_allclose(found["adam"], expected, rtol=1e-12)


# Training


@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_same_seed_same_run(optimizer, sampling):
    first, second, other = (run(optimizer=optimizer, sampling=sampling, seed=seed) for seed in (1, 1, 2))
    same_run(first, second)
    assert first.step_losses != other.step_losses


def test_every_step_is_what_it_says():
    """Three epochs by hand: the batches, the last incomplete one, the losses, the epoch's mean."""
    history = run(epochs=3, learning_rate=0.3)
    params, generator = initialize(NETWORK, 1), np.random.default_rng(1)
    one_hot, losses = np.eye(2)[Y], []
    for epoch in range(3):
        order, start = generator.permutation(23), len(losses)
        sizes = []
        for first in range(0, 23, 5):
            batch = order[first : first + 5]
            loss, gradients = FUNCTIONS.loss_and_gradients(params, X[batch], one_hot[batch])
            params = {key: value - 0.3 * gradients[key] for key, value in params.items()}
            losses.append(loss)
            sizes.append(len(batch))
        assert sizes == [5, 5, 5, 5, 3]
        seen = history.epochs[epoch]
        assert (seen.number, seen.steps) == (epoch + 1, 5 * (epoch + 1))
        assert seen.train_loss == pytest.approx(np.average(losses[start:], weights=sizes), rel=1e-14)
    assert history.step_losses == losses
    assert history.epochs[-1].held_out_loss == pytest.approx(FUNCTIONS.loss(params, X[:6], one_hot[:6]), rel=1e-14)
    answers = FUNCTIONS.forward(params, X[:6]).argmax(axis=1)
    assert history.epochs[-1].accuracy == (answers == Y[:6]).mean()


def test_uniform_sampling_one_example_a_step_is_algorithm_1():
    """Algorithm 1, SGD, written out: sample j uniformly from the examples, theta := theta - alpha grad J^(j)(theta).
    The weights are the same to the last bit, across the borders of epochs and in the 8 steps after the last."""
    n, n_iter, alpha = 23, 100, 0.05
    theta, random = initialize(NETWORK, 1), np.random.default_rng(1)
    one_hot, losses = np.eye(2)[Y], []
    for _ in range(n_iter):
        j = random.integers(n)
        loss, gradient = FUNCTIONS.loss_and_gradients(theta, X[[j]], one_hot[[j]])
        theta = {key: value - alpha * gradient[key] for key, value in theta.items()}
        losses.append(loss)
    history = train(NETWORK, X, Y, HELD, sampling="uniform", iterations=n_iter, learning_rate=alpha, seed=1)
    settings = history.settings
    assert (settings.sampling, settings.batch_size, settings.optimizer) == ("uniform", 1, "sgd")
    assert history.step_losses == losses and history.state.steps == n_iter
    for key, value in theta.items():
        np.testing.assert_array_equal(history.params[key], value)
    assert [(epoch.number, epoch.steps) for epoch in history.epochs] == [(1, 23), (2, 46), (3, 69), (4, 92), (5, 100)]
    for epoch, first in zip(history.epochs, range(0, n_iter, n), strict=True):
        assert epoch.train_loss == pytest.approx(np.mean(losses[first : first + n]), rel=1e-14)
    assert history.epochs[-1].held_out_loss == pytest.approx(FUNCTIONS.loss(theta, X[:6], one_hot[:6]), rel=1e-14)


def test_uniform_batches_are_all_of_the_size_asked_for():
    """Two epochs of ceil(23/5) steps; each step draws 5, and an example may come twice."""
    params, random = initialize(NETWORK, 1), np.random.default_rng(1)
    one_hot, losses, repeated = np.eye(2)[Y], [], 0
    for _ in range(2 * 5):
        batch = random.integers(23, size=5)
        repeated += len(set(batch.tolist())) < 5
        loss, gradients = FUNCTIONS.loss_and_gradients(params, X[batch], one_hot[batch])
        params = {key: value - 0.1 * gradients[key] for key, value in params.items()}
        losses.append(loss)
    history = run(2, sampling="uniform")
    assert repeated and history.step_losses == losses
    assert [epoch.steps for epoch in history.epochs] == [5, 10]
    np.testing.assert_array_equal(history.params["W1"], params["W1"])


def test_iterations_stop_a_shuffled_run_amid_an_epoch():
    history, whole = run(None, iterations=12), run(3)
    assert history.step_losses == whole.step_losses[:12] and [epoch.steps for epoch in history.epochs] == [5, 10, 12]
    # Its steps 11 and 12 have 5 examples each.
    assert history.epochs[-1].train_loss == pytest.approx(np.mean(whole.step_losses[10:12]), rel=1e-14)
    same_run(run(None, iterations=15), whole)


def test_without_epochs_and_iterations_there_are_20_epochs():
    assert [len(run(None, sampling=sampling).epochs) for sampling in SAMPLINGS] == [20, 20]


def test_tells_steps_where_iterations_are_given(capsys):
    run(None, iterations=12, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": loss ")[0] for line in lines] == ["step  5/12", "step 10/12", "step 12/12"]


def test_learns_and_reports(capsys):
    seen = []
    history = run(epochs=60, optimizer="adam", learning_rate=0.05, on_epoch=seen.append, progress=True)
    assert history.epochs[-1].accuracy == 1.0 and history.epochs[-1].train_loss < 0.3
    assert seen == history.epochs
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 60 and lines[0].startswith("epoch  1/60: loss 0.") and lines[-1].endswith("accuracy 100.00%")
    run(epochs=1)
    assert capsys.readouterr().err == ""


def test_shows_a_bar_to_whoever_watches(monkeypatch):
    pytest.importorskip("tqdm")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    run(3, resume=run(1), progress=True)
    text = terminal.getvalue()
    assert "5/15" in text and "15/15" in text and "epoch 3/3: loss " in text and "epoch 1/3" not in text
    terminal.truncate(0)
    run(None, iterations=12, resume=run(1), progress=True)
    text = terminal.getvalue()
    assert "5/12" in text and "12/12" in text and "step 12/12: loss " in text and "step  5/12" not in text


def test_51_looks_at_the_held_out_loss_after_the_last_step():
    network = Network.parse("3 -> 2; half_squared_error")
    with pytest.raises(Diverged, match=r"step 1 \(epoch 1\): the held-out loss is then inf.*below 1e\+200") as stopped:
        train(network, X, X[:, :2], (X, X[:, :2]), epochs=1, learning_rate=1e200)
    start = initialize(network)
    np.testing.assert_array_equal(stopped.value.history.params["W1"], start["W1"])


def test_float32_stays_float32():
    history = run(dtype="float32", optimizer="adam")
    assert {value.dtype for value in history.params.values()} == {np.dtype(np.float32)}
    wide = run(optimizer="adam")
    np.testing.assert_allclose(history.step_losses, wide.step_losses, rtol=1e-4)
    given = run(params=initialize(NETWORK, 1, np.float32), optimizer="adam")
    assert given.settings.dtype == "float32" and given.step_losses == history.step_losses


def test_params_are_not_changed():
    params = initialize(NETWORK, 5)
    before = {key: value.copy() for key, value in params.items()}
    run(params=params)
    for key, value in params.items():
        np.testing.assert_array_equal(value, before[key])


def test_maximises():
    network = Network.parse("3 -> 1 sigmoid; log_likelihood")
    history = train(network, X, (X[:, 0] > 0).astype(float), (X, (X[:, 0] > 0).astype(float)), epochs=30, batch_size=23)
    assert history.sense == "maximise"
    assert all(later > earlier for earlier, later in zip(history.step_losses, history.step_losses[1:], strict=False))
    assert history.epochs[-1].accuracy > 0.8


def test_no_accuracy_without_classes():
    network = Network.parse("3 -> 2; half_squared_error")
    history = train(network, X, X[:, :2], (X, X[:, :2]), epochs=2)
    assert history.epochs[-1].accuracy is None and "accuracy" not in str(history.epochs[-1])
    alone = train(network, X, X[:, :2], epochs=1)
    assert alone.epochs[0].held_out_loss is None and str(alone.epochs[0]).startswith("loss ")


def test_trains_a_bare_program():
    """A line through the origin, given as equations."""
    p, j, s, n, m, count = index("p"), index("j"), index("s"), size("n"), size("m"), size("N")
    x, y = Tensor("x", "input", None, (count, n), (p, j)), Tensor("y", "target", None, (count, m), (p, j))
    slope = Tensor("A", "parameter", None, (m, n), (j, s))
    h = Tensor("h", "activation", None, (count, m), (p, j))
    ell, cost = Tensor("ell", "loss", None, (count,), (p,)), Tensor("J", "cost")
    program = Program(
        (x, y, slope),
        (
            Equation(h, (p, j), Sum(slope[j, s] * x[p, s], over(s, n))),
            Equation(ell, (p,), Sum((h[p, j] - y[p, j]) ** 2, over(j, m))),
            Equation(cost, (), Sum(ell[p], over(p, count)) / count),
        ),
        sizes={n: 3, m: 2},
        example=p,
    )
    true = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]])
    history = train(program, X, X @ true.T, epochs=200, batch_size=23)
    np.testing.assert_allclose(history.params["A"], true, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        pytest.param({"learning_rate": 0}, UsageError, r"learning rate must be a number above 0.* not 0", id="48-zero"),
        pytest.param({"learning_rate": -1.0}, UsageError, r"above 0, such as 0\.1, not -1\.0", id="48-negative"),
        pytest.param({"learning_rate": float("nan")}, UsageError, "above 0.* not nan", id="48-nan"),
        pytest.param({"learning_rate": float("inf")}, UsageError, "above 0.* not inf", id="48-inf"),
        pytest.param({"learning_rate": "0.1"}, UsageError, "above 0.* not '0.1'", id="48-string"),
        pytest.param({"batch_size": 0}, UsageError, "batch size must be a whole number from 1, not 0", id="49-zero"),
        pytest.param({"batch_size": 2.0}, UsageError, r"batch size must be .* not 2\.0", id="49-float"),
        pytest.param(
            {"batch_size": 24},
            UsageError,
            r"is 24, more than the 23 examples to train on; choose 1 to 23",
            id="49-large",
        ),
        pytest.param({"batch_size": 24, "sampling": "uniform"}, UsageError, "choose 1 to 23", id="49-large-uniform"),
        pytest.param({"epochs": 0}, UsageError, "epochs must be a whole number from 1, not 0", id="50"),
        pytest.param(
            {"epochs": None, "iterations": 0}, UsageError, "iterations must be a whole number from 1, not 0", id="50-it"
        ),
        pytest.param(
            {"epochs": None, "iterations": 2e4}, UsageError, r"iterations must .* not 20000\.0", id="50-float"
        ),
        pytest.param({"epochs": None, "iterations": True}, UsageError, "iterations must .* not True", id="50-bool"),
        pytest.param(
            {"epochs": 3, "iterations": 50},
            UsageError,
            "epochs is 3 and iterations is 50, .*; leave out epochs to count steps, or iterations to count passes",
            id="50-both",
        ),
        pytest.param({"sampling": "unifrom"}, UsageError, "'unifrom' is unknown; did you mean uniform", id="sampling"),
        pytest.param({"sampling": 1}, UsageError, "sampling 1 is unknown; .*shuffled.*uniform", id="sampling-number"),
        pytest.param({"seed": 1.5}, UsageError, r"seed must be a whole number from 0, such as 0, not 1\.5", id="52"),
        pytest.param({"optimizer": "adm"}, UsageError, "'adm' is unknown; did you mean adam", id="optimizer"),
        pytest.param({"dtype": "float16"}, UsageError, "float32 or float64, not 'float16'", id="dtype"),
    ],
)
def test_refuses_settings(options, error, message):
    with pytest.raises(error, match=message):
        run(**options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda p: p | {"b1": p["b1"][:, None]}, "b1", id="45"),
        pytest.param(lambda p: p | {"W1": np.ones((5, 3), int)}, "W1", id="42"),
        pytest.param(lambda p: p | {"W2": p["W2"].astype(np.float32)}, "W2", id="43"),
        pytest.param(lambda p: {"W1": p["W1"]}, "b1", id="47-missing"),
        pytest.param(lambda p: p | {"W9": p["W1"]}, "W9", id="47-extra"),
    ],
)
def test_refuses_params(change, message):
    with pytest.raises(DataError, match=message):
        run(params=change(initialize(NETWORK)))


def test_refuses_one_example():
    with pytest.raises(TrainingError, match=r"needs a cost over many examples.*leave out examples=None"):
        train(NETWORK.replace(examples=None), X, Y)


def test_refuses_held_out_data_by_name():
    with pytest.raises(DataError, match="held-out data: X has 2 columns"):
        train(NETWORK, X, Y, (X[:, :2], Y))


def test_51_stops_at_the_first_loss_that_is_no_number():
    network = Network.parse("3 -> 2; half_squared_error")
    with pytest.raises(
        Diverged, match=r"step \d+ \(epoch \d+\): the loss is inf; try a learning rate below 1e\+20"
    ) as stopped:
        train(network, X, X[:, :2], epochs=50, learning_rate=1e20)
    history = stopped.value.history
    assert np.isfinite(history.step_losses).all() and len(history.step_losses) >= 1
    loss = lambdify(derive(network)).loss(history.params, X, X[:, :2])
    assert np.isfinite(loss)


def test_51_names_the_step_of_a_uniform_run():
    network = Network.parse("3 -> 2; half_squared_error")
    with pytest.raises(
        Diverged, match=r"step (\d+) \(epoch 1\): the loss is inf; try a learning rate below 1e\+20"
    ) as stop:
        train(network, X, X[:, :2], sampling="uniform", iterations=50, learning_rate=1e20)
    history = stop.value.history
    assert f"step {len(history.step_losses) + 1} " in str(stop.value)
    assert all(np.isfinite(value).all() for value in history.params.values())


def test_large_losses_are_written_short():
    assert str(Epoch(1, 1, 0.25, 9999.0, None, 0.0)) == "loss 0.2500, held-out loss 9999.0000"
    assert str(Epoch(1, 1, 1.5e290, 123456.0, None, 0.0)) == "loss 1.5e+290, held-out loss 1.235e+05"


def test_54_warns_once_when_every_gradient_is_zero():
    network = Network.parse("3 -> 4 relu -> 1; half_squared_error")
    dead = initialize(network)
    dead["b1"][:] = -1e3
    with pytest.warns(DeltaformWarning, match=r"step 1 \(epoch 1\): every gradient is exactly zero.*relu") as caught:
        train(network, X, np.zeros((23, 1)), epochs=3, params=dead)
    assert len(caught) == 1


# Interrupting, saving, resuming


def stopped_at(step, **options):
    """A run that gets Ctrl-C in the middle of its step number `step`."""
    count = 0

    class Interrupting:
        forward, loss = FUNCTIONS.forward, FUNCTIONS.loss

        @staticmethod
        def loss_and_gradients(*arguments):
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGINT)
            return FUNCTIONS.loss_and_gradients(*arguments)

    with pytest.raises(Interrupted) as stopped:
        run(functions=Interrupting, **options)
    return stopped.value.history


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("step", [1, 7, 10])
def test_55_resumes_where_it_was_interrupted(tmp_path, step, optimizer):
    history = stopped_at(step, optimizer=optimizer)
    assert len(history.step_losses) == step
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    path = tmp_path / "run.npz"
    save_checkpoint(history, path)
    resumed = run(resume=load_checkpoint(path), batch_size=None, seed=None)
    same_run(resumed, run(optimizer=optimizer))
    assert len(history.step_losses) == step


@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
@pytest.mark.parametrize("step", [1, 5, 7, 17, 18])
def test_55_resumes_a_run_of_iterations(tmp_path, step, sampling):
    """Of 18 steps, 5 an epoch: interrupted in an epoch, at its end, in the three steps left over, at the end."""
    options = {"epochs": None, "sampling": sampling, "optimizer": "momentum"}
    history = stopped_at(step, iterations=18, **options)
    assert len(history.step_losses) == step
    path = tmp_path / "run.npz"
    save_checkpoint(history, path)
    for iterations in (19, 20, 23):
        resumed = run(None, resume=load_checkpoint(path), iterations=iterations, batch_size=None, seed=None)
        same_run(resumed, run(iterations=iterations, **options))
    same_run(run(4, resume=load_checkpoint(path)), run(iterations=20, **options))


def test_a_run_that_ended_amid_an_epoch_goes_on_as_if_it_had_not(tmp_path):
    """However often it stops: the epoch is recorded as far as it came, and again once it is whole."""
    path, history = tmp_path / "run.npz", None
    for iterations in (2, 3, 5, 12, 13, 20, 21):
        history = run(None, iterations=iterations, sampling="uniform", resume=history)
        same_run(history, run(None, iterations=iterations, sampling="uniform"))
        save_checkpoint(history, path, force=True)
        history = load_checkpoint(path)
    assert history.seconds == pytest.approx(sum(epoch.seconds for epoch in history.epochs))


def test_a_run_saved_before_there_was_a_choice_is_shuffled(tmp_path):
    path = tmp_path / "run.npz"
    save_checkpoint(run(2), path)
    with np.load(path) as arrays:
        content = dict(arrays)
    about = json.loads(str(content["about"]))
    assert about["settings"].pop("sampling") == "shuffled"
    np.savez(path, **content | {"about": np.array(json.dumps(about))})
    same_run(run(resume=load_checkpoint(path)), run())


def test_saves_and_loads_everything(tmp_path):
    history = run(optimizer="adam", dtype="float32")
    path = tmp_path / "run.npz"
    save_checkpoint(history, path)
    loaded = load_checkpoint(path)
    same_run(history, loaded)
    assert (loaded.settings, loaded.epochs, loaded.random) == (
        history.settings,
        history.epochs,
        history.random,
    )
    assert loaded.params["W1"].dtype == np.float32
    with np.load(path, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["params/W1"], history.params["W1"])
    assert os.listdir(tmp_path) == ["run.npz"]
    same_run(run(6, resume=loaded, batch_size=None, seed=None), run(6, optimizer="adam", dtype="float32"))


def test_a_new_learning_rate_may_be_given():
    resumed = run(3, resume=run(2), learning_rate=0.01)
    assert resumed.settings.learning_rate == 0.01 and len(resumed.epochs) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"optimizer": "adam"}, "has optimizer sgd, not adam; leave it out", id="53-optimizer"),
        pytest.param({"sampling": "uniform"}, "has sampling shuffled, not uniform; leave it out", id="53-sampling"),
        pytest.param({"batch_size": 6}, "has batch size 5, not 6", id="53-batch"),
        pytest.param({"seed": 2}, "has seed 1, not 2", id="53-seed"),
        pytest.param({"dtype": "float32"}, "has dtype float64, not float32", id="53-dtype"),
        pytest.param({"epochs": 4}, "epochs is 4, but the resumed run has done 4 already.*such as 8", id="50"),
        pytest.param(
            {"epochs": None, "iterations": 20},
            "iterations is 20, but the resumed run has done 20 already; iterations counts all .*such as 40",
            id="50-iterations",
        ),
        pytest.param({"iterations": 30}, "epochs is 6 and iterations is 30", id="50-both"),
        pytest.param({"params": initialize(NETWORK)}, "params and resume are both given", id="params"),
    ],
)
def test_resume_refuses(options, message):
    with pytest.raises((TrainingError, UsageError), match=message):
        run(**({"epochs": 6, "resume": run()} | options))


def test_53_resume_refuses_another_network_or_data():
    history = run()
    other = Network.parse("3 -> 5 relu -> 2 softmax; cross_entropy")
    with pytest.raises(TrainingError, match=r"it trains 3 -> 5 tanh .*, and this is 3 -> 5 relu"):
        train(other, X, Y, epochs=9, resume=history)
    summed = Network.parse(str(NETWORK), reduction="sum")
    with pytest.raises(TrainingError, match="and this one has other equations"):
        train(summed, X, Y, epochs=9, resume=history)
    with pytest.raises(TrainingError, match="was trained on 23 examples, not 22"):
        train(NETWORK, X[1:], Y[1:], epochs=9, resume=history)


def test_description_tells_programs_apart():
    texts = ["3 -> 5 tanh -> 2 softmax; cross_entropy", "3 -> 6 tanh -> 2 softmax; cross_entropy"]
    one, other = (describe(Network.parse(text).program()) for text in texts)
    assert one != other and one == describe(NETWORK.program())


def saved_bytes(**changed):
    stream = io.BytesIO()
    np.savez(stream, **changed)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is no .npz file, or a truncated one", id="62-empty"),
        pytest.param(saved_bytes(X=X), "is no saved run: 'about' is missing, there is X", id="62-foreign"),
        pytest.param(saved_bytes(about="{}", step_losses=X), "is no whole saved run .*'format'", id="62-json"),
        pytest.param(saved_bytes(about="[", step_losses=X), "is no whole saved run", id="62-no-json"),
        pytest.param(saved_bytes(about='{"format": "2"}', step_losses=X), "has the format '2'", id="62-version"),
        pytest.param(saved_bytes(about=np.array([{}])), "holds Python objects", id="62-pickled"),
    ],
)
def test_refuses_to_load(tmp_path, content, message):
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        load_checkpoint(path)


def test_refuses_to_load_from_nowhere(tmp_path):
    with pytest.raises(FileError, match="is a folder"):
        load_checkpoint(tmp_path)
    with pytest.raises(FileError, match=r"unknown suffix '\.txt'"):
        load_checkpoint(tmp_path / "a.txt")
    with pytest.raises(FileError, match="does not exist"):
        load_checkpoint(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("missing/run.npz", r"the folder .*missing does not exist; create it first \(mkdir", id="56"),
        pytest.param("there.npz", "there.npz exists already; give --force", id="57"),
        pytest.param("folder.npz", "is a folder; name a file in it", id="58"),
        pytest.param("run.pkl", r"unknown suffix '\.pkl'; it must be \.npz, such as .*run\.npz", id="61"),
    ],
)
def test_refuses_to_save(tmp_path, name, message):
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "there.npz").write_bytes(b"kept")
    with pytest.raises(FileError, match=message):
        save_checkpoint(run(1), tmp_path / name)
    assert (tmp_path / "there.npz").read_bytes() == b"kept"


def test_60_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "run.npz"
    target.write_bytes(b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"could not be written .No space left on device.*is unchanged"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["run.npz"]


# The curve, and the digits


def test_draws_the_curve(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "loss.png"
    draw_loss_curve(run(), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    again = tmp_path / "again.png"
    draw_loss_curve(run(), again)
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(FileError, match="exists already"):
        draw_loss_curve(run(), path)
    with pytest.raises(FileError, match=r"unknown suffix '\.bmp'; it must be \.png or \.pdf or \.svg"):
        draw_loss_curve(run(), tmp_path / "loss.bmp")
    for suffix, start in ((".pdf", b"%PDF"), (".svg", b"<?xml")):
        draw_loss_curve(run(), tmp_path / f"loss{suffix}")
        assert (tmp_path / f"loss{suffix}").read_bytes().startswith(start)


def test_the_curve_of_single_examples_is_drawn_on_a_logarithmic_axis(tmp_path, monkeypatch):
    """Some are fitted exactly, and others not at all: their losses would flatten the means."""
    axes = pytest.importorskip("matplotlib.axes")
    scales = []
    monkeypatch.setattr(axes.Axes, "set_yscale", lambda self, scale: scales.append(scale))
    history = run(None, iterations=12, sampling="uniform", batch_size=None)
    assert min(history.step_losses) * 20 > max(history.step_losses) > 0
    draw_loss_curve(history, tmp_path / "narrow.png")
    assert scales == []
    draw_loss_curve(replace(history, step_losses=[0.0, *history.step_losses[1:]]), tmp_path / "zero.png")
    assert scales == ["log"]
    draw_loss_curve(replace(history, step_losses=[-1.0, *history.step_losses[1:]]), tmp_path / "negative.png")
    draw_loss_curve(replace(history, step_losses=[0.0] * 12), tmp_path / "all.png")
    assert scales == ["log"]


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_reach_97_percent(seed):
    """With the demo's settings and its held-out fifth, from two starts."""
    pytest.importorskip("sklearn")
    network = Network.parse(DEMO_NETWORK)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = train(network, *load("digits", network).train_and_held_out, seed=seed, **DEMO_TRAINING)
    assert history.epochs[-1].accuracy >= 0.97
