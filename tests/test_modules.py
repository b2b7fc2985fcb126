"""Generated modules: their text, entry checks, numbers in the extremes, and how they are written."""

import ast
import dataclasses
import keyword
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
import sympy
from sympy import Sum

from codegen.functions import functions_of, lambdify
from codegen.gradcheck import check_gradients
from codegen.modules import import_module, write_module
from codegen.safety import check_source
from codegen.source import VERSION, _check_letters, module_source
from symbolic.activations import ACTIVATIONS
from symbolic.backpropagation import derive
from symbolic.errors import (
    ArchitectureError,
    DataError,
    DeltaformError,
    DeltaformWarning,
    FileError,
    LoweringError,
    MissingExtra,
    NameRefused,
    UsageError,
)
from symbolic.files import write_atomically
from symbolic.losses import LOSSES
from symbolic.network import Network
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, index, over, size

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent
CLASSES = "3 -> 4 relu -> 2 softmax; cross_entropy"


def network(text, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        return Network.parse(text, **options)


def arrays(net, count=5, dtype=np.float64, seed=0):
    random = np.random.default_rng(seed)
    params = {key: random.normal(size=shape).astype(dtype) for key, shape in net.parameters.items()}
    targets = random.uniform(size=(count, net.layers[-1].units))
    targets /= targets.sum(axis=1, keepdims=True)
    return params, random.normal(size=(count, net.inputs)).astype(dtype), targets.astype(dtype)


@pytest.fixture(scope="module")
def derivation():
    return derive(network(CLASSES))


@pytest.fixture(scope="module")
def functions(derivation):
    return lambdify(derivation)


# --- the text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("relu_softmax_cross_entropy", "784 -> 128 relu -> 10 softmax; cross_entropy"),
        ("open_sizes_silu_log_likelihood", "n_0 -> n_1 silu -> n_2 sigmoid; log_likelihood"),
    ],
)
def test_golden_module(name, text):
    """The text is as it was; UPDATE_GOLDEN=1 renews it."""
    source = module_source(derive(network(text)))
    path = GOLDEN / f"{name}.py"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(source, encoding="ascii", newline="\n")
    assert path.read_text(encoding="ascii") == source
    house = tomllib.loads((GOLDEN.parent.parent / "pyproject.toml").read_text())["tool"]["ruff"]["line-length"]
    assert max(map(len, source.splitlines())) <= house


def test_golden_module_runs():
    module = import_module(GOLDEN / "relu_softmax_cross_entropy.py")
    params, X, Y = arrays(network("784 -> 128 relu -> 10 softmax; cross_entropy"), 4)
    params = {key: value / 30 for key, value in params.items()}
    value, gradients = module.loss_and_gradients(params, X, Y)
    assert value == module.loss(params, X, Y) and module.forward(params, X).shape == (4, 10)
    report = check_gradients(lambda moved: module._loss(moved, X, Y), gradients, params, method="complex", samples=5)
    assert report.ok, str(report)


def test_module_needs_numpy_alone(derivation):
    tree = ast.parse(module_source(derivation))
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert imports == ["import numpy as np"]
    assert "einsum" not in module_source(derivation)


def test_each_line_has_its_equation_above(derivation):
    lines = module_source(derivation).splitlines()
    assert lines[lines.index("    z1 = X @ W1.T + b1") - 1] == "    # z1[p, j] = b1[j] + sum_s(W1[j, s]*x[p, s])"


def test_same_bytes_under_every_hash_seed():
    code = (
        "from symbolic.network import Network; from symbolic.backpropagation import derive;"
        "from codegen.source import module_source; import sys, warnings; warnings.simplefilter('ignore');"
        "sys.stdout.write(''.join(module_source(derive(Network.parse(t))) for t in ("
        "'3 -> 4 elu -> 3 gelu -> 2 softmax; cross_entropy',"
        "'n_0 -> n_1 silu -> 2 sigmoid; binary_cross_entropy')))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True, check=True,
        ).stdout
        for seed in range(4)
    }  # fmt: skip
    assert len(seen) == 1 and len(seen.pop()) > 1000


