"""An exposition as a complete LaTeX document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from sympy import Basic

from symbolic.chains import ChainWriter, Line, arranged, display, rows
from symbolic.documents import PREAMBLE, joined_parts, rules_used, verdict
from symbolic.errors import UsageError
from symbolic.matrices import ArrayOf
from symbolic.notation import escape_text
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
from symbolic.rules import SHAPES, Rule, Step
from symbolic.sections import DETAILS
from symbolic.tensors import Tensor, is_letter
from symbolic.verification import Report


def exposition_document(exposition: Exposition, report: Report | None, detail: str) -> str:
    """The document; see `Exposition.latex`."""
    if detail not in DETAILS:
        raise UsageError(f"detail must be one of {', '.join(DETAILS)}, not {detail!r}")
    return _Page(exposition, detail).document(report)


class _Page:
    """Writes one exposition."""

    def __init__(self, exposition: Exposition, detail: str) -> None:
        self.exposition = exposition
        self.detail = detail
        self.writers: dict[tuple[str, str], ChainWriter] = {}
        self.used: dict[str, Rule] = {}

    def writer(self, setting: Setting, form: str) -> ChainWriter:
        key = (setting.name, form)
        if key not in self.writers:
            self.writers[key] = ChainWriter(setting.printer(self.exposition.notation), form)
        return self.writers[key]

    def document(self, report: Report | None) -> str:
        blocks = [self.block(block) for block in self.exposition.blocks]
        title = rf"\begin{{center}}{{\LARGE {escape_text(self.exposition.title)}}}\end{{center}}"
        parts = [PREAMBLE + r"\begin{document}", title, *blocks]
        return joined_parts([*parts, *verdict(report), *rules_used(self.used.values()), r"\end{document}"])

    def block(self, block: Block) -> str:
        if isinstance(block, Heading):
            return rf"\{'sub' * (block.level - 1)}section*{{{escape_text(block.text)}}}"
        if isinstance(block, Listing):
            texts = [self.paragraph(one) if isinstance(one, Paragraph) else escape_text(one) for one in block.texts]
            mark, kind = (r"\item", "enumerate") if block.numbered else (r"\item[$\bullet$]", "itemize")
            items = [f"{mark} {text}" for text in texts]
            return "\n".join([rf"\begin{{{kind}}}", *items, rf"\end{{{kind}}}"])
        if isinstance(block, Paragraph):
            return self.paragraph(block)
        return "\n\n".join([self.display(block), *self.smaller(block)])

    def paragraph(self, block: Paragraph) -> str:
        pieces = re.split(r"\{(\w+)\}", block.text)
        written = []
        for n, piece in enumerate(pieces):
            written.append(f"${self.formula(block, block.parts[piece])}$" if n % 2 else escape_text(piece))
        return "".join(written)

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

    def display(self, block: Display) -> str:
        lines: list[Line] = []
        if block.shapes:
            self.used[SHAPES.name] = SHAPES
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
        if not block.labels or block.number or self.detail == "result":
            lines = [replace(line, label="") for line in lines]
        if block.boxed or block.columns > 1:
            return arranged(lines, block.columns, block.boxed)
        if block.braced:
            body = "\n".join(
                [r"\setlength{\jot}{1.6ex}\left\{\begin{aligned}", rows(lines, tags=False), r"\end{aligned}\right."]
            )
            tag = rf" \tag{{{block.number}}}" if block.number else ""
            return "\n".join([r"\begin{equation*}", body + tag, r"\end{equation*}"])
        text = display(lines)
        return (
            text.replace("\n\\end{align*}", rf" \tag{{{block.number}}}" + "\n\\end{align*}") if block.number else text
        )

    def chain(self, chain: Chain, block: Display) -> list[Line]:
        writer = self.writer(chain.setting, chain.form)
        named = block.labels and not block.number and not block.boxed and block.columns == 1
        for step in chain.steps if named and self.detail != "result" else ():
            self.used[step.rule.name] = step.rule
        items: list[tuple[Basic, str]] = [(chain.heads[-1], "definition" if len(chain.heads) > 1 else "")]
        items += [(step.after, self.cited(step)) for step in chain.steps]
        printer = writer.printer
        sides = [*chain.heads, *(step.after for step in chain.steps)]
        with (
            printer.lettering(*sides),
            printer.marking(chain.heads[-1]),
            printer.shaped(chain.setting.program.value_of if block.shapes else None),
        ):
            return writer.chain(chain.heads, items, chain.indices, chain.shape)

    def smaller(self, block: Display) -> Iterator[str]:
        """At the finest detail, the steps inside of the steps of a display."""
        for part in block.parts if self.detail == "rule" else ():
            if isinstance(part, Chain):
                writer = self.writer(part.setting, part.form)
                inner = [substep for step in part.steps for substep in step.substeps]
                sides = [side for step in inner for side in (step.before, step.after)]
                with writer.printer.lettering(*part.heads, *sides), writer.printer.marking(*sides):
                    lines = writer.substeps(inner, self.label)
                if lines:
                    yield r"{\small In smaller steps:}"
                    yield display(lines)

    def label(self, step: Step) -> str:
        self.used[step.rule.name] = step.rule
        return self.cited(step)

    def cited(self, step: Step) -> str:
        name = self.exposition.cited.get(step.rule.name)
        return escape_text(step.label if name is None else f"{step.label} ({name})")
