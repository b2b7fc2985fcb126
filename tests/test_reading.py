"""Reading is the inverse of writing: what every notation writes of every kind of expression comes back the same."""

from __future__ import annotations

import dataclasses
import re
import time
import warnings
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from programs import attention
from reference import data
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
from sympy.core.symbol import Str
from sympy.core.traversal import bottom_up, preorder_traversal
from test_grammar import HOSTILE
from test_print_faithful import TENSORS, cases
from test_properties import CALM, N

from codegen import lambdify
from symbolic import NOTATIONS, Network, derive, over
from symbolic.conventions import index_names, without_single_terms, written_out
from symbolic.depth import DEPTH, LAYER, width
from symbolic.errors import DeltaformWarning, FormulaError, FormulaSyntaxError, NoMatrixForm, UsageError
from symbolic.expressions import (
    Applied,
    Differentiated,
    Entry,
    FunctionDerivative,
    Inner,
    PartialDerivative,
    Spelled,
    TotalDerivative,
    Undefined,
)
from symbolic.latex import LatexPrinter
from symbolic.matrices import (
    Abreast,
    ArrayOf,
    Diagonal,
    Elementwise,
    EntryGradient,
    FunctionOf,
    FunctionSlope,
    Gradient,
    Jacobian,
    MatrixExpression,
    Ones,
    PartialGradient,
    Product,
    RowOf,
    Scalar,
    Stacked,
    SumOver,
    TotalJacobian,
    Transpose,
    Unit,
)
from symbolic.matrixform import matrix_form, scale, stacked_form
from symbolic.notation import Notation
from symbolic.notes.table import NOTES
from symbolic.reading.grammar import parse_formula
from symbolic.reading.lexemes import AROUND
from symbolic.reading.symbols import SymbolTable
from symbolic.reading.values import canonical
from symbolic.recognition import negated
from symbolic.tensors import Tensor, elements, index, indices_of, is_letter, key_of, size
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
        return bottom_up(without_single_terms(node), self.one)

    def one(self, node: Basic) -> Basic:
        tensor = self.tensors.get(key_of(node) or "") if isinstance(node, (Indexed, Symbol)) else None
        if isinstance(node, Indexed) and tensor is not None and 1 in tensor.shape:
            pairs = zip(indices_of(node), tensor.shape, strict=True)
            node = tensor[tuple(Integer(0) if extent == 1 else at for at, extent in pairs)]
        if tensor is not None and tensor.role == "gradient":
            of, source = self.vocabulary.objective, self.tensors[tensor.of]
            places = indices_of(node)
            if self.vocabulary.example in tensor.indices:
                of = self.vocabulary.loss
                return TotalDerivative(of[places[:1]], source[places[1:]])
            return TotalDerivative(of.element, source[places])
        if isinstance(node, (PartialDerivative, TotalDerivative)):
            return (TotalDerivative if self.total(node.of, node.by) else PartialDerivative)(*node.args)
        if isinstance(node, Applied) and key_of(node.element) in self.undefined:
            return Undefined(self.undefined[key_of(node.element)], (0,), node.argument)
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
        if keys[0] in (loss, cost):
            return keys != [cost, loss]
        if self.vocabulary.program is None:
            return tuple(keys) not in PARTIALS
        equation = self.vocabulary.program.definitions.get(keys[0])
        return equation is None or keys[1] not in map(key_of, elements(equation.rhs))

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
        if isinstance(node, (Gradient, PartialGradient)):
            return (Gradient if self.total(*node.args) else PartialGradient)(*node.args)
        if isinstance(node, (Jacobian, TotalJacobian)):
            row = self.tensors[node.args[0].key].role in ("loss", "cost")  # a fraction beside a matrix
            return (TotalJacobian if self.total(*node.args) and not row else Jacobian)(*node.args)
        if isinstance(node, FunctionOf) and node.args[0].key in self.undefined:
            t = Symbol("t_1")
            return Elementwise(Lambda((t,), Undefined(self.undefined[node.args[0].key], (0,), t)), node.args[1])
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


