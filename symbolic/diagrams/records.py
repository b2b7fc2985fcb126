"""What a diagram shows, before anybody draws it: nodes, and the edges between them.

Every label is LaTeX for math mode; words stand in it as \\text{...}. Where nothing is to be said the label is empty.
"""

from __future__ import annotations

from dataclasses import dataclass

# What a node is: a tensor that is given, one that is learnt, one that an equation computes, the scalar that is
# differentiated or made of it, or a place where more of the same is left out.
KINDS = ("given", "parameter", "computed", "objective", "more")

# The longest title, in characters.
LONGEST = 80


@dataclass(frozen=True)
class Node:
    """A tensor, or what stands for layers that are left out.

    key:      the tensor's key, unique in the diagram.
    kind:     one of KINDS.
    symbol:   the tensor as it is printed.
    note:     its shape, or what is left out.
    backward: the derivative of the objective by it, where that was derived.
    """

    key: str
    kind: str
    symbol: str
    note: str = ""
    backward: str = ""


@dataclass(frozen=True)
class Column(Node):
    """A layer of a network, drawn as circles under each other.

    units:    True for a circle, False for dots, from top to bottom; empty where layers are left out.
    function: the activation that the layer's values went through, or "".
    between:  what is learnt between the layer before it and this one.
    """

    units: tuple[bool, ...] = ()
    function: str = ""
    between: str = ""


@dataclass(frozen=True)
class Edge:
    """Forward from what an equation uses to what it defines, or backward between derivatives."""

    source: str
    target: str
    backward: bool = False


@dataclass(frozen=True)
class Diagram:
    """nodes, edges: in the order of the program, which is all that a layout depends on.

    kind:  "graph", the computation graph of any program, or "network", layers of units beside each other.
    title: what the program is called.
    alt:   what the picture shows, in a sentence for who cannot see it.
    """

    kind: str
    title: str
    alt: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The layers of a network, from left to right."""
        return tuple(node for node in self.nodes if isinstance(node, Column))

    @property
    def heading(self) -> str:
        """The title, cut where it is long."""
        return self.title if len(self.title) <= LONGEST else f"{self.title[: LONGEST - 1].rstrip()}…"

    @property
    def width(self) -> float:
        """The natural width of the drawing in pixels; its smallest letters are then 12 pixels high."""
        from symbolic.diagrams.drawing import drawn

        return drawn(self).width

    def dot(self) -> str:
        """The diagram as a Graphviz document."""
        from symbolic.diagrams.dot import dot

        return dot(self)

    def tikz(self) -> str:
        """The diagram as a tikzpicture."""
        from symbolic.diagrams.tikz import tikz

        return tikz(self)

    def svg(self, prefix: str = "diagram") -> str:
        """The diagram as an <svg> element; `prefix` begins its ids, one of its own for each diagram of a page."""
        from symbolic.diagrams.svg import svg

        return svg(self, prefix)
