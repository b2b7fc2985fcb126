"""The verifier passes what is true, and fails on a derivation that was tampered with in the ways people err."""

import dataclasses

import pytest
from programs import layer_norm
from reference import quiet
from sympy import Indexed, Sum

from symbolic import DeltaformError, Undefined, derive
from symbolic.evaluation import Point
from symbolic.precision import NUMBERS
from symbolic.tensors import Fact, elements, index, over, size

p, j, s, m = (index(letter) for letter in "pjsm")
NETWORK = "3 -> 4 sigmoid -> 5 sigmoid -> 2 softmax; cross_entropy"
SQUARE = "3 -> 3 tanh -> 3 tanh -> 3 identity; half_squared_error"


def tampered(derivation, key, change, at=-1):
    """The derivation with the final form of one result changed."""
    results = []
    for result in derivation.results:
        if result.tensor.key == key:
            steps = list(result.steps)
            steps[at] = dataclasses.replace(steps[at], after=change(steps[at].after))
            assert steps[at].after != result.steps[at].after, "the change changed nothing"
            result = dataclasses.replace(result, steps=tuple(steps))
        results.append(result)
    return dataclasses.replace(derivation, results=tuple(results))


def failures(derivation, key):
    report = derivation.verify(points=2)
    assert not report.ok
    assert "FALSE" in str(report)
    return [row for row in report.failures if row.quantity == key]


@pytest.mark.parametrize("text", [NETWORK, SQUARE])
def test_what_is_true_passes_with_room_to_spare(text):
    report = derive(quiet(text)).verify()
    assert report.ok and not report.failures
    assert max(row.error for row in report.rows) < 1e-40
    assert f"{len(report.rows)} equalities" in str(report) and "all true" in str(report)
    assert all(row.points == report.points + report.kink_points for row in report.rows)


@pytest.mark.parametrize("text", [NETWORK, SQUARE])
@pytest.mark.parametrize("key", ["delta3", "delta1", "dW2", "db1"])
def test_a_factor_of_1_0005_is_found(text, key):
    from sympy import Rational

    derivation = tampered(derive(quiet(text)), key, lambda after: after * Rational(10005, 10000))
    found = failures(derivation, key)
    assert found and min(row.error for row in found) > 1e-4


@pytest.mark.parametrize("text", [NETWORK, SQUARE])
def test_a_dropped_transpose_is_found(text):
    derivation = derive(quiet(text))
    W = derivation.tensors["W2"]

    def drop(after):
        return after.replace(lambda e: e == W[m, j], lambda e: W[j, m])

    assert failures(tampered(derivation, "delta1", drop), "delta1")


@pytest.mark.parametrize("text", [NETWORK, SQUARE])
def test_a_wrong_layer_is_found(text):
    derivation = derive(quiet(text))
    tensors = derivation.tensors

    def shift(after):
        swap = {
            e: tensors["a1"][e.indices]
            for e in elements(after)
            if isinstance(e, Indexed) and e.base == tensors["a2"][p, s].base
        }
        return after.xreplace(swap)

    assert failures(tampered(derivation, "dW3", shift), "dW3")


def test_g_for_g_prime_is_found():
    derivation = derive(quiet("n -> h_1 g(z) -> d_2 identity; half_squared_error"))

    def undo(after):
        return after.replace(
            lambda e: isinstance(e, Undefined) and e.orders == (1,), lambda e: Undefined("g", (0,), *e.arguments)
        )

    assert failures(tampered(derivation, "delta1", undo), "delta1")


def test_a_lost_mean_is_found():
    derivation = tampered(derive(quiet(NETWORK)), "dW1", lambda after: after * size("N"))
    assert failures(derivation, "dW1")


