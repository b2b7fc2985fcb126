"""The note `stacked`: one unit at a time, all units stacked, tools of vector calculus, and the chain that uses them.

A network of two inputs, hidden layers of three and four units, and one output; of r layers where the note says so. The
note calls the loss of an example J and its target o before it begins to differentiate, and L and y afterwards; the page
has L and y throughout, and another letter for layers than for units.

Corrected against the note: the third unit of layer 1 has its line; the weight vector and the bias of a unit have the
index of that unit; the gradient of 3 x_1^2 x_2 has 3 x_1^2 as its second entry; the law of total derivatives is about
one f and sums over the k functions between; in the Jacobian of a composite, row i belongs to f_i and column j to x_j;
where the derivative of the loss by a vector begins a product it is turned, since it is a column everywhere else; the
derivative by W_ij has W^[3] transposed, the derivative g' where the note has g, and a_j without a transpose, which
belongs to the stacked form alone; without activations a network is affine.
"""

from __future__ import annotations

from sympy import Basic, Expr, Integer, Piecewise, Sum, Symbol
from sympy.core.relational import Relational

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.depth import DEPTH, LAYER, width
from symbolic.expressions import FunctionDerivative, Undefined
from symbolic.layers import Dense
from symbolic.losses import LOSSES, Loss
from symbolic.matrices import ArrayOf, FunctionSlope, PartialGradient, RowOf, Transpose, Unit
from symbolic.network import Network
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
    Part,
    Setting,
)
from symbolic.notes.jacobians import JacobianTelling
from symbolic.notes.laws import diagonal_law, gradient_law, jacobian_law, product_law, total_law
from symbolic.notes.moves import Telling, by
from symbolic.notes.settings import stretch
from symbolic.notes.stacking import (
    by_row,
    entries_named,
    entries_stacked,
    equation_stacked,
    in_one,
    rows_stacked,
    unit_written_out,
    with_named_entries,
    with_sizes,
)
from symbolic.notes.updates import Updates
from symbolic.pages.blocks import Code
from symbolic.programs import Program
from symbolic.rules import DIAGONAL_JACOBIAN, GRADIENT, JACOBIAN, PRODUCT, STACK, TOTAL
from symbolic.tensors import Equation, Tensor, index, over, size

# Layers and units have letters of their own, and the letter of a sum does not look like that of a layer.
NOTATION = NOTATIONS["stacked"].replace(any_layer=r"\ell", indices={"j": "i", "s": "j", "i": "s"})
WIDTHS = (2, 3, 4, 1)
TOOLS = (GRADIENT, JACOBIAN, TOTAL, PRODUCT, DIAGONAL_JACOBIAN)
OUTPUT_AS_ACTIVATION = {"letters": {"output": ""}}


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
    layers = [Dense(units, function) for units, function in zip(WIDTHS[1:], functions, strict=True)]
    network_text = str(Network(WIDTHS[0], layers, loss))
    sizes = {width(layer): number for layer, number in enumerate(WIDTHS)}
    network = stretch("the network", [1, 2, 3], functions, loss, sizes=sizes)
    one = Setting("one output", with_sizes(network.program, {width(3): WIDTHS[3]}))
    named = with_named_entries(with_sizes(network.program, sizes), "W1", "theta")
    units = Setting("the network unit by unit", named)
    last = stretch("the last layers", [DEPTH - 1, DEPTH], [activation, output], loss)
    any_layer = stretch("any layer", [LAYER, LAYER + 1], [activation], Loss.undefined("R"))
    # The derivatives write the output as the last activation.
    back = Setting("back through the network", network.program, style=OUTPUT_AS_ACTIVATION)
    ends = Setting("the last layer", last.program, style=OUTPUT_AS_ACTIVATION)
    blocks: list[Block] = [
        *_structure(network),
        *_units(one, units),
        *_stacked(network, last, one, units),
        *_tools(any_layer),
        *_algorithm(back, any_layer, network_text),
        *_chains(back),
        *_layers(any_layer, ends),
        *_corrections(back, one),
    ]
    cited = {rule.name: f"tool {number}" for number, rule in enumerate(TOOLS, 1)}
    return Exposition("stacked", "Neural networks and backpropagation in vectors", NOTATION, tuple(blocks), cited)


