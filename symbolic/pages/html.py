"""A page as HTML: one document that needs no network, or a fragment for a notebook.

What a reader may not want at first stands in <details>: the steps, then what there is besides. Formulas are MathML, or
LaTeX that KaTeX sets when the page has loaded. The same page gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

from symbolic.pages.blocks import (
    DOTS,
    Block,
    Code,
    Derived,
    Fold,
    Formula,
    Formulas,
    Heading,
    Label,
    Line,
    Listing,
    Page,
    Paragraph,
    Picture,
    Piece,
    Table,
    Terms,
    Text,
)
from symbolic.pages.katex import katex_script, katex_style
from symbolic.pages.mathml import mathml

# The details at which a page shows its steps, and its smaller steps, from the start.
STEPS_OPEN = ("layer", "rule")
RULES_OPEN = ("rule",)
BRACE = (
    '<svg class="brace" aria-hidden="true" viewBox="0 0 10 100" preserveAspectRatio="none"><path d="M9 1C4 1 5 6 5 12V'
    '40C5 46 4 50 1 50C4 50 5 54 5 60V88C5 94 4 99 9 99" fill="none" stroke="currentColor" stroke-width="1.3" '
    'vector-effect="non-scaling-stroke"/></svg>'
)
# Words for LaTeX commands in a title of a window, which has no formulas.
WORDS = {r"\to": "→", r"\cdots": "…", r"\dots": "…", r"\times": "×"}


def write_html(page: Page, katex: bool = False) -> str:
    """The page as a whole HTML document, which loads nothing.

    katex: formulas are LaTeX, set by KaTeX inside the page; without script a reader sees the LaTeX.

    Raises:
        MissingExtra: math-core is not installed, and `katex` is not wanted.
        UsageError: math-core cannot read a formula.
    """
    writer = _Writer(page, tex if katex else mathml)
    body = writer.blocks(page.blocks)
    styles = [data("style.css"), data("document.css"), *([katex_style()] if katex else [])]
    scripts = [*([katex_script()] if katex else []), data("document.js")]
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escaped(plain(page.title))}</title>",
        *(f"<style>\n{style.strip()}\n</style>" for style in styles),
        "</head>",
        "<body>",
        '<a class="skip" href="#main">Skip to the content</a>',
        '<div class="sheet">',
        f'<header class="deltaform"><h1>{writer.text(page.title)}</h1>',
        *([f'<p class="subtitle">{writer.text(page.subtitle)}</p>'] if page.subtitle else []),
        "</header>",
        *writer.contents(),
        '<main id="main" class="deltaform">',
        *body,
        "</main>",
        "</div>",
        *(f"<script>\n{script.strip()}\n</script>" for script in scripts),
        "</body>",
        "</html>",
        "",
    ])  # fmt: skip


def html_fragment(page: Page, prefix: str = "") -> str:
    """The page as a <div> for the output of a notebook, with its style, without script. Headings begin at level 3.

    prefix: stands before every id, so that several pages may be in one notebook; "" makes one of what the page says.

    Raises:
        MissingExtra: math-core is not installed.
        UsageError: math-core cannot read a formula.
    """
    prefix = prefix or f"page-{sha256(repr(page).encode()).hexdigest()[:8]}"
    name = re.sub(r"[^A-Za-z0-9_-]", "-", prefix)
    writer = _Writer(page, mathml, f"{name}-", top=3)
    body = writer.blocks(page.blocks)
    return "\n".join([
        '<div class="deltaform fragment">',
        f"<style>\n{data('style.css').strip()}\n</style>",
        f"<h3>{writer.text(page.title)}</h3>",
        *([f'<p class="subtitle">{writer.text(page.subtitle)}</p>'] if page.subtitle else []),
        *body,
        "</div>",
        "",
    ])  # fmt: skip


@cache
def data(name: str) -> str:
    """A file that is kept beside this one."""
    return (resources.files("symbolic.pages") / name).read_text(encoding="utf-8")


def escaped(plain: str) -> str:
    """Plain text as HTML, inside an element or a quoted attribute."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        plain = plain.replace(character, entity)
    return plain


def tex(latex: str, display: bool = False) -> str:
    """The formula as text, for KaTeX to set."""
    return f'<span class="tex{" display" * display}">{escaped(latex)}</span>'


def plain(text: Text) -> str:
    """Running text without formulas and links: LaTeX is stripped of its commands."""
    parts = []
    for piece in text:
        if isinstance(piece, Formula):
            words = re.sub(r"\\[A-Za-z]+", lambda match: WORDS.get(match.group(), ""), piece.latex)
            parts.append(re.sub(r"[\\{}$_^]", "", words).strip())
        else:
            parts.append(
                piece if isinstance(piece, str) else piece.plain if isinstance(piece, Code) else plain(piece.text)
            )
    return "".join(parts)


def everything(blocks: Iterable[Block]) -> Iterator[Any]:
    """The blocks, what is folded into them, and their lines, in the order of the page."""
    for block in blocks:
        yield block
        if isinstance(block, Formulas):
            yield from block.lines
        elif isinstance(block, Fold):
            yield from everything(block.blocks)
        elif isinstance(block, Derived):
            yield from everything((block.final, block.chain, *block.folds))


