"""Start values of the parameters."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sympy import Integer

from codegen.wording import number_of
from symbolic.depth import NEEDS_DEPTH, is_open
from symbolic.errors import ArchitectureError, UsageError
from symbolic.programs import Program
from symbolic.tensors import Tensor

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
# Where the machine does not tell how much memory it has.
ASSUMED_MEMORY = 64 * 2**30


def program_of(source: Any) -> Program:
    """The program of a Network, of a Derivation, or of lambdified functions; a Program is returned as it
    is.

    Raises:
        UsageError: `source` is none of these, or its depth is open.
    """
    found = getattr(source, "derivation", source)
    found = getattr(found, "program", found)
    if callable(found):
        found = found()
    if not isinstance(found, Program):
        raise UsageError(f"a Network, a Program or a Derivation is needed, not {source!r}")
    if any(is_open(tensor.layer) for tensor in found.tensors.values()):
        raise UsageError(NEEDS_DEPTH)
    return found


def checked_seed(seed: object) -> int:
    """`seed` if it is a whole number from 0, which is what NumPy's generators take.

    Raises:
        UsageError: it is not.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UsageError(f"seed must be a whole number from 0, such as 0, not {seed!r}")
    return int(seed)


def checked_count(what: str, count: object) -> int:
    """`count` if it is a whole number from 1.

    Raises:
        UsageError: it is not; calls it `what`.
    """
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise UsageError(f"{what} must be a whole number from 1, not {count!r}")
    return int(count)


def checked_dtype(dtype: DTypeLike | str) -> np.dtype:
    """float32 or float64 as a NumPy dtype.

    Raises:
        UsageError: any other dtype.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in DTYPES or found is None:
        raise UsageError(f"dtype must be float32 or float64, not {dtype!r}")
    return found


def shape_of(program: Program, tensor: Tensor) -> tuple[int, ...]:
    """The numbers of elements along the axes of `tensor`.

    Raises:
        ArchitectureError: a size has no number; names the symbol.
    """
    extents = [program.value_of(extent) for extent in tensor.shape]
    for given, extent in zip(tensor.shape, extents, strict=True):
        if not isinstance(extent, Integer):
            unknown = ", ".join(sorted(str(symbol) for symbol in extent.free_symbols))
            raise ArchitectureError(
                f"tensor {tensor.key}: the size {given} has no number ({unknown} is a symbol); numbers are "
                "needed to compute, so write the network with widths, such as '64 -> 32 relu -> 10 "
                f"softmax; cross_entropy', or give the Program sizes={{{unknown}: 64}}"
            )
    return tuple(int(extent) for extent in extents)


def initialize(source: Any, seed: int = 0, dtype: DTypeLike = np.float64) -> dict[str, NDArray]:
    """Start values for the parameters of a Network or Program, by key: {"W1": (n_1, n_0), "b1": (n_1,),
    ...}.

    A tensor of two or more axes is drawn from the uniform distribution on [-r, r], r = sqrt(6/(fan_in +
    fan_out)), where its last axis is fan_in and the one before fan_out (Glorot & Bengio, Understanding the
    difficulty of training deep feedforward neural networks, 2010, equation 16). The rule looks at shapes
    only, so it needs to know no activation. A vector or scalar starts at 0, as a bias does; set a gain to 1
    yourself: params["gain"][:] = 1.

    The same seed gives the same values, drawn in float64 and rounded to `dtype` (float32 or float64).

    Raises:
        ArchitectureError: a size is a symbol, or the parameters do not fit into this machine's memory.
        UsageError: seed or dtype is none.
    """
    program = program_of(source)
    kind = checked_dtype(dtype)
    random = np.random.default_rng(checked_seed(seed))
    shapes = {tensor.key: shape_of(program, tensor) for tensor in program.parameters}
    check_memory(shapes, kind)
    params: dict[str, NDArray] = {}
    for key, shape in shapes.items():
        if len(shape) < 2:
            params[key] = np.zeros(shape, kind)
            continue
        reach = math.sqrt(6 / (shape[-1] + shape[-2]))
        params[key] = random.uniform(-reach, reach, shape).astype(kind, copy=False)
    return params


def check_memory(shapes: dict[str, tuple[int, ...]], dtype: np.dtype) -> None:
    """Raise ArchitectureError when arrays of these shapes, with as many gradients beside them, cannot fit
    in memory.
    """
    largest = max(shapes, key=lambda key: math.prod(shapes[key]), default=None)
    total = sum(math.prod(shape) for shape in shapes.values()) * dtype.itemsize
    available = machine_memory()
    if largest is not None and 2 * total > available:
        raise ArchitectureError(
            f"the parameters need {_gigabytes(total)} in {dtype.name} and their gradients as much again, "
            f"but this machine has {_gigabytes(available)}; the largest is {largest} of shape "
            f"{shapes[largest]}: make its layer narrower"
        )


def check_batch_memory(needed: int, what: str, batch_size: int, dtype: np.dtype) -> None:
    """Raise UsageError where so many bytes cannot fit into this machine's memory, before any of it is made."""
    available = machine_memory()
    if needed > available:
        raise UsageError(
            f"{what} for {number_of(batch_size, 'example')} in {dtype.name} needs at least {needed:,} bytes, but "
            f"this machine has {available:,}; choose a smaller batch size"
        )


def machine_memory() -> int:
    """Bytes of memory that this machine has, free or not."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return ASSUMED_MEMORY


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"
