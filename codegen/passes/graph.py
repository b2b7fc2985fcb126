"""A graph of named nodes on its way through the passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from operator import is_

from sympy import Expr, Integer, Number

from codegen.arrays import Node
from symbolic.tensors import Equation

Rule = Callable[[Node], "Node | None"]


@dataclass
class Graph:
    """What computes the results: a node for each name, in an order that can be computed.

    equations: what stands above a name's line, in index notation.
    outputs:   names that must be computed: the objective first, then the gradients.
    joint:     parameters that lie in memory as one matrix [W b]: name of the matrix -> (key of W, key of b).
    one_hot:   leaves whose entries are declared to sum to 1 along the axis of units, which is axis 0 here.
    numbers:   the sizes that are numbers, by symbol, the number of examples included.
    """

    definitions: dict[str, Node]
    equations: dict[str, tuple[Equation, ...]]
    outputs: tuple[str, ...]
    one_hot: frozenset[str] = frozenset()
    numbers: dict[Expr, Integer] = field(default_factory=dict)
    joint: dict[str, tuple[str, str]] = field(default_factory=dict)

    def size(self, extents: Iterable[Expr]) -> int:
        """How many entries an array of this shape has."""
        total = 1
        for extent in extents:
            total *= int(self.numbers.get(extent) or extent.xreplace(self.numbers))
        return total

    def apply(self, rule: Rule, *ops: str) -> None:
        """Rewrite every node of every definition, arguments first. ops: the operations that `rule` may change."""
        for key, node in self.definitions.items():
            self.definitions[key] = rewritten(node, rule, *ops)

    def uses(self) -> dict[str, int]:
        """How many definitions that are needed read each name; a result counts as read."""
        counts = dict.fromkeys(self.outputs, 1)
        for key in self.needed():
            for used in self.definitions[key].reads:
                counts[used] = counts.get(used, 0) + 1
        return counts

    def needed(self) -> list[str]:
        wanted: set[str] = set()
        stack = list(self.outputs)
        while stack:
            key = stack.pop()
            if key in self.definitions and key not in wanted:
                wanted.add(key)
                stack.extend(self.definitions[key].reads)
        return [key for key in self.definitions if key in wanted]


@dataclass(frozen=True)
class Either:
    """Two ways to compute the same of an array u, entry by entry, each a chain of operations.

    usual:     in the tensor `U`, for an array whose largest or smallest entry, as `extreme` says ("max" or "min"), is
               no less than `least` and no more than `most`; in it, for entries of at least `near` in size.
    otherwise: in `U`, for any other array or entry.
    """

    usual: Node
    otherwise: Node
    extreme: str
    least: float = -inf
    most: float = inf
    near: float = 0.0


U = Node("tensor", (), "u")


def joint_name(weights: str, bias: str) -> str:
    """What the matrix of weights and bias is called, or that of their gradients."""
    return f"{weights}_{bias}"


def rewritten(root: Node, rule: Rule, *ops: str) -> Node:
    """`root` with `rule` applied to every node, arguments first. What a rule returns is not visited again.

    ops: the operations that `rule` may change; where none of them stands, nothing is visited.
    """
    if root.ops.isdisjoint(ops):
        return root
    made: dict[Node, Node] = {}
    for node in root.below:
        new = with_args(node, [made[argument] for argument in node.args])
        changed = rule(new) if new.op in ops else None
        made[node] = new if changed is None else changed
    return made[root]


def with_args(node: Node, args: Sequence[Node]) -> Node:
    """The same operation on `args`; `node` itself where these are its own."""
    if all(map(is_, args, node.args)):
        return node
    return Node(node.op, tuple(args), node.detail, node.shape)


def number(value: Expr) -> Node:
    return Node("number", (), value)


def is_number(node: Node, value: object) -> bool:
    return node.op == "number" and bool(node.detail == value)


def scale_of(node: Node) -> tuple[Expr, Node]:
    """(s, u) with node = s u and s a positive number: from 0.01 * u or u / 100; s is 1 for anything else."""
    one = Number(1)
    if node.op == "multiply" and node.args[0].op == "number" and node.args[0].detail.is_positive:
        return node.args[0].detail, node.args[1]
    if node.op == "divide" and node.args[1].op == "number" and node.args[1].detail.is_positive:
        return one / node.args[1].detail, node.args[0]
    return one, node


def make(op: str, *args: Node, detail: object = None, shape: tuple[Expr, ...] | None = None) -> Node:
    """A node with the shape of its largest operand, unless given."""
    if shape is None:
        shape = max((argument.shape for argument in args), key=len, default=())
    return Node(op, args, detail, shape)
