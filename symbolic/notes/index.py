"""The note `index`: sums over indices, one cost c for each output node, and a cost C to be maximised; (1) to (17).

Of f and c nothing is assumed up to (10). What follows is the same formulas where less is open: other layers, a known f
and c, one output node, two layers; see `indexsystems`.

Corrected against the note: the bias in (1) is w_{0 n_{l+1}}^l both times; (4) is differentiated by w^l; the sum in (7)
runs over n_{l+2}; the derivative in (8) has its second d; (10) is preceded by derivatives of c_{n_L}^p, not of c^p; in
(7) and (9) to (11) the index of c stays apart from the others that run over the last layer's nodes; the first line of
(11) holds for a node's own cost, by another output node the derivative is 0, which the recursion needs; in (12) and
(13) the sum over n_l has one term only where l = L, and stays before; one output node has no index anywhere; in (14)
the sums end at P; a^1 carries p, 1 above throughout (14) to (17); a^0 is x^p in every component.
"""

from __future__ import annotations

from dataclasses import replace

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.depth import DEPTH, LAYER, Label, width
from symbolic.expressions import FunctionDerivative, TotalDerivative
from symbolic.losses import LOSSES, Loss
from symbolic.notations import NOTATIONS
from symbolic.notes.exposition import (
    Block,
    Chain,
    Display,
    Exposition,
    Functions,
    Heading,
    Listing,
    Paragraph,
    Part,
    Setting,
)
from symbolic.notes.indexsystems import EXAMPLE, LATER, OUTPUT, General, Known, OneOutput, TwoLayers
from symbolic.notes.results import folded

NOTATION = NOTATIONS["index"]


def exposition(*, activation: Activation = ACTIVATIONS["sigmoid"], loss: Loss = LOSSES["log_likelihood"]) -> Exposition:
    """The note's derivation, specialised to another activation or loss too.

    activation: of every layer from section 2 on, elementwise. loss: of one output node, from section 2 on.
    """
    general = General(loss.sense)
    known = Known(general, activation, loss)
    one = OneOutput(general, known)
    two = TwoLayers(known, one)
    blocks = (
        *_definitions(general, known), *_any_layer(general), *_known(known), *_one_output(one), *_two_layers(two),
        *_differences(general, known, two),
    )  # fmt: skip
    return Exposition("index", "Backpropagation by indices", NOTATION, blocks)


def _say(text: str, setting: Setting, **parts: Part) -> Paragraph:
    """Running text; the numbers of layers are known to all of it."""
    labels = {"l": LAYER, "L": DEPTH, "next": LAYER + 1, "before": LAYER - 1}
    numbers = {name: NOTATION.layer_number(label) for name, label in labels.items()}
    return Paragraph(text, setting, {**numbers, **parts})


def _system(number: str, *chains: Chain) -> Display:
    return Display([folded(chain) for chain in chains], number=number, braced=True, labels=False)


def _related(one: Label, other: Label, sign: str = "=") -> str:
    return f"{NOTATION.layer_number(one)} {sign} {NOTATION.layer_number(other)}"


def _range(last: Label) -> str:
    """l = 2, ..., last."""
    return rf"{_related(LAYER, 2)}, \ldots, {NOTATION.layer_number(last)}"


def _features() -> str:
    """The features of an example, in the letters that are usual for them."""
    return rf"\mathbf{{x}}^{{{NOTATION.index(EXAMPLE)}}} = (x_1, \ldots, x_q, \ldots, x_Q)"


def _definitions(general: General, known: Known) -> tuple[Block, ...]:
    setting, tensor = general.setting, general.setting.tensor
    parts: dict[str, Part] = {
        "width": width(LAYER), "outputs": width(DEPTH), "inputs": NOTATION.width_of(0), "n": NOTATION.unit_of(LAYER, 0),
        "Q": "Q", "features": _features(),
        "P": NOTATION.examples, "p": EXAMPLE, "f": NOTATION.function("f"), "cost": tensor("ell")[EXAMPLE, OUTPUT],
        "C": tensor("J"), "y": tensor("y")[EXAMPLE, OUTPUT],
        "d": known.naming.printer(NOTATION).doprint(known.naming.tensor("d").element),
        "h": tensor("a[depth]")[EXAMPLE, OUTPUT],
        "z": tensor("z[layer]").element, "a": tensor("a[layer]").element, "w": tensor("W[layer+1]").element,
        "w0": tensor("b[layer+1]").element,
    }  # fmt: skip
    texts = (
        "{L}: how many layers there are after the input, which is layer 0.",
        "{width}: how many nodes layer {l} has; the index {n} counts them.",
        "{outputs}: how many output nodes there are, one for each class.",
        "{inputs}, also called {Q}: how many features an example has, {features}; a node of layer 0 has one of them as "
        "its activation.",
        "{P}: how many examples there are; the index {p} counts them.",
        "{h}: the value of an output node at example {p}; {y}: what it should be.",
        "{z} and {a}: the value of a node of layer {l} at example {p}, before and after the activation function {f}.",
        "{w}: the weight that leads from a node of layer {l} to one of the next, with the number of the layer that it "
        "starts from; {w0}: the bias, which is row 0 of these weights.",
        "{cost}: what an output node contributes at example {p}; {C}: all of it, to be "
        f"{setting.program.sense}d.",
        "{d}: the derivative that the recursion starts with, from section 2 on.",
    )
    return (
        Heading("1 The general case"),
        Heading("Letters", 2),
        Listing([_say(text, setting, **parts) for text in texts]),
    )


