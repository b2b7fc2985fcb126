"""Chains of equalities as lines of an aligned display, and forward equations as lines of their own.

A line is written in matrix notation where that is wanted and matrices can say it, else in components, with its own left
side. Lines are broken by their estimated width; a rule is named at the right of the line that it made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sympy import Basic, Expr, Symbol

from symbolic.errors import NoMatrixForm
from symbolic.expressions import Undefined
from symbolic.latex import LatexPrinter
from symbolic.linewidth import width
from symbolic.matrices import MatrixExpression
from symbolic.matrixform import matrix_form
from symbolic.pages.blocks import PAPER, Label, Line, Medium
from symbolic.rules import DIFFERENTIATE, NAME, Step
from symbolic.tensors import Equation, elements, key_of

# Steps that are not mentioned where a notation writes what comes out as it wrote what went in.
UNSEEN = (NAME.name, DIFFERENTIATE.name)
# The letter with which a named function is defined: the first that a notation leaves free.
VARIABLES = ("t", "x", "u", "v", "s", "q")


class ChainWriter:
    """Writes the expressions of one program, in one form, with one printer."""

    def __init__(self, printer: LatexPrinter, form: str, medium: Medium = PAPER) -> None:
        self.printer = printer
        self.form = form
        self.medium = medium
        # Heads and final lines are asked for again by a summary.
        self.written: dict[tuple[Basic, Sequence[Symbol]], Basic | None] = {}

    def chain(
        self, heads: Sequence[Expr], items: Sequence[tuple[Basic, Sequence[Label]]], indices: tuple[Symbol, ...],
        shape: tuple[Expr, ...],
    ) -> list[Line]:  # fmt: skip
        """The lines of heads[0] = items[0] = items[1] = ..., where items[0] is the last of the heads.

        items: expressions with the labels of the lines that they make. indices: the free letters of all of them.
        """
        in_matrices = all(self.matrix(head, indices, shape) is not None for head in heads)
        lines: list[Line] = []
        previous: tuple[bool, str] | None = None
        for number, (expression, labels) in enumerate(items):
            matrix = self.matrix(expression, indices, shape) if in_matrices else None
            as_matrix = matrix is not None
            shown: Basic = matrix if matrix is not None else expression
            left = ""
            if previous is None or previous[0] != as_matrix:
                head = self.matrix(heads[0], indices, shape) if as_matrix else heads[0]
                left = self.printer.doprint(head if head is not None else heads[0])
            text = self.printer.doprint(shown)
            if number == 0 and len(heads) == 1:
                previous = None
                continue
            if previous == (as_matrix, text) and lines:
                lines[-1].label([label for label in labels if label.text not in UNSEEN])
                continue
            if left == text:
                continue
            lines.append(Line(left, self.printer.lines(shown, self.room(left or lines[0].left)), tuple(labels)))
            previous = (as_matrix, text)
        return lines or [self.line(heads[0], items[-1][0])]

    def substeps(self, steps: Sequence[Step], label_of: Callable[[Step], Label]) -> list[Line]:
        """Substeps in components, one chain for each part that they rewrite."""
        lines: list[Line] = []
        last: Basic | None = None
        indent = ""
        for step in steps:
            label = label_of(step)
            left = "" if step.before == last else self.printer.doprint(step.before)
            indent = left or indent
            text = self.printer.doprint(step.after)
            last = step.after
            if (lines and not left and "".join(lines[-1].right) == text) or text == left:
                if lines:
                    lines[-1].label([label])
                continue
            lines.append(Line(left, self.printer.lines(step.after, self.room(indent)), (label,)))
        return lines

    def matrix(self, expression: Basic, indices: Sequence[Symbol], shape: Sequence[Expr]) -> Basic | None:
        """The matrix form, or None where matrices cannot say it or components are wanted.

        A matrix whose rows belong to inputs is written turned, where the notation has weights so.
        """
        if self.form != "matrix":
            return None
        if isinstance(expression, MatrixExpression):
            return expression
        key = (expression, indices)
        if key not in self.written:
            try:
                indices, shape = self.axes(indices, shape)
                form = matrix_form(expression, indices, self.printer.tensors, self.printer.example, shape)
            except NoMatrixForm:
                form = None
            self.written[key] = form
        return self.written[key]

    def axes(self, indices: Sequence[Symbol], shape: Sequence[Expr]) -> tuple[Sequence[Symbol], Sequence[Expr]]:
        """The axes of a matrix in the order in which the notation has them."""
        units = [n for n, letter in enumerate(indices) if letter != self.printer.example]
        if self.printer.notation.weight_rows == "outputs" or len(units) != 2:
            return indices, shape
        order = list(range(len(indices)))
        order[units[0]], order[units[1]] = units[1], units[0]
        return [indices[n] for n in order], [shape[n] for n in order]

    def matrices(
        self, left: Expr, right: Expr, indices: Sequence[Symbol], shape: Sequence[Expr]
    ) -> tuple[Basic, Basic] | None:
        """Both sides in matrix notation, or None."""
        sides = [self.matrix(side, indices, shape) for side in (left, right)]
        return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])

    def line(self, left: Basic, right: Basic, less: float = 0.0) -> Line:
        """One equality, on a line that is shorter by `less` em."""
        text = self.printer.doprint(left)
        return Line(text, self.printer.lines(right, self.room(text) - less))

    def room(self, left: str) -> float:
        """The width that a left side leaves for the pieces of the right side."""
        return self.medium.line - (0 if self.medium.flows else width(left))

    # ------------------------------------------------------------------ forward equations

    def forward(self, equation: Equation) -> Line:
        """A defining equation; a function that has a name is written by its name."""
        argument = self.argument(equation)
        sides = self.matrices(equation.lhs, argument or equation.rhs, equation.indices, equation.tensor.shape)
        if argument is not None and equation.function is not None:
            if sides is None and not self.elementwise(equation):
                return self.line(equation.lhs, equation.rhs)
            left, right = sides or (equation.lhs, argument)
            return Line(self.printer.doprint(left), [self.printer.applied(equation.function, right)])
        return self.line(*(sides or (equation.lhs, equation.rhs)))

    def functions(self, equations: Iterable[Equation]) -> list[Line]:
        """What each named function is, once, of a letter that stands for nothing else."""
        lines: dict[str, Line] = {}
        notation = self.printer.notation
        example = () if self.printer.example is None else (notation.index(self.printer.example),)
        taken = {*notation.letters.values(), *notation.indices.values(), *example}
        variable = next(Symbol(letter) for letter in VARIABLES if letter not in taken)
        for equation in equations:
            argument = self.argument(equation)
            if argument is None or equation.function is None or equation.function.latex in lines:
                continue
            if self.elementwise(equation):
                body = equation.rhs.xreplace({argument: variable})
                left = self.printer.applied(equation.function, variable)
            else:
                body = equation.rhs
                tensor = self.printer.tensors[key_of(argument) or ""]
                left = self.printer.component(equation.function, tensor, equation.lhs)
            lines[equation.function.latex] = Line(left, self.printer.lines(body, self.room(left)))
        return [line for line in lines.values() if [line.left] != line.right]

    def argument(self, equation: Equation) -> Expr | None:
        """The element that a named function is applied to: the only tensor on the right side."""
        found = {key_of(element): element for element in elements(equation.rhs)}
        if equation.function is None or len(found) != 1 or key_of(equation.rhs) or isinstance(equation.rhs, Undefined):
            return None
        tensor = self.printer.tensors[next(iter(found)) or ""]
        return tensor[equation.indices] if len(tensor.shape) == len(equation.indices) else None

    def elementwise(self, equation: Equation) -> bool:
        """Whether the right side is about one element only."""
        return all(element == self.argument(equation) for element in elements(equation.rhs))
