"""Index equations become the array operations a careful person would write, with the same numbers."""

import itertools
import re

import numpy as np
import pytest
import sympy
from sympy import Integer, KroneckerDelta, Piecewise, Sum, exp, sin, sqrt, tanh

from codegen.functions import lambdify
from codegen.gradcheck import check_gradients
from codegen.lowering import lower
from codegen.signature import signature
from codegen.source import array_programs
from codegen.targets.expressions import expression
from symbolic.backpropagation import derive
from symbolic.errors import LoweringError
from symbolic.expressions import TotalDerivative, Undefined
from symbolic.network import Network
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, elements, index, indices_of, key_of, over, size

i, j, k, s, p, h, m = (index(letter) for letter in "ijksphm")
N, n, q, H = (size(name) for name in ("N", "n", "q", "H"))
EXTENT = {N: 5, n: 3, q: 4, H: 2}
SHAPES = {
    "X": (N, n), "W": (q, n), "V": (q, n), "b": (q,), "c": (n,), "A": (H, N, n), "B": (H, q, n), "D": (N, q),
    "T": (N, H, n), "U": (n, H, q), "r": (N,), "g": (),
}  # fmt: skip
LEAVES = {name: Tensor(name, "parameter", None, shape) for name, shape in SHAPES.items()}
X, W, V, b, c, A, B, D, T, U, r, g = LEAVES.values()
VALUES = {
    name: np.random.default_rng(len(name) + position).normal(size=tuple(EXTENT[e] for e in shape))
    for position, (name, shape) in enumerate(SHAPES.items())
}


def lowered(shape, indices, rhs):
    """The node for out[indices] = rhs."""
    out = Tensor("out", "intermediate", None, shape)
    total = Tensor("total", "cost")
    equation = Equation(out, indices, rhs)
    objective = Equation(
        total,
        (),
        Sum(out[indices], *(over(*pair) for pair in zip(indices, shape, strict=True))) if shape else out[()],
    )
    program = Program(tuple(LEAVES.values()), (equation, objective))
    return lower(program.equations, program.tensors, program).function(("out",)), program


def text_of(shape, indices, rhs):
    program, _ = lowered(shape, indices, rhs)
    return "; ".join(expression(assignment.node, {}) for assignment in program.assignments)


def by_loops(shape, indices, rhs):
    """The array of an index expression, element by element: the definition, and slow."""

    def number(e, where):
        if isinstance(e, Sum):
            letter, _, high = e.limits[-1]
            rest = e.func(e.function, *e.limits[:-1]) if len(e.limits) > 1 else e.function
            return sum(number(rest, {**where, letter: t}) for t in range(int((high + 1).subs(EXTENT))))
        key = key_of(e)
        if key is not None:
            return VALUES[key][tuple(where.get(t, t) if not t.is_Integer else int(t) for t in indices_of(e))]
        if e in EXTENT:
            return EXTENT[e]
        if e in where:
            return where[e]
        if not e.args:
            return e
        return e.func(*(number(t, where) if isinstance(t, sympy.Basic) else t for t in e.args))

    result = np.empty([EXTENT[e] for e in shape])
    for place in itertools.product(*(range(EXTENT[e]) for e in shape)):
        result[place] = float(number(rhs, dict(zip(indices, place, strict=True))))
    return result


