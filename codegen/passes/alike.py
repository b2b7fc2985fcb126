"""Equations that differ in names only: what is worked out for the first of them is renamed for the others.

As in `codegen.recording`, what the work depends on is given without names, and names keep their order among each
other, since SymPy sorts by it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sympy import Basic, Symbol

from codegen.recording import outline_of
from symbolic.moulds import Mould
from symbolic.tensors import Equation


def by_itself(name: str) -> Hashable:
    """The trait of a name that has none."""
    return None


@dataclass
class _Made:
    """Expressions for names, to be cast for others. stays: they are the right side alone, as it was."""

    expressions: tuple[Basic, ...]
    names: tuple[Symbol, ...]
    stays: bool

    @cached_property
    def mould(self) -> Mould:
        return Mould(self.expressions, self.names)


class OncePerKind:
    """Works out expressions from equations, once for all equations that differ in names only.

    work:    the expressions for one equation.
    trait:   what the work depends on besides, for each name in the equation.
    symbols: those that the work brings in.
    """

    def __init__(
        self,
        work: Callable[[Equation], Iterable[Basic]],
        trait: Callable[[str], Hashable] = by_itself,
        symbols: Sequence[Symbol] = (),
    ) -> None:
        self.work = work
        self.trait = trait
        self.symbols = tuple(symbols)
        self._known: dict[Hashable, _Made] = {}

    def __call__(self, equation: Equation) -> Sequence[Any]:
        """The expressions for this equation; where there is one and it is the right side, that very object."""
        outline = outline_of(equation)
        names = outline.skeleton.names
        kind = (outline.kind(self.symbols), tuple([self.trait(name.name) for name in names]))
        known = self._known.get(kind)
        if known is None:
            made = tuple(self.work(equation))
            known = self._known[kind] = _Made(made, names, made == (equation.rhs,))
        if known.stays:
            return (equation.rhs,)
        return known.expressions if names == known.names else known.mould.cast(names)
