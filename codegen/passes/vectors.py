"""Where parameters lie in their flat vector, and gradients in theirs."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from numpy.typing import NDArray

from codegen.memory import LINE
from codegen.passes.graph import joint_name


@dataclass(frozen=True)
class Block:
    """Entries `first` to `last` of a flat vector, as an array of this shape under this name.

    is_turned: it is the transpose of what a user knows by that name.
    """

    name: str
    first: int
    last: int
    shape: tuple[int, ...]
    is_turned: bool = False

    def view(self, flat: NDArray) -> NDArray:
        """In a user's order of axes."""
        array = flat[self.first : self.last].reshape(self.shape)
        return array.T if self.is_turned else array


@dataclass(frozen=True)
class _Layout:
    """One array in memory. gradient: the name of its gradient; "" if there is none."""

    name: str
    gradient: str
    shape: tuple[int, ...]
    is_turned: bool

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def vectors(
    shapes: Mapping[str, tuple[int, ...]],
    gradients: Mapping[str, str],
    joint: Mapping[str, tuple[str, str]],
    turned: Container[str],
    itemsize: int,
    descending: Container[str],
) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """The blocks of the parameters, those that are joint in one, and of the gradients, in the same order.

    shapes:     of the parameters, by key.
    gradients:  key of the gradient by the key of its parameter.
    joint:      see `Graph`.
    turned:     keys of matrices that lie transposed.
    descending: names of blocks that are brought up to date by themselves, and have no gradient; the others lie side by
                side between them. Those that fill cache lines come first, so that they begin at one.
    """
    firsts = {weights: (name, bias) for name, (weights, bias) in joint.items()}
    biases = {bias for _, bias in joint.values()}
    layouts = []
    for key, shape in shapes.items():
        is_turned = key in turned
        shape = shape[::-1] if is_turned else shape
        if key in firsts:
            name, bias = firsts[key]
            wide = (shape[0] + 1, shape[1])
            layouts.append(_Layout(name, joint_name(gradients[key], gradients[bias]), wide, is_turned))
        elif key not in biases:
            layouts.append(_Layout(key, gradients.get(key, ""), shape, is_turned))

    def position(layout: _Layout) -> int:
        outwards = 2 if layout.name in descending else 1
        return -outwards if layout.size * itemsize % LINE == 0 else outwards

    layouts.sort(key=position)
    made = [layout for layout in layouts if layout.gradient and layout.name not in descending]
    return (
        _placed((layout.name, layout) for layout in layouts),
        _placed((layout.gradient, layout) for layout in made),
    )


def _placed(layouts: Iterable[tuple[str, _Layout]]) -> tuple[Block, ...]:
    """Under these names, one after the other."""
    place, made = 0, []
    for name, layout in layouts:
        made.append(Block(name, place, place + layout.size, layout.shape, layout.is_turned))
        place += layout.size
    return tuple(made)
