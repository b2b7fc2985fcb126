"""The neutral syntax tree of a LaTeX formula: what is written where, and nothing about what it means.

`grammar.parse_formula` makes the tree. Whether a row such as g (z) is a call or a product, and whether a mark above a
letter is a power, a layer, an example or a transpose, is for the symbol table of a notation to say.

Texts are LaTeX in one spelling (\\leq is \\le, \\bm is \\boldsymbol). Two trees are equal if they are written alike;
where they stand in the text, `line` and `column` from 1, does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class Node:
    """Anything in a formula; `line` and `column`, counted from 1, say where it begins (0 for an empty cell)."""

    line: int = field(default=0, compare=False, repr=False, kw_only=True)
    column: int = field(default=0, compare=False, repr=False, kw_only=True)


# ---------------------------------------------------------------------- leaves


@dataclass(frozen=True)
class Number(Node):
    """Digits, with a decimal point perhaps: 2, 0.044715."""

    text: str


@dataclass(frozen=True)
class Symbol(Node):
    """One letter or command, with its style: a, \\delta, \\log, \\partial, \\top, \\mathcal{L}, \\mathbf{1}."""

    latex: str


@dataclass(frozen=True)
class Word(Node):
    """An upright word, however it was made upright (\\operatorname, \\mathrm, \\text): softmax, in, th."""

    text: str


@dataclass(frozen=True)
class Operator(Node):
    """An operator or a relation without its operands: the dot of f(\\cdot), the star of a^*, the colon of A_{:,j}."""

    sign: str


@dataclass(frozen=True)
class Dots(Node):
    """An omission: \\ldots (also \\dots and three full stops), \\cdots, \\vdots, \\ddots."""

    sign: str


@dataclass(frozen=True)
class Empty(Node):
    """Nothing: what () encloses, an empty cell, the left side of a line that begins with a relation."""


@dataclass(frozen=True)
class Label(Node):
    """Running text between formulas, in one line and without spaces at its ends: where, if, for all."""

    text: str


# ---------------------------------------------------------------------- one symbol and its marks


@dataclass(frozen=True)
class Accent(Node):
    """A mark over or under something: \\bar, \\overline, \\hat, \\widehat, \\underbrace ..."""

    mark: str
    body: Node


@dataclass(frozen=True)
class Styled(Node):
    """A style of more than one symbol: \\boldsymbol{x_{in}}; that of a single symbol is part of the `Symbol`."""

    style: str
    body: Node


@dataclass(frozen=True)
class Scripts(Node):
    """A base with what stands below it, above it (None where nothing does), and a number of primes.

    Primes that begin or end the superscript, ^{\\prime} or ^{[2]\\prime}, are counted in `primes`.
    """

    base: Node
    below: Node | None
    above: Node | None
    primes: int


# ---------------------------------------------------------------------- things with parts


@dataclass(frozen=True)
class Fraction(Node):
    """Above and below a fraction line; a derivative is a fraction too, of rows that begin with \\partial."""

    above: Node
    below: Node


@dataclass(frozen=True)
class Root(Node):
    """A root; `degree` is None for a square root."""

    body: Node
    degree: Node | None


@dataclass(frozen=True)
class Brackets(Node):
    """Brackets around something: ( ), [ ], { } for \\{ \\}, | |, || || for a norm, < > for \\langle \\rangle.

    Sizes (\\left, \\Bigl) are not kept; the full stop of \\left. or \\right. is. Two empty texts are the braces of
    TeX, which nobody sees, around something that is more than one symbol.
    """

    open: str
    close: str
    body: Node


@dataclass(frozen=True)
class Indicator(Node):
    """\\mathbf{1}\\{condition\\}: `sign` is what stands before the braces."""

    sign: str
    condition: Node


@dataclass(frozen=True)
class BigOperator(Node):
    """\\sum or \\prod, its limits (None where there is none), and the rest of its term, before the next + or -."""

    sign: str
    below: Node | None
    above: Node | None
    body: Node


@dataclass(frozen=True)
class Otherwise(Node):
    """The condition of the last case: \\text{otherwise}."""


@dataclass(frozen=True)
class Case(Node):
    """One line of `Cases`; `condition` is None where there is none, as in a system of equations."""

    value: Node
    condition: Node | None


@dataclass(frozen=True)
class Cases(Node):
    """Lines after a left brace."""

    rows: tuple[Case, ...]


@dataclass(frozen=True)
class Matrix(Node):
    """Cells in rows, between brackets as in `Brackets` or none; rows may have different lengths."""

    open: str
    close: str
    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Stretched(Node):
    """A cell drawn as a whole row or column of a matrix, with a dash on either side: - w - ."""

    body: Node


# ---------------------------------------------------------------------- from the tightest to the loosest


@dataclass(frozen=True)
class Row(Node):
    """At least two things side by side without a sign; only the last can be a `BigOperator`."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Product(Node):
    """Rows with operators between them (\\cdot, \\circ, \\odot, \\times, / ...), as written, without precedence.

    `signs[n]` stands between `factors[n]` and `factors[n + 1]`. A factor after an operator may be `Terms` of one
    negative term.
    """

    factors: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Terms(Node):
    """A sum or difference: `signs[n]`, + or - (or \\pm), stands before `terms[n]`; the first is + where it is not
    written. A single term has a sign that was written.
    """

    signs: tuple[str, ...]
    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Relation(Node):
    """Sides with relations between them, a = b = c: `signs[n]` stands after `sides[n]`.

    The first side is `Empty` in a display or a cell that goes on with what stood before.
    """

    sides: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Logic(Node):
    """Conditions joined by `sign`: not (of one part), and, or, \\Rightarrow, \\Leftarrow, \\Leftrightarrow."""

    sign: str
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Sequence(Node):
    """At least two items with commas between them, or with semicolons; commas bind tighter.

    A comma binds looser than a relation: k = 1, \\ldots, n is the sequence of k = 1, dots and n.
    """

    sign: str
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Display(Node):
    """Several formulas, in lines or side by side, and the labels between them, in the order of the text."""

    parts: tuple[Node, ...]


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below one, in the order of its fields."""
    for part in fields(node):
        yield from _nodes(getattr(node, part.name))


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for element in value:
            yield from _nodes(element)


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, a node before its parts."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(list(children(node)))


def outline(node: Node) -> str:
    """The tree in one line, for tests and for messages: (class field field ...).

    Leaves with a text are that text, a word in quotes; a dot stands for None, <> for a tuple, {} for `Empty`.
    """
    if isinstance(node, Word):
        return f"'{node.text}'"
    if isinstance(node, (Number, Symbol, Operator, Dots)):
        return str(getattr(node, fields(node)[-1].name))
    if isinstance(node, Empty):
        return "{}"
    values = [getattr(node, part.name) for part in fields(node) if not part.kw_only]
    return f"({' '.join([type(node).__name__.lower(), *map(_outline, values)])})"


def _outline(value: object) -> str:
    if isinstance(value, Node):
        return outline(value)
    if isinstance(value, tuple):
        return f"<{' '.join(map(_outline, value))}>"
    return "." if value is None else str(value)
