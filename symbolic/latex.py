"""Index expressions and matrix expressions -> LaTeX, in a notation.

The printer decides order, brackets and fractions; every symbol comes from the `Notation`. Order is the page's own, not
SymPy's: a - y and 1 - a, the derivative that comes from above first in a product. The example index is not written
where a whole line is about one example; a sum over examples marks it.

Indices run from 0 in the equations and from 1 on the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sympy import (
    Add, Basic, Expr, Function, Indexed, Integer, KroneckerDelta, Mul, Number, Piecewise, Pow, Rational, Sum, Symbol,
    exp, log,
)  # fmt: skip
from sympy.core.numbers import NumberSymbol
from sympy.core.relational import Relational
from sympy.core.traversal import preorder_traversal
from sympy.printing.printer import Printer

from symbolic.errors import UsageError
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative, Undefined
from symbolic.linewidth import width
from symbolic.matrixform import (
    ArrayOf, Diagonal, Elementwise, FunctionSlope, Gradient, Hadamard, Identity, Jacobian, MatrixExpression, Ones,
    PartialGradient, Plus, Product, Scalar, Scale, SumOverExamples, Transpose, arrays,
)  # fmt: skip
from symbolic.notation import LETTER_OF, Notation
from symbolic.tensors import FunctionName, Tensor, elements, indices_of, key_of

# How tightly a printed form binds, from the loosest; a part that binds less tightly than its place asks is bracketed.
ADD, OPEN, ENTRYWISE, MULTIPLY, FRACTION, POWER, ATOM = range(7)

FUNCTIONS = {
    "log": r"\log", "tanh": r"\tanh", "sinh": r"\sinh", "cosh": r"\cosh", "sin": r"\sin", "cos": r"\cos", "atan": r"\arctan",
    "Max": r"\max", "Min": r"\min",
}  # fmt: skip
RELATIONS = {">": ">", "<": "<", ">=": r"\ge", "<=": r"\le", "==": "=", "!=": r"\ne"}
# A fraction whose denominator is at least this large and a product of 2s and 5s is written as a decimal number.
DECIMAL_FROM = 100


DERIVATIVES = (TotalDerivative, PartialDerivative, Gradient, PartialGradient, Jacobian)


VARYING = (Indexed, Sum, KroneckerDelta, TotalDerivative, PartialDerivative, FunctionDerivative, Undefined)


def brackets(text: str) -> str:
    tall = any(mark in text for mark in (r"\frac", r"\sum", r"\begin", r"\left"))
    return rf"\left({text}\right)" if tall else f"({text})"


class LatexPrinter(Printer):
    """Prints expressions of one derivation.

    tensors:    by key, the adjoints and gradients included.
    functions:  by key of the tensor that an equation defines, the name of the function that the equation applies.
    example:    the index of the examples' axis, if there is one.
    loss, objective:  the tensors whose derivatives adjoints and gradients are.

    Raises:
        UsageError: for an expression of a kind that it has no form for.
    """

    printmethod = "_deltaform_latex"

    def __init__(
        self,
        notation: Notation,
        tensors: Mapping[str, Tensor],
        functions: Mapping[str, FunctionName] | None = None,
        example: Symbol | None = None,
        loss: Tensor | None = None,
        objective: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.notation = notation
        self.tensors = tensors
        self.functions = functions or {}
        self.example = example
        self.loss = loss
        self.objective = objective
        self._marking = False
        self._slots: dict[Symbol, Basic] = {}

    # ------------------------------------------------------------------ what a page asks for

    def bare(self, tensor: Tensor) -> str:
        """The tensor's symbol without indices or example."""
        return self._tensor(tensor)

    def applied(self, function: FunctionName, argument: Basic) -> str:
        """f(argument) for a function that has a name."""
        return f"{self.notation.function(function)}{brackets(self.doprint(argument))}"

    def needs_mark(self, expression: Basic) -> bool:
        """Whether a line must say which example it means: it compares examples, or has the objective over all of them."""
        if self.example is None:
            return False
        if any(self.example in delta.args for delta in expression.atoms(KroneckerDelta)):
            return True
        across = self.objective is not None and self.objective is not self.loss
        return across and any(key_of(d.of) == self.objective.key for d in expression.atoms(TotalDerivative, PartialDerivative))

    @contextmanager
    def marking(self, *expressions: Basic) -> Iterator[None]:
        """Print with the example marked everywhere if one of the expressions needs it."""
        before = self._marking
        self._marking = before or any(self.needs_mark(expression) for expression in expressions)
        try:
            yield
        finally:
            self._marking = before

    def component(self, function: FunctionName, argument: Tensor, element: Expr) -> str:
        """f(v)_j for a function that takes the whole vector v; j stands where `element` has it."""
        below = "".join(self._position(n) for n in indices_of(element) if n != self.example)
        return f"{self.notation.function(function)}{brackets(self._tensor(argument))}_{{{below}}}"

    def lines(self, expression: Basic, limit: float) -> list[str]:
        """The expression in one line, or in several if it is wider than `limit` em.

        It is broken at the signs of a sum, then between the factors of a product, then inside a bracket under a sum.
        """
        text = self.doprint(expression)
        if width(text) <= limit:
            return [text]
        broken: list[str] = []
        for piece in self._pieces(expression, limit):
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
        if isinstance(expression, (Sum, SumOverExamples)):
            with self._under(expression) as (sign, body):
                if isinstance(body, (Add, Plus)):
                    inner = self._pieces(body, limit - width(sign))
                    return [rf"{sign} \Bigl({inner[0]}", *inner[1:-1], rf"{inner[-1]}\Bigr)"]
                inner = self._pieces(body, limit - width(sign))
                return [f"{sign} {inner[0]}", *inner[1:]]
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

    # ------------------------------------------------------------------ brackets and order

    def _text(self, node: Basic) -> str:
        return str(self._print(node))

    def _bracketed(self, node: Basic, at_least: int) -> str:
        text = self._text(node)
        return text if self._level(node) >= at_least else brackets(text)

    def _level(self, node: Basic) -> int:
        if isinstance(node, Symbol) and node in self._slots:
            return self._level(self._slots[node])
        if isinstance(node, Elementwise):
            with self._filled(node):
                return self._level(node.function.expr)
        if isinstance(node, Scalar):
            return self._level(node.args[0])
        if isinstance(node, (Add, Plus)):
            return ADD
        if isinstance(node, Number):
            return ADD if node.is_negative else ATOM if node.is_Integer or self._decimal(node) else FRACTION
        if isinstance(node, (Mul, Scale)):
            negative, front, above, below = self._fraction(node)
            if negative:
                return ADD
            if above and not below and self._level(above[-1]) in (OPEN, ENTRYWISE):
                return self._level(above[-1])
            beside = any(isinstance(part, DERIVATIVES) or self._comes_first(part) for part in above)
            return FRACTION if below and not beside else MULTIPLY
        if isinstance(node, Pow):
            return FRACTION if _is_reciprocal(node) else ATOM if node.exp == Rational(1, 2) else POWER
        if isinstance(node, (Sum, SumOverExamples)):
            return ADD if self._negative(node) else OPEN
        if isinstance(node, Piecewise):
            return ATOM if _indicator(node) is not None or _maximum(node) is not None else OPEN
        if isinstance(node, Product):
            return POWER if _norm(node) is not None else MULTIPLY
        if isinstance(node, Hadamard):
            quotient = any(self._reciprocal(part) is not None for part in node.args)
            return FRACTION if quotient and not any(self._comes_first(part) for part in node.args) else ENTRYWISE
        if isinstance(node, (TotalDerivative, PartialDerivative, Jacobian)):
            return FRACTION
        if isinstance(node, (Gradient, PartialGradient)):
            return FRACTION
        if isinstance(node, (exp, Transpose)) or (isinstance(node, Function) and not isinstance(node, KroneckerDelta)):
            return POWER
        return ATOM

    def _terms(self, node: Add | Plus) -> list[tuple[bool, Basic]]:
        """(negative, term without its sign), positive ones first, plain numbers before sums before others."""
        signed = []
        for term in node.args:
            negative = self._negative(term)
            bare = _negated(term) if negative else term
            signed.append((negative, self._term_rank(bare), self._text(bare), bare))
        signed.sort(key=lambda entry: entry[:3])
        return [(negative, bare) for negative, _, _, bare in signed]

    def _negative(self, node: Basic) -> bool:
        if isinstance(node, Symbol) and node in self._slots:
            return self._negative(self._slots[node])
        if isinstance(node, Scalar):
            return bool(node.args[0].could_extract_minus_sign())
        if isinstance(node, Scale):
            return isinstance(node.args[0], Scalar) and self._negative(node.args[0])
        if isinstance(node, (Sum, SumOverExamples)):
            return self._negative(node.args[2] if isinstance(node, SumOverExamples) else node.function)
        if isinstance(node, Mul):
            return bool(node.args[0].is_negative)
        return isinstance(node, Number) and bool(node.is_negative)

    def _term_rank(self, term: Basic) -> tuple[int, bool]:
        roles = self._roles(term)
        scaled = isinstance(term, Scale) or (isinstance(term, Mul) and term.args[0].is_Rational)
        if _added_number(term) is not None or (isinstance(term, Expr) and _is_constant(term)):
            return 0, scaled
        if term.has(Sum, Product, SumOverExamples) and not isinstance(term, Scale):
            return 1, scaled
        return (3 if roles and roles <= {"parameter"} else 2), scaled

    def _roles(self, node: Basic) -> set[str]:
        """The roles of the tensors that occur in it."""
        keys = {array.key for array in arrays(node)}
        if isinstance(node, Expr):
            keys |= {key for element in elements(node) if (key := key_of(element)) is not None}
        for slot in node.free_symbols & set(self._slots):
            keys |= {array.key for array in arrays(self._slots[slot])}
        return {self.tensors[key].role for key in keys if key in self.tensors}

    def _factor_rank(self, node: Basic) -> int:
        """What comes from above first, then weights, then activations, functions, brackets."""
        if isinstance(node, Symbol) and node in self._slots:
            return self._factor_rank(self._slots[node])
        roles = self._roles(node)
        from_above = "adjoint" in roles or node.has(TotalDerivative, Gradient)
        if isinstance(node, (Scalar, KroneckerDelta)) or (isinstance(node, Expr) and _is_constant(node)):
            return 0
        if "cost" in roles and isinstance(node, DERIVATIVES):
            return 2
        if isinstance(node, (Sum, SumOverExamples, Product)):
            return 1 if from_above else 10
        if isinstance(node, (Add, Plus)):
            return 2 if "target" in roles else 9
        if isinstance(node, (TotalDerivative, Gradient)):
            return 3
        if isinstance(node, (Indexed, ArrayOf, Symbol, Transpose)):
            if "adjoint" in roles:
                return 3 if self._is_delta(node) else 7
            return 5 if "parameter" in roles else 6
        if isinstance(node, (PartialDerivative, Jacobian, PartialGradient)):
            return 4
        if isinstance(node, Pow):
            return max(self._factor_rank(node.base), 2 if "target" in roles else 6)
        return 10 if self._level(node) == OPEN else 8

    def _is_delta(self, node: Basic) -> bool:
        """Whether it is an adjoint with a letter of its own, not one written as a marked copy of its tensor's letter."""
        keys = [array.key for array in arrays(node)] + [key_of(node) if isinstance(node, Expr) else None]
        return any(("adjoint", self.tensors[key].name) in LETTER_OF for key in keys if key in self.tensors)

    def _ordered(self, factors: tuple[Basic, ...] | list[Basic]) -> list[Basic]:
        return sorted(factors, key=lambda factor: (self._factor_rank(factor), self._text(factor)))

    # ------------------------------------------------------------------ numbers, sums, products, powers

    def _print_Add(self, node: Add | Plus) -> str:
        text = ""
        for n, (negative, term) in enumerate(self._terms(node)):
            sign = ("-" if negative else "") if n == 0 else " - " if negative else " + "
            text += sign + self._term(term)
        return text

    _print_Plus = _print_Add

    def _term(self, term: Basic) -> str:
        """A term of a sum: the number c for the array that is c in every entry."""
        number = _added_number(term)
        return self._bracketed(term, OPEN) if number is None else self._text(number)

    def _print_Integer(self, node: Integer) -> str:
        return str(node.p)

    def _print_Rational(self, node: Rational) -> str:
        decimal = self._decimal(node)
        sign = "-" if node.p < 0 else ""
        return decimal or rf"{sign}\frac{{{abs(node.p)}}}{{{node.q}}}"

    @staticmethod
    def _decimal(node: Number) -> str | None:
        """A short decimal number such as 0.044715, exactly the same value; None where a fraction is better."""
        if not node.is_Rational or node.q < DECIMAL_FROM:
            return None
        digits = 0
        while digits < 9 and (10**digits * node.p) % node.q:
            digits += 1
        if (10**digits * node.p) % node.q:
            return None
        whole = str(abs(10**digits * node.p // node.q)).rjust(digits + 1, "0")
        return f"{'-' if node.p < 0 else ''}{whole[:-digits]}.{whole[-digits:]}"

    def _print_Float(self, node: Number) -> str:
        return str(node)

    def _print_NumberSymbol(self, node: NumberSymbol) -> str:
        return {"pi": r"\pi", "E": "e"}.get(str(node), rf"\mathrm{{{node}}}")

    def _fraction(self, node: Basic) -> tuple[bool, str, list[Basic], list[Basic]]:
        """(negative, a factor in front as text, factors above the line, factors below it), in the page's order.

        A number is set in front as a fraction of its own where the rest is a sum or has brackets: 1/N Sum ...
        """
        parts: list[Basic] = []
        constants: list[Expr] = []
        for part in node.args:
            bare = part.args[0] if isinstance(part, Scalar) else part
            if isinstance(bare, Expr) and _is_constant(bare):
                constants += Mul.make_args(bare)
                continue
            parts.append(part)
        top, bottom, negative = _rational_split(constants)
        above = [part for part in parts if not self._reciprocal(part)]
        below = [self._reciprocal(part) for part in parts if self._reciprocal(part)]
        array = [above.pop()] if isinstance(node, Scale) and above and above[-1] is node.args[-1] else []
        above, under = [*self._ordered(above), *array], self._ordered([part for part in below if part is not None])
        simple = above and all(self._stands_on_a_line(part) for part in above)
        if not bottom or (under or simple) and not any(self._level(part) == ENTRYWISE for part in above):
            return negative, "", [*top, *above], [*bottom, *under]
        if not above and not under:
            return negative, "", list(top), list(bottom)
        numerator = self._join(list(top)) or "1"
        return negative, rf"\frac{{{numerator}}}{{{self._join(list(bottom))}}} ", above, []

    def _stands_on_a_line(self, part: Basic) -> bool:
        """Whether it looks well above a fraction line: letters and powers do; functions and brackets are set beside it."""
        body = part.function.expr if isinstance(part, Elementwise) else part
        if isinstance(body, Product) or (isinstance(body, Function) and not isinstance(body, exp)):
            return False
        return self._level(part) >= POWER and not (isinstance(body, Pow) and isinstance(body.base, Add))

    def _reciprocal(self, part: Basic) -> Basic | None:
        """What stands below the line if `part` is 1 over something."""
        if isinstance(part, Pow) and _is_reciprocal(part):
            return Pow(part.base, -part.exp)
        if isinstance(part, Elementwise) and isinstance(part.function.expr, Pow) and _is_reciprocal(part.function.expr):
            power = part.function.expr
            if power.base == part.function.variables[0]:
                if power.exp == -1:
                    return part.arguments[0]
                return Elementwise(type(part.function)(part.function.variables, Pow(power.base, -power.exp)), *part.arguments)
        return None

    def _join(self, factors: list[Basic]) -> str:
        """Factors side by side, each bracketed as its place needs."""
        texts = []
        for n, factor in enumerate(factors):
            last = n + 1 == len(factors)
            if isinstance(factor, log) and not last:
                texts.append(self._call(factor, bare=False))
            elif isinstance(factor, Product) and not last and _norm(factor) is None:
                texts.append(brackets(self._text(factor)))
            elif last and len(factors) > 1:
                texts.append(self._bracketed(factor, OPEN))
            else:
                texts.append(self._bracketed(factor, MULTIPLY if len(factors) > 1 else ADD))
        joined = ""
        for text in texts:
            joined += rf" \cdot {text}" if joined and joined[-1].isdigit() and text[0].isdigit() else f" {text}" if joined else text
        return joined

    def _print_Mul(self, node: Basic) -> str:
        negative, front, above, below = self._fraction(node)
        sign = "-" if negative else ""
        if not below:
            place = OPEN if len(above) == 1 and front else ADD
            only = self._bracketed(above[0], place) if len(above) == 1 else self._join(above)
            return sign + front + (only or "1")
        # A derivative is a fraction itself and stands beside this one, not in it; a sum from above stands before it.
        before = [part for part in above if self._comes_first(part)]
        beside = [part for part in above if isinstance(part, DERIVATIVES)]
        above = [part for part in above if part not in before and part not in beside]
        if not above:
            before, above = [], before
        fraction = rf"\frac{{{self._join(above) or '1'}}}{{{self._join(below)}}}"
        texts = [*(self._bracketed(part, MULTIPLY) for part in before), fraction, *([self._join(beside)] if beside else [])]
        return sign + " ".join(texts)

    def _comes_first(self, part: Basic) -> bool:
        return isinstance(part, (Sum, Product)) and self._factor_rank(part) == 1

    _print_Scale = _print_Mul

    def _print_Pow(self, node: Pow) -> str:
        if _is_reciprocal(node):
            return rf"\frac{{1}}{{{self._text(Pow(node.base, -node.exp))}}}"
        if node.exp == Rational(1, 2):
            return rf"\sqrt{{{self._text(node.base)}}}"
        mark = "" if self._is_number(node.base) else rf"{self.notation.hadamard} "
        base = self._bracketed(node.base, ATOM)
        if self._has_superscript(node.base):
            base = brackets(base)
        power = mark + self._text(node.exp)
        return f"{base}^{power}" if len(power) == 1 else f"{base}^{{{power}}}"

    def _is_number(self, node: Basic) -> bool:
        """Whether a part of an entrywise function is a scalar, so that its power is an ordinary one."""
        if not (isinstance(node, Symbol) and node in self._slots):
            return True
        return self._shape(self._slots[node]) == (False, False)

    def _shape(self, node: Basic) -> tuple[bool, bool]:
        """Whether an array has more than one row, and more than one column."""
        if isinstance(node, ArrayOf):
            rank = len(self.tensors[node.key].shape) - (node.example is not None)
            return rank > 0, rank > 1
        if isinstance(node, Transpose):
            rows, columns = self._shape(node.args[0])
            return columns, rows
        if isinstance(node, Product):
            return self._shape(node.args[0])[0], self._shape(node.args[-1])[1]
        if isinstance(node, (Gradient, PartialGradient)):
            return self._shape(node.args[1])
        if isinstance(node, Scalar):
            return False, False
        if isinstance(node, Ones):
            return True, False
        if isinstance(node, (Identity, Diagonal, Jacobian)):
            return True, True
        return self._shape(node.args[-1])

    def _has_superscript(self, node: Basic) -> bool:
        """Whether a power would be a second superscript: (a_j^{[1]})^2."""
        if isinstance(node, Symbol) and node in self._slots:
            node = self._slots[node]
        if not isinstance(node, (ArrayOf, Indexed, Symbol)):
            return False
        return "^" in self._text(node)

    # ------------------------------------------------------------------ letters, elements, indices

    def _print_Symbol(self, node: Symbol) -> str:
        if node in self._slots:
            return self._text(self._slots[node])
        if key_of(node) is not None and key_of(node) in self.tensors:
            return self._element(node)
        if node.is_integer and not node.is_positive:
            # An index used as a number: the page counts from `first`, the equations from 0.
            return f"({self.notation.index(node)} - {self.notation.first})" if self.notation.first else self.notation.index(node)
        return self.notation.size(node)

    def _print_Indexed(self, node: Indexed) -> str:
        return self._element(node)

    def _element(self, node: Expr) -> str:
        tensor = self.tensors.get(key_of(node) or "")
        if tensor is None:
            raise UsageError(f"{node} is no element of a tensor of this derivation; known: {', '.join(self.tensors)}")
        above: list[str] = []
        below: list[str] = []
        for position, usual in zip(indices_of(node), tensor.indices, strict=True):
            if usual == self.example:
                if position != self.example or self._marking:
                    above.append(self.notation.example.format(example=self._position(position)))
            else:
                below.append(self._position(position))
        return self._tensor(tensor, tuple(below), tuple(above))

    def _tensor(self, tensor: Tensor, below: tuple[str, ...] = (), above: tuple[str, ...] = ()) -> str:
        source = self.tensors.get(tensor.of or "")
        if tensor.role == "gradient" and source is not None:
            whole = self.loss if self.example in tensor.indices and self.loss is not None else self.objective
            top = self._tensor(whole, (), above) if whole is not None else ""
            return rf"\frac{{\partial {top}}}{{\partial {self._tensor(source, below)}}}"
        layer = tensor.layer
        if layer is None and tensor.role == "adjoint" and source is not None:
            layer = source.layer
        return self.notation.marked(self.notation.letter(tensor, self.tensors), layer, below, above)

    def _position(self, position: Expr) -> str:
        """An index: a letter as it is, a number counted from `first`."""
        if isinstance(position, Symbol) and not position.is_positive:
            return self.notation.index(position)
        if any(not symbol.is_positive for symbol in position.free_symbols):
            raise UsageError(f"an index must be a letter or a number, not {position}")
        return self._text(position + self.notation.first)

    def _print_KroneckerDelta(self, node: KroneckerDelta) -> str:
        # SymPy sorts the two arguments, numbers first; the page writes the letter first.
        texts = sorted((self._position(part) for part in node.args), key=lambda text: (not text.isalpha(), text))
        return f"[{texts[0]} = {texts[1]}]"

    # ------------------------------------------------------------------ sums over an axis

    @contextmanager
    def _under(self, node: Basic) -> Iterator[tuple[str, Basic]]:
        """The sum signs of a sum and its body, to be printed in the scope of the sum."""
        limits = [node.args[:2]] if isinstance(node, SumOverExamples) else [(a, c + 1) for a, _, c in node.limits]
        body = node.args[2] if isinstance(node, SumOverExamples) else node.function
        before = self._marking
        self._marking = before or any(letter == self.example for letter, _ in limits)
        signs = []
        for letter, extent in reversed(limits):
            first = self.notation.first
            signs.append(rf"\sum_{{{self.notation.index(letter)}={first}}}^{{{self._text(extent - 1 + first)}}}")
        try:
            yield " ".join(signs), body
        finally:
            self._marking = before

    def _print_Sum(self, node: Basic) -> str:
        if self._negative(node):
            return f"-{self._text(_negated(node))}"
        with self._under(node) as (sign, body):
            return f"{sign} {self._bracketed(body, OPEN)}"

    _print_SumOverExamples = _print_Sum

    # ------------------------------------------------------------------ functions and derivatives

    def _print_exp(self, node: Expr) -> str:
        return f"e^{{{self._text(node.args[0])}}}"

    def _print_Abs(self, node: Expr) -> str:
        return rf"\left|{self._text(node.args[0])}\right|"

    def _print_Function(self, node: Expr) -> str:
        return self._call(node, bare=isinstance(node, log) and self._level(node.args[0]) == ATOM)

    _print_Application = _print_Max = _print_Min = _print_Function

    def _call(self, node: Expr, bare: bool) -> str:
        kind = type(node).__name__
        name = FUNCTIONS.get(kind) or rf"\operatorname{{{''.join(c for c in kind if c.isalnum() and c.isascii())}}}"
        inside = ", ".join(self._text(part) for part in node.args)
        return f"{name} {inside}" if bare else name + brackets(inside)

    def _print_Piecewise(self, node: Piecewise) -> str:
        test = _indicator(node)
        if test is not None:
            return rf"{self.notation.indicator}\{{{self._text(test)}\}}"
        largest = _maximum(node)
        if largest is not None:
            return rf"\max{brackets(f'0, {self._text(largest)}')}"
        rows = []
        for value, condition in node.args:
            case = rf"\text{{if }} {self._text(condition)}" if isinstance(condition, Relational) else r"\text{otherwise}"
            rows.append(f"{self._text(value)} & {case}")
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"

    def _print_Relational(self, node: Relational) -> str:
        return f"{self._text(node.lhs)} {RELATIONS[node.rel_op]} {self._text(node.rhs)}"

    def _print_Undefined(self, node: Undefined) -> str:
        name = self.notation.function(node.name)
        inside = brackets(", ".join(self._text(part) for part in node.arguments))
        if len(node.orders) == 1:
            order = node.orders[0]
            return f"{name}{chr(39) * order}{inside}" if order <= 3 else f"{name}^{{({order})}}{inside}"
        signs = "".join(
            rf"{self.notation.partial}_{{{n}}}{'' if order == 1 else f'^{{{order}}}'} "
            for n, order in enumerate(node.orders, start=1) if order
        )  # fmt: skip
        return f"{signs}{name}{inside}"

    def _slope(self, key: str | None, argument: Basic) -> str:
        function = self.functions.get(key or "")
        name = self.notation.function(function) if function is not None else "f"
        return f"{name}'{brackets(self._text(argument))}"

    def _print_FunctionDerivative(self, node: FunctionDerivative) -> str:
        return self._slope(key_of(node.of), node.by)

    def _print_TotalDerivative(self, node: TotalDerivative | PartialDerivative) -> str:
        sign = self.notation.partial
        return rf"\frac{{{sign} {self._text(node.of)}}}{{{sign} {self._text(node.by)}}}"

    _print_PartialDerivative = _print_TotalDerivative

    # ------------------------------------------------------------------ matrices

    def _print_ArrayOf(self, node: ArrayOf) -> str:
        tensor = self.tensors[node.key]
        if node.example is not None:
            return self._tensor(tensor, (), self._example_marks())
        if self.example is not None and self.example in tensor.indices:
            letter = self.notation.capital(tensor, self.tensors)
            return self.notation.marked(letter, tensor.layer)
        return self._tensor(tensor)

    def _example_marks(self) -> tuple[str, ...]:
        return (self.notation.example_mark(self.example),) if self._marking and self.example is not None else ()

    def _print_Scalar(self, node: Scalar) -> str:
        return self._text(node.args[0])

    def _print_Ones(self, node: Ones) -> str:
        return self.notation.ones

    def _print_Identity(self, node: Identity) -> str:
        return self.notation.identity

    def _print_Diagonal(self, node: Diagonal) -> str:
        return f"{self.notation.diagonal}{brackets(self._text(node.args[0]))}"

    def _print_Transpose(self, node: Transpose) -> str:
        inner = self._bracketed(node.args[0], ATOM)
        if isinstance(node.args[0], ArrayOf) and inner.endswith("}") and "^{" in inner and not inner.startswith(r"\frac"):
            return rf"{inner[:-1]}{self.notation.transpose}}}"
        return rf"{inner}^{{{self.notation.transpose}}}" if inner else inner

    def _print_Product(self, node: Product) -> str:
        vector = _norm(node)
        if vector is not None:
            return rf"\lVert {self._text(vector)} \rVert^2"
        return " ".join(self._bracketed(part, MULTIPLY) for part in node.args)

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

    @contextmanager
    def _filled(self, node: Elementwise) -> Iterator[None]:
        before = self._slots
        self._slots = {**before, **dict(zip(node.function.variables, node.arguments, strict=True))}
        try:
            yield
        finally:
            self._slots = before

    def _print_Elementwise(self, node: Elementwise) -> str:
        with self._filled(node):
            return self._text(node.function.expr)

    def _print_FunctionSlope(self, node: FunctionSlope) -> str:
        of = node.args[0].args[0] if isinstance(node.args[0], Transpose) else node.args[0]
        return self._slope(of.key, node.args[1])

    def _print_Gradient(self, node: Gradient) -> str:
        of, by = (self._text(part) for part in node.args)
        if self.notation.gradient == "nabla" and self._shape(node.args[1]) != (False, False):
            return rf"{self.notation.nabla}_{{{by}}} {of}"
        return rf"\frac{{{self.notation.partial} {of}}}{{{self.notation.partial} {by}}}"

    _print_PartialGradient = _print_Gradient

    def _print_Jacobian(self, node: Jacobian) -> str:
        of, by = (self._text(part) for part in node.args)
        return rf"\frac{{{self.notation.partial} {of}}}{{{self.notation.partial} {by}}}"

    def emptyPrinter(self, expr: object) -> str:
        raise UsageError(f"the page has no form for {type(expr).__name__}: {expr}")


def _is_constant(node: Expr) -> bool:
    """A number, or made of numbers and sizes."""
    return not node.has(*VARYING) and all(symbol.is_positive and symbol.is_integer for symbol in node.free_symbols)


def _is_reciprocal(node: Pow) -> bool:
    return bool(node.exp.is_number and node.exp.could_extract_minus_sign())


def _negated(node: Basic) -> Basic:
    if isinstance(node, Sum):
        return Sum(_negated(node.function), *node.limits)
    if isinstance(node, SumOverExamples):
        return SumOverExamples(*node.args[:2], _negated(node.args[2]))
    if isinstance(node, Scalar):
        return Scalar(-node.args[0])
    if isinstance(node, Scale):
        coefficient = -node.args[0].args[0]
        rest = node.args[1:]
        if coefficient == 1:
            return rest[0] if len(rest) == 1 else Scale(*rest)
        return Scale(Scalar(coefficient), *rest)
    return -node


def _added_number(node: Basic) -> Expr | None:
    """c if the term is c in every entry; 1 - a is what people write for the column of ones minus a."""
    if isinstance(node, Scale) and len(node.args) == 2 and isinstance(node.args[0], Scalar):
        return node.args[0].args[0] if _added_number(node.args[1]) == 1 else None
    ones = isinstance(node, Product) and [type(part) for part in node.args] == [Ones, Transpose]
    return Integer(1) if isinstance(node, Ones) or (ones and isinstance(node.args[1].args[0], Ones)) else None


def _rational_split(constants: list[Expr]) -> tuple[list[Expr], list[Expr], bool]:
    """Numbers and sizes as (above the line, below the line, negative); sqrt(2)/2 is written 1/sqrt(2)."""
    number = Integer(1)
    above: list[Expr] = []
    below: list[Expr] = []
    for part in constants:
        if part.is_Rational:
            number *= part
        elif isinstance(part, Pow) and _is_reciprocal(part):
            below.append(Pow(part.base, -part.exp))
        else:
            above.append(part)
    negative = bool(number.is_negative)
    number = abs(number)
    for part in list(above):
        if isinstance(part, Pow) and part.exp == Rational(1, 2) and part.base.is_Integer and number.q % part.base == 0:
            above.remove(part)
            below.append(part)
            number *= part.base
    above, below = _one_root(sorted(above, key=str), sorted(below, key=str))
    if LatexPrinter._decimal(number):
        above.insert(0, number)
    else:
        if number.p != 1:
            above.insert(0, Integer(number.p))
        if number.q != 1:
            below.insert(0, Integer(number.q))
    return above, below, negative


def _one_root(above: list[Expr], below: list[Expr]) -> tuple[list[Expr], list[Expr]]:
    """sqrt(2) sqrt(pi) under one root sign, and sqrt(2)/sqrt(pi) as the root of a fraction."""
    roots = [[part.base for part in side if isinstance(part, Pow) and part.exp == Rational(1, 2)] for side in (above, below)]
    rest = [[part for part in side if not (isinstance(part, Pow) and part.exp == Rational(1, 2))] for side in (above, below)]
    top, bottom = (Mul(*side) for side in roots)
    if roots[0] and roots[1]:
        return [Pow(top / bottom, Rational(1, 2), evaluate=False), *rest[0]], rest[1]
    return (
        [*rest[0], *([Pow(top, Rational(1, 2), evaluate=False)] if roots[0] else [])],
        [*rest[1], *([Pow(bottom, Rational(1, 2), evaluate=False)] if roots[1] else [])],
    )


def _indicator(node: Piecewise) -> Relational | None:
    """The condition c if the expression is 1 where c holds and 0 elsewhere."""
    if len(node.args) == 2 and node.args[0][0] == 1 and node.args[1][0] == 0:
        test = node.args[0][1]
        return test if isinstance(test, Relational) and node.args[1][1] == True else None  # noqa: E712
    return None


def _maximum(node: Piecewise) -> Basic | None:
    """f if the expression is f where f > 0 and 0 elsewhere."""
    if len(node.args) == 2 and node.args[1][0] == 0:
        value, test = node.args[0]
        if isinstance(test, Relational) and test.rel_op in (">", ">=") and (test.lhs, test.rhs) == (value, 0):
            return value
    return None


def _norm(node: Product) -> Basic | None:
    """u if the product is u^T u."""
    left, right = (node.args[0], node.args[-1]) if len(node.args) == 2 else (None, None)
    return right if isinstance(left, Transpose) and left.args[0] == right and not isinstance(right, Ones) else None
