"""Diagrams with a place for everything: a computation graph in rows, a network in columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from symbolic.diagrams.layout import Placed, placed
from symbolic.diagrams.records import Column, Diagram, Node
from symbolic.diagrams.scene import NOTE, SYMBOL, Box, Circle, Curve, Point, Scene, Shape, Text, line, text
from symbolic.diagrams.spans import breadth

MARGIN = 6.0
# Inside a box: beside its text, above the first and below the last line; the least width.
PADDING, INSET, NARROWEST = 10.0, 6.0, 46.0
LINES = {"symbol": 20.0, "note": 15.0, "backward": 22.0}
# Between the lines of an edge that leads both ways, and between the edges at one side of a box.
STRANDS, PORTS = 4.0, 22.0
LEGEND = 30.0
# In a network: radius of a circle, distance of two, least distance of two columns and of one from what is left out, and
# the least length of an arrow.
RADIUS, UNITS, COLUMNS, MORE, ARROW = 8.0, 25.0, 84.0, 44.0, 30.0
# How far above the loss the target stands, and how long a line is that leads to what is left out.
ABOVE, STUB = 48.0, 14.0


def drawn(diagram: Diagram) -> Scene:
    """The diagram as it is drawn, the same each time."""
    return _network(diagram) if diagram.kind == "network" else _graph(diagram)


def _wide(latex: str, size: float) -> float:
    return size * breadth(latex)


# ---------------------------------------------------------------------- a computation graph


def labels(node: Node) -> list[tuple[str, str]]:
    """The lines of text in a node's box, from above, each with its look."""
    lines = ((node.symbol, "symbol"), (node.note, "note"), (node.backward, "backward"))
    return [(latex, look) for latex, look in lines if latex]


def _size(node: Node, ports: int) -> Point:
    """ports: how many edges meet it at one side."""
    lines = labels(node)
    wide = max(_wide(latex, Text(0, 0, latex, look).size) for latex, look in lines)
    room = (ports - 1) * PORTS + 4 * STRANDS
    return max(NARROWEST, wide + 2 * PADDING, room), 2 * INSET + sum(LINES[look] for _, look in lines)


def _graph(diagram: Diagram) -> Scene:
    forward = [(edge.source, edge.target) for edge in diagram.edges if not edge.backward]
    ends = Counter((side, pair[side]) for pair in forward for side in (0, 1))
    sizes = {node.key: _size(node, max(ends[0, node.key], ends[1, node.key])) for node in diagram.nodes}
    backward = {(edge.target, edge.source) for edge in diagram.edges if edge.backward}
    places = placed(sizes, forward, {node.key for node in diagram.nodes if node.kind == "parameter"})
    ports = _ports(forward, places)
    shapes: list[Shape] = []
    for pair in forward:
        both = pair in backward
        shapes.append(_strand(pair, places, ports[pair], sizes, -STRANDS if both else 0.0, "forward"))
        if both:
            shapes.append(_strand(pair, places, ports[pair], sizes, STRANDS, "backward"))
    for node in diagram.nodes:
        (x, y), (width, height) = places.centres[node.key], sizes[node.key]
        shapes.append(Box(x - width / 2, y - height / 2, width, height, node.kind))
        at = y - height / 2 + INSET
        for latex, look in labels(node):
            shapes.append(text(x, at + LINES[look] / 2, latex, look))
            at += LINES[look]
    return _framed(places.width, places.height, shapes, bool(backward))


def _ports(pairs: Sequence[tuple[str, str]], places: Placed) -> dict[tuple[str, str], tuple[float, float]]:
    """Where each edge leaves the lower side of its source and enters the upper side of its target, from the left."""
    found: dict[tuple[str, str], list[float]] = {pair: [0.0, 0.0] for pair in pairs}
    for end in (0, 1):
        for node in places.centres:
            mine = [pair for pair in pairs if pair[end] == node]

            def toward(pair: tuple[str, str], end: int = end) -> float:
                passes = places.passes[pair]
                return passes[-end][0] if passes else places.centres[pair[1 - end]][0]

            mine.sort(key=toward)
            for place, pair in enumerate(mine):
                found[pair][end] = places.centres[node][0] + (place - (len(mine) - 1) / 2) * PORTS
    return {pair: (ends[0], ends[1]) for pair, ends in found.items()}


