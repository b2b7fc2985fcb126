"""Loss and gradients of one example of a tiny network, as plain Python on floats."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from codegen.quick_checks import Values
from codegen.scalar_stepper import module_of
from codegen.small_kinds import SCALAR
from codegen.steppers import Request
from codegen.targets.scalar_gradient_source import scalar_gradient_source
from codegen.unrolled_step import plan
from symbolic.derivation import Derivation

Compute = Callable[..., float | None]
FLOAT64 = np.dtype(np.float64)
# What is raised, before anything is written, where something does not fit or Python refuses to compute.
REFUSED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def scalar_gradients(
    derivation: Derivation, keys: Sequence[str], flat: NDArray, values: Sequence[Values]
) -> tuple[str, Compute]:
    """The text of the code, and a function of (params, X, Y) that writes the gradients of `keys` into `flat`, one after
    the other, and returns the loss. It returns None or raises one of REFUSED, with nothing written, where something
    does not fit or Python refuses to compute.

    values: what those of X and of Y must be.
    """
    source = scalar_gradient_source(plan(derivation, 1), keys)
    compute: Compute = module_of(source).build(struct.Struct(f"{flat.size}d").pack_into, flat.data, FLOAT64)
    checks = [(place, one.hold_for) for place, one in enumerate(values) if not one.are_any]

    def checked(params: dict[str, NDArray], *arrays: NDArray) -> float | None:
        if all(hold(arrays[place][0].tolist()) for place, hold in checks):
            return compute(params, *arrays)
        return None

    return source, checked if checks else compute


def is_served(derivation: Derivation, batch_size: int, dtype: np.dtype, microseconds: float) -> bool:
    """Whether scalar code can serve and is estimated to take less than this."""
    request = Request(derivation, batch_size, dtype)
    return not SCALAR.refusal(request) and SCALAR.estimate(request) < microseconds
