"""Modules of deep networks: loops where layers do equal work, and the same numbers to the last bit as without loops."""

import ast
import random
import re
import time
import warnings

import numpy as np
import pytest
from sympy import Sum, exp, tanh

from codegen import repetition
from codegen.functions import lambdify
from codegen.gradcheck import check_gradients
from codegen.modules import import_module, write_module
from codegen.safety import check_source
from codegen.signature import signature
from codegen.source import array_programs, is_untouched, module_source
from symbolic.activations import ACTIVATIONS
from symbolic.backpropagation import derive
from symbolic.errors import DataError, DeltaformWarning, LoweringError
from symbolic.network import Network
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, index, over, size

i, j, n = index("i"), index("j"), size("n")
LOOP = re.compile(r"^    for (\w+) in (.*):$", re.MULTILINE)


def network(text, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        return Network.parse(text, **options)


def stacked(*parts, output="3 softmax; cross_entropy"):
    """A network's text: (how often, layer, layer, ...), in turn."""
    layers = [layer for often, *layers in parts for _ in range(often) for layer in layers]
    return " -> ".join(["5", *layers, output])


def body(source, name="loss_and_gradients"):
    start = source.index(f"def _{name}(")
    return source[start : source.index("\n\n\n", start)]


def loops(source, name="loss_and_gradients"):
    """What the loops of a function run over, besides that over the gradients."""
    return [runs for _, runs in LOOP.findall(body(source, name).split("gradients = {")[0])]


def unrolled(derivation, monkeypatch, **options):
    """The functions as they are without loops."""
    with monkeypatch.context() as patch:
        patch.setattr(repetition, "FEWEST", 10**9)
        found = lambdify(derivation, **options)
    assert " in range(" not in found.source
    return found


def arguments_of(derivation, dtype, seed=0, rows=4, free=3):
    """Parameters and arrays for a derivation, every open size `free` or, for examples, `rows`."""
    draw = np.random.default_rng(seed)
    known = {"N": rows}

    def shape(leaf):
        values = [derivation.program.value_of(extent) for extent in leaf.shape]
        return [int(value) if value.is_Integer else known.get(str(value), free) for value in values]

    made = {leaf.key: draw.normal(size=shape(leaf)) * 0.6 for leaf in derivation.program.leaves}
    for leaf in derivation.program.leaves:
        if leaf.role == "target":
            made[leaf.key] = np.eye(made[leaf.key].shape[-1])[draw.integers(0, made[leaf.key].shape[-1], rows)]
    typed = {key: np.asarray(array, dtype) for key, array in made.items()}
    parameters = {leaf.key: typed[leaf.key] for leaf in derivation.program.parameters}
    return parameters, [typed[argument.key] for argument in signature(derivation).arguments]


def assert_same_bits(derivation, monkeypatch):
    looped, plain = lambdify(derivation), unrolled(derivation, monkeypatch)
    inputs = len(signature(derivation).inputs)
    for dtype in (np.float32, np.float64):
        params, given = arguments_of(derivation, dtype)
        assert looped.forward(params, *given[:inputs]).tobytes() == plain.forward(params, *given[:inputs]).tobytes()
        assert repr(looped.loss(params, *given)) == repr(plain.loss(params, *given))
        (value, gradients), (wanted, others) = (
            functions.loss_and_gradients(params, *given) for functions in (looped, plain)
        )
        assert repr(value) == repr(wanted) and list(gradients) == list(others)
        for key, gradient in gradients.items():
            assert gradient.dtype == dtype and gradient.tobytes() == others[key].tobytes(), key
    return looped.source


# --- the text -------------------------------------------------------------------------------------

TWELVE = """
    W = {l: params[f"W{l}"] for l in range(1, 13)}
    b = {l: params[f"b{l}"] for l in range(1, 13)}
    N = X.shape[0]
    z, a = {}, {}
    # z1[p, j] = b1[j] + sum_s(W1[j, s]*x[p, s])
    z[1] = X @ W[1].T + b[1]
    # a1[p, j] = tanh(z1[p, j])
    a[1] = np.tanh(z[1])
    for l in range(2, 12):
        # z_l[p, j] = b_l[j] + sum_s(W_l[j, s]*a_{l-1}[p, s])
        z[l] = a[l - 1] @ W[l].T + b[l]
        # a_l[p, j] = tanh(z_l[p, j])
        a[l] = np.tanh(z[l])
    # z12[p, j] = b12[j] + sum_s(W12[j, s]*a11[p, s])
    z[12] = a[11] @ W[12].T + b[12]
"""
BACKWARDS = """
    for l in reversed(range(2, 12)):
        # delta_l[p, j] = (1 - a_l[p, j]**2)*sum_m(W_{l+1}[m, j]*delta_{l+1}[p, m])
        delta[l] = (delta[l + 1] @ W[l + 1]) * (1 - a[l]**2)
        # dW_l[j, s] = sum_p(a_{l-1}[p, s]*delta_l[p, j])/N
        dW[l] = (delta[l].T @ a[l - 1]) / N
        # db_l[j] = sum_p(delta_l[p, j])/N
        db[l] = delta[l].sum(axis=0) / N
    # delta1[p, j] = (1 - a1[p, j]**2)*sum_m(W2[m, j]*delta2[p, m])
    delta[1] = (delta[2] @ W[2]) * (1 - a[1]**2)
    # dW1[j, s] = sum_p(delta1[p, j]*x[p, s])/N
    dW[1] = (delta[1].T @ X) / N
    # db1[j] = sum_p(delta1[p, j])/N
    db[1] = delta[1].sum(axis=0) / N
    gradients = {}
    for l in range(1, 13):
        gradients[f"W{l}"] = dW[l]
        gradients[f"b{l}"] = db[l]
    return J, gradients
"""
PARAMETERS = '''
def _parameters():
    """The shape of each parameter, by key."""
    shapes = {
        "W1": (7, 5),
        "b1": (7,),
    }
    for l in range(2, 12):
        shapes[f"W{l}"] = (7, 7)
        shapes[f"b{l}"] = (7,)
    shapes["W12"] = (3, 7)
    shapes["b12"] = (3,)
    return shapes


# Shapes; a name stands for a size that is open but the same everywhere.
PARAMETERS = _parameters()
'''


def test_twelve_layers_read_as_written_by_hand():
    source = module_source(derive(network(stacked((11, "7 tanh")))))
    for part in (TWELVE, BACKWARDS, PARAMETERS):
        assert part in source
    flat = " ".join(source.split())
    assert 'belong to ("W1", "b1", ..., "W12", "b12")' in flat
    assert "in loops over their number l: there z_l, in code z[l], is z2 where l is 2, z3 where l is 3, and " in flat
    assert is_untouched(source)


@pytest.mark.parametrize("hidden", [1, 3, 5])
def test_few_equal_layers_are_written_out(hidden):
    assert "for l in" not in module_source(derive(network(stacked((hidden, "7 tanh")))))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_a_module_does_not_grow_with_the_depth(activation):
    shallow, deep = (module_source(derive(network(stacked((depth, f"4 {activation}"))))) for depth in (8, 30))
    assert loops(deep) == ["range(2, 31)", "reversed(range(2, 31))"]
    assert abs(len(deep.splitlines()) - len(shallow.splitlines())) <= 6


def test_layers_in_turn_are_one_loop():
    source = module_source(derive(network(stacked((20, "4 tanh", "4 relu")))))
    assert loops(source) == ["range(2, 39, 2)", "reversed(range(4, 41, 2))"]
    assert "z[l + 1] = a[l] @ W[l + 1].T + b[l + 1]" in body(source)


def test_a_longer_block_is_taken_where_it_saves_more():
    source = module_source(derive(network(stacked((12, *["4 tanh"] * 6, "4 relu")))))
    assert len(loops(source)) <= 4 and loops(source)[-1].endswith(", 7))")


def test_runs_of_other_widths_are_loops_of_their_own():
    source = module_source(derive(network(stacked((8, "6 tanh"), (7, "4 tanh"), (2, "9 relu"), (6, "4 tanh")))))
    assert loops(source, "forward") == ["range(2, 9)", "range(10, 16)", "range(19, 24)"]


def test_every_line_of_a_loop_has_its_equation_above():
    lines = body(module_source(derive(network(stacked((30, "4 sigmoid")))))).split("gradients = {")[0].splitlines()
    indented = [at for at, line in enumerate(lines) if line.startswith(" " * 8) and not line.lstrip().startswith("#")]
    assert len(indented) == 5
    assert all(lines[at - 1].lstrip().startswith("# ") for at in indented)


# --- the numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_same_bits_for_every_activation(activation, monkeypatch):
    source = assert_same_bits(derive(network(stacked((11, f"4 {activation}")))), monkeypatch)
    assert len(loops(source)) == 2


@pytest.mark.parametrize("seed", range(6))
def test_the_same_bits_for_random_architectures(seed, monkeypatch):
    draw = random.Random(seed)
    parts = []
    for _ in range(draw.randint(1, 3)):
        kinds = [f"4 {draw.choice(sorted(ACTIVATIONS))}" for _ in range(draw.choice((1, 1, 2, 3)))]
        parts.append((draw.randint(5, 8), *kinds))
        parts += [(1, f"{draw.randint(2, 6)} {draw.choice(sorted(ACTIVATIONS))}")] * draw.randint(0, 2)
    assert_same_bits(derive(network(stacked(*parts))), monkeypatch)


@pytest.mark.parametrize(
    ("text", "options", "wrt"),
    [
        (stacked((9, "4 silu"), output="2; squared_error"), {"examples": None}, None),
        (stacked((9, "4 tanh"), output="2 sigmoid; binary_cross_entropy"), {"reduction": "sum"}, ["W5", "x"]),
        (stacked((9, "4 tanh")), {}, ["b3", "W2", "W10", "x"]),
        (stacked((9, "n relu"), output="n softmax; cross_entropy"), {}, None),
    ],
)
def test_other_questions(text, options, wrt, monkeypatch):
    derivation = derive(network(text, **options), wrt=wrt)
    looped, plain = lambdify(derivation), unrolled(derivation, monkeypatch)
    assert loops(looped.source)
    params, (X, Y) = arguments_of(derivation, np.float64)
    if derivation.program.example is None:
        Y = np.eye(2)[1]
    (value, gradients), (wanted, others) = (f.loss_and_gradients(params, X, Y) for f in (looped, plain))
    assert value == wanted and list(gradients) == list(others)
    assert all(gradients[key].tobytes() == others[key].tobytes() for key in gradients)


def test_a_complex_step_goes_through_the_loops():
    derivation = derive(network(stacked((9, "4 tanh"), output="2; half_squared_error")))
    found = lambdify(derivation)
    params, (X, Y) = arguments_of(derivation, np.float64)
    _, gradients = found.loss_and_gradients(params, X, Y)
    moved = found.unchecked["loss"]
    assert check_gradients(lambda p: moved(p, X, Y), gradients, params, method="complex", samples=30).ok


def test_labels_and_one_dtype(tmp_path):
    derivation = derive(network(stacked((9, "4 relu"))))
    module = import_module(write_module(derivation, tmp_path / "deep.py", dtype="float32"))
    params, (X, Y) = arguments_of(derivation, np.float32)
    labels = Y.argmax(axis=1)
    value, gradients = module.loss_and_gradients(params, X, labels)
    wanted, others = module.loss_and_gradients(params, X, Y)
    assert value == wanted and all((gradients[key] == others[key]).all() for key in others)
    assert list(module.PARAMETERS) == list(params) == list(gradients)
    assert {key: array.shape for key, array in params.items()} == module.PARAMETERS
    with pytest.raises(module.DataError, match="this module is for float32"):
        module.forward({key: array.astype(np.float64) for key, array in params.items()}, X)
    with pytest.raises(DataError, match='"W7"'):
        lambdify(derivation).forward(params | {"W7": np.zeros((4, 3), np.float32)}, X)


# --- programs -------------------------------------------------------------------------------------


def unrolled_in_time(steps, shared="U"):
    """A recurrent network: one matrix for all steps, an input for each."""
    U = Tensor(shared, "parameter", shape=(n, n))
    V = Tensor("V", "parameter", 1, (n, n))
    xs = [Tensor("x", "input", step, (n,)) for step in range(1, steps + 1)]
    hs = [Tensor("h", shape=(n,), layer=step) for step in range(1, steps + 1)]
    equations = [Equation(hs[0], (i,), tanh(Sum(V[i, j] * xs[0][j], over(j, n))))]
    for step in range(1, steps):
        recalled, seen = Sum(U[i, j] * hs[step - 1][j], over(j, n)), Sum(V[i, j] * xs[step][j], over(j, n))
        equations.append(Equation(hs[step], (i,), tanh(recalled + seen)))
    cost = Equation(Tensor("J", "cost"), (), Sum(hs[-1][i] ** 2, over(i, n)))
    return Program((U, V, *xs), (*equations, cost))


def test_shared_parameters_and_numbered_inputs(monkeypatch):
    source = assert_same_bits(derive(unrolled_in_time(8)), monkeypatch)
    assert loops(source, "forward") == ["range(2, 9)"]
    assert (
        "x = {1: x1, 2: x2, 3: x3, 4: x4, 5: x5, 6: x6, 7: x7, 8: x8}" in source
        and 'V1 = params["V1"]' in source
        and "V1.T" not in source.split("for l")[0]
    )


def test_every_layer_may_look_back_at_the_first(monkeypatch):
    """In layer 2 the layer before is the first one: the loop must not take the one for the other."""
    W = Tensor("W", "parameter", shape=(n, n))
    first = Tensor("h", "parameter", 1, (n,))
    hs, equations = [first], []
    for layer in range(2, 9):
        hs.append(Tensor("h", layer=layer, shape=(n,)))
        before = Sum(W[i, j] * hs[-2][j], over(j, n))
        equations.append(Equation(hs[-1], (i,), tanh(before) * exp(first[i])))
    equations.append(Equation(Tensor("J", "cost"), (), Sum(hs[-1][i] ** 2, over(i, n))))
    source = assert_same_bits(derive(Program((W, first), tuple(equations))), monkeypatch)
    assert loops(source, "forward")


def test_names_that_only_look_like_layers_are_no_layers(monkeypatch):
    """h1, h2, ... are names here, and no numbers of layers."""
    W = Tensor("W", "parameter", shape=(n, n))
    hs, equations = [Tensor("h1", "input", shape=(n,))], []
    for number in range(2, 9):
        hs.append(Tensor(f"h{number}", shape=(n,)))
        equations.append(Equation(hs[-1], (i,), tanh(Sum(W[i, j] * hs[-2][j], over(j, n)))))
    equations.append(Equation(Tensor("J", "cost"), (), Sum(hs[-1][i] ** 2, over(i, n))))
    source = module_source(derive(Program((W, hs[0]), tuple(equations))))
    assert "for l in" not in source and "h8 = np.tanh(W @ h7)" in source


def chain(weights="W", hidden="h", letter=i, names=range(1, 13), extra=None):
    """h_l = tanh(W_l h_{l-1}), and whatever else is called like what a loop would like to use."""
    inputs = Tensor("x", "input", shape=(n,))
    previous, leaves, equations = inputs, [inputs], []
    for number in names:
        W = Tensor(weights, "parameter", number, (n, n))
        leaves.append(W)
        new = Tensor(hidden, layer=number, shape=(n,))
        equations.append(Equation(new, (letter,), tanh(Sum(W[letter, j] * previous[j], over(j, n)))))
        previous = new
    total = Sum(previous[i] ** 2, over(i, n))
    if extra is not None:
        leaves.append(Tensor(extra, "parameter"))
        total = total * leaves[-1][()]
    return Program(tuple(leaves), (*equations, Equation(Tensor("J", "cost"), (), total)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "for l in range(2, 13):"),
        ({"letter": index("l")}, "for layer in range(2, 13):"),
        ({"extra": "l"}, "for layer in range(2, 13):"),
        ({"extra": "W"}, "W_[l]"),
        ({"extra": "h"}, "h_[l]"),
        ({"extra": "gradients"}, "gradients_[f"),
        ({"extra": "W5_"}, "W[l]"),
        ({"weights": "l", "hidden": "layer"}, "layer[layer_] = "),
        ({"weights": "range"}, "range_[l]"),
        ({"hidden": "float"}, "float_[l]"),
        ({"extra": "reversed"}, 'reversed = params["reversed"]'),
        ({"names": range(2, 40, 3)}, "for l in range(5, 39, 3):"),
        ({"names": [1, 2, 3, 4, 5, 6, 9, 12, 13, 14, 15, 16, 17]}, "for l in (1, 2, 3, 4, 5, 6, 9, 12, "),
    ],
)
def test_names_keep_apart(options, text, monkeypatch):
    source = assert_same_bits(derive(chain(**options)), monkeypatch)
    assert text in source


