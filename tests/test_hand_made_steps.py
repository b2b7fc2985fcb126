"""Fast code for programs written by hand: weights that lie either way, transposes, and names of every kind."""

import numpy as np
import pytest
from steps import close
from sympy import And, Integer, Piecewise, Sum, tanh

from codegen.functions import lambdify
from codegen.numba_stepper import missing
from codegen.numpy_stepper import NumpyStepper
from codegen.passes import ALL, PASSES, without
from codegen.passes.costs import Costs
from codegen.passes.plans import OWN_PREFIXES
from codegen.steppers import Request, choose_stepper
from symbolic import Equation, Program, Tensor, derive, index, over, size
from symbolic.errors import DeltaformError, LoweringError, NameRefused, UsageError

p, j, k, s, t = (index(letter) for letter in "pjkst")
N, n, m, q = (size(letter) for letter in "Nnmq")
RATE = 0.1


def two_layers(sizes, by_inputs=False, **names):
    """Squared error of V tanh(W x + b) + c, whose weights are (inputs, units) or (units, inputs)."""

    def tensor(key, role, shape, indices=None):
        return Tensor(names.get(key, key), role, None, shape, indices)

    def turn(first, second):
        return (second, first) if by_inputs else (first, second)

    x, y = tensor("x", "input", (N, n), (p, s)), tensor("y", "target", (N, q), (p, k))
    W, b = tensor("W", "parameter", turn(m, n)), tensor("b", "parameter", (m,))
    V, c = tensor("V", "parameter", turn(q, m)), tensor("c", "parameter", (q,))
    z, a = (tensor(key, "intermediate", (N, m), (p, j)) for key in ("z", "a"))
    o = tensor("o", "intermediate", (N, q), (p, k))
    each, cost = tensor("ell", "loss", (N,), (p,)), Tensor("J", "cost")
    equations = (
        Equation(z, (p, j), Sum(W[turn(j, s)] * x[p, s], over(s, n)) + b[j]),
        Equation(a, (p, j), tanh(z[p, j])),
        Equation(o, (p, k), Sum(V[turn(k, j)] * a[p, j], over(j, m)) + c[k]),
        Equation(each, (p,), Sum((o[p, k] - y[p, k]) ** 2, over(k, q))),
        Equation(cost, (), Sum(each[p], over(p, N)) / N),
    )
    return derive(Program((x, W, b, V, c, y), equations, sizes=dict(zip((n, m, q), sizes, strict=True)), example=p))


