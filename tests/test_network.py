"""Networks: what they become, and what is refused. Numbers in test ids are rows of the list of bad inputs."""

import math
import sys
import warnings
from types import FunctionType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import (
    Abs,
    Function,
    Heaviside,
    Integer,
    Max,
    Min,
    Piecewise,
    Sum,
    Symbol,
    exp,
    floor,
    log,
    oo,
    sign,
    tanh,
)

from symbolic.activations import ACTIVATIONS, Activation, Z, find_activation, k, n, z
from symbolic.backpropagation import derive
from symbolic.errors import (
    ArchitectureError,
    ArchitectureSyntaxError,
    DeltaformError,
    DeltaformWarning,
    NameRefused,
    UsageError,
)
from symbolic.expressions import Undefined
from symbolic.layers import Dense
from symbolic.losses import LOSSES, Loss, h, y
from symbolic.network import Network
from symbolic.programs import check_program
from symbolic.tensors import Equation, Tensor, index, over, size

p, j, s = index("p"), index("j"), index("s")
N, n0, n1, n2 = size("N"), size("n_0"), size("n_1"), size("n_2")


def hand_written(batched: bool) -> list[Equation]:
    """A network of 3 -> 4 tanh -> 2 softmax with cross-entropy, spelt out."""
    rows, row = ((N,), (p,)) if batched else ((), ())
    x = Tensor("x", "input", None, (*rows, n0), (*row, j))
    target = Tensor("y", "target", None, (*rows, n2), (*row, j))
    equations, previous, inputs = [], x, n0
    for number, units in ((1, n1), (2, n2)):
        weights = Tensor("W", "parameter", number, (units, inputs), (j, s))
        bias = Tensor("b", "parameter", number, (units,), (j,))
        before = Tensor("z", "preactivation", number, (*rows, units), (*row, j))
        after = Tensor("a", "activation", number, (*rows, units), (*row, j))
        weighted = Sum(weights[j, s] * previous[(*row, s)], (s, 0, inputs - 1))
        equations.append(Equation(before, before.indices, weighted + bias[j]))
        value = before.element
        normaliser = Sum(exp(before[(*row, k)]), (k, 0, units - 1))
        right = tanh(value) if number == 1 else exp(value) / normaliser
        equations.append(Equation(after, after.indices, right))
        previous, inputs = after, units
    loss = Tensor("ell", "loss", None, rows, row)
    equations.append(Equation(loss, row, Sum(-target.element * log(previous.element), (j, 0, n2 - 1))))
    if batched:
        equations.append(Equation(Tensor("J", "cost"), (), Sum(loss[p], (p, 0, N - 1)) / N))
    return equations


@pytest.mark.parametrize("batched", [True, False])
def test_equations_are_the_hand_written_ones(batched: bool) -> None:
    network = Network.parse("3 -> 4 tanh -> 2 softmax; cross_entropy", examples="N" if batched else None)
    program = network.program()
    wanted = hand_written(batched)
    assert [(e.tensor, e.indices, e.rhs) for e in program.equations] == [(e.tensor, e.indices, e.rhs) for e in wanted]
    assert [leaf.key for leaf in program.leaves] == ["x", "y", "W1", "b1", "W2", "b2"]
    assert program.objective == ("J" if batched else "ell")
    assert program.example == (p if batched else None)
    assert program.sizes == {n0: 3, n1: 4, n2: 2}
    assert program.title == "3 -> 4 tanh -> 2 softmax; cross_entropy"
    [fact] = program.facts
    target = program.tensors["y"]
    assert (fact.before, fact.after) == (Sum(target.element, (j, 0, n2 - 1)), 1)
    assert [e.function.name if e.function else None for e in program.equations][:4] == [
        None,
        "tanh",
        None,
        "softmax",
    ]
    check_program(program)


