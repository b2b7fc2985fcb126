"""The note `cs229`: matrices and nablas, a recipe of three steps, hidden layers that share g, a last layer apart.

Corrected against the note: the derivative in the chain rule of the output layer has its prime again, (g^[N])'(z^[N]);
the vector of k entries beside the cross entropy is y-hat; what stands beside the loss of binary classification belongs
to no formula and is left out; the true class has the letter y, and not that of a layer. What the note leaves to its
reader is derived: y-hat - y for the three pairings of loss and last activation, the Jacobian of the softmax, the
derivative of the sigmoid, and why the steps reach every layer.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Basic, Expr, Integer, KroneckerDelta, Sum, log

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.depth import DEPTH, LAYER
from symbolic.expressions import FunctionDerivative, PartialDerivative
from symbolic.general import GeneralNetwork
from symbolic.losses import LOSSES, Loss
from symbolic.matrices import ArrayOf, FunctionSlope
from symbolic.network import row_tensor
from symbolic.notation import Notation
from symbolic.notations import NOTATIONS
from symbolic.notes.exposition import Block, Chain, Display, Exposition, Functions, Heading, Listing, Paragraph, Setting
from symbolic.notes.moves import Telling, by, definition
from symbolic.notes.results import Instances, Recalling, Unprinted
from symbolic.notes.settings import stretch
from symbolic.programs import Program
from symbolic.rules import FUNCTION
from symbolic.tensors import Equation, Tensor, index, over, size

# The activation of any layer, and that of the last one: functions of which only the names are known.
OWN, LAST = Activation.undefined("g_l"), Activation.undefined("g_N")
CLASSES = size("k")
# At which depths the formulas for any depth are instantiated.
DEPTHS = (1, 2, 3, 4, 5)

CORRECTIONS = (
    "Where the note explains the product entry by entry of step 1, a bracket and the prime were lost: it is {slope}.",
    "The vector of {k} entries beside the cross entropy is {output}.",
    "What stands beside the loss of binary classification belongs to no formula and is left out.",
    "The true class has the letter {y} until {y} becomes the vector; the note gives it a letter of its layers.",
    "The note states no result for its three losses. Here each of them is derived, that of the softmax in two ways, "
    "and so are the derivative of the sigmoid and the reason why the steps reach every layer.",
)


def _notation() -> Notation:
    """That of the table, with a letter for the output, arguments of loss and cost, and the mark of a layer on g."""
    table = NOTATIONS["cs229"].replace(depth="N", examples="P")
    return table.replace(
        letters={"output": r"\hat{y}", "loss": r"\mathcal{L}(\hat{y}, y)", "cost": "J(W, b)"},
        functions={
            OWN.name: table.marked("g", table.layer_number(LAYER)),
            LAST.name: table.marked("g", table.layer_number(DEPTH)),
        },
        indices={"k": "i", "i": "r", "r": "q"},
        kronecker="indicator",
    )


NOTATION = _notation()


def exposition(*, hidden: str | Activation = "g") -> Exposition:
    """The note's derivation, for another activation of the hidden layers too.

    hidden: of every layer but the last, an elementwise function; a letter is one of which nothing is known.
    """
    general = GeneralNetwork(hidden, LAST, Loss.undefined("c"), examples=None)
    last, layer = Setting("the last layer", general.base()), Setting("any layer before the last", general.step())
    parameters = stretch(
        "the parameters of any layer", [LAYER], [general.hidden], Loss.undefined("R"), given=["z[layer]"], cost=True
    )
    regression = _pairing("regression", "identity", "half_squared_error", Integer(1))
    binary = _pairing("binary classification", "sigmoid", "binary_cross_entropy", Integer(1))
    classes = _pairing("several classes", "softmax", "cross_entropy", CLASSES)
    blocks = [
        Heading("1 Forward propagation"),
        *_forward(general),
        *_losses(regression, binary, classes),
        Heading("2 Backpropagation"),
        *_recipe(layer),
        Heading("Step 1: the output layer", 2),
        *_output_layer(last),
        *_elementwise(regression, binary),
        *_directly(classes),
        Heading("Step 2: the layers before it", 2),
        *_hidden_layers(layer),
        Heading("Step 3: the gradients", 2),
        *_gradients(parameters),
        Heading("Why the steps reach every layer", 2),
        *_induction(general, last, layer, parameters),
        Heading("Logistic regression", 2),
        *_logistic_regression(),
        Heading("Where this differs from the note"),
        Listing([Paragraph(text, last, _corrected(last)) for text in CORRECTIONS]),
    ]
    return Exposition("cs229", "Backpropagation in three steps", NOTATION, tuple(blocks))


def _pairing(name: str, activation: str, loss: str, outputs: Expr | None = None) -> Setting:
    """outputs: how many; any number, if none is given."""
    widths = None if outputs is None else {DEPTH: outputs}
    return stretch(name, [DEPTH], [ACTIVATIONS[activation]], LOSSES[loss], widths=widths)


def _corrected(last: Setting) -> dict[str, Basic | Tensor]:
    return {
        "slope": FunctionSlope(ArrayOf("a[depth]"), ArrayOf("z[depth]")), "k": CLASSES,
        "output": last.tensor("a[depth]"), "y": last.tensor("y"),
    }  # fmt: skip


def _numbers() -> dict[str, str]:
    """Numbers of layers: any, the last, the one before it, and all of them upwards, and those before it downwards."""
    layer, depth = NOTATION.any_layer, NOTATION.depth
    first, before, earlier = (NOTATION.layer_number(label) for label in (1, DEPTH - 1, DEPTH - 2))
    return {
        "l": layer, "N": depth, "before": before, "up": rf"{layer} = {first}, \dots, {depth}",
        "down": rf"{layer} = {before}, {earlier}, \dots, {first}",
        "all": rf"{layer} = {depth}, {before}, \dots, {first}", "one": f"{depth} = {first}",
    }  # fmt: skip


def _space(setting: Setting, *extents: Expr) -> str:
    """The space of the arrays of this shape."""
    axes = r" \times ".join(map(setting.printer(NOTATION).doprint, extents))
    return rf"\mathbb{{R}}^{{{axes}}}"


# ---------------------------------------------------------------------- 1 forward propagation


def _forward(general: GeneralNetwork) -> list[Block]:
    own = stretch("any layer", [LAYER, LAYER + 1], [OWN], Loss.undefined("R"))
    one = stretch("the cost of one example", [DEPTH], [LAST], Loss.undefined("c"), cost=True)
    shared = Setting("a hidden layer", general.step()).program.definitions["a[layer]"].function
    last = one.program.definitions["a[depth]"].function
    assert shared is not None and last is not None, "an activation of a layer has a name"
    return [
        Paragraph(
            "The input is {x}, which is also called {a}. For every layer {up}, where {N} is the number of layers,",
            own, {**_numbers(), "x": NOTATION.write(ArrayOf("x")), "a": NOTATION.write(ArrayOf("a0"))},
        ),
        Display([(own, own.program.definitions["z[layer]"])], number="1"),
        Display([(own, own.program.definitions["a[layer]"])], number="2"),
        Paragraph(
            "All layers but the last one share one function, {g}. That of the last layer, {last}, depends on the task. "
            "The last activation, {a}, is the output, and is also written {output}. For a single example the cost is "
            "the loss of the output against the target {y}:",
            one, {
                **_numbers(), "g": NOTATION.function(shared), "last": NOTATION.function(last),
                "a": NOTATION.write(ArrayOf("a[depth]")), "output": one.tensor("a[depth]"), "y": one.tensor("y"),
            },
        ),
        Display([(one, one.program.definitions["J"])]),
    ]  # fmt: skip


def _losses(regression: Setting, binary: Setting, classes: Setting) -> list[Block]:
    label = _true_class()
    class_loss = Telling(label, label.tensor("ell").element).put_in("ell", "y").at_once().moved_out()
    return [
        Paragraph(
            "Three pairings of a last activation with a loss. Real-valued regression has one output, nothing done to "
            "the pre-activation, and half the squared error as its loss:"
        ),
        _definitions(regression),
        Paragraph("Binary classification has one output too; its loss is the negative log-likelihood:"),
        _definitions(binary),
        Paragraph("Softmax regression has {k} outputs, one for each class:", label, {"k": CLASSES}),
        Display([(classes, classes.program.definitions["a[depth]"]), Functions(classes)]),
        Paragraph(
            "Its loss is the cross entropy. Where {y} is the number of the true class, it is",
            label, {"y": label.example or ""},
        ),
        Display([class_loss.chain()], form="component"),
        Paragraph(
            "the negative log-likelihood for many classes, with {output} in {space}. Where {y} is instead the "
            "vector of {k} entries that has a single 1, at the place of the true class, and zeros elsewhere, the same "
            "loss is",
            classes, {
                "output": classes.tensor("a[depth]"), "space": _space(classes, CLASSES), "k": CLASSES,
                "y": classes.tensor("y"),
            },
        ),
        Display([(label, label.program.definitions["ell"])], form="component"),
    ]  # fmt: skip


def _definitions(setting: Setting) -> Display:
    """What the output is, what its function is, and the loss."""
    equations = setting.program.definitions
    return Display(
        [(setting, equations["a[depth]"]), Functions(setting), (setting, equations["ell"])], form="component"
    )


def _true_class() -> Setting:
    """The cross entropy for each class as the true one: the target has a 1 there, and zeros elsewhere."""
    true, unit = index("y"), index("j")
    output = row_tensor("a", "activation", DEPTH, CLASSES, ())
    target = Tensor("y", "target", None, (CLASSES, CLASSES), (true, unit))
    loss = Tensor("ell", "loss", None, (CLASSES,), (true,))
    terms = -target.element * log(output.element)
    program = Program(
        leaves=(output,),
        equations=(
            Equation(target, target.indices, KroneckerDelta(true, unit)),
            Equation(loss, loss.indices, Sum(terms, over(unit, CLASSES))),
            Equation(Tensor("J", "cost"), (), Sum(loss.element, over(true, CLASSES))),
        ),
        intervals={output.key: (0, 1)},
        example=true,
    )
    return Setting("the true class", program, wrt=(output.key,))


# ---------------------------------------------------------------------- 2 backpropagation


def _recipe(layer: Setting) -> list[Block]:
    return [
        Paragraph("The derivative of the loss by the pre-activation of a layer is given a name:"),
        Display([definition(layer, "delta[layer]", "matrix")], labels=False),
        Paragraph("Three steps lead from it to the gradients by every {W} and {b}.", layer, {
            "W": layer.tensor("W[layer]"), "b": layer.tensor("b[layer]"),
        }),
    ]  # fmt: skip


def _output_layer(last: Setting) -> list[Block]:
    return [
        Paragraph("For the output layer {N} the name says", last, _numbers()),
        Display([definition(last, "delta[depth]", "matrix")], labels=False),
        Paragraph(
            "Where {g} is a function of each entry by itself, such as the sigmoid, its Jacobian is diagonal, and the "
            "chain rule gives a product entry by entry:",
            last, {"g": NOTATION.functions[LAST.name]},
        ),
        Display([_by_chain_rule(last).chain()]),
    ]  # fmt: skip


def _by_chain_rule(setting: Setting, layer: str = "[depth]") -> Telling:
    telling = Telling(setting, by(setting, f"z{layer}"), form="matrix").through(f"a{layer}").diagonal()
    return telling.slope().at_once(rule=FUNCTION)


def _elementwise(regression: Setting, binary: Setting) -> list[Block]:
    """One output; what is printed is also checked for more of them, where a sum or an index that is wrong shows."""
    several = [
        _pairing("regression, several outputs", "identity", "half_squared_error"),
        _pairing("binary classification, several outputs", "sigmoid", "binary_cross_entropy"),
    ]
    wider = Unprinted([chain for setting in several for chain in _gradient_and_delta(setting)], NOTATION)
    regressed, classified = _gradient_and_delta(regression), _gradient_and_delta(binary)
    return [
        Paragraph("In regression the last activation changes nothing:"),
        Display(regressed[:1]),
        Display(regressed[1:]),
        Paragraph("In binary classification it is the sigmoid:"),
        Display(classified[:1]),
        Display([*classified[1:], wider]),
    ]


def _gradient_and_delta(setting: Setting) -> tuple[Chain, Chain]:
    """The gradient of the loss by the output, and by the pre-activation."""
    return _loss_gradient(setting).chain(), _result(setting, "delta[depth]")


def _loss_gradient(setting: Setting) -> Telling:
    """The gradient of the loss by the output, step by step."""
    output = setting.tensor("a[depth]")
    return Telling(setting, PartialDerivative(setting.loss.element, output.element), form="matrix").worked_out()


def _directly(classes: Setting) -> list[Block]:
    output, before = classes.tensor("a[depth]"), classes.tensor("z[depth]")
    jacobian = Telling(classes, PartialDerivative(output[index("i")], before.element), form="matrix").worked_out()
    through = Telling(classes, by(classes, "z[depth]"), form="matrix").through("a[depth]")
    through = through.evaluated(contracting=False).known("a[depth]").moved_out().tidied()
    direct = Recalling(classes, by(classes, "z[depth]")).written_out().carried_out().lettered(i="k", r="m")
    direct = direct.tidied().recognised("a[depth]")
    parts = {"y": output, "z": before}
    return [
        Paragraph(
            "The softmax is no such function: every entry of {y} depends on every entry of {z}. Its Jacobian is full,",
            classes, parts,
        ),
        Display([jacobian.chain()]),
        Paragraph("and the gradient of the loss by the output is"),
        Display([_loss_gradient(classes).chain()]),
        Paragraph("By the chain rule, with the whole Jacobian:"),
        Display([through.chain(classes.tensor("delta[depth]").element)]),
        Paragraph("Or directly, from the loss as a function of {z}:", classes, parts),
        Display([direct.chain()]),
        Paragraph("All three pairings give the same difference, the output less the target."),
    ]  # fmt: skip


def _result(setting: Setting, key: str) -> Chain:
    return Chain.of(setting, setting.derivation[key], "matrix")


def _hidden_layers(layer: Setting) -> list[Block]:
    return [
        Paragraph("For {down}, each from the layer after it:", layer, _numbers()),
        Display([_result(layer, "adj_a[layer]")]),
        Display([_result(layer, "delta[layer]")]),
    ]


def _gradients(parameters: Setting) -> list[Block]:
    found = [_result(parameters, key) for key in ("dW[layer]", "db[layer]")]
    return [
        Paragraph(
            "For every layer {up}. With a single example the cost is its loss, so {d} is the derivative of both:",
            parameters, {**_numbers(), "d": parameters.tensor("delta[layer]")},
        ),
        *(Display([chain]) for chain in found),
        Paragraph("Both results together, for one example:"),
        Display([chain.final for chain in found], labels=False),
    ]  # fmt: skip


def _induction(general: GeneralNetwork, last: Setting, layer: Setting, parameters: Setting) -> list[Block]:
    base, step = _by_chain_rule(last).chain(last.tensor("delta[depth]").element), _result(layer, "delta[layer]")
    gradients = [_result(parameters, key) for key in ("dW[layer]", "db[layer]")]
    names = {**_numbers(), "after": layer.tensor("delta[layer+1]"), "own": layer.tensor("delta[layer]"),
             "z": layer.tensor("z[layer]"), "next": layer.tensor("z[layer+1]")}  # fmt: skip

    def network(depth: int) -> Setting:
        functions = [*[general.hidden] * (depth - 1), general.output]
        return stretch(f"depth {depth}", range(1, depth + 1), functions, general.loss, cost=True)

    def softmax(depth: int) -> Setting:
        functions = [*[general.hidden] * (depth - 1), ACTIVATIONS["softmax"]]
        return stretch(f"depth {depth}, softmax", range(1, depth + 1), functions, LOSSES["cross_entropy"], cost=True)

    hidden = [(depth, {LAYER: Integer(at)}) for depth in DEPTHS for at in range(1, depth)]
    every = [(depth, {LAYER: Integer(at)}) for depth in DEPTHS for at in range(1, depth + 1)]
    return [
        Paragraph(
            "Base. In the last layer step 1 needs nothing but the loss and the last activation, whichever they are.",
            layer, names,
        ),
        Paragraph(
            "Step. In any layer {l} before the last let {after} be known. {z} reaches the loss through {next} alone, "
            "so step 2 gives {own}, whatever follows {next}.",
            layer, names,
        ),
        Paragraph(
            "Conclusion. The base and {before} steps give {own} for {all}, whatever {N} is, and step 3 gives the "
            "gradients of every layer:",
            layer, names,
        ),
        Display(
            [
                definition(last, "delta[depth]", "matrix"), step.final, *(chain.final for chain in gradients),
                *(Instances([step.final], made, hidden) for made in (network, softmax)),
                *(Instances([one.final for one in gradients], made, every) for made in (network, softmax)),
            ],
            labels=False,
        ),
        Paragraph(
            "Only where {g} is a function of each entry by itself, the first line is the product",
            last, {"g": NOTATION.functions[LAST.name]},
        ),
        Display(
            [base.final, Instances([base.final], network, [(depth, {DEPTH: Integer(depth)}) for depth in DEPTHS])],
            labels=False,
        ),
    ]  # fmt: skip


# ---------------------------------------------------------------------- logistic regression


def _logistic_regression() -> list[Block]:
    sizes = {0: size("n"), 1: Integer(1)}
    one, cost = (
        replace(
            stretch(name, [1], [ACTIVATIONS["sigmoid"]], LOSSES["binary_cross_entropy"], widths=sizes, cost=with_cost),
            style={"letters": {"output": ""}},  # this part writes the activation of the one layer as any other
        )
        for name, with_cost in (("logistic regression", False), ("logistic regression, its cost", True))
    )
    output, before = one.tensor("a1"), one.tensor("z1")
    slope = Telling(one, FunctionDerivative(output.element, before.element), form="matrix").worked_out().called("a1")
    parts = {
        **_numbers(), "a": output, "y": NOTATION.letters["output"], "x": one.tensor("x"),
        "column": _space(one, size("n"), Integer(1)), "W": one.tensor("W1"), "b": one.tensor("b1"),
        "row": _space(one, *one.tensor("W1").shape), "number": _space(one, *one.tensor("b1").shape),
    }  # fmt: skip
    gradients = [_result(cost, key) for key in ("dW1", "db1")]
    wider = stretch(
        "logistic regression, several outputs", [1], [ACTIVATIONS["sigmoid"]], LOSSES["binary_cross_entropy"],
        widths={0: size("n")}, cost=True,
    )  # fmt: skip
    several = [_result(wider, key) for key in ("delta1", "dW1", "db1")]
    return [
        Paragraph(
            "The recipe with {one} and the sigmoid. {x} is a column in {column}, {W} is in {row} and {b} in {number}; "
            "the output {y} is {a}.",
            one, parts,
        ),
        Display([(one, one.program.definitions[key]) for key in ("z1", "a1")]),
        Paragraph("The derivative of the sigmoid, from its definition:"),
        Display([slope.chain()]),
        Paragraph("Step 1:"),
        Display([_result(one, "delta1"), Unprinted(several, NOTATION)]),
        Paragraph("There is no layer for step 2. Step 3, with the input as the layer before:"),
        Display(gradients),
        Paragraph("The gradient by {W} has the shape of {W}: it is in {row}.", one, parts),
    ]  # fmt: skip
