"""Programs that once led the engine astray, or would: derived right and verified, or refused in words."""

import dataclasses
import re
from itertools import pairwise

import pytest
from reference import quiet
from sympy import Abs, I, IndexedBase, Integer, Max, Min, Mul, Piecewise, Rational, Sum, Symbol, exp, log, nan, oo, tanh
from sympy import Function as AnyFunction

from symbolic import (
    Activation,
    DeltaformError,
    Dense,
    Equation,
    Fact,
    Loss,
    Network,
    Program,
    Tensor,
    derive,
    index,
    over,
    size,
    verify,
)
from symbolic.activations import z
from symbolic.expressions import TotalDerivative
from symbolic.losses import h
from symbolic.losses import y as t
from symbolic.rules import NAME, Step
from symbolic.tensors import elements, free_letters, key_of

i, j, p = (index(letter) for letter in "ijp")
n, M, N = size("n"), size("M"), size("N")
w, L = Tensor("w", "parameter"), Tensor("L", "loss")
x, y = Tensor("x", "input", shape=(n,)), Tensor("y", "input", shape=(n,))
b, c = Tensor("b", "parameter", shape=(n,)), Tensor("c", "parameter", shape=(n,))
W = Tensor("W", "parameter", shape=(n, M), indices=(i, j))


def program(*equations, leaves=(x, y, w, b, c, W), **more):
    """The leaves that the equations use, and the equations."""
    keys = {key_of(element) for equation in equations for element in elements(equation.rhs)}
    return Program(tuple(leaf for leaf in leaves if leaf.key in keys), equations, **more)


def cases(value, condition):
    return Piecewise((value, condition), (0, True))


def unlucky():
    a = Tensor("a", shape=(n,))
    A = Tensor("A", shape=(n, n))
    h = Tensor("h", shape=(n,))
    one, two = Tensor("one", shape=(n,)), Tensor("two", shape=(n,))
    yield (
        "a function of a scalar, spread over an axis",
        program(Equation(a, (j,), tanh(w[()])), Equation(L, (), Sum(a[j] * x[j], over(j, n)))),
    )
    yield (
        "a function of a row, spread over columns",
        program(
            Equation(A, (i, j), 1 / (1 + exp(-b[i]))),
            Equation(L, (), Sum(A[i, j] * x[j] * y[i], over(i, n), over(j, n))),
        ),
    )
    yield (
        "a sum of cases under a sum",
        program(
            Equation(h, (i,), Sum(cases(W[i, j] - c[i] + w[()], W[i, j] - c[i] + w[()] > 0), over(j, M))),
            Equation(L, (), Sum(h[i] ** 2, over(i, n))),
        ),
    )
    yield (
        "a power of a kink",
        program(Equation(h, (i,), cases(b[i], b[i] > 0)), Equation(L, (), Sum(h[i] ** Rational(3, 2), over(i, n)))),
    )
    yield (
        "one parameter in two layers, one of them transposed",
        program(
            Equation(one, (i,), Sum(Tensor("V", "parameter", shape=(n, n))[i, j] * x[j], over(j, n))),
            Equation(two, (i,), Sum(Tensor("V", "parameter", shape=(n, n))[j, i] * tanh(one[j]), over(j, n))),
            Equation(L, (), Sum(two[i] ** 2, over(i, n))),
            leaves=(x, Tensor("V", "parameter", shape=(n, n))),
        ),
    )
    yield (
        "an axis of size 1",
        program(
            Equation(
                h, (i,), Sum(Tensor("U", "parameter", shape=(n, 1))[i, j] * Tensor("v", shape=(1,))[j], over(j, 1))
            ),
            Equation(L, (), Sum(h[i] ** 2, over(i, n)) * w[()]),
            leaves=(Tensor("U", "parameter", shape=(n, 1)), Tensor("v", shape=(1,)), w),
        ),
    )
    yield (
        "a composite size",
        program(
            Equation(L, (), Sum(Tensor("u", "parameter", shape=(2 * n,))[j] ** 2, over(j, 2 * n))),
            leaves=(Tensor("u", "parameter", shape=(2 * n,)),),
        ),
    )
    yield "one place of an axis", program(Equation(L, (), b[0] ** 2 * w[()]))
    yield (
        "direct and indirect use of one parameter",
        program(Equation(h, (i,), tanh(w[()] * b[i])), Equation(L, (), Sum(h[i] ** 2, over(i, n)) + w[()] ** 2 * b[0])),
    )