def alike(node: Basic, depth: int = 0) -> Basic:
    """The expression with its bound letters named after the sums that they stand under."""
    if not node.args or isinstance(node, (Lambda, Str)):
        return node
    if isinstance(node, (Sum, SumOver, Inner)):
        letters = [limit[0] for limit in node.limits] if isinstance(node, Sum) else [node.args[-2]]
        letters = [node.args[0]] if isinstance(node, SumOver) else letters
        node = node.xreplace({letter: index(f"v{depth + n}") for n, letter in enumerate(letters)})
        depth += len(letters)
    return node.func(*(alike(part, depth) for part in node.args))


def as_read(node: Basic, latex: str, notation: Notation, vocabulary: Vocabulary, names: Mapping = MappingProxyType({})):
    """An index expression with the letters that reading gives to indices that are called after layers."""
    if not notation.unit_index or isinstance(node, MatrixExpression):
        return node
    table = SymbolTable(notation, vocabulary)
    _, _, units = table.letters_in([parse_formula(latex)])
    names = index_names((node,), vocabulary.tensors, names)
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
    for letter in {letter for letter, _ in names} - set(free):
        sizes = [extent for other, extent in names if other == letter]
        free |= {letter: sizes[0]} if len(sizes) == 1 else {}
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
    assert alike(normal(found)) == alike(wanted), (latex, str(found), str(wanted))


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


@settings(CALM, max_examples=100)
@given(formulas(), st.sampled_from(PRESETS))
def test_random_formulas_come_back(expression, notation):
    assume(proper(expression))
    back(expression, notation, vocabulary_of(None, expression))


@settings(CALM, max_examples=100)
@given(formulas(examples=True), st.sampled_from(PRESETS))
def test_random_formulas_about_examples_come_back(expression, notation):
    assume(proper(expression))
    back(expression, notation, vocabulary_of(None, expression))


@settings(CALM, max_examples=120)
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


# ---------------------------------------------------------------------- what pages print


@contextmanager
def recorded(monkeypatch):
    """Everything that printers write while this lasts: text, expression, vocabulary, and the names of indices then."""
    found, of = {}, {}
    write, make = LatexPrinter.doprint, Vocabulary.printer

    def printer(self, notation):
        made = make(self, notation)
        of[id(made)] = (self, made)
        return made

    def doprint(self, expr):
        text = write(self, expr)
        if id(self) in of:
            found.setdefault((id(self.notation), text, expr), (self.notation, of[id(self)][0], dict(self._names)))
        return text

    with monkeypatch.context() as patch:
        patch.setattr(Vocabulary, "printer", printer)
        patch.setattr(LatexPrinter, "doprint", doprint)
        yield found


# Written by a few of their parts, with dots, or by rows; no formula says all of what they are.
ABRIDGED = (Stacked, Abreast, Spelled, RowOf)


def told_whole(expression, vocabulary):
    """Whether a formula says all that the expression is: no omissions, and no variable of a function's definition."""
    if expression.has(*ABRIDGED) or isinstance(expression, (Ones, Unit, Symbol)):
        return False
    symbols = {one for one in expression.free_symbols if isinstance(one, Symbol)}
    free = {one for one in symbols if not one.is_integer and not one.name.startswith("t_")}
    return free <= {Symbol(key, real=True) for key in vocabulary.tensors}


def comes_back(text, expression, notation, vocabulary, names):
    """Whether a text that was written under these names of indices reads as its expression."""
    form = "matrix" if isinstance(expression, MatrixExpression) else None
    normal = Normal(vocabulary, notation)
    wanted = as_read(normal(expression), text, notation, vocabulary, names)
    return alike(normal(notation.read(text, of=vocabulary, form=form))) == alike(wanted)


