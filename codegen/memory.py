"""Memory that begins at a cache line."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
