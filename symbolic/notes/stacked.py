"""The note `stacked`: one unit at a time, the stack of all units, tools of vector calculus, and the chain that uses them.

A network of two inputs, hidden layers of three and four units, and one output; of r layers where the note says so. The
note calls the loss of an example J and its target o before it begins to differentiate, and L and y afterwards; the page
has L and y throughout.

Corrected against the note: the third unit of layer 1 has its line; the weight vector and the bias of unit j have the
index j; the gradient of 3 x_1^2 x_2 has 3 x_1^2 as its second entry; the law of total derivatives is about one f and
sums over the k functions between; in the Jacobian of a composite, row i belongs to f_i and column j to x_j; the
derivative by W_ij has W^[3] transposed, the derivative g' where the note has g, and a_j without a transpose, which
belongs to the stacked form alone.
"""

from __future__ import annotations

from sympy import Integer, Sum, Symbol

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.depth import DEPTH, LAYER, width
from symbolic.expressions import Undefined
from symbolic.losses import LOSSES, Loss
from symbolic.matrices import ArrayOf, Gradient, RowOf, Unit
from symbolic.notations import NOTATIONS
from symbolic.notes.counting import ParameterCount
from symbolic.notes.exposition import (
    Block,
    Display,
    Dots,
    Exposition,
    Functions,
    Heading,
    Listing,
    Paragraph,
    Setting,
)
from symbolic.notes.jacobians import JacobianTelling
from symbolic.notes.laws import diagonal_law, gradient_law, jacobian_law, product_law, total_law
from symbolic.notes.moves import by
from symbolic.notes.settings import stretch
from symbolic.notes.stacking import (
    by_row,
    entries_stacked,
    equation_stacked,
    in_one,
    rows_stacked,
    unit_written_out,
    with_named_entries,
    with_sizes,
)
from symbolic.programs import Program
from symbolic.rules import DIAGONAL_JACOBIAN, GRADIENT, JACOBIAN, PRODUCT, STACK, TOTAL
from symbolic.tensors import Equation, Tensor, index, over, size

NOTATION = NOTATIONS["stacked"]
WIDTHS = (2, 3, 4, 1)
TOOLS = (GRADIENT, JACOBIAN, TOTAL, PRODUCT, DIAGONAL_JACOBIAN)
ACTIVATION_OF_OUTPUT = {"letters": {"output": ""}}

CORRECTIONS = (
    "The loss of one example is L and its target y throughout; the note begins with J and o. The output h is also the "
    "last activation, as which the derivatives write it.",
    "Layer 1 has three units, and so three lines; the vector of weights and the bias of a unit carry that unit's index.",
    "Tool 1: the second entry of the gradient in the example is a square.",
    "Tool 3: one f, and as many terms as there are functions between; tool 4: every row has its own f and every column "
    "its own x.",
    "In the derivative by an entry of the weights, those of the next layer are transposed, the function between is "
    "differentiated, and the activation is one number, so that nothing about it is transposed. It is a row once all "
    "entries are stacked.",
    "The line that the note has for one matrix is derived here for all weights and biases. A formula after the end of "
    "the note, which belongs to nothing in it, is left out.",
)


def exposition(
    *,
    activation: Activation = ACTIVATIONS["relu"],
    output: Activation = ACTIVATIONS["identity"],
    loss: Loss = LOSSES["half_squared_error"],
) -> Exposition:
    """The note's derivation, for other functions too.

    activation: of the hidden layers, elementwise. output: of the last layer. loss: of one example.
    """
    functions = [activation, activation, output]
    sizes = {width(layer): number for layer, number in enumerate(WIDTHS)}
    network = stretch("the network", [1, 2, 3], functions, loss, sizes=sizes)
    one = Setting("one output", with_sizes(network.program, {width(3): WIDTHS[3]}))
    named = with_named_entries(with_sizes(network.program, sizes), "W1", "theta")
    units = Setting("the network unit by unit", named)
    last = stretch("the last layers", [DEPTH - 1, DEPTH], [activation, output], loss)
    any_layer = stretch("any layer", [LAYER, LAYER + 1], [activation], Loss.undefined("R"))
    # The derivatives write the output as the last activation.
    back = Setting("back through the network", network.program, style=ACTIVATION_OF_OUTPUT)
    ends = Setting("the last layer", last.program, style=ACTIVATION_OF_OUTPUT)
    blocks: list[Block] = [
        *_structure(network),
        *_units(one, units),
        *_stacked(network, last, one),
        *_tools(any_layer),
        *_algorithm(back),
        *_chains(back),
        *_layers(any_layer, ends),
        Heading("Where this differs from the note"),
        Listing(CORRECTIONS),
    ]
    cited = {rule.name: f"tool {number}" for number, rule in enumerate(TOOLS, 1)}
    return Exposition("stacked", "Neural networks and backpropagation in vectors", NOTATION, tuple(blocks), cited)