class _Writer:
    """Writes the blocks of one page.

    formula: writes LaTeX, in text or displayed. prefix: stands before every id. top: the level of the page's title.
    """

    def __init__(self, page: Page, formula: Callable[[str, bool], str], prefix: str = "", top: int = 1) -> None:
        self.page = page
        self.formula = formula
        self.prefix = prefix
        self.top = self.level = top
        self.targets = {getattr(part, "anchor", "") for part in everything(page.blocks)} - {""}
        self.targets |= {item[2] for part in everything(page.blocks) if isinstance(part, Terms) for item in part.items}
        self.used: set[str] = {"main"}
        self.headings: list[tuple[int, str, Text]] = []
        self.folded = 0
        self.kinds: dict[type, Callable[[Any], str]] = {
            Heading: self.heading, Paragraph: self.paragraph, Listing: self.listing, Terms: self.terms,
            Table: self.table, Formulas: self.formulas, Fold: self.fold, Derived: self.derived, Picture: self.picture,
        }  # fmt: skip

    # ------------------------------------------------------------------ text

    def text(self, text: Text) -> str:
        """Running text."""
        return "".join(self.piece(piece) for piece in text)

    def piece(self, piece: Piece) -> str:
        if isinstance(piece, str):
            return escaped(piece)
        if isinstance(piece, Formula):
            return self.formula(piece.latex, False)
        if isinstance(piece, Code):
            return f"<code>{escaped(piece.plain)}</code>"
        return self.link(self.text(piece.text), piece.target)

    def link(self, inner: str, target: str, attributes: str = "") -> str:
        """A link to an anchor of this page; the text alone, where there is no such anchor."""
        if target not in self.targets:
            return inner
        return f'<a href="#{escaped(self.prefix + target)}"{attributes}>{inner}</a>'

    def id(self, anchor: str) -> str:
        """The attribute of the first element with this anchor."""
        if not anchor or anchor in self.used:
            return ""
        self.used.add(anchor)
        return f' id="{escaped(self.prefix + anchor)}"'

    # ------------------------------------------------------------------ blocks

    def blocks(self, blocks: Iterable[Block]) -> list[str]:
        return [self.kinds[type(block)](block) for block in blocks]

    def contents(self) -> Iterator[str]:
        """The list of contents, once the blocks are written; levels below the second are left out."""
        listed = [heading for heading in self.headings if heading[0] <= self.top + 2]
        if not listed:
            return
        yield '<nav class="contents" aria-label="Contents">'
        depth = self.top
        for level, anchor, text in listed:
            yield from ["<ol>"] * (level - depth) or ["</li>", *["</ol></li>"] * (depth - level)]
            yield f'<li><a href="#{escaped(self.prefix + anchor)}">{self.text(text)}</a>'
            depth = level
        yield from ["</li></ol>"] * (depth - self.top)
        yield "</nav>"

    def heading(self, block: Heading) -> str:
        # A level is never left out, even if the page does.
        self.level = min(self.top + block.level, self.level + 1, 6)
        anchor = block.anchor
        if not anchor or anchor in self.used:
            free = (f"section-{n}" for n in range(1, len(self.used) + len(self.targets) + 2))
            anchor = next(name for name in free if name not in self.used | self.targets)
        if not self.folded:
            self.headings.append((self.level, anchor, block.text))
        return f"<h{self.level}{self.id(anchor)}>{self.text(block.text)}</h{self.level}>"

    def paragraph(self, block: Paragraph) -> str:
        return f"<p{self.id(block.anchor)}>{self.text(block.text)}</p>"

    def listing(self, block: Listing) -> str:
        name = "ol" if block.numbered else "ul"
        return "\n".join([f"<{name}>", *(f"<li>{self.text(item)}</li>" for item in block.items), f"</{name}>"])

    def terms(self, block: Terms) -> str:
        items = [
            f"<dt{self.id(anchor)}>{escaped(word)}</dt>\n<dd>{self.text(text)}</dd>"
            for word, text, anchor in block.items
        ]
        return "\n".join(["<dl>", *items, "</dl>"])

    def table(self, block: Table) -> str:
        head = "".join(f'<th scope="col">{self.text(cell)}</th>' for cell in block.head)
        rows = ["".join(f"<td>{self.text(cell)}</td>" for cell in row) for row in block.rows]
        return "\n".join([
            '<div class="scroll"><table>', f"<thead><tr>{head}</tr></thead>", "<tbody>",
            *(f"<tr>{row}</tr>" for row in rows), "</tbody>", "</table></div>",
        ])  # fmt: skip

    def picture(self, block: Picture) -> str:
        caption = f"<figcaption>{self.text(block.caption)}</figcaption>" if block.caption else ""
        # A drawing that says itself what it shows is not named twice.
        named = "" if "aria-labelledby" in block.svg else f' role="img" aria-label="{escaped(block.alt)}"'
        return f'<figure><div class="scroll"{named}>{prefixed(block.svg, self.prefix)}</div>{caption}</figure>'

    # ------------------------------------------------------------------ what unfolds

    def details(self, kind: str, title: str, blocks: Iterable[str], shown: bool) -> str:
        state = " open" if shown else ""
        return "\n".join([
            f'<details class="{kind}"{state}><summary>{title}</summary>', '<div class="inside">', *blocks,
            "</div></details>",
        ])  # fmt: skip

    def fold(self, block: Fold) -> str:
        level, self.folded = self.level, self.folded + 1
        inside = self.blocks(block.blocks)
        self.level, self.folded = level, self.folded - 1
        shown = block.kind == "rule" and self.page.detail in RULES_OPEN
        return self.details(f"fold {escaped(block.kind)}", self.text(block.title), inside, shown)

    def derived(self, block: Derived) -> str:
        """The lead and the last form; behind them the chain with its smaller steps, and what there is besides."""
        parts = [f'<section class="derived"{self.id(block.anchor)}>']
        parts += [f'<p class="lead">{self.text(block.lead)}</p>'] if block.lead else []
        parts.append(self.formulas(block.final, "final"))
        smaller = [fold for fold in block.folds if fold.kind == "rule"]
        if block.chain.lines:
            inside = [self.formulas(block.chain), *self.blocks(smaller)]
            parts.append(self.details("steps", "Steps", inside, self.page.detail in STEPS_OPEN))
        else:
            parts += self.blocks(smaller)
        besides = self.blocks(fold for fold in block.folds if fold.kind != "rule")
        parts += ['<div class="besides">', *besides, "</div>"] if besides else []
        return "\n".join([*parts, "</section>"])

    # ------------------------------------------------------------------ formulas

    def formulas(self, block: Formulas, kind: str = "") -> str:
        """Lines aligned at their relations."""
        plain = block.boxed or block.columns > 1
        lines = [line.bare if plain else line for line in block.lines]
        continued = any(not line.left for line in lines)
        names = ["lines", kind, "chain" if continued else "", "labelled" if any(line.labels for line in lines) else ""]
        columns = f' style="--columns: {block.columns}"' if block.columns > 1 else ""
        names += ["columns"] if columns else []
        rows = "\n".join(self.line(line) for line in lines)
        text = f'<div class="{" ".join(name for name in names if name)}"{columns}>\n{rows}\n</div>'
        if not (block.boxed or block.braced or block.number):
            return text
        number = f'<div class="number">{escaped(numbered(block.number))}</div>' if block.number else ""
        kinds = " boxed" * block.boxed + " braced" * block.braced
        return f'<div class="system{kinds}">{BRACE * block.braced}{text}{number}</div>'

    def line(self, line: Line) -> str:
        relation = "" if line.right[:1] == [DOTS] else self.formula(line.relation, True)
        pieces = " ".join(f'<span class="piece">{self.formula(piece.strip(), True)}</span>' for piece in line.right)
        note = f' <span class="note">{self.text(line.note)}</span>' if line.note else ""
        left = f'<div class="left">{self.formula(line.left, True)}</div>' if line.left else ""
        labels = "".join(self.label(label) for label in line.labels)
        return "\n".join([
            f'<div class="line"{self.id(line.anchor)}>{left}', f'<div class="relation">{relation}</div>',
            f'<div class="right">{pieces}{note}</div>', *([f'<div class="by">{labels}</div>'] if labels else []),
            "</div>",
        ])  # fmt: skip

    def label(self, label: Label) -> str:
        """The rule's name; its law and what verification found are behind it, a link to what was used after it."""
        mark = f'<span class="mark">{escaped(label.mark)}</span> ' if label.mark else ""
        name = mark + escaped(label.text)
        if not label.law and not label.checked:
            return f'<div class="label">{self.link(name, label.target)}</div>'
        arrow = self.link("↑", label.target, f' class="used" aria-label="to what was used: {escaped(label.text)}"')
        behind = f"<p>{self.text(label.law)}</p>" if label.law else ""
        if label.checked:
            fine = not label.checked.startswith("FALSE")
            sign, said = ("✓", "verified") if fine else ("✗", "not verified")
            kind = "tick" if fine else "cross"
            name += f' <span class="{kind}" aria-hidden="true">{sign}</span><span class="aside">, {said}</span>'
            behind += f'<p class="found">{said}: {escaped(label.checked)}</p>'
        law = f'<details class="law"><summary>{name}</summary><div class="behind">{behind}</div></details>'
        return f'<div class="label">{law}{arrow if label.target in self.targets else ""}</div>'


def prefixed(svg: str, prefix: str) -> str:
    """The drawing with a prefix before every id, and where one is referred to."""
    if not prefix:
        return svg

    def names(match: re.Match[str]) -> str:
        return f'{match.group(1)}="{" ".join(prefix + name for name in match.group(2).split())}"'

    svg = re.sub(r'\b(id|aria-labelledby|aria-describedby)="([^"]*)"', names, svg)
    return re.sub(r"(url\(|href=\")#", rf"\g<1>#{prefix}", svg)


def numbered(number: str) -> str:
    """The number of an equation, in brackets."""
    return number if number.startswith("(") else f"({number})"
