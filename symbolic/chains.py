"""Chains of equalities as lines of an aligned display, and forward equations as lines of their own.

A line is written in matrix notation where that is wanted and matrices can say it, else in components, with its own left
side. Lines are broken by their estimated width; a rule is named at the right of the line that it made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sympy import Basic, Expr, Symbol

from symbolic.errors import NoMatrixForm
from symbolic.expressions import Undefined
from symbolic.latex import LatexPrinter
from symbolic.linewidth import width
from symbolic.matrices import MatrixExpression
from symbolic.matrixform import matrix_form
from symbolic.rules import Step
from symbolic.tensors import Equation, elements, key_of

# Width of a formula line in em, at 11 pt on 16.5 cm, less the indentation of a continued line.
LINE = 38.0
BOX_LINE = LINE - 4
# A summary of more lines than this is not boxed, because a box cannot break across pages.
BOXED = 24
DISPLAY = r"\begin{align*}"
BOX = r"\setlength{\fboxsep}{1.2ex}\boxed{"
# A line that only says that others go on.
DOTS = r"\;\;\vdots"
# The letter with which a named function is defined: the first that a notation leaves free.
VARIABLES = ("t", "x", "u", "v", "s", "q")


@dataclass
class Line:
    """One line of an aligned display: left side, which may be empty, right side in pieces, the rules' names.

    relation: what stands between the sides.
    """

    left: str
    right: list[str]
    label: str = ""
    relation: str = "="


class ChainWriter:
    """Writes the expressions of one program, in one form, with one printer."""

    def __init__(self, printer: LatexPrinter, form: str) -> None:
        self.printer = printer
        self.form = form
        # Heads and final lines are asked for again by a summary.
        self.written: dict[tuple[Basic, Sequence[Symbol]], Basic | None] = {}

    def chain(
        self, heads: Sequence[Expr], items: Sequence[tuple[Basic, str]], indices: tuple[Symbol, ...],
        shape: tuple[Expr, ...],
    ) -> list[Line]:  # fmt: skip
        """The lines of heads[0] = items[0] = items[1] = ..., where items[0] is the last of the heads.

        items: expressions with the labels of the lines that they make. indices: the free letters of all of them.
        """
        in_matrices = all(self.matrix(head, indices, shape) is not None for head in heads)
        lines: list[Line] = []
        previous: tuple[bool, str] | None = None
        for number, (expression, label) in enumerate(items):
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
                lines[-1].label = joined(lines[-1].label, label)
                continue
            if left == text:
                continue
            lines.append(Line(left, self.printer.lines(shown, LINE - width(left or lines[0].left)), label))
            previous = (as_matrix, text)
        return lines or [self.line(heads[0], items[-1][0])]

    def substeps(self, steps: Sequence[Step], label_of: Callable[[Step], str]) -> list[Line]:
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
                lines[-1:] = [Line(lines[-1].left, lines[-1].right, joined(lines[-1].label, label))] if lines else []
                continue
            lines.append(Line(left, self.printer.lines(step.after, LINE - width(indent)), label))
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

    def line(self, left: Basic, right: Basic, limit: float = LINE) -> Line:
        """One equality."""
        text = self.printer.doprint(left)
        return Line(text, self.printer.lines(right, limit - width(text)))

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
        taken = self.printer.notation.letters.values()
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
            lines[equation.function.latex] = Line(left, self.printer.lines(body, LINE - width(left)))
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


def joined(label: str, other: str) -> str:
    """Both labels, the same one only once."""
    return label if not other or other in label.split(", ") else f"{label}, {other}" if label else other


def rows(lines: Sequence[Line], tags: bool) -> str:
    """The rows of an aligned environment; with `tags` the labels stand at the right."""
    texts = []
    for line in lines:
        first, *rest = line.right
        sign = "" if first == DOTS else f"{line.relation} "
        pieces = [f"{line.left} &{sign}{first}", *(rf"&\qquad {piece}" for piece in rest)]
        if tags and line.label:
            pieces[-1] += rf" \by{{{line.label}}}"
        texts += pieces
    return " \\\\\n".join(row.strip() for row in texts)


def arranged(lines: Sequence[Line], columns: int, box: bool) -> str:
    """Lines with several equalities in each row, without labels; in a box if that is wanted."""
    cells = [f"{line.left} &{line.relation} {' '.join(line.right)}" for line in lines]
    texts = [" &\n\\qquad ".join(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    inner = "\n".join([r"\begin{aligned}", " \\\\[1ex]\n".join(texts), r"\end{aligned}"])
    if not box:
        return "\n".join([r"\[", inner, r"\]"])
    return "\n".join([r"\[", BOX, inner, "}", r"\]"])


def display(lines: Sequence[Line]) -> str:
    """Lines aligned at their equality signs, each with its label."""
    return "\n".join([DISPLAY, rows(lines, tags=True), r"\end{align*}"])


def boxed(lines: Sequence[Line]) -> str:
    """Lines in a box, without labels."""
    if sum(len(line.right) for line in lines) > BOXED:
        return display([Line(line.left, line.right) for line in lines])
    inner = "\n".join([r"\begin{aligned}", rows(lines, tags=False), r"\end{aligned}"])
    return "\n".join([r"\[", BOX, inner, "}", r"\]"])
