"""The note `post`: a network of 3, 4 and 2 units, whole matrices, and the shape under every factor.

Corrected against the note: the delta that comes from the output is that of layer 2, also where the note writes a 3; the
bracket round W^2 in the definition of delta^1 encloses W^2; a vector times an array of three axes is written as the sum
that it stands for, over the units; what is differentiated has brackets; a step of gradient descent assigns. The note
defines each delta by a formula; that it is the derivative by the pre-activation is derived here.
"""

from __future__ import annotations

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.depth import DEPTH, LAYER, Label, label_text, width
from symbolic.losses import LOSSES, Loss
from symbolic.notations import NOTATIONS
from symbolic.notes.arrays import ArrayTelling, Named
from symbolic.notes.exposition import Block, Chain, Display, Exposition, Functions, Heading, Listing, Paragraph, Setting
from symbolic.notes.moves import by
from symbolic.notes.settings import stretch
from symbolic.notes.updates import Updates
from symbolic.rules import FUNCTION, WRITE_OUT
from symbolic.tensors import Equation, index

# Units of the input, of layer 1 and of layer 2.
WIDTHS = (3, 4, 2)

CORRECTIONS = (
    "The delta of the output layer is {delta2} throughout. From the derivative by {b2} on, the note often gives it the "
    "number 3, of a layer that this network does not have.",
    "In the definition of {delta1} the opening bracket stands right before {W2}, not before the sign of definition.",
    "The derivative of a vector by a matrix has three axes, and a vector cannot be multiplied by it as one multiplies "
    "matrices. What is meant is a sum over the units: for each of them a number times the derivative of one entry, "
    "which is a matrix.",
    "The whole expression under a derivative sign stands in brackets.",
    "On the way to {W1} the note goes from the sums of layer 2 to those of layer 1 in one step; between the two lies "
    "{a1}, with the derivative of its function.",
    "A step of gradient descent is an assignment.",
    "The number of a layer is a superscript, and the network has two layers with weights.",
)


def exposition(
    *, activation: Activation = ACTIVATIONS["sigmoid"], loss: Loss = LOSSES["half_squared_error"]
) -> Exposition:
    """The note's derivation, for another activation or loss too.

    activation: of every layer, elementwise. loss: of one example.
    """
    sizes = {width(label): units for label, units in enumerate(WIDTHS)}
    network = stretch("network", [1, 2], [activation] * 2, loss, sizes=sizes, concrete=True)
    any_layer = stretch("any layer", [LAYER, LAYER + 1], [activation], Loss.undefined("R"))
    last = stretch("last layer", [DEPTH], [activation], loss)
    blocks: list[Block] = [
        *_forward(any_layer, network),
        *_training(any_layer, network),
        *_output(network),
        *_hidden(network),
        *_summary(network),
        *_deeper(any_layer, last),
        Heading("Where this differs from the note"),
        Listing([Paragraph(text, network, network.tensors) for text in CORRECTIONS]),
    ]
    return Exposition("post", "Gradients as whole matrices, with their shapes", NOTATIONS["post"], tuple(blocks))


# ---------------------------------------------------------------------- chains


def _delta(setting: Setting, label: Label) -> ArrayTelling:
    """The derivative by the pre-activation of a layer, through its activation."""
    at = label_text(label)
    telling = ArrayTelling(setting, by(setting, f"z{at}"), f"delta{at}")
    telling.through(f"a{at}").diagonal().slope().at_once(2, FUNCTION).known(f"a{at}")
    return telling


def _named(setting: Setting, label: Label) -> Chain:
    """The same as the definition of the layer's delta, in components."""
    return _delta(setting, label).chain(setting.tensor(f"delta{label_text(label)}").element)


def _defined(setting: Setting, label: Label) -> Named:
    """The name of the derivative by the pre-activation of a layer, and what it stands for."""
    return Named(_delta(setting, label).whole(setting.tensor(f"delta{label_text(label)}").element))


def _shown(setting: Setting, label: Label) -> Chain:
    """That it is that derivative."""
    return _delta(setting, label).named(_named(setting, label)).whole()


