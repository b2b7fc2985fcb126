"""A page as a LaTeX document, which needs pdflatex with `texlive-latex-base` and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from symbolic.linewidth import width
from symbolic.notation import escape_text
from symbolic.pages.blocks import (
    BOX,
    DOTS,
    PAPER,
    Block,
    Code,
    Derived,
    Fold,
    Formula,
    Formulas,
    Heading,
    Label,
    Line,
    Link,
    Listing,
    Page,
    Paragraph,
    Table,
    Terms,
    Text,
)

PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=22mm]{geometry}
\usepackage{amsmath,amssymb}
\usepackage{array,longtable}
\usepackage{color,graphicx}
"""
# What the body needs of its own; a document that includes the body has to load the packages above.
MACROS = r"""\definecolor{rulegray}{gray}{0.42}
\let\plainfrac\frac
\renewcommand{\frac}[2]{\mathinner{\plainfrac{#1}{#2}}}
\newcommand{\by}[1]{\tag*{\footnotesize\textcolor{rulegray}{#1}}}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\setlength{\jot}{5pt}
\allowdisplaybreaks[1]
"""
DISPLAY = r"\begin{align*}"
# A brace in front of a system keeps off the last line of the text before it, however short that is.
STRUT = Formula(r"\rule[-2.6ex]{0pt}{0pt}")
OPEN_BOX = r"\setlength{\fboxsep}{1.2ex}\boxed{"
# The estimate of a width may be wrong by so many em, and type is set no smaller than this.
SLACK, SMALLEST = 3.0, 0.3
# A summary of more lines than this is not boxed, because a box cannot break across pages.
BOXED = 24


def write_tex(page: Page) -> str:
    """The document, ready for pdflatex. The same page gives the same text."""
    return joined([PREAMBLE + MACROS + r"\begin{document}", *_body(page, r"\section*"), r"\end{document}"])


def tex_fragment(page: Page) -> str:
    """The page as a part of another document, such as a notebook's, which loads amsmath, longtable and xcolor."""
    return joined(["{", MACROS, *_body(page, r"\subsection*"), "}"])


def _body(page: Page, section: str) -> Iterator[str]:
    subtitle = r"\\[1.2ex]{\large " + running(page.subtitle) + "}" if page.subtitle else ""
    yield r"\begin{center}{\LARGE " + running(page.title) + "}" + subtitle + r"\end{center}"
    for block, following in zip_longest(page.blocks, page.blocks[1:]):
        if isinstance(block, Paragraph) and isinstance(following, Formulas) and following.braced:
            block = Paragraph((*block.text, STRUT))
        yield from _block(block, section)


def joined(parts: Iterable[str]) -> str:
    """The parts of a document, with a blank line between them.

    A display belongs to the paragraph before it: a blank line there would open an empty paragraph.
    """
    text = "\n\n".join(part for part in parts if part)
    return re.sub(r"\n\n(?=\\begin\{(?:align|equation)\*\}|\\\[)", "\n", text) + "\n"


def running(text: Text) -> str:
    """Running text, with its formulas between dollar signs."""
    pieces = []
    for piece in text:
        if isinstance(piece, Formula):
            pieces.append(f"${piece.latex}$")
        elif isinstance(piece, Code):
            pieces.append(_typed(piece.plain))
        else:
            pieces.append(running(piece.text) if isinstance(piece, Link) else escape_text(piece))
    return "".join(pieces)


def _typed(plain: str) -> str:
    """Typewriter text whose signs can be copied from the page, which an accent in the place of a sign cannot."""
    signs = {"_": r"\char95 ", "^": r"\char94 ", "~": r"\char126 ", "\\": r"\char92 ", ">": ">", "<": "<", "|": "|"}
    return rf"\texttt{{{''.join(signs.get(sign) or escape_text(sign) for sign in plain)}}}"


