"""One derivation's results as blocks: the chain of each with its rules, its substeps, its other form, the shapes of its
arrays, its last line, the same for all examples at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sympy import Basic, Expr

from symbolic.chains import ChainWriter
from symbolic.errors import NoMatrixForm
from symbolic.linewidth import width
from symbolic.matrices import MatrixExpression
from symbolic.matrixform import stacked_form
from symbolic.notation import Notation
from symbolic.pages.blocks import (
    BOX,
    Derived,
    Fold,
    Formula,
    Formulas,
    Label,
    Line,
    Medium,
    Paragraph,
    Text,
    anchor_of,
    text,
)
from symbolic.pages.laws import law_text
from symbolic.rules import DEFINITION, Result, Rule, Step
from symbolic.tensors import Equation, Fact, elements, key_of
from symbolic.verification import Row
from symbolic.vocabulary import Vocabulary
from symbolic.whys import Whys

if TYPE_CHECKING:
    from symbolic.derivation import Derivation
    from symbolic.verification import Report

DETAILS = ("result", "layer", "rule")
FORMS = ("matrix", "component")
# What the number of a step is followed by, in the verification's row of its line in matrix notation.
MATRIX_ROW = "m"
# An answer with a wider formula than this, in em, explains nothing.
INLINE = 30.0
# What the other form is called.
OTHER = {"matrix": "In index notation", "component": "In matrix notation"}


class ResultWriter:
    """Writes the results of one derivation one after the other: the cost is linear in their number.

    rows:  what verification found, by quantity and number of the step.
    whys:  the questions of the page, each asked once.
    shown_as: by the key of a tensor whose line is not written, the key of one whose line says the same.
    """

    def __init__(
        self, derivation: Derivation, notation: Notation, form: str, detail: str, medium: Medium,
        rows: Mapping[tuple[str, str], Row], shown_as: Mapping[str, str],
        whys: Whys,
    ) -> None:  # fmt: skip
        self.derivation = derivation
        self.program = derivation.program
        self.tensors = derivation.tensors
        self.printer = Vocabulary.of(derivation.program, derivation.tensors).printer(notation)
        self.lines = ChainWriter(self.printer, form, medium)
        other = next(one for one in FORMS if one != form)
        self.others = ChainWriter(self.printer, other, medium)
        self.detail = detail
        self.medium = medium
        self.rows = rows
        self.shown_as = shown_as
        self.whys = whys

    def keys(self, equation: Equation) -> set[str | None]:
        """The tensors on the right side of an equation."""
        return {key_of(element) for element in elements(equation.rhs)}

    @property
    def named(self) -> list[Result]:
        return [result for result in self.derivation.results if result.named]

    def result(self, result: Result) -> Derived:
        """The chain of a result, and what may be unfolded of it."""
        with self.printer.lettering(result.tensor[result.indices], *_expressions(result.steps)):
            return self._derived(result)

    def _derived(self, result: Result) -> Derived:
        folds: list[Fold] = []
        marks: dict[int, str] = {}
        if self.detail == "rule" or self.medium.unfolds:
            for number, step in enumerate(result.steps, 1):
                smaller = self._smaller(result, step, number)
                if smaller:
                    marks[number] = f"({_letter(len(marks))})"
                    title = text(f"In smaller steps, {marks[number]}")
                    folds.append(Fold("rule", title, (Formulas(tuple(smaller)),)))
        with self.printer.marking(result.steps[0].before):
            chain = self._chain(result, marks, self.lines)
            if self.medium.unfolds:
                folds += self._unfolded(result, marks, chain)
        if self.detail != "result" or self.medium.unfolds:
            for why in self.whys.of(self.derivation, result, self.printer):
                if _fits((*why.question, *why.answer)):
                    folds.append(Fold("why", why.question, (Paragraph(why.answer),)))
        anchor = anchor_of("is", result.tensor.key)
        chain[-1].anchor = anchor_of("line", result.tensor.key)
        final = Formulas((self.final(result),))
        return Derived(self._lead(result), anchor, final, Formulas(tuple(chain)), tuple(folds))

    def _smaller(self, result: Result, step: Step, number: int) -> list[Line]:
        numbers = {id(inner): f"{number}.{n}" for n, inner in enumerate(step.substeps, 1)}
        with self.printer.marking(*(side for inner in step.substeps for side in (inner.before, inner.after))):
            return self.lines.substeps(
                step.substeps, lambda inner: self.label(inner, result, numbers.get(id(inner), ""))
            )

    def _unfolded(self, result: Result, marks: Mapping[int, str], chain: Sequence[Line]) -> Iterator[Fold]:
        """The same chain in the other form, and with the shape under each array."""
        shown = [(line.left, line.right) for line in chain]
        other = self._chain(result, marks, self.others)
        if [(line.left, line.right) for line in other] != shown:
            yield Fold("other", text(OTHER[self.lines.form]), (Formulas(tuple(other)),))
        matrices = self.lines if self.lines.form == "matrix" else self.others
        with self.printer.shaped(self.program.value_of):
            shaped = self._chain(result, {}, matrices)
        if any(r"\times" in piece for line in shaped for piece in line.right):
            yield Fold("shapes", text("With shapes"), (Formulas(tuple(line.bare for line in shaped)),))

    def _lead(self, result: Result) -> Text:
        source = Formula(self.printer.bare(self.tensors[result.tensor.of or ""]))
        if self.program.example is None or result.tensor.role != "gradient":
            return text("With respect to {source}:", source=source)
        one = self.program.example in result.indices and not result.named
        return text("With respect to {source}, " + ("one example:" if one else "all examples:"), source=source)

    def _chain(self, result: Result, marks: Mapping[int, str], writer: ChainWriter) -> list[Line]:
        first = result.steps[0].before
        heads = [result.tensor[result.indices], first] if introduces_name(result) else [first]
        items: list[tuple[Basic, Sequence[Label]]] = [(first, ())]
        if len(heads) == 2:
            items = [(first, (label_of_rule(DEFINITION),))]
        for number, step in enumerate(result.steps, 1):
            items.append((step.after, (self.label(step, result, str(number), marks.get(number, "")),)))
        return writer.chain(heads, items, result.indices, result.tensor.shape)

    def label(self, step: Step, result: Result, number: str, mark: str = "") -> Label:
        """What stands beside the line of a step; number: of the step, as the verification's report has it."""
        checks = [self.rows.get((result.tensor.key, f"{number}{of}")) for of in ("", MATRIX_ROW)]
        found = [row for row in checks if row is not None]
        row = next((row for row in found if not row.ok), found[0] if found else None)
        return label_of(step, self._target(step), mark, row)

    def _target(self, step: Step) -> str:
        """The anchor of what the step uses."""
        if isinstance(step.because, Fact):
            return anchor_of("fact", step.because.statement)
        if isinstance(step.because, Equation):
            key = step.because.tensor.key
            return anchor_of("eq", self.shown_as.get(key, key))
        return "" if step.because is None else anchor_of("line", self.shown_as.get(step.because, step.because))

    # ------------------------------------------------------------------ last lines, and all examples at once

    def final(self, result: Result) -> Line:
        """The result and its last form."""
        head, after = _ends(result)
        with self.printer.marking(head), self.printer.lettering(head, after):
            sides = self.lines.matrices(head, after, result.indices, result.tensor.shape) or (head, after)
            return self.lines.line(sides[0], sides[1], BOX)

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
        return self.lines.line(sides[0], sides[1], BOX)


