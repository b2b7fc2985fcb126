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

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symbolic.errors import DataError

EPS, TINY = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)
# Units in the last place that any loss may be wrong by, and how often it is looked at what else it loses.
LAST_PLACES, SHAKES = 4, 8
# Two of many thousand estimates are now and then closer to each other than to the derivative.
SAFETY = 4
# The step is doubled so many times at most, from 6e-6 to 1.6.
DOUBLINGS = 18
# A step is divided by 4 so many times to look for kinks, from 6e-6 to 1.5e-9.
NARROWINGS = 6

Loss = Callable[[dict[str, np.ndarray]], complex]


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
        return float(max(abs(value - self.here) for value in values))


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
