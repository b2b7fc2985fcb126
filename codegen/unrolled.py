"""Array programs as programs of single numbers: every element of every array is a `Scalar` of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Expr

from codegen.arrays import ArrayProgram, Node
from codegen.scalars import Table


class Unroller:
    """Evaluates array programs on arrays of scalars.

    size: the number that a size of an axis is.
    """

    def __init__(self, table: Table, size: Callable[[Expr], int]) -> None:
        self.table = table
        self.size = size
        self._functions: dict[str, np.ufunc] = {}

    def leaf(self, shape: Iterable[Expr], name: Callable[[tuple[int, ...]], str]) -> NDArray:
        """An array of leaves, each called as its place says."""
        extents = tuple(self.size(extent) for extent in shape)
        array = np.empty(extents, dtype=object)
        for place in np.ndindex(extents):
            array[place] = self.table.leaf(name(place))
        return array

    def run(self, program: ArrayProgram, arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """`arrays` and what the program assigns, by name."""
        known = dict(arrays)
        for assignment in program.assignments:
            found: dict[Node, Any] = {}
            for node in assignment.node.walk():
                found[node] = self._array(node, [found[argument] for argument in node.args], known)
            known[assignment.name] = found[assignment.node]
        return known

    def _array(self, node: Node, args: list[NDArray], known: Mapping[str, NDArray]) -> NDArray:
        whole = OPERATIONS.get(node.op)
        if whole is not None:
            return _as_array(whole(self, node, args, known))
        return _as_array(self.function(node.op, len(args))(*args))

    def function(self, op: str, count: int) -> np.ufunc:
        """`op` as a function of whole arrays."""
        if op not in self._functions:
            self._functions[op] = np.frompyfunc(lambda *args: self.table.make(op, *args), count, 1)
        return self._functions[op]

    def sum(self, array: NDArray, axes: tuple[int, ...]) -> NDArray:
        return self.reduced("add", self._numbers(array), axes)

    def reduced(self, op: str, array: NDArray, axes: tuple[int, ...]) -> NDArray:
        """One axis after the other, the last first; within an axis in order."""
        function = self.function(op, 2)
        for axis in sorted(axes, reverse=True):
            first, *others = np.moveaxis(array, axis, 0)
            for other in others:
                first = function(first, other)
            array = _as_array(first)
        return array

    def product(self, left: NDArray, right: NDArray, letters: tuple[str, str, str]) -> NDArray:
        """The sum of left * right over the letters that the result has not, as einsum says it."""
        first, second, result = letters
        bound = [letter for letter in dict.fromkeys(first + second) if letter not in result]
        order = [*result, *bound]
        aligned = [_aligned(array, mine, order) for array, mine in ((left, first), (right, second))]
        return self.sum(_as_array(self.function("multiply", 2)(*aligned)), tuple(range(len(result), len(order))))

    def _numbers(self, array: NDArray) -> NDArray:
        return _as_array(self.function("cast", 1)(array))

    def shape(self, node: Node) -> tuple[int, ...]:
        return tuple(self.size(extent) for extent in node.shape)


def _as_array(value: Any) -> NDArray:
    if isinstance(value, np.ndarray):
        return value
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def _aligned(array: NDArray, letters: str, order: list[str]) -> NDArray:
    present = [letter for letter in order if letter in letters]
    turned = array.transpose([letters.index(letter) for letter in present])
    return turned[tuple(slice(None) if letter in letters else None for letter in order)]


def _matmul(unroller: Unroller, node: Node, args: list[NDArray], known: Mapping[str, NDArray]) -> NDArray:
    left, right = args
    return unroller.product(left, right, letters_of_matmul(left.ndim, right.ndim))


def letters_of_matmul(left: int, right: int) -> tuple[str, str, str]:
    """Letters for the axes of two factors and of their product, which have so many axes."""
    stack = "abcdefgh"[: max(left, right, 2) - 2]
    rows, columns = ("i" if left > 1 else ""), ("j" if right > 1 else "")
    mine = stack[len(stack) - max(left - 2, 0) :], stack[len(stack) - max(right - 2, 0) :]
    return f"{mine[0]}{rows}s", f"{mine[1]}s{columns}", f"{stack}{rows}{columns}"


def _tensordot(unroller: Unroller, node: Node, args: list[NDArray], known: Mapping[str, NDArray]) -> NDArray:
    names = iter("abcdefghijklmnopqrstuvwxyz")
    first = [next(names) for _ in range(args[0].ndim)]
    second = [next(names) for _ in range(args[1].ndim)]
    for left, right in zip(*node.detail, strict=True):
        second[right] = first[left]
    free = [letter for letter in first + second if (letter in first) != (letter in second)]
    return unroller.product(args[0], args[1], ("".join(first), "".join(second), "".join(free)))


def _constants(unroller: Unroller, array: NDArray) -> NDArray:
    return _as_array(np.frompyfunc(unroller.table.constant, 1, 1)(array))


Operation = Callable[[Unroller, Node, list[NDArray], Mapping[str, NDArray]], Any]
OPERATIONS: Mapping[str, Operation] = {
    "tensor": lambda unroller, node, args, known: known[node.detail],
    "number": lambda unroller, node, args, known: unroller.table.constant(float(node.detail)),
    "extent": lambda unroller, node, args, known: unroller.table.constant(unroller.size(node.detail)),
    "sum": lambda unroller, node, args, known: unroller.sum(args[0], node.detail),
    "max": lambda unroller, node, args, known: unroller.reduced("maximum", args[0], node.detail),
    "matmul": _matmul,
    "tensordot": _tensordot,
    "einsum": lambda unroller, node, args, known: unroller.product(args[0], args[1], node.detail),
    "transpose": lambda unroller, node, args, known: args[0].transpose(node.detail),
    "expand": lambda unroller, node, args, known: args[0][
        tuple(None if axis in node.detail else slice(None) for axis in range(len(node.shape)))
    ],
    "pick": lambda unroller, node, args, known: args[0][
        tuple(slice(None) if place is None else place for place in node.detail)
    ],
    "diagonal": lambda unroller, node, args, known: np.diagonal(args[0], axis1=node.detail[0], axis2=node.detail[1]),
    "fill": lambda unroller, node, args, known: np.broadcast_to(args[0], unroller.shape(node)),
    "broadcast": lambda unroller, node, args, known: np.broadcast_to(args[0], unroller.shape(node)),
    "identity": lambda unroller, node, args, known: _constants(unroller, np.eye(unroller.shape(node)[0])),
    "copy": lambda unroller, node, args, known: args[0],
}


def operations(program: ArrayProgram, size: Callable[[Expr], int]) -> int:
    """How many operations on single numbers a program is, before equal ones are found; cheap to say."""
    total = 0
    for assignment in program.assignments:
        for node in assignment.node.walk():
            shape = node.args[0].shape if node.op in ("sum", "max") else node.shape
            count = math.prod(size(extent) for extent in shape)
            if node.op == "matmul":
                total += 2 * count * size(node.args[0].shape[-1])
            elif node.op == "tensordot":
                total += 2 * count * math.prod(size(node.args[0].shape[axis]) for axis in node.detail[0])
            elif node.op == "einsum":
                first, second, result = node.detail
                extents = dict(zip(first + second, (*node.args[0].shape, *node.args[1].shape), strict=True))
                total += 2 * count * math.prod(size(extents[letter]) for letter in extents if letter not in result)
            elif node.args and node.op not in ("transpose", "expand", "pick", "diagonal", "copy", "broadcast", "fill"):
                total += count
    return total
