"""The pass that subtracts a gradient from its weights while it is computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from codegen.passes.costs import Costs
from codegen.passes.graph import Graph, joint_name
from codegen.passes.instructions import Instruction, Listing, Operand

# Views through which a matrix still lies in memory line after line.
IN_LINES = frozenset({"transpose", "rows", "with_ones"})


def fused_update(
    listing: Listing, graph: Graph, gradients: Mapping[str, str], leaves: Collection[str], costs: Costs
) -> Listing:
    """W - A B in place of G = A B and W - G, where W is read for the last time before and G is read by nobody.

    The instruction is then called "descend" and its result is W.

    gradients: key of the gradient by the key of its parameter; it has the step as a factor.
    leaves:    inputs and targets; those that are not loaded lie in a caller's memory.
    """
    parameters = {gradient: key for key, gradient in gradients.items()}
    parameters |= {joint_name(gradients[w], gradients[b]): joint for joint, (w, b) in graph.joint.items()}
    given = set(leaves) - {instruction.result for instruction in listing.instructions}
    reads: dict[str, int] = {}
    for place, instruction in enumerate(listing.instructions):
        reads.update((operand.name, place) for operand in listing.read(instruction))
    # With what only serves to make it, a descent waits until its weights are read for the last time.
    waiting: dict[int, list[Instruction]] = {}
    ordered: list[Instruction] = []
    for place, instruction in enumerate(listing.instructions):
        weights = parameters.get(instruction.result)
        ordered.append(instruction)
        is_asked_for = instruction.result in reads
        if weights and not is_asked_for and _is_product(instruction) and _pays(instruction, graph, given, costs):
            first = len(ordered) - 1
            while first and ordered[first - 1].key == instruction.key:
                first -= 1
            moved = [*ordered[first:-1], replace(instruction, op="descend", result=weights)]
            del ordered[first:]
            waiting.setdefault(max(place, reads.get(weights, -1)), []).extend(moved)
        ordered += waiting.pop(place, [])
    return replace(listing, instructions=ordered)


def descents(listing: Listing) -> frozenset[str]:
    """What is moved in this way."""
    return frozenset(instruction.result for instruction in listing.instructions if instruction.op == "descend")


def _is_product(instruction: Instruction) -> bool:
    return instruction.op == "matmul" and all(_is_in_lines(operand) for operand in instruction.operands)


def _is_in_lines(operand: Operand) -> bool:
    return bool(operand.name) and len(operand.shape) == 2 and all(view in IN_LINES for view, _ in operand.views)


def _pays(instruction: Instruction, graph: Graph, given: Collection[str], costs: Costs) -> bool:
    """Whether the call of BLAS costs less than the gradient's way through memory."""
    entries = graph.size(instruction.shape)
    return costs.descent(any(o.name in given for o in instruction.operands)) < costs.update(entries)
