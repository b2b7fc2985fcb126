"""Workspaces: the gradients of the readable module, in memory of their own, and what they refuse."""

import tracemalloc

import numpy as np
import pytest
from sympy import Sum

from codegen.functions import functions_of, lambdify
from codegen.initialization import initialize
from codegen.steppers import choose_stepper
from codegen.workspace import Workspace
from symbolic.backpropagation import derive
from symbolic.errors import DataError, LoweringError, UsageError
from symbolic.network import Network
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, index, over, size

TEXT = "3 -> 4 relu -> 2 softmax; cross_entropy"
FUNCTIONS = lambdify(derive(Network.parse(TEXT)))
RANDOM = np.random.default_rng(3)
PARAMS = {key: RANDOM.normal(size=shape) for key, shape in Network.parse(TEXT).parameters.items()}
X = RANDOM.normal(size=(5, 3))
Y = np.eye(2)[[0, 1, 1, 0, 1]]


def agrees(workspace, params, X, Y):
    loss, gradients = FUNCTIONS.loss_and_gradients(params, X, Y)
    value, found = workspace.loss_and_gradients(params, X, Y)
    assert value == pytest.approx(loss, rel=1e-12) and isinstance(value, float)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(found[key], gradient, rtol=0, atol=1e-12)


def test_gradients_are_views_that_each_call_overwrites():
    workspace = FUNCTIONS.workspace(5)
    _, first = workspace.loss_and_gradients(PARAMS, X, Y)
    assert all(np.shares_memory(gradient, workspace.flat) for gradient in first.values())
    kept = {key: gradient.copy() for key, gradient in first.items()}
    _, second = workspace.loss_and_gradients(PARAMS, 2 * X, Y)
    assert second["W1"] is first["W1"] and not np.array_equal(kept["W1"], first["W1"])
    agrees(workspace, PARAMS, X, Y)
    for key, gradient in kept.items():
        np.testing.assert_array_equal(workspace.gradients[key], gradient)


def test_arguments_are_not_changed_and_may_be_anything_that_fits():
    workspace = FUNCTIONS.workspace(5)
    before = {key: value.copy() for key, value in PARAMS.items()}
    for inputs in (
        X,
        np.asfortranarray(X),
        np.repeat(X, 2, axis=0)[::2],
        np.hstack([X, X])[:, ::2][:, [0, 1, 2]],
        X[::-1],
    ):
        agrees(workspace, PARAMS, inputs, Y)
        agrees(workspace, PARAMS, inputs, np.asfortranarray(Y))
    strided = {key: np.repeat(value, 2, axis=-1)[..., ::2] for key, value in PARAMS.items()}
    agrees(workspace, {key: np.asfortranarray(value) for key, value in strided.items()}, X, Y)
    agrees(workspace, strided, X, Y)
    agrees(workspace, PARAMS, X, np.array([0, 1, 1, 0, 1]))
    square = np.ones((3, 3))
    other = lambdify(derive(Network.parse("3 -> 3; half_squared_error")))
    params = {"W1": square, "b1": np.zeros(3)}
    loss, gradients = other.loss_and_gradients(params, square, square)
    value, found = other.workspace(3).loss_and_gradients(params, square, square)  # W1, X and Y are one array
    assert value == pytest.approx(loss, rel=1e-14)
    np.testing.assert_allclose(found["W1"], gradients["W1"], rtol=1e-14)
    for key, value in before.items():
        np.testing.assert_array_equal(PARAMS[key], value)