def test_reduction_sense_and_facts_come_from_the_network_and_its_loss() -> None:
    network = Network(3, [Dense(2, "sigmoid")], "log_likelihood", reduction="sum")
    program = network.program()
    ell = program.tensors["ell"]
    assert program.equations[-1].rhs == Sum(ell[p], (p, 0, N - 1))
    assert program.sense == "maximise"
    assert program.facts == ()


def test_undefined_functions_and_open_sizes_stay_open() -> None:
    program = Network.parse("n_0 -> d g(z) -> d; c(y,h)", examples=None).program()
    d = size("d")
    assert program.sizes == {}
    assert program.tensors["W2"].shape == (d, d)
    assert program.definitions["a1"].rhs == Undefined.function("g", program.tensors["z1"][j])
    assert program.definitions["a1"].function.latex == "g"
    assert program.definitions["a2"].rhs == program.tensors["z2"][j]
    assert program.definitions["a2"].function is None
    assert program.definitions["ell"].rhs.function == Undefined.function(
        "c", program.tensors["y"][j], program.tensors["a2"][j]
    )


def test_both_ways_of_writing_a_network_are_equal() -> None:
    written = Network(784, [Dense(128, "relu"), Dense(10, "softmax")], loss="cross_entropy")
    assert Network.parse("784 -> 128 relu -> 10 softmax; cross_entropy") == written
    assert Network.parse("784→128relu".replace("128relu", "128 relu\n") + "->10\tsoftmax ;cross_entropy") == written
    assert Network.parse("4 -> 3; squared_error") == Network.parse("4 -> 3 identity; squared_error")
    assert written.replace(examples=None).examples is None
    assert written.replace(examples=None) != written
    assert hash(written.replace(examples="N")) == hash(written)


def test_parameters_are_counted_in_numbers_or_in_symbols() -> None:
    network = Network.parse("784 -> 128 relu -> 10 softmax; cross_entropy")
    assert network.parameters == {"W1": (128, 784), "b1": (128,), "W2": (10, 128), "b2": (10,)}
    assert network.parameter_count == 128 * 784 + 128 + 10 * 128 + 10
    d = size("d")
    assert Network.parse("3 -> d relu -> 2; squared_error").parameter_count == 6 * d + 2
    assert Network.parse("3 -> d relu -> 2; squared_error").sizes == {n0: 3, n2: 2}


def test_equal_layers_have_parameters_of_their_own() -> None:
    network = Network(4, [Dense(4, "tanh"), Dense(4, "tanh")], "squared_error")
    assert network.layers[0] == network.layers[1]
    keys = [tensor.key for tensor in network.program().parameters]
    assert keys == ["W1", "b1", "W2", "b2"]
    assert len(set(network.widths)) == 3


def test_16_a_deep_network_is_built_without_recursion() -> None:
    network = Network(2, [Dense(2, "tanh") for _ in range(10_000)], "squared_error")
    assert Network.parse(str(network)) == network
    assert network.parameter_count == 60_000
    shallower = Network(2, [Dense(2, "tanh") for _ in range(1200)], "squared_error").program()
    assert len(shallower.equations) == 2402


# ---- activations and losses

REFERENCE = {
    "identity": lambda v: v,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
    "relu": lambda v: max(v, 0.0),
    "leaky_relu": lambda v: v if v > 0 else 0.01 * v,
    "elu": lambda v: v if v > 0 else math.expm1(v),
    "softplus": lambda v: math.log1p(math.exp(v)),
    "silu": lambda v: v / (1 + math.exp(-v)),
    "gelu": lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))),
    "gelu_tanh": lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
}
POINTS = (-3.1, -0.75, -0.1, 0.0, 0.2, 1.4, 3.7)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softmax"])
def test_activation_has_the_values_of_plain_arithmetic(name: str) -> None:
    activation = ACTIVATIONS[name]
    low, high = activation.interval
    for point in POINTS:
        value = float(activation.apply(z, j, 3).subs(z, point))
        assert value == pytest.approx(REFERENCE[name](point), rel=1e-12, abs=1e-15)
        assert low <= value <= high


