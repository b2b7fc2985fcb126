"""One derivation's results as displays: the chain of each with its rules, its substeps, its last line, the same for all
examples at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sympy import Basic, Expr

from symbolic.chains import BOX_LINE, ChainWriter, Line, display
from symbolic.errors import NoMatrixForm
from symbolic.matrices import MatrixExpression
from symbolic.matrixform import stacked_form
from symbolic.notation import Notation, escape_text
from symbolic.rules import DEFINITION, Result, Rule, Step
from symbolic.tensors import Equation, elements, key_of
from symbolic.vocabulary import Vocabulary

if TYPE_CHECKING:
    from symbolic.derivation import Derivation

DETAILS = ("result", "layer", "rule")


class ResultWriter:
    """Writes the results of one derivation one after the other: the cost is linear in their number.

    used: the rules that were named, by name; several writers of one page may share it.
    """

    def __init__(
        self, derivation: Derivation, notation: Notation, form: str, detail: str, used: dict[str, Rule]
    ) -> None:
        self.derivation = derivation
        self.program = derivation.program
        self.tensors = derivation.tensors
        self.printer = Vocabulary.of(derivation.program, derivation.tensors).printer(notation)
        self.lines = ChainWriter(self.printer, form)
        self.detail = detail
        self.used = used

    def keys(self, equation: Equation) -> set[str | None]:
        """The tensors on the right side of an equation."""
        return {key_of(element) for element in elements(equation.rhs)}

    @property
    def named(self) -> list[Result]:
        return [result for result in self.derivation.results if result.named]

    def result(self, result: Result) -> Iterator[str]:
        """The chain of a result, then, at the finest detail, its substeps under the letters that it refers to."""
        with self.printer.lettering(result.tensor[result.indices], *_expressions(result.steps)):
            yield from self._displays(result)

    def _displays(self, result: Result) -> Iterator[str]:
        smaller: dict[int, list[Line]] = {}
        if self.detail == "rule":
            for step in result.steps:
                with self.printer.marking(*(side for inner in step.substeps for side in (inner.before, inner.after))):
                    lines = self.lines.substeps(step.substeps, self._label)
                if lines:
                    smaller[id(step)] = lines
        marks = {key: f"({_letter(n)})" for n, key in enumerate(smaller)}
        yield self._lead(result)
        with self.printer.marking(result.steps[0].before):
            chain = self._chain(result, marks)
        yield display(chain)
        for key, lines in smaller.items():
            yield rf"{{\small In smaller steps, {marks[key]}:}}"
            yield display(lines)

    def _lead(self, result: Result) -> str:
        source = f"${self.printer.bare(self.tensors[result.tensor.of or ''])}$"
        if self.program.example is None or result.tensor.role != "gradient":
            return f"By {source}:"
        one = self.program.example in result.indices and not result.named
        return f"By {source}, {'one example' if one else 'all examples'}:"

    def _chain(self, result: Result, marks: dict[int, str]) -> list[Line]:
        first = result.steps[0].before
        heads = [result.tensor[result.indices], first] if _introduces_name(result) else [first]
        items: list[tuple[Basic, str]] = [(first, "")]
        if len(heads) == 2:
            self.used[DEFINITION.name] = DEFINITION
            items = [(first, DEFINITION.name)]
        for step in result.steps:
            items.append((step.after, f"{self._label(step)} {marks.get(id(step), '')}".strip()))
        return self.lines.chain(heads, items, result.indices, result.tensor.shape)

    def _label(self, step: Step) -> str:
        self.used[step.rule.name] = step.rule
        for inner in step.substeps if self.detail == "rule" else ():
            self.used[inner.rule.name] = inner.rule
        return escape_text(step.label)

    # ------------------------------------------------------------------ last lines, and all examples at once

    def final(self, result: Result) -> Line:
        """The result and its last form."""
        head, after = _ends(result)
        with self.printer.marking(head), self.printer.lettering(head, after):
            sides = self.lines.matrices(head, after, result.indices, result.tensor.shape) or (head, after)
            return self.lines.line(sides[0], sides[1], limit=BOX_LINE)

    def stacked(self, result: Result) -> Line | None:
        """The same for all examples at once, or None where matrices cannot say it."""
        head, after = _ends(result)
        whole = (result.indices, result.tensor.shape)
        indices, shape = whole if self.program.example in result.indices else self.lines.axes(*whole)
        return None if isinstance(after, MatrixExpression) else self._stacked(head, after, indices, shape)

    def stacked_forward(self, equation: Equation) -> Line:
        """A defining equation for all examples at once, where matrices can say it."""
        argument = self.lines.argument(equation)
        line = self._stacked(equation.lhs, argument or equation.rhs, equation.indices, equation.tensor.shape)
        if line is None:
            return self.lines.forward(equation)
        if argument is not None and equation.function is not None:
            line.right = [self.printer.notation.function(equation.function) + f"({' '.join(line.right)})"]
        return line

    def _stacked(self, left: Expr, right: Expr, indices: Sequence[Basic], shape: Sequence[Expr]) -> Line | None:
        try:
            sides = [stacked_form(side, indices, self.tensors, shape) for side in (left, right)]
        except NoMatrixForm:
            return None
        return self.lines.line(sides[0], sides[1], limit=BOX_LINE)


def _introduces_name(result: Result) -> bool:
    return result.named and result.tensor.role != "gradient"


def _ends(result: Result) -> tuple[Expr, Basic]:
    head = result.tensor[result.indices] if _introduces_name(result) else result.steps[0].before
    return head, result.steps[-1].after


def _expressions(steps: Sequence[Step]) -> Iterator[Basic]:
    for step in steps:
        yield step.before
        yield step.after
        yield from _expressions(step.substeps)


def _letter(number: int) -> str:
    return chr(ord("a") + number % 26) * (1 + number // 26)
