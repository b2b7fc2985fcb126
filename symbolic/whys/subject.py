"""What a question is about: one result, the equations that its derivative goes through, and how both are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sympy import Add, Basic, Expr, Mul, Sum, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.conventions import is_weight, turned
from symbolic.errors import NoMatrixForm
from symbolic.latex import LatexPrinter
from symbolic.matrices import ArrayOf, Transpose
from symbolic.matrixform import matrix_form, stacked_form
from symbolic.pages.blocks import Formula, Text
from symbolic.programs import per_example_loss
from symbolic.rules import Result, Step
from symbolic.tensors import Equation, Tensor, elements, indices_of, key_of

if TYPE_CHECKING:
    from symbolic.derivation import Derivation

PLACES = ("first", "second", "third", "fourth")


@dataclass(frozen=True)
class Why:
    """A question about a step, and its answer in a few sentences."""

    question: Text
    answer: Text


@dataclass(frozen=True)
class Question:
    """A question that the records raise.

    kind:   questions of one kind are about the same structure; a page asks one of them.
    answer: writes it; None where it turns out that the notation does not show what is asked about.
    shown:  the expressions that the answer writes, so that their indices get the same letters.
    marked: whether the answer is about several examples and marks them.
    """

    kind: str
    answer: Callable[[], Why | None]
    shown: tuple[Basic, ...] = ()
    marked: bool = False


class Uses:
    """What uses what in a derivation: looked up, so that a long derivation is not searched for each result.

    equations: those of the program that use a tensor, by its key.
    known:     keys of the tensors that the loss is differentiated by on the way, and of the loss itself.
    results:   by the key of their tensor.
    gradients: those by the parameters, by the key of the parameter.
    inlined:   the results without a name, whose form stands in a later result, by the key of their tensor's source.
    """

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.equations: dict[str, list[Equation]] = {}
        for equation in derivation.program.equations:
            for key in dict.fromkeys(key_of(element) or "" for element in elements(equation.rhs)):
                self.equations.setdefault(key, []).append(equation)
        self.known = {tensor.of for tensor in derivation.tensors.values() if tensor.role == "adjoint"}
        self.known |= {derivation.program.objective, per_example_loss(derivation.program).key}
        self.results = {result.tensor.key: result for result in derivation.results}
        self.gradients = {
            result.tensor.of or "": result for result in derivation.results if result.tensor.role == "gradient"
        }
        self.inlined = {
            result.tensor.of: result
            for result in derivation.results
            if not result.named and result.tensor.role == "adjoint"
        }


@dataclass(frozen=True, eq=False)
class Subject:
    """One result with what its questions look at."""

    derivation: Derivation
    result: Result
    printer: LatexPrinter
    form: str
    uses: Uses

    # ------------------------------------------------------------------ records

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self.derivation.tensors

    @property
    def example(self) -> Symbol | None:
        return self.derivation.program.example

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.result.steps

    @property
    def final(self) -> Basic:
        return self.result.steps[-1].after

    @cached_property
    def source(self) -> Tensor:
        """The tensor that the result is the derivative by."""
        return self.tensors[self.result.tensor.of or ""]

    @property
    def element(self) -> Expr:
        """The element of the source that the result is the derivative by, with the letters of the result."""
        return self.steps[0].before.args[1]

    @cached_property
    def users(self) -> tuple[Equation, ...]:
        """The equations that use the source and lead to the loss: those whose own derivative is known."""
        return tuple(
            user for user in self.uses.equations.get(self.source.key, ()) if user.tensor.key in self.uses.known
        )

    @property
    def user(self) -> Equation | None:
        """The one equation that uses the source, or None if there are several."""
        return self.users[0] if len(self.users) == 1 else None

    def adjoint_of(self, tensor: Tensor, expression: Basic) -> Expr | None:
        """The derivative by `tensor` as it stands in an expression by its name."""
        for element in elements(expression):
            known = self.tensors.get(key_of(element) or "")
            if known is not None and known.role == "adjoint" and known.of == tensor.key:
                return element
        return None

    def of(self, result: Result) -> Subject:
        return Subject(self.derivation, result, self.printer, self.form, self.uses)

    def inlined(self) -> Iterator[Subject]:
        """The results without a name whose form stands in this one."""
        for user in self.users if self.result.tensor.role == "adjoint" else ():
            if user.tensor.key in self.uses.inlined:
                yield self.of(self.uses.inlined[user.tensor.key])

    # ------------------------------------------------------------------ writing

    @contextmanager
    def writing(self, question: Question) -> Iterator[None]:
        """Call indices as the result's chain does, and mark examples where the answer is about several."""
        chain = [side for step in self.steps for side in (step.before, step.after)]
        marked = (self.steps[0].before,) if question.marked else ()
        with self.printer.lettering(*chain, *question.shown), self.printer.marking(*marked):
            yield

    def formula(self, *sides: Basic | str) -> Formula:
        """An equality of all sides."""
        texts = [side if isinstance(side, str) else self.printer.doprint(side) for side in sides]
        return Formula(" = ".join(texts))

    def bare(self, tensor: Tensor) -> Formula:
        return Formula(self.printer.bare(tensor))

    def letter(self, letter: Symbol, extent: Expr) -> Formula:
        """An index by itself."""
        return Formula(self.printer._index(letter, extent))

    def place(self, tensor: Tensor, axis: int) -> str:
        """Which index of a tensor stands at an axis, as the notation writes them."""
        axes = [n for n, usual in enumerate(tensor.indices) if usual != self.example]
        if self.printer.notation.weight_rows == "inputs" and is_weight(tensor, self.tensors):
            axes.reverse()
        number = axes.index(axis)
        return PLACES[number] if number < len(PLACES) else f"{number + 1}th"

    # ------------------------------------------------------------------ matrices

    def matrix(self, expression: Basic, indices: Iterable[Symbol], shape: Iterable[Expr]) -> Basic | None:
        """The matrix form of one example, for the printer, or None where matrices cannot say it."""
        rows, extents = self._axes(list(indices), list(shape))
        try:
            return matrix_form(expression, rows, self.tensors, self.example, extents)
        except NoMatrixForm:
            return None

    def stacked(self, expression: Basic, indices: Iterable[Symbol], shape: Iterable[Expr]) -> Basic | None:
        """The matrix form for all examples at once, for the printer, or None."""
        rows, extents = list(indices), list(shape)
        if self.example not in rows:
            rows, extents = self._axes(rows, extents)
        try:
            return stacked_form(expression, rows, self.tensors, extents)
        except NoMatrixForm:
            return None

    def _axes(self, indices: list[Symbol], shape: list[Expr]) -> tuple[list[Symbol], list[Expr]]:
        """The axes in the order in which the notation has them."""
        units = [n for n, letter in enumerate(indices) if letter != self.example]
        if self.printer.notation.weight_rows == "inputs" and len(units) == 2:
            for axes in (indices, shape):
                axes[units[0]], axes[units[1]] = axes[units[1]], axes[units[0]]
        return indices, shape

    def seen(self, node: Basic) -> Basic:
        """A matrix form as the reader sees it, with its weights as the notation has them."""
        return turned(node, self.tensors) if self.printer.notation.weight_rows == "inputs" else node

    def is_turned(self, node: Basic, tensor: Tensor) -> bool | None:
        """Whether a tensor stands transposed in a matrix form, as it is seen; None where it does not stand in it."""
        found: bool | None = None
        walk = preorder_traversal(self.seen(node))
        for part in walk:
            inner = part.args[0] if isinstance(part, Transpose) else part
            if isinstance(inner, ArrayOf) and inner.key == tensor.key:
                found = isinstance(part, Transpose)
                walk.skip()
        return found


def terms_of(expression: Basic) -> tuple[Basic, ...]:
    return Add.make_args(expression)


def factors_of(expression: Basic) -> tuple[Basic, ...]:
    return Mul.make_args(expression)


def the_sum(expression: Basic) -> tuple[Expr, Sum] | None:
    """(c, S) where the expression is c times the one sum S."""
    sums = [factor for factor in factors_of(expression) if isinstance(factor, Sum)]
    if len(sums) != 1:
        return None
    return Mul(*(factor for factor in factors_of(expression) if factor is not sums[0])), sums[0]


def at(expression: Expr, key: str) -> tuple[Expr, ...] | None:
    """The indices at which a tensor stands in an expression, if it does so at one place only."""
    places = list(dict.fromkeys(indices_of(e) for e in elements(expression) if key_of(e) == key))
    return places[0] if len(places) == 1 else None


def in_words(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six")
    return words[count] if count < len(words) else str(count)
