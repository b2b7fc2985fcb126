"""The textbook stepper: the readable module's functions and the optimizer's rule, for whatever can be lowered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from codegen.batches import check_batch, check_rows
from codegen.functions import lambdify
from codegen.memory import views
from codegen.optimizer_memory import Memory
from codegen.optimizers import OPTIMIZERS
from codegen.plain_step import textbook_step
from codegen.steppers import Kind, Request
from codegen.uncopied import WeightsOwner

WHY = "the functions of the readable module compute the gradients, and NumPy the update: {}"


class TextbookStepper(WeightsOwner):
    """See `codegen.steppers.Stepper`."""

    name = "textbook"

    def __init__(self, request: Request) -> None:
        self.why = WHY.format("it serves whatever can be lowered")
        self._flat = np.zeros(request.count, request.dtype)
        self._params = views(self._flat, request.shapes)
        self.idle = -1
        self._loss_and_gradients = lambdify(request.derivation).unchecked["loss_and_gradients"]
        self._optimizer = OPTIMIZERS[request.optimizer]
        self.memory = Memory(
            {slot: np.zeros_like(self._flat) for slot in self._optimizer.slots}, partial(views, shapes=request.shapes)
        )
        self._sense = request.program.sense
        program = request.program
        arrays = [leaf for role in ("input", "target") for leaf in program.leaves if leaf.role == role]
        self._shapes = tuple(tuple(int(program.value_of(n)) for n in leaf.shape[1:]) for leaf in arrays)
        self._checks = program.example is not None and len(arrays) == 2

    def step(self, X: NDArray, Y: NDArray, rate: float) -> float:
        self._check(X, Y)
        self.idle = -1
        return self._step(X, Y, rate, 0)

    def epoch(self, X: NDArray, Y: NDArray, batches: Sequence[NDArray], rate: float) -> NDArray:
        self._check(X, Y)
        arrays = [np.asarray(rows) for rows in batches]
        for rows in arrays:
            check_rows(rows, len(X))
        self.idle = -1
        return np.array([self._step(X[rows], Y[rows], rate, n) for n, rows in enumerate(arrays)], np.float64)

    def _check(self, X: NDArray, Y: NDArray) -> None:
        """Of a program without an axis of examples nothing is known."""
        if self._checks:
            check_batch(X, Y, self._shapes)

    def _step(self, X: NDArray, Y: NDArray, rate: float, place: int) -> float:
        done = textbook_step(
            self._loss_and_gradients, self._optimizer, self._params, self.memory.seen(), X, Y, rate, self._sense
        )
        if self.idle < 0 and done.idle:
            self.idle = place
        self.memory.resume(done.state)
        for key, value in done.params.items():
            self._params[key][...] = value
        return done.loss


def _estimate(request: Request) -> float:
    """Microseconds: about three calls that allocate for each equation, and the products of matrices."""
    multiplications = 6 * request.count * request.batch_size
    return 3.0 * len(request.derivation.equations) + multiplications * request.dtype.itemsize / 4e5


TEXTBOOK = Kind(
    name="textbook",
    law="the functions of the readable module, and the optimizer's rule",
    refusal=lambda request: "",
    estimate=_estimate,
    make=TextbookStepper,
)
