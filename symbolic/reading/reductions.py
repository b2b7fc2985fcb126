"""What each rule of the grammar becomes: the nodes of the syntax tree, made bottom-up.

The methods of `Reductions` are called after the rules in `grammar`; what a symbol means is nothing to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from symbolic.reading.commands import MATRICES
from symbolic.reading.syntax import (
    Accent,
    BigOperator,
    Brackets,
    Case,
    Cases,
    Display,
    Dots,
    Empty,
    Fraction,
    Indicator,
    Label,
    Logic,
    Matrix,
    Node,
    Number,
    Operator,
    Otherwise,
    Product,
    Relation,
    Root,
    Row,
    Scripts,
    Sequence,
    Stretched,
    Styled,
    Symbol,
    Terms,
    Word,
)


class Refused(Exception):
    """What the rules below do not take, at a line and a column."""

    def __init__(self, at: Any, reason: str) -> None:
        super().__init__(reason)
        self.line, self.column, self.reason = at.line, at.column, reason


# What braces around it do not change.
_WHOLE = (
    Number, Symbol, Word, Scripts, Accent, Styled, Fraction, Root, Brackets, Indicator, Cases, Matrix, Dots, Operator,
)  # fmt: skip
_PRIME = Symbol(r"\prime")


def _at(first: Any) -> dict[str, int]:
    """The place of a token or a node, as arguments of a node."""
    return {"line": first.line, "column": first.column}


@dataclass
class _Factors:
    """Factors and the signs between them, the last first: the grammar finds them from the right."""

    factors: list[Node]
    signs: list[str]


def _whole(term: Node | _Factors) -> Node:
    if isinstance(term, Node):
        return term
    return Product(tuple(reversed(term.factors)), tuple(reversed(term.signs)), **_at(term.factors[-1]))


def _beside(items: list[Node]) -> Node:
    """A row, or its only item.

    Raises:
        Refused: two numbers side by side, which nobody can tell from one.
    """
    for left, right in pairwise(items):
        begin = right.base if isinstance(right, Scripts) else right
        if isinstance(left, Number) and isinstance(begin, Number):
            raise Refused(right, "two numbers side by side read as one; write a sign between them")
    return items[0] if len(items) == 1 else Row(tuple(items), **_at(items[0]))


def _total(terms: list[tuple[Any, Node]]) -> Node:
    """Terms, or the only one if it has no sign; a sign is a token, None where it is not written."""
    first, node = terms[0]
    if first is None and len(terms) == 1:
        return node
    signs = tuple("+" if sign is None else str(sign) for sign, _ in terms)
    return Terms(signs, tuple(term for _, term in terms), **_at(node if first is None else first))


def _logic(sign: str, parts: list[Any]) -> Node:
    return Logic(sign, tuple(parts[::2]), **_at(parts[0]))


def _scripts(scripts: list[Any]) -> tuple[Node | None, Node | None, int]:
    """What stands below and above, and the number of primes, from scripts in any order."""
    found: dict[str, Any] = {}
    for mark, body in scripts:
        kind = mark.type
        if kind in found or (kind == "PRIMES" and "ABOVE" in found):
            name = {"BELOW": "subscript", "ABOVE": "superscript", "PRIMES": "prime"}[kind]
            raise Refused(mark, f"a second {name} of the same symbol; braces or brackets say what it belongs to")
        found[kind] = body
    above, primes = found.get("ABOVE"), found.get("PRIMES", 0)
    items = list(above.items) if isinstance(above, Row) else [] if above is None else [above]
    while _PRIME in items[:1] + items[-1:]:
        items.pop(0 if items[0] == _PRIME else -1)
        primes += 1
    return found.get("BELOW"), _beside(items) if items else None, primes


class Reductions:
    """One method a rule of the grammar, which lark calls with the children, tokens of lark and what methods returned.

    A row, terms and a product are collected in lists and `_Factors`, and become nodes where they end.
    """

    # ------------------------------------------------------------------ displays and lists

    def display(self, children: list[Any]) -> Node:
        parts = [part for part in children if part is not None]
        if len(parts) == 1 and not isinstance(parts[0], Label):
            return parts[0]
        if all(isinstance(part, Label) for part in parts):
            raise Refused(parts[0] if parts else Empty(line=1, column=1), "no formula here")
        return Display(tuple(parts), **_at(parts[0]))

    def divider(self, children: list[Any]) -> Label | None:
        (token,) = children
        return Label(str(token), **_at(token)) if token.type == "LABEL" else None

    def statement(self, children: list[Any]) -> Node:
        (body,) = children
        return body.body if isinstance(body, Brackets) and not body.open + body.close else body

    def continued(self, children: list[Any]) -> Node:
        """= b = c: the left side is what stood before."""
        sign, chain, *others = children
        right = chain if isinstance(chain, Relation) else Relation((chain,), ())
        sides = (Empty(**_at(sign)), *right.sides)
        first = Relation(sides, (str(sign), *right.signs), **_at(sign))
        return Sequence(",", (first, *others[1::2]), **_at(sign)) if others else first

    def listing(self, children: list[Any]) -> Node:
        return Sequence(";", tuple(children[::2]), **_at(children[0]))

    def items(self, children: list[Any]) -> Node:
        return Sequence(",", tuple(children[::2]), **_at(children[0]))

    def alone(self, children: list[Any]) -> Node:
        return Operator(str(children[0]), **_at(children[0]))

    # ------------------------------------------------------------------ conditions and relations

    def condition(self, children: list[Any]) -> Node:
        signs = children[1::2]
        other = next((sign for sign in signs if sign != signs[0]), None)
        if other is not None:
            raise Refused(other, f"{other} after {signs[0]}; brackets say which comes first")
        return _logic(str(signs[0]), children)

    def either(self, children: list[Any]) -> Node:
        return _logic("or", children)

    def both(self, children: list[Any]) -> Node:
        return _logic("and", children)

    def denial(self, children: list[Any]) -> Node:
        sign, part = children
        return Logic("not", (part,), **_at(sign))

    def chain(self, children: list[Any]) -> Node:
        sides = tuple(_total(side) for side in children[::2])
        return sides[0] if len(sides) == 1 else Relation(sides, tuple(map(str, children[1::2])), **_at(sides[0]))

    # ------------------------------------------------------------------ sums and products

    def terms(self, children: list[Any]) -> list[tuple[Any, Node]]:
        *before, term = children
        if len(before) == 2:
            terms, sign = before
            terms.append((sign, _whole(term)))
            return terms
        return [(before[0] if before else None, _whole(term))]

    def term(self, children: list[Any]) -> Node | _Factors:
        first, *rest = children
        if not rest:
            return first if isinstance(first, Node) else _beside(first)
        if len(rest) == 1:
            return _beside([*first, rest[0]])
        sign, factor = rest
        product = factor if isinstance(factor, _Factors) else _Factors([factor], [])
        product.factors.append(_beside(first))
        product.signs.append(str(sign))
        return product

    def factor(self, children: list[Any]) -> Node | _Factors:
        if len(children) == 1:
            return children[0]
        sign, term = children
        return Terms((str(sign),), (_whole(term),), **_at(sign))

    def big(self, children: list[Any]) -> Node:
        sign, *scripts, factor = children
        below, above, primes = _scripts(scripts)
        if primes:
            raise Refused(sign, f"{sign} with a prime")
        return BigOperator(str(sign), below, above, _whole(factor), **_at(sign))

    def row(self, children: list[Any]) -> list[Node]:
        if len(children) == 1:
            return children
        row, atom = children
        row.append(atom)
        return row

    # ------------------------------------------------------------------ one symbol and its marks

    def atom(self, children: list[Any]) -> Node:
        base, *scripts = children
        if not scripts:
            return base
        below, above, primes = _scripts(scripts)
        return Scripts(base, below, above, primes, **_at(base))

    def script(self, children: list[Any]) -> tuple[Any, Any]:
        mark, *body = children
        return (mark, body[0]) if body else (mark, len(mark))

    def argument(self, children: list[Any]) -> Node:
        if len(children) == 3:
            return children[1]
        (part,) = children
        if isinstance(part, Node):
            return part
        return (Number if part.type == "NUMBER" else Operator)(str(part), **_at(part))

    plain = argument

    def headed(self, children: list[Any]) -> Node:
        sign, chain = children
        return Row((Operator(str(sign), **_at(sign)), chain), **_at(sign))

    def number(self, children: list[Any]) -> Node:
        return Number(str(children[0]), **_at(children[0]))

    def symbol(self, children: list[Any]) -> Node:
        return Symbol(str(children[0]), **_at(children[0]))

    def upright(self, children: list[Any]) -> Node:
        return Word(str(children[0]), **_at(children[0]))

    def nothing(self, children: list[Any]) -> Node:
        return Empty(**_at(children[0]))

    def dots(self, children: list[Any]) -> Node:
        return Dots(str(children[0]), **_at(children[0]))

    # ------------------------------------------------------------------ things with parts

    def group(self, children: list[Any]) -> Node:
        brace, body, _ = children
        return body if isinstance(body, _WHOLE) else Brackets("", "", body, **_at(brace))

    def brackets(self, children: list[Any]) -> Node:
        opening, body, closing = children
        if isinstance(body, Cases) and (opening, closing) == ("{", "."):
            return Cases(body.rows, **_at(opening))
        return Brackets(str(opening), str(closing), Empty(**_at(closing)) if body is None else body, **_at(opening))

    def fraction(self, children: list[Any]) -> Node:
        sign, above, below = children
        return Fraction(above, below, **_at(sign))

    def root(self, children: list[Any]) -> Node:
        sign, _, degree, _, body = children
        return Root(body, degree, **_at(sign))

    def accent(self, children: list[Any]) -> Node:
        mark, body = children
        return Accent(str(mark), body, **_at(mark))

    def styled(self, children: list[Any]) -> Node:
        style, body = children
        return Styled(str(style), body, **_at(style))

    def indicator(self, children: list[Any]) -> Node:
        sign, _, condition, _ = children
        return Indicator(str(sign), condition, **_at(sign))

    def cases(self, children: list[Any]) -> Node:
        return Cases(tuple(children[1:-1:2]), **_at(children[0]))

    def case(self, children: list[Any]) -> Node:
        value, *rest = children
        if not rest:
            return Case(value, None, **_at(value))
        return Case(value, rest[1] if len(rest) == 2 else Otherwise(**_at(rest[0])), **_at(value))

    def matrix(self, children: list[Any]) -> Node:
        begin = children[0]
        opening, closing = MATRICES[str(begin)]
        return Matrix(opening, closing, tuple(children[1:-1:2]), **_at(begin))

    def cells(self, children: list[Any]) -> tuple[Node, ...]:
        return tuple(children[::2])

    def cell(self, children: list[Any]) -> Node:
        return Empty() if children[0] is None else children[0]

    def stretched(self, children: list[Any]) -> Node:
        terms, sign = children
        if len(terms) > 1 or (terms[0][0], sign) != ("-", "-"):
            raise Refused(sign, f"expected a term after {str(sign)!r}")
        return Stretched(terms[0][1], **_at(terms[0][0]))
