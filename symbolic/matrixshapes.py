"""Shapes of matrix expressions: computed from those of their arrays, and refused where factors or terms do not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from sympy import Basic, Expr

from symbolic.errors import DerivationError
from symbolic.expressions import Entry
from symbolic.matrices import (
    ArrayOf,
    Diagonal,
    Elementwise,
    EntryGradient,
    FunctionOf,
    Gradient,
    Identity,
    Jacobian,
    MatrixExpression,
    Ones,
    PartialGradient,
    Product,
    Scalar,
    Scale,
    SumOver,
    Transpose,
)
from symbolic.tensors import Tensor

Shape = tuple[int, int]


def shape_of(node: Basic, tensors: Mapping[str, Tensor], value_of: Callable[[Expr], Expr]) -> Shape:
    """(rows, columns); a scalar is 1 x 1.

    tensors: by key. value_of: the number of a size.

    Raises:
        DerivationError: columns meet rows of another number, terms have different shapes, or a size has no number.
    """

    def number(extent: Expr) -> int:
        value = value_of(extent)
        if not value.is_Integer:
            raise DerivationError(f"the size {extent} has no number")
        return int(value)

    def shape(part: Basic) -> Shape:
        return shape_of(part, tensors, value_of)

    if isinstance(node, ArrayOf):
        tensor = tensors[node.key]
        own = zip(tensor.shape, tensor.indices, strict=True)
        extents = [number(extent) for extent, letter in own if node.example is None or letter != node.example]
        if len(extents) > 2:
            raise DerivationError(f"{node.key} has {len(extents)} axes")
        rows, columns, *_ = *extents, 1, 1
        return rows, columns
    if isinstance(node, (Scalar, EntryGradient)):
        for entry in node.args[0].atoms(Entry):
            shape(entry.array)
        return shape(node.args[1]) if isinstance(node, EntryGradient) else (1, 1)
    if isinstance(node, Ones):
        return number(node.args[0]), 1
    if isinstance(node, Identity):
        return number(node.args[0]), number(node.args[0])
    if isinstance(node, Diagonal):
        return shape(node.args[0])[0], shape(node.args[0])[0]
    if isinstance(node, Transpose):
        return shape(node.args[0])[::-1]
    if isinstance(node, (Gradient, PartialGradient, FunctionOf)):
        return shape(node.args[1])
    if isinstance(node, Jacobian):
        return shape(node.args[0])[0], shape(node.args[1])[0] if isinstance(node.args[1], ArrayOf) else 1
    if isinstance(node, SumOver):
        return shape(node.args[2])
    if isinstance(node, Product):
        return _product([shape(part) for part in node.args], node)
    parts = [shape(part) for part in node.args if isinstance(part, MatrixExpression)]
    if not parts:
        raise DerivationError(f"{node} has no shape")
    if isinstance(node, (Scale, Elementwise)):
        parts = [part for part in parts if part != (1, 1)] or [(1, 1)]
    if any(part != parts[0] for part in parts):
        raise DerivationError(f"{node} joins {' and '.join(f'{rows} x {columns}' for rows, columns in parts)}")
    return parts[0]


def _product(parts: list[Shape], node: Basic) -> Shape:
    for (_, columns), (rows, _) in pairwise(parts):
        if columns != rows:
            raise DerivationError(f"{node}: {columns} columns meet {rows} rows")
    return parts[0][0], parts[-1][1]
