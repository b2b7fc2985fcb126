"""Lines written with their shapes: the shapes are multiplied through, and those of all sides must be one."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Basic

from symbolic.chains import ChainWriter
from symbolic.errors import DerivationError
from symbolic.matrices import ArrayOf, FunctionSlope
from symbolic.matrixshapes import Shape, shape_of
from symbolic.notation import Notation
from symbolic.notes.exposition import Chain, Setting
from symbolic.rules import SHAPES
from symbolic.tensors import Equation
from symbolic.verification import Row


def shape_rows(part: Chain | tuple[Setting, Equation], notation: Notation) -> Iterator[Row]:
    """A row for every side of a chain or of a defining equation: its factors fit, and it has the shape of the first."""
    if isinstance(part, Chain):
        setting, name, indices, shape, form = part.setting, part.name, part.indices, part.shape, part.form
        sides: tuple[Basic, ...] = (*part.heads, *(step.after for step in part.steps))
    else:
        setting, equation = part
        name, indices, shape, form = equation.tensor.key, equation.indices, equation.tensor.shape, "matrix"
        sides = (equation.lhs, equation.rhs)
    writer = ChainWriter(setting.printer(notation), form)
    first: Shape | None = None
    for number, side in enumerate(sides):
        problem = ""
        try:
            written = writer.matrix(side, indices, shape)
            if written is None:
                raise DerivationError(f"{side} is written in components, which have no shape")
            _check_slopes(written)
            found = shape_of(written, setting.tensors, setting.program.value_of)
            first = first or found
            if found != first:
                raise DerivationError(f"the sides are {first[0]} x {first[1]} and {found[0]} x {found[1]}")
        except DerivationError as error:
            problem = str(error)
        yield Row(f"{setting.name}: {name}", str(number), SHAPES.name, 1, float("inf") if problem else 0.0, problem)


def _check_slopes(node: Basic) -> None:
    """A slope is about the arrays of an equation as they are: a' of z, never of what is made from z.

    Raises:
        DerivationError: something else stands in it.
    """
    for slope in node.atoms(FunctionSlope):
        other = [part for part in slope.args if not isinstance(part, ArrayOf)]
        if other:
            raise DerivationError(f"{slope} holds {other[0]}, which is no array of an equation")
