"""A page before any format: what is said, in which order, and what may be folded away.

A page is composed once, of a derivation or of a note, and each format writes its blocks (`tex`, `html`, `markdown`,
`text`). Formulas are LaTeX, made by the derivation's printer; everything else is plain text that a format escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

# A line that only says that others go on.
DOTS = r"\;\;\vdots"


@dataclass(frozen=True)
class Formula:
    """A formula in running text, in LaTeX without dollar signs."""

    latex: str


@dataclass(frozen=True)
class Code:
    """What is typed, letter for letter."""

    plain: str


@dataclass(frozen=True)
class Link:
    """Text that leads to the block or line with the anchor `target`."""

    text: Text
    target: str


Piece: TypeAlias = "str | Formula | Code | Link"
Text: TypeAlias = "tuple[Piece, ...]"


def text(template: str, **parts: Piece | Text) -> Text:
    """Running text: {name} in the template stands for the part of that name."""
    pieces: list[Piece] = []
    for n, piece in enumerate(re.split(r"\{(\w+)\}", template)):
        part = parts[piece] if n % 2 else piece
        pieces += part if isinstance(part, tuple) else [part] if part else []
    return tuple(pieces)


def enumerated(items: Iterable[Piece | Text], separator: str = ", ") -> Text:
    """The items with commas between them."""
    pieces: list[Piece] = []
    for item in items:
        pieces += [separator] if pieces else []
        pieces += item if isinstance(item, tuple) else [item]
    return tuple(pieces)


def anchor_of(kind: str, key: str) -> str:
    """An anchor, of letters, digits and hyphens. What is made for a tensor has the kind "eq" for its defining equation,
    "is" for its derivation, "line" for the last line of that.
    """
    return f"{kind}-{re.sub(r'[^A-Za-z0-9]+', '-', key).strip('-')}"


@dataclass(frozen=True)
class Label:
    """What stands at the right of a line: the rule that made it.

    text:    the rule's name, or the fact that was used.
    law:     the rule's law, with its formulas; empty where the text says all.
    target:  the anchor of the line that was used, or "".
    mark:    "(a)", where smaller steps stand under that letter, or "".
    checked: what verification found of the step, such as "holds at 3 points, relative error 2e-49"; "" if not asked.
    rule:    the rule's name, as the list of rules has it.
    """

    text: str
    law: Text = ()
    target: str = ""
    mark: str = ""
    checked: str = ""
    rule: str = ""


@dataclass
class Line:
    """One equality of an aligned display.

    left:     the left side; empty where it is that of the line before.
    right:    the right side in pieces; the line may be broken between any two of them.
    relation: what stands between the sides.
    labels:   the rules that made it.
    note:     words after the formula.
    anchor:   its name for links, or "".
    """

    left: str
    right: list[str]
    labels: tuple[Label, ...] = ()
    relation: str = "="
    note: Text = ()
    anchor: str = ""

    def label(self, more: Sequence[Label]) -> None:
        """Add labels; one that says the same as another is not repeated."""
        known = {(label.text, label.mark) for label in self.labels}
        self.labels += tuple(label for label in more if (label.text, label.mark) not in known)

    @property
    def bare(self) -> Line:
        """The line without labels."""
        return replace(self, labels=())


@dataclass(frozen=True)
class Heading:
    """A heading of the page; level 1 is right below the title."""

    text: Text
    level: int = 1
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    text: Text
    anchor: str = ""


@dataclass(frozen=True)
class Listing:
    """Short texts under each other, each with a mark, or numbered."""

    items: tuple[Text, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Terms:
    """Words with what they mean, each with an anchor."""

    items: tuple[tuple[str, Text, str], ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head."""

    head: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]


@dataclass(frozen=True)
class Formulas:
    """Lines aligned at their relations.

    boxed: in a box, without labels. braced: one brace in front, as for a system of equations. columns: how many
    equalities stand beside each other, without labels. number: the equation's number, at the right, or "".
    """

    lines: tuple[Line, ...]
    boxed: bool = False
    braced: bool = False
    columns: int = 1
    number: str = ""


@dataclass(frozen=True)
class Fold:
    """What a reader unfolds: behind a title, where the format can fold, else in small print.

    kind: "rule" smaller steps, "other" the same in the other form, "shapes" with the shape under each array, "why" a
    question that people ask, with its answer.
    """

    kind: str
    title: Text
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Derived:
    """A quantity and how it is derived: its last form, and the chain that leads there.

    lead:   what is derived, such as "By z^[1]:".
    final:  the quantity and its last form; a format that folds the chain shows it in front.
    chain:  every line with its rule.
    folds:  what there is besides: smaller steps, the other form, shapes, reasons.
    """

    lead: Text
    anchor: str
    final: Formulas
    chain: Formulas
    folds: tuple[Fold, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A diagram as SVG. alt: what it shows, for who cannot see it."""

    svg: str
    alt: str
    caption: Text


Block: TypeAlias = "Heading | Paragraph | Listing | Terms | Table | Formulas | Fold | Derived | Picture"


def lines_of(blocks: Iterable[Block]) -> Iterator[Line]:
    """Every line of a page, folded ones too, each once."""
    for block in blocks:
        if isinstance(block, Formulas):
            yield from block.lines
        elif isinstance(block, Fold):
            yield from lines_of(block.blocks)
        elif isinstance(block, Derived):
            yield from lines_of((block.final, block.chain, *block.folds))


@dataclass(frozen=True)
class Page:
    """title, subtitle: above everything. detail: "result", "layer" or "rule", how much of it a reader wants to see: a
    format that cannot fold leaves out what is finer, one that can shows it folded.
    """

    title: Text
    subtitle: Text
    blocks: tuple[Block, ...]
    detail: str = "layer"


@dataclass(frozen=True)
class Medium:
    """What a format lets the composer know.

    line:     width of a formula line, in em; where pieces flow, of each piece.
    flows:    whether the format sets the pieces of a line beside or under each other as there is room.
    unfolds:  whether it can fold, so that more is composed than is seen at first.
    pictures: whether it can show SVG.
    """

    line: float
    flows: bool = False
    unfolds: bool = False
    pictures: bool = False


# How much narrower a line in a box is, in em.
BOX = 4.0
# 11 pt on 16.5 cm, less the indentation of a continued line.
PAPER = Medium(38.0)
