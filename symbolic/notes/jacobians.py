"""Moves on products of Jacobians: dL/dv as one factor for each equation on the path from v to L, then by its value.

They go on with a `Telling` whose head is the derivative of a scalar by one element of a tensor. The lines are matrix
expressions with the letters of that element free; the last one is an entry of a column, and `stacked` says the same of
all entries at once. None is about an activation, a loss or a note; what a move cannot do raises a DerivationError.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from sympy import Basic, Expr, KroneckerDelta, Mul, Symbol

from symbolic.backpropagation import Term, is_elementwise, local_steps
from symbolic.calculus import fresh
from symbolic.errors import DerivationError
from symbolic.expressions import Entry, TotalDerivative
from symbolic.matrices import (
    ArrayOf,
    Diagonal,
    FunctionSlope,
    Gradient,
    Identity,
    Jacobian,
    PartialGradient,
    Product,
    Scalar,
    Scale,
    Transpose,
    Unit,
)
from symbolic.matrixform import hadamard, matrix_form, product, transpose
from symbolic.notes.exposition import Chain, Setting
from symbolic.notes.moves import Telling
from symbolic.programs import Program
from symbolic.rules import DIAGONAL_JACOBIAN, ENTRY, JACOBIAN, PRODUCT, STACK, Rule, Step
from symbolic.tensors import Tensor, elements, indices_of, key_of


class JacobianTelling(Telling):
    """A chain of products of Jacobians under way."""

    head: TotalDerivative

    def chain(self, *heads: Basic) -> Chain:
        """The chain as it is: of numbers, with the letters of the element free."""
        return replace(super().chain(*heads), indices=(), shape=())

    def stacked(self, rule: Rule = STACK) -> Chain:
        """The last line for all values of its letters: the gradient as an array."""
        if not isinstance(self.now, Expr):
            raise DerivationError(f"{self.now} is no entry that could be stacked")
        indices, shape = tuple(self.ranges), tuple(self.ranges.values())
        steps = (Step(rule, self.head, self.now),)
        return Chain(self.setting, self.name, (self.head,), indices, shape, steps, "matrix")

    def factored(self, above: str = "", together: int = 0) -> JacobianTelling:
        """dL/dv as the Jacobians of the equations that lead from v to L, the last one first.

        The Jacobian of L, one row, is its gradient turned, so that a derivative of L by a column is always a column.

        above:    the path ends at this tensor u, and the gradient of L by u comes first, turned.
        together: so many factors make one group, and every other one a group by itself; 0 makes no groups.
        """
        goal = key_of(self.head.of) or ""
        keys = path(self.setting.program, key_of(self.head.by) or "", above or goal)
        columns = [_column(self.setting, key) for key in keys[:0:-1]]
        factors: list[Basic] = [Jacobian(later, sooner) for later, sooner in pairwise(columns)]
        factors.append(Jacobian(columns[-1], self.head.by))
        if above:
            factors.insert(0, Transpose(Gradient(_column(self.setting, goal), columns[0])))
        elif len(columns) > 1:
            factors[0] = Transpose(PartialGradient(*columns[:2]))
        if together:
            factors = [Product(*factors[:together]), *(Product(factor) for factor in factors[together:])]
        self.to(PRODUCT, Product(*factors))
        return self

    def diagonals(self) -> JacobianTelling:
        """diag(f'(z)) for the Jacobian of every elementwise function that has a name."""
        swap = {}
        for node in self.now.atoms(Jacobian):
            of, by = node.args
            whole = by if isinstance(by, ArrayOf) else ArrayOf(key_of(by) or "")
            if is_elementwise(self.setting.program.definitions[of.key], self.setting.tensor(whole.key)):
                diagonal = Diagonal(FunctionSlope(of, whole))
                swap[node] = diagonal if whole is by else _column_of(diagonal, by, self.setting.tensor(whole.key))
        self.to(DIAGONAL_JACOBIAN, _without_groups(self.now.xreplace(swap)))
        return self

    def valued(self) -> JacobianTelling:
        """Every Jacobian, and every partial gradient turned, by its entries; one that is the identity is left out."""
        swap = {node: jacobian_value(self.setting, node) for node in self.now.atoms(Jacobian)}
        turned = [node for node in self.now.atoms(Transpose) if isinstance(node.args[0], PartialGradient)]
        swap |= {node: jacobian_value(self.setting, Jacobian(*node.args[0].args)) for node in turned}
        kept = [factor for factor in _factors(self.now.xreplace(swap)) if not isinstance(factor, Identity)]
        self.to(JACOBIAN, kept[0] if len(kept) == 1 else Product(*kept))
        return self

    def as_entry(self) -> JacobianTelling:
        """u^T A diag(v) e_i as entry i of v o (A^T u)."""
        *row, last = _factors(self.now)
        *scalars, unit = last.args if isinstance(last, Scale) else (last,)
        if not isinstance(unit, Unit) or not all(isinstance(one, Scalar) for one in scalars) or not row:
            raise DerivationError(f"{self.now} does not end with a column that is 0 but for one entry")
        column = transpose(row[0])
        for factor in row[1:]:
            turned = isinstance(factor, Diagonal)
            column = hadamard([column, factor.args[0]]) if turned else product(transpose(factor), column)
        self.to(ENTRY, Mul(*(scalar.args[0] for scalar in scalars)) * Entry(column, unit.args[0]))
        return self


def path(program: Program, source: str, goal: str) -> list[str]:
    """Keys of the tensors from `source` to `goal`, each computed from the one before.

    Raises:
        DerivationError: there is none, or more than one: their products would have to be added.
    """
    leading = {goal}
    for equation in reversed(program.equations):
        if equation.tensor.key in leading:
            leading |= _inputs(program, equation.tensor.key)
    keys = [source]
    while keys[-1] != goal:
        later = [one.tensor.key for one in program.equations if keys[-1] in _inputs(program, one.tensor.key)]
        users = [key for key in later if key in leading]
        if len(users) != 1:
            raise DerivationError(
                f"{len(users)} paths lead from {keys[-1]} to {goal}; a product of Jacobians needs one"
            )
        keys += users
    return keys


def jacobian_value(setting: Setting, node: Jacobian) -> Basic:
    """The matrix of the derivatives of one equation, in its simplest form.

    Raises:
        DerivationError: it is no column and no matrix.
    """
    of = setting.tensor(node.args[0].key)
    equation = setting.program.definitions[of.key]
    whole = isinstance(node.args[1], ArrayOf)
    by = setting.tensor(node.args[1].key if whole else key_of(node.args[1]) or "")
    if not whole and indices_of(node.args[1]) != by.indices:
        raise DerivationError(f"{node} is not taken by the usual element of {by.key}")
    if not whole and len(by.shape) == 1:
        return _column_of(jacobian_value(setting, Jacobian(node.args[0], ArrayOf(by.key))), node.args[1], by)
    place: list[Symbol] = []
    for letter in of.indices:
        place.append(fresh(letter.name, {*by.indices, *place}))
    free = tuple(zip(place, of.shape, strict=True))
    value = local_steps(Term(equation, tuple(place), free, elementwise=False), by)[-1].after
    if not whole:
        return _one_entry(node, value, place, of)
    if not place:
        return transpose(matrix_form(value, by.indices, setting.tensors, None, by.shape))
    return matrix_form(value, (*place, *by.indices), setting.tensors, None, (*of.shape, *by.shape))


def _column_of(matrix: Basic, element: Expr, tensor: Tensor) -> Basic:
    """The column of a Jacobian that belongs to one element."""
    unit = Unit(indices_of(element)[0], tensor.shape[0])
    return unit if isinstance(matrix, Identity) else Product(matrix, unit)


def _one_entry(node: Jacobian, value: Expr, place: list[Symbol], of: Tensor) -> Basic:
    """[k = i] c as c e_i, for the column with the letter k."""
    factors = list(Mul.make_args(value))
    deltas = [one for one in factors if isinstance(one, KroneckerDelta) and set(one.args) & set(place)]
    rest = Mul(*(one for one in factors if one not in deltas))
    if len(place) != 1 or len(deltas) != 1 or place[0] in rest.free_symbols:
        raise DerivationError(f"{node} is no column that is 0 but for one entry")
    other = next(one for one in deltas[0].args if one != place[0])
    unit = Unit(other, of.shape[0])
    return unit if rest == 1 else Scale(Scalar(rest), unit)


def _without_groups(node: Basic) -> Basic:
    """The product with every group that begins with a diagonal matrix opened: it needs no brackets."""
    if not isinstance(node, Product):
        return node
    parts: list[Basic] = []
    for part in node.args:
        parts += part.args if isinstance(part, Product) and isinstance(part.args[0], (Diagonal, Product)) else (part,)
    return _without_groups(Product(*parts)) if tuple(parts) != node.args else node


def _factors(node: Basic) -> list[Basic]:
    """The factors of a product, without its groups."""
    if not isinstance(node, Product):
        return [node]
    return [factor for part in node.args for factor in _factors(part)]


def _inputs(program: Program, key: str) -> set[str]:
    equation = program.definitions.get(key)
    return set() if equation is None else {key_of(element) or "" for element in elements(equation.rhs)}


def _column(setting: Setting, key: str) -> ArrayOf:
    """A tensor as a scalar or a column.

    Raises:
        DerivationError: it is more than that.
    """
    if len(setting.tensor(key).shape) > 1:
        raise DerivationError(f"{key} is no column, so that its Jacobian is no matrix")
    return ArrayOf(key)
