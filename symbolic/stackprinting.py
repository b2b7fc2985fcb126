"""Arrays that are put together from their entries or their rows, and sums written term by term -> LaTeX.

A part is written once for each value of its letter: for every one where the size is a small number, else for the first
ones and the last, with dots between them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Basic, Expr

from symbolic.elementprinting import ElementPrinter
from symbolic.errors import UsageError
from symbolic.expressions import Spelled
from symbolic.matrices import Abreast, ArrayOf, RowOf, Stacked, TotalJacobian, Transpose, Unit
from symbolic.notation import braced
from symbolic.printorder import OPEN

# An axis of more elements than this is written with dots.
MOST_WRITTEN = 6


class StackPrinter(ElementPrinter):
    """The part of the printer that writes what stands for many entries by a few of them."""

    def _print_Stacked(self, node: Stacked) -> str:
        letter, extent, body = node.args
        grid = isinstance(body, Abreast)
        rows = []
        for place in _places(extent, 1 if grid else 2):
            if grid:
                rows.append(self._cells(body, letter, place))
            elif place is None:
                rows.append([r"\vdots"])
            else:
                rows.append([self._row(_at(body, letter, place))])
        return _matrix(rows)

    def _print_Abreast(self, node: Abreast) -> str:
        return _matrix([self._cells(node, None, None)])

    def _cells(self, node: Abreast, row: Basic | None, at: Expr | None) -> list[str]:
        """One row of entries; `row` is the letter of the rows and `at` the row that is meant, None for dots."""
        letter, extent, body = node.args
        cells = []
        for place in _places(extent, 1):
            if place is None:
                cells.append(r"\cdots" if row is None or at is not None else r"\ddots")
            elif row is not None and at is None:
                cells.append(r"\vdots")
            else:
                entry = body if row is None or at is None else _at(body, row, at)
                cells.append(self._text(_at(entry, letter, place)))
        return cells

    def _row(self, part: Basic) -> str:
        """A row of a column of rows; what is a vector itself has a dash on either side."""
        text = self._text(part)
        return rf"\text{{---}} \; {text} \; \text{{---}}" if isinstance(part, Transpose) else text

    def _print_Spelled(self, node: Spelled) -> str:
        ((letter, _, high),) = node.sum.limits
        terms = []
        for place in _places(high + 1, 2):
            term = None if place is None else _at(node.sum.function, letter, place)
            terms.append(r"\cdots" if term is None else self._bracketed(term, OPEN))
        return " + ".join(terms)

    def _print_RowOf(self, node: RowOf, transposed: bool = False) -> str:
        array, place = node.args
        if not isinstance(array, ArrayOf):
            raise UsageError(f"the page has no form for a row of {array}")
        tensor = self.tensors[array.key]
        label = None if tensor.layer is None else self.notation.number_of(tensor, tensor.layer)
        letter = self.notation.row_letter(tensor, self.tensors)
        below = [] if tensor.shape[0] == 1 else [self._position(place, tensor.shape[0])]
        return self.notation.marked(letter, label, below, transposed=transposed)

    def _print_Unit(self, node: Unit) -> str:
        return f"{self.notation.unit}_{braced(self._position(node.args[0], node.args[1]))}"

    def _print_TotalJacobian(self, node: TotalJacobian) -> str:
        of, by = (self._text(part) for part in node.args)
        return rf"\frac{{{self.notation.partial} {of}}}{{{self.notation.partial} {by}}}"


def _places(extent: Expr, first: int) -> list[Expr | None]:
    """The places of an axis that are written; None stands for dots. first: how many before the dots."""
    if extent.is_Integer and int(extent) <= MOST_WRITTEN:
        return [extent - extent + n for n in range(int(extent))]
    return [*(extent - extent + n for n in range(first)), None, extent - 1]


def _at(body: Basic, letter: Basic, place: Expr) -> Basic:
    """The body with a number or the last place of an axis for a letter."""
    return body.xreplace({letter: place})


def _matrix(rows: Sequence[Sequence[str]]) -> str:
    # Fractions, and marks above and below letters, would touch those of the next row.
    texts = [" & ".join(cells) for cells in rows]
    gaps = {r"\frac": "[1.4ex]", "^": "[0.3ex]"}
    gap = next((gap for mark, gap in gaps.items() if any(mark in text for text in texts)), "")
    body = rf" \\{gap} ".join(texts)
    return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}"