def _structure(network: Setting) -> list[Block]:
    shapes = ", ".join(map(str, WIDTHS[1:]))
    return [
        Heading("The idea"),
        Paragraph(
            "The input runs forward through the layers, the loss compares what comes out with the target, and the "
            "parameters move against the gradient of the loss, which runs backwards. Without activation functions "
            "between the layers all of it would be one affine map of the input, however many layers there were. Usual "
            "ones are the sigmoid, tanh, ReLU and leaky ReLU; here"
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
            "where layer {l} has {width} units; layer {zero} is the input {x}. For the widths there are letters, too: "
            "{n0} inputs, {n1} units in layer 1, {n2} in layer 2.", network, {
                "l": NOTATION.any_layer, "width": NOTATION.width_of(LAYER), "zero": NOTATION.layer_number(0),
                "x": network.tensor("x"), "n0": width(0), "n1": width(1), "n2": width(2),
            },
        ),
    ]  # fmt: skip


def _units(one: Setting, units: Setting) -> list[Block]:
    first, weights = one.tensor("z1"), one.tensor("W1")
    row = RowOf(ArrayOf("W1"), weights.indices[0])
    theta = units.tensor("theta")
    named = [units.printer(NOTATION).doprint(theta[Integer(place),]) for place in (0, int(theta.shape[0]) - 1)]
    letters = NOTATION.letters
    return [
        Heading("Forward, one unit at a time"),
        Paragraph("The weights of layer 1 are {thetas}; its units are", None, {"thetas": r", \dots, ".join(named)}),
        Display([unit_written_out(units, "a1", unit, "z1", "W1") for unit in range(WIDTHS[1])], labels=False),
        Paragraph(
            "In general {W} is the weight that unit {i} of layer 1 gives to input {j}, and {w} is the vector of all "
            "weights of unit {i}. For {range},", one, {
                "W": weights.element, "i": weights.indices[0], "j": weights.indices[1], "w": row,
                "range": _range(one, first),
            },
        ),
        Display([by_row(one, "z1"), (one, one.program.definitions["a1"])], form="component"),
        Display([entries_stacked(one, "a1", turned=True)]),
        Paragraph("where {w} and {b}. Layer 2 is the same with {n} units. The output is called {h}, or "
                  "{full} where it matters what it depends on:", one, {
            "w": _member(one, row, weights.shape[1]), "b": _member(one, one.tensor("b1").element), "n": width(2),
            "h": letters["output"], "full": f"{letters['output']}_{{{letters['parameters']}}}({letters['input']})",
        }),
        Display(_output(one), labels=False),
        Paragraph("where {w} and {b}.", one, {
            "w": _member(one, RowOf(ArrayOf("W3"), Integer(0)), one.tensor("W3").shape[1]),
            "b": _member(one, one.tensor("b3").element),
        }),
    ]  # fmt: skip


def _member(setting: Setting, node: Basic, *shape: Expr) -> str:
    """That a formula is a real number, or an array of this shape."""
    printer = setting.printer(NOTATION)
    above = r" \times ".join(printer.doprint(extent) for extent in shape)
    return printer.doprint(node) + r" \in \mathbb{R}" + (f"^{{{above}}}" if shape else "")


def _range(setting: Setting, tensor: Tensor) -> str:
    """The places of a column."""
    last = setting.printer(NOTATION).doprint(tensor.shape[0])
    return rf"{NOTATION.index(tensor.indices[0])} = 1, \dots, {last}"


def _is_copy(setting: Setting, key: str) -> bool:
    """Whether an activation is the sum itself."""
    return setting.program.definitions[key].function is None


