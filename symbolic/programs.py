"""Programs: equations in order, and what makes them well formed.

A `Program` is a list of equations, each of which defines a new tensor from earlier ones, with one scalar objective.
Everything else in this package takes its word that it is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from sympy import (
    Add,
    And,
    Basic,
    Expr,
    Function,
    Indexed,
    Integer,
    Mul,
    Not,
    Number,
    NumberSymbol,
    Or,
    Piecewise,
    Pow,
    Sum,
    Symbol,
    Tuple,
    true,
)
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanAtom

from symbolic.errors import ProgramError
from symbolic.expressions import Undefined
from symbolic.tensors import Equation, Fact, Tensor, check_letters, elements, indices_of, is_letter, key_of


@dataclass(frozen=True)
class Program:
    """Equations in order, over declared leaves, with one scalar objective.

    leaves:     the tensors that no equation defines: inputs, targets, parameters.
    objective:  key of the scalar to be differentiated; by default the tensor of the last equation.
    facts:      what is known of the leaves.
    sizes:      numbers for size symbols, where they are known; the mathematics never looks at them.
    intervals:  what the values of a leaf must lie between, by its key; checked where data enters.
    example:    the index of the examples' axis, if the program has one. Each example is then computed by itself.
    sense:      "minimise" or "maximise" the objective.
    given:      keys of computed tensors by which the derivative is taken as known. A derivation calls it by its name
                and never looks at the equations that follow, which stand for whatever may follow.
    """

    leaves: tuple[Tensor, ...]
    equations: tuple[Equation, ...]
    objective: str = ""
    facts: tuple[Fact, ...] = ()
    sizes: Mapping[Symbol, int] = field(default_factory=dict)
    intervals: Mapping[str, tuple[int, int]] = field(default_factory=dict, kw_only=True)
    example: Symbol | None = None
    sense: str = "minimise"
    title: str = ""
    given: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "leaves", tuple(self.leaves))
        object.__setattr__(self, "equations", tuple(self.equations))
        object.__setattr__(self, "facts", tuple(self.facts))
        if not self.equations:
            raise ProgramError("a program needs at least one equation")
        if not self.objective:
            object.__setattr__(self, "objective", self.equations[-1].tensor.key)
        check_program(self)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by its key, leaves first, in order."""
        found = {leaf.key: leaf for leaf in self.leaves}
        found.update((equation.tensor.key, equation.tensor) for equation in self.equations)
        return found

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        return tuple(leaf for leaf in self.leaves if leaf.role == "parameter")

    @cached_property
    def definitions(self) -> dict[str, Equation]:
        """The equation that defines each computed tensor, by its key."""
        return {equation.tensor.key: equation for equation in self.equations}

    def sums_to_one(self, key: str) -> bool:
        """Whether a fact declares that the entries of the tensor along its last axis sum to 1."""
        return any(
            fact.after == 1
            and isinstance(fact.before, Sum)
            and key_of(fact.before.function) == key
            and [limit[0] for limit in fact.before.limits] == list(indices_of(fact.before.function)[-1:])
            for fact in self.facts
        )

    def value_of(self, extent: Expr) -> Expr:
        """A size with its number filled in, where one is known."""
        return extent.xreplace(self._numbers)

    @cached_property
    def _numbers(self) -> dict[Symbol, Integer]:
        return {symbol: Integer(number) for symbol, number in self.sizes.items()}


class HasProgram(Protocol):
    """Whatever can say its forward equations, such as a Network."""

    def program(self) -> Program: ...


def check_program(program: Program) -> None:
    """Raise ProgramError unless each tensor is defined once, before it is used, and fits its indices."""
    known: dict[str, Tensor] = {}
    for leaf in program.leaves:
        if leaf.key in known:
            raise ProgramError(f"tensor {leaf.key} is declared twice; give each its own name or layer")
        known[leaf.key] = leaf
    everything = (*program.leaves, *(equation.tensor for equation in program.equations))
    sizes = {symbol for tensor in everything for extent in tensor.shape for symbol in extent.free_symbols}
    for equation in program.equations:
        key = equation.tensor.key
        if key in known:
            raise ProgramError(f"tensor {key} is defined twice; each equation must define a new tensor")
        ranges = dict(zip(equation.indices, equation.tensor.shape, strict=True))
        _Reader(known, sizes, f"equation for {key}").read(equation.rhs, ranges)
        known[key] = equation.tensor
    for fact in program.facts:
        unknown = [str(element) for element in elements(fact.before) if key_of(element) not in known]
        if unknown:
            raise ProgramError(f"the fact {fact.statement!r} is about {unknown[0]}, which is no tensor of the program")
    objective = known.get(program.objective)
    if objective is None:
        raise ProgramError(f"objective {program.objective!r} is no tensor of the program; there are {', '.join(known)}")
    if objective.shape:
        shape = ", ".join(str(n) for n in objective.shape)
        raise ProgramError(
            f"objective {objective.key} has shape ({shape}); sum it to a scalar before it is differentiated"
        )
    for key in program.given:
        if key not in program.definitions or key == program.objective:
            raise ProgramError(f"given: {key!r} is no tensor that an equation before the objective computes")
    if program.sense not in ("minimise", "maximise"):
        raise ProgramError(f"sense must be 'minimise' or 'maximise', not {program.sense!r}")


# What an equation may be made of, besides tensor elements, letters, sizes and real numbers.
READABLE = (Add, Mul, Pow, Function, Sum, Relational, BooleanAtom, And, Or, Not, Tuple, ExprCondPair)


