"""Reading is the inverse of writing: what every notation writes of every kind of expression comes back the same."""

from __future__ import annotations

import warnings
from functools import lru_cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy import (
    Abs,
    Add,
    And,
    Basic,
    Expr,
    I,
    Indexed,
    Integer,
    KroneckerDelta,
    Lambda,
    Mul,
    Ne,
    Or,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    erf,
    exp,
    log,
    nan,
    oo,
    pi,
    sqrt,
    tanh,
    zoo,
)
from sympy.core.traversal import bottom_up, preorder_traversal
from test_print_faithful import TENSORS, cases
from test_properties import CALM, N

from symbolic import NOTATIONS, Network, derive, over
from symbolic.conventions import index_names, written_out
from symbolic.depth import DEPTH, LAYER, width
from symbolic.errors import DeltaformWarning, NoMatrixForm
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative, Undefined
from symbolic.matrices import (
    ArrayOf,
    Elementwise,
    FunctionSlope,
    Gradient,
    MatrixExpression,
    Ones,
    PartialGradient,
    Product,
    Scalar,
    SumOver,
    Transpose,
)
from symbolic.matrixform import matrix_form, scale, stacked_form
from symbolic.notation import Notation
from symbolic.reading.symbols import SymbolTable
from symbolic.reading.values import canonical
from symbolic.recognition import negated
from symbolic.tensors import index, indices_of, is_letter, key_of, size
from symbolic.vocabulary import Vocabulary, usual_tensor, vocabulary_of

ARCHITECTURES = [
    "3 -> 4 sigmoid -> 3 relu -> 2 softmax; cross_entropy",
    "n_0 -> n_1 g(z) -> n_2; c(y,h)",
    "3 -> 4 gelu -> 3 elu -> 1 sigmoid; binary_cross_entropy",
]


@lru_cache
def derivation(architecture):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        return derive(Network.parse(architecture))


def every(steps):
    for step in steps:
        yield step
        yield from every(step.substeps)


# ---------------------------------------------------------------------- one of those that are written alike


