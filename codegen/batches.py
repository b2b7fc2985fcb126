"""Examples and their rows: what steppers refuse before they compute, and rows that are taken one batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codegen.wording import number_of
from symbolic.errors import DataError


def check_batch(X: NDArray, Y: NDArray, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Refuse X and Y unless both are plain arrays of real numbers with as many rows, each row of its shape.

    Raises:
        DataError: names the array and what is required.
    """
    for name, array, shape in zip("XY", (X, Y), shapes, strict=True):
        plain = isinstance(array, np.ndarray) and not isinstance(array, (np.ma.MaskedArray, np.matrix))
        if not plain or array.dtype.kind not in "biuf":
            found = array.dtype if plain else f"a {type(array).__name__}"
            raise DataError(f"{name} is {found}; a step takes plain arrays of real numbers: convert it")
        if array.ndim != 1 + len(shape) or array.shape[1:] != shape or len(array) == 0:
            wanted = ", ".join(("N", *map(str, shape)))
            raise DataError(f"{name} has shape {array.shape}; required is ({wanted}), with N at least 1")
    if len(X) != len(Y):
        raise DataError(f"X has {number_of(len(X), 'row')} and Y has {len(Y)}; row p of both must be one example")


def check_rows(rows: NDArray, count: int) -> None:
    """Refuse a batch that is empty, holds no integers, or one that is none of 0 to count - 1; NumPy counts below 0
    from the end.

    Raises:
        DataError: says so.
    """
    if rows.dtype.kind not in "iu" and len(rows):
        raise DataError(f"a batch holds {rows.dtype}; it must hold the numbers of rows, which are integers")
    if len(rows) == 0 or rows.min() < 0 or rows.max() >= count:
        raise DataError(f"a batch is empty or has a number of a row that is none of 0 to {count - 1}")


class Steps(Protocol):
    """What does steps; see `steppers.Stepper`."""

    idle: int

    def step(self, X: NDArray, Y: NDArray, rate: float) -> float: ...


def epoch_by_steps(
    stepper: Steps, X: NDArray, Y: NDArray, batches: Sequence[NDArray], rate: float
) -> tuple[NDArray, int]:
    """An epoch whose examples lie in the weights, and so are others after each step: the losses, and the place of the
    first step without any gradient, -1 if there was none.
    """
    arrays = [np.asarray(rows) for rows in batches]
    for rows in arrays:
        check_rows(rows, len(X))
    losses, idle = np.zeros(len(arrays)), -1
    for place, rows in enumerate(arrays):
        losses[place] = stepper.step(X[rows], Y[rows], rate)
        if idle < 0 <= stepper.idle:
            idle = place
    return losses, idle
