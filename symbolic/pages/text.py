"""A page as plain text for a terminal: formulas are lines of Unicode, aligned at their relations.

Nothing unfolds there, so that the page's detail decides what is written. No line is wider than asked for, except one
that cannot be broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from symbolic.pages.blocks import (
    DOTS,
    Block,
    Code,
    Derived,
    Fold,
    Formula,
    Formulas,
    Heading,
    Line,
    Listing,
    Page,
    Paragraph,
    Table,
    Terms,
    Text,
)
from symbolic.unicodemath import NAMED, unicode_math, unicode_pieces
from symbolic.unicodemath import columns as width

COLUMNS = 88
INDENT = 4
# How much a continued line is indented behind its relation.
CONTINUED = 4
# A space inside a formula of running text, where a line is not broken if it need not be.
FIXED = "\u00a0"
BREAKABLE = re.compile(f"{FIXED}(?=[=+−∘⊙≤≥]{FIXED})")
UNDERLINES = {0: "═", 1: "─"}
# Signs before which a piece that is too long for a line is broken, and what it is not broken after.
SIGNS = ("=", "+", "−", "∘", "⊙", "·", "≤", "≥", "<", ">")
SUMS = ("Σ", "∏")
BRACES = {1: "{", 2: "⎧⎩"}
# The details at which smaller steps, and questions, are written.
SHOWN = {"rule": ("rule",), "why": ("layer", "rule")}


def write_text(page: Page, columns: int = COLUMNS) -> str:
    """The page in lines of at most so many columns, where they can be broken."""
    writer = _Writer(page.detail)
    heading = [plain(page.title), *([plain(page.subtitle)] if page.subtitle else [])]
    lines = [line for part in heading for line in wrapped(part, columns)]
    lines = [*lines, UNDERLINES[0] * max(map(width, lines)), "", *writer.blocks(page.blocks, columns)]
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


def plain(text: Text) -> str:
    """Running text; the spaces of its formulas are fixed."""
    return "".join(
        piece if isinstance(piece, str)
        else unicode_math(piece.latex).strip().replace(" ", FIXED) if isinstance(piece, Formula)
        else piece.plain.replace(" ", FIXED) if isinstance(piece, Code)
        else plain(piece.text)
        for piece in text
    )  # fmt: skip


def wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    """The text in lines; all but the first begin with `indent`. A formula is broken, if it is long, before a sign."""
    words: list[str] = []
    for word in re.split("[ \n]+", text):
        words += [word] if width(word) <= columns // 2 else BREAKABLE.split(word)
    words = [
        part for word in words for part in ([word] if width(word) <= columns - width(indent) else word.split(FIXED))
    ]
    lines = [""]
    for word in words:
        joined = f"{lines[-1]} {word}" if lines[-1].strip() else f"{lines[-1]}{word}"
        if width(joined) <= columns or not lines[-1].strip():
            lines[-1] = joined
        else:
            lines.append(indent + word)
    return [line.replace(FIXED, " ") for line in lines]


class _Writer:
    """Writes blocks as lines.

    detail: of the page.
    """

    def __init__(self, detail: str) -> None:
        self.detail = detail

    def blocks(self, blocks: Iterable[Block], columns: int) -> list[str]:
        """The blocks, with a blank line between them; a display follows the words before it."""
        lines: list[str] = []
        before: Block | None = None
        for block in blocks:
            new = list(self.block(block, columns))
            if not new:
                continue
            follows = isinstance(before, Paragraph) and isinstance(block, Formulas) and not block.boxed
            lines += [*([""] if lines and not follows else []), *new]
            before = block
        return lines

    def block(self, block: Block, columns: int) -> Iterator[str]:
        if isinstance(block, Heading):
            lines = wrapped(plain(block.text), columns)
            yield from [*lines, UNDERLINES.get(block.level, "╌") * max(map(width, lines))]
        elif isinstance(block, Paragraph):
            yield from wrapped(plain(block.text), columns)
        elif isinstance(block, Listing):
            for number, item in enumerate(block.items, 1):
                mark = f"{number}. " if block.numbered else "• "
                yield from wrapped(mark + plain(item), columns, " " * len(mark))
        elif isinstance(block, Terms):
            for word, meaning, _ in block.items:
                yield from wrapped(f"{word}: {plain(meaning)}", columns, " " * INDENT)
        elif isinstance(block, Table):
            yield from table(block, columns)
        elif isinstance(block, Formulas):
            yield from display(block, columns)
        elif isinstance(block, Derived):
            yield from self.derived(block, columns)
        elif isinstance(block, Fold):
            yield from self.fold(block, columns)

    def derived(self, block: Derived, columns: int) -> Iterator[str]:
        chain = block.final if self.detail == "result" or not block.chain.lines else block.chain
        lead = (Paragraph(block.lead),) if block.lead else ()
        yield from self.blocks((*lead, chain, *block.folds), columns)

    def fold(self, fold: Fold, columns: int) -> Iterator[str]:
        """Smaller steps and reasons, where the page's detail has them."""
        if self.detail not in SHOWN.get(fold.kind, (self.detail,)):
            return
        inside = columns - INDENT
        title = wrapped(plain(fold.title), inside)
        texts = [*title, *self.blocks(fold.blocks, inside)]
        yield from (" " * INDENT + line for line in texts)


