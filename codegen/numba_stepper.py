"""The stepper of the numba target. Its module is written into a cache folder, so that a later run need not compile.

The folder is $XDG_CACHE_HOME/deltaform, or ~/.cache/deltaform; a file's name is a hash of its content, and what numba
compiles from it lies in __pycache__ beside it. Nothing else is written. Deleting the folder costs one compilation.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codegen import memory
from codegen.batches import check_batch, check_rows, epoch_by_steps
from codegen.functions import Functions, lambdify
from codegen.initialization import checked_dtype
from codegen.optimizer_memory import Memory
from codegen.plain_step import plain_step
from codegen.progress import telling
from codegen.targets.numba_source import NumbaCode, check_numba_source, numba_code
from codegen.uncopied import WeightsOwner
from codegen.unrolled_step import Plan, plan
from symbolic.derivation import Derivation
from symbolic.errors import FileError, MissingExtra
from symbolic.files import write_atomically

DEEPEST = 100_000  # calls within calls while numba compiles a function of many loops, as dozens of unlike layers are
WAY_OUT = "the numba target needs numba and scipy: pip install 'deltaform[numba]'"


def cache_folder() -> Path:
    """Where compiled modules are kept."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "deltaform"


def missing() -> str:
    """Which package the numba target lacks; "" if none."""
    lacking = [name for name in ("numba", "scipy") if importlib.util.find_spec(name) is None]
    return f"{lacking[0]} is not installed; {WAY_OUT}" if lacking else ""


