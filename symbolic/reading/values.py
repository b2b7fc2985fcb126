"""What parts of a formula are worth: index expressions, or arrays with their shapes, and how they are put together.

A part without unit indices is an array as soon as a tensor in it has axes. Numbers stand in index expressions and
beside arrays. Sizes that the page does not write, of the vector of ones and of the unit matrix, are unknowns that
shapes must determine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sympy import Add, And, Basic, Dummy, Expr, Integer, Lambda, Mul, Not, Or, Piecewise, Pow, Symbol, true
from sympy.core.relational import Relational

from symbolic.matrices import (
    Elementwise,
    Gradient,
    Hadamard,
    Jacobian,
    MatrixExpression,
    Ones,
    PartialGradient,
    Plus,
    Product,
    Scalar,
    Scale,
    Transpose,
)
from symbolic.matrixform import hadamard, letters_of, matrix_form, plus, product, scale, transpose
from symbolic.recognition import is_constant
from symbolic.tensors import Tensor, free_letters

# Digits of a number; nobody writes one of more, and SymPy would work out any power of it.
LONGEST_NUMBER = 300


class Misfit(Exception):
    """Parts that cannot be put together; the resolver says where."""


@dataclass(frozen=True)
class Value:
    """An index expression, or a matrix expression with the size of its rows and of its columns, None for no axis.

    A column has rows only, its transpose columns only; what has neither is a number.
    """

    node: Basic
    rows: Expr | None = None
    columns: Expr | None = None

    @property
    def is_array(self) -> bool:
        """Whether it is a matrix expression, a number in matrix notation included."""
        return isinstance(self.node, MatrixExpression)

    @property
    def is_number(self) -> bool:
        return self.rows is None and self.columns is None

    @property
    def expr(self) -> Expr:
        assert isinstance(self.node, Expr)
        return self.node


@dataclass(frozen=True)
class Comparison:
    """Two values and a relation between them."""

    kind: type[Relational]
    left: Value
    right: Value


@dataclass(frozen=True)
class Combination:
    """Conditions joined by And, Or or Not."""

    kind: Callable[..., Basic]
    parts: tuple[Condition, ...]


Condition: TypeAlias = "Comparison | Combination | None"


def times(factors: Sequence[Expr]) -> Expr:
    """The product; a number other than -1 does not go into a bracket, as it would if SymPy multiplied."""
    numbers = [factor for factor in factors if factor.is_Number]
    others = [factor for factor in factors if not factor.is_Number]
    number = Mul(*numbers)
    if len(others) == 1 and isinstance(others[0], Add) and number not in (0, 1, -1):
        return Mul(number, others[0], evaluate=False)
    return Mul(*factors)


class Values:
    """Puts values together, and remembers what became known of sizes on the way."""

    def __init__(self, tensors: Mapping[str, Tensor], example: Symbol | None) -> None:
        self.tensors = tensors
        self.example = example
        self.known: dict[Dummy, Expr] = {}

    # ------------------------------------------------------------------ sizes

    def unknown(self) -> Dummy:
        return Dummy("size", integer=True, positive=True)

    def size(self, extent: Expr) -> Expr:
        while isinstance(extent, Dummy) and extent in self.known:
            extent = self.known[extent]
        return extent

    def agree(self, one: Expr | None, other: Expr | None) -> bool:
        """Whether two axes have one size; an unknown one becomes known by this."""
        if one is None or other is None:
            return one is other
        one, other = self.size(one), self.size(other)
        if one == other:
            return True
        if isinstance(one, Dummy):
            self.known[one] = other
        elif isinstance(other, Dummy):
            self.known[other] = one
        else:
            return False
        return True

    def shape(self, value: Value) -> str:
        """The shape as a message says it."""
        texts = ["1" if n is None else "?" if isinstance(self.size(n), Dummy) else str(self.size(n))
                 for n in (value.rows, value.columns)]  # fmt: skip
        return "a number" if value.is_number else f"{texts[0]} x {texts[1]}"

    def same(self, values: Iterable[Value], what: str) -> Value:
        """One of the arrays, which all have its shape."""
        first, *rest = values
        for value in rest:
            if not (self.agree(first.rows, value.rows) and self.agree(first.columns, value.columns)):
                raise Misfit(f"{what} of shapes that do not fit: {self.shape(first)} and {self.shape(value)}")
        return first

    def resolved(self, node: Basic) -> Basic:
        """The node with what is known of its sizes put in."""
        known = {one: self.size(one) for one in node.atoms(Dummy) if one in self.known} if self.known else {}
        return node.xreplace(known) if known else node

    def finished(self, node: Basic) -> Basic:
        """The node with all sizes known, in the one order that matrix expressions have.

        Raises:
            Misfit: a size that nothing determines.
        """
        node = canonical(self.resolved(node))
        if node.atoms(Dummy) - {letter for part in node.atoms(Lambda) for letter in part.variables}:
            raise Misfit("nothing says how many ones there are, or how large the unit matrix is; write the left side")
        return node

    # ------------------------------------------------------------------ arrays out of numbers

    def array(self, value: Value) -> Value:
        """A number as it stands in matrix notation."""
        if value.is_array:
            return value
        if is_constant(value.expr) or self.letters(value.expr):
            return Value(Scalar(value.expr))
        return Value(matrix_form(value.expr, (), self.tensors, self.example))

    def letters(self, expression: Expr) -> set[Symbol]:
        return free_letters(expression) - {self.example}

    def ones(self, rows: Expr | None, columns: Expr | None) -> Basic:
        """The array of this shape whose entries are all 1."""
        row = None if columns is None else Transpose(Ones(columns))
        if rows is None:
            return Scalar(Integer(1)) if row is None else row
        return Ones(rows) if row is None else Product(Ones(rows), row)

    def spread(self, value: Value, like: Value) -> Value:
        """A number as the array of this shape that has it everywhere; another array as it is."""
        if value.is_array or like.is_number:
            return self.array(value)
        if not is_constant(value.expr):
            raise Misfit(f"a number is added to an array of shape {self.shape(like)}; write the number times ones")
        return Value(scale([Scalar(value.expr)], self.ones(like.rows, like.columns)), like.rows, like.columns)

    # ------------------------------------------------------------------ sums and products

    def total(self, terms: Sequence[tuple[bool, Value]]) -> Value:
        """The sum of terms, of which the first part says whether it is subtracted."""
        arrays = [value for _, value in terms if value.is_array]
        if not arrays:
            return Value(Add(*(times([Integer(-1), value.expr]) if minus else value.expr for minus, value in terms)))
        like = self.same(arrays, "a sum")
        nodes = []
        for minus, value in terms:
            node = self.spread(value, like).node
            nodes.append(scale([Scalar(Integer(-1))], node) if minus else node)
        return Value(plus(nodes), like.rows, like.columns)

    def row(self, factors: Sequence[Value]) -> Value:
        """Factors side by side: numbers times a matrix product."""
        if not any(value.is_array for value in factors):
            return Value(times([value.expr for value in factors]))
        numbers: list[Basic] = []
        chain: list[Value] = []
        for value in factors:
            if value.is_number:
                numbers.append(self.array(value).node)
                continue
            if chain and chain[0].rows is None and chain[-1].columns is None:
                numbers.append(product(*(part.node for part in chain)))
                chain = []
            if chain and chain[-1].columns is None and value.rows is not None:
                chain[-1] = _as_row(chain[-1])
            if chain and not self.agree(chain[-1].columns, value.rows):
                shapes = f"{self.shape(Value(Integer(0), chain[0].rows, chain[-1].columns))} and {self.shape(value)}"
                raise Misfit(f"a product of shapes that do not fit: {shapes}")
            chain.append(value)
        if not chain:
            return Value(scale(numbers[:-1], numbers[-1]))
        node = product(*(part.node for part in chain))
        return Value(scale(numbers, node), chain[0].rows, chain[-1].columns)

    def entrywise(self, factors: Sequence[Value], sign: str) -> Value:
        """The product entry by entry."""
        if not all(value.is_array for value in factors):
            raise Misfit(f"{sign} stands between arrays, and this is a number")
        like = self.same(factors, f"a product {sign}")
        return Value(hadamard([value.node for value in factors]), like.rows, like.columns)

    def quotient(self, above: Value, below: Value) -> Value:
        if not below.is_array and below.expr == 0:
            raise Misfit("a division by 0")
        if not above.is_array and not below.is_array:
            return Value(times([above.expr, Pow(below.expr, -1)]))
        if below.is_number:
            under = self.reciprocal(self.array(below).node) if below.is_array else self.array(
                Value(Pow(below.expr, -1))
            ).node  # fmt: skip
            return Value(scale([under], self.array(above).node), above.rows, above.columns)
        under = self.reciprocal(below.node)
        if above.is_number:
            return Value(scale([self.array(above).node], under), below.rows, below.columns)
        like = self.same((above, below), "a quotient")
        return Value(hadamard([above.node, under]), like.rows, like.columns)

    def reciprocal(self, node: Basic) -> Basic:
        """1 over each entry."""
        if isinstance(node, Hadamard):
            return hadamard([self.reciprocal(part) for part in node.args])
        if isinstance(node, Scale):
            return scale([self.reciprocal(part) for part in node.args[:-1]], self.reciprocal(node.args[-1]))
        if isinstance(node, Scalar):
            return Scalar(Pow(node.args[0], -1))
        if isinstance(node, Elementwise) and isinstance(node.function.expr, Pow):
            base, exponent = node.function.expr.args
            if base == node.function.variables[0] and exponent.is_number:
                return _powered(node.arguments[0], -exponent)
        return _powered(node, Integer(-1))

    def power(self, base: Value, exponent: Expr, sign: str) -> Value:
        """sign: the sign of an entrywise power, empty for one of a number."""
        numbers = [node for node in (base.node, exponent) if node.is_Rational]
        if len(numbers) == 2 and abs(exponent) * max(map(_digits, (numbers[0].p, numbers[0].q))) > LONGEST_NUMBER:
            raise Misfit(f"a number of more than {LONGEST_NUMBER} digits")
        if not base.is_array:
            if sign:
                raise Misfit(f"{sign} {exponent} is the power of every entry of an array, and this is a number")
            return Value(Pow(base.expr, exponent))
        single = all(n is None or self.size(n) == 1 for n in (base.rows, base.columns))
        if bool(sign) == base.is_number and not (single and not base.is_number):
            raise Misfit(
                "the power of every entry of an array has a sign, as in a^{\\circ 2}; that of a number has none"
            )
        return Value(_powered(base.node, exponent), base.rows, base.columns)

    # ------------------------------------------------------------------ functions

    def apply(self, build: Callable[..., Expr], arguments: Sequence[Value]) -> Value:
        """A function of numbers, or of arrays entry by entry."""
        arrays = [value for value in arguments if value.is_array]
        if not arrays:
            return Value(build(*(value.expr for value in arguments)))
        like = self.same(arrays, "a function")
        slots = _Slots(self, arguments, like)
        return slots.value(build(*(slots(value) for value in arguments)))

    def by_cases(self, cases: Sequence[tuple[Value, Condition]]) -> Value:
        """A function by cases, of numbers or entry by entry."""
        arrays = [value for case in cases for value in _values(case) if value.is_array]
        if not arrays:
            return Value(Piecewise(*((value.expr, self.condition(test)) for value, test in cases)))
        # A number among the values says nothing of the shape.
        like = self.same(arrays, "cases")
        slots = _Slots(self, [value for case in cases for value in _values(case)], like)
        pairs = [(slots(value), _condition(test, slots)) for value, test in cases]
        return slots.value(Piecewise(*pairs, evaluate=False))

    def condition(self, test: Condition) -> Basic:
        if test is None:
            return true
        if isinstance(test, Comparison):
            return test.kind(test.left.expr, test.right.expr)
        return test.kind(*(self.condition(part) for part in test.parts))


class _Slots:
    """The places of an entrywise function: a letter for each array that stands in it, as `matrixform` has them."""

    def __init__(self, values: Values, parts: Iterable[Value], like: Value) -> None:
        self.values, self.like = values, like
        self.letters = letters_of(self.node(part) for part in parts if not self.is_plain(part))

    def is_plain(self, value: Value) -> bool:
        return not value.is_array and is_constant(value.expr)

    def node(self, value: Value) -> Basic:
        return self.values.resolved(self.values.spread(value, self.like).node)

    def __call__(self, value: Value) -> Expr:
        return value.expr if self.is_plain(value) else self.letters[self.node(value)]

    def value(self, body: Expr) -> Value:
        """The function of the arrays that have a place, in the order of their letters."""
        lambda_ = Lambda(tuple(self.letters.values()), body)
        return Value(Elementwise(lambda_, *self.letters), self.like.rows, self.like.columns)


def _condition(test: Condition, slots: _Slots) -> Basic:
    if test is None:
        return true
    if isinstance(test, Comparison):
        return test.kind(slots(test.left), slots(test.right), evaluate=False)
    return test.kind(*(_condition(part, slots) for part in test.parts), evaluate=False)


def _values(case: tuple[Value, Condition]) -> list[Value]:
    value, test = case
    found, waiting = [value], [test]
    while waiting:
        test = waiting.pop()
        if isinstance(test, Comparison):
            found += [test.left, test.right]
        elif isinstance(test, Combination):
            waiting += test.parts
    return found


def _digits(number: int) -> int:
    return len(str(abs(number)))


def _as_row(value: Value) -> Value:
    """A gradient as the row that the derivatives of a scalar are as well: beside a matrix a fraction is that."""
    if isinstance(value.node, (Gradient, PartialGradient)) and value.columns is None:
        return Value(Jacobian(*value.node.args), None, value.rows)
    return value


def _powered(node: Basic, exponent: Expr) -> Basic:
    slot = Symbol("t_1")
    return node if exponent == 1 else Elementwise(Lambda((slot,), Pow(slot, exponent)), node)


def canonical(node: Basic) -> Basic:
    """A matrix expression made again by the constructors, which flatten and sort; an index expression as it is."""
    if not isinstance(node, MatrixExpression):
        return node
    parts = [canonical(part) for part in node.args]
    if isinstance(node, Elementwise):
        letters = letters_of(parts[1:])
        if list(letters) == parts[1:]:
            return node.func(*parts)
        places = dict(zip(node.function.variables, (letters[part] for part in parts[1:]), strict=True))
        return Elementwise(Lambda(tuple(letters.values()), node.function.expr.xreplace(places)), *letters)
    if isinstance(node, Product):
        return product(*parts)
    if isinstance(node, Hadamard):
        return hadamard(parts)
    if isinstance(node, Plus):
        return plus(parts)
    if isinstance(node, Scale):
        return scale(parts[:-1], parts[-1])
    if isinstance(node, Transpose):
        return transpose(parts[0])
    return node.func(*parts)


JOINS: Mapping[str, Callable[..., Basic]] = {"and": And, "or": Or, "not": Not}
