"""The gradient check agrees with right gradients and fails on ones that are slightly wrong."""

import numpy as np
import pytest

from codegen.gradcheck import check_gradients
from symbolic.errors import DataError, UsageError

PARAMS = {"w": np.array([[0.3, -1.2], [2.0, 0.7]]), "b": np.array([0.5, -0.25])}
RIGHT = {"w": np.cos(PARAMS["w"]) * PARAMS["b"], "b": np.sin(PARAMS["w"]).sum(axis=0)}


def loss(params):
    return (np.sin(params["w"]) * params["b"]).sum()


@pytest.mark.parametrize("method", ["central", "complex"])
def test_right_gradients_agree(method):
    report = check_gradients(loss, RIGHT, PARAMS, method=method)
    assert report.ok and bool(report)
    assert "all gradients agree" in str(report) and [c.key for c in report.checks] == ["w", "b"]
    assert [c.checked for c in report.checks] == [4, 2]


@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"w": RIGHT["w"] * 1.0005},
        {"w": RIGHT["w"].T.copy()},
        {"w": RIGHT["w"] / 2},
        {"w": np.where([[True, False], [False, False]], np.nan, RIGHT["w"])},
        {"w": np.zeros((2, 2))},
    ],
)
def test_wrong_gradients_differ(method, wrong):
    report = check_gradients(loss, {**RIGHT, **wrong}, PARAMS, method=method)
    assert not report.ok and [c.ok for c in report.checks] == [False, True]
    assert "DIFFERS" in str(report) and "1 of 2 gradients differ" in str(report)


@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_differs_from_zero_too(method, value):
    """Against a numeric derivative of zero the relative error has no scale."""
    params = {"w": np.array([1.0, 2.0])}
    for given in (np.array([0.0, value]), np.full(2, value)):
        report = check_gradients(lambda moved: 3.0 + 0 * moved["w"].sum(), {"w": given}, params, method=method)
        assert not report.ok and report.checks[0].error == np.inf
        assert str(report.checks[0].found) == str(float(value))


def test_nothing_to_check_is_no_agreement():
    with pytest.raises(DataError, match="nothing to check; params has w, b"):
        check_gradients(loss, {}, PARAMS)


def test_parameters_without_a_gradient_are_named():
    assert "not checked" not in check_gradients(loss, RIGHT, PARAMS).summary
    report = check_gradients(loss, {"w": RIGHT["w"]}, PARAMS)
    assert report.ok and report.summary.endswith("; not checked: b") and str(report).endswith(report.summary)


def test_a_loss_of_each_example_is_refused():
    with pytest.raises(DataError, match=r"the loss has shape \(2,\); it must be one number"):
        check_gradients(lambda params: np.sin(params["w"]).sum(axis=0), RIGHT, PARAMS)


def test_the_worst_element_is_named():
    wrong = RIGHT["w"].copy()
    wrong[1, 0] += 0.01
    check = check_gradients(loss, {"w": wrong}, PARAMS).checks[0]
    assert check.where == (1, 0) and check.found == wrong[1, 0]
    assert check.numeric == pytest.approx(RIGHT["w"][1, 0], rel=1e-6)


def test_zero_agrees_with_zero():
    assert check_gradients(lambda params: 1.0, {"b": np.zeros(2)}, PARAMS).ok


def test_samples_are_chosen_by_the_seed():
    first, again = (check_gradients(loss, RIGHT, PARAMS, samples=2, seed=3) for _ in range(2))
    assert first == again and first.checks[0].checked == 2


def test_params_stay_as_they_are():
    before = {key: value.copy() for key, value in PARAMS.items()}
    check_gradients(loss, RIGHT, PARAMS)
    assert all((PARAMS[key] == before[key]).all() for key in before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "guess"}, "central, complex"),
        ({"step": 0}, "positive"),
        ({"tolerance": float("nan")}, "positive"),
        ({"samples": 0}, "at least 1"),
        ({"samples": True}, "at least 1"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UsageError, match=message):
        check_gradients(loss, RIGHT, PARAMS, **options)


def test_arrays_that_do_not_fit():
    with pytest.raises(DataError, match="params lacks; params has w, b"):
        check_gradients(loss, {"v": np.zeros(2)}, PARAMS)
    with pytest.raises(DataError, match=r"shape \(2, 1\)"):
        check_gradients(loss, {"b": np.zeros((2, 1))}, PARAMS)
    with pytest.raises(DataError, match="float32; gradients are checked in float64"):
        check_gradients(loss, RIGHT, {**PARAMS, "w": PARAMS["w"].astype(np.float32)})
    with pytest.raises(DataError, match="the loss is nan"):
        check_gradients(lambda params: float("nan"), RIGHT, PARAMS)
