"""Nodes as NumPy expressions, and equations as plain text for the comments above them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from sympy import Expr, Indexed, Sum, Symbol, true
from sympy.printing.str import StrPrinter

from codegen.arrays import Node
from codegen.recording import outline_of
from symbolic.tensors import Equation

# Binding strength of what a piece of source text is at its outermost, weakest first.
COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(6)

BINARY = {
    "add": ("+", SUM), "subtract": ("-", SUM), "multiply": ("*", PRODUCT), "divide": ("/", PRODUCT),
    "matmul": ("@", PRODUCT), "power": ("**", POWER),
    "greater": (">", COMPARISON), "less": ("<", COMPARISON), "greater_equal": (">=", COMPARISON),
    "less_equal": ("<=", COMPARISON), "equal": ("==", COMPARISON), "not_equal": ("!=", COMPARISON),
}  # fmt: skip
# Operations where a op (b op c) is a different computation from (a op b) op c.
LEFT_ASSOCIATIVE = frozenset({"subtract", "divide", "matmul", "multiply"})
NO_NAMES: Mapping[str, str] = {}
HELPERS = {"logistic": "_logistic", "log1pexp": "_log1pexp", "erf": "erf"}


def expression(node: Node, names: Mapping[str, str]) -> str:
    """Source text of `node`. names: what a tensor or size is called, where that is not its key."""
    return _write(node, names)[0]


def _write(node: Node, names: Mapping[str, str]) -> tuple[str, int]:
    op, args = node.op, node.args
    if op in ("tensor", "extent"):
        return names.get(str(node.detail), str(node.detail)), ATOM
    if op == "number":
        return number(node.detail), ATOM
    if op in BINARY:
        sign, strength = BINARY[op]
        # A product of matrices is set apart from elementwise ones, although Python would read both from the
        # left.
        apart = {op, args[0].op} in ({"multiply", "matmul"}, {"divide", "matmul"})
        left = _wrapped(args[0], names, ATOM if apart or op == "power" else strength)
        right = _wrapped(args[1], names, strength + (op in LEFT_ASSOCIATIVE or strength == COMPARISON))
        return f"{left} {sign} {right}" if op != "power" else f"{left}**{right}", strength
    if op == "negative":
        return f"-{_wrapped(args[0], names, SIGN)}", SIGN
    if op == "square":
        return f"{_wrapped(args[0], names, ATOM)}**2", POWER
    if op == "logical_not":
        return f"~{_wrapped(args[0], names, ATOM)}", SIGN
    return _call(node, names), ATOM


def _call(node: Node, names: Mapping[str, str]) -> str:
    op, args = node.op, node.args
    if op in ("sum", "max"):
        return _reduction(node, names, keepdims=False)
    if op == "expand":
        inner = args[0]
        if inner.op in ("sum", "max") and inner.detail == node.detail:
            return _reduction(inner, names, keepdims=True)
        axes = ", ".join("None" if axis in node.detail else ":" for axis in range(len(node.shape)))
        return f"{_wrapped(inner, names, ATOM)}[{axes}]"
    if op == "transpose":
        if node.detail == (1, 0):
            return f"{_wrapped(args[0], names, ATOM)}.T"
        return f"{_wrapped(args[0], names, ATOM)}.transpose({', '.join(map(str, node.detail))})"
    if op == "pick":
        picked = ", ".join(":" if place is None else str(place) for place in node.detail)
        return f"{_wrapped(args[0], names, ATOM)}[{picked}]"
    if op == "diagonal":
        first, second = node.detail
        axes = "" if (first, second) == (0, 1) else f", axis1={first}, axis2={second}"
        return f"np.diagonal({expression(args[0], names)}{axes})"
    if op == "cast":
        return f"np.asarray({expression(args[0], names)}, dtype=dtype)"
    if op == "fill":
        return f"np.full({_shape(node, names)}, {expression(args[0], names)}, dtype=dtype)"
    if op == "broadcast":
        return f"np.broadcast_to({expression(args[0], names)}, {_shape(node, names)}).copy()"
    if op == "identity":
        return f"np.eye({_shape(node, names)[1:-1].split(', ')[0]}, dtype=dtype)"
    if op == "copy":
        return f"{_wrapped(args[0], names, ATOM)}.copy()"
    if op == "tensordot":
        return f"np.tensordot({expression(args[0], names)}, {expression(args[1], names)}, axes={node.detail})"
    if op == "einsum":
        letters = "{},{}->{}".format(*node.detail)
        return f'np.einsum("{letters}", {expression(args[0], names)}, {expression(args[1], names)})'
    written = ", ".join(expression(argument, names) for argument in args)
    if op in HELPERS:
        return f"{HELPERS[op]}({written})"
    # A NumPy scalar made from sizes is float64 and would widen float32 arrays; a Python float is not.
    return f"float(np.{op}({written}))" if node.is_host else f"np.{op}({written})"


def _reduction(node: Node, names: Mapping[str, str], keepdims: bool) -> str:
    inner = node.args[0]
    keep = "keepdims=True" if keepdims else ""
    axes = (
        ""
        if len(node.detail) == len(inner.shape)
        else f"axis={node.detail[0] if len(node.detail) == 1 else node.detail}"
    )
    return f"{_wrapped(inner, names, ATOM)}.{node.op}({', '.join(part for part in (axes, keep) if part)})"


def _wrapped(node: Node, names: Mapping[str, str], strength: int) -> str:
    text, own = _write(node, names)
    return text if own >= strength else f"({text})"


def number(value: Expr) -> str:
    """A number as a Python literal: an int where it is one, otherwise the nearest float."""
    return str(int(value)) if value.is_Integer else repr(float(value))


def _shape(node: Node, names: Mapping[str, str]) -> str:
    sizes = [size_text(n, names) for n in node.shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def size_text(size: Expr, names: Mapping[str, str]) -> str:
    return str(
        size.xreplace({symbol: type(symbol)(names.get(str(symbol), str(symbol))) for symbol in size.free_symbols})
    )


class _CommentPrinter(StrPrinter):
    """Index notation in one line: sum_s(W1[j, s]*x[p, s]).

    names: what a tensor or size is called, where that is not its key.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self.names = names

    def _print_Symbol(self, node: Symbol) -> str:
        return self.names.get(node.name, node.name)

    def _print_Indexed(self, node: Indexed) -> str:
        return f"{self._print(node.base.label)}[{', '.join(map(self._print, node.indices))}]"

    def _print_Sum(self, node: Sum) -> str:
        letters = ", ".join(str(limit[0]) for limit in node.limits)
        return f"sum_{letters}({self._print(node.function)})"

    def _print_Piecewise(self, node: Expr) -> str:
        parts = []
        for branch in node.args:
            text = self._print(branch.expr)
            parts.append(f"{text} otherwise" if branch.cond is true else f"{text} if {self._print(branch.cond)}")
        return f"({', '.join(parts)})"


