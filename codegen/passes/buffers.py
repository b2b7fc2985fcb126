"""Where each result lies: in place of a dying operand, in memory that has become free, or in memory of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sympy import Expr, Integer

from codegen.passes.instructions import OVER_ANY, OVER_FIRST, OVER_LAST, Instruction, Listing, Operand
from symbolic.errors import LoweringError

Shape: TypeAlias = tuple[Expr, ...]


@dataclass(eq=False)
class Buffer:
    """One array that lives as long as the function.

    fixed:     the name of the result whose memory this is, such as a gradient's part of the flat vector.
    with_ones: the axis along which ones follow the last entry; None if there are none.
    names:     the results that lie in it, in order.
    last:      the last place where one of them is read; -1 if none is.
    """

    shape: Shape
    is_truth: bool
    fixed: str = ""
    with_ones: int | None = None
    names: list[str] = field(default_factory=list)
    last: int = -1


def allocate(
    listing: Listing,
    fixed: frozenset[str],
    sizes: Mapping[Expr, Integer],
    overwrites: Callable[[Shape], bool],
    reuse: bool,
    replaces: Mapping[str, str] | None = None,
) -> dict[str, Buffer]:
    """The buffer of each array that an instruction makes.

    fixed: results that have memory of their own: gradients.
    sizes: those that are numbers, and are the same for every batch.
    overwrites: whether an operation should write over an operand of this shape.
    replaces: the input in whose memory a fixed result is written, if any; nothing reads it afterwards.

    Raises:
        LoweringError: an input is read after it was written over.
    """
    instructions = [
        replace(i, shape=tuple([sizes.get(n) or n.xreplace(sizes) for n in i.shape])) for i in listing.instructions
    ]
    arrays = {i.result: i for i in instructions if i.scalar is None}
    reads: dict[str, list[int]] = {}
    widened: dict[str, int] = {}
    for place, instruction in enumerate(instructions):
        for operand in listing.read(instruction):
            reads.setdefault(operand.name, []).append(place)
            widened.update((operand.name, axis) for view, axis in operand.views if view == "with_ones")
    last = {name: places[-1] for name, places in reads.items()}
    replaces = replaces or {}
    until = {home: last.get(name, -1) for home, name in replaces.items()}
    for place, instruction in enumerate(instructions):
        if until.get(instruction.result, -1) > place:
            raise LoweringError(
                f"{replaces[instruction.result]} is read after {instruction.result} was written in its place"
            )
    homes = _chains(instructions, arrays, reads, fixed, until, overwrites)
    buffers: dict[str, Buffer] = {}
    own: dict[str, Buffer] = {}
    # By shape and kind, in the order in which they became free.
    free: dict[tuple[Shape, bool], dict[Buffer, None]] = {}
    for place, instruction in enumerate(instructions):
        name = instruction.result
        if name in arrays:
            home = homes.get(name)
            if home is not None:
                chosen = own.setdefault(home, Buffer(instruction.shape, instruction.is_truth, home))
            else:
                over = _overwritten(instruction, place, last, buffers) if overwrites(instruction.shape) else None
                if over is not None and not _takes(over, widened.get(name)):
                    over = None
                alike = free.setdefault((instruction.shape, instruction.is_truth), {})
                fitting = (buffer for buffer in reversed(alike) if _takes(buffer, widened.get(name)))
                chosen = over or next(fitting, None) or Buffer(instruction.shape, instruction.is_truth)
                alike.pop(chosen, None)
            chosen.names.append(name)
            chosen.last = max(chosen.last, last.get(name, -1))
            chosen.with_ones = widened.get(name, chosen.with_ones)
            buffers[name] = chosen
        if reuse:
            dead = {o.name for o in listing.read(instruction) if last[o.name] == place}
            if name not in last:
                dead.add(name)
            for buffer in (buffers[n] for n in sorted(dead) if n in buffers):
                if not buffer.fixed and buffer.last <= place:
                    free.setdefault((buffer.shape, buffer.is_truth), {}).setdefault(buffer)
    return buffers


def _takes(buffer: Buffer, axis: int | None) -> bool:
    """Whether a result that needs ones along this axis can lie in the buffer."""
    return axis is None or buffer.with_ones in (None, axis)


def _chains(
    instructions: list[Instruction],
    arrays: dict[str, Instruction],
    reads: dict[str, list[int]],
    fixed: frozenset[str],
    until: Mapping[str, int],
    overwrites: Callable[[Shape], bool],
) -> dict[str, str]:
    """Results that only serve to make a fixed result of the same shape are computed in its memory.

    until: the last place where what lies in that memory before is read.
    """
    places = {instruction.result: place for place, instruction in enumerate(instructions)}
    homes = {name: name for name in fixed}
    for instruction in reversed(instructions):
        home = homes.get(instruction.result)
        if home is None or instruction.op not in OVER_ANY or not overwrites(instruction.shape):
            continue
        for operand in instruction.operands:
            maker = arrays.get(operand.name)
            if maker is None or not operand.is_plain or operand.name in homes or len(reads[operand.name]) != 1:
                continue
            if places[operand.name] < until.get(home, -1):
                continue
            if maker.shape == instruction.shape and maker.is_truth == instruction.is_truth:
                homes[operand.name] = home
                break
    return homes


def _overwritten(
    instruction: Instruction, place: int, last: dict[str, int], buffers: dict[str, Buffer]
) -> Buffer | None:
    """The buffer of an operand that the instruction may write over: it is read here for the last time, as it is."""
    if instruction.op in OVER_ANY:
        candidates = instruction.operands
    elif instruction.op in OVER_FIRST:
        candidates = instruction.operands[:1]
    elif instruction.op in OVER_LAST:
        candidates = instruction.operands[-1:]
    else:
        return None
    for operand in candidates:
        buffer = buffers.get(operand.name)
        if buffer is None or buffer.fixed or not operand.is_plain or last[operand.name] != place:
            continue
        if (buffer.shape, buffer.is_truth) != (instruction.shape, instruction.is_truth):
            continue
        if buffer.last > place or _seen_otherwise(instruction.operands, operand, buffer, buffers):
            continue
        return buffer
    return None


def _seen_otherwise(operands: tuple[Operand, ...], chosen: Operand, buffer: Buffer, buffers: dict[str, Buffer]) -> bool:
    """Whether another operand looks at the same memory, transposed or the like."""
    return any(o != chosen and buffers.get(o.name) is buffer for o in operands)
