"""Examples X and Y, and what a network asks of them. Everything that could silently train on nonsense is
refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sympy import Integer

from codegen.initialization import program_of
from codegen.wording import number_of
from symbolic.errors import ArchitectureError, DataError, UsageError
from symbolic.losses import Loss
from symbolic.programs import Program
from symbolic.tensors import Tensor


@dataclass(frozen=True)
class Targets:
    """What a network takes and what it is held to.

    inputs:       n_0, columns of X.
    outputs:      n_L, columns of Y.
    labels:       class labels (N,) may stand for rows of Y with a single 1.
    sums_to_one:  the entries of each row of Y sum to 1.
    interval:     the entries of Y lie between these two, or None where nothing is known.
    """

    inputs: int
    outputs: int
    labels: bool = False
    sums_to_one: bool = False
    interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, source: Any) -> Targets:
        """Read off a Network or Program. Of a bare Program, only its facts are known; of a Network, also
        its Loss.

        Raises:
            UsageError: there is not just one input and one target, or they are no matrices of examples.
            ArchitectureError: a width has no number.
        """
        program = program_of(source)
        x, y = _only(program, "input"), _only(program, "target")
        loss = getattr(source, "loss", None)
        sums_to_one = program.sums_to_one(y.key)
        return cls(
            inputs=_width(program, x),
            outputs=_width(program, y),
            labels=loss.labels if isinstance(loss, Loss) else sums_to_one,
            sums_to_one=sums_to_one,
            interval=loss.target_interval if isinstance(loss, Loss) else None,
        )

    @property
    def are_classes(self) -> bool:
        """Whether a fraction of right answers makes sense: targets that are distributions, or answers 0 and
        1.
        """
        return self.sums_to_one or self.interval == (0, 1)

    def accuracy(self, outputs: NDArray, Y: NDArray) -> float:
        """Fraction of right answers. outputs, Y: (N, n_L).

        Where rows of Y sum to 1, an answer is a row, right if its largest entry is in the same place.
        Otherwise each entry is an answer, right if it is on the same side of 1/2.
        """
        if self.sums_to_one:
            return float((outputs.argmax(axis=1) == Y.argmax(axis=1)).mean())
        return float(((outputs > 0.5) == (Y > 0.5)).mean())


@dataclass(frozen=True)
class Examples:
    """X (N, n_0) and Y, (N, n_L) or labels (N,): row p of both is example p."""

    X: NDArray
    Y: NDArray

    def __len__(self) -> int:
        return len(self.X)

    def take(self, rows: NDArray) -> Examples:
        """The examples with these numbers, in this order."""
        return Examples(self.X[rows], self.Y[rows])

    def prepared(self, targets: Targets, dtype: DTypeLike) -> Examples:
        """In `dtype`, with labels written out as rows with a single 1.

        Raises:
            DataError: rows of Y that sum to 1 in a narrower dtype do not in this one.
        """
        if self.Y.ndim == 1:
            return Examples(self.X.astype(dtype), np.eye(targets.outputs, dtype=dtype)[self.Y])
        rows = self.Y.astype(dtype)
        if targets.sums_to_one:
            _check_sums(rows, f"{self.Y.dtype} targets as {rows.dtype}")
        return Examples(self.X.astype(dtype), rows)


def check_examples(X: Any, Y: Any, targets: Targets | None, what: str) -> Examples:
    """X and Y as Examples, if they fit.

    targets: what the network asks for; without it, only what every network asks for is checked.
    what: where they come from, for messages.

    Raises:
        DataError: names the array, what was found, and what is required.
    """
    inputs = _array(X, "X", what)
    outputs = _array(Y, "Y", what, "int" if targets is not None and targets.labels else "float")
    if inputs.ndim != 2:
        raise DataError(
            f"{what}: X has shape {inputs.shape}, but it must have two axes, (examples, inputs); one "
            "example is a row: X.reshape(1, -1), and an image is one too: X.reshape(len(X), -1)"
        )
    if outputs.ndim not in (1, 2):
        raise DataError(
            f"{what}: Y has shape {outputs.shape}, but it must be (examples, outputs) or labels (examples,)"
        )
    if len(inputs) == 0:
        raise DataError(f"{what}: X has shape {inputs.shape}: there is no example; give at least one row")
    if len(inputs) != len(outputs):
        raise DataError(
            f"{what}: X has {number_of(len(inputs), 'row')} and Y has {len(outputs)}; row p of X and row p of Y "
            "must be one example"
        )
    _refuse_not_finite(inputs, "X", what)
    _refuse_not_finite(outputs, "Y", what)
    if targets is None:
        return Examples(inputs, outputs)
    if inputs.shape[1] != targets.inputs:
        raise DataError(
            f"{what}: X has {number_of(inputs.shape[1], 'column')}, but the network has "
            f"{number_of(targets.inputs, 'input')}; begin "
            f"the network with '{inputs.shape[1]} -> ...' or give X of shape (N, {targets.inputs})"
        )
    if outputs.ndim == 1 and targets.labels:
        _check_labels(outputs, targets.outputs, what)
        return Examples(inputs, outputs.astype(np.int64))
    if outputs.ndim == 1 and targets.outputs == 1:
        outputs = outputs[:, np.newaxis]
    if outputs.shape[1:] != (targets.outputs,):
        raise DataError(
            f"{what}: Y has shape {outputs.shape}, but the network has "
            f"{number_of(targets.outputs, 'output')}; give Y of "
            f"shape ({len(inputs)}, {targets.outputs})"
            + (f", or labels of shape ({len(inputs)},)" if targets.labels else "")
            + (", as by Y.ravel().astype(int)" if targets.labels and outputs.shape[1:] == (1,) else "")
        )
    _check_targets(outputs, targets, what)
    return Examples(inputs, outputs)


def _only(program: Program, role: str) -> Tensor:
    found = [leaf for leaf in program.leaves if leaf.role == role]
    if len(found) != 1 or len(found[0].shape) != 2:
        named = ", ".join(f"{leaf.key} with {len(leaf.shape)} axes" for leaf in found) or "none"
        raise UsageError(f"the program must have one {role} with the axes (examples, units), but it has {named}")
    return found[0]


def _width(program: Program, tensor: Tensor) -> int:
    extent = program.value_of(tensor.shape[-1])
    if not isinstance(extent, Integer):
        raise ArchitectureError(
            f"tensor {tensor.key}: its width {extent} has no number; numbers are needed to compute, so "
            "write the network with widths, such as '64 -> 32 relu -> 10 softmax; cross_entropy'"
        )
    return int(extent)


def _array(values: Any, name: str, what: str, wanted: str = "float") -> NDArray:
    if isinstance(values, np.ma.MaskedArray):
        raise DataError(f"{what}: {name} is a masked array; fill or drop what is masked: {name}.filled(...)")
    if hasattr(values, "toarray"):
        raise DataError(f"{what}: {name} is a sparse {type(values).__name__}; give a dense array: {name}.toarray()")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what}: {name} is no array ({error}); give rows of equal length") from error
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{what}: {name} has dtype {array.dtype}, but numbers are needed: convert it, such as "
            f"{name}.astype({wanted})"
        )
    return array


def _refuse_not_finite(array: NDArray, name: str, what: str) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(place) for place in np.argwhere(~np.isfinite(array))[0])
        raise DataError(
            f"{what}: {name}{list(where)} is {array[where]}; every number must be finite, so fill in or drop such rows"
        )


def _check_labels(labels: NDArray, classes: int, what: str) -> None:
    if labels.dtype.kind not in "iu":
        raise DataError(
            f"{what}: labels Y have dtype {labels.dtype}, but they must be whole numbers; give "
            f"Y.astype(int) or rows of shape ({len(labels)}, {classes})"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"{what}: label Y[{wrong[0]}] is {labels[wrong[0]]}, but {classes} outputs stand for the labels "
            f"0 to {classes - 1}; number the classes from 0, or widen the last layer"
        )


def _check_targets(Y: NDArray, targets: Targets, what: str) -> None:
    if targets.interval is not None:
        low, high = targets.interval
        outside = np.argwhere((low > Y) | (high < Y))
        if len(outside):
            row, column = (int(place) for place in outside[0])
            found = np.unique(Y)
            hint = f"; make two values 0 and 1 by (Y == {found[1]:g}).astype(float)" if len(found) == 2 else ""
            raise DataError(
                f"{what}: Y[{row}, {column}] is {Y[row, column]:g}, but under this loss targets lie between "
                f"{low} and {high}{hint}"
            )
    if targets.sums_to_one:
        _check_sums(Y, what)


def _check_sums(Y: NDArray, what: str) -> None:
    """The rule of generated modules: the gradients are right only for rows whose sum is 1 up to rounding."""
    sums = Y.sum(axis=1)
    rounding = 4 * Y.shape[1] * np.finfo(Y.dtype).eps if Y.dtype.kind == "f" else 0
    wrong = np.flatnonzero(np.abs(sums - 1.0) > rounding)
    if len(wrong):
        raise DataError(
            f"{what}: row {wrong[0]} of Y sums to {float(sums[wrong[0]])!r}, but under this loss each row is a "
            "distribution and sums to 1 up to rounding; normalise, as with Y = Y.astype(np.float64) and "
            f"Y / Y.sum(axis=1, keepdims=True), or give labels of shape ({len(Y)},)"
        )