def test_two_workspaces_do_not_disturb_each_other():
    one, other = FUNCTIONS.workspace(5), FUNCTIONS.workspace(5)
    _, first = one.loss_and_gradients(PARAMS, X, Y)
    kept = first["W1"].copy()
    other.loss_and_gradients(PARAMS, -X, Y)
    np.testing.assert_array_equal(first["W1"], kept)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (PARAMS, X[:4], Y[:4]),
            DataError,
            r"X has 4 examples, but the workspace is for 5; .*workspace\(4, 'float64'\)",
        ),
        ((PARAMS, X, Y[:4]), DataError, "Y has shape"),
        ((PARAMS, X.astype(np.float32), Y), DataError, "X is float32, but this module is for float64"),
        (({k: v.astype(np.float32) for k, v in PARAMS.items()}, X, Y), DataError, "is float32"),
        ((PARAMS, X.astype(int), Y), DataError, "X holds integers"),
        ((PARAMS, X, np.ones((5, 2))), DataError, "distribution"),
        ((PARAMS, X.tolist(), Y), DataError, "X is a list"),
        (({"W1": PARAMS["W1"]}, X, Y), DataError, "b1, W2, b2 missing"),
        ((PARAMS, X), DataError, "1 array given; required are X, Y"),
    ],
)
def test_refuses_what_does_not_fit(arguments, error, message):
    workspace = FUNCTIONS.workspace(5)
    with pytest.raises(error, match=message):
        workspace.loss_and_gradients(*arguments)
    agrees(workspace, PARAMS, X, Y)


def test_refuses_its_own_memory():
    workspace = FUNCTIONS.workspace(5)
    _, gradients = workspace.loss_and_gradients(PARAMS, X, Y)
    with pytest.raises(DataError, match=r'params\["W1"\] lies in the workspace.s memory, .*give it a copy'):
        workspace.loss_and_gradients(gradients, X, Y)
    other = FUNCTIONS.workspace(5)
    other.loss_and_gradients(gradients, X, Y)  # another workspace's memory is nothing but an array


def test_a_closed_workspace_refuses():
    with FUNCTIONS.workspace(5) as workspace:
        _, gradients = workspace.loss_and_gradients(PARAMS, X, Y)
        kept = gradients["W1"].copy()
    with pytest.raises(UsageError, match="the workspace is closed"):
        workspace.loss_and_gradients(PARAMS, X, Y)
    assert workspace.flat.size == 0 and np.array_equal(gradients["W1"], kept)


@pytest.mark.parametrize("size_", [0, -1, 2.0, True, "5"])
def test_refuses_a_batch_size(size_):
    with pytest.raises(UsageError, match="batch size must be a whole number from 1"):
        FUNCTIONS.workspace(size_)


@pytest.mark.parametrize("size_", [10**12, 10**25])
def test_refuses_what_the_machine_has_no_memory_for(size_):
    with pytest.raises(UsageError, match=rf"for {size_} examples in float32 needs at least \d+(,\d\d\d)+ bytes, but"):
        FUNCTIONS.workspace(size_, "float32")
    with pytest.raises(UsageError, match=rf"a stepper for {size_} examples in float64 needs at least"):
        choose_stepper(FUNCTIONS.derivation, size_, target="numpy")


def test_memory_is_counted_as_it_is_taken(monkeypatch):
    """What a call needs for a moment, and constants, come on top."""
    FUNCTIONS.workspace(5)
    tracemalloc.start()
    workspace = FUNCTIONS.workspace(100_000)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert workspace.batch_size == 100_000
    monkeypatch.setattr("codegen.initialization.machine_memory", lambda: 10**6)
    with pytest.raises(UsageError, match="but this machine has 1,000,000; choose a smaller batch size") as refused:
        FUNCTIONS.workspace(100_000)
    said = int(str(refused.value).split("at least ")[1].split(" bytes")[0].replace(",", ""))
    assert 0.6 * taken < said <= taken


@pytest.mark.parametrize("name", ["batch_size", "dtype", "source", "flat", "gradients"])
def test_what_a_workspace_is_made_for_cannot_be_assigned(name):
    with FUNCTIONS.workspace(5) as workspace, pytest.raises(AttributeError):
        setattr(workspace, name, 4)
    assert workspace.batch_size == 5 and workspace.dtype == np.float64


