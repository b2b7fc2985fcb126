"""The weights of a training run as a stepper moves them: many steps at a time, and the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codegen.steppers import Stepper


@dataclass(frozen=True)
class Advance:
    """What some steps did.

    losses:  of the steps that went well, in order, each before its update.
    idle:    the place of the first of them whose gradient was exactly zero, -1 if there was none.
    failure: what the next step would do, "" if all went well.
    params:  the weights: after the last step, or after a failure the last ones that gave a finite loss.
    """

    losses: list[float]
    idle: int
    failure: str
    params: dict[str, NDArray]


class SteppedWeights:
    """A stepper that remembers where it was before its last steps.

    A step checks nothing. When afterwards a loss or a weight is no finite number, the steps are done again one by
    one, from the weights that were kept, to see which it was: a step gives the same numbers however many are done
    in one call. So training costs one copy of the weights for many steps.
    """

    def __init__(self, stepper: Stepper, params: Mapping[str, NDArray], X: NDArray, Y: NDArray, rate: float) -> None:
        self.stepper = stepper
        self.X, self.Y, self.rate = X, Y, rate
        for key, value in params.items():
            stepper.params[key][...] = value
        self._kept: tuple[NDArray, list[NDArray]] = (stepper.flat.copy(), [])

    def params(self) -> dict[str, NDArray]:
        """A copy of the weights."""
        return {key: value.copy() for key, value in self.stepper.params.items()}

    def advance(self, batches: Sequence[NDArray]) -> Advance:
        """Do one step for each batch, or as many as go well."""
        start = self.stepper.flat.copy()
        losses = self._run(batches)
        if np.isfinite(losses).all() and np.isfinite(self.stepper.flat).all():
            self._kept = (start, list(batches))
            return Advance(losses.tolist(), self.stepper.idle, "", self.params())
        return self._again(start, batches)

    def before_last(self) -> dict[str, NDArray]:
        """The weights before the last step that was done, or the first weights if there was none."""
        start, batches = self._kept
        self.stepper.flat[...] = start
        if len(batches) > 1:
            self._run(batches[:-1])
        return self.params()

    def _again(self, start: NDArray, batches: Sequence[NDArray]) -> Advance:
        flat, idle = self.stepper.flat, -1
        losses: list[float] = []
        flat[...] = start
        before, now = None, start
        for place, rows in enumerate(batches):
            loss = float(self._run([rows])[0])
            if not math.isfinite(loss):
                if before is None:
                    return Advance(losses, idle, f"the loss is {loss}", self.before_last())
                flat[...] = before
                return Advance(losses, idle, f"the loss is {loss}", self.params())
            if not np.isfinite(flat).all():
                flat[...] = now
                return Advance(losses, idle, "the update makes a weight infinite or NaN", self.params())
            if idle < 0 and self.stepper.idle >= 0:
                idle = place
            losses.append(loss)
            before, now = now, flat.copy()
        raise AssertionError("the steps went well when they were done again; a stepper must repeat its numbers")

    def _run(self, batches: Sequence[NDArray]) -> NDArray:
        # What overflows is found in the losses and weights; NumPy's warning would say less.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self.stepper.epoch(self.X, self.Y, batches, self.rate)