def test_a_sign_a_missing_sum_and_a_wrong_fact_are_found():
    derivation = derive(quiet(NETWORK))
    assert failures(tampered(derivation, "delta3", lambda after: -after), "delta3")
    swapped = tampered(derivation, "db2", lambda after: after.replace(Sum, lambda body, limits: body))
    assert failures(swapped, "db2")
    y = derivation.tensors["y"]
    wrong = Fact(Sum(y[p, j], over(j, size("n_3"))), size("n_3") / size("n_3") + 1, "the entries of y sum to 2")
    program = dataclasses.replace(quiet(NETWORK).program(), facts=(wrong,))
    report = derive(program).verify(points=1)
    assert report.ok, "a declared fact is made true at the points, whatever it says"
    honest = dataclasses.replace(derive(program), program=quiet(NETWORK).program())
    assert not honest.verify(points=1).ok


def test_a_step_in_the_middle_and_a_broken_chain_are_found():
    derivation = derive(quiet(NETWORK))
    middle = tampered(derivation, "delta1", lambda after: 2 * after, at=1)
    problems = [row.problem for row in failures(middle, "delta1")]
    assert "the two sides differ" in problems and "does not begin where the last step ended" in problems
    results = [dataclasses.replace(r, steps=r.steps[1:]) if r.tensor.key == "delta1" else r for r in derivation.results]
    cut = dataclasses.replace(derivation, results=tuple(results))
    assert any("does not start from" in row.problem for row in failures(cut, "delta1"))


def test_a_wrong_substep_is_found():
    derivation = derive(quiet(NETWORK))
    results = []
    for result in derivation.results:
        if result.tensor.key == "delta1":
            last = result.steps[-1]
            inner = dataclasses.replace(last.substeps[-1], after=last.substeps[-1].after * 3)
            last = dataclasses.replace(last, substeps=(*last.substeps[:-1], inner))
            result = dataclasses.replace(result, steps=(*result.steps[:-1], last))
        results.append(result)
    found = failures(dataclasses.replace(derivation, results=tuple(results)), "delta1")
    assert [row.number for row in found] == ["4.2"]


def test_a_wrong_matrix_form_is_found(monkeypatch):
    from symbolic import matrixform, verification

    honest = matrixform.matrix_form

    def wrong(expression, indices, tensors, example=None, shape=()):
        form = honest(expression, indices, tensors, example, shape)
        return form.replace(matrixform.Transpose, lambda inner: inner)

    monkeypatch.setattr(verification, "matrix_form", wrong)
    report = derive(quiet(NETWORK)).verify(points=1)
    assert any(row.rule == "write as matrices" and "columns meet" in row.problem for row in report.failures)


def test_the_kink_is_visited_once_and_the_convention_holds_there():
    report = derive(quiet("3 -> 4 relu -> 2 leaky_relu; half_squared_error")).verify(points=2)
    assert report.ok and report.kink_points == 1 and "1 on the kink" in str(report)


def test_another_convention_at_the_kink_is_found():
    from sympy import Piecewise

    derivation = derive(quiet("3 -> 4 relu -> 2; half_squared_error"))
    z1 = derivation.tensors["z1"][p, j]
    changed = tampered(
        derivation, "delta1", lambda after: after.replace(Piecewise, lambda *b: Piecewise((1, z1 >= 0), (0, True)))
    )
    assert failures(changed, "delta1")


def test_a_program_without_real_values_is_named():
    from sympy import log

    from symbolic import Equation, Program, Tensor

    w, loss = Tensor("w", "parameter"), Tensor("L", "loss")
    program = Program((w,), (Equation(loss, (), log(-(w[()] ** 2))),))
    with pytest.raises(DeltaformError, match="no random point"):
        derive(program).verify()


def test_layer_norm_is_verified_through_its_square_root():
    report = derive(layer_norm()).verify()
    assert report.ok and NUMBERS.dps == 50


@pytest.mark.parametrize("text", [NETWORK, SQUARE])
def test_an_evaluator_that_contradicts_itself_verifies_nothing(text, monkeypatch):
    honest = Point._accumulated

    def wrong(self, of):
        found = honest(self, of)
        tables = found["W2"]
        place = next(iter(tables))
        tables[place] = {end: slope * NUMBERS.mpf("1.0000001") for end, slope in tables[place].items()}
        return found

    monkeypatch.setattr(Point, "_accumulated", wrong)
    report = derive(quiet(text)).verify(points=1)
    assert not report.ok
    assert any("the evaluator contradicts itself" in row.problem for row in report.failures)