def _from_output(network: Setting, key: str) -> ArrayTelling:
    """dC/dv = Sum_i (a_i - t_i) f'(z_i) dz_i/dv, with the units i of the output."""
    telling = ArrayTelling(network, by(network, key), f"d{key}")
    telling.through("a2", letter="i").known("a2")
    telling.through("z2").diagonal().slope().at_once(3)
    return telling


def _carried_out(telling: ArrayTelling) -> ArrayTelling:
    """Sum_i u_i dz_i/dv, with v of the same layer, differentiated."""
    telling.written_out("s", once=True).carried_out().moved_out().at_once(2)
    return telling


def _by_output_layer(network: Setting, key: str) -> Chain:
    return _carried_out(_from_output(network, key)).named(_named(network, 2)).whole()


def _to_hidden_layer(network: Setting, key: str) -> ArrayTelling:
    """From the output to layer 1, and dC/dv = Sum_m (W^T delta)_m f'(z_m) dz_m/dv carried out."""
    telling = _from_output(network, key).named(_named(network, 2))
    telling.written_out("k", once=True).carried_out("m").exchanged().at_once(2)
    telling.through("z1").diagonal().slope().at_once(3)
    return _carried_out(telling)


def _by_hidden_layer(network: Setting, key: str) -> Chain:
    return _to_hidden_layer(network, key).named(_named(network, 1)).whole()


def _by_any_layer(setting: Setting, key: str) -> Chain:
    telling = ArrayTelling(setting, by(setting, f"{key}[layer]"), f"d{key}").through("z[layer]")
    return _carried_out(telling.named(_named(setting, LAYER))).whole()


def _forward_in_one(setting: Setting) -> Chain:
    """The activation of a layer from that of the layer before."""
    telling = ArrayTelling(setting, setting.tensor("a[layer]").element, "a")
    return telling.to(WRITE_OUT, telling.unfolded(telling.head, "a[layer-1]", "s")).whole()


# ---------------------------------------------------------------------- sections


def _definitions(setting: Setting, *keys: str) -> list[tuple[Setting, Equation]]:
    return [(setting, setting.program.definitions[key]) for key in keys]


def _forward(any_layer: Setting, network: Setting) -> list[Block]:
    notation = NOTATIONS["post"]
    parts = {
        "l": notation.any_layer, "a": any_layer.tensor("a[layer]"), "W": any_layer.tensor("W[layer]"),
        "b": any_layer.tensor("b[layer]"), "z": any_layer.tensor("z[layer]"),
    }  # fmt: skip
    everything = {leaf.key: leaf for leaf in network.program.leaves} | network.program.tensors
    return [
        Heading("Forward"),
        Paragraph(
            "The values of layer {l} are the column {a}. {W} is the matrix of the weights that lead to the layer, "
            "{b} the column of its biases. A pass forward computes", any_layer, parts,
        ),
        Display([_forward_in_one(any_layer)], labels=False),
        Paragraph("With a letter {z} for what the function is applied to, this is", any_layer, parts),
        Display(_definitions(any_layer, "a[layer]", "z[layer]"), columns=2),
        Paragraph("where the function is taken entry by entry,"),
        Display([Functions(network)]),
        Paragraph(
            "From here on the network has {n} inputs {x}, {m} units in layer 1 and {k} units in layer 2:", network,
            {"x": network.tensor("x"), "n": network.tensor("x").shape[0], "m": network.tensor("a1").shape[0],
             "k": network.tensor("a2").shape[0]},
        ),
        Display(_definitions(network, "z1", "a1", "z2", "a2"), columns=2),
        Paragraph(
            "The shapes are {W1}, {W2}, and {x}, {b1}, {z1}, {a1}, {b2}, {z2}, {a2}, {y}. Written under every factor:",
            network, everything, shapes=True,
        ),
        Display(_definitions(network, "z1", "z2"), shapes=True),
    ]  # fmt: skip


def _training(any_layer: Setting, network: Setting) -> list[Block]:
    tensors = network.program.tensors
    return [
        Paragraph("The output {a2} is to come near to the target {y}. The cost is", network, tensors),
        Display(_definitions(network, "ell")),
        Paragraph("Gradient descent makes it smaller by steps against its derivatives:"),
        Display([Updates(any_layer, ("W", "b"), network, (1, 2))], columns=3),
    ]