def test_sizes_of_the_layers_stay_with_them(monkeypatch):
    """A mean over a layer's units divides by a number that the equation above the loop says as a number."""
    hidden, total = Tensor("h", "parameter", 0, (size("m_0"),)), 0
    equations, sizes, leaf = [], {size("m_0"): 4}, hidden
    for layer in range(1, 12):
        extent = size(f"m_{layer}")
        sizes[extent] = 4
        before, hidden = hidden, Tensor("h", layer=layer, shape=(extent,))
        mean = Sum(before[j], over(j, before.shape[0])) / before.shape[0]
        W = Tensor("W", "parameter", layer, (extent,))
        total = (*(total or ()), W)
        equations.append(Equation(hidden, (i,), tanh(W[i] * mean)))
    cost = Equation(Tensor("J", "cost"), (), Sum(hidden[i], over(i, hidden.shape[0])))
    program = Program((leaf, *total), (*equations, cost), sizes=sizes)
    source = assert_same_bits(derive(program), monkeypatch)
    assert loops(source, "forward") and re.search(r"# h_l\[i\] = tanh\(.*/4\)", source)


# --- the whitelist --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "x = range(3)",
        "x = list(range(3))",
        "n = 3\nfor l in range(n):\n    x = l",
        "for l in range(True):\n    x = l",
        "for l in range(2.5):\n    x = l",
        "for l in reversed([1]):\n    x = l",
        "for l in reversed(reversed(range(3))):\n    x = l",
        "for l in enumerate(range(3)):\n    x = l",
        "x = reversed",
        "params = 1\nx = {l: params[l] for l in range(3)}",
        'params = 1\nx = {l: params[f"W{l}"] for l in params}',
        'params = 1\nx = {l: params[f"W{l}"] for l in range(3) if l}',
        'params = 1\nx = {1: params[f"W{l}"] for l in range(3)}',
        'params = 1\nx = {l: params[f"W{l:3}"] for l in range(3)}',
        'params = 1\nx = {l: params[f"{l}{l}"] for l in range(3)}',
        "x = {l: l for l in range(3)}",
        "x = {l for l in (1, 2)}",
    ],
)
def test_the_whitelist_takes_loops_over_layers_alone(source):
    with pytest.raises(LoweringError, match="is not allowed"):
        check_source(source)


