"""The NumPy stepper: generated code that does a step without allocating, and the object that owns its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen import memory
from codegen.batches import check_batch, check_rows
from codegen.blas import Descent
from codegen.functions import namespace_of
from codegen.initialization import check_batch_memory
from codegen.optimizer_memory import Memory
from codegen.optimizers import OPTIMIZERS
from codegen.passes.planning import plan
from codegen.passes.plans import Plan
from codegen.passes.table import ALL
from codegen.steppers import Kind, Request
from codegen.targets.stepper_source import stepper_source
from codegen.targets.update_source import update_source
from codegen.uncopied import WeightsOwner
from codegen.wording import number_of
from symbolic.errors import DataError, DeltaformError

WHY = "NumPy code generated for batches of {size} in {dtype}, which writes into memory that is made once"
DESCENTS = "; BLAS subtracts {} from the weights where they lie"


class NumpyStepper(WeightsOwner):
    """See `codegen.steppers.Stepper`.

    source:     the text of the generated module.
    gradient:   times the learning rate, of the last step; without those that go into the weights at once.
    train_step: its function for batches of the size that the stepper is for, (X, Y, rate) -> loss; checks nothing,
                and takes whatever can be assigned to an array.
    """

    name = "numpy"

    def __init__(self, request: Request, passes: frozenset[str] = ALL) -> None:
        planned = _planned(request) if passes == ALL else _plan(request, passes)
        if isinstance(planned, DeltaformError):
            raise planned
        check_batch_memory(planned.bytes, "a stepper", request.batch_size, request.dtype)
        optimizer = OPTIMIZERS[request.optimizer]
        self.why = WHY.format(size=request.batch_size, dtype=request.dtype.name)
        if planned.descents:
            self.why += DESCENTS.format(number_of(len(planned.descents), "gradient"))
        self.source = stepper_source(planned)
        self._dtype = request.dtype
        self._empty = memory.empty if "aligned" in passes else np.empty
        self.gradient = self._zeros(planned.entries)
        self._flat, *slots = (self._zeros(request.count) for _ in range(1 + len(optimizer.slots)))
        self.memory = Memory(dict(zip(optimizer.slots, slots, strict=True)), planned.views)
        self._params = planned.views(self._flat)
        self.idle = -1
        self._shapes = planned.argument_shapes()
        namespace = namespace_of(self.source)
        self._build = namespace["build"]
        # What `build` is given last, where it needs it.
        self._given: tuple[Any, ...] = (Descent,) * bool(planned.descents)
        if planned.update:
            given = (self._flat, self.gradient, *slots, self.memory.count)
            self._given = (namespace["build_update"](*given, self._empty),)
        self._built: dict[int, tuple[Callable[..., float], Callable[..., int]]] = {}
        self._x, self._y = ((request.batch_size, *shape) for shape in self._shapes)
        self.train_step, _ = self._for(request.batch_size)

    def step(self, X: NDArray, Y: NDArray, rate: float) -> float:
        fits = X.__class__ is Y.__class__ is np.ndarray and X.dtype is Y.dtype is self._dtype
        if not fits or X.shape != self._x or Y.shape != self._y:
            loss = self._other(X, Y)(X, Y, float(rate))
        else:
            loss = self.train_step(X, Y, float(rate))
        # One entry tells nearly always; the rest is read where it is 0.
        self.idle = -1 if self.gradient[-1] or self.gradient.any() else 0
        return loss

    def epoch(self, X: NDArray, Y: NDArray, batches: Sequence[NDArray], rate: float) -> NDArray:
        self.idle = -1
        losses = np.empty(len(batches))
        self._other(X, Y)
        first = 0
        while first < len(batches):
            size, last = len(batches[first]), first + 1
            while last < len(batches) and len(batches[last]) == size:
                last += 1
            run = np.asarray(batches[first:last])
            check_rows(run.reshape(-1), len(X))
            _, train_epoch = self._for(size)
            idle = train_epoch(X, Y, run, float(rate), losses[first:last])
            if self.idle < 0 and idle >= 0:
                self.idle = first + idle
            first = last
        return losses

    def _other(self, X: NDArray, Y: NDArray) -> Callable[..., float]:
        """The function for a batch of another size, if X and Y are one."""
        check_batch(X, Y, self._shapes)
        for name, array in (("X", X), ("Y", Y)):
            if array.dtype != self._dtype:
                raise DataError(f"{name} is {array.dtype}, but the stepper computes in {self._dtype}: convert it")
        return self._for(len(X))[0]

    def _for(self, size: int) -> tuple[Callable[..., float], Callable[..., int]]:
        """train_step and train_epoch for batches of this size."""
        if size not in self._built:
            self._built[size] = self._build(self._flat, self.gradient, size, self._empty, *self._given)
        return self._built[size]

    def _zeros(self, entries: int) -> NDArray:
        made = self._empty((entries,), self._dtype)
        made[...] = 0
        return made


def _plan(request: Request, passes: frozenset[str]) -> Plan:
    optimizer = OPTIMIZERS[request.optimizer]
    update = "" if optimizer.is_descent else update_source(optimizer.rule, optimizer.slots, request.count)
    return plan(request.derivation, request.batch_size, request.dtype.name, passes, update=update)


def _planned(request: Request) -> Plan | DeltaformError:
    """The plan with all passes, or why there is none."""
    return request.once("numpy", lambda: _plan(request, ALL))


def _refusal(request: Request) -> str:
    planned = _planned(request)
    if isinstance(planned, DeltaformError):
        return str(planned)
    if len(planned.arguments) != 2:
        return "a step takes one input and one target"
    return ""


def _estimate(request: Request) -> float:
    planned = _planned(request)
    assert not isinstance(planned, DeltaformError)
    return planned.costs.estimate(planned.graph, planned.listing)


NUMPY = Kind(
    name="numpy",
    law="generated NumPy code that writes into memory made once",
    refusal=_refusal,
    estimate=_estimate,
    make=NumpyStepper,
)
