"""Tensors, equations and programs: what a network is before anybody differentiates it.

A `Tensor` is a name with a shape. An `Equation` defines one tensor, element by element, in index notation:
z[p, j] = Sum(W[j, s]*a[p, s], (s, 0, n - 1)) + b[j]. A `Program` is a list of equations, each of which defines a new
tensor from earlier ones, with one scalar objective. Sizes are integers or SymPy symbols.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sympy import Expr, Indexed, IndexedBase, Integer, Sum, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.errors import NameRefused, ProgramError

ROLES = (
    "input", "target", "parameter", "preactivation", "activation",
    "loss", "cost", "intermediate", "adjoint", "gradient",
)  # fmt: skip
LONGEST_NAME = 40
# Names that Python, NumPy or SymPy give a meaning to: a tensor of that name would shadow it in code or on the page.
RESERVED = frozenset(
    {"np", "exp", "log", "tanh", "erf", "sqrt", "pi", "I", "E", "S", "N", "O", "Q", "oo", "nan", "params"}
)
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def checked_name(name: object, what: str = "name") -> str:
    """`name` if it may stand in formulas and in code: a short ASCII identifier that nothing else claims.

    Raises:
        NameRefused: says which rule it breaks.
    """
    if not isinstance(name, str):
        raise NameRefused(f"{what} must be a string, not {type(name).__name__}")
    shown = ascii(name if len(name) <= LONGEST_NAME else name[:20] + "...")
    if not name:
        raise NameRefused(f"{what} is empty; give it a letter, such as 'W'")
    if len(name) > LONGEST_NAME:
        raise NameRefused(f"{what} {shown} has {len(name)} characters; at most {LONGEST_NAME} are allowed")
    folded = unicodedata.normalize("NFKC", name)
    if folded != name or not name.isascii():
        raise NameRefused(f"{what} {shown} is not plain ASCII; look-alike letters would be taken for each other")
    if not IDENTIFIER.match(name):
        raise NameRefused(f"{what} {shown} must be a letter followed by letters, digits or underscores")
    if keyword.iskeyword(name) or name in RESERVED:
        raise NameRefused(f"{what} {shown} is reserved by Python, NumPy or SymPy; choose another, such as '{name}_1'")
    return name


def index(letter: str) -> Symbol:
    """An index symbol. It runs from 0 to size - 1 in code, from 1 to size on the page."""
    return Symbol(letter, integer=True, nonnegative=True)


def size(name: str) -> Symbol:
    """A size that is not fixed yet, such as the number of units n_1 of a layer or the number of examples N."""
    return Symbol(name, integer=True, positive=True)


def over(letter: Symbol, extent: Expr | int) -> tuple[Symbol, int, Expr]:
    """The limits that make `Sum` run `letter` over an axis of `extent` elements."""
    return (letter, 0, Integer(extent) - 1 if isinstance(extent, int) else extent - 1)


@dataclass(frozen=True)
class Tensor:
    """A named array of real numbers.

    name:    letter of the field ("W", "z"); with `layer` it forms the key ("W1"), unique in a program.
    role:    one of ROLES; decides how a notation writes it, never how it is differentiated.
    layer:   number of its layer, 0 for the input, or None.
    shape:   sizes of its axes, integers or symbols; () is a scalar.
    indices: the letters its axes are usually written with; defaults to i, j, k, ...
    of:      for an adjoint or gradient, the key of the tensor with respect to which the derivative is taken.
    """

    name: str
    role: str = "intermediate"
    layer: int | None = None
    shape: tuple[Expr, ...] = ()
    indices: tuple[Symbol, ...] = ()
    of: str | None = None

    def __post_init__(self) -> None:
        checked_name(self.name, "tensor name")
        if self.role not in ROLES:
            raise ProgramError(f"tensor {self.name}: role {self.role!r} is not one of {', '.join(ROLES)}")
        extents = tuple(_extent(self.name, entry) for entry in self.shape)
        object.__setattr__(self, "shape", extents)
        if not self.indices and extents:
            letters = "ijkrtuv"
            object.__setattr__(self, "indices", tuple(index(letters[n]) for n in range(len(extents))))
        if len(self.indices) != len(extents):
            raise ProgramError(f"tensor {self.key}: {len(extents)} axes but {len(self.indices)} index letters")

    @property
    def key(self) -> str:
        """The name that identifies the tensor in a program, in parameter dictionaries and in generated code."""
        return self.name if self.layer is None else f"{self.name}{self.layer}"

    @property
    def element(self) -> Expr:
        """The tensor at its usual indices: z1[p, j]; for a scalar, its symbol."""
        return self[self.indices]

    def __getitem__(self, position: object) -> Expr:
        where = position if isinstance(position, tuple) else (position,)
        if len(where) != len(self.shape):
            raise ProgramError(f"tensor {self.key} has {len(self.shape)} axes, but {len(where)} indices were given")
        if not where:
            return Symbol(self.key, real=True)
        return Indexed(IndexedBase(Symbol(self.key, real=True)), *where)


def _extent(name: str, entry: object) -> Expr:
    if isinstance(entry, bool) or not isinstance(entry, (int, Expr)):
        raise ProgramError(f"tensor {name}: a size must be an integer or a SymPy expression, not {entry!r}")
    if isinstance(entry, int) and entry < 1:
        raise ProgramError(f"tensor {name}: a size must be at least 1, not {entry}")
    return Integer(entry) if isinstance(entry, int) else entry


def key_of(element: Expr) -> str | None:
    """The key of the tensor that an Indexed or a scalar symbol stands for; None for anything else."""
    if isinstance(element, Indexed):
        return str(element.base.label.name)
    if isinstance(element, Symbol) and element.is_real and not element.is_integer:
        return str(element.name)
    return None


def indices_of(element: Expr) -> tuple[Expr, ...]:
    """The indices of a tensor element; () for a scalar."""
    return tuple(element.indices) if isinstance(element, Indexed) else ()


def elements(expression: Expr) -> Iterator[Expr]:
    """Every tensor element in `expression`, left to right in SymPy's canonical order, repetitions included."""
    walk = preorder_traversal(expression)
    for node in walk:
        if isinstance(node, Indexed):
            yield node
            walk.skip()
        elif isinstance(node, Symbol) and key_of(node) is not None:
            yield node