@dataclass(frozen=True)
class _Reader:
    """Reads one right side and refuses what is no index expression over known tensors.

    where: how messages call the equation.
    """

    known: Mapping[str, Tensor]
    sizes: set[Symbol]
    where: str

    def read(self, expression: Expr, ranges: dict[Expr, Expr]) -> None:
        stack: list[tuple[Basic, dict[Expr, Expr]]] = [(expression, ranges)]
        while stack:
            node, inside = stack.pop()
            if isinstance(node, Sum):
                stack.append((node.function, self._bound(node, inside)))
            elif isinstance(node, (Indexed, Symbol)) and node not in inside and node not in self.sizes:
                self._element(node, inside)
            elif isinstance(node, Undefined):
                stack.extend((argument, inside) for argument in node.arguments)
            elif isinstance(node, AppliedUndef):
                raise ProgramError(
                    f"{self.where}: {node} is an unknown function; "
                    f"write Undefined.function({node.func.__name__!r}, ...)"
                )
            elif isinstance(node, Piecewise) and node.args[-1][1] != true:
                raise ProgramError(f"{self.where}: {node} has no last case (value, True) for what is left over")
            elif isinstance(node, READABLE):
                stack.extend((argument, inside) for argument in node.args)
            elif not (isinstance(node, (Number, NumberSymbol)) and node.is_finite) and not isinstance(node, Symbol):
                raise ProgramError(f"{self.where}: {node} ({type(node).__name__}) cannot stand in an index expression")

    def _bound(self, node: Sum, inside: dict[Expr, Expr]) -> dict[Expr, Expr]:
        found = dict(inside)
        for letter, low, high in node.limits:
            if letter in found:
                raise ProgramError(f"{self.where}: index {letter} is bound twice in {node}")
            if low != 0:
                raise ProgramError(
                    f"{self.where}: a sum must start at 0 and run over a whole axis, as in over({letter}, n)"
                )
            check_letters((letter,), self.where)
            found[letter] = _extent_of(high)
        return found

    def _element(self, node: Expr, inside: dict[Expr, Expr]) -> None:
        key = key_of(node)
        tensor = self.known.get(key or "")
        if tensor is None:
            hint = ""
            if is_letter(node):
                raise ProgramError(f"{self.where}: index {node} is neither on the left side nor summed over{NESTED}")
            if isinstance(node, Symbol) and key is None:
                hint = "; a constant is a number, or a scalar Tensor among the leaves, as in lam[()]"
            raise ProgramError(
                f"{self.where}: {key or node} is used, but it is neither a leaf nor defined by an earlier "
                f"equation{hint}"
            )
        positions = indices_of(node)
        if len(positions) != len(tensor.shape):
            raise ProgramError(
                f"{self.where}: {node} has {len(positions)} indices, but {key} has {len(tensor.shape)} axes"
            )
        if node != tensor[positions]:
            raise ProgramError(f"{self.where}: {node} only looks like {key}; write it as the Tensor indexed: T[i, j]")
        for position, extent in zip(positions, tensor.shape, strict=True):
            self._position(node, position, extent, inside)

    def _position(self, node: Expr, position: Expr, extent: Expr, inside: dict[Expr, Expr]) -> None:
        if isinstance(position, Symbol):
            if position not in inside:
                raise ProgramError(
                    f"{self.where}: index {position} of {node} is neither on the left side nor summed over{NESTED}"
                )
            if inside[position] != extent:
                raise ProgramError(
                    f"{self.where}: index {position} of {node} runs over {inside[position]} elements, "
                    f"but that axis has {extent}"
                )
        elif not (position.is_Integer and position >= 0 and (extent - position).is_positive):
            raise ProgramError(
                f"{self.where}: {position} in {node} is not known to be a place on an axis of {extent} elements; "
                "an index is a letter, or a number from 0 to the size less 1"
            )


def _extent_of(high: Expr) -> Expr:
    """How many elements a letter runs over, from 0 to `high`; n for n - 1, without adding."""
    if isinstance(high, Add) and len(high.args) == 2 and high.args[0] == -1:
        return high.args[1]
    return high + 1


NESTED = (
    ". (A sum of cases inside another sum loses its letter in SymPy: write one Sum with both limits, or give the "
    "inner sum an equation of its own)"
)


def per_example_loss(program: Program) -> Tensor:
    """The tensor that is differentiated: the loss of one example, or the objective where there is no examples' axis.

    Raises:
        ProgramError: if the program has an examples' axis but computes something across examples before the objective.
    """
    tensors = program.tensors
    if program.example is None:
        return tensors[program.objective]
    for equation in program.equations:
        if equation.tensor.key == program.objective:
            continue
        for letter, usual in zip(equation.indices, equation.tensor.indices, strict=True):
            if program.example in (letter, usual) and letter != usual:
                raise ProgramError(
                    f"equation for {equation.tensor.key}: the tensor has {program.example} as its examples' axis, "
                    f"but the equation writes {letter} where the tensor has {usual}"
                )
        for element in elements(equation.rhs):
            places = [
                at for at, letter in enumerate(tensors[key_of(element) or ""].indices) if letter == program.example
            ]
            if any(indices_of(element)[at] != program.example for at in places) or (
                places and program.example not in equation.indices
            ):
                raise ProgramError(
                    f"equation for {equation.tensor.key} mixes examples: it uses {element}. "
                    "Leave Program.example out, so that the examples' axis is treated like any other"
                )
    last = program.definitions[program.objective]
    inputs = list(dict.fromkeys(key_of(element) or "" for element in elements(last.rhs)))
    if len(inputs) != 1 or tensors[inputs[0]].indices != (program.example,):
        raise ProgramError(
            f"objective {program.objective} must be a sum or mean over the examples of one loss an example"
        )
    return tensors[inputs[0]]
