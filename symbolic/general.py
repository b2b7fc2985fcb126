"""Networks of any depth: dense layers whose number and sizes stay open, and two programs that say all there is of them.

`base` is the last layer with the loss. `step` is any layer before it, between its neighbours: what comes after layer
l + 1 is stood in for by a function of which nothing is known, so that what is derived holds whatever comes after.
"""

from __future__ import annotations

import dataclasses
import operator
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Symbol

from symbolic.activations import Activation, find_activation
from symbolic.depth import DEPTH, LAYER, NEEDS_DEPTH, label_of_width, width
from symbolic.errors import ArchitectureError, DeltaformWarning, NameRefused, UsageError
from symbolic.expressions import Undefined
from symbolic.layers import EXAMPLE, Dense
from symbolic.losses import Loss, find_loss
from symbolic.network import (
    Network,
    check_facts,
    check_function_names,
    checked_examples,
    checked_reduction,
    examples_axis,
    objective_equations,
    row_tensor,
    target_facts,
    target_intervals,
)
from symbolic.programs import Program

# What the function that stands for all later layers may be called: the first that no function of the network is.
_STAND_INS = ("R", "C", "D", "F")
_LETTER = re.compile(r"\s*([A-Za-z])\s*\Z")


@dataclass(frozen=True, init=False)
class GeneralNetwork:
    """Dense layers in a row, as many as you like: layers 1 to depth - 1 are alike, and the last one meets the loss.

    hidden:    activation of every layer but the last: a name of ACTIVATIONS, an Activation, or a single letter such as
               "g", short for "g(z)", an undefined function.
    output:    activation of the last layer, given in the same ways.
    loss, reduction, examples: as in a Network.

    Raises:
        ArchitectureError: activation and loss that do not fit together.
        NameRefused: a name that cannot be used.
    Warns:
        DeltaformWarning: something allowed but probably not meant, such as softmax in hidden layers.
    """

    hidden: Activation
    output: Activation
    loss: Loss
    reduction: str = "mean"
    examples: str | None = "N"

    def __init__(
        self, hidden: str | Activation, output: str | Activation, loss: str | Loss, reduction: str = "mean",
        examples: str | Symbol | None = "N",
    ) -> None:  # fmt: skip
        object.__setattr__(self, "hidden", _activation(hidden))
        object.__setattr__(self, "output", _activation(output))
        object.__setattr__(self, "loss", find_loss(loss))
        object.__setattr__(self, "reduction", checked_reduction(reduction))
        object.__setattr__(self, "examples", checked_examples(examples))
        functions = (self.hidden, self.output, self.loss)
        for name in (*(function.name for function in functions), self.examples):
            if name is not None and (name in (DEPTH.name, LAYER.name) or label_of_width(Symbol(name)) is not None):
                raise NameRefused(
                    f"{name!r} is what a network of any depth calls its layers or their sizes; choose another name"
                )
        check_function_names(functions, {self.examples})
        check_facts((self.hidden, self.output), (DEPTH - 1, DEPTH), self.loss, width(DEPTH))

    @classmethod
    def of(cls, network: Network) -> GeneralNetwork:
        """A network's layers, as many as you like: its hidden activation, output activation, loss and examples.

        A network of one layer has no hidden activation; it gets an undefined one.

        Raises:
            ArchitectureError: the hidden layers differ in their activation.
        """
        hidden = [layer.activation for layer in network.layers[:-1]] or [Activation.undefined("g")]
        for number, activation in enumerate(hidden, start=1):
            if activation != hidden[0]:
                raise ArchitectureError(
                    f"layer {number}: activation {activation.name}, but layer 1 has {hidden[0].name}; in a network "
                    "of any depth all hidden layers have one activation"
                )
        with warnings.catch_warnings():
            # What is unusual was said when the network was made.
            warnings.simplefilter("ignore", DeltaformWarning)
            return cls(hidden[0], network.layers[-1].activation, network.loss, network.reduction, network.examples)

    def __str__(self) -> str:
        hidden, output = self.hidden.spelling, self.output.spelling
        return f"n_0 -> n_1 {hidden} -> ... -> n_depth {output}; {self.loss.spelling}"

    def replace(self, **changes: Any) -> GeneralNetwork:
        """The same network with other fields: network.replace(examples=None)."""
        return dataclasses.replace(self, **changes)

    def base(self) -> Program:
        """The last layer and the loss, from a[depth-1], which is the input where the depth is 1."""
        batch = examples_axis(self.examples)
        layer = Dense("n", self.output)
        previous = row_tensor("a", "activation", DEPTH - 1, width(DEPTH - 1), batch)
        target = row_tensor("y", "target", None, width(DEPTH), batch)
        equations = layer.equations(DEPTH, previous, width(DEPTH), batch)
        contribution = self.loss.apply(target.element, equations[-1].tensor.element)
        return Program(
            leaves=(previous, target, *layer.parameters(DEPTH, width(DEPTH - 1), width(DEPTH))),
            equations=(*equations, *objective_equations(contribution, width(DEPTH), batch, self.reduction)),
            facts=target_facts(self.loss, target),
            intervals=target_intervals(self.loss, target),
            example=None if self.examples is None else EXAMPLE,
            sense=self.loss.sense,
            title=f"{self}: the last layer",
        )

    def step(self) -> Program:
        """Any layer before the last, from a[layer-1], and the pre-activations of the one after it.

        The loss that follows is a stand-in, an undefined function of z[layer+1]. The derivative by z[layer+1] is given:
        it is the induction hypothesis.
        """
        batch = examples_axis(self.examples)
        layer = Dense("n", self.hidden)
        previous = row_tensor("a", "activation", LAYER - 1, width(LAYER - 1), batch)
        equations = layer.equations(LAYER, previous, width(LAYER), batch)
        # Of the next layer, whatever its activation, only the first equation is known here.
        following = layer.equations(LAYER + 1, equations[-1].tensor, width(LAYER + 1), batch)[0]
        rest = Undefined.function(self._stand_in(), following.tensor.element)
        return Program(
            leaves=(
                previous,
                *layer.parameters(LAYER, width(LAYER - 1), width(LAYER)),
                *layer.parameters(LAYER + 1, width(LAYER), width(LAYER + 1)),
            ),
            equations=(
                *equations, following, *objective_equations(rest, width(LAYER + 1), batch, self.reduction),
            ),
            example=None if self.examples is None else EXAMPLE,
            sense=self.loss.sense,
            title=f"{self}: any layer before the last",
            given=(following.tensor.key,),
        )  # fmt: skip

    def at(self, depth: int, widths: Sequence[int | str | Symbol] | None = None) -> Network:
        """The network of `depth` layers, which lambdify, initialize and train take.

        widths: number of units of the input and of each layer, depth + 1 in all; open sizes n_0, n_1, ... if left out.

        Raises:
            UsageError: a depth that is no whole number from 1, or another number of widths.
        """
        number = _whole(depth)
        given = [f"n_{place}" for place in range(number + 1)] if widths is None else _listed(widths)
        if len(given) != number + 1:
            raise UsageError(
                f"{len(given)} widths for a depth of {number}; {number + 1} are needed, one for the input and one for "
                "each layer"
            )
        layers = [*(Dense(units, self.hidden) for units in given[1:-1]), Dense(given[-1], self.output)]
        with warnings.catch_warnings():
            # What is unusual was said when the general network was made.
            warnings.simplefilter("ignore", DeltaformWarning)
            return Network(given[0], layers, self.loss, self.reduction, self.examples)

    def program(self) -> Program:
        """Refused: there is no one program of a network without a depth.

        Raises:
            UsageError: always.
        """
        raise UsageError(NEEDS_DEPTH)

    def _stand_in(self) -> str:
        formulas = (self.hidden.expression, self.output.expression, self.loss.expression)
        taken = {node.name for formula in formulas for node in formula.atoms(Undefined)}
        taken |= {self.hidden.name, self.output.name, self.loss.name, self.examples or ""}
        return next(name for name in (*_STAND_INS, *(f"R_{n}" for n in range(len(taken) + 1))) if name not in taken)


def _activation(wanted: str | Activation) -> Activation:
    """What `find_activation` finds, or an undefined function for a single letter."""
    letter = _LETTER.match(wanted) if isinstance(wanted, str) else None
    return Activation.undefined(letter.group(1)) if letter else find_activation(wanted)


def _whole(depth: object) -> int:
    try:
        number = 0 if isinstance(depth, bool) else operator.index(depth)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if number < 1:
        raise UsageError(f"depth must be a whole number of at least 1, the number of layers, not {ascii(depth)[:40]}")
    return number


def _listed(widths: object) -> list[Any]:
    if isinstance(widths, str) or not hasattr(widths, "__iter__"):
        raise UsageError(f"widths must be a list of sizes such as [784, 128, 10], not {ascii(widths)[:40]}")
    return list(widths)
