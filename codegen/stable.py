"""Compute forms: the same numbers as the display form, but finite for |z| = 1000 in float32.

The mathematics is never touched: a rule rewrites the right side of one equation on its way to code. Rules
stand in `RULES`, in the order in which they are tried; each is chosen by the structure of the expression, and
its law is its docstring. Tests hold each law against 50-digit arithmetic.

The functions below are the ones SymPy lacks or would evaluate: they only name a compute form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import sympy
from sympy import Add, Dummy, Expr, Function, Indexed, Integer, Mul, Piecewise, Pow, Sum, Symbol, exp, log
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.relational import Ge, Gt, Le, Lt

from symbolic.tensors import Equation, elements, indices_of, key_of


class LogisticSigmoid(Function):
    """1/(1 + exp(-u)), computed as (1 + tanh(u/2))/2."""

    nargs = 1


class Softplus(Function):
    """log(1 + exp(u)), computed as max(u, 0) + log1p(exp(-|u|))."""

    nargs = 1


class Expm1(Function):
    """exp(u) - 1 without cancellation near 0."""

    nargs = 1


class Maximum(Function):
    """The larger of two; NaN if either is."""

    nargs = 2


class Minimum(Function):
    """The smaller of two; NaN if either is."""

    nargs = 2


class MaxOver(ExprWithLimits):
    """The largest value of `function` as the bound letters run, written like a Sum."""

    __slots__ = ()


Definitions = Mapping[str, Equation]
Rule = Callable[[Expr, Definitions], "Expr | None"]


def compute_form(equation: Equation, definitions: Definitions, rules: tuple[Rule, ...] | None = None) -> Expr:
    """The right side of `equation` in the form that code computes.

    definitions: the equations of the program by key, for the rules that look through a tensor at its
                 definition.
    rules:       by default RULES.
    """
    expression = equation.rhs
    for rule in RULES if rules is None else rules:
        expression = rewritten(expression, rule, definitions)
    return expression


def rewritten(expression: Expr, rule: Rule, definitions: Definitions) -> Expr:
    """`expression` with `rule` applied wherever it fits: to the whole first, otherwise to each part."""
    if not expression.args or isinstance(expression, Indexed):
        return expression
    changed = rule(expression, definitions)
    if changed is not None:
        return changed
    args = [rewritten(argument, rule, definitions) if argument.args else argument for argument in expression.args]
    if all(new is old for new, old in zip(args, expression.args, strict=True)):
        return expression
    rebuilt = expression.func(*args)
    again = rule(rebuilt, definitions) if isinstance(rebuilt, Expr) else None
    return rebuilt if again is None else again


# --- logarithms -------------------------------------------------------------------------------------------


def logarithm_of_definition(expression: Expr, definitions: Definitions) -> Expr | None:
    """log f(a) with a = g(z) is log f(g(z)); taken where that has a form of its own, as cross-entropy from
    logits has.
    """
    if not isinstance(expression, log):
        return None
    argument = expression.args[0]
    defined = [element for element in dict.fromkeys(elements(argument)) if key_of(element) in definitions]
    if len(defined) != 1:
        return None
    element = defined[0]
    inlined = argument.xreplace({element: inline(element, definitions[str(key_of(element))], expression)})
    return logarithm_of_ratio(log(inlined, evaluate=False), definitions)


def logarithm_of_ratio(expression: Expr, definitions: Definitions) -> Expr | None:
    """log(e^u) = u; log(1 + e^u) = softplus(u); log(sum_k e^u_k) = m + log(sum_k e^(u_k - m)), m = max_k u_k;
    and products of these.
    """
    if not isinstance(expression, log):
        return None
    total: Expr = Integer(0)
    found = False
    for factor in Mul.make_args(_over_exponential(expression.args[0])):
        base, exponent = (factor, Integer(1)) if isinstance(factor, exp) else factor.as_base_exp()
        term = _logarithm_of_factor(base)
        if term is None:
            return None
        found = found or not base.is_number
        total += exponent * term
    return total if found else None


def _logarithm_of_factor(base: Expr) -> Expr | None:
    if base.is_number:
        return log(base) if base.is_positive else None
    if isinstance(base, exp):
        return base.args[0]
    if isinstance(base, Sum) and isinstance(base.function, exp) and not base.has(MaxOver):
        exponent = base.function.args[0]
        largest = _largest(exponent, base)
        return largest + log(Sum(exp(exponent - largest), *base.limits))
    if isinstance(base, Add):
        constant, rest = base.as_coeff_Add()
        coefficient, power = rest.as_coeff_Mul()
        if constant.is_positive and coefficient.is_positive and isinstance(power, exp):
            shift = Integer(0) if coefficient == constant else log(coefficient / constant)
            return Softplus(power.args[0] + shift) + (Integer(0) if constant == 1 else log(constant))
    return None


def _largest(exponent: Expr, total: Sum) -> Expr:
    """max of `exponent` over the letters of `total`, under letters of its own: it stands inside that sum."""
    own = {limit[0]: Symbol(f"{limit[0].name}_max", integer=True, nonnegative=True) for limit in total.limits}
    limits = [(own[letter], low, high) for letter, low, high in total.limits]
    return MaxOver(exponent.xreplace(own), *limits)


def _over_exponential(argument: Expr) -> Expr:
    """`argument` as one fraction in its exponential, if it is a rational function of one: 1 - 1/(1 + E)
    becomes E/(1 + E).
    """
    if not isinstance(argument, Add):
        return argument
    found = _exponential(argument)
    if found is None:
        return argument
    unit, variable, rational, others = found
    # In E and in 1/E; the shorter has no factor E, whose logarithm would cancel against that of 1 + E.
    fractions = [
        sympy.factor(sympy.cancel(sympy.together(rational.xreplace({variable: variable**sign})))).xreplace(
            {variable: exp(sign * unit), **others}
        )
        for sign in (1, -1)
    ]
    return min(fractions, key=sympy.count_ops)


def inline(element: Expr, equation: Equation, avoid: Expr) -> Expr:
    """The right side that defines `element`, at its indices; bound letters are renamed where they would be
    captured.
    """
    rhs = equation.rhs
    taken = {s.name for s in (*avoid.free_symbols, *rhs.free_symbols, *element.free_symbols) if isinstance(s, Symbol)}
    taken |= {limit[0].name for node in avoid.atoms(Sum) for limit in node.limits}
    for node in sorted(rhs.atoms(Sum), key=str):
        for limit in node.limits:
            letter = limit[0]
            name, count = letter.name, 0
            while name in taken:
                count += 1
                name = f"{letter.name}_{count}"
            rhs = rhs.replace(
                lambda e, letter=letter: isinstance(e, Sum) and letter in e.bound_symbols,
                lambda e, letter=letter, name=name: e.xreplace({letter: Symbol(name, integer=True, nonnegative=True)}),
            )
    return rhs.xreplace(dict(zip(equation.indices, indices_of(element), strict=True)))


# --- ratios of exponentials -------------------------------------------------------------------------------


def shifted_softmax(expression: Expr, definitions: Definitions) -> Expr | None:
    """e^u_j / sum_k e^u_k = e^(u_j - m) / sum_k e^(u_k - m) for any m; m = max_k u_k keeps every exponent at
    or below 0.
    """
    if not isinstance(expression, Mul):
        return None
    for divisor in expression.args:
        base, exponent = divisor.as_base_exp()
        if exponent != -1 or not isinstance(base, Sum) or not isinstance(base.function, exp) or len(base.limits) != 1:
            continue
        summand = base.function.args[0]
        if isinstance(summand, Add) and any(term.has(MaxOver) for term in summand.args):
            continue
        largest = _largest(summand, base)
        for factor in expression.args:
            shifted = _shifted(factor, summand, base.limits[0][0], largest)
            if shifted is not None:
                others = [a for a in expression.args if a is not factor and a is not divisor]
                return Mul(*others, shifted, Pow(Sum(exp(summand - largest), *base.limits), -1))
    return None


def _shifted(factor: Expr, summand: Expr, bound: Symbol, largest: Expr) -> Expr | None:
    """`factor`, which contains e^u once as a factor, with e^(u - largest) instead."""
    if isinstance(factor, exp):
        letters = sorted(factor.args[0].free_symbols - summand.free_symbols, key=str)
        if any(summand.xreplace({bound: letter}) == factor.args[0] for letter in letters):
            return exp(factor.args[0] - largest)
    if isinstance(factor, Sum):
        for inner in Mul.make_args(factor.function):
            if isinstance(inner, exp) and _shifted(inner, summand, bound, largest) is not None:
                rest = Mul(*(a for a in Mul.make_args(factor.function) if a is not inner))
                return factor.func(exp(inner.args[0] - largest) * rest, *factor.limits)
    return None


def logistic(expression: Expr, definitions: Definitions) -> Expr | None:
    """With s = 1/(1 + e^-u), e^-u = (1 - s)/s: a rational function of e^-u with denominators (1 + e^-u)^n is
    a polynomial in s.
    """
    if not isinstance(expression, (Add, Mul, Pow)) or not _divides_by_exponential(expression):
        return None
    if isinstance(expression, (Add, Mul)):
        apart = [argument for argument in expression.args if not _arithmetic_exponentials(argument)]
        if apart:
            rest = logistic(expression.func(*(a for a in expression.args if a not in apart)), definitions)
            return None if rest is None else expression.func(*apart, rest)
    found = _exponential(expression)
    if found is None:
        return None
    unit, variable, rational, others = found
    s = Dummy("s")
    in_s = sympy.cancel(sympy.together(rational.xreplace({variable: (1 - s) / s})))
    if s in sympy.fraction(in_s)[1].free_symbols:
        return None
    factored = sympy.factor(in_s)
    sums = [factor for factor in Mul.make_args(factored) if isinstance(factor, Add)]
    if sums and factored.as_coeff_Mul()[0].is_negative:
        factored = (-factored).xreplace({sums[0]: Add(*(-term for term in sums[0].args))})
    return factored.xreplace({**others, s: LogisticSigmoid(-unit)})


def _divides_by_exponential(expression: Expr) -> bool:
    if isinstance(expression, Pow) and expression.exp.is_negative and isinstance(expression.base, (Add, Mul)):
        return bool(_arithmetic_exponentials(expression.base))
    return isinstance(expression, (Add, Mul)) and any(_divides_by_exponential(a) for a in expression.args)


def _arithmetic_exponentials(expression: Expr) -> list[exp]:
    """The exponentials that `expression` reaches by adding, multiplying and integer powers alone."""
    if isinstance(expression, exp):
        return [expression]
    if isinstance(expression, (Add, Mul)) or (isinstance(expression, Pow) and expression.exp.is_Integer):
        return [found for argument in expression.args for found in _arithmetic_exponentials(argument)]
    return []


def _exponential(expression: Expr) -> tuple[Expr, Dummy, Expr, dict[Expr, Expr]] | None:
    """(u, E, expression with e^(n u) as E**n and the rest as symbols, what the symbols stand for); None
    unless one u serves all.
    """
    exponents = list(dict.fromkeys(e.args[0] for e in _arithmetic_exponentials(expression)))
    if not exponents:
        return None
    unit = min(exponents, key=lambda u: (abs(u.as_coeff_Mul()[0]), str(u)))
    unit = unit if unit.could_extract_minus_sign() else -unit
    ratios = [sympy.cancel(u / unit) for u in exponents]
    if not all(ratio.is_Integer for ratio in ratios):
        return None
    variable = Dummy("E", positive=True)
    names: dict[Expr, Expr] = {}
    others: dict[Expr, Expr] = {}

    def visit(node: Expr) -> Expr:
        if isinstance(node, exp):
            return variable ** sympy.cancel(node.args[0] / unit)
        if isinstance(node, (Add, Mul)) or (isinstance(node, Pow) and node.exp.is_Integer):
            return node.func(*(visit(argument) for argument in node.args))
        if node.is_number:
            return node
        if node not in names:
            names[node] = Dummy(f"q{len(names)}")
            others[names[node]] = node
        return names[node]

    return unit, variable, visit(expression), others


def exponential_minus_one(expression: Expr, definitions: Definitions) -> Expr | None:
    """c e^u - c = c expm1(u), which keeps its digits where u is near 0."""
    if not isinstance(expression, Add):
        return None
    for term in expression.args:
        powers = [factor for factor in Mul.make_args(term) if isinstance(factor, exp)]
        if len(powers) != 1:
            continue
        scale = term / powers[0]
        if -scale in expression.args:
            rest = [a for a in expression.args if a is not term and a != -scale]
            return Add(*rest, scale * Expm1(powers[0].args[0]))
    return None


# --- choices ----------------------------------------------------------------------------------------------


def choice_as_extremum(expression: Expr, definitions: Definitions) -> Expr | None:
    """(u if u > v else v) = max(u, v) and (u if u < v else v) = min(u, v); a comparison alone would turn NaN
    into v.
    """
    if not isinstance(expression, Piecewise) or len(expression.args) != 2 or expression.args[1].cond is not sympy.true:
        return None
    (yes, condition), (no, _) = expression.args
    if not isinstance(condition, (Gt, Ge, Lt, Le)):
        return None
    pair = (condition.lhs, condition.rhs)
    if (yes, no) not in (pair, pair[::-1]):
        return None
    larger = isinstance(condition, (Gt, Ge)) == ((yes, no) == pair)
    variable, constant = pair if pair[1].is_number else pair[::-1]
    return (Maximum if larger else Minimum)(variable, constant)


def clamped_branch(expression: Expr, definitions: Definitions) -> Expr | None:
    """Code evaluates every branch everywhere, so e^u in the branch for u <= c is taken as e^min(u, c): equal
    where it counts.
    """
    if not isinstance(expression, Piecewise) or len(expression.args) != 2 or expression.args[1].cond is not sympy.true:
        return None
    (yes, condition), (no, _) = expression.args
    if not isinstance(condition, (Gt, Ge, Lt, Le)):
        return None
    variable, bound = condition.lhs, condition.rhs
    above = isinstance(condition, (Gt, Ge))
    if variable.is_number:
        variable, bound, above = bound, variable, not above
    if not bound.is_number or variable.is_number:
        return None
    upper, lower = Maximum(variable, bound), Minimum(variable, bound)
    new_yes = _clamped(yes, variable, upper if above else lower)
    new_no = _clamped(no, variable, lower if above else upper)
    if (new_yes, new_no) == (yes, no):
        return None
    return Piecewise((new_yes, condition), (new_no, True))


def _clamped(branch: Expr, variable: Expr, clamped: Expr) -> Expr:
    parts = [part for part in branch.atoms(exp, Expm1, log) if part.has(variable) and not part.has(type(clamped))]
    return reduce(
        lambda e, part: e.xreplace({part: part.xreplace({variable: clamped})}), sorted(parts, key=str), branch
    )


RULES: tuple[Rule, ...] = (
    logarithm_of_definition,
    logarithm_of_ratio,
    shifted_softmax,
    logistic,
    exponential_minus_one,
    choice_as_extremum,
    clamped_branch,
)
