"""The laws of rules as running text with formulas, and the list of those that a page uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from symbolic.pages.blocks import Block, Formula, Heading, Piece, Terms, Text, anchor_of, lines_of, text
from symbolic.rules import RULES, Rule

# A word of a law that is a formula.
FORMULA = re.compile(r"partial|[A-Za-z]|[*=<>+-]|[A-Za-z0-9^]*[_/\[\]='()][A-Za-z0-9_/\[\]='()^-]*")


def rules_used(blocks: Iterable[Block], also: Iterable[Rule] = ()) -> Iterator[Block]:
    """The laws of the rules that the lines of a page name, in the order of the table."""
    named = {label.rule for line in lines_of(blocks) for label in line.labels} | {rule.name for rule in also}
    used = [rule for rule in RULES if rule.name in named]
    if used:
        yield Heading(text("Rules used"), anchor="rules")
        yield Terms(tuple((rule.name, (*law_text(rule.law), "."), anchor_of("rule", rule.name)) for rule in used))


@cache
def law_text(law: str) -> Text:
    """A rule's law as running text, with its formulas set as formulas: what has _ / [ ] = ' ( ) or is one letter."""
    words = law.replace("sum over", "sum\0over").split(" ")
    kinds = [bool(FORMULA.fullmatch(word.rstrip(",.;:"))) for word in words]
    for n, word in enumerate(words):
        if word == "a":
            kinds[n] = n + 1 < len(words) and words[n + 1] == "="
    pieces: list[Piece] = []
    for n, word in enumerate(words):
        word = word.replace("\0", " ")
        space = " " if pieces else ""
        if not kinds[n]:
            pieces.append(space + word)
            continue
        bare = word.rstrip(",.;:")
        formula = bare.replace("partial", r"\partial ").replace("*", r"\,")
        last = pieces[-1] if pieces else None
        if isinstance(last, Formula):
            apart = r"\, " if last.latex[-1].isalnum() and formula[0].isalpha() else " "
            pieces[-1] = Formula(f"{last.latex}{apart}{formula}")
        else:
            pieces += [space, Formula(formula)] if space else [Formula(formula)]
        if word != bare:
            pieces.append(word[len(bare) :])
    return _merged(pieces)


def _merged(pieces: Iterable[Piece]) -> Text:
    """The pieces with neighbouring strings joined."""
    merged: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)
