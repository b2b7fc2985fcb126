"""The derivation: a program, the results derived from it, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sympy import Lambda, Symbol

from symbolic.collecting import collection_paused
from symbolic.errors import DerivationError
from symbolic.matrices import ArrayOf, MatrixExpression
from symbolic.moulds import Mould, skeleton, tensor_name
from symbolic.printable import DerivationPages
from symbolic.programs import Program
from symbolic.rules import Pattern, Result, Step
from symbolic.tensors import Equation, Tensor

if TYPE_CHECKING:
    from symbolic.verification import Report


def result_of(results: Sequence[Result], key: str) -> Result:
    """The result with this key.

    Raises:
        DerivationError: there is none; lists those that there are.
    """
    for result in results:
        if result.tensor.key == key:
            return result
    raise DerivationError(f"there is no result {key!r}; there are {', '.join(r.tensor.key for r in results)}")


@dataclass(frozen=True)
class Derivation(DerivationPages):
    """All gradients of a program's objective, each with the steps that lead to it.

    program:  the forward equations.
    results:  in the order of derivation, from the objective backwards. A result uses only earlier ones.
    wrt:      keys of the tensors whose gradients were asked for.
    given:    the adjoints that results use and that are known by their definition only, see `Program.given`.
    """

    program: Program
    results: tuple[Result, ...]
    wrt: tuple[str, ...]
    given: tuple[Tensor, ...] = ()

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by its key: those of the program, then the adjoints and gradients."""
        found = dict(self.program.tensors)
        found.update((tensor.key, tensor) for tensor in self.given)
        found.update((result.tensor.key, result.tensor) for result in self.results)
        return found

    def __getitem__(self, key: str) -> Result:
        """The result with this key, such as "delta2" or "dW1"; adj_x is the adjoint of a tensor x.

        Raises:
            DerivationError: there is none; lists those that there are.
        """
        found = self._by_key.get(key)
        return result_of(self.results, key) if found is None else found

    @cached_property
    def _by_key(self) -> dict[str, Result]:
        return {result.tensor.key: result for result in reversed(self.results)}

    def matrix_form(self, key: str, stacked: bool = False) -> MatrixExpression:
        """The final form of a result in matrix notation: about one example, or `stacked` for all of them at once.

        What equal layers have in common is written once.

        Raises:
            DerivationError: there is no result with this key.
            NoMatrixForm: matrices cannot say it; names the part that they cannot.
        """
        from symbolic.matrixform import matrix_form

        result = self[key]
        source = result.made_by
        kind: Hashable = None
        if source is not None:
            kind = source.pattern.number, source.order, stacked, result.indices, self._about(source.pattern, result)
            if kind in self._moulds:
                return self._moulds[kind].cast(source.pattern.names)[0]
        example = None if stacked else self.program.example
        form = matrix_form(result.form, result.indices, self.tensors, example, result.tensor.shape)
        if source is not None and _names_in(form) <= set(source.pattern.names):
            self._moulds[kind] = Mould((form,), source.pattern.names)
        return form

    def matrix_forms(self, stacked: bool = False) -> dict[str, MatrixExpression]:
        """The `matrix_form` of every result that has a name of its own: the adjoints and the gradients.

        Raises:
            NoMatrixForm: matrices cannot say one of them.
        """
        with collection_paused():
            return {key: self.matrix_form(key, stacked) for key in (r.tensor.key for r in self.results if r.named)}

    @cached_property
    def _moulds(self) -> dict[Hashable, Mould]:
        return {}

    def _about(self, pattern: Pattern, result: Result) -> Hashable:
        """What matrix notation looks at besides an expression: axes of tensors, and which of them are adjoints."""
        places = {name: at for at, name in enumerate(pattern.names)}

        def about(tensor: Tensor | None) -> Hashable:
            if tensor is None:
                return None
            shape = tuple([places.get(extent, extent) for extent in tensor.shape])
            return tensor.role == "adjoint", tensor.indices, shape

        return about(result.tensor), tuple([about(self.tensors.get(name.name)) for name in pattern.names])

    @property
    def parts(self) -> tuple[Derivation, ...]:
        """What a page has to write: this one. A derivation for any depth has two."""
        return (self,)

    @property
    def rounds(self) -> int:
        """How often `verify` tells its progress."""
        return len(self.results)

    @property
    def title(self) -> str:
        return self.program.title

    @property
    def forward(self) -> tuple[Equation, ...]:
        """The defining equations, from the inputs to the objective."""
        return self.program.equations

    def __str__(self) -> str:
        """The named results, as equations."""
        return "\n".join(str(result.equation) for result in self.results if result.named)

    @property
    def equations(self) -> tuple[Equation, ...]:
        """Forward equations, then those of the named results: what code computes, in an order that it can."""
        return self.program.equations + tuple(result.equation for result in self.results if result.named)

    @cached_property
    def gradients(self) -> dict[str, Equation]:
        """The gradient of the objective by the key of the tensor that it belongs to."""
        final = {
            result.tensor.of: result for result in self.results if result.tensor.role == "gradient" and result.named
        }
        return {key: final[key].equation for key in self.wrt}

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all results in order, without their substeps."""
        return tuple(step for result in self.results for step in result.steps)

    def walk(self) -> Iterator[tuple[Result, Step]]:
        """Every step and substep with the result it belongs to."""
        for result in self.results:
            for step in result.walk():
                yield result, step

    def verify(self, points: int = 3, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Report:
        """Evaluate both sides of every step with the independent evaluator: see `symbolic.verification.verify`."""
        from symbolic.verification import verify

        return verify(self, points, seed, progress)


def _names_in(form: MatrixExpression) -> set[Symbol]:
    """The names of tensors and sizes in a matrix expression."""
    slots = {slot for function in form.atoms(Lambda) for slot in function.variables}
    return {*skeleton(form).names, *(tensor_name(array.key) for array in form.atoms(ArrayOf))} - slots
