"""Moves for chains whose lines are whole arrays, dL/dW = Sum_i u_i dz_i/dW, and that call what is known by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from sympy import Basic, Expr, Mul, Sum, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.arrayform import array_form
from symbolic.calculus import letters, substitute_indices
from symbolic.chains import ChainWriter
from symbolic.errors import DerivationError
from symbolic.matrices import MatrixExpression
from symbolic.notation import Notation
from symbolic.notes.exposition import Chain
from symbolic.notes.moves import Telling
from symbolic.pages.blocks import Line
from symbolic.rules import DEFINITION, EXCHANGE, NAME, Step
from symbolic.tensors import key_of
from symbolic.verification import Frame, Row, check_steps, drawn_points

DEFINES = r"\equiv"
# At how many points a definition is held against the derivative that it names.
_POINTS = 3


@dataclass(frozen=True)
class Named:
    """The name of a derivative, defined by the last line of the chain that derives it.

    chain: its first head is the name.
    """

    chain: Chain

    def lines(self, notation: Notation) -> list[Line]:
        final = self.chain.final
        writer = ChainWriter(final.setting.printer(notation), final.form)
        with writer.printer.lettering(final.heads[0], final.steps[-1].after):
            items: list[tuple[Basic, tuple[()]]] = [(final.heads[0], ()), (final.steps[-1].after, ())]
            lines = writer.chain(final.heads, items, final.indices, final.shape)
        return [replace(lines[0], relation=DEFINES), *lines[1:]]

    def rows(self) -> Iterator[Row]:
        """The formula against the derivative."""
        chain, setting = self.chain, self.chain.setting
        draws = drawn_points(setting.program, _POINTS, 0, setting.meaning(), setting.derived(), both_sides=True)
        frame = Frame(f"{setting.name}: {chain.heads[0]}", chain.indices, chain.shape, setting.tensors)
        step = Step(DEFINITION, chain.heads[0], chain.steps[-1].after)
        yield from check_steps(frame, [step], draws, setting.program.example)


class ArrayTelling(Telling):
    """A chain under way in components, which `whole` writes as one of arrays when it is complete."""

    def exchanged(self) -> Self:
        """Sum_i f_i Sum_m g_im h_m as Sum_m (Sum_i f_i g_im) h_m, for every sum right under a sum."""

        def exchange(node: Sum) -> Expr | None:
            factors = list(Mul.make_args(node.function))
            inner = [factor for factor in factors if isinstance(factor, Sum)]
            if len(inner) != 1:
                return None
            own = {letter for letter, *_ in node.limits}
            everything = [*(one for one in factors if one is not inner[0]), *Mul.make_args(inner[0].function)]
            under = Mul(*(one for one in everything if letters(one) & own))
            rest = Mul(*(one for one in everything if not letters(one) & own))
            return Sum(rest * Sum(under, *node.limits), *inner[0].limits)

        self.to(EXCHANGE, self._everywhere(Sum, exchange))
        return self

    def named(self, definition: Chain) -> Self:
        """What a line of a definition says called by its name.

        definition: a chain whose first head is the name, and whose lines are index expressions in its free indices.

        Raises:
            DerivationError: no factors of this line are a line of that chain.
        """
        sides = [side for side in definition.heads[1:] if isinstance(side, Expr)]
        sides += [inner.after for step in definition.steps for inner in step.walk() if isinstance(inner.after, Expr)]
        for node in preorder_traversal(self.now):
            if isinstance(node, (Mul, Sum)) or node is self.now:
                for side in reversed(sides):
                    for swap in _substitutions(definition.indices, node):
                        rest = _without(node, substitute_indices(side, swap))
                        if rest is not None:
                            name = substitute_indices(definition.heads[0], swap)
                            self.to(NAME, self.now.xreplace({node: Mul(*rest) * name}), key_of(definition.heads[0]))
                            return self
        raise DerivationError(f"{self.now} holds nothing that is called {definition.heads[0]}")

    def whole(self, *heads: Expr) -> Chain:
        """The chain with every line as an array; heads as for `chain`.

        Raises:
            NoMatrixForm: a line is no array, not even with sums over entries.
        """
        chain = self.chain(*heads)
        tensors, example = self.setting.tensors, self.setting.program.example

        def array(side: Basic) -> Basic:
            if isinstance(side, MatrixExpression):
                return side
            return array_form(side, chain.indices, tensors, example, chain.shape)

        steps = []
        for step in chain.steps:
            smaller = step.substeps
            if not smaller or (smaller[0].before, smaller[-1].after) != (step.before, step.after):
                smaller = (*smaller, Step(step.rule, step.before, step.after, (), step.because))
            steps.append(Step(step.rule, array(step.before), array(step.after), smaller, step.because))
        named = (*heads, array(self.head))
        return Chain(self.setting, self.name, named, chain.indices, chain.shape, tuple(steps), "matrix")


def _substitutions(indices: tuple[Symbol, ...], node: Basic) -> Iterator[dict[Symbol, Symbol]]:
    """Ways to put letters of a node for one free letter; several, or none, stay as they are."""
    if len(indices) != 1:
        yield {}
        return
    for letter in sorted(letters(node), key=str):
        yield {indices[0]: letter}


def _without(node: Expr, part: Expr) -> list[Expr] | None:
    """The factors of a node that are left when those of `part` are taken away; None if it has not all of them."""
    left = list(Mul.make_args(node))
    for factor in Mul.make_args(part):
        same = next((one for one in left if _same(one, factor)), None)
        if same is None:
            return None
        left.remove(same)
    return left


def _same(one: Expr, other: Expr) -> bool:
    """Whether two expressions are equal, whatever their outermost bound letters are called."""
    if isinstance(one, Sum) and isinstance(other, Sum) and len(one.limits) == len(other.limits):
        swap = {theirs[0]: own[0] for own, theirs in zip(one.limits, other.limits, strict=True)}
        return one == other.xreplace(swap)
    return one == other