def test_refuses_a_dtype_and_functions_made_from_text():
    with pytest.raises(UsageError, match="float32 or float64"):
        FUNCTIONS.workspace(5, "int32")
    with pytest.raises(UsageError, match="made from text"):
        functions_of(FUNCTIONS.source).workspace(5)
    network = Network.parse(TEXT)
    with pytest.raises(LoweringError, match="gradients of all parameters and no others, but x is amiss"):
        lambdify(derive(network, wrt=["W1", "x"])).workspace(5)
    only = lambdify(derive(network, wrt=["W1"])).workspace(5).loss_and_gradients(PARAMS, X, Y)[1]
    assert set(only) == {"W1"}


def mean_program(example):
    """Fourth powers of w x less their mean over the units of an example."""
    p, j, k, N, n = index("p"), index("j"), index("k"), size("N"), size("n")
    x, w = Tensor("x", "input", None, (N, n), (p, j)), Tensor("w", "parameter", None, (n,), (j,))
    mean, ell = Tensor("mean", "intermediate", None, (N,), (p,)), Tensor("ell", "loss", None, (N,), (p,))
    cost = Tensor("J", "cost")
    return Program(
        (x, w),
        (
            Equation(mean, (p,), Sum(w[k] * x[p, k], over(k, n)) / n),
            Equation(ell, (p,), Sum((w[j] * x[p, j] - mean[p]) ** 4, over(j, n))),
            Equation(cost, (), Sum(ell[p], over(p, N)) / N),
        ),
        sizes={n: 3},
        example=p if example else None,
    )


def test_a_program_that_is_no_network():
    derivation = derive(mean_program(True))
    params = {"w": np.array([0.5, -1.0, 2.0])}
    loss, gradients = lambdify(derivation).loss_and_gradients(params, X)
    value, found = Workspace(derivation, 5).loss_and_gradients(params, X)
    assert value == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(found["w"], gradients["w"], rtol=1e-12)
    with pytest.raises(LoweringError, match="no axis of examples"):
        lambdify(derive(mean_program(False))).workspace(5)


# One example of a tiny network: plain Python


