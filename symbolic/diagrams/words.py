"""Diagrams in words, for who cannot see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symbolic.diagrams.records import Column, Edge, Node
from symbolic.unicodemath import unicode_math


def graph_in_words(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    """What is computed from what, and by what the derivatives are that lead back."""
    forward = {(edge.source, edge.target) for edge in edges if not edge.backward}
    made = []
    for node in nodes:
        used = [_name(other) for other in nodes if (other.key, node.key) in forward]
        made += [f"{_name(node)} from {_listed(used)}"] if used else []
    derived = [_name(node) for node in reversed(nodes) if node.backward]
    back = f" Back along the arrows lead the derivatives by {_listed(derived)}." if derived else ""
    return f"Computation graph: {'; '.join(made)}.{back}"


def network_in_words(columns: Sequence[Column], loss: Node) -> str:
    """The layers with their sizes and activations, and which derivatives lead back."""
    layers = []
    for column in columns:
        parts = [_name(column)]
        if column.kind != "more":
            parts.append(f"{unicode_math(column.note)} {'unit' if column.note == '1' else 'units'}")
        parts += [unicode_math(column.function)] if column.function else []
        layers.append(", ".join(parts))
    derived = [unicode_math(column.backward) for column in reversed(columns) if column.backward]
    back = f" Back from the loss lead the derivatives {_listed(derived)}." if derived else ""
    return (
        f"Network of layers, each unit joined to every unit of the layer before: {'; '.join(layers)}; "
        f"then the loss {_name(loss)}.{back}"
    )


def _name(node: Node) -> str:
    return unicode_math(node.note or r"\text{more layers}" if node.kind == "more" else node.symbol)


def _listed(names: Iterable[str]) -> str:
    """Names as a sentence has them."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
