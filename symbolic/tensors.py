"""Tensors and equations: what a network is made of before anybody differentiates it.

A `Tensor` is a name with a shape. An `Equation` defines one tensor, element by element, in index notation:
z[p, j] = Sum(W[j, s]*a[p, s], (s, 0, n - 1)) + b[j]. Sizes are integers or SymPy symbols.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from sympy import Basic, Expr, Indexed, IndexedBase, Integer, Sum, Symbol

from symbolic.depth import Label, label_text, split_label
from symbolic.errors import NameRefused, ProgramError
from symbolic.extrema import without_extrema
from symbolic.moulds import element, tensor_name

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


@lru_cache(maxsize=4096)
def _checked_tensor_name(name: str) -> str:
    return checked_name(name, "tensor name")


def _checked_letter(name: object, what: str) -> None:
    if not isinstance(name, str) or not IDENTIFIER.match(name) or len(name) > LONGEST_NAME:
        raise NameRefused(f"{what} {name!a} must be a letter followed by letters, digits or underscores")


def index(letter: str) -> Symbol:
    """An index symbol. It runs from 0 to size - 1 in code, from 1 to size on the page."""
    return _index(letter) if isinstance(letter, str) else _new_index(letter)


def _new_index(letter: str) -> Symbol:
    _checked_letter(letter, "index")
    return Symbol(letter, integer=True, nonnegative=True)


_index = lru_cache(maxsize=1024)(_new_index)


def is_letter(node: object) -> bool:
    """Whether a node of an expression is an index letter."""
    return isinstance(node, Symbol) and bool(node.is_integer) and not node.is_positive


def free_letters(expression: Basic) -> set[Symbol]:
    """The index letters that stand for fixed values in `expression`. A set: never iterate it where order matters."""
    return set(_free_letters(expression))


@lru_cache(maxsize=2**13)
def _free_letters(expression: Basic) -> frozenset[Symbol]:
    kind = type(expression)
    if isinstance(expression, Symbol):
        return frozenset([expression] if is_letter(expression) else [])
    if kind is Sum:  # SymPy's own way builds the sum anew
        free = _free_letters(expression.function)
        for letter, low, high in expression.limits:
            free = free - {letter} | _free_letters(low) | _free_letters(high)
        return free
    if kind is Indexed or kind.free_symbols is Basic.free_symbols:
        return frozenset().union(*map(_free_letters, expression.args))
    return frozenset(symbol for symbol in expression.free_symbols if is_letter(symbol))


def size(name: str) -> Symbol:
    """A size that is not fixed yet, such as the number of units n_1 of a layer or the number of examples N."""
    return _size(name) if isinstance(name, str) else _new_size(name)


def _new_size(name: str) -> Symbol:
    _checked_letter(name, "size")
    return Symbol(name, integer=True, positive=True)


_size = lru_cache(maxsize=4096)(_new_size)


def over(letter: Symbol, extent: Expr | int) -> tuple[Symbol, int, Expr]:
    """The limits that make `Sum` run `letter` over an axis of `extent` elements."""
    return (letter, 0, Integer(extent) - 1 if isinstance(extent, int) else extent - 1)


@dataclass(frozen=True)
class Tensor:
    """A named array of real numbers.

    name:    letter of the field ("W", "z"); with `layer` it forms the key ("W1"), unique in a program.
    role:    one of ROLES; decides how a notation writes it, never how it is differentiated.
    layer:   number of its layer, 0 for the input, or None; it may stay open, see `symbolic.depth`.
    shape:   sizes of its axes, integers or symbols; () is a scalar.
    indices: the letters its axes are usually written with; defaults to i, j, k, ...
    of:      for an adjoint or gradient, the key of the tensor with respect to which the derivative is taken.
    """

    name: str
    role: str = "intermediate"
    layer: Label | None = None
    shape: tuple[Expr, ...] = ()
    indices: tuple[Symbol, ...] = ()
    of: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.name, str):
            _checked_tensor_name(self.name)
        else:
            checked_name(self.name, "tensor name")
        if self.role not in ROLES:
            raise ProgramError(f"tensor {self.name}: role {self.role!r} is not one of {', '.join(ROLES)}")
        if self.layer is not None:
            split_label(self.layer)
        if not isinstance(self.shape, (tuple, list)):
            raise ProgramError(f"tensor {self.name}: shape must be a tuple of sizes, as in ({self.shape},)")
        extents = tuple(_extent(self.name, entry) for entry in self.shape)
        object.__setattr__(self, "shape", extents)
        if not self.indices and extents:
            letters = "ijkrtuv"
            object.__setattr__(self, "indices", tuple(index(letters[n]) for n in range(len(extents))))
        if len(self.indices) != len(extents):
            raise ProgramError(f"tensor {self.key}: {len(extents)} axes but {len(self.indices)} index letters")
        check_letters(self.indices, f"tensor {self.key}")

    @cached_property
    def key(self) -> str:
        """The name that identifies the tensor in a program, in parameter dictionaries and in generated code."""
        return self.name if self.layer is None else f"{self.name}{label_text(self.layer)}"

    @cached_property
    def element(self) -> Expr:
        """The tensor at its usual indices: z1[p, j]; for a scalar, its symbol."""
        return self[self.indices]

    def __getitem__(self, position: object) -> Expr:
        where = position if isinstance(position, tuple) else (position,)
        if len(where) != len(self.shape):
            raise ProgramError(f"tensor {self.key} has {len(self.shape)} axes, but {len(where)} indices were given")
        if not where:
            return tensor_name(self.key)
        if all(isinstance(one, Symbol) for one in where):
            return element(tensor_name(self.key), where)
        return Indexed(IndexedBase(tensor_name(self.key)), *where)


def _extent(name: str, entry: object) -> Expr:
    if isinstance(entry, bool) or not isinstance(entry, (int, Expr)):
        raise ProgramError(f"tensor {name}: a size must be an integer or a SymPy expression, not {entry!r}")
    extent = Integer(entry) if isinstance(entry, int) else entry
    if not (extent.is_integer and extent.is_positive):
        raise ProgramError(
            f"tensor {name}: a size must be at least 1, not {entry}; it is a whole number or a size(...)"
        )
    return extent


def check_letters(indices: tuple[Symbol, ...], what: str) -> None:
    """Refuse index letters that were not made by `index`, or of which one stands twice."""
    if all(isinstance(letter, Symbol) for letter in indices) and _are_letters(tuple(indices)):
        return
    for letter in indices:
        if not is_letter(letter) or letter != index(letter.name):
            raise ProgramError(f"{what}: {letter} is no index letter; make it with index({str(letter)!r})")
    if len(set(indices)) != len(indices):
        raise ProgramError(f"{what}: an index letter stands twice in {', '.join(map(str, indices))}")


@lru_cache(maxsize=1024)
def _are_letters(symbols: tuple[Symbol, ...]) -> bool:
    return len(set(symbols)) == len(symbols) and all(
        is_letter(one) and IDENTIFIER.match(one.name) and one == index(one.name) for one in symbols
    )


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
    stack: list[Basic] = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Indexed) or (isinstance(node, Symbol) and key_of(node) is not None):
            yield node
        elif node.args:
            stack.extend(reversed(node.args))


@dataclass(frozen=True)
class FunctionName:
    """How a function that an equation applies is called: in plain text, and in LaTeX."""

    name: str
    latex: str


@dataclass(frozen=True)
class Equation:
    """tensor[indices] = rhs, for every value of the indices. Max, Min and Abs on the right become Piecewise.

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
        object.__setattr__(self, "rhs", without_extrema(self.rhs))
        if len(self.indices) != len(self.tensor.shape):
            raise ProgramError(
                f"equation for {self.tensor.key}: {len(self.tensor.shape)} axes, but {len(self.indices)} indices"
            )
        check_letters(self.indices, f"equation for {self.tensor.key}")

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
