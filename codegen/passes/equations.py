"""Passes on equations: axes exchanged, and the learning rate inside the first adjoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sympy import Add, Expr, Indexed, Integer, Mul, Piecewise, Pow, Sum, Symbol

from codegen.passes.alike import OncePerKind
from symbolic.moulds import element
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, is_letter, key_of


def examples_extent(program: Program) -> Expr | None:
    """The size of the examples' axis, N; None for a program without one."""
    for equation in program.equations:
        if program.example in equation.indices:
            return equation.tensor.shape[equation.indices.index(program.example)]
    return None


def feature_major(
    equations: Sequence[Equation], tensors: Mapping[str, Tensor], count: Expr
) -> dict[str, tuple[int, ...]]:
    """The order of axes of every tensor that has the axis of `count` examples just once: examples last.

    Inputs that nothing but sums over one of their letters read stay as they are: a product of matrices takes either.
    """
    entries = {key for equation in equations for key in _read_by_entries(equation.rhs)}
    orders: dict[str, tuple[int, ...]] = {}
    for key, tensor in tensors.items():
        if tensor.shape.count(count) == 1 and tensor.role != "parameter":
            place = tensor.shape.index(count)
            if tensor.role == "input" and len(tensor.shape) == 2 and key not in entries:
                continue
            orders[key] = (*(n for n in range(len(tensor.shape)) if n != place), place)
    return orders


def _read_by_entries(rhs: Expr) -> set[str]:
    """Keys of the tensors with an element in `rhs` that is not summed over a letter of its own."""
    found: set[str] = set()
    stack: list[tuple[Expr, frozenset[Expr]]] = [(rhs, frozenset())]
    while stack:
        expression, bound = stack.pop()
        if isinstance(expression, Indexed):
            if not bound & set(expression.indices):
                found.add(str(key_of(expression)))
            continue
        if isinstance(expression, Sum):
            stack.append((expression.function, bound | {letter for letter, *_ in expression.limits}))
        elif isinstance(expression, (Add, Mul)):
            stack.extend((argument, bound) for argument in expression.args)
        else:  # a function of entries, which are then read one by one
            stack.extend((argument, frozenset()) for argument in expression.args)
    return found


def exchanged(
    equations: Sequence[Equation], tensors: Mapping[str, Tensor], orders: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[Equation, ...], dict[str, Tensor]]:
    """The same equations with the axes of tensors in these orders.

    z[p, j] becomes z[j, p], on both sides: letters say which axis is meant, so any order of axes is as true.
    """
    if not orders:
        return tuple(equations), dict(tensors)
    moved = {
        key: replace(
            tensor,
            shape=tuple(tensor.shape[n] for n in orders[key]),
            indices=tuple(tensor.indices[n] for n in orders[key]),
        )
        if key in orders
        else tensor
        for key, tensor in tensors.items()
    }

    def turned(equation: Equation) -> list[Expr]:
        elements = [e for e in equation.rhs.atoms(Indexed) if key_of(e) in orders]
        swap = {e: element(e.base.label, tuple(e.indices[n] for n in orders[str(key_of(e))])) for e in elements}
        return [equation.rhs.xreplace(swap)]

    right_side = OncePerKind(turned, orders.get)
    made = []
    for equation in equations:
        key, (rhs,) = equation.tensor.key, right_side(equation)
        if key in orders:
            letters = tuple(equation.indices[n] for n in orders[key])
            equation = Equation(moved[key], letters, rhs, equation.function)
        elif rhs is not equation.rhs:
            equation = replace(equation, rhs=rhs)
        made.append(equation)
    return tuple(made), moved