def _output(network: Setting) -> list[Block]:
    weights, bias, delta = _by_output_layer(network, "W2"), _by_output_layer(network, "b2"), _defined(network, 2)
    tensors, sign, i = network.tensors, NOTATIONS["post"].hadamard, index("i")
    at = NOTATIONS["post"].index(i)
    return [
        Heading("Layer 2"),
        Paragraph(
            "First the weights {W2}. Every unit of the output gives a number times the derivative of one entry by the "
            "whole matrix:",
            network, tensors,
        ),
        Display([weights.until(4)]),
        Paragraph(
            "Entry {i} of the bracket holds row {i} of {W2} alone, and its derivative has {a1} in that row and 0 in "
            "the others. Put together, that is a column times a row. With {hadamard} for the product entry by "
            "entry, {entry},",
            network, {**tensors, "i": i, "hadamard": sign, "entry": rf"(A {sign} B)_{at} = A_{at} B_{at}"},
        ),
        Display([weights.since(4)]),
        Paragraph("where"),
        Display([delta]),
        Paragraph("which is the derivative by {z2}:", network, tensors),
        Display([_shown(network, 2)]),
        Paragraph("With its shape under every factor:"),
        Display([weights.final, delta.chain.final], shapes=True, labels=False),
        Paragraph("In the same way, for the bias {b2},", network, tensors),
        Display([bias]),
        Display([bias.final], shapes=True, labels=False),
    ]  # fmt: skip


def _hidden(network: Setting) -> list[Block]:
    weights, bias, delta = _by_hidden_layer(network, "W1"), _by_hidden_layer(network, "b1"), _defined(network, 1)
    tensors = network.tensors
    return [
        Heading("Layer 1"),
        Paragraph(
            "The weights {W1} act through layer 1 and then through layer 2. What comes back through layer 2 is "
            "{delta2} again, and layer 1 adds up over its own units.",
            network, tensors,
        ),
        Display([weights]),
        Paragraph("where"),
        Display([delta]),
        Paragraph("which is the derivative by {z1}:", network, tensors),
        Display([_shown(network, 1)]),
        Paragraph("With the shapes:"),
        Display([weights.final, delta.chain.final], shapes=True, labels=False),
        Paragraph("In the same way, for the bias {b1},", network, tensors),
        Display([bias]),
        Display([bias.final], shapes=True, labels=False),
    ]  # fmt: skip


def _summary(network: Setting) -> list[Block]:
    parts: list[Chain | Named] = [
        _by_output_layer(network, "W2").final, _by_output_layer(network, "b2").final, _defined(network, 2),
        _by_hidden_layer(network, "W1").final, _by_hidden_layer(network, "b1").final, _defined(network, 1),
    ]  # fmt: skip
    return [Heading("Summary"), Display(parts, columns=3, boxed=True)]


def _deeper(any_layer: Setting, last: Setting) -> list[Block]:
    notation = NOTATIONS["post"]
    letter, first, before = notation.any_layer, notation.layer_number(1), notation.layer_number(DEPTH - 1)
    parts = {
        "depth": notation.depth, "down": rf"{letter} = {before}, \dots, {first}",
        "up": rf"{letter} = {first}, \dots, {notation.depth}", "output": last.tensor("z[depth]"),
        "sums": any_layer.tensor("z[layer]"),
    }  # fmt: skip
    return [
        Heading("More layers"),
        Paragraph(
            "The pattern is the same for {depth} layers, however many. At the output,", last, parts
        ),
        Display([_defined(last, DEPTH)]),
        Paragraph("which is the derivative by {output}:", last, parts),
        Display([_shown(last, DEPTH)]),
        Paragraph("For {down}, whatever follows,", any_layer, parts),
        Display([_defined(any_layer, LAYER)]),
        Paragraph("which is the derivative by {sums}:", any_layer, parts),
        Display([_shown(any_layer, LAYER)]),
        Paragraph("And for {up},", any_layer, parts),
        Display([_by_any_layer(any_layer, "W")]),
        Display([_by_any_layer(any_layer, "b")]),
    ]  # fmt: skip
