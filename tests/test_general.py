"""Networks of any depth: the general formulas, the induction, and that a wrong formula is found where it fails."""

import dataclasses
import warnings

import numpy as np
import pytest
from reference import quiet
from sympy import Indexed, Integer, Rational, Sum, expand

from codegen import initialize, lambdify, train, write_module
from codegen.source import module_source
from symbolic import (
    Activation,
    DeltaformError,
    DeltaformWarning,
    Dense,
    Equation,
    GeneralDerivation,
    Network,
    Program,
    Tensor,
    Undefined,
    derive,
    index,
    over,
    size,
)
from symbolic.activations import z
from symbolic.depth import DEPTH, LAYER, width
from symbolic.errors import ProgramError, UsageError
from symbolic.tensors import elements

p, j, s, m = (index(letter) for letter in "pjsm")

NETWORKS = {
    "g, softmax": {"hidden": "g", "output": "softmax", "loss": "cross_entropy"},
    "sigmoid, sigmoid": {"hidden": "sigmoid", "output": "sigmoid", "loss": "half_squared_error"},
    "relu, softmax": {"hidden": "relu", "output": "softmax", "loss": "cross_entropy"},
    "g(z), identity": {"hidden": "g(z)", "output": "identity", "loss": "c(y,h)"},
    "one example": {"hidden": "tanh", "output": "f", "loss": "squared_error", "examples": None},
    "sum": {"hidden": "elu", "output": "sigmoid", "loss": "binary_cross_entropy", "reduction": "sum"},
    "softmax everywhere": {"hidden": "softmax", "output": "softmax", "loss": "half_squared_error"},
    "identity": {"hidden": "identity", "output": "identity", "loss": "half_squared_error", "examples": "M"},
}
SIGMOID = NETWORKS["sigmoid, sigmoid"]


