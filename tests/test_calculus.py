"""Contraction by itself: what it carries out, and what it refuses to guess."""

import pytest
from sympy import KroneckerDelta, Sum, exp

from symbolic import DeltaformError, Tensor, index, over, size
from symbolic.calculus import contract, derivative, substitute_indices

i, j, s, t = (index(letter) for letter in "ijst")
n, m = size("n"), size("m")
W = Tensor("W", shape=(m, n), indices=(i, j))
u, v = Tensor("u", shape=(n,)), Tensor("v", shape=(m,))


def test_a_sum_over_a_delta_is_carried_out_and_factors_move_out():
    expression = Sum(KroneckerDelta(s, j) * u[s] * v[i], over(s, n))
    assert contract(expression, {i: m, j: n}) == u[j] * v[i]


def test_a_delta_that_joins_different_ranges_is_refused():
    with pytest.raises(DeltaformError, match="joins s, which runs over n elements, with i, which runs over m"):
        contract(Sum(KroneckerDelta(s, i) * u[s], over(s, n)), {i: m})


def test_a_delta_whose_letter_has_no_known_range_is_refused():
    with pytest.raises(DeltaformError, match="joins s"):
        contract(Sum(KroneckerDelta(s, t) * u[s], over(s, n)), {})


def test_a_place_that_may_lie_outside_is_refused():
    assert contract(Sum(KroneckerDelta(s, 0) * u[s], over(s, n)), {}) == u[0]
    with pytest.raises(DeltaformError, match="not known to lie in the range"):
        contract(Sum(KroneckerDelta(s, 3) * u[s], over(s, n)), {})


def test_a_bound_letter_is_not_taken_for_the_free_letter_of_the_same_name():
    product = Sum(W[i, s] * u[s], over(s, n))
    assert contract(derivative(product, W[i, s]), {i: m, s: n}) == u[s]
    assert substitute_indices(product, {i: s}).has(W[s, s]) is False


def test_a_delta_inside_a_function_is_refused():
    with pytest.raises(DeltaformError, match="cannot be taken out"):
        contract(Sum(exp(KroneckerDelta(s, j)) * u[s], over(s, n)), {j: n})