def _structure(network: Setting) -> list[Block]:
    shapes = ", ".join(map(str, WIDTHS[1:]))
    return [
        Heading("The idea"),
        Paragraph(
            "The input runs forward through the layers, the loss compares what comes out with the target, and the "
            "parameters move against the gradient of the loss, which runs backwards. Without the functions between "
            "the layers all of it would be one linear map."
        ),
        Display([Functions(network)]),
        Heading("Structure"),
        Paragraph(
            "{inputs} inputs, then layers of {shapes} units, the last of which is the output. A layer has one weight "
            "for every pair of an input and a unit, and one bias for every unit. In a network of {r} layers, and in "
            "this one, the number of parameters is", network, {
                "inputs": str(WIDTHS[0]), "shapes": shapes, "r": NOTATION.depth,
            },
        ),
        Display([ParameterCount(rf"|{NOTATION.letters['parameters']}|", WIDTHS, inputs_first=True)]),
        Paragraph(
            "where layer {i} has {width} units. For the widths there are letters, too: {n0} inputs, {n1} units in "
            "layer 1, {n2} in layer 2.", network, {
                "i": NOTATION.any_layer, "width": NOTATION.width_of(LAYER), "n0": width(0), "n1": width(1),
                "n2": width(2),
            },
        ),
    ]  # fmt: skip


def _units(one: Setting, units: Setting) -> list[Block]:
    first, weights = one.tensor("z1"), one.tensor("W1")
    row = RowOf(ArrayOf("W1"), weights.indices[0])
    return [
        Heading("Forward, one unit at a time"),
        Paragraph("The weights of layer 1 are {t1}, {t2}, ...; its units are", units, {
            "t1": units.tensor("theta")[Integer(0),], "t2": units.tensor("theta")[Integer(1),],
        }),
        Display([unit_written_out(units, "a1", unit, "z1", "W1") for unit in range(WIDTHS[1])], labels=False),
        Paragraph("With the weights of unit {i} as a vector {w}, for every unit {i} = 1, ..., {m} of layer 1:", one, {
            "i": first.indices[0], "m": first.shape[0], "w": row,
        }),
        Display([by_row(one, "z1"), (one, one.program.definitions["a1"])], form="component"),
        Display([entries_stacked(one, "a1", turned=True)]),
        Paragraph("where {w} has {d} entries. Layer 2 is the same with {n} units, and the output is", one, {
            "w": row, "d": weights.shape[1], "n": width(2),
        }),
        Display([by_row(one, "z3", Integer(0)), *_output(one)]),
    ]  # fmt: skip


def _output(one: Setting) -> list[tuple[Setting, Equation]]:
    return [(one, one.program.definitions["a3"])]


def _stacked(network: Setting, last: Setting, one: Setting) -> list[Block]:
    forward = [(network, equation) for equation in network.program.equations[:-1]]
    return [
        Heading("Forward, stacked"),
        Paragraph("The weights of the units of a layer, under each other, are the rows of a matrix; in layer 1,"),
        Display([rows_stacked(network, "W1")]),
        Paragraph("The sums of all of its units are then one vector:"),
        Display([equation_stacked(network, "z1")]),
        Paragraph("and the whole network is"),
        Display([*forward]),
        Paragraph("In a network of {r} layers:", network, {"r": NOTATION.depth}),
        Display([
            in_one(network, "a1", "z1"), in_one(network, "a2", "z2"), Dots(),
            in_one(last, "a[depth-1]", "z[depth-1]"), in_one(last, "a[depth]", "z[depth]"),
        ], labels=False),
        Paragraph("The loss of one example, with one output, is"),
        Display([(one, one.program.definitions["ell"])], form="component"),
    ]  # fmt: skip


