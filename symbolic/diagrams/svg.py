"""Diagrams as SVG: one element that needs nothing else, in the colours of the page that it stands in.

Ink is the page's text colour; what goes backward has the page's variable --accent, or a colour of its own.
"""

from __future__ import annotations

import math
import re

from symbolic.diagrams.drawing import drawn
from symbolic.diagrams.records import Diagram
from symbolic.diagrams.scene import NOTE, Box, Circle, Curve, Point, Shape, Text
from symbolic.diagrams.spans import Span, spans
from symbolic.errors import UsageError

ACCENT = "var(--accent, #b5462a)"
# Every selector begins with the class of the element, so that the page around it is left alone.
STYLE = f"""
.deltaform-diagram {{ font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "Times New Roman", serif; }}
.deltaform-diagram text {{ fill: currentColor; text-anchor: middle; white-space: pre; }}
.deltaform-diagram .backward {{ fill: {ACCENT}; }}
.deltaform-diagram path {{ fill: none; stroke: currentColor; stroke-width: 1.2; }}
.deltaform-diagram path.backward {{ fill: none; stroke: {ACCENT}; stroke-dasharray: 4 3; }}
.deltaform-diagram path.link {{ stroke-width: 0.8; stroke-opacity: 0.3; }}
.deltaform-diagram path.head {{ fill: currentColor; stroke: none; }}
.deltaform-diagram path.backward.head {{ fill: {ACCENT}; }}
.deltaform-diagram rect, .deltaform-diagram circle {{ fill: none; stroke: currentColor; stroke-width: 1.2; }}
.deltaform-diagram .given, .deltaform-diagram .parameter {{ fill: currentColor; fill-opacity: 0.07; }}
.deltaform-diagram .given, .deltaform-diagram .parameter {{ stroke-opacity: 0.4; }}
.deltaform-diagram .objective {{ stroke-width: 2; }}
.deltaform-diagram rect.more {{ stroke: none; }}
"""
# Length and half the width of the head of an arrow.
HEAD, BARB = 7.0, 3.2
CORRECTION = 0.07
# A drawing that is wider than a phone is not drawn so small that its letters are lower than this, in pixels.
PHONE, SMALLEST = 360.0, 9.0
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")


def svg_file(diagram: Diagram) -> str:
    """The diagram as a file of its own, which is shown at its natural size."""
    return svg(diagram, inside=False)


def svg(diagram: Diagram, prefix: str = "diagram", inside: bool = True) -> str:
    """The diagram as an <svg> element.

    Inside a page it is as wide as the place where it stands, up to its natural width, which the viewBox says, and down
    to where its letters could not be read; a wide one wants a place that scrolls.

    prefix: begins its ids; each diagram of a page has one of its own. inside: not a file of its own.

    Raises:
        UsageError: the prefix cannot begin an id.
    """
    if not _PREFIX.match(prefix):
        raise UsageError(f"prefix must be a letter followed by letters, digits, hyphens or underscores, not {prefix!a}")
    scene = drawn(diagram)
    least = min(scene.width, scene.width * SMALLEST / NOTE) if scene.width > PHONE else 0.0
    wide, high = _n(scene.width), _n(scene.height)
    size = f'style="max-width: {wide}px; min-width: {_n(least)}px"' if inside else f'width="{wide}" height="{high}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="deltaform-diagram" viewBox="0 0 {wide} {high}" {size} '
        f'role="img" aria-labelledby="{prefix}-title {prefix}-desc">',
        f'<title id="{prefix}-title">{escape(diagram.heading)}</title>',
        f'<desc id="{prefix}-desc">{escape(diagram.alt)}</desc>',
        f"<style>{STYLE}</style>",
        *(part for shape in scene.shapes for part in _shape(shape)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """`text` in XML; what XML has no place for becomes a question mark."""
    allowed = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return allowed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _n(number: float) -> str:
    """A length, with as many digits as it needs."""
    return f"{round(number, 1):g}"


def _shape(shape: Shape) -> list[str]:
    if isinstance(shape, Box):
        round_ = ' rx="4"' if shape.kind not in ("given", "parameter") else f' rx="{_n(min(12.0, shape.height / 2))}"'
        return [
            f'<rect class="{shape.kind}" x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" '
            f'height="{_n(shape.height)}"{round_}/>'
        ]  # fmt: skip
    if isinstance(shape, Circle):
        return [f'<circle class="{shape.kind}" cx="{_n(shape.x)}" cy="{_n(shape.y)}" r="{_n(shape.radius)}"/>']
    if isinstance(shape, Text):
        return [_text(shape)]
    return _curve(shape)


def _curve(curve: Curve) -> list[str]:
    """A curve and the head of its arrow; it ends where the head begins."""
    points = [point for piece in curve.pieces for point in piece]
    if curve.look == "link":
        return [_path("link", curve.start, points)]
    end = points[-1]
    before = next(point for point in (*reversed(points[:-1]), curve.start) if point != end)
    length = math.dist(before, end)
    along = ((end[0] - before[0]) / length, (end[1] - before[1]) / length)
    neck = (end[0] - HEAD * along[0], end[1] - HEAD * along[1])
    sides = [(neck[0] - side * BARB * along[1], neck[1] + side * BARB * along[0]) for side in (1, -1)]
    moved = [neck if point == end else point for point in points]
    head = " L ".join(f"{_n(x)} {_n(y)}" for x, y in (end, *sides))
    return [_path(curve.look, curve.start, moved), f'<path class="{curve.look} head" d="M {head} Z"/>']


def _path(look: str, start: Point, points: list[Point]) -> str:
    places = " ".join(f"{_n(x)} {_n(y)}" for x, y in points)
    return f'<path class="{look}" d="M {_n(start[0])} {_n(start[1])} C {places}"/>'


def _text(label: Text) -> str:
    parts, level, slanted = [], 0.0, False
    for span in spans(label.latex):
        rise = span.rise * label.size
        # Behind an italic letter a raised one would touch it.
        parts.append(_span(span, label.size, level - rise, CORRECTION * label.size * (slanted and rise > level)))
        level, slanted = rise, span.italic
    look = ' class="backward"' if label.look == "backward" else ""
    return f'<text{look} x="{_n(label.x)}" y="{_n(label.y)}" font-size="{_n(label.size)}">{"".join(parts)}</text>'


def _span(span: Span, size: float, down: float, right: float) -> str:
    """down, right: how far it is moved from where it would follow what is before it."""
    marks = f' dx="{_n(right)}"' if right else ""
    marks += f' dy="{_n(down)}"' if round(down, 1) else ""
    marks += f' font-size="{_n(span.size * size)}"' if span.size != 1.0 else ""
    marks += ' font-style="italic"' if span.italic else ""
    marks += ' text-decoration="overline"' if span.overlined else ""
    return f"<tspan{marks}>{escape(span.text)}</tspan>" if marks else escape(span.text)