def test_version_is_that_of_the_distribution():
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_a_title_cannot_end_the_docstring(derivation):
    program = dataclasses.replace(derivation.program, title='x"""\nimport os\n\\')
    source = module_source(dataclasses.replace(derivation, program=program))
    check_source(source)
    assert source.startswith('"""ximport os: forward')


def test_an_index_letter_cannot_become_code():
    evil = sympy.Symbol("i\n    import os", integer=True)
    n = size("n")
    w, cost = Tensor("w", "parameter", None, (n,)), Tensor("J", "cost")
    equation = Equation(cost, (), Sum(w[evil] ** 2, over(evil, n)))
    with pytest.raises(DeltaformError, match="letter"):
        Program((w,), (equation,))
    with pytest.raises(NameRefused, match="letter"):
        _check_letters((equation,))


def test_colliding_names_keep_apart():
    """Tensors that are called like the code's own names."""
    n, i = size("n"), index("i")
    x = Tensor("x", "input", None, (n, n))
    w, d = Tensor("dtype", "parameter", None, (n,)), Tensor("X", "parameter", None, (n,))
    cost = Tensor("float", "cost")
    j = index("j")
    program = Program((x, w, d), (Equation(cost, (), Sum(x[i, j] * w[i] * d[j], over(i, n), over(j, n))),))
    found = lambdify(derive(program))
    value, gradients = found.loss_and_gradients({"dtype": np.ones(3), "X": np.full(3, 2.0)}, np.eye(3))
    assert value == 6.0 and (gradients["X"] == 1).all() and (gradients["dtype"] == 2).all()


def test_maximise_is_said():
    source = module_source(derive(network("3 -> 2 sigmoid; log_likelihood")))
    assert "to be maximised" in source and "to be maximised" not in module_source(derive(network(CLASSES)))


def test_one_example_and_the_gradient_of_the_input():
    net = network("3 -> 4 tanh -> 2 sigmoid; half_squared_error", examples=None)
    found = lambdify(derive(net, wrt=["W1", "x"]))
    params, X, Y = arrays(net, 1)
    value, gradients = found.loss_and_gradients(params, X[0], Y[0])
    assert set(gradients) == {"W1", "x"} and gradients["x"].shape == (3,)
    report = check_gradients(
        lambda moved: found.unchecked["loss"](params, moved["x"], Y[0]),
        {"x": gradients["x"]},
        {"x": X[0]},
        method="complex",
    )
    assert report.ok and value > 0


def test_a_parameter_that_the_loss_does_not_see_has_gradient_zero():
    i, n = index("i"), size("n")
    w, unused, cost = (
        Tensor("w", "parameter", None, (n,)),
        Tensor("v", "parameter", None, (n,)),
        Tensor("J", "cost"),
    )
    program = Program((w, unused), (Equation(cost, (), Sum(w[i] ** 2, over(i, n))),))
    with pytest.warns(DeltaformWarning, match="does not depend on v"):
        found = lambdify(derive(program))
    _, gradients = found.loss_and_gradients({"w": np.ones(2, np.float32), "v": np.ones(2, np.float32)})
    assert (gradients["v"] == 0).all() and gradients["v"].dtype == np.float32


# --- the extremes ---------------------------------------------------------------------------------


def combinations():
    for activation in ACTIVATIONS:
        for loss in LOSSES:
            for output in (activation, "softmax", "sigmoid"):
                text = f"3 -> 4 {activation} -> 2 {output}; {loss}"
                try:
                    network(text)
                except ArchitectureError:
                    continue
                yield text


