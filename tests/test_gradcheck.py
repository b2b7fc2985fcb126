"""The gradient check agrees with right gradients and fails on ones that are slightly wrong."""

import numpy as np
import pytest

from codegen import initialize, lambdify
from codegen.gradcheck import check_gradients
from symbolic import Network, derive
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
    assert "DIFFERS" in str(report) and "1 of 2 gradients differs (" in str(report)


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


def saturated(layers, seed=0):
    """Loss, gradients and parameters of a row of sigmoids, whose first gradients shrink with each layer; the loss takes
    complex parameters too.
    """
    network = Network.parse(f"3 -> {' -> '.join(['4 sigmoid'] * layers)} -> 2 softmax; cross_entropy")
    functions = lambdify(derive(network))
    random = np.random.default_rng(seed)
    params = initialize(network, seed=seed)
    X, Y = random.normal(size=(6, 3)), np.eye(2)[random.integers(0, 2, 6)]
    loss = functions.unchecked["loss"]
    return lambda moved: loss(moved, X, Y), functions.loss_and_gradients(params, X, Y)[1], params


@pytest.mark.parametrize("seed", range(3))
def test_small_gradients_are_told_from_the_rounding_of_the_loss(seed):
    """A single difference over 6e-6 is wrong by 1e-10, which is more than a millionth of the first gradients."""
    loss, gradients, params = saturated(8, seed)
    assert np.abs(gradients["W1"]).max() < 1e-6
    assert check_gradients(loss, gradients, params).ok
    for factor in (2, 1.001, 1.00002):
        report = check_gradients(loss, {**gradients, "W1": gradients["W1"] * factor}, params)
        assert [check.key for check in report.checks if check.verdict == "DIFFERS"] == ["W1"]


def test_a_wrong_element_among_small_ones_differs():
    loss, gradients, params = saturated(8)
    wrong = gradients["W1"].copy()
    wrong[2, 1] += 0.001 * np.abs(wrong).max()
    check = check_gradients(loss, {"W1": wrong}, params).checks[0]
    assert check.verdict == "DIFFERS" and check.where == (2, 1)


@pytest.mark.parametrize("factor", [1, 2])
def test_what_is_smaller_than_the_error_of_every_difference_is_left_undecided(factor):
    loss, gradients, params = saturated(24)
    assert np.abs(gradients["W1"]).max() < 1e-14
    report = check_gradients(loss, {"W1": gradients["W1"] * factor, "b25": gradients["b25"]}, params)
    assert not report.ok and [check.verdict for check in report.checks] == ["undecided", "agrees"]
    check = report.checks[0]
    assert abs(check.found - check.numeric) < check.doubt and check.doubt > abs(check.found)
    assert "undecided, numeric is +- " in str(report)
    assert "1 of 2 gradients undecided, the differences of the loss are not exact enough: " in report.summary
    assert 'take method="complex"' in report.summary and "DIFFERS" not in str(report)


def test_the_complex_step_decides_what_the_difference_cannot():
    loss, gradients, params = saturated(24)
    assert check_gradients(loss, gradients, params, method="complex").ok


def test_the_complex_step_is_not_advised_where_it_was_taken():
    params = {"w": np.array([1.0])}
    for step, verdict in ((1e-300, "undecided"), (None, "agrees")):
        report = check_gradients(
            lambda moved: 1e-15 * moved["w"].sum(), {"w": np.array([1e-15])}, params, method="complex", step=step
        )
        assert report.checks[0].verdict == verdict
        advised = "1 of 1 gradient undecided, too small for the step: take a larger step or a larger tolerance ("
        assert (advised in report.summary) == (verdict == "undecided")


def test_one_gradient_differs_and_two_differ():
    wrong = {key: 2 * gradient for key, gradient in RIGHT.items()}
    assert check_gradients(loss, {"w": wrong["w"]}, PARAMS).summary.startswith("1 of 1 gradient differs (")
    assert check_gradients(loss, wrong, PARAMS).summary.startswith("2 of 2 gradients differ (")


def test_a_larger_tolerance_is_decided_sooner():
    loss, gradients, params = saturated(12)
    W1 = {"W1": gradients["W1"]}
    assert check_gradients(loss, W1, params, tolerance=1e-12).checks[0].verdict == "undecided"
    assert check_gradients(loss, W1, params, tolerance=1e-2).ok
    assert not check_gradients(loss, {"W1": 1.1 * gradients["W1"]}, params, tolerance=1e-2).ok


