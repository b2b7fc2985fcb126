r"""A page as Markdown, as GitHub shows it: displays in ```math fences, formulas in text as $`...`$.

GitHub sets formulas with MathJax and refuses commands that could hide or redefine something, \operatorname among them;
neither macros nor \tag are used. Inside a formula nothing can be a link, so that a label is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

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
    Link,
    Listing,
    Page,
    Paragraph,
    Piece,
    Table,
    Terms,
    Text,
)
from symbolic.pages.text import plain
from symbolic.unicodemath import BINARY, RELATIONS, SPACES

# What would be markup, and how it is written to be none. A dollar sign may only be one in an element of its own.
ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "<span>$</span>", **{c: f"\\{c}" for c in "\\`*_{}[]#|~^!"}}
# Signs that words in a formula cannot have, as formulas.
SIGNS = {
    "_": r"\_", "%": r"\%", "#": r"\#", "&": r"\&", "$": r"\$", "{": r"\{", "}": r"\}", "\\": r"\backslash ",
    "^": r"{}^{\wedge}", "~": r"\sim ", "<": "<", ">": ">", "|": r"\vert ",
}  # fmt: skip
# A Markdown line that begins so would be a list or an underline.
BEGINS = re.compile(r"\A(?:(?P<number>\d+)(?=[.)])|(?=[-+=]))")
OPERATOR = re.compile(
    r"(?P<before>(?:\\[A-Za-z]+|[\w})\]]) )?\\operatorname\{(?P<name>[^{}]*)\}(?P<after> (?=[A-Za-z0-9\\]))?"
)


def write_markdown(page: Page) -> str:
    """The page. The same page gives the same text."""
    parts = [f"# {_escaped(plain(page.title))}"]
    writer = _Writer(page)
    parts += [writer.line(page.subtitle)] if page.subtitle else []
    return "\n\n".join([*parts, *writer.blocks(page.blocks)]) + "\n"


def github_math(latex: str) -> str:
    r"""The formula without what GitHub refuses, and without a bar, which would end the cell of a table.

    \operatorname becomes \mathrm, with the space that an operator has beside letters.
    """
    return OPERATOR.sub(_upright, latex).replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def _upright(match: re.Match[str]) -> str:
    before = match["before"] or ""
    if before and before.strip() not in {*BINARY, *RELATIONS, *SPACES}:
        before += r"\, "
    return rf"{before}\mathrm{{{match['name']}}}" + (r" \, " if match["after"] else "")


def _escaped(words: str) -> str:
    """Plain text, so that nothing in it is markup, or an address that GitHub would make a link of."""
    escaped = "".join(ESCAPED.get(c, c) for c in words.replace("\n", " "))
    return escaped.replace("://", ":\\//").replace("www.", "www\\.")


def _html(words: str) -> str:
    """Plain text inside an HTML element."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("$", "<span>$</span>")):
        words = words.replace(character, entity)
    return words


