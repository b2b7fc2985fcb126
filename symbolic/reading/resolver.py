"""Syntax tree -> expression: what a formula says in a notation.

The tree is walked once, from the leaves up. What a row such as a (1 - a) or g (z) is follows from what its first symbol
is: a tensor beside a bracket is a product, a function beside a bracket is applied. Where two things could be meant, or
none, the formula is refused with its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from sympy import Abs, E, Integer, KroneckerDelta, Pow, Rational, Sum, Symbol, exp, pi
from sympy.core.relational import Equality, GreaterThan, LessThan, Relational, StrictGreaterThan, StrictLessThan
from sympy.core.relational import Unequality as Unequal

from symbolic.expressions import Entry, Inner
from symbolic.matrices import ArrayOf, Identity, Ones, Product, SumOver, Transpose, Unit
from symbolic.matrixform import transpose
from symbolic.notationchecks import INDEX_LETTERS
from symbolic.reading import syntax
from symbolic.reading.marks import Marked, marked, pieces, text_of, written
from symbolic.reading.symbols import SymbolTable
from symbolic.reading.values import JOINS, LONGEST_NUMBER, Combination, Comparison, Condition, Misfit, Value
from symbolic.reading.walk import NeedsExamples, Walk, counted
from symbolic.tensors import index, key_of, over

COMPARISONS: Mapping[str, type[Relational]] = {
    "=": Equality, r"\ne": Unequal, "<": StrictLessThan, ">": StrictGreaterThan, r"\le": LessThan, r"\ge": GreaterThan,
}  # fmt: skip
_SYMBOLS = (syntax.Symbol, syntax.Word, syntax.Accent, syntax.Styled)


class Resolver(Walk, ABC):
    """Resolves the nodes of a tree; rows and derivatives are those of its subclass."""

    def value(self, node: syntax.Node) -> Value:
        """What a node is worth.

        Raises:
            FormulaError: nothing, or two things.
        """
        with self.at(node):
            if isinstance(node, _SYMBOLS):
                return self.symbol(node)
            for kind, read in self._readers:
                if isinstance(node, kind):
                    return read(self, node)
        reasons = {syntax.Relation: "a relation is no value here", syntax.Matrix: "an array that is written out",
                   syntax.Dots: "an omission, which leaves open what is meant"}  # fmt: skip
        self.refuse(node, reasons.get(type(node), f"{self.shown(node)} means nothing here"))

    @abstractmethod
    def factors(self, items: Sequence[syntax.Node]) -> list[Value]:
        """What the items of a row are worth, each function applied."""

    @abstractmethod
    def derivative(self, node: syntax.Fraction) -> Value | None:
        """A fraction of partials, or None where it is an ordinary fraction."""

    # ------------------------------------------------------------------ symbols

    def symbol(self, node: syntax.Node, argument: str = "") -> Value:
        """A letter with its marks, and a power of it."""
        symbol = marked(node)
        found = self.meanings(symbol, node, argument)
        if len(found) > 1:
            texts = " or ".join(sorted(str(value.node) for value in found))
            self.refuse(node, f"{self.shown(node)} can be read in two ways: {texts}")
        if found:
            return found[0]
        if isinstance(node, syntax.Scripts) and node.above is not None and node.primes == 0:
            if symbol.core == "e" and not symbol.below and len(symbol.above) == 1:
                return self.values.apply(exp, [self.value(node.above)])
            bare = replace(node, above=None) if node.below is not None else node.base
            if not (isinstance(bare, syntax.Scripts) and bare.above is None and bare.below is None):
                base = self.meanings(marked(bare), bare, argument)
                if len(base) == 1:
                    if isinstance(node.above, syntax.Number) and self.of_example(base[0]):
                        self.refuse(node.above, "a number where the example's mark stands is no power; write brackets")
                    return self.raised(base[0], node)
        return self.unknown(node, symbol)

    def unknown(self, node: syntax.Node, symbol: Marked) -> NoReturn:
        """Refuse a symbol, for the reason that is nearest."""
        letters = {text_of(text): role for role, text in self.notation.letters.items() if text}
        if letters.get(symbol.core) == "output" and self.table.vocabulary.output is None:
            self.refuse(node, f"{self.shown(node)} is the output of a network; name it, as in read(..., of=network)")
        tensors = list(self.table.known(()))
        if any(letter.core == symbol.core for one in tensors for letter, _ in self.table.forms(one)) or (
            symbol.core in letters
        ):
            self.refuse(
                node, f"{symbol.core} has other marks than {self.shown(node)}: layer, example or indices do not fit"
            )
        if written(node) in self.table.functions:
            self.refuse(node, f"{self.shown(node)} is a function; its argument stands in brackets behind it")
        self.refuse(node, f"{self.shown(node)} is no symbol of notation {self.notation.name}{self.hint(node)}")

    def meanings(self, symbol: Marked, node: syntax.Node, argument: str = "") -> list[Value]:
        """Everything that a symbol can stand for as it is written."""
        found = self.table.find(symbol, argument)
        if self.table.usual and not self.table.examples and not found:
            other = SymbolTable(self.notation, None, examples=True)
            if any(one.example or one.stacked for one in other.find(symbol, argument)):
                raise NeedsExamples
        fitting = [one for one in found if not one.below or len(one.below) == len(self.table.axes(one.tensor))]
        if len(fitting) > 1 and self.notation.mark_examples:  # what is about an example would say so
            fitting = [one for one in fitting if one.example or one.stacked or self.example not in one.tensor.indices]
        values = [self.tensor(one, node) for one in fitting or found[:1]]
        text = written(node)
        if argument:
            return values
        values += [Value(size) for size in self.table.size(symbol)]
        if text == r"\pi":
            values.append(Value(pi))
        if text == "e" and self.table.letter("e") is None:
            values.append(Value(E))
        for name, kind in ((self.notation.ones, Ones), (self.notation.identity, Identity)):
            if symbol.core == text_of(name) and not symbol.below and not symbol.primes:
                extent = self.values.unknown()
                columns = extent if kind is Identity else None
                if not symbol.above:
                    values.append(Value(kind(extent), extent, columns))
                elif [written(mark) for mark in symbol.above] == [self.table.transpose]:
                    values.append(Value(transpose(kind(extent)), columns, extent))
        if symbol.core == text_of(self.notation.unit) and len(symbol.below) == 1 and not symbol.primes:
            extent = self.values.unknown()
            transposed = [written(mark) for mark in symbol.above] == [self.table.transpose]
            if (transposed or not symbol.above) and self.letter(symbol.below[0])[0] is not None:
                unit = Unit(self.position(symbol.below[0], None), extent)
                values.append(Value(transpose(unit), None, extent) if transposed else Value(unit, extent))
        if not values:
            letter, own = self.letter(node) if not symbol.above else (None, None)
            if letter is not None and self.notation.first == 0 and (own is not None or letter in self.used):
                values.append(Value(letter))
        return values

    def of_example(self, value: Value) -> bool:
        """Whether it is a tensor of one example in a notation that always says of which."""
        key = value.node.key if isinstance(value.node, ArrayOf) else None if value.is_array else key_of(value.expr)
        tensor = self.table.tensors.get(key or "")
        return self.notation.mark_examples and tensor is not None and self.example in tensor.indices

    def _number_of(self, node: syntax.Terms) -> Value | None:
        """(j - 1), an index as a number counted from 0, where indices are written from 1."""
        if node.signs != ("+", "-") or written(node.terms[1]) != text_of(str(self.notation.first)):
            return None
        letter, own = self.letter(node.terms[0])
        known = letter is not None and not self.table.find(marked(node.terms[0]), "")
        return Value(letter) if known and self.notation.first and (own is not None or letter in self.used) else None

    # ------------------------------------------------------------------ scripts

    def scripts(self, node: syntax.Scripts) -> Value:
        base = node.base
        while isinstance(base, syntax.Scripts):
            base = base.base
        if isinstance(base, _SYMBOLS):
            return self.symbol(node)
        if node.primes:
            self.refuse(node, "a prime behind something that is no function")
        if isinstance(node.base, syntax.Brackets) and node.base.open == "||":
            return self._norm(node, node.base)
        value = self.value(node.base)
        if node.below is not None:
            value = self.entry(value, node.below)
        return value if node.above is None else self.raised(value, node)

    def _norm(self, node: syntax.Scripts, bars: syntax.Brackets) -> Value:
        """|| u ||^2 is u^T u."""
        vector = self.value(bars.body)
        if node.above != syntax.Number("2") or vector.columns is not None or vector.rows is None:
            self.refuse(node, "of norms the square of that of a vector is read: || u ||^2")
        return Value(Product(Transpose(vector.node), vector.node))

    def entry(self, value: Value, below: syntax.Node) -> Value:
        """One entry of an array that is written in brackets."""
        sizes = [size for size in (value.rows, value.columns) if size is not None]
        if value.is_array and isinstance(below, syntax.Product) and set(below.signs) == {r"\times"}:
            self.sized(value, below)
            return value
        parts = pieces(below)
        if not value.is_array or not sizes:
            self.refuse(below, "an index behind something that is no array")
        if len(parts) != len(sizes):
            self.refuse(below, f"an array of shape {self.values.shape(value)} has {counted(len(sizes), 'index')}")
        letters = [self.position(part, self.values.size(size)) for part, size in zip(parts, sizes, strict=True)]
        return Value(Entry(self.engine(value), *letters))

    def sized(self, value: Value, below: syntax.Product) -> None:
        """Check a shape that is written below an array: one number for each size, wherever it stands."""
        texts = [written(factor) for factor in below.factors]
        sizes = [Integer(1) if size is None else self.values.size(size) for size in (value.rows, value.columns)]
        if len(texts) != 2 or not all(text.isdigit() for text in texts):
            self.refuse(below, "a shape is two numbers, as in 2 \times 4")
        for size, text in zip(sizes, texts, strict=True):
            number = size if size.is_Integer else self.numbers.setdefault(size, Integer(int(text)))
            if number != int(text):
                self.refuse(below, f"the size {size} is {number} elsewhere, and {text} here")

    def raised(self, base: Value, node: syntax.Scripts) -> Value:
        """The transpose, or a power."""
        above = node.above
        assert above is not None
        if written(above) == self.table.transpose:
            if base.is_number:
                self.refuse(above, "the transpose of a number")
            return Value(transpose(base.node), base.columns, base.rows)
        if isinstance(above, syntax.Brackets) and above.open in ("(", "["):
            self.refuse(above, "a mark in brackets is no power, and what it stands at carries no such mark")
        sign = ""
        if isinstance(above, syntax.Row) and isinstance(above.items[0], syntax.Operator):
            sign, above = above.items[0].sign, above.items[1]
            if sign != self.notation.hadamard or len(node.above.items) != 2:  # type: ignore[union-attr]
                self.refuse(node.above or node, f"{sign} is not the sign of the product entry by entry here")
        exponent = self.value(above)
        if exponent.is_array:
            self.refuse(above, "an exponent that is an array")
        with self.at(node):
            return self.values.power(base, exponent.expr, sign)

    # ------------------------------------------------------------------ things with parts

    def _brackets(self, node: syntax.Brackets) -> Value:
        if node.open == "|":
            return self.values.apply(Abs, [self.value(node.body)])
        if node.open == "[" and isinstance(node.body, syntax.Relation):
            return self._delta(node.body)
        if node.open not in ("(", "[", "{", "") or node.close not in (")", "]", "}", ""):
            self.refuse(node, f"brackets {node.open} {node.close} mean nothing here")
        if node.open == "" and isinstance(node.body, syntax.Terms):
            self.refuse(node, "braces do not show; write brackets round a sum")
        number = self._number_of(node.body) if isinstance(node.body, syntax.Terms) else None
        return number or self.value(node.body)

    def _delta(self, relation: syntax.Relation) -> Value:
        if relation.signs != ("=",):
            self.refuse(relation, "the bracket that is 1 or 0 holds one equality of indices, as in [i = j]")
        letters = [self.letter(side) for side in relation.sides]
        known = next((n for letter, own in letters if (n := own or self.extents.get(letter or Symbol("")))), None)
        return Value(KroneckerDelta(*(self.position(side, known) for side in relation.sides)))

    def _indicator(self, node: syntax.Indicator) -> Value:
        if text_of(self.notation.indicator) != node.sign:
            self.refuse(node, f"{node.sign} stands before no condition here; write {self.notation.indicator}")
        body = node.condition
        sides = body.sides if isinstance(body, syntax.Relation) and body.signs == ("=",) else ()
        indices = [self.letter(side)[0] is not None or isinstance(side, syntax.Number) for side in sides]
        if self.notation.kronecker == "indicator" and indices and all(indices) and isinstance(body, syntax.Relation):
            return self._delta(body)
        return self.values.by_cases([(Value(Integer(1)), self.condition(body)), (Value(Integer(0)), None)])

    def _cases(self, node: syntax.Cases) -> Value:
        cases: list[tuple[Value, Condition]] = []
        for case in node.rows:
            if case.condition is None:
                self.refuse(case, "a case without a condition")
            test = None if isinstance(case.condition, syntax.Otherwise) else self.condition(case.condition)
            cases.append((self.value(case.value), test))
        return self.values.by_cases(cases)

    def condition(self, node: syntax.Node) -> Condition:
        if isinstance(node, syntax.Brackets):
            return self.condition(node.body)
        if isinstance(node, syntax.Logic) and node.sign in JOINS:
            return Combination(JOINS[node.sign], tuple(self.condition(part) for part in node.parts))
        if isinstance(node, syntax.Relation) and len(node.sides) == 2 and node.signs[0] in COMPARISONS:
            letters = [self.letter(side)[0] for side in node.sides]
            if letters[0] is not None and letters[1] is not None:
                sides = [Value(letter) for letter in letters if letter is not None]  # both are counted from `first`
            else:
                sides = [self.value(side) for side in node.sides]
            return Comparison(COMPARISONS[node.signs[0]], *sides)
        self.refuse(node, "expected a condition, such as z > 0")

    def _big(self, node: syntax.BigOperator) -> Value:
        below, above = node.below, node.above
        if node.sign != r"\sum":
            self.refuse(node, f"{node.sign} is not read")
        start = text_of(str(self.notation.first))
        if (
            not isinstance(below, syntax.Relation) or below.signs != ("=",) or above is None
            or written(below.sides[1]) != start
        ):  # fmt: skip
            self.refuse(node, f"a sum needs its letter, where it begins and where it ends, as in \\sum_{{j={start}}}^n")
        letter, own = self.letter(below.sides[0])
        if letter is None:
            self.refuse(below, f"{self.shown(below.sides[0])} is no index letter")
        if self.table.usual and not self.table.examples and letter == index(INDEX_LETTERS[0]):
            raise NeedsExamples
        last = self.value(above)
        if last.is_array:
            self.refuse(above, "a sum ends at a size")
        extent = last.expr + 1 - self.notation.first
        count = self.extents.get(letter) if letter == self.example else None
        if count is not None and extent != count:
            self.refuse(above, f"a sum over examples ends at {count}, not at {last.expr}")
        if own is not None and own != extent:
            self.refuse(above, f"the letter of the sum runs over {own} elements, and the sum over {extent}")
        with self.bound(letter, extent):
            body = self.value(node.body)
        if body.is_array:
            return Value(SumOver(letter, extent, body.node), body.rows, body.columns)
        return Value(Sum(body.expr, over(letter, extent)))

    def _terms(self, node: syntax.Terms) -> Value:
        if any(sign not in "+-" for sign in node.signs):
            self.refuse(node, "one of two signs is not read")
        return self.values.total([(s == "-", self.value(t)) for s, t in zip(node.signs, node.terms, strict=True)])

    def _fraction(self, node: syntax.Fraction) -> Value:
        derivative = self.derivative(node)
        return derivative or self.values.quotient(self.value(node.above), self.value(node.below))

    def _root(self, node: syntax.Root) -> Value:
        degree = Integer(2) if node.degree is None else self.number(self.value(node.degree))
        return self.values.apply(lambda body: Pow(body, 1 / degree), [self.value(node.body)])

    def _row(self, node: syntax.Row) -> Value:
        return self.values.row(self.factors(node.items))

    def _product(self, node: syntax.Product) -> Value:
        if len(set(node.signs)) > 1:
            self.refuse(node, f"{' and '.join(sorted(set(node.signs)))} side by side; brackets say which comes first")
        sign = node.signs[0]
        if sign == self.notation.hadamard:
            factors = [self.factors(f.items) if isinstance(f, syntax.Row) else [self.value(f)] for f in node.factors]
            values = [self.values.row(parts) if len(parts) > 1 else parts[0] for parts in factors]
            if any(value.is_array for value in values) or sign != r"\cdot":
                for n, parts in enumerate(factors[:-1]):
                    self._one_reading(node.factors[n], parts, values[n + 1])
                return self.values.entrywise(values, sign)
            return self.values.row(values)
        if sign not in (r"\cdot", r"\times", "*", "/"):
            self.refuse(node, f"{sign} is no product of notation {self.notation.name}; it has {self.notation.hadamard}")
        values = [self.value(factor) for factor in node.factors]
        if sign == "/":
            if len(values) > 2 or isinstance(node.factors[1], syntax.Row):
                self.refuse(node, "what stands under this / can be read in two ways; write brackets or a fraction")
            return self.values.quotient(*values)
        if sum(not value.is_number for value in values) <= 1:
            return self.values.row(values)
        if sign == r"\cdot" and len(values) == 2:
            return self._inner(*values)
        self.refuse(node, f"{sign} between arrays; the product entry by entry is {self.notation.hadamard}")

    def _one_reading(self, node: syntax.Node, factors: list[Value], other: Value) -> None:
        """Refuse A b o c if A (b o c) would be possible too, by the shapes."""
        arrays = [factor for factor in factors if not factor.is_number]
        if len(arrays) < 2 or self.values.row(arrays[:-1]).is_number:
            return
        known = dict(self.values.known)
        last = arrays[-1]
        fits = self.values.agree(last.rows, other.rows) and self.values.agree(last.columns, other.columns)
        self.values.known = known
        if fits:
            sign = self.notation.hadamard
            self.refuse(node, f"A b {sign} c can be (A b) {sign} c or A (b {sign} c); write brackets")

    def _inner(self, left: Value, right: Value) -> Value:
        """The inner product of two columns, whose sum is over their rows."""
        if left.columns is not None or right.columns is not None or left.rows is None:
            raise Misfit("\\cdot stands between two columns or between numbers")
        self.values.same((left, right), "an inner product")
        letter = self.fresh()
        sides = [self.entries.entry(self.engine(value), letter, None) for value in (left, right)]
        return Value(Inner(sides[0], sides[1], letter, self.values.size(left.rows)))

    def _number(self, node: syntax.Number) -> Value:
        if len(node.text) > LONGEST_NUMBER:
            raise Misfit(f"a number of more than {LONGEST_NUMBER} digits")
        return Value(Rational(node.text))

    _readers: tuple[tuple[type[syntax.Node], Callable[..., Value]], ...] = (
        (syntax.Number, _number), (syntax.Scripts, scripts), (syntax.Row, _row), (syntax.Product, _product),
        (syntax.Terms, _terms), (syntax.Fraction, _fraction), (syntax.Root, _root), (syntax.Brackets, _brackets),
        (syntax.Indicator, _indicator), (syntax.Cases, _cases), (syntax.BigOperator, _big),
    )  # fmt: skip