@lru_cache
def whole_pages():
    """Derivations whose pages have everything that a page may have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        general = derive(Network.general(hidden="g(z)", output="softmax", loss="cross_entropy"))
        one_example = derive(Network.parse("3 -> 2 elu -> 2 softplus; squared_error", examples=None))
    return derive(attention(), wrt=["x"]), *general.parts, one_example


@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)
def test_every_line_of_a_page_comes_back(notation, monkeypatch):
    count = 0
    for one in whole_pages():
        with recorded(monkeypatch) as found:
            for form, detail in (("matrix", "layer"), ("component", "rule")):
                one.latex(notation=notation, form=form, detail=detail)
        for (_, text, expression), (_, vocabulary, names) in found.items():
            if told_whole(expression, vocabulary):
                assert comes_back(text, expression, notation, vocabulary, names), text
                count += 1
    assert count > 350


# Two tensors of one letter; an entry of a tensor whose place is not written; a size that is not written.
NOT_CLEAR = re.compile("two ways|no element of the tensor|nothing says how many")


@pytest.mark.parametrize("name", NOTES)
def test_the_lines_of_the_notes_come_back(name, monkeypatch):
    with recorded(monkeypatch) as found:
        NOTES[name]().latex()
    count = unclear = 0
    for (_, text, expression), (notation, vocabulary, names) in found.items():
        if told_whole(expression, vocabulary):
            try:
                assert comes_back(text, expression, notation, vocabulary, names), text
                count += 1
            except FormulaError as error:
                assert NOT_CLEAR.search(str(error)), text
                unclear += 1
    assert count > 35 and unclear < 12


def ways_to_write():
    """Expressions of the kinds that notes use on their way."""
    ours = derivation(ARCHITECTURES[0])
    get = ours.tensors.__getitem__
    x, W, b, z, a, V, u, delta, ell, cost = map(get, ["x", "W1", "b1", "z1", "a1", "W2", "z2", "delta2", "ell", "J"])
    n_0, n_1, n_2 = map(width, (0, 1, 2))
    back_ = Sum(V[m, j] * delta[p, m], over(m, n_2))
    forward = Sum(W[k, s] * x[p, s], over(s, n_0)) + b[k]
    column = matrix_form(back_, (j,), ours.tensors, p)
    gradient, slope = TotalDerivative(ell[p], u[p, m]), PartialDerivative(u[p, m], a[p, j])
    yield Entry(column, j) * a[p, j] * (1 - a[p, j])
    yield Applied(a[p, k], forward)
    yield (Applied(a[p, k], forward) - 1) ** 2
    yield FunctionDerivative(a[p, j], z[p, j]) * Entry(column, j)
    yield Differentiated(Sum(V[m, s] * a[p, s], over(s, n_1)), a[p, j])
    yield Sum(gradient * Differentiated(Sum(V[m, s] * a[p, s], over(s, n_1)), a[p, j]), over(m, n_2))
    yield Inner(gradient, slope, m, n_2)
    yield SumOver(m, n_2, scale([Scalar(gradient)], EntryGradient(u[p, m], ArrayOf("W2"))))
    yield FunctionOf(ArrayOf("a1", p), matrix_form(forward, (k,), ours.tensors, p))
    yield FunctionOf(ArrayOf("a1", p), ArrayOf("z1", p))
    yield Diagonal(FunctionSlope(ArrayOf("a1", p), ArrayOf("z1", p)))
    yield TotalJacobian(ArrayOf("z2", p), ArrayOf("z1", p))
    yield PartialGradient(ArrayOf("J"), ArrayOf("ell", p))
    yield Differentiated(Sum(ell[p], over(p, size("N"))) / size("N"), W[j, s])
    yield TotalDerivative(cost.element, W[j, s]) ** 2


@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)
def test_ways_to_write_come_back(notation):
    vocabulary = vocabulary_of(derivation(ARCHITECTURES[0]))
    for expression in ways_to_write():
        back(expression, notation, vocabulary)


# ---------------------------------------------------------------------- numbers


@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)
def test_gradients_that_were_read_compute_the_same(notation):
    """The last lines of a derivation are written, read back, and put in the place of those that were derived."""
    ours = derivation("3 -> 4 tanh -> 5 sigmoid -> 2 softmax; cross_entropy")
    vocabulary = vocabulary_of(ours)
    printer = vocabulary.printer(notation)
    adjoints = {tensor.of: tensor for tensor in vocabulary.tensors.values() if tensor.role == "adjoint"}
    results = []
    for result in ours.results:
        before, after = result.steps[0].before, result.steps[-1].after
        with printer.lettering(before, after):
            latex = f"{printer.doprint(before)} = {printer.doprint(after)}"
        left, right = notation.read(latex, of=ours).sides
        named = {
            part: adjoints[key_of(part.by)][indices_of(part.by)]
            for part in right.atoms(TotalDerivative) if key_of(part.by) in adjoints
        }  # fmt: skip
        indices = indices_of(left.by)
        if len(indices) < len(result.indices):
            indices = (vocabulary.example, *indices)
        last = dataclasses.replace(result.steps[-1], after=right.xreplace(named))
        results.append(dataclasses.replace(result, indices=indices, steps=(*result.steps[:-1], last)))
    theirs = dataclasses.replace(ours, results=tuple(results))
    network = Network.parse("3 -> 4 tanh -> 5 sigmoid -> 2 softmax; cross_entropy")
    params, X, Y = data(network, 6, seed=1)
    (loss, gradients), (other, found) = (lambdify(one).loss_and_gradients(params, X, Y) for one in (ours, theirs))
    assert loss == other and gradients.keys() == found.keys()
    for key in gradients:
        np.testing.assert_allclose(found[key], gradients[key], rtol=1e-12, atol=1e-14)


# ---------------------------------------------------------------------- what changes a formula changes what is read

TOKENS = re.compile(r"\\[A-Za-z]+|[A-Za-z0-9]|[-+<>]")
KINDS = ("abjkmpsxyzW", "0123", "+-", ("\\delta", "\\sigma", "\\top", "\\ell"), "<>")


@settings(CALM, max_examples=100)
@given(st.data(), st.sampled_from(PRESETS), st.booleans())
def test_a_changed_sign_or_letter_reads_differently(pick, notation, matrices):
    ours = derivation(ARCHITECTURES[0])
    vocabulary = vocabulary_of(ours)
    result = pick.draw(st.sampled_from(ours.results))
    expression = pick.draw(st.sampled_from([step.after for step in result.steps] + [result.steps[0].before]))
    if matrices:
        try:
            expression = matrix_form(expression, result.indices, vocabulary.tensors, vocabulary.example)
        except NoMatrixForm:
            return
    latex = notation.write(expression, of=vocabulary)
    tokens = [(m, kind) for m in TOKENS.finditer(latex) for kind in KINDS if m.group() in kind]
    assume(tokens)
    match, kind = pick.draw(st.sampled_from(tokens))
    other = pick.draw(st.sampled_from([one for one in kind if one != match.group()]))
    changed = f"{latex[: match.start()]}{other} {latex[match.end() :]}"
    with suppress(FormulaSyntaxError):
        assert notation.read(changed, of=vocabulary) != notation.read(latex, of=vocabulary), changed


# ---------------------------------------------------------------------- what a formula may be written like

N_0 = width(0)
SAME = [
    ("cs229", "z^{[1]} = W^{[1]}x+b^{[1]}", r"z^{[1]} = b^{[1]} + W^{[1]} x"),
    ("cs229", r"a_j^{[1]}\left(1-a_j^{[1]}\right)", "(1 - a_j^{[1]}) a^{[1]}_j"),
    ("cs229", r"\sum_{s = 1}^{n_0} {W}_{j s}^{[1]} x_s", r"\sum_{s=1}^{n_{0}}W_{js}^{[1]}x_{s}"),
    ("cs229", r"(W^{[2]})^{\top} \delta^{[2]}", r"W^{[2]\top} \delta^{[2]}"),
    ("post", r"[W^2]^\top \delta^2", r"{W}^{2\top} \delta^2"),
    ("cs229", r"W^{[2]\top} \delta^{[2]} \circ g'(z^{[1]})", r"(W^{[2]\top} \delta^{[2]}) \circ g'(z^{[1]})"),
    ("cs229", r"g(z_j^{[1]})^2", r"(g(z_j^{[1]}))^2"),
    ("cs229", r"\frac{x_j}{2}", r"\frac{1}{2} x_j"),
    ("cs229", r"\frac{x_j}{2}", r"x_j / 2"),
    ("cs229", r"\left[W^{[1]}\right]_{4 \times 3} \left[x\right]_{3 \times 1}", "W^{[1]} x"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "one", "other"), SAME)
def test_spellings_of_the_same_formula(name, one, other):
    read = NOTATIONS[name].read
    assert read(one) == read(other)


def test_what_a_formula_is():
    cs229 = NOTATIONS["cs229"]
    z, W, x = (usual_tensor(key, False) for key in ("z1", "W1", "x"))
    assert cs229.read("z_j^{[1]}") == z[j]
    assert cs229.read("z^{[1]}") == ArrayOf("z1")
    assert cs229.read(r"\sum_{s=1}^{n_0} W_{js}^{[1]} x_s") == Sum(W[j, s] * x[s], over(s, N_0))
    assert cs229.read("z^{[1](p)}") == ArrayOf("z1", p)
    assert cs229.read("Z^{[1]}") == ArrayOf("z1")
    assert cs229.read(r"z^{[\ell]} = W^{[\ell]} a^{[\ell-1]}").sides == (
        ArrayOf("z[layer]"), Product(ArrayOf("W[layer]"), ArrayOf("a[layer-1]")),
    )  # fmt: skip
    assert cs229.read(r"\mathcal{L}", form="matrix") == ArrayOf("ell")
    assert cs229.read("g(z_j^{[1]})") == Undefined("g", (0,), z[j])
    assert NOTATIONS["nielsen"].read("z_j^{2}") == z[j]
    assert NOTATIONS["goodfellow"].read("W_{sj}^{(1)}") == W[j, s]
    ours = derivation(ARCHITECTURES[0])
    tensors = ours.program.tensors
    assert cs229.read(r"\sigma'(z_j^{[1]})", of=ours) == FunctionDerivative(tensors["a1"][p, j], tensors["z1"][p, j])
    assert NOTATIONS["stacked"].read("h_i", of=ours) == tensors["a3"][p, j]


REFUSED = [
    (r"a_j^{[1]} + q_j", 1, 13, r"q _ { j } is no symbol of notation cs229; the letters of cs229 are x, y, z, a, W"),
    (r"\delta^{[1]} x^{\top} +\n  \gamma", 1, 24, r"backslash|command"),
    (r"W_j^{[1]}", 1, 1, "W _ { j } ^ { [ 1 ] } has 2 indices, not 1"),
    (r"x_{js}", 1, 1, "x _ { j s } has one index, not 2"),
    (r"z_j", 1, 1, "z has other marks than z _ { j }: layer, example or indices do not fit"),
    (r"z_j^{2}", 1, 1, "other marks"),
    (r"z_j^{[1]} + z_j^{[2]}", 1, 15, "index j runs over n_1 elements, and this axis has n_2"),
    (r"W^{[1]} \delta^{[1]}", 1, 1, "a product of shapes that do not fit: n_1 x n_0 and n_1 x 1"),
    (r"z^{[1]} + z^{[2]}", 1, 1, "a sum of shapes that do not fit: n_1 x 1 and n_2 x 1"),
    (r"x + z_j^{[1]}", 1, 1, "a number is added to an array of shape n_0 x 1"),
    (r"W^{[1]} x \circ x", 1, 1, r"A b \circ c can be (A b) \circ c or A (b \circ c); write brackets"),
    (r"x \circ z^{[1]}", 1, 1, r"a product \circ of shapes that do not fit: n_0 x 1 and n_1 x 1"),
    (r"z^{[1]} = x", 1, 11, "an equality of shapes that do not fit: n_1 x 1 and n_0 x 1"),
    (r"\operatorname{sigmiod}(z_j^{[1]})", 1, 1, "no function|is no symbol"),
    (r"\log x_j x_s", 1, 1, r"how far .log reaches can be read in two ways"),
    (r"x_j / 2 x_s", 1, 1, "can be read in two ways"),
    (r"2 \cdot 3 \circ 4", 1, 1, "brackets say which comes first"),
    (r"\sum_{j} x_j", 1, 1, "a sum needs its letter"),
    (r"\sum_{j=2}^{n_0} x_j", 1, 1, "a sum needs its letter"),
    (r"\sum_{j=1}^{n_1} x_j", 1, 20, "index j runs over n_1 elements, and this axis has n_0"),
    (r"\prod_{j=1}^{n_0} x_j", 1, 1, r".prod is not read"),
    (r"x^{2}", 1, 1, "has a sign"),
    (r"\mathbf{1}", 1, 1, "nothing says how many ones there are"),
    (r"x_1 + \cdots + x_n", 1, 7, "an omission"),
    (r"a = b, c = d", 1, 1, "one is read at a time"),
    (r"z^{[1]} < 0", 1, 1, "< between formulas"),
    (r"= x", 1, 1, "stands before it"),
    (r"\hat{y}_j", 1, 1, "no symbol"),
    (r"\frac{\partial}{\partial x_j}", 1, 1, "nothing behind it"),
    (r"\nabla \mathcal{L}", 1, 1, "says not by what"),
    (r"\begin{cases} 1 & \text{if } x_j \end{cases}", 1, 30, "expected a condition"),
    (r"x \otimes x", 1, 1, "is no product of notation cs229"),
    (r"9^{9^{9^9}}", 1, 4, "more than 300 digits"),
]  # fmt: skip


@pytest.mark.parametrize(("latex", "line", "column", "reason"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_cannot_be_read_is_refused_with_its_place(latex, line, column, reason):
    with pytest.raises(FormulaSyntaxError) as caught:
        NOTATIONS["cs229"].read(latex)
    message = str(caught.value)
    assert reason in message or re.search(re.sub(r"\\[a-z]", ".", reason), message)
    assert (caught.value.line, caught.value.column) == (line, column), message
    first, shown, caret = message.split("\n")
    assert first.startswith(f"line {line}, column {column}: ") and caret.strip() == "^" and len(shown) <= 4 + 2 * AROUND


def test_a_letter_that_needs_a_network_says_so():
    with pytest.raises(FormulaError, match=r"name it, as in read\(\.\.\., of=network\)"):
        NOTATIONS["stacked"].read("h_i")


def test_two_readings_are_both_named():
    notation = NOTATIONS["cs229"]
    square = Vocabulary({key: usual_tensor(key, False) for key in ("W1", "b1", "z1", "J", "ell")} | {
        "x": Tensor("x", "input", shape=(width(1),)), "W1": Tensor("W", "parameter", 1, (width(1), width(1))),
    })  # fmt: skip
    with pytest.raises(FormulaError, match=r"can be \(A b\) \\circ c or A \(b \\circ c\)"):
        notation.read(r"W^{[1]} x \circ b^{[1]}", of=square)
    with pytest.raises(FormulaError, match="is a function and"):
        notation.replace(functions={"g": "y"}).read("y(z_j^{[1]})", of=derivation(ARCHITECTURES[1]))
    with pytest.raises(UsageError, match="form must be"):
        notation.read("x", form="rows")


@pytest.mark.parametrize(
    "latex", [*HOSTILE.values(), "x_1 " * 2500, "[i=j]" * 3000, r"\mathbf{1} " * 1200, "I " * 5000]
)
def test_hostile_formulas_are_read_or_refused_in_time(latex):
    start = time.perf_counter()
    with suppress(FormulaSyntaxError):
        NOTATIONS["cs229"].read(latex)
    assert time.perf_counter() - start < 10


PARTS = [
    "a^{[1]}", "W^{[2]}", "x_j", "z_j^{[1]}", r"\delta^{[2]}", r"\mathcal{L}", "J", r"\top", r"\circ", r"\mathbf{1}",
    r"\nabla_{z^{[1]}}", r"\frac{\partial J}{\partial W^{[1]}}", r"\sum_{p=1}^{N}", "(p)", "[j = s]", "g(", "n_1",
    "^2", "'", "(", ")", "1", "-", "+", r"\log", r"\partial", r"\frac{\partial}{\partial x_j}", "}_j", ")_j", "e_j",
    r"\operatorname{diag}(", r"\max(0, ", r"\cdot", "x", "y", r"\frac{1}{", r"\bar{a}", r"\mathbf{1}\{", r"\}", "> 0",
    "=", "e^{", "}",
]  # fmt: skip


@settings(CALM, max_examples=250)
@given(st.lists(st.sampled_from(PARTS), max_size=9), st.sampled_from(PRESETS))
def test_any_formula_is_read_or_refused(parts, notation):
    try:
        notation.read(" ".join(parts))
    except FormulaSyntaxError as error:
        assert str(error).isascii() and error.line >= 1


GUESSED_ONCE = [
    ("cs229", r"x_j^{[2]}"), ("cs229", r"J^{[2]}"), ("stacked", r"h_i^{[2]}"), ("index", r"h_{n_2}^3"),
    ("index", "c^1 + c^2"), ("post", "W^12"), ("cs229", r"e{-z_j^{[1]}}"),
    ("cs229", r"\frac{1}{N}\sum_{p=1}^{N}\mathcal{L}(p)"),
    ("cs229", r"\nabla_{a^{[1]}}^2 J"), ("cs229", r"\nabla_{a^{[1]}}' J"), ("cs229", "y_p"), ("vec", r"w_{ij}^{[2]}"),
    ("cs229", "J = y_j"), ("cs229", r"\delta_j^{[2]} = a_s^{[2]}"),
    ("cs229", r"\sum_{p=1}^{p} \mathcal{L}^{(p)}"), ("cs229", r"\sum_{p=1}^{n_1} \mathcal{L}^{(p)}"),
    ("cs229", r"\delta_{12}^{[1]}"), ("cs229", "0/0"), ("cs229", r"\frac{1}{0}"), ("vec", r"\sum_{j=1}^{n_3} yj"),
    ("index", r"\frac{\partial C}{\partial w_{n_1 n_2}^11}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "latex"), GUESSED_ONCE)
def test_what_a_newcomer_saw_guessed_is_refused(name, latex):
    derivation = derive(Network.parse("3 -> 4 sigmoid -> 2 sigmoid; half_squared_error"))
    with pytest.raises(FormulaSyntaxError):
        NOTATIONS[name].read(latex, of=derivation)


def test_a_chain_of_equalities_is_written_as_it_was_read():
    derivation = derive(Network.parse("3 -> 4 sigmoid -> 2 sigmoid; half_squared_error"))
    for name, latex in (("index", r"c^p = c^p"), ("cs229", r"\delta^{[2]} = \nabla_{z^{[2]}} \mathcal{L}")):
        chain = NOTATIONS[name].read(latex, of=derivation)
        assert NOTATIONS[name].write(chain, of=derivation) == latex
