"""Elements, indices, sums over an axis, functions and derivatives -> LaTeX.

The example index is not written where a whole line is about one example; a sum over examples marks it. Indices run from
0 in the equations and from 1 on the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sympy import Basic, Expr, Indexed, KroneckerDelta, Or, Piecewise, Symbol, log, true
from sympy.core.relational import Relational

from symbolic.errors import UsageError
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative, Undefined
from symbolic.matrices import SumOver
from symbolic.notation import LETTER_OF
from symbolic.printorder import ATOM, OPEN, OrderedPrinter, brackets
from symbolic.recognition import indicator, maximum, negated
from symbolic.tensors import Tensor, indices_of, is_letter, key_of

RELATIONS = {">": ">", "<": "<", ">=": r"\ge", "<=": r"\le", "==": "=", "!=": r"\ne"}


class ElementPrinter(OrderedPrinter):
    """The part of the printer that writes index expressions."""

    # ------------------------------------------------------------------ letters, elements, indices

    def _print_Symbol(self, node: Symbol) -> str:
        if node in self._slots:
            return self._text(self._slots[node])
        if key_of(node) is not None and key_of(node) in self.tensors:
            return self._element(node)
        if node.is_integer and not node.is_positive:
            # An index used as a number: the page counts from `first`, the equations from 0.
            first = self.notation.first
            return f"({self._index(node)} - {first})" if first else self._index(node)
        label = self.widths.get(node)
        return self.notation.size(node) if label is None else self.notation.width_of(label)

    def _print_Indexed(self, node: Indexed) -> str:
        return self._element(node)

    def _element(self, node: Expr) -> str:
        tensor = self.tensors.get(key_of(node) or "")
        if tensor is None:
            raise UsageError(f"{node} is no element of a tensor of this derivation; known: {', '.join(self.tensors)}")
        example: str | None = None
        below: list[str] = []
        for position, usual, extent in zip(indices_of(node), tensor.indices, tensor.shape, strict=True):
            if usual == self.example:
                if position != self.example or self._marking:
                    example = self._position(position)
            elif extent != 1:
                below.append(self._position(position, extent))
        return self._tensor(tensor, below, example)

    def _tensor(
        self, tensor: Tensor, below: Sequence[str] = (), example: str | None = None, transposed: bool = False
    ) -> str:
        notation = self.notation
        source = self.tensors.get(tensor.of or "")
        if tensor.role == "gradient" and source is not None:
            whole = self.loss if self.example in tensor.indices and self.loss is not None else self.objective
            top = self._tensor(whole, (), example) if whole is not None else ""
            sign = notation.partial
            return rf"\frac{{{sign} {top}}}{{{sign} {self._tensor(source, below)}}}"
        role = LETTER_OF.get((tensor.role, tensor.name))
        is_output = tensor.key == self.output
        if role == "bias" and notation.bias_row:
            below = ("0", *below)
        elif role == "weight" and notation.weight_rows == "inputs":
            below = tuple(reversed(below))
        number = self.number(tensor)
        letter = notation.letter(tensor, self.tensors, is_output, entry=bool(below))
        return notation.marked(letter, number, below, example, transposed)

    def number(self, tensor: Tensor) -> str | None:
        """The number of a layer that stands at the tensor's letter, as it is written; None for none."""
        label = tensor.layer
        source = self.tensors.get(tensor.of or "")
        if label is None and tensor.role == "adjoint" and source is not None:
            label = source.layer
        if LETTER_OF.get((tensor.role, tensor.name)) == "input" and not self.notation.letters["input"]:
            label = 0
        if tensor.key == self.output and self.notation.letters.get("output"):
            label = None
        return None if label is None else self.notation.number_of(tensor, label)

    def _position(self, position: Expr, extent: Expr | None = None) -> str:
        """An index: a letter as it is, a number counted from `first`."""
        if isinstance(position, Symbol) and not position.is_positive:
            return self._index(position, extent)
        if any(not symbol.is_positive for symbol in position.free_symbols):
            raise UsageError(f"an index must be a letter or a number, not {position}")
        return self._text(position + self.notation.first)

    def _index(self, letter: Symbol, extent: Expr | None = None) -> str:
        """An index letter, called after the layer that it runs over where the notation says so.

        extent: the size of its axis; where it is not known, that of the one axis that the letter is seen at.
        """
        if not self.notation.unit_index:
            return self.notation.index(letter)
        seen = [axis for name, axis in self._names if name == letter]
        axis = extent if extent is not None else seen[0] if len(seen) == 1 else None
        label = self.widths.get(axis) if axis is not None else None
        if axis is None or label is None:
            return self.notation.index(letter)
        return self.notation.unit_of(label, self._names.get((letter, axis), 0))

    def _print_KroneckerDelta(self, node: KroneckerDelta) -> str:
        # SymPy sorts the two arguments, numbers first; the page has the letter first, that of the example before all.
        parts = {self._position(part): part != self.example for part in node.args}
        texts = sorted(parts, key=lambda text: (parts[text], not text.isalpha(), text))
        if self.notation.kronecker == "indicator":
            return rf"{self.notation.indicator}\{{{texts[0]} = {texts[1]}\}}"
        return f"[{texts[0]} = {texts[1]}]"

    # ------------------------------------------------------------------ sums over an axis

    @contextmanager
    def _under(self, node: Basic) -> Iterator[tuple[str, Basic]]:
        """The sum signs of a sum and its body, to be printed in the scope of the sum."""
        limits = [node.args[:2]] if isinstance(node, SumOver) else [(a, c + 1) for a, _, c in node.limits]
        body = node.args[2] if isinstance(node, SumOver) else node.function
        before = self._marking
        self._marking = before or any(letter == self.example for letter, _ in limits)
        signs = []
        for letter, extent in reversed(limits):
            first = self.notation.first
            signs.append(rf"\sum_{{{self._index(letter, extent)}={first}}}^{{{self._text(extent - 1 + first)}}}")
        try:
            yield " ".join(signs), body
        finally:
            self._marking = before

    def _print_Sum(self, node: Basic) -> str:
        if self._negative(node):
            return f"-{self._bracketed(negated(node), OPEN)}"
        with self._under(node) as (sign, body):
            return f"{sign} {self._bracketed(body, OPEN)}"

    _print_SumOver = _print_Sum

    # ------------------------------------------------------------------ functions and derivatives

    def _print_exp(self, node: Expr) -> str:
        return f"e^{{{self._text(node.args[0])}}}"

    def _print_Abs(self, node: Expr) -> str:
        return rf"\left|{self._text(node.args[0])}\right|"

    def _print_Function(self, node: Expr) -> str:
        bare = isinstance(node, log) and self._level(node.args[0]) == ATOM
        # \log g(x) would be a product to some.
        return self._call(node, bare=bare and not self._text(node.args[0]).endswith((")", "]")))

    _print_Application = _print_Max = _print_Min = _print_Function

    def _print_Piecewise(self, node: Piecewise) -> str:
        test = indicator(node)
        if test is not None:
            return rf"{self.notation.indicator}\{{{self._text(test)}\}}"
        largest = maximum(node)
        if largest is not None:
            return rf"\max{brackets(f'0, {self._text(largest)}')}"
        rows = []
        for value, condition in node.args:
            case = r"\text{otherwise}" if condition == true else rf"\text{{if }} {self._text(condition)}"
            rows.append(f"{self._text(value)} & {case}")
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"

    def _print_And(self, node: Basic) -> str:
        parts = [brackets(self._text(part)) if isinstance(part, Or) else self._text(part) for part in node.args]
        return r" \text{ and } ".join(parts)

    def _print_Or(self, node: Basic) -> str:
        return r" \text{ or } ".join(self._text(part) for part in node.args)

    def _print_Not(self, node: Basic) -> str:
        return r"\text{not } " + brackets(self._text(node.args[0]))

    def _print_Relational(self, node: Relational) -> str:
        if is_letter(node.lhs) and is_letter(node.rhs):
            # Both are counted from `first`.
            return f"{self._index(node.lhs)} {RELATIONS[node.rel_op]} {self._index(node.rhs)}"
        return f"{self._text(node.lhs)} {RELATIONS[node.rel_op]} {self._text(node.rhs)}"

    def _print_Undefined(self, node: Undefined) -> str:
        name = self.notation.function(node.name)
        inside = brackets(", ".join(self._text(part) for part in node.arguments))
        if len(node.orders) == 1:
            return self._primed(name, node.orders[0]) + inside
        signs = "".join(
            rf"{self.notation.partial}_{{{n}}}{'' if order == 1 else f'^{{{order}}}'} "
            for n, order in enumerate(node.orders, start=1) if order
        )  # fmt: skip
        return f"{signs}{name}{inside}"

    def _slope(self, key: str | None, argument: Basic) -> str:
        function = self.functions.get(key or "")
        name = self.notation.function(function) if function is not None else "f"
        return self._primed(name, 1) + brackets(self._text(argument))

    def _primed(self, name: str, order: int) -> str:
        """A function differentiated so often; a name with a superscript stands in brackets: (g^{[N]})'."""
        if order == 0:
            return name
        base = brackets(name) if "^" in name else name
        return base + "'" * order if order <= 3 else f"{base}^{{({order})}}"

    def _print_FunctionDerivative(self, node: FunctionDerivative) -> str:
        return self._slope(key_of(node.of), node.by)

    def _print_TotalDerivative(self, node: TotalDerivative | PartialDerivative) -> str:
        sign = self.notation.partial
        return rf"\frac{{{sign} {self._text(node.of)}}}{{{sign} {self._text(node.by)}}}"

    _print_PartialDerivative = _print_TotalDerivative
