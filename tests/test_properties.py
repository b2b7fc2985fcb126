"""Properties on random input: contraction and delta form as rewriting systems, and random architectures end to end."""

import random

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import complex_step, data, quiet, reference_loss, worst_difference
from sympy import Add, Expr, Integer, KroneckerDelta, Mul, Rational, Sum, exp, tanh

from codegen import lambdify
from symbolic import Program, Tensor, derive, index, over, size
from symbolic.calculus import contract
from symbolic.deltaform import best, tidy_steps
from symbolic.evaluation import Point
from symbolic.precision import NUMBERS
from symbolic.sampling import random_leaves
from symbolic.tensors import Equation, Fact

CALM = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
N = size("n")
i, j, k, m = (index(letter) for letter in "ijkm")
A, B = Tensor("A", "input", shape=(N, N)), Tensor("B", "input", shape=(N, N))
u, v, y = Tensor("u", "input", shape=(N,)), Tensor("v", "input", shape=(N,)), Tensor("y", "target", shape=(N,))
UNIT = Fact(Sum(y[i], over(i, N)), Integer(1), "the target's entries sum to 1")
FREE = (i, j)
LEAVES = (A, B, u, v, y)


def values(expression: Expr, seed: int) -> list:
    """The expression at every value of its free letters i and j, at one random point."""
    loss = Tensor("L")
    program = Program(LEAVES, (Equation(loss, (), Integer(0)),), facts=(UNIT,))
    sizes = {N: 3}
    point = Point(program, sizes, random_leaves(program, sizes, seed))
    run = point.compile(expression)
    return [run({i: one, j: other})[0] for one in range(3) for other in range(3)]


def same(one: Expr, other: Expr, seed: int) -> bool:
    pairs = zip(values(one, seed), values(other, seed), strict=True)
    return all(abs(a - b) <= NUMBERS.mpf("1e-40") * max(1, abs(a), abs(b)) for a, b in pairs)


@st.composite
def terms(draw, bound=()):
    """A random index expression with free letters i and j, with sums, deltas, functions and quotients."""
    letters = (*FREE, *bound)
    pick = st.sampled_from(letters)
    kind = draw(st.sampled_from(["vector", "matrix", "delta", "function", "number", "sum", "add", "mul", "quotient"]))
    if kind == "vector":
        return draw(st.sampled_from([u, v, y]))[draw(pick)]
    if kind == "matrix":
        return draw(st.sampled_from([A, B]))[draw(pick), draw(pick)]
    if kind == "delta":
        return KroneckerDelta(draw(pick), draw(pick))
    if kind == "number":
        return draw(st.sampled_from([Integer(-1), Integer(2), Rational(1, 3)]))
    if kind == "function":
        return draw(st.sampled_from([exp, tanh]))(draw(st.sampled_from([u, v]))[draw(pick)])
    if kind == "quotient":
        return draw(terms(bound)) / (2 + exp(u[draw(pick)]))
    if kind == "sum":
        fresh = next((letter for letter in (k, m) if letter not in bound), None)
        if fresh is None:
            return u[draw(pick)]
        return Sum(draw(terms((*bound, fresh))), over(fresh, N))
    parts = draw(st.lists(terms(bound), min_size=2, max_size=3))
    return Add(*parts) if kind == "add" else Mul(*parts)


RANGES = {i: N, j: N}


@CALM
@given(terms(), st.integers(0, 3))
def test_contraction_is_true_and_idempotent(expression, seed):
    once = contract(expression, RANGES)
    assert same(expression, once, seed)
    assert contract(once, RANGES) == once


@CALM
@given(terms(), st.integers(0, 3))
def test_simplifying_is_true_idempotent_and_never_dearer(expression, seed):
    contracted = contract(expression, RANGES)
    simpler = best(contracted)
    assert same(contracted, simpler, seed)
    steps = tidy_steps(contracted, (UNIT,))
    final = steps[-1].after if steps else contracted
    assert same(contracted, final, seed)
    assert tidy_steps(final, (UNIT,)) == ()


@CALM
@given(terms(), st.randoms(use_true_random=False))
def test_the_order_of_terms_and_factors_does_not_matter(expression, shuffler):
    shuffled = _shuffled(expression, shuffler)
    ours, theirs = (contract(one, RANGES) for one in (expression, shuffled))
    assert ours == theirs
    assert best(ours) == best(theirs)


def _shuffled(node, shuffler: random.Random):
    if not node.args or not isinstance(node, (Add, Mul, Sum)):
        return node
    if isinstance(node, Sum):
        return Sum(_shuffled(node.function, shuffler), *node.limits)
    arguments = [_shuffled(argument, shuffler) for argument in node.args]
    shuffler.shuffle(arguments)
    return node.func(*arguments)


HIDDEN = [
    "identity",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "softplus",
    "silu",
    "gelu",
    "gelu_tanh",
    "softmax",
]
OUTPUTS = [
    "softmax; cross_entropy", "sigmoid; binary_cross_entropy", "sigmoid; log_likelihood",
    "identity; half_squared_error",
    "tanh; squared_error", "relu; half_squared_error",
]  # fmt: skip


@st.composite
def architectures(draw):
    widths = draw(st.lists(st.integers(2, 5), min_size=2, max_size=4))
    hidden = [f"{width} {draw(st.sampled_from(HIDDEN))}" for width in widths[1:-1]]
    return f"{widths[0]} -> {' -> '.join([*hidden, f'{widths[-1]} {draw(st.sampled_from(OUTPUTS))}'])}"


@settings(CALM, max_examples=25)
@given(architectures(), st.integers(1, 5), st.integers(0, 100), st.sampled_from(["mean", "sum"]))
def test_random_architectures_have_the_gradients_of_their_loss(text, batch, seed, reduction):
    network = quiet(text, reduction=reduction)
    params, X, Y = data(network, batch, seed)
    _, found = lambdify(derive(network)).loss_and_gradients(params, X, Y)
    assert worst_difference(found, complex_step(reference_loss(network), params, X, Y)) < 1e-10
    assert all(np.isfinite(array).all() for array in found.values())


@settings(CALM, max_examples=8)
@given(architectures())
def test_random_architectures_are_verified(text):
    report = derive(quiet(text)).verify(points=1)
    assert report.ok, str(report)
