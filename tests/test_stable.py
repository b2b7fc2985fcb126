"""Compute forms: every rule fires on its structure, and says the same as the display form in 50 digits."""

import random

import pytest
import sympy
from sympy import Indexed, Max, Min, Piecewise, Rational, Sum, exp, log, tanh

from codegen.stable import (
    RULES,
    Expm1,
    LogisticSigmoid,
    Maximum,
    MaxOver,
    Minimum,
    Softplus,
    compute_form,
)
from symbolic.tensors import Equation, Tensor, index, over, size

p, j, k, i = index("p"), index("j"), index("k"), index("i")
N, n = size("N"), size("n")
z = Tensor("z", "preactivation", 1, (N, n), (p, j))
a = Tensor("a", "activation", 1, (N, n), (p, j))
y = Tensor("y", "target", None, (N, n), (p, j))
out = Tensor("out", "intermediate", None, (N, n), (p, j))
row = Tensor("row", "intermediate", None, (N,), (p,))
u = z[p, j]
SOFTMAX = exp(z[p, j]) / Sum(exp(z[p, k]), over(k, n))
SIGMOID = 1 / (1 + exp(-u))
WIDTH = 3


def concrete(expression, values, unit=0):
    """The number that an index expression is, for the element (0, unit) of arrays with WIDTH columns."""
    if isinstance(expression, (Sum, MaxOver)):
        letter = expression.limits[0][0]
        terms = [concrete(expression.function.xreplace({letter: sympy.Integer(m)}), values, unit) for m in range(WIDTH)]
        return sympy.Add(*terms) if isinstance(expression, Sum) else Max(*terms)
    if isinstance(expression, Indexed):
        place = [int(x.xreplace({p: sympy.Integer(0), j: sympy.Integer(unit)})) for x in expression.indices]
        return values[(str(expression.base), *place)]
    if not expression.args:
        return expression
    args = [concrete(x, values, unit) if isinstance(x, sympy.Basic) else x for x in expression.args]
    meaning = {
        LogisticSigmoid: lambda x: 1 / (1 + exp(-x)),
        Softplus: lambda x: log(1 + exp(x)),
        Expm1: lambda x: exp(x) - 1,
        Maximum: Max,
        Minimum: Min,
    }
    return meaning.get(expression.func, expression.func)(*args)


def same_numbers(before, after, definitions, seed=0):
    source = random.Random(seed)
    values = {(f"{name}", 0, m): sympy.Float(source.uniform(-2, 2), 50) for name in ("z1", "y") for m in range(WIDTH)}
    if "a1" in definitions:
        for m in range(WIDTH):
            values["a1", 0, m] = sympy.Float(concrete(definitions["a1"].rhs, values, m), 50)
    for unit in range(WIDTH):
        left, right = (sympy.N(concrete(e, values, unit), 50) for e in (before, after))
        assert abs(left - right) < sympy.Float("1e-40"), (before, after)


CASES = [
    # rule, definition of a, display form, what the compute form must contain, what it must not contain
    ("logarithm_of_definition", SOFTMAX, -y[p, j] * log(a[p, j]), (MaxOver,), ("a1",)),
    ("logarithm_of_definition", SIGMOID, log(a[p, j]), (Softplus,), ("a1",)),
    ("logarithm_of_definition", SIGMOID, log(1 - a[p, j]), (Softplus,), ("a1",)),
    ("logarithm_of_ratio", None, log(1 + exp(u)), (Softplus,), ()),
    ("logarithm_of_ratio", None, log(1 - SIGMOID), (Softplus,), ()),
    ("logarithm_of_ratio", None, log(2 + 3 * exp(u)), (Softplus,), ()),
    ("logarithm_of_ratio", None, log(Sum(exp(z[p, k]), over(k, n))), (MaxOver,), ()),
    ("shifted_softmax", None, SOFTMAX, (MaxOver,), ()),
    ("shifted_softmax", None, Sum(exp(z[p, i]) * y[p, i], over(i, n)) / Sum(exp(z[p, k]), over(k, n)),
     (MaxOver,), ()),
    ("logistic", None, SIGMOID, (LogisticSigmoid,), ()),
    ("logistic", None, (u * SIGMOID).diff(u), (LogisticSigmoid,), ()),
    ("logistic", None, (exp(u) + u + 1) * exp(u) / (exp(u) + 1) ** 2, (LogisticSigmoid,), ()),
    ("logistic", None, 3 * y[p, j] * exp(2 * u) / (1 + exp(2 * u)) ** 2 + 1, (LogisticSigmoid,), ()),
    ("exponential_minus_one", None, exp(u) - 1, (Expm1,), ()),
    ("exponential_minus_one", None, y[p, j] - y[p, j] * exp(-u), (Expm1,), ()),
    ("choice_as_extremum", None, Piecewise((u, u > 0), (0, True)), (Maximum,), (Piecewise,)),
    ("choice_as_extremum", None, Piecewise((0, u < 0), (u, True)), (Maximum,), (Piecewise,)),
    ("choice_as_extremum", None, Piecewise((u, u <= 1), (1, True)), (Minimum,), (Piecewise,)),
    ("clamped_branch", None, Piecewise((u, u > 0), (exp(u) - 1, True)), (Minimum, Expm1), ()),
    ("clamped_branch", None, Piecewise((exp(u), u < 0), (1 + tanh(u), True)), (Minimum,), ()),
]  # fmt: skip


def test_every_rule_has_a_case():
    assert {rule.__name__ for rule in RULES} == {case[0] for case in CASES}
    assert all(rule.__doc__ for rule in RULES)


@pytest.mark.parametrize(("rule", "definition", "display", "present", "absent"), CASES)
def test_rule(rule, definition, display, present, absent):
    definitions = {"a1": Equation(a, (p, j), definition)} if definition is not None else {}
    computed = compute_form(Equation(out, (p, j), display), definitions)
    assert computed != display
    for kind in present:
        assert computed.has(kind), computed
    for thing in absent:
        assert thing not in str(computed) if isinstance(thing, str) else not computed.has(thing)
    if rule == "logistic":
        assert not computed.has(exp)
    for seed in range(3):
        same_numbers(display, computed, definitions, seed)


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_is_idle(rule):
    """Without the rule, one of its cases comes out otherwise: else the rule would be dead."""
    others = tuple(other for other in RULES if other is not rule)
    changed = False
    for name, definition, display, *_ in CASES:
        if name == rule.__name__:
            definitions = {"a1": Equation(a, (p, j), definition)} if definition is not None else {}
            equation = Equation(out, (p, j), display)
            changed = changed or compute_form(equation, definitions) != compute_form(equation, definitions, others)
    assert changed


@pytest.mark.parametrize(
    "expression",
    [
        u**2 + y[p, j],
        exp(u),
        log(a[p, j]),
        exp(u) / (2 + u),
        1 / (1 + exp(u) + exp(y[p, j])),
        Piecewise((u, u > 0), (Rational(1, 100) * u, True)),
    ],
)
def test_what_has_no_compute_form_stays(expression):
    definitions = {"a1": Equation(a, (p, j), tanh(u))}
    assert compute_form(Equation(out, (p, j), expression), definitions) == expression


def test_an_inlined_definition_does_not_capture_letters():
    """log a[p, k] inside a sum over k, where the definition of a binds k itself."""
    definitions = {"a1": Equation(a, (p, j), SOFTMAX)}
    display = Sum(y[p, k] * log(a[p, k]), over(k, n))
    computed = compute_form(Equation(row, (p,), display), definitions)
    assert computed.has(MaxOver)
    same_numbers(display, computed, definitions)