def folded_step(
    equations: Sequence[Equation], adjoints: frozenset[str], gradients: frozenset[str], step: Expr
) -> tuple[tuple[Equation, ...], Expr] | None:
    """Equations whose gradients are multiplied by `step`, and the factor that they have lost; None where it
    cannot be shown.

    Let every adjoint be homogeneous of degree one in the adjoints that it is made from, but for terms that are
    made from none. Multiply those terms by `step`, and by induction every adjoint and every gradient is multiplied
    by it. A factor that all gradients share, 1/N, is left out of them; it belongs into `step`.

    adjoints: keys of all adjoints and gradients.
    """
    size_factor = OncePerKind(lambda equation: [_size_factor(equation.rhs)])
    shared = {size_factor(equation)[0] for equation in equations if equation.tensor.key in gradients}
    factor = shared.pop() if len(shared) == 1 else Integer(1)
    lost = Mul.make_args(factor) if factor != 1 else ()
    sizes = {symbol.name for symbol in factor.free_symbols}

    def folded(equation: Equation) -> list[Expr]:
        """The right side; nothing if that cannot be shown to be multiplied."""
        rhs = equation.rhs
        if equation.tensor.key in gradients and lost:
            rhs = Mul(*(f for f in Mul.make_args(rhs) if f not in lost))
        if equation.tensor.key not in adjoints:
            return [rhs]
        scaled = _scaled(rhs, adjoints, step)
        return [] if scaled is None else [scaled]

    def trait(name: str) -> tuple[bool, bool, str]:
        return name in adjoints, name in gradients, name if name in sizes else ""

    right_side = OncePerKind(folded, trait, sorted(step.free_symbols, key=str))
    made = []
    for equation in equations:
        found = right_side(equation)
        if not found:
            return None
        made.append(equation if found[0] is equation.rhs else replace(equation, rhs=found[0]))
    return tuple(made), factor


def _scaled(rhs: Expr, adjoints: frozenset[str], step: Expr) -> Expr | None:
    """`rhs` with the terms of degree zero multiplied by `step`; None if a term is neither of degree zero nor one."""
    terms: dict[int, list[Expr]] = {0: [], 1: []}
    whole = degree(rhs, adjoints)
    for term in Add.make_args(rhs) if whole is None else (rhs,):
        power = degree(term, adjoints)
        if power is None or power not in terms:
            return None
        terms[power].append(term)
    if not terms[0]:
        return rhs
    number, seed = Add(*terms[0]).as_content_primitive()
    return Add(number * step * seed, *terms[1])


def degree(expression: Expr, adjoints: frozenset[str]) -> int | None:
    """The degree of `expression` as a homogeneous function of the adjoints' elements; None if it is none."""
    if key_of(expression) in adjoints:
        return 1
    if not any(key_of(e) in adjoints for e in expression.atoms(Indexed, Symbol)):
        return 0
    if isinstance(expression, Add):
        found = {degree(term, adjoints) for term in expression.args}
        return found.pop() if len(found) == 1 else None
    if isinstance(expression, Mul):
        degrees = [degree(factor, adjoints) for factor in expression.args]
        return None if None in degrees else sum(d for d in degrees if d is not None)
    if isinstance(expression, Sum):
        return degree(expression.function, adjoints)
    if isinstance(expression, Pow) and expression.exp.is_Integer and expression.exp.is_positive:
        base = degree(expression.base, adjoints)
        return None if base is None else base * int(expression.exp)
    if isinstance(expression, Piecewise):
        if any(degree(branch.cond, adjoints) != 0 for branch in expression.args if branch.cond.args):
            return None
        found = {degree(branch.expr, adjoints) for branch in expression.args if branch.expr != 0}
        return found.pop() if len(found) == 1 else None
    return None


def _size_factor(rhs: Expr) -> Expr:
    """The factor of `rhs` that is made of sizes alone, such as 1/N."""
    sizes = [f for f in Mul.make_args(rhs) if f.free_symbols and all(_is_size(s) for s in f.free_symbols)]
    return Mul(*sizes)


def _is_size(symbol: Expr) -> bool:
    return isinstance(symbol, Symbol) and bool(symbol.is_integer) and not is_letter(symbol)
