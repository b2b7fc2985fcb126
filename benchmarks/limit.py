"""The limit: the matrix products of one step and nothing else, called from C on NumPy's own OpenBLAS.

No training step that computes the gradients by these products can be faster on this library. Products with one example
are matrix times vector and outer product, as BLAS has them.
"""

from __future__ import annotations

import ctypes
import glob
import subprocess
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from workloads import Workload

SOURCE = r"""
#include <stdint.h>
typedef int64_t i;
typedef void (*GEMM_F)(int, int, int, i, i, i, REAL, const REAL *, i, const REAL *, i, REAL, REAL *, i);
typedef struct { int ta, tb; i m, n, k; const REAL *a; i lda; const REAL *b; i ldb; REAL *c; i ldc; } call;
void run(GEMM_F gemm, const call *calls, int count, int steps) {
    for (int s = 0; s < steps; s++)
        for (int n = 0; n < count; n++) {
            const call *p = calls + n;
            gemm(101, p->ta, p->tb, p->m, p->n, p->k, (REAL)1, p->a, p->lda, p->b, p->ldb, (REAL)0, p->c, p->ldc);
        }
}
"""
PLAIN, TURNED = 111, 112


class _Call(ctypes.Structure):
    _fields_ = [
        ("ta", ctypes.c_int), ("tb", ctypes.c_int), ("m", ctypes.c_int64), ("n", ctypes.c_int64), ("k", ctypes.c_int64),
        ("a", ctypes.c_void_p), ("lda", ctypes.c_int64), ("b", ctypes.c_void_p), ("ldb", ctypes.c_int64),
        ("c", ctypes.c_void_p), ("ldc", ctypes.c_int64),
    ]  # fmt: skip


def limit(workload: Workload, dtype: str) -> Callable[[int], None]:
    """A function that does the products of so many steps.

    Raises:
        OSError: there is no C compiler, or NumPy has no OpenBLAS of its own.
    """
    letter, real = ("s", "float") if dtype == "float32" else ("d", "double")
    pattern = str(Path(np.__file__).parent.parent / "numpy.libs" / "libscipy_openblas*.so*")
    found = glob.glob(pattern)
    if not found:
        raise OSError("NumPy has no OpenBLAS of its own (numpy.libs is empty)")
    blas = ctypes.CDLL(found[0])
    gemm = getattr(blas, f"scipy_cblas_{letter}gemm64_")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "limit.c"), Path(folder, "limit.so")
        source.write_text(SOURCE.replace("REAL", real))
        try:
            subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True, capture_output=True)
        except FileNotFoundError as error:
            raise OSError("there is no C compiler: cc") from error
        except subprocess.CalledProcessError as error:
            raise OSError(f"cc cannot compile limit.c: {error.stderr.decode()[:300]}") from error
        run = ctypes.CDLL(str(library)).run
    arrays: list[np.ndarray] = []

    def array(rows: int, columns: int) -> np.ndarray:
        arrays.append(np.random.default_rng(len(arrays)).normal(size=(rows, columns)).astype(dtype))
        return arrays[-1]

    def call(ta: int, tb: int, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> _Call:
        depth = a.shape[0] if ta == TURNED else a.shape[1]
        return _Call(
            ta, tb, c.shape[0], c.shape[1], depth, a.ctypes.data, a.shape[1], b.ctypes.data, b.shape[1],
            c.ctypes.data, c.shape[1],
        )  # fmt: skip

    widths, batch = workload.widths, workload.batch
    a = [array(n, batch) for n in widths]
    weights = [array(units, before) for before, units in pairwise(widths)]
    slopes = [array(*w.shape) for w in weights]
    deltas = [array(n, batch) for n in widths[1:]]
    calls = [call(PLAIN, PLAIN, w, a[n], a[n + 1]) for n, w in enumerate(weights)]
    for n in reversed(range(len(weights))):
        calls.append(call(PLAIN, TURNED, deltas[n], a[n], slopes[n]))
        if n:
            calls.append(call(TURNED, PLAIN, weights[n], deltas[n], deltas[n - 1]))
    table = (_Call * len(calls))(*calls)
    pointer = ctypes.cast(gemm, ctypes.c_void_p)

    def steps(count: int) -> None:
        assert arrays
        run(pointer, table, len(calls), count)

    return steps