FORMS = [
    # shape, indices, right side, the text
    ((N, q), (p, j), Sum(W[j, s] * X[p, s], over(s, n)) + b[j], "X @ W.T + b"),
    ((q,), (j,), Sum(W[j, s] * c[s], over(s, n)) + b[j], "W @ c + b"),
    ((N, n), (p, s), Sum(W[m, s] * D[p, m], over(m, q)), "D @ W"),
    ((q, n), (j, s), Sum(D[p, j] * X[p, s], over(p, N)) / N, "(D.T @ X) / N"),
    ((q,), (j,), Sum(D[p, j], over(p, N)) / N, "D.sum(axis=0) / N"),
    ((q, n), (j, s), b[j] * c[s], "b[:, None] * c"),
    ((N, n), (p, j), X[p, j] * Sum(X[p, k] ** 2, over(k, n)), "(X**2).sum(axis=1, keepdims=True) * X"),
    ((N,), (p,), Sum(X[p, j] * c[j], over(j, n)), "X @ c"),
    ((N,), (p,), Sum(X[p, j] * X[p, j] * r[p], over(j, n)), "(X**2).sum(axis=1) * r"),
    ((), (), Sum(c[s] * c[s], over(s, n)), "(c**2).sum()"),
    ((N, N), (p, k), Sum(X[p, s] * X[k, s], over(s, n)) / sqrt(n), "(X @ X.T) / n**0.5"),
    ((H, N, q), (h, p, j), Sum(A[h, p, s] * B[h, j, s], over(s, n)), "A @ B.transpose(0, 2, 1)"),
    ((N, H, q), (p, h, j), Sum(T[p, h, s] * W[j, s], over(s, n)), "T @ W.T"),
    ((N, q), (p, j), Sum(T[p, h, s] * U[s, h, j], over(h, H), over(s, n)),
     "np.tensordot(T, U, axes=((1, 2), (1, 0)))"),
    ((N, q), (p, j), Sum(Sum(T[p, h, s] * U[s, h, j], over(s, n)), over(h, H)),
     "np.tensordot(T, U, axes=((2, 1), (0, 1)))"),
    ((N,), (p,), Sum(D[p, j] * W[j, s] * c[s], over(j, q), over(s, n)), "D @ (W @ c)"),
    ((n,), (s,), Sum(W[m, s] * b[m], over(m, q)), "b @ W"),
    ((N,), (p,), Sum(Sum(W[j, s] * X[p, s], over(s, n)) * b[j], over(j, q)), "X @ W.T @ b"),
    ((N, q), (p, j), Sum(W[j, s] * (X[p, s] - c[s]), over(s, n)), "(X - c) @ W.T"),
    ((N, q), (p, j), Sum(W[j, s] * X[p, s] + V[j, s], over(s, n)), "X @ W.T + V.sum(axis=1)"),
    ((N, q), (p, j), Sum(X[p, s] * (W[j, s] + X[p, s]), over(s, n)),
     "X @ W.T + (X**2).sum(axis=1, keepdims=True)"),
    ((), (), Sum(b[j] * c[s], over(j, q), over(s, n)), "b.sum() * c.sum()"),
    ((n,), (s,), Sum(c[s], over(j, q)), "q * c"),
    ((n,), (s,), c[s] * Sum(Integer(1), over(p, N)), "N * c"),
    ((N, n), (p, j), X[p, j] * Piecewise((1, X[p, j] > 0), (0, True)), "X * (X > 0)"),
    ((N, n), (p, j), X[p, j] * Piecewise((0, X[p, j] > 0), (1, True)), "X * ~(X > 0)"),
    ((N, n), (p, j), X[p, j] * Piecewise((1, X[p, j] > 0), (sympy.Rational(1, 100), True)),
     "np.where(X > 0, X, X / 100)"),
    ((N, n), (p, j), Piecewise((1, X[p, j] > 0), (0, True)), "np.asarray(X > 0, dtype=dtype)"),
    ((q, N), (j, p), D[p, j] + b[j], "(D + b).T"),
    ((N, n), (p, j), c[j], "np.broadcast_to(c, (N, n)).copy()"),
    ((n,), (j,), Integer(0), "np.full((n,), 0, dtype=dtype)"),
    ((N,), (p,), X[p, 0] * tanh(X[p, 0]), "X[:, 0] * np.tanh(X[:, 0])"),
    ((n, n), (i, j), KroneckerDelta(i, j) + c[i], "np.eye(n, dtype=dtype) + c[:, None]"),
    ((n,), (j,), KroneckerDelta(0, j) + c[j], "c + np.eye(n, dtype=dtype)[0, :]"),
    ((N, H, q), (p, h, j), Sum(T[p, h, s] * U[s, h, j], over(s, n)), None),
    ((N, q, H), (p, j, h), Sum(T[p, h, s] * A[h, p, s] * B[h, j, s], over(s, n)), None),
    ((n, N, q), (s, p, j), sin(X[p, s]) * W[j, s] + g[()], None),
    ((N, q), (p, j), Sum(sympy.Abs(X[p, s] - W[j, s]), over(s, n)), None),
    ((n,), (s,), exp(-c[s] ** 3) / (2 + c[s] ** 4) + tanh(g[()]) ** 2 + 1 / c[s] ** 2, None),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "indices", "rhs", "text"), FORMS)
