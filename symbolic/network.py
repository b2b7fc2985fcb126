"""Networks: layers in a row with a loss, from an architecture string or a list, made into a Program."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sympy import Add, Expr, Integer, Sum, Symbol, prod

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.architecture import read_architecture
from symbolic.depth import Label
from symbolic.errors import ArchitectureError, NameRefused, UsageError, warn
from symbolic.layers import EXAMPLE, UNIT, Layer, checked_size, checked_size_name
from symbolic.losses import LOSSES, Loss, find_loss
from symbolic.programs import Program
from symbolic.tensors import Equation, Fact, Tensor, over, size

if TYPE_CHECKING:
    from symbolic.general import GeneralNetwork

REDUCTIONS = ("mean", "sum")
# Above this many parameters the arrays alone need 8 GB in float64, and the gradients as much again.
MOST_PARAMETERS = 10**9
_BYTES = 8


@dataclass(frozen=True, init=False)
class Network:
    """Layers in a row, from the input to a loss.

    inputs:    number of input units, an int or the name of a size that stays open.
    layers:    at least one; each place has parameters of its own. One layer object may not stand at two
               places, because it would look as if the places shared their parameters; equal layers may.
    loss:      a name of LOSSES, "c(y,h)" for an undefined cost, or a Loss. It is summed over an example's
               outputs.
    reduction: "mean" or "sum" of the loss over the examples.
    examples:  name of the number of examples, or None for the equations of one example.

    Raises:
        ArchitectureError: sizes, layers, activations and loss that do not fit together.
        NameRefused: a size or function whose name cannot be used.
    Warns:
        DeltaformWarning: something allowed but probably not meant, such as softmax in a hidden layer.
    """

    inputs: int | Symbol
    layers: tuple[Layer, ...]
    loss: Loss
    reduction: str = "mean"
    examples: str | None = "N"

    def __init__(
        self, inputs: int | str | Symbol, layers: Any, loss: str | Loss, reduction: str = "mean",
        examples: str | Symbol | None = "N",
    ) -> None:  # fmt: skip
        object.__setattr__(self, "inputs", checked_size(inputs, "inputs"))
        object.__setattr__(self, "layers", _checked_layers(layers))
        object.__setattr__(self, "loss", find_loss(loss))
        object.__setattr__(self, "reduction", checked_reduction(reduction))
        object.__setattr__(self, "examples", checked_examples(examples))
        self._check_names()
        self._check_memory()
        self._check_facts()

    @classmethod
    def parse(cls, text: str, reduction: str = "mean", examples: str | Symbol | None = "N") -> Network:
        """Read `SIZE -> SIZE [ACTIVATION] -> ... ; LOSS`, such as "784 -> 128 relu -> 10 softmax;
        cross_entropy".

        SIZE is a number or a name, ACTIVATION a name of ACTIVATIONS or g(z) (identity if left out), LOSS a
        name of LOSSES or c(y,h). White space is free.

        Raises:
            ArchitectureSyntaxError: the text cannot be read; says the column and draws a caret.
            ArchitectureError: it can be read, but makes no network.
        """
        inputs, layers, loss = read_architecture(text)
        return cls(inputs, layers, loss, reduction, examples)

    @staticmethod
    def general(
        hidden: str | Activation,
        output: str | Activation,
        loss: str | Loss,
        reduction: str = "mean",
        examples: str | Symbol | None = "N",
    ) -> GeneralNetwork:
        """Dense layers of open sizes, as many as you like: see `symbolic.general.GeneralNetwork`.

        hidden, output: activation of every layer but the last, and of the last; a single letter such as "g" is
                        an undefined function.
        """
        from symbolic.general import GeneralNetwork

        return GeneralNetwork(hidden, output, loss, reduction, examples)

    def replace(self, **changes: Any) -> Network:
        """The same network with other fields: network.replace(examples=None)."""
        return dataclasses.replace(self, **changes)

    def __str__(self) -> str:
        return " -> ".join([str(self.inputs), *map(str, self.layers)]) + f"; {self.loss.spelling}"

    @property
    def widths(self) -> tuple[Symbol, ...]:
        """The size symbols of the input and of each layer: n_0, n_1, ..., or those given."""
        given = (self.inputs, *(layer.units for layer in self.layers))
        return tuple(units if isinstance(units, Symbol) else size(f"n_{place}") for place, units in enumerate(given))

    @property
    def sizes(self) -> dict[Symbol, int]:
        """The numbers of the size symbols that are known."""
        given = (self.inputs, *(layer.units for layer in self.layers))
        return {
            symbol: units for symbol, units in zip(self.widths, given, strict=True) if not isinstance(units, Symbol)
        }

    @property
    def parameters(self) -> dict[str, tuple[int | Expr, ...]]:
        """Shape of each parameter by its key, numbers where known: {"W1": (128, 784), "b1": (128,)}."""
        known = self.sizes
        return {t.key: tuple(known.get(extent, extent) for extent in t.shape) for t in self._parameter_tensors()}

    @property
    def parameter_count(self) -> int | Expr:
        """How many numbers the parameters are: an int, or an expression in the sizes that stay open."""
        counts: list[int | Expr] = [prod(shape) for shape in self.parameters.values()]
        open_counts = [count for count in counts if isinstance(count, Expr) and not isinstance(count, Integer)]
        known = sum(int(count) for count in counts if isinstance(count, (int, Integer)))
        return Add(known, *open_counts) if open_counts else known

    def program(self) -> Program:
        """The network's forward equations, to the cost over the examples or to the loss of one example."""
        widths = self.widths
        batch = examples_axis(self.examples)
        data = row_tensor("x", "input", None, widths[0], batch)
        target = row_tensor("y", "target", None, widths[-1], batch)
        equations: list[Equation] = []
        previous = data
        for number, layer in enumerate(self.layers, start=1):
            equations.extend(layer.equations(number, previous, widths[number], batch))
            previous = equations[-1].tensor
        contribution = self.loss.apply(target.element, previous[target.indices])
        equations.extend(objective_equations(contribution, widths[-1], batch, self.reduction))
        return Program(
            leaves=(data, target, *self._parameter_tensors()),
            equations=tuple(equations),
            facts=target_facts(self.loss, target),
            sizes=self.sizes,
            intervals=target_intervals(self.loss, target),
            example=None if self.examples is None else EXAMPLE,
            sense=self.loss.sense,
            title=str(self),
        )

    def _parameter_tensors(self) -> list[Tensor]:
        widths = self.widths
        return [
            tensor
            for number, layer in enumerate(self.layers, start=1)
            for tensor in layer.parameters(number, widths[number - 1], widths[number])
        ]

    def _check_names(self) -> None:
        given = (self.inputs, *(layer.units for layer in self.layers))
        symbols = {units.name for units in given if isinstance(units, Symbol)}
        taken = symbols | {self.examples}
        for place, units in enumerate(given):
            if not isinstance(units, Symbol) and f"n_{place}" in taken:
                raise NameRefused(
                    f"size n_{place} is what the {units} units of layer {place} are called; give the open "
                    "size another name"
                )
        if self.examples in symbols:
            raise NameRefused(f"size {self.examples!r} is the number of examples; give one of them another name")
        check_function_names([*(layer.activation for layer in self.layers), self.loss], taken)

    def _check_memory(self) -> None:
        known = self.sizes
        shapes = [[known.get(extent, 1) for extent in tensor.shape] for tensor in self._parameter_tensors()]
        count = sum(int(prod(shape)) for shape in shapes)
        if count > MOST_PARAMETERS:
            widest = max(known.values())
            raise ArchitectureError(
                f"width {widest}: the network has {count} parameters, {count * _BYTES / 1e9:,.0f} GB in "
                f"float64; at most {MOST_PARAMETERS} are allowed. For the derivation alone, write a name "
                "such as n in place of the number"
            )

    def _check_facts(self) -> None:
        activations = [layer.activation for layer in self.layers]
        check_facts(activations, range(1, len(activations) + 1), self.loss, self.layers[-1].units)


