"""From a derivation to the plan of code that repeats itself: the passes in their order."""

from __future__ import annotations

from collections.abc import Collection

from sympy import Expr, Integer

from codegen.arrays import assemble
from codegen.blas import can_descend
from codegen.initialization import shape_of
from codegen.lowering import lower
from codegen.passes import rewriting
from codegen.passes.bias import folded_bias
from codegen.passes.buffers import allocate
from codegen.passes.costs import Costs, overwriting_pays
from codegen.passes.equations import examples_extent, exchanged, feature_major, folded_step
from codegen.passes.fused_update import descents, fused_update
from codegen.passes.graph import Graph
from codegen.passes.instructions import listing
from codegen.passes.plans import OWN, OWN_PREFIXES, Plan
from codegen.passes.processor import this_processor
from codegen.passes.table import ALL
from codegen.passes.vectors import vectors
from codegen.passes.weights import transposed_weights
from codegen.signature import Signature, signature
from codegen.source import check_derivation, title_of
from symbolic.derivation import Derivation
from symbolic.errors import LoweringError
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor


def plan(
    derivation: Derivation,
    batch_size: int,
    dtype: str,
    passes: frozenset[str] = ALL,
    *,
    owns_parameters: bool = True,
    update: str = "",
) -> Plan:
    """The plan for batches of about `batch_size` examples.

    owns_parameters: for a stepper, whose parameters lie in one vector and whose gradients come out multiplied by the
                     learning rate; otherwise for a function that is given parameters and returns gradients.
    update:          text of an optimizer's update, which then moves the parameters; the gradients are not multiplied.

    Raises:
        LoweringError: an equation without NumPy form, or a program without an axis of examples.
    """
    check_derivation(derivation)
    program, contract = derivation.program, signature(derivation, dtype)
    count = examples_extent(program)
    if count is None or not count.is_Symbol:
        raise LoweringError("the program has no axis of examples that a batch could run along")
    sizes = {symbol: Integer(n) for symbol, n in program.sizes.items() if symbol != count}
    numbers = {**sizes, count: Integer(batch_size)}
    shapes = {tensor.key: shape_of(program, tensor) for tensor in program.parameters}
    gradients = dict(contract.gradients)
    _check_gradients(gradients, shapes, owns_parameters)
    for key, shape in shapes.items():
        if not shape:
            raise LoweringError(f"parameter {key} is a single number, and this code writes into arrays")
    _check_names(derivation, contract)
    equations, tensors = derivation.equations, dict(derivation.tensors)
    taken = frozenset(tensors) | frozenset(contract.code_names.values()) | {str(symbol) for symbol in numbers}
    itemsize = 4 if dtype == "float32" else 8
    costs = Costs(batch_size, itemsize, this_processor())
    turned = "feature_major" in passes
    orders = feature_major(equations, tensors, count) if turned else {}
    equations, tensors = exchanged(equations, tensors, orders)
    if "weight_layout" in passes and owns_parameters:
        folds = turned and "folded_bias" in passes
        weights = transposed_weights(equations, tensors, gradients, numbers, costs, folds)
        equations, tensors = exchanged(equations, tensors, weights)
        orders |= weights
    scales = owns_parameters and (not update or program.sense == "maximise")
    step, factor = "", None
    if "folded_step" in passes:
        equations, tensors, step, factor = _with_step(derivation, equations, tensors, gradients, taken, scales)
    lowered = lower(equations, tensors, program)
    facts = frozenset(leaf.key for leaf in program.leaves if turned and program.sums_to_one(leaf.key))
    graph = Graph(
        definitions=dict(lowered.definitions),
        equations={equation.tensor.key: (equation,) for equation in equations},
        outputs=(program.objective, *gradients.values()),
        one_hot=facts,
        numbers=numbers,
    )
    names = taken | {step, "dtype", "params"}
    _rewrite(graph, gradients, names, costs, passes, owns_parameters)
    shares = "common_subexpressions" in passes
    assembled = assemble(graph.definitions, _first(graph), graph.outputs, set(names), shares)
    leaves = tuple(argument.key for argument in contract.arguments)
    listed = listing(assembled, graph, leaves)
    if "fused_update" in passes and owns_parameters and factor is not None and not update and can_descend(dtype):
        listed = fused_update(listed, graph, gradients, leaves, costs)
    descending = descents(listed)
    blocks, gradient_blocks = vectors(shapes, gradients, graph.joint, orders, itemsize, descending)
    buffers = allocate(
        listed,
        descending | {block.name for block in gradient_blocks},
        sizes,
        lambda shape: "in_place" in passes and overwriting_pays(graph.size(shape)),
        "reuse" in passes,
        {name: name for name in descending},
    )
    return Plan(
        title=title_of(derivation),
        graph=graph,
        listing=listed,
        buffers=buffers,
        costs=costs,
        passes=passes,
        dtype=dtype,
        count=count,
        objective=program.objective,
        arguments=tuple((a.key, a.name, len(orders.get(a.key, ())) == 2) for a in contract.arguments),
        parameters=tuple(shapes),
        blocks=blocks if owns_parameters else (),
        gradients=gradient_blocks,
        step=step,
        factor=factor,
        uphill=program.sense == "maximise",
        taken=names,
        wrt=gradients,
        update=update,
        shapes={a.key: _example_shape(program, a.key, count) for a in contract.arguments},
    )


