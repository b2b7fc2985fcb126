"""The delta forms that people write, each with the steps that lead there."""

import pytest
from reference import quiet
from sympy import Function, Piecewise, Sum, exp

from symbolic import Activation, Dense, Network, Undefined, derive, over
from symbolic.activations import z as pre
from symbolic.expressions import FunctionDerivative
from symbolic.tensors import index, size

p, j, s, m, i = (index(letter) for letter in "pjsmi")


def results(network, **options):
    derivation = derive(network, **options)
    return {result.tensor.key: result for result in derivation.results}, derivation.tensors


def one(text, **options):
    """One example, no examples' axis."""
    return results(quiet(text, examples=None, **options))


@pytest.mark.parametrize(
    ("activation", "form"),
    [
        ("sigmoid", lambda a: a * (1 - a)),
        ("tanh", lambda a: 1 - a**2),
        ("softplus", lambda a: 1 - exp(-a)),
        (Activation("exp", exp(pre)), lambda a: a),
    ],
)
def test_the_derivative_reuses_the_output(activation, form):
    network = Network(3, [Dense(4, activation), Dense(2)], "half_squared_error", examples=None)
    found, tensors = results(network)
    a = tensors["a1"][j]
    back = Sum(tensors["delta2"][m] * tensors["W2"][m, j], over(m, size("n_2")))
    assert found["delta1"].steps[-1].after == form(a) * back
    step = next(step for step in found["delta1"].steps if step.rule.name == "reuse the output")
    assert step.before == FunctionDerivative(a, tensors["z1"][j]) * back
    assert step.because.tensor.key == "a1"
    assert step.substeps[0].rule.name == "differentiate"
    assert step.substeps[-1].after == form(a)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu"])
def test_what_cannot_be_solved_for_stays_a_function_of_z(activation):
    found, tensors = one(f"3 -> 4 {activation} -> 2; half_squared_error")
    final = found["delta1"].steps[-1].after
    assert final.has(tensors["z1"][j]) and not final.has(tensors["a1"][j])
    assert "reuse the output" not in {step.rule.name for step in found["delta1"].walk()}


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("3 -> 2 identity; half_squared_error", 1),
        ("3 -> 2 sigmoid; binary_cross_entropy", 1),
        ("3 -> 2 softmax; cross_entropy", 1),
        ("3 -> 2 sigmoid; log_likelihood", -1),
    ],
)
def test_the_output_delta_is_output_minus_target(text, sign):
    found, tensors = one(text)
    assert found["delta1"].steps[-1].after == sign * (tensors["a1"][j] - tensors["y"][j])


def test_softmax_with_cross_entropy_cites_the_fact_and_without_it_the_sum_stays():
    found, tensors = one("3 -> 2 softmax; cross_entropy")
    last = found["delta1"].steps[-1]
    total = Sum(tensors["y"][i], over(i, size("n_1")))
    assert last.rule.name == "use a fact" and "sum to 1" in last.because.statement
    assert last.before == tensors["a1"][j] * total - tensors["y"][j]

    import dataclasses

    program = dataclasses.replace(quiet("3 -> 2 softmax; cross_entropy", examples=None).program(), facts=())
    found, tensors = results(program)
    assert found["delta1"].steps[-1].after == tensors["a1"][j] * total - tensors["y"][j]


def test_the_softmax_jacobian_in_a_hidden_layer():
    found, tensors = one("3 -> 4 softmax -> 2; half_squared_error")
    a, adjoint = tensors["a1"], tensors["adj_a1"]
    assert found["adj_a1"].named
    expected = a[j] * (adjoint[j] - Sum(a[i] * adjoint[i], over(i, size("n_1"))))
    assert found["delta1"].steps[-1].after == expected


def test_an_undefined_activation_and_an_undefined_cost():
    found, tensors = one("n -> h_1 g(z) -> d_2 f(z); c(y,h)")
    z1, z2, a2, y = tensors["z1"][j], tensors["z2"][j], tensors["a2"][j], tensors["y"][j]
    assert found["delta2"].steps[-1].after == Undefined("c", (0, 1), y, a2) * Undefined("f", (1,), z2)
    back = Sum(tensors["delta2"][m] * tensors["W2"][m, j], over(m, size("d_2")))
    assert found["delta1"].steps[-1].after == back * Undefined("g", (1,), z1)


def test_the_kink_follows_the_stated_convention():
    found, tensors = one("3 -> 4 relu -> 2; half_squared_error")
    slope = Piecewise((1, tensors["z1"][j] > 0), (0, True))
    assert found["delta1"].steps[-1].after.has(slope)
    assert slope.subs(tensors["z1"][j], 0) == 0


def test_elu_is_solved_branch_by_branch():
    found, tensors = one("3 -> 4 elu -> 2; half_squared_error")
    a, z1 = tensors["a1"][j], tensors["z1"][j]
    assert found["delta1"].steps[-1].after.has(Piecewise((1, z1 > 0), (a + 1, True)))


def test_parameters_of_one_example():
    found, tensors = one("3 -> 4 tanh -> 2; half_squared_error")
    assert found["dW2"].steps[-1].after == tensors["delta2"][j] * tensors["a1"][s]
    assert found["db2"].steps[-1].after == tensors["delta2"][j]
    assert found["dW1"].steps[-1].after == tensors["delta1"][j] * tensors["x"][s]


@pytest.mark.parametrize(("reduction", "weight"), [("mean", 1 / size("N")), ("sum", 1)])
def test_parameters_of_a_batch(reduction, weight):
    found, tensors = results(quiet("3 -> 4 tanh -> 2; half_squared_error", reduction=reduction))
    delta, a1 = tensors["delta2"], tensors["a1"]
    assert found["dW2"].steps[-1].after == weight * Sum(delta[p, j] * a1[p, s], over(p, size("N")))
    assert found["db2"].steps[-1].after == weight * Sum(delta[p, j], over(p, size("N")))
    assert found["delta2"].steps[-1].after == tensors["a2"][p, j] - tensors["y"][p, j]


def test_the_chain_of_a_hidden_layer_reads_as_in_the_notes():
    found, _ = results(quiet("3 -> 4 sigmoid -> 2 sigmoid; half_squared_error"))
    assert [step.rule.name for step in found["delta1"].steps] == [
        "chain rule", "elementwise function", "substitute", "reuse the output",
    ]  # fmt: skip
    assert [step.rule.name for step in found["adj_a1"].steps] == ["chain rule", "name", "differentiate"]


def test_a_users_swish_needs_no_derivative():
    swish = Activation("swish", pre / (1 + exp(-pre)))
    derivation = derive(Network(3, [Dense(4, swish), Dense(2)], "half_squared_error"))
    assert derivation.verify().ok
    delta = next(result for result in derivation.results if result.tensor.key == "delta1")
    assert delta.equation.rhs.has(exp) and not delta.equation.rhs.atoms(Function) - delta.equation.rhs.atoms(exp)