def _output(one: Setting) -> list[Chain | tuple[Setting, Equation]]:
    if _is_copy(one, "a3"):
        return [by_row(one, "z3", Integer(0), "a3")]
    return [by_row(one, "z3", Integer(0)), (one, one.program.definitions["a3"])]


def _stacked(network: Setting, last: Setting, one: Setting, units: Setting) -> list[Block]:
    forward: list[Chain | tuple[Setting, Equation]] = [
        (network, equation) for equation in network.program.equations[:-1]
    ]
    if _is_copy(network, "a3"):
        forward[-2:] = [in_one(network, "a3", "z3")]
    entries = entries_named(units, "W1")
    sums = equation_stacked(network, "z1")
    return [
        Heading("Forward, stacked"),
        Paragraph("The weights of the units of a layer, under each other, are the rows of a matrix; in layer 1,"),
        Display([rows_stacked(network, "W1")], labels=False),
        Paragraph("so that {W}, or, with the numbers of units above,", network, {
            "W": _member(network, ArrayOf("W1"), *network.tensor("W1").shape),
        }),
        Display([entries.until(1), entries.since(1)], columns=2),
        Paragraph("The sums of all of its units make a vector too,"),
        Display([sums.until(1)]),
        Paragraph("{z}, and every row of the matrix gives one of them:", network, {
            "z": _member(network, ArrayOf("z1"), *network.tensor("z1").shape, Integer(1)),
        }),
        Display([sums.since(1)]),
        Paragraph("and the whole network is"),
        Display(forward, labels=False),
        Paragraph("In a network of {r} layers:", network, {"r": NOTATION.depth}),
        Display([
            in_one(network, "a1", "z1"), in_one(network, "a2", "z2"), Dots(),
            in_one(last, "a[depth-1]", "z[depth-1]"), in_one(last, "a[depth]", "z[depth]"),
        ], labels=False),
        Paragraph("The loss of one example, for one output, is"),
        Display([(one, one.program.definitions["ell"])], form="component"),
        Paragraph("and for several outputs the sum of that over them. All that follows holds for any number of them. "
                  "Usual losses are the squared error, whose mean over the examples is taken, and the cross-entropy."),
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
    jacobian, composed = jacobian_law(vector, "f", "x"), product_law(vector, "f", "g", "x")
    element = any_layer.tensor("a[layer]").element, any_layer.tensor("z[layer]").element
    slope = Telling(any_layer, FunctionDerivative(*element)).worked_out()
    return [
        Heading("Tools"),
        Paragraph("In this section {n}, {m} and {k} are any numbers, and {f}, {g} any functions, one or several, that "
                  "have the derivatives in question.", scalar, {**sizes, "f": f, "g": scalar.tensor("g")}),
        Paragraph("1. Gradient. For one function of {n} variables,", scalar, sizes),
        Display([gradient_law(scalar, "f", "x")]),
        Paragraph("For example,"),
        Display([(example, square), gradient_law(example, "f", "x", value=True)]),
        Paragraph("2. Jacobian. For {m} functions of {n} variables, each another one, {all}, the derivatives by one "
                  "variable make a column:", vector, {**sizes, "all": r"f(x) = (f_1(x), \dots, f_m(x))"}),
        Display([jacobian.until(1)]),
        Paragraph("Row by row these are gradients, turned,"),
        Display([jacobian.since(1).until(1)]),
        Paragraph("and with every entry"),
        Display([jacobian.since(2)]),
        Paragraph("For one function, {one}, it is one row, the gradient turned.", None, {"one": "m = 1"}),
        Paragraph("3. Law of total derivatives. Where {f} depends on the variables through {k} functions,", scalar,
                  {**sizes, "f": f}),
        Display([total_law(scalar, "f", "g", "x", 0), total_law(scalar, "f", "g", "x", 1), Dots(),
                 total_law(scalar, "f", "g", "x")]),
        Paragraph("4. Product of Jacobians. Now {m} functions of {k} functions of {n} variables, {whole}, which is "
                  "{each} for {range}. The Jacobian of {y} by {x} is called {jacobian} here; its rows are",
                  vector, {
                      **sizes, "whole": "y = f(g(x))", "each": r"y_i = f_i(g_1(x), \dots, g_k(x))", "y": "y",
                      "range": _range(vector, vector.tensor("f")), "x": vector.tensor("x"),
                      "jacobian": jacobian.heads[0],
                  }),
        Display([composed.until(1)]),
        Paragraph("its entries"),
        Display([composed.since(1).until(1)]),
        Paragraph("and by tool 3"),
        Display([composed.since(2)]),
        Paragraph("5. The Jacobian of an elementwise function is diagonal. In layer {l},", any_layer,
                  {"l": NOTATION.any_layer}),
        Display([diagonal_law(any_layer, "a[layer]", "z[layer]")]),
        Paragraph("with the derivative of the activation, from its definition,"),
        Display([slope.chain()]),
        *_borders(any_layer, *element, slope.now),
    ]  # fmt: skip


def _borders(setting: Setting, given: Expr, taken: Expr, slope: Basic) -> list[Block]:
    """What the derivative of a function by cases is where two of them meet."""
    meeting = {one.rhs for one in slope.atoms(Relational) if one.lhs == taken} if slope.has(Piecewise) else set()
    printer = setting.printer(NOTATION)
    name, place = printer.doprint(FunctionDerivative(given, taken)), printer.doprint(taken)
    return [
        Paragraph(
            "Where two cases meet, at {at}, a function may have a corner and no derivative. What the formula says "
            "there, {value}, is the derivative of the case that holds, and the tools are used with it.", None, {
                "at": f"{place} = {printer.doprint(border)}",
                "value": f"{name} = {printer.doprint(slope.xreplace({taken: border}))}",
            },
        )
        for border in sorted(meeting, key=str)
    ]  # fmt: skip


# ---------------------------------------------------------------------- backwards


def _algorithm(back: Setting, any_layer: Setting, network: str) -> list[Block]:
    letters, t = NOTATION.letters, NOTATION.index(index("p"))
    theta, rate, steps = letters["parameters"], letters["rate"], r"n_{\mathrm{iter}}"
    loss = f"{letters['loss']}^{{{NOTATION.example_mark(index('p'))}}}"
    parts = {
        "rate": rate, "theta": theta, "steps": steps, "t": t, "loss": loss,
        "draw": rf"{t} \in \{{1, \ldots, {NOTATION.examples}\}}",
        "update": f"{theta} := {theta} - {rate} {NOTATION.nabla}_{{{theta}}} {loss}({theta})",
        "network": Code(f'deltaform train "{network}" \\'),
        "options": Code("--data FILE --sampling uniform --iterations 20000"),
    }  # fmt: skip
    return [
        Heading("Backwards"),
        Paragraph("Algorithm 1, stochastic gradient descent:"),
        Listing([
            Paragraph("Given: the learning rate {rate} and the number of steps {steps}.", None, parts),
            Paragraph("Draw {theta} at random.", None, parts),
            Paragraph("Do {steps} times: draw {draw}, each with the same probability, and set {update}.", None, parts),
        ], numbered=True),
        Paragraph("Here {loss} is the loss of example {t}. Where several examples are drawn for a step, a mini-batch, "
                  "the mean of their gradients takes the place of the one. For the weights and biases of one layer the "
                  "step is", None, parts),
        Display([Updates(any_layer, ("W", "b"), back, range(1, len(WIDTHS)))], labels=False),
        Paragraph("where the derivatives are those of the loss of the example that was drawn. The command"),
        Paragraph("{network}", None, parts),
        Paragraph("{options}", None, parts),
        Paragraph("runs the algorithm as it stands here, with the derivatives that follow."),
        Heading("The chain", 2),
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
            "The derivative of the loss by a matrix has the shape of the matrix, and by a vector it is a column "
            "everywhere, the gradient of tool 1. The loss depends on an entry of a matrix of weights through the "
            "layers that follow, one after the other, and its derivative is a product of Jacobians. The first of them "
            "is that of one function, a row: the column turned, {row}. The column {e} is 1 at {i} and 0 elsewhere.",
            back,
            {"e": e, "i": e.args[0], "row": Transpose(PartialGradient(ArrayOf(back.loss.key), ArrayOf("a3")))},
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
    output = told(ends, "z[depth]", together=0)
    hidden = told(any_layer, "z[layer]", above="z[layer+1]")
    weights, bias = (told(any_layer, key, above="z[layer]") for key in ("W[layer]", "b[layer]"))
    return [
        Heading("From each layer to the one before"),
        Paragraph(
            "What these products have in common need not be computed again: the derivative by the sums of a layer "
            "gives that by the sums of the layer before. In a network of {r} layers the last one comes first,",
            ends, {"r": NOTATION.depth},
        ),
        Display([output.chain(), output.stacked(GRADIENT)]),
        Paragraph("then every layer {l} before it,", any_layer, {"l": NOTATION.any_layer}),
        Display([hidden.chain(), hidden.stacked(GRADIENT)]),
        Paragraph("and in every layer the derivatives by its weights and its biases:"),
        Display([weights.chain(), weights.stacked()]),
        Display([bias.chain(), bias.stacked(GRADIENT)]),
        Paragraph("The derivative of each layer is made from that of the next one, back from the loss to the input."),
    ]  # fmt: skip


def _corrections(back: Setting, one: Setting) -> list[Block]:
    letters, loss = NOTATION.letters, ArrayOf(back.loss.key)
    parts: dict[str, Part] = {
        "L": letters["loss"], "y": letters["target"], "h": letters["output"], "J": "J", "o": "o",
        "a3": back.tensor("a3"), "W3": Transpose(ArrayOf("W3")), "slope": FunctionSlope(ArrayOf("a2"), ArrayOf("z2")),
        "a": back.tensor("a1").element.xreplace({index("j"): index("s")}), "row": Transpose(ArrayOf("a1")),
        "w": RowOf(ArrayOf("W1"), index("j")), "b": one.tensor("b1").element, "i": index("j"),
        "z": one.tensor("z1").element, "l": NOTATION.any_layer, "column": PartialGradient(loss, ArrayOf("a3")),
        "turned": Transpose(PartialGradient(loss, ArrayOf("a3"))),
    }  # fmt: skip
    texts = (
        "The loss of one example is {L} and its target {y} throughout; the note calls them {J} and {o} at first. The "
        "output {h} is also {a3}; the derivatives use that name.",
        "Layer 1 has three units, and so three lines.",
        "The note calls the layer as well as the unit {i}, and gives the weights and the bias of a unit the letter of "
        "the layer. Here {w}, {b} and {z} have the index {i} of one unit, and a layer is called {l}.",
        "Without activations the whole network is an affine map: its biases remain.",
        "Tool 1: in the example the second entry of the gradient has a square.",
        "Tool 3: one function, and as many terms as there are functions between. Tool 4: every row has its own "
        "function, every column its own variable.",
        "The derivative of the loss by a vector begins a product of Jacobians as a row and ends it as a column; here "
        "the column is {column} and the row {turned}.",
        "In the derivative by an entry of the weights it is {W3}, transposed, that multiplies the error of the output; "
        "{slope} has a prime; {a} is a number and is not transposed. {row} is right once all entries are stacked.",
        "The note has the chain for one matrix; here are all weights and biases, and layers of any number.",
        "A formula at the end of the note that belongs to nothing in it is left out.",
    )
    return [
        Heading("Where this differs from the note"),
        Listing([Paragraph(text, back, parts) for text in texts]),
    ]  # fmt: skip