def steps_are_right(derivation, batch, dtype="float64", passes=ALL):
    """The stepper's loss and weights after a step, and the workspace's loss and gradients, are the module's."""
    random, program, functions = np.random.default_rng(0), derivation.program, lambdify(derivation)
    shapes = {tensor.key: [int(program.value_of(extent)) for extent in tensor.shape] for tensor in program.parameters}
    params = {key: (0.3 * random.normal(size=shape)).astype(dtype) for key, shape in shapes.items()}
    leaves = [next(leaf for leaf in program.leaves if leaf.role == role) for role in ("input", "target")]
    X, Y = (random.normal(size=(batch, int(program.value_of(leaf.shape[1])))).astype(dtype) for leaf in leaves)
    loss, gradients = functions.loss_and_gradients(params, X, Y)
    made = NumpyStepper(Request(derivation, batch, np.dtype(dtype)), passes)
    for key, value in params.items():
        assert made.params[key].shape == value.shape
        made.params[key][...] = value
    close(made.step(X, Y, RATE), loss, dtype)
    for key, gradient in gradients.items():
        close(made.params[key], params[key] - np.dtype(dtype).type(RATE) * gradient, dtype)
    with functions.workspace(batch, dtype) as space:
        value, found = space.loss_and_gradients(params, X, Y)
        close(value, loss, dtype)
        for key, gradient in gradients.items():
            close(found[key], gradient, dtype)
    return made.source


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("target", ["scalar", "numba", "numpy"])
def test_a_choice_by_two_conditions_in_a_gradient(target, batch):
    """Hard tanh of one unit without bias: the gradient, which has no name of its own, holds an `and`."""
    if target == "numba" and missing():
        pytest.skip(missing())
    x, y = Tensor("x", "input", None, (N, n), (p, s)), Tensor("y", "target", None, (N, q), (p, j))
    W, cost = Tensor("W", "parameter", None, (q, n), (j, s)), Tensor("J", "cost")
    z, a = (Tensor(key, "intermediate", None, (N, q), (p, j)) for key in "za")
    each = Tensor("ell", "loss", None, (N,), (p,))
    hard = Piecewise((z[p, j], And(z[p, j] >= -1, z[p, j] <= 1)), (-1, z[p, j] < -1), (1, True))
    equations = (
        Equation(z, (p, j), Sum(W[j, s] * x[p, s], over(s, n))),
        Equation(a, (p, j), hard),
        Equation(each, (p,), Sum((a[p, j] - y[p, j]) ** 2, over(j, q))),
        Equation(cost, (), Sum(each[p], over(p, N)) / N),
    )
    derivation = derive(Program((x, W, y), equations, sizes={n: 1, q: 1}, example=p))
    if target == "scalar" and batch > 1:
        pytest.skip("the scalar target takes one example a step")
    made = choose_stepper(derivation, batch, target=target)
    for weight, moves in ((0.5, True), (2.0, False), (-2.0, False)):
        params, X, Y = {"W": np.full((1, 1), weight)}, np.full((batch, 1), 1.5), np.full((batch, 1), 0.25)
        loss, gradients = lambdify(derivation).loss_and_gradients(params, X, Y)
        made.params["W"][...] = weight
        assert made.epoch(X, Y, [np.arange(batch)], RATE)[0] == pytest.approx(loss, rel=1e-14)
        close(made.params["W"], params["W"] - RATE * gradients["W"])
        assert made.idle == (-1 if moves else 0)


@pytest.mark.parametrize("target", ["scalar", "numba"])
def test_single_numbers_need_to_know_the_axis_of_the_examples(target):
    x, y = Tensor("x", "input", None, (N, n)), Tensor("y", "target", None, (N,), (p,))
    w, cost = Tensor("w", "parameter", None, (n,)), Tensor("J", "cost")
    each, out = Tensor("ell", "loss", None, (N,), (p,)), Tensor("o", "intermediate", None, (N,), (p,))
    equations = (
        Equation(out, (p,), Sum(w[s] * x[p, s], over(s, n))),
        Equation(each, (p,), (out[p] - y[p]) ** 2),
        Equation(cost, (), Sum(each[p], over(p, N)) / N),
    )
    derivation = derive(Program((x, w, y), equations, sizes={n: 2}, example=p))
    with pytest.raises(UsageError, match="indices of x are i, j; declare it with p, that of the examples, first"):
        choose_stepper(derivation, 1, target=target)


