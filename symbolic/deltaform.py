"""Rewriting towards the delta form: reuse the output, use a declared fact, tidy.

All three are algebra on what is there. No function is looked up by its name, and no pair of activation and loss is
recognised: sigma' = a(1 - a), the softmax Jacobian and a - y come out because the equations say so.

Everything that is not a rational operation (a tensor element, a sum, a delta, a function) is an opaque letter while the
rational part is rearranged.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod

from sympy import (
    Add,
    Basic,
    Expr,
    Function,
    Indexed,
    KroneckerDelta,
    Mul,
    Piecewise,
    Poly,
    PolynomialError,
    Pow,
    Rational,
    Sum,
    Symbol,
    cancel,
    exp,
    factor,
    fraction,
    gcd_terms,
    log,
    together,
)
from sympy.core.traversal import preorder_traversal

from symbolic.calculus import bound_limits, letters, rebuild, summation
from symbolic.errors import DerivationError
from symbolic.rules import TIDY, USE_FACT, Step
from symbolic.tensors import Equation, Fact, is_letter

LARGEST_PASS = 20
# A product that has more terms when it is multiplied out is left as it is: cancelling would take exponential time.
MOST_TERMS = 64
LONGEST_PLAIN_NUMBER = 3


@lru_cache(maxsize=1024)
def cost(expression: Basic) -> int:
    """How much there is to read and to compute: operations, long numbers, and three times what stands under a sum."""
    if isinstance(expression, Rational):
        return max(0, len(str(expression)) - LONGEST_PLAIN_NUMBER)
    if not expression.args or isinstance(expression, (Indexed, KroneckerDelta)):
        return 0
    if isinstance(expression, Sum):
        return 4 + 3 * cost(expression.function)
    if isinstance(expression, Piecewise):
        return sum(1 + cost(value) for value, _ in expression.args)
    if isinstance(expression, Add):
        inner = sum(cost(-term if term.could_extract_minus_sign() else term) for term in expression.args)
        led_by_minus = all(term.could_extract_minus_sign() for term in expression.args)
        return inner + len(expression.args) - 1 + led_by_minus
    if isinstance(expression, Mul):
        numerator, denominator = fraction(expression, exact=True)
        if denominator != 1:
            return cost(numerator) + cost(denominator) + 2
        coefficient, rest = expression.as_coeff_Mul()
        factors = Mul.make_args(rest)
        signs = (0 if coefficient == 1 else 1) + cost(coefficient)
        return signs + sum(cost(one) for one in factors) + len(factors) - 1
    if isinstance(expression, Pow):
        return cost(expression.base) + (2 if expression.exp.could_extract_minus_sign() else 1)
    return 1 + sum(cost(argument) for argument in expression.args)


class Opaque:
    """Letters for whatever is not rational, one for each thing; `exp(c w)` is a power of the letter for exp(w)."""

    def __init__(self) -> None:
        self.letters: dict[Expr, Symbol] = {}

    def letter(self, thing: Expr) -> Symbol:
        if thing not in self.letters:
            self.letters[thing] = Symbol(f"_{len(self.letters)}")
        return self.letters[thing]

    def hide(self, node: Expr) -> Expr:
        """The rational skeleton of an expression."""
        if node.is_Rational:
            return node
        if isinstance(node, (Add, Mul)):
            return node.func(*(self.hide(argument) for argument in node.args))
        if isinstance(node, Pow) and node.exp.is_Integer:
            return self.hide(node.base) ** node.exp
        if isinstance(node, exp):
            coefficient, rest = node.args[0].as_coeff_Mul()
            if coefficient.is_Integer and not isinstance(rest, Add):
                return self.letter(exp(rest)) ** coefficient
        return self.letter(node)

    def show(self, node: Expr) -> Expr:
        return node.xreplace({letter: thing for thing, letter in self.letters.items()})


def rearranged(expression: Expr) -> Iterator[Expr]:
    """Equal forms of a rational expression: cancelled, factored, with signs turned to read a(1 - a)."""
    opaque = Opaque()
    skeleton = opaque.hide(expression)
    if expanded_terms(skeleton) > MOST_TERMS:
        return
    if not skeleton.has(Add):  # a product of powers has no other form
        yield opaque.show(skeleton)
        return
    for form in rational_forms(cancel(together(skeleton))):
        yield opaque.show(form)


def expanded_terms(skeleton: Expr) -> int:
    """How many terms a rational expression would have if it were multiplied out, at the most."""
    if isinstance(skeleton, Add):
        return sum(expanded_terms(term) for term in skeleton.args)
    if isinstance(skeleton, Mul):
        return prod(expanded_terms(one) for one in skeleton.args)
    if isinstance(skeleton, Pow):
        inner = expanded_terms(skeleton.base)
        return inner ** abs(int(skeleton.exp)) if inner > 1 else 1
    return 1


def rational_forms(flat: Expr) -> tuple[Expr, ...]:
    """A cancelled fraction as it is, with common factors of its terms in front, and factored all the way."""
    if not any(part.is_Add for part in fraction(flat)):
        return (flat,)
    return flat, turned(gcd_terms(flat)), turned(factor(flat))


def turned(product: Expr) -> Expr:
    """-x(a - 1) as x(1 - a): negative constants in factors are turned round, and a sign in front goes into a factor."""
    coefficient, rest = product.as_coeff_Mul()
    factors = list(Mul.make_args(rest))
    for leads in (_leads_with_minus, _has_minus):
        for position, one in enumerate(factors):
            base, power = one.as_base_exp()
            worth = leads is _leads_with_minus or coefficient.could_extract_minus_sign()
            if worth and isinstance(base, Add) and power in (1, -1) and leads(base):
                factors[position] = Add(*(-term for term in base.args)) ** power
                coefficient = -coefficient
    return Mul(coefficient, *factors)


def _leads_with_minus(total: Add) -> bool:
    """Like a - 1: the constant is negative and something else is not."""
    constant = total.args[0]
    return bool(constant.is_Number and constant < 0) and not all(t.could_extract_minus_sign() for t in total.args)


def _has_minus(total: Add) -> bool:
    constant = total.args[0]
    return any(t.could_extract_minus_sign() for t in total.args) and not (constant.is_Number and constant > 0)


def rank(form: Expr) -> tuple[int, bool, int]:
    """What decides between equal forms: the cost; then a product before a sum; then a(1 - a) before a - a^2."""
    powers = sum(1 for node in preorder_traversal(form) if isinstance(node, Pow) and node.exp not in (1, -1))
    return cost(form), isinstance(form, Add), powers


@lru_cache(maxsize=1024)
def best(expression: Expr) -> Expr:
    """The first of the equal forms by `rank`, and the expression itself where none is before it."""
    if isinstance(expression, (Indexed, Symbol)) or expression.is_number:
        return expression
    if isinstance(expression, Piecewise):
        return rebuild(expression, [pair.func(best(pair.args[0]), pair.args[1]) for pair in expression.args])
    inner = _best_inside(expression)
    content, primitive = inner.as_content_primitive()
    candidates = [inner, Mul(content, primitive), *rearranged(inner)]
    return min(candidates, key=lambda form: (*rank(form), candidates.index(form)))


def _best_inside(node: Expr) -> Expr:
    """Sums and Piecewise tidied inside, where they stand."""
    if isinstance(node, Sum):
        return _sum_out(best(node.function), node)
    if isinstance(node, Piecewise):
        return best(node)
    if isinstance(node, (Add, Mul, Pow)):
        return rebuild(node, [_best_inside(a) if isinstance(a, Expr) else a for a in node.args])
    return node


def _sum_out(body: Expr, node: Sum) -> Expr:
    """Sum of c f(i) as c times the sum of f(i)."""
    bound = {limit[0] for limit in node.limits}
    outside = [one for one in Mul.make_args(body) if not letters(one) & bound]
    inside = [one for one in Mul.make_args(body) if letters(one) & bound]
    if not inside:
        return node
    return Mul(*outside) * summation(Mul(*inside), *((letter, high + 1) for letter, _, high in node.limits))


def apply_fact(node: Basic, fact: Fact) -> Expr:
    """The expression with every occurrence of the fact's left side, at any value of its free letters, replaced."""
    if not node.args:
        return node
    swap = unify(fact.before, node)
    if swap is not None:
        return fact.after.xreplace(swap)
    return rebuild(node, [apply_fact(argument, fact) for argument in node.args])