def test_the_whitelist_takes_loops_over_layers():
    check_source('params = {}\nx = {l: params[f"W{l}"] for l in range(1, 9, 2)}')
    check_source('params = {}\nx = {l: params[f"W{l}"] for l in (1, 2, 5)}')
    check_source('x = {}\nfor l in reversed(range(2, 9)):\n    x[f"W{l}"] = x[l + 1]')


# --- what it costs --------------------------------------------------------------------------------


def test_equal_blocks_are_found_in_linear_time():
    """So are the periods that fit: what is compared grows with the depth, and no faster."""

    def compared(depth, monkeypatch):
        counted = 0
        original = repetition._shift

        def counting(one, other):
            nonlocal counted
            counted += 1
            return original(one, other)

        derivation = derive(network(stacked((depth, "4 tanh", "4 relu"), (depth, "4 tanh"))))
        program = array_programs(derivation, signature(derivation))["loss_and_gradients"]
        with monkeypatch.context() as patch:
            patch.setattr(repetition, "_shift", counting)
            repetition.repeated(program, derivation.program.tensors.values(), derivation.program.value_of)
        return counted

    with pytest.MonkeyPatch.context() as monkeypatch:
        few, many = compared(10, monkeypatch), compared(40, monkeypatch)
    assert many < 5 * few


