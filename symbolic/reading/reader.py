"""A formula of a notation -> the expression that it says: the inverse of writing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from sympy import Basic

from symbolic.errors import FormulaError, UsageError
from symbolic.notation import Notation
from symbolic.reading import syntax
from symbolic.reading.grammar import parse_formula
from symbolic.reading.lexemes import offset_of, syntax_error
from symbolic.reading.rows import Formula
from symbolic.reading.symbols import SymbolTable
from symbolic.reading.values import Value
from symbolic.reading.walk import NeedsExamples
from symbolic.tensors import free_letters
from symbolic.vocabulary import Source, vocabulary_of

EQUALITIES = frozenset({"=", ":=", r"\equiv", r"\triangleq"})
FORMS = (None, "matrix", "component")


@dataclass(frozen=True)
class Equalities:
    """What a chain a = b = c says: its sides, all of them index expressions or all of them matrix expressions."""

    sides: tuple[Basic, ...]


def read(latex: str, notation: Notation, of: Source | None = None, form: str | None = None) -> Basic | Equalities:
    """See `Notation.read`."""
    if form not in FORMS:
        raise UsageError(f"form must be 'matrix', 'component' or None, not {form!r}")
    vocabulary = None if of is None else vocabulary_of(of)
    tree = parse_formula(latex)
    parts = _sides(tree, latex)
    try:
        sides = _read(latex, parts, SymbolTable(notation, vocabulary), form)
    except NeedsExamples:
        sides = _read(latex, parts, SymbolTable(notation, None, examples=True), form)
    return Equalities(sides) if isinstance(tree, syntax.Relation) else sides[0]


def _sides(tree: syntax.Node, latex: str) -> tuple[syntax.Node, ...]:
    """The sides of a chain of equalities, or the one formula there is."""
    if isinstance(tree, syntax.Relation):
        if not EQUALITIES.issuperset(tree.signs):
            sign = next(sign for sign in tree.signs if sign not in EQUALITIES)
            _refuse(tree, latex, f"{sign} between formulas; equalities are read")
        if isinstance(tree.sides[0], syntax.Empty):
            _refuse(tree, latex, "the left side of this line stands before it; read both together")
        return tree.sides
    if isinstance(tree, (syntax.Display, syntax.Sequence, syntax.Logic, syntax.Operator)):
        _refuse(tree, latex, "several formulas, or part of one; one is read at a time")
    return (tree,)


def _refuse(node: syntax.Node, latex: str, reason: str) -> NoReturn:
    raise syntax_error(latex, offset_of(latex, node.line, node.column), reason, FormulaError)


def _read(latex: str, parts: tuple[syntax.Node, ...], table: SymbolTable, form: str | None) -> tuple[Basic, ...]:
    """The sides, in the first way to read them in which everything fits: see `Walk`."""
    first: FormulaError | None = None
    formula = Formula(latex, parts, table)
    for stacked, single in ((False, False), (False, True), (True, False), (True, True)):
        if (stacked and "stacked" not in formula.met) or (single and "single" not in formula.met):
            continue
        met = formula.met
        formula = Formula(latex, parts, table, stacked, single)
        formula.met |= met
        try:
            values = [formula.value(part) for part in parts]
            arrays = form == "matrix" or (form is None and any(value.is_array for value in values))
            if arrays and "single" in formula.met and not single:
                continue
            return tuple(_finished(formula, parts, values, arrays))
        except FormulaError as error:
            first = first or error
    if first is None:
        _refuse(parts[0], latex, "an array and an element that are written alike")
    raise first


def _finished(formula: Formula, parts: tuple[syntax.Node, ...], values: list[Value], arrays: bool) -> Iterator[Basic]:
    """The sides as the engine has them: of one shape, with every size known."""
    if not arrays:
        numbers = []
        for part, value in zip(parts, values, strict=True):
            with formula.at(part):
                numbers.append(formula.number(value))
        for part, number in zip(parts, numbers, strict=True):
            more = sorted(str(letter) for letter in free_letters(number) - free_letters(numbers[0]))
            if more:
                formula.refuse(part, f"this side has the index {', '.join(more)}, and the left side has not")
        yield from numbers
        return
    like = next((value for value in values if value.is_array), values[0])
    spread = []
    for part, value in zip(parts, values, strict=True):
        with formula.at(part):
            array = formula.values.spread(value, like)
            formula.values.same((like, array), "an equality")
            spread.append(array)
    for part, value in zip(parts, spread, strict=True):
        with formula.at(part):
            yield formula.engine(value)
