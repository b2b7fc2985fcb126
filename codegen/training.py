"""Training by single examples or mini-batches: reproducible from its seed, resumable amid an epoch, interruptible."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codegen.examples import Examples, Targets, check_examples
from codegen.functions import lambdify
from codegen.history import Epoch, History, Settings
from codegen.initialization import DTYPES, checked_dtype, checked_seed, initialize, program_of
from codegen.optimizers import State, optimizer_named
from codegen.progress import Progress
from codegen.stepped import SteppedWeights
from codegen.steppers import Stepper, choose_stepper
from symbolic.backpropagation import derive
from symbolic.derivation import Derivation
from symbolic.errors import DeltaformWarning, TrainingError, UsageError, nearest
from symbolic.programs import Program

TEXTBOOK = "textbook"
TEXTBOOK_WHY = "the functions of the readable module compute the gradients, and NumPy the update: {}"
AT_A_TIME = 0.05  # seconds of steps between two chances to interrupt
EPOCHS = 20  # where neither epochs nor iterations are given


@dataclass(frozen=True)
class Sampling:
    """One entry of SAMPLINGS: which examples each step sees.

    law:        in one line.
    batch_size: examples a step, used when none is given.
    draw:       (generator, N, batch size) -> for each step of one epoch, the numbers of its examples. An
                epoch has as many steps as it takes to draw N examples.
    """

    name: str
    law: str
    batch_size: int
    draw: Callable[[np.random.Generator, int, int], list[NDArray]]


def _shuffled(generator: np.random.Generator, count: int, size: int) -> list[NDArray]:
    order = generator.permutation(count)
    return [order[first : first + size] for first in range(0, count, size)]


def _uniform(generator: np.random.Generator, count: int, size: int) -> list[NDArray]:
    return list(generator.integers(count, size=(math.ceil(count / size), size)))


_ENTRIES = (
    Sampling("shuffled", "each epoch takes every example once, in a new random order", 32, _shuffled),
    Sampling("uniform", "each step draws its examples from all of them, with replacement", 1, _uniform),
)

SAMPLINGS: dict[str, Sampling] = {entry.name: entry for entry in _ENTRIES}


def sampling_named(name: object) -> Sampling:
    """The entry of SAMPLINGS called `name`.

    Raises:
        UsageError: there is none; lists what there is.
    """
    if not isinstance(name, str) or name not in SAMPLINGS:
        raise UsageError(f"sampling {name!r} is unknown; {nearest(str(name), SAMPLINGS)}")
    return SAMPLINGS[name]


class Diverged(TrainingError):
    """The loss or a weight is no finite number any more. `history.params` are the last weights whose loss
    was finite.
    """

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while training. The step was finished; `history` can be saved and resumed."""

    def __init__(self, history: History) -> None:
        super().__init__("training was interrupted")
        self.history = history


