"""What is printed says what it is: expressions of different value never print the same.

A random expression and a copy with one thing changed (a letter, a sign, a power, a comparison, a function) are printed
in index form and, where there is one, in matrix form. If the texts agree, so must the values.
"""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Add, And, Integer, KroneckerDelta, Mul, Or, Piecewise, Pow, Rational, Sum, exp, log, tanh
from sympy.core.relational import Relational
from test_properties import CALM, FREE, LEAVES, A, B, N, i, j, k, terms, u, v, values

from symbolic import NOTATIONS, over
from symbolic.errors import NoMatrixForm
from symbolic.latex import LatexPrinter
from symbolic.matrixform import matrix_form
from symbolic.precision import NUMBERS
from symbolic.tensors import free_letters

TENSORS = {leaf.key: leaf for leaf in LEAVES}
PRINTER = LatexPrinter(NOTATIONS["cs229"], TENSORS, {}, None, None, None)


@st.composite
def cases(draw):
    """A function by cases, or any other expression."""
    if draw(st.booleans()):
        return draw(terms())
    first, second = draw(terms()), draw(terms())
    one, other = u[draw(st.sampled_from(FREE))], A[draw(st.sampled_from(FREE)), draw(st.sampled_from(FREE))]
    condition = draw(st.sampled_from([one > 0, other < 0, And(one > 0, other < 1), Or(one < 0, other > 1)]))
    return Piecewise((first, condition), (second, True)) * draw(st.sampled_from([Integer(1), v[i], exp(u[j])]))


def replacements(node):
    """Other nodes that could stand in the place of this one."""
    if node in FREE:
        yield from (letter for letter in FREE if letter != node)
    elif isinstance(node, KroneckerDelta):
        yield Integer(1)
    elif node.is_Integer or node.is_Rational:
        yield node + 1
        yield -node
    elif isinstance(node, Pow):
        yield Pow(node.base, -node.exp)
        yield Pow(node.base, node.exp + 1)
    elif isinstance(node, Relational):
        yield node.reversedsign
        yield type(node)(node.lhs, node.rhs + 1)
    elif isinstance(node, And):
        yield Or(*node.args)
    elif isinstance(node, Or):
        yield And(*node.args)
    elif isinstance(node, exp):
        yield tanh(node.args[0])
    elif isinstance(node, tanh):
        yield exp(node.args[0])
    elif isinstance(node, (Add, Mul)):
        yield node.func(*node.args[1:])
        yield -node
    elif isinstance(node, Sum):
        yield node.function.xreplace({node.limits[0][0]: i})
    elif node in (u[i], u[j]):
        yield node.xreplace({u[i]: v[i], u[j]: v[j]})
    elif node in (A[i, j], A[j, i], A[i, i]):
        yield A[tuple(reversed(node.indices))]
        yield B[node.indices]


def places(node, path=()):
    """(path, node) of everything in an expression but the limits of its sums."""
    yield path, node
    for at, part in enumerate(node.args):
        if not (isinstance(node, Sum) and at > 0):
            yield from places(part, (*path, at))


def put(node, path, new):
    if not path:
        return new
    arguments = list(node.args)
    arguments[path[0]] = put(arguments[path[0]], path[1:], new)
    return node.func(*arguments)


def changed(expression, shuffler):
    """The expression with one node replaced, or itself where nothing could be."""
    found = [(path, node) for path, node in places(expression) if list(replacements(node))]
    if not found:
        return expression
    path, node = shuffler.choice(found)
    other = put(expression, path, shuffler.choice(list(replacements(node))))
    return other if free_letters(other) <= set(FREE) else expression


def same_everywhere(one, other):
    for seed in (0, 1):
        pairs = zip(values(one, seed), values(other, seed), strict=True)
        if any(abs(a - b) > NUMBERS.mpf("1e-30") * max(1, abs(a), abs(b)) for a, b in pairs):
            return False
    return True


@settings(CALM, max_examples=250)
@given(cases(), st.randoms(use_true_random=False))
def test_different_values_never_print_the_same(expression, shuffler: random.Random):
    other = changed(expression, shuffler)
    texts = [PRINTER.doprint(one) for one in (expression, other)]
    if texts[0] == texts[1]:
        assert same_everywhere(expression, other), texts[0]


@settings(CALM, max_examples=250)
@given(cases(), st.randoms(use_true_random=False))
def test_different_values_never_print_the_same_in_matrices(expression, shuffler: random.Random):
    other = changed(expression, shuffler)
    try:
        forms = [matrix_form(one, (i, j), TENSORS, None, (N, N)) for one in (expression, other)]
    except NoMatrixForm:
        return
    texts = [PRINTER.doprint(form) for form in forms]
    if texts[0] == texts[1]:
        assert same_everywhere(expression, other), texts[0]


def test_the_change_changes_something():
    shuffler = random.Random(0)
    half = Rational(1, 2) * log(2 + exp(u[i]))
    for expression in (u[i] * v[j], exp(u[i]) ** 2, Sum(A[i, k] * u[k], over(k, N)), half):
        assert any(changed(expression, shuffler) != expression for _ in range(5))
