"""The stepper of the scalar target: parameters live in the locals of a coroutine, as Python's floats.

They become an array when somebody asks for `flat` or `params`, and stay one for as long as somebody holds it: then
every step reads it and writes it. What Python refuses to compute, such as exp(1000), is left to the NumPy functions of
the same derivation for that one step, so that infinities and NaN come out as they do there.
"""

from __future__ import annotations

import importlib.abc
import math
import sys
import types
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codegen import memory
from codegen.batches import check_batch, check_rows, epoch_by_steps
from codegen.functions import Functions, lambdify
from codegen.initialization import checked_dtype
from codegen.optimizer_memory import Memory
from codegen.plain_step import plain_step
from codegen.targets.scalar_source import scalar_source
from codegen.uncopied import Uncopied
from codegen.unrolled_step import Plan, plan
from codegen.wording import number_of
from symbolic.derivation import Derivation
from symbolic.errors import UsageError

FLOAT64 = np.dtype(np.float64)


class _Text(importlib.abc.InspectLoader):
    """A module from its text, which has passed the whitelist."""

    def __init__(self, source: str) -> None:
        self.text = source

    def get_source(self, fullname: str) -> str:
        return self.text


def module_of(source: str) -> types.ModuleType:
    """The module that checked source is."""
    module = types.ModuleType("deltaform_scalar")
    _Text(source).exec_module(module)
    return module


def scalar_stepper(derivation: Derivation, dtype: DTypeLike = "float64") -> ScalarStepper:
    """A stepper for batch size 1 whose parameters are zero until they are set.

    Raises:
        UsageError: the network is too large to be written out, float32, or cannot be trained by steps.
        LoweringError: an equation that has no array form, such as one with an undefined function.
    """
    if checked_dtype(dtype) != np.float64:
        raise UsageError("the scalar target computes with Python's floats, which are float64; take another target")
    return ScalarStepper(derivation, scalar_source(derivation))


class ScalarStepper(Uncopied):
    """See `steppers.Stepper`. source: the text of the generated module."""

    name = "scalar"

    def __init__(self, derivation: Derivation, source: str) -> None:
        self.source = source
        self.memory = Memory()
        self.idle = -1
        self._plan: Plan = plan(derivation, 1)
        self._module: Any = module_of(source)
        self._array: NDArray | None = None
        tensors = derivation.tensors
        self._shapes = tuple(self._plan.shape(tensors[one.key])[1:] for one in (self._plan.input, self._plan.target))
        count = sum(map(math.prod, self._plan.parameters.values()))
        self.why = (
            "plain Python on floats, every element a local variable, about "
            f"{number_of(self._plan.operations, 'operation')} on single numbers a step"
        )
        self._start((0.0,) * count)

    def _start(self, parameters: tuple[float, ...]) -> None:
        stepping = self._module.stepping(parameters)
        next(stepping)
        self._send = stepping.send

    @property
    def flat(self) -> NDArray:
        if self._array is None:
            self._array = np.array(self._send(None), dtype=np.float64)
        return self._array

    @property
    def params(self) -> dict[str, NDArray]:
        return memory.views(self.flat, self._plan.parameters)

    def step(self, X: NDArray, Y: NDArray, rate: float) -> float:
        """One step on one example, X (1, n_0) and Y (1, n_L), real numbers. Returns the loss before the update."""
        if self._array is not None:
            self._load()
        try:
            if X.dtype is not FLOAT64 or Y.dtype is not FLOAT64:
                check_batch(X, Y, self._shapes)
            # A number of NumPy's would make NumPy's of all parameters.
            example = X.tolist(), Y.tolist(), float(rate)
        except AttributeError:
            check_batch(X, Y, self._shapes)
            raise
        answer = self._send(example)
        kind = answer.__class__
        self.idle = -1
        if kind is list:
            self.idle = 0
            answer = answer[0]
        elif kind is tuple:
            answer, parameters, nothing = self._careful(answer, X, Y, rate)
            self.idle = 0 if nothing else -1
            self._start(parameters)
        if self._array is not None:
            self._store(self._send(None))
        return answer

    def epoch(self, X: NDArray, Y: NDArray, batches: Sequence[NDArray], rate: float) -> NDArray:
        """One step for each array of one row number in `batches`. Returns the loss of each step, before its update."""
        check_batch(X, Y, self._shapes)
        order, rate = _order(batches, len(X)), float(rate)
        if self._array is not None:
            if any(np.may_share_memory(array, self._array) for array in (X, Y)):
                found, self.idle = epoch_by_steps(self, X, Y, list(order.reshape(-1, 1)), rate)
                return found
            self._load()
        rows, targets = X[order], Y[order]
        losses: list[float] = []
        xs, ys = rows.tolist(), targets.tolist()
        parameters, self.idle = self._send(None), -1
        while len(losses) < len(order):
            done = len(losses)
            parameters, idle = self._module.epoch(parameters, xs[done:], ys[done:], rate, losses)
            if len(losses) < len(order):
                now = len(losses)
                loss, parameters, nothing = self._careful(parameters, rows[now : now + 1], targets[now : now + 1], rate)
                losses.append(loss)
                idle = now if nothing and idle < 0 else idle
            if self.idle < 0:
                self.idle = idle
        self._start(parameters)
        if self._array is not None:
            self._store(parameters)
        return np.array(losses, dtype=np.float64)

    # --- the array, while somebody holds it

    def _load(self) -> None:
        """The locals from the array, which somebody may have written into."""
        assert self._array is not None
        self._start(tuple(self._array.tolist()))
        # Views refer to it; if only we do, here and as this call's argument, the locals are all there is.
        if sys.getrefcount(self._array) <= 2:
            self._array = None

    def _store(self, parameters: tuple[float, ...]) -> None:
        assert self._array is not None
        self._array[:] = parameters

    # --- what Python refuses to compute

    @cached_property
    def _functions(self) -> Functions:
        return lambdify(self._plan.derivation, dtype="float64")

    def _careful(
        self, parameters: tuple[float, ...], X: NDArray, Y: NDArray, rate: float
    ) -> tuple[float, tuple[float, ...], bool]:
        """One step by NumPy: the loss, the parameters after it, and whether every gradient was zero."""
        flat = np.array(parameters, dtype=np.float64)
        arrays, sense = memory.views(flat, self._plan.parameters), self._plan.derivation.program.sense
        loss, nothing = plain_step(self._functions, arrays, X, Y, rate, sense)
        return loss, tuple(flat.tolist()), nothing


def _order(batches: Sequence[NDArray], count: int) -> NDArray:
    """The row numbers of batches of one row each."""
    try:
        if isinstance(batches, np.ndarray):
            order = batches.reshape(len(batches))
        else:
            order = np.array([np.asarray(batch).item() for batch in batches])
    except ValueError as error:
        reason = "the scalar target takes one example a step: every batch must be one row number"
        raise UsageError(reason) from error
    if order.size:
        check_rows(order, count)
    return order
