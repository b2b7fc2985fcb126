"""Passes: none changes a number beyond rounding, whatever goes in; the text they lead to is checked and repeatable."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sympy import Piecewise, Sum, Symbol, tanh

from codegen import memory
from codegen.functions import lambdify
from codegen.numpy_stepper import NumpyStepper
from codegen.passes import ALL, PASSES, without
from codegen.passes.equations import degree, folded_step
from codegen.passes.planning import plan
from codegen.passes.processor import Processor
from codegen.safety import check_source
from codegen.steppers import Request
from codegen.workspace import Workspace
from symbolic.backpropagation import derive
from symbolic.errors import DeltaformWarning, LoweringError, UsageError
from symbolic.network import Network
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, index, over, size

pytestmark = pytest.mark.usefixtures("every_pass")
ROOT = Path(__file__).parent.parent
# Each pass has something to do in one of them.
NETWORKS = (
    "3 -> 4 relu -> 4 leaky_relu -> 4 sigmoid -> 2 softmax; cross_entropy",
    "3 -> 4 elu -> 4 softplus -> 3 softmax -> 2 sigmoid; binary_cross_entropy",
    "3 -> 4 silu -> 4 gelu_tanh -> 2 softmax; squared_error",
    "3 -> 4 tanh -> 2; half_squared_error",
    "3 -> 2 sigmoid; log_likelihood",
    "5 -> 48 tanh -> 48 relu -> 3 softmax; cross_entropy",
)
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def derivation_of(text, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        return derive(Network.parse(text, **options))


DERIVATIONS = {text: derivation_of(text) for text in NETWORKS}
FUNCTIONS = {text: lambdify(derivation) for text, derivation in DERIVATIONS.items()}


def arrays(derivation, count=5, dtype="float64", seed=0, spread=1.0):
    """Parameters, inputs, and targets whose rows are distributions."""
    random, program = np.random.default_rng(seed), derivation.program
    shapes = {t.key: [int(program.value_of(n)) for n in t.shape] for t in program.parameters}
    x, y = (next(t for t in program.leaves if t.role == role) for role in ("input", "target"))
    params = {key: (spread * random.normal(size=shape)).astype(dtype) for key, shape in shapes.items()}
    targets = random.uniform(size=(count, int(program.value_of(y.shape[1]))))
    targets = (targets / targets.sum(axis=1, keepdims=True)).astype(dtype)
    return params, random.normal(size=(count, int(program.value_of(x.shape[1])))).astype(dtype), targets


def same(found, expected, dtype):
    """Up to rounding, in the scale of the array; NaN and infinity in the same places."""
    found, expected = np.asarray(found), np.asarray(expected)
    usual = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(found), usual)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    scale = max(1.0, np.abs(expected[usual]).max(initial=0))
    assert np.abs(found[usual].astype(float) - expected[usual]).max(initial=0) <= TOLERANCE[dtype] * scale


def workspace_agrees(text, passes, params, X, Y, dtype):
    """Also on a second call, which finds the memory as the first one left it."""
    loss, gradients = FUNCTIONS[text].loss_and_gradients(params, X, Y)
    made = Workspace(DERIVATIONS[text], len(X), dtype, passes)
    for _ in range(2):
        value, found = made.loss_and_gradients(params, X, Y)
        same(value, loss, dtype)
        for key, gradient in gradients.items():
            same(found[key], gradient, dtype)
    return value, gradients


def stepper_agrees(text, passes, params, X, Y, dtype, rate=0.125):
    loss, gradients = FUNCTIONS[text].loss_and_gradients(params, X, Y)
    sign = 1 if DERIVATIONS[text].program.sense == "minimise" else -1
    stepper = NumpyStepper(Request(DERIVATIONS[text], len(X), np.dtype(dtype)), passes)
    for key, value in params.items():
        stepper.params[key][...] = value
    same(stepper.step(X, Y, rate), loss, dtype)
    for key, gradient in gradients.items():
        same(stepper.params[key], params[key] - sign * rate * gradient, dtype)


SETS = [ALL, frozenset(), *(without(name) for name in PASSES)]
NAMES = ["all", "none", *(f"without {name}" for name in PASSES)]


@pytest.mark.parametrize("passes", SETS, ids=NAMES)
@pytest.mark.parametrize("text", NETWORKS)
def test_a_pass_changes_no_number(text, passes):
    for count, dtype in ((1, "float64"), (5, "float32"), (5, "float64"), (48, "float32")):
        given = arrays(DERIVATIONS[text], count, dtype)
        workspace_agrees(text, passes, *given, dtype)
        stepper_agrees(text, passes, *given, dtype)


REQUEST = Request(DERIVATIONS[NETWORKS[0]], 5, np.dtype("float64"))


# Where memory begins is in no text.
@pytest.mark.parametrize("name", [name for name in PASSES if name != "aligned"])
def test_a_pass_changes_the_text_of_some_network(name):
    """A pass that does nothing anywhere would be tested in vain."""
    for text in NETWORKS:
        for count, dtype in ((5, "float64"), (48, "float32")):
            request = Request(DERIVATIONS[text], count, np.dtype(dtype))
            if NumpyStepper(request).source != NumpyStepper(request, without(name)).source:
                return
    raise AssertionError(f"{name} changed nothing")


def test_a_single_number_is_not_written_over():
    """It takes NumPy longer than to write beside it."""
    derivation = derivation_of("2 -> 3 relu -> 4 relu -> 1; half_squared_error")
    one, more = (NumpyStepper(Request(derivation, count, np.dtype("float64"))).source for count in (1, 5))
    assert "    difference_J = empty((1, N), dtype)" in one and "z3 = difference_J = delta3 = empty" in more


def test_memory_begins_at_a_cache_line():
    for shape, dtype in (((3, 5), np.float32), ((7,), np.float64), ((2, 2), bool), ((), np.float64)):
        array = memory.empty(shape, dtype)
        assert array.ctypes.data % memory.LINE == 0
        assert (array.shape, array.dtype, array.flags.c_contiguous) == (shape, np.dtype(dtype), True)
    for owner in (NumpyStepper(REQUEST), Workspace(REQUEST.derivation, 5)):
        assert owner.flat.ctypes.data % memory.LINE == 0


@pytest.mark.parametrize("passes", [ALL, frozenset(), without("feature_major")], ids=["all", "none", "rows"])
@pytest.mark.parametrize("text", NETWORKS)
def test_nan_in_nan_out(text, passes):
    params, X, Y = arrays(DERIVATIONS[text], 4)
    X[1, 0] = np.nan
    with np.errstate(invalid="ignore"):
        value, gradients = workspace_agrees(text, passes, params, X, Y, "float64")
        assert np.isnan(value) and np.isnan(gradients["W1"]).any()
        stepper_agrees(text, passes, params, X, Y, "float64")
    params["W1"][0, 0], X[1, 0] = np.nan, 0.0
    with np.errstate(invalid="ignore"):
        assert np.isnan(workspace_agrees(text, passes, params, X, Y, "float64")[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("text", NETWORKS)
def test_a_thousand_stays_finite(text, dtype):
    params, X, Y = arrays(DERIVATIONS[text], 6, dtype)
    signs = np.random.default_rng(1)
    for value in params.values():
        value[...] = signs.choice([-1.0, 1.0], size=value.shape)
    X[...] = signs.choice([-1000.0, 1000.0], size=X.shape) / 3
    made = Workspace(DERIVATIONS[text], 6, dtype)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        value, gradients = made.loss_and_gradients(params, X, Y)
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients.values())


BY_EXP = "3 -> 40 tanh -> 40 sigmoid -> 30 tanh -> 2 softmax; cross_entropy"
DERIVATIONS[BY_EXP] = derivation_of(BY_EXP)
FUNCTIONS[BY_EXP] = lambdify(DERIVATIONS[BY_EXP])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e-6, 0.01, 0.3, 1, 7, 30, 100, 400, 1e4, 1e30])
def test_exponentials_at_every_scale(scale, dtype):
    """Where tanh is nearly linear, about the bounds, and where exp overflows: right in the scale of each array."""
    params, X, Y = arrays(DERIVATIONS[BY_EXP], 6, dtype)
    for key in params:
        params[key] *= 0 if key.startswith("b") else 0.2
    params["W1"] *= np.dtype(dtype).type(scale)
    loss, expected = FUNCTIONS[BY_EXP].loss_and_gradients(params, X, Y)
    made = Workspace(DERIVATIONS[BY_EXP], 6, dtype)
    assert made.source.count("if ") > 3
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        value, found = made.loss_and_gradients(params, X, Y)
        stepper_agrees(BY_EXP, ALL, params, X, Y, dtype)
    same(value, loss, dtype)
    for key, gradient in expected.items():
        assert np.abs(found[key] - gradient).max() <= TOLERANCE[dtype] * np.abs(gradient).max()


@pytest.mark.parametrize(("dtype", "room"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_every_number_is_right_where_exp_computes_it(name, dtype, room):
    """From the smallest numbers to beyond the bounds, tanh in the scale of each, and without overflow."""
    text = f"1 -> 400 {name} -> 1; half_squared_error"
    DERIVATIONS.setdefault(text, derivation_of(text))
    made = Workspace(DERIVATIONS[text], 2, dtype)
    assert "    else:" in made.source
    # The output is 1 for every x, so that the gradient of W2 is what the hidden units give.
    params = {"b1": np.zeros(400, dtype), "W2": np.zeros((1, 400), dtype), "b2": np.ones(1, dtype)}
    X, Y = np.ones((2, 1), dtype), np.zeros((2, 1), dtype)
    for most in (1e-12, 1e-3, 0.1, 1, 39, 41, 46, 79, 81, 95, 349, 351, 357, 699, 701, 715, 3e38):
        for least in (-most, -1e-3, -3e38):
            z = np.concatenate([least * np.logspace(0, -20, 200), most * np.logspace(0, -20, 200)]).astype(dtype)
            params["W1"] = z[:, None]
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                _, found = made.loss_and_gradients(params, X, Y)
            z = z.astype(float)
            expected = np.tanh(z) if name == "tanh" else np.exp(-np.logaddexp(0, -z))
            # (1 + tanh(z/2))/2, the other way to compute it, is rounded as numbers about 1 are.
            scale = np.abs(expected) if name == "tanh" else 1
            assert (np.abs(found["W2"][0] - expected) <= room * scale).all()


def test_an_array_may_have_the_name_of_what_is_near():
    net = derivation_of("2 -> 64 tanh -> 64 sigmoid -> 1; half_squared_error")
    assert "near = z1[small]" in Workspace(net, 2).source
    x, near = Tensor("x", "input", None, (N, n), (p, j)), Tensor("near", "preactivation", None, (N, n), (p, j))
    small, weight = Tensor("small", "activation", None, (N, n), (p, j)), Tensor("w", "parameter", None, (n,), (j,))
    ell, cost = Tensor("ell", "loss", None, (N,), (p,)), Tensor("J", "cost")
    equations = (
        Equation(near, (p, j), weight[j] * x[p, j]),
        Equation(small, (p, j), tanh(near[p, j])),
        Equation(ell, (p,), Sum(small[p, j] ** 2, over(j, n))),
        Equation(cost, (), Sum(ell[p], over(p, N)) / N),
    )
    made = derive(Program((x, weight), equations, sizes={n: 64}, example=p))
    X, params = np.random.default_rng(0).normal(size=(5, 64)), {"w": np.linspace(-2, 2, 64)}
    space = Workspace(made, 5)
    loss, gradients = lambdify(made).loss_and_gradients(params, X)
    assert "near_" in space.source
    for _ in range(2):
        value, found = space.loss_and_gradients(params, X)
        same(value, loss, "float64")
        same(found["w"], gradients["w"], "float64")


def test_tanh_is_computed_by_exp_where_processors_are_faster_so(monkeypatch):
    monkeypatch.undo()
    derivation = derivation_of("64 -> 64 tanh -> 64 sigmoid -> 2 softmax; cross_entropy")
    small = derivation_of("2 -> 2 tanh -> 2 sigmoid -> 2 softmax; cross_entropy")

    def ways(one, kernel, tanh):
        monkeypatch.setattr("codegen.passes.planning.this_processor", lambda: Processor(kernel, tanh))
        return Workspace(one, 64, "float64").source.count("    else:")

    assert ways(derivation, "Haswell", "X86_V3") == ways(derivation, "", "FMA3__AVX2") == 2
    assert (
        ways(derivation, "SkylakeX", "X86_V4") == ways(derivation, "", "") == ways(small, "Haswell", "X86_V3") - 1 == 0
    )


LOGITS = "3 -> 3 softmax; cross_entropy"
DERIVATIONS[LOGITS] = derivation_of(LOGITS)
FUNCTIONS[LOGITS] = lambdify(DERIVATIONS[LOGITS])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shift", [0, 30, -30, 62, -62, 95, -95, 200, -200, 590, -590, 720, -720, 800, -800, 1e5])
def test_the_guard_of_the_softmax(shift, dtype):
    """Logits at every distance from 0: exp is normal, denormal, 0 or infinite there. No warning, right numbers."""
    X = np.array([[0, 0, 0], [1, -1, 0.5], [0, 20, -20], [3, 3, -40], [1e-30, 0, 1e-42]], dtype)
    params = {"W1": np.eye(3, dtype=dtype), "b1": np.full(3, shift, dtype)}
    Y = np.eye(3, dtype=dtype)[[0, 1, 2, 0, 1]]
    for passes in (ALL, without("guarded_shift"), without("totals")):
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            workspace_agrees(LOGITS, passes, params, X, Y, dtype)
            stepper_agrees(LOGITS, passes, params, X, Y, dtype)
    # One example far out, the others near 0, and one infinite.
    params["b1"][...] = 0
    X[2] += shift
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        workspace_agrees(LOGITS, ALL, params, X, Y, dtype)
    X[2, 0] = np.inf
    with np.errstate(invalid="ignore"):
        assert np.isnan(workspace_agrees(LOGITS, ALL, params, X, Y, dtype)[0])


def test_tiny_weights_are_not_lost():
    """Denormal logits, and gradients far below 1."""
    params, X, Y = arrays(DERIVATIONS[LOGITS], 4, "float32")
    for value in params.values():
        value *= np.float32(1e-42)
    workspace_agrees(LOGITS, ALL, params, X * np.float32(1e-3), Y, "float32")


# The learning rate in the output delta


p, j, k, m = index("p"), index("j"), index("k"), index("m")
N, n = size("N"), size("n")
d = Tensor("d", "adjoint", None, (N, n), (p, j))
z = Tensor("z", "preactivation", None, (N, n), (p, j))
w = Tensor("w", "parameter", None, (n, n), (j, k))


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (z[p, j] ** 2, 0),
        (d[p, j], 1),
        (Sum(w[m, j] * d[p, m], over(m, n)) * z[p, j], 1),
        (d[p, j] * d[p, j], 2),
        (d[p, j] + d[p, k] * z[p, j], 1),
        (d[p, j] + 1, None),
        (1 / d[p, j], None),
        (Piecewise((d[p, j], z[p, j] > 0), (0, True)), 1),
        (Piecewise((d[p, j], d[p, j] > 0), (0, True)), None),
        (Piecewise((d[p, j], z[p, j] > 0), (1, True)), None),
    ],
)
def test_degree_in_the_adjoints(expression, found):
    assert degree(expression, frozenset({"d"})) == found


def test_a_step_is_folded_only_where_it_is_proved():
    step = Symbol("step", real=True)
    g = Tensor("g", "gradient", None, (n,), (j,))
    seed = Equation(d, (p, j), 2 * z[p, j] - 2)

    def gradient(summand):
        return Equation(g, (j,), Sum(summand, over(p, N)) / N)

    equations, factor = folded_step((seed, gradient(d[p, j])), frozenset({"d", "g"}), frozenset({"g"}), step)
    assert factor == 1 / N and equations[0].rhs == 2 * step * (z[p, j] - 1)
    assert equations[1].rhs == Sum(d[p, j], over(p, N))
    assert folded_step((seed, gradient(d[p, j] ** 2)), frozenset({"d", "g"}), frozenset({"g"}), step) is None
    mixed, _ = folded_step((seed, gradient(d[p, j])), frozenset({"d", "g"}), frozenset(), step)
    assert mixed[1].rhs == Sum(d[p, j], over(p, N)) / N


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_factor_is_that_of_the_cost(reduction):
    text = "3 -> 4 tanh -> 2; squared_error"
    derivation = derivation_of(text, reduction=reduction)
    assert plan(derivation, 5, "float64").factor == (1 / N if reduction == "mean" else 1)
    name = f"{text} {reduction}"
    DERIVATIONS[name], FUNCTIONS[name] = derivation, lambdify(derivation)
    stepper_agrees(name, ALL, *arrays(derivation), "float64")


# The text


@pytest.mark.parametrize("text", NETWORKS)
def test_text_passes_the_whitelist_and_is_ascii(text):
    for source in (
        NumpyStepper(Request(DERIVATIONS[text], 5, np.dtype("float32"))).source,
        Workspace(DERIVATIONS[text], 5).source,
    ):
        check_source(source)
        assert source.isascii() and max(map(len, source.splitlines())) <= 130


def test_text_of_a_network():
    source = NumpyStepper(
        Request(derivation_of("64 -> 32 sigmoid -> 10 softmax; cross_entropy"), 32, np.dtype("f4"))
    ).source
    lines = [line.strip() for line in source.splitlines()]
    for equation, statement in (
        ("# z2[j, p] = b2[j] + sum_s(W2[s, j]*a1[s, p])", "W2_b2_T.dot(a1_1, z2)"),
        ("# a2[j, p] = exp(z2[j, p])/sum_k(exp(z2[k, p]))", "np_divide(exp_z2, product_z2, a2)"),
        ("# delta2[j, p] = step*(a2[j, p] - y[j, p])", "np_subtract(a2, y, delta2)"),
        ("# db2[j] = sum_p(delta2[j, p])", "a1_1.dot(delta2_T, dW2_db2)"),
    ):
        assert lines[lines.index(equation) + 1] == statement
    assert (
        lines[-3:] == ["return idle", "", "return train_step, train_epoch"] and "step[()] = learning_rate / N" in lines
    )


def test_sums_are_made_as_a_matrix_for_few_classes_and_examples():
    def source(classes, count):
        network = f"8 -> {classes} softmax; cross_entropy"
        return NumpyStepper(Request(derivation_of(network), count, np.dtype("f4"))).source

    assert "ones_10_10.dot(exp_z1, product_z1)" in source(10, 32)
    assert all("ones_10.dot(exp_z1, product_z1)" in source(10, count) for count in (256, 4096))
    assert "ones_200.dot(exp_z1, product_z1)" in source(200, 8)


def test_same_bytes_under_every_hash_seed():
    code = (
        "import sys; sys.path.insert(0, 'tests'); from test_passes import *;"
        "sys.stdout.write(''.join(NumpyStepper(Request(DERIVATIONS[t], 5, np.dtype('float64'))).source"
        " + Workspace(DERIVATIONS[t], 5).source for t in NETWORKS))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True, check=True,
        ).stdout
        for seed in range(3)
    }  # fmt: skip
    assert len(seen) == 1 and len(seen.pop()) > 5000


# What is refused


def test_unknown_passes():
    with pytest.raises(UsageError, match="'in_plaice' is unknown; did you mean in_place"):
        without("in_plaice")


def test_programs_without_examples_or_with_names_of_the_texts_own():
    with pytest.raises(LoweringError, match="no axis of examples"):
        plan(derivation_of("3 -> 2 tanh; squared_error", examples=None), 1, "float64")
    x, weight, cost = Tensor("x", "input", None, (N, n)), Tensor("G", "parameter", None, (n,)), Tensor("J", "cost")
    ell = Tensor("ell", "loss", None, (N,), (p,))
    equations = (
        Equation(ell, (p,), Sum(weight[j] * x[p, j], over(j, n))),
        Equation(cost, (), Sum(ell[p], over(p, N)) / N),
    )
    with pytest.raises(LoweringError, match="'G', which is a name of this code's own"):
        plan(derive(Program((x, weight), equations, sizes={n: 3}, example=p)), 2, "float64")