class Normal:
    """The one of several expressions that a notation writes alike that reading gives back, said independently of it:

    adjoints that have no letter, and the derivatives by parameters, written out; derivatives of the loss and of the
    cost total, but for that of the cost by the losses; f' of an undefined function as the function; the sign of a sum
    in front of it, and a minus sign carried into a bracket; an index at an axis of one element 0.
    """

    def __init__(self, vocabulary: Vocabulary, notation: Notation) -> None:
        self.vocabulary, self.notation = vocabulary, notation
        self.tensors = vocabulary.tensors
        program = vocabulary.program
        equations = program.equations if program is not None else ()
        self.undefined = {e.tensor.key: e.rhs.name for e in equations if isinstance(e.rhs, Undefined)}

    def __call__(self, node: Basic) -> Basic:
        if self.notation.adjoints == "partial":
            loss = self.vocabulary.loss or self.vocabulary.objective
            node = written_out(node, self.tensors, loss, self.vocabulary.example)
        if isinstance(node, MatrixExpression):
            return canonical(self.matrix(node))
        return bottom_up(node, self.one, nonbasic=False) if not isinstance(node, MatrixExpression) else node

    def one(self, node: Basic) -> Basic:
        tensor = self.tensors.get(key_of(node) or "") if isinstance(node, (Indexed, Symbol)) else None
        if tensor is not None and tensor.role == "gradient":
            of, source = self.vocabulary.objective, self.tensors[tensor.of]
            places = indices_of(node)
            if self.vocabulary.example in tensor.indices:
                of = self.vocabulary.loss
                return TotalDerivative(of[places[:1]], source[places[1:]])
            return TotalDerivative(of.element, source[places])
        if isinstance(node, PartialDerivative) and self.total(node.of, node.by):
            return TotalDerivative(*node.args)
        if isinstance(node, FunctionDerivative) and key_of(node.of) in self.undefined:
            return Undefined(self.undefined[key_of(node.of)], (1,), node.by)
        if isinstance(node, Sum) and isinstance(node.function, Mul) and node.function.args[0].is_negative:
            return -Sum(negated(node.function), *node.limits)
        if isinstance(node, Sum) and node.function.is_Number and node.function.is_negative:
            return -Sum(negated(node.function), *node.limits)
        if isinstance(node, Mul) and len(node.args) == 2 and node.args[0].is_Number:
            return Add(*(node.args[0] * term for term in Add.make_args(node.args[1])))
        return node

    def total(self, of: Basic, by: Basic) -> bool:
        keys = [one.key if isinstance(one, ArrayOf) else key_of(one) for one in (of, by)]
        loss, cost = self.vocabulary.loss.key, self.vocabulary.objective.key
        return keys[0] in (loss, cost) and keys != [cost, loss]

    def matrix(self, node: Basic) -> Basic:
        if isinstance(node, ArrayOf):
            tensor = self.tensors[node.key]
            if tensor.role != "gradient":
                return node
            each = self.vocabulary.example in tensor.indices
            of = self.vocabulary.loss if each else self.vocabulary.objective
            return Gradient(ArrayOf(of.key, *node.args[1:]), ArrayOf(tensor.of))
        if isinstance(node, Scalar):
            return Scalar(self(node.args[0]))
        if isinstance(node, (Lambda, Symbol)) or not node.args:
            return node
        if isinstance(node, Expr):
            return self(node)
        node = node.func(*(self.matrix(part) for part in node.args))
        if isinstance(node, PartialGradient) and self.total(*node.args):
            return Gradient(*node.args)
        if isinstance(node, FunctionSlope) and node.args[0].key in self.undefined:
            t = Symbol("t_1")
            return Elementwise(Lambda((t,), Undefined(self.undefined[node.args[0].key], (1,), t)), node.args[1])
        if isinstance(node, SumOver):
            letter, extent, body = node.args
            first = body.args[0].args[0] if body.args and isinstance(body.args[0], Scalar) else None
            if first is not None and first.could_extract_minus_sign():
                return scale([Scalar(Integer(-1))], SumOver(letter, extent, negated(body)))
        return node


def renamed(node: Basic, letters, extents=None, scope=()) -> Basic:
    """An index expression with other letters, by the letter and the size of the axis that it runs over.

    letters: by letter and size.
    """
    extents = extents or {}
    if isinstance(node, Sum):
        inner = {**extents, **{letter: high + 1 for letter, _, high in node.limits}}
        limits = [(letters.get((letter, high + 1), letter), 0, high) for letter, _, high in node.limits]
        return Sum(renamed(node.function, letters, inner), *limits)
    if is_letter(node):
        return letters.get((node, extents.get(node)), node)
    if not node.args or isinstance(node, MatrixExpression):
        return node
    return node.func(*(renamed(part, letters, extents) for part in node.args))


def as_read(node: Basic, latex: str, notation: Notation, vocabulary: Vocabulary) -> Basic:
    """An index expression with the letters that reading gives to indices that are called after layers."""
    if not notation.unit_index or isinstance(node, MatrixExpression):
        return node
    from symbolic.reading.grammar import parse_formula

    table = SymbolTable(notation, vocabulary)
    _, _, units = table.letters_in([parse_formula(latex)])
    names = index_names((node,), vocabulary.tensors, {})
    letters = {}
    for (letter, extent), primes in names.items():
        label = table.printer.widths.get(extent)
        if (label, primes) in units:
            letters[letter, extent] = units[label, primes]
    free = {}
    for part in preorder_traversal(node):
        tensor = vocabulary.tensors.get(key_of(part) or "") if isinstance(part, Indexed) else None
        if tensor is not None:
            free.update(zip(indices_of(part), tensor.shape, strict=True))
    return renamed(node, letters, free)