# ---------------------------------------------------------------------- tools


def composite() -> Setting:
    """f(g(x)) for a vector x, vectors g and f, each entry of which depends on all entries of the one before."""
    return Setting("vectors f(g(x))", _composite(scalar=False), ("x",), style={"gradient": "nabla"})


def _composite(scalar: bool) -> Program:
    j, s, i = index("j"), index("s"), index("i")
    n, k, m = size("n"), size("k"), size("m")
    x = Tensor("x", "intermediate", shape=(n,), indices=(s,))
    inner, outer = (
        Tensor(name, "parameter", shape=shape, indices=letters)
        for name, shape, letters in (
            ("A", (k, n), (i, s)),
            ("B", (k,) if scalar else (m, k), (i,) if scalar else (j, i)),
        )
    )
    g = Tensor("g", shape=(k,), indices=(i,))
    f = Tensor("f", shape=() if scalar else (m,), indices=() if scalar else (j,))
    equations = [
        Equation(g, (i,), Undefined.function("u", Sum(inner[i, s] * x[s], over(s, n)))),
        Equation(f, f.indices, Undefined.function("v", Sum(outer.element * g[i], over(i, k)))),
    ]
    if not scalar:
        equations.append(Equation(Tensor("total"), (), Sum(f[j], over(j, m))))
    return Program((x, inner, outer), tuple(equations))


def _tools(any_layer: Setting) -> list[Block]:
    style = {"gradient": "nabla"}
    scalar = Setting("a function f(g(x))", _composite(scalar=True), ("x",), style=style)
    vector = composite()
    x = Tensor("x", "intermediate", shape=(Integer(2),), indices=(index("s"),))
    f = Tensor("f")
    square = Equation(f, (), 3 * x[Integer(0),] ** 2 * x[Integer(1),])
    example = Setting("an example", Program((x,), (square,)), ("x",), style=style)
    sizes: dict[str, Symbol] = {letter: size(letter) for letter in ("n", "m", "k")}
    return [
        Heading("Tools"),
        Paragraph("In this section {n}, {m} and {k} are any numbers, and {f}, {g} any functions that can be "
                  "differentiated.", scalar, {**sizes, "f": f, "g": scalar.tensor("g")}),
        Paragraph("1. Gradient. For one function of {n} variables,", scalar, sizes),
        Display([gradient_law(scalar, "f", "x")]),
        Paragraph("For example,"),
        Display([(example, square), gradient_law(example, "f", "x", value=True)]),
        Paragraph("2. Jacobian. For {m} functions of {n} variables, each another one,", vector, sizes),
        Display([jacobian_law(vector, "f", "x")]),
        Paragraph("3. Law of total derivatives. Where {f} depends on the variables through {k} functions,", scalar,
                  {**sizes, "f": f}),
        Display([total_law(scalar, "f", "g", "x", 0), total_law(scalar, "f", "g", "x", 1), Dots(),
                 total_law(scalar, "f", "g", "x")]),
        Paragraph("4. Product of Jacobians. By tool 3, for {m} functions of {k} functions of {n} variables,", vector,
                  sizes),
        Display([product_law(vector, "f", "g", "x")]),
        Paragraph("5. The Jacobian of an elementwise function is diagonal. In layer {i},", any_layer,
                  {"i": NOTATION.any_layer}),
        Display([diagonal_law(any_layer, "a[layer]", "z[layer]")]),
    ]  # fmt: skip


# ---------------------------------------------------------------------- backwards


