"""The kinds of steppers for small networks: plain Python on floats, and numba. Lines for `steppers.stepper_kinds`."""

from __future__ import annotations

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


def _scalar_refusal(request: Request) -> str:
    if request.optimizer != "sgd":
        return f"it does steps of sgd, not of {request.optimizer}"
    if request.batch_size != 1:
        return f"it takes one example a step, not {request.batch_size}"
    if request.dtype != np.float64:
        return f"it computes with Python's floats, which are float64, not {request.dtype}"
    planned = _planned(request)
    return str(planned) if isinstance(planned, DeltaformError) else scalar_source.refusal(planned)


def _numba_refusal(request: Request) -> str:
    if request.optimizer != "sgd":
        return f"it does steps of sgd, not of {request.optimizer}"
    planned = _planned(request)
    return missing() or (str(planned) if isinstance(planned, DeltaformError) else numba_source.refusal(planned))


SCALAR = Kind(
    name="scalar",
    law="plain Python on floats, every element of every array a local variable; one example a step",
    refusal=_scalar_refusal,
    estimate=lambda request: 0.4 + 0.0055 * _operations(request),
    make=lambda request: scalar_stepper(request.derivation, request.dtype),
)
NUMBA = Kind(
    name="numba",
    law="compiled by numba, the loop over an epoch with it; compiling takes seconds, once, and is kept on disk",
    refusal=_numba_refusal,
    estimate=lambda request: 1.5 + _operations(request) / 25000,
    make=lambda request: numba_stepper(request.derivation, request.batch_size, request.dtype),
    asked=True,
)
