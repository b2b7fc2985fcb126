"""Numbers for matrix expressions at a point: what each class of `matrixform` means, evaluated literally.

A scalar is a number; everything else is a list of rows. Used by `verification` only, to hold a line in matrix notation
against the same line in index notation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import Basic, Symbol

from symbolic.duals import held
from symbolic.errors import DerivationError
from symbolic.evaluation import Point
from symbolic.matrices import (
    Abreast,
    ArrayOf,
    Diagonal,
    Elementwise,
    EntryGradient,
    FunctionOf,
    FunctionSlope,
    Gradient,
    Hadamard,
    Identity,
    Jacobian,
    MatrixExpression,
    Ones,
    PartialGradient,
    Plus,
    Product,
    RowOf,
    Scalar,
    Scale,
    Stacked,
    SumOver,
    TotalJacobian,
    Transpose,
    Unit,
)
from symbolic.precision import NUMBERS, NotReal, Place, Table, places
from symbolic.tensors import elements, indices_of, key_of

Value = Any  # a number, or a list of rows
Letters = dict[Symbol, int]


def matrix_value(point: Point, node: Basic, letters: Letters) -> Value:
    """The number or the rows that `node` stands for.

    letters: the value of the example index, where `node` is about one example.

    Raises:
        DerivationError: if shapes do not fit, which a wrong matrix form betrays itself by.
    """
    read = _READERS.get(type(node))
    if read is None:
        raise DerivationError(f"{node} is no matrix expression that can be evaluated")
    known = point.matrix_values
    key = node, *letters.items()
    if key not in known:
        known[key] = read(point, node, letters)
    return known[key]


def _rows(extents: tuple[int, ...], entry: Callable[[Place], Any]) -> Value:
    if not extents:
        return entry(())
    if len(extents) == 1:
        return [[entry((row,))] for row in range(extents[0])]
    if len(extents) == 2:
        return [[entry((row, column)) for column in range(extents[1])] for row in range(extents[0])]
    raise DerivationError(f"an array with {len(extents)} axes is no matrix")


class _View:
    """The axes of a tensor that remain when its example is fixed."""

    def __init__(self, point: Point, node: ArrayOf, letters: Letters) -> None:
        if not isinstance(node, ArrayOf):
            raise DerivationError(f"{node} stands where only a tensor may")
        tensor = point.tensors.get(node.key) or point.derived_tensors[node.key]
        self.key = node.key
        whole = point.extents(tensor)
        self.fixed = {
            axis: letters[node.example] for axis, letter in enumerate(tensor.indices)
            if node.example is not None and letter == node.example
        }  # fmt: skip
        self.extents = tuple(n for axis, n in enumerate(whole) if axis not in self.fixed)
        self.rank = len(whole)

    def place(self, rest: Place) -> Place:
        if not self.fixed:
            return rest[: self.rank]
        found, at = [], iter(rest)
        for axis in range(self.rank):
            found.append(self.fixed[axis] if axis in self.fixed else next(at))
        return tuple(found)


def _array(point: Point, node: ArrayOf, letters: Letters) -> Value:
    view = _View(point, node, letters)
    table: Table = point.table(node.key)
    return _rows(view.extents, lambda rest: table[view.place(rest)])


def _gradient(point: Point, node: Gradient, letters: Letters) -> Value:
    of, by = (_View(point, one, letters) for one in node.args)
    totals = point.total(of.key, by.key)
    return _rows(by.extents, lambda rest: totals[by.place(rest)].get(of.place(()), NUMBERS.zero))


def _partial_gradient(point: Point, node: PartialGradient, letters: Letters) -> Value:
    of, by = (_View(point, one, letters) for one in node.args)
    return _rows(by.extents, lambda rest: point.partial(of.place(()), of.key, by.place(rest), by.key))


def _jacobian(point: Point, node: Jacobian, letters: Letters) -> Value:
    of = _View(point, node.args[0], letters)
    if not isinstance(node.args[1], ArrayOf):
        key, place = _place(node.args[1], letters)
        return _rows(of.extents, lambda rest: point.partial(of.place(rest), of.key, place, key))
    by = _View(point, node.args[1], letters)
    if len(of.extents) > 1 or len(by.extents) != 1:
        raise DerivationError(f"{node} is a Jacobian of something that is no column")
    return _rows(
        of.extents + by.extents if of.extents else (1, *by.extents),
        lambda rest: point.partial(of.place(rest[: len(of.extents)]), of.key, by.place(rest[1:]), by.key),
    )


def _place(element: Basic, letters: Letters) -> tuple[str, Place]:
    return key_of(element) or "", _numbers(indices_of(element), letters)


def _entry_gradient(point: Point, node: EntryGradient, letters: Letters) -> Value:
    of, by = node.args[0], _View(point, node.args[1], letters)
    if key_of(of) is not None:
        key, place = _place(of, letters)
        totals = point.total(key, by.key)
        return _rows(by.extents, lambda rest: totals[by.place(rest)].get(place, NUMBERS.zero))
    run = point.compile(of)
    return _rows(by.extents, lambda rest: point.moved(run, letters, held(of), by.key, by.place(rest)))


def _function_of(point: Point, node: FunctionOf, letters: Letters) -> Value:
    """The defining equation with the column in place of its one input, whose values are exchanged while it runs."""
    array = node.args[0]
    equation = point.program.definitions[array.key]
    inputs = dict.fromkeys(key_of(element) or "" for element in elements(equation.rhs))
    if len(inputs) != 1:
        raise DerivationError(f"{node}: {array.key} is a function of {len(inputs)} tensors, not of one")
    key = next(iter(inputs))
    value, view = matrix_value(point, node.args[1], letters), _View(point, ArrayOf(key, *array.args[1:]), letters)
    run = point.compile(equation.rhs)
    kept, point.tables = point.tables, {**point.tables}
    try:
        point.tables[key] = {view.place((row,)): entry[0] for row, entry in enumerate(value)}
        free = [letter for letter in equation.indices if letter != point.program.example]
        return _rows(view.extents, lambda rest: run({**letters, **dict(zip(free, rest, strict=True))})[0])
    finally:
        point.tables = kept


def _slope(point: Point, node: FunctionSlope, letters: Letters) -> Value:
    of, by = (_View(point, one, letters) for one in node.args)
    return _rows(of.extents, lambda rest: point.partial(of.place(rest), of.key, by.place(rest), by.key))


def _scalar(point: Point, node: Scalar, letters: Letters) -> Value:
    return point.value(node.args[0], letters)


def _transpose(point: Point, node: Transpose, letters: Letters) -> Value:
    return [list(column) for column in zip(*matrix_value(point, node.args[0], letters), strict=True)]


def _axes(point: Point, node: Basic) -> tuple[bool, bool]:
    """Whether rows and columns of an expression stand for axes: (False, False) is a scalar, whatever its sizes."""
    if isinstance(node, ArrayOf):
        rank = len(_View(point, node, dict.fromkeys(node.args[1:], 0)).extents)
        return rank > 0, rank > 1
    if isinstance(node, (Gradient, PartialGradient, EntryGradient, FunctionOf)):
        return _axes(point, node.args[1])
    if isinstance(node, Jacobian):
        return not isinstance(node.args[0], ArrayOf) or _axes(point, node.args[0])[0], isinstance(node.args[1], ArrayOf)
    if isinstance(node, Transpose):
        rows, columns = _axes(point, node.args[0])
        return columns, rows
    if isinstance(node, (RowOf, Unit)):
        return True, False
    if isinstance(node, TotalJacobian):
        return True, isinstance(node.args[1], ArrayOf)
    if isinstance(node, (Stacked, Abreast)):
        rows, columns = _axes(point, node.args[2])
        return rows or isinstance(node, Stacked), columns or isinstance(node, Abreast)
    if isinstance(node, Product):
        return _axes(point, node.args[0])[0], _axes(point, node.args[-1])[1]
    if isinstance(node, (Scalar, Ones)):
        return isinstance(node, Ones), False
    if isinstance(node, (Identity, Diagonal)):
        return True, True
    parts = [_axes(point, part) for part in node.args if isinstance(part, MatrixExpression)]
    return any(rows for rows, _ in parts), any(columns for _, columns in parts)


def _product(point: Point, node: Product, letters: Letters) -> Value:
    result = matrix_value(point, node.args[0], letters)
    for argument in node.args[1:]:
        right = matrix_value(point, argument, letters)
        if len(result[0]) != len(right):
            raise DerivationError(f"{node}: {len(result[0])} columns meet {len(right)} rows")
        columns = list(zip(*right, strict=True))
        result = [[NUMBERS.fdot(zip(row, column, strict=True)) for column in columns] for row in result]
    return result if any(_axes(point, node)) else result[0][0]


def _entrywise(values: list[Value], combine: Callable[..., Any], what: Basic) -> Value:
    arrays = [value for value in values if isinstance(value, list)]
    if not arrays:
        return combine(*values)

    def entry(*numbers: Any) -> Any:
        """One entry; where it has no real value it may still be in a case that is not taken."""
        try:
            return combine(*numbers)
        except NotReal:
            return NUMBERS.nan

    shape = (len(arrays[0]), len(arrays[0][0]))
    if any((len(array), len(array[0])) != shape for array in arrays):
        raise DerivationError(f"{what} joins arrays of different shapes")
    return [
        [entry(*(v[r][c] if isinstance(v, list) else v for v in values)) for c in range(shape[1])]
        for r in range(shape[0])
    ]


def _times(*numbers: Any) -> Any:
    total = NUMBERS.one
    for number in numbers:
        total = total * number
    return total


def _all(point: Point, nodes: tuple[Basic, ...], letters: Letters) -> list[Value]:
    return [matrix_value(point, node, letters) for node in nodes]


def _hadamard(point: Point, node: Hadamard, letters: Letters) -> Value:
    return _entrywise(_all(point, node.args, letters), _times, node)


def _plus(point: Point, node: Plus, letters: Letters) -> Value:
    values = _all(point, node.args, letters)
    if len({isinstance(value, list) for value in values}) == 2:
        raise DerivationError(f"{node} adds a scalar to an array")
    return _entrywise(values, lambda *numbers: NUMBERS.fsum(numbers), node)


def _scale(point: Point, node: Scale, letters: Letters) -> Value:
    values = _all(point, node.args, letters)
    if any(isinstance(value, list) for value in values[:-1]):
        raise DerivationError(f"{node} scales by something that is no scalar")
    return _entrywise(values, _times, node)


def _elementwise(point: Point, node: Elementwise, letters: Letters) -> Value:
    slots = node.function.variables
    run = point.compile_with(node.function.expr, slots)
    return _entrywise(_all(point, node.arguments, letters), run, node)


def _sum_over(point: Point, node: SumOver, letters: Letters) -> Value:
    letter, extent, body = node.args
    values = [matrix_value(point, body, {**letters, letter: at}) for at in range(point.extent(extent))]
    return _entrywise(values, lambda *numbers: NUMBERS.fsum(numbers), node)


def _diagonal(point: Point, node: Diagonal, letters: Letters) -> Value:
    column = matrix_value(point, node.args[0], letters)
    return _rows((len(column),) * 2, lambda at: column[at[0]][0] if at[0] == at[1] else NUMBERS.zero)


def _ones(point: Point, node: Ones, letters: Letters) -> Value:
    return _rows((point.extent(node.args[0]),), lambda at: NUMBERS.one)


def _identity(point: Point, node: Identity, letters: Letters) -> Value:
    return _rows((point.extent(node.args[0]),) * 2, lambda at: NUMBERS.one if at[0] == at[1] else NUMBERS.zero)


def _total_jacobian(point: Point, node: TotalJacobian, letters: Letters) -> Value:
    of = _View(point, node.args[0], letters)
    if not isinstance(node.args[1], ArrayOf):
        key, place = _place(node.args[1], letters)
        moves = point.total(of.key, key)[place]
        return _rows(of.extents, lambda at: moves.get(of.place(at), NUMBERS.zero))
    by = _View(point, node.args[1], letters)
    if len(of.extents) != 1 or len(by.extents) != 1:
        raise DerivationError(f"{node} is a Jacobian of something that is no column")
    totals = point.total(of.key, by.key)
    return _rows(of.extents + by.extents, lambda at: totals[by.place(at[1:])].get(of.place(at[:1]), NUMBERS.zero))


def _row_of(point: Point, node: RowOf, letters: Letters) -> Value:
    (row,) = _numbers(node.args[1:], letters)
    return [[entry] for entry in matrix_value(point, node.args[0], letters)[row]]


def _unit(point: Point, node: Unit, letters: Letters) -> Value:
    (place,) = _numbers(node.args[:1], letters)
    return _rows((point.extent(node.args[1]),), lambda at: NUMBERS.one if at[0] == place else NUMBERS.zero)


def _numbers(positions: tuple[Basic, ...], letters: Letters) -> Place:
    return tuple(letters[one] if isinstance(one, Symbol) else int(one) for one in positions)


def _blocks(point: Point, node: Stacked | Abreast, letters: Letters) -> list[Value]:
    """The parts of an array that is put together, each as rows."""
    letter, extent, body = node.args
    values = [matrix_value(point, body, {**letters, letter: at}) for at in range(point.extent(extent))]
    return [value if isinstance(value, list) else [[value]] for value in values]


def _stacked(point: Point, node: Stacked, letters: Letters) -> Value:
    rows = [row for block in _blocks(point, node, letters) for row in block]
    if len({len(row) for row in rows}) != 1:
        raise DerivationError(f"{node} stacks rows of different lengths")
    return rows


def _abreast(point: Point, node: Abreast, letters: Letters) -> Value:
    blocks = _blocks(point, node, letters)
    if len({len(block) for block in blocks}) != 1:
        raise DerivationError(f"{node} joins columns of different lengths")
    return [[entry for row in rows for entry in row] for rows in zip(*blocks, strict=True)]


_READERS: dict[type[Basic], Callable[[Point, Any, Letters], Value]] = {
    ArrayOf: _array, Scalar: _scalar, Ones: _ones, Identity: _identity, Transpose: _transpose, Diagonal: _diagonal,
    Product: _product, Hadamard: _hadamard, Plus: _plus, Scale: _scale, Elementwise: _elementwise,
    FunctionSlope: _slope, Gradient: _gradient, PartialGradient: _partial_gradient, Jacobian: _jacobian,
    SumOver: _sum_over, EntryGradient: _entry_gradient, FunctionOf: _function_of, TotalJacobian: _total_jacobian,
    RowOf: _row_of, Unit: _unit, Stacked: _stacked, Abreast: _abreast,
}  # fmt: skip


def entries(value: Value, rank: int) -> Table:
    """The value as a table by place, of the rank that the index form has."""
    if rank == 0:
        return {(): value}
    if not isinstance(value, list):
        value = [[value]]
    if rank == 1:
        if any(len(row) != 1 for row in value):
            raise DerivationError(f"a column was expected, not an array of shape ({len(value)}, {len(value[0])})")
        return {(row,): value[row][0] for row in range(len(value))}
    return {at: value[at[0]][at[1]] for at in places((len(value), len(value[0])))}
