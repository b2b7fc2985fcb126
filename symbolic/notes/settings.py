"""Programs that notes speak about: a stretch of layers of a network whose depth may be open."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr, Integer, Sum, Symbol

from symbolic.activations import Activation
from symbolic.depth import Label, width
from symbolic.layers import EXAMPLE, UNIT, Dense
from symbolic.losses import Loss
from symbolic.notes.exposition import Setting
from symbolic.programs import Program
from symbolic.tensors import Equation, Fact, Tensor, over, size


def stretch(
    name: str,
    labels: Sequence[Label],
    activations: Sequence[Activation],
    loss: Loss,
    examples: str | None = None,
    reduction: str = "mean",
    sizes: dict[Symbol, int] | None = None,
    each_output: bool = False,
) -> Setting:
    """The layers with these labels, one after the other, from the activation before them to the loss.

    activations: one for each layer; a last layer may have none, and the loss is then taken of its pre-activation: it
        stands for whatever comes after.
    examples: name of the number of examples, or None for one example. reduction: "mean" or "sum" over them.
    each_output: the loss of each output unit is a tensor of its own, c[k], and the cost adds them up.
    """
    first = labels[0] - 1
    batch: tuple[tuple[Symbol, Expr], ...] = () if examples is None else ((EXAMPLE, size(examples)),)
    letters, extents = tuple(letter for letter, _ in batch), tuple(extent for _, extent in batch)
    where = (*letters, UNIT)
    shape = (*extents, width(first))
    data = Tensor("x", "input", None, shape, where) if first == 0 else Tensor("a", "activation", first, shape, where)
    previous = data
    parameters: list[Tensor] = []
    equations: list[Equation] = []
    for label, activation in zip(labels, [*activations, None][: len(labels)], strict=True):
        layer = Dense("n", activation or activations[-1])
        parameters += layer.parameters(label, width(label - 1), width(label))
        made = layer.equations(label, previous, width(label), batch)
        equations += made if activation is not None else made[:1]
        previous = equations[-1].tensor
    units = width(labels[-1])
    target = Tensor("y", "target", None, (*extents, units), where)
    one = loss.apply(target[where], previous[where])
    if each_output:
        each = Tensor("ell", "loss", None, (*extents, units), where)
        equations.append(Equation(each, where, one))
        total: Expr = Sum(each[where], over(UNIT, units), *(over(letter, n) for letter, n in batch))
        equations.append(Equation(Tensor("J", "cost"), (), total))
    else:
        ell = Tensor("ell", "loss", None, extents, letters)
        equations.append(Equation(ell, letters, Sum(one, over(UNIT, units))))
        if examples is not None:
            count = size(examples)
            total = Sum(ell[letters], over(EXAMPLE, count))
            equations.append(Equation(Tensor("J", "cost"), (), total / count if reduction == "mean" else total))
    facts = (Fact(Sum(target[where], over(UNIT, units)), Integer(1), "the entries of y sum to 1"),)
    program = Program(
        leaves=(data, target, *parameters),
        equations=tuple(equations),
        facts=facts if loss.target_sums_to_one else (),
        sizes=sizes or {},
        intervals={} if loss.target_interval is None else {target.key: loss.target_interval},
        example=None if examples is None or each_output else EXAMPLE,
        sense=loss.sense,
        title=name,
    )
    return Setting(name, program)
