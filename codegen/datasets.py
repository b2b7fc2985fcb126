"""Examples to train on: scikit-learn's digits, .npz and .csv files, checked and split by a seed."""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.examples import Examples, Targets, check_examples
from codegen.initialization import checked_seed
from codegen.wording import number_of
from symbolic.errors import DataError, FileError, MissingExtra
from symbolic.files import as_path

SUFFIXES = (".npz", ".csv")
HELD_OUT = 5  # every fifth example, in a random order, is held out
# What float() takes as a number, without the underscores that it takes too.
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|nan|inf|infinity)\s*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Dataset:
    """Examples in two parts: those to train on, and those held out to test on."""

    name: str
    train: Examples
    held_out: Examples

    @property
    def train_and_held_out(self) -> tuple[NDArray, NDArray, tuple[NDArray, NDArray]]:
        """X, Y and (X, Y) held out, as `train` takes them: train(network, *data.train_and_held_out)."""
        return self.train.X, self.train.Y, (self.held_out.X, self.held_out.Y)

    def __str__(self) -> str:
        return f"{self.name}: {number_of(len(self.train), 'example')} to train on, {len(self.held_out)} held out"


def load(source: str | os.PathLike[str], network: Any = None, seed: int = 0) -> Dataset:
    """Examples from "digits", from FILE.npz or from FILE.csv, split into four fifths to train on and a
    fifth held out.

    digits: 1797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn (the extra `digits`); pixels
        are scaled from 0..16 to 0..1; the targets are labels 0..9.
    .npz: an array X (examples, inputs), and Y (examples, outputs) or labels Y (examples,); or y for Y.
    .csv: numbers separated by commas, one example a line, the target last: one column of labels where the
        network takes labels, else as many columns as it has outputs. The first line is a header if none of
        its cells is a number.

    network: a Network or Program to hold the examples against; without it, the last column of a .csv is the
        target.
    seed: decides which examples are held out; the same seed gives the same split.

    Raises:
        FileError: the file is not there, or is not what its suffix says.
        DataError: the numbers do not fit the network: shapes, NaN, labels out of range.
        MissingExtra: "digits" without scikit-learn.
    """
    checked_seed(seed)
    targets = None if network is None else Targets.of(network)
    if str(source) == "digits":
        name, X, Y = "digits", *_digits()
    else:
        path = _checked_path(source)
        name = path.name
        X, Y = _npz(path) if path.suffix == ".npz" else _csv(path, targets)
    return split(name, check_examples(X, Y, targets, name), seed)


def split(name: str, examples: Examples, seed: int) -> Dataset:
    """A fifth of the examples held out, at least one, chosen by a permutation drawn from `seed`.

    Raises:
        DataError: there is only one example.
    """
    count = len(examples)
    if count < 2:
        raise DataError(
            f"{name}: {count} example cannot be split into some to train on and some held out; give at least 2"
        )
    order = np.random.default_rng(checked_seed(seed)).permutation(count)
    held_out = max(1, count // HELD_OUT)
    return Dataset(name, examples.take(order[held_out:]), examples.take(order[:held_out]))


def _digits() -> tuple[NDArray, NDArray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra(
            "the digits come with scikit-learn, which is not installed; install it: pip install 'deltaform[digits]'"
        ) from error
    bundled = load_digits()
    return bundled.data / 16.0, bundled.target.astype(np.int64)


def _checked_path(source: str | os.PathLike[str]) -> Path:
    path = as_path(source)
    if path.is_dir():
        raise FileError(f"{path} is a folder; name a .npz or .csv file, or the built-in 'digits'")
    if path.suffix not in SUFFIXES:
        raise FileError(f"data {str(path)!r}: unknown suffix {path.suffix!r}; give FILE.npz, FILE.csv or 'digits'")
    if not path.exists():
        raise FileError(f"{path} does not exist; check the path (this folder is {Path.cwd()})")
    return path


def read_npz(path: Path) -> dict[str, NDArray]:
    """All arrays of a .npz file, by name; Python objects in it are refused, for unpickling runs code.

    Raises:
        FileError: it is truncated, no .npz, holds pickled objects, or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise FileError(
                    f"{path} is no .npz file, or a truncated one; write one with numpy.savez({path.name!r}, X=X, Y=Y)"
                )
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise FileError(f"{path} is damaged ({error}); write it again") from error
    except ValueError as error:
        reason = "it holds Python objects, and reading those can run code" if "pickle" in str(error) else str(error)
        raise FileError(f"{path} is refused: {reason}; save plain arrays with numpy.savez") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror or error})") from error


def _npz(path: Path) -> tuple[NDArray, NDArray]:
    arrays = read_npz(path)
    target = next((key for key in ("Y", "y") if key in arrays), None)
    missing = [what for what, there in (("X", "X" in arrays), ("Y or y", target is not None)) if not there]
    if missing or target is None:
        found = ", ".join(arrays) or "nothing"
        raise FileError(
            f"{path}: array {' and '.join(missing)} is missing, there is {found}; write it with "
            "numpy.savez(path, X=X, Y=Y)"
        )
    return arrays["X"], arrays[target]


def _csv(path: Path, targets: Targets | None) -> tuple[NDArray, NDArray]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path} is not UTF-8: byte {error.object[error.start]:#04x} at position {error.start}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror})") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and not any(NUMBER.match(cell) for cell in _cells(lines[0][1])):
        lines = lines[1:]
    if not lines:
        raise DataError(f"{path} is empty: it has no line of numbers; each line must be one example, its target last")
    try:
        table = np.loadtxt(
            (line for _, line in lines),
            delimiter=",",
            ndmin=2,
            comments=None,
            quotechar='"',
            dtype=np.float64,
        )
    except ValueError as error:
        raise _fault(path, lines) or DataError(f"{path} cannot be read: {error}") from error
    width = table.shape[1]
    last = 1
    if targets is not None:
        # With labels allowed, one more column than inputs is a column of labels; otherwise every output has
        # its own.
        last = 1 if targets.labels and width == targets.inputs + 1 else targets.outputs
        if width != targets.inputs + last:
            raise DataError(
                f"{path} has {number_of(width, 'column')}, but the network needs "
                f"{number_of(targets.inputs, 'input')} and then {'1 label or ' if targets.labels else ''}"
                f"{number_of(targets.outputs, 'output')}; change the network or the file"
            )
    if width <= last:
        raise DataError(f"{path} has {width} column; it needs inputs and, last, the target")
    X, Y = table[:, :-last], table[:, -last:]
    if last == 1 and (targets is None or targets.labels):
        labels = Y[:, 0]
        whole = np.isfinite(labels).all() and (labels == np.rint(labels)).all()
        return X, labels.astype(np.int64) if whole else labels
    return X, Y


def _cells(line: str) -> list[str]:
    return next(csv.reader(io.StringIO(line)), [])


def _fault(path: Path, lines: list[tuple[int, str]]) -> DataError | None:
    """The first line that is no row of numbers of the width of the first, as an error."""
    width = len(_cells(lines[0][1]))
    for number, line in lines:
        cells = _cells(line)
        for column, cell in enumerate(cells, 1):
            if not NUMBER.match(cell):
                shown = cell if len(cell) <= 20 else cell[:20] + "..."
                hint = (
                    "; separate columns by commas, not semicolons" if ";" in cell else "; write every column as numbers"
                )
                return DataError(f"{path}, line {number}, column {column}: {shown!r} is no number{hint}")
        if len(cells) != width:
            return DataError(
                f"{path}, line {number}: {number_of(len(cells), 'column')}, but line {lines[0][0]} has {width}; every "
                "line needs as many"
            )
    return None
