"""KaTeX, from its npm package, as text that stands inside a page: nothing is fetched when the page is read.

The folder `katex` holds its script, its style, its fonts and its licence, as they were published.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from importlib import resources

# A source of a font in the style: all but the first, which is WOFF2, are left out.
SOURCES = re.compile(r"src:url\((fonts/[A-Za-z0-9_-]+\.woff2)\) format\(\"woff2\"\)[^;}]*")
RENDER = """
for (const element of document.querySelectorAll(".tex")) {
  const display = element.classList.contains("display") ? "\\\\displaystyle " : "";
  katex.render(display + element.textContent, element, {throwOnError: false, strict: "ignore", trust: false});
}
"""


@cache
def katex_style() -> str:
    """KaTeX's style sheet, with the fonts inside it."""
    folder = resources.files("symbolic.pages") / "katex"
    style = (folder / "katex.min.css").read_text(encoding="utf-8")

    def inlined(match: re.Match[str]) -> str:
        font = base64.b64encode((folder / match.group(1)).read_bytes()).decode("ascii")
        return f'src:url(data:font/woff2;base64,{font}) format("woff2")'

    return SOURCES.sub(inlined, style)


@cache
def katex_script() -> str:
    """KaTeX's script with its licence, and what sets the formulas of a page when it has loaded."""
    folder = resources.files("symbolic.pages") / "katex"
    licence = (folder / "LICENSE").read_text(encoding="utf-8").strip()
    code = (folder / "katex.min.js").read_text(encoding="utf-8").strip()
    return f"/*! KaTeX\n{licence}\n*/\n{code}\n{RENDER}"
