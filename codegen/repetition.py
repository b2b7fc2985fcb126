"""Equal layers in straight-line code: blocks of assignments that differ in nothing but the numbers of their layers.

What follows each other for one layer is a `Stretch`. A `Run` is a row of equal blocks of stretches, one for each layer,
or for each two where two kinds of layers alternate; code writes it as one loop. Which layer a name belongs to is read
off the record of its tensor, never off the name. What is compared are names in their places, so the cost grows with
the depth and no faster.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby
from typing import Any, Generic, NamedTuple, TypeVar

from sympy import Expr

from codegen.arrays import PART_NAMES, ArrayProgram, Assignment, Node
from codegen.recording import SIZED, tensors_in
from symbolic.tensors import Tensor

Item = TypeVar("Item")
Family = tuple[str, bool]

# So many equal blocks in a row are written as a loop; of fewer, each is written.
FEWEST = 5
# A block has at most so many layers.
LONGEST_BLOCK = 8


class Label(NamedTuple):
    """What a name in code stands for: W2 is the family W in layer 2.

    layer: its number, or None.
    part:  whether it is no tensor, but a part of an equation that is used several times.
    """

    family: str
    layer: int | None = None
    part: bool = False

    @property
    def kin(self) -> Family:
        """The family, and whether it is one of parts."""
        return self.family, self.part


Labels = Mapping[str, Label]
Near = tuple[Family, int | None]


def near(keys: Iterable[str], layer: int | None, labels: Labels) -> tuple[Near, ...]:
    """What names stand for, seen from a layer."""
    found = []
    for key in keys:
        label = labels[key]
        found.append((label.kin, None if label.layer is None else label.layer - (layer or 0)))
    return tuple(found)


@dataclass(frozen=True)
class Stretch(Generic[Item]):
    """What follows each other for one layer.

    layer: its number, or None for what belongs to no layer.
    kind:  equal for stretches that differ in names only.
    keys:  the names in their places.
    near:  what they stand for: the family, and how many layers further, or None for what belongs to no layer.
    """

    items: tuple[Item, ...]
    layer: int | None
    kind: Hashable
    keys: tuple[str, ...]
    near: tuple[Near, ...]


@dataclass(frozen=True)
class Run(Generic[Item]):
    """Equal blocks, one after the other.

    layers: number of the first layer of each block.
    blocks: what each of them does.
    items:  the block that is written for all of them.
    moving: the names in it that go with the layer, with their distance from the first layer of the block. Every other
            name is the same in all blocks.
    """

    layers: range
    blocks: tuple[tuple[Item, ...], ...]
    items: tuple[Item, ...]
    moving: Mapping[str, int]


Section = Stretch[Item] | Run[Item]


def sections(stretches: Sequence[Stretch[Item]], labels: Labels) -> list[Section[Item]]:
    """The stretches in order, with runs in the place of equal blocks.

    Where several lengths of a block fit, the one that saves most stretches is taken.
    """
    found: list[Section[Item]] = []
    start = 0
    while start < len(stretches):
        best, length = None, 0
        for period in range(1, LONGEST_BLOCK + 1):
            end = start + length
            if best is not None and (end == len(stretches) or not _may_pass(stretches, start, end, period)):
                continue
            blocks = _equal_blocks(stretches, start, period)
            if blocks >= FEWEST and blocks * period > length:
                run = _run(stretches[start : start + blocks * period], period, labels)
                if run is not None:
                    best, length = run, blocks * period
        found.append(stretches[start] if best is None else best)
        start += max(length, 1)
    return found


def _may_pass(stretches: Sequence[Stretch], start: int, end: int, period: int) -> bool:
    """Whether blocks of `period` stretches may go on where shorter ones ended, so that they need to be counted."""
    return end - period < start or _shift(stretches[end - period], stretches[end]) is not None


def _equal_blocks(stretches: Sequence[Stretch], start: int, period: int) -> int:
    """How many blocks of `period` stretches from `start` are equal up to a constant shift of their layers."""
    pattern: list[tuple[int, tuple[bool, ...] | None]] = []
    at = start
    while at + period < len(stretches):
        shift = _shift(stretches[at], stretches[at + period])
        if shift is None or (pattern and shift[0] != pattern[0][0]):
            break
        place = at - start
        if place < period:
            pattern.append(shift)
        elif shift != pattern[place % period]:
            break
        at += 1
    return (at - start) // period + 1


def _shift(one: Stretch, other: Stretch) -> tuple[int, tuple[bool, ...] | None] | None:
    """How many layers `other` lies behind `one`, and which of its names move with it, None where all do that belong to
    a layer; or None if it is not the same work.
    """
    if one.layer is None or other.layer is None or one.layer == other.layer or one.kind != other.kind:
        return None
    step = other.layer - one.layer
    if one.near == other.near:
        return step, None
    places = zip(one.keys, other.keys, one.near, other.near, strict=True)
    if any(key != further and place != there for key, further, place, there in places):
        return None
    return step, tuple([key != further for key, further in zip(one.keys, other.keys, strict=True)])


def _run(stretches: Sequence[Stretch[Item]], period: int, labels: Labels) -> Run[Item] | None:
    """The run of these stretches; None if no block of it can be written for all, because in each a name moves in one
    place and stays in another.
    """
    blocks = [stretches[at : at + period] for at in range(0, len(stretches), period)]
    layers = [block[0].layer or 0 for block in blocks]
    step = layers[1] - layers[0]
    keys = [[key for stretch in block for key in stretch.keys] for block in blocks]
    items = tuple([tuple([item for stretch in block for item in stretch.items]) for block in blocks])
    places = [at for at, (key, further) in enumerate(zip(keys[0], keys[1], strict=True)) if key != further]
    staying = {key for key, further in zip(keys[0], keys[1], strict=True) if key == further}
    for layer, written, names in zip(layers, items, keys, strict=True):
        moving = {names[at]: (labels[names[at]].layer or 0) - layer for at in places}
        if staying.isdisjoint(moving):
            return Run(range(layers[0], layers[-1] + step, step), items, written, moving)
    return None


# --- array programs


@dataclass(frozen=True)
class RepeatedProgram:
    """An array program and the equal blocks in it.

    labels:   what its names stand for.
    by_layer: the families that loops make or use, by name and whether they are parts: code holds them by layer.
    passing:  the families of parts that nothing outside their stretch uses: in a loop, one name serves all layers.
    reads:    keys that are taken from outside.
    """

    program: ArrayProgram
    labels: Labels
    sections: tuple[Section[Assignment], ...]
    by_layer: frozenset[Family]
    passing: frozenset[Family]
    reads: frozenset[str]

    @property
    def runs(self) -> tuple[Run[Assignment], ...]:
        return tuple(section for section in self.sections if isinstance(section, Run))

    @cached_property
    def written(self) -> ArrayProgram:
        """The assignments that are written, those of a run once."""
        return ArrayProgram(tuple(item for section in self.sections for item in section.items), self.program.returns)

    def layered(self, key: str) -> bool:
        """Whether code holds a name by layer."""
        label = self.labels.get(key)
        return label is not None and label.layer is not None and label.kin in self.by_layer


def repeated(program: ArrayProgram, tensors: Iterable[Tensor], value_of: Callable[[Expr], Expr]) -> RepeatedProgram:
    """The equal blocks of an array program.

    tensors:  those that the program may read or mention, besides those that it makes.
    value_of: a size, with its number filled in where that is known. Equal layers have equal sizes.
    """
    reader = _Reader(_labels(program, tensors), cache(value_of))
    stretches = [reader.stretch(items, layer) for layer, items in _by_layer(program, reader.labels)]
    found = sections(stretches, reader.labels)
    moving = {reader.labels[key].kin for section in found if isinstance(section, Run) for key in section.moving}
    passing = {kin for kin in moving if kin[1]} - _used_elsewhere(stretches, reader.labels)
    return RepeatedProgram(
        program, reader.labels, tuple(found), frozenset(moving - passing), frozenset(passing),
        frozenset(reader.reads.union(program.returns).difference(item.name for item in program.assignments)),
    )  # fmt: skip


def _labels(program: ArrayProgram, tensors: Iterable[Tensor]) -> dict[str, Label]:
    """What each name stands for. A part is called after the one tensor that it is made from, otherwise after the tensor
    in whose equation it stands first; see `assemble`.
    """
    labels = {tensor.key: label_of(tensor) for tensor in tensors}
    sources: dict[str, list[str]] = {}
    counts: dict[Label, int] = {}
    waiting: list[Assignment] = []
    for assignment in program.assignments:
        waiting.append(assignment)
        if assignment.equation is None:
            continue
        labels[assignment.name] = owner = label_of(assignment.equation.tensor)
        for part in waiting[:-1]:
            used = dict.fromkeys(key for name in part.node.reads for key in sources.get(name, (name,)))
            sources[part.name] = list(used)
            of = labels[next(iter(used))] if len(used) == 1 else owner
            stem = PART_NAMES.get(part.node.op, part.node.op)
            label = Label(f"{stem}_{of.family}", owner.layer if of.layer is None else of.layer, True)
            counts[label] = counts.get(label, 0) + 1
            again = f"_{counts[label]}" if counts[label] > 1 else ""
            labels[part.name] = Label(label.family + again, label.layer, True)
        waiting.clear()
    return labels


def label_of(tensor: Tensor) -> Label:
    """What the key of a tensor stands for."""
    return Label(tensor.name, tensor.layer if isinstance(tensor.layer, int) else None)


def _by_layer(program: ArrayProgram, labels: Labels) -> Iterator[tuple[int | None, tuple[Assignment, ...]]]:
    """The assignments in stretches of one layer; a part goes with the equation that it stands before."""
    layers: list[int | None] = []
    for assignment in reversed(program.assignments):
        layers.append(layers[-1] if assignment.equation is None else labels[assignment.name].layer)
    rows = zip(reversed(layers), program.assignments, strict=True)
    for layer, row in groupby(rows, key=lambda pair: pair[0]):
        yield layer, tuple(assignment for _, assignment in row)


def _used_elsewhere(stretches: Iterable[Stretch[Assignment]], labels: Labels) -> set[Family]:
    """The families of which a member is used outside the stretch that makes it."""
    found: set[Family] = set()
    for stretch in stretches:
        made = {assignment.name for assignment in stretch.items}
        found.update(labels[key].kin for key in stretch.keys if key not in made)
    return found


class _Reader:
    """Reads assignments into stretches, and notes which tensors their code reads."""

    def __init__(self, labels: dict[str, Label], value_of: Callable[[Expr], Expr]) -> None:
        self.labels = labels
        self.value_of = value_of
        self.reads: set[str] = set()
        # Equal ones are kept once, so that comparing them is fast.
        self.known: dict[Hashable, Any] = {}

    def stretch(self, items: tuple[Assignment, ...], layer: int | None) -> Stretch[Assignment]:
        keys: list[str] = []
        kind = tuple([self._kind(item, layer, keys) for item in items])
        places = near(keys, layer, self.labels)
        return Stretch(
            items, layer, self.known.setdefault(kind, kind), tuple(keys), self.known.setdefault(places, places)
        )

    def _kind(self, assignment: Assignment, layer: int | None, keys: list[str]) -> Hashable:
        """What an assignment does, without names, which go to `keys`."""
        keys.append(assignment.name)
        tokens: list[Hashable] = [self._sizes(assignment.node)]
        stack = [assignment.node]
        while stack:
            node = stack.pop()
            if node.op == "tensor":
                keys.append(node.detail)
                self.reads.add(node.detail)
                own = self.labels[node.detail].layer == layer
                tokens.append(self._sizes(node) if own else len(node.shape))
            else:
                sizes = node.shape if node.op in SIZED else None
                tokens.append((node.op, len(node.args), node.detail, sizes))
                stack.extend(node.args)
        if assignment.equation is not None:
            named = tensors_in(assignment.equation)
            for key in named:
                self.labels.setdefault(key, Label(key))
            keys += named
            tokens.append(len(named))
        return tuple(tokens)

    def _sizes(self, node: Node) -> Hashable:
        return tuple([self.value_of(extent) for extent in node.shape])
