"""What can be seen at a glance to be right. Anything else goes to `entry_checks`, which say what it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codegen.signature import Argument


class Values:
    """Whether the values of an array are such as an argument must have: rows that are distributions, or numbers between
    two others; False where that is in doubt.

    shape: of one example.
    """

    def __init__(self, argument: Argument, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.are_distributions, self.interval = argument.labels, argument.interval
        self._ones, self._one = np.ones(shape, dtype), np.ones((), dtype)
        self._rounding = 4 * self._ones.size * float(np.finfo(dtype).eps)

    def hold(self, array: NDArray) -> bool:
        if self.are_distributions:
            difference = array.dot(self._ones)
            np.subtract(difference, self._one, difference)
            # The sum of all squares is no less than any of them.
            if not difference.dot(difference) <= self._rounding**2 or not array.min() >= 0:
                return False
        return self.interval is None or bool(array.min() >= self.interval[0] and array.max() <= self.interval[1])

    def hold_for(self, row: list[float]) -> bool:
        """The same for one example, as a list of numbers."""
        if self.are_distributions and not (abs(sum(row) - 1.0) <= self._rounding and min(row) >= 0):
            return False
        return self.interval is None or (min(row) >= self.interval[0] and max(row) <= self.interval[1])

    @property
    def are_any(self) -> bool:
        """Whether any number will do."""
        return not self.are_distributions and self.interval is None


def are_arrays(arrays: Mapping[str, NDArray], shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype) -> bool:
    """Whether `arrays` is a dict of plain arrays of these shapes and this dtype, each in memory of its own."""
    if arrays.__class__ is not dict or len(arrays) != len(shapes):
        return False
    for key, shape in shapes.items():
        array = arrays.get(key)
        if array.__class__ is not np.ndarray or array.dtype is not dtype or array.shape != shape:
            return False
        if array.base is not None:  # part of other memory, perhaps of that which is about to be written
            return False
    return True