@dataclass(frozen=True)
class _Kind:
    """Equations whose texts differ in names only.

    outlines: the kind of their outlines: see `codegen.recording`.
    letters:  what the index letters are called.
    equation: one of them.
    """

    outlines: Hashable
    letters: tuple[str, ...]
    equation: Equation = field(compare=False)


# Stands before and after the place of a name in a text.
_MARK = "\0"


@lru_cache(maxsize=2**10)
def _pieces(kind: _Kind) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The text of all equations of a kind: what stands around the names, and their places."""
    plain, letters, _ = outline_of(kind.equation)
    called = {letter.name: text for letter, text in zip(letters, kind.letters, strict=True)}
    called |= {name.name: f"{_MARK}{place}{_MARK}" for place, name in enumerate(plain.names)}
    printer = _CommentPrinter(called)
    text = f"{printer.doprint(kind.equation.lhs)} = {printer.doprint(kind.equation.rhs)}"
    parts = text.split(_MARK)
    return tuple(parts[::2]), tuple(map(int, parts[1::2]))


def equation_text(equation: Equation, names: Mapping[str, str] = NO_NAMES) -> str:
    """`equation` in index notation as plain text: z1[p, j] = sum_s(W1[j, s]*x[p, s]) + b1[j].

    names: what a tensor or size is called, where that is not its key.
    """
    outline = outline_of(equation)
    called = tuple([names.get(letter.name, letter.name) for letter in outline.letters])
    around, places = _pieces(_Kind(outline.kind(), called, equation))
    found = [names.get(name.name, name.name) for name in outline.skeleton.names]
    return around[0] + "".join([found[place] + text for place, text in zip(places, around[1:], strict=True)])