# ---------------------------------------------------------------------- tables


def table(table: Table, columns: int) -> Iterator[str]:
    """The rows under the head, in columns; the widest cells are broken where there is no room."""
    rows = [[plain(cell) for cell in row] for row in (table.head, *table.rows)]
    count = max(map(len, rows))
    rows = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = [max(width(row[n]) for row in rows) for n in range(count)]
    room = columns - INDENT - 2 * (count - 1)
    while sum(widths) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    for number, row in enumerate(rows):
        cells = [wrapped(cell, most) for cell, most in zip(row, widths, strict=True)]
        for line in zip_longest(*cells, fillvalue=""):
            yield " " * INDENT + "  ".join(map(_padded, line, widths)).rstrip()
        if number == 0:
            yield " " * INDENT + "─" * (sum(widths) + 2 * (count - 1))


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


# ---------------------------------------------------------------------- formulas


def display(block: Formulas, columns: int) -> Iterator[str]:
    """The lines, aligned at their relations; in a box where they fit into one."""
    lines = list(block.lines)
    indent = " " * INDENT
    room = columns - INDENT
    if block.boxed or block.columns > 1:
        lines = [line.bare for line in lines]
    if block.boxed:
        texts = _arranged(lines, block.columns, room - 4)
        inside = max(map(width, texts), default=0)
        if inside <= room - 4:
            texts = [
                f"┌{'─' * (inside + 2)}┐",
                *(f"│ {_padded(text, inside)} │" for text in texts),
                f"└{'─' * (inside + 2)}┘",
            ]
            yield from (indent + text for text in texts)
            return
    number = f"({block.number.strip('()')})" if block.number else ""
    brace = 2 if block.braced else 0
    texts = _arranged(lines, block.columns, room - brace)
    if block.braced:
        texts = [f"{sign} {text}" for sign, text in zip(_brace(len(texts)), texts, strict=True)]
    if number:
        texts[-1:] = _beside(texts[-1], number, room) if texts else []
    yield from (indent + text for text in texts)


def _brace(rows: int) -> str:
    """A left brace over so many rows."""
    if rows in BRACES:
        return BRACES[rows]
    middle = (rows - 1) // 2
    return "".join("⎧" if n == 0 else "⎩" if n == rows - 1 else "⎨" if n == middle else "⎪" for n in range(rows))


def _arranged(lines: Sequence[Line], count: int, room: int) -> list[str]:
    """The lines, `count` of them beside each other where there is room."""
    if count > 1:
        cells = [_one_line(line) for line in lines]
        widths = [max(map(width, cells[n::count]), default=0) for n in range(count)]
        if sum(widths) + 4 * (count - 1) <= room:
            starts = range(0, len(cells), count)
            return [(" " * 4).join(map(_padded, cells[n : n + count], widths)).rstrip() for n in starts]
    return _aligned(lines, room)