def examples_axis(examples: str | None) -> tuple[tuple[Symbol, Expr], ...]:
    """The axes that every tensor begins with, ((p, N),) or (), from the name of the number of examples."""
    return () if examples is None else ((EXAMPLE, size(examples)),)


def row_tensor(
    name: str, role: str, layer: Label | None, units: Expr, batch: tuple[tuple[Symbol, Expr], ...]
) -> Tensor:
    """A tensor with one entry for each unit of a layer, for each example: shape (*batch, units)."""
    return Tensor(name, role, layer, (*(extent for _, extent in batch), units), (*(p for p, _ in batch), UNIT))


def objective_equations(
    contribution: Expr, units: Expr, batch: tuple[tuple[Symbol, Expr], ...], reduction: str
) -> tuple[Equation, ...]:
    """The loss of one example, `contribution` summed over the output units, and the cost of all examples, if any."""
    letters, extents = tuple(letter for letter, _ in batch), tuple(extent for _, extent in batch)
    loss = Tensor("ell", "loss", None, extents, letters)
    equations = (Equation(loss, letters, Sum(contribution, over(UNIT, units))),)
    if not batch:
        return equations
    total = Sum(loss[letters], over(letters[0], extents[0]))
    return (*equations, Equation(Tensor("J", "cost"), (), total / extents[0] if reduction == "mean" else total))


