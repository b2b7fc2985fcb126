"""Index expressions and matrix expressions -> LaTeX, in a notation.

The printer decides order, brackets and fractions; every symbol comes from the `Notation`. Order is the page's own, not
SymPy's: a - y and 1 - a, the derivative that comes from above first in a product. It is made of three parts:
`printorder`, `elementprinting` and `stackprinting`; here is what a page asks of it, and matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sympy import Add, Basic, Expr, Integer, KroneckerDelta, Mul, Sum, Symbol

from symbolic.conventions import index_names, is_weight, turned, without_single_terms, written_out
from symbolic.errors import UsageError
from symbolic.expressions import (
    Applied,
    Differentiated,
    Entry,
    Inner,
    PartialDerivative,
    TotalDerivative,
)
from symbolic.linewidth import width
from symbolic.matrices import (  # fmt: skip
    ArrayOf,
    Diagonal,
    Elementwise,
    EntryGradient,
    FunctionOf,
    FunctionSlope,
    Gradient,
    Hadamard,
    Identity,
    Jacobian,
    Ones,
    PartialGradient,
    Plus,
    Product,
    RowOf,
    Scalar,
    Scale,
    SumOver,
    Transpose,
)
from symbolic.matrixform import matrix_form
from symbolic.notation import braced, run
from symbolic.printorder import ADD, ATOM, FRACTION, MULTIPLY, OPEN, beside, brackets
from symbolic.recognition import norm
from symbolic.stackprinting import StackPrinter
from symbolic.tensors import FunctionName, Tensor, indices_of, key_of

# How many columns a vector has.
ONE = Integer(1)


class LatexPrinter(StackPrinter):
    """Prints the expressions of one derivation; constructed as `OrderedPrinter`.

    Raises:
        UsageError: for an expression of a kind that it has no form for.
    """

    # ------------------------------------------------------------------ what a page asks for

    def doprint(self, expr: Basic) -> str:
        with self.lettering(expr):
            shown = self._conventional(expr)
            if isinstance(shown, Add) and all(self._negative(term) for term in shown.args):
                return f"-{brackets(self._text(-shown))}"  # one sign for the whole of it
            return str(self._print(shown))

    def _conventional(self, expression: Basic) -> Basic:
        """What the notation has no letter for is written out, and weights are turned as it has them."""
        expression = without_single_terms(expression)
        if self.notation.adjoints == "partial":
            expression = written_out(expression, self.tensors, self.loss or self.objective, self.example)
        return turned(expression, self.tensors) if self.notation.weight_rows == "inputs" else expression

    @contextmanager
    def lettering(self, *expressions: Basic) -> Iterator[None]:
        """Call every index in these expressions, and in what they are part of, by the same name."""
        before = self._names
        if self.notation.unit_index:
            self._names = index_names(expressions, self.tensors, before)
        try:
            yield
        finally:
            self._names = before

    def bare(self, tensor: Tensor) -> str:
        """The tensor's symbol without indices or example."""
        return self._tensor(tensor)

    def applied(self, function: FunctionName, argument: Basic) -> str:
        """f(argument) for a function that has a name."""
        return f"{self.notation.function(function)}{brackets(self.doprint(argument))}"

    @contextmanager
    def shaped(self, value_of: Callable[[Expr], Expr] | None) -> Iterator[None]:
        """Print every array with its shape under it.

        value_of: gives the number of a size, where it is known; None prints no shapes.
        """
        before, self._value_of = self._value_of, value_of
        try:
            yield
        finally:
            self._value_of = before

    def _with_shape(self, text: str, node: Basic, transposed: bool = False) -> str:
        """An array with its shape, where shapes are wanted; the transpose is that of the array with this shape."""
        if self._value_of is None:
            return text
        array = node.args[1] if isinstance(node, (Gradient, PartialGradient, FunctionSlope)) else node
        extents = self._extents(array)
        if not extents:
            return text
        return self._shaped(text, *extents[:2]) + (f"^{braced(self.notation.transpose)}" if transposed else "")

    def _extents(self, array: ArrayOf) -> list[Expr]:
        """The sizes of the axes that an array is written with, in the notation's order."""
        tensor = self.tensors[array.key]
        extents = [n for n, usual in zip(tensor.shape, tensor.indices, strict=True) if usual != array.example]
        turned_round = self.notation.weight_rows == "inputs" and is_weight(tensor, self.tensors)
        return extents[::-1] if turned_round else extents

    def _shaped(self, text: str, rows: Expr, columns: Expr = ONE) -> str:
        """An array with its rows and columns."""
        value_of = self._value_of or (lambda extent: extent)
        with self.shaped(None):
            sizes = rf"{self._text(value_of(rows))} \times {self._text(value_of(columns))}"
        return rf"\left[{text}\right]_{{{sizes}}}"

    def needs_mark(self, expression: Basic) -> bool:
        """Whether a line must say which example it means: it compares examples, or has the objective over
        all of them.
        """
        if self.example is None:
            return False
        if any(self.example in delta.args for delta in expression.atoms(KroneckerDelta)):
            return True
        if self.objective is None or self.objective is self.loss:
            return False
        derivatives = expression.atoms(TotalDerivative, PartialDerivative)
        return any(key_of(part.of) == self.objective.key for part in derivatives)

    @contextmanager
    def marking(self, *expressions: Basic) -> Iterator[None]:
        """Print with the example marked everywhere if one of the expressions needs it."""
        before = self._marking
        self._marking = before or any(self.needs_mark(expression) for expression in expressions)
        try:
            yield
        finally:
            self._marking = before

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Print with the example marked everywhere."""
        before, self._marking = self._marking, True
        try:
            yield
        finally:
            self._marking = before

    def component(self, function: FunctionName, argument: Tensor, element: Expr) -> str:
        """f(v)_j for a function that takes the whole vector v; j stands where `element` has it."""
        with self.lettering(element):
            axes = zip(indices_of(element), argument.shape, strict=True)
            below = run([self._position(n, extent) for n, extent in axes if n != self.example])
        mark = self.notation.index(self.example) if self._marking and self.example in argument.indices else None
        return f"{self.notation.function(function)}{brackets(self._tensor(argument, (), mark))}_{braced(below)}"

    def lines(self, expression: Basic, limit: float) -> list[str]:
        """The expression in one line, or in several if it is wider than `limit` em.

        It is broken at the signs of a sum, then between the factors of a product, then inside a bracket
        under a sum.
        """
        text = self.doprint(expression)
        if width(text) <= limit:
            return [text]
        broken: list[str] = []
        with self.lettering(expression):
            pieces = self._pieces(self._conventional(expression), limit)
        for piece in pieces:
            if broken and width(broken[-1] + piece) <= limit:
                broken[-1] += f" {piece}"
            else:
                broken.append(piece)
        return broken

    def _pieces(self, expression: Basic, limit: float) -> list[str]:
        """The expression cut where a line may end; a continuation begins with its sign."""
        if isinstance(expression, (Add, Plus)):
            pieces: list[str] = []
            for n, (negative, term) in enumerate(self._terms(expression)):
                sign = ("-" if negative else "") if n == 0 else "{} - " if negative else "{} + "
                text = self._term(term)
                parts = [text] if width(text) <= limit else self._pieces(term, limit)
                pieces += [sign + parts[0], *parts[1:]]
            return pieces
        if isinstance(expression, (Sum, SumOver)):
            with self._under(expression) as (sign, body):
                if isinstance(body, (Add, Plus)):
                    inner = self._pieces(body, limit - width(sign))
                    return [rf"{sign} \Bigl({inner[0]}", *inner[1:-1], rf"{inner[-1]}\Bigr)"]
                inner = self._pieces(body, limit - width(sign))
                return [f"{sign} {inner[0]}", *inner[1:]]
        if isinstance(expression, Product) and norm(expression) is None:
            return self._factors_apart(expression)
        if isinstance(expression, Hadamard) and not any(self._reciprocal(part) for part in expression.args):
            return self._chained(self._ordered(expression.args), self.notation.hadamard, limit)
        if isinstance(expression, (Mul, Scale)):
            negative, front, above, below = self._fraction(expression)
            if not below and above:
                entrywise = len(above) == 1 or isinstance(above[-1], Hadamard)
                pieces = self._pieces(above[0], limit) if len(above) == 1 else self._chained(above, "", limit)
                if not entrywise or len(above) == 1:
                    return [("-" if negative else "") + front + pieces[0], *pieces[1:]]
        return [self._text(expression)]

    def _factors_apart(self, node: Product) -> list[str]:
        """The factors of a matrix product, each in the brackets that it needs there."""
        least = [FRACTION if isinstance(part, Product) else MULTIPLY for part in node.args]
        return [self._bracketed(part, level) for part, level in zip(node.args, least, strict=True)]

    def _chained(self, factors: list[Basic], sign: str, limit: float) -> list[str]:
        """Factors with `sign` between them; a bracket that is too wide is itself cut at its signs."""
        pieces: list[str] = []
        for n, factor in enumerate(factors):
            at_least = OPEN if n + 1 == len(factors) and self._level(factor) == OPEN else MULTIPLY + bool(sign)
            text = self._bracketed(factor, at_least)
            parts = [text]
            if width(text) > limit and self._level(factor) < at_least:
                inner = self._pieces(factor, limit)
                parts = [rf"\Bigl({inner[0]}", *inner[1:-1], rf"{inner[-1]}\Bigr)"] if len(inner) > 1 else parts
            join = "" if n == 0 else rf"{{}} {sign} " if sign else r"{} \cdot "
            pieces += [join + parts[0], *parts[1:]]
        return pieces

    # ------------------------------------------------------------------ ways to write

    def _print_Differentiated(self, node: Differentiated) -> str:
        sign, body = self.notation.partial, self._bracketed(node.body, OPEN)
        return rf"\frac{{{sign}}}{{{sign} {self._text(node.by)}}} {body}"

    def _print_Inner(self, node: Inner) -> str:
        left, right, letter, _ = node.args
        return rf"{self._vector(left, letter)} \cdot {self._vector(right, letter)}"

    def _vector(self, node: Expr, letter: Symbol) -> str:
        """A vector, of which an expression is the entry at `letter`: a gradient, or the derivatives of a vector."""
        sign = self.notation.partial
        if isinstance(node, (TotalDerivative, PartialDerivative)):
            of, by = (self._whole(part) if letter in indices_of(part) else self._text(part) for part in node.args)
            if letter in indices_of(node.by):
                return rf"{self.notation.nabla}_{{{by}}} {of}"
            return rf"\frac{{{sign} {of}}}{{{sign} {by}}}"
        return self._bracketed(self._oriented(matrix_form(node, (letter,), self.tensors, self.example)), MULTIPLY)

    def _oriented(self, array: Basic) -> Basic:
        """A matrix expression inside an index expression, with its weights turned as the notation has them."""
        return turned(array, self.tensors) if self.notation.weight_rows == "inputs" else array

    def _whole(self, element: Expr) -> str:
        """The tensor of an element, as a vector."""
        tensor = self.tensors[key_of(element) or ""]
        mark = self.notation.index(self.example) if self._marking and self.example in tensor.indices else None
        return self._tensor(tensor, (), mark)

    def _print_Entry(self, node: Entry) -> str:
        below = run([self._position(letter) for letter in node.indices])
        array = self._text(self._oriented(node.array))
        return f"{brackets(array, self.notation.entry_brackets)}_{braced(below)}"

    def _print_Applied(self, node: Applied) -> str:
        name = self.notation.function(self.functions[key_of(node.element) or ""])
        letters = [letter for letter in indices_of(node.element) if letter != self.example]
        alone = key_of(node.argument) is not None and indices_of(node.argument) == indices_of(node.element)
        if alone or not any(isinstance(letter, Symbol) for letter in letters):
            return name + brackets(self._text(node.argument))
        inside = self._oriented(matrix_form(node.argument, letters, self.tensors, self.example))
        tensor = self.tensors[key_of(node.element) or ""]
        extents = [n for n, usual in zip(tensor.shape, tensor.indices, strict=True) if usual != self.example]
        below = run([self._position(letter, n) for letter, n in zip(letters, extents, strict=True)])
        return f"{name}{brackets(self._text(inside))}_{braced(below)}"

    # ------------------------------------------------------------------ matrices

    def _print_FunctionOf(self, node: FunctionOf) -> str:
        return self.notation.function(self.functions[node.args[0].key]) + brackets(self._text(node.args[1]))

    def _print_EntryGradient(self, node: EntryGradient) -> str:
        of, by = self._bracketed(node.args[0], MULTIPLY), self._text(node.args[1])
        if self.notation.gradient == "nabla" and key_of(node.args[0]) is not None:
            return rf"{self.notation.nabla}_{{{by}}} {of}"
        return rf"\frac{{{self.notation.partial} {of}}}{{{self.notation.partial} {by}}}"

    def _print_ArrayOf(self, node: ArrayOf, transposed: bool = False) -> str:
        if self._value_of is not None:
            return self._with_shape(self._array(node), node, transposed)
        return self._array(node, transposed)

    def _array(self, node: ArrayOf, transposed: bool = False) -> str:
        tensor = self.tensors[node.key]
        if node.example is not None:
            mark = self.notation.index(self.example) if self._marking and self.example is not None else None
            return self._tensor(tensor, (), mark, transposed)
        if self.example is not None and self.example in tensor.indices and len(tensor.shape) > 1:
            letter = self.notation.capital(tensor, self.tensors, tensor.key == self.output)
            number = self.number(tensor)
            return self.notation.marked(letter, number, transposed=transposed)
        return self._tensor(tensor, transposed=transposed)

    def _print_Scalar(self, node: Scalar) -> str:
        return self._text(node.args[0])

    def _print_Ones(self, node: Ones) -> str:
        return self.notation.ones if self._value_of is None else self._shaped(self.notation.ones, node.args[0])

    def _print_Identity(self, node: Identity) -> str:
        sizes = (node.args[0], node.args[0])
        return self.notation.identity if self._value_of is None else self._shaped(self.notation.identity, *sizes)

    def _print_Diagonal(self, node: Diagonal) -> str:
        return f"{self.notation.diagonal}{brackets(self._text(node.args[0]))}"

    def _print_Transpose(self, node: Transpose) -> str:
        inner = node.args[0]
        if isinstance(inner, ArrayOf) and self.tensors[inner.key].role != "gradient":
            return self._print_ArrayOf(inner, transposed=True)
        if isinstance(inner, RowOf):
            return self._print_RowOf(inner, transposed=True)
        if self._value_of is not None and isinstance(inner, (Jacobian, Gradient, PartialGradient, Ones)):
            return f"{self._text(inner)}^{braced(self.notation.transpose)}"  # its shape has put it in brackets
        return rf"{self._bracketed(inner, ATOM)}^{braced(self.notation.transpose)}"

    def _print_Product(self, node: Product) -> str:
        vector = norm(node)
        if vector is not None:
            return rf"\lVert {self._text(vector)} \rVert^2"
        # A product in a product is a group that somebody made.
        return beside(self._factors_apart(node))

    def _print_Hadamard(self, node: Hadamard) -> str:
        sign = f" {self.notation.hadamard} "
        above = self._ordered([part for part in node.args if self._reciprocal(part) is None])
        below = self._ordered([part for part in map(self._reciprocal, node.args) if part is not None])
        first = [part for part in above if below and self._comes_first(part)]
        above = [part for part in above if part not in first]
        texts = [self._bracketed(part, MULTIPLY + 1) for part in (first if below else above)]
        if not below:
            if self._level(above[-1]) == OPEN:
                texts[-1] = self._text(above[-1])
            return sign.join(texts)
        sides = []
        for side in (above, below):
            at_least = MULTIPLY + 1 if len(side) > 1 else ADD
            sides.append(sign.join(self._bracketed(part, at_least) for part in side) or "1")
        return sign.join([*texts, rf"\frac{{{sides[0]}}}{{{sides[1]}}}"])

    def _print_Elementwise(self, node: Elementwise) -> str:
        with self._filled(node):
            return self._text(node.function.expr)

    def _print_FunctionSlope(self, node: FunctionSlope) -> str:
        of = node.args[0].args[0] if isinstance(node.args[0], Transpose) else node.args[0]
        with self.shaped(None):
            text = self._slope(of.key, node.args[1])
        return self._with_shape(text, node)

    def _print_Gradient(self, node: Gradient) -> str:
        with self.shaped(None):
            of, by = (self._text(part) for part in node.args)
        if self.notation.gradient == "nabla" and self._shape(node.args[1]) != (False, False):
            return self._with_shape(rf"{self.notation.nabla}_{{{by}}} {of}", node)
        return self._with_shape(rf"\frac{{{self.notation.partial} {of}}}{{{self.notation.partial} {by}}}", node)

    _print_PartialGradient = _print_Gradient

    def _print_Jacobian(self, node: Jacobian) -> str:
        with self.shaped(None):
            of, by = (self._text(part) for part in node.args)
        text = rf"\frac{{{self.notation.partial} {of}}}{{{self.notation.partial} {by}}}"
        if self._value_of is None:
            return text
        sizes = [self._extents(part) for part in node.args]
        return self._shaped(text, sizes[0][0], sizes[1][0]) if all(len(axes) == 1 for axes in sizes) else text

    def emptyPrinter(self, expr: object) -> str:
        raise UsageError(f"the page has no form for {type(expr).__name__}: {expr}")
