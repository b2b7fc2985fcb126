"""Numeric against symbolic: is a gradient, ours or anybody's, the derivative of the loss beside it?

The gradient is wrong where it is further away from the numeric derivative than that one's error explains, right where
the error is small enough to see it, and otherwise nothing is known; see `differences`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codegen.differences import Element, Loss, Measured
from codegen.wording import listed, number_of
from symbolic.errors import DataError, UsageError

METHODS = ("central", "complex")
AGREES, DIFFERS, UNDECIDED = "agrees", "DIFFERS", "undecided"
# Why a gradient may be undecided, and what helps, by the method.
ADVICE = {
    "central": 'the differences of the loss are not exact enough: take method="complex" where the loss takes complex '
    "params, or a larger tolerance",
    "complex": "too small for the step: take a larger step or a larger tolerance",
}


@dataclass(frozen=True)
class GradientCheck:
    """One gradient held against numeric derivatives.

    key, shape: of the parameter.
    checked:    how many of its elements were disturbed.
    error:      the largest |gradient - numeric|, relative to the largest of the two in this array; infinite where
                one of them is no finite number.
    where:      the element with that error, of several the one with the largest gradient.
    found, numeric: the two values there.
    verdict:    "agrees", "DIFFERS", or "undecided" where the numeric derivative is not known well enough to say.
    doubt:      where undecided, how far `numeric` may be from the derivative.
    """

    key: str
    shape: tuple[int, ...]
    checked: int
    error: float
    where: tuple[int, ...]
    found: float
    numeric: float
    verdict: str
    doubt: float = 0.0

    @property
    def ok(self) -> bool:
        return self.verdict == AGREES


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
                f"{c.numeric:.6g}", f"{c.verdict}, numeric is +- {c.doubt:.1e}" if c.doubt else c.verdict,
            )
            for c in self.checks
        ]  # fmt: skip
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, self.summary])

    @property
    def summary(self) -> str:
        """What came out, in one line."""
        count = Counter(c.verdict for c in self.checks)
        among = f"of {number_of(len(self.checks), 'gradient')}"
        parts = []
        if count[DIFFERS]:
            parts.append(f"{count[DIFFERS]} {among} {'differs' if count[DIFFERS] == 1 else 'differ'}")
        if count[UNDECIDED]:
            parts.append(f"{count[UNDECIDED]} {among} undecided, {ADVICE[self.method]}")
        verdict = "; ".join(parts) or "all gradients agree"
        left_out = f"; not checked: {listed(self.unchecked)}" if self.unchecked else ""
        return f"{verdict} ({self.method}, tolerance {self.tolerance:g}){left_out}"


def check_gradients(
    loss: Loss,
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

    loss:      a function of a dict like params that gives a number; close it over the data. It must compute in
               float64: what it rounds to float32 inside may make a right gradient differ.
    gradients: one array for each key to be checked, of the shape of params[key]; a NaN or infinity in it differs
               from every number. The report names the parameters that it lacks.
    params:    float64 arrays; in float32 a difference quotient has too few digits to judge by.
    method:    "central": (f(x + h) - f(x - h))/2h, for any loss; at a kink, where there is no derivative, what lies
               between those of both sides is undecided. "complex": Im f(x + ih)/h, which has no cancellation, for a
               loss that takes complex params.
    step:      h; by default 6e-6 times max(1, |x|) for central, 1e-30 for complex. Where a central difference does not
               agree it is doubled, up to 18 times, until it can be decided; before it is called wrong, steps from
               4096 h to h/4096 are asked for kinks.
    tolerance: largest relative error that agrees; by default 1e-6 for central, 1e-10 for complex.
    samples:   how many elements of each array are disturbed, chosen at random by `seed`; by default all. An element
               takes two calls of the loss, and up to about thirty times as many where central differences must be
               looked at closer: 2,000 such elements take 75,000 to 110,000 calls, and 20,000 more than a minute.

    Raises:
        UsageError: a method, step, tolerance or number of samples out of range, or a step that is lost in x.
        DataError: no gradient at all, keys, shapes or dtypes that do not fit, or a loss that is no finite number.
    """
    _check_options(method, step, tolerance, samples)
    if not gradients:
        raise DataError(f"gradients is empty, so there is nothing to check; params has {listed(params) or 'nothing'}")
    limit = tolerance if tolerance is not None else (1e-6 if method == "central" else 1e-10)
    random = np.random.default_rng(seed)
    measured = Measured(loss, params, method)
    for key, given in gradients.items():
        _check_pair(key, given, params)
    entries = np.concatenate([np.ravel(given).astype(np.float64) for given in gradients.values()])
    largest = float(np.max(np.abs(entries), initial=0.0, where=np.isfinite(entries)))
    checks = []
    for key, given in gradients.items():
        size = params[key].size
        chosen = np.arange(size) if samples is None or samples >= size else np.sort(random.choice(size, samples, False))
        elements = [Element(measured, key, int(place), step) for place in chosen]
        checks.append(_judged(elements, np.ravel(given)[chosen].astype(np.float64), limit, largest))
    return GradientReport(tuple(checks), method, limit, tuple(key for key in params if key not in gradients))


