"""A training run as a stepper does its steps: many at a time, and the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codegen.optimizers import Arrays, State
from codegen.steppers import Stepper

Saved = tuple[NDArray, ...]


@dataclass(frozen=True)
class Advance:
    """What some steps did.

    losses:  of the steps that went well, in order, each before its update.
    idle:    the place of the first of them whose gradient was exactly zero, -1 if there was none.
    failure: what the next step would do, "" if all went well.
    params:  the weights: after the last step, or after a failure the last ones that gave a finite loss.
    state:   what the optimizer remembers with these weights.
    """

    losses: list[float]
    idle: int
    failure: str
    params: Arrays
    state: State


class SteppedWeights:
    """A stepper that remembers where it was before its last steps.

    A step checks nothing. When afterwards a loss or a weight is no finite number, the steps are done again one by
    one, from what was kept, to see which it was: a step gives the same numbers however many are done in one call. So
    training costs one copy of the weights, and of what the optimizer remembers, for many steps.
    """

    def __init__(
        self,
        stepper: Stepper,
        params: Mapping[str, NDArray],
        X: NDArray,
        Y: NDArray,
        rate: float,
        state: State | None = None,
    ) -> None:
        self.stepper = stepper
        self.X, self.Y, self.rate = X, Y, rate
        for key, value in params.items():
            stepper.params[key][...] = value
        if state is not None:
            stepper.memory.resume(state)
        self._kept: tuple[Saved, list[NDArray]] = (self._saved(), [])

    def params(self) -> Arrays:
        """A copy of the weights."""
        return {key: value.copy() for key, value in self.stepper.params.items()}

    def state(self) -> State:
        """A copy of what the optimizer remembers."""
        return self.stepper.memory.state()

    def advance(self, batches: Sequence[NDArray]) -> Advance:
        """Do one step for each batch, or as many as go well."""
        start = self._saved()
        losses = self._run(batches)
        if np.isfinite(losses).all() and np.isfinite(self.stepper.flat).all():
            self._kept = (start, list(batches))
            return self._advance(losses.tolist(), self.stepper.idle)
        return self._again(start, batches)

    def before_last(self) -> Arrays:
        """Go back to before the last step that was done, or to the start if there was none; a copy of the weights."""
        start, batches = self._kept
        self._restore(start)
        if len(batches) > 1:
            self._run(batches[:-1])
        return self.params()

    def _again(self, start: Saved, batches: Sequence[NDArray]) -> Advance:
        idle = -1
        losses: list[float] = []
        self._restore(start)
        before, now = None, start
        for place, rows in enumerate(batches):
            loss = float(self._run([rows])[0])
            if not math.isfinite(loss):
                if before is None:
                    self.before_last()
                else:
                    self._restore(before)
                return self._advance(losses, idle, f"the loss is {loss}")
            if not np.isfinite(self.stepper.flat).all():
                self._restore(now)
                return self._advance(losses, idle, "the update makes a weight infinite or NaN")
            if idle < 0 and self.stepper.idle >= 0:
                idle = place
            losses.append(loss)
            before, now = now, self._saved()
        raise AssertionError("the steps went well when they were done again; a stepper must repeat its numbers")

    def _advance(self, losses: list[float], idle: int, failure: str = "") -> Advance:
        return Advance(losses, idle, failure, self.params(), self.state())

    def _run(self, batches: Sequence[NDArray]) -> NDArray:
        count = self.stepper.memory.count
        after = count[0] + len(batches)
        # What overflows is found in the losses and weights; NumPy's warning would say less.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            losses = self.stepper.epoch(self.X, self.Y, batches, self.rate)
        count[0] = after
        return losses

    def _arrays(self) -> tuple[NDArray, ...]:
        """Everything that a step changes and the next one reads."""
        memory = self.stepper.memory
        return (self.stepper.flat, *memory.slots.values(), memory.count)

    def _saved(self) -> Saved:
        return tuple(array.copy() for array in self._arrays())

    def _restore(self, saved: Saved) -> None:
        for array, values in zip(self._arrays(), saved, strict=True):
            array[...] = values
