"""Differentiation of index expressions: SymPy's own `diff`, then contraction of the Kronecker deltas that it leaves.

The law of contraction is sum over s of [s = t] f(s) = f(t), for t in the range of s. Bound letters are kept distinct
from free ones throughout, so that a substitution never captures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sympy import (
    Add,
    Basic,
    Derivative,
    DiracDelta,
    Expr,
    Integer,
    KroneckerDelta,
    Mul,
    Piecewise,
    Pow,
    S,
    Subs,
    Sum,
    Symbol,
    expand_mul,
)
from sympy.core.traversal import preorder_traversal

from symbolic.errors import DerivationError
from symbolic.tensors import free_letters, index, is_letter, over

Ranges = Mapping[Expr, Expr]
SPARE_LETTERS = "mikrtuvwqlhcdefg"


def fresh(preferred: str, taken: Collection[Symbol]) -> Symbol:
    """An index letter that is not in `taken`: the preferred one if it is free, else the next spare letter."""
    for letter in preferred + SPARE_LETTERS:
        if index(letter) not in taken:
            return index(letter)
    number = 1
    while index(f"{preferred[0]}_{number}") in taken:
        number += 1
    return index(f"{preferred[0]}_{number}")


def letters(expression: Basic) -> set[Symbol]:
    """Every index letter in `expression`, bound or free. A set: never iterate it where order matters."""
    return {node for node in preorder_traversal(expression) if is_letter(node)}


def bound_limits(expression: Basic) -> Iterator[tuple[Symbol, Expr]]:
    """Bound letters with the number of elements that they run over, outermost first."""
    for node in preorder_traversal(expression):
        if isinstance(node, Sum):
            for letter, _, high in node.limits:
                yield letter, high + 1


def rebuild(node: Basic, arguments: list[Basic]) -> Basic:
    return node if all(a is b for a, b in zip(node.args, arguments, strict=True)) else node.func(*arguments)


def rename_bound(expression: Expr, avoid: Collection[Symbol]) -> Expr:
    """The same expression with every bound letter that is in `avoid` replaced by a letter that is new to both."""
    clashing = [letter for letter, _ in bound_limits(expression) if letter in avoid]
    if not clashing:
        return expression
    taken = set(avoid) | letters(expression)
    return _rename_bound(expression, set(clashing), taken)


def _rename_bound(node: Basic, clashing: set[Symbol], taken: set[Symbol]) -> Expr:
    if not node.args:
        return node
    if isinstance(node, Sum):
        body, swap, limits = node.function, {}, []
        for letter, low, high in node.limits:
            new = letter
            if letter in clashing:
                new = fresh(letter.name, taken)
                taken.add(new)
                swap[letter] = new
            limits.append((new, low, high))
        # A nested sum over the same letter is renamed first, so that the swap below reaches only this sum's own.
        return Sum(_rename_bound(body, clashing, taken).xreplace(swap), *limits)
    return rebuild(node, [_rename_bound(argument, clashing, taken) for argument in node.args])


def substitute_indices(expression: Expr, swap: Mapping[Symbol, Expr]) -> Expr:
    """Replace free letters, renaming bound ones out of the way first."""
    changing = {old: new for old, new in swap.items() if old != new}
    if not changing:
        return expression
    incoming: set[Symbol] = set(changing)
    for new in changing.values():
        incoming |= letters(new)
    return rename_bound(expression, incoming).xreplace(changing)


def derivative(expression: Expr, element: Expr, free: Collection[Symbol] = ()) -> Expr:
    """Derivative of an index expression by one tensor element, Kronecker deltas still in it.

    free: letters that stand for fixed values outside, so that a bound letter of the same name is renamed first.

    Raises:
        DerivationError: if SymPy leaves a derivative undone, or the result is no function.
    """
    found = rename_bound(expression, letters(element) | set(free)).diff(element)
    for node in preorder_traversal(found):
        if isinstance(node, (Derivative, Subs, DiracDelta)) or node in (S.ComplexInfinity, S.NaN):
            raise DerivationError(
                f"{expression} has no derivative by {element} that can be written: SymPy gives {node}"
            )
    return found


def contract(expression: Expr, ranges: Ranges) -> Expr:
    """Carry out every sum over a Kronecker delta, and move factors that do not depend on a bound letter out of its sum.

    ranges: the number of elements of each free letter. Idempotent.

    Raises:
        DerivationError: if a delta joins letters of different ranges, or has an index that is no plain letter.
    """
    if isinstance(expression, Sum):
        body: Expr = expression.function
        limits = list(expression.limits)
        inside = {**ranges, **{letter: high + 1 for letter, _, high in limits}}
        body = contract(body, inside)
        for letter, _, high in limits:
            body = sum_over(body, letter, high + 1, inside)
        return body
    if not expression.args or not expression.has(KroneckerDelta, Sum):
        return expression
    if isinstance(expression, Piecewise):
        return _pull_delta_out([(contract(value, ranges), condition) for value, condition in expression.args])
    return rebuild(expression, [contract(a, ranges) if isinstance(a, Expr) else a for a in expression.args])


def summation(body: Expr, *bound: tuple[Symbol, Expr]) -> Expr:
    """Sum of `body` over each (letter, extent); `body` itself where there is none.

    A trap: `Sum` folds a Piecewise in its summand to the outside, past an inner sum whose letter the condition holds.
    An inner sum of cases therefore joins the outer one: sum over i of c_i times the sum over j of f_ij is the sum over
    i, j of c_i f_ij.

    Raises:
        DerivationError: where the two cannot be joined.
    """
    if not bound:
        return body
    if isinstance(body, Add) and any(_sums_cases(term) for term in body.args):
        return Add(*(summation(term, *bound) for term in body.args))
    limits = [over(letter, extent) for letter, extent in bound]
    factors = list(Mul.make_args(body))
    for position, factor in enumerate(factors):
        if isinstance(factor, Sum) and factor.has(Piecewise):
            rest = Mul(*factors[:position], *factors[position + 1 :])
            inner = rename_bound(factor, letters(rest) | {letter for letter, _ in bound})
            body, limits = inner.function * rest, [*inner.limits, *limits]
            break
    total = Sum(body, *limits)
    if not free_letters(total) <= free_letters(body) - {limit[0] for limit in limits}:
        raise DerivationError(f"the sum of {body} cannot be written: give its inner sum an equation of its own")
    return total


def _sums_cases(term: Expr) -> bool:
    return any(isinstance(factor, Sum) and factor.has(Piecewise) for factor in Mul.make_args(term))


def sum_over(body: Expr, letter: Symbol, extent: Expr, ranges: Ranges) -> Expr:
    """Sum of an already contracted `body` over `letter`, contracted."""
    if not body.has(letter):
        return extent * body
    if isinstance(body, Add):
        if not body.has(KroneckerDelta) and all(term.has(letter) for term in body.args):
            return summation(body, (letter, extent))
        return Add(*(sum_over(term, letter, extent, ranges) for term in body.args))
    factors = list(Mul.make_args(body))
    for position, factor in enumerate(factors):
        if isinstance(factor, KroneckerDelta) and factor.has(letter):
            rest = Mul(*factors[:position], *factors[position + 1 :])
            return _collapse(factor, rest, letter, extent, ranges)
    for position, factor in enumerate(factors):
        if factor.has(KroneckerDelta) and any(letter in delta.args for delta in factor.atoms(KroneckerDelta)):
            rest = Mul(*factors[:position], *factors[position + 1 :])
            if isinstance(factor, Sum):
                return _exchanged(factor, rest, letter, extent, ranges)
            opened = _open(factor)
            if opened is None:
                raise DerivationError(
                    f"the sum over {letter} of {body} holds a Kronecker delta that cannot be taken out"
                )
            return Add(*(sum_over(contract(term * rest, ranges), letter, extent, ranges) for term in opened))
    outside = Mul(*(factor for factor in factors if not factor.has(letter)))
    inside = Mul(*(factor for factor in factors if factor.has(letter)))
    if outside == 1:
        return summation(inside, (letter, extent))
    return outside * sum_over(inside, letter, extent, ranges)


def _exchanged(inner: Sum, rest: Expr, letter: Symbol, extent: Expr, ranges: Ranges) -> Expr:
    """Sum over s of f times the sum over m of g, as the sum over m of the sum over s of f g."""
    inner = rename_bound(inner, letters(rest) | {letter})
    bound = {m: high + 1 for m, _, high in inner.limits}
    total = sum_over(contract(inner.function * rest, {**ranges, **bound}), letter, extent, {**ranges, **bound})
    for m, size in bound.items():
        total = sum_over(total, m, size, {**ranges, **bound})
    return total


def _open(factor: Expr) -> list[Expr] | None:
    """The terms of a factor that is a sum, or a positive integer power of one; None for anything else."""
    if isinstance(factor, Add):
        return list(factor.args)
    if isinstance(factor, Pow) and factor.exp.is_Integer and factor.exp > 1 and isinstance(factor.base, Add):
        return [term * factor.base ** (factor.exp - 1) for term in factor.base.args]
    return None


def _collapse(delta: KroneckerDelta, rest: Expr, letter: Symbol, extent: Expr, ranges: Ranges) -> Expr:
    first, second = delta.args
    other = second if first == letter else first
    if letter not in (first, second) or other.has(letter):
        raise DerivationError(f"{delta} cannot be solved for {letter}; only plain index letters can be contracted")
    if isinstance(other, Symbol):
        if ranges.get(other) != extent:
            raise DerivationError(
                f"{delta} joins {letter}, which runs over {extent} elements, with {other}, "
                f"which runs over {ranges.get(other)}"
            )
    elif not (other.is_Integer and other >= 0 and (extent - other).is_positive):
        raise DerivationError(
            f"{delta}: {other} is not known to lie in the range of {letter}, which has {extent} elements"
        )
    return contract(substitute_indices(rest, {letter: other}), ranges)


def _pull_delta_out(branches: list[tuple[Expr, Basic]]) -> Expr:
    """[i = j] that stands in every term of every branch moves in front of the Piecewise."""
    front: Expr = Integer(1)
    values = [value for value, _ in branches]
    first = next((value for value in values if value != 0), Integer(0))
    for delta in Mul.make_args(Add.make_args(first)[0]):
        if isinstance(delta, KroneckerDelta):
            without = [_without(value, delta) for value in values]
            if all(value is not None for value in without):
                front, values = front * delta, without
    return front * Piecewise(*((value, condition) for value, (_, condition) in zip(values, branches, strict=True)))


def _without(value: Expr, delta: KroneckerDelta) -> Expr | None:
    """f where the value is [i = j] f, multiplied out if need be; None if it is not."""
    for form in (value, expand_mul(value)):
        terms = [list(Mul.make_args(term)) for term in Add.make_args(form)]
        if form == 0 or all(delta in factors for factors in terms):
            return Add(*(Mul(*(factor for factor in factors if factor != delta)) for factors in terms))
    return None


def shape_ranges(indices: tuple[Expr, ...], shape: tuple[Expr, ...]) -> dict[Expr, Expr]:
    """Which letter runs over how many elements."""
    return {letter: extent for letter, extent in zip(indices, shape, strict=True) if isinstance(letter, Symbol)}
