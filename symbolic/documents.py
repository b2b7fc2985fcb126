"""The formats of a page: LaTeX, PDF, HTML, Markdown, Unicode text.

`FORMATS` says what there is. A page is composed for the format's medium and written by the format's writer; what is
said and how formulas are printed is the same in all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from symbolic.errors import FileError, MissingExtra, UsageError, nearest, warn
from symbolic.files import as_path
from symbolic.pages.blocks import PAPER, Medium, Page
from symbolic.printable import COLUMNS

# A window may be as narrow as a telephone: pieces of at most so many em flow into as many lines as they need.
SCREEN = Medium(17.0, flows=True, unfolds=True, pictures=True)
TERMINAL = Medium(17.0, flows=True)


@dataclass(frozen=True)
class Format:
    """name, suffixes: what it is called and how its files end. medium: what pages are composed for.

    write: makes the file's content of a page; it takes the settings that the format has. What a format needs is
           imported when it is used.
    """

    name: str
    what: str
    suffixes: tuple[str, ...]
    medium: Medium
    write: Callable[..., str | bytes]


def _tex(page: Page) -> str:
    from symbolic.pages.tex import write_tex

    return write_tex(page)


def _pdf(page: Page) -> bytes:
    from symbolic.pages.pdf import pdf_of
    from symbolic.pages.tex import write_tex

    return pdf_of(write_tex(page))


def _html(page: Page, katex: bool | None = None) -> str:
    from symbolic.pages.html import write_html
    from symbolic.pages.mathml import require_math_core

    if katex is None:
        try:
            require_math_core()
            katex = False
        except MissingExtra:
            katex = True
            warn(
                "formulas are set by KaTeX, by a script in the page, since math-core is not installed; for MathML, "
                "which needs no script: pip install 'deltaform[html]'; to be rid of this warning: --katex, katex=True"
            )
    return write_html(page, katex=katex)


def _markdown(page: Page) -> str:
    from symbolic.pages.markdown import write_markdown

    return write_markdown(page)


def _text(page: Page, columns: int = COLUMNS) -> str:
    from symbolic.pages.text import write_text

    return write_text(page, columns)


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format("tex", "LaTeX, for pdflatex", (".tex",), PAPER, _tex),
        Format("pdf", "PDF, made by pdflatex", (".pdf",), PAPER, _pdf),
        Format("html", "one HTML file that unfolds, without network", (".html", ".htm"), SCREEN, _html),
        Format("md", "Markdown with ```math fences, as on GitHub", (".md", ".markdown"), PAPER, _markdown),
        Format("txt", "Unicode, for a terminal", (".txt",), TERMINAL, _text),
    )
}
SUFFIXES = tuple(suffix for one in FORMATS.values() for suffix in one.suffixes)


def format_named(name: str) -> Format:
    """The format with this name.

    Raises:
        UsageError: there is none; lists those that there are.
    """
    if not isinstance(name, str) or name not in FORMATS:
        raise UsageError(f"unknown format {name!r}; {nearest(str(name), FORMATS)}")
    return FORMATS[name]


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format that a file's suffix says.

    Raises:
        FileError: no format has this suffix, or `path` names no file.
    """
    target = as_path(path)
    if target.is_dir():
        raise FileError(f"{target} is a folder; name a file in it, such as {target / 'page.html'}")
    for one in FORMATS.values():
        if target.suffix in one.suffixes:
            return one
    raise FileError(
        f"{target}: unknown suffix {target.suffix!r}; it must be {' or '.join(SUFFIXES)}, which say the format"
    )