def rows_by_step(report: Report | None) -> dict[tuple[str, str], Row]:
    """What verification found, by quantity and number of the step; of several findings, one that fails."""
    found: dict[tuple[str, str], Row] = {}
    for row in () if report is None else report.rows:
        known = found.setdefault((row.quantity, row.number), row)
        if known.ok:
            found[row.quantity, row.number] = row
    return found


def label_of(step: Step, target: str = "", mark: str = "", row: Row | None = None, name: str = "") -> Label:
    """The label of a step's line; name: what the page itself calls the rule."""
    said = f"{step.label} ({name})" if name else step.label
    found = "" if row is None else checked(row)
    return Label(said, law_text(step.rule.law), target, mark, found, step.rule.name)


def label_of_rule(rule: Rule) -> Label:
    """The label of a line that a rule makes without a step."""
    return Label(rule.name, law_text(rule.law), rule=rule.name)


def checked(row: Row) -> str:
    """What verification found of a step, in words."""
    points = "1 point" if row.points == 1 else f"{row.points} points"
    return f"both sides agree at {points}, relative difference {row.error:.0e}" if row.ok else f"FALSE: {row.problem}"


def _fits(said: Text) -> bool:
    """Whether every formula of a text is short enough to stand in it."""
    return all(width(piece.latex) <= INLINE for piece in said if isinstance(piece, Formula))


def introduces_name(result: Result) -> bool:
    """Whether the chain of a result begins with its name."""
    return result.named and result.tensor.role != "gradient"


def _ends(result: Result) -> tuple[Expr, Basic]:
    head = result.tensor[result.indices] if introduces_name(result) else result.steps[0].before
    return head, result.steps[-1].after


def _expressions(steps: Sequence[Step]) -> Iterator[Basic]:
    for step in steps:
        yield step.before
        yield step.after
        yield from _expressions(step.substeps)


def _letter(number: int) -> str:
    return chr(ord("a") + number % 26) * (1 + number // 26)
