"""Statements that differ in nothing but the arrays they work on, as a function that is written once.

A compiler takes more than twice the time for a function twice as long. So where a loop nest, or a product of matrices,
comes up in many places with arrays of the same sizes, as in a deep network of equal layers, each place becomes a call.
The arrays of such calls lie in stacks, one for each size, and a call is told the stacks, which are few, and the numbers
of its arrays in them: to name every array in the calling function would take longer than the loops do.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

FEWEST = 4  # places; what comes up in fewer is written out in each
FLAT = "_flat"
WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
SLOT = re.compile(r"<(\d+)>")
# Words that mean the same in every function: of the language, places in stacks, indices, numbers, helpers.
COMMON = re.compile(r"for|in|range|if|else|and|or|not|np|rate|total|at_\w+|i\d*|i_[a-z]|number_\d+|_\w+")

Function = tuple[str, tuple[str, ...], list[str]]


@dataclass(frozen=True)
class Held:
    """An array as a part of a vector: the vector's name, and the sizes of its axes."""

    vector: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Kind:
    """What statements have in common.

    lines: with <0>, <1>, ... for arrays.
    slots: what these arrays are, and whether each is taken as the vector of its elements.
    """

    lines: tuple[str, ...]
    slots: tuple[tuple[Held, bool], ...]

    @property
    def result(self) -> int:
        """Which of the arrays is written into."""
        last = self.lines[-1]
        return int(SLOT.findall(last)[-1 if last.startswith("np.dot") else 0])

    @property
    def moves(self) -> bool:
        return any(re.search(r"\brate\b", line) for line in self.lines)


@dataclass(frozen=True)
class Block:
    """A statement with what is indented below it. kind: None if it cannot be a call. arrays: those in its slots."""

    lines: tuple[str, ...]
    kind: Kind | None = None
    arrays: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outlined:
    """Statements of which some are calls.

    functions: what they call.
    stacks:    the arrays in each, in their order.
    numbers:   what the place of an array in its stack is called.
    sheets:    what a stack is called, and what it is called as a stack of vectors.
    """

    lines: list[str]
    functions: list[Function]
    stacks: dict[Held, list[str]]
    numbers: dict[str, str]
    sheets: dict[tuple[Held, bool], str]

    def order(self, arrays: Mapping[str, Held]) -> list[list[str]]:
        """The arrays as they must lie: those of a stack follow each other, and others stand alone."""
        groups = [self.stacks[held] if name in self.numbers else [name] for name, held in arrays.items()]
        return [group for name, group in zip(arrays, groups, strict=True) if group[0] == name]

    def places(self) -> str:
        """Statements of the module: the number of each array in its stack. Not plain numbers, since numba would compile
        a function anew for each of them.
        """
        pairs = [(name, place) for stack in self.stacks.values() for place, name in enumerate(stack)]
        return "".join(f"{self.numbers[name]} = np.int64({place})\n" for name, place in pairs)

    def views(self, starts: Mapping[str, int]) -> list[str]:
        """Statements that name the stacks. starts: where each array starts in its vector."""
        lines = []
        for (held, flat), name in self.sheets.items():
            start, members = starts[self.stacks[held][0]], len(self.stacks[held])
            axes = (members, held.count) if flat else (members, *held.shape)
            lines.append(f"{name} = {held.vector}[{start}:{start + members * held.count}].reshape({axes})")
        return lines


