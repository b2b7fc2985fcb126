"""The page's own order: which term of a sum and which factor of a product comes first, and what needs
brackets.

a - y and 1 - a; in a product what comes from above first, then weights, then activations, functions,
brackets. Numbers become fractions in front or under a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sympy import (
    Add,
    Basic,
    Expr,
    Function,
    Indexed,
    Integer,
    KroneckerDelta,
    Mul,
    Number,
    Piecewise,
    Pow,
    Rational,
    Sum,
    Symbol,
    exp,
    log,
)  # fmt: skip
from sympy.core.numbers import NumberSymbol
from sympy.printing.printer import Printer

from symbolic.conventions import Names, widths_of_layers
from symbolic.expressions import Differentiated, Entry, Inner, PartialDerivative, Spelled, TotalDerivative
from symbolic.matrices import (
    Abreast,
    ArrayOf,
    Diagonal,
    Elementwise,
    EntryGradient,
    FunctionOf,
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
    Stacked,
    SumOver,
    TotalJacobian,
    Transpose,
    Unit,
)
from symbolic.matrixform import arrays  # fmt: skip
from symbolic.notation import LETTER_OF, Notation
from symbolic.recognition import (
    DERIVATIVES,
    added_number,
    decimal,
    indicator,
    is_constant,
    is_reciprocal,
    maximum,
    negated,
    norm,
    rational_split,
)  # fmt: skip
from symbolic.tensors import FunctionName, Tensor, elements, key_of

# How tightly a printed form binds, from the loosest; a part that binds less tightly than its place asks is
# bracketed.
ADD, OPEN, ENTRYWISE, MULTIPLY, FRACTION, POWER, ATOM = range(7)

FUNCTIONS = {
    "log": r"\log", "tanh": r"\tanh", "sinh": r"\sinh", "cosh": r"\cosh", "sin": r"\sin", "cos": r"\cos",
    "atan": r"\arctan", "Max": r"\max", "Min": r"\min",
}  # fmt: skip


# The ranks of factors in the order of a page that sets last what comes from above.
FROM_BELOW = (0, 6, 7, 8, 9, 10, 5, 2, 3, 4, 1, 11, 12)

# How a name of several letters begins.
WORD = r"\mathrm{"


def brackets(text: str, kind: str = "()") -> str:
    tall = any(mark in text for mark in (r"\frac", r"\sum", r"\begin", r"\left"))
    return rf"\left{kind[0]}{text}\right{kind[1]}" if tall else f"{kind[0]}{text}{kind[1]}"


def beside(factors: Sequence[str]) -> str:
    """Factors side by side: two numbers with a dot between them, words with a space that shows."""
    joined = ""
    for before, text in zip(["", *factors], factors, strict=False):
        if not before:
            gap = ""
        elif before[-1].isdigit() and text[0].isdigit():
            gap = r" \cdot "
        else:
            gap = r" \, " if WORD in before and WORD in text else " "
        joined += gap + text
    return joined


class OrderedPrinter(Printer):
    """What a printer of the page needs to know, and the order, brackets and fractions of sums and products.

    tensors:    by key, the adjoints and gradients included.
    functions:  by key of the tensor that an equation defines, the name of the function that the equation
                applies.
    example:    the index of the examples' axis, if there is one.
    loss, objective:  the tensors whose derivatives adjoints and gradients are.
    output:     the key of the network's output, if it has one.
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
        output: str | None = None,
    ) -> None:
        super().__init__()
        self.notation = notation
        self.tensors = tensors
        self.functions = functions or {}
        self.example = example
        self.loss = loss
        self.objective = objective
        self.output = output
        self._marking = notation.mark_examples
        self._slots: dict[Symbol, Basic] = {}
        self._names: Names = {}
        self._value_of: Callable[[Expr], Expr] | None = None
        self._scope: tuple[object, ...] = ()
        self._texts: dict[tuple[Basic, bool], str] = {}
        self.widths = widths_of_layers(tensors, notation)

    # ------------------------------------------------------------------ brackets and order

    def _text(self, node: Basic) -> str:
        """How a part of an expression is printed. A sum and a product print each part to find its place before they
        print it there, and so do the parts: what was printed in this scope is remembered.
        """
        scope = (self._slots, self._names, self._value_of)
        if scope != self._scope:
            self._scope, self._texts = scope, {}
        texts, known = self._texts, (node, self._marking)
        if known not in texts:
            texts[known] = str(self._print(node))
        return texts[known]

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
        if isinstance(node, ArrayOf) and self.tensors[node.key].role == "gradient":
            return FRACTION
        if isinstance(node, (Add, Plus)):
            return ADD
        if isinstance(node, Number):
            return ADD if node.is_negative else ATOM if node.is_Integer or decimal(node) else FRACTION
        if isinstance(node, (Mul, Scale)):
            negative, _, above, below = self._fraction(node)
            if negative:
                return ADD
            if above and not below and self._level(above[-1]) in (OPEN, ENTRYWISE):
                return self._level(above[-1])
            beside = any(isinstance(part, DERIVATIVES) or self._comes_first(part) for part in above)
            return FRACTION if below and not beside else MULTIPLY
        if isinstance(node, Pow):
            return FRACTION if is_reciprocal(node) else ATOM if node.exp == Rational(1, 2) else POWER
        if isinstance(node, (Sum, SumOver)):
            return ADD if self._negative(node) else OPEN
        if isinstance(node, Piecewise):
            return ATOM if indicator(node) is not None or maximum(node) is not None else OPEN
        if isinstance(node, Product):
            return POWER if norm(node) is not None else MULTIPLY
        if isinstance(node, Hadamard):
            quotient = any(self._reciprocal(part) is not None for part in node.args)
            return FRACTION if quotient and not any(self._comes_first(part) for part in node.args) else ENTRYWISE
        if isinstance(node, Spelled):
            return ADD
        if isinstance(node, (TotalDerivative, PartialDerivative, Jacobian, TotalJacobian, EntryGradient)):
            return FRACTION
        if isinstance(node, Differentiated):
            return OPEN
        if isinstance(node, Inner):
            return MULTIPLY
        if isinstance(node, (Gradient, PartialGradient)):
            return FRACTION
        if isinstance(node, (exp, Transpose)) or (isinstance(node, Function) and not isinstance(node, KroneckerDelta)):
            return POWER
        return ATOM

    def _terms(self, node: Add | Plus) -> list[tuple[bool, Basic]]:
        """(negative, term without its sign), positive ones first, plain numbers before sums, brackets last."""
        signed = []
        for term in node.args:
            negative = self._negative(term)
            bare = negated(term) if negative else term
            text = self._text(bare)
            signed.append((negative, self._term_rank(bare), text.startswith("("), text, bare))
        signed.sort(key=lambda entry: entry[:4])
        return [(entry[0], entry[-1]) for entry in signed]

    def _negative(self, node: Basic) -> bool:
        if isinstance(node, Symbol) and node in self._slots:
            return self._negative(self._slots[node])
        if isinstance(node, Scalar):
            return bool(node.args[0].could_extract_minus_sign())
        if isinstance(node, Scale):
            return isinstance(node.args[0], Scalar) and self._negative(node.args[0])
        if isinstance(node, (Sum, SumOver)):
            return self._negative(node.args[2] if isinstance(node, SumOver) else node.function)
        if isinstance(node, Mul):
            return bool(node.args[0].is_negative)
        return isinstance(node, Number) and bool(node.is_negative)

    def _term_rank(self, term: Basic) -> tuple[int, bool]:
        roles = self._roles(term)
        scaled = isinstance(term, Scale) or (isinstance(term, Mul) and term.args[0].is_Rational)
        if added_number(term) is not None or (isinstance(term, Expr) and is_constant(term)):
            return 0, scaled
        if term.has(Sum, Product, SumOver) and not isinstance(term, Scale):
            return 1, scaled
        last = 0 if self.notation.bias_row else 3  # the bias is row 0 of the weights, before the rows that are summed
        return (last if roles and roles <= {"parameter"} else 2), scaled

    def _roles(self, node: Basic) -> set[str]:
        """The roles of the tensors that occur in it."""
        keys = {array.key for array in arrays(node)}
        if isinstance(node, Expr) and not isinstance(node, Entry):
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
        if isinstance(node, (Product, Entry)) and "target" in roles:
            from_above = True  # the error of the output, carried back
        if isinstance(node, (Differentiated, EntryGradient)):
            return 12
        if isinstance(node, (Scalar, KroneckerDelta)) or (isinstance(node, Expr) and is_constant(node)):
            return 0
        if "cost" in roles and isinstance(node, DERIVATIVES):
            return 2
        if isinstance(node, (Sum, SumOver, Product, Entry)):
            return 11 if self.notation.sums_last else 1 if from_above else 10
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
        """Whether it is an adjoint with a letter of its own, not one written as a marked copy of its
        tensor's letter.
        """
        keys = [array.key for array in arrays(node)] + [key_of(node) if isinstance(node, Expr) else None]
        known = [self.tensors[key] for key in keys if key is not None and key in self.tensors]
        return any((tensor.role, tensor.name) in LETTER_OF for tensor in known)

    def _ordered(self, factors: tuple[Basic, ...] | list[Basic]) -> list[Basic]:
        rank = self._rank_from_below if self._ends_above(factors) else self._factor_rank
        return sorted(factors, key=lambda factor: (rank(factor), self._text(factor)))

    def _ends_above(self, factors: Sequence[Basic]) -> bool:
        """Whether the notation sets last what comes from above, and something in a product does."""
        return self.notation.sums_last and any(map(self._is_from_above, factors))

    def _is_from_above(self, node: Basic) -> bool:
        """A derivative of the loss or the cost, or a difference between an output and its target."""
        roles = self._roles(node)
        if isinstance(node, DERIVATIVES):
            return bool({"loss", "cost"} & roles)
        return isinstance(node, (Add, Plus)) and "target" in roles and roles != {"target"}

    def _rank_from_below(self, node: Basic) -> int:
        """Activations, functions, brackets, then weights and what they carry back: the derivatives, and the sums."""
        rank = self._factor_rank(node)
        return FROM_BELOW.index(rank) if rank in FROM_BELOW else len(FROM_BELOW)

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
        number = added_number(term)
        return self._bracketed(term, OPEN) if number is None else self._text(number)

    def _print_Integer(self, node: Integer) -> str:
        return str(node.p)

    def _print_Rational(self, node: Rational) -> str:
        sign = "-" if node.p < 0 else ""
        return decimal(node) or rf"{sign}\frac{{{abs(node.p)}}}{{{node.q}}}"

    def _print_Float(self, node: Number) -> str:
        return str(node)

    def _print_NumberSymbol(self, node: NumberSymbol) -> str:
        return {"pi": r"\pi", "E": "e"}.get(str(node), rf"\mathrm{{{node}}}")

    def _fraction(self, node: Basic) -> tuple[bool, str, list[Basic], list[Basic]]:
        """(negative, a factor in front as text, factors above the line, factors below it), in the page's
        order.

        A number is set in front as a fraction of its own where the rest is a sum or has brackets: 1/N Sum ...
        """
        parts: list[Basic] = []
        constants: list[Expr] = []
        for part in node.args:
            bare = part.args[0] if isinstance(part, Scalar) else part
            if isinstance(bare, Expr) and is_constant(bare):
                constants += Mul.make_args(bare)
                continue
            parts.append(part)
        top, bottom, negative = rational_split(constants)
        above = [part for part in parts if not self._reciprocal(part)]
        below = [self._reciprocal(part) for part in parts if self._reciprocal(part)]
        array = [above.pop()] if isinstance(node, Scale) and above and above[-1] is node.args[-1] else []
        above, under = (
            [*self._ordered(above), *array],
            self._ordered([part for part in below if part is not None]),
        )
        simple = above and all(self._stands_on_a_line(part) for part in above)
        if not bottom or ((under or simple) and not any(self._level(part) == ENTRYWISE for part in above)):
            return negative, "", [*top, *above], [*bottom, *under]
        if not above and not under:
            return negative, "", list(top), list(bottom)
        numerator = self._join(list(top)) or "1"
        return negative, rf"\frac{{{numerator}}}{{{self._join(list(bottom))}}} ", above, []

    def _stands_on_a_line(self, part: Basic) -> bool:
        """Whether it looks well above a fraction line: letters and powers do; functions and brackets are
        set beside it.
        """
        body = part.function.expr if isinstance(part, Elementwise) else part
        if isinstance(body, Product) or (isinstance(body, Function) and not isinstance(body, exp)):
            return False
        return self._level(part) >= POWER and not (isinstance(body, Pow) and isinstance(body.base, Add))

    def _reciprocal(self, part: Basic) -> Basic | None:
        """What stands below the line if `part` is 1 over something."""
        if isinstance(part, Pow) and is_reciprocal(part):
            return Pow(part.base, -part.exp)
        if isinstance(part, Elementwise) and isinstance(part.function.expr, Pow) and is_reciprocal(part.function.expr):
            power = part.function.expr
            if power.base == part.function.variables[0]:
                if power.exp == -1:
                    return part.arguments[0]
                return Elementwise(
                    type(part.function)(part.function.variables, Pow(power.base, -power.exp)), *part.arguments
                )
        return None

    def _join(self, factors: list[Basic]) -> str:
        """Factors side by side, each bracketed as its place needs."""
        texts = []
        for n, factor in enumerate(factors):
            last = n + 1 == len(factors)
            if isinstance(factor, log) and not last:
                texts.append(self._call(factor, bare=False))
            elif isinstance(factor, Product) and (not last) and norm(factor) is None:
                texts.append(brackets(self._text(factor)))
            elif last and len(factors) > 1:
                texts.append(self._bracketed(factor, OPEN))
            else:
                texts.append(self._bracketed(factor, MULTIPLY if len(factors) > 1 else ADD))
        return beside(texts)

    def _print_Mul(self, node: Basic) -> str:
        negative, front, above, below = self._fraction(node)
        sign = "-" if negative else ""
        if not below:
            place = OPEN if len(above) == 1 and (front or negative) else ADD
            only = self._bracketed(above[0], place) if len(above) == 1 else self._join(above)
            return sign + front + (only or "1")
        # A derivative is a fraction itself and stands beside this one, not in it; a sum from above stands
        # before it.
        before = [part for part in above if self._comes_first(part)]
        beside = [part for part in above if isinstance(part, DERIVATIVES)]
        above = [part for part in above if part not in before and part not in beside]
        if not above:
            before, above = [], before
        fraction = rf"\frac{{{self._join(above) or '1'}}}{{{self._join(below)}}}"
        texts = [
            *(self._bracketed(part, MULTIPLY) for part in before),
            fraction,
            *([self._join(beside)] if beside else []),
        ]
        return sign + " ".join(texts)

    def _comes_first(self, part: Basic) -> bool:
        return isinstance(part, (Sum, Product)) and self._factor_rank(part) == 1

    _print_Scale = _print_Mul

    def _print_Pow(self, node: Pow) -> str:
        if is_reciprocal(node):
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
        slot = self._slots[node]
        extents = [extent for array in arrays(slot) for extent in self.tensors[array.key].shape]
        return self._shape(slot) == (False, False) or (bool(extents) and all(extent == 1 for extent in extents))

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
        if isinstance(node, (Gradient, PartialGradient, EntryGradient, FunctionOf)):
            return self._shape(node.args[1])
        if isinstance(node, Scalar):
            return False, False
        if isinstance(node, Ones):
            return True, False
        if isinstance(node, Jacobian):
            return self._shape(node.args[0])[0], isinstance(node.args[1], ArrayOf)
        if isinstance(node, (Identity, Diagonal, TotalJacobian)):
            return True, True
        if isinstance(node, (RowOf, Unit)):
            return True, False
        if isinstance(node, (Stacked, Abreast)):
            rows, columns = self._shape(node.args[-1])
            return rows or isinstance(node, Stacked), columns or isinstance(node, Abreast)
        return self._shape(node.args[-1])

    def _has_superscript(self, node: Basic) -> bool:
        """Whether a power would be a second superscript: (a_j^{[1]})^2."""
        if isinstance(node, Symbol) and node in self._slots:
            node = self._slots[node]
        if not isinstance(node, (ArrayOf, Indexed, Symbol)):
            return False
        return "^" in self._text(node)

    @contextmanager
    def _filled(self, node: Elementwise) -> Iterator[None]:
        before = self._slots
        self._slots = {**before, **dict(zip(node.function.variables, node.arguments, strict=True))}
        try:
            yield
        finally:
            self._slots = before

    def _call(self, node: Expr, bare: bool) -> str:
        kind = type(node).__name__
        name = FUNCTIONS.get(kind) or rf"\operatorname{{{''.join(c for c in kind if c.isalnum() and c.isascii())}}}"
        inside = ", ".join(self._text(part) for part in node.args)
        return f"{name} {inside}" if bare else name + brackets(inside)
