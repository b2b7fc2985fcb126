"""Array programs: straight-line assignments of array operations, each of which knows its shape.

A `Node` is one operation on whole arrays. Nodes carry no index letters: exp(z[p, j]) and exp(z[p, k]) are the
same array, so equal work is an equal node and is found by comparing. An `Assignment` names a node; an
`ArrayProgram` is one function: its assignments in order, and the names it returns.

What each `op` means, with `detail` in brackets:

    tensor [key]                      a leaf or an earlier assignment
    number [SymPy number], extent [size]       Python scalars, which never change an array's dtype
    add subtract multiply divide power maximum minimum        elementwise, NumPy broadcasting
    negative square sqrt exp expm1 log log1pexp logistic tanh ... absolute sign erf     elementwise, of one
    greater less greater_equal less_equal equal not_equal             elementwise, truth values
    logical_and logical_or logical_not                                elementwise, of truth values
    where                             condition, value if true, value if false
    cast                              truth values or Python scalars as numbers of the program's dtype
    sum [axes], max [axes]            over these axes, which disappear
    matmul                            NumPy's @: over the last axis of the left, the last but one of the right
    tensordot [(left axes, right axes)]        over several axes at once
    einsum [(left letters, right letters, result letters)]     where no product of matrices says it
    transpose [permutation], expand [positions of new axes], pick [integer or None for each axis]      views
    diagonal [two axes]               elements with the same place on both, along a new last axis; a view too
    fill [shape]                      one number in a whole array
    broadcast [shape]                 repeated along missing leading axes
    identity [size]                   ones on the diagonal
    copy                              so that a result never shares memory with an argument
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sympy import Expr, Integer

from symbolic.tensors import Equation

ONE = Integer(1)
VIEWS = frozenset({"transpose", "expand", "pick", "diagonal"})
LEAVES = frozenset({"tensor", "number", "extent"})
TRUTHS = frozenset(
    {
        "greater", "less", "greater_equal", "less_equal", "equal", "not_equal",
        "logical_and", "logical_or", "logical_not",
    }
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Node:
    """One array operation. shape: sizes of the result's axes, integers or symbols, () for a scalar."""

    op: str
    args: tuple[Node, ...] = ()
    detail: Any = None
    shape: tuple[Expr, ...] = ()
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.op, self.detail, self.args)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Node)
            and self._hash == other._hash
            and (self.op, self.detail, self.shape) == (other.op, other.detail, other.shape)
            and self.args == other.args
        )

    @cached_property
    def is_host(self) -> bool:
        """A Python scalar made of numbers and sizes: computed outside NumPy, so that it keeps every dtype."""
        if self.op in ("number", "extent"):
            return True
        return self.op not in ("cast", "fill", "tensor", "identity") and all(argument.is_host for argument in self.args)

    @cached_property
    def below(self) -> tuple[Node, ...]:
        """What `walk` gives, kept."""
        return tuple(self.walk())

    @cached_property
    def ops(self) -> frozenset[str]:
        """The operations below and this one."""
        return frozenset([node.op for node in self.below])

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Keys of the tensors below, in order of first use."""
        return tuple(dict.fromkeys([node.detail for node in self.below if node.op == "tensor"]))

    def walk(self) -> Iterator[Node]:
        """Every node below and this one, arguments first, each once."""
        seen: set[Node] = set()
        stack: list[tuple[Node, bool]] = [(self, False)]
        while stack:
            node, expanded = stack.pop()
            if expanded:
                yield node
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack.extend((argument, False) for argument in reversed(node.args))


@dataclass(frozen=True)
class Assignment:
    """name = node.

    equation: what it computes in index notation, None for a part that is used several times.
    """

    name: str
    node: Node
    equation: Equation | None = None


@dataclass(frozen=True)
class ArrayProgram:
    """One function over arrays.

    assignments: in an order in which they can be computed; a name is assigned once.
    returns:     names of the results.
    """

    assignments: tuple[Assignment, ...]
    returns: tuple[str, ...]

    @property
    def reads(self) -> list[str]:
        """Keys of the tensors that are taken from outside, in order of first use."""
        made = {assignment.name for assignment in self.assignments}
        used = [key for assignment in self.assignments for key in assignment.node.reads]
        return list(dict.fromkeys(key for key in [*used, *self.returns] if key not in made))

    @property
    def extents(self) -> list[Expr]:
        """The size symbols that the code needs as numbers, in order of first use."""
        found: dict[Expr, None] = {}
        for assignment in self.assignments:
            for node in assignment.node.below:
                if node.op == "extent":
                    found[node.detail] = None
                elif node.op in ("fill", "broadcast", "identity"):
                    for size in node.shape:
                        found.update((symbol, None) for symbol in sorted(size.free_symbols, key=str))
        return list(found)


def broadcast_shape(shapes: list[tuple[Expr, ...]]) -> tuple[Expr, ...]:
    """The shape that arrays of these shapes broadcast to; the caller has aligned the axes."""
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(ONE,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(next((n for n in axis if n != 1), ONE) for axis in zip(*padded, strict=True))


# How a part that is used several times is called, before the name of the tensor it is made from.
PART_NAMES = {
    "subtract": "difference", "add": "total", "multiply": "product", "divide": "ratio", "negative": "minus",
    "greater": "mask", "less": "mask", "greater_equal": "mask", "less_equal": "mask", "cast": "mask",
    "matmul": "product", "tensordot": "product", "einsum": "product", "absolute": "abs",
}  # fmt: skip


def assemble(
    definitions: dict[str, Node],
    equations: dict[str, Equation],
    outputs: tuple[str, ...],
    taken: set[str],
    shares: bool = True,
) -> ArrayProgram:
    """The assignments that compute `outputs`, nothing else, every shared part once.

    definitions: the node of each tensor that an equation defines, in an order that can be computed.
    taken:       names that a shared part must not get.
    shares:      if not, a part is computed wherever it is used.
    """
    needed = _needed(definitions, outputs)
    results = frozenset(outputs)
    uses: dict[Node, int] = {}
    for key in needed:
        _count_uses(definitions[key], uses)
    names: dict[Node, str] = {}
    used_names = taken | set(definitions)
    assignments: list[Assignment] = []
    for key in needed:
        root = definitions[key]
        for node in root.below:
            if shares and node is not root and uses[node] > 1 and node not in names and _is_work(node):
                name = _part_name(node, key, used_names)
                used_names.add(name)
                assignments.append(Assignment(name, _with_names(node, names)))
                names[node] = name
        computed = _with_names(root, names)
        if key in results and _shares_memory(computed, definitions, results):
            computed = Node("copy", (computed,), None, computed.shape)
        assignments.append(Assignment(key, computed, equations[key]))
        if shares and _is_work(root):
            names.setdefault(root, key)
    return ArrayProgram(tuple(assignments), outputs)


def _needed(definitions: dict[str, Node], outputs: tuple[str, ...]) -> list[str]:
    wanted: set[str] = set()
    stack = list(outputs)
    while stack:
        key = stack.pop()
        if key in definitions and key not in wanted:
            wanted.add(key)
            stack.extend(definitions[key].reads)
    return [key for key in definitions if key in wanted]


def _count_uses(root: Node, uses: dict[Node, int]) -> None:
    """Add to `uses` how many times each node is an argument; the arguments of a shared node count once."""
    stack = [root]
    while stack:
        node = stack.pop()
        uses[node] = uses.get(node, 0) + 1
        if uses[node] == 1:
            stack.extend(node.args)


def _is_work(node: Node) -> bool:
    return node.op not in VIEWS and node.op not in LEAVES and not node.is_host


def _shares_memory(node: Node, definitions: dict[str, Node], results: frozenset[str]) -> bool:
    """Whether an array is a view of an argument or of another result."""
    while node.op in VIEWS:
        node = node.args[0]
    return node.op == "tensor" and bool(node.shape) and (node.detail not in definitions or node.detail in results)


def _with_names(root: Node, names: dict[Node, str]) -> Node:
    """`root` with every part that has a name replaced by that name."""
    if names.keys().isdisjoint(root.below):
        return root
    rebuilt: dict[Node, Node] = {}
    for node in root.below:
        if node in names:
            rebuilt[node] = Node("tensor", detail=names[node], shape=node.shape)
        else:
            rebuilt[node] = Node(node.op, tuple(rebuilt[argument] for argument in node.args), node.detail, node.shape)
    return rebuilt[root]


def _part_name(node: Node, key: str, taken: set[str]) -> str:
    stem = f"{PART_NAMES.get(node.op, node.op)}_{node.reads[0] if len(node.reads) == 1 else key}"
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    return name
