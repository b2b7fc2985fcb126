"""Numeric against symbolic: is a gradient, ours or anybody's, the derivative of the loss beside it?

Sources: central differences, W. H. Press et al., "Numerical Recipes", section 5.7; complex step, W. Squire
         and G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40
         (1998).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from symbolic.errors import DataError, UsageError

METHODS = ("central", "complex")


@dataclass(frozen=True)
class GradientCheck:
    """One gradient held against numeric derivatives.

    key, shape: of the parameter.
    checked:    how many of its elements were disturbed.
    error:      the largest |gradient - numeric|, relative to the largest of the two in this array; infinite where
                one of them is no finite number.
    where:      the element with that error, of several the one with the largest gradient.
    found, numeric: the two values there.
    ok:         whether error is within the tolerance.
    """

    key: str
    shape: tuple[int, ...]
    checked: int
    error: float
    where: tuple[int, ...]
    found: float
    numeric: float
    ok: bool


@dataclass(frozen=True)
class GradientReport:
    """The checks of all gradients; prints as a table. `unchecked`: parameters without a gradient to check."""

    checks: tuple[GradientCheck, ...]
    method: str
    tolerance: float
    unchecked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        rows = [("gradient", "shape", "checked", "relative error", "at", "given", "numeric", "")]
        rows += [
            (
                c.key, str(c.shape), str(c.checked), f"{c.error:.1e}", str(list(c.where)), f"{c.found:.6g}",
                f"{c.numeric:.6g}", "agrees" if c.ok else "DIFFERS",
            )
            for c in self.checks
        ]  # fmt: skip
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, self.summary])

    @property
    def summary(self) -> str:
        """What came out, in one line."""
        wrong = sum(not c.ok for c in self.checks)
        verdict = "all gradients agree" if not wrong else f"{wrong} of {len(self.checks)} gradients differ"
        left_out = f"; not checked: {', '.join(self.unchecked)}" if self.unchecked else ""
        return f"{verdict} ({self.method}, tolerance {self.tolerance:g}){left_out}"


def check_gradients(
    loss: Callable[[dict[str, np.ndarray]], complex],
    gradients: Mapping[str, np.ndarray],
    params: Mapping[str, np.ndarray],
    *,
    method: str = "central",
    step: float | None = None,
    tolerance: float | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> GradientReport:
    """Hold `gradients` against numeric derivatives of `loss` at `params`, which stay as they are.

    loss:      a function of a dict like params that gives a number; close it over the data.
    gradients: one array for each key to be checked, of the shape of params[key]; a NaN or infinity in it differs
               from every number. The report names the parameters that it lacks.
    params:    float64 arrays; in float32 a difference quotient has too few digits to judge by.
    method:    "central": (f(x + h) - f(x - h))/2h, for any loss, away from kinks. "complex": Im f(x + ih)/h,
               which has no cancellation, for a loss that takes complex params.
    step:      h; by default 6e-6 times max(1, |x|) for central, 1e-30 for complex.
    tolerance: largest relative error that agrees; by default 1e-6 for central, 1e-10 for complex.
    samples:   how many elements of each array are disturbed, chosen at random by `seed`; by default all.

    Raises:
        UsageError: a method, step, tolerance or number of samples out of range.
        DataError: no gradient at all, keys, shapes or dtypes that do not fit, or a loss that is no finite number.
    """
    _check_options(method, step, tolerance, samples)
    if not gradients:
        raise DataError(
            f"gradients is empty, so there is nothing to check; params has {', '.join(params) or 'nothing'}"
        )
    limit = tolerance if tolerance is not None else (1e-6 if method == "central" else 1e-10)
    random = np.random.default_rng(seed)
    checks = []
    for key, given in gradients.items():
        _check_pair(key, given, params)
        size = params[key].size
        chosen = np.arange(size) if samples is None or samples >= size else np.sort(random.choice(size, samples, False))
        numeric = np.array([_numeric(loss, params, key, int(place), method, step) for place in chosen])
        found = np.ravel(given)[chosen].astype(np.float64)
        checks.append(_compared(key, params[key].shape, chosen, found, numeric, limit))
    return GradientReport(tuple(checks), method, limit, tuple(key for key in params if key not in gradients))


def _compared(
    key: str, shape: tuple[int, ...], chosen: np.ndarray, found: np.ndarray, numeric: np.ndarray, limit: float
) -> GradientCheck:
    finite = np.isfinite(found) & np.isfinite(numeric)
    difference = np.full(found.shape, np.inf)
    difference[finite] = np.abs(found[finite] - numeric[finite])
    largest = np.flatnonzero(difference == difference.max())
    # Where all agree to the last bit, the largest entry says more than a zero.
    worst = int(largest[np.argmax(np.abs(found[largest]))])
    # A gradient that is zero on both sides agrees; NaN or infinity on either side is as wrong as can be.
    scale = max(float(np.max(np.abs(numeric))), float(np.max(np.abs(found)))) if finite.all() else 1.0
    error = float(difference[worst]) / scale if scale > 0 else 0.0
    where = tuple(int(n) for n in np.unravel_index(int(chosen[worst]), shape))
    return GradientCheck(
        key,
        shape,
        len(chosen),
        error,
        where,
        float(found[worst]),
        float(numeric[worst]),
        bool(error <= limit),
    )


def _numeric(
    loss: Callable[[dict[str, np.ndarray]], complex], params: Mapping[str, np.ndarray], key: str, place: int,
    method: str, step: float | None,
) -> float:  # fmt: skip
    """The derivative of `loss` by one element of params[key]."""

    def at(displacement: complex) -> complex:
        moved = {name: array.astype(complex) if method == "complex" else array for name, array in params.items()}
        moved[key] = moved[key].copy()
        moved[key].flat[place] += displacement
        value = loss(moved)
        if np.ndim(value) != 0:
            raise DataError(
                f"the loss has shape {np.shape(value)}; it must be one number, such as the mean over the examples"
            )
        if not np.isfinite(value):
            raise DataError(
                f"the loss is {value} near params[{key!r}]; gradients can be checked only where it is finite"
            )
        return value

    if method == "complex":
        h = 1e-30 if step is None else step
        return float(np.imag(at(1j * h))) / h
    base = float(params[key].flat[place])
    h = 6e-6 * max(1.0, abs(base)) if step is None else step
    upper, lower = base + h, base - h
    return float(np.real(at(h) - at(-h))) / (upper - lower)


def _check_options(method: str, step: float | None, tolerance: float | None, samples: int | None) -> None:
    if method not in METHODS:
        raise UsageError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    for name, value in (("step", step), ("tolerance", tolerance)):
        if value is not None and not (isinstance(value, (int, float)) and 0 < value < np.inf):
            raise UsageError(f"{name} must be a positive number, not {value!r}")
    if samples is not None and (isinstance(samples, bool) or not isinstance(samples, int) or samples < 1):
        raise UsageError(f"samples must be an integer of at least 1, or None for all elements, not {samples!r}")


def _check_pair(key: str, given: np.ndarray, params: Mapping[str, np.ndarray]) -> None:
    if key not in params:
        raise DataError(f"gradients has a key {key!r} that params lacks; params has {', '.join(params)}")
    if params[key].dtype != np.float64:
        raise DataError(
            f"params[{key!r}] is {params[key].dtype}; gradients are checked in float64: "
            "convert with .astype(np.float64)"
        )
    if not isinstance(given, np.ndarray) or given.shape != params[key].shape:
        shape = given.shape if isinstance(given, np.ndarray) else f"{type(given).__name__}"
        raise DataError(
            f"gradients[{key!r}] has shape {shape}; params[{key!r}] has {params[key].shape}: they must agree"
        )