def _any_layer(general: General) -> tuple[Block, ...]:
    setting, tensor = general.setting, general.setting.tensor
    z, later = tensor("z[layer+1]").element, tensor("z[layer+2]").element
    w, bias = tensor("W[layer+1]").element, tensor("b[layer+1]").element
    slope = FunctionDerivative(tensor("a[layer+1]").element, z)
    functions = {name: NOTATION.function(name) for name in "fc"}
    shifted = _system("10", *general.system_shifted.chains)
    return (
        Heading("The derivatives", 2),
        Paragraph("A layer's values before activation come from those of the layer before:"),
        Display([general.forward], number="1"),
        Paragraph("The cost adds up what every output node contributes at every example:"),
        Display([general.cost], number="2"),
        _say("Of {f} and {c} nothing is assumed but that their derivatives exist. The derivative of a sum is the sum "
             "of the derivatives:", setting, **functions),
        Display([general.into_sums], number="3"),
        _say("Of layer {next}, only the node {z} depends on {w} and on {bias}, so that the chain rule has one term:",
             setting, z=z, w=w, bias=bias),
        Display([general.through_z("W[layer+1]")], number="4"),
        Paragraph("and in the same way for the bias. To find the second factor, (1) is differentiated:"),
        Display([general.local("b[layer+1]")], number="5"),
        Display([general.local("W[layer+1]")], number="6"),
        _say("The first factor follows from the chain rule too, now with a term for every node of the layer after it, "
             "since {z} reaches the cost through all of these:", setting, z=z),
        Display([general.total], number="7"),
        _say("The index of {c} is one of its own. Where {end}, the sum also runs over the output nodes, and must not "
             "touch it: it is then called {apart}.", setting, c=functions["c"], end=_related(LAYER + 2, DEPTH),
             apart=_apart()),
        Paragraph("To find the last factor of (7), (1) is differentiated, written for the next layer:"),
        Display([general.between], number="8"),
        Paragraph("This put into (7):"),
        Display([general.hidden]),
        _say("With (3) to (6), the whole system is", setting),
        _system("9", *general.system.chains),
        _say(
            "The forward pass has computed all values, and {slope} is cheap. Once the derivatives by {later} are "
            "known, the first line gives those by {z}, and the other two lines then give those by the parameters: the "
            "computation starts at the last layer and goes back to the first. Since {L} is the last layer, the system "
            "is easier to read with {before} written for {next}; then {hidden} in the first line, and {all} in the "
            "others:", setting, slope=slope, later=later, z=z, hidden=_range(DEPTH), all=_range(DEPTH + 1),
        ),
        replace(shifted, parts=[*shifted.parts, *general.instances]),
        _say(
            "At the upper end of these ranges, a second index runs over the output nodes. With {own} in the first line "
            "and {beyond} in the others, and {apart} for the index of {c}, the system says", setting,
            own=_related(LAYER, DEPTH), beyond=_related(LAYER, DEPTH + 1), apart=_apart(), c=functions["c"],
        ),
        _system("", *general.system_last.chains),
    )  # fmt: skip


def _apart() -> str:
    """The index of c where another one runs over the output nodes."""
    return NOTATION.unit_of(DEPTH, 1)


def _known(known: Known) -> tuple[Block, ...]:
    setting, definitions = known.setting, known.setting.program.definitions
    name = known.naming.program.definitions["d"]
    return (
        Heading(f"2 Activation {known.activation.name}, cost {known.loss.name}".replace("_", "-")),
        Paragraph("Now each output node contributes"),
        Display([(setting, definitions["ell"])], form="component"),
        Paragraph("and every activation is"),
        Display([(setting, definitions["a[layer-1]"]), Functions(setting), known.slope], form="component"),
        _say("with {h} for the activation of layer {L}. The recursion starts with", known.last,
             h=known.last.tensor("a[depth]").element),
        Display([known.first]),
        _say("and this is called {d}:", known.naming, d=name.lhs),
        Display([(known.naming, name), folded(known.named)], labels=False, form="component"),
        Paragraph("By the value of another output node the derivative of a node's cost is 0; both in one line:"),
        Display([folded(known.output(OUTPUT))], labels=False),
        _say("Put into (10):", setting),
        _system("11", known.first, *known.system.chains),
        _say("Here too {c} has an index of its own, {apart}, where another one runs over the output nodes. One "
                 "term of such a sum is left. At the upper end the last three lines are therefore", known.last,
                 c=NOTATION.function("c"), apart=_apart()),
        _system("", *known.system_last.chains),
    )  # fmt: skip