def back(node: Basic, notation: Notation, vocabulary: Vocabulary, left: Basic | None = None) -> None:
    """Assert that an expression comes back from what the notation writes of it, behind a left side of its shape."""
    latex = notation.write(node, of=vocabulary)
    form = "matrix" if isinstance(node, MatrixExpression) else None
    if left is None:
        found = notation.read(latex, of=vocabulary, form=form)
    else:
        _, found = notation.read(f"{notation.write(left, of=vocabulary)} = {latex}", of=vocabulary, form=form).sides
    normal = Normal(vocabulary, notation)
    wanted = as_read(normal(node), latex, notation, vocabulary)
    assert normal(found) == wanted, (latex, str(found), str(wanted))


# ---------------------------------------------------------------------- what derivations are made of


@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_side_of_a_derivation_comes_back(architecture, notation):
    found = derivation(architecture)
    vocabulary = vocabulary_of(found)
    sides = {
        side: None for result in found.results for step in every(result.steps) for side in (step.before, step.after)
    }
    for side in sides:
        back(side, notation, vocabulary)
    assert len(sides) > 40


@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_matrix_form_of_a_derivation_comes_back(architecture, notation):
    found = derivation(architecture)
    vocabulary = vocabulary_of(found)
    forms = {}
    for result in found.results:
        for side in {side for step in result.steps for side in (step.before, step.after)}:
            for write, extra in ((matrix_form, (vocabulary.example,)), (stacked_form, ())):
                try:
                    forms[write(side, result.indices, vocabulary.tensors, *extra, shape=result.tensor.shape)] = None
                except NoMatrixForm:
                    continue
    for form in forms:
        back(form, notation, vocabulary)
    assert len(forms) > 20


# ---------------------------------------------------------------------- random expressions

PRESETS = list(NOTATIONS.values())
j, k, s, m, i, r, t, q, d, e, f, p = (index(letter) for letter in "jksmirtqdefp")
n0, n1, n2 = width(0), width(1), width(2)
SIZES = {j: n1, k: n1, s: n0, m: n2, i: n2} | {r: width(LAYER), t: width(LAYER - 1), q: width(LAYER + 1)}
SIZES |= {d: width(DEPTH), e: width(DEPTH), f: width(DEPTH - 1)}
# The tensors of a dense network, by the letters that each axis may have; the last are of any layer.
AXES = {
    "x": ("s",), "y": ("de",), "z1": ("jk",), "a1": ("jk",), "W1": ("jk", "s"), "b1": ("jk",), "W2": ("mi", "jk"),
    "b2": ("mi",), "z2": ("mi",), "a2": ("mi",), "delta2": ("mi",), "delta1": ("jk",), "adj_a1": ("jk",), "ell": (),
    "J": (), "z[layer]": ("r",), "a[layer-1]": ("t",), "W[layer]": ("r", "t"), "b[layer]": ("r",),
    "W[layer+1]": ("q", "r"), "delta[layer+1]": ("q",), "z[depth-1]": ("f",), "a[depth]": ("de",),
}  # fmt: skip
PARTIALS = [("z2", "a1"), ("z2", "W2"), ("z2", "b2"), ("a1", "z1"), ("z1", "x"), ("z[layer]", "a[layer-1]")]
TOTALS = [("ell", "z1"), ("ell", "a2"), ("ell", "W1"), ("J", "W2"), ("J", "b1"), ("ell", "z[layer]")]


@st.composite
def element(draw, key, examples, bound=()):
    tensor = usual_tensor(key, examples)
    units = [draw(st.sampled_from(letters)) for letters in AXES[key]]
    at = [index(letter) for letter in units]
    return tensor[(*([p] if p in tensor.indices else []), *at)] if tensor.shape else tensor.element


