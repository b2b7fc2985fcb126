"""Lines whose entries are derivatives of single numbers, as arrays: Sum_i u_i dz_i/dW for Sum_i u_i dz_i/dW_js.

`matrixform` writes what matrices can say. A derivative of a vector by a matrix has three axes, and no matrix says it;
that of one of its entries by the whole matrix has two, and is an array under the sum over the entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sympy import Add, Basic, Expr, Mul, Sum, Symbol

from symbolic.calculus import letters
from symbolic.errors import NoMatrixForm
from symbolic.expressions import Differentiated, Entry, PartialDerivative, TotalDerivative
from symbolic.matrices import ArrayOf, EntryGradient, MatrixExpression, Scalar, SumOver
from symbolic.matrixform import matrix_form, plus, scale
from symbolic.tensors import Tensor, indices_of, key_of


def array_form(
    expression: Expr,
    indices: Sequence[Symbol],
    tensors: Mapping[str, Tensor],
    example: Symbol | None = None,
    shape: Sequence[Expr] = (),
) -> Basic:
    """`expression` in matrix notation, sums over derivatives of entries as they are; arguments as for `matrix_form`.

    Raises:
        NoMatrixForm: it has no such form either; names the part.
    """
    if expression.has(Sum):
        axes = tuple(letter for letter in indices if letter != example)
        try:
            return _Entries(tensors, example, axes).write(expression, ())
        except NoMatrixForm as refusal:
            return _matrices(expression, indices, tensors, example, shape, refusal)
    return matrix_form(expression, indices, tensors, example, shape)


def _matrices(
    expression: Expr,
    indices: Sequence[Symbol],
    tensors: Mapping[str, Tensor],
    example: Symbol | None,
    shape: Sequence[Expr],
    refusal: NoMatrixForm,
) -> Basic:
    try:
        return matrix_form(expression, indices, tensors, example, shape)
    except NoMatrixForm as error:
        raise NoMatrixForm(f"{error}; {refusal}") from error


class _Entries:
    """Writes one expression; `axes` are the letters of the result, all of them at one derivative in each term."""

    def __init__(self, tensors: Mapping[str, Tensor], example: Symbol | None, axes: tuple[Symbol, ...]) -> None:
        self.tensors = tensors
        self.example = example
        self.axes = axes

    def write(self, expression: Expr, scope: tuple[Symbol, ...]) -> Basic:
        """scope: the letters of the sums that it stands under."""
        if isinstance(expression, Add):
            return plus([self.write(term, scope) for term in expression.args])
        if isinstance(expression, Sum):
            return self._sum(expression, scope)
        factors = list(Mul.make_args(expression))
        arrays = [factor for factor in factors if letters(factor) & set(self.axes)]
        if len(arrays) != 1:
            raise NoMatrixForm(f"matrix notation has no form for {expression}: not one factor has all of its axes")
        scalars = Mul(*(self.number(factor, scope) for factor in factors if factor is not arrays[0]))
        array = self._array(arrays[0], scope)
        return array if scalars == 1 else scale([Scalar(scalars)], array)

    def _sum(self, expression: Sum, scope: tuple[Symbol, ...]) -> Basic:
        body, inner = expression.function, scope
        for letter, low, _ in expression.limits:
            if low != 0:
                raise NoMatrixForm(f"{expression} does not run over a whole axis")
            inner = (*inner, letter)
        form = self.write(body, inner)
        for letter, _, high in expression.limits:
            form = SumOver(letter, high + 1, form)
        return form

    def _array(self, factor: Expr, scope: tuple[Symbol, ...]) -> Basic:
        if isinstance(factor, Sum):
            return self._sum(factor, scope)
        if isinstance(factor, (TotalDerivative, PartialDerivative, Differentiated)):
            by = tuple(letter for letter in indices_of(factor.by) if letter != self.example)
            of = factor.body if isinstance(factor, Differentiated) else factor.of
            if by == self.axes and not letters(of) & set(self.axes):
                mark = (self.example,) if self.example in indices_of(factor.by) else ()
                return EntryGradient(self.number(of, scope), ArrayOf(key_of(factor.by) or "", *mark))
        raise NoMatrixForm(f"matrix notation has no form for {factor} with the axes {self.axes}")

    def number(self, expression: Expr, scope: tuple[Symbol, ...]) -> Expr:
        """One number: as it is, or, where sums stand in it, as an entry of a matrix expression: (W a + b)_i."""
        at = [letter for letter in scope if letter in letters(expression)]
        if not expression.has(Sum) or len(at) != 1:
            return expression
        try:
            form = matrix_form(expression, at, self.tensors, self.example)
        except NoMatrixForm:
            return expression
        assert isinstance(form, MatrixExpression), "a matrix form is a matrix expression"
        return Entry(form, *at)
