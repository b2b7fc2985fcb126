"""LaTeX formula -> syntax tree, by an LALR grammar.

The grammar decides structure only; `syntax` says which. Three stages, each in one pass over the text: `lexemes` reads
characters, `layout` the lines and columns of a display, and lark the grammar below; `reductions` has what each of its
rules becomes, bottom-up while it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from symbolic.errors import MissingExtra, UsageError
from symbolic.reading.layout import terminals
from symbolic.reading.lexemes import Places, extent, lexemes, offset_of, syntax_error
from symbolic.reading.reductions import Reductions, Refused
from symbolic.reading.syntax import Node, children

DEEPEST_TREE = 100  # levels of the tree; formulas of notes have at most 20

GRAMMAR = r"""
display: [statement] (divider [statement])*
divider: NEXT | LABEL
statement: listing | RELATION chain (COMMA item)* -> continued

// What is separated by commas and semicolons, joined by words, related by signs.
?listing: items (SEMICOLON items)*
?items: item (COMMA item)*
?item: condition | OPERATOR -> alone | SIGN -> alone | RELATION -> alone
?condition: either (IMPLIES either)*
?either: both (OR both)*
?both: denial (AND denial)*
?denial: chain | NOT denial
chain: terms (RELATION terms)*

// Terms with signs between them. A sum sign takes the rest of its term.
terms: term | SIGN term | terms SIGN term
term: row | row OPERATOR factor | row big | big
factor: term | SIGN term
big: BIG script* factor
row: atom | row atom

atom: base script*
script: BELOW argument | ABOVE argument | PRIMES
argument: LBRACE inscription RBRACE | NUMBER | word | OPERATOR | SIGN | fraction | root | accent | styled
?inscription: listing | OPERATOR chain -> headed | RELATION chain -> headed
plain: LBRACE listing RBRACE | NUMBER | word

?base: NUMBER -> number | word | NOTHING -> nothing | DOTS -> dots | group | brackets | fraction | root | accent
     | styled | indicator | cases | matrix
word: SYMBOL -> symbol | WORD -> upright
group: LBRACE listing RBRACE
brackets: OPEN [listing] CLOSE
fraction: FRACTION plain plain
root: ROOT [DEGREE listing CLOSE] plain
accent: ACCENT plain
styled: STYLE plain
indicator: INDICATOR OPEN listing CLOSE

cases: CASES case (LINE case)* END
case: statement | statement CELL items | statement IF items | statement OTHERWISE
matrix: MATRIX cells (LINE cells)* END
cells: cell (CELL cell)*
cell: [statement] | terms SIGN -> stretched

%declare NEXT LABEL RELATION COMMA SEMICOLON IMPLIES OR AND NOT SIGN OPERATOR BIG BELOW ABOVE PRIMES LBRACE RBRACE
%declare NUMBER SYMBOL WORD NOTHING DOTS OPEN DEGREE CLOSE FRACTION ROOT ACCENT STYLE INDICATOR CASES MATRIX LINE
%declare CELL IF OTHERWISE END
"""

# What a message calls the terminals that could have come.
_OPERANDS = (
    ({"NUMBER", "OPEN"}, "a letter, a number or a bracket"),
    ({"NUMBER"}, "a letter, a number or something in braces"),
    ({"LBRACE"}, "something in braces"),
)
_OTHERS = {
    "OPERATOR": "an operator", "RELATION": "a relation", "OPEN": "a bracket", "COMMA": "a comma",
    "CLOSE": "a closing bracket", "RBRACE": "'}'", "END": r"\end", "$END": "the end of the formula",
}  # fmt: skip
_FOUND = re.compile(r"\\[A-Za-z]+|\\.|[^\\]", re.DOTALL)


def parse_formula(latex: str) -> Node:
    """The syntax tree of one formula or display: what is written, not what it means.

    latex:  as between dollars; the outer $..$, $$..$$, \\(..\\) or \\[..\\] may be there too. A display of several
            formulas, or of formulas and running text, is a `Display`.

    Raises:
        FormulaSyntaxError: it cannot be read; says line and column, what was expected and found, and draws a caret.
        MissingExtra: lark is not installed; has the command.
        UsageError: no string.
    """
    if not isinstance(latex, str):
        raise UsageError(f"a formula must be a string of LaTeX, not {type(latex).__name__}")
    lark = _lark()
    try:
        tree = _parser().parse(latex)
    except lark.exceptions.UnexpectedToken as error:
        raise syntax_error(latex, *_unexpected(latex, error.token, error.accepts)) from None
    except Refused as error:
        raise syntax_error(latex, offset_of(latex, error.line, error.column), error.reason) from None
    assert isinstance(tree, Node)
    return _checked(tree, latex)


def _checked(tree: Node, latex: str) -> Node:
    """The tree, if a reader that recurses over it stays far from Python's limit."""
    level = [tree]
    for _ in range(DEEPEST_TREE):
        level = [child for node in level for child in children(node)]
        if not level:
            return tree
    deep = next((node for node in level if node.line), tree)
    reason = f"a formula of more than {DEEPEST_TREE} parts in each other"
    raise syntax_error(latex, offset_of(latex, deep.line, deep.column), reason)


def _lark() -> Any:
    try:
        import lark
    except ImportError as error:
        raise MissingExtra("reading LaTeX formulas needs lark: pip install 'deltaform[latex]'") from error
    return lark


@lru_cache(maxsize=1)
def _parser() -> Any:
    """The parser, made once: about a tenth of a second."""
    lark = _lark()
    from lark.lexer import Lexer

    class Terminals(Lexer):
        """Our own reading of the characters, as lark's lexer."""

        def __init__(self, lexer_conf: object) -> None:
            pass

        def lex(self, data: str) -> Iterator[Any]:  # type: ignore[override]
            places = Places(data)
            for kind, text, offset in terminals(lexemes(data), data):
                yield lark.Token(kind, text, offset, *places(offset))

    return lark.Lark(GRAMMAR, parser="lalr", lexer=Terminals, transformer=Reductions(), start="display")


def _unexpected(latex: str, token: Any, accepted: set[str]) -> tuple[int, str]:
    """Where the formula cannot be read, and what was expected and found there."""
    if token.type == "$END":
        offset, found = extent(latex)[1], "the end of the formula"
    else:
        offset = token.start_pos
        match = _FOUND.match(latex, offset)
        found = ascii(match.group()).replace(r"\\", "\\") if match else "nothing"
    after_operand = {"OPERATOR", "BELOW"} <= accepted
    operand = "" if after_operand else next((text for names, text in _OPERANDS if names <= accepted), "")
    expected = [operand] if operand else [text for name, text in _OTHERS.items() if name in accepted]
    wanted = " or ".join(part for part in (", ".join(expected[:-1]), expected[-1] if expected else "") if part)
    return offset, f"expected {wanted or 'something else'}; found {found}"