def outlined(
    lines: Sequence[str], arrays: Mapping[str, Held], functions: Sequence[Function], free: Callable[[str], str]
) -> Outlined:
    """The statements, with calls for what comes up often.

    arrays:    by name. A matrix `a` is also there as the vector `a_flat`.
    functions: what statements call already, loops over vectors. Those that are still called are kept.
    free:      a name that is not taken, from one that may be.
    """
    bodies = {name: body for name, _, body in functions}
    blocks = [_block(text, bodies.get(text[0].partition("(")[0], text), arrays) for text in _split(lines)]
    places: dict[Kind, list[Block]] = {}
    for block in blocks:
        if block.kind is not None:
            places.setdefault(block.kind, []).append(block)
    often = {kind: same for kind, same in places.items() if len(same) >= FEWEST}
    used = {name for same in often.values() for block in same for name in block.arrays}
    stacks: dict[Held, list[str]] = {}
    for name in filter(used.__contains__, arrays):
        stacks.setdefault(arrays[name], []).append(name)
    numbers = {name: free(f"at_{name}") for stack in stacks.values() for name in stack}
    sheets: dict[tuple[Held, bool], str] = {}
    names = {held: free("_".join([held.vector, *map(str, held.shape)])) for held in stacks}
    for held, flat in dict.fromkeys(slot for kind in often for slot in kind.slots):
        sheets[held, flat] = names[held] + FLAT * flat
    made = {kind: _function(kind, same, sheets, free) for kind, same in often.items()}

    def taken(word: re.Match[str]) -> str:
        name = word.group()
        there = name in numbers and (arrays[name], False) in sheets
        return f"{sheets[arrays[name], False]}[{numbers[name]}]" if there else name

    written: list[str] = []
    for block in blocks:
        if block.kind in made:
            rate = ["rate"] if block.kind.moves else []
            handed = [*_sheets(block.kind, sheets), *(numbers[name] for name in block.arrays), *rate]
            written.append(f"{made[block.kind][0]}({', '.join(handed)})")
        elif block.lines[0].startswith("if "):
            written += [WORD.sub(taken, line) for line in block.lines]
        else:
            written += block.lines
    called = {line.partition("(")[0] for line in written}
    kept = [function for function in functions if function[0] in called]
    return Outlined(written, [*kept, *made.values()], stacks, numbers, sheets)


def _split(lines: Sequence[str]) -> list[list[str]]:
    """Statements one by one; loops that follow each other and write into the same array are taken together."""
    found: list[list[str]] = []
    for line in lines:
        if line.startswith((" ", ")")):
            found[-1].append(line)
        else:
            found.append([line])
    joined: list[list[str]] = []
    for text in found:
        if joined and joined[-1][0].startswith("for ") and _filled(text) == _filled(joined[-1]) != "":
            joined[-1] += text
        else:
            joined.append(text)
    return joined


def _filled(text: Sequence[str]) -> str:
    """What a nest of loops writes into; "" for other statements."""
    return WORD.findall(text[-1])[0] if text[0].startswith("for ") else ""


def _block(text: list[str], body: list[str], arrays: Mapping[str, Held]) -> Block:
    """text: a statement. body: the loops that it means."""
    slots: dict[tuple[str, bool], int] = {}
    unknown = False

    def slot(found: re.Match[str]) -> str:
        nonlocal unknown
        word = found.group()
        name = word.removesuffix(FLAT)
        if word in arrays or name in arrays:
            return f"<{slots.setdefault((word, False) if word in arrays else (name, True), len(slots))}>"
        word = "total" if re.fullmatch("total_*", word) else word
        unknown = unknown or not COMMON.fullmatch(word)
        return word

    if not body[0].startswith(("for ", "np.dot(")):
        return Block(tuple(text))
    lines = tuple(WORD.sub(slot, line) for line in body)
    sums = [line.strip() for line in lines if "total" in line]
    if unknown or (sums and not sums[0].startswith("total = ")):
        return Block(tuple(text))  # it needs, or leaves behind, a single number
    kind = Kind(lines, tuple((arrays[name], flat) for name, flat in slots))
    return Block(tuple(text), kind, tuple(name for name, _ in slots))


def _sheets(kind: Kind, sheets: Mapping[tuple[Held, bool], str]) -> list[str]:
    return list(dict.fromkeys(sheets[slot] for slot in kind.slots))


def _function(
    kind: Kind, same: Sequence[Block], sheets: Mapping[tuple[Held, bool], str], free: Callable[[str], str]
) -> Function:
    """The function that statements of a kind become. Its arrays have the names that most of them have there."""
    names: list[str] = []
    taken = set(sheets.values())
    for place in range(len(kind.slots)):
        stems = Counter(block.arrays[place].rstrip("0123456789_") for block in same)
        stem = max(stems, key=lambda name: stems[name])
        stem += "_" * (COMMON.fullmatch(stem) is not None)
        names.append(next(name for n in count(1) if (name := stem if n == 1 else f"{stem}_{n}") not in taken))
        taken.add(names[-1])
    result = names[kind.result]
    others = "_and_".join(name for name in names if name != result)
    how = "_moved_by_" if kind.moves else "_from_" if others else "_filled"
    rate = ["rate"] if kind.moves else []
    arguments = (*_sheets(kind, sheets), *(f"at_{name}" for name in names), *rate)
    views = [f"{name} = {sheets[slot]}[at_{name}]" for name, slot in zip(names, kind.slots, strict=True)]
    body = [SLOT.sub(lambda found: names[int(found.group(1))], line) for line in kind.lines]
    return free(result + how + others), arguments, [*views, *body]