def _one_line(line: Line) -> str:
    sides = f"{line.left} {line.relation}"
    return unicode_math(f"{sides} {' '.join(line.right)}").strip()


def _aligned(lines: Sequence[Line], room: int) -> list[str]:
    """The lines with their relations under each other; a left side that is too wide has a line of its own."""
    texts = _beneath(lines, room, room * 2 // 5)
    return texts if all(width(text) <= room for text in texts) else _beneath(lines, room, 0)


def _beneath(lines: Sequence[Line], room: int, limit: int) -> list[str]:
    """limit: how wide a left side may be beside its relation."""
    lefts = [unicode_math(line.left).strip() for line in lines]
    most = max((width(left) for left in lefts if width(left) <= limit), default=0)
    texts: list[str] = []
    for line, left in zip(lines, lefts, strict=True):
        if width(left) > most:
            texts.append(left)
            left = ""
        texts += _line(line, " " * (most - width(left)) + left, room)
    return texts


def _line(line: Line, left: str, room: int) -> list[str]:
    """One equality: its right side fills lines, then come its note and its labels."""
    relation = " " if line.right[:1] == [DOTS] else unicode_math(line.relation).strip()
    start = "".join(f"{part} " for part in (left, relation) if part)
    behind = " " * (width(start) + CONTINUED)
    pieces = [part for piece in unicode_pieces(line.right) for part in _broken(piece, room - width(behind))]
    texts = [start + pieces[0]]
    for piece in pieces[1:]:
        if width(texts[-1]) + 1 + width(piece) <= room:
            texts[-1] += f" {piece}"
        else:
            texts.append(behind + piece)
    if line.note:
        note = plain(line.note)
        if width(texts[-1]) + 2 + width(note) <= room:
            texts[-1] += f"  {note}".replace(FIXED, " ")
        else:
            texts += [behind + part for part in wrapped(note, room - width(behind))]
    if line.labels:
        names = ", ".join(f"{label.text} {label.mark}".strip() for label in line.labels)
        texts[-1:] = _beside(texts[-1], f"[{names}]", room)
    return texts


def _beside(text: str, label: str, room: int) -> list[str]:
    """The label at the right of the text, or under it where there is no room."""
    gap = room - width(text) - width(label)
    if gap >= 2:
        return [text + " " * gap + label]
    labels = wrapped(label, room)
    return [text, *(" " * (room - width(part)) + part for part in labels)]


def _broken(piece: str, room: int) -> list[str]:
    """A piece that is too wide, cut before its signs, then before its factors; outside all brackets first."""
    parts = [piece]
    for depth in range(sum(piece.count(bracket) for bracket in "([{") + 1):
        for signs in (True, False):
            if all(width(part) <= room for part in parts):
                return parts
            parts = [cut for part in parts for cut in ([part] if width(part) <= room else _cut(part, depth, signs))]
    return parts


def _cut(piece: str, most: int, signs: bool) -> list[str]:
    """The piece cut before every sign, or every factor, that stands in at most so many brackets."""
    depth = 0
    before = ""
    cuts = [0]
    for token in re.finditer(r"[(\[{]|[)\]}]| |[^()\[\]{} ]+", piece):
        if token.group() in "([{":
            depth += 1
        elif token.group() in ")]}":
            depth -= 1
        elif token.group() == " " and depth <= most:
            sign = piece[token.end() :].startswith(SIGNS)
            if sign if signs else not (before in SIGNS or before in NAMED or before[:1] in SUMS):
                cuts.append(token.start())
            before = ""
        before += token.group().strip()
    ends = [*cuts[1:], len(piece)]
    return [part for start, end in zip(cuts, ends, strict=True) if (part := piece[start:end].strip())]
