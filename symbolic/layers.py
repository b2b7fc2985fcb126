"""Layer kinds: one class each, with its parameters and its forward equations. No layer knows a derivative.

A layer is a description. Each place in a network gets parameters of its own, numbered by the place.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

from sympy import Expr, Sum, Symbol

from symbolic.activations import ACTIVATIONS, Activation, find_activation, z
from symbolic.depth import Label
from symbolic.errors import ArchitectureError, NameRefused
from symbolic.moulds import Moulds, element, tensor_name
from symbolic.tensors import Equation, FunctionName, Tensor, checked_name, index, over, size

EXAMPLE, UNIT, PREVIOUS_UNIT = index("p"), index("j"), index("s")

# What a size may not be called: letters that run over axes, numbered or not, and the tensors of a network.
_INDEX_LETTERS = re.compile(r"[ijkmpqrstuv](_?[0-9]+)?\Z")
_TENSOR_KEYS = re.compile(r"(x|y|h|W|b|z|a|ell|J|delta|dW|db|adj_\w*|each_\w*)[0-9]*\Z")


def checked_size(extent: object, what: str) -> int | Symbol:
    """A number of units: a positive int, or the symbol of a size that stays open, given by its name or as a
    symbol.

    Raises:
        ArchitectureError: a number that is not positive and whole.
        NameRefused: a name that is taken by an index, a tensor or a language.
    """
    if isinstance(extent, Symbol):
        extent = extent.name
    if isinstance(extent, str):
        return size(checked_size_name(extent, what))
    try:
        number = None if isinstance(extent, bool) else operator.index(extent)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None:
        raise ArchitectureError(
            f"{what} must be a positive whole number or the name of a size, not {type(extent).__name__} "
            f"{ascii(extent)[:40]}; "
            "such as 128 or 'n_1'"
        )
    if number < 1:
        raise ArchitectureError(f"{what} must be at least 1, not {number}; a layer without units computes nothing")
    return number


def checked_size_name(name: str, what: str) -> str:
    """`name` if a size may be called so."""
    checked_name(name, what)
    if name in ACTIVATIONS:
        raise NameRefused(f"{what} is missing: {name!r} is an activation; write the number before it: 32 {name}")
    if _INDEX_LETTERS.match(name):
        raise NameRefused(f"{what} {name!r} is a letter that indices use; call the size n_1, d or such")
    if _TENSOR_KEYS.match(name):
        raise NameRefused(f"{what} {name!r} is the name of a tensor of the network; call the size n_1, d or such")
    return name


class Layer(Protocol):
    """What a network asks of a layer kind.

    units:      number of outputs.
    activation: what the outputs went through last; its declared facts decide which loss may follow.
    parameters: the layer's tensors to be learnt, as layer `number`, from `inputs` to `outputs` units
                (symbols). The number may stay open, see `symbolic.depth`.
    equations:  its forward equations, from the tensor `previous`; the last one defines the layer's output.
                Every tensor begins with the axes of the examples: `batch` is ((p, N),), or () for a single
                example.
    """

    @property
    def units(self) -> int | Symbol: ...

    @property
    def activation(self) -> Activation: ...

    def parameters(self, number: Label, inputs: Expr, outputs: Expr) -> tuple[Tensor, ...]: ...

    def equations(
        self, number: Label, previous: Tensor, outputs: Expr, batch: tuple[tuple[Symbol, Expr], ...]
    ) -> tuple[Equation, ...]: ...


@dataclass(frozen=True, init=False)
class Dense:
    """Every unit sees every unit of the layer before: z[j] = Sum(W[j, s]*a[s]) + b[j], a[j] = g(z[j]).

    units:      a positive int, or a size that stays open: its name, such as "n_1", or a symbol of that name.
    activation: a name of ACTIVATIONS, "g(z)" for an undefined function, or an Activation.

    Raises:
        ArchitectureError: units or activation are none of these, or the activation makes the layer's output
                           constant.
        NameRefused: a name that cannot be used.
    """

    units: int | Symbol
    activation: Activation

    def __init__(self, units: int | str | Symbol, activation: str | Activation = "identity") -> None:
        object.__setattr__(self, "units", checked_size(units, "units"))
        object.__setattr__(self, "activation", find_activation(activation))
        if self.activation.sums_to_one and self.units == 1:
            raise ArchitectureError(
                f"activation {self.activation.name} on 1 unit is always 1, since the outputs sum to 1; "
                "use sigmoid for a yes-or-no question, or 2 units"
            )

    def __str__(self) -> str:
        return f"{self.units} {self.activation.spelling}"

    def parameters(self, number: Label, inputs: Expr, outputs: Expr) -> tuple[Tensor, ...]:
        """W of shape (outputs, inputs) and b of shape (outputs,)."""
        return (
            Tensor("W", "parameter", number, (outputs, inputs), (UNIT, PREVIOUS_UNIT)),
            Tensor("b", "parameter", number, (outputs,), (UNIT,)),
        )

    def equations(
        self, number: Label, previous: Tensor, outputs: Expr, batch: tuple[tuple[Symbol, Expr], ...]
    ) -> tuple[Equation, ...]:
        """z of shape (*batch, outputs), then a of the same shape."""
        letters = tuple(letter for letter, _ in batch)
        extents = tuple(extent for _, extent in batch)
        inputs = previous.shape[-1]
        where = (*letters, UNIT)
        weights, bias = (tensor_name(tensor.key) for tensor in self.parameters(number, inputs, outputs))
        preactivation = Tensor("z", "preactivation", number, (*extents, outputs), where)
        activation = Tensor("a", "activation", number, (*extents, outputs), where)
        # The bare z is no function application: the page writes a = z.
        bare = self.activation.expression == z
        function = None if bare else FunctionName(self.activation.name, self.activation.latex)
        weighted = _weighted(letters, weights, tensor_name(previous.key), bias, inputs)
        applied = _applied(self.activation, where, tensor_name(preactivation.key), outputs)
        return Equation(preactivation, where, weighted), Equation(activation, where, applied, function)


def _weighted(letters: tuple[Symbol, ...], weights: Symbol, previous: Symbol, bias: Symbol, inputs: Expr) -> Expr:
    """The weighted inputs of a unit, and its bias."""
    if not isinstance(inputs, Symbol):
        return _sum_of_inputs(letters, weights, previous, bias, inputs)
    return _weighted_moulds(letters).cast((weights, previous, bias, inputs))


def _sum_of_inputs(letters: tuple[Symbol, ...], weights: Symbol, previous: Symbol, bias: Symbol, inputs: Expr) -> Expr:
    weighted = element(weights, (UNIT, PREVIOUS_UNIT)) * element(previous, (*letters, PREVIOUS_UNIT))
    return Sum(weighted, over(PREVIOUS_UNIT, inputs)) + element(bias, (UNIT,))


def _applied(activation: Activation, where: tuple[Symbol, ...], preactivation: Symbol, outputs: Expr) -> Expr:
    """The activation of a unit."""
    if not isinstance(outputs, Symbol):
        return activation.apply(element(preactivation, where), UNIT, outputs)
    return _applied_moulds(activation, where).cast((preactivation, outputs))


@lru_cache(maxsize=64)
def _weighted_moulds(letters: tuple[Symbol, ...]) -> Moulds:
    return Moulds(partial(_sum_of_inputs, letters), (*letters, UNIT, PREVIOUS_UNIT))


@lru_cache(maxsize=64)
def _applied_moulds(activation: Activation, where: tuple[Symbol, ...]) -> Moulds:
    def make(preactivation: Symbol, outputs: Expr) -> Expr:
        return activation.apply(element(preactivation, where), UNIT, outputs)

    return Moulds(make, where)