@pytest.fixture(params=[False, True], ids=["", "descending"])
def descends(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(Costs, "descent", lambda *_: -1.0)


@pytest.mark.parametrize("by_inputs", [False, True])
@pytest.mark.parametrize("sizes", [(3, 4, 2), (8, 8, 8), (1, 16, 4), (16, 1, 1), (32, 128, 32), (64, 64, 64)])
def test_weights_may_be_declared_either_way(sizes, by_inputs, descends):
    derivation = two_layers(sizes, by_inputs)
    for batch, dtype in ((1, "float64"), (5, "float64"), (32, "float32"), (128, "float64")):
        steps_are_right(derivation, batch, dtype)


@pytest.mark.parametrize("name", PASSES)
def test_weights_may_be_declared_either_way_without_each_pass(name, descends):
    for by_inputs in (False, True):
        for sizes in ((8, 8, 8), (32, 128, 32)):
            steps_are_right(two_layers(sizes, by_inputs), 32, passes=without(name))


@pytest.mark.parametrize("sizes", [(3, 4, 2), (64, 32, 10), (200, 100, 10)])
@pytest.mark.parametrize("batch", [1, 32, 128])
def test_which_biases_are_folded_does_not_depend_on_how_weights_are_declared(sizes, batch):
    folded = []
    for by_inputs in (False, True):
        source = steps_are_right(two_layers(sizes, by_inputs), batch)
        folded.append([f"    {joint} = P[" in source for joint in ("W_b", "V_c")])
    assert folded[0] == folded[1] and any(folded[0])


NAMES = ("a_1", "x_1", "a_T", "W_b", "dW_db", "rows_of_X", "rows_of_Y", "moves", "P_rest", "G_rest", "down_V", "spare",
         "W_b_T", "given_X", "c_1", "ones_N")  # fmt: skip


@pytest.mark.parametrize("key", ["x", "y", "W", "b", "V", "c", "z", "a", "o"])
@pytest.mark.parametrize("name", NAMES)
def test_names_that_the_text_would_take(name, key, descends):
    for sizes in ((3, 4, 2), (64, 64, 64)):
        try:
            derivation = two_layers(sizes, **{key: name})
        except NameRefused:
            return
        if name.startswith(OWN_PREFIXES):
            with pytest.raises(LoweringError, match="a name of this code's own"):
                steps_are_right(derivation, 4)
            return
        for batch in (3, 4):
            steps_are_right(derivation, batch)


def affine(bias, shape):
    """Squared error of W x and what a bias of this shape adds, and a penalty by the products of W with vectors."""
    x, y = Tensor("x", "input", None, (N, n), (p, s)), Tensor("y", "target", None, (N, m), (p, j))
    W, b = Tensor("W", "parameter", None, (m, n)), Tensor("b", "parameter", None, shape)
    z = Tensor("z", shape=(N, m), indices=(p, j))
    each, cost = Tensor("ell", "loss", None, (N,), (p,)), Tensor("J", "cost")
    penalty = Sum(W[k, s] * W[k, t], over(k, m), over(s, n), over(t, n))
    equations = (
        Equation(z, (p, j), Sum(W[j, s] * x[p, s], over(s, n)) + bias(b)),
        Equation(each, (p,), Sum((z[p, j] - y[p, j]) ** 2, over(j, m)) + penalty),
        Equation(cost, (), Sum(each[p], over(p, N)) / N),
    )
    return derive(Program((x, W, b, y), equations, sizes={n: 3, m: 2}, example=p))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_entry_of_a_parameter_is_read_as_it_is_now(place, descends):
    for batch in (1, 4):
        steps_are_right(affine(lambda b: b[place] * b[0], (Integer(3),)), batch)


def test_a_parameter_that_is_one_number_is_left_to_other_targets():
    derivation = affine(lambda b: b[()], ())
    for make in (lambda: choose_stepper(derivation, 4, target="numpy"), lambda: lambdify(derivation).workspace(4)):
        with pytest.raises(DeltaformError, match="parameter b is a single number"):
            make()
    assert choose_stepper(derivation, 4).name == "textbook"


@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.parametrize("name", ["number_0", "number_1", "number_3"])
def test_compiled_code_with_products_of_vectors_and_names_of_constants(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    random = np.random.default_rng(0)
    for derivation in (two_layers((40, 30, 4), b=name), affine(lambda b: b[1], (Integer(3),))):
        shapes = {t.key: [int(derivation.program.value_of(e)) for e in t.shape] for t in derivation.program.parameters}
        params = {key: random.normal(size=shape) for key, shape in shapes.items()}
        leaves = [next(leaf for leaf in derivation.program.leaves if leaf.role == r) for r in ("input", "target")]
        X, Y = (random.normal(size=(16, int(derivation.program.value_of(leaf.shape[1])))) for leaf in leaves)
        loss, gradients = lambdify(derivation).loss_and_gradients(params, X, Y)
        made = choose_stepper(derivation, 16, target="numba", params=params)
        close(made.step(X, Y, RATE), loss)
        for key, gradient in gradients.items():
            close(made.params[key], params[key] - RATE * gradient)


def of_matrices(penalty):
    """Squared error of W x, and a penalty by two square matrices."""
    x, y = Tensor("x", "input", None, (N, n)), Tensor("y", "target", None, (N, m))
    W = Tensor("W", "parameter", None, (m, n))
    A, B = (Tensor(key, "parameter", None, (n, n)) for key in "AB")
    o = Tensor("o", shape=(N, m), indices=(p, j))
    each, cost = Tensor("ell", "loss", None, (N,), (p,)), Tensor("J", "cost")
    equations = (
        Equation(o, (p, j), Sum(W[j, s] * x[p, s], over(s, n))),
        Equation(each, (p,), Sum((o[p, j] - y[p, j]) ** 2, over(j, m)) + penalty(A, B)),
        Equation(cost, (), Sum(each[p], over(p, N)) / N),
    )
    return derive(Program((x, W, A, B, y), equations, sizes={n: 3, m: 2}, example=p))


@pytest.mark.parametrize(
    "penalty",
    [
        lambda A, B: Sum(A[s, t] * B[t, s], over(s, n), over(t, n)),
        lambda A, B: Sum(A[s, t] * B[s, t], over(s, n), over(t, n)),
        lambda A, B: Sum(tanh(A[s, t]) * A[t, s] + B[s, t], over(s, n), over(t, n)),
        lambda A, B: Sum(A[s, t] ** 2 + B[s, s] * A[t, t], over(s, n), over(t, n)),
    ],
)
def test_the_loss_reads_weights_as_they_are_now(penalty, descends):
    for passes in (ALL, without("feature_major"), without("weight_layout")):
        steps_are_right(of_matrices(penalty), 4, passes=passes)


def test_the_loss_reads_transposed_activations_as_they_are_now():
    x, y = Tensor("x", "input", None, (N, n)), Tensor("y", "target", None, (N, n))
    A, B = (Tensor(key, "parameter", None, (n, n)) for key in "AB")
    u, v = (Tensor(key, shape=(N, n, n), indices=(p, s, t)) for key in "uv")
    each, cost = Tensor("ell", "loss", None, (N,), (p,)), Tensor("J", "cost")
    equations = (
        Equation(u, (p, s, t), tanh(A[s, t] * x[p, t])),
        Equation(v, (p, s, t), tanh(B[s, t] * y[p, s])),
        Equation(each, (p,), Sum(u[p, s, t] * v[p, t, s], over(s, n), over(t, n))),
        Equation(cost, (), Sum(each[p], over(p, N)) / N),
    )
    derivation = derive(Program((x, A, B, y), equations, sizes={n: 3}, example=p))
    for passes in (ALL, without("feature_major"), without("totals")):
        steps_are_right(derivation, 4, passes=passes)


def test_targets_may_lie_in_weights_that_move():
    x, y = Tensor("x", "input", None, (N, n)), Tensor("y", "target", None, (N, q))
    W, V = Tensor("W", "parameter", None, (m, n)), Tensor("V", "parameter", None, (m, q))
    z, v = (Tensor(key, shape=(N, m), indices=(p, j)) for key in "zv")
    each, cost = Tensor("ell", "loss", None, (N,), (p,)), Tensor("J", "cost")
    equations = (
        Equation(v, (p, j), Sum(V[j, k] * y[p, k], over(k, q))),
        Equation(z, (p, j), Sum(W[j, s] * x[p, s], over(s, n))),
        Equation(each, (p,), Sum((z[p, j] - v[p, j]) ** 2, over(j, m))),
        Equation(cost, (), Sum(each[p], over(p, N)) / N),
    )
    derivation = derive(Program((x, W, V, y), equations, sizes={n: 200, m: 150, q: 200}, example=p))
    functions, random = lambdify(derivation), np.random.default_rng(0)
    made = NumpyStepper(Request(derivation, 100, np.dtype("float64")))
    params = {key: random.normal(size=(150, 200)) / 15 for key in "WV"}
    for key in params:
        for place in (0, 1):
            for name, value in params.items():
                made.params[name][...] = value
            given = [random.normal(size=(100, 200)) for _ in range(2)]
            given[place] = made.params[key][:100]
            _, gradients = functions.loss_and_gradients(params, *map(np.copy, given))
            made.step(*given, RATE)
            for name, gradient in gradients.items():
                close(made.params[name], params[name] - RATE * gradient)
