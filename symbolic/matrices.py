"""Matrix notation as expressions: what each kind stands for, with its shape.

They are SymPy `Basic` objects, so that they can stand in a `Step`. Vectors are columns (n x 1). What a kind means is
said in its docstring, printed by `latex`, and evaluated by `matrixvalues`.
"""

from __future__ import annotations

from sympy import Basic, Lambda, Symbol
from sympy.core.symbol import Str
from sympy.printing.printer import Printer


class MatrixExpression(Basic):
    """A scalar, a column (n x 1), a row (1 x n, only as a transposed column) or a matrix (m x n)."""

    def _sympystr(self, printer: Printer) -> str:
        # SymPy's own printers go by class name and would take a Transpose or a Product for theirs.
        return f"{type(self).__name__}({', '.join(printer.doprint(part) for part in self.args)})"

    _sympyrepr = _sympystr


class ArrayOf(MatrixExpression):
    """`ArrayOf(key)`: the whole tensor: a scalar, a column, or a matrix whose rows are its first axis.

    `ArrayOf(key, p)`: the tensor at example p: its axis whose usual index letter (`Tensor.indices`) is p is
    fixed, and what remains is the scalar, column or matrix.
    """

    def __new__(cls, key: Str | str, *example: Symbol) -> ArrayOf:
        return Basic.__new__(cls, key if isinstance(key, Str) else Str(key), *example)

    @property
    def key(self) -> str:
        return str(self.args[0].name)

    @property
    def example(self) -> Symbol | None:
        return self.args[1] if len(self.args) > 1 else None


class Scalar(MatrixExpression):
    """One number as an index expression: made of numbers and sizes, or of entries at letters that are free here."""


class Ones(MatrixExpression):
    """`Ones(n)`: the column of n ones."""


class Identity(MatrixExpression):
    """`Identity(n)`: the n x n identity matrix."""


class Transpose(MatrixExpression):
    """Rows and columns exchanged. Of a column (n x 1) it is the row (1 x n)."""


class Diagonal(MatrixExpression):
    """`Diagonal(u)`: the n x n matrix with the column u (n x 1) on its diagonal and zeros elsewhere."""


class Product(MatrixExpression):
    """The matrix product of its arguments from left to right; a 1 x 1 result counts as a scalar."""


class Hadamard(MatrixExpression):
    """The entry by entry product of arrays of one shape."""


class Plus(MatrixExpression):
    """The sum of arrays of one shape; a scalar added to every entry is written with `Ones`."""


class Scale(MatrixExpression):
    """`Scale(c, ..., A)`: the array A, of any shape, times the scalars before it."""


class Elementwise(MatrixExpression):
    """`Elementwise(Lambda((t, ...), f), A, ...)`: f applied entry by entry to arrays of one shape (or to
    scalars).

    Inside f stand the arguments of the Lambda, numbers and sizes, and nothing else.
    """

    @property
    def function(self) -> Lambda:
        return self.args[0]

    @property
    def arguments(self) -> tuple[Basic, ...]:
        return self.args[1:]


class FunctionSlope(MatrixExpression):
    """`FunctionSlope(a, z)`: f'(z) entry by entry, where a = f(z) is the equation that defines a."""


class Gradient(MatrixExpression):
    """`Gradient(L, v)`: the total derivatives dL/dv of a scalar L by every entry of v, in the shape of v."""


class PartialGradient(MatrixExpression):
    """`PartialGradient(u, v)`: the partial derivatives of a scalar u by every entry of v, in the shape of
    v.
    """


class Jacobian(MatrixExpression):
    """`Jacobian(u, v)`: the matrix of partial u_i/partial v_j of the equation that defines u; rows i,
    columns j. Of a scalar u it is a row; by one element v_s, a tensor element, it is a column.
    """


class EntryGradient(MatrixExpression):
    """`EntryGradient(f, V)`: the derivatives of one number f by every entry of V, in the shape of V.

    f: a tensor element or an expression; what f holds of what is computed from V is computed again.
    """


class FunctionOf(MatrixExpression):
    """`FunctionOf(a, U)`: the function that defines the tensor a, applied to the column U in place of its input."""


class TotalJacobian(MatrixExpression):
    """`TotalJacobian(u, v)`: the matrix of the total derivatives du_i/dv_j of two columns; rows i, columns j. By one
    element v_j, a tensor element, it is a column.
    """


class RowOf(MatrixExpression):
    """`RowOf(W, i)`: row i of the matrix W (m x n), as a column (n x 1)."""


class Unit(MatrixExpression):
    """`Unit(i, n)`: the column of n entries that is 1 at i and 0 elsewhere."""


class Stacked(MatrixExpression):
    """`Stacked(i, n, A)`: A, a scalar or a row in which the letter i stands free, for its n values under each other."""


class Abreast(MatrixExpression):
    """`Abreast(j, n, A)`: A, a scalar or a column in which the letter j stands free, for its n values side by side."""


class SumOver(MatrixExpression):
    """`SumOver(p, N, A)`: A, in which the letter p stands free, added up over its N values, such as the examples."""
