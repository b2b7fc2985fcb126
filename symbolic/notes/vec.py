"""The note `vec`: components and explicit partial derivatives, in a network of M layers that count their input.

Corrected against the note: weights and biases carry the number of the layer that they lead to throughout; the number of
parameters counts one bias for each unit that has one; under the sum over m stands the component z_m; the bracket of the
fourth line of a hidden layer closes before the sum over m ends; the recursion ends at layer 2, the first that has
weights; dL/dw_js has the activation of the layer before.
"""

from __future__ import annotations

from collections.abc import Iterator

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.depth import DEPTH, LAYER
from symbolic.losses import LOSSES, Loss
from symbolic.notations import NOTATIONS
from symbolic.notes.counting import ParameterCount
from symbolic.notes.exposition import Block, Chain, Display, Exposition, Functions, Heading, Listing, Paragraph, Setting
from symbolic.notes.moves import Telling, by
from symbolic.notes.settings import stretch
from symbolic.tensors import Equation

# The architecture of which the parameters are counted.
WIDTHS = (3, 4, 2)

CORRECTIONS = (
    "Weights and biases carry one number throughout, that of the layer they lead to.",
    "The count of the parameters has one bias for each unit that has weights.",
    "Under the sum over the units of the next layer stands a component of its pre-activation, not the whole vector, "
    "and the bracket after the derivative sign holds the bias as well.",
    "The recursion ends at layer 2: layer 1 is the input and has no pre-activation.",
    "The derivative by a weight has the activation of the layer before, not of the layer itself.",
    "The losses of all examples are added up under a letter of their own.",
)


def exposition(
    *, activation: Activation = ACTIVATIONS["sigmoid"], loss: Loss = LOSSES["half_squared_error"]
) -> Exposition:
    """The note's derivation, for another activation or loss too.

    activation: of every layer, elementwise. loss: of one example.
    """
    last = stretch("the last two layers", [DEPTH - 1, DEPTH], [activation] * 2, loss)
    rest = Loss.undefined("R")
    any_layer = stretch("any layer", [LAYER, LAYER + 1], [activation], rest)
    examples = stretch("any layer, N examples", [LAYER, LAYER + 1], [activation], rest, examples="N")
    batch = stretch("the last layer, N examples", [DEPTH], [activation], loss, examples="N")
    blocks: list[Block] = [
        *_notation(any_layer),
        *_training(last),
        Heading("Main computations"),
        Paragraph("In components, for {k} = {first}, ..., {depth} and every unit {j} of layer {k}:", any_layer, {
            **_numbers(), "j": any_layer.tensor("z[layer]").indices[-1],
        }),
        Display([*_forward(any_layer)], form="component"),
        Paragraph("The derivatives of deep layers give those of shallow ones. The last layer first:"),
        Display([_output(last)]),
        Paragraph("The layer before it. The first line writes out the whole loss in terms of {z}:", last, {
            "z": last.tensor("z[depth-1]"),
        }),
        Display([_hidden(last)]),
        Paragraph("Any layer {k} = {before}, ..., {first} in the same way, from the one after it:", any_layer,
                  _numbers()),
        Display([_recursion(any_layer)]),
        Paragraph("These derivatives give those by the biases and the weights, for {k} = {first}, ..., {depth}:",
                  any_layer, _numbers()),
        Display([_parameter(any_layer, "b[layer]")]),
        Display([_parameter(any_layer, "W[layer]")]),
        Heading("Many training examples"),
        Paragraph("For N examples the loss is the mean; a subscript {i} says which example is meant:", batch, {
            "i": batch.program.example,
        }),
        Display([(batch, batch.program.definitions["J"])], form="component"),
        Paragraph("and every derivative by a parameter is the mean of what it is for one example:"),
        *(Display([Chain.of(examples, examples.derivation[key], "component")]) for key in ("db[layer]", "dW[layer]")),
        Heading("Where this differs from the note"),
        Listing(CORRECTIONS),
    ]  # fmt: skip
    return Exposition("vec", "Backpropagation", NOTATIONS["vec"], tuple(blocks))


def _numbers() -> dict[str, str]:
    notation = NOTATIONS["vec"]
    return {
        "k": notation.any_layer, "depth": notation.depth, "before": notation.layer_number(DEPTH - 1),
        "first": notation.layer_number(1),
    }  # fmt: skip


def _forward(setting: Setting) -> Iterator[tuple[Setting, Equation]]:
    for key in ("z[layer]", "a[layer]"):
        yield setting, setting.program.definitions[key]


def _notation(any_layer: Setting) -> list[Block]:
    weights, bias = any_layer.tensor("W[layer]"), any_layer.tensor("b[layer]")
    parts = {
        **_numbers(), "rows": weights.shape[0], "columns": weights.shape[1], "W": weights, "b": bias,
        "a": any_layer.tensor("a[layer]"), "previous": any_layer.tensor("a[layer-1]"),
    }  # fmt: skip
    return [
        Heading("Notation"),
        Paragraph(
            "There are {depth} layers, and the input is the first of them. Layer {k} has {rows} units; its activation "
            "is {a}, and that of the layer before it, with {columns} units, is {previous}. {W} is a matrix of {rows} "
            "rows and {columns} columns, {b} a vector of {rows} entries. For {k} = {first}, ..., {depth}:",
            any_layer, parts,
        ),
        Display([*_forward(any_layer)]),
    ]  # fmt: skip


def _training(last: Setting) -> list[Block]:
    notation = NOTATIONS["vec"]
    return [
        Paragraph("where a function of a vector is taken entry by entry, and"),
        Display([Functions(last)]),
        Heading("Training"),
        Paragraph(
            "The output is {a}. The loss of a single example is", last, {"a": last.tensor("a[depth]")}
        ),
        Display([(last, last.program.definitions["ell"])]),
        Paragraph(
            "It depends on every weight and every bias. All of them together are {theta}, a vector of {D} entries; in "
            "a network of layers with {widths} units:",
            last, {"D": "D", "theta": notation.letters["parameters"], "widths": ", ".join(map(str, WIDTHS))},
        ),
        Display([ParameterCount("D", WIDTHS)]),
    ]  # fmt: skip


def _output(last: Setting) -> Chain:
    telling = Telling(last, by(last, "z[depth]")).through("a[depth]").diagonal().at_once()
    return telling.slope().known("a[depth]").evaluated().tidied().chain()


def _hidden(last: Setting) -> Chain:
    telling = Telling(last, by(last, "z[depth-1]")).written_out().through("z[depth]", inner=True).summed()
    return telling.written_out("s").carried_out().as_entries().evaluated().chain()


def _recursion(any_layer: Setting) -> Chain:
    telling = Telling(any_layer, by(any_layer, "z[layer]")).through("z[layer+1]", inner=True).summed()
    return telling.written_out("s").carried_out().as_entries().evaluated().chain()


def _parameter(any_layer: Setting, key: str) -> Chain:
    return Telling(any_layer, by(any_layer, key)).through("z[layer]").diagonal().at_once().evaluated().chain()
