"""How many numbers the parameters of a dense network are: as a formula for any depth, and as a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from symbolic.depth import LAYER, Label, label_at
from symbolic.network import Network
from symbolic.notation import Notation
from symbolic.pages.blocks import Line
from symbolic.rules import COUNT
from symbolic.verification import Row

# What one layer has: each term is a product of widths. One weight for every unit and every unit before, and one bias.
_LAYER_HAS: tuple[tuple[Label, ...], ...] = ((LAYER, LAYER - 1), (LAYER,))
# Widths at which the formula is held against the parameters of networks, at depths 1 to 5.
_WIDTHS = (3, 5, 2, 7, 4, 6)


@dataclass(frozen=True)
class ParameterCount:
    """letter = the sum over all layers of what one layer has, for any depth; and its value at some widths.

    letter:  what the count is called.
    widths:  of the input and of each layer, for the number; none: the formula alone.
    inputs_first: in a product the width of the layer before stands first.
    """

    letter: str = "D"
    widths: Sequence[int] = ()
    inputs_first: bool = False

    def lines(self, notation: Notation) -> list[Line]:
        letter, first = notation.any_layer, notation.layer_number(1)
        formula = self._one_layer(notation.width_of, " ")
        lines = [Line(self.letter, [rf"\sum_{{{letter}={first}}}^{{{notation.depth}}} ({formula})"])]
        if self.widths:
            numbers = [self._one_layer(self._width_at(layer), r" \cdot ") for layer in range(1, len(self.widths))]
            text = " + ".join(f"({one})" for one in numbers)
            lines.append(Line("", [f"{text} = {self.value(self.widths)}"]))
        return lines

    def _one_layer(self, written: Callable[[Label], str], times: str) -> str:
        """What one layer has, its widths written by a function of their labels."""
        terms = [tuple(reversed(term)) if self.inputs_first else term for term in _LAYER_HAS]
        return " + ".join(times.join(written(label) for label in term) for term in terms)

    def _width_at(self, layer: int) -> Callable[[Label], str]:
        return lambda label: str(self.widths[label_at(label, 0, layer)])

    def value(self, widths: Sequence[int]) -> int:
        """The formula at these widths, of the input and of each layer."""
        return sum(
            prod(widths[label_at(label, 0, layer)] for label in term)
            for layer in range(1, len(widths))
            for term in _LAYER_HAS
        )

    def rows(self) -> Iterator[Row]:
        """The formula against the parameters of networks of 1 to 5 layers, and of those widths."""
        cases = [_WIDTHS[: depth + 1] for depth in range(1, len(_WIDTHS))] + ([self.widths] if self.widths else [])
        for widths in cases:
            network = Network.parse(f"{' -> '.join(map(str, widths))}; half_squared_error")
            gap = abs(self.value(widths) - int(network.parameter_count))
            problem = "" if gap == 0 else f"{network} has {network.parameter_count}"
            yield Row(f"number of parameters, depth {len(widths) - 1}", "1", COUNT.name, 0, float(gap), problem)
