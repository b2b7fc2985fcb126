"""Reading, checking and splitting examples. Numbers in test ids are rows of the list of bad inputs."""

import builtins
import io
import pickle

import numpy as np
import pytest

from codegen.datasets import load, split
from codegen.examples import Examples, Targets, check_examples
from symbolic.errors import ArchitectureError, DataError, FileError, MissingExtra, UsageError
from symbolic.network import Network

CLASSES = Network.parse("2 -> 3 softmax; cross_entropy")
YES_NO = Network.parse("2 -> 1 sigmoid; binary_cross_entropy")
NUMBERS = Network.parse("2 -> 2; half_squared_error")

X = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
LABELS = np.array([0, 2, 1, 0])


def check(network, X, Y):
    return check_examples(X, Y, Targets.of(network), "data")


def test_targets_are_read_off_the_network():
    assert Targets.of(CLASSES) == Targets(2, 3, labels=True, sums_to_one=True, interval=(0, 1))
    assert Targets.of(YES_NO) == Targets(2, 1, labels=False, sums_to_one=False, interval=(0, 1))
    assert Targets.of(NUMBERS) == Targets(2, 2)
    assert [Targets.of(n).are_classes for n in (CLASSES, YES_NO, NUMBERS)] == [True, True, False]


def test_a_bare_program_tells_what_its_facts_tell():
    assert Targets.of(CLASSES.program()) == Targets(2, 3, labels=True, sums_to_one=True)
    assert Targets.of(YES_NO.program()) == Targets(2, 1)


def test_labels_become_rows_with_a_single_one():
    examples = check(CLASSES, X, LABELS).prepared(Targets.of(CLASSES), np.float32)
    assert examples.X.dtype == examples.Y.dtype == np.float32
    np.testing.assert_array_equal(examples.Y, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]])


def test_one_column_of_targets_may_be_flat():
    assert check(YES_NO, X, np.array([0, 1, 1, 0])).Y.shape == (4, 1)


def test_accuracy_of_classes_and_of_yes_or_no():
    outputs = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]])
    assert Targets.of(CLASSES).accuracy(outputs, np.array([[1, 0, 0], [0, 0, 1]])) == 0.5
    assert Targets.of(YES_NO).accuracy(np.array([[0.9], [0.2], [0.6], [0.1]]), np.array([[1], [1], [0], [0]])) == 0.5


def rows(*first):
    return np.vstack([first, *[[1.0, 0.0, 0.0]] * 3])


@pytest.mark.parametrize(
    ("network", "inputs", "targets", "message"),
    [
        pytest.param(
            CLASSES,
            X[0],
            LABELS,
            r"X has shape \(2,\), but it must have two axes.*reshape\(1, -1\)",
            id="32-one",
        ),
        pytest.param(CLASSES, X[None], LABELS, r"X has shape \(1, 4, 2\).*reshape\(len\(X\), -1\)", id="32-three"),
        pytest.param(
            CLASSES,
            np.ones((4, 5)),
            LABELS,
            r"X has 5 columns, but the network has 2 inputs.*'5 -> ",
            id="33",
        ),
        pytest.param(CLASSES, X, LABELS[:3], "X has 4 rows and Y has 3; row p of X", id="34"),
        pytest.param(CLASSES, X[:0], LABELS[:0], r"X has shape \(0, 2\): there is no example", id="35"),
        pytest.param(
            CLASSES,
            np.where(X == 3, np.nan, X),
            LABELS,
            r"X\[1, 1\] is nan; every number must be finite",
            id="36-nan",
        ),
        pytest.param(
            CLASSES,
            np.where(X == 3, -np.inf, X),
            LABELS,
            r"X\[1, 1\] is -inf; every number must be",
            id="36-inf",
        ),
        pytest.param(
            NUMBERS, X, np.where(X == 4, np.nan, X), r"Y\[2, 0\] is nan; every number must be finite", id="37"
        ),
        pytest.param(
            CLASSES,
            X,
            rows([0.5, 0.6, 0.0]),
            r"row 0 of Y sums to 1.1, .* distribution and sums to 1",
            id="38",
        ),
        pytest.param(
            CLASSES,
            X,
            rows([0.333333, 0.333333, 0.333333]),
            r"row 0 of Y sums to 0.999999, .* normalise, as with .*Y / Y.sum\(axis=1",
            id="38-nearly",
        ),
        pytest.param(CLASSES, X, LABELS[:, None], r"labels of shape \(4,\), as by Y.ravel\(\)", id="39-column"),
        pytest.param(CLASSES, X, LABELS > 0, r"Y has dtype bool, .*Y.astype\(int\)", id="39-bool"),
        pytest.param(CLASSES, X, rows([1.5, -0.5, 0.0]), r"Y\[0, 0\] is 1.5, .* lie between 0 and 1", id="38-range"),
        pytest.param(
            CLASSES,
            X,
            LABELS + 1,
            r"label Y\[1\] is 3, but 3 outputs stand for the labels 0 to 2",
            id="39-large",
        ),
        pytest.param(
            CLASSES,
            X,
            LABELS - 1,
            r"label Y\[0\] is -1, but 3 outputs .* number the classes from 0",
            id="39-negative",
        ),
        pytest.param(
            CLASSES,
            X,
            LABELS + 0.5,
            r"labels Y have dtype float64, .* whole numbers.*astype\(int\)",
            id="39-float",
        ),
        pytest.param(
            YES_NO, X, 2.0 * (LABELS > 0) - 1, r"Y\[0, 0\] is -1, .* between 0 and 1.*Y == 1\)", id="40-minus"
        ),
        pytest.param(YES_NO, X, 1 + (LABELS > 0), r"Y\[1, 0\] is 2, .* between 0 and 1.*Y == 2\)", id="40-one-two"),
        pytest.param(CLASSES, X.astype(object), LABELS, "X has dtype object, but numbers are needed", id="41-object"),
        pytest.param(CLASSES, X.astype(str), LABELS, r"X has dtype <U32, .*astype\(float\)", id="41-string"),
        pytest.param(CLASSES, X + 0j, LABELS, "X has dtype complex128, but numbers are needed", id="41-complex"),
        pytest.param(NUMBERS, X, X > 2, "Y has dtype bool, but numbers are needed", id="41-bool"),
        pytest.param(NUMBERS, [[1, 2], [3]], X, "X is no array .*rows of equal length", id="41-ragged"),
        pytest.param(NUMBERS, np.ma.masked_array(X, X > 3), X, "X is a masked array; fill or drop", id="44-masked"),
        pytest.param(NUMBERS, X, X[:, :1], r"Y has shape \(4, 1\), but the network has 2 outputs", id="34-columns"),
        pytest.param(NUMBERS, X, X[None], r"Y has shape \(1, 4, 2\), but it must be \(examples, outputs\)", id="32-Y"),
    ],
)
def test_refuses_bad_arrays(network, inputs, targets, message):
    with pytest.raises(DataError, match=message):
        check(network, inputs, targets)


