r"""The tree of a LaTeX formula as the page's printer writes it: what stands over, under and beside what.

Nothing is said about meaning; `symbolic.reading` does that. Brackets are left as they stand, since a line that is
broken has its opening one in one piece and its closing one in another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from symbolic.errors import UsageError

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|.", re.DOTALL)

FRACTIONS = (r"\frac", r"\dfrac", r"\tfrac")
ACCENTS = (
    r"\bar", r"\hat", r"\tilde", r"\dot", r"\check", r"\vec", r"\overline", r"\widehat", r"\widetilde",
)  # fmt: skip
FONTS = (
    r"\mathrm", r"\mathbf", r"\mathit", r"\mathsf", r"\mathcal", r"\mathbb", r"\boldsymbol", r"\operatorname",
)  # fmt: skip
SIZES = (
    r"\left", r"\right", r"\bigl", r"\bigr", r"\Bigl", r"\Bigr", r"\biggl", r"\biggr", r"\Biggl", r"\Biggr",
)  # fmt: skip
OPENING = {"(": ")", "[": "]", r"\{": r"\}", r"\lVert": r"\rVert", r"\lvert": r"\rvert", r"\langle": r"\rangle"}
DELIMITERS = frozenset({*OPENING, *OPENING.values(), "|", r"\|", r"\vert", r"\Vert", "."})
# Where another row or cell of an environment begins, or it ends.
ENDS = ("&", r"\\", r"\end", "}")


@dataclass(frozen=True)
class Symbol:
    """One letter, number, sign or command without arguments; a space is one, too."""

    latex: str


@dataclass(frozen=True)
class Delimiter:
    """A bracket, and the command that sizes it: "(" with "\\left", or ""."""

    sign: str
    size: str


@dataclass(frozen=True)
class Group:
    """What stands in braces."""

    body: Row


@dataclass(frozen=True)
class Text:
    """Words in a formula."""

    words: str


@dataclass(frozen=True)
class Styled:
    """What an accent stands over, or what is set in a font."""

    style: str
    body: Row


@dataclass(frozen=True)
class Fraction:
    """Above and below a line."""

    above: Row
    below: Row


@dataclass(frozen=True)
class Root:
    """Under the sign of a square root."""

    body: Row


@dataclass(frozen=True)
class Scripts:
    """A base with what is set lower and higher, and primes; an empty group is a base that is not there."""

    base: Node
    below: Row | None = None
    above: Row | None = None
    primes: int = 0


@dataclass(frozen=True)
class Cells:
    """Rows of cells: cases, a matrix, aligned lines."""

    environment: str
    rows: tuple[tuple[Row, ...], ...]


Node: TypeAlias = "Symbol | Delimiter | Group | Text | Styled | Fraction | Root | Scripts | Cells"
Row: TypeAlias = "tuple[Node, ...]"
SPACE = Symbol(" ")
NOTHING = Group(())


def parsed(latex: str) -> Row:
    """The formula as a row of nodes.

    Raises:
        UsageError: braces, an environment or arguments that are not complete, or two scripts in one place.
    """
    parser = _Parser(latex)
    row = parser.row()
    if parser.token is not None:
        raise parser.error(f"{parser.token} has nothing that it closes")
    return row


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, latex: str) -> None:
        self.latex = latex
        self.tokens = TOKEN.findall(latex)
        self.at = 0
        self.kinds: dict[str, Callable[[str], Node]] = {
            "{": lambda token: Group(self.braced()),
            r"\text": lambda token: Text(self.words()),
            r"\sqrt": lambda token: Root(self.argument()),
            r"\begin": lambda token: self.environment(),
            **dict.fromkeys(FRACTIONS, lambda token: Fraction(self.argument(), self.argument())),
            **dict.fromkeys((*ACCENTS, *FONTS), lambda token: Styled(token, self.argument())),
            **dict.fromkeys(SIZES, self.sized),
            **dict.fromkeys(DELIMITERS - {"."}, lambda token: Delimiter(token, "")),
        }

    @property
    def token(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def error(self, reason: str) -> UsageError:
        return UsageError(f"the formula {self.latex[:200]!a} cannot be read: {reason}")

    def take(self) -> str:
        token = self.token
        if token is None:
            raise self.error(f"something is missing after {self.tokens[-1] if self.tokens else 'its beginning'}")
        self.at += 1
        return token

    def row(self) -> Row:
        """Up to the end of a group, of a cell or of the formula."""
        nodes: list[Node] = []
        while (token := self.token) is not None and token not in ENDS:
            if token in ("^", "_", "'"):
                self.script(nodes)
            else:
                nodes.append(self.item())
        return tuple(nodes)

    def item(self) -> Node:
        token = self.take()
        if token.isspace():
            return SPACE
        return self.kinds[token](token) if token in self.kinds else Symbol(token)

    def script(self, nodes: list[Node]) -> None:
        """A script or a prime belongs to what stands before it."""
        mark = self.take()
        spaces = 0
        while spaces < len(nodes) and nodes[-1 - spaces] == SPACE:
            spaces += 1
        base = nodes[-1 - spaces] if spaces < len(nodes) else NOTHING
        del nodes[len(nodes) - spaces - (spaces < len(nodes)) :]
        held = base if isinstance(base, Scripts) else Scripts(base)
        if mark == "'":
            nodes.append(Scripts(held.base, held.below, held.above, held.primes + 1))
            return
        content = self.argument()
        if (held.below if mark == "_" else held.above) is not None:
            raise self.error(f"{mark} stands twice at one symbol")
        below, above = (content, held.above) if mark == "_" else (held.below, content)
        nodes.append(Scripts(held.base, below, above, held.primes))

    def argument(self) -> Row:
        """What a command or a script takes: a group, or one symbol."""
        while (self.token or "").isspace():
            self.at += 1
        token = self.token
        if token is None or token in ENDS or token in ("^", "_"):
            raise self.error(f"{self.tokens[self.at - 1]} lacks its argument")
        if token == "{":
            self.at += 1
            return self.braced()
        if token[0].isdigit() and len(token) > 1:
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        return (self.item(),)

    def braced(self) -> Row:
        body = self.row()
        self.expect("}")
        return body

    def expect(self, wanted: str) -> None:
        found = self.token
        if found != wanted:
            raise self.error(f"{wanted} is missing, {'it ends' if found is None else f'there is {found}'}")
        self.at += 1

    def words(self) -> str:
        """The argument of \\text, as it is."""
        self.expect("{")
        words = ""
        while self.token != "}":
            token = self.take()
            if token.startswith("\\") and token[1:] not in "_%&#${}, ;":
                raise self.error(f"{token} in words")
            words += token[1:] if token.startswith("\\") else token
        self.at += 1
        return words

    def sized(self, size: str) -> Delimiter:
        while (self.token or "").isspace():
            self.at += 1
        sign = self.take()
        if sign not in DELIMITERS:
            raise self.error(f"{size} before {sign}, which is no bracket")
        return Delimiter(sign, size)

    def name(self) -> str:
        self.expect("{")
        name = ""
        while self.token != "}":
            name += self.take()
        self.at += 1
        return name

    def environment(self) -> Cells:
        name = self.name()
        if name == "array":
            self.name()
        rows: list[tuple[Row, ...]] = []
        cells: list[Row] = []
        while True:
            cells.append(self.row())
            mark = self.take()
            if mark == "&":
                continue
            rows.append(tuple(cells))
            cells = []
            if mark == r"\end":
                break
            if mark != r"\\":
                raise self.error(f"{mark} in {name}")
            self.gap()
        if self.name() != name:
            raise self.error(rf"\end is not that of {name}")
        return Cells(name, tuple(rows))

    def gap(self) -> None:
        """The space below a row, as in \\\\[1ex]."""
        if self.token == "[":
            while self.take() != "]":
                continue