def _one_output(one: OneOutput) -> tuple[Block, ...]:
    return (
        Heading("3 One output node"),
        _say("With one output node the sum over output nodes is its one term, and an index that can only be 1 is "
                 "not written. The sum over the nodes of layer {l} has one term only where {last}, in the first line; "
                 "for {earlier} it stays:", one.open.hidden.setting, last=_related(LAYER, DEPTH),
                 earlier=_related(LAYER, DEPTH, "<")),
        _system("12", one.open_last, *one.open.chains),
        Heading("4 One output node, known functions"),
        _say("Section 2 put into section 3:", one.open.hidden.setting),
        _system("13", one.first, one.last, *one.system.chains),
    )  # fmt: skip


def _two_layers(two: TwoLayers) -> tuple[Block, ...]:
    return (
        Heading("5 Two layers"),
        _say("With {depth}, and {layer}:", two.setting, depth=_related(DEPTH, 2), layer=_related(LAYER, 2)),
        _system("14", two.first, two.last, two.bias, two.weights),
        _say("The first line put into the second:", two.setting),
        _system("15", two.hidden, two.bias, two.weights),
        _say("The first of these put into the others:", two.setting),
        _system("16", *two.put_in),
        _say("The weight {w} has no index {p} and stands in front of the sums. The input goes through no "
                 "activation function, so that {a} is {x}, a feature of the example:", two.setting,
                 w=two.weight, p=EXAMPLE, a=two.setting.tensor("x").element, x=_input(two)),
        _system("17", *two.factored),
    )  # fmt: skip


def _input(two: TwoLayers) -> str:
    """A feature of an example, in a notation that has a letter for it."""
    printer = two.setting.printer(NOTATION.replace(letters={"input": "x"}))
    return printer.doprint(two.setting.tensor("x").element)


def _differences(general: General, known: Known, two: TwoLayers) -> tuple[Block, ...]:
    """What is right here and was not in the note."""
    setting, tensor = general.setting, general.setting.tensor
    later = TotalDerivative(tensor("ell")[EXAMPLE, OUTPUT], tensor("z[layer+2]")[EXAMPLE, LATER])
    ends = {"last": _related(LAYER, DEPTH), "earlier": _related(LAYER, DEPTH, "<")}
    texts = (
        _say("In (1) the bias is {bias}, with the number of its layer, however the rest is written.", setting,
             bias=tensor("b[layer+1]").element),
        _say("In (4) the derivative is by {w}, with the layer above.", setting, w=tensor("W[layer+1]").element),
        _say("The sum in (7) runs over {n}, and (8) is about {total}.", setting, n=NOTATION.unit_of(LAYER + 2, 0),
             total=general.between.heads[0]),
        _say("What has to be known before a layer's derivatives is {later}, for every output node.", setting,
             later=later),
        _say("In (7) and in (9) to (11), {c} keeps an index of its own, {apart}, where a sum or the index of a "
             "parameter runs over the output nodes as well. One letter for both is wrong as soon as there are two of "
             "them.", setting, c=NOTATION.function("c"), apart=_apart()),
        _say("The last two lines of (9) and (10) give the parameters of the last layer too: in (10) with {beyond}.",
             setting, beyond=_related(LAYER, DEPTH + 1)),
        _say("The first line of (11) is about a node's own cost. The recursion also needs that {other} is 0 for two "
             "different output nodes.", known.last, other=known.output(OUTPUT).heads[0]),
        _say("With one output node, in (12) and (13), the sum over {n} goes away only where {last}; the lines for "
             "{earlier} keep it.", general.shifted, n=NOTATION.unit_of(LAYER, 0), **ends),
        _say("One output node is given no index at all, in {z} as in {w}.", two.setting, z=two.first.heads[0].by,
             w=two.weight),
        _say("In (14) to (17) the activation of layer 1 is {a}, the sums end at {P}, and the input is {x} in each "
             "component.", two.setting, a=two.setting.tensor("a1").element, P=NOTATION.examples, x=_input(two)),
    )  # fmt: skip
    return (Heading("Where this differs from the note"), Listing(texts))
