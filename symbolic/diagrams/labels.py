"""How the tensors of one derivation are written in its pictures: symbol, shape, and the derivative by each."""

from __future__ import annotations

from sympy import Expr

from symbolic.conventions import is_weight
from symbolic.derivation import Derivation
from symbolic.expressions import PartialDerivative, TotalDerivative
from symbolic.notation import Notation
from symbolic.rules import Result
from symbolic.tensors import FunctionName, Tensor, key_of
from symbolic.vocabulary import Vocabulary


class Labels:
    """Labels in one notation. A tensor of one example has the shape that it has there, unless the notation writes all
    examples as the rows of a matrix.
    """

    def __init__(self, derivation: Derivation, notation: Notation) -> None:
        self.program = derivation.program
        self.tensors = derivation.tensors
        self.vocabulary = Vocabulary.of(derivation.program, derivation.tensors)
        self.printer = self.vocabulary.printer(notation)
        self.notation = notation
        self.derived = {given.of: given for given in derivation.given}
        self.results: dict[str, Result] = {}
        for result in derivation.results:
            known = self.results.get(result.tensor.of or "")
            if known is None or result.named or not known.named:
                self.results[result.tensor.of or ""] = result

    def symbol(self, tensor: Tensor) -> str:
        """The tensor's letter; that of the matrix of all examples where the notation has them as rows."""
        if self._batched and self.program.example in tensor.indices and len(tensor.shape) > 1:
            letter = self.notation.capital(tensor, self.tensors, tensor.key == self.vocabulary.output)
            return self.notation.marked(letter, self.printer.number(tensor))
        return self.printer.bare(tensor)

    @property
    def _batched(self) -> bool:
        return self.notation.batch and self.program.example is not None

    def shape(self, tensor: Tensor) -> str:
        """Its sizes, numbers where they are known; of a scalar, of how many examples it is."""
        example = self.program.example
        alone = example is not None and not self._batched
        extents = [
            n for n, letter in zip(tensor.shape, tensor.indices, strict=True) if not (alone and letter == example)
        ]
        if is_weight(tensor, self.tensors) and self.notation.weight_rows == "inputs":
            extents.reverse()
        if extents:
            return r" \times ".join(map(self.size, extents))
        loss = self.vocabulary.loss
        if not alone or loss is None or tensor.role not in ("loss", "cost"):
            return ""
        return r"\text{one example}" if tensor.shape else rf"\text{{all }}{self.size(loss.shape[0])}"

    def size(self, extent: Expr) -> str:
        """A size, or its number."""
        return self.printer.doprint(self.program.value_of(extent))

    def function(self, name: FunctionName | None) -> str:
        """The name of a function that an equation applies; nothing where it applies none."""
        return "" if name is None else self.notation.function(name)

    def backward(self, tensor: Tensor) -> str:
        """The derivative by a tensor: its name, if it has one and the notation writes it, else written out."""
        given, result = self.derived.get(tensor.key), self.results.get(tensor.key)
        if given is not None and self.notation.adjoints == "delta":
            return self.symbol(given)
        if result is None:
            return "" if given is None else self.by(tensor)
        if result.named and result.tensor.role == "adjoint" and self.notation.adjoints == "delta":
            return self.symbol(result.tensor)
        return self._derivative(self.tensors[self.differentiated(result)], tensor)

    def by(self, tensor: Tensor) -> str:
        """The derivative of the loss by a tensor, written out."""
        return self._derivative(self.vocabulary.loss or self.tensors[self.program.objective], tensor)

    def _derivative(self, of: Tensor, by: Tensor) -> str:
        if self.notation.gradient == "nabla" and by.shape:
            return rf"{self.notation.nabla}_{{{self.symbol(by)}}} {self.symbol(of)}"
        sign = self.notation.partial
        return rf"{sign} {self.symbol(of)} / {sign} {self.symbol(by)}"

    @staticmethod
    def differentiated(result: Result) -> str:
        """The key of the tensor whose derivative a result is."""
        return key_of(result.steps[0].before.args[0]) or ""


def sources(result: Result) -> list[str]:
    """The tensors whose derivatives a result is made of by the chain rule, or the scalar that it is differentiated of.

    They are read off the first step: d of/d u for every u that is computed from the tensor, or the derivative itself.
    """
    own, after = result.tensor.of, result.steps[0].after
    paths = [key_of(node.by) or "" for node in after.atoms(TotalDerivative)]
    whole = Labels.differentiated(result)
    direct = any(key_of(node.of) == whole and key_of(node.by) == own for node in after.atoms(PartialDerivative))
    found = [key for key in paths if key != own]
    return sorted({*found, whole} if direct or not paths else {*found})
