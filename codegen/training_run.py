"""The steps of a training run, and what is recorded of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.examples import Examples, Targets
from codegen.history import Epoch, History
from codegen.optimizers import optimizer_named
from codegen.plain_step import textbook_step
from codegen.samplings import sampling_named
from codegen.stepped import SteppedWeights
from codegen.steppers import Stepper
from symbolic.errors import TrainingError, warn

AT_A_TIME = 0.05  # seconds of steps between two chances to interrupt


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


class Run:
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
        self.good = (history.params, history.state)
        self.warned = False
        self.stepped: SteppedWeights | None = None
        self.stride = 1
        if stepper is not None:
            # The functions check what they are given; a stepper does not.
            functions.loss(history.params, examples.X[:1], examples.Y[:1])
            rate = history.settings.learning_rate
            self.stepped = SteppedWeights(stepper, history.params, examples.X, examples.Y, rate, history.state)

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
        history.params, history.state = advance.params, advance.state
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
            done = textbook_step(
                self.functions.loss_and_gradients, self.optimizer, history.params, history.state, batch.X, batch.Y,
                history.settings.learning_rate, history.sense,
            )  # fmt: skip
        if not math.isfinite(done.loss):
            history.params, history.state = self.good
            raise Diverged(self._advice(f"{where}: the loss is {done.loss}"), history)
        if not all(np.isfinite(value).all() for value in done.params.values()):
            raise Diverged(self._advice(f"{where}: the update makes a weight infinite or NaN"), history)
        if done.idle:
            self._warn_of_zero(where)
        self.good = (history.params, history.state)
        history.params, history.state = done.params, done.state
        return done.loss

    def _warn_of_zero(self, where: str) -> None:
        """Warn once, at the line of whoever called `train`."""
        if not self.warned:
            self.warned = True
            warn(
                f"{where}: every gradient is exactly zero, so nothing is learnt; dead units (relu) or start "
                "values that are all equal or zero do this: try another seed, a smaller learning rate or "
                "other start values"
            )

    def _check_held_out(self, epoch: Epoch) -> None:
        """The last update of an epoch is seen by no later batch of it, but by the held-out examples."""
        if epoch.held_out_loss is not None and not math.isfinite(epoch.held_out_loss):
            if self.stepped is not None:
                self.good = (self.stepped.before_last(), self.stepped.state())
            self.history.params, self.history.state = self.good
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