@pytest.mark.parametrize("text", sorted(set(combinations())))
def test_a_thousand_is_finite_and_nan_stays(text):
    net = network(text)
    found = lambdify(derive(net))
    for dtype in (np.float32, np.float64):
        params, X, Y = arrays(net, 6, dtype)
        signs = np.random.default_rng(1)
        for key in params:
            params[key][...] = signs.choice([-1.0, 1.0], size=params[key].shape) if key[0] == "W" else 0
        X[...] = signs.choice([-1000.0, 1000.0], size=X.shape) / 3
        Y[...] = np.eye(2, dtype=dtype)[[0, 1, 0, 1, 0, 1]]
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            output = found.forward(params, X)
            value, gradients = found.loss_and_gradients(params, X, Y)
        assert np.isfinite(output).all() and np.isfinite(value) and output.dtype == dtype
        assert all(np.isfinite(g).all() and g.dtype == dtype for g in gradients.values())
        X[0, 0] = np.nan
        assert np.isnan(found.forward(params, X)[0]).any() and np.isnan(found.loss(params, X, Y))
        assert np.isnan(found.loss_and_gradients(params, X, Y)[1]["W1"]).any()


def test_zero_times_log_zero_is_zero(functions):
    params, X, _ = arrays(network(CLASSES), 1)
    params["W2"][...] = 0
    params["b2"][...] = [2000.0, 0.0]
    assert functions.loss(params, X, np.array([[1.0, 0.0]])) == 0.0


