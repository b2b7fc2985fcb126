"""Equations that differ in names only are lowered once: the operations are recorded and made again with other names.

What lowering depends on is given as a skeleton, which leaves names out. Names keep their order among each other, since
SymPy sorts by it. Where an operation meets an array that has a name already in one layer and in another has not, the
record does not fit, and the equation is lowered by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from sympy import Expr, Integer, Symbol, log

from codegen.arrays import Node
from codegen.layout import Builder
from symbolic.moulds import Skeleton, is_tensor_name, joined, order_of, skeleton, tensor_name
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor

# So many records of one kind are kept, such as for layers of other widths.
MOST = 16
# Operations whose detail is their shape, or a size in it.
SIZED = frozenset({"fill", "broadcast", "identity"})
# A size by its place among the names, or a number.
Extent: TypeAlias = int | Integer


class Outline(NamedTuple):
    """An equation without its names; the last of them is that of its own tensor.

    letters: the index letters, as often as they stand there.
    logs:    whether it takes a logarithm.
    """

    skeleton: Skeleton
    letters: tuple[Symbol, ...]
    logs: bool

    def kind(self, symbols: Sequence[Symbol] = ()) -> Hashable:
        """Equal for equations that differ in names only, if SymPy sorts these among letters and `symbols` alike."""
        return self.skeleton.tokens, order_of(self.skeleton.names, (*self.letters, *symbols))


@lru_cache(maxsize=2**14)
def outline_of(equation: Equation) -> Outline:
    """The outline of an equation."""
    right = skeleton(equation.rhs)
    tokens = right.tokens
    assert isinstance(tokens, tuple)
    whole = Skeleton((tokens, equation.indices), (*right.names, tensor_name(equation.tensor.key)))
    letters = (*equation.indices, *(token for token in tokens if isinstance(token, Symbol)))
    return Outline(whole, letters, log in tokens)


def tensors_in(equation: Equation) -> list[str]:
    """Keys of the tensors in an equation, each once, that on the left side last."""
    return [name.name for name in outline_of(equation).skeleton.names if is_tensor_name(name)]


class Given(NamedTuple):
    """What the lowering of an equation depends on: equal kinds for equations that differ in names only."""

    kind: Hashable
    names: tuple[Symbol, ...]


class Step(NamedTuple):
    """One operation of a record.

    args:   places of earlier operations.
    detail: what is the same for all names; for a tensor and a size, the place of its name.
    known:  whether an array of this value had a name already, which then stands for it.
    """

    op: str
    args: tuple[int, ...]
    detail: Any
    shape: tuple[Extent, ...]
    known: bool


@dataclass(frozen=True)
class Recording:
    """The operations of one equation, names by their places.

    values: the sizes that were asked for as numbers, by place, and what they were.
    """

    steps: tuple[Step, ...]
    values: Mapping[int, Expr]

    def replay(self, builder: Builder, names: Sequence[Symbol]) -> Node | None:
        """The right side with these names; None if other arrays than before have a name already."""
        made: list[Node] = []
        for op, args, detail, places, known in self.steps:
            shape = tuple([names[extent] if type(extent) is int else extent for extent in places])
            if op == "tensor":
                detail = names[detail].name
            elif op == "extent":
                detail = names[detail]
            elif op in SIZED:
                detail = shape[0] if op == "identity" else shape
            node = builder.make(op, tuple([made[at] for at in args]), detail, shape)
            if (node.op != op) != known:
                return None
            made.append(node)
        return made[-1]


class Recorder(Builder):
    """Makes nodes as another builder does, and notes them."""

    def __init__(self, builder: Builder) -> None:
        super().__init__()
        self.builder = builder
        self.log: list[tuple[str, tuple[Node, ...], object, Node]] = []

    def make(
        self,
        op: str,
        args: tuple[Node, ...] = (),
        detail: object = None,
        shape: tuple[Expr, ...] | None = None,
    ) -> Node:
        node = self.builder.make(op, args, detail, shape)
        self.log.append((op, args, detail, node))
        return node

    def recording(self, result: Node, names: Sequence[Symbol], values: Mapping[Symbol, Expr]) -> Recording | None:
        """How `result` was made; None if it uses what has no place among the names."""
        at: dict[int, int] = {}
        places = {name: place for place, name in enumerate(names)}
        keys = {name.name: place for place, name in enumerate(names)}
        steps: list[Step] = []
        if not places.keys() >= values.keys():
            return None
        for op, args, detail, node in self.log:
            if id(node) in at:
                continue
            shape = tuple([extent if isinstance(extent, Integer) else places.get(extent) for extent in node.shape])
            if op in ("tensor", "extent"):
                detail = (keys if op == "tensor" else places).get(detail)
                if detail is None:
                    return None
            if None in shape or any(id(argument) not in at for argument in args):
                return None
            at[id(node)] = len(steps)
            steps.append(Step(op, tuple([at[id(argument)] for argument in args]), detail, shape, node.op != op))
            if node is result:
                return Recording(tuple(steps), {places[size]: value for size, value in values.items()})
        return None


class Recordings:
    """The records of what was lowered, by what it depends on.

    definitions: the equations by key.
    """

    def __init__(self, definitions: Mapping[str, Equation], tensors: Mapping[str, Tensor], program: Program) -> None:
        self.builder = Builder()
        self.definitions = definitions
        self.tensors = tensors
        self.program = program
        self._known: dict[Hashable, list[Recording]] = {}

    def node(self, equation: Equation, lowered: Callable[[Builder, Callable[[Expr], Expr]], Node]) -> Node:
        """The right side of an equation: replayed, or made by `lowered` with a builder and the values of sizes."""
        given = self._given(equation)
        if given is None:
            return lowered(self.builder, self.program.value_of)
        known = self._known.setdefault(given.kind, [])
        for recording in known:
            if all(self.program.value_of(given.names[at]) == value for at, value in recording.values.items()):
                node = recording.replay(self.builder, given.names)
                if node is not None:
                    return node
        values: dict[Symbol, Expr] = {}

        def value_of(size: Expr) -> Expr:
            return values.setdefault(size, self.program.value_of(size))

        recorder = Recorder(self.builder)
        node = lowered(recorder, value_of)
        made = recorder.recording(node, given.names, values)
        if made is not None and len(known) < MOST:
            known.append(made)
        return node

    def _given(self, equation: Equation) -> Given | None:
        """What the lowering depends on; None where that is not known."""
        plain, letters, logs = outline_of(equation)
        if logs:
            # The one function that compute forms look through, at the definition of what it is of.
            if any(part.args[0].has(log) for part in equation.rhs.atoms(log)):
                return None
            defined = [self.definitions[name.name] for name in plain.names if name.name in self.definitions]
            plain = joined([plain, *(outline_of(one).skeleton for one in defined)])
        places = {name: place for place, name in enumerate(plain.names)}
        shapes = []
        for name in plain.names:
            tensor = self.tensors.get(name.name)
            if tensor is not None:
                shapes.append(tuple([
                    places.setdefault(extent, len(places)) if isinstance(extent, Symbol) else (extent,)
                    for extent in tensor.shape
                ]))  # fmt: skip
        names = tuple(places)
        return Given((plain.tokens, tuple(shapes), order_of(names, letters)), names)
