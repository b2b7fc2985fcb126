"""What the costs of code depend on beside shapes: for which processors the loops that run here were compiled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from codegen.blas import kernel

# OpenBLAS's kernels with functions of their own for small products.
WITH_SMALL_PRODUCTS = frozenset({"SkylakeX", "Cooperlake", "SapphireRapids"})
# What releases of NumPy call AVX2.
AVX2 = frozenset({"X86_V3", "FMA3__AVX2", "AVX2"})


@dataclass(frozen=True)
class Processor:
    """kernel: what OpenBLAS calls the processor that its products are compiled for, "" for another BLAS.
    tanh:   the instructions that NumPy's loops for tanh are compiled for, "" where NumPy does not say.
    """

    kernel: str = ""
    tanh: str = ""

    @property
    def has_small_products(self) -> bool:
        return self.kernel in WITH_SMALL_PRODUCTS

    @property
    def gathers(self) -> bool:
        """Whether tanh gathers its coefficients one by one."""
        return self.tanh in AVX2


@cache
def this_processor() -> Processor:
    """What NumPy and its BLAS have chosen in this process."""
    try:
        from numpy.lib.introspect import opt_func_info
    except ImportError:  # before NumPy 2.1
        return Processor(kernel())
    loops = opt_func_info(func_name="^tanh$").get("tanh", {})
    return Processor(kernel(), str(loops.get("dd", {}).get("current", "")))