def test_labels_are_rows(functions):
    params, X, _ = arrays(network(CLASSES), 4)
    labels = np.array([1, 0, 1, 1])
    rows = np.eye(2)[labels]
    assert functions.loss(params, X, labels) == functions.loss(params, X, rows)
    for dtype in (np.uint8, np.int32, np.uint64):
        assert functions.loss(params, X, labels.astype(dtype)) == functions.loss(params, X, rows)
    open_sizes = lambdify(derive(network("n_0 -> n_1 relu -> n_2 softmax; cross_entropy")))
    assert open_sizes.loss(params, X, labels) == functions.loss(params, X, rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_target_that_is_let_through_has_right_gradients(functions, dtype):
    """Rows that sum to 1 but for rounding pass; others would make a - y wrong, so they do not."""
    params, X, Y = arrays(network(CLASSES), 5, dtype)
    for good in (Y, Y / Y.sum(axis=1, keepdims=True), np.repeat(np.array([[0.1, 0.9]], dtype), 5, axis=0)):
        functions.loss(params, X, good)
    off = Y * dtype(1 + 40 * np.finfo(dtype).eps)
    with pytest.raises(DataError, match=r"normalise, as with Y / Y.sum\(axis=1, keepdims=True\)"):
        functions.loss_and_gradients(params, X, off)
    wide = network("3 -> 1000 softmax; cross_entropy")
    params, X, Y = arrays(wide, 3, dtype)
    assert lambdify(derive(wide)).loss(params, X, Y) > 0


def test_what_a_nan_does_is_said_of_each_argument():
    def said(text):
        return " ".join(module_source(derive(network(text))).split('"""')[1].split())

    assert "A NaN in params or X gives NaN out." in said(CLASSES)
    assert "Each row of Y must be a distribution: no entry below 0 or NaN" in said(CLASSES)
    assert "A NaN in params, X or Y gives NaN out." in said("3 -> 2; half_squared_error")


def test_an_argument_is_checked_in_one_place():
    for text in (CLASSES, "3 -> 2 sigmoid; binary_cross_entropy"):
        source = module_source(derive(network(text)))
        assert source.count('if name == "Y":') == 1 and source.count('if name == "Y" and') <= 1


# --- what is refused ------------------------------------------------------------------------------


def changed(**changes):
    """Good arguments with some of them changed; a change of params is a dict."""
    params, X, Y = arrays(network(CLASSES))
    params.update(changes.pop("params", {}))
    found = {"params": params, "X": X, "Y": Y, **changes}
    return found["params"], found["X"], found["Y"]


class Sparse:
    """Stands for a sparse matrix: it has a shape and is no ndarray."""

    shape = (5, 3)


BAD = [
    # row of BAD_INPUTS, arguments, parts of the message
    (32, changed(X=np.zeros(3)), ("X has shape (3,)", "(N, 3)", "np.newaxis")),
    (32, changed(X=np.zeros((2, 5, 3))), ("X has shape (2, 5, 3)", "reshape")),
    (33, changed(X=np.zeros((5, 4))), ("X has shape (5, 4)", "(N, 3)", "axis 1 must be of length 3")),
    (34, changed(Y=np.ones((4, 2)) / 2), ("Y has shape (4, 2)", "axis 0 must be of length 5", "because X has N = 5")),
    (35, changed(X=np.zeros((0, 3))), ("X is empty", "at least one")),
    (37, changed(Y=np.full((5, 2), np.nan)), ("Y: row 0", "nan", "distribution")),
    (38, changed(Y=np.ones((5, 2))), ("Y: row 0 sums to 2.0", "distribution")),
    (38, changed(Y=np.array([[0.5, 0.5]] * 4 + [[1.5, -0.5]])), ("Y: row 4", "-0.5")),
    (39, changed(Y=np.array([0, 1, 2, 0, 1])), ("label 2", "between 0 and 1")),
    (39, changed(Y=np.array([0, 1, -1, 0, 1])), ("label -1", "between 0 and 1")),
    (39, changed(Y=np.array([[0], [1], [1], [0], [1]])), ("Y has shape (5, 1)", "(N,)", "Y.ravel().astype(np.int64)")),
    (39, changed(Y=np.ones((5, 1))), ("Y has shape (5, 1)", "vector of integers")),
    (39, changed(Y=np.array([0.0, 1.0, 1.0, 0.0, 1.0])), ("dtype float64", "vector of integers", "astype(np.int64)")),
    (39, changed(Y=np.array([False, True, True, False, True])), ("dtype bool", "vector of integers")),
    (39, changed(Y=np.array([0.5, 1.0, 1.0, 0.0, 1.0])), ("Y has shape (5,)", "(N, 2)")),
    (41, changed(X=np.zeros((5, 3), object)), ("X holds dtype object", "astype")),
    (41, changed(X=np.full((5, 3), "1")), ("X holds dtype <U1", "astype")),
    (41, changed(X=np.zeros((5, 3), complex)), ("X holds dtype complex128",)),
    (41, changed(X=np.zeros((5, 3), bool)), ("X holds dtype bool",)),
    (41, changed(X=np.zeros((5, 3), int)), ("X holds integers", "astype(np.float64)")),
    (41, changed(X=[[0.0, 1.0, 2.0]]), ("X is a list", "np.asarray")),
    (42, changed(params={"W1": np.ones((4, 3), int)}), ('params["W1"] holds integers', "astype")),
    (43, changed(X=np.zeros((5, 3), np.float32)), ("X is float32", "float64", "agree", "astype")),
    (43, changed(params={"b1": np.zeros(4, np.float32)}), ('params["b1"] is float32', "float64")),
    (44, changed(X=np.ma.masked_array(np.zeros((5, 3)))), ("X is a MaskedArray", "dense")),
    (44, changed(X=Sparse()), ("X is a Sparse", "dense")),
    (45, changed(params={"b1": np.zeros((4, 1))}), ('params["b1"] has shape (4, 1)', "(4,)")),
    (45, changed(params={"b1": np.zeros((1, 4))}), ('params["b1"] has shape (1, 4)', "(4,)")),
    (47, changed(params={"W3": np.zeros((1, 1))}), ("W3 not known", "W1, b1, W2, b2")),
    (47, ({"W1": np.zeros((4, 3))}, *changed()[1:]), ("b1, W2, b2 missing", "exactly")),
    (47, ([1], *changed()[1:]), ("params is a list", "dict")),
]


@pytest.mark.parametrize(("row", "arguments", "parts"), BAD)
def test_bad_arrays_are_refused(functions, row, arguments, parts):
    for function in (functions.loss, functions.loss_and_gradients):
        with pytest.raises(DataError) as caught:
            function(*arguments)
        assert all(part in str(caught.value) for part in parts), str(caught.value)
        assert isinstance(caught.value, DeltaformError) and isinstance(caught.value, ValueError)


def test_labels_outside_the_interval_of_the_target_are_refused():
    """Row 40: where a program says between what its targets lie."""
    derivation = derive(network("3 -> 1 sigmoid; binary_cross_entropy"))
    program = dataclasses.replace(derivation.program, intervals={"y": (0, 1)})
    found = lambdify(dataclasses.replace(derivation, program=program))
    params, X, _ = arrays(network("3 -> 1 sigmoid; binary_cross_entropy"), 2)
    assert np.isfinite(found.loss(params, X, np.array([[0.0], [1.0]])))
    for labels, part in (([[-1.0], [1.0]], "contains -1.0"), ([[1.0], [2.0]], "contains 2.0")):
        with pytest.raises(DataError, match="between 0 and 1") as caught:
            found.loss(params, X, np.array(labels))
        assert part in str(caught.value)


def test_written_modules_raise_an_error_of_their_own(derivation, tmp_path):
    module = import_module(write_module(derivation, tmp_path / "net.py"))
    with pytest.raises(module.DataError, match="X is empty") as caught:
        module.forward(arrays(network(CLASSES))[0], np.zeros((0, 3)))
    assert isinstance(caught.value, ValueError) and not isinstance(caught.value, DeltaformError)


def test_a_module_for_one_dtype_refuses_the_other(derivation):
    found = lambdify(derivation, dtype="float32")
    params, X, Y = arrays(network(CLASSES), dtype=np.float32)
    assert found.loss(params, X, Y) > 0
    with pytest.raises(DataError, match=r'params\["W1"\] is float64, but this module is for float32'):
        found.loss(*arrays(network(CLASSES)))
    with pytest.raises(UsageError, match="float16"):
        lambdify(derivation, dtype="float16")


def test_an_undefined_function_is_no_code():
    for text, name in (("3 -> 2 g(z); half_squared_error", "g"), ("3 -> 2 tanh; c(y,h)", "c")):
        with pytest.raises(LoweringError, match=f"{name} is undefined; give it an expression"):
            lambdify(derive(network(text)))


# --- files ----------------------------------------------------------------------------------------


def test_written_and_lambdified_are_one_text(derivation, functions, tmp_path):
    path = write_module(derivation, tmp_path / "net.py")
    assert path.read_text(encoding="ascii") == functions.source
    params, X, Y = arrays(network(CLASSES))
    module = import_module(path)
    value, gradients = module.loss_and_gradients(params, X, Y)
    expected, others = functions.loss_and_gradients(params, X, Y)
    assert value == expected and all((gradients[key] == others[key]).all() for key in others)


@pytest.mark.parametrize("name", ["numpy", "scipy", "random", "codegen", "symbolic"])
def test_a_module_never_hides_what_it_imports(derivation, tmp_path, name):
    with pytest.raises(FileError, match=f"'{name}' is the name of a module .* such as {name}_network.py"):
        write_module(derivation, tmp_path / f"{name}.py", force=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, 3, b"net.py", "", "a\0.py", ["net.py"]])