def test_44_refuses_sparse():
    sparse = pytest.importorskip("scipy.sparse").csr_array(X)
    with pytest.raises(DataError, match=r"X is a sparse csr_array; give a dense array: X.toarray\(\)"):
        check(NUMBERS, sparse, X)


def test_a_symbol_is_no_width():
    with pytest.raises(ArchitectureError, match="its width n_0 has no number"):
        Targets.of(Network.parse("n_0 -> 3 softmax; cross_entropy"))


def test_split_is_a_fifth_by_seed():
    examples = Examples(np.arange(50.0).reshape(25, 2), np.arange(25))
    first, again, other = split("x", examples, 3), split("x", examples, 3), split("x", examples, 4)
    assert (len(first.train), len(first.held_out)) == (20, 5)
    assert sorted([*first.train.Y, *first.held_out.Y]) == list(range(25))
    np.testing.assert_array_equal(first.train.X[:, 0], 2 * first.train.Y)
    np.testing.assert_array_equal(first.held_out.Y, again.held_out.Y)
    assert first.held_out.Y.tolist() != other.held_out.Y.tolist()
    with pytest.raises(DataError, match=r"1 example cannot be split"):
        split("x", examples.take(np.array([0])), 0)
    with pytest.raises(UsageError, match=r"seed must be a whole number from 0, such as 0, not 1\.5"):
        split("x", examples, 1.5)


def test_digits():
    pytest.importorskip("sklearn")
    data = load("digits", Network.parse("64 -> 10 softmax; cross_entropy"))
    assert str(data) == "digits: 1438 examples to train on, 359 held out"
    assert data.train.X.min() == 0 and data.train.X.max() == 1
    assert set(data.train.Y) == set(range(10)) and data.train.Y.dtype == np.int64


