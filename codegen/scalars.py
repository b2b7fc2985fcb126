"""Single numbers as nodes: an operation on other numbers, a constant or a leaf.

Equal scalars are one object, so that common subexpressions are found by comparing. Constants are folded only where that
changes neither a NaN nor an infinity: 0*x stays. What a product with a truth value means to NumPy, x times 1 or 0, is a
choice between x and x*0, which is NaN where x is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from codegen.arrays import TRUTHS

COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"})
ARITHMETIC: Mapping[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "negative": lambda x: -x,
    "divide": lambda x, y: x / y,
    "sqrt": math.sqrt,
}


class Scalar:
    """One number: an operation on other numbers, a constant (its value) or a leaf (its name).

    place: counts the scalars of one table in the order in which they were made, arguments first.
    """

    __slots__ = ("args", "op", "place", "value")

    def __init__(self, op: str, args: tuple[Scalar, ...], value: Any, place: int) -> None:
        self.op, self.args, self.value, self.place = op, args, value, place

    @property
    def is_truth(self) -> bool:
        return self.op in TRUTHS

    def is_constant(self, value: float) -> bool:
        return self.op == "constant" and self.value == value


class Table:
    """Makes scalars, equal ones once."""

    def __init__(self) -> None:
        self._made: dict[tuple, Scalar] = {}

    def constant(self, value: float) -> Scalar:
        return self._intern("constant", (), float(value), (float(value), math.copysign(1.0, value)))

    def leaf(self, name: str) -> Scalar:
        return self._intern("leaf", (), name, name)

    def make(self, op: str, *args: Scalar) -> Scalar:
        """`op` of `args`, simplified where the result is the same number."""
        rule = RULES.get(op)
        found = None if rule is None else rule(self, *args)
        if found is not None:
            return found
        if op in ARITHMETIC and all(argument.op == "constant" for argument in args):
            try:
                return self.constant(ARITHMETIC[op](*(argument.value for argument in args)))
            except (ArithmeticError, ValueError):
                pass  # left to be computed, where it is what NumPy makes of it
        if op in COMMUTATIVE and args[0].place > args[1].place:
            return self._intern(op, args, None, (args[1], args[0]))
        return self._intern(op, args, None, args)

    def _intern(self, op: str, args: tuple[Scalar, ...], value: Any, key: object) -> Scalar:
        found = self._made.get((op, key))
        if found is None:
            found = self._made[op, key] = Scalar(op, args, value, len(self._made))
        return found


Rule = Callable[..., "Scalar | None"]


def _add(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if x.is_constant(0):
        return y
    if y.is_constant(0):
        return x
    if y.op == "negative":
        return table.make("subtract", x, y.args[0])
    return table.make("subtract", y, x.args[0]) if x.op == "negative" else None


def _subtract(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if y.is_constant(0):
        return x
    if x.is_constant(0):
        return table.make("negative", y)
    return table.make("add", x, y.args[0]) if y.op == "negative" else None


def _multiply(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if x.is_truth and y.is_truth:
        return table.make("multiply", table.make("cast", x), y)
    if x.is_truth:
        return table.make("multiply", y, x)
    if y.is_truth:
        return table.make("where", y, x, table.make("multiply", x, table.constant(0)))
    for one, other in ((x, y), (y, x)):
        if one.is_constant(1):
            return other
        if one.is_constant(-1):
            return table.make("negative", other)
        if one.op == "negative" and other.op != "constant":
            return table.make("negative", table.make("multiply", one.args[0], other))
    return None


def _divide(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if y.op == "constant" and y.value and abs(math.frexp(y.value)[0]) == 0.5 and abs(y.value) < 2.0**100:
        return table.make("multiply", x, table.constant(1 / y.value))  # a power of two: exact
    return None


def _negative(table: Table, x: Scalar) -> Scalar | None:
    if x.op == "negative":
        return x.args[0]
    return table.make("subtract", x.args[1], x.args[0]) if x.op == "subtract" else None


def _power(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if y.op == "constant" and y.value == int(y.value) and 1 <= y.value <= 16:
        half = table.make("power", x, table.constant(y.value // 2)) if y.value > 1 else x
        if y.value == 1:
            return x
        square = table.make("multiply", half, half)
        return table.make("multiply", square, x) if y.value % 2 else square
    return None


def _cast(table: Table, x: Scalar) -> Scalar:
    return table.make("where", x, table.constant(1), table.constant(0)) if x.is_truth else x


def _where(table: Table, condition: Scalar, yes: Scalar, no: Scalar) -> Scalar | None:
    if condition.op == "constant":
        return yes if condition.value else no
    if condition.op == "logical_not":
        return table.make("where", condition.args[0], no, yes)
    return yes if yes is no else None


def _square(table: Table, x: Scalar) -> Scalar:
    return table.make("multiply", x, x)


def _logistic(table: Table, x: Scalar) -> Scalar:
    """1/(1 + exp(-x)) as (1 + tanh(x/2))/2, as the NumPy module has it."""
    half = table.constant(0.5)
    return table.make(
        "multiply", half, table.make("add", table.make("tanh", table.make("multiply", half, x)), table.constant(1))
    )


def _log1pexp(table: Table, x: Scalar) -> Scalar:
    """log(1 + exp(x)) as max(x, 0) + log1p(exp(min(x, -x))), as the NumPy module has it."""
    small = table.make("negative", table.make("absolute", x))
    tail = table.make("log1p", table.make("exp", small))
    return table.make("add", table.make("maximum", x, table.constant(0)), tail)


RULES: Mapping[str, Rule] = {
    "add": _add, "subtract": _subtract, "multiply": _multiply, "divide": _divide, "negative": _negative,
    "power": _power, "cast": _cast, "where": _where, "square": _square, "logistic": _logistic, "log1pexp": _log1pexp,
}  # fmt: skip


def walk(roots: Iterable[Scalar]) -> Iterator[Scalar]:
    """Every scalar below the roots and these, arguments first, each once."""
    seen: set[Scalar] = set()
    stack: list[tuple[Scalar, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        scalar, expanded = stack.pop()
        if expanded:
            yield scalar
        elif scalar not in seen:
            seen.add(scalar)
            stack.append((scalar, True))
            stack.extend((argument, False) for argument in reversed(scalar.args))
