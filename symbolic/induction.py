"""Derivations for networks of any depth, by induction from the last layer back to the first.

The base and the step are derived once each, with open labels. That the formulas hold at every depth is the induction;
that they were written down rightly is checked by instantiating them: at each of several depths the labels are replaced
by numbers, and every formula is put beside what is derived for that very network and evaluated there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sympy import Expr, Symbol

from symbolic.depth import NEEDS_DEPTH, Label, is_open, label_at, label_of_width, width
from symbolic.derivation import Derivation, result_of
from symbolic.errors import UsageError
from symbolic.printable import DerivationPages
from symbolic.programs import HasProgram, Program
from symbolic.repetition import renamed
from symbolic.rules import INSTANTIATE, SUBSTITUTE, Result, Step
from symbolic.tensors import Equation, Tensor

if TYPE_CHECKING:
    from symbolic.verification import Report

# At which depths the general formulas are instantiated, and at how many random points each.
DEPTHS = (1, 2, 3, 4, 5)
POINTS_AT_A_DEPTH = 1


@runtime_checkable
class AnyDepth(Protocol):
    """Whatever says its last layer and any layer before it, such as a GeneralNetwork."""

    def base(self) -> Program: ...

    def step(self) -> Program: ...

    def at(self, depth: int) -> HasProgram: ...


@dataclass(frozen=True)
class GeneralDerivation(DerivationPages):
    """The gradients of a network of any depth: formulas for the last layer, and for every layer before it.

    network: what was derived; `network.at(3)` is the network of that depth.
    base:    derivation of the last layer: delta[depth] and the gradients of its parameters.
    step:    derivation of layer l from layer l + 1: delta[layer] in terms of delta[layer+1], which is given, and the
             gradients of the layer's parameters.
    derive:  what derives a network, for the depths at which the formulas are checked.
    """

    network: AnyDepth
    base: Derivation
    step: Derivation
    derive: Callable[[HasProgram], Derivation]

    @property
    def parts(self) -> tuple[Derivation, Derivation]:
        return self.base, self.step

    @property
    def results(self) -> tuple[Result, ...]:
        """Those of the base, then those of the step."""
        return self.base.results + self.step.results

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of base and step by its key."""
        return {**self.base.tensors, **self.step.tensors}

    def __getitem__(self, key: str) -> Result:
        """The result with this key, such as "delta[layer]" or "dW[depth]".

        Raises:
            DerivationError: there is none; lists those that there are.
        """
        return result_of(self.results, key)

    def __str__(self) -> str:
        """The named results, as equations, with the layers that they hold for."""
        lines = ["layer depth:", *(f"  {equation}" for equation in _named(self.base))]
        lines += ["layer = depth - 1, ..., 1:", *(f"  {equation}" for equation in _named(self.step))]
        return "\n".join(lines)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of base and step in order, without their substeps."""
        return self.base.steps + self.step.steps

    def walk(self) -> Iterator[tuple[Result, Step]]:
        """Every step and substep with the result it belongs to."""
        for part in self.parts:
            yield from part.walk()

    @property
    def formulas(self) -> dict[str, Equation]:
        """The named results by their key, from delta[depth] to the gradients of any layer."""
        return {equation.tensor.key: equation for part in self.parts for equation in _named(part)}

    @property
    def rounds(self) -> int:
        """How often `verify` tells its progress."""
        base, step = (len(part.results) for part in self.parts)
        return base + step + sum(base + (depth - 1) * step for depth in DEPTHS)

    @property
    def title(self) -> str:
        return str(self.network)

    @property
    def forward(self) -> tuple[Equation, ...]:
        """Forward equations of any layer and of the last one with the loss; the stand-in is left out."""
        beyond = {*self.step.program.given, *self.base.program.definitions}
        hidden = tuple(e for e in self.step.program.equations if e.tensor.key not in beyond)
        return (*hidden, *self.base.program.equations)

    @property
    def equations(self) -> tuple[Equation, ...]:
        """Forward equations, then the formulas."""
        return (*self.forward, *self.formulas.values())

    @property
    def gradients(self) -> dict[str, Equation]:
        """The gradient of the objective by the key of the parameter: "W[depth]", "b[depth]", "W[layer]", "b[layer]"."""
        return {**self.base.gradients, **self.step.gradients}

    @property
    def induction(self) -> str:
        """Why the formulas hold for every layer at every depth, in one paragraph."""
        hypothesis, last, hidden = self.step.given[0], _adjoints(self.base), _adjoints(self.step)
        loss, own, following = last[-1].steps[0].before.args[0], hidden[-1].tensor.of, hypothesis.of
        return (
            f"Base: in the last layer, {_equations(last)}, derived from the loss. "
            f"Step: let layer be any of 1 to depth - 1, and suppose that {hypothesis.element}, the derivative of "
            f"{loss} by {following}, is known. {own} reaches the loss through {following} alone, so the chain rule "
            f"gives {_equations(hidden)}, whatever follows {following}. "
            f"Conclusion: the base and depth - 1 steps give {hidden[-1].tensor.name} of every layer, from the last to "
            "the first, and with it the gradients of its parameters, in a network of any depth from 1; a[0] is the "
            "input x."
        )

    @property
    def program(self) -> Program:
        """Refused: without a depth there is no one program.

        Raises:
            UsageError: always.
        """
        raise UsageError(NEEDS_DEPTH)

    def at(self, depth: int) -> Derivation:
        """The general formulas, instantiated: a derivation of the network of that depth, with one step a formula.

        Where the form that is derived for that network itself is another one, it stands between: first it, then the
        general formula, which must equal it.
        """
        concrete = self.derive(self.network.at(depth))
        found = {result.tensor.key: result for result in concrete.results}
        results = [_instance(self.base, result, depth, depth, found) for result in self.base.results]
        for layer in range(depth - 1, 0, -1):
            results += [_instance(self.step, result, depth, layer, found) for result in self.step.results]
        return Derivation(concrete.program, tuple(results), concrete.wrt)

    def verify(self, points: int = 3, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Report:
        """Check every step of base and step, and every formula in the networks of 1 to 5 layers.

        points:   random points for base and step; a network of a given depth gets one.
        progress: called with (results done, results in all).

        Raises:
            UsageError: fewer than one point.
            DerivationError: if no point can be drawn at which a program has real values.
        """
        from symbolic.verification import Report

        done, whole = 0, self.rounds

        def told(now: int, _: int) -> None:
            if progress:
                progress(done + now, whole)

        reports = []
        for part in self.parts:
            reports.append(part.verify(points, seed, told))
            done += len(part.results)
        rows = [row for report in reports for row in report.rows]
        for depth in DEPTHS:
            instance = self.at(depth)
            found = instance.verify(POINTS_AT_A_DEPTH, seed + depth, told)
            rows += [replace(row, number=f"{row.number}, depth {depth}") for row in found.rows]
            done += len(instance.results)
        checked = f"{reports[1].sizes}; depths {DEPTHS[0]} to {DEPTHS[-1]} at {POINTS_AT_A_DEPTH} point each"
        return Report(tuple(rows), checked, points, max(report.kink_points for report in reports))


def _named(part: Derivation) -> list[Equation]:
    return [result.equation for result in part.results if result.named]


def _adjoints(part: Derivation) -> list[Result]:
    """The named results for a layer's activations, if there is one, and for its pre-activations."""
    return [result for result in part.results if result.named and result.tensor.role == "adjoint"]


