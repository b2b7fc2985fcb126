"""Diagrams as a tikzpicture, to be put into any LaTeX document."""

from __future__ import annotations

from symbolic.diagrams.drawing import drawn
from symbolic.diagrams.records import Diagram
from symbolic.diagrams.scene import Box, Circle, Curve, Point, Shape, Text

# Points of TeX in a pixel: a symbol of 16 pixels is set in 10pt.
SCALE = 0.7
FONTS = {"symbol": r"\normalsize", "note": r"\scriptsize", "backward": r"\small"}
BOXES = {
    "given": "given, rounded corners=6pt", "parameter": "given, rounded corners=6pt",
    "computed": "rounded corners=2pt", "objective": "rounded corners=2pt, line width=1pt",
}  # fmt: skip
# amsmath's commands that labels use, for documents that do without it; they end with the picture.
HEADER = r"""% \usepackage{tikz}
\begin{tikzpicture}[x=%gpt, y=-%gpt, inner sep=0pt, line width=0.5pt, line cap=butt,
    given/.style={fill=black!6, draw=black!45},
    forward/.style={->, >=latex}, backward/.style={->, >=latex, dashed, draw=deltaformback},
    link/.style={draw=black!30, line width=0.3pt}, written/.style={anchor=base}]
  \definecolor{deltaformback}{RGB}{181,70,42}
  \providecommand{\operatorname}[1]{\mathop{\mathrm{##1}}\nolimits}
  \providecommand{\text}[1]{\mbox{##1}}
  \providecommand{\boldsymbol}[1]{\mathbf{##1}}"""


def tikz(diagram: Diagram) -> str:
    """The diagram as a tikzpicture; it needs the package tikz and no other."""
    header = HEADER.replace("%g", f"{SCALE:g}").replace("##", "#")
    shapes = "\n".join(f"  {_shape(shape)}" for shape in drawn(diagram).shapes)
    return f"{header}\n{shapes}\n\\end{{tikzpicture}}\n"


def _n(number: float) -> str:
    return f"{round(number, 1):g}"


def _at(point: Point) -> str:
    return f"({_n(point[0])}, {_n(point[1])})"


def _shape(shape: Shape) -> str:
    if isinstance(shape, Box):
        look = f"[{BOXES[shape.kind]}] " if shape.kind in BOXES else "[draw=none] "
        corner = (shape.x + shape.width, shape.y + shape.height)
        return rf"\draw{look}{_at((shape.x, shape.y))} rectangle {_at(corner)};"
    if isinstance(shape, Circle):
        look = "[given] " if shape.kind == "given" else "[fill=white] "
        return rf"\draw{look}{_at((shape.x, shape.y))} circle[radius={_n(shape.radius * SCALE)}pt];"
    if isinstance(shape, Text):
        colour = ", text=deltaformback" if shape.look == "backward" else ""
        return rf"\node[written, font={FONTS[shape.look]}{colour}] at {_at((shape.x, shape.y))} {{${shape.latex}$}};"
    return _curve(shape)


def _curve(curve: Curve) -> str:
    parts = [_at(curve.start)]
    for one, other, end in curve.pieces:
        straight = end in (one, other)
        parts.append(f"-- {_at(end)}" if straight else f".. controls {_at(one)} and {_at(other)} .. {_at(end)}")
    return rf"\draw[{curve.look}] {' '.join(parts)};"