@pytest.mark.parametrize(
    "text",
    [
        "2 -> 3 relu -> 4 relu -> 1; half_squared_error",
        "2 -> 3 tanh -> 2 softmax; cross_entropy",
        "2 -> 3 sigmoid; binary_cross_entropy",
        "3 -> 2 softplus -> 2 leaky_relu -> 2 sigmoid; log_likelihood",
    ],
)
def test_one_example_of_a_tiny_network_is_computed_on_floats(text):
    functions = lambdify(derive(Network.parse(text)))
    workspace = functions.workspace(1)
    assert "def build(pack, memory, float64):" in workspace.source
    for seed in range(5):
        random = np.random.default_rng(seed)
        params = {key: random.normal(size=shape) for key, shape in Network.parse(text).parameters.items()}
        width = [shape for key, shape in Network.parse(text).parameters.items() if key.startswith("b")][-1][0]
        X, Y = random.normal(size=(1, params["W1"].shape[1])), np.eye(width)[[seed % width]]
        for inputs in (X, 1e3 * X, 1e200 * X, np.full_like(X, np.nan)):  # from somewhere on Python refuses
            with np.errstate(all="ignore"):
                loss, gradients = functions.loss_and_gradients(params, inputs, Y)
                value, found = workspace.loss_and_gradients(params, inputs, Y)
            np.testing.assert_allclose(value, loss, rtol=1e-12)
            for key, gradient in gradients.items():
                scale = np.abs(gradient[np.isfinite(gradient)]).max(initial=1.0)
                np.testing.assert_allclose(found[key] / scale, gradient / scale, rtol=0, atol=1e-12)
        # Its own gradients as parameters: everything is read before anything is written.
        aliased = {key: value.copy() for key, value in workspace.gradients.items()}
        expected = functions.loss_and_gradients(aliased, X, Y)[1]
        found = workspace.loss_and_gradients(workspace.gradients, X, Y)[1]
        for key, gradient in expected.items():
            np.testing.assert_allclose(found[key], gradient, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("count", [1, 4])
def test_what_does_not_fit_is_refused_as_by_the_functions(count):
    functions = lambdify(derive(Network.parse("2 -> 3 tanh -> 2 softmax; cross_entropy")), dtype="float64")
    workspace, random = functions.workspace(count), np.random.default_rng(0)
    params = {key: random.normal(size=shape) for key, shape in (("W1", (3, 2)), ("b1", (3,)), ("W2", (2, 3)))}
    params["b2"] = np.zeros(2)
    X, Y = random.normal(size=(count, 2)), np.eye(2)[np.zeros(count, int)]
    wrong = [
        ({**params, "b1": np.zeros((1, 3))}, X, Y),
        ({**params, "W1": params["W1"].T}, X, Y),
        ({**params, "b1": np.zeros(3, np.float32)}, X, Y),
        ({**params, "b1": [0.0, 0.0, 0.0]}, X, Y),
        ({**params, "b3": np.zeros(2)}, X, Y),
        ({key: value for key, value in params.items() if key != "b2"}, X, Y),
        (params, X[:, :1], Y),
        (params, X.astype(np.float32), Y),
        (params, X.ravel(), Y),
        (params, X, Y * 1.001),
        (params, X, Y + np.array([0.5, -0.5])),
        (params, X, np.full((count, 2), np.nan)),
        (params, np.ma.masked_array(X, np.ones_like(X, bool)), Y),
    ]
    for arguments in wrong:
        with pytest.raises(DataError) as seen:
            functions.loss_and_gradients(*arguments)
        with pytest.raises(DataError) as found:
            workspace.loss_and_gradients(*arguments)
        assert str(found.value) == str(seen.value)
    labels = np.zeros(count, int)
    assert workspace.loss_and_gradients(params, X, labels)[0] == pytest.approx(
        functions.loss_and_gradients(params, X, labels)[0], rel=1e-12
    )


@pytest.mark.parametrize("depth", [5, 9, 10, 11, 12, 17, 20])
def test_one_example_of_a_thin_network_however_deep(depth):
    """Its parameters fill more than a line of text."""
    text = "2 -> " + "1 tanh -> " * (depth - 1) + "1; half_squared_error"
    functions, params = lambdify(derive(Network.parse(text))), initialize(Network.parse(text), 3)
    workspace = functions.workspace(1)
    assert "def build(pack, memory, float64):" in workspace.source
    inputs, targets = np.array([[0.5, -1.0]]), np.array([[0.25]])
    loss, gradients = functions.loss_and_gradients(params, inputs, targets)
    value, found = workspace.loss_and_gradients(params, inputs, targets)
    assert value == pytest.approx(loss, rel=1e-12)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(found[key], gradient, rtol=1e-11, atol=1e-15)


def test_it_says_what_it_is():
    derivation = derive(Network.parse("2 -> 3 tanh -> 1; half_squared_error"))
    one, many = Workspace(derivation, 1), Workspace(derivation, 7, "float32")
    assert (one.name, many.name) == ("scalar", "numpy")
    assert "plain Python on floats" in one.why and "NumPy code generated for batches of 7 in float32" in many.why
    assert repr(many) == "<Workspace for batches of 7 in float32: numpy>"
    many.close()
    assert repr(many) == "<Workspace for batches of 7 in float32: closed>"


def test_an_input_of_another_count_is_to_blame_and_not_the_target():
    functions = lambdify(derive(Network.parse("2 -> 3 tanh -> 1; half_squared_error")))
    workspace, params = functions.workspace(5), initialize(functions.derivation)
    with pytest.raises(DataError, match="X has 7 examples, but the workspace is for 5"):
        workspace.loss_and_gradients(params, np.ones((7, 2)), np.ones((5, 1)))
