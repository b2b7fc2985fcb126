"""The computation graph of a program, read off its derivation: what each equation uses, and whose derivatives each
derivative is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from symbolic.derivation import Derivation
from symbolic.diagrams.folding import Gap, gaps, used_keys
from symbolic.diagrams.labels import Labels, sources
from symbolic.diagrams.records import Diagram, Edge, Node
from symbolic.diagrams.words import graph_in_words
from symbolic.induction import GeneralDerivation
from symbolic.notation import Notation
from symbolic.programs import Program
from symbolic.tensors import Tensor


def graph(derivation: Derivation | GeneralDerivation, notation: Notation) -> Diagram:
    """The graph of any program; of a network of any depth that of any layer and that of the last."""
    if isinstance(derivation, GeneralDerivation):
        return _general(derivation, notation)
    nodes, edges = _part(derivation, notation)
    return Diagram("graph", derivation.title, graph_in_words(nodes, edges), tuple(nodes), tuple(edges))


def _part(derivation: Derivation, notation: Notation) -> tuple[list[Node], list[Edge]]:
    program, labels = derivation.program, Labels(derivation, notation)
    missing = gaps(program)
    stands = {key: gap.key for gap in missing for key in gap.keys}
    nodes: dict[str, Node] = {}
    for tensor in program.tensors.values():
        gap = next((gap for gap in missing if tensor.key in gap.keys), None)
        if gap is not None:
            if tensor.key in program.definitions:  # where the layers are computed, not where their parameters are given
                nodes.setdefault(gap.key, _more(gap))
        else:
            nodes[tensor.key] = Node(
                tensor.key, _kind(program, tensor), labels.symbol(tensor), labels.shape(tensor), labels.backward(tensor)
            )
    edges = [Edge(source, equation.tensor.key) for equation in program.equations for source in used_keys(equation)]
    edges += [
        Edge(source, result.tensor.of or "", True)
        for result in derivation.results
        if result.tensor.of not in stands or result.tensor.role == "adjoint"
        for source in sources(result)
    ]
    return list(nodes.values()), _joined(edges, stands)


def _joined(edges: list[Edge], stands: Mapping[str, str]) -> list[Edge]:
    """The edges with what is left out put into one, each edge once."""
    found: dict[Edge, None] = {}
    for edge in edges:
        ends = stands.get(edge.source, edge.source), stands.get(edge.target, edge.target)
        if ends[0] != ends[1]:
            found[Edge(*ends, edge.backward)] = None
    return list(found)


def _kind(program: Program, tensor: Tensor) -> str:
    if tensor.role == "parameter":
        return "parameter"
    if tensor.key not in program.definitions:
        return "given"
    return "objective" if tensor.role in ("loss", "cost") or tensor.key == program.objective else "computed"


def _more(gap: Gap) -> Node:
    return Node(gap.key, "more", r"\vdots", rf"\text{{{gap.text}}}")


def _general(derivation: GeneralDerivation, notation: Notation) -> Diagram:
    """Any layer with the first equation of the next, and the last layer with the loss; between them what is left open.

    What stands in for the rest of the network in the step is no part of it. The activations that enter the last layer
    are those of layer l = depth - 1, so that the step says what their derivative is made of.
    """
    base, step = derivation.base, derivation.step
    equations = [equation.tensor.key for equation in step.program.equations]
    following = step.program.given[0]
    beyond = set(equations[equations.index(following) + 1 :])
    entering, last = _entering(step.program), _entering(base.program)
    first = Node("layers before", "more", r"\vdots", r"\text{any number of layers}")
    open_ = Node("layers between", "more", r"\vdots", r"\text{any number of layers}")
    nodes, edges = {first.key: first}, [Edge(first.key, entering)]
    found, joined = _part(step, notation)
    nodes.update((node.key, node) for node in found if node.key not in beyond)
    edges += [edge for edge in joined if beyond.isdisjoint((edge.source, edge.target))]
    nodes[open_.key] = open_
    edges += [Edge(following, open_.key), Edge(open_.key, last)]
    edges += [Edge(open_.key, following, True), Edge(last, open_.key, True)]
    found, joined = _part(base, notation)
    labels = Labels(base, notation)
    nodes.update((node.key, node) for node in found)
    nodes[last] = replace(nodes[last], kind="computed", backward=labels.by(base.program.tensors[last]))
    edges += joined
    edges += [Edge(edge.target, last, True) for edge in joined if edge.source == last and not edge.backward]
    shown = tuple(nodes.values())
    return Diagram("graph", derivation.title, graph_in_words(shown, edges), shown, tuple(edges))


def _entering(program: Program) -> str:
    """The one computed tensor that a part of a network begins with."""
    return next(leaf.key for leaf in program.leaves if leaf.role == "activation")
