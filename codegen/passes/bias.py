"""The pass that folds a bias into the matrix of its weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sympy import Expr, Integer

from codegen.arrays import Node
from codegen.passes.costs import Costs
from codegen.passes.graph import Graph, joint_name, make


def folded_bias(graph: Graph, gradients: dict[str, str], taken: frozenset[str], costs: Costs) -> None:
    """W a + b 1^T = [W b] [a; 1^T], and [dW db]^T = [a; 1^T] D^T where dW = D a^T and db = D 1.

    W lies by inputs, so that b is one row more below it, and a has a row of ones below it. Done for a pair (W, b)
    that is added in this way in one place, whose gradients are these two, where it is estimated to pay.

    gradients: key of the gradient by the key of its parameter.
    taken:     names that the matrices may not get.
    """
    readers = Counter([argument for d in graph.definitions.values() for node in d.below for argument in node.args])
    sums: dict[Node, Node] = {}
    weights: dict[Node, Node] = {}
    made: dict[str, tuple[str, Node]] = {}
    gone: set[str] = set()
    for node in [node for d in graph.definitions.values() if "add" in d.ops for node in d.below]:
        found = _affine(node, gradients)
        if found is None or readers[node.args[1]] > 1 or readers[found.bias] > 1 or not _pays(graph, found, costs):
            continue
        first, second = gradients[found.weights.detail], gradients[found.bias.detail]
        joint, gradient = joint_name(found.weights.detail, found.bias.detail), joint_name(first, second)
        if not _is_their_gradient(graph, found, first, second) or {joint, gradient} & taken:
            continue
        units, examples = node.shape
        wide = found.inputs.shape[0] + Integer(1)
        both = Node("tensor", (), joint, (wide, units))
        with_ones = found.with_ones((wide, examples))
        sums[node] = make("matmul", _transposed(both), with_ones, shape=node.shape)
        weights[found.weights] = Node("rows", (both,), None, found.weights.shape)
        delta = graph.definitions[first].args[1]
        made[first] = gradient, make("matmul", with_ones, delta, shape=both.shape)
        gone.add(second)
        graph.equations[gradient] = (*graph.equations.get(first, ()), *graph.equations.get(second, ()))
        graph.joint[joint] = (found.weights.detail, found.bias.detail)
    renamed = {key: gradient for key, (gradient, _) in made.items()}
    graph.definitions = {
        renamed.get(key, key): made[key][1] if key in made else node
        for key, node in graph.definitions.items()
        if key not in gone
    }
    graph.outputs = tuple(renamed.get(key, key) for key in graph.outputs if key not in gone)
    graph.apply(sums.get, "add")
    graph.apply(weights.get, "tensor")


@dataclass(frozen=True)
class _Affine:
    """The node V^T @ a + b[:, None] with parameters V and b. inputs: a, a tensor or the transpose of one."""

    units: Expr
    weights: Node
    inputs: Node
    bias: Node

    @property
    def is_turned(self) -> bool:
        return self.inputs.op == "transpose"

    @property
    def source(self) -> Node:
        """The tensor that a is, or is the transpose of."""
        return self.inputs.args[0] if self.is_turned else self.inputs

    def with_ones(self, shape: tuple[Expr, ...]) -> Node:
        """a with a row of ones below it."""
        if self.is_turned:
            return _transposed(Node("with_ones", (self.source,), 1, shape[::-1]))
        return Node("with_ones", (self.source,), 0, shape)


def _affine(node: Node, gradients: dict[str, str]) -> _Affine | None:
    if node.op != "add" or node.args[0].op != "matmul" or node.args[1].op != "expand" or node.args[1].detail != (1,):
        return None
    (turned, inputs), bias = node.args[0].args, node.args[1].args[0]
    found = _Affine(node.shape[0], _transposed(turned), inputs, bias)
    names = [n.detail for n in (found.weights, bias) if n.op == "tensor"]
    fits = found.source.op == "tensor" and [len(n.shape) for n in (found.weights, inputs, bias)] == [2, 2, 1]
    return found if fits and len(names) == 2 and all(name in gradients for name in names) else None


def _pays(graph: Graph, found: _Affine, costs: Costs) -> bool:
    units, width = graph.size((found.units,)), graph.size((found.inputs.shape[0],))
    return costs.folded_bias(units, width, found.source.detail in graph.definitions) < costs.bias(units)


def _is_their_gradient(graph: Graph, found: _Affine, first: str, second: str) -> bool:
    """Whether these are a D^T and D 1, for one D."""
    matrix, vector = graph.definitions.get(first), graph.definitions.get(second)
    if matrix is None or matrix.op != "matmul" or matrix.args[0] != found.inputs or first not in graph.outputs:
        return False
    return vector == Node("sum", (_transposed(matrix.args[1]),), (1,), found.bias.shape)


def _transposed(node: Node) -> Node:
    """The transpose of a matrix."""
    if node.op == "transpose":
        return node.args[0]
    return Node("transpose", (node,), (1, 0), node.shape[::-1])
