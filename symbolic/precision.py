"""Numbers of the independent evaluator: mpmath's, with 50 digits, real or refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import mpmath
from sympy import Basic, Expr, Integer, Rational, Symbol

from symbolic.errors import DerivationError

DIGITS = 50
NUMBERS = mpmath.MPContext()
NUMBERS.dps = DIGITS

Dual = tuple[Any, Any]  # value, tangent; a tangent of None is exactly 0
Place = tuple[int, ...]
Table = dict[Place, Any]
Compiled = Callable[[dict[Symbol, int]], Dual]


class Slopes(dict[Place, Any]):
    """Tangents for several disturbances at a time, by the place that is disturbed; those that are left out are 0."""

    def __add__(self, other: Slopes) -> Slopes:
        found = Slopes(self)
        for place, slope in other.items():
            found[place] = found[place] + slope if place in found else slope
        return found

    def __mul__(self, number: Any) -> Slopes:
        return Slopes({place: slope * number for place, slope in self.items()})

    __rmul__ = __mul__


class NotReal(ArithmeticError):
    """A value left the real numbers: the logarithm of a negative number, a division by zero."""


def places(extents: tuple[int, ...]) -> Iterator[Place]:
    return itertools.product(*(range(extent) for extent in extents))


def numeric_size(extent: Expr, sizes: Mapping[Symbol, int]) -> int:
    """A size with numbers put in for its symbols."""
    number = extent.xreplace({symbol: Integer(value) for symbol, value in sizes.items()})
    if not number.is_Integer:
        raise DerivationError(f"the size {extent} has no number to be checked with")
    return int(number)


def real(function: Callable[[Any], Any], value: Any) -> Any:
    """The image of a number; NotReal where it is no finite real number."""
    try:
        image = function(value)
    except (ValueError, ZeroDivisionError) as error:
        raise NotReal(f"{function.__name__} at {value}") from error
    if isinstance(image, NUMBERS.mpc) or not NUMBERS.isfinite(image):
        raise NotReal(f"{function.__name__} at {value}")
    return image


def largest(values: Iterable[Any]) -> Any:
    """The largest absolute value of numbers; 0 where there are none, and one that is not finite where there is any.

    Numbers are compared by their exponents where these tell, which is cheaper than mpmath's own comparison.
    """
    found, most = NUMBERS.zero, None
    for value in values:
        _, mantissa, exponent, bits = value._mpf_
        if mantissa:
            if most is None or exponent + bits >= most:
                size = abs(value)
                if most is None or exponent + bits > most or size > found:
                    found, most = size, exponent + bits
        elif exponent:  # infinite, or not a number
            return value
    return found


def constant(node: Basic) -> Any:
    """A number without tensors or letters, to the digits in use."""
    return NUMBERS.mpf(node.p) / node.q if isinstance(node, Rational) else NUMBERS.mpf(node.evalf(NUMBERS.dps + 10))
