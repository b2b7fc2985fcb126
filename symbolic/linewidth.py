"""How wide a formula will be when TeX sets it: an estimate in em, good enough to break lines before they
run over.

Only what our own printer writes is understood: groups, fractions, scripts, cases, \\left and \\right, letter
commands.
"""

from __future__ import annotations

import re

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}^_&]|.", re.DOTALL)

# In em at the text size. Relations and binary signs include the space that TeX puts around them.
WIDE = {
    "+": 1.25, "-": 1.25, "=": 1.35, ">": 1.3, "<": 1.3, r"\le": 1.3, r"\ge": 1.3, r"\ne": 1.3,
    r"\circ": 0.95, r"\cdot": 0.75, r"\sum": 1.55, r"\partial": 0.58, r"\nabla": 0.83, r"\top": 0.78,
    r"\mathcal": 0.0, r"\quad": 1.0, r"\qquad": 2.0, r"\,": 0.17, r"\;": 0.28, r"\ ": 0.33, r"\left": 0.1,
    r"\right": 0.1, r"\Bigl": 0.2, r"\Bigr": 0.2, r"\mathrm": 0.0, r"\mathbf": 0.0, r"\operatorname": 0.17,
    r"\text": 0.0, r"\bar": 0.0, r"\boldsymbol": 0.0, r"\log": 1.45, r"\tanh": 2.2, r"\cosh": 2.2,
    r"\sinh": 2.2, r"\exp": 1.7, r"\max": 2.1, r"\min": 2.0, r"\Delta": 0.85, r"\arctan": 3.2,
    r"\lVert": 0.5, r"\rVert": 0.5, r"\begin": 0.6, r"\end": 0.0, r"\mathbb": 0.0, r"\sqrt": 0.85,
    "(": 0.42, ")": 0.42, "[": 0.32, "]": 0.32, "|": 0.3, ",": 0.45, ".": 0.28, "'": 0.3, " ": 0.0,
    "\n": 0.0, "&": 1.0, "i": 0.36, "j": 0.44, "l": 0.33, "m": 0.9, "w": 0.75, "W": 1.08, "N": 0.9,
    "J": 0.62, "X": 0.9, "Y": 0.75, "Z": 0.75, "A": 0.78, r"\{": 0.5, r"\}": 0.5, r"\_": 0.3,
    r"\overline": 0.0, r"\widehat": 0.0, r"\widetilde": 0.0, r"\hat": 0.0, r"\tilde": 0.0, r"\dot": 0.0,
    r"\check": 0.0, r"\vec": 0.0, r"\mathit": 0.0, r"\mathsf": 0.0, r"\odot": 1.22, r"\ast": 0.95, r"\ell": 0.42,
    "B": 0.76, "C": 0.76, "D": 0.83, "E": 0.77, "F": 0.72, "G": 0.79, "H": 0.88, "K": 0.89, "L": 0.68, "M": 1.05,
    "O": 0.78, "P": 0.74, "Q": 0.79, "R": 0.76, "S": 0.65, "T": 0.7, "U": 0.76, "V": 0.75,
}  # fmt: skip
SCRIPT = 0.72


def width(latex: str) -> float:
    """Estimated width in em of a formula set in display style."""
    return _Measure(TOKEN.findall(latex)).line()


class _Measure:
    """Reads tokens from left to right and adds up widths."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    def line(self) -> float:
        """Up to the closing brace of this group or the end; of several rows (`\\\\`) the widest."""
        widest = total = 0.0
        while self.at < len(self.tokens) and self.tokens[self.at] != "}":
            if self.tokens[self.at] == r"\\":
                widest, total = max(widest, total), 0.0
                self.at += 1
            else:
                total += self.item()
        return max(widest, total)

    def item(self) -> float:
        token = self.tokens[self.at]
        self.at += 1
        if token == "{":
            inner = self.line()
            self.at += 1
            return inner
        if token in (r"\frac", r"\dfrac"):
            return max(self.argument(), self.argument()) + 0.5
        if token in (r"\begin", r"\end"):
            self.argument()
            return WIDE[token]
        if token == r"\sum":
            scripts = self.scripts()
            return max(WIDE[token], scripts) + 0.17
        if token in ("^", "_"):
            self.at -= 1
            return self.scripts()
        return WIDE.get(token, 0.55)

    def scripts(self) -> float:
        """Sub- and superscript of one base stand above each other: the wider one counts."""
        widest = 0.0
        while self.at < len(self.tokens) and self.tokens[self.at] in ("^", "_"):
            self.at += 1
            widest = max(widest, SCRIPT * self.argument())
        return widest

    def argument(self) -> float:
        while self.at < len(self.tokens) and self.tokens[self.at] == " ":
            self.at += 1
        return self.item() if self.at < len(self.tokens) else 0.0
