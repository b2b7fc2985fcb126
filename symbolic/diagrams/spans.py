"""Labels as pieces of text with a height and a slant, for formats that have no formulas, and how wide they are.

A single letter is a symbol, in italics; a word is upright.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from symbolic.unicodemath import Run, runs

# The size of a script, and how far it stands above or below the line, in parts of the text that it belongs to.
SCRIPT, RAISED, LOWERED = 0.7, 0.38, 0.2
_MACRON, _OVERLINE = "\u0304", "\u0305"
_NESTED = re.compile(r"([\^_])(\{[^{}]*\}|\[[^\[\]]*\]|\([^()]*\)|[^\W_]+)")
# Over these letters a bar of the font stands well; over a taller letter, or a word, one is drawn.
_LOW = "acegmnopqrsuvwxyz"
_WORD = re.compile(r"(?:[^\W\d_][\u0300-\u036f]*)+")
_NARROW = dict.fromkeys("ijl|'′.,:;[]()/ ", 0.3) | {"f": 0.33, "t": 0.33, "r": 0.4, "I": 0.36, "J": 0.46, "ℓ": 0.42}
_BROAD = {
    "m": 0.8,
    "w": 0.72,
    "M": 0.92,
    "W": 0.98,
    "×": 0.6,
    "∇": 0.75,
    "−": 0.6,
    "+": 0.6,
    "⋯": 0.9,
    "ℒ": 0.82,
    "∂": 0.6,
    "…": 0.9,
}


@dataclass(frozen=True)
class Span:
    """Text of one look. size: in parts of the label's size. rise: how far above the base line, in the same parts."""

    text: str
    size: float = 1.0
    rise: float = 0.0
    italic: bool = False
    overlined: bool = False


@lru_cache(maxsize=4096)
def spans(latex: str) -> tuple[Span, ...]:
    """A label in pieces, from left to right."""
    return tuple(span for run in runs(latex) for span in _heights(run))


def _heights(run: Run) -> Iterator[Span]:
    size = SCRIPT if run.shift else 1.0
    rise = {0: 0.0, 1: RAISED, -1: -LOWERED}[run.shift]
    at = 0
    for match in _NESTED.finditer(run.text) if run.shift else ():
        yield from _slants(run.text[at : match.start()], size, rise)
        script = match.group(2).removeprefix("{").removesuffix("}")
        inner = RAISED if match.group(1) == "^" else -LOWERED
        yield from _slants(script, size * SCRIPT, rise + size * inner)
        at = match.end()
    yield from _slants(run.text[at:], size, rise)


def _slants(text: str, size: float, rise: float) -> Iterator[Span]:
    at = 0
    text = unicodedata.normalize("NFD", text)
    for match in _WORD.finditer(text):
        if match.start() > at:
            yield Span(text[at : match.start()], size, rise)
        word = match.group()
        letters = [c for c in word if not unicodedata.combining(c)]
        bars = word.count(_OVERLINE) + word.count(_MACRON)
        if bars == len(letters) and not (len(letters) == 1 and letters[0] in _LOW):
            yield Span("".join(letters), size, rise, len(letters) == 1, True)
        else:
            yield Span(unicodedata.normalize("NFC", word), size, rise, len(letters) == 1)
        at = match.end()
    if at < len(text):
        yield Span(text[at:], size, rise)


def breadth(latex: str) -> float:
    """How wide a label is, in parts of its size: an estimate, rather too wide than too narrow."""
    return sum(span.size * sum(map(_breadth, span.text)) for span in spans(latex))


def _breadth(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if character in _NARROW:
        return _NARROW[character]
    return _BROAD.get(character, 0.74 if character.isupper() else 0.55)