def train(
    source: Any,
    X: NDArray,
    Y: NDArray,
    held_out: tuple[NDArray, NDArray] | None = None,
    *,
    epochs: int | None = None,
    iterations: int | None = None,
    sampling: str | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    optimizer: str | None = None,
    seed: int | None = None,
    dtype: DTypeLike | None = None,
    params: Mapping[str, NDArray] | None = None,
    resume: History | None = None,
    progress: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    functions: Any = None,
    target: str | None = None,
) -> History:
    """Train a network on the examples (X, Y) and return the run.

    With sampling="uniform", one example a step and sgd, which are then the defaults, this is stochastic
    gradient descent in its plainest form, `iterations` times: draw j uniformly from the N examples, then
    theta <- theta - learning_rate * (gradient of the cost of example j alone).

    source: a Network, Program or Derivation with numbers for its sizes and an axis of examples. Only a
        Network says between which values targets lie; of the others it is not checked.
    X: (N, n_0). Y: (N, n_L), or labels (N,) where the entries of a target are known to sum to 1.
    held_out: another (X, Y), on which loss and accuracy are measured after each epoch.
    epochs: how many in all, 20 if neither this nor `iterations` is given; a resumed run stops where it would
        have stopped without the break. An epoch is the ceil(N / batch_size) steps that draw N examples,
        whether or not they are all different.
    iterations: how many steps in all, in place of `epochs`. Where they end amid an epoch, what there is of it
        is recorded as an Epoch; a run that is resumed from there finishes it.
    sampling: a name in SAMPLINGS, "shuffled" if not given: each epoch takes every example once, in a new
        order; "uniform": each step draws `batch_size` examples from all of them, with replacement.
    batch_size: examples a step, 1 to N; if not given 32 when shuffled and 1 when uniform, or all where there
        are fewer. The last batch of a shuffled epoch may be smaller; its cost is taken over the examples it
        has.
    learning_rate: the optimizer's own if not given; see OPTIMIZERS.
    optimizer: a name in OPTIMIZERS, "sgd" if not given.
    seed: of the start values and the examples of each step, 0 if not given. From
        numpy.random.default_rng(seed) comes the order of each epoch, its next permutation(N), or the examples
        of each step, its next integers(N, size=batch_size). The same seed on the same machine gives the same
        run to the last bit.
    dtype: of all arithmetic, float32 or float64; that of `params` if those are given, else float64.
    params: start values, by default `initialize(source, seed, dtype)`. They are not changed.
    resume: a run to go on with. It keeps its settings; only the learning rate may be given anew.
    progress: show it on standard error: a bar where tqdm is installed and it is a terminal, else a line an
        epoch, which counts in steps where `iterations` are given.
    on_epoch: called with each Epoch that is recorded.
    functions: what computes `forward`, `loss` and `loss_and_gradients`, such as a generated module that was
        imported; by default `lambdify` of the derivation. They then do the steps too.
    target: which code does the steps: "textbook", the functions and the optimizer's rule, or another name in
        `codegen.steppers.stepper_kinds()`. If not given, "textbook" where examples are drawn uniformly, which is
        to the last bit the algorithm as it stands above, or where the optimizer is not sgd; otherwise the stepper
        that is estimated to be fastest for this network, batch size and dtype: the same numbers up to rounding.
        `History.why` says which code ran, and why.

    Raises:
        DataError, UsageError: an argument that does not fit; says which, and the rule.
        TrainingError: the run cannot start, or `resume` is of another network, dtype or number of examples.
        Diverged: the loss or a weight became NaN or infinite. Names the step; carries the last good
            weights.
        Interrupted: Ctrl-C. The step was finished; carries the run so far.
    """
    program = program_of(source)
    if program.example is None:
        raise TrainingError(
            "training needs a cost over many examples, but this network is for one; leave out examples=None"
        )
    given = {
        "sampling": sampling,
        "batch size": batch_size,
        "optimizer": optimizer,
        "seed": seed,
        "dtype": dtype,
        "target": target,
    }
    targets = Targets.of(source)
    examples = check_examples(X, Y, targets, "training data")
    held = None if held_out is None else check_examples(*held_out, targets, "held-out data")
    if resume is not None:
        history = _resumed(resume, program, given, params, learning_rate)
    else:
        entry = optimizer_named("sgd" if optimizer is None else optimizer)
        drawn = sampling_named("shuffled" if sampling is None else sampling)
        default_size = min(drawn.batch_size, len(examples))
        settings = Settings(
            network=program.title or "a program without a title",
            equations=describe(program),
            optimizer=entry.name,
            learning_rate=checked_learning_rate(entry.learning_rate if learning_rate is None else learning_rate),
            batch_size=checked_count("batch size", default_size if batch_size is None else batch_size),
            seed=checked_seed(0 if seed is None else seed),
            dtype=_dtype(dtype, params).name,
            examples=len(examples),
            sampling=drawn.name,
        )
        if params is None:
            start = initialize(program, settings.seed, settings.dtype)
        else:
            start = {key: np.array(value) for key, value in params.items()}
        random = np.random.default_rng(settings.seed)
        order = dict(random.bit_generator.state)
        history = History(settings, start, entry.start(start), order, program.sense)
    settings = history.settings
    steps = _steps_in_all(epochs, iterations, history)
    examples = examples.prepared(targets, settings.dtype)
    held = None if held is None else held.prepared(targets, settings.dtype)
    if settings.batch_size > len(examples):
        raise UsageError(
            f"batch size is {settings.batch_size}, but there are {len(examples)} examples to train on; "
            f"choose 1 to {len(examples)}"
        )
    if settings.examples != len(examples):
        raise TrainingError(
            f"the resumed run was trained on {settings.examples} examples, not {len(examples)}; give it the same data"
        )
    stepper, why = None, "the functions given to train(), as they are, compute the gradients, and NumPy the update"
    if functions is None:
        derivation = source if isinstance(source, Derivation) else derive(source)
        functions = lambdify(derivation)
        stepper, why = _code(derivation, settings, target if resume is None else settings.target)
    elif (target or settings.target) != TEXTBOOK:
        raise UsageError(
            f"functions are given, but the steps are to be done by {target or settings.target!r}; leave functions out"
        )
    history.settings = replace(settings, target=TEXTBOOK if stepper is None else stepper.name)
    history.why = why
    run = _Run(functions, history, examples, held, targets, steps, stepper)
    shown_epochs = None if iterations is not None else steps // settings.steps_per_epoch
    with (
        Progress(steps, len(history.step_losses), shown_epochs, progress) as shown,
        _pending_interrupt() as interrupted,
    ):
        while len(history.step_losses) < steps:
            for loss in run.epoch():
                shown.step(loss)
                if interrupted():
                    raise Interrupted(history)
            shown.epoch(history.epochs[-1])
            if on_epoch is not None:
                on_epoch(history.epochs[-1])
    return history


