"""The picture that people draw of a dense network: layers of circles beside each other, every unit seeing every unit of
the layer before. Only a program that is such a network has one.
"""

from __future__ import annotations

from dataclasses import replace

from symbolic.depth import LAYER, width
from symbolic.derivation import Derivation
from symbolic.diagrams.folding import Gap, gaps, used_keys
from symbolic.diagrams.labels import Labels
from symbolic.diagrams.records import Column, Diagram, Edge, Node
from symbolic.diagrams.words import network_in_words
from symbolic.errors import NoPicture, ProgramError
from symbolic.induction import GeneralDerivation
from symbolic.notation import Notation
from symbolic.programs import Program, per_example_loss
from symbolic.tensors import Equation, Tensor, elements, indices_of, key_of

# A layer of so many units is drawn with all of them; of more, the first ones, dots, and the last one.
MOST_UNITS = 5
FIRST_UNITS = 3


def network(derivation: Derivation | GeneralDerivation, notation: Notation) -> Diagram:
    """The layers of a dense network, of any depth where the derivation is.

    Raises:
        UsageError: the program is no such network; says why.
    """
    if isinstance(derivation, GeneralDerivation):
        columns = _general(derivation, notation)
    else:
        columns = _drawn(derivation, notation)
    part = derivation.parts[0]
    labels = Labels(part, notation)
    loss = per_example_loss(part.program)
    end = Node(loss.key, "objective", labels.symbol(loss))
    edges = [Edge(one.key, other.key) for one, other in zip(columns, [*columns[1:], end], strict=True)]
    flow = [column for column in columns if column.backward or column.kind == "more"]
    flow = flow[next((at for at, column in enumerate(flow) if column.backward), len(flow)) :]
    if flow:
        edges += [Edge(later.key, one.key, True) for one, later in zip(flow, [*flow[1:], end], strict=True)]
    targets = [leaf for leaf in part.program.leaves if leaf.key in used_keys(part.program.definitions[loss.key])]
    given = [Node(leaf.key, "given", labels.symbol(leaf)) for leaf in targets]
    edges += [Edge(node.key, end.key) for node in given]
    alt = network_in_words(columns, end)
    return Diagram("network", derivation.title, alt, (*columns, *given, end), tuple(edges))


def _drawn(derivation: Derivation, notation: Notation) -> list[Column]:
    program, labels = derivation.program, Labels(derivation, notation)
    layers = _layers(program)
    missing = {gap.first: gap for gap in gaps(program)}
    hidden = {number for gap in missing.values() for number in range(gap.first, gap.last + 1)}
    start = _entered(program, layers[0][0])
    columns = [_column(labels, start)]
    for number, (before, after) in enumerate(layers, start=1):
        if number in missing:
            columns.append(_more(missing[number]))
        if number not in hidden:
            columns.append(_column(labels, after.tensor, before, after))
    return columns


def _column(labels: Labels, units: Tensor, before: Equation | None = None, after: Equation | None = None) -> Column:
    program = labels.program
    extent = next(n for n, at in zip(units.shape, units.indices, strict=True) if at != program.example)
    number = program.value_of(extent)
    learnt = [] if before is None else [program.tensors[key] for key in used_keys(before)]
    return Column(
        units.key,
        "given" if before is None else "computed",
        labels.symbol(units),
        labels.size(extent),
        labels.backward(units if before is None else before.tensor),
        _circles(int(number) if number.is_Integer else None),
        "" if after is None else labels.function(after.function),
        ", ".join(labels.symbol(leaf) for leaf in sorted(learnt, key=_axes) if leaf.role == "parameter"),
    )


def _axes(tensor: Tensor) -> int:
    return -len(tensor.shape)


def _circles(number: int | None) -> tuple[bool, ...]:
    if number is not None and number <= MOST_UNITS:
        return (True,) * number
    return (*(True,) * FIRST_UNITS, False, True)