def _with_step(
    derivation: Derivation,
    equations: tuple[Equation, ...],
    tensors: dict[str, Tensor],
    gradients: dict[str, str],
    taken: frozenset[str],
    scales: bool,
) -> tuple[tuple[Equation, ...], dict[str, Tensor], str, Expr | None]:
    """The equations and tensors with a step folded in, its name, and what the learning rate is multiplied by to give
    it; all as they are, "" and None where it cannot be, or where it is 1 and nothing else is to scale the gradients.
    """
    scale = Tensor(_free("step", taken), "input")
    adjoints = frozenset(result.tensor.key for result in derivation.results)
    folded = folded_step(equations, adjoints, frozenset(gradients.values()), scale.element)
    if folded is None or not (scales or folded[1] != 1):
        return equations, tensors, "", None
    return folded[0], {**tensors, scale.key: scale}, scale.key, folded[1]


def _check_gradients(gradients: Collection[str], parameters: Collection[str], owns: bool) -> None:
    """Refuse gradients of anything but parameters, and for a stepper parameters without one."""
    others = [key for key in gradients if key not in parameters] or [key for key in parameters if key not in gradients]
    if others and (owns or others[0] not in parameters):
        raise LoweringError(f"a step needs the gradients of all parameters and no others, but {others[0]} is amiss")


def _check_names(derivation: Derivation, contract: Signature) -> None:
    """Refuse a program with a tensor that is called like something of the text's own."""
    arguments = {argument.key for argument in contract.arguments}
    for key in derivation.tensors:
        if key in OWN or key.startswith(OWN_PREFIXES) or (key in contract.code_names and key not in arguments):
            raise LoweringError(f"a tensor is called {key!r}, which is a name of this code's own; call it otherwise")


def _rewrite(
    graph: Graph, gradients: dict[str, str], taken: frozenset[str], costs: Costs, passes: frozenset[str], owns: bool
) -> None:
    """The passes on nodes, in the order in which each finds what it looks for. The helpers are no choice: there is no
    other way to write into an array.
    """
    if "exponentials" in passes:
        rewriting.exponentials(graph, costs)
    rewriting.helpers(graph)
    if "comparison" in passes:
        rewriting.comparison(graph)
    if "arithmetic_choice" in passes:
        rewriting.arithmetic_choice(graph)
    if "guarded_shift" in passes:
        rewriting.guarded_shift(graph)
    if "totals" in passes:
        rewriting.totals(graph)
    if "folded_bias" in passes and owns:
        folded_bias(graph, gradients, taken, costs)
    if "turned_factor" in passes:
        rewriting.turned_factor(graph, costs)
    if "sums_by_ones" in passes:
        rewriting.sums_by_ones(graph)
    if "equal_shapes" in passes:
        rewriting.equal_shapes(graph, costs)


def _first(graph: Graph) -> dict[str, Equation]:
    """One equation for each name, which `assemble` asks for; the plan keeps them all."""
    some = next(equations[0] for equations in graph.equations.values() if equations)
    return {key: (graph.equations.get(key) or (some,))[0] for key in graph.definitions}


def _example_shape(program: Program, key: str, count: Expr) -> tuple[int, ...]:
    """The shape of one example of an input or target, whose first axis is that of the examples."""
    tensor = program.tensors[key]
    if tensor.shape[:1] != (count,):
        raise LoweringError(f"tensor {key} has no axis of examples in front")
    return tuple(int(program.value_of(extent)) for extent in tensor.shape[1:])


def _free(name: str, taken: frozenset[str]) -> str:
    while name in taken:
        name += "_"
    return name
