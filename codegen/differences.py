"""Derivatives of a loss by one element of its parameters at a time, from the loss alone.

A loss is known to a few units in its last place, which over a small step outweighs a small derivative. Then the step
grows and the differences are extrapolated, each time with an estimate of the error that is left. A loss with a kink
within the step, as that of a ReLU's unit near 0, has another derivative there than any longer step shows, and at the
kink itself has none; shorter steps tell.

Sources: central differences and their extrapolation, W. H. Press et al., "Numerical Recipes", section 5.7, after
         C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4
         (1982); complex step, W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real
         functions", SIAM Review 40 (1998).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from symbolic.errors import DataError, UsageError

EPS, TINY = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)
# Units in the last place that any loss may be wrong by, and how often it is looked at what else it loses.
LAST_PLACES, SHAKES = 4, 8
# Two of many thousand estimates are now and then closer to each other than to the derivative.
SAFETY = 4
# The step is doubled so many times at most, from 6e-6 to 1.6.
DOUBLINGS = 18
# To look for kinks, a step is made 4 times as long and divided by 4 so many times, from 2.5e-2 to 1.5e-9.
RUNGS = 6

Loss = Callable[[dict[str, np.ndarray]], complex]


@dataclass
class Rung:
    """A difference over one step h: the derivative, and how wrong it may be.

    bend:     how far the differences of both sides are from their mean.
    rounding: by the rounding of the loss.
    cut:      by the length of the step, as a step a quarter of it shows.
    """

    h: float
    near: float
    bend: float
    rounding: float
    cut: float = 0.0

    @property
    def width(self) -> float:
        return self.bend + self.rounding + self.cut


def _is_kinked(rungs: Sequence[Rung], derivative: float, doubt: float, h: float) -> bool:
    """Where the loss is smooth, the bend of a step is a quarter of that of the step before."""
    pairs = pairwise(rungs)
    bent = any(
        min(a.bend / a.rounding, b.bend / b.rounding) > 1 and b.bend > a.bend / 2 for a, b in pairs if a.rounding
    )
    return bent or any(abs(rung.near - derivative) > doubt + rung.rounding for rung in rungs if rung.h < h)


@dataclass(frozen=True)
class Measured:
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
        moved = [float(abs(value - self.here)) for value in values]
        # Where the loss is defined on one side only, as a root at 0, some tell nothing.
        return max((one for one in moved if np.isfinite(one)), default=np.inf)


@dataclass(frozen=True)
class Element:
    """One element of a parameter, and the derivative of the loss by it."""

    measured: Measured
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
            if finer and np.isfinite(doubt):
                yield best, doubt

    def nearer(self, derivative: float, doubt: float, given: float, limit: float) -> tuple[Rung, bool] | None:
        """The difference that says most about `given`, and whether it excludes it, if steps show a kink; None if not.

        derivative, doubt: what longer and longer steps gave. There is a kink where shorter steps give another
        derivative than that, or where those of both sides do not approach each other as they do where the loss is
        smooth. A step excludes `given`, unless a shorter one that is exact enough does not.
        """
        rungs = [] if self._is_complex else self._ladder()
        if not _is_kinked(rungs, derivative, doubt, self.h):
            return None
        excess = [abs(given - rung.near) - limit * max(abs(given), abs(rung.near)) - rung.width for rung in rungs]
        outside = [rung for rung, over in zip(rungs, excess, strict=True) if over > 0]
        inside = [rung for rung in rungs if rung not in outside]
        for rung, over in zip(rungs, excess, strict=True):
            if over > 0 and not any(other.h < rung.h and other.rounding < over / 2 for other in inside):
                return min(outside, key=lambda rung: rung.width), True
        return min(inside, key=lambda rung: rung.width), False

    def _ladder(self) -> list[Rung]:
        """Differences over steps, each a quarter of the one before."""
        found: list[Rung] = []
        here = float(np.real(self.measured.here))
        for power in range(RUNGS, -RUNGS - 1, -1):
            h = self.h * 4.0**power
            if (self._base + h) - (self._base - h) == 0:
                break
            # Further away the loss may overflow.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                upper, lower = self._sides(h)
            near, height = self._quotient(upper, lower, h)
            bend = abs(float(np.real(upper)) / 2 + float(np.real(lower)) / 2 - here) / h
            rounding = SAFETY * (LAST_PLACES * EPS * height + self.measured.unsteadiness) / h
            if np.isfinite(near) and np.isfinite(bend) and np.isfinite(rounding):
                found.append(Rung(h, near, bend, rounding))
        for longer, shorter in pairwise(found):
            apart = abs(longer.near - shorter.near) + 2 * abs(longer.bend - shorter.bend)
            longer.cut = shorter.cut = apart  # of all but the last it is replaced by that of the next pair
        return found

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
        if moved == 0:
            raise UsageError(
                f"a step of {h:g} does not move params[{self.key!r}]{list(self.index)}, which is {self._base:g}; take "
                "a longer one"
            )
        return (float(np.real(upper - lower)) / moved if np.isfinite(height) else np.nan), height

    def _at(self, displacement: complex) -> complex:
        """The loss where this element is moved."""
        params = self.measured.params
        kind = complex if self._is_complex else None
        moved = {key: np.array(params[key], kind) for key in (params if self._is_complex else (self.key,))}
        moved[self.key].flat[self.place] += displacement
        return self.measured.at(moved)
