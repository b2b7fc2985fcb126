"""Equations that differ in names only: what is worked out for the first of them is renamed for the others.

As in `codegen.recording`, what the work depends on is given without names, and names keep their order among each
other, since SymPy sorts by it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from sympy import Basic, Symbol

from codegen.recording import outline_of
from symbolic.moulds import Mould, order_of
from symbolic.tensors import Equation


def by_itself(name: str) -> Hashable:
    """The trait of a name that has none."""
    return None


class Alike:
    """Expressions that are worked out from equations, once for all equations that differ in names only.

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
        # Without a mould where the right side stays as it is, and nothing else is made.
        self._known: dict[Hashable, Mould | None] = {}

    def __call__(self, equation: Equation) -> Sequence[Any]:
        """The expressions for this equation; where there is one and it is the right side, that very object."""
        plain, letters, _ = outline_of(equation)
        names = plain.names
        traits = tuple([self.trait(name.name) for name in names])
        kind = (plain.tokens, traits, order_of(names, (*letters, *self.symbols)))
        if kind not in self._known:
            made = tuple(self.work(equation))
            self._known[kind] = None if made == (equation.rhs,) else Mould(made, names)
        mould = self._known[kind]
        return (equation.rhs,) if mould is None else mould.cast(names)
