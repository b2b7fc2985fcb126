"""matrix_form against direct evaluation of the index expression, at unequal and at square random sizes."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from sympy import (
    Expr,
    Indexed,
    Integer,
    KroneckerDelta,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    erf,
    exp,
    lambdify,
    log,
    sqrt,
    tanh,
)

from symbolic.errors import NoMatrixForm
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative, Undefined
from symbolic.matrices import (
    ArrayOf,
    Diagonal,
    Elementwise,
    FunctionSlope,
    Gradient,
    Hadamard,
    Identity,
    Jacobian,
    Ones,
    Plus,
    Product,
    Scalar,
    Scale,
    SumOver,
    Transpose,
)
from symbolic.matrixform import matrix_form, stacked_form  # fmt: skip
from symbolic.tensors import Tensor, index, indices_of, key_of, over, size

p, i, j, k, m, s = (index(letter) for letter in "pijkms")
N, n0, n1, n2 = (size(name) for name in ("N", "n_0", "n_1", "n_2"))

x = Tensor("x", "input", None, (N, n0), (p, j))
y = Tensor("y", "target", None, (N, n1), (p, j))
W = Tensor("W", "parameter", 1, (n1, n0), (j, s))
V = Tensor("V", "parameter", 1, (n1, n1), (j, s))
U = Tensor("U", "parameter", 2, (n2, n1), (j, s))
b = Tensor("b", "parameter", 1, (n1,), (j,))
z = Tensor("z", "preactivation", 1, (N, n1), (p, j))
a = Tensor("a", "activation", 1, (N, n1), (p, j))
d = Tensor("delta", "adjoint", 1, (N, n1), (p, j), of="z1")
e = Tensor("delta", "adjoint", 2, (N, n2), (p, j), of="z2")
ell = Tensor("ell", "loss", None, (N,), (p,))
J = Tensor("J", "cost")
Q = Tensor("Qr", "intermediate", None, (n1, n0), (i, s))
K = Tensor("K", "intermediate", None, (n2, n0), (j, s))
TENSORS = {t.key: t for t in (x, y, W, V, U, b, z, a, d, e, ell, J, Q, K)}

relu_slope = Piecewise((1, z[p, j] > 0), (0, True))
elu_slope = Piecewise((1, z[p, j] > 0), (a[p, j] + 1, True))

# name, expression, free indices besides the example, expected outermost kind
PER_EXAMPLE = [
    ("W x", Sum(W[j, s] * x[p, s], over(s, n0)), (j,), Product),
    ("W x + b", Sum(W[j, s] * x[p, s], over(s, n0)) + b[j], (j,), Plus),
    ("W^T d", Sum(W[m, j] * d[p, m], over(m, n1)), (j,), Product),
    ("square V d", Sum(V[j, s] * d[p, s], over(s, n1)), (j,), Product),
    ("square V^T d", Sum(V[s, j] * d[p, s], over(s, n1)), (j,), Product),
    ("d x^T", d[p, j] * x[p, s], (j, s), Product),
    ("x d^T", d[p, j] * x[p, s], (s, j), Product),
    ("a(1-a)", a[p, j] * (1 - a[p, j]), (j,), Hadamard),
    ("a(d - a.d)", a[p, j] * (d[p, j] - Sum(a[p, i] * d[p, i], over(i, n1))), (j,), Hadamard),
    ("sum y", Sum(y[p, j], over(j, n1)), (), Product),
    ("indicator", relu_slope, (j,), Elementwise),
    ("relu delta", relu_slope * Sum(U[m, j] * e[p, m], over(m, n2)), (j,), Hadamard),
    ("elu slope", elu_slope * d[p, j], (j,), Hadamard),
    ("diag a", KroneckerDelta(i, j) * a[p, i], (i, j), Diagonal),
    ("identity", KroneckerDelta(i, j) * 3, (i, j), Scale),
    ("softmax Jacobian", a[p, i] * (KroneckerDelta(i, j) - a[p, j]), (i, j), Plus),
    ("softmax chain", Sum(d[p, i] * a[p, i] * (KroneckerDelta(i, j) - a[p, j]), over(i, n1)), (j,), Product),
    ("contracted delta", Sum(d[p, i] * KroneckerDelta(i, j) * z[p, i], over(i, n1)), (j,), Hadamard),
    ("power", a[p, j] ** 2, (j,), Elementwise),
    ("1 - a^2", 1 - a[p, j] ** 2, (j,), Plus),
    ("softmax", exp(z[p, j]) / Sum(exp(z[p, k]), over(k, n1)), (j,), Scale),
    ("sigmoid", 1 / (1 + exp(-z[p, j])), (j,), Elementwise),
    ("gelu", z[p, j] * (1 + erf(z[p, j] / sqrt(2))) / 2, (j,), Scale),
    ("half squared error", Sum((a[p, j] - y[p, j]) ** 2, over(j, n1)) / 2, (), Scale),
    ("cross-entropy", -Sum(y[p, j] * log(a[p, j] ** 2), over(j, n1)), (), Scale),
    ("bilinear", Sum(a[p, j] * W[j, s] * x[p, s], over(j, n1), over(s, n0)), (), Product),
    ("Frobenius", Sum(W[j, s] ** 2, over(j, n1), over(s, n0)), (), Product),
    ("constant on an axis", b[j] * Integer(2), (j, s), Scale),
    ("row weights", d[p, j] * W[j, s] * x[p, s], (j, s), Product),
    ("two matrices", Sum(U[i, k] * W[k, s], over(k, n1)), (i, s), Product),
    ("with a diagonal", Sum(U[i, k] * a[p, k] * W[k, s], over(k, n1)), (i, s), Product),
    ("mean", a[p, j] - Sum(a[p, k], over(k, n1)) / n1, (j,), Plus),
    ("repeated constant", Sum(a[p, j], over(k, n2)), (j,), Scale),
    ("attention", Sum(Q[i, s] * K[j, s], over(s, n0)) / sqrt(n0), (i, j), Scale),
    ("mixed axes", exp(b[j]) * (W[j, s] + x[p, s]), (j, s), Product),
    ("tanh of a product", tanh(Sum(W[j, s] * x[p, s], over(s, n0))) * Rational(1, 3), (j,), Scale),
]  # fmt: skip


def evaluate(node, values, sizes, at):
    """The array a matrix expression stands for: 1 x 1, n x 1, 1 x n or n x m."""

    def go(part):
        return evaluate(part, values, sizes, at)

    if isinstance(node, ArrayOf):
        array = values[node.key]
        if node.example is not None:
            array = np.take(array, at[node.example], axis=TENSORS[node.key].indices.index(node.example))
        return array.reshape(array.shape + (1,) * (2 - array.ndim))
    if isinstance(node, Scalar):
        return np.array([[float(node.args[0].subs(sizes))]])
    if isinstance(node, Ones):
        return np.ones((int(node.args[0].subs(sizes)), 1))
    if isinstance(node, Identity):
        return np.eye(int(node.args[0].subs(sizes)))
    if isinstance(node, Transpose):
        return go(node.args[0]).T
    if isinstance(node, Diagonal):
        column = go(node.args[0])
        assert column.shape[1] == 1
        return np.diag(column[:, 0])
    if isinstance(node, Product):
        return np.linalg.multi_dot([go(part) for part in node.args])
    if isinstance(node, (Hadamard, Plus)):
        parts = [go(part) for part in node.args]
        assert len({part.shape for part in parts}) == 1, node
        return np.prod(parts, axis=0) if isinstance(node, Hadamard) else np.sum(parts, axis=0)
    if isinstance(node, Scale):
        *scalars, array = (go(part) for part in node.args)
        assert all(part.shape == (1, 1) for part in scalars)
        return math.prod(part.item() for part in scalars) * array
    if isinstance(node, Elementwise):
        parts = [go(part) for part in node.arguments]
        assert len({part.shape for part in parts}) == 1, node
        function = lambdify(node.function.variables, node.function.expr.subs(sizes), "scipy")
        return np.vectorize(function, otypes=[float])(*parts)
    if isinstance(node, SumOver):
        letter, extent, body = node.args
        count = int(extent.subs(sizes))
        return sum(evaluate(body, values, sizes, {**at, letter: row}) for row in range(count))
    raise AssertionError(f"no meaning for {node}")


def direct(expression: Expr, values, sizes, at) -> float:
    """The index expression at one position, by writing out every sum."""
    if isinstance(expression, Sum):
        *rest, (letter, _, last) = expression.limits
        body = Sum(expression.function, *rest) if rest else expression.function
        return sum(direct(body, values, sizes, {**at, letter: n}) for n in range(int(last.subs(sizes)) + 1))
    if key_of(expression) in values:
        where = tuple(int(at.get(n, n)) for n in indices_of(expression))
        return float(values[key_of(expression)][where])
    if isinstance(expression, KroneckerDelta):
        return float(at.get(expression.args[0]) == at.get(expression.args[1]))
    if not expression.args:
        return float(expression.subs(sizes))
    if isinstance(expression, Piecewise):
        for value, test in expression.args:
            if test == True or direct(test.lhs, values, sizes, at) > direct(test.rhs, values, sizes, at):  # noqa: E712
                return direct(value, values, sizes, at)
    slots = [Symbol(f"u{n}") for n in range(len(expression.args))]
    inner = [direct(part, values, sizes, at) for part in expression.args]
    return float(lambdify(slots, expression.func(*slots), "scipy")(*inner))


def random_values(sizes, seed):
    rng = np.random.default_rng(seed)
    return {
        key: rng.normal(size=tuple(int(n.subs(sizes)) for n in tensor.shape))
        for key, tensor in TENSORS.items()
    }  # fmt: skip


def compare(node, expression, axes, shape, sizes, at):
    values = random_values(sizes, seed=7)
    got = evaluate(node, values, sizes, at)
    assert got.shape == (*shape, 1, 1)[:2]
    want = np.empty(shape)
    for where in itertools.product(*(range(n) for n in shape)):
        want[where] = direct(expression, values, sizes, {**at, **dict(zip(axes, where, strict=True))})
    np.testing.assert_allclose(got.reshape(shape), want, rtol=1e-10, atol=1e-12)


SIZES = [{N: 5, n0: 3, n1: 4, n2: 2}, {N: 3, n0: 3, n1: 3, n2: 3}, {N: 2, n0: 1, n1: 5, n2: 4}]


def axis_sizes(expression, axes):
    """The size symbol of each axis, read off the tensors; n_1 for an index that stands nowhere."""
    found = {}
    for element in sorted(expression.atoms(Indexed), key=str):
        found.update(zip(indices_of(element), TENSORS[key_of(element)].shape, strict=True))
    return tuple(found.get(letter, n1) for letter in axes)


@pytest.mark.parametrize("sizes", SIZES, ids=["unequal", "square", "thin"])
@pytest.mark.parametrize("case", PER_EXAMPLE, ids=[case[0] for case in PER_EXAMPLE])
def test_matrix_form_means_the_index_expression(case, sizes):
    _, expression, axes, kind = case
    extents = axis_sizes(expression, axes)
    node = matrix_form(expression, axes, TENSORS, p, extents)
    assert isinstance(node, kind), node
    compare(node, expression, axes, tuple(int(n.subs(sizes)) for n in extents), sizes, {p: 1})


# name, expression, free indices; the sum over p becomes SumOver in one form and a product in the
# other
OVER_EXAMPLES = [
    ("dW", Sum(d[p, j] * x[p, s], over(p, N)) / N, (j, s)),
    ("db", Sum(d[p, j], over(p, N)) / N, (j,)),
    ("weighted", Sum(d[p, j] * a[p, j] * x[p, s], over(p, N)), (j, s)),
    ("cost", Sum((a[p, j] - y[p, j]) ** 2, over(j, n1), over(p, N)) / (2 * N), ()),
]


@pytest.mark.parametrize("sizes", SIZES, ids=["unequal", "square", "thin"])
@pytest.mark.parametrize("case", OVER_EXAMPLES, ids=[case[0] for case in OVER_EXAMPLES])
def test_sums_over_examples_have_both_forms(case, sizes):
    _, expression, axes = case
    shape = tuple(int(n.subs(sizes)) for n in axis_sizes(expression, axes))
    summed = matrix_form(expression, axes, TENSORS, p)
    stacked = stacked_form(expression, axes, TENSORS)
    assert summed.has(SumOver) and not stacked.has(SumOver)
    for node in (summed, stacked):
        compare(node, expression, axes, shape, sizes, {})


# With the examples as an axis of its own the softmax Jacobian has three axes:
# test_what_matrices_cannot_say_is_refused.
STACKED = [case for case in PER_EXAMPLE if case[2] == (j,) and case[0] != "softmax chain"]


@pytest.mark.parametrize("sizes", SIZES, ids=["unequal", "square", "thin"])
@pytest.mark.parametrize("case", STACKED, ids=[case[0] for case in STACKED])
def test_all_examples_at_once(case, sizes):
    _, expression, _, _ = case
    node = stacked_form(expression, (p, j), TENSORS, (N, axis_sizes(expression, (j,))[0]))
    shape = tuple(int(n.subs(sizes)) for n in (N, axis_sizes(expression, (j,))[0]))
    compare(node, expression, (p, j), shape, sizes, {})


def test_exact_forms():
    delta, left = ArrayOf("delta1", p), ArrayOf("x", p)
    assert matrix_form(d[p, j] * x[p, s], (p, j, s), TENSORS, p) == Product(delta, Transpose(left))
    back = matrix_form(Sum(W[m, j] * d[p, m], over(m, n1)), (p, j), TENSORS, p)
    assert back == Product(Transpose(ArrayOf("W1")), delta)
    stacked = stacked_form(Sum(d[p, j] * x[p, s], over(p, N)) / N, (j, s), TENSORS)
    assert stacked == Scale(Scalar(1 / N), Product(Transpose(ArrayOf("delta1")), ArrayOf("x")))


def test_derivatives_and_functions():
    carried = {"a": ArrayOf("a1", p), "z": ArrayOf("z1", p), "L": ArrayOf("ell", p)}
    chain = Sum(TotalDerivative(ell[p], a[p, i]) * PartialDerivative(a[p, i], z[p, j]), over(i, n1))
    gradient = Gradient(carried["L"], carried["a"])
    jacobian = Jacobian(carried["a"], carried["z"])
    assert matrix_form(chain, (j,), TENSORS, p) == Product(Transpose(jacobian), gradient)
    collapsed = TotalDerivative(ell[p], a[p, j]) * FunctionDerivative(a[p, j], z[p, j])
    slope = FunctionSlope(carried["a"], carried["z"])
    form = matrix_form(collapsed, (j,), TENSORS, p)
    assert isinstance(form, Hadamard) and set(form.args) == {gradient, slope}
    assert matrix_form(TotalDerivative(J.element, W[j, s]), (s, j), TENSORS, p) == Transpose(
        Gradient(ArrayOf("J"), ArrayOf("W1"))
    )
    undefined = matrix_form(Undefined("g", (1,), z[p, j]), (j,), TENSORS, p)
    assert isinstance(undefined, Elementwise) and undefined.function.expr.orders == (1,)


# name, expression, free indices, what the message must name
REFUSED = [
    ("diagonal of a matrix", V[j, j], (j,), "V1[j, j]"),
    ("an element by number", b[0], (), "b1[0]"),
    ("an index as a number", j * b[j], (j,), "form for j"),
    ("the example as a number", p * a[p, j], (j,), "form for p"),
    ("three axes", PartialDerivative(z[p, i], W[j, s]), (i, j, s), "W1[j, s]"),
    ("a weight each", Sum(d[p, i] * PartialDerivative(z[p, i], W[j, s]), over(i, n1)), (j, s), "three axes"),
    ("another example", a[k, j], (j,), "a1[k, j]"),
    ("a matrix as a vector", W[j, s], (j,), "W1[j, s]"),
    ("part of an axis", Sum(b[j], (j, 1, n1 - 1)), (), "whole axis"),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case[0] for case in REFUSED])
def test_what_matrices_cannot_say_is_refused(case):
    _, expression, axes, named = case
    with pytest.raises(NoMatrixForm, match=re.escape(named)):
        matrix_form(expression, axes, TENSORS, p)


def test_a_jacobian_for_each_example_is_no_matrix():
    chain = Sum(d[p, i] * a[p, i] * (KroneckerDelta(i, j) - a[p, j]), over(i, n1))
    with pytest.raises(NoMatrixForm, match="three axes"):
        stacked_form(chain, (p, j), TENSORS, (N, n1))


def test_zero_keeps_its_shape():
    node = matrix_form(Integer(0), (j, s), TENSORS, p, (n1, n0))
    assert evaluate(node, {}, SIZES[0], {}).shape == (4, 3)
