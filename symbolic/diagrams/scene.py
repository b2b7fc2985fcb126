"""A diagram with a place for everything: what the drawn formats write, each in its own words.

Lengths are in pixels at the natural size; y grows downwards. Text is centred at x, with its base line at y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

# Sizes of text: a symbol, what is said of it, the derivative by it.
SYMBOL, NOTE, BACKWARD = 16.0, 12.0, 14.0
# From the middle of a line of text down to its base line, in parts of its size.
MIDDLE = 0.34

Point: TypeAlias = "tuple[float, float]"
# Two control points and the end of a piece of a cubic curve.
Piece: TypeAlias = "tuple[Point, Point, Point]"


@dataclass(frozen=True)
class Box:
    """The box of a node, of one of the kinds of a Node."""

    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True)
class Circle:
    x: float
    y: float
    radius: float
    kind: str


@dataclass(frozen=True)
class Curve:
    """look: "forward", "backward" or "link", a thin line without a head."""

    start: Point
    pieces: tuple[Piece, ...]
    look: str


@dataclass(frozen=True)
class Text:
    """A label, in LaTeX. look: "symbol", "note" or "backward"."""

    x: float
    y: float
    latex: str
    look: str

    @property
    def size(self) -> float:
        return {"symbol": SYMBOL, "note": NOTE, "backward": BACKWARD}[self.look]


Shape: TypeAlias = "Box | Circle | Curve | Text"


@dataclass(frozen=True)
class Scene:
    """Shapes in the order in which they are drawn, on a ground of the given natural size."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


def line(start: Point, end: Point, look: str) -> Curve:
    """A straight line."""
    return Curve(start, ((start, end, end),), look)


def text(x: float, middle: float, latex: str, look: str) -> Text:
    """A label whose line has its middle at the given height."""
    size = Text(x, middle, latex, look).size
    return Text(x, middle + MIDDLE * size, latex, look)