def general(**given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        return Network.general(**given)


@pytest.fixture(scope="module")
def sigmoids():
    return derive(general(**SIGMOID))


@pytest.fixture(scope="module")
def one_example():
    return derive(general(**SIGMOID, examples=None))


def formulas(**given):
    return {key: str(equation.rhs) for key, equation in derive(general(**given)).formulas.items()}


# What is derived


def test_the_delta_form_of_any_depth():
    backward = "Sum(W[layer+1][m, j]*delta[layer+1][p, m], (m, 0, n_[layer+1] - 1))"
    assert formulas(**NETWORKS["g, softmax"]) == {
        "delta[depth]": "a[depth][p, j] - y[p, j]",
        "dW[depth]": "Sum(a[depth-1][p, s]*delta[depth][p, j], (p, 0, N - 1))/N",
        "db[depth]": "Sum(delta[depth][p, j], (p, 0, N - 1))/N",
        "delta[layer]": f"{backward}*g'(z[layer][p, j])",
        "dW[layer]": "Sum(a[layer-1][p, s]*delta[layer][p, j], (p, 0, N - 1))/N",
        "db[layer]": "Sum(delta[layer][p, j], (p, 0, N - 1))/N",
    }
    assert formulas(**SIGMOID)["delta[layer]"] == f"(1 - a[layer][p, j])*a[layer][p, j]*{backward}"
    assert formulas(**NETWORKS["relu, softmax"])["delta[layer]"].startswith("Piecewise((1, z[layer][p, j] > 0)")
    assert formulas(**NETWORKS["g(z), identity"])["delta[depth]"] == "c_2(y[p, j], a[depth][p, j])"


def test_one_example_and_the_sum_over_examples():
    assert formulas(**SIGMOID, examples=None)["dW[layer]"] == "a[layer-1][s]*delta[layer][j]"
    total = formulas(**SIGMOID, reduction="sum")["db[depth]"]
    assert total == "Sum(delta[depth][p, j], (p, 0, N - 1))"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_hypothesis_is_given_and_what_stands_for_the_rest_stays_out(name):
    derivation = derive(general(**NETWORKS[name]))
    (hypothesis,) = derivation.step.given
    assert hypothesis.key == "delta[layer+1]" and hypothesis.of == "z[layer+1]"
    assert "delta[layer+1]" not in {result.tensor.key for result in derivation.results}
    mentioned = {e for key in ("adj_a[layer]", "delta[layer]") for e in elements(derivation[key].equation.rhs)}
    assert hypothesis[(*hypothesis.indices[:-1], m)] in mentioned
    for result in derivation.step.results:
        for step in result.walk():
            assert not any(node.name == "R" for node in step.after.atoms(Undefined))
    assert not {"z[layer+1]", "W[layer+1]"} & {equation.tensor.key for equation in derivation.equations}


def test_the_derivation_is_read_like_any_other(sigmoids):
    assert isinstance(sigmoids, GeneralDerivation)
    assert list(sigmoids.gradients) == ["W[depth]", "b[depth]", "W[layer]", "b[layer]"]
    assert list(sigmoids.formulas) == [f"{name}[{at}]" for at in ("depth", "layer") for name in ("delta", "dW", "db")]
    forward = [equation.tensor.key for equation in sigmoids.equations][:6]
    assert forward == ["z[layer]", "a[layer]", "z[depth]", "a[depth]", "ell", "J"]
    assert sigmoids["dW[layer]"].equation == sigmoids.gradients["W[layer]"]
    assert sigmoids.tensors["W[layer+1]"].shape == (width(LAYER + 1), width(LAYER))
    assert len(sigmoids.steps) == sum(len(result.steps) for result in sigmoids.results)
    assert {step for _, step in sigmoids.walk()} >= set(sigmoids.steps)
    with pytest.raises(DeltaformError, match=r"no result 'delta2'.*delta\[depth\].*delta\[layer\]"):
        sigmoids["delta2"]
    text = str(sigmoids)
    assert text.startswith("layer depth:\n  delta[depth][p, j] = ") and "\nlayer = depth - 1, ..., 1:\n" in text


def test_the_induction_in_one_paragraph(sigmoids):
    told = sigmoids.induction
    assert "\n" not in told
    base, step = (str(sigmoids.formulas[key]) for key in ("delta[depth]", "delta[layer]"))
    assert told.index("Base") < told.index(base) < told.index("Step") < told.index(step) < told.index("Conclusion")
    kept = derive(general(**NETWORKS["softmax everywhere"]))
    for key in ("adj_a[depth]", "delta[depth]", "adj_a[layer]", "delta[layer]"):
        assert str(kept.formulas[key]) in kept.induction
    assert "give delta of every layer" in kept.induction


def test_the_stand_in_has_a_name_of_its_own():
    step = Network.general("R", "C", "D(y,h)").step()
    names = {node.name for equation in step.equations for node in equation.rhs.atoms(Undefined)}
    assert names == {"R", "F"}


# Verification


@pytest.mark.parametrize("name", NETWORKS)
def test_every_formula_is_true_at_depths_1_to_5(name):
    report = derive(general(**NETWORKS[name])).verify(points=1)
    assert report.ok, str(report)
    assert max(row.error for row in report.rows) < 1e-40
    assert "depths 1 to 5" in report.summary
    found = {(row.number, row.quantity) for row in report.rows if row.rule == "instantiate"}
    assert found >= {
        (f"1, depth {depth}", f"{kind}{layer}")
        for depth in range(1, 6)
        for layer in range(1, depth + 1)
        for kind in ("delta", "dW", "db")
    }
    # The networks of these depths are derived to the very same forms.
    assert not [row for row in report.rows if row.rule == "substitute" and "depth" in row.number]


@pytest.mark.parametrize("name", ["g, softmax", "one example"])
def test_an_instance_is_what_is_derived_for_that_depth(name):
    network = general(**NETWORKS[name])
    instance, concrete = derive(network).at(3), derive(network.at(3))
    assert instance.program == concrete.program and instance.gradients == concrete.gradients
    assert {r.tensor: r.steps[-1].after for r in instance.results} == {
        r.tensor: r.steps[-1].after for r in concrete.results
    }


def test_the_module_of_an_instance_is_that_of_the_network():
    network = Network.general("tanh", "softmax", "cross_entropy")
    assert module_source(derive(network).at(4)) == module_source(derive(network.at(4)))


def test_the_kink_is_visited():
    report = derive(general(**NETWORKS["relu, softmax"])).verify(points=1)
    assert report.kink_points == 1
    assert any(row.points == 2 for row in report.rows if row.rule == "instantiate")


def test_progress_and_a_number_of_points(sigmoids):
    told = []
    sigmoids.verify(points=1, progress=lambda done, whole: told.append((done, whole)))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))
    with pytest.raises(UsageError, match="points"):
        sigmoids.verify(points=0)