class _Writer:
    """Writes blocks; links lead to anchors that the page has, and anchors are written where one leads to them.

    targets: what links lead to; a label stands in a formula, which cannot be a link. anchors: what there is.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.targets: set[str] = set()
        self.anchors: set[str] = set()
        for part in _parts(page.blocks):
            if isinstance(part, Link):
                self.targets.add(part.target)
            else:
                self.anchors.add(part)
        self.written: set[str] = set()

    # ------------------------------------------------------------------ running text

    def text(self, text: Text) -> str:
        """Running text in one line; a formula right behind a letter or digit would not be set."""
        written = ""
        for piece in text:
            if isinstance(piece, Formula):
                apart = "\u2009" if written[-1:].isalnum() or written[-1:] == "-" else ""
                written += f"{apart}$`{github_math(piece.latex.strip())}`$"
            elif isinstance(piece, Link):
                linked = piece.target in self.anchors
                # A formula inside a link would not be set either.
                written += f"[{_escaped(plain(piece.text))}](#{piece.target})" if linked else self.text(piece.text)
            elif isinstance(piece, Code):
                written += _typed(piece.plain)
            else:
                written += _escaped(piece)
        return written

    def line(self, text: Text) -> str:
        """Running text that begins a Markdown line, where it could be taken for a list."""
        return BEGINS.sub(lambda match: f"{match['number'] or ''}\\", self.text(text).strip(), count=1)

    def anchor(self, *names: str) -> str:
        """The anchors that something leads to, each once."""
        wanted = [name for name in dict.fromkeys(names) if name in self.targets and name and name not in self.written]
        self.written.update(wanted)
        return "".join(f'<a id="{name}"></a>' for name in wanted)

    # ------------------------------------------------------------------ blocks

    def blocks(self, blocks: Iterable[Block]) -> list[str]:
        return [part for block in blocks for part in self.block(block)]

    def block(self, block: Block) -> Iterator[str]:
        if isinstance(block, Heading):
            yield f"{'#' * min(block.level + 1, 6)} {self.anchor(block.anchor)}{self.text(block.text)}"
        elif isinstance(block, Paragraph):
            yield self.anchor(block.anchor) + self.line(block.text)
        elif isinstance(block, Listing):
            marks = [f"{n}." if block.numbered else "-" for n in range(1, len(block.items) + 1)]
            yield "\n".join(f"{mark} {self.line(item)}" for mark, item in zip(marks, block.items, strict=True))
        elif isinstance(block, Terms):
            yield "\n".join(
                f"- {self.anchor(anchor)}**{_escaped(word)}**: {self.text(meaning)}"
                for word, meaning, anchor in block.items
            )
        elif isinstance(block, Table):
            yield self.table(block)
        elif isinstance(block, Formulas):
            yield from self.display(block)
        elif isinstance(block, Derived):
            yield from self.derived(block)
        elif isinstance(block, Fold):
            yield from self.details(block.title, self.blocks(block.blocks), block.kind == self.page.detail)

    def table(self, block: Table) -> str:
        count = max(len(row) for row in (block.head, *block.rows))
        rows = [[self.text(cell) for cell in row] + [""] * (count - len(row)) for row in (block.head, *block.rows)]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([lines[0], "|" + " --- |" * count, *lines[1:]])

    def derived(self, block: Derived) -> Iterator[str]:
        lead = self.anchor(block.anchor) + self.line(block.lead)
        if lead:
            yield lead
        if self.page.detail == "result" or not block.chain.lines:
            yield from self.display(block.final)
            if block.chain.lines:
                yield from self.details(("Steps",), list(self.display(block.chain)), False)
        else:
            yield from self.display(block.chain)
        yield from self.blocks(block.folds)

    def details(self, title: Text, inside: Sequence[str], shown: bool) -> Iterator[str]:
        """What unfolds; the blank lines round what is inside make it Markdown again."""
        yield f"<details{' open' if shown else ''}>\n<summary>{_html(plain(title))}</summary>"
        yield from inside
        yield "</details>"

    def display(self, block: Formulas) -> Iterator[str]:
        anchors = self.anchor(*(line.anchor for line in block.lines))
        if anchors:
            yield anchors
        yield f"```math\n{display(block)}\n```"


def _parts(blocks: Iterable[Block]) -> Iterator[Link | str]:
    """Every link of the blocks, and, as words, every anchor."""
    for block in blocks:
        if isinstance(block, (Heading, Paragraph)):
            yield block.anchor
            yield from _links(block.text)
        elif isinstance(block, Listing):
            yield from (link for item in block.items for link in _links(item))
        elif isinstance(block, Terms):
            yield from (anchor for _, _, anchor in block.items)
            yield from (link for _, meaning, _ in block.items for link in _links(meaning))
        elif isinstance(block, Table):
            yield from (link for row in (block.head, *block.rows) for cell in row for link in _links(cell))
        elif isinstance(block, Formulas):
            yield from (line.anchor for line in block.lines)
        elif isinstance(block, Derived):
            yield block.anchor
            yield from _parts((Paragraph(block.lead), block.final, block.chain, *block.folds))
        elif isinstance(block, Fold):
            yield from _parts(block.blocks)


def _links(text: Sequence[Piece]) -> Iterator[Link]:
    return (piece for piece in text if isinstance(piece, Link))


# ---------------------------------------------------------------------- formulas


def display(block: Formulas) -> str:
    """The lines as one aligned formula."""
    number = rf"\text{{({block.number.strip('()')})}}" if block.number else ""
    if block.columns > 1:
        inner = _columns(block)
    elif block.braced:
        inner = _environment("aligned", rows(block.lines, labelled=False))
        inner = rf"\left\{{{inner}\right." + (rf" \qquad {number}" if number else "")
    elif block.boxed:
        inner = _environment("aligned", rows([line.bare for line in block.lines], labelled=False))
    else:
        texts = rows(block.lines, labelled=True)
        if number and texts:
            texts[-1] += f" && {number}" if "&& " not in texts[-1] else rf" \quad {number}"
        return _environment("align*", texts)
    return rf"\boxed{{{inner}}}" if block.boxed else inner


def _environment(name: str, texts: Sequence[str]) -> str:
    return "\n".join([rf"\begin{{{name}}}", " \\\\\n".join(texts), rf"\end{{{name}}}"])


def _columns(block: Formulas) -> str:
    """Several equalities in each row."""
    cells = [f"{line.left} &{line.relation} {' '.join(line.right)}" for line in block.lines]
    starts = range(0, len(cells), block.columns)
    return _environment(
        "aligned", [github_math(r" & \qquad ".join(cells[start : start + block.columns])) for start in starts]
    )


def rows(lines: Sequence[Line], labelled: bool) -> list[str]:
    """The rows of an aligned environment; labels stand in a column at the right."""
    texts: list[str] = []
    for line in lines:
        first, *rest = map(github_math, line.right)
        relation = "" if line.right[0] == DOTS else f"{line.relation} "
        pieces = [f"{github_math(line.left)} &{relation}{first}".strip(), *(rf"&\qquad {piece}" for piece in rest)]
        if line.note:
            pieces[-1] += rf" \quad {_words(line.note)}"
        if labelled and line.labels:
            names = ", ".join(f"{label.text} {label.mark}".strip() for label in line.labels)
            pieces[-1] += f" && {_words((names,))}"
        texts += pieces
    return texts


def _typed(plain: str) -> str:
    """A span of code, fenced by more backticks than stand together in it."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    space = " " if plain[:1] == "`" or plain[-1:] == "`" else ""
    return f"{fence}{space}{plain}{space}{fence}"


def _words(text: Text) -> str:
    """Running text inside a formula."""
    written = ""
    for piece in text:
        if isinstance(piece, Formula):
            written += github_math(piece.latex)
        elif isinstance(piece, Link):
            written += _words(piece.text)
        else:
            piece = piece.plain if isinstance(piece, Code) else piece
            parts = re.split(r"([_%#&${}\\^~<>|])", piece)
            written += "".join(SIGNS.get(part, rf"\text{{{part}}}") for part in parts if part)
    return written