def _algorithm(back: Setting) -> list[Block]:
    letters, mark = NOTATION.letters, NOTATION.example_mark(index("p"))
    theta, rate, nabla = letters["parameters"], letters["rate"], NOTATION.nabla
    loss = f"{letters['loss']}^{{{mark}}}"
    printer = back.printer(NOTATION)
    updates = []
    for leaf in back.program.parameters:
        text = printer.bare(leaf)
        slope = printer.doprint(Gradient(ArrayOf(back.loss.key), ArrayOf(leaf.key)))
        updates.append(f"{text} := {text} - {rate} {slope}")
    parts = {
        "rate": rate, "theta": theta, "steps": r"n_{\mathrm{iter}}", "t": NOTATION.index(index("p")),
        "N": NOTATION.examples, "update": f"{theta} := {theta} - {rate} {nabla}_{theta} {loss}({theta})",
        "loss": loss, "first": updates[0], "bias": updates[1],
    }  # fmt: skip
    return [
        Heading("Backwards"),
        Paragraph("Algorithm 1, stochastic gradient descent."),
        Listing([
            Paragraph("Choose a learning rate {rate} and a number of steps {steps}.", None, parts),
            Paragraph("Draw the parameters {theta} at random.", None, parts),
            Paragraph("Repeat {steps} times:", None, parts),
            Paragraph("draw {t} from 1, ..., {N}, each with the same probability, and set {update}.", None, parts),
        ], numbered=True),
        Paragraph(
            "Here {loss} is the loss of example {t}. Entry by entry that is {first}, {bias}, and so on for every "
            "weight and every bias, with the derivatives found below. The command that runs it is {command}.", None, {
                **parts, "command": r"\texttt{deltaform train --sampling uniform --iterations 20000}",
            },
        ),
    ]  # fmt: skip


def told(setting: Setting, key: str, above: str = "", together: int = 0) -> JacobianTelling:
    """The derivative by one entry of a parameter as a product of Jacobians, down to an entry of a vector."""
    telling = JacobianTelling(setting, by(setting, key)).factored(above, together).diagonals()
    return telling.valued().as_entry()


def _chains(back: Setting) -> list[Block]:
    blocks: list[Block] = []
    first = "W2"
    rest = [key for layer in (3, 2, 1) for key in (f"W{layer}", f"b{layer}") if key != first]
    units = back.tensor(first)
    e = Unit(units.indices[0], units.shape[0])
    blocks += [
        Paragraph(
            "The loss depends on an entry of a matrix of weights through the layers that follow, one after the other. "
            "Its derivative is a product of Jacobians; {e} is the column that is 1 at {i} and 0 elsewhere.",
            back,
            {"e": e, "i": e.args[0]},
        ),
        Display([told(back, first, together=2).chain()]),
        Paragraph("Stacked again:"),
        Display([told(back, first).stacked()]),
    ]
    for key in rest:
        telling = told(back, key, together=2)
        tensor = back.tensor(key)
        blocks += [
            Paragraph("In the same way by {v}:", back, {"v": tensor}),
            Display([telling.chain(), telling.stacked(GRADIENT if len(tensor.shape) == 1 else STACK)]),
        ]
    return blocks


def _layers(any_layer: Setting, ends: Setting) -> list[Block]:
    output = told(ends, "z[depth]")
    hidden = told(any_layer, "z[layer]", above="z[layer+1]")
    weights, bias = (told(any_layer, key, above="z[layer]") for key in ("W[layer]", "b[layer]"))
    return [
        Heading("From each layer to the one before"),
        Paragraph(
            "What these products have in common need not be computed again: the derivative by the sums of a layer "
            "gives that by the sums of the layer before. In a network of {r} layers the last one comes first,",
            ends, {"r": NOTATION.depth},
        ),
        Display([output.stacked(GRADIENT)]),
        Paragraph("then every layer {i} before it,", any_layer, {"i": NOTATION.any_layer}),
        Display([hidden.chain(), hidden.stacked(GRADIENT)]),
        Paragraph("and in every layer the derivatives by its weights and its biases:"),
        Display([weights.chain(), weights.stacked()]),
        Display([bias.chain(), bias.stacked(GRADIENT)]),
        Paragraph("The derivative of each layer is made from that of the next one, back from the loss to the input."),
    ]  # fmt: skip
