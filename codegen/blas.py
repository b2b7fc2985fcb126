"""Products that are subtracted from what an array holds, by NumPy's own BLAS; NumPy has no function for them."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# cblas_?gemm(order, transposed A, transposed B, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc) with integers of 64 bits,
# C <- alpha A B + beta C. See Dongarra et al., A Set of Level 3 Basic Linear Algebra Subprograms (1990).
NAMES = ("scipy_cblas_{}gemm64_", "cblas_{}gemm64_")
CORES = ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename")
BY_ROWS, PLAIN, TRANSPOSED = 101, 111, 112
KINDS: dict[str, tuple[str, Any]] = {"float32": ("s", ctypes.c_float), "float64": ("d", ctypes.c_double)}


class Descent:
    """out -= left @ right, whenever it is called.

    Memory is read and written where it lay when this was made or lent a factor, and whoever does so sees to it that
    `out` shares none with the factors. A factor that BLAS cannot read where it lies is copied then, once.

    Raises:
        ValueError: the shapes do not fit, `out` does not lie by rows, or there is no such BLAS (`can_descend`).
    """

    def __init__(self, left: NDArray, right: NDArray, out: NDArray) -> None:
        if left.ndim != 2 or right.ndim != 2 or out.shape != (len(left), right.shape[1]) or left.shape[1] != len(right):
            raise ValueError(f"out {out.shape} is not the shape of a product of {left.shape} and {right.shape}")
        gemm = _gemm(out.dtype.name)
        if gemm is None or not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError("out must lie by rows and be writeable, and its dtype one that BLAS has")
        real, size = KINDS[out.dtype.name][1], ctypes.c_int64
        self._gemm, self._out, self._shapes = gemm, out, (left.shape, right.shape)
        self._factors: list[Any] = [left, right]
        # What stands for the factors is set below.
        self._arguments: list[Any] = [
            BY_ROWS, PLAIN, PLAIN, *map(size, (*out.shape, len(right))), real(-1), None, None, None, None, real(1),
            _address(out), size(max(1, out.shape[1])),
        ]  # fmt: skip
        self.left(left)
        self.right(right)
        self._own = tuple(self._factors), tuple(self._arguments)

    def __call__(self) -> None:
        self._gemm(*self._arguments)
        # What was lent is not kept alive.
        self._factors[:], self._arguments[:] = self._own

    def left(self, factor: NDArray) -> None:
        """Take this left factor, of the same shape, for the next call.

        Raises:
            ValueError: it has another shape.
        """
        self._take(0, factor)

    def right(self, factor: NDArray) -> None:
        """Take this right factor for the next call; see `left`."""
        self._take(1, factor)

    def _take(self, side: int, factor: NDArray) -> None:
        if factor.shape != self._shapes[side]:
            raise ValueError(f"a factor of shape {self._shapes[side]} cannot become one of {factor.shape}")
        array, self._arguments[1 + side], line = _placed(np.asarray(factor), self._out.dtype)
        self._factors[side] = array
        self._arguments[7 + 2 * side : 9 + 2 * side] = _address(array), ctypes.c_int64(line)

    def moves(self) -> bool:
        """Whether the product has an entry other than 0."""
        left, right = self._factors
        if left[-1].dot(right[:, -1]):  # tells mostly
            return True
        row = left[left.any(axis=1).argmax()]  # one that is not all 0, if there is one: tells nearly always
        return bool(row.dot(right).any() or left.dot(right).any())


def can_descend(dtype: DTypeLike) -> bool:
    """Whether NumPy's BLAS can be called for arrays of this dtype."""
    return _gemm(np.dtype(dtype).name) is not None


@cache
def kernel() -> str:
    """What OpenBLAS calls the processor that its functions, as they are called here, were written for: `Haswell` with
    AVX2, `SkylakeX` with AVX-512; "" for another BLAS.
    """
    found = _function(*CORES)
    if found is None:
        return ""
    found.restype = ctypes.c_char_p
    name = found()
    return name.decode() if name else ""


@cache
def _gemm(dtype: str) -> Any:
    """BLAS's product of matrices; None where it is not found under a name that tells the size of its integers."""
    if dtype not in KINDS:
        return None
    found = _function(*(name.format(KINDS[dtype][0]) for name in NAMES))
    if found is not None:
        found.restype = None
    return found


def _function(*names: str) -> Any:
    """The first of these that the library has which NumPy itself calls, so that both share its threads; or None."""
    core = sys.modules.get("numpy._core._multiarray_umath") or sys.modules["numpy.core._multiarray_umath"]
    if not core.__file__:
        return None
    try:
        library = ctypes.CDLL(core.__file__)
    except OSError:
        return None
    return next((getattr(library, name) for name in names if hasattr(library, name)), None)


def _placed(factor: NDArray, dtype: np.dtype) -> tuple[NDArray, int, int]:
    """(array, whether BLAS must transpose what lies there, entries from one line to the next)."""
    if factor.dtype == dtype and factor.flags.aligned:
        for array, order in ((factor, PLAIN), (factor.T, TRANSPOSED)):
            (lines, length), (far, near) = array.shape, array.strides
            if (near == dtype.itemsize or length == 1) and lines == 1:
                return factor, order, max(1, length)
            if (near == dtype.itemsize or length == 1) and far % dtype.itemsize == 0 and far >= length * dtype.itemsize:
                return factor, order, far // dtype.itemsize
    return np.require(factor, dtype, ["C", "A"]), PLAIN, max(1, factor.shape[1])


def _address(array: NDArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