def test_what_is_no_path_is_refused(derivation, path):
    for use in (lambda: write_module(derivation, path), lambda: import_module(path)):
        with pytest.raises(FileError, match="path"):
            use()


@pytest.mark.parametrize("source", [None, network(CLASSES), network(CLASSES).program(), CLASSES])
def test_what_is_not_derived_has_no_code(source, tmp_path):
    for use in (lambdify, module_source, lambda given: write_module(given, tmp_path / "net.py")):
        with pytest.raises(UsageError, match=r"Derivation is needed, not a \w+; .*lambdify\(derive\(network\)\)"):
            use(source)
    assert not list(tmp_path.iterdir())


def test_paths_that_are_refused(derivation, tmp_path):
    folder = tmp_path / "folder.py"
    folder.mkdir()
    other = tmp_path / "other.py"
    other.write_text("mine")
    for row, name, message in [
        (56, "missing/net.py", "does not exist"),
        (57, "other.py", "force"),
        (58, "folder.py", "is a folder"),
        (59, "1net.py", "cannot be imported"),
        (59, "my-net.py", "cannot be imported"),
        (59, f"{keyword.kwlist[-1]}.py", "cannot be imported"),
        (61, "net.txt", "suffix"),
        (61, "net", "suffix"),
    ]:
        with pytest.raises(FileError, match=message):
            write_module(derivation, tmp_path / name)
        assert row and other.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.py", "other.py"]