def _block(block: Block, section: str) -> Iterator[str]:
    if isinstance(block, Heading):
        yield section.replace("section", "sub" * (block.level - 1) + "section") + f"{{{running(block.text)}}}"
    elif isinstance(block, Paragraph):
        yield running(block.text)
    elif isinstance(block, Listing):
        mark, kind = (r"\item", "enumerate") if block.numbered else (r"\item[$\bullet$]", "itemize")
        yield _environment(kind, [f"{mark} {running(item)}" for item in block.items])
    elif isinstance(block, Terms):
        items = [rf"\item[{escape_text(term)}] {running(meaning)}" for term, meaning, _ in block.items]
        yield _environment("description", items)
    elif isinstance(block, Table):
        yield _table(block)
    elif isinstance(block, Formulas):
        yield display(block)
    elif isinstance(block, Derived):
        yield running(block.lead)
        yield display(block.chain)
        for fold in block.folds:
            yield from _fold(fold, section)
    elif isinstance(block, Fold):
        yield from _fold(block, section)


def _fold(fold: Fold, section: str) -> Iterator[str]:
    """What another format folds, in small print."""
    if fold.kind == "why":
        answer = [running(block.text) for block in fold.blocks if isinstance(block, Paragraph)]
        yield rf"{{\small\sloppy\textit{{{running(fold.title)}}} {' '.join(answer)}\par}}\medskip"
        return
    yield rf"{{\small {running(fold.title)}:}}"
    for block in fold.blocks:
        yield from _block(block, section)


def _environment(name: str, lines: Sequence[str]) -> str:
    return "\n".join([rf"\begin{{{name}}}", *lines, rf"\end{{{name}}}"])


def _table(table: Table) -> str:
    head = " & ".join(rf"\textit{{{running(cell)}}}" if cell else "" for cell in table.head) + r"\\[0.4ex]"
    rows = [" & ".join(running(cell) for cell in row) + r" \\" for row in table.rows]
    columns = r"@{\qquad}".join("l" for _ in table.head)
    return "\n".join([rf"\begin{{longtable}}[l]{{@{{}}{columns}@{{}}}}", head, *rows, r"\end{longtable}"])


def display(block: Formulas) -> str:
    """The lines as a display."""
    if block.columns > 1:
        return _columns(block)
    if block.braced:
        system = [r"\setlength{\jot}{1.6ex}\left\{\begin{aligned}", rows(block.lines, False), r"\end{aligned}\right."]
        tag = rf" \tag{{{block.number}}}" if block.number else ""
        return _environment("equation*", ["\n".join(system) + tag])
    if block.boxed and sum(len(line.right) for line in block.lines) <= BOXED:
        inner = _environment("aligned", [rows(block.lines, tags=False)])
        return "\n".join([r"\[", OPEN_BOX, inner, "}", r"\]"])
    tag = rf" \tag{{{block.number}}}" if block.number else ""
    return "\n".join([DISPLAY, rows(block.lines, tags=not block.boxed) + tag, r"\end{align*}"])


def _columns(block: Formulas) -> str:
    """Several equalities in each row, without labels."""
    cells = [f"{line.left} &{line.relation} {' '.join(line.right)}" for line in block.lines]
    starts = range(0, len(cells), block.columns)
    texts = [" &\n\\qquad ".join(cells[start : start + block.columns]) for start in starts]
    inner = _environment("aligned", [" \\\\[1ex]\n".join(texts)])
    return "\n".join([r"\[", OPEN_BOX, inner, "}", r"\]"]) if block.boxed else "\n".join([r"\[", inner, r"\]"])


def rows(lines: Sequence[Line], tags: bool) -> str:
    """The rows of an aligned environment; with `tags` the labels stand at the right."""
    texts = []
    left = max((width(line.left) for line in lines), default=0.0)
    for line in lines:
        first, *rest = (_fitted(piece, PAPER.line - left - (0 if tags else BOX)) for piece in line.right)
        sign = "" if first == DOTS else f"{line.relation} "
        pieces = [f"{line.left} &{sign}{first}", *(rf"&\qquad {piece}" for piece in rest)]
        if line.note:
            pieces[-1] += rf"\quad\text{{{running(line.note)}}}"
        if tags and line.labels:
            pieces[-1] += rf" \by{{{', '.join(map(_label, line.labels))}}}"
        texts += pieces
    return " \\\\\n".join(row.strip() for row in texts)


def _fitted(piece: str, room: float) -> str:
    """A piece that can be broken no further and is wider than its line, in smaller type."""
    wide = width(piece)
    if wide <= room:
        return piece
    return rf"\scalebox{{{max((room - SLACK) / wide, SMALLEST):.2f}}}{{$\displaystyle {piece}$}}"


def _label(label: Label) -> str:
    return f"{escape_text(label.text)} {label.mark}".strip()
