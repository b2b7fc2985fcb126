"""Instructions: one operation each, from named operands into a named result of known shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sympy import Expr

from codegen.arrays import TRUTHS, VIEWS, ArrayProgram, Node
from codegen.passes.graph import Graph

ALL_VIEWS = VIEWS | {"with_ones", "rows", "flat"}
# Operations that NumPy or the target can write over an operand: which operands qualify.
OVER_ANY = frozenset(
    {
        "add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "negative", "square", "sqrt", "exp",
        "expm1", "log", "log1p", "tanh", "sin", "cos", "tan", "sinh", "cosh", "arcsin", "arccos", "arctan",
        "arcsinh", "arccosh", "arctanh", "absolute", "sign", "erf",
    }
)  # fmt: skip
OVER_FIRST, OVER_LAST = frozenset({"shifted", "either"}), frozenset({"where"})


@dataclass(frozen=True)
class Operand:
    """A named array seen through views, innermost first; or, without a name, a constant that `node` computes."""

    name: str = ""
    views: tuple[tuple[str, Any], ...] = ()
    node: Node | None = None
    shape: tuple[Expr, ...] = ()

    @property
    def is_plain(self) -> bool:
        return bool(self.name) and not self.views

    @property
    def is_widened(self) -> bool:
        """Seen with ones after its last entries."""
        return any(view == "with_ones" for view, _ in self.views)


@dataclass(frozen=True)
class Instruction:
    """result = op(operands). A scalar result is computed by `scalar`, a node over scalars and dot products.

    key:       the assignment that it is a part of.
    equations: keys whose equations stand above it.
    """

    result: str
    op: str
    operands: tuple[Operand, ...]
    detail: Any
    shape: tuple[Expr, ...]
    key: str
    equations: tuple[str, ...] = ()
    scalar: Node | None = None

    @property
    def is_truth(self) -> bool:
        return self.op in TRUTHS


@dataclass
class Listing:
    """The instructions of one function, in order.

    aliases:  names that are another array, or a view of one.
    dots:     operands of the dot products inside scalar nodes, by node.
    """

    instructions: list[Instruction]
    aliases: dict[str, Operand]
    dots: dict[Node, tuple[Operand, ...]]

    def read(self, instruction: Instruction) -> tuple[Operand, ...]:
        """All operands of an instruction, those of dot products inside a scalar included."""
        if instruction.scalar is None:
            return instruction.operands
        return tuple(o for node in instruction.scalar.walk() for o in self.dots.get(node, ()))


def listing(program: ArrayProgram, graph: Graph, leaves: tuple[str, ...]) -> Listing:
    """One instruction for each operation of `program`.

    leaves: inputs and targets. One that is nothing but an operand of matrix products is read where the caller has it;
            any other is loaded first, so that it lies in memory as the rest does.
    """
    loaded = {name: node for a in program.assignments for name, node in _read_by_entries(a.node) if name in leaves}
    return _Writer(graph).write(program, {name: loaded[name].shape for name in leaves if name in loaded})


def _read_by_entries(root: Node) -> list[tuple[str, Node]]:
    """The tensors that `root` uses otherwise than in a product of matrices."""
    found = []
    for node in (root, *(n for n in root.walk() if n.op != "matmul")):
        for argument in (root,) if node is root and root.op in ("tensor", *ALL_VIEWS) else node.args:
            inner = argument
            while inner.op in ALL_VIEWS and inner.op != "with_ones":
                inner = inner.args[0]
            if inner.op == "with_ones":
                found.append((inner.args[0].detail, inner.args[0]))
            if inner.op == "tensor" and node.op not in ("matmul", "transpose"):
                found.append((inner.detail, inner))
    return found


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.made: list[Instruction] = []
        self.aliases: dict[str, Operand] = {}
        self.dots: dict[Node, tuple[Operand, ...]] = {}
        self.scalars: set[str] = set()
        self.key = ""
        self.count = 0
        self.pending: tuple[str, ...] = ()

    def write(self, program: ArrayProgram, loaded: dict[str, tuple[Expr, ...]]) -> Listing:
        for name, shape in loaded.items():
            self._emit(Instruction(name, "load", (), None, shape, name))
        for assignment in program.assignments:
            self.key, node = assignment.name, assignment.node
            self.pending = (*self.pending, assignment.name)
            if not node.shape:
                self._prepare(node)
                self._emit(Instruction(self.key, node.op, (), None, (), self.key, (), node))
                self.scalars.add(self.key)
                continue
            if node.op == "tensor" or node.op in ALL_VIEWS:
                operand = self._operand(node)
                if self.key not in self.graph.outputs:
                    self.aliases[self.key] = operand
                    continue
                self._emit(Instruction(self.key, "copy", (operand,), None, node.shape, self.key))
                continue
            self._operation(node, self.key)
        return Listing(self.made, self.aliases, self.dots)

    def _emit(self, instruction: Instruction) -> None:
        self.made.append(replace(instruction, equations=self.pending))
        self.pending = ()

    def _operand(self, node: Node) -> Operand:
        if node.is_host or node.op == "ones":
            return Operand(node=node, shape=node.shape)
        if node.op == "tensor":
            return replace(self.aliases.get(node.detail, Operand(node.detail)), shape=node.shape)
        if node.op in ALL_VIEWS:
            inner = self._operand(node.args[0])
            # How many axes there are after new ones came in is not said by the positions of the new ones.
            detail = (node.detail, len(node.shape)) if node.op == "expand" else node.detail
            return replace(inner, views=_composed(inner.views, node.op, detail), shape=node.shape)
        if not node.shape:
            self.count += 1
            name = f"scalar_{self.key}_{self.count}"
            self._prepare(node)
            self._emit(Instruction(name, node.op, (), None, (), self.key, (), node))
            self.scalars.add(name)
            return Operand(name)
        self.count += 1
        name = f"part_{self.count}"
        self._operation(node, name)
        return Operand(name, shape=node.shape)

    def _operation(self, node: Node, name: str) -> None:
        operands = tuple(self._operand(argument) for argument in node.args)
        self._emit(Instruction(name, node.op, operands, node.detail, node.shape, self.key))

    def _prepare(self, scalar: Node) -> None:
        """Instructions for the arrays that a scalar is made from, by dot products or other reductions."""
        for node in scalar.walk():
            if node.shape or not any(argument.shape for argument in node.args):
                continue
            self.dots[node] = tuple(self._operand(argument) for argument in node.args)


def _composed(views: tuple[tuple[str, Any], ...], op: str, detail: Any) -> tuple[tuple[str, Any], ...]:
    """`views` followed by one more; a matrix that is transposed twice is itself."""
    if op == "transpose" and detail == (1, 0) and views and views[-1] == (op, detail):
        return views[:-1]
    return (*views, (op, detail))