def test_form(shape, indices, rhs, text):
    if text is not None:
        assert text_of(shape, indices, rhs) == text


@pytest.mark.parametrize(("shape", "indices", "rhs", "text"), FORMS)
def test_form_computes_the_index_expression(shape, indices, rhs, text):
    out = Tensor("out", "intermediate", None, shape)
    probe = Tensor("probe", "parameter", None, shape)
    total = Tensor("total", "cost")
    pairs = [over(letter, extent) for letter, extent in zip(indices, shape, strict=True)]
    summed = Sum(out[indices] * probe[indices], *pairs) if shape else out[()] * probe[()]
    program = Program((*LEAVES.values(), probe), (Equation(out, indices, rhs), Equation(total, (), summed)))
    functions = lambdify(derive(program, ["probe"]))
    params = {**VALUES, "probe": np.asarray(np.random.default_rng(3).normal(size=[EXTENT[e] for e in shape]))}
    _, gradients = functions.loss_and_gradients(params)
    assert gradients["probe"].shape == params["probe"].shape
    np.testing.assert_allclose(gradients["probe"], by_loops(shape, indices, rhs), rtol=1e-12, atol=1e-12)
    single, narrow = functions.loss_and_gradients({key: value.astype(np.float32) for key, value in params.items()})
    assert narrow["probe"].dtype == np.float32 and np.isfinite(single)


def test_einsum_only_where_no_product_serves():
    """Two shared free letters that are no leading batch of both, and two own letters on one side."""
    texts = [text_of(*form[:3]) for form in FORMS]
    assert not any("einsum" in text for text in texts)
    rhs = Sum(T[p, h, s] * A[h, p, s] * X[k, s], over(s, n))
    assert "einsum" not in text_of((N, H, N), (p, h, k), rhs)
    forced = Sum(T[p, h, s] * U[s, h, j] * Integer(1), over(s, n), over(h, H))
    assert "tensordot" in text_of((N, q), (p, j), forced)
    both = Sum(A[h, p, s] * A[h, k, s] * r[p], over(s, n))
    assert "@" in text_of((H, N, N), (h, p, k), both)


REFUSED = [
    (Undefined.function("g", c[j]), "g is undefined"),
    (TotalDerivative(g[()], c[j]), "is a derivative"),
    (c[j] * j, "index used as a number"),
    (sympy.gamma(c[j]), "gamma is not a function"),
    (Piecewise((c[j], c[j] > 0)), "no value where none"),
    (c[j] * sympy.I, "not a finite real number"),
]


@pytest.mark.parametrize(("rhs", "message"), REFUSED)
def test_what_has_no_form_is_refused_by_name(rhs, message):
    out = Tensor("out", "intermediate", None, (n,))
    total = Equation(Tensor("total"), (), Sum(out[j], over(j, n)))
    program = Program((c, g), (Equation(out, (j,), c[j] * g[()]), total))
    # A program refuses most of these itself; here they come from equations that were derived.
    equations = (Equation(out, (j,), rhs), program.equations[1])
    with pytest.raises(LoweringError, match="equation for out: .*" + re.escape(message)):
        lower(equations, program.tensors, program)


