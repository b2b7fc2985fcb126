"""Numbers of layers that may stay open: the depth of a network, any layer of it, and their neighbours.

A label is an int, or `DEPTH` or `LAYER` with a number added: the last layer, the one before it, layer l, layer l + 1.
The input is layer 0. Labels number tensors and widths; they never stand in an equation.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from sympy import Expr, Integer, Symbol

from symbolic.errors import UsageError

# The number of the last layer, and the number of any layer.
DEPTH = Symbol("depth", integer=True, positive=True)
LAYER = Symbol("layer", integer=True, positive=True)

# What is told to whoever asks for arrays or for one program where the depth is open.
NEEDS_DEPTH = "the depth is open, and what you ask for needs a number of layers; choose one: network.at(3)"

Label: TypeAlias = int | Expr

_OPEN_WIDTH = re.compile(r"n_\[(depth|layer)([+-]\d+)?\]\Z")
_WIDTH = re.compile(r"n_(\d+)\Z")


def label_text(label: Label) -> str:
    """A label as it stands in a key: 2, or [layer+1] in brackets."""
    return str(label) if isinstance(label, int) else f"[{str(label).replace(' ', '')}]"


def split_label(label: Label) -> tuple[Symbol | None, int]:
    """The open symbol of a label, or None, and the number that is added to it.

    Raises:
        UsageError: it is no label.
    """
    if isinstance(label, int):
        return None, label
    number, symbol = label.as_coeff_Add()
    if symbol not in (DEPTH, LAYER) or not isinstance(number, Integer):
        raise UsageError(f"{label} is no number of a layer; it is a whole number, or DEPTH or LAYER with one added")
    return symbol, int(number)


def is_open(label: Label | None) -> bool:
    """Whether a label has no number yet."""
    return label is not None and split_label(label)[0] is not None


def label_at(label: Label, depth: int, layer: int) -> int:
    """The number of a label in a network of `depth` layers, where LAYER is `layer`."""
    symbol, number = split_label(label)
    return number + (0 if symbol is None else depth if symbol == DEPTH else layer)


def width(label: Label) -> Symbol:
    """The size symbol of the number of units in a layer: n_2, or n_[layer+1]."""
    return Symbol(f"n_{label_text(label)}", integer=True, positive=True)


def label_of_width(size: Symbol) -> Label | None:
    """The layer that a size made by `width` belongs to; None for any other size."""
    closed, opened = _WIDTH.match(size.name), _OPEN_WIDTH.match(size.name)
    if closed:
        return int(closed.group(1))
    if opened:
        return {"depth": DEPTH, "layer": LAYER}[opened.group(1)] + Integer(int(opened.group(2) or 0))
    return None
