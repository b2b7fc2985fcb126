"""Small questions about an expression that decide how it is written: is it a constant, 1 over something, an
indicator.

Pure functions of the expression; nothing here prints.
"""

from __future__ import annotations

from sympy import Basic, Expr, Indexed, Integer, KroneckerDelta, Mul, Number, Piecewise, Pow, Rational, Sum
from sympy.core.relational import Relational

from symbolic.expressions import (
    Applied,
    Differentiated,
    Entry,
    FunctionDerivative,
    Inner,
    PartialDerivative,
    TotalDerivative,
    Undefined,
)
from symbolic.matrices import (  # fmt: skip
    EntryGradient,
    Gradient,
    Jacobian,
    Ones,
    PartialGradient,
    Product,
    Scalar,
    Scale,
    SumOver,
    Transpose,
)

# A fraction whose denominator is at least this large and a product of 2s and 5s is written as a decimal
# number.
DECIMAL_FROM = 100
DERIVATIVES = (TotalDerivative, PartialDerivative, Gradient, PartialGradient, Jacobian, EntryGradient)


VARYING = (
    Indexed, Sum, KroneckerDelta, TotalDerivative, PartialDerivative, FunctionDerivative, Undefined, Applied,
    Differentiated, Inner, Entry,
)  # fmt: skip


def decimal(node: Number) -> str | None:
    """A short decimal number such as 0.044715, exactly the same value; None where a fraction is better."""
    if not node.is_Rational or node.q < DECIMAL_FROM:
        return None
    digits = 0
    while digits < 9 and (10**digits * node.p) % node.q:
        digits += 1
    if (10**digits * node.p) % node.q:
        return None
    whole = str(abs(10**digits * node.p // node.q)).rjust(digits + 1, "0")
    return f"{'-' if node.p < 0 else ''}{whole[:-digits]}.{whole[-digits:]}"


def is_constant(node: Expr) -> bool:
    """A number, or made of numbers and sizes."""
    return not node.has(*VARYING) and all(symbol.is_positive and symbol.is_integer for symbol in node.free_symbols)


def is_reciprocal(node: Pow) -> bool:
    return bool(node.exp.is_number and node.exp.could_extract_minus_sign())


def negated(node: Basic) -> Basic:
    if isinstance(node, Sum):
        return Sum(negated(node.function), *node.limits)
    if isinstance(node, SumOver):
        return SumOver(*node.args[:2], negated(node.args[2]))
    if isinstance(node, Scalar):
        return Scalar(-node.args[0])
    if isinstance(node, Scale):
        coefficient = -node.args[0].args[0]
        rest = node.args[1:]
        if coefficient == 1:
            return rest[0] if len(rest) == 1 else Scale(*rest)
        return Scale(Scalar(coefficient), *rest)
    return -node


def added_number(node: Basic) -> Expr | None:
    """c if the term is c in every entry; 1 - a is what people write for the column of ones minus a."""
    if isinstance(node, Scale) and len(node.args) == 2 and isinstance(node.args[0], Scalar):
        return node.args[0].args[0] if added_number(node.args[1]) == 1 else None
    ones = isinstance(node, Product) and [type(part) for part in node.args] == [Ones, Transpose]
    return Integer(1) if isinstance(node, Ones) or (ones and isinstance(node.args[1].args[0], Ones)) else None


def rational_split(constants: list[Expr]) -> tuple[list[Expr], list[Expr], bool]:
    """Numbers and sizes as (above the line, below the line, negative); sqrt(2)/2 is written 1/sqrt(2)."""
    number = Integer(1)
    above: list[Expr] = []
    below: list[Expr] = []
    for part in constants:
        if part.is_Rational:
            number *= part
        elif isinstance(part, Pow) and is_reciprocal(part):
            below.append(Pow(part.base, -part.exp))
        else:
            above.append(part)
    negative = bool(number.is_negative)
    number = abs(number)
    for part in list(above):
        if isinstance(part, Pow) and part.exp == Rational(1, 2) and part.base.is_Integer and number.q % part.base == 0:
            above.remove(part)
            below.append(part)
            number *= part.base
    above, below = one_root(sorted(above, key=str), sorted(below, key=str))
    if decimal(number):
        above.insert(0, number)
    else:
        if number.p != 1:
            above.insert(0, Integer(number.p))
        if number.q != 1:
            below.insert(0, Integer(number.q))
    return above, below, negative


def one_root(above: list[Expr], below: list[Expr]) -> tuple[list[Expr], list[Expr]]:
    """sqrt(2) sqrt(pi) under one root sign, and sqrt(2)/sqrt(pi) as the root of a fraction."""
    roots = [
        [part.base for part in side if isinstance(part, Pow) and part.exp == Rational(1, 2)] for side in (above, below)
    ]
    rest = [
        [part for part in side if not (isinstance(part, Pow) and part.exp == Rational(1, 2))] for side in (above, below)
    ]
    top, bottom = (Mul(*side) for side in roots)
    if roots[0] and roots[1]:
        return [Pow(top / bottom, Rational(1, 2), evaluate=False), *rest[0]], rest[1]
    return (
        [*rest[0], *([Pow(top, Rational(1, 2), evaluate=False)] if roots[0] else [])],
        [*rest[1], *([Pow(bottom, Rational(1, 2), evaluate=False)] if roots[1] else [])],
    )


def indicator(node: Piecewise) -> Relational | None:
    """The condition c if the expression is 1 where c holds and 0 elsewhere."""
    if len(node.args) == 2 and node.args[0][0] == 1 and node.args[1][0] == 0:
        test = node.args[0][1]
        return test if isinstance(test, Relational) and node.args[1][1] == True else None  # noqa: E712
    return None


def maximum(node: Piecewise) -> Basic | None:
    """f if the expression is f where f > 0 and 0 elsewhere."""
    if len(node.args) == 2 and node.args[1][0] == 0:
        value, test = node.args[0]
        if isinstance(test, Relational) and test.rel_op in (">", ">=") and (test.lhs, test.rhs) == (value, 0):
            return value
    return None


def norm(node: Product) -> Basic | None:
    """u if the product is u^T u."""
    left, right = (node.args[0], node.args[-1]) if len(node.args) == 2 else (None, None)
    return right if isinstance(left, Transpose) and left.args[0] == right and not isinstance(right, Ones) else None