def unify(pattern: Basic, target: Basic) -> dict[Expr, Expr] | None:
    """The values of the pattern's letters, free and bound, that make it the target; None if there are none.

    A bound letter stands for a bound one; a free letter never for one that the target binds.
    """
    swap: dict[Expr, Expr] = {}
    stack = [(pattern, target)]
    while stack:
        one, other = stack.pop()
        if is_letter(one):
            if swap.setdefault(one, other) != other:
                return None
        elif not one.args or not other.args:
            if one != other:
                return None
        elif one.func != other.func or len(one.args) != len(other.args):
            return None
        else:
            stack.extend(zip(one.args, other.args, strict=True))
    bound = {letter for letter, _ in bound_limits(pattern)}
    captured = {letter for letter, _ in bound_limits(target)}
    own = [value for letter, value in swap.items() if letter in bound]
    free = [value for letter, value in swap.items() if letter not in bound]
    if not set(own) <= captured or any(letters(value) & captured for value in free):
        return None
    return swap


def tidy_steps(expression: Expr, facts: tuple[Fact, ...]) -> tuple[Step, ...]:
    """Simplify and use facts until nothing changes, as steps; the empty tuple if nothing does.

    Total and terminating: a step is kept only if it lowers `cost` (or, for a fact, removes a sum).
    """
    steps: list[Step] = []
    current = expression
    for _ in range(LARGEST_PASS):
        before = current
        simpler = best(current)
        if rank(simpler) < rank(current):
            steps.append(Step(TIDY, current, simpler))
            current = simpler
        for fact in facts:
            known = apply_fact(current, fact)
            if known != current:
                steps.append(Step(USE_FACT, current, known, because=fact))
                current = known
        if current == before:
            return tuple(steps)
    raise DerivationError(f"simplifying {expression} did not come to an end")