def test_force_replaces_and_same_content_needs_none(derivation, tmp_path):
    path = tmp_path / "net.py"
    path.write_text("mine")
    write_module(derivation, path, force=True)
    before = path.read_bytes()
    write_module(derivation, path)
    assert path.read_bytes() == before


def test_edits_by_hand_are_noticed(derivation, tmp_path):
    path = write_module(derivation, tmp_path / "net.py")
    path.write_text(path.read_text().replace("np.maximum(z1, 0)", "np.maximum(z1, 1)"))
    with pytest.warns(DeltaformWarning, match="edited by hand"):
        import_module(path)
    with pytest.raises(FileError, match="edited by hand"):
        write_module(derivation, path)
    with pytest.warns(DeltaformWarning, match="edited by hand"):
        write_module(derivation, path, force=True)
    assert "np.maximum(z1, 0)" in path.read_text()


def test_a_full_disk_leaves_what_was_there(derivation, tmp_path, monkeypatch):
    path = tmp_path / "net.py"
    path.write_text("mine")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left"):
        write_module(derivation, path, force=True)
    assert path.read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["net.py"]
    with pytest.raises(FileError):
        write_atomically(path, b"x")


def test_importing_what_is_not_there(tmp_path):
    with pytest.raises(FileError, match="write_module"):
        import_module(tmp_path / "nothing.py")


# --- the whitelist --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "construct"),
    [
        ("import os", "import os"),
        ("from os import path", "from os import path"),
        ("import numpy as np, os", "os"),
        ("x = __import__('os')", "__import__"),
        ("x = open('f')", "open"),
        ("x = eval('1')", "eval"),
        ("import numpy as np\nx = np.load('f')", "np.load"),
        ("import numpy as np\nx = np.zeros(1).tofile('f')", "tofile"),
        ("x = ().__class__", "__class__"),
        ("x = lambda: 1", "Lambda"),
        ("while 1:\n    x = 1", "While"),
        ("global x", "Global"),
        ("def f():\n    yield 1", "Yield"),
        ("with x:\n    y = 1", "With"),
        ("__builtins__ = 1", "__builtins__"),
        ("x = y", "the name y"),
        ("@float\ndef f():\n    return 1", "decorator"),
        ("x = (", "line 1"),
    ],
)
def test_the_whitelist_refuses(source, construct):
    with pytest.raises(LoweringError, match="generated source, line") as caught:
        check_source(source)
    assert construct in str(caught.value)
    with pytest.raises(LoweringError):
        functions_of(source)


def test_erf_says_what_to_install(monkeypatch, tmp_path):
    source = module_source(derive(network("3 -> 2 gelu; half_squared_error")))
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(MissingExtra, match=r"pip install 'deltaform\[erf\]'"):
        functions_of(source)
    (tmp_path / "net.py").write_text(source)
    with pytest.raises(ImportError, match="pip install scipy"):
        import_module(tmp_path / "net.py")