UNLUCKY = dict(unlucky())


@pytest.mark.parametrize("name", UNLUCKY)
def test_derived_right_and_verified(name):
    derivation = derive(UNLUCKY[name])
    report = derivation.verify()
    assert report.ok, str(report)
    for result in derivation.results:
        assert free_letters(result.steps[-1].after) <= set(result.indices)


def test_long_chains_of_elementwise_functions_stay_small():
    tensors = [Tensor("h", layer=layer, shape=(n,)) for layer in range(40)]
    equations = [Equation(tensors[0], (j,), tanh(b[j]))]
    equations += [Equation(u, (j,), tanh(t[j])) for t, u in pairwise(tensors)]
    derivation = derive(program(*equations, Equation(L, (), Sum(tensors[-1][j], over(j, n)))))
    assert max(len(str(step.after)) for step in derivation.steps) < 2000
    assert derivation.verify(points=1).ok


@pytest.mark.parametrize("known", [0, 1])
def test_two_heads_with_a_fact_about_one_of_them(known):
    """Equal but for the fact: a - t only where the entries of t sum to 1, and a sum t - t in the other head."""
    K, k = size("K"), index("k")
    leaves, equations, losses, targets = [], [], [], []
    for name in "fg":
        weight = Tensor(f"{name}w", "parameter", shape=(K,))
        z, a = Tensor(f"{name}z", shape=(K,)), Tensor(f"{name}a", shape=(K,))
        target, loss = Tensor(f"{name}t", "target", shape=(K,)), Tensor(f"{name}loss")
        leaves += [weight, target]
        equations += [
            Equation(z, (i,), weight[i] ** 3),
            Equation(a, (i,), exp(z[i]) / Sum(exp(z[k]), over(k, K))),
            Equation(loss, (), Sum(-target[i] * log(a[i]), over(i, K))),
        ]
        losses.append(loss[()])
        targets.append(target)
    fact = Fact(Sum(targets[known][i], over(i, K)), Integer(1), "the entries of one target sum to 1")
    both = Program(tuple(leaves), (*equations, Equation(L, (), sum(losses))), facts=(fact,))
    derivation = derive(both)
    assert derivation.verify().ok
    forms = [derivation[key].steps[-1].after for key in ("adj_fz", "adj_gz")]
    assert [form.has(Sum) for form in forms] == [known != 0, known != 1]


def test_a_fact_about_rows_is_not_used_on_the_trace():
    Y = Tensor("Y", "target", shape=(n, n))
    fact = Fact(Sum(Y[i, j], over(j, n)), Integer(1), "rows sum to 1")
    trace = Program((Y, w), (Equation(L, (), w[()] * Sum(Y[j, j], over(j, n))),), facts=(fact,))
    derivation = derive(trace)
    assert derivation.gradients["w"].rhs == Sum(Y[j, j], over(j, n))
    assert derivation.verify().ok


def test_equal_layers_cite_their_own_results():
    derivation = derive(quiet("3 -> 4 tanh -> 4 tanh -> 4 tanh -> 2; half_squared_error"))
    for layer in range(1, 5):
        cited = [step.because for step in derivation[f"dW{layer}"].steps if isinstance(step.because, str)]
        assert cited == [f"each_dW{layer}"]


def test_what_is_computed_once_for_all_examples_is_refused_with_an_examples_axis():
    V = Tensor("V", shape=(n,))
    X, ell = Tensor("X", "input", shape=(N, n), indices=(p, j)), Tensor("ell", shape=(N,), indices=(p,))
    equations = (
        Equation(V, (j,), tanh(b[j])),
        Equation(ell, (p,), Sum(V[j] * X[p, j], over(j, n)) ** 2),
        Equation(L, (), Sum(ell[p], over(p, N)) / N),
    )
    with pytest.raises(DeltaformError, match=r"V is computed once for all examples.*Leave Program.example out"):
        derive(Program((X, b), equations, example=p))
    assert derive(Program((X, b), equations)).verify().ok


