"""Which layers of a long program are left out of its picture: those in the middle of a row of equal ones.

Two layers are equal if their equations are the same up to names and their outputs have the same sizes, where these are
known. What is left out uses nothing but the layer before it, and nothing but the layer after it uses it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from sympy import Symbol

from symbolic.programs import Program
from symbolic.repetition import names_in, renamed
from symbolic.tensors import Equation, Tensor, elements, key_of

# The shortest row of equal layers of which some are left out; its first and its last layer are always drawn.
SHORTEST = 4


@dataclass(frozen=True)
class Gap:
    """Layers `first` to `last`, which are left out, with the keys of their tensors."""

    first: int
    last: int
    keys: frozenset[str]

    @property
    def key(self) -> str:
        """What the element that stands for them is called; no tensor can be called so."""
        return f"layers {self.first} to {self.last}"

    @property
    def text(self) -> str:
        return f"{self.last - self.first + 1} more layers"


def used_keys(equation: Equation) -> list[str]:
    """The tensors on the right side of an equation, each once."""
    return list(dict.fromkeys(key_of(element) or "" for element in elements(equation.rhs)))


def gaps(program: Program) -> tuple[Gap, ...]:
    """The layers that a picture leaves out, first to last; those of a short program are all drawn."""
    layers: dict[int, list[Equation]] = {}
    for equation in program.equations:
        if isinstance(equation.tensor.layer, int):
            layers.setdefault(equation.tensor.layer, []).append(equation)
    if len(layers) < SHORTEST:
        return ()
    numbers = sorted(layers)
    if numbers != list(range(numbers[0], numbers[-1] + 1)):
        return ()
    uses = {equation.tensor.key: used_keys(equation) for equation in program.equations}
    likeness = {number: _likeness(program, number, layers[number], uses) for number in numbers}
    found = []
    for _, row in groupby(numbers, key=likeness.__getitem__):
        run = list(row)
        if len(run) >= SHORTEST:
            hidden = frozenset(tensor.key for tensor in program.tensors.values() if tensor.layer in run[1:-1])
            if _closed(program.tensors, hidden, run, uses):
                found.append(Gap(run[1], run[-2], hidden))
    return tuple(found)


def _likeness(program: Program, number: int, equations: Sequence[Equation], uses: Mapping[str, list[str]]) -> Hashable:
    """What two layers have in common if they are equal."""
    parts: list[Hashable] = []
    for equation in equations:
        names = names_in(equation.rhs)
        numbered = {
            name: Symbol(f"_{at}", integer=name.is_integer, positive=name.is_positive, real=True)
            for at, name in enumerate(names)
        }
        tensors = [program.tensors[key] for key in uses[equation.tensor.key]]
        sizes = tuple(str(n) if n.is_Integer else "" for n in map(program.value_of, equation.tensor.shape))
        parts.append((
            renamed(equation.rhs, numbered),
            equation.function,
            (equation.tensor.name, equation.tensor.role, sizes),
            frozenset(tensor.name if tensor.layer == number else "" for tensor in tensors),
        ))  # fmt: skip
    return tuple(parts)


def _closed(
    tensors: Mapping[str, Tensor], hidden: frozenset[str], run: Sequence[int], uses: Mapping[str, list[str]]
) -> bool:
    """Whether hidden layers use only themselves and the layer before, and nobody but the layer after uses them."""
    for key, used in uses.items():
        layer = tensors[key].layer
        if key in hidden:
            if any(tensors[other].layer not in (layer, _before(layer)) for other in used):
                return False
        elif any(other in hidden and not (layer == run[-1] and tensors[other].layer == run[-2]) for other in used):
            return False
    return True


def _before(layer: object) -> int | None:
    return layer - 1 if isinstance(layer, int) else None