def test_softmax_has_the_values_of_plain_arithmetic() -> None:
    element = Tensor("z", "preactivation", 1, (5, len(POINTS)), (p, j)).element
    formula = ACTIVATIONS["softmax"].apply(element, j, len(POINTS))
    values = []
    for unit in range(len(POINTS)):
        plain = formula.xreplace({j: Integer(unit)}).doit()
        numbers = {atom: POINTS[atom.indices[1]] for atom in plain.atoms(type(element))}
        values.append(float(plain.subs(numbers)))
    total = sum(math.exp(v) for v in POINTS)
    assert values == pytest.approx([math.exp(v) / total for v in POINTS], rel=1e-12)
    assert sum(values) == pytest.approx(1)
    assert ACTIVATIONS["softmax"].sums_to_one


LOSS_REFERENCE = {
    "half_squared_error": lambda t, a: (t - a) ** 2 / 2,
    "squared_error": lambda t, a: (t - a) ** 2,
    "binary_cross_entropy": lambda t, a: -(t * math.log(a) + (1 - t) * math.log(1 - a)),
    "cross_entropy": lambda t, a: -t * math.log(a),
    "log_likelihood": lambda t, a: t * math.log(a) + (1 - t) * math.log(1 - a),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_has_the_values_of_plain_arithmetic(name: str) -> None:
    for target, output in ((0.0, 0.3), (1.0, 0.3), (0.4, 0.9)):
        value = float(LOSSES[name].apply(y, h).subs({y: target, h: output}))
        assert value == pytest.approx(LOSS_REFERENCE[name](target, output), rel=1e-12)


def test_applying_renames_a_bound_letter_that_the_element_uses() -> None:
    i, units = index("i"), size("m_1")
    element = Tensor("t", shape=(4, units), indices=(k, i))[k, i]
    applied = ACTIVATIONS["softmax"].apply(element, i, units)
    [total] = applied.atoms(Sum)
    [letter] = [limit[0] for limit in total.limits]
    assert letter not in (k, i)
    assert total == Sum(exp(Tensor("t", shape=(4, units))[k, letter]), (letter, 0, units - 1))


def test_own_activation_and_own_loss() -> None:
    foreign = Symbol("z")  # without assumptions, as in sympy.abc
    swish = Activation("swish", foreign / (1 + exp(-foreign)))
    assert swish.expression == z / (1 + exp(-z))
    assert swish.latex == r"\operatorname{swish}"
    assert (swish.interval, swish.sums_to_one, swish.kinks) == (None, None, ())
    softmin = Activation("soft_min", exp(-z) / Sum(exp(-Z[k]), over(k, n)), sums_to_one=True)
    assert softmin.latex == r"\operatorname{soft\_min}"
    cubic = Loss("cubic", Abs(Symbol("h") - y) ** 3)
    assert not cubic.expression.has(Abs)
    network = Network(3, [Dense(4, swish), Dense(2, softmin)], cubic)
    assert str(network) == "3 -> 4 swish -> 2 soft_min; cubic"
    check_program(network.program())
    assert Activation("exp", exp(z)).latex == r"\operatorname{exp}"


@pytest.mark.parametrize(
    ("expression", "at", "derivative"),
    [
        (Max(z, 0), 0, 0),
        (Max(0, z), 2, 1),
        (Abs(z), 0, 0),
        (Abs(z), -2, -1),
        (Min(Max(z, 0), 6), 6, 0),
        (Min(Max(z, 0), 6), 3, 1),
        (Min(Max(z, 0), 6), 0, 0),
    ],
)
def test_extrema_become_branches_with_one_stated_derivative_at_the_kink(expression, at, derivative) -> None:
    activation = Activation("own", expression)
    assert activation.expression.has(Piecewise) and not activation.expression.has(Max, Min, Abs)
    assert activation.expression.subs(z, at) == expression.subs(z, at)
    assert activation.expression.diff(z).subs(z, at) == derivative
    assert 0 in activation.kinks


def test_unknown_facts_are_allowed_before_any_loss() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loss in LOSSES:
            network = Network(3, [Dense(2, "g(z)")], loss)
            assert network.layers[-1].activation.spelling == "g(z)"
            assert Network(3, [Dense(2, Activation("own", z**3))], loss).loss is LOSSES[loss]


def test_fit_is_decided_by_facts_not_by_names() -> None:
    renamed = Activation("bell", ACTIVATIONS["softmax"].expression, interval=(0, 1), sums_to_one=True)
    with pytest.raises(ArchitectureError, match="outputs sum to 1"):
        Network(3, [Dense(2, renamed)], "binary_cross_entropy")
    own = Loss("own", -y * log(h), output_distribution="required")
    with pytest.raises(ArchitectureError, match="sum to 1 over the classes"):
        Network(3, [Dense(2, "sigmoid")], own)


# ---- bad inputs

dense, network = Dense, Network.parse
BAD = [
    ("1-size", lambda: Dense('__import__("os")'), NameRefused, ["units", "letter followed by"]),
    ("1-function", lambda: Dense(2, '__import__("os")(z)'), NameRefused, ["activation name", "__import__"]),
    (
        "1-text",
        lambda: network('3 -> 3 __import__("os")(z); squared_error'),
        ArchitectureSyntaxError,
        ["column 19"],
    ),
    ("1-latex", lambda: Activation("own", z**2, latex=r"\input{x}"), NameRefused, ["latex", r"\\input"]),
    ("2", lambda: Dense("lambda"), NameRefused, ["'lambda'", "reserved"]),
    (
        "2-text",
        lambda: network("3 -> class; squared_error"),
        ArchitectureSyntaxError,
        ["column 6", "reserved"],
    ),
    ("3-size", lambda: Dense("N"), NameRefused, ["'N'", "reserved"]),
    ("3-activation", lambda: Activation("exp", z**2), NameRefused, ["'exp'", "reserved"]),
    ("3-index", lambda: Dense("m"), NameRefused, ["'m'", "indices use"]),
    ("3-tensor", lambda: Dense("W1"), NameRefused, ["'W1'", "tensor"]),
    ("3-function", lambda: Dense(2, "W(z)"), NameRefused, ["'W'", "tensor"]),
    (
        "4-table",
        lambda: Dense(2, Activation("relu", z**2)),
        ArchitectureError,
        ["relu is already", "another name"],
    ),
    ("4-undefined", lambda: Dense(2, "relu(z)"), ArchitectureError, ["relu is already"]),
    (
        "4-loss",
        lambda: Network(2, [Dense(2)], "squared_error(y,h)"),
        ArchitectureError,
        ["squared_error is already"],
    ),
    (
        "4-size-and-function",
        lambda: network("d -> 3 d(z); squared_error"),
        NameRefused,
        ["'d' is a size and a function"],
    ),
    (
        "4-examples",
        lambda: Network("B", [Dense(2)], "squared_error", examples="B"),
        NameRefused,
        ["number of examples"],
    ),
    ("5", lambda: network("n_1 -> 5; squared_error"), NameRefused, ["size n_1", "5 units of layer 1"]),
    ("6", lambda: Dense("ℓ"), NameRefused, ["ASCII", "look-alike"]),
    ("6-text", lambda: network("3 -> ℓ; squared_error"), ArchitectureSyntaxError, ["column 6", "look-alike"]),
    ("7", lambda: Dense(""), NameRefused, ["units is empty"]),
    ("7-activation", lambda: Activation("", z**2), NameRefused, ["activation name is empty"]),
    (
        "8",
        lambda: Activation(r"x}\input{/etc/passwd}{", z**2),
        NameRefused,
        ["activation name", "letter followed"],
    ),
    (
        "8-latex",
        lambda: Activation("own", z**2, latex=r"x}\input{/etc/passwd}{"),
        NameRefused,
        ["one letter"],
    ),
    ("9", lambda: Dense(2, "<script>(z)"), NameRefused, ["<script>"]),
    (
        "9-text",
        lambda: network("3 -> <script>; squared_error"),
        ArchitectureSyntaxError,
        ["'<' means nothing"],
    ),
    ("10", lambda: Dense("a" * 70_000), NameRefused, ["70000 characters", "at most 40"]),
    ("10-text", lambda: network("3 -> " + "a" * 70_000), ArchitectureSyntaxError, ["70000 characters"]),
    ("10-number", lambda: network("3 -> " + "9" * 70_000), ArchitectureSyntaxError, ["70000 digits"]),
    ("11", lambda: Dense("_t0"), NameRefused, ["'_t0'", "letter followed by"]),
    ("12", lambda: Network(3, [], "squared_error"), ArchitectureError, ["layers is empty", "Dense(10"]),
    ("12-text", lambda: network("3; squared_error"), ArchitectureSyntaxError, ["at least one", "column 2"]),
    ("13", lambda: Dense(0), ArchitectureError, ["units must be at least 1, not 0"]),
    (
        "13-negative",
        lambda: Network(-2, [Dense(1)], "squared_error"),
        ArchitectureError,
        ["inputs", "not -2"],
    ),
    (
        "13-text",
        lambda: network("3 -> -2; squared_error"),
        ArchitectureSyntaxError,
        ["column 6", "positive whole"],
    ),
    ("14-bool", lambda: Dense(True), ArchitectureError, ["units", "bool True"]),
    ("14-float", lambda: Dense(2.5), ArchitectureError, ["units", "float 2.5"]),
    ("14-text", lambda: network("3 -> 2.5 relu; squared_error"), ArchitectureSyntaxError, ["column 6"]),
    (
        "15",
        lambda: network("3 -> 1000000000; squared_error"),
        ArchitectureError,
        ["width 1000000000", "32 GB"],
    ),
    ("18", lambda: Dense(3, "rleu"), ArchitectureError, ["'rleu'", "did you mean relu", "softmax", "g(z)"]),
    ("18-none", lambda: Dense(3, None), ArchitectureError, ["not None", "known:"]),
    (
        "19",
        lambda: network("3 -> 2; cross_entrpy"),
        ArchitectureError,
        ["did you mean cross_entropy", "c(y,h)"],
    ),
    ("19-object", lambda: Network(3, [Dense(2)], 7), ArchitectureError, ["loss must be", "not 7"]),
    (
        "21",
        lambda: network("3 -> 2 softmax; binary_cross_entropy"),
        ArchitectureError,
        ["yes-or-no", "use sigmoid"],
    ),
    (
        "21-range",
        lambda: network("3 -> 2 tanh; log_likelihood"),
        ArchitectureError,
        ["(-1, 1)", "(0, 1)", "sigmoid"],
    ),
    (
        "22",
        lambda: network("3 -> 4 sigmoid; cross_entropy"),
        ArchitectureError,
        ["sum to 1", "binary_cross_entropy"],
    ),
    ("23", lambda: Dense(1, "softmax"), ArchitectureError, ["always 1", "sigmoid"]),
    ("23-undefined", lambda: network("3 -> 1 g(z); cross_entropy"), ArchitectureError, ["1 unit", "2 units"]),
    (
        "24-text",
        lambda: network("3 -> 3 softmax softmax; c(y,h)"),
        ArchitectureSyntaxError,
        ["one activation"],
    ),
    ("25-floor", lambda: Activation("own", floor(z)), ArchitectureError, ["floor(z)", "no derivative"]),
    ("25-sign", lambda: Activation("own", sign(z)), ArchitectureError, ["sign", "DiracDelta"]),
    (
        "25-heaviside",
        lambda: Activation("own", z * Heaviside(z)),
        ArchitectureError,
        ["DiracDelta", "Piecewise"],
    ),
    ("25-function", lambda: Activation("own", Function("f")(z)), ArchitectureError, ["Derivative", "f("]),
    (
        "25-step",
        lambda: Activation("own", Piecewise((1, z > 0), (0, True))),
        ArchitectureError,
        ["0 everywhere"],
    ),
    (
        "25-jump",
        lambda: Activation("own", Piecewise((1, z > 2), (z, True))),
        ArchitectureError,
        ["jumps at z = 2"],
    ),
    ("25-loss", lambda: Loss("own", sign(h - y)), ArchitectureError, ["no derivative", "DiracDelta"]),
    ("25-constant-loss", lambda: Loss("own", y**2), ArchitectureError, ["0 everywhere"]),
    (
        "26",
        lambda: Activation("own", Symbol("beta") * z + Symbol("c")),
        ArchitectureError,
        ["holds beta, c", "z"],
    ),
    ("26-loss", lambda: Loss("own", (h - z) ** 2), ArchitectureError, ["holds z", "h nor y"]),
    (
        "26-text",
        lambda: Activation("own", "z**2"),
        ArchitectureError,
        ["'z**2'", "no SymPy expression", "str"],
    ),
    ("26-unbound", lambda: Activation("own", z * Z[k]), ArchitectureError, ["k"]),
    ("26-complex", lambda: Activation("own", z * oo), ArchitectureError, ["not a real number"]),
    ("26-interval", lambda: Activation("own", z**2, interval=(1, 0)), ArchitectureError, ["the lower first"]),
    ("27", lambda: Loss("own", [h, y]), ArchitectureError, ["no SymPy expression", "list"]),
    (
        "29",
        lambda: Network(3, [Dense(3)] * 2, "squared_error"),
        ArchitectureError,
        ["layers 1 and 2", "one object"],
    ),
    (
        "31",
        lambda: network("3 -> 4 relu -> ; squared_error"),
        ArchitectureSyntaxError,
        ["column 16", "units"],
    ),
    (
        "31-no-loss",
        lambda: network("3 -> 4 relu"),
        ArchitectureSyntaxError,
        ["column 12", "the end of the text"],
    ),
    ("31-loss", lambda: network("3 -> 4 relu;"), ArchitectureSyntaxError, ["column 13", "a loss"]),
    (
        "31-arguments",
        lambda: network("3 -> 4; c(h,y)"),
        ArchitectureSyntaxError,
        ["column 11", "expected 'y'"],
    ),
    ("31-open", lambda: network("3 -> 4 g(z; c(y,h)"), ArchitectureSyntaxError, ["column 11", "')'"]),
    (
        "31-after",
        lambda: network("3 -> 4; c(y,h) c"),
        ArchitectureSyntaxError,
        ["column 16", "nothing after"],
    ),
    ("31-empty", lambda: network(" "), ArchitectureSyntaxError, ["number of inputs", "the end of the text"]),
    ("31-type", lambda: network(784), ArchitectureError, ["must be a string", "int"]),
    ("layers", lambda: Network(3, Dense(3), "squared_error"), ArchitectureError, ["list of layers"]),
    ("layer", lambda: Network(3, [3], "squared_error"), ArchitectureError, ["layer 1", "not 3"]),
    ("reduction", lambda: Network(3, [Dense(3)], "squared_error", "max"), UsageError, ["reduction", "'max'"]),
    (
        "examples",
        lambda: Network(3, [Dense(3)], "squared_error", examples=32),
        UsageError,
        ["examples", "32"],
    ),
]


@pytest.mark.parametrize(("call", "kind", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_is_refused_in_words(call, kind, words) -> None:
    with pytest.raises(DeltaformError) as caught:
        call()
    assert isinstance(caught.value, kind)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert len(message) < 800


def test_31_the_caret_stands_under_the_column() -> None:
    text = "784 -> 128 relu -> 100 relu\t-> 10 sotfmax; cross_entropy"
    with pytest.raises(ArchitectureSyntaxError) as caught:
        Network.parse(text)
    first, shown, caret = str(caught.value).split("\n")
    column = text.index("sotfmax") + 1
    assert first.startswith(f"column {column}: unknown activation 'sotfmax'; did you mean softmax")
    assert shown[caret.index("^") :].startswith("sotfmax")
    assert "\t" not in shown


WARNED = [
    ("20", "3 -> 3 softmax -> 2; squared_error", ["layer 1", "hidden layer", "last layer"]),
    ("21", "3 -> 3 softmax; half_squared_error", ["half_squared_error", "cross_entropy"]),
    ("24", "3 -> 3 softmax -> 2 softmax; cross_entropy", ["layers 1 and 2", "twice in a row"]),
]


@pytest.mark.parametrize(("text", "words"), [row[1:] for row in WARNED], ids=[row[0] for row in WARNED])
def test_doubtful_network_is_built_with_a_warning_at_the_callers_line(text, words) -> None:
    with pytest.warns(DeltaformWarning) as caught:
        made = Network.parse(text)
    [warning] = caught
    assert warning.filename == __file__
    for word in words:
        assert word in str(warning.message)
    assert str(made) == text.replace("2;", "2 identity;")
    check_program(made.program())


# ---- random architectures

widths = st.one_of(st.integers(1, 9), st.sampled_from(["d", "n_in", "n_7", "L", "width"]))
row_wise = st.tuples(st.integers(2, 9), st.just("softmax"))
elementwise = st.tuples(widths, st.sampled_from([a for a in ACTIVATIONS if a != "softmax"] + ["g(z)", "phi(z)"]))
losses = st.sampled_from([*LOSSES, "c(y,h)"])


@settings(max_examples=60, deadline=None)
@given(widths, st.lists(st.one_of(elementwise, row_wise), min_size=1, max_size=5), losses, st.booleans())
def test_random_architectures_survive_being_written_and_read(inputs, layers, loss, batched) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        try:
            built = Network(inputs, [Dense(*layer) for layer in layers], loss, examples="N" if batched else None)
        except ArchitectureError as refusal:
            # Only activation and loss, or one unit and loss, may be at odds here.
            assert loss in str(refusal)
            return
        again = Network.parse(str(built), examples=built.examples)
    assert again == built
    assert str(again) == str(built)
    program = built.program()
    assert len(program.equations) == 2 * len(layers) + 1 + batched
    assert {tensor.key: tensor.shape for tensor in program.parameters}.keys() == built.parameters.keys()


def test_names_of_the_table_are_found_as_they_are() -> None:
    for name, activation in ACTIVATIONS.items():
        assert find_activation(name) is activation
        assert find_activation(activation) is activation
        assert activation.name == name


@pytest.mark.parametrize("name", ["contextlib2", "symbolic_stuff.nets", "mine", None])
def test_a_warning_is_at_the_line_of_whoever_made_the_network(name):
    """Also where that is a module with a name like that of one of ours."""
    code = "from symbolic import Network\nNetwork.parse('3 -> 4 softmax -> 2 softmax; cross_entropy')"
    with pytest.warns(DeltaformWarning) as caught:
        FunctionType(compile(code, "theirs.py", "exec"), {} if name is None else {"__name__": name})()
    assert {(warning.filename, warning.lineno) for warning in caught} == {("theirs.py", 2)}


def test_a_warning_of_a_derivation_or_a_page_is_at_the_line_of_whoever_asked(monkeypatch):
    made = derive(Network.parse("3 -> 2 tanh; squared_error"))
    monkeypatch.setitem(sys.modules, "math_core", None)
    for ask in (lambda: made.html(), lambda: made.render("html")):
        with pytest.warns(DeltaformWarning) as caught:
            ask()
        assert [warning.filename for warning in caught] == [__file__]