REFUSED = {
    "7 in b.7. is not known": lambda: Equation(L, (), b[7]),
    "-1 in b": lambda: Equation(L, (), b[-1]),
    "1/2 in b": lambda: Equation(L, (), b[Rational(1, 2)]),
    "only looks like b": lambda: Equation(L, (), Sum(IndexedBase("b")[j], over(j, n)) + 0 * b[0]),
    "lam is used.*scalar Tensor": lambda: Equation(L, (), Symbol("lam") * b[0]),
    "ImaginaryUnit": lambda: Equation(L, (), I * b[0]),
    "Infinity": lambda: Equation(L, (), oo * b[0]),
    "NaN": lambda: Equation(L, (), nan + b[0]),
    "unknown function.*Undefined.function": lambda: Equation(L, (), AnyFunction("f")(b[0])),
    "no last case": lambda: Equation(L, (), Piecewise((b[0], b[0] > 0))),
    "sum of cases inside another sum": lambda: Equation(
        L, (), Sum(b[i] * Sum(cases(W[i, j], W[i, j] > 0), over(j, M)), over(i, n))
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_index_expression_is_refused(message):
    with pytest.raises(DeltaformError, match=message):
        Program((b, W), (REFUSED[message](),))


@pytest.mark.parametrize("shape", [(Integer(0),), (Integer(-2),), (Rational(1, 2),), (n - 5,), (0,)])
def test_sizes_that_are_none(shape):
    with pytest.raises(DeltaformError, match="a size must be at least 1"):
        Tensor("T", shape=shape)


def test_letters_that_are_none():
    with pytest.raises(DeltaformError, match=r"make it with index\('q'\)"):
        Tensor("T", shape=(n,), indices=(Symbol("q", real=True),))
    with pytest.raises(DeltaformError, match="stands twice"):
        Tensor("T", shape=(n, n), indices=(j, j))


# What the verifier must not let pass


def changed(derivation, key, **changes):
    results = tuple(dataclasses.replace(r, **changes) if r.tensor.key == key else r for r in derivation.results)
    return dataclasses.replace(derivation, results=results)


def residual():
    V = Tensor("V", "parameter", shape=(n, n))
    h = Tensor("h", shape=(n,))
    return derive(
        Program(
            (x, V), (Equation(h, (i,), Sum(V[i, j] * x[j], over(j, n))), Equation(L, (), Sum(h[i] ** 2, over(i, n))))
        )
    )


def test_a_gradient_with_its_indices_exchanged_is_found():
    derivation = residual()
    assert derivation.verify().ok
    result = derivation["dV"]
    swapped = changed(derivation, "dV", indices=tuple(reversed(result.indices)))
    assert any("should be written with the indices" in row.problem for row in swapped.verify().failures)


def test_chains_that_derive_nothing_are_found():
    derivation = residual()
    start = derivation["dV"].steps[0].before
    assert isinstance(start, TotalDerivative)
    idle = changed(derivation, "dV", steps=(Step(NAME, start, start),))
    assert any("a derivative is left" in row.problem for row in idle.verify().failures)
    circular = changed(derivation, "dV", steps=(Step(NAME, start, derivation["dV"].tensor.element),))
    assert any("not derived before it" in row.problem for row in circular.verify().failures)


def test_a_wrong_order_and_a_missing_gradient_are_found():
    derivation = derive(quiet("3 -> 4 tanh -> 2; half_squared_error"))
    backwards = dataclasses.replace(derivation, results=derivation.results[::-1])
    assert any("not derived before it" in row.problem for row in backwards.verify(points=1).failures)
    cut = dataclasses.replace(derivation, results=derivation.results[:-1])
    assert any("0 gradients by b1" in row.problem for row in cut.verify(points=1).failures)


def test_a_letter_that_stands_for_nothing_is_found():
    derivation = derive(UNLUCKY["a function of a scalar, spread over an axis"])
    a = derivation.tensors["a"]
    steps = derivation["dw"].steps
    dangling = dataclasses.replace(steps[-1], after=(1 - a[j] ** 2) * Sum(x[i], over(i, n)))
    report = changed(derivation, "dw", steps=(*steps[:-1], dangling)).verify()
    assert any("an index stands for nothing" in row.problem for row in report.failures)


@pytest.mark.parametrize("wrong", [Rational(1, 2), Rational(1, 3), 1 / size("n_1"), 1 / size("n_2")])
def test_another_size_in_place_of_the_number_of_examples_is_found(wrong):
    derivation = derive(quiet("3 -> 4 tanh -> 2; half_squared_error"))
    steps = derivation["dW2"].steps
    last = dataclasses.replace(steps[-1], after=steps[-1].after * N * wrong)
    assert not changed(derivation, "dW2", steps=(*steps[:-1], last)).verify().ok


@pytest.mark.parametrize("points", [0, -1, True, 1.5])
def test_no_points_are_no_verification(points):
    with pytest.raises(DeltaformError, match="points must be a whole number of at least 1"):
        verify(residual(), points=points)


@pytest.mark.parametrize("value", [oo, nan])
def test_a_form_without_finite_value_is_found(value):
    derivation = residual()
    steps = derivation["dV"].steps
    last = dataclasses.replace(steps[-1], after=steps[-1].after * value)
    assert not changed(derivation, "dV", steps=(*steps[:-1], last)).verify().ok


# Functions by cases that users add first

PIECES = {
    "hardtanh": Piecewise((-1, z < -1), (1, z > 1), (z, True)),
    "hardtanh by extrema": Max(-1, Min(z, 1)),
    "relu6": Min(Max(z, 0), 6),
    "hardswish": z * Min(Max(z + 3, 0), 6) / 6,
}
LOSSES = {
    "huber": Piecewise(((h - t) ** 2 / 2, Abs(h - t) < 1), (Abs(h - t) - Rational(1, 2), True)),
    "power": Abs(h - t) ** Rational(3, 2),
    "cube": Abs(h - t) ** 3,
}


@pytest.mark.parametrize("name", PIECES)
def test_activations_by_cases(name):
    activation = Activation(name.replace(" ", "_"), PIECES[name])
    derivation = derive(Network(3, [Dense(4, activation), Dense(2)], "half_squared_error"))
    report = derivation.verify()
    assert report.ok, str(report)
    for form in ("matrix", "component"):
        page = derivation.latex(form=form)
        cases = re.findall(r"\\begin\{cases\} (.*?) \\end\{cases\}", page)
        assert cases
        for case in cases:
            rows = case.split(r" \\ ")
            assert rows[-1].endswith(r"\text{otherwise}") and all(r"\text{if }" in row for row in rows[:-1]), case


@pytest.mark.parametrize("name", LOSSES)
def test_losses_by_cases(name):
    derivation = derive(Network(3, [Dense(4, "tanh"), Dense(2)], Loss(name, LOSSES[name])))
    report = derivation.verify()
    assert report.ok, str(report)
    assert derivation.latex()


def test_extrema_in_a_program_follow_the_convention_at_the_kink():
    largest = program(Equation(L, (), Sum(Max(b[i], 0) * x[i], over(i, n))))
    derivation = derive(largest)
    report = derivation.verify()
    assert report.ok and report.kink_points == 1, str(report)
    assert derivation.gradients["b"].rhs == Piecewise((x[i], b[i] > 0), (0, True))


def test_what_is_no_source_and_what_is_no_wrt():
    network = quiet("3 -> 2; half_squared_error")
    for wrong in ("3 -> 2; half_squared_error", None):
        with pytest.raises(DeltaformError, match=r"derive takes a Network or a Program.*Network.parse"):
            derive(wrong)
    assert list(derive(network, wrt="W1").gradients) == ["W1"]
    with pytest.raises(DeltaformError, match="wrt is empty"):
        derive(network, wrt=[])
    with pytest.raises(DeltaformError, match="shape must be a tuple"):
        Tensor("T", shape=3)
    for make in (size, index):
        for name in ("", "D ", None):
            with pytest.raises(DeltaformError, match="must be a letter followed by"):
                make(name)


def test_a_forgotten_width_is_not_taken_for_a_size():
    with pytest.raises(DeltaformError, match="'relu' is an activation; write the number before it: 32 relu"):
        Network.parse("64 -> relu -> 10 softmax; cross_entropy")


def test_products_are_not_multiplied_out():
    factors = [Tensor("f", "parameter", layer) for layer in range(24)]
    product = Program(tuple(factors), (Equation(L, (), Mul(*(1 + factor[()] for factor in factors))),))
    derivation = derive(product)
    assert derivation.gradients["f0"].rhs == Mul(*(1 + factor[()] for factor in factors[1:]))
    assert derivation.verify(points=1).ok
