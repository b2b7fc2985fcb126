"""Calls of NumPy's functions that go through arrays entry by entry and write into memory that is given."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.arrays import TRUTHS
from codegen.passes.instructions import OVER_ANY

# Operations that are one such call.
UFUNCS = OVER_ANY | TRUTHS
NAMES = {"absolute": "abs"}
# Those whose `out` must be named, because by place it is deprecated.
NAMED_OUT = frozenset({"maximum", "minimum"})


def numpy_name(op: str) -> str:
    """What NumPy calls an operation."""
    return NAMES.get(op, op)


def call(op: str, function: str, operands: Sequence[str], out: str) -> str:
    """Source text of a call. function: what the code calls NumPy's function."""
    return f"{function}({', '.join([*operands, f'out={out}' if op in NAMED_OUT else out])})"