def _strand(
    pair: tuple[str, str],
    places: Placed,
    ports: tuple[float, float],
    sizes: Mapping[str, Point],
    aside: float,
    look: str,
) -> Curve:
    """One line of an edge, `aside` from its middle; it turns between rows only, where no box is."""
    (_, y), (_, below) = (places.centres[key] for key in pair)
    tall, deep = (places.rows[key] / 2 for key in pair)
    points = [(ports[0] + aside, y + sizes[pair[0]][1] / 2), (ports[0] + aside, y + tall)]
    for x, middle, height in places.passes[pair]:
        points += [(x + aside, middle - height / 2), (x + aside, middle + height / 2)]
    points += [(ports[1] + aside, below - deep), (ports[1] + aside, below - sizes[pair[1]][1] / 2)]
    points = [point for point, _ in groupby(points)]
    if look == "backward":
        points.reverse()
    pieces = []
    for (x, top), (right, bottom) in pairwise(points):
        # Where an edge leads aside, its left line has to turn later to stay apart from the right one.
        slant = max(-1.0, min(1.0, (right - x) / (bottom - top)))
        middle = (top + bottom) / 2 - aside * slant
        pieces.append(((x, middle), (right, middle), (right, bottom)))
    return Curve(points[0], tuple(pieces), look)


def _framed(width: float, height: float, shapes: list[Shape], backward: bool) -> Scene:
    """The shapes with a margin, and with a legend below that says which arrows are which."""
    entries = [(r"\text{forward}", "forward"), (r"\text{backward}", "backward")][: 1 + backward]
    spaces = [34 + _wide(latex, NOTE) + 14 for latex, _ in entries]
    wide = max(width, sum(spaces)) + 2 * MARGIN
    aside = (wide - width) / 2
    moved = [_moved(shape, aside, MARGIN) for shape in shapes]
    x, y = (wide - sum(spaces) + 14) / 2, MARGIN + height + LEGEND / 2 + 4
    for (latex, look), space in zip(entries, spaces, strict=True):
        ends = ((x, y), (x + 28, y))
        moved.append(line(*(ends if look == "forward" else ends[::-1]), look))
        moved.append(text(x + 34 + (space - 48) / 2, y, latex, "note"))
        x += space
    return Scene(round(wide, 1), round(height + LEGEND + 2 * MARGIN, 1), tuple(moved))


def _moved(shape: Shape, right: float, down: float) -> Shape:
    if isinstance(shape, Curve):
        start = (shape.start[0] + right, shape.start[1] + down)
        pieces = tuple(tuple((x + right, y + down) for x, y in piece) for piece in shape.pieces)
        return Curve(start, pieces, shape.look)  # type: ignore[arg-type]
    if isinstance(shape, Box):
        return Box(shape.x + right, shape.y + down, shape.width, shape.height, shape.kind)
    if isinstance(shape, Circle):
        return Circle(shape.x + right, shape.y + down, shape.radius, shape.kind)
    return Text(shape.x + right, shape.y + down, shape.latex, shape.look)


# ---------------------------------------------------------------------- a network


def _network(diagram: Diagram) -> Scene:
    """Columns of circles; above them the parameters between two, below them each layer's symbol, size, activation and
    derivative. Arrows lead from symbol to symbol, and back from derivative to derivative.
    """
    columns = diagram.columns
    end = next(node for node in diagram.nodes if node.kind == "objective")
    centres = _centres(columns, end)
    tallest = max(len(column.units) for column in columns)
    above = LINES["symbol"] + 6 if any(column.between for column in columns) else 0.0
    middle = above + RADIUS + (tallest - 1) / 2 * UNITS
    shapes: list[Shape] = []
    heights = [
        [middle + (n - (len(column.units) - 1) / 2) * UNITS for n in range(len(column.units))] for column in columns
    ]
    for n, (one, other) in enumerate(pairwise(columns)):
        starts = [y for y, circle in zip(heights[n], one.units, strict=True) if circle]
        stops = [y for y, circle in zip(heights[n + 1], other.units, strict=True) if circle]
        ends = centres[n] + RADIUS, centres[n + 1] - RADIUS
        shapes += [line((ends[0], start), (ends[1], stop), "link") for start in starts for stop in stops]
    for n, column in enumerate(columns):
        for y, circle in zip(heights[n], column.units, strict=True):
            shapes.append(
                Circle(centres[n], y, RADIUS, column.kind) if circle else text(centres[n], y, r"\vdots", "symbol")
            )
            before = n > 0 and columns[n - 1].kind == "more"
            after = n + 1 < len(columns) and columns[n + 1].kind == "more"
            for side in (*(-1,) * before, *(1,) * after) if circle else ():
                edge = centres[n] + side * RADIUS
                shapes.append(line((edge, y), (edge + side * STUB, y), "link"))
        if column.kind == "more":
            shapes.append(text(centres[n], middle, r"\cdots", "symbol"))
        if column.between:
            shapes.append(text((centres[n - 1] + centres[n]) / 2, LINES["symbol"] / 2, column.between, "note"))
    bottom = middle + RADIUS + (tallest - 1) / 2 * UNITS + 8
    return _captioned(diagram, centres, bottom, shapes)


