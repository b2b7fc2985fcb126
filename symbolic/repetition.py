"""Equal layers are derived once. A derivation that differs from an earlier one in names only is that one, renamed.

What a chain of steps depends on is given as one expression. Its tensor names and size symbols are replaced by numbered
ones in the order in which they appear; if the outcome was met before, so was the chain. Equality is structural, so two
layers that are not the same mathematics never share a chain.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import NamedTuple

from sympy import Basic, Expr, Indexed, IndexedBase, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.rules import Pattern, Step
from symbolic.tensors import Equation, Fact


@dataclass(frozen=True)
class _Chain:
    number: int
    names: tuple[Symbol, ...]
    cited: tuple[Equation | Fact, ...]
    steps: tuple[Step, ...]


class Repeated(NamedTuple):
    """Steps, and the pattern that they share with every other chain that differs from them in names only."""

    steps: tuple[Step, ...]
    pattern: Pattern


@dataclass
class Repetition:
    """Chains of steps by what they depend on, up to names."""

    chains: dict[Hashable, _Chain] = field(default_factory=dict)

    def steps(
        self, given: Basic, traits: Hashable, cited: Sequence[Equation | Fact], compute: Callable[[], Sequence[Step]]
    ) -> Repeated:
        """The chain that `compute` gives, or an earlier one with its names exchanged.

        given:  everything that the chain depends on, as one expression.
        traits: what it depends on besides, names left out.
        cited:  the equations and facts that its steps may cite.
        """
        names = names_in(given)
        general = renamed(given, {name: _numbered(name.is_integer, at) for at, name in enumerate(names)})
        known = self.chains.get((general, traits))
        if known is None:
            steps = tuple(compute())
            known = _Chain(len(self.chains), names, tuple(cited), steps)
            self.chains[general, traits] = known
            return Repeated(steps, Pattern(known.number, names))
        swap = {old: new for old, new in zip(known.names, names, strict=True) if old != new}
        keys = {str(old.name): str(new.name) for old, new in swap.items()}
        citations = dict(zip(known.cited, cited, strict=True))
        steps = tuple(_renamed(step, swap, keys, citations) for step in known.steps)
        return Repeated(steps, Pattern(known.number, names))


def names_in(expression: Basic) -> tuple[Symbol, ...]:
    """The symbols that are names, of tensors and of sizes, each once, in the order of the expression."""
    return tuple(
        dict.fromkeys(
            node
            for node in preorder_traversal(expression)
            if isinstance(node, Symbol) and (node.is_positive or not node.is_integer)
        )
    )


@cache
def _numbered(whole: bool, number: int) -> Symbol:
    return Symbol(f"_{number}", integer=True, positive=True) if whole else Symbol(f"_{number}", real=True)


@lru_cache(maxsize=4096)
def _element(label: Symbol, indices: tuple[Expr, ...]) -> Indexed:
    return Indexed(IndexedBase(label), *indices)


def renamed(expression: Basic, swap: dict[Symbol, Symbol]) -> Basic:
    """The expression with names exchanged. Making an Indexed is what costs, so each is made once."""
    mapping: dict[Basic, Basic] = dict(swap)
    walk = preorder_traversal(expression)
    for node in walk:
        if isinstance(node, Indexed):
            walk.skip()
            if node not in mapping and node.base.label in swap:
                mapping[node] = _element(swap[node.base.label], node.indices)
    return expression.xreplace(mapping)


def _renamed(
    step: Step, swap: dict[Symbol, Symbol], keys: dict[str, str], citations: dict[Equation | Fact, Equation | Fact]
) -> Step:
    because = step.because
    if isinstance(because, str):
        because = keys.get(because, because)
    elif because is not None:
        because = citations.get(because, because)
    return replace(
        step,
        before=renamed(step.before, swap),
        after=renamed(step.after, swap),
        substeps=tuple(_renamed(substep, swap, keys, citations) for substep in step.substeps),
        because=because,
    )
