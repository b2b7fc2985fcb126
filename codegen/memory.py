"""Memory that begins at a cache line, and views of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Bytes of a cache line. NumPy begins arrays at multiples of 16 bytes, where many a vector of 64 lies on two lines.
LINE = 64


def empty(shape: Sequence[int], dtype: DTypeLike) -> NDArray:
    """As np.empty, but the first entry lies at a multiple of LINE bytes."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    room = np.empty(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size].view(kind).reshape(shape)


def zeros(shape: Sequence[int], dtype: DTypeLike) -> NDArray:
    """As np.zeros, but the first entry lies at a multiple of LINE bytes."""
    made = empty(shape, dtype)
    made[...] = 0
    return made


def views(flat: NDArray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray]:
    """A vector as arrays of these shapes, one after the other."""
    found, first = {}, 0
    for key, shape in shapes.items():
        last = first + math.prod(shape)
        found[key] = flat[first:last].reshape(shape)
        first = last
    return found