def _more(gap: Gap) -> Column:
    return Column(gap.key, "more", r"\cdots", rf"\text{{{gap.text}}}")


def _layers(program: Program) -> list[tuple[Equation, Equation]]:
    """The equations of each layer's pre-activations and activations.

    Raises:
        UsageError: it is no row of dense layers.
    """
    keys = [equation.tensor.key for equation in program.equations]
    try:
        loss = per_example_loss(program)
    except ProgramError as error:
        raise _refusal(program, str(error)) from None
    rows = program.equations[: keys.index(loss.key)]
    pairs = list(zip(rows[::2], rows[1::2], strict=False))
    if not pairs or len(rows) % 2:
        raise _refusal(program, "its equations do not come in pairs of pre-activations and activations")
    previous = ""
    for number, (before, after) in enumerate(pairs, start=1):
        reason = _why_not(program, number, before, after, previous)
        if reason:
            raise _refusal(program, reason)
        previous = after.tensor.key
    used = used_keys(program.definitions[loss.key])
    if previous not in used or any(key in keys for key in used if key != previous):
        raise _refusal(program, f"{loss.key} is not computed from {previous} and targets alone")
    return pairs


def _refusal(program: Program, reason: str) -> NoPicture:
    return NoPicture(
        f"{program.title or 'the program'} has no picture as a network: {reason}. Only its computation graph exists: "
        "kind='graph'"
    )


def _why_not(program: Program, number: int, before: Equation, after: Equation, previous: str) -> str:
    """What keeps two equations from being dense layer `number` after `previous`; "" for nothing."""
    pair = (before.tensor, "preactivation"), (after.tensor, "activation")
    for tensor, role in pair:
        if tensor.role != role or tensor.layer != number:
            return f"{tensor.key} is not the {role} of layer {number}"
        if len(set(tensor.indices) - {program.example}) != 1:
            return f"{tensor.key} is no row of units"
    if used_keys(after) != [before.tensor.key]:
        return f"{after.tensor.key} is not computed from {before.tensor.key} alone"
    used = [program.tensors[key] for key in used_keys(before)]
    units = [tensor for tensor in used if not (tensor.role == "parameter" and tensor.layer == number)]
    if len(units) != 1 or (units[0].key != previous if previous else units[0].role != "input"):
        return f"{before.tensor.key} is not computed from the layer before it and parameters of its own alone"
    if len(set(units[0].indices) - {program.example}) != 1:
        return f"{units[0].key} is no row of units"
    for element in elements(before.rhs):
        places = set(indices_of(element)) - {program.example}
        if key_of(element) == units[0].key and not places.isdisjoint(before.indices):
            return f"not every unit of {before.tensor.key} sees every unit of {units[0].key}"
    return ""


def _entered(program: Program, before: Equation) -> Tensor:
    """The units that a pre-activation is computed from."""
    used = (program.tensors[key] for key in used_keys(before))
    return next(tensor for tensor in used if tensor.role != "parameter")


def _general(derivation: GeneralDerivation, notation: Notation) -> list[Column]:
    """The input, any layer with the one after it, and the last; dots between them for as many as there are."""
    base, step = (Labels(part, notation) for part in derivation.parts)
    rows = [[e for e in part.program.equations if e.tensor.role in _UNITS] for part in derivation.parts]
    (last_z, last_a), (z, a, following) = rows
    entering = _entered(step.program, z)
    shape = tuple(width(0) if n == entering.shape[-1] else n for n in entering.shape)
    start = Tensor("x", "input", None, shape, entering.indices)
    after = replace(a.tensor, layer=LAYER + 1, shape=following.tensor.shape)
    columns = [
        replace(_column(step, start), note=notation.width_of(0)),
        Column("layers before", "more", r"\cdots"),
        _column(step, a.tensor, z, a),
        _column(step, after, following),
        Column("layers between", "more", r"\cdots"),
        _column(base, last_a.tensor, last_z, last_a),
    ]
    return columns


_UNITS = ("preactivation", "activation")