def tampered(derivation, key, change):
    """The derivation with the last form of one general formula changed."""
    parts = []
    for part in derivation.parts:
        results = []
        for result in part.results:
            if result.tensor.key == key:
                last = dataclasses.replace(result.steps[-1], after=change(result.steps[-1].after))
                assert last.after != result.steps[-1].after, "the change changed nothing"
                result = dataclasses.replace(result, steps=(*result.steps[:-1], last))
            results.append(result)
        parts.append(dataclasses.replace(part, results=tuple(results)))
    return dataclasses.replace(derivation, base=parts[0], step=parts[1])


def found_false(derivation, key):
    """Whether the report says so of the general formula, and the depths at which it says so of its instances."""
    report = derivation.verify(points=1)
    assert not report.ok and "FALSE" in str(report)
    here = any(row.quantity == key for row in report.failures)
    name = key.partition("[")[0]
    return here, {
        int(row.number.rpartition(" ")[2])
        for row in report.failures
        if row.rule == "instantiate" and row.quantity.rstrip("0123456789") == name
    }


@pytest.mark.parametrize("key", ["delta[depth]", "dW[depth]", "db[depth]", "delta[layer]", "dW[layer]", "db[layer]"])
def test_a_factor_of_1_0005_is_found(one_example, key):
    wrong = tampered(one_example, key, lambda after: after * Rational(10005, 10000))
    assert found_false(wrong, key) == (True, {1, 2, 3, 4, 5} if "depth" in key else {2, 3, 4, 5})


def test_a_dropped_weight_a_wrong_layer_and_a_dropped_transpose_are_found(sigmoids):
    tensors = sigmoids.tensors
    W, delta = tensors["W[layer+1]"], tensors["delta[layer+1]"]

    def replaced(old, new):
        return lambda after: after.xreplace({old: new})

    changes = (
        replaced(W[m, j], Integer(1)),
        replaced(W[m, j], W[j, m]),
        replaced(W[m, j], tensors["W[layer]"][m, j]),
        replaced(delta[p, m], tensors["delta[layer]"][p, m]),
        replaced(tensors["a[layer]"][p, j], tensors["a[layer-1]"][p, j]),
    )
    for change in changes:
        here, depths = found_false(tampered(sigmoids, "delta[layer]", change), "delta[layer]")
        assert here and depths == {2, 3, 4, 5}
    shift = replaced(tensors["a[layer-1]"][p, s], tensors["a[layer]"][p, s])
    assert found_false(tampered(sigmoids, "dW[layer]", shift), "dW[layer]") == (True, {2, 3, 4, 5})


@pytest.mark.parametrize("key", ["dW[layer]", "db[depth]"])
def test_a_lost_mean_is_found(sigmoids, key):
    here, depths = found_false(tampered(sigmoids, key, lambda after: after * size("N")), key)
    assert here and depths >= {2, 3, 4, 5}


def test_what_is_true_of_the_stand_in_only_is_found_at_the_depths(sigmoids):
    delta, z_next = sigmoids.tensors["delta[layer+1]"][p, m], sigmoids.tensors["z[layer+1]"][p, m]
    wrong = tampered(sigmoids, "delta[layer]", lambda after: after.xreplace({delta: Undefined("R", (1,), z_next)}))
    here, depths = found_false(wrong, "delta[layer]")
    assert not here and depths == {2, 3, 4, 5}


def test_a_missing_formula_is_found(sigmoids):
    fewer = tuple(result for result in sigmoids.step.results if result.tensor.key != "db[layer]")
    report = dataclasses.replace(sigmoids, step=dataclasses.replace(sigmoids.step, results=fewer)).verify(points=1)
    assert {"db[layer]", "db1", "db4"} <= {row.quantity for row in report.failures}


def test_another_form_at_a_depth_stands_beside_the_general_one(sigmoids):
    def with_delta1(change):
        def derived(network):
            found = derive(network)
            results = []
            for result in found.results:
                if result.tensor.key == "delta1" and "W2" in found.tensors:
                    last = dataclasses.replace(result.steps[-1], after=change(result.steps[-1].after))
                    result = dataclasses.replace(result, steps=(*result.steps[:-1], last))
                results.append(result)
            return dataclasses.replace(found, results=tuple(results))

        return dataclasses.replace(sigmoids, derive=derived).verify(points=1)

    other = with_delta1(expand)
    assert other.ok
    beside = [(row.quantity, row.number) for row in other.rows if row.rule == "substitute" and "depth" in row.number]
    assert beside == [("delta1", f"1, depth {depth}") for depth in (2, 3, 4, 5)]
    assert ("delta1", "2, depth 2") in {(r.quantity, r.number) for r in other.rows if r.rule == "instantiate"}
    wrong = with_delta1(lambda after: 2 * after)
    assert {row.quantity for row in wrong.failures} == {"delta1"}
    assert {row.rule for row in wrong.failures} >= {"substitute", "instantiate"}