def test_diagonals_are_read_and_written():
    """Along two axes of two, the last two of three, and all three; their gradients are zero beside them."""
    two, three = Tensor("Z", "parameter", None, (n, n)), Tensor("B", "parameter", None, (H, n, n))
    cube = Tensor("C", "parameter", None, (n, n, n))
    out, each = Tensor("out", "intermediate", None, (n,)), Tensor("each", "intermediate", None, (H, n))
    total = Tensor("total", "cost")
    program = Program(
        (two, three, cube),
        (
            Equation(out, (j,), two[j, j] ** 2),
            Equation(each, (i, j), three[i, j, j] * out[j]),
            Equation(total, (), Sum(each[i, j] * cube[j, j, j] + cube[j, 0, j], over(i, H), over(j, n))),
        ),
    )
    functions = lambdify(derive(program))
    random = np.random.default_rng(0)
    params = {key: random.normal(size=shape) for key, shape in (("Z", (3, 3)), ("B", (2, 3, 3)), ("C", (3, 3, 3)))}
    value, gradients = functions.loss_and_gradients(params)
    Z, B, C = params.values()
    expected = np.einsum("ijj,jj,jj,jjj->", B, Z, Z, C) + 2 * np.einsum("jj->", C[:, 0, :])
    assert value == pytest.approx(expected, rel=1e-13)
    assert (gradients["Z"][~np.eye(3, dtype=bool)] == 0).all()
    report = check_gradients(functions.unchecked["loss"], gradients, params, method="complex")
    assert report.ok, str(report)


def test_a_diagonal_that_is_a_result_shares_no_memory():
    square, out = Tensor("Z", "parameter", None, (n, n)), Tensor("out", "intermediate", None, (n,))
    total = Tensor("total", "cost")
    program = Program((square,), (Equation(out, (j,), square[j, j]), Equation(total, (), Sum(out[j], over(j, n)))))
    lowered = lower(program.equations, program.tensors, program).function(("out",))
    assert [assignment.node.op for assignment in lowered.assignments] == ["copy"]


def test_parts_used_twice_are_computed_once():
    derivation = derive(Network.parse("3 -> 4 silu -> 2 softmax; cross_entropy"))
    programs = array_programs(derivation, signature(derivation))
    nodes = [node for a in programs["loss_and_gradients"].assignments for node in a.node.walk()]
    assert sum(node.op == "exp" for node in nodes) == 1
    assert sum(node.op == "logistic" for node in nodes) == 1
    assert sum(node.op == "max" for node in nodes) == 1


def test_each_function_computes_only_what_it_needs():
    derivation = derive(Network.parse("3 -> 4 relu -> 2 softmax; cross_entropy"))
    programs = array_programs(derivation, signature(derivation))
    assert [a.name for a in programs["forward"].assignments] == ["z1", "a1", "z2", "exp_z2", "a2"]
    assert "a2" not in [a.name for a in programs["loss"].assignments]


def layer_norm():
    x = Tensor("x", "input", None, (N, n), (p, j))
    t = Tensor("y", "target", None, (N, n), (p, j))
    gain, shift = (Tensor(name, "parameter", None, (n,), (j,)) for name in ("gain", "shift"))
    mu, var = (Tensor(name, "intermediate", None, (N,), (p,)) for name in ("mu", "var"))
    o = Tensor("o", "activation", None, (N, n), (p, j))
    cost = Tensor("J", "cost")
    return Program(
        (x, t, gain, shift),
        (
            Equation(mu, (p,), Sum(x[p, j], over(j, n)) / n),
            Equation(var, (p,), Sum((x[p, j] - mu[p]) ** 2, over(j, n)) / n),
            Equation(
                o, (p, j), gain[j] * (x[p, j] - mu[p]) / sqrt(var[p] + sympy.Rational(1, 10**5)) + shift[j]
            ),
            Equation(cost, (), Sum((o[p, j] - t[p, j]) ** 2, over(p, N), over(j, n)) / N),
        ),
    )  # fmt: skip


