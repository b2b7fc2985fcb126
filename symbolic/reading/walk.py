"""What the parts of the reader share: letters in scope, tensors as they stand in a formula, refusals with a place."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from sympy import Basic, Expr, Integer, Symbol

from symbolic.conventions import turned
from symbolic.depth import width
from symbolic.errors import FormulaError, NoMatrixForm
from symbolic.matrices import ArrayOf
from symbolic.matrixform import transpose
from symbolic.reading import syntax
from symbolic.reading.entries import Entries
from symbolic.reading.lexemes import offset_of, syntax_error
from symbolic.reading.marks import marked, text_of, written
from symbolic.reading.symbols import Found, SymbolTable
from symbolic.reading.values import Misfit, Value, Values, canonical
from symbolic.tensors import index


class NeedsExamples(Exception):
    """The formula marks an example, and is read without an axis of examples."""


class Walk:
    """What the parts of the reader share: the text, the symbols, the letters in scope, and how to refuse.

    nodes:   all that is read of the text.
    stacked: the tensors that have one number for each example are columns of them.
    single:  a tensor whose only axes have one element each is an array, where it could be that element as well.
    met:     which of these two could have been otherwise.
    """

    def __init__(
        self, latex: str, nodes: Sequence[syntax.Node], table: SymbolTable, stacked: bool = False, single: bool = False
    ) -> None:
        self.latex, self.table, self.stacked, self.single = latex, table, stacked, single
        self.notation = table.notation
        self.example = table.vocabulary.example
        self.values = Values(table.tensors, self.example)
        self.entries = Entries(table.tensors, self.fresh)
        self.extents: dict[Symbol, Expr] = {} if table.count is None else {self.example: table.count}
        self.letters, self.used, self.units = table.letters_in(nodes)
        self.numbers: dict[Expr, Expr] = {}
        self.met: set[str] = set()

    def refuse(self, node: syntax.Node, reason: str) -> NoReturn:
        offset = offset_of(self.latex, node.line, node.column) if node.line else 0
        raise syntax_error(self.latex, offset, reason, FormulaError) from None

    @contextmanager
    def at(self, node: syntax.Node) -> Iterator[None]:
        """What cannot be put together in this block is refused at this node."""
        try:
            yield
        except Misfit as error:
            self.refuse(node, str(error))
        except NoMatrixForm as error:
            self.refuse(node, f"arrays and entries that do not go together: {error}")

    def shown(self, node: syntax.Node) -> str:
        text = written(node)
        text = text if len(text) <= 40 else f"{text[:40]}..."
        return text if text.isascii() else ascii(text)

    def hint(self, node: syntax.Node) -> str:
        """What may have been meant instead."""
        text = marked(node).core
        known = {text_of(one): one for one in self.table.spellings() if text_of(one) != text}
        close = difflib.get_close_matches(text, known, n=1, cutoff=0.5) if len(text) < 40 else []
        if close:
            return f"; did you mean {known[close[0]]}?"
        return f"; the letters of {self.notation.name} are {', '.join(t for t in self.notation.letters.values() if t)}"

    def fresh(self) -> Symbol:
        """A letter that no sum and no index of the formula has had so far."""
        taken = self.letters | {*self.extents, *self.units.values(), self.example}
        found = next(index(one) for one in (*"mikrtuvqlh", *map("m{}".format, range(999))) if index(one) not in taken)
        self.letters.add(found)
        return found

    # ------------------------------------------------------------------ indices and sizes

    def position(self, node: syntax.Node, extent: Expr | None) -> Expr:
        """An index at an axis of this size: a letter, or a number counted from 0."""
        if isinstance(node, syntax.Number) and node.text.isdigit():
            place = int(node.text) - self.notation.first
            program = self.table.vocabulary.program
            size = program.value_of(extent) if program is not None and extent is not None else extent
            if place < 0 or (size is not None and size.is_Integer and place >= size):
                self.refuse(node, f"no element {node.text} of an axis of {size}, counted from {self.notation.first}")
            return Integer(place)
        letter, own = self.letter(node)
        if letter is None:
            self.refuse(node, f"{self.shown(node)} is no index letter{self.hint(node)}")
        known = self.extents.setdefault(letter, own or extent) if own or extent else self.extents.get(letter)
        for one in (own, extent):
            if known is not None and one is not None and known != one:
                self.refuse(node, f"index {self.shown(node)} runs over {known} elements, and this axis has {one}")
        return letter

    def letter(self, node: syntax.Node) -> tuple[Symbol | None, Expr | None]:
        """An index letter, and the size of its axis if it is called after a layer; None for anything else."""
        symbol = marked(node)
        unit = self.table.unit(symbol)
        if unit is None:
            return self.table.letter(written(node)), None
        return self.units[unit], width(unit[0])

    @contextmanager
    def bound(self, letter: Symbol, extent: Expr) -> Iterator[None]:
        """The scope of a sum over a letter."""
        before = self.extents
        self.extents = {**before, letter: extent}
        try:
            yield
        finally:
            inner = self.extents
            self.extents = {one: size for one, size in inner.items() if one != letter}
            if letter in before:
                self.extents[letter] = before[letter]

    # ------------------------------------------------------------------ tensors

    def tensor(self, found: Found, node: syntax.Node) -> Value:
        """The value of a tensor as it stands in the formula."""
        tensor = found.tensor
        axes = self.table.axes(tensor)
        if self.table.usual and not self.table.examples and found.stacked:
            raise NeedsExamples
        carries = self.example in tensor.indices and not found.stacked
        others = len(tensor.shape) - (self.example in tensor.indices)
        if found.below and len(found.below) != len(axes):
            self.refuse(node, f"{self.shown(node)} has {counted(len(axes), 'index')}, not {len(found.below)}")
        if not found.below and not axes and others:
            self.met.add("single")
        if not found.below and not axes and not others and carries and found.example is None:
            self.met.add("stacked")
        column = self.stacked and carries and not others and found.example is None
        if column or (not found.below and (axes or (others and self.single))) or found.stacked:
            return self._whole(found, node, carries and not column)
        if found.transposed:
            self.refuse(node, f"the transpose of a number, {self.shown(node)}")
        places = {n: self.position(part, extent) for (n, extent), part in zip(axes, found.below, strict=True)}
        at = [
            self._example(found, node) if usual == self.example else places.get(n, Integer(0))
            for n, usual in enumerate(tensor.indices)
        ]
        return Value(tensor[tuple(at)] if at else tensor.element)

    def _example(self, found: Found, node: syntax.Node) -> Expr:
        """The example that a tensor is at: where none is marked, the one that the line is about."""
        assert self.example is not None
        if found.example is None:
            return self.example
        if found.example.isdigit():
            return Integer(int(found.example) - self.notation.first)
        letter = self.table.letter(found.example)
        if letter is None:
            self.refuse(node, f"{found.example} is no letter of an example")
        return letter

    def _whole(self, found: Found, node: syntax.Node, carries: bool) -> Value:
        tensor = found.tensor
        if found.stacked and found.below:
            self.refuse(node, f"{self.shown(node)} is the matrix of all examples, and is written without an index")
        if carries and self._example(found, node) != self.example:
            self.refuse(node, f"an array at another example than {self.notation.index(self.example)}")
        sizes = [n for n, usual in zip(tensor.shape, tensor.indices, strict=True)
                 if not (carries and usual == self.example)]  # fmt: skip
        if len(sizes) > 2:
            self.refuse(node, f"{self.shown(node)} has {len(sizes)} axes; matrix notation has two")
        array = ArrayOf(tensor.key, self.example) if carries and self.example is not None else ArrayOf(tensor.key)
        rows, columns = [*sizes, None, None][:2]
        if self.notation.weight_rows == "inputs" and turned(array, self.table.tensors) != array:
            rows, columns = columns, rows  # its rows are inputs on the page
        value = Value(array, rows, columns)
        return Value(transpose(array), columns, rows) if found.transposed else value

    def engine(self, value: Value) -> Basic:
        """An array as the equations have it: with every size known, and the rows of weights that of outputs."""
        node = self.values.finished(value.node)
        if self.notation.weight_rows == "inputs":
            node = canonical(turned(node, self.table.tensors))
        return node

    def number(self, value: Value) -> Expr:
        """A number as an index expression, from whichever notation it was written in."""
        if not value.is_number:
            raise Misfit(f"a number was expected, not an array of shape {self.values.shape(value)}")
        return self.entries.entry(self.engine(value), None, None) if value.is_array else value.expr


def counted(count: int, what: str) -> str:
    plural = {"index": "indices"}.get(what, f"{what}s")
    return f"no {what}" if count == 0 else f"one {what}" if count == 1 else f"{count} {plural}"