class _Run:
    """The steps of an epoch. `history` is brought up to date after each, so that it can be saved at any
    time.
    """

    def __init__(
        self,
        functions: Any,
        history: History,
        examples: Examples,
        held_out: Examples | None,
        targets: Targets,
        steps: int,
        stepper: Stepper | None,
    ) -> None:
        self.functions = functions
        self.history = history
        self.optimizer = optimizer_named(history.settings.optimizer)
        self.sampling = sampling_named(history.settings.sampling)
        self.examples = examples
        self.held_out = held_out
        self.targets = targets
        self.steps = steps
        self.good = history.params
        self.warned = False
        self.stepped: SteppedWeights | None = None
        self.stride = 1
        if stepper is not None:
            # The functions check what they are given; a stepper does not.
            functions.loss(history.params, examples.X[:1], examples.Y[:1])
            rate = history.settings.learning_rate
            self.stepped = SteppedWeights(stepper, history.params, examples.X, examples.Y, rate)

    def epoch(self) -> Iterator[float]:
        """Do what is left of the present epoch, or of the run if that is less, then record it. Yields the
        loss of each step.
        """
        history = self.history
        generator = np.random.default_rng()
        generator.bit_generator.state = history.random
        batches = self.sampling.draw(generator, len(self.examples), history.settings.batch_size)
        left = batches[history.batches :][: self.steps - len(history.step_losses)]
        while left:
            chunk, left = left[: self.stride], left[self.stride :]
            started = time.perf_counter()
            losses = [self._step(self.examples.take(chunk[0]))] if self.stepped is None else self._steps(chunk)
            history.step_losses += losses
            history.batches += len(losses)
            seconds = time.perf_counter() - started
            history.seconds += seconds
            # How many steps are done between two looks at the clock changes none of them.
            self.stride = self.stride * 2 if self.stepped is not None and seconds < AT_A_TIME else self.stride
            whole = history.batches == len(batches)
            if whole or len(history.step_losses) == self.steps:
                of_epoch = history.step_losses[-history.batches :]
                sizes = [len(done) for done in batches[: history.batches]]
                history.epochs.append(self._record(float(np.average(of_epoch, weights=sizes))))
                if whole:
                    history.random = generator.bit_generator.state
                    history.batches = 0
                self._check_held_out(history.epochs[-1])
            yield from losses

    def _steps(self, batches: list[NDArray]) -> list[float]:
        """As `_step`, for several batches at once."""
        history, stepped = self.history, self.stepped
        assert stepped is not None
        done, epoch = len(history.step_losses), len(history.epochs) + 1
        advance = stepped.advance(batches)
        if advance.idle >= 0:
            self._warn_of_zero(f"step {done + advance.idle + 1} (epoch {epoch})")
        history.params = advance.params
        history.state = State(history.state.steps + len(advance.losses), {})
        if advance.failure:
            history.step_losses += advance.losses
            history.batches += len(advance.losses)
            where = f"step {len(history.step_losses) + 1} (epoch {epoch})"
            raise Diverged(self._advice(f"{where}: {advance.failure}"), history)
        return advance.losses

    def _step(self, batch: Examples) -> float:
        history = self.history
        number = len(history.step_losses) + 1
        where = f"step {number} (epoch {len(history.epochs) + 1})"
        # What overflows is found below, with the step's number; NumPy's warning would say less.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            loss, gradients = self.functions.loss_and_gradients(history.params, batch.X, batch.Y)
            if not math.isfinite(loss):
                history.params = self.good
                raise Diverged(self._advice(f"{where}: the loss is {loss}"), history)
            params, state = self.optimizer.step(
                history.params, gradients, history.state, history.settings.learning_rate, history.sense
            )
        if not all(np.isfinite(value).all() for value in params.values()):
            raise Diverged(self._advice(f"{where}: the update makes a weight infinite or NaN"), history)
        if not self.warned and not any(gradient.any() for gradient in gradients.values()):
            self._warn_of_zero(where)
        self.good = history.params
        history.params, history.state = params, state
        return loss

    def _warn_of_zero(self, where: str) -> None:
        """Warn once, at the line of whoever called `train`."""
        if not self.warned:
            self.warned = True
            warnings.warn(
                f"{where}: every gradient is exactly zero, so nothing is learnt; dead units (relu) or start "
                "values that are all equal or zero do this: try another seed, a smaller learning rate or "
                "other start values",
                DeltaformWarning,
                stacklevel=5,
            )

    def _check_held_out(self, epoch: Epoch) -> None:
        """The last update of an epoch is seen by no later batch of it, but by the held-out examples."""
        if epoch.held_out_loss is not None and not math.isfinite(epoch.held_out_loss):
            self.history.params = self.good if self.stepped is None else self.stepped.before_last()
            where = f"step {epoch.steps} (epoch {epoch.number})"
            raise Diverged(self._advice(f"{where}: the held-out loss is then {epoch.held_out_loss}"), self.history)

    def _advice(self, what: str) -> str:
        rate = self.history.settings.learning_rate
        return f"{what}; try a learning rate below {rate:g}, or scale the inputs"

    def _record(self, train_loss: float) -> Epoch:
        history, held = self.history, self.held_out
        held_out_loss, accuracy = None, None
        if held is not None:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                held_out_loss = float(self.functions.loss(history.params, held.X, held.Y))
                if self.targets.are_classes:
                    accuracy = self.targets.accuracy(self.functions.forward(history.params, held.X), held.Y)
        return Epoch(
            number=len(history.epochs) + 1,
            steps=len(history.step_losses),
            train_loss=train_loss,
            held_out_loss=held_out_loss,
            accuracy=accuracy,
            seconds=history.seconds - sum(epoch.seconds for epoch in history.epochs),
        )


