"""The kinds of steppers for small networks: plain Python on floats, and numba. Lines for `steppers.stepper_kinds`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codegen.numba_stepper import missing, numba_stepper
from codegen.scalar_stepper import scalar_stepper
from codegen.steppers import Kind, Request
from codegen.targets import numba_source, scalar_source
from codegen.unrolled_step import Plan, plan
from symbolic.errors import DeltaformError


def _planned(request: Request) -> Plan | DeltaformError:
    """The plan, or why there is none."""
    return request.once("unrolled", lambda: plan(request.derivation, request.batch_size))


def _operations(request: Request) -> int:
    planned = _planned(request)
    assert not isinstance(planned, DeltaformError), "asked only where there is no refusal"
    return planned.operations


def _scalar_conflict(optimizer: str, batch_size: int | None, dtype: np.dtype) -> str:
    if optimizer != "sgd":
        return f"it does steps of sgd, not of {optimizer}"
    if batch_size not in (None, 1):
        return f"it takes one example a step, not {batch_size}"
    if dtype != np.float64:
        return f"it computes with Python's floats, which are float64, not {dtype}"
    return ""


def _numba_conflict(optimizer: str, batch_size: int | None, dtype: np.dtype) -> str:
    return f"it does steps of sgd, not of {optimizer}" if optimizer != "sgd" else missing()


def _scalar_refusal(request: Request) -> str:
    conflict = _scalar_conflict(*request.settings)
    return conflict or _refusal(request, scalar_source.refusal)


def _numba_refusal(request: Request) -> str:
    conflict = _numba_conflict(*request.settings)
    return conflict or _refusal(request, numba_source.refusal)


def _refusal(request: Request, of_plan: Callable[[Plan], str]) -> str:
    planned = _planned(request)
    return str(planned) if isinstance(planned, DeltaformError) else of_plan(planned)


SCALAR = Kind(
    name="scalar",
    law="plain Python on floats, every element of every array a local variable; one example a step",
    refusal=_scalar_refusal,
    estimate=lambda request: 0.4 + 0.0055 * _operations(request),
    make=lambda request: scalar_stepper(request.derivation, request.dtype),
    conflict=_scalar_conflict,
)
NUMBA = Kind(
    name="numba",
    law="compiled by numba, the loop over an epoch with it; compiling takes seconds, minutes for dozens of unlike "
    "layers, once, and is kept on disk",
    refusal=_numba_refusal,
    estimate=lambda request: 1.5 + _operations(request) / 25000,
    make=lambda request: numba_stepper(request.derivation, request.batch_size, request.dtype, request.tell),
    conflict=_numba_conflict,
    asked=True,
)