def target_facts(loss: Loss, target: Tensor) -> tuple[Fact, ...]:
    """What a loss declares of its targets, as facts of a program."""
    total = Sum(target.element, over(UNIT, target.shape[-1]))
    return (Fact(total, Integer(1), "the target's entries sum to 1"),) if loss.target_sums_to_one else ()


def target_intervals(loss: Loss, target: Tensor) -> dict[str, tuple[int, int]]:
    """Between which values a loss declares its targets to lie, by the target's key."""
    return {} if loss.target_interval is None else {target.key: loss.target_interval}


def check_function_names(functions: Iterable[Activation | Loss], sizes: set[str | None]) -> None:
    """Raise NameRefused if two functions, or a function and a size, share a name."""
    meanings: dict[str, Expr] = {}
    for function in functions:
        if meanings.setdefault(function.name, function.expression) != function.expression:
            raise NameRefused(
                f"{function.name!r} is the name of two different functions; give one of them another name"
            )
        if function.name in sizes:
            raise NameRefused(f"{function.name!r} is a size and a function; give one of them another name")


def check_facts(activations: Sequence[Activation], numbers: Sequence[Label], loss: Loss, units: int | Symbol) -> None:
    """Whether activations and loss fit, by the facts that they declare. What is unknown is allowed.

    numbers: the layers that the activations belong to, the last one included. units: of the last layer.
    """
    last, number = activations[-1], numbers[-1]
    where = f"layer {number}: activation {last.name} with loss {loss.name}"
    allowed = loss.output_interval
    if allowed is not None and last.interval is not None and not _within(last.interval, allowed):
        raise ArchitectureError(
            f"{where}: the outputs lie in {_interval(last.interval)}, but the loss is defined for "
            f"{_interval(allowed)}; {_way_out(last, loss)}"
        )
    if last.sums_to_one is False and loss.output_distribution == "required":
        raise ArchitectureError(
            f"{where}: the loss needs outputs that sum to 1 over the classes, and these do not; {_way_out(last, loss)}"
        )
    if last.sums_to_one and loss.output_distribution == "refused":
        raise ArchitectureError(
            f"{where}: the outputs sum to 1, but the loss takes every unit for a yes-or-no question of "
            f"its own; {_way_out(last, loss)}"
        )
    if loss.target_sums_to_one and units == 1:
        raise ArchitectureError(
            f"layer {number}: 1 unit with loss {loss.name}: targets that sum to 1 are then always "
            "1; use 2 units, or a loss for yes-or-no questions such as binary_cross_entropy"
        )
    if last.sums_to_one and loss.output_distribution == "discouraged":
        warn(
            f"{where}: the outputs sum to 1, and this loss learns slowly from such outputs once they "
            f"are wrong and sure; {_way_out(last, loss)}"
        )
    for (first, place), (second, next_place) in pairwise(zip(activations, numbers, strict=True)):
        if first.sums_to_one and second.sums_to_one:
            warn(
                f"layers {place} and {next_place}: {first.name} twice in a row makes the outputs nearly "
                "equal; keep it in the last layer only"
            )
        elif first.sums_to_one:
            warn(
                f"layer {place}: {first.name} in a hidden layer makes its outputs sum to 1, so one of "
                "them says nothing; it belongs into the last layer; use relu or tanh here"
            )


