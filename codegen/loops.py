"""Array programs as loops over elements, with products of matrices left to BLAS: what compilers turn into vector code.

Every array has fixed sizes, so that it can be a part of one scratch vector, and nothing is allocated in a step. An
elementwise expression, views in it included, is one nest of loops over its result; a product, a sum or a maximum inside
it is computed before, into an array of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sympy import Expr

from codegen.arrays import ArrayProgram, Node
from codegen.targets.expressions import equation_text
from codegen.unrolled import letters_of_matmul
from symbolic.errors import LoweringError

INDENT = "    "
# What constants are called, and arrays are not.
CONSTANT = re.compile(r"number_\d+")
BINARY = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "greater": ">", "less": "<", "greater_equal": ">=",
    "less_equal": "<=", "equal": "==", "not_equal": "!=", "logical_and": "and", "logical_or": "or",
}  # fmt: skip
# Functions of one number or two, by the helper of the target that computes them.
HELPED = frozenset({
    "exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "tan", "sinh", "cosh", "arcsin", "arccos", "arctan",
    "arcsinh", "arccosh", "arctanh", "erf", "sqrt", "power", "square", "absolute", "sign", "maximum", "minimum",
    "logistic", "log1pexp",
})  # fmt: skip
# Those that cost no more than a multiplication.
CHEAP = frozenset({"square", "absolute", "sign", "maximum", "minimum"})


@dataclass(frozen=True)
class Place:
    """An array in the code: its name and its sizes. One without axes is a variable."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Loops:
    """Writes the statements of one array program.

    size:     the number that a size of an axis is.
    constant: the text of a number, in the dtype of the arrays.
    places:   the arrays that there are, by what the program calls them.
    scratch:  the sizes of those that statements make, by their names.
    functions: loops that stand in functions of their own, since a compiler makes vector code of a function in a small
              one only: name, arguments, lines.
    """

    size: Callable[[Expr], int]
    constant: Callable[[float], str]
    places: dict[str, Place]
    lines: list[str] = field(default_factory=list)
    scratch: dict[str, tuple[int, ...]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    flat: bool = False
    spoken: dict[str, None] = field(default_factory=dict)
    functions: list[tuple[str, tuple[str, ...], list[str]]] = field(default_factory=list)
    _made: dict[Node, Place] = field(default_factory=dict)

    def run(self, program: ArrayProgram, comment: Callable[[str], list[str]]) -> None:
        """Statements for every assignment, the equation above each."""
        for assignment in program.assignments:
            if assignment.equation is not None:
                self.lines += comment(equation_text(assignment.equation))
            self.places[assignment.name] = self.assign(assignment.node, assignment.name)

    def assign(self, node: Node, name: str) -> Place:
        """The array that a node is, computed if it is not there already."""
        if node.op == "tensor":
            return self.places[node.detail]
        if node.op == "copy":
            return self.assign(node.args[0], name)
        if node in self._made:
            return self._made[node]
        if node.op in REDUCTIONS:
            place = REDUCTIONS[node.op](self, node, name)
        else:
            place = self.new(name, self.shape(node))
            self.nest(place, lambda at: [f"{self.at(place, at)} = {self.element(node, at)}"], [node])
        self._made[node] = place
        return place

    # --- places

    def shape(self, node: Node) -> tuple[int, ...]:
        return tuple(self.size(extent) for extent in node.shape)

    def free(self, name: str) -> str:
        if CONSTANT.fullmatch(name):
            name += "_"
        while name in self.taken or f"{name}_flat" in self.taken:
            name += "_"
        self.taken |= {name, f"{name}_flat"}
        return name

    def new(self, name: str, shape: tuple[int, ...]) -> Place:
        name = self.free(name)
        if shape:
            self.scratch[name] = shape
        return Place(name, shape)

    def at(self, place: Place, index: Sequence[str]) -> str:
        if self.flat:
            name = f"{place.name}_flat" if len(place.shape) > 1 else place.name
            self.spoken[name] = None
            return f"{name}[{index[0]}]" if place.shape else name
        return f"{place.name}[{', '.join(index)}]" if place.shape else place.name

    def nest(self, place: Place, body: Callable[[list[str]], list[str]], inside: Sequence[Node]) -> None:
        """Loops over a place's elements; what `inside` needs is computed before them."""
        for node in inside:
            self.prepare(node, math.prod(place.shape))
        if place.shape and all(self.fits(node, place.shape) for node in inside):
            self.flat, self.spoken = True, {}
            lines = body(["i"])
            self.flat = False
            if any(below.op in HELPED - CHEAP for node in inside for below in node.walk()):
                name = self.free(f"over_{place.name}")
                head = f"for i in range({math.prod(place.shape)}):"
                self.functions.append((name, tuple(self.spoken), [head, *(INDENT + line for line in lines)]))
                self.lines.append(f"{name}({', '.join(self.spoken)})")
            else:
                self.loops([("i", math.prod(place.shape))], lines)
            return
        index = [f"i{axis}" for axis in range(len(place.shape))]
        self.loops(list(zip(index, place.shape, strict=True)), body(index))

    def loops(self, over: list[tuple[str, int]], body: list[str]) -> None:
        for depth, (letter, extent) in enumerate(over):
            self.lines.append(f"{INDENT * depth}for {letter} in range({extent}):")
        self.lines += [INDENT * len(over) + line for line in body]

    def fits(self, node: Node, shape: tuple[int, ...]) -> bool:
        """Whether all arrays of an expression lie in memory as a result of this shape does."""
        if node in self._made or node.op == "tensor":
            place = self._made[node] if node in self._made else self.places[node.detail]
            return place.shape in (shape, ())
        if node.op in VIEWED or node.op == "identity":
            return False
        return all(self.fits(argument, shape) for argument in node.args)

    def prepare(self, node: Node, count: int) -> None:
        """Compute what stands below a node and is no single expression: reductions, and functions that the `count`
        elements of the node share.
        """
        stack = [node]
        while stack:
            below = stack.pop()
            shared = below.op in HELPED - CHEAP and below is not node and math.prod(self.shape(below)) < count
            if below in self._made:
                continue
            if below.op in REDUCTIONS or (shared and not below.is_host):
                self.assign(below, f"{below.op}_{len(self._made)}")
            else:
                stack.extend(reversed(below.args))

    # --- elements

    def element(self, node: Node, index: Sequence[str]) -> str:
        """Text of one element; everything stands in brackets."""
        op, args, here = node.op, node.args, list(index)
        if op == "tensor":
            return self.at(self.places[node.detail], here)
        if node in self._made:
            return self.at(self._made[node], here)
        if op == "number":
            return self.constant(float(node.detail))
        if op == "extent":
            return self.constant(float(self.size(node.detail)))
        view = VIEWED.get(op)
        if view is not None:
            return self.element(args[0], view(node, here))
        if op == "identity":
            return f"({self.constant(1.0)} if {here[0]} == {here[1]} else {self.constant(0.0)})"
        inner = [self.element(argument, self.aligned(argument, node, here)) for argument in args]
        if op == "divide" and self._reciprocal(args[1]) is not None:
            return f"({inner[0]} * {self.constant(self._reciprocal(args[1]) or 0.0)})"
        if op in ("multiply", "add") and any(_is_truth(argument) for argument in args):
            inner = [self.number(a, text) for a, text in zip(args, inner, strict=True)]
        if op in BINARY:
            return f"({inner[0]} {BINARY[op]} {inner[1]})"
        if op == "negative":
            return f"(-{inner[0]})"
        if op == "logical_not":
            return f"(not {inner[0]})"
        if op == "cast":
            return self.number(args[0], inner[0])
        if op == "where":
            return f"({inner[1]} if {inner[0]} else {inner[2]})"
        if op in HELPED:
            self.used.add(op)
            return f"_{op}({', '.join(inner)})"
        raise LoweringError(f"{op} has no form in loops")

    def number(self, node: Node, text: str) -> str:
        return f"({self.constant(1.0)} if {text} else {self.constant(0.0)})" if _is_truth(node) else text

    def _reciprocal(self, node: Node) -> float | None:
        """1/c of a number c."""
        if node.op not in ("number", "extent"):
            return None
        value = float(node.detail) if node.op == "number" else float(self.size(node.detail))
        return 1 / value if 1e-30 < abs(value) < 1e30 else None

    def aligned(self, argument: Node, node: Node, index: list[str]) -> list[str]:
        """The place in an operand, by NumPy's broadcasting."""
        if self.flat:
            return index if argument.shape else []
        own, whole = self.shape(argument), self.shape(node)
        last = index[len(index) - len(own) :]
        return [
            "0" if n == 1 and m != 1 else i for i, n, m in zip(last, own, whole[len(whole) - len(own) :], strict=True)
        ]

    # --- reductions

    def operand(self, node: Node) -> str:
        """Text of a contiguous matrix or vector, or of the transpose of one."""
        if node.op == "transpose" and len(node.args[0].shape) == 2 and node.args[0].op == "tensor":
            return f"{self.places[node.args[0].detail].name}.T"
        return self.assign(node, f"part_{len(self._made)}").name

    def matmul(self, node: Node, name: str) -> Place:
        left, right = node.args
        if len(node.shape) == 0 or max(len(left.shape), len(right.shape)) > 2:
            return self.contraction(node, name, *letters_of_matmul(len(left.shape), len(right.shape)))
        operands = self.operand(left), self.operand(right)
        place = self.new(name, self.shape(node))
        self.lines.append(f"np.dot({operands[0]}, {operands[1]}, {place.name})")
        return place

    def contraction(self, node: Node, name: str, first: str, second: str, result: str) -> Place:
        """A sum of products by letters, as einsum says it."""
        left, right = node.args
        self.prepare(left, math.prod(self.shape(left)))
        self.prepare(right, math.prod(self.shape(right)))
        sizes = dict(zip(first + second, (*self.shape(left), *self.shape(right)), strict=True))
        bound = [letter for letter in sizes if letter not in result]
        product = f"{self.element(left, [f'i_{a}' for a in first])} * {self.element(right, [f'i_{a}' for a in second])}"
        kept = [(f"i_{letter}", sizes[letter]) for letter in result]
        return self._accumulated(node, name, kept, [(f"i_{letter}", sizes[letter]) for letter in bound], product)

    def sum(self, node: Node, name: str) -> Place:
        inner = node.args[0]
        self.prepare(inner, math.prod(self.shape(inner)))
        index = [f"i{axis}" for axis in range(len(inner.shape))]
        over = list(zip(index, self.shape(inner), strict=True))
        kept = [pair for axis, pair in enumerate(over) if axis not in node.detail]
        bound = [pair for axis, pair in enumerate(over) if axis in node.detail]
        return self._accumulated(node, name, kept, bound, self.number(inner, self.element(inner, index)))

    def _accumulated(
        self, node: Node, name: str, kept: list[tuple[str, int]], bound: list[tuple[str, int]], term: str
    ) -> Place:
        """A sum; the last loop runs over a kept axis where there is one, so that neighbours are added side by side."""
        place = self.new(name, self.shape(node))
        index = [letter for letter, _ in kept]
        here, zero = self.at(place, index), self.constant(0.0)
        if not kept or (node.op == "sum" and bound[-1][0] > kept[-1][0]):
            for depth, (letter, extent) in enumerate(kept):
                self.lines.append(f"{INDENT * depth}for {letter} in range({extent}):")
            first, rest = INDENT * len(kept), len(self.lines)
            total = self.free("total")
            self.lines.append(f"{first}{total} = {zero}")
            self.loops(bound, [f"{total} += {term}"])
            self.lines[rest + 1 :] = [first + line for line in self.lines[rest + 1 :]]
            self.lines.append(f"{first}{here} = {total}")
        else:
            self.loops(kept, [f"{here} = {zero}"])
            self.loops([*kept[:-1], *bound, kept[-1]] if node.op != "sum" else [*bound, *kept], [f"{here} += {term}"])
        return place

    def max(self, node: Node, name: str) -> Place:
        inner = node.args[0]
        self.prepare(inner, math.prod(self.shape(inner)))
        self.used.add("maximum")
        place = self.new(name, self.shape(node))
        index = [f"i{axis}" for axis in range(len(inner.shape))]
        over = list(zip(index, self.shape(inner), strict=True))
        kept = [pair for axis, pair in enumerate(over) if axis not in node.detail]
        bound = [pair for axis, pair in enumerate(over) if axis in node.detail]
        here = self.at(place, [letter for letter, _ in kept])
        first = self.element(inner, ["0" if axis in node.detail else letter for axis, letter in enumerate(index)])
        self.loops(kept, [f"{here} = {first}"])
        self.loops([*kept, *bound], [f"{here} = _maximum({here}, {self.element(inner, index)})"])
        return place

    def tensordot(self, node: Node, name: str) -> Place:
        names = iter("abcdefghijklmnopqrstuvwxyz")
        first = [next(names) for _ in node.args[0].shape]
        second = [next(names) for _ in node.args[1].shape]
        for left, right in zip(*node.detail, strict=True):
            second[right] = first[left]
        free = [letter for letter in first + second if (letter in first) != (letter in second)]
        return self.contraction(node, name, "".join(first), "".join(second), "".join(free))

    def einsum(self, node: Node, name: str) -> Place:
        return self.contraction(node, name, *node.detail)


REDUCTIONS: Mapping[str, Callable[[Loops, Node, str], Place]] = {
    "matmul": Loops.matmul,
    "sum": Loops.sum,
    "max": Loops.max,
    "tensordot": Loops.tensordot,
    "einsum": Loops.einsum,
}


def _is_truth(node: Node) -> bool:
    while node.op in VIEWED:
        node = node.args[0]
    return node.op.startswith(("greater", "less", "logical_")) or node.op in ("equal", "not_equal")


def _picked(node: Node, index: list[str]) -> list[str]:
    rest = iter(index)
    return [next(rest) if place is None else str(place) for place in node.detail]


def _turned(node: Node, index: list[str]) -> list[str]:
    by_axis = dict(zip(node.detail, index, strict=True))
    return [by_axis[axis] for axis in range(len(index))]


def _diagonal(node: Node, index: list[str]) -> list[str]:
    rest = iter(index[:-1])
    return [index[-1] if axis in node.detail else next(rest) for axis in range(len(node.args[0].shape))]


def _repeated(node: Node, index: list[str]) -> list[str]:
    inner = node.args[0].shape
    last = index[len(index) - len(inner) :] if inner else []
    return ["0" if n == 1 and m != 1 else i for i, n, m in zip(last, inner, node.shape[-len(inner) :], strict=False)]


# The place in what is viewed, for a place in the view.
VIEWED: Mapping[str, Callable[[Node, list[str]], list[str]]] = {
    "transpose": _turned,
    "expand": lambda node, index: [letter for axis, letter in enumerate(index) if axis not in node.detail],
    "pick": _picked,
    "diagonal": _diagonal,
    "fill": lambda node, index: [],
    "broadcast": _repeated,
    "copy": lambda node, index: index,
}