# What is given


def chain(**options):
    """L = sum over i of (w_i x_i)^2 + w_i x_i, through u = w x and v = u."""
    n, i = size("n"), index("i")
    x, w = Tensor("x", "input", shape=(n,)), Tensor("w", "parameter", shape=(n,))
    u, v, loss = Tensor("u", shape=(n,)), Tensor("v", shape=(n,)), Tensor("L", "loss")
    equations = (
        Equation(u, (i,), x[i] * w[i]),
        Equation(v, (i,), 3 * u[i]),
        Equation(loss, (), Sum(v[i] ** 2 + v[i], over(i, n))),
    )
    return Program((x, w), equations, **options)


def test_what_is_given_is_called_by_name_where_its_form_would_stand():
    assert "adj_v" not in str(derive(chain()))
    derivation = derive(chain(given=("v",)))
    assert [tensor.key for tensor in derivation.given] == ["adj_v"]
    assert str(derivation["adj_u"].equation) == "adj_u[i] = 3*adj_v[i]"
    assert derivation.verify(points=2).ok
    assert derivation.tensors["adj_v"].of == "v"


def test_only_a_computed_tensor_before_the_objective_can_be_given():
    for key in ("w", "L", "u9"):
        with pytest.raises(ProgramError, match=f"given: '{key}'"):
            chain(given=(key,))
    with pytest.raises(DeltaformError, match="the derivative by v is given"):
        derive(chain(given=("v",)), wrt=["v", "w"])


def test_a_derivation_cannot_give_itself_what_its_program_does_not_give():
    derivation = derive(chain(given=("v",)))
    report = dataclasses.replace(derivation, program=chain()).verify(points=1)
    assert [row.problem for row in report.failures] == ["it is taken as given, but the program does not give it"]


# The network


def test_the_network_at_a_depth():
    network = Network.general("relu", "softmax", "cross_entropy", reduction="sum")
    assert network.at(2) == Network.parse("n_0 -> n_1 relu -> n_2 softmax; cross_entropy", reduction="sum")
    assert network.at(3, [64, "h_1", 16, 10]) == Network(
        64, [Dense("h_1", "relu"), Dense(16, "relu"), Dense(10, "softmax")], "cross_entropy", "sum"
    )
    assert str(network.at(1)) == "n_0 -> n_1 softmax; cross_entropy"
    assert str(network) == "n_0 -> n_1 relu -> ... -> n_depth softmax; cross_entropy"
    assert network.replace(reduction="mean").at(1) == Network.parse("n_0 -> n_1 softmax; cross_entropy")


@pytest.mark.parametrize("depth", [0, -1, 2.0, True, "3", None])
def test_a_depth_that_is_none(depth):
    with pytest.raises(UsageError, match="depth must be a whole number of at least 1"):
        general(**SIGMOID).at(depth)


def test_widths_that_do_not_fit():
    with pytest.raises(UsageError, match="2 widths for a depth of 2; 3 are needed"):
        general(**SIGMOID).at(2, [3, 4])
    with pytest.raises(UsageError, match="list of sizes"):
        general(**SIGMOID).at(2, "345")


def test_base_and_step_are_ordinary_programs():
    network = general(**NETWORKS["g, softmax"])
    base, step = network.base(), network.step()
    assert [leaf.key for leaf in base.leaves] == ["a[depth-1]", "y", "W[depth]", "b[depth]"]
    assert [leaf.key for leaf in step.leaves] == ["a[layer-1]", "W[layer]", "b[layer]", "W[layer+1]", "b[layer+1]"]
    assert base.tensors["W[depth]"].shape == (width(DEPTH), width(DEPTH - 1))
    assert base.facts and base.intervals == {"y": (0, 1)} and not step.facts
    assert derive(step).verify(points=1).ok
    ascent = Network.general("g", "sigmoid", "log_likelihood")
    assert ascent.base().sense == ascent.step().sense == "maximise"


