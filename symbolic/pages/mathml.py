"""A formula in LaTeX as MathML, by math-core (the extra `html`)."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from symbolic.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from math_core import LatexToMathML

# What math-core would print as it stands: extra room between rows, a dash of three hyphens.
ROOM = re.compile(r"\\\\\s*\[[0-9.]+(?:ex|em|pt)\]")
DASH = ("---", "\u2014")
# What math-core writes, and what is written instead: an entity that only HTML knows; a lone combining line, which
# browsers set below; a sign that HTML needs no entity for; a mark that asks for a style of script letters.
PLAIN = {"&ApplyFunction;": "\u2061", "\u0332": "\u203e", "&gt;": ">", "\ufe00": ""}
PRIME = "\u2032"


def require_math_core() -> None:
    """Raise MissingExtra, with the command that installs it, when math-core is not there."""
    try:
        import math_core  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "HTML pages need math-core; install it: pip install 'deltaform[html]'; or take KaTeX, which comes with "
            "deltaform: --katex, in Python katex=True"
        ) from error


@cache
def converter() -> LatexToMathML:
    """The converter, made once.

    Raises:
        MissingExtra: math-core is not installed.
    """
    require_math_core()
    from math_core import LatexToMathML

    # \widetilde counts as unreliable there; a notation may have it.
    return LatexToMathML(allow_unreliable_rendering=True, fancy_error=False)


@cache
def mathml(latex: str, display: bool = False) -> str:
    """The formula as a <math> element that stands in a line of text, with large sums and fractions if `display`.

    Its text has neither backslashes nor ampersands.

    Raises:
        MissingExtra: math-core is not installed.
        UsageError: math-core cannot read the formula.
    """
    convert = converter().convert_with_local_state
    from math_core import LatexError

    try:
        text = convert(ROOM.sub(r"\\\\", latex).replace(*DASH), displaystyle=display)
    except LatexError as error:
        raise UsageError(
            f"math-core cannot write the formula {latex!a} as MathML: {error}; KaTeX may, with --katex"
        ) from error
    for found, instead in PLAIN.items():
        text = text.replace(found, instead)
    text = text.replace('<math display="block">', '<math displaystyle="true">', 1)
    return _with_primes_beside(text) if PRIME in text else text


def _with_primes_beside(text: str) -> str:
    """The formula with each prime right behind what it marks: as a superscript it would be raised and made small twice,
    because fonts draw it raised and small.
    """
    root = ElementTree.fromstring(text)
    for node in root.iter():
        if node.tag in ("msup", "msubsup") and node[-1].tag == "mo" and node[-1].text == PRIME:
            base, *below, prime = node
            prime.attrib |= {"lspace": "0", "rspace": "0"}
            marked = ElementTree.Element("mrow")
            marked.extend((base, prime))
            tail = node.tail
            node.clear()
            node.tail = tail
            node.tag = "msub" if below else "mrow"
            node.extend([marked, *below] if below else [base, prime])
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)