@dataclass(frozen=True)
class FunctionName:
    """How a function that an equation applies is called: in plain text, and in LaTeX."""

    name: str
    latex: str


@dataclass(frozen=True)
class Equation:
    """tensor[indices] = rhs, for every value of the indices.

    function: where the right side is a function that has a name, such as an activation, that name; the page writes
    a = sigma(z) and sigma'(z) with it. It has no say in the mathematics.
    """

    tensor: Tensor
    indices: tuple[Symbol, ...]
    rhs: Expr
    function: FunctionName | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", tuple(self.indices))
        if isinstance(self.rhs, int):
            object.__setattr__(self, "rhs", Integer(self.rhs))
        if not isinstance(self.rhs, Expr):
            raise ProgramError(
                f"equation for {self.tensor.key}: the right side must be a SymPy expression, not {self.rhs!r}"
            )
        if len(self.indices) != len(self.tensor.shape):
            raise ProgramError(
                f"equation for {self.tensor.key}: {len(self.tensor.shape)} axes, but {len(self.indices)} indices"
            )
        if len(set(self.indices)) != len(self.indices):
            raise ProgramError(f"equation for {self.tensor.key}: an index stands twice on the left side")

    @property
    def lhs(self) -> Expr:
        return self.tensor[self.indices]

    def __str__(self) -> str:
        return f"{self.lhs} = {self.rhs}"


@dataclass(frozen=True)
class Fact:
    """Something known of a tensor and declared with it: `before` equals `after` for all values of the free indices.

    statement: one line of plain text, cited where the fact is used.
    """

    before: Expr
    after: Expr
    statement: str


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
        return extent.xreplace({symbol: Integer(number) for symbol, number in self.sizes.items()})


def check_program(program: Program) -> None:
    """Raise ProgramError unless each tensor is defined once, before it is used, and fits its indices."""
    known: dict[str, Tensor] = {}
    for leaf in program.leaves:
        if leaf.key in known:
            raise ProgramError(f"tensor {leaf.key} is declared twice; give each its own name or layer")
        known[leaf.key] = leaf
    for equation in program.equations:
        key = equation.tensor.key
        if key in known:
            raise ProgramError(f"tensor {key} is defined twice; each equation must define a new tensor")
        ranges = dict(zip(equation.indices, equation.tensor.shape, strict=True))
        _check_expression(equation.rhs, ranges, known, f"equation for {key}")
        known[key] = equation.tensor
    objective = known.get(program.objective)
    if objective is None:
        raise ProgramError(f"objective {program.objective!r} is no tensor of the program; there are {', '.join(known)}")
    if objective.shape:
        shape = ", ".join(str(n) for n in objective.shape)
        raise ProgramError(
            f"objective {objective.key} has shape ({shape}); sum it to a scalar before it is differentiated"
        )
    if program.sense not in ("minimise", "maximise"):
        raise ProgramError(f"sense must be 'minimise' or 'maximise', not {program.sense!r}")


def _check_expression(expression: Expr, ranges: dict[Expr, Expr], known: Mapping[str, Tensor], where: str) -> None:
    stack: list[tuple[Expr, dict[Expr, Expr]]] = [(expression, ranges)]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, Sum):
            for letter, low, high in node.limits:
                if letter in inside:
                    raise ProgramError(f"{where}: index {letter} is bound twice in {node}")
                if low != 0:
                    raise ProgramError(
                        f"{where}: a sum must start at 0 and run over a whole axis, as in over({letter}, n)"
                    )
                inside = {**inside, letter: high + 1}
            stack.append((node.function, inside))
            continue
        key = key_of(node)
        if key is not None:
            tensor = known.get(key)
            if tensor is None:
                raise ProgramError(
                    f"{where}: {key} is used, but it is neither a leaf nor defined by an earlier equation"
                )
            positions = indices_of(node)
            if len(positions) != len(tensor.shape):
                raise ProgramError(
                    f"{where}: {node} has {len(positions)} indices, but {key} has {len(tensor.shape)} axes"
                )
            for letter, extent in zip(positions, tensor.shape, strict=True):
                if isinstance(letter, Symbol) and letter not in inside:
                    raise ProgramError(f"{where}: index {letter} of {node} is neither on the left side nor summed over")
                if letter in inside and inside[letter] != extent:
                    raise ProgramError(
                        f"{where}: index {letter} of {node} runs over {inside[letter]} elements, "
                        f"but that axis has {extent}"
                    )
            continue
        stack.extend((argument, inside) for argument in node.args if isinstance(argument, Expr) or argument.args)


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