def test_activations_are_named_given_or_a_letter():
    assert Network.general("g", "identity", "c(y,h)") == Network.general("g(z)", "identity", "c(y,h)")
    swish = Activation("swish", z**3)
    assert Network.general(swish, "identity", "c(y,h)").hidden == swish
    for typo in ("rellu", "gg", "g1", ""):
        with pytest.raises(DeltaformError, match="unknown activation"):
            Network.general(typo, "identity", "c(y,h)")


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"hidden": "x"}, "letter of a tensor"),
        ({"hidden": "g", "loss": "g(y,h)"}, "two different functions"),
        ({"hidden": "n_3(z)"}, "any depth calls its layers"),
        ({"hidden": "layer(z)"}, "any depth calls its layers"),
        ({"examples": "n_0"}, "any depth calls its layers"),
        ({"examples": "depth"}, "any depth calls its layers"),
        ({"hidden": "g", "examples": "g"}, "a size and a function"),
        ({"examples": 5}, "examples must be the name"),
        ({"reduction": "max"}, "reduction must be"),
        ({"output": "sigmoid", "loss": "cross_entropy"}, "layer depth: .*needs outputs that sum to 1"),
        ({"output": "softmax", "loss": "binary_cross_entropy"}, "layer depth: .*yes-or-no"),
        ({"output": "tanh", "loss": "log_likelihood"}, r"layer depth: .*\(-1, 1\)"),
        ({"loss": "half_squared"}, "did you mean half_squared_error"),
    ],
)
def test_what_a_network_refuses_is_refused_at_any_depth(given, match):
    with pytest.raises(DeltaformError, match=match):
        Network.general(**{"hidden": "tanh", "output": "identity", "loss": "half_squared_error", **given})


@pytest.mark.parametrize(
    ("hidden", "output", "loss", "match"),
    [
        ("tanh", "softmax", "half_squared_error", "layer depth: .*learns slowly"),
        ("softmax", "sigmoid", "half_squared_error", "layer depth - 1: softmax in a hidden layer"),
        ("softmax", "softmax", "cross_entropy", "layers depth - 1 and depth: softmax twice"),
    ],
)
def test_what_is_unusual_is_said_once(hidden, output, loss, match):
    with pytest.warns(DeltaformWarning, match=match) as caught:
        network = Network.general(hidden, output, loss)
    assert len(caught) == 1 and caught[0].filename == __file__
    network.at(3)  # a warning would be an error


def test_what_needs_a_number_of_layers_says_so(tmp_path):
    network = Network.general("tanh", "softmax", "cross_entropy")
    derivation = derive(network)
    X, Y = np.ones((2, 3)), np.ones((2, 2)) / 2
    for source in (network, derivation, derivation.base, derivation.step):
        for use in (
            lambdify,
            initialize,
            lambda source: write_module(source, tmp_path / "depth_code.py"),
            lambda source: train(source, X, Y, epochs=1),
        ):
            with pytest.raises(UsageError, match=r"the depth is open.*network\.at\(3\)"):
                use(source)
    assert not list(tmp_path.iterdir())
    for ask in (lambda: network.program(), lambda: derivation.program, lambda: derive(network, wrt=["W1"])):
        with pytest.raises(UsageError, match=r"the depth is open.*network\.at\(3\)"):
            ask()


def test_a_derivation_is_not_derived_again(sigmoids):
    for derivation in (sigmoids, derive(quiet("3 -> 2; half_squared_error"))):
        with pytest.raises(UsageError, match="derived already"):
            derive(derivation)


def test_what_was_chosen_trains():
    network = Network.general("tanh", "softmax", "cross_entropy").at(3, [3, 4, 4, 2])
    X, Y = np.random.default_rng(0).normal(size=(8, 3)), np.eye(2)[[0, 1] * 4]
    history = train(network, X, Y, epochs=2)
    assert len(history.epochs) == 2


def test_no_open_label_is_left_in_an_instance(sigmoids):
    for result in sigmoids.at(2).results:
        for side in (result.steps[0].before, result.steps[-1].after):
            names = {node.base.label.name for node in side.atoms(Indexed)} | {s.name for s in side.free_symbols}
            assert not any("[layer" in name or "[depth" in name for name in names)
