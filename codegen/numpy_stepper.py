"""The NumPy stepper: generated code that does a step without allocating, and the object that owns its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from codegen import memory
from codegen.functions import namespace_of
from codegen.optimizer_memory import Memory
from codegen.optimizers import OPTIMIZERS
from codegen.passes.planning import plan
from codegen.passes.table import ALL
from codegen.steppers import Kind, Request
from codegen.targets.stepper_source import Plan, stepper_source
from codegen.targets.update_source import update_source
from symbolic.errors import DataError, DeltaformError

WHY = (
    "NumPy code generated for batches of {size} in {dtype}: it writes into memory that is made once, which pays "
    "wherever BLAS computes the products of matrices"
)


class NumpyStepper:
    """See `codegen.steppers.Stepper`.

    source:     the text of the generated module.
    train_step: its function for batches of the size that the stepper is for, (X, Y, rate) -> loss; checks nothing.
    """

    name = "numpy"

    def __init__(self, request: Request, passes: frozenset[str] = ALL) -> None:
        known = request.cache.get("numpy") if passes == ALL else None
        planned = known or _plan(request, passes)
        optimizer = OPTIMIZERS[request.optimizer]
        self.why = WHY.format(size=request.batch_size, dtype=request.dtype.name)
        self.source = stepper_source(planned)
        self._empty = memory.empty if "aligned" in passes else np.empty
        self.flat, self.gradient, *slots = (self._zeros(request) for _ in range(2 + len(optimizer.slots)))
        self.memory = Memory(dict(zip(optimizer.slots, slots, strict=True)), planned.views)
        self.params = planned.views(self.flat)
        self.idle = -1
        self._shapes = planned.argument_shapes()
        namespace = namespace_of(self.source)
        self._build = namespace["build"]
        # What `build` is given last: the update, where there is one.
        self._update: tuple[Callable[[float], None], ...] = ()
        if planned.update:
            given = (self.flat, self.gradient, *slots, self.memory.count)
            self._update = (namespace["build_update"](*given, self._empty),)
        self._built: dict[int, tuple[Callable[..., float], Callable[..., int]]] = {}
        self._x, self._y = ((request.batch_size, *shape) for shape in self._shapes)
        self._dtype = request.dtype
        self.train_step, _ = self._for(request.batch_size)

    def step(self, X: NDArray, Y: NDArray, rate: float) -> float:
        try:
            fits = X.shape == self._x and Y.shape == self._y and X.dtype == Y.dtype == self._dtype
        except AttributeError:
            fits = False
        loss = (self.train_step if fits else self._other(X, Y))(X, Y, rate)
        # One entry tells nearly always; the rest is read where it is 0.
        self.idle = -1 if self.gradient[-1] or self.gradient.any() else 0
        return loss

    def epoch(self, X: NDArray, Y: NDArray, batches: Sequence[NDArray], rate: float) -> NDArray:
        self.idle = -1
        losses = np.empty(len(batches))
        self._check_rows(X, Y, batches)
        first = 0
        while first < len(batches):
            size, last = len(batches[first]), first + 1
            while last < len(batches) and len(batches[last]) == size:
                last += 1
            _, train_epoch = self._for(size)
            idle = train_epoch(X, Y, batches[first:last], rate, losses[first:last])
            if self.idle < 0 and idle >= 0:
                self.idle = first + idle
            first = last
        return losses

    def _other(self, X: NDArray, Y: NDArray) -> Callable[..., float]:
        """The function for a batch of another size, if X and Y are one."""
        for name, array, shape in (("X", X, self._shapes[0]), ("Y", Y, self._shapes[1])):
            if not isinstance(array, np.ndarray) or array.dtype != self.flat.dtype:
                found = getattr(array, "dtype", type(array).__name__)
                raise DataError(f"{name} is {found}, but the stepper computes in {self.flat.dtype}: convert it")
            if array.ndim != 1 + len(shape) or array.shape[1:] != shape or len(array) == 0:
                wanted = ", ".join(("N", *map(str, shape)))
                raise DataError(f"{name} has shape {array.shape}; required is ({wanted}), with N at least 1")
        if len(X) != len(Y):
            raise DataError(f"X has {len(X)} rows and Y has {len(Y)}; row p of both must be one example")
        return self._for(len(X))[0]

    def _for(self, size: int) -> tuple[Callable[..., float], Callable[..., int]]:
        """train_step and train_epoch for batches of this size."""
        if size not in self._built:
            self._built[size] = self._build(self.flat, self.gradient, size, self._empty, *self._update)
        return self._built[size]

    def _zeros(self, request: Request) -> NDArray:
        made = self._empty((request.count,), request.dtype)
        made[...] = 0
        return made

    def _check_rows(self, X: NDArray, Y: NDArray, batches: Sequence[NDArray]) -> None:
        self._other(X[:1], Y[:1])
        if len(X) != len(Y):
            raise DataError(f"X has {len(X)} rows and Y has {len(Y)}; row p of both must be one example")
        if any(len(rows) == 0 or rows.min() < 0 or rows.max() >= len(X) for rows in batches):
            raise DataError(f"a batch is empty or has a number of a row that is none of 0 to {len(X) - 1}")


def _plan(request: Request, passes: frozenset[str] = ALL) -> Plan:
    optimizer = OPTIMIZERS[request.optimizer]
    update = "" if optimizer.is_descent else update_source(optimizer.rule, optimizer.slots, request.count)
    return plan(request.derivation, request.batch_size, request.dtype.name, passes, update=update)


def _planned(request: Request) -> Plan | DeltaformError:
    """The plan, or why there is none; made once."""
    if "numpy" not in request.cache:
        try:
            request.cache["numpy"] = _plan(request)
        except DeltaformError as error:
            request.cache["numpy"] = error
    return request.cache["numpy"]


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
