"""An exposition as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from sympy import Basic

from symbolic.chains import ChainWriter
from symbolic.matrices import ArrayOf
from symbolic.notes.exposition import (
    Block,
    Chain,
    Display,
    Exposition,
    Functions,
    Heading,
    Listing,
    Paragraph,
    Setting,
)
from symbolic.pages import blocks
from symbolic.pages.blocks import Code, Fold, Formula, Formulas, Label, Line, Medium, Page, Piece, Text, anchor_of, text
from symbolic.pages.laws import rules_used
from symbolic.pages.verdicts import verdict
from symbolic.rules import DEFINITION, SHAPES, Rule, Step
from symbolic.sections import label_of, label_of_rule, rows_by_step
from symbolic.tensors import Tensor, is_letter
from symbolic.verification import Report


def exposition_page(exposition: Exposition, medium: Medium, detail: str, report: Report | None) -> Page:
    """The page; see `Exposition.latex`."""
    return _Composer(exposition, medium, detail, report).page()


class _Composer:
    """Composes the page of one exposition."""

    def __init__(self, exposition: Exposition, medium: Medium, detail: str, report: Report | None) -> None:
        self.exposition = exposition
        self.medium = medium
        self.detail = detail
        self.report = report
        self.rows = rows_by_step(report)
        self.writers: dict[tuple[str, str], ChainWriter] = {}
        self.also: list[Rule] = []
        self.headings = 0

    def writer(self, setting: Setting, form: str) -> ChainWriter:
        key = (setting.name, form)
        if key not in self.writers:
            self.writers[key] = ChainWriter(setting.printer(self.exposition.notation), form, self.medium)
        return self.writers[key]

    def page(self) -> Page:
        written = [one for block in self.exposition.blocks for one in self.blocks(block)]
        end = [*verdict(self.report), *rules_used(written, self.also)]
        return Page((self.exposition.title,), (), (*written, *end), self.detail)

    def blocks(self, block: Block) -> Iterator[blocks.Block]:
        if isinstance(block, Heading):
            self.headings += 1
            yield blocks.Heading((block.text,), block.level, anchor_of("part", str(self.headings)))
        elif isinstance(block, Listing):
            texts = (self.paragraph(one) if isinstance(one, Paragraph) else (one,) for one in block.texts)
            yield blocks.Listing(tuple(texts), block.numbered)
        elif isinstance(block, Paragraph):
            yield blocks.Paragraph(self.paragraph(block))
        else:
            yield self.display(block)
            yield from self.smaller(block)

    def paragraph(self, block: Paragraph) -> Text:
        pieces: list[Piece] = []
        for n, piece in enumerate(re.split(r"\{(\w+)\}", block.text)):
            if n % 2:
                part = block.parts[piece]
                pieces.append(part if isinstance(part, Code) else Formula(self.formula(block, part)))
            elif piece:
                pieces.append(piece)
        return tuple(pieces)

    def formula(self, block: Paragraph, part: Basic | Tensor | str) -> str:
        if isinstance(part, str):
            return part
        assert block.setting is not None, "a formula needs the setting whose it is"
        printer = self.writer(block.setting, "component").printer
        if isinstance(part, Tensor) and block.shapes:
            with printer.shaped(block.setting.program.value_of):
                return printer.doprint(ArrayOf(part.key))
        if is_letter(part):
            return printer.notation.index(part)
        return printer.bare(part) if isinstance(part, Tensor) else printer.doprint(part)

    def display(self, block: Display) -> Formulas:
        lines: list[Line] = []
        if block.shapes:
            self.also = [SHAPES]
        for part in block.parts:
            if isinstance(part, Chain):
                lines += self.chain(part.final if self.detail == "result" else part, block)
            elif isinstance(part, tuple):
                setting, equation = part
                writer = self.writer(setting, block.form or "matrix")
                with writer.printer.shaped(setting.program.value_of if block.shapes else None):
                    lines.append(writer.forward(equation))
            elif isinstance(part, Functions):
                lines += self.writer(part.setting, "component").functions(part.setting.program.equations)
            else:
                lines += part.lines(self.exposition.notation)
        unlabelled = not block.labels or block.number or block.boxed or block.columns > 1 or self.detail == "result"
        if unlabelled:
            lines = [line.bare for line in lines]
        return Formulas(tuple(lines), block.boxed, block.braced, block.columns, block.number)

    def chain(self, chain: Chain, block: Display) -> list[Line]:
        writer = self.writer(chain.setting, chain.form)
        definition = (label_of_rule(DEFINITION),)
        items: list[tuple[Basic, tuple[Label, ...]]] = [(chain.heads[-1], definition if len(chain.heads) > 1 else ())]
        names = len(chain.heads) - 1
        for number, step in enumerate(chain.steps, names + 1):
            items.append((step.after, (self.label(chain, step, str(number)),)))
        printer = writer.printer
        sides = [*chain.heads, *(step.after for step in chain.steps)]
        with (
            printer.lettering(*sides),
            printer.marking(chain.heads[-1]),
            printer.shaped(chain.setting.program.value_of if block.shapes else None),
        ):
            return writer.chain(chain.heads, items, chain.indices, chain.shape)

    def smaller(self, block: Display) -> Iterator[Fold]:
        """The steps inside of the steps of a display."""
        for part in block.parts if self.detail == "rule" or self.medium.unfolds else ():
            if isinstance(part, Chain):
                writer = self.writer(part.setting, part.form)
                names = len(part.heads) - 1
                numbers = {
                    id(inner): f"{number}.{n}"
                    for number, step in enumerate(part.steps, names + 1)
                    for n, inner in enumerate(step.substeps, 1)
                }
                inner = [substep for step in part.steps for substep in step.substeps]
                sides = [side for step in inner for side in (step.before, step.after)]
                with writer.printer.lettering(*part.heads, *sides), writer.printer.marking(*sides):
                    lines = writer.substeps(inner, partial(self.smaller_label, part, numbers))
                if lines:
                    yield Fold("rule", text("In smaller steps"), (Formulas(tuple(lines)),))

    def smaller_label(self, chain: Chain, numbers: dict[int, str], step: Step) -> Label:
        return self.label(chain, step, numbers.get(id(step), ""))

    def label(self, chain: Chain, step: Step, number: str) -> Label:
        """The label of a step; number: of the step, as the verification's report has it."""
        name = self.exposition.cited.get(step.rule.name, "")
        row = self.rows.get((f"{chain.setting.name}: {chain.name}", number))
        return label_of(step, row=row, name=name)
