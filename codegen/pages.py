"""`deltaform derive` and `deltaform diagram`: pages and pictures, to a file, to standard output or opened."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from codegen.cli import FINE, NO, put, say, to_terminal
from codegen.sources import network_in, note_asked_for, verified
from symbolic.backpropagation import derive
from symbolic.documents import FORMATS, Format, format_named, format_of
from symbolic.errors import UsageError
from symbolic.files import check_target, write_atomically
from symbolic.notationfiles import find_notation
from symbolic.printable import COLUMNS, Printable

# No terminal is taken to be wider than this: eyes lose the line.
WIDEST = 120


def derivation_page(arguments: argparse.Namespace) -> int:
    """`deltaform derive`: the page in the format that is asked for; none is written of a derivation that is wrong."""
    chosen = _format(arguments)
    if arguments.output is not None:
        check_target(arguments.output, chosen.suffixes, arguments.force)
    settings = _settings(arguments, chosen)
    note = note_asked_for(arguments, ("notation", "form", "examples"))
    notation = find_notation("cs229" if arguments.notation is None else arguments.notation)
    source = note or derive(network_in(notation, arguments))
    report = None if arguments.no_verify else verified(source)
    if report is not None and not report.ok:
        say(f"no page is written, because the derivation is wrong:\n{report}")
        return NO
    options: dict[str, Any] = {"detail": arguments.detail, "report": report}
    if note is None:
        options |= {"notation": notation, "form": arguments.form}
    if arguments.output is not None or arguments.open:
        _to_file(source, chosen, arguments, settings, options)
        return FINE
    content = source.render(chosen.name, settings=settings, **options)
    put(content)
    return FINE


def _to_file(
    source: Printable, chosen: Format, arguments: argparse.Namespace, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    path = arguments.output
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="deltaform-")) / f"derivation{chosen.suffixes[0]}"
    source.write(path, chosen.name, arguments.force, settings=settings, **options)
    hint = f"; for a PDF: pdflatex {path} (package texlive-latex-base), or -o FILE.pdf" if chosen.name == "tex" else ""
    say(f"wrote {path}{hint}")
    if arguments.open and not webbrowser.open(Path(path).resolve().as_uri()):
        say(f"nothing was found here that opens it; open {path} yourself")


def _format(arguments: argparse.Namespace) -> Format:
    """The format that --format names, or the suffix of -o, or LaTeX; to be looked at, HTML."""
    if arguments.format is not None:
        return format_named(arguments.format)
    if arguments.output is not None:
        return format_of(arguments.output)
    return FORMATS["html" if arguments.open else "tex"]


def _settings(arguments: argparse.Namespace, chosen: Format) -> dict[str, Any]:
    """What the format is told besides; wrong ones are refused before minutes of work."""
    if arguments.katex and chosen.name != "html":
        raise UsageError(f"--katex is for HTML pages, and this is {chosen.name}; leave it out, or give -o FILE.html")
    if chosen.name == "pdf" and arguments.output is None and not arguments.open and to_terminal():
        raise UsageError("a PDF is nothing for a terminal; name a file with -o page.pdf, or give --open")
    if chosen.name == "html":
        return {"katex": True if arguments.katex else None}
    if chosen.name == "txt":
        shown = arguments.output is None and not arguments.open and to_terminal()
        return {"columns": min(shutil.get_terminal_size().columns, WIDEST) if shown else COLUMNS}
    return {}


def diagram_of(arguments: argparse.Namespace) -> int:
    """`deltaform diagram`: the computation graph, or the picture of the network, to a file or to standard output."""
    from symbolic.diagrams import FORMATS as PICTURES
    from symbolic.diagrams import diagram

    suffix = f".{arguments.format}" if arguments.format is not None else None
    if arguments.output is not None:
        target = check_target(arguments.output, tuple(PICTURES) if suffix is None else (suffix,), arguments.force)
        suffix = suffix or target.suffix
    notation = find_notation("cs229" if arguments.notation is None else arguments.notation)
    drawn = diagram(derive(network_in(notation, arguments)), arguments.kind, notation)
    content = PICTURES[suffix or ".dot"](drawn)
    if arguments.output is None:
        put(content)
    else:
        write_atomically(arguments.output, content.encode())
        say(f"wrote {arguments.output}")
    return FINE