@st.composite
def formulas(draw, examples=False, depth=3):
    """A random index expression about a dense network, of every kind that the engine makes."""
    inner = formulas(examples, depth - 1)
    kinds = ["element"] * 4 + ["number", "size", "delta", "total", "partial"]
    if depth:
        kinds += ["sum"] * 3 + ["add"] * 3 + ["mul"] * 3 + ["quotient", "power", "function", "undefined", "cost"]
        kinds += ["indicator", "maximum", "cases", "minus", "examples"]
    kind = draw(st.sampled_from(kinds))
    if kind == "element":
        return draw(element(draw(st.sampled_from(sorted(AXES))), examples))
    if kind == "number":
        return draw(st.sampled_from([Integer(1), Integer(2), Rational(1, 3), Integer(-1), Rational(44715, 10**6)]))
    if kind == "size":
        return draw(st.sampled_from([n1, n2, size("N"), 1 / n0, sqrt(n1), pi]))
    if kind == "delta":
        return KroneckerDelta(*draw(st.sampled_from([(j, k), (m, i), (s, Integer(0)), (j, Integer(2))])))
    if kind in ("total", "partial"):
        of, by = draw(st.sampled_from(TOTALS if kind == "total" else PARTIALS))
        derivative = TotalDerivative if kind == "total" else PartialDerivative
        return derivative(draw(element(of, examples)), draw(element(by, examples)))
    if kind == "sum":
        letter = draw(st.sampled_from(list(SIZES)))
        return Sum(draw(inner), over(letter, SIZES[letter]))
    if kind == "examples":
        return Sum(draw(inner), over(p, size("N"))) / size("N") if examples else draw(inner)
    if kind in ("add", "mul"):
        return (Add if kind == "add" else Mul)(*draw(st.lists(inner, min_size=2, max_size=3)))
    if kind == "minus":
        return -draw(inner)
    one, other = draw(inner), draw(inner)
    if kind == "quotient":
        return one / (2 + exp(other))
    if kind == "power":
        return one ** draw(st.sampled_from([Integer(2), Integer(3), Rational(1, 2), Integer(-2)]))
    if kind == "function":
        return draw(st.sampled_from([exp, tanh, erf, Abs, lambda body: log(2 + body), lambda body: log(body)]))(one)
    if kind == "undefined":
        return Undefined("g", (draw(st.integers(0, 4)),), one)
    if kind == "cost":
        return Undefined("c", draw(st.sampled_from([(0, 0), (0, 1), (1, 1), (2, 0)])), one, other)
    if kind == "indicator":
        return Piecewise((1, draw(element("z1", examples)) > 0), (0, True))
    value = draw(element(draw(st.sampled_from(["z1", "z2"])), examples))
    if kind == "maximum":
        return Piecewise((value, value > 0), (0, True))
    test = draw(st.sampled_from([value > 0, And(value > 0, value < 1), Or(value <= 0, value >= 2), Ne(value, 1)]))
    return Piecewise((one, test), (other, True))


def proper(expression):
    """An expression that is finite, has letters of one axis each, and for which reading has room."""
    return not expression.has(nan, zoo, oo, -oo, I)


@settings(CALM, max_examples=150)
@given(formulas(), st.sampled_from(PRESETS))
def test_random_formulas_come_back(expression, notation):
    assume(proper(expression))
    back(expression, notation, vocabulary_of(None, expression))


@settings(CALM, max_examples=150)
@given(formulas(examples=True), st.sampled_from(PRESETS))
def test_random_formulas_about_examples_come_back(expression, notation):
    assume(proper(expression))
    back(expression, notation, vocabulary_of(None, expression))


@settings(CALM, max_examples=200)
@given(cases(), st.sampled_from(PRESETS))
def test_random_formulas_about_other_tensors_come_back(expression, notation):
    back(expression, notation, Vocabulary(TENSORS))


def counts_ones(node):
    """Whether it is 1^T 1, of which the page does not say how many ones they are."""
    return (
        isinstance(node, Product)
        and isinstance(node.args[-1], Ones)
        and isinstance(node.args[-2], Transpose)
        and (isinstance(node.args[-2].args[0], Ones))
    )


@settings(CALM, max_examples=200)
@given(cases(), st.sampled_from(PRESETS))
def test_random_matrices_come_back(expression, notation):
    try:
        form = matrix_form(expression, (i, j), TENSORS, None, (N, N))
    except NoMatrixForm:
        return
    assume(form.has(ArrayOf) and not any(map(counts_ones, preorder_traversal(form))))
    back(form, notation, Vocabulary(TENSORS), ArrayOf("A"))
