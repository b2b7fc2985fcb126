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
    """The items in order; of at least `FEWEST` items of one kind, whose layers follow each other at one distance, the
    first one stands for all.

    layer_of: the item's layer, or None where it stands for itself. kind: equal for items that say the same.
    """
    found: dict[int, Run] = {}
    for alike in _alike(items, layer_of, kind):
        for row in _rows(alike, layer_of):
            if len(row) >= FEWEST:
                found[row[0][0]] = Run(row[0][1], tuple(item for _, item in row[1:]))
            else:
                found |= {place: Run(item) for place, item in row}
    return [found[place] for place in sorted(found)]


def _alike(
    items: Iterable[Item], layer_of: Callable[[Item], int | None], kind: Callable[[Item], Hashable]
) -> Iterable[list[tuple[int, Item]]]:
    """The items with their places, those of one kind together."""
    kinds: dict[Hashable, list[tuple[int, Item]]] = {}
    for place, item in enumerate(items):
        same = ("alone", place) if layer_of(item) is None else ("alike", kind(item))
        kinds.setdefault(same, []).append((place, item))
    return kinds.values()


def _rows(
    alike: Sequence[tuple[int, Item]], layer_of: Callable[[Item], int | None]
) -> Iterable[list[tuple[int, Item]]]:
    """Items of one kind, cut where the distance of their layers changes."""
    rows: list[list[tuple[int, Item]]] = []
    for place, item in alike:
        layers = [layer_of(one) or 0 for _, one in rows[-1][-2:]] if rows else []
        apart = (layer_of(item) or 0) - layers[-1] if layers else 0
        if layers and (len(layers) == 1 or apart == layers[1] - layers[0]):
            rows[-1].append((place, item))
        else:
            rows.append([(place, item)])
    return rows


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
    """The layers as a formula: l = 98, ..., 1, or l = 97, 95, ..., 1 where they do not follow each other."""
    numbers = [notation.layer_number(layer) for layer in layers]
    first = 1 if len(layers) > 1 and abs(layers[1] - layers[0]) == 1 else 2
    shown = numbers if len(numbers) <= 3 else [*numbers[:first], r"\dots", numbers[-1]]
    return (Formula(f"{notation.any_layer} = {', '.join(shown)}"),)


def same_for(layers: Sequence[int], notation: Notation) -> Text:
    """What is said in place of the layers."""
    return text("the same for {layers}", layers=layers_text(layers, notation))