def atoms_of(expression: Expr) -> list[Expr]:
    """Transcendental functions of tensor elements, outside of sums, each once, in the order of the expression."""
    found: dict[Expr, None] = {}
    walk = preorder_traversal(expression)
    for node in walk:
        if isinstance(node, (Sum, Indexed)):
            walk.skip()
        elif isinstance(node, Function) and not isinstance(node, (KroneckerDelta, Piecewise)):
            if isinstance(node, exp):
                _, rest = node.args[0].as_coeff_Mul()
                node = exp(rest)
            found.setdefault(node)
            walk.skip()
    return list(found)


def solved(equation: Equation) -> tuple[Expr, Expr] | None:
    """(t, R) with t = R(output) where the equation output = f(t) can be solved for its one transcendental part t.

    Only if R holds nothing but the output, sums and constants: a solution that still needs the input is no help.
    """
    outer: Expr = equation.lhs
    inner = equation.rhs
    while isinstance(inner, log):
        outer, inner = exp(outer), inner.args[0]
    atoms = atoms_of(inner)
    if len(atoms) != 1:
        return None
    atom = atoms[0]
    opaque = Opaque()
    unknown = opaque.letter(atom)
    residual = together(opaque.hide(inner) - opaque.hide(outer))
    kept = {opaque.letter(thing) for thing in list(opaque.letters) if isinstance(thing, Sum)}
    kept |= {unknown, opaque.letter(outer)}
    try:
        polynomial = Poly(fraction(residual)[0], unknown)
    except PolynomialError:
        return None
    if polynomial.degree() != 1 or not residual.free_symbols <= kept:
        return None
    slope, rest = polynomial.all_coeffs()
    return atom, opaque.show(cancel(-rest / slope))


def reuse_output(expression: Expr, equation: Equation) -> Expr | None:
    """Express a derivative of `equation` by its output: exp(-z) = (1 - a)/a turns sigma'(z) into a(1 - a).

    equation: with the letters at which it was differentiated, so that the output is taken at the same place.

    Kept only if the atom and the sums disappear and no denominator is left that the output could make zero; on a
    Piecewise, each branch is solved by itself. None where it does not help.
    """
    after = _reused(expression, equation)
    if after is None or after == expression or not letters(after) <= letters(expression) | set(equation.indices):
        return None
    return after


def _reused(expression: Expr, equation: Equation) -> Expr | None:
    if isinstance(equation.rhs, Piecewise) and isinstance(expression, Piecewise):
        branches = []
        for (value, condition), (output, same) in zip(expression.args, equation.rhs.args, strict=True):
            if condition != same and not _same_condition(condition, same, equation):
                return None
            branch = _reused(value, Equation(equation.tensor, equation.indices, output))
            branches.append((value if branch is None else branch, condition))
        return Piecewise(*branches)
    solution = solved(equation)
    if solution is None:
        return None
    atom, form = solution
    opaque = Opaque()
    skeleton = opaque.hide(expression)
    swap = {}
    for thing in list(opaque.letters):
        place = unify(atom, thing)
        if place is not None:
            value = form.xreplace({k: v for k, v in place.items() if k in equation.indices})
            swap[opaque.letter(thing)] = opaque.hide(value)
    result = cancel(together(skeleton.xreplace(swap)))
    shown = opaque.show(result)
    _, denominator = fraction(result)
    if any(not (isinstance(thing, exp)) for thing in map(opaque.show, denominator.free_symbols)):
        return None
    if any(part in denominator.free_symbols for part in swap) or (atoms_of(expression) and _still(shown, atom)):
        return None
    forms = [_merged_exponentials(shown), *map(opaque.show, rational_forms(result))]
    return min(forms, key=rank)


def _same_condition(one: Basic, other: Basic, equation: Equation) -> bool:
    swap = unify(other, one)
    return swap is not None and all(k in equation.indices or k == v for k, v in swap.items())


def _still(expression: Expr, atom: Expr) -> bool:
    return any(unify(atom, thing) is not None for thing in atoms_of(expression))


def _merged_exponentials(expression: Expr) -> Expr:
    """(e^a - 1)/e^a as 1 - e^(-a): a denominator that is an exponential is divided out."""
    numerator, denominator = fraction(expression)
    if isinstance(denominator, (exp, Pow)) and numerator.is_Add:
        return Add(*(term / denominator for term in numerator.args))
    return expression
