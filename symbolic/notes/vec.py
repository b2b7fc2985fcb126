"""The note `vec`: components and explicit partial derivatives, in a network of M layers that count their input.

Corrected against the note: weights and biases carry the number of the layer that they lead to throughout; the number of
parameters counts one bias for each unit that has one; under the sum over m stands the component z_m; the bracket of the
fourth line of a hidden layer closes before the sum over m ends; the recursion ends at layer 2, the first that has
weights; dL/dw_js has the activation of the layer before.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Add, Sum

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.depth import DEPTH, LAYER
from symbolic.expressions import Entry
from symbolic.losses import LOSSES, Loss
from symbolic.matrixform import matrix_form
from symbolic.notations import NOTATIONS
from symbolic.notes.counting import ParameterCount
from symbolic.notes.exposition import (
    Block,
    Chain,
    Display,
    Dots,
    Exposition,
    Functions,
    Heading,
    Listing,
    Paragraph,
    Setting,
)
from symbolic.notes.moves import Telling, by
from symbolic.notes.settings import stretch
from symbolic.notes.stacking import in_one
from symbolic.rules import WRITE_AS_MATRICES, WRITE_OUT
from symbolic.tensors import Equation

# One sum of the note runs over a letter that is also that of a layer; the note's readers know it so.
NOTATION = NOTATIONS["vec"].replace(indices={"k": "k"})
# The architecture of which the parameters are counted.
WIDTHS = (3, 4, 2)

CORRECTIONS = (
    "Weights and biases carry one number throughout, that of the layer they lead to.",
    "The count of the parameters has one bias for each unit that has weights.",
    "Under the sum over the units of the next layer stands a component of its pre-activation, not the whole vector, "
    "and the bracket after the derivative sign holds the bias as well.",
    "The recursion ends at layer 2: layer 1 is the input and has no pre-activation.",
    "The derivative by a weight has the activation of the layer before, not of the layer itself.",
    "The activations have one letter from the start, and the loss of one example another letter than that of all.",
    "The loss of all examples is their mean from the start; the note adds up first and takes the mean at its end.",
)


def exposition(
    *, activation: Activation = ACTIVATIONS["sigmoid"], loss: Loss = LOSSES["half_squared_error"]
) -> Exposition:
    """The note's derivation, for another activation or loss too.

    activation: of every layer, elementwise. loss: of one example.
    """
    rest = Loss.undefined("R")
    last = stretch("the last two layers", [DEPTH - 1, DEPTH], [activation] * 2, loss)
    first = stretch("the first layers", [1, 2], [activation] * 2, rest)
    any_layer = stretch("any layer", [LAYER, LAYER + 1], [activation], rest)
    examples = stretch("any layer, N examples", [LAYER, LAYER + 1], [activation], rest, examples="N")
    mean = stretch("the last layer, N examples", [DEPTH], [activation], loss, examples="N")
    blocks: list[Block] = [
        *_notation(first, any_layer, last),
        *_training(first, last, mean),
        Heading("Main computations"),
        Paragraph("Wanted is the gradient {gradient}. Layer {range} computes", any_layer, {
            "gradient": rf"{NOTATION.nabla} {NOTATION.letters['loss']}", "range": _range("first", "depth"),
        }),
        Display([*_forward(any_layer)]),
        Paragraph("which is, for every unit {j} of the layer,", any_layer, {
            "j": any_layer.tensor("z[layer]").indices[-1],
        }),
        Display([_components(any_layer), (any_layer, any_layer.program.definitions["a[layer]"])], form="component"),
        Paragraph("The derivatives of deep layers give those of shallow ones. The last layer first:"),
        Display([_output(last)]),
        Paragraph("The layer before it, from the whole loss in terms of {z}:", last, {"z": last.tensor("z[depth-1]")}),
        Display([_hidden(last)]),
        Paragraph("Any layer {range} in the same way, from the one after it:", None, {
            "range": _range("before", "first"),
        }),
        Display([_recursion(any_layer)]),
        Paragraph("These derivatives give those by the biases and the weights, for {range}:", None, {
            "range": _range("first", "depth"),
        }),
        Display([_parameter(any_layer, "b[layer]")]),
        Display([_parameter(any_layer, "W[layer]")]),
        Heading("Many training examples"),
        Paragraph("For {N} examples the loss is, written out,", mean, {"N": mean.loss.shape[0]}),
        Display([Telling(mean, mean.tensor("J").element, form="matrix").put_in("J", "ell").chain()]),
        Paragraph("and every derivative by a parameter is the mean of what it is for one example:"),
        *(Display([Chain.of(examples, examples.derivation[key], "component")]) for key in ("db[layer]", "dW[layer]")),
        Heading("Where this differs from the note"),
        Listing(CORRECTIONS),
    ]  # fmt: skip
    return Exposition("vec", "Backpropagation, component by component", NOTATION, tuple(blocks))


def _range(start: str, end: str) -> str:
    """The layers from one number to another: k = 2, ..., M."""
    numbers = {
        "first": NOTATION.layer_number(1), "depth": NOTATION.depth, "before": NOTATION.layer_number(DEPTH - 1)
    }  # fmt: skip
    return rf"{NOTATION.any_layer} = {numbers[start]}, \dots, {numbers[end]}"


def _forward(setting: Setting) -> Iterator[tuple[Setting, Equation]]:
    for key in ("z[layer]", "a[layer]"):
        yield setting, setting.program.definitions[key]


def _notation(first: Setting, any_layer: Setting, last: Setting) -> list[Block]:
    weights, bias = any_layer.tensor("W[layer]"), any_layer.tensor("b[layer]")
    parts = {
        "depth": NOTATION.depth, "k": NOTATION.any_layer, "rows": weights.shape[0], "columns": weights.shape[1],
        "W": weights, "b": bias, "a": any_layer.tensor("a[layer]"), "previous": any_layer.tensor("a[layer-1]"),
    }  # fmt: skip
    return [
        Heading("Notation"),
        Paragraph(
            "There are {depth} layers, and the input is the first of them. Layer {k} has {rows} units; its activation "
            "is {a}, and that of the layer before it, with {columns} units, is {previous}. {W} is a matrix of {rows} "
            "rows and {columns} columns, {b} a vector of {rows} entries. The activation of the first layer is the "
            "input, and from it a pass forward computes",
            any_layer, parts,
        ),
        Display([
            in_one(first, "a1", "z1"), in_one(first, "a2", "z2"), Dots(), in_one(any_layer, "a[layer]", "z[layer]"),
            Dots(), in_one(last, "a[depth]", "z[depth]"),
        ], number="1"),
        Paragraph("where a function of a vector is taken entry by entry, and"),
        Display([Functions(last)]),
    ]  # fmt: skip


def _training(first: Setting, last: Setting, mean: Setting) -> list[Block]:
    theta, cost = NOTATION.letters["parameters"], NOTATION.letters["cost"]
    ends = [setting.printer(NOTATION) for setting in (first, last)]
    weights, biases = (
        r", \dots, ".join(
            printer.bare(setting.tensor(f"{name}{label}"))
            for printer, setting, label in zip(ends, (first, last), ("1", "[depth]"), strict=True)
        )
        for name in ("W", "b")
    )
    return [
        Heading("Training"),
        Paragraph("The output of the network is {a}, also called {output}. The loss of a single example is", last, {
            "a": last.tensor("a[depth]"), "output": rf"\hat{{{NOTATION.letters['target']}}}",
        }),
        Display([(last, last.program.definitions["ell"])], number="2"),
        Paragraph("and that of all examples, which a subscript {i} tells apart, is the mean", mean, {
            "i": mean.program.example,
        }),
        Display([(mean, mean.program.definitions["J"])], form="component"),
        Paragraph(
            "By (1) it depends on every weight and every bias; the targets are given. All parameters together are "
            "{theta}, a vector of {D} entries. In any network, and in one with layers of {widths} units,",
            last, {
                "D": "D", "widths": ", ".join(map(str, WIDTHS)), "theta": rf"{theta} = ({weights}, {biases})",
            },
        ),
        Display([ParameterCount("D", WIDTHS)]),
        Paragraph("Training looks for {least}, the parameters with the least loss.", None, {
            "least": rf"\arg\min_{{{theta}}} {cost}",
        }),
    ]  # fmt: skip


def _components(setting: Setting) -> Chain:
    """z_j as an entry of the whole, then of its parts, then as a sum."""
    equation = setting.program.definitions["z[layer]"]
    letters, extents, tensors = equation.indices, equation.tensor.shape, setting.tensors
    telling = Telling(setting, equation.lhs)
    telling.to(WRITE_OUT, Entry(matrix_form(equation.rhs, letters, tensors, None, extents), *letters))
    parts = (
        Entry(matrix_form(term, letters, tensors, None, extents), *letters) if isinstance(term, Sum) else term
        for term in Add.make_args(equation.rhs)
    )
    return telling.to(WRITE_AS_MATRICES, Add(*parts)).to(WRITE_OUT, equation.rhs).chain()


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
