"""Workspaces: loss and gradients again and again, for batches of one size, in memory that is made once."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codegen import memory
from codegen.functions import namespace_of
from codegen.initialization import check_batch_memory, checked_count, checked_dtype, shape_of
from codegen.passes.planning import plan
from codegen.passes.table import ALL
from codegen.quick_checks import Values, are_arrays
from codegen.scalar_gradients import REFUSED, Compute, is_served, scalar_gradients
from codegen.signature import signature
from codegen.source import module_source
from codegen.targets.stepper_source import stepper_source
from codegen.uncopied import Uncopied
from codegen.wording import number_of
from symbolic.derivation import Derivation
from symbolic.errors import DataError, UsageError


class Workspace(Uncopied):
    """The memory that loss and gradients of one batch size and dtype need, and the code that computes in it.

    batch_size: how many examples each call is given.
    dtype:      of all that it takes and gives.
    flat:       all gradients in one vector.
    gradients:  the usual keys and shapes, as views of it, in a new dict. Each call overwrites the arrays: copy what is
                to be kept.
    source:     the text of the code.
    name, why:  which code it is, "numpy" or "scalar", and one sentence that says so and why.

    Close it, or use it in a `with` statement, to give the memory back; afterwards it refuses to compute. Two threads
    need a workspace each.
    """

    def __init__(
        self, derivation: Derivation, batch_size: int, dtype: DTypeLike = "float64", passes: frozenset[str] = ALL
    ) -> None:
        self._batch_size, self._dtype = checked_count("batch size", batch_size), checked_dtype(dtype)
        planned = plan(derivation, self.batch_size, self.dtype.name, passes, owns_parameters=False)
        check_batch_memory(planned.bytes, "a workspace", self.batch_size, self.dtype)
        self._source = stepper_source(planned)
        empty = memory.empty if "aligned" in passes else np.empty
        self._flat = empty((planned.entries,), self.dtype)
        self._flat[...] = 0
        self._views = planned.gradient_views(self._flat)
        self._parameters = {key: shape_of(derivation.program, derivation.tensors[key]) for key in planned.parameters}
        arguments = signature(derivation).arguments
        self._shapes = {a.name: (self.batch_size, *planned.shapes[a.key]) for a in arguments}
        self._values = [Values(a, planned.shapes[a.key], self.dtype) for a in arguments]
        self._checked = namespace_of(module_source(derivation, dtype=self.dtype.name))
        # The module's own error class would be none of our family.
        self._checked["DataError"] = DataError
        self._compute: Any = namespace_of(self._source)["build"](self._flat, self.batch_size, empty)
        self._scalar: Compute | None = None
        self.name = "numpy"
        self.why = f"NumPy code generated for batches of {self.batch_size} in {self.dtype.name}, in memory made once"
        microseconds = planned.costs.estimate(planned.graph, planned.listing)
        if passes == ALL and is_served(derivation, self.batch_size, self.dtype, microseconds):
            keys = sorted(planned.wrt, key=lambda key: self._views[key].ctypes.data)
            self._source, self._scalar = scalar_gradients(derivation, keys, self._flat, self._values)
            self.name = "scalar"
            self.why = (
                f"plain Python on floats, estimated to take less than the {microseconds:.3g} us of NumPy code; that "
                "stands by for what Python refuses to compute"
            )

    def __repr__(self) -> str:
        state = "closed" if self._compute is None else self.name
        return f"<Workspace for batches of {self.batch_size} in {self.dtype.name}: {state}>"

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    @property
    def source(self) -> str:
        return self._source

    @property
    def flat(self) -> NDArray:
        return self._flat

    @property
    def gradients(self) -> dict[str, NDArray]:
        return self._views.copy()

    def loss_and_gradients(self, params: dict[str, NDArray], *arrays: NDArray) -> tuple[float, dict[str, NDArray]]:
        """The objective and the gradients, for the arguments that the function of this name takes.

        Raises:
            DataError: an array that does not fit, in shape, dtype, number of examples or values, or that lies in this
                       workspace's own memory, where the code would write over it before it is read.
            UsageError: the workspace is closed.
        """
        if self._scalar is not None:
            try:
                loss = self._scalar(params, *arrays)
            except REFUSED:
                loss = None  # examined below, and computed by NumPy if it is right
            if loss is not None:
                return loss, self._views.copy()
        if self._compute is None:
            raise UsageError("the workspace is closed: its memory was given back; make a new one")
        given = arrays if self._fits(params, arrays) else self._examined(params, arrays)
        return self._compute(params, *given), self._views.copy()

    def _fits(self, params: dict[str, NDArray], arrays: tuple[NDArray, ...]) -> bool:
        """Whether everything is beyond doubt just as it must be. What is not may still be right."""
        if len(arrays) != len(self._shapes) or not are_arrays(params, self._parameters, self._dtype):
            return False
        for array, shape, values in zip(arrays, self._shapes.values(), self._values, strict=True):
            if array.__class__ is not np.ndarray or array.dtype is not self._dtype or array.shape != shape:
                return False
            if array.base is not None and np.may_share_memory(array, self._flat):
                return False
            if not values.are_any and not values.hold(array):
                return False
        return True

    def _examined(self, params: dict[str, NDArray], arrays: tuple[NDArray, ...]) -> list[NDArray]:
        """The arrays, made ready where labels or the like are given, after every check."""
        names = list(self._shapes)
        if len(arrays) != len(names):
            raise DataError(f"{number_of(len(arrays), 'array')} given; required are {', '.join(names)}")
        first, shape = arrays[0], self._shapes[names[0]]
        if isinstance(first, np.ndarray) and first.ndim == len(shape) and first.shape[1:] == shape[1:]:
            # Else the others would be said not to fit it.
            self._check_count(names[0], first)
        given = self._checked["_checked"](params, list(zip(names, arrays, strict=True)))
        for name, array in zip(names, given, strict=True):
            self._check_count(name, array)
        named = [*((f'params["{key}"]', array) for key, array in params.items()), *zip(names, given, strict=True)]
        for name, array in named:
            if np.may_share_memory(array, self._flat):
                raise DataError(f"{name} lies in the workspace's memory, which this call writes into; give it a copy")
        return given

    def _check_count(self, name: str, array: NDArray) -> None:
        if len(array) not in (0, self.batch_size):  # a module says itself that one is empty
            raise DataError(
                f"{name} has {number_of(len(array), 'example')}, but the workspace is for {self.batch_size}; make "
                f"another one: functions.workspace({len(array)}, {self.dtype.name!r})"
            )

    def close(self) -> None:
        """Give the memory back. Gradients that somebody holds stay as they are."""
        self._compute, self._scalar, self._views = None, None, {}
        self._flat = np.zeros(0, self.dtype)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
