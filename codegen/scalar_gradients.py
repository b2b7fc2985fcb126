"""Loss and gradients of one example of a tiny network, as plain Python on floats."""

from __future__ import annotations

import struct
from collections.abc import Sequence
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

FLOAT64 = np.dtype(np.float64)


class ScalarGradients:
    """Writes the gradients of `keys` into `flat`, one after the other.

    source: the text of the code. values: what those of X and of Y must be.
    """

    def __init__(self, derivation: Derivation, keys: Sequence[str], flat: NDArray, values: Sequence[Values]) -> None:
        planned = plan(derivation, 1)
        self.source = scalar_gradient_source(planned, keys)
        self._compute: Any = module_of(self.source).loss_and_gradients
        self._count = len(planned.parameters)
        self._given = FLOAT64, struct.Struct(f"{flat.size}d").pack_into, flat.data
        self._checks = [(place, one.hold_for) for place, one in enumerate(values) if not one.are_any]

    def __call__(self, params: dict[str, NDArray], arrays: tuple[NDArray, ...]) -> float | None:
        """The loss; None, with nothing written, where something does not fit or Python refuses to compute."""
        try:
            for place, hold in self._checks:
                if not hold(arrays[place][0].tolist()):
                    return None
            return self._compute(params, *arrays, *self._given) if len(params) == self._count else None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return None


def is_served(derivation: Derivation, batch_size: int, dtype: np.dtype, microseconds: float) -> bool:
    """Whether scalar code can serve and is estimated to take less than this."""
    request = Request(derivation, batch_size, dtype)
    return not SCALAR.refusal(request) and SCALAR.estimate(request) < microseconds
