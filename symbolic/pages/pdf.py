"""A LaTeX document as a PDF, by pdflatex, in a folder of its own that is removed afterwards."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from symbolic.errors import MissingExtra, UsageError

SECONDS = 300.0
# No date and no name of a file in the PDF: the same document gives the same bytes.
SAME_BYTES = r"\pdfinfoomitdate=1 \pdftrailerid{} \pdfsuppressptexinfo=-1 \input{page.tex}"


def require_pdflatex() -> str:
    """The path of pdflatex.

    Raises:
        MissingExtra: it is not installed; says how to install it.
    """
    found = shutil.which("pdflatex")
    if found is None:
        raise MissingExtra(
            "a PDF needs pdflatex, which is not installed here; install it: apt-get install texlive-latex-base (on "
            "Debian or Ubuntu; TeX Live or MiKTeX elsewhere)"
        )
    return found


def pdf_of(document: str) -> bytes:
    """The document, set by pdflatex; it runs without a shell to escape to, and twice for the sake of long tables.

    Raises:
        MissingExtra: pdflatex, or a package of texlive-latex-base, is not installed.
        UsageError: pdflatex cannot set the document; says where.
    """
    program = require_pdflatex()
    command = [program, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "-jobname=page", SAME_BYTES]
    with tempfile.TemporaryDirectory(prefix="deltaform-") as folder:
        Path(folder, "page.tex").write_text(document, encoding="utf-8")
        for _ in range(2):
            environment = os.environ | {"openin_any": "p", "openout_any": "p", "max_print_line": "1000"}
            try:
                done = subprocess.run(
                    command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS, check=False
                )
            except subprocess.TimeoutExpired:
                raise UsageError(f"pdflatex was stopped after {SECONDS:.0f} s; write .tex and set it by hand") from None
            if done.returncode:
                raise _failed(done.stdout.decode(errors="replace"))
        return Path(folder, "page.pdf").read_bytes()


def _failed(log: str) -> MissingExtra | UsageError:
    missing = re.search(r"File `([^']+)' not found", log)
    if missing:
        return MissingExtra(f"pdflatex has no {missing[1]}; install it: apt-get install texlive-latex-base")
    told = re.search(r"^!.*(?:\n.*){0,5}", log, re.MULTILINE)
    return UsageError(f"pdflatex cannot set the page; it says: {told[0] if told else log[-500:].strip() or 'nothing'}")
