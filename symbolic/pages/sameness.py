"""Which layers say the same: their formulas differ in nothing but the number of the layer.

A page writes such a layer once and says for which others it holds. What is compared are names in their places, which
costs little even in a network of a thousand layers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sympy import Symbol, Tuple

from symbolic.latex import LatexPrinter
from symbolic.notation import Notation
from symbolic.pages.blocks import Formula, Text, text
from symbolic.repetition import names_in, renamed
from symbolic.rules import Result
from symbolic.tensors import Equation

Item = TypeVar("Item")

# So many equal layers in a row are written once. Of two, both are written.
FEWEST = 3


@dataclass(frozen=True)
class Run(Generic[Item]):
    """An item that is written, and those that say the same of the layers that follow."""

    item: Item
    others: tuple[Item, ...] = ()


def runs(items: Iterable[Item], layer_of: Callable[[Item], int | None], kind: Callable[[Item], Hashable]) -> list[Run]:
    """The items in order; a run of at least `FEWEST` items of one kind in successive layers is its first item.

    layer_of: the item's layer, or None where it stands for itself. kind: equal for items that say the same.
    """
    found: list[Run] = []
    waiting: list[Item] = []

    def close() -> None:
        if len(waiting) >= FEWEST:
            found.append(Run(waiting[0], tuple(waiting[1:])))
        else:
            found.extend(Run(item) for item in waiting)
        waiting.clear()

    for item in items:
        layer = layer_of(item)
        if waiting:
            last = layer_of(waiting[-1])
            follows = layer is not None and last is not None and abs(layer - last) == 1
            if not follows or kind(item) != kind(waiting[0]):
                close()
        waiting.append(item)
    close()
    return found


def result_kind(result: Result, printer: LatexPrinter) -> Hashable:
    """Equal for results that are written alike but for the number of the layer."""
    if result.pattern is None or not isinstance(result.tensor.layer, int):
        return result.tensor.key
    places = tuple(_place(name, printer, result.tensor.layer) for name in result.pattern.names)
    return result.tensor.name, result.named, result.pattern.number, places


def equation_kind(equation: Equation, printer: LatexPrinter) -> Hashable:
    """Equal for defining equations that are written alike but for the number of the layer."""
    layer = equation.tensor.layer
    if not isinstance(layer, int):
        return equation.tensor.key
    whole = Tuple(equation.lhs, equation.rhs)
    names = names_in(whole)
    general = renamed(whole, {name: _numbered(name, at) for at, name in enumerate(names)})
    return general, tuple(_place(name, printer, layer) for name in names)


def _numbered(name: Symbol, at: int) -> Symbol:
    return Symbol(f"_{at}", integer=name.is_integer, positive=name.is_positive, real=True)


def _place(name: Symbol, printer: LatexPrinter, layer: int) -> Hashable:
    """A tensor by its name and how many layers further it is, with the name of the function that gives it; the output
    may have a letter of its own. A size follows from the tensors.
    """
    tensor = printer.tensors.get(str(name))
    if tensor is None:
        return None
    at = tensor.layer - layer if isinstance(tensor.layer, int) else None
    return tensor.name, at, tensor.key == printer.output, printer.functions.get(tensor.key)


def layers_text(layers: Sequence[int], notation: Notation) -> Text:
    """The layers as a formula: l = 98, ..., 1."""
    numbers = [notation.layer_number(layer) for layer in layers]
    shown = numbers if len(numbers) <= 3 else [numbers[0], r"\dots", numbers[-1]]
    return (Formula(f"{notation.any_layer} = {', '.join(shown)}"),)


def same_for(layers: Sequence[int], notation: Notation) -> Text:
    """What is said in place of the layers."""
    return text("the same for {layers}", layers=layers_text(layers, notation))