def cached_module(source: str) -> ModuleType:
    """The module that checked source is, from its file in the cache folder, which is written if need be.

    Raises:
        MissingExtra: numba or scipy is not installed.
        FileError: the folder cannot be written.
    """
    check_numba_source(source)
    lacking = missing()
    if lacking:
        raise MissingExtra(lacking)
    folder = cache_folder()
    name = f"deltaform_step_{hashlib.sha256(source.encode('ascii')).hexdigest()[:32]}"
    path = folder / f"{name}.py"
    if name in sys.modules:
        return sys.modules[name]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise FileError(
            f"{folder} cannot be used ({error.strerror}); set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    if known != source.encode("ascii"):
        write_atomically(path, source.encode("ascii"))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where numba looks for it when it loads what it compiled before
    spec.loader.exec_module(module)
    return module


def compiled_before(module: ModuleType) -> bool:
    """Whether numba has compiled a module's function, or finds it compiled on the disk."""
    made = f"{module.__name__}.epoch-*.py{sys.version_info.major}{sys.version_info.minor}*.nbi"
    return bool(module.epoch.signatures) or any(Path(module.epoch.stats.cache_path).glob(made))


def numba_stepper(
    derivation: Derivation,
    batch_size: int,
    dtype: DTypeLike = "float64",
    tell: Callable[[str], None] | None = None,
) -> NumbaStepper:
    """A stepper whose parameters are zero until they are set. It compiles, unless it is found in the cache folder: that
    takes seconds, 10 for 30 equal layers, and minutes for dozens of layers whose sizes all differ.

    tell: gets a line before it compiles; by default that is printed where somebody watches.

    Raises:
        MissingExtra: numba or scipy is not installed.
        UsageError: the network is too large to gain by it, or cannot be trained by steps.
        LoweringError: an equation that has no array form, such as one with an undefined function.
    """
    planned = plan(derivation, batch_size)
    name = checked_dtype(dtype).name
    code = numba_code(planned, name)
    module = cached_module(code.source)
    if not compiled_before(module):
        (tell or telling(False))(
            "compiling with numba: seconds, minutes for dozens of layers of different sizes; kept in "
            f"{cache_folder()} for the next time"
        )
    return NumbaStepper(planned, code, module, name)


class NumbaStepper(WeightsOwner):
    """See `steppers.Stepper`. source: the text of the compiled module.

    A batch of another size than the one that was compiled for is one step of the NumPy functions.
    """

    name = "numba"

    def __init__(self, planned: Plan, code: NumbaCode, module: ModuleType, dtype: str) -> None:
        self.source = code.source
        self.memory = Memory()
        self.idle = -1
        self.dtype = np.dtype(dtype)
        self._flat = memory.zeros((sum(map(math.prod, code.parameters.values())),), self.dtype)
        self._params = memory.views(self._flat, code.parameters)
        self._plan = planned
        tensors = planned.derivation.tensors
        self._shapes = tuple(planned.shape(tensors[one.key])[1:] for one in (planned.input, planned.target))
        self._scratch = memory.zeros((max(code.scratch, 1),), self.dtype)
        self._epoch = module.epoch
        self._order = np.arange(planned.batch_size, dtype=np.int64).reshape(1, -1)
        self._loss = np.zeros(1, dtype=np.float64)
        how = "every element a variable" if code.unrolled else "loops, and BLAS for products of matrices"
        self.why = f"compiled by numba, for batches of {planned.batch_size} in {dtype}: {how}"
        self._compile()

    def _compile(self) -> None:
        """Call the code for no step at all."""
        X, Y = (np.zeros((self._plan.batch_size, *shape), self.dtype) for shape in self._shapes)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, DEEPEST))
        try:
            self._epoch(self._flat, self._scratch, X, Y, self._order[:0], self.dtype.type(0), self._loss)
        finally:
            sys.setrecursionlimit(limit)

    def step(self, X: NDArray, Y: NDArray, rate: float) -> float:
        """One step. Returns the loss before the update."""
        X, Y = self._arrays(X, Y)
        if len(X) != self._plan.batch_size:
            loss, nothing = self._plain(X, Y, float(rate))
            self.idle = 0 if nothing else -1
            return loss
        self.idle = self._epoch(self._flat, self._scratch, X, Y, self._order, self.dtype.type(float(rate)), self._loss)
        return float(self._loss[0])

    def epoch(self, X: NDArray, Y: NDArray, batches: Sequence[NDArray], rate: float) -> NDArray:
        """One step for each array of row numbers. Returns the loss of each step, before its update."""
        rate, given = float(rate), (X, Y)
        X, Y = self._arrays(X, Y)
        if any(np.may_share_memory(array, self._flat) for array in given):
            losses, self.idle = epoch_by_steps(self, *given, batches, rate)
            return losses
        losses = np.zeros(len(batches), dtype=np.float64)
        idle, start = -1, 0
        size = self._plan.batch_size
        uniform = batches.shape[1:] == (size,) if isinstance(batches, np.ndarray) else set(map(len, batches)) == {size}
        while start < len(batches):
            end = len(batches) if uniform else start
            while end < len(batches) and len(batches[end]) == size:
                end += 1
            if end > start:
                found = self._compiled(X, Y, batches[start:end], rate, losses[start:end])
            else:
                end = start + 1
                rows = np.asarray(batches[start])
                check_rows(rows, len(X))
                losses[start], nothing = self._plain(X[rows], Y[rows], rate)
                found = 0 if nothing else -1
            if idle < 0 <= found:
                idle = start + found
            start = end
        self.idle = idle
        return losses

    def _compiled(self, X: NDArray, Y: NDArray, batches: Sequence[NDArray], rate: float, losses: NDArray) -> int:
        rows = batches if isinstance(batches, np.ndarray) else np.concatenate(batches)
        check_rows(rows.reshape(-1), len(X))
        order = np.ascontiguousarray(rows, dtype=np.int64).reshape(len(batches), -1)
        return int(self._epoch(self._flat, self._scratch, X, Y, order, self.dtype.type(rate), losses))

    def _arrays(self, X: NDArray, Y: NDArray) -> tuple[NDArray, NDArray]:
        """Both as compiled code needs them, which checks nothing itself."""
        fits = X.__class__ is Y.__class__ is np.ndarray and X.dtype == Y.dtype == self.dtype and len(X) == len(Y) > 0
        if not fits or X.shape[1:] != self._shapes[0] or Y.shape[1:] != self._shapes[1]:
            check_batch(X, Y, self._shapes)
        return np.ascontiguousarray(X, dtype=self.dtype), np.ascontiguousarray(Y, dtype=self.dtype)

    @cached_property
    def _functions(self) -> Functions:
        return lambdify(self._plan.derivation, dtype=self.dtype.name)

    def _plain(self, X: NDArray, Y: NDArray, rate: float) -> tuple[float, bool]:
        """One step by NumPy: the loss, and whether every gradient was zero."""
        return plain_step(self._functions, self._params, X, Y, rate, self._plan.derivation.program.sense)
