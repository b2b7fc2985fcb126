"""How many numbers the parameters of a dense network are: as a formula for any depth, and as a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sympy import Expr, Integer, Symbol

from symbolic.chains import Line
from symbolic.depth import LAYER, label_at, label_of_width, width
from symbolic.network import Network
from symbolic.notation import Notation
from symbolic.rules import COUNT
from symbolic.verification import Row

# Widths at which the formula is held against the parameters of networks, at depths 1 to 5.
_WIDTHS = (3, 5, 2, 7, 4, 6)


@dataclass(frozen=True)
class ParameterCount:
    """letter = the sum over all layers of what one layer has, for any depth; and its value at some widths.

    letter:  what the count is called.
    widths:  of the input and of each layer, for the number; none: the formula alone.
    summand: what one layer has, in the widths of `LAYER` and of the layer before it.
    inputs_first: the number of inputs stands before that of outputs.
    """

    letter: str = "D"
    widths: Sequence[int] = ()
    summand: Expr = field(default_factory=lambda: width(LAYER) * width(LAYER - 1) + width(LAYER))
    inputs_first: bool = False

    def lines(self, notation: Notation) -> list[Line]:
        letter, first = notation.any_layer, notation.layer_number(1)
        terms = " + ".join(_product(term, notation, self.inputs_first) for term in self._terms())
        lines = [Line(self.letter, [rf"\sum_{{{letter}={first}}}^{{{notation.depth}}} ({terms})"])]
        if self.widths:
            pairs = []
            for before, after in pairwise(self.widths):
                factors = (before, after) if self.inputs_first else (after, before)
                pairs.append(rf"({factors[0]} \cdot {factors[1]} + {after})")
            lines.append(Line("", [f"{' + '.join(pairs)} = {self.value(self.widths)}"]))
        return lines

    def value(self, widths: Sequence[int]) -> int:
        """The formula at these widths, of the input and of each layer."""
        total = Integer(0)
        for layer in range(1, len(widths)):
            swap = {size: Integer(widths[label_at(label_of_width(size), 0, layer)]) for size in self._sizes()}
            total += self.summand.xreplace(swap)
        return int(total)

    def rows(self) -> Iterator[Row]:
        """The formula against the parameters of networks of 1 to 5 layers, and of those widths."""
        cases = [_WIDTHS[: depth + 1] for depth in range(1, len(_WIDTHS))] + ([self.widths] if self.widths else [])
        for widths in cases:
            network = Network.parse(f"{' -> '.join(map(str, widths))}; half_squared_error")
            gap = abs(self.value(widths) - int(network.parameter_count))
            problem = "" if gap == 0 else f"{network} has {network.parameter_count}"
            yield Row(f"number of parameters, depth {len(widths) - 1}", "1", COUNT.name, 1, float(gap), problem)

    def _terms(self) -> list[Expr]:
        return sorted(self.summand.args, key=lambda term: -len(term.free_symbols))

    def _sizes(self) -> list[Symbol]:
        return sorted(self.summand.free_symbols, key=str, reverse=True)


def _product(term: Expr, notation: Notation, inputs_first: bool) -> str:
    """Widths side by side, that of the later layer first, or last."""
    sizes = sorted(term.free_symbols, key=lambda size: str(label_of_width(size)), reverse=inputs_first)
    return " ".join(notation.width_of(label_of_width(size)) for size in sizes)
