"""Values of index expressions without tangents: what `duals` computes, with mpmath's bare numbers.

Most of what a verification evaluates is not disturbed. Sums, products and whole powers are computed here with the
functions that mpmath's own operators call, in the same order, so that the values are the same to the last digit;
everything else is left to `duals`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mpmath.libmp import fone, fzero, mpf_add, mpf_mul, mpf_pow_int
from sympy import Add, Basic, Indexed, KroneckerDelta, Mul, Pow, Sum, Symbol

from symbolic.duals import place_reader
from symbolic.precision import NUMBERS, NotReal
from symbolic.tensors import indices_of, key_of

if TYPE_CHECKING:
    from symbolic.evaluation import Point

Letters = dict[Symbol, int]
Bare = Callable[[Letters], Any]
NEAREST = "n"


def compile_plain(point: Point, node: Basic) -> Bare:
    """The expression as a function of its free letters that gives a bare number, in the digits of this moment."""
    build = _BUILDERS.get(type(node))
    if build is not None:
        return build(point, node)
    if isinstance(node, Pow) and node.exp.is_Integer:
        return _power(point, node)
    run = point.compile(node)
    return lambda letters: run(letters)[0]._mpf_


def _indexed(point: Point, node: Indexed) -> Bare:
    key, place_at = key_of(node) or "", place_reader(indices_of(node))

    def run(letters: Letters) -> Any:
        table = point.tables.get(key)
        if table is None:
            table = point.table(key)
        return table[place_at(letters)]._mpf_

    return run


def _add(point: Point, node: Add) -> Bare:
    first, *others = [point.compile_plain(argument) for argument in node.args]
    digits = NUMBERS.prec

    def run(letters: Letters) -> Any:
        value = first(letters)
        for part in others:
            value = mpf_add(value, part(letters), digits, NEAREST)
        return value

    return run


def _mul(point: Point, node: Mul) -> Bare:
    first, *others = [point.compile_plain(argument) for argument in node.args]
    digits = NUMBERS.prec

    def run(letters: Letters) -> Any:
        value = first(letters)
        for part in others:
            value = mpf_mul(value, part(letters), digits, NEAREST)
        return value

    return run


def _power(point: Point, node: Pow) -> Bare:
    base, exponent, digits = point.compile_plain(node.base), int(node.exp), NUMBERS.prec

    def run(letters: Letters) -> Any:
        value = base(letters)
        if exponent < 0 and value == fzero:
            raise NotReal(f"{node} at 0")
        return mpf_pow_int(value, exponent, digits, NEAREST)

    return run


def _sum(point: Point, node: Sum) -> Bare:
    body, digits = point.compile_plain(node.function), NUMBERS.prec
    bound = [(letter, range(int(low), point.extent(high + 1))) for letter, low, high in node.limits]
    names = [letter for letter, _ in bound]
    spans = [span for _, span in bound]
    (name, span), single = bound[0], len(bound) == 1

    def run(letters: Letters) -> Any:
        value, inside = fzero, dict(letters)
        if single:
            for at in span:
                inside[name] = at
                value = mpf_add(value, body(inside), digits, NEAREST)
            return value
        for place in itertools.product(*spans):
            inside.update(zip(names, place, strict=True))
            value = mpf_add(value, body(inside), digits, NEAREST)
        return value

    return run


def _delta(point: Point, node: KroneckerDelta) -> Bare:
    first, second = node.args
    if first.is_Integer or second.is_Integer:
        run = point.compile(node)
        return lambda letters: run(letters)[0]._mpf_
    return lambda letters: fone if letters[first] == letters[second] else fzero


_BUILDERS: dict[type, Callable[[Point, Any], Bare]] = {
    Indexed: _indexed, Add: _add, Mul: _mul, Sum: _sum, KroneckerDelta: _delta,
}  # fmt: skip
