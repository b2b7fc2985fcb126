"""Numeric against symbolic: is a gradient, ours or anybody's, the derivative of the loss beside it?

Where it is not what a single difference gives, the difference may be to blame: a loss is known to a few units in its
last place, which over a small step outweighs a small derivative. Then the step grows and the differences are
extrapolated, each time with an estimate of the error that is left. The gradient is wrong where it is further away than
that error explains, right where the error is small enough to see it, and otherwise nothing is known.

Before a gradient is called wrong, shorter steps are looked at too: a loss with a kink within the step, as that of a
ReLU's unit near 0, has another derivative there than any longer step shows, and at the kink itself has none.

Sources: central differences and their extrapolation, W. H. Press et al., "Numerical Recipes", section 5.7, after
         C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4
         (1982); complex step, W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real
         functions", SIAM Review 40 (1998).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codegen.wording import listed, number_of
from symbolic.errors import DataError, UsageError

METHODS = ("central", "complex")
AGREES, DIFFERS, UNDECIDED = "agrees", "DIFFERS", "undecided"
EPS, TINY = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)
# Units in the last place that any loss may be wrong by, and how often it is looked at what else it loses.
LAST_PLACES, SHAKES = 4, 8
# Two of many thousand estimates are now and then closer to each other than to the derivative.
SAFETY = 4
# The step is doubled so many times at most, from 6e-6 to 1.6.
DOUBLINGS = 18
# A step is divided by 4 so many times to look for kinks, from 6e-6 to 1.5e-9.
NARROWINGS = 6
# Why a gradient may be undecided, and what helps, by the method.
ADVICE = {
    "central": 'the differences of the loss are not exact enough: take method="complex" where the loss takes complex '
    "params, or a larger tolerance",
    "complex": "too small for the step: take a larger step or a larger tolerance",
}

Loss = Callable[[dict[str, np.ndarray]], complex]


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
               agree it is doubled, up to 18 times, until it can be decided.
    tolerance: largest relative error that agrees; by default 1e-6 for central, 1e-10 for complex.
    samples:   how many elements of each array are disturbed, chosen at random by `seed`; by default all. An element
               takes two calls of the loss, and up to about twenty times as many where central differences must be
               looked at closer: 2,000 such elements take 75,000 calls, and 20,000 more than a minute.

    Raises:
        UsageError: a method, step, tolerance or number of samples out of range.
        DataError: no gradient at all, keys, shapes or dtypes that do not fit, or a loss that is no finite number.
    """
    _check_options(method, step, tolerance, samples)
    if not gradients:
        raise DataError(f"gradients is empty, so there is nothing to check; params has {listed(params) or 'nothing'}")
    limit = tolerance if tolerance is not None else (1e-6 if method == "central" else 1e-10)
    random = np.random.default_rng(seed)
    measured = _Measured(loss, params, method)
    for key, given in gradients.items():
        _check_pair(key, given, params)
    entries = np.concatenate([np.ravel(given).astype(np.float64) for given in gradients.values()])
    largest = float(np.max(np.abs(entries), initial=0.0, where=np.isfinite(entries)))
    checks = []
    for key, given in gradients.items():
        size = params[key].size
        chosen = np.arange(size) if samples is None or samples >= size else np.sort(random.choice(size, samples, False))
        elements = [_Element(measured, key, int(place), step) for place in chosen]
        checks.append(_judged(elements, np.ravel(given)[chosen].astype(np.float64), limit, largest))
    return GradientReport(tuple(checks), method, limit, tuple(key for key in params if key not in gradients))


def _judged(elements: Sequence[_Element], found: np.ndarray, limit: float, largest: float) -> GradientCheck:
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
            nearer = elements[place].kinked(numeric[place], doubt[place])
            if nearer is not None:
                numeric[place], bend, rounding = nearer
                # As with the first step, what meets it is no accident, but for zeros that may be too small to see.
                met = abs(found[place] - numeric[place]) <= limit * scale
                seen = found[place] != 0 or numeric[place] != 0 or rounding <= limit * largest
                doubt[place] = bend + (0.0 if met and seen else rounding)
                exhausted[place] = True
            continue
        if wrong.size or not candidates.size:
            break
        place = int(candidates[np.argmax(away[candidates])])
        look = next(looks.setdefault(place, elements[place].closer()), None)
        if look is None:
            exhausted[place] = True
            if found[place] == numeric[place] == 0:
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


@dataclass(frozen=True)
class _Measured:
    """The loss near `params`."""

    loss: Loss
    params: Mapping[str, np.ndarray]
    method: str

    def at(self, moved: Mapping[str, np.ndarray]) -> complex:
        """The loss where some parameters are others."""
        value = self.loss({**self.params, **moved})
        if np.ndim(value) != 0:
            raise DataError(
                f"the loss has shape {np.shape(value)}; it must be one number, such as the mean over the examples"
            )
        return value

    @cached_property
    def here(self) -> complex:
        """The loss where all parameters are as given."""
        return self.at({})

    @cached_property
    def unsteadiness(self) -> float:
        """How far the loss moves when the last places of all parameters do, as its own rounding may move it."""
        random = np.random.default_rng(0)
        floats = {key: array for key, array in self.params.items() if np.asarray(array).dtype == np.float64}
        values = [
            self.at({key: array * (1 + EPS * random.choice([-1, 1], array.shape)) for key, array in floats.items()})
            for _ in range(SHAKES)
        ]
        return float(max(abs(value - self.here) for value in values))


