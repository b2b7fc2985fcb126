"""Symbols of a syntax tree as text, and a symbol with its marks taken apart.

A mark above or below a letter is compared as text: what the notation would write is parsed by the same grammar and
written in the same way, so that spaces and needless braces make no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from symbolic.notation import split_argument
from symbolic.reading.grammar import parse_formula
from symbolic.reading.syntax import (
    Accent,
    Brackets,
    Dots,
    Empty,
    Node,
    Number,
    Operator,
    Product,
    Relation,
    Row,
    Scripts,
    Sequence,
    Styled,
    Symbol,
    Terms,
    Word,
    outline,
)


def written(node: Node) -> str:
    """The node as LaTeX with a space between any two signs; two nodes have one text if they are written alike."""
    if isinstance(node, Number):
        return node.text
    if isinstance(node, Symbol):
        return node.latex
    if isinstance(node, Word):
        return rf"\mathrm{{{node.text}}}"
    if isinstance(node, (Operator, Dots)):
        return node.sign
    if isinstance(node, Empty):
        return ""
    if isinstance(node, Accent):
        return f"{node.mark} {{ {written(node.body)} }}"
    if isinstance(node, Styled):
        return f"{node.style} {{ {written(node.body)} }}"
    if isinstance(node, Scripts):
        below = f" _ {{ {written(node.below)} }}" if node.below is not None else ""
        above = f" ^ {{ {written(node.above)} }}" if node.above is not None else ""
        return written(node.base) + below + above + " '" * node.primes
    if isinstance(node, Brackets):
        return f"{node.open or '{'} {written(node.body)} {node.close or '}'}"
    if isinstance(node, Row):
        return " ".join(map(written, node.items))
    if isinstance(node, Sequence):
        return f" {node.sign} ".join(map(written, node.items))
    if isinstance(node, Terms):
        text = " ".join(f"{sign} {written(term)}" for sign, term in zip(node.signs, node.terms, strict=True))
        return text.removeprefix("+ ")
    if isinstance(node, (Product, Relation)):
        first, *rest = node.factors if isinstance(node, Product) else node.sides
        pairs = zip(node.signs, rest, strict=True)
        return " ".join([written(first), *(f"{sign} {written(part)}" for sign, part in pairs)])
    return outline(node)


@lru_cache(maxsize=4096)
def text_of(latex: str) -> str:
    """LaTeX that a notation writes, in the spelling of `written`."""
    return written(parse_formula(latex)) if latex else ""


@dataclass(frozen=True)
class Marked:
    """A symbol and what stands around it, the innermost first: {C_x}^{2} is C with x below and 2 above.

    core:  the symbol itself.
    node:  all of it.
    """

    core: str
    below: tuple[Node, ...]
    above: tuple[Node, ...]
    primes: int
    node: Node


def marked(node: Node) -> Marked:
    """The symbol with its marks taken apart."""
    base, below, above, primes = node, [], [], 0
    while isinstance(base, Scripts):
        below += [base.below] if base.below is not None else []
        above += [base.above] if base.above is not None else []
        primes += base.primes
        base = base.base
    return Marked(written(base), tuple(reversed(below)), tuple(reversed(above)), primes, node)


@dataclass(frozen=True)
class Letter:
    """A letter of a notation, its own marks, and its argument, as in L(theta)."""

    core: str
    below: tuple[str, ...]
    above: tuple[str, ...]
    argument: str


@lru_cache(maxsize=4096)
def letter_of(latex: str) -> Letter:
    """A letter that a notation writes, taken apart."""
    bare, argument = split_argument(latex)
    parts = marked(parse_formula(bare))
    return Letter(parts.core, tuple(map(written, parts.below)), tuple(map(written, parts.above)), text_of(argument))


def pieces(node: Node) -> list[Node]:
    """What stands side by side in a subscript, commas or not."""
    items = node.items if isinstance(node, Sequence) and node.sign == "," else (node,)
    return [part for item in items for part in (item.items if isinstance(item, Row) else (item,))]
