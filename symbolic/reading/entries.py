"""The entry of a matrix expression as an index expression: (W a + b)_j is Sum_s W_js a_s + b_j.

The inverse of `matrixform`, by what each kind of matrix expression means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sympy import Add, Basic, Expr, Integer, KroneckerDelta, Mul, Sum, Symbol

from symbolic.expressions import Applied, FunctionDerivative, PartialDerivative, TotalDerivative
from symbolic.matrices import (
    ArrayOf,
    Diagonal,
    Elementwise,
    FunctionOf,
    FunctionSlope,
    Gradient,
    Hadamard,
    Identity,
    Jacobian,
    Ones,
    PartialGradient,
    Plus,
    Product,
    Scalar,
    Scale,
    SumOver,
    TotalJacobian,
    Transpose,
    Unit,
)
from symbolic.reading.values import Misfit
from symbolic.tensors import Tensor, over

Shape = tuple[Expr | None, Expr | None]
_DERIVATIVES: Mapping[type[Basic], Callable[[Expr, Expr], Expr]] = {
    Gradient: TotalDerivative, PartialGradient: PartialDerivative, FunctionSlope: FunctionDerivative,
}  # fmt: skip


class Entries:
    """Writes entries of arrays.

    letter: gives a letter that stands nowhere else.
    """

    def __init__(self, tensors: Mapping[str, Tensor], letter: Callable[[], Symbol]) -> None:
        self.tensors = tensors
        self.letter = letter

    def shape(self, node: Any) -> Shape:
        """The sizes of rows and columns, None for no axis."""
        if isinstance(node, ArrayOf):
            tensor = self.tensors[node.key]
            sizes = [n for n, usual in zip(tensor.shape, tensor.indices, strict=True) if usual != node.example]
            rows, columns = [*sizes, None, None][:2]
            return rows, columns
        if isinstance(node, (Ones, Unit)):
            return node.args[-1], None
        if isinstance(node, Identity):
            return node.args[0], node.args[0]
        if isinstance(node, Transpose):
            rows, columns = self.shape(node.args[0])
            return columns, rows
        if isinstance(node, Diagonal):
            rows, _ = self.shape(node.args[0])
            return rows, rows
        if isinstance(node, Product):
            return self.shape(node.args[0])[0], self.shape(node.args[-1])[1]
        if isinstance(node, (Jacobian, TotalJacobian)):
            by = self.shape(node.args[1])[0] if isinstance(node.args[1], ArrayOf) else None
            return self.shape(node.args[0])[0], by
        if isinstance(node, (Gradient, PartialGradient, FunctionSlope)):
            return self.shape(node.args[1])
        if isinstance(node, Scalar):
            return None, None
        return self.shape(node.args[-1])

    def entry(self, node: Any, row: Expr | None, column: Expr | None) -> Expr:
        """The entry at a row and a column, None where the array has no such axis.

        Raises:
            Misfit: the array is of a kind that has no entries by themselves.
        """
        if isinstance(node, ArrayOf):
            return self._element(node, row, column)
        if isinstance(node, Scalar):
            return node.args[0]
        if isinstance(node, Ones):
            return Integer(1)
        if isinstance(node, Identity):
            return KroneckerDelta(row, column)
        if isinstance(node, Transpose):
            return self.entry(node.args[0], column, row)
        if isinstance(node, Diagonal):
            return KroneckerDelta(row, column) * self.entry(node.args[0], row, None)
        if isinstance(node, Product):
            return self._product(node.args, row, column)
        if isinstance(node, (Hadamard, Plus)):
            join = Mul if isinstance(node, Hadamard) else Add
            return join(*(self.entry(part, row, column) for part in node.args))
        if isinstance(node, Scale):
            numbers = [self.entry(part, None, None) for part in node.args[:-1]]
            return Mul(*numbers, self.entry(node.args[-1], row, column))
        if isinstance(node, Elementwise):
            places = zip(node.function.variables, node.arguments, strict=True)
            return node.function.expr.xreplace({slot: self.entry(part, row, column) for slot, part in places})
        if isinstance(node, FunctionOf):
            array, argument = node.args
            return Applied(self.entry(array, row, None), self.entry(argument, row, None))
        if isinstance(node, Unit):
            return KroneckerDelta(row, node.args[0])
        if isinstance(node, (Jacobian, TotalJacobian)):
            of, by = node.args
            return (PartialDerivative if isinstance(node, Jacobian) else TotalDerivative)(
                self.entry(of, row, None), self.entry(by, column, None) if isinstance(by, ArrayOf) else by
            )
        for kind, derivative in _DERIVATIVES.items():
            if isinstance(node, kind):
                of, by = node.args
                at = (row, column) if kind is FunctionSlope else (None, None)
                return derivative(self.entry(of, *at), self.entry(by, row, column))
        if isinstance(node, SumOver):
            letter, extent, body = node.args
            return Sum(self.entry(body, row, column), over(letter, extent))
        raise Misfit("this array has no entry that can be written by itself")

    def _element(self, node: ArrayOf, row: Expr | None, column: Expr | None) -> Expr:
        tensor = self.tensors[node.key]
        rest = iter([at for at in (row, column) if at is not None])
        positions = [node.example if usual == node.example else next(rest) for usual in tensor.indices]
        return tensor[tuple(positions)] if positions else tensor.element

    def _product(self, factors: tuple[Basic, ...], row: Expr | None, column: Expr | None) -> Expr:
        first, *rest = factors
        if not rest:
            return self.entry(first, row, column)
        extent = self.shape(first)[1]
        if extent is None:
            return self.entry(first, row, None) * self._product(tuple(rest), None, column)
        letter = self.letter()
        return Sum(self.entry(first, row, letter) * self._product(tuple(rest), letter, column), over(letter, extent))