def test_a_step_grows_no_further_than_the_loss_is_finite():
    params = {"x": np.array([1e-3])}
    report = check_gradients(lambda moved: 1e4 + np.log(moved["x"]).sum(), {"x": np.array([2e3])}, params)
    assert report.checks[0].verdict == "DIFFERS"
    assert check_gradients(lambda moved: 1e6 + np.log(moved["x"]).sum(), {"x": np.array([1e3])}, params).ok


def test_a_wrong_gradient_of_a_loss_that_stays_zero_differs():
    report = check_gradients(lambda moved: 0.0, {"b": np.ones(2)}, PARAMS)
    assert report.checks[0].verdict == "DIFFERS"


def test_wrong_gradients_of_ordinary_size_are_found_with_few_more_losses():
    calls = []
    check_gradients(lambda moved: calls.append(1) or loss(moved), {"w": 2 * RIGHT["w"]}, PARAMS)
    assert len(calls) <= 2 * RIGHT["w"].size + 40


def test_of_many_parameters_a_few_are_named():
    params = {f"w{n}": np.ones(1) for n in range(100)}
    report = check_gradients(lambda moved: moved["w0"].sum(), {"w0": np.ones(1)}, params)
    assert report.summary.endswith("not checked: w1, w2, w3, w4, w5, w6, w7, w8 and 91 more")
    with pytest.raises(DataError, match="params has w0, w1, w2, w3, w4, w5, w6, w7 and 92 more"):
        check_gradients(loss, {"v": np.ones(1)}, params)


def test_parameters_that_are_no_floats_stay_what_they_are():
    params = {"rows": np.array([2, 0]), "w": np.array([1.0, 2.0, 3.0])}
    report = check_gradients(lambda p: (p["w"][p["rows"]] ** 2).sum(), {"w": np.array([2.0, 1.0, 6.0])}, params)
    assert report.checks[0].verdict == "DIFFERS" and report.checks[0].where == (1,)


