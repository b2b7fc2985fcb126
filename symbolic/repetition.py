"""Equal layers are derived once. A derivation that differs from an earlier one in names only is that one, renamed.

What a chain of steps depends on is given as a skeleton, which leaves names out; if the skeleton was met before, so was
the chain. Equality is structural, so two layers that are not the same mathematics never share a chain. A chain is
renamed when somebody looks at its steps, and its final form alone when somebody looks at that.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from sympy import Basic, Expr, Indexed, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.moulds import Mould, Skeleton, element, order_of, skeleton
from symbolic.rules import Pattern, Step
from symbolic.tensors import Equation, Fact


@dataclass
class _Variant:
    """A chain for names in one order: derived, or renamed by SymPy, and then cast."""

    names: tuple[Symbol, ...]
    steps: tuple[Step, ...]

    @cached_property
    def mould(self) -> Mould:
        return Mould([side for step in self.steps for side in _sides(step)], self.names)

    @cached_property
    def form(self) -> Mould:
        return Mould([self.steps[-1].after], self.names)


@dataclass
class Chain:
    """The steps that were derived for the first of equal layers."""

    number: int
    names: tuple[Symbol, ...]
    cited: tuple[Equation | Fact, ...]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        own = set(self.names)
        self.letters = tuple(dict.fromkeys(
            node
            for step in self.steps
            for side in _sides(step)
            for node in preorder_traversal(side)
            if isinstance(node, Symbol) and node not in own
        ))  # fmt: skip
        self.variants = {order_of(self.names, self.letters): _Variant(self.names, self.steps)}

    @cached_property
    def form(self) -> tuple[Hashable, tuple[int | Symbol, ...]]:
        """The skeleton of the final form, and where its names stand among those of the chain."""
        form = skeleton(self.steps[-1].after)
        places = {name: at for at, name in enumerate(self.names)}
        return form.tokens, tuple(places.get(name, name) for name in form.names)

    def variant(self, names: tuple[Symbol, ...], order: tuple[int, ...]) -> _Variant:
        if order not in self.variants:
            swap = {old: new for old, new in zip(self.names, names, strict=True) if old != new}
            sides = iter([renamed(side, swap) for step in self.steps for side in _sides(step)])
            self.variants[order] = _Variant(names, tuple(_with_sides(step, sides) for step in self.steps))
        return self.variants[order]


@dataclass(frozen=True)
class Repeated:
    """A chain with these names in the place of its own, which cites what stands here in the place of what it cites."""

    chain: Chain
    names: tuple[Symbol, ...]
    cited: tuple[Equation | Fact, ...]

    @property
    def pattern(self) -> Pattern:
        """What it shares with every other chain that differs from it in names only."""
        return Pattern(self.chain.number, self.names)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """How the names are sorted among each other and among the letters."""
        return order_of(self.names, self.chain.letters)

    def steps(self) -> tuple[Step, ...]:
        chain = self.chain
        if self.names == chain.names:
            return chain.steps
        variant = chain.variant(self.names, self.order)
        sides = iter(variant.mould.cast(self.names))
        keys = {old.name: new.name for old, new in zip(chain.names, self.names, strict=True)}
        citations = dict(zip(chain.cited, self.cited, strict=True))
        return tuple(_cited(_with_sides(step, sides), keys, citations) for step in chain.steps)

    def form(self) -> Expr:
        """What stands after the last step."""
        if self.names == self.chain.names:
            return self.chain.steps[-1].after
        return self.chain.variant(self.names, self.order).form.cast(self.names)[0]

    def form_skeleton(self) -> Skeleton:
        """The skeleton of the final form, without making it."""
        tokens, places = self.chain.form
        return Skeleton(tokens, tuple([self.names[at] if isinstance(at, int) else at for at in places]))


@dataclass
class Repetition:
    """Chains of steps by what they depend on, up to names."""

    chains: dict[Hashable, Chain] = field(default_factory=dict)

    def steps(
        self, given: Skeleton, traits: Hashable, cited: Sequence[Equation | Fact], compute: Callable[[], Sequence[Step]]
    ) -> Repeated:
        """The chain that `compute` gives, or an earlier one with its names exchanged.

        given:  everything that the chain depends on.
        traits: what it depends on besides, names left out.
        cited:  the equations and facts that its steps may cite.
        """
        known = self.chains.get((given.tokens, traits))
        if known is None:
            known = Chain(len(self.chains), given.names, tuple(cited), tuple(compute()))
            self.chains[given.tokens, traits] = known
        return Repeated(known, given.names, tuple(cited))


def names_in(expression: Basic) -> tuple[Symbol, ...]:
    """The symbols that are names, of tensors and of sizes, each once, in the order of the expression."""
    return skeleton(expression).names


def renamed(expression: Basic, swap: dict[Symbol, Symbol]) -> Basic:
    """The expression with names exchanged. Making an Indexed is what costs, so each is made once."""
    mapping: dict[Basic, Basic] = dict(swap)
    walk = preorder_traversal(expression)
    for node in walk:
        if isinstance(node, Indexed):
            walk.skip()
            if node not in mapping and node.base.label in swap:
                mapping[node] = element(swap[node.base.label], node.indices)
    return expression.xreplace(mapping)


def _sides(step: Step) -> Iterator[Basic]:
    yield step.before
    yield step.after
    for substep in step.substeps:
        yield from _sides(substep)


def _with_sides(step: Step, sides: Iterator[Basic]) -> Step:
    before, after = next(sides), next(sides)
    return Step(step.rule, before, after, tuple([_with_sides(one, sides) for one in step.substeps]), step.because)


def _cited(step: Step, keys: dict[str, str], citations: dict[Equation | Fact, Equation | Fact]) -> Step:
    because = step.because
    if isinstance(because, str):
        because = keys.get(because, because)
    elif because is not None:
        because = citations.get(because, because)
    return replace(step, because=because, substeps=tuple([_cited(one, keys, citations) for one in step.substeps]))