def test_five_hundred_layers_are_a_short_module_in_little_time():
    derivation = derive(network(stacked((499, "4 tanh"))))
    assert derivation.equations
    started = time.process_time()
    source = module_source(derivation)
    taken = time.process_time() - started
    assert len(source.splitlines()) < 300 and taken < 10
    assert isinstance(ast.parse(source), ast.Module)


def test_messages_about_params_of_a_deep_network_list_a_few_of_its_keys(tmp_path):
    derivation = derive(network(stacked((60, "4 tanh"))))
    functions = lambdify(derivation)
    write_module(derivation, tmp_path / "deep.py")
    X, Y = np.zeros((2, 5)), np.eye(3)[[0, 1]]
    for given, message in (
        ({}, "W1, b1, W2, b2, W3, b3, W4, b4 and 114 more missing; it must have exactly the keys W1, "),
        ({f"V{n}": X for n in range(9)}, "V0, V1, V2, V3, V4, V5, V6, V7 and 1 more not known; it must have"),
        ([], "params is a list; it must be a dict with the keys W1, b1, W2, b2, W3, b3, W4, b4 and 114 more"),
    ):
        for loss in (functions.loss, import_module(tmp_path / "deep.py").loss):
            with pytest.raises(ValueError) as caught:
                loss(given, X, Y)
            assert message in str(caught.value) and len(str(caught.value)) < 300


def test_a_module_keeps_no_number_of_a_layer(tmp_path):
    write_module(derive(network(stacked((6, "4 tanh"), (5, "4 relu")))), tmp_path / "deep.py")
    module = import_module(tmp_path / "deep.py")
    public = {name for name in vars(module) if not name.startswith("_")}
    assert public == {"np", "PARAMETERS", "ARRAYS", "DataError", "forward", "loss", "loss_and_gradients"}


def test_what_is_said_of_loops_is_true_of_each():
    """Of two loops the second does not begin where the note says that the number of the layer does."""
    source = module_source(derive(network(stacked((6, "4 tanh"), (5, "4 relu")))))
    assert loops(source)[:2] == ["range(2, 7)", "range(7, 12)"]
    flat = " ".join(source.split())
    assert "is z2 where l is 2, z3 where l is 3, and so on. " in flat and "z6" not in flat.split("import numpy")[0]
