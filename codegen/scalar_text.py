"""Scalars as Python expressions on floats."""

from __future__ import annotations

import math
from collections.abc import Mapping

from codegen.scalars import Scalar
from symbolic.errors import LoweringError

# Binding strength of what a piece of source text is at its outermost, weakest first.
CHOICE, OR, AND, NOT, COMPARED, SUM, PRODUCT, SIGN, ATOM = range(9)
BINARY = {
    "add": ("+", SUM), "subtract": ("-", SUM), "multiply": ("*", PRODUCT), "divide": ("/", PRODUCT),
    "greater": (">", COMPARED), "less": ("<", COMPARED), "greater_equal": (">=", COMPARED),
    "less_equal": ("<=", COMPARED), "equal": ("==", COMPARED), "not_equal": ("!=", COMPARED),
    "logical_and": ("and", AND), "logical_or": ("or", OR),
}  # fmt: skip
# Functions of Python's math module, by what arrays call them.
CALLS = {
    "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "tanh": "tanh", "sin": "sin", "cos": "cos",
    "tan": "tan", "sinh": "sinh", "cosh": "cosh", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "erf": "erf", "sqrt": "sqrt", "power": "pow",
}  # fmt: skip
# Operations whose text speaks of an argument more than once, so that it must have a name: which arguments.
REPEATED = {"maximum": (0, 1), "minimum": (0, 1), "absolute": (0,), "sign": (0,)}
# What Python may refuse to compute, with an exception, where NumPy gives an infinity or NaN.
FALLIBLE = frozenset({*CALLS, "divide"})


def text(scalar: Scalar, names: Mapping[Scalar, str], whole: bool = False) -> str:
    """Source text of a scalar. names: of those that have one; whole: spell out this one nevertheless."""
    return _write(scalar, names, whole)[0]


def _write(scalar: Scalar, names: Mapping[Scalar, str], whole: bool = False) -> tuple[str, int]:
    if scalar in names and not whole:
        return names[scalar], ATOM
    op, args = scalar.op, scalar.args
    if op == "leaf":
        return scalar.value, ATOM
    if op == "constant":
        if not math.isfinite(scalar.value):
            raise LoweringError(f"the constant {scalar.value} is no finite number")
        return repr(scalar.value), ATOM if scalar.value >= 0 and math.copysign(1, scalar.value) > 0 else SIGN
    if op in BINARY:
        sign, strength = BINARY[op]
        left, right = args
        if op in ("add", "multiply") and _strength(right, names) < _strength(left, names) and left.op != op:
            left, right = right, left
        first, second = _put(left, names, strength), _put(right, names, strength + 1)
        return f"{first} {sign} {second}", strength
    if op == "negative":
        return f"-{_put(args[0], names, SIGN)}", SIGN
    if op == "logical_not":
        return f"not {_put(args[0], names, NOT)}", NOT
    if op == "where":
        condition, yes, no = args
        return f"{_put(yes, names, OR)} if {_put(condition, names, OR)} else {_put(no, names, CHOICE)}", CHOICE
    if op in ("maximum", "minimum"):
        return _extremum(_put(args[0], names, ATOM), _put(args[1], names, ATOM), args, op), CHOICE
    if op in ("absolute", "sign"):
        inner = _put(args[0], names, ATOM)
        if op == "absolute":
            return f"-{inner} if {inner} < 0.0 else {inner}", CHOICE
        return f"1.0 if {inner} > 0.0 else -1.0 if {inner} < 0.0 else {inner}", CHOICE
    if op not in CALLS:
        raise LoweringError(f"{op} has no form for single numbers")
    return f"{CALLS[op]}({', '.join(_put(argument, names, CHOICE) for argument in args)})", ATOM


def _extremum(first: str, second: str, args: tuple[Scalar, ...], op: str) -> str:
    """The larger or smaller of two, NaN if either is."""
    for mine, other, number in ((first, second, args[1]), (second, first, args[0])):
        if number.op == "constant":
            return f"{other} if {mine} {'<=' if op == 'maximum' else '>='} {other} else {mine}"
    return f"{first} if {first} {'>=' if op == 'maximum' else '<='} {second} or {first} != {first} else {second}"


def _strength(scalar: Scalar, names: Mapping[Scalar, str]) -> int:
    if scalar in names or scalar.op in ("leaf", "constant") or scalar.op in CALLS:
        return ATOM
    return BINARY[scalar.op][1] if scalar.op in BINARY else CHOICE


def _put(scalar: Scalar, names: Mapping[Scalar, str], strength: int) -> str:
    written, own = _write(scalar, names)
    return written if own >= strength else f"({written})"
