"""Programs that notes speak about: a stretch of layers of a network whose depth may be open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sympy import Expr, Integer, Sum, Symbol

from symbolic.activations import Activation
from symbolic.depth import Label, width
from symbolic.layers import EXAMPLE, UNIT, Dense
from symbolic.losses import Loss
from symbolic.network import examples_axis, objective_equations, row_tensor, target_facts, target_intervals
from symbolic.notes.exposition import Setting
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, over


def stretch(
    name: str,
    labels: Sequence[Label],
    activations: Sequence[Activation],
    loss: Loss,
    examples: str | None = None,
    reduction: str = "mean",
    sizes: Mapping[Symbol, int] | None = None,
    each_output: bool = False,
    concrete: bool = False,
    widths: Mapping[Label, Expr] | None = None,
    given: Sequence[str] = (),
    cost: bool = False,
) -> Setting:
    """The layers with these labels, one after the other, from the activation before them to the loss.

    labels: where they leave layers out, the next one stands for all of these: any function of the one before.
    activations: one for each layer; a last layer may have none, and the loss is then taken of its pre-activation: it
        stands for whatever comes after.
    examples: name of the number of examples, or None for one example. reduction: "mean" or "sum" over them.
    sizes: numbers of widths, where they are known.
    concrete: the tensors have those numbers as their sizes, so that sums end at them.
    each_output: the loss of each output unit is a tensor of its own, ell[j], and the cost adds them up; the examples'
        axis is then an axis like any other.
    widths: other numbers of units than the open ones, by the layer's label, such as 1 for a single output.
    given: keys of tensors by which the derivative is taken as known, see `Program.given`.
    cost: without an examples' axis: the cost is a tensor of its own, equal to the loss of the one example.
    """
    batch = examples_axis(examples)

    def units_of(label: Label) -> Expr:
        size = (widths or {}).get(label, width(label))
        return Integer(sizes[size]) if concrete and sizes and size in sizes else size

    first = labels[0] - 1
    letter, role, number = ("x", "input", None) if first == 0 else ("a", "activation", first)
    previous = data = row_tensor(letter, role, number, units_of(first), batch)
    parameters: list[Tensor] = []
    equations: list[Equation] = []
    for place, label in enumerate(labels):
        layer = Dense("n", activations[min(place, len(activations) - 1)])
        before = labels[place - 1] if place else first
        parameters += layer.parameters(label, units_of(before), units_of(label))
        made = layer.equations(label, previous, units_of(label), batch)
        equations += made if place < len(activations) else made[:1]
        previous = equations[-1].tensor
    units = units_of(labels[-1])
    target = row_tensor("y", "target", None, units, batch)
    contribution = loss.apply(target.element, previous.element)
    if each_output:
        each = row_tensor("ell", "loss", None, units, batch)
        everything = Sum(each.element, over(UNIT, units), *(over(p, extent) for p, extent in batch))
        equations += [Equation(each, each.indices, contribution), Equation(Tensor("J", "cost"), (), everything)]
    else:
        equations += objective_equations(contribution, units, batch, reduction)
        if cost and not batch:
            equations.append(Equation(Tensor("J", "cost"), (), equations[-1].lhs))
    program = Program(
        leaves=(data, target, *parameters),
        equations=tuple(equations),
        facts=target_facts(loss, target),
        sizes=sizes or {},
        intervals=target_intervals(loss, target),
        example=None if examples is None or each_output else EXAMPLE,
        sense=loss.sense,
        title=name,
        given=tuple(given),
    )
    return Setting(name, program, example=None if examples is None else EXAMPLE)