def _equations(results: list[Result]) -> str:
    return " and ".join(str(result.equation) for result in results)


def _instance(part: Derivation, result: Result, depth: int, layer: int, found: dict[str, Result]) -> Result:
    """A general result in the network of `depth` layers, at `layer`, beside the result found there for the same key."""
    swap = _names(part, depth, layer)
    tensor = _closed(result.tensor, depth, layer, part.tensors)
    start, form = (renamed(side, swap) for side in (result.steps[0].before, result.steps[-1].after))
    twin = found.get(tensor.key)
    own = twin.steps[-1].after if twin is not None else form
    steps = (Step(SUBSTITUTE, start, own, because=tensor.key),) if own != form else ()
    general = Step(INSTANTIATE, own if steps else start, form, because=result.tensor.key)
    return Result(tensor, result.indices, (*steps, general), result.named)


def _names(part: Derivation, depth: int, layer: int) -> dict[Symbol, Symbol]:
    """The names of tensors and sizes with open labels, and what they are called in the network of that depth."""
    swap: dict[Symbol, Symbol] = {}
    for tensor in part.tensors.values():
        key = _closed(tensor, depth, layer, part.tensors).key
        swap[Symbol(tensor.key, real=True)] = Symbol(key, real=True)
        for extent in tensor.shape:
            swap.update((size, _closed_size(size, depth, layer)) for size in extent.free_symbols)
    return {old: new for old, new in swap.items() if old != new}


def _closed(tensor: Tensor, depth: int, layer: int, tensors: dict[str, Tensor]) -> Tensor:
    """The tensor with numbers for its labels. The activations of layer 0 are the input."""
    label: Label | None = None if tensor.layer is None else label_at(tensor.layer, depth, layer)
    sizes = {size: _closed_size(size, depth, layer) for extent in tensor.shape for size in extent.free_symbols}
    shape: tuple[Expr, ...] = tuple(extent.xreplace(sizes) for extent in tensor.shape)
    of = None if tensor.of is None else _closed(tensors[tensor.of], depth, layer, tensors).key
    if tensor.role == "activation" and label == 0:
        return Tensor("x", "input", None, shape, tensor.indices)
    return replace(tensor, layer=label, shape=shape, of=of)


def _closed_size(size: Symbol, depth: int, layer: int) -> Symbol:
    label = label_of_width(size)
    return width(label_at(label, depth, layer)) if label is not None and is_open(label) else size