@pytest.mark.parametrize("given", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_differs_even_where_the_loss_overflows_nearby(given):
    report = check_gradients(lambda p: float(np.exp(p["w"][0])), {"w": np.array([given])}, {"w": np.array([709.778])})
    assert report.checks[0].verdict == "DIFFERS"


def test_a_lucky_difference_makes_no_right_gradient_wrong():
    """Of many elements, one has two estimates that are closer to each other than to the derivative."""
    network = Network.parse("100 -> 20 sigmoid -> " + "4 sigmoid -> " * 10 + "2 softmax; cross_entropy")
    functions = lambdify(derive(network))
    for seed, places in ((0, [(9, 18)]), (1, [(3, 73)])):
        params, random = initialize(network, seed), np.random.default_rng(seed)
        X, Y = random.normal(size=(6, 100)), np.eye(2)[random.integers(2, size=6)]
        gradients = functions.loss_and_gradients(params, X, Y)[1]["W1"]
        for place in places:
            one = np.array([params["W1"][place]])

            def loss(p, params=params, place=place, X=X, Y=Y):
                moved = params["W1"].copy()
                moved[place] = p["w"][0]
                return functions.loss_and_gradients({**params, "W1": moved}, X, Y)[0]

            report = check_gradients(loss, {"w": np.array([gradients[place]])}, {"w": one})
            assert report.checks[0].verdict != "DIFFERS"


def test_zeros_are_wrong_where_a_large_loss_hides_a_gradient():
    w = {"w": np.array([0.5, -2.0])}
    report = check_gradients(lambda p: 1e10 + 1e-3 * float((p["w"] ** 2).sum()), {"w": np.zeros(2)}, w)
    assert report.checks[0].verdict == "DIFFERS"
    network = Network.parse("3 -> 4 sigmoid -> 1; half_squared_error")
    functions, params = lambdify(derive(network)), initialize(network, 1)
    X, Y = np.full((5, 3), 0.2), np.full((5, 1), 1e7)
    _, gradients = functions.loss_and_gradients(params, X, Y)
    forgotten = {**gradients, "b1": np.zeros(4)}
    report = check_gradients(lambda p: functions.loss_and_gradients(p, X, Y)[0], forgotten, params)
    assert [c.key for c in report.checks if c.verdict == "DIFFERS"] == ["b1"]


def test_zeros_are_right_where_the_loss_stands_still():
    calls = []

    def loss(p):
        calls.append(1)
        return 1e10 + float(np.maximum(p["w"] - 10, 0).sum()) + float((p["v"] ** 2).sum())

    params = {"w": np.zeros(3), "v": np.full(2, 3.0)}
    assert check_gradients(lambda p: 7.0, {"w": np.zeros(3)}, params).ok
    report = check_gradients(loss, {"w": np.zeros(3), "v": np.full(2, 6.0)}, params, tolerance=1e-3)
    assert report.checks[0].verdict == "agrees"
    few = []
    check_gradients(
        lambda p: few.append(1) or float((p["v"] ** 2).sum()), {"w": np.zeros(3), "v": np.full(2, 6.0)}, params
    )
    assert len(few) == 2 * 5


def bent(at, params):
    """Two units whose slopes change from 0 to 3 and from 0 to 5, the first at `at`, the second far away."""
    return 1 + 3 * max(params["w"][0] - at, 0) + 5 * max(params["w"][1], 0) + params["w"][0] ** 2


@pytest.mark.parametrize("at", [9e-6, 3e-6, 1e-6, 1e-7, -1e-8, -1e-7, -1e-6, -3e-6, -9e-6])
def test_a_kink_near_by_makes_no_right_gradient_wrong_and_no_wrong_one_right(at):
    params = {"w": np.array([0.0, 2.0])}

    def check(slope):
        given = {"w": np.array([slope, 5.0])}
        return check_gradients(lambda moved: bent(at, moved), given, params).checks[0].verdict

    right = 3.0 * (at < 0)
    assert check(right) == "agrees"
    for wrong in (3 - right, 1.2, right + 1e-4, -3.0):
        assert check(wrong) == "DIFFERS"


def test_at_a_kink_what_lies_between_both_slopes_is_undecided():
    """There each is as right as the other, and what a network takes is a convention."""
    params, given = {"w": np.array([0.0, 2.0])}, np.array([0.0, 5.0])
    for slope, verdict in (
        (0.0, "undecided"),
        (3.0, "undecided"),
        (1.2, "undecided"),
        (-1e-3, "DIFFERS"),
        (3.1, "DIFFERS"),
    ):
        given[0] = slope
        report = check_gradients(lambda moved: bent(0, moved), {"w": given}, params)
        assert report.checks[0].verdict == verdict
    given[0] = 0.0
    check = check_gradients(lambda moved: bent(0, moved), {"w": given}, params).checks[0]
    assert check.numeric == pytest.approx(1.5) and check.doubt == pytest.approx(1.5)


def verdict(loss, given, at=0.0, **options):
    params = {"w": np.array([float(at)])}
    report = check_gradients(lambda p: loss(float(p["w"][0])), {"w": np.array([float(given)])}, params, **options)
    return report.checks[0].verdict


@pytest.mark.parametrize(
    ("loss", "slopes"),
    [
        (lambda w: max(0, w) - w**2, (0, 1)),
        (lambda w: max(0, w) + np.cos(w), (0, 1)),
        (lambda w: 2 + abs(w) - w**2, (-1, 1)),
        (lambda w: max(0, w) + 0.1 * min(w + 5e-7, 0), (0, 1)),
        (lambda w: max(0, w) + w**2, (0, 1)),
    ],
)
def test_at_a_kink_curvature_excludes_neither_slope(loss, slopes):
    for slope in slopes:
        assert verdict(loss, slope) == "undecided"
    for wrong in (slopes[0] - 0.2, slopes[1] + 0.2):
        assert verdict(loss, wrong) == "DIFFERS"


def test_where_units_are_exactly_0_right_gradients_do_not_differ():
    """Where all units of a layer are dead, those of the next are at their bias, 0: each slope is that of one side."""
    derivation = derive(Network.parse("2 -> 4 relu -> 4 relu -> 1; squared_error"))
    functions, found = lambdify(derivation), []
    for seed in range(30):
        random = np.random.default_rng(seed)
        params, X, Y = initialize(derivation, seed), random.normal(size=(300, 2)), random.normal(size=(300, 1))
        _, gradients = functions.loss_and_gradients(params, X, Y)
        report = check_gradients(lambda moved, X=X, Y=Y: functions.loss(moved, X, Y), gradients, params)
        found += [check.verdict for check in report.checks]
    assert "DIFFERS" not in found and "undecided" in found


def test_right_gradients_beside_kinks_of_every_size_do_not_differ():
    for a in np.linspace(0.3, 0.7, 41):
        assert verdict(lambda w, a=a: 100 + a * w + max(0, w - 1.1e-8), a) != "DIFFERS"
    assert verdict(lambda w: 1e4 + w + 1e-4 * max(0, w - 1e-6), 1) != "DIFFERS"
    assert verdict(lambda w: 1e6 + w + 1e-2 * max(0, w - 1e-6), 1) != "DIFFERS"


def test_steep_losses():
    for steepness in (3e4, 1e5):
        assert verdict(lambda w, s=steepness: np.tanh(s * w), steepness) != "DIFFERS"
        assert verdict(lambda w, s=steepness: np.tanh(s * w), 1.01 * steepness) != "agrees"
    assert verdict(lambda w: np.clip(w, -1e-6, 1e-6), 1) == "agrees"
    assert verdict(lambda w: np.clip(w, -1e-6, 1e-6), 1.001) == "DIFFERS"
    assert verdict(lambda w: 1 + w**2 + np.clip(w, -1e-8, 1e-8), 1) != "DIFFERS"


def test_a_loss_that_is_defined_on_one_side_only_hides_no_wrong_zero():
    params = {"w": np.array([3.0]), "p": np.array([1.0])}

    def loss(p):
        with np.errstate(invalid="ignore"):
            return float((p["w"] ** 2).sum() + np.sqrt(1 - p["p"]).sum())

    assert check_gradients(loss, {"w": np.zeros(1)}, params).checks[0].verdict == "DIFFERS"
    assert check_gradients(loss, {"w": np.full(1, 6.0)}, params).ok


def test_a_loss_that_stood_still_on_a_few_steps_only_is_not_known():
    assert verdict(lambda w: 1e12 + w if abs(w) < 1e-5 else np.inf, 0) == "undecided"


def test_gradients_that_are_no_real_numbers_or_none_are_refused():
    for params, given, message in (
        (np.ones(1), np.array([2 + 5j]), "holds complex128; a gradient is real numbers"),
        (np.ones((0, 3)), np.ones((0, 3)), "has no element"),
    ):
        with pytest.raises(DataError, match=message):
            check_gradients(lambda p: float((p["w"] ** 2).sum()), {"w": given}, {"w": params})


def test_a_step_that_is_lost_in_the_parameter_is_refused():
    for step, at in ((1e-8, 1e9), (1e-20, 1.0)):
        with pytest.raises(UsageError, match=r"does not move params\['w'\]\[0\].*take a longer one"):
            verdict(lambda w: w**2, 2 * at, at, step=step)
    assert verdict(lambda w: w**2, 3e7, 1e7, step=1e-6) == "DIFFERS"


def test_right_gradients_of_relu_networks_are_not_called_wrong():
    """Of a few thousand elements with a hundred examples each, some have a unit that is 0 within a step."""
    network = Network.parse("6 -> 30 relu -> 30 relu -> 4; half_squared_error")
    derivation, random = derive(network), np.random.default_rng(5)
    functions, params = lambdify(derivation), initialize(derivation, 3)
    X, Y = random.normal(size=(100, 6)), random.normal(size=(100, 4))
    # The unit of every second row is 0 within 1e-6, on one side or the other.
    X[::2, 0] -= ((X @ params["W1"].T + params["b1"])[::2, 7] - random.uniform(-1e-6, 1e-6, 50)) / params["W1"][7, 0]
    _, gradients = functions.loss_and_gradients(params, X, Y)
    report = check_gradients(lambda moved: functions.loss(moved, X, Y), gradients, params)
    assert report.ok, report
    gradients["W1"][7, 2] *= 1.001
    assert [
        c.key for c in check_gradients(lambda moved: functions.loss(moved, X, Y), gradients, params).checks if not c.ok
    ] == ["W1"]