def _code(derivation: Derivation, settings: Settings, target: str | None) -> tuple[Stepper | None, str]:
    """What does the steps: a stepper, or None for the functions and the optimizer's rule; and a sentence why."""
    if target is None and settings.sampling == "uniform":
        return None, TEXTBOOK_WHY.format("drawn uniformly, a step is to the last bit the algorithm as it is written")
    if target is None and settings.optimizer != "sgd":
        return None, TEXTBOOK_WHY.format(f"the steppers do sgd, not {settings.optimizer}")
    if target == TEXTBOOK:
        return None, TEXTBOOK_WHY.format("it was asked for")
    stepper = choose_stepper(derivation, settings.batch_size, settings.dtype, settings.optimizer, target)
    return (None if stepper.name == TEXTBOOK else stepper), stepper.why


def describe(program: Program) -> str:
    """Sizes and equations in text: programs with the same text have the same parameters and the same
    gradients.
    """
    sizes = ", ".join(f"{symbol} = {number}" for symbol, number in sorted(program.sizes.items(), key=str))
    equations = "; ".join(f"{equation.lhs} = {equation.rhs}" for equation in program.equations)
    return f"{sizes}; {equations}"


def checked_learning_rate(rate: object) -> float:
    """`rate` if it is a positive finite number.

    Raises:
        UsageError: it is not.
    """
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < float(rate) < math.inf:
        raise UsageError(f"learning rate must be a number above 0, such as 0.1, not {rate!r}")
    return float(rate)