def _way_out(last: Activation, loss: Loss) -> str:
    """The table's activations that fit this loss, and its losses that fit this activation."""
    activations = ", ".join(a.name for a in ACTIVATIONS.values() if _fits(a, loss))
    losses = ", ".join(other.name for other in LOSSES.values() if _fits(last, other))
    return f"with {loss.name} use {activations}" + (f", or with {last.name} use {losses}" if losses else "")


def _fits(activation: Activation, loss: Loss) -> bool:
    inside = (
        activation.interval is None
        or loss.output_interval is None
        or _within(activation.interval, loss.output_interval)
    )
    asked = ("required", "unknown") if activation.sums_to_one else ("refused", "discouraged", "unknown")
    return inside and (activation.sums_to_one is None or loss.output_distribution in asked)


def _within(inner: tuple[Any, Any], outer: tuple[Any, Any]) -> bool:
    return bool(inner[0] >= outer[0]) and bool(inner[1] <= outer[1])


def _interval(ends: tuple[Any, Any]) -> str:
    return f"({ends[0]}, {ends[1]})"


def _checked_layers(layers: Any) -> tuple[Layer, ...]:
    if isinstance(layers, str) or not hasattr(layers, "__iter__"):
        raise ArchitectureError(
            f"layers must be a list of layers such as [Dense(10, 'softmax')], not {ascii(layers)[:60]}"
        )
    row = tuple(layers)
    if not row:
        raise ArchitectureError("layers is empty; a network needs at least one layer, such as Dense(10, 'softmax')")
    places: dict[int, int] = {}
    for number, layer in enumerate(row, start=1):
        if isinstance(layer, type) or not all(
            hasattr(layer, a) for a in ("units", "activation", "parameters", "equations")
        ):
            raise ArchitectureError(
                f"layer {number} must be a layer such as Dense(128, 'relu'), not {ascii(layer)[:60]}"
            )
        first = places.setdefault(id(layer), number)
        if first != number:
            raise ArchitectureError(
                f"layers {first} and {number} are one object, Dense or other; sharing parameters cannot be "
                "declared, and each "
                "layer has parameters of its own: write the layer anew, as in [Dense(8, 'tanh') for _ in "
                "range(2)]"
            )
    return row


def checked_reduction(reduction: object) -> str:
    """`reduction` if it is a word of REDUCTIONS."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise UsageError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
    return reduction


def checked_examples(examples: object) -> str | None:
    """The name of the number of examples, from a name or a symbol; None stays None."""
    if examples is None:
        return None
    name = examples.name if isinstance(examples, Symbol) else examples
    if not isinstance(name, str):
        raise UsageError(f"examples must be the name of the number of examples, such as 'N', or None, not {examples!r}")
    # N is reserved for every other use because it is the number of examples.
    return name if name == "N" else checked_size_name(name, "examples")
