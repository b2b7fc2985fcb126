"""The pass that folds a bias into the matrix of its weights."""

from __future__ import annotations

from sympy import Integer

from codegen.arrays import Node
from codegen.passes.costs import Costs
from codegen.passes.graph import Graph, make


def folded_bias(graph: Graph, gradients: dict[str, str], costs: Costs) -> None:
    """W a + b 1^T = [W b] [a; 1^T], and [dW db] = D [a; 1^T]^T where dW = D a^T and db = D 1.

    W and b then lie in memory as one matrix, and a has a row of ones below it. Done for a pair (W, b) that is added
    in this way in one place, whose gradients are these two, where it is estimated to pay.

    gradients: key of the gradient by the key of its parameter.
    """
    for definition in list(graph.definitions.values()):
        for node in definition.walk():
            found = _affine(node, gradients)
            if found is not None:
                _fold(graph, node, *found, gradients, costs)


def _affine(node: Node, gradients: dict[str, str]) -> tuple[Node, Node, Node] | None:
    """(W, a, b) of a node W @ a + b[:, None] with parameters W and b."""
    if node.op != "add" or node.args[0].op != "matmul" or node.args[1].op != "expand":
        return None
    (weights, inputs), bias = node.args[0].args, node.args[1].args[0]
    names = [n.detail for n in (weights, bias) if n.op == "tensor"]
    fits = len(weights.shape) == 2 and len(inputs.shape) == 2 and len(bias.shape) == 1 and node.args[1].detail == (1,)
    if not fits or inputs.op != "tensor" or len(names) != 2 or any(name not in gradients for name in names):
        return None
    return weights, inputs, bias


def _fold(
    graph: Graph, affine: Node, weights: Node, inputs: Node, bias: Node, gradients: dict[str, str], costs: Costs
) -> None:
    first, second = gradients[weights.detail], gradients[bias.detail]
    matrix, vector = graph.definitions.get(first), graph.definitions.get(second)
    if matrix is None or vector is None or matrix.op != "matmul" or first not in graph.outputs:
        return
    delta, examples = matrix.args[0], affine.shape[1]
    turned = Node("transpose", (inputs,), (1, 0), (examples, inputs.shape[0]))
    if matrix.args[1] != turned or vector != Node("sum", (delta,), (1,), bias.shape):
        return
    readers = [n for d in graph.definitions.values() for n in d.walk() if bias in n.args and n != affine.args[1]]
    if readers or not costs.fold_pays(graph, affine, inputs, inputs.detail in graph.definitions):
        return
    joint, gradient = f"{weights.detail}_{bias.detail}", f"{first}_{second}"
    if {joint, gradient} & (set(graph.definitions) | set(gradients)):
        return
    wide = inputs.shape[0] + Integer(1)
    both = Node("tensor", (), joint, (weights.shape[0], wide))
    with_ones = Node("with_ones", (inputs,), None, (wide, examples))
    product = make("matmul", both, with_ones, shape=affine.shape)
    columns = Node("columns", (both,), None, weights.shape)
    graph.apply(lambda node: product if node == affine else None)
    graph.apply(lambda node: columns if node == weights else None)
    turned_ones = Node("transpose", (with_ones,), (1, 0), (examples, wide))
    both_gradients = make("matmul", delta, turned_ones, shape=both.shape)
    graph.definitions = {
        (gradient if key == first else key): (both_gradients if key == first else node)
        for key, node in graph.definitions.items()
        if key != second
    }
    graph.equations[gradient] = (*graph.equations.get(first, ()), *graph.equations.get(second, ()))
    graph.outputs = tuple(gradient if key == first else key for key in graph.outputs if key != second)
    graph.joint[joint] = (weights.detail, bias.detail)