def checked_count(what: str, count: object) -> int:
    """`count` if it is a whole number from 1.

    Raises:
        UsageError: it is not; calls it `what`.
    """
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise UsageError(f"{what} must be a whole number from 1, not {count!r}")
    return int(count)


def _steps_in_all(epochs: object, iterations: object, history: History) -> int:
    """How many steps the run has when it ends, from whichever of the two is given.

    Raises:
        UsageError: both are given, the one that is given is no whole number from 1, or the run has got as
            far already.
    """
    if epochs is not None and iterations is not None:
        raise UsageError(
            f"epochs is {epochs!r} and iterations is {iterations!r}, but one number says when to stop; leave out "
            "epochs to count steps, or iterations to count passes over the examples"
        )
    if iterations is None:
        what, given, each = "epochs", EPOCHS if epochs is None else epochs, history.settings.steps_per_epoch
    else:
        what, given, each = "iterations", iterations, 1
    count, done = checked_count(what, given), len(history.step_losses)
    if count * each <= done:
        raise UsageError(
            f"{what} is {count}, but the resumed run has done {done // each} already; {what} counts "
            f"all of them, so ask for more, such as {done // each + count}"
        )
    return count * each


def _dtype(dtype: DTypeLike | None, params: Mapping[str, NDArray] | None) -> np.dtype:
    if dtype is not None:
        return checked_dtype(dtype)
    first = next((np.asarray(value).dtype for value in (params or {}).values()), None)
    return first if first in DTYPES and first is not None else np.dtype(np.float64)


def _resumed(
    run: History,
    program: Program,
    given: Mapping[str, Any],
    params: Mapping[str, NDArray] | None,
    learning_rate: float | None,
) -> History:
    """A copy of `run` to go on with, once it is known to be of this program and of these settings."""
    settings = run.settings
    if params is not None:
        raise UsageError("params and resume are both given; a resumed run brings its own weights, so leave params out")
    if settings.equations != describe(program):
        present = program.title or "a program without a title"
        other = f"this is {present}" if present != settings.network else "this one has other equations"
        raise TrainingError(
            f"the run to resume is of another network: it trains {settings.network}, and {other}; resume it "
            "with its own"
        )
    kept = {
        "sampling": settings.sampling,
        "batch size": settings.batch_size,
        "optimizer": settings.optimizer,
        "seed": settings.seed,
        "dtype": settings.dtype,
        "target": settings.target,
    }
    for what, value in given.items():
        asked = checked_dtype(value).name if what == "dtype" and value is not None else value
        if asked is not None and asked != kept[what]:
            raise TrainingError(
                f"the run to resume has {what} {kept[what]}, not {asked}; leave it out, or start a new run "
                "without resume"
            )
    rate = settings.learning_rate if learning_rate is None else checked_learning_rate(learning_rate)
    epochs = list(run.epochs)
    if run.batches and epochs and epochs[-1].steps == len(run.step_losses):
        epochs.pop()  # the run ended amid this epoch; it is recorded again when it is whole
    return replace(
        run,
        settings=replace(settings, learning_rate=rate),
        step_losses=list(run.step_losses),
        epochs=epochs,
    )


@contextlib.contextmanager
def _pending_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold back the first Ctrl-C, so that a step is finished; the second one interrupts at once.

    Yields a function that tells whether there was one. Signals reach the main thread only, and a program's
    own handler is left alone.
    """
    seen: list[int] = []
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )

    def remember(number: int, frame: Any) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if ours:
        signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(seen)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
