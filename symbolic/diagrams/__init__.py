"""Diagrams of a derivation: its computation graph, and the picture of a dense network, as DOT, TikZ and SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from symbolic.derivation import Derivation
from symbolic.diagrams.columns import network
from symbolic.diagrams.dot import dot
from symbolic.diagrams.graph import graph
from symbolic.diagrams.records import Column, Diagram, Edge, Node
from symbolic.diagrams.svg import svg, svg_file
from symbolic.diagrams.tikz import tikz
from symbolic.errors import UsageError, nearest
from symbolic.induction import GeneralDerivation
from symbolic.notation import Notation
from symbolic.notations import notation_named

KINDS: Mapping[str, Callable[[Derivation | GeneralDerivation, Notation], Diagram]] = MappingProxyType(
    {"graph": graph, "network": network}
)
# What writes a diagram, by the ending of a file's name.
FORMATS: Mapping[str, Callable[[Diagram], str]] = MappingProxyType(
    {".dot": dot, ".gv": dot, ".tikz": tikz, ".tex": tikz, ".svg": svg_file}
)


def diagram(
    derivation: Derivation | GeneralDerivation, kind: str = "graph", notation: str | Notation = "cs229"
) -> Diagram:
    """The diagram of a derivation: "graph", its computation graph, or "network", layers of units beside each other.

    Raises:
        UsageError: no such kind or notation, no derivation, or a program that is no row of dense layers and so has no
            picture as a network.
    """
    if not isinstance(derivation, (Derivation, GeneralDerivation)):
        raise UsageError(f"diagram wants a Derivation, as derive(...) gives it, not {type(derivation).__name__}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"diagram kind {str(kind)[:40]!a} is not known; {nearest(str(kind)[:40], KINDS)}")
    return KINDS[kind](derivation, notation_named(notation))


__all__ = ["FORMATS", "KINDS", "Column", "Diagram", "Edge", "Node", "diagram", "dot", "svg", "tikz"]