def attention():
    x = Tensor("x", "input", None, (N, n), (p, s))
    WQ, WK, WV = (Tensor(name, "parameter", None, (q, n), (h, s)) for name in ("WQ", "WK", "WV"))
    queries, keys, values = (Tensor(name, "intermediate", None, (N, q), (p, h)) for name in ("Qu", "Ke", "Va"))
    scores, weights = (Tensor(name, "intermediate", None, (N, N), (i, j)) for name in ("scores", "weights"))
    out = Tensor("out", "activation", None, (N, q), (p, h))
    cost = Tensor("J", "cost")
    linear = [
        Equation(made, (p, h), Sum(weight[h, s] * x[p, s], over(s, n)))
        for made, weight in ((queries, WQ), (keys, WK), (values, WV))
    ]
    return Program(
        (x, WQ, WK, WV),
        (
            *linear,
            Equation(scores, (i, j), Sum(queries[i, h] * keys[j, h], over(h, q)) / sqrt(q)),
            Equation(weights, (i, j), exp(scores[i, j]) / Sum(exp(scores[i, k]), over(k, N))),
            Equation(out, (p, h), Sum(weights[p, j] * values[j, h], over(j, N))),
            Equation(cost, (), Sum(out[p, h] ** 2, over(p, N), over(h, q))),
        ),
    )


def residual():
    x = Tensor("x", "input", None, (n,), (j,))
    weight = Tensor("W", "parameter", None, (n, n), (i, j))
    z, o = (Tensor(name, "intermediate", None, (n,), (i,)) for name in ("z", "o"))
    cost = Tensor("J", "cost")
    return Program(
        (x, weight),
        (
            Equation(z, (i,), Sum(weight[i, j] * x[j], over(j, n))),
            Equation(o, (i,), x[i] + tanh(z[i])),
            Equation(cost, (), Sum(o[i] ** 2, over(i, n)) / 2),
        ),
    )


@pytest.mark.parametrize(
    "program", [layer_norm(), attention(), residual()], ids=["layer norm", "attention", "residual"]
)
def test_programs_that_are_no_dense_network(program):
    """Gradients of every leaf against the complex step."""
    keys = [leaf.key for leaf in program.leaves if leaf.role != "target"]
    functions = lambdify(derive(program, keys))
    random = np.random.default_rng(0)
    values = {leaf.key: random.normal(size=[EXTENT[e] for e in leaf.shape]) for leaf in program.leaves}
    split = [leaf.key for leaf in program.leaves if leaf.role != "parameter"]

    def call(function, given):
        return function({key: given[key] for key in values if key not in split}, *(given[key] for key in split))

    value, gradients = call(functions.loss_and_gradients, values)
    assert value == call(functions.loss, values)
    report = check_gradients(
        lambda given: call(functions.unchecked["loss"], given), gradients, values, method="complex"
    )
    assert report.ok, str(report)
    assert "einsum" not in functions.source and "for p in" not in functions.source


def test_a_gradient_never_shares_memory_with_the_data():
    x = Tensor("x", "input", None, (n,), (j,))
    w = Tensor("w", "parameter", None, (n,), (j,))
    cost = Tensor("J", "cost")
    functions = lambdify(derive(Program((x, w), (Equation(cost, (), Sum(w[j] * x[j], over(j, n))),))))
    data = np.ones(3)
    _, gradients = functions.loss_and_gradients({"w": np.zeros(3)}, data)
    gradients["w"] *= 2
    assert (data == 1).all()


def test_elements_of_every_form_are_tensors_of_the_test():
    assert {key_of(e) for form in FORMS for e in elements(form[2])} == set(SHAPES)