def test_digits_without_scikit_learn(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'deltaform\[digits\]'"):
        load("digits")


@pytest.mark.parametrize("name", ["Y", "y"])
def test_npz(tmp_path, name):
    np.savez(tmp_path / "data.npz", X=X, **{name: LABELS})
    data = load(tmp_path / "data.npz", CLASSES)
    assert (data.name == "data.npz" and len(data.train) == 4 and len(data.held_out) == 0) or len(data.train) == 3
    assert sorted([*data.train.Y, *data.held_out.Y]) == [0, 0, 1, 2]


def test_csv_of_labels_of_outputs_and_with_a_header(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text('\ufefffirst,"sec,ond",kind\n0,1,0\n2,3,2\n\n4, 5,1\n6,7e0,"0"\n', encoding="utf-8")
    data = load(path, CLASSES)
    assert sorted([*data.train.Y, *data.held_out.Y]) == [0, 0, 1, 2] and data.train.Y.dtype == np.int64
    assert sorted([*data.train.X[:, 0], *data.held_out.X[:, 0]]) == [0, 2, 4, 6]
    assert load(path).train.Y.dtype == np.int64
    path.write_text("0,1,10,11\n2,3,20,21\n")
    data = load(path, NUMBERS)
    assert sorted([*data.train.Y[:, 1], *data.held_out.Y[:, 1]]) == [11, 21]
    path.write_text("0,1,0,1,0\n2,3,0,0,1\n")
    assert load(path, CLASSES).train.Y.shape == (1, 3)
    path.write_text("0,1,1\n2,3,0\n")
    assert load(path, YES_NO).train.Y.shape == (1, 1)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        pytest.param(b"", DataError, "is empty: it has no line of numbers", id="68-empty"),
        pytest.param(b"a,b,c\n", DataError, "is empty: it has no line of numbers", id="68-header-only"),
        pytest.param(
            b"a,b,c\n1,2,0\n3,x,1\n",
            DataError,
            "line 3, column 2: 'x' is no number; write every column",
            id="68-text",
        ),
        pytest.param(b"1,2,0\n3,,1\n", DataError, "line 2, column 2: '' is no number", id="68-gap"),
        pytest.param(b"1,b,0\n3,4,1\n", DataError, "line 1, column 2: 'b' is no number", id="68-half-a-header"),
        pytest.param(b"1_0,2,0\n3,4,1\n", DataError, "line 1, column 1: '1_0' is no number", id="68-underscore"),
        pytest.param(b"1,2,0\n\n3,4\n", DataError, "line 3: 2 columns, but line 1 has 3", id="68-ragged"),
        pytest.param(
            b"1;2;0\n3;4;1\n",
            DataError,
            "'3;4;1' is no number; separate columns by commas",
            id="68-semicolons",
        ),
        pytest.param(
            b"1,2;0,0\n3,4,1\n",
            DataError,
            "'2;0' is no number; separate columns by commas",
            id="68-semicolon",
        ),
        pytest.param(
            b"1,2,3,0\n",
            DataError,
            "has 4 columns, but the network needs 2 inputs and then 1 label or 3",
            id="33",
        ),
        pytest.param(b"1,nan,0\n3,4,1\n", DataError, r"X\[0, 1\] is nan", id="36"),
        pytest.param(b"1,2,0\n3,4,9\n", DataError, r"label Y\[1\] is 9", id="39"),
        pytest.param(b"1,2,\xff\n", FileError, "is not UTF-8: byte 0xff at position 4; save it as UTF-8", id="66"),
    ],
)
def test_refuses_bad_csv(tmp_path, content, error, message):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        load(path, CLASSES)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(npz(X=X, Y=LABELS)[:300], "is no .npz file, or a truncated one", id="62-truncated"),
        pytest.param(b"PNG", r"is no .npz file.*numpy.savez\('data.npz', X=X, Y=Y\)", id="62-foreign"),
        pytest.param(pickle.dumps([1, 2]), "is no .npz file", id="62-pickle"),
        pytest.param(
            npz(X=X.astype(object), Y=LABELS),
            "holds Python objects, and reading those can run code",
            id="62-objects",
        ),
        pytest.param(npz(X=X), "array Y or y is missing, there is X", id="62-no-Y"),
        pytest.param(npz(a=X), "array X and Y or y is missing, there is a; write it with", id="62-other"),
    ],
)
def test_refuses_bad_npz(tmp_path, content, message):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        load(path, CLASSES)


def test_62_refuses_a_damaged_member(tmp_path):
    path = tmp_path / "data.npz"
    content = bytearray(npz(X=np.zeros((50, 50)), Y=LABELS))
    content[1000] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(FileError, match=r"is damaged .*write it again"):
        load(path, CLASSES)


def test_refuses_other_paths(tmp_path):
    with pytest.raises(FileError, match=r"is a folder; name a .npz or .csv file, or the built-in 'digits'"):
        load(tmp_path)
    with pytest.raises(FileError, match=r"unknown suffix '.txt'; give FILE.npz, FILE.csv or 'digits'"):
        load(tmp_path / "data.txt")
    with pytest.raises(FileError, match="does not exist; check the path"):
        load(tmp_path / "data.csv")


def test_nearly_normalised_float32_rows_are_refused_in_float64():
    """What sums to 1 in float32 need not in float64, where the gradients would be off."""
    targets = Targets.of(CLASSES)
    thirds = np.full((4, 3), 1 / 3, np.float32)
    examples = check_examples(X, thirds, targets, "here")
    assert examples.prepared(targets, np.float32).Y.dtype == np.float32
    with pytest.raises(DataError, match=r"float32 targets as float64: row 0 of Y sums to 1\.0000000"):
        examples.prepared(targets, np.float64)


def test_what_is_no_path_is_refused():
    for source in (None, 3, b"data.npz"):
        with pytest.raises(FileError, match="a path is needed"):
            load(source)
