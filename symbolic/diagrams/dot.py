"""Diagrams in the language of Graphviz, which finds the places itself. Labels are plain Unicode text."""

from __future__ import annotations

from itertools import pairwise

from symbolic.diagrams.drawing import labels
from symbolic.diagrams.records import Column, Diagram, Node
from symbolic.unicodemath import unicode_math

ACCENT = "#b5462a"
LOOKS = {
    "given": 'style="rounded,filled", fillcolor="#f2f2f2"', "parameter": 'style="rounded,filled", fillcolor="#f2f2f2"',
    "computed": "style=rounded", "objective": 'style="rounded,bold"', "more": "shape=plaintext",
}  # fmt: skip


def dot(diagram: Diagram) -> str:
    """The diagram as a Graphviz document, to be given to `dot`."""
    body = _network(diagram) if diagram.kind == "network" else _graph(diagram)
    lines = [
        f"digraph {quoted(diagram.heading)} {{",
        f"  graph [tooltip={quoted(diagram.alt)}];",
        '  node [shape=box, fontname="serif", fontsize=12, margin="0.1,0.05"];',
        '  edge [fontname="serif", arrowsize=0.7];',
        *(f"  {line}" for line in body),
        "}",
    ]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A string of DOT. A backslash in it is one; what is not printable becomes a question mark."""
    allowed = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    escaped = allowed.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _label(lines: list[tuple[str, str]]) -> str:
    return quoted("\n".join(unicode_math(latex) for latex, _ in lines))


def _graph(diagram: Diagram) -> list[str]:
    found = [f"{quoted(node.key)} [label={_label(labels(node))}, {LOOKS[node.kind]}];" for node in diagram.nodes]
    for edge in diagram.edges:
        back = f' [style=dashed, color="{ACCENT}", constraint=false]' if edge.backward else ""
        found.append(f"{quoted(edge.source)} -> {quoted(edge.target)}{back};")
    return found


def _network(diagram: Diagram) -> list[str]:
    """Circles in columns, each joined to those of the next, over a row of labels for the way forward and, under it, one
    for the way back.
    """
    found = ["rankdir=LR; splines=line; nodesep=0.12; ranksep=0.9;"]
    flows = dict.fromkeys(key for edge in diagram.edges if edge.backward for key in (edge.target, edge.source))
    for column in diagram.columns:
        units = [_unit(column, n) for n in range(len(column.units))]
        for name, circle in zip(units, column.units, strict=True):
            look = 'shape=circle, label="", width=0.2, fixedsize=true' if circle else 'shape=plaintext, label="⋮"'
            found.append(f"{name} [{look}];")
        below = [*units, quoted(column.key), *([_back(column.key)] if column.key in flows else [])]
        found.append(f"{{ rank=same; {' -> '.join(below)} [style=invis]; }}")
    for one, other in pairwise(diagram.columns):
        for n, here in enumerate(one.units):
            for m, there in enumerate(other.units):
                if here and there:
                    found.append(f'{_unit(one, n)} -> {_unit(other, m)} [arrowhead=none, color="#bbbbbb"];')
    for node in diagram.nodes:
        found.append(f"{quoted(node.key)} [label={_label(_lines(node))}, shape=plaintext];")
        if node.key in flows and isinstance(node, Column):
            label = quoted(unicode_math(node.backward or node.symbol))
            found.append(f'{_back(node.key)} [label={label}, shape=plaintext, fontcolor="{ACCENT}"];')
    columns = {column.key: column for column in diagram.columns}
    for edge in diagram.edges:
        if edge.backward:
            ends = [_back(key) if key in columns else quoted(key) for key in (edge.source, edge.target)]
            found.append(f'{ends[0]} -> {ends[1]} [style=dashed, color="{ACCENT}", constraint=false];')
        else:
            between = columns[edge.target].between if edge.target in columns else ""
            look = f" [label={quoted(unicode_math(between))}]" if between else ""
            found.append(f"{quoted(edge.source)} -> {quoted(edge.target)}{look};")
    return found


def _back(key: str) -> str:
    return quoted(f"derivative by {key}")


def _unit(column: Column, number: int) -> str:
    return quoted(f"unit {number + 1} of {column.key}")


def _lines(node: Node) -> list[tuple[str, str]]:
    lines = [(node.symbol, "symbol"), (node.note, "note"), (node.function if isinstance(node, Column) else "", "note")]
    return [(latex, look) for latex, look in lines if latex]