@dataclass(frozen=True)
class _Element:
    """One element of a parameter, and the derivative of the loss by it."""

    measured: _Measured
    key: str
    place: int
    step: float | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.measured.params[self.key].shape

    @property
    def index(self) -> tuple[int, ...]:
        return tuple(int(n) for n in np.unravel_index(self.place, self.shape))

    @property
    def h(self) -> float:
        if self.step is not None:
            return self.step
        return 1e-30 if self._is_complex else 6e-6 * max(1.0, abs(self._base))

    @property
    def _base(self) -> float:
        return float(self.measured.params[self.key].flat[self.place])

    @property
    def _is_complex(self) -> bool:
        return self.measured.method == "complex"

    def difference(self) -> tuple[float, float]:
        """The derivative from one step h, and how large one can be that the loss does not show."""
        derivative, height = self._difference(self.h)
        if not np.isfinite(height):
            raise DataError(
                f"the loss is {height} near params[{self.key!r}]; gradients can be checked only where it is finite"
            )
        return derivative, 0.0 if self._is_complex else EPS * height / self.h

    def closer(self) -> Iterator[tuple[float, float]]:
        """The derivative better and better, each time with an estimate of how wrong it may be."""
        if self._is_complex:
            # Nothing is lost but what is too small for a number.
            yield self.difference()[0], TINY / self.h
            return
        best, doubt = 0.0, np.inf
        row: list[float] = []
        for doubling in range(DOUBLINGS + 1):
            h = self.h * 2**doubling
            # Further away the loss may overflow.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                derivative, height = self._difference(h)
            if not np.isfinite(height):
                return
            # A difference over h is wrong by c h^2 + d h^4 + ...: two cancel the first term, three the second as well.
            finer, row = row, [derivative]
            for order, last in enumerate(finer, 1):
                coarser = row[-1]
                row.append(last + (last - coarser) / (4**order - 1))
                rounding = (LAST_PLACES * EPS * height + self.measured.unsteadiness) / (h / 2**order)
                error = SAFETY * max(abs(row[-1] - last), abs(row[-1] - coarser)) + rounding
                if error < doubt:
                    best, doubt = row[-1], error
            if finer:
                yield best, doubt

    def kinked(self, derivative: float, doubt: float) -> tuple[float, float, float] | None:
        """A better derivative from shorter steps, if these show a kink: with how far those of both sides are from it,
        and what it may be wrong by. None if they show none.

        derivative, doubt: what longer steps gave. There is a kink where shorter steps give another derivative than
        that, or where those of both sides do not approach each other, as they do where the loss is smooth.
        """
        if self._is_complex:
            return None
        best: tuple[float, float, float] | None = None
        is_kinked, bend, here = False, np.inf, float(np.real(self.measured.here))
        for narrowing in range(1, NARROWINGS + 1):
            h = self.h / 4**narrowing
            upper, lower = self._sides(h)
            near, height = self._quotient(upper, lower, h)
            before, bend = bend, abs(float(np.real(upper + lower)) - 2 * here) / (2 * h)
            rounding = SAFETY * (LAST_PLACES * EPS * height + self.measured.unsteadiness) / h
            is_kinked |= abs(near - derivative) > doubt + rounding
            is_kinked |= bend > rounding and 0.75 * before < bend < np.inf
            if best is None or bend + rounding < best[1] + best[2]:
                best = near, bend, rounding
        return best if is_kinked else None

    def _difference(self, h: float) -> tuple[float, float]:
        """The derivative from one step, and the largest loss that it is made from; NaN or infinity if one is that."""
        if self._is_complex:
            value = self._at(1j * h)
            return float(np.imag(value)) / h, abs(value)
        return self._quotient(*self._sides(h), h)

    def _sides(self, h: float) -> tuple[complex, complex]:
        """The loss one step up and one step down."""
        return self._at(h), self._at(-h)

    def _quotient(self, upper: complex, lower: complex, h: float) -> tuple[float, float]:
        height = float(np.maximum(abs(upper), abs(lower)))
        moved = (self._base + h) - (self._base - h)
        return (float(np.real(upper - lower)) / moved if np.isfinite(height) else np.nan), height

    def _at(self, displacement: complex) -> complex:
        """The loss where this element is moved."""
        params = self.measured.params
        kind = complex if self._is_complex else None
        moved = {key: np.array(params[key], kind) for key in (params if self._is_complex else (self.key,))}
        moved[self.key].flat[self.place] += displacement
        return self.measured.at(moved)


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
