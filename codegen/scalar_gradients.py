"""Loss and gradients of one example of a tiny network, as plain Python on floats."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.quick_checks import Values
from codegen.scalar_stepper import module_of
from codegen.small_kinds import SCALAR
from codegen.steppers import Request
from codegen.targets.scalar_gradient_source import scalar_gradient_source
from codegen.unrolled_step import plan
from symbolic.derivation import Derivation

Compute = Callable[[dict[str, NDArray], tuple[NDArray, ...]], float | None]
FLOAT64 = np.dtype(np.float64)


def scalar_gradients(
    derivation: Derivation, keys: Sequence[str], flat: NDArray, values: Sequence[Values]
) -> tuple[str, Compute]:
    """The text of the code, and a function of (params, (X, Y)) that writes the gradients of `keys` into `flat`, one
    after the other, and returns the loss; None, with nothing written, where something does not fit or Python refuses to
    compute.

    values: what those of X and of Y must be.
    """
    planned = plan(derivation, 1)
    source = scalar_gradient_source(planned, keys)
    compute: Any = module_of(source).loss_and_gradients
    count, pack, memory = len(planned.parameters), struct.Struct(f"{flat.size}d").pack_into, flat.data
    checks = [(place, one.hold_for) for place, one in enumerate(values) if not one.are_any]

    def computed(params: dict[str, NDArray], arrays: tuple[NDArray, ...]) -> float | None:
        try:
            for place, hold in checks:
                if not hold(arrays[place][0].tolist()):
                    return None
            return compute(params, *arrays, FLOAT64, pack, memory) if len(params) == count else None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return None

    return source, computed


def is_served(derivation: Derivation, batch_size: int, dtype: np.dtype, microseconds: float) -> bool:
    """Whether scalar code can serve and is estimated to take less than this."""
    request = Request(derivation, batch_size, dtype)
    return not SCALAR.refusal(request) and SCALAR.estimate(request) < microseconds
