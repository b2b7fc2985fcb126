"""What can be printed: a derivation, or a note, as a page in every format, and what a notebook shows of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symbolic.collecting import collection_paused
from symbolic.errors import MissingExtra, UsageError
from symbolic.files import check_target, write_atomically

# What composes and writes pages is imported when a page is written: a derivation alone needs none of it.
if TYPE_CHECKING:
    from symbolic.notation import Notation
    from symbolic.pages.blocks import Medium, Page
    from symbolic.verification import Report

# How wide a terminal is taken to be.
COLUMNS = 100


class Printable:
    """What has pages: a derivation, a derivation for any depth, a note.

    Options of a page are `notation`, `form`, `detail` and `report`, as `Derivation.latex` has them; a note has its own
    notation and form, so that it takes `detail` and `report` only.
    """

    # The page for a medium, with the options.
    page: Callable[..., Page]

    def render(self, format: str = "tex", *, settings: Mapping[str, Any] | None = None, **options: Any) -> str | bytes:
        """The page in a format of FORMATS: text, or bytes for "pdf".

        settings: of the format: `katex` for "html", `columns` for "txt".

        Raises:
            UsageError: an unknown format or option, or an expression that the page has no form for.
            MissingExtra: the format needs something that is not installed; says what installs it.
        """
        from symbolic.documents import format_named

        chosen = format_named(format)
        with collection_paused():
            page = self.page(chosen.medium, **options)
        return chosen.write(page, **(settings or {}))

    def write(
        self, path: str | os.PathLike[str], format: str | None = None, force: bool = False, *,
        settings: Mapping[str, Any] | None = None, **options: Any,
    ) -> Path:  # fmt: skip
        """Write the page to a file, in the format that its suffix or `format` says; gives the path.

        Where pdflatex is missing, or cannot set the page, the LaTeX is written instead, before the error says so.

        Raises:
            FileError: the file exists and `force` is not given, or cannot be written.
            MissingExtra, UsageError: as for `render`.
        """
        from symbolic.documents import format_named, format_of

        chosen = format_of(path) if format is None else format_named(format)
        target = check_target(path, chosen.suffixes, force)
        try:
            content = self.render(chosen.name, settings=settings, **options)
        except (MissingExtra, UsageError) as problem:
            if chosen.name != "pdf":
                raise
            source = self.write(target.with_suffix(".tex"), "tex", force, **options)  # raises what is not pdflatex's
            raise type(problem)(f"{problem}; {source} is written, from which pdflatex makes the PDF") from None
        write_atomically(target, content if isinstance(content, bytes) else content.encode())
        return target

    def html(self, katex: bool | None = None, **options: Any) -> str:
        """The page as one HTML file without network: formulas in MathML by math-core (extra `html`), or, with `katex`,
        set in the browser by KaTeX, which is then in the page. None takes KaTeX only where math-core is missing.
        """
        return str(self.render("html", settings={"katex": katex}, **options))

    def markdown(self, **options: Any) -> str:
        """The page in Markdown, as GitHub shows it."""
        return str(self.render("md", **options))

    def text(self, columns: int = COLUMNS, **options: Any) -> str:
        """The page in Unicode, at most `columns` wide where a formula can be broken."""
        return str(self.render("txt", settings={"columns": columns}, **options))

    def pdf(self, **options: Any) -> bytes:
        """The page as a PDF, made by pdflatex."""
        content = self.render("pdf", **options)
        assert isinstance(content, bytes)
        return content

    def show(self, **options: Any) -> Shown:
        """The page for a notebook, with options; what a notebook shows of a derivation itself has none."""
        return Shown(self, options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.show()._repr_mimebundle_(include, exclude)


@dataclass(frozen=True)
class Shown:
    """A page that a Jupyter notebook shows: HTML where math-core is installed, LaTeX for export, text for terminals."""

    of: Printable
    options: Mapping[str, Any]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from symbolic.documents import SCREEN
        from symbolic.pages.blocks import PAPER
        from symbolic.pages.html import html_fragment
        from symbolic.pages.mathml import require_math_core
        from symbolic.pages.tex import tex_fragment

        bundle = {
            "text/plain": self.of.text(**self.options),
            "text/latex": tex_fragment(self.of.page(PAPER, **self.options)),
        }
        try:
            require_math_core()
        except MissingExtra as missing:
            bundle["text/plain"] += f"\n({missing})\n"
        else:
            bundle["text/html"] = html_fragment(self.of.page(SCREEN, **self.options))
        return bundle


class DerivationPages(Printable):
    """The pages of a derivation, which are written in any notation and form."""

    def page(
        self: Any, medium: Medium, notation: str | Notation = "cs229", form: str | None = None, detail: str = "layer",
        report: Report | None = None,
    ) -> Page:  # fmt: skip
        from symbolic.notations import notation_named
        from symbolic.pages.composition import compose
        from symbolic.sections import FORMS

        notation = notation_named(notation)
        form = notation.form if form is None else form
        if form not in FORMS:
            raise UsageError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
        return compose(self, notation, form, detail_named(detail), report, medium)

    def latex(
        self, notation: str | Notation = "cs229", form: str | None = None, detail: str = "layer",
        report: Report | None = None,
    ) -> str:  # fmt: skip
        """The whole derivation as a LaTeX document, ready for pdflatex. The same input gives the same text.

        notation: a name of NOTATIONS, or a Notation.
        form:     "matrix" writes W^T delta where matrices can say it, "component" writes sums over indices; None is
                  what the notation has.
        detail:   "result" gives results only, "layer" the main steps, "rule" every substep as well. Where a format can
                  fold, all of it is there, and this is how much is unfolded at first.
        report:   the outcome of `verify()`, which the page then states; without it the page claims nothing.

        Raises:
            UsageError: an argument that is none of these, or an expression that the page has no form for.
        """
        return str(self.render("tex", notation=notation, form=form, detail=detail, report=report))


def detail_named(detail: str) -> str:
    """The detail, if it is one.

    Raises:
        UsageError: it is none.
    """
    from symbolic.sections import DETAILS

    if detail not in DETAILS:
        raise UsageError(f"detail must be one of {', '.join(DETAILS)}, not {detail!r}")
    return detail