def _captions(node: Node) -> list[tuple[str, str]]:
    """The lines of text under a column, each with its look: symbol, size, activation, derivative."""
    if node.kind == "more":
        return [(node.symbol, "symbol"), (node.note, "note"), ("", "note"), (node.backward and node.symbol, "backward")]
    function = node.function if isinstance(node, Column) else ""
    return [(node.symbol, "symbol"), (node.note, "note"), (function, "note"), (node.backward, "backward")]


def _centres(columns: Sequence[Column], end: Node) -> list[float]:
    """Where the columns stand, and the loss after them: far enough apart for an arrow between any two labels."""
    halves = [
        max(_wide(latex, Text(0, 0, latex, look).size) / 2 for latex, look in _captions(node))
        for node in (*columns, end)
    ]  # fmt: skip
    centres = [max(halves[0], RADIUS)]
    for n, node in enumerate((*columns[1:], end), start=1):
        between = _wide(node.between, NOTE) + 12 if isinstance(node, Column) else 0.0
        least = MORE if "more" in (columns[n - 1].kind, node.kind) else COLUMNS
        centres.append(centres[-1] + max(halves[n - 1] + halves[n] + ARROW, between, least))
    return centres


def _captioned(diagram: Diagram, centres: Sequence[float], bottom: float, shapes: list[Shape]) -> Scene:
    """What stands under the columns, from the height `bottom` on."""
    columns = diagram.columns
    end = next(node for node in diagram.nodes if node.kind == "objective")
    targets = ", ".join(node.symbol for node in diagram.nodes if node.kind == "given" and node not in columns)
    place = {node.key: n for n, node in enumerate((*columns, end))}
    flows = {edge.source for edge in diagram.edges if edge.backward} | {e.target for e in diagram.edges if e.backward}
    rows = [_captions(replace(node, backward=node.backward or "-") if node.key in flows else node) for node in columns]
    rows.append(_captions(end))
    levels = []
    for n, look in enumerate(("symbol", "note", "note", "backward")):
        levels.append(bottom + LINES[look] / 2)
        bottom += LINES[look] if any(row[n][0] for row in rows) else 0.0
    halves = []
    for x, row in zip(centres, rows, strict=True):
        for level, (latex, look) in zip(levels, row, strict=True):
            if latex:
                shapes.append(text(x, level, latex, look))
        halves.append({look: _wide(latex, Text(0, 0, latex, look).size) / 2 + 4 for latex, look in row[::3]})
    for edge in diagram.edges:
        if edge.source not in place or edge.target not in place:
            continue
        start, stop = place[edge.source], place[edge.target]
        if not edge.backward:
            ends = centres[start] + halves[start]["symbol"], centres[stop] - halves[stop]["symbol"]
            shapes.append(line((ends[0], levels[0]), (ends[1], levels[0]), "forward"))
        elif edge.source == end.key:
            corner = (centres[start], levels[3])
            top, tip = (centres[start], levels[0] + 12), (centres[stop] + halves[stop]["backward"], levels[3])
            shapes.append(Curve(top, ((top, corner, corner), (corner, tip, tip)), "backward"))
        else:
            ends = centres[start] - halves[start]["backward"], centres[stop] + halves[stop]["backward"]
            shapes.append(line((ends[0], levels[3]), (ends[1], levels[3]), "backward"))
    if targets:
        shapes.append(text(centres[-1], levels[0] - ABOVE, targets, "symbol"))
        shapes.append(line((centres[-1], levels[0] - ABOVE + 12), (centres[-1], levels[0] - 12), "forward"))
    right = centres[-1] + max(*halves[-1].values(), _wide(targets, SYMBOL) / 2)
    return _framed(right, bottom, shapes, bool(flows))