def _judged(elements: Sequence[Element], found: np.ndarray, limit: float, largest: float) -> GradientCheck:
    """The verdict over elements of one array; one that differs decides it.

    An element agrees where it is within the tolerance of its numeric derivative and so is the derivative's doubt, and
    differs where it is further away than both together. As long as it is neither, the derivative is looked at closer.
    Where both are 0 the loss may just be too large to move; that is looked at too, unless what it could hide is small
    beside the largest entry of all gradients.
    """
    numeric, hidden = np.array([element.difference() for element in elements]).T
    doubt = np.where((found == 0) & (numeric == 0) & (hidden > limit * largest), hidden, 0.0)
    looks: dict[int, Iterator[tuple[float, float]]] = {}
    looked, exhausted, narrowed = np.zeros((3, len(elements)), bool)
    while True:
        finite = np.isfinite(found) & np.isfinite(numeric)
        away = np.abs(np.subtract(found, numeric, where=finite, out=np.full(found.shape, np.inf)))
        # NaN or infinity on either side is as wrong as can be; zero on both agrees.
        scale = max(float(np.max(np.abs(numeric))), float(np.max(np.abs(found)))) if finite.all() else 1.0
        wrong = np.flatnonzero((away > limit * scale + doubt) & (looked | ~np.isfinite(found)))
        unclear = np.maximum(away, doubt) > limit * scale
        candidates = np.flatnonzero(unclear & ~exhausted)
        suspects = wrong[~narrowed[wrong] & np.isfinite(found[wrong])]
        if suspects.size:
            place = int(suspects[np.argmax(away[suspects])])
            narrowed[place] = True
            nearer = elements[place].nearer(numeric[place], doubt[place], found[place], limit)
            if nearer is not None:
                rung, is_excluded = nearer
                numeric[place] = rung.near
                scale = max(float(np.max(np.abs(numeric))), float(np.max(np.abs(found))))
                # As with the first step, what meets it is no accident, but for zeros that may be too small to see.
                met = abs(found[place] - numeric[place]) <= limit * scale
                seen = found[place] != 0 or numeric[place] != 0 or rung.rounding <= limit * largest
                unknown = 0.0 if met and seen else rung.rounding
                doubt[place] = 0.0 if is_excluded else rung.bend + rung.cut + unknown
                exhausted[place] = True
            continue
        if wrong.size or not candidates.size:
            break
        place = int(candidates[np.argmax(away[candidates])])
        look = next(looks.setdefault(place, elements[place].closer()), None)
        if look is None:
            exhausted[place] = True
            if looked[place] and found[place] == numeric[place] == 0:
                doubt[place] = 0.0  # the loss stood still at every step
        else:
            numeric[place], doubt[place] = look
            looked[place] = True
    if wrong.size:
        verdict, shown = DIFFERS, wrong
    elif unclear.any():
        verdict, shown = UNDECIDED, np.flatnonzero(doubt == doubt.max())
    else:
        # Where all agree to the last bit, the largest entry says more than a zero.
        verdict, shown = AGREES, np.flatnonzero(away == away.max())
    worst = int(shown[np.argmax(np.abs(found[shown]))])
    return GradientCheck(
        elements[0].key,
        elements[0].shape,
        len(elements),
        float(away[worst]) / scale if scale > 0 else 0.0,
        elements[worst].index,
        float(found[worst]),
        float(numeric[worst]),
        verdict,
        float(doubt[worst]) if verdict == UNDECIDED else 0.0,
    )


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
        raise DataError(f"gradients has a key {key!r} that params lacks; params has {listed(params)}")
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
    if given.dtype.kind not in "biuf":
        raise DataError(f"gradients[{key!r}] holds {given.dtype}; a gradient is real numbers")
    if not given.size:
        raise DataError(f"params[{key!r}] has no element, so there is nothing to check; leave its gradient out")
