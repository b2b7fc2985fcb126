"""What stands side by side: products, functions with their arguments, signs of derivatives with what they act on.

A fraction of partials says not whether it is total. That of the loss of one example and that of the cost are, but for
that of the cost by the losses that it adds up; any other is partial if the one is in the equation of the other, and
total if it is not. Without a program the equations are those of a dense network.

The name of a function followed by a bracket is that function of what is in it: of an undefined one that the program or,
without a program, the formula has; of one that an equation names, where the argument is what that equation takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sympy
from sympy import Expr, Integer

from symbolic.expressions import (
    Applied,
    Differentiated,
    FunctionDerivative,
    PartialDerivative,
    TotalDerivative,
    Undefined,
)
from symbolic.matrices import (
    ArrayOf,
    Diagonal,
    EntryGradient,
    FunctionOf,
    FunctionSlope,
    Gradient,
    Jacobian,
    PartialGradient,
    TotalJacobian,
    Transpose,
)
from symbolic.printorder import FUNCTIONS
from symbolic.reading import syntax
from symbolic.reading.marks import marked, text_of, written
from symbolic.reading.resolver import Resolver
from symbolic.reading.values import Comparison, Misfit, Value
from symbolic.tensors import indices_of, is_letter, key_of

# Functions of SymPy that a page may name; none of them takes long to make of a number.
_NAMED = (
    "exp", "log", "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch", "asin",
    "acos", "atan", "acot", "asinh", "acosh", "atanh", "acoth", "erf", "erfc", "erfi", "sign", "floor", "ceiling",
    "Max", "Min", "atan2", "sinc",
)  # fmt: skip
KNOWN_FUNCTIONS: Mapping[str, Callable[..., Expr]] = {
    text_of(FUNCTIONS.get(name) or rf"\operatorname{{{name}}}"): getattr(sympy, name) for name in _NAMED
} | {r"\exp": sympy.exp, r"\ln": sympy.log}  # fmt: skip


class Formula(Resolver):
    """Resolves a formula of a notation: see `Resolver`."""

    def factors(self, items: Sequence[syntax.Node]) -> list[Value]:
        """The factors of a row from left to right; each takes from what follows what it acts on."""
        found: list[Value] = []
        at = 0
        while at < len(items):
            if at and isinstance(items[at], syntax.Number):
                self.refuse(items[at], "a number behind a symbol is neither a mark nor a factor; write braces: ^{12}")
            value, at = self._factor(items, at)
            found.append(value)
        return found

    def _factor(self, items: Sequence[syntax.Node], at: int) -> tuple[Value, int]:
        item, after = items[at], items[at + 1 : at + 2]
        if isinstance(item, syntax.Fraction) and written(item.above) == self._partial:
            if not after:
                self.refuse(item, "the sign of a derivative with nothing behind it")
            return self._differentiated(item, items[at + 1 :]), len(items)
        head, order = self._function(item)
        symbol = marked(item)
        if symbol.core == text_of(self.notation.nabla):
            return self._nabla(items, at)
        if symbol.core == self._partial:
            return self._partials(items, at)
        bracket = _call(after[0]) if after else None
        if head == text_of(self.notation.diagonal) and bracket is not None:
            return self._scripted(self._diagonal(bracket), after[0]), at + 2
        if bracket is not None:
            mark = after[0] if isinstance(after[0], syntax.Scripts) else None
            argument = written(bracket)
            if order == 0 and (mark is None or mark.below is None) and self.table.find(symbol, argument):
                value = self.symbol(item, argument)
                return (value if mark is None else self.raised(value, mark)), at + 2
            if self._is_function(head, item, order, len(self._arguments(bracket))):
                return self._applied(item, head, order, bracket, after[0]), at + 2
        elif head in KNOWN_FUNCTIONS and order == 0:
            if not after or at + 2 < len(items):
                self.refuse(item, f"how far {self.shown(item)} reaches can be read in two ways; write brackets")
            return self.values.apply(KNOWN_FUNCTIONS[head], [self.value(after[0])]), at + 2
        return self.value(item), at + 1

    @property
    def _partial(self) -> str:
        return text_of(self.notation.partial)

    def _scripted(self, value: Value, bracket: syntax.Node) -> Value:
        """What stands behind the closing bracket of an argument belongs to all of it: g(x)^2 is the square of g(x)."""
        if isinstance(bracket, syntax.Scripts):
            if bracket.below is not None or bracket.primes:
                self.refuse(bracket, "what this mark belongs to is not clear; write brackets round the function")
            return self.raised(value, bracket)
        return value

    # ------------------------------------------------------------------ functions

    def _function(self, item: syntax.Node) -> tuple[str, int]:
        """The name of a function as text, and how often it is differentiated."""
        if not isinstance(item, syntax.Scripts):
            return written(item), 0
        base: syntax.Node = item
        order = item.primes
        above = item.above
        inside = above.body if isinstance(above, syntax.Brackets) and above.open == "(" else None
        counted = isinstance(inside, syntax.Number) and inside.text.isdigit() and item.below is None
        if counted and written(item) not in self.table.functions:
            assert isinstance(inside, syntax.Number)
            return self._name(item.base), int(inside.text)
        if order:
            bare = item.below is None and item.above is None
            base = item.base if bare else syntax.Scripts(item.base, item.below, item.above, 0)
        return self._name(base), order

    def _name(self, base: syntax.Node) -> str:
        inside = isinstance(base, syntax.Brackets) and base.open == "(" and written(base.body) in self.table.functions
        return written(base.body if inside and isinstance(base, syntax.Brackets) else base)

    def _is_function(self, head: str, item: syntax.Node, order: int, count: int) -> bool:
        """Whether a bracket behind a symbol holds its arguments, `count` of them; more than one is no factor.

        Raises:
            FormulaError: it may be, and may be a factor as well; or the symbol is nothing else, and no such function is
                known.
        """
        known = head in self.table.functions or head in KNOWN_FUNCTIONS
        symbol = marked(item)
        base = item.base if isinstance(item, syntax.Scripts) else item
        if isinstance(base, syntax.Brackets) and not known:
            return False
        if not isinstance(base, (syntax.Symbol, syntax.Word, syntax.Scripts, syntax.Accent, syntax.Brackets)):
            return False
        other = [] if order or count > 1 else self.meanings(symbol, item)
        if known and other:
            self.refuse(item, f"{self.shown(item)} is a function and {other[0].node}; a bracket behind it is either")
        if known:
            return True
        free = self.table.vocabulary.program is None and self.table.undefined(head) is not None
        if free and other and self.table.letter(head) in self.used:
            self.refuse(item, f"{self.shown(item)} is an index; a bracket behind it is a factor or an argument")
        if other or (isinstance(item, syntax.Scripts) and not order):
            return False
        if free:
            return True
        if order or isinstance(item, syntax.Word):
            self.refuse(item, f"no function {self.shown(item)} is known here{self.hint(item)}")
        return False

    def _arguments(self, bracket: syntax.Brackets) -> list[syntax.Node]:
        body = bracket.body
        if isinstance(body, syntax.Sequence) and body.sign == ",":
            return list(body.items)
        return [] if isinstance(body, syntax.Empty) else [body]

    def _applied(self, item: syntax.Node, head: str, order: int, bracket: syntax.Brackets, whole: syntax.Node) -> Value:
        nodes = self._arguments(bracket)
        arguments = [self.value(node) for node in nodes]
        meanings = self.table.functions.get(head, [])
        undefined = [name for kind, name in meanings if kind == "undefined"]
        if not meanings and head not in KNOWN_FUNCTIONS:
            undefined = [self.table.undefined(head) or ""]
        with self.at(item):
            if undefined:
                if order and len(arguments) != 1:
                    self.refuse(item, "a prime at a function of several arguments")
                orders = [order, *[0] * (len(arguments) - 1)]
                return self._scripted(self._undefined(undefined[0], orders, arguments), whole)
            if meanings and not (order == 0 and self._is_itself(head, [key for _, key in meanings])):
                return self._named(item, [key for _, key in meanings], order, arguments, whole)
            if order and not meanings:
                self.refuse(item, f"the derivative of {self.shown(item)} is written out")
            return self._scripted(self._known(head, nodes, arguments), whole)

    def _is_itself(self, head: str, keys: Sequence[str]) -> bool:
        """Whether a name is that of a function of SymPy, which the tensors of that name are: a = tanh(z)."""
        program, function = self.table.vocabulary.program, KNOWN_FUNCTIONS.get(head)
        if function is None or program is None:
            return function is not None
        sides = [program.definitions[key].rhs for key in keys if key in program.definitions]
        return all(len(side.args) == 1 and side == function(*side.args) for side in sides)

    def _known(self, head: str, nodes: Sequence[syntax.Node], arguments: Sequence[Value]) -> Value:
        if head == r"\max" and len(arguments) == 2 and nodes[0] == syntax.Number("0"):
            positive = Comparison(sympy.StrictGreaterThan, arguments[1], Value(Integer(0)))
            return self.values.by_cases([(arguments[1], positive), (Value(Integer(0)), None)])
        if head not in (r"\max", r"\min") and len(arguments) != (2 if head.endswith("atan2}") else 1):
            raise Misfit(f"this function has one argument, not {len(arguments)}")
        return self.values.apply(KNOWN_FUNCTIONS[head], arguments)

    def _undefined(self, name: str, orders: Sequence[int], arguments: Sequence[Value]) -> Value:
        if not arguments:
            raise Misfit("a function without an argument")
        return self.values.apply(lambda *parts: Undefined(name, orders, *parts), arguments)

    def _named(
        self, item: syntax.Node, keys: Sequence[str], order: int, arguments: Sequence[Value], whole: syntax.Node
    ) -> Value:
        """A function that an equation of the vocabulary has a name for."""
        if len(arguments) != 1 or order > 1:
            self.refuse(item, f"{self.shown(item)} is a function of one argument, differentiated once at most")
        (argument,) = arguments
        below = whole.below if isinstance(whole, syntax.Scripts) else None
        if isinstance(whole, syntax.Scripts) and below is not None and whole.above is None and order == 0:
            return self._component(item, keys, argument, below)
        return self._scripted(self._of_name(item, keys, order, argument), whole)

    def _of_name(self, item: syntax.Node, keys: Sequence[str], order: int, argument: Value) -> Value:
        if isinstance(argument.node, ArrayOf):
            key = self._one(item, [one for one in keys if argument.node.key in self.table.inputs(one)])
            array = ArrayOf(key, *argument.node.args[1:])
            kind = FunctionSlope if order else FunctionOf
            return Value(kind(array, argument.node), argument.rows, argument.columns)
        if argument.is_array:
            fitting = [one for one in keys if self._column(one) == (argument.rows, argument.columns)]
            key = self._one(item, fitting if order == 0 else [])
            mark = [self.example] if self.example in self.table.tensors[key].indices else []
            return Value(FunctionOf(ArrayOf(key, *mark), argument.node), argument.rows, argument.columns)
        source = key_of(argument.expr)
        if source is None:
            if not order:
                self.refuse(item, "the argument is no element of the tensor that this function takes")
            return Value(FunctionDerivative(self._element(item, keys, argument.expr), argument.expr))
        key = self._one(item, [one for one in keys if source in self.table.inputs(one)])
        element = self.table.tensors[key][indices_of(argument.expr)]
        return Value((FunctionDerivative if order else Applied)(element, argument.expr))

    def _element(self, item: syntax.Node, keys: Sequence[str], argument: Expr) -> Expr:
        """The element that a function gives whose argument is written out: at the letter that stands free in it."""
        free = sorted((one for one in argument.free_symbols if is_letter(one) and one != self.example), key=str)
        inner = {extent for extent in [self.extents.get(one) for one in free] if extent is not None}
        fitting = [one for one in keys if {self._column(one)[0]} >= inner and len(free) == 1]
        tensor = self.table.tensors[self._one(item, fitting)]
        return tensor[tuple(n if n == self.example else free[0] for n in tensor.indices)]

    def _component(self, item: syntax.Node, keys: Sequence[str], argument: Value, below: syntax.Node) -> Value:
        """f(u)_k of a column u."""
        fitting = [one for one in keys if self._column(one) == (argument.rows, argument.columns)]
        if isinstance(argument.node, ArrayOf):
            fitting = [one for one in fitting if argument.node.key in self.table.inputs(one)]
        tensor = self.table.tensors[self._one(item, fitting)]
        letter = self.position(below, argument.rows)
        inside = self.entries.entry(self.engine(argument), letter, None)
        return Value(Applied(tensor[tuple(n if n == self.example else letter for n in tensor.indices)], inside))

    def _column(self, key: str) -> tuple[Expr | None, Expr | None]:
        """The shape of a tensor at one example."""
        tensor = self.table.tensors[key]
        sizes = [n for n, usual in zip(tensor.shape, tensor.indices, strict=True) if usual != self.example]
        rows, columns = [*sizes, None, None][:2]
        return rows, columns

    def _one(self, item: syntax.Node, keys: Sequence[str]) -> str:
        if len(keys) != 1:
            reason = f"may define {' or '.join(keys)}" if keys else "takes another tensor than its argument"
            self.refuse(item, f"the function {self.shown(item)} {reason}")
        return keys[0]

    def _diagonal(self, bracket: syntax.Brackets) -> Value:
        column = self.value(bracket.body)
        if column.rows is None or column.columns is not None:
            self.refuse(bracket, "a diagonal matrix is made of a column")
        return Value(Diagonal(column.node), column.rows, column.rows)

    # ------------------------------------------------------------------ derivatives

    def _partials(self, items: Sequence[syntax.Node], at: int) -> tuple[Value, int]:
        """\\partial_1 \\partial_2^2 c (x, y): an undefined function differentiated by its arguments."""
        start, counts = items[at], {}
        while at < len(items) and marked(items[at]).core == self._partial:
            item = items[at]
            below = item.below if isinstance(item, syntax.Scripts) else None
            above = item.above if isinstance(item, syntax.Scripts) else None
            if not isinstance(below, syntax.Number) or not isinstance(above or syntax.Number("1"), syntax.Number):
                self.refuse(item, f"{self.shown(item)} does not say by which argument, as \\partial_{{2}} does")
            counts[int(below.text)] = int(above.text) if isinstance(above, syntax.Number) else 1
            at += 1
        bracket = _call(items[at + 1]) if at + 1 < len(items) else None
        head = written(items[at]) if at < len(items) else ""
        names = [name for kind, name in self.table.functions.get(head, []) if kind == "undefined"]
        if not names and self.table.vocabulary.program is None:
            names = [name for name in [self.table.undefined(head)] if name]
        if bracket is None or not names:
            self.refuse(start, "the sign of a derivative stands before no function with its arguments")
        arguments = [self.value(node) for node in self._arguments(bracket)]
        if not all(1 <= place <= len(arguments) for place in counts):
            self.refuse(start, f"a derivative by an argument that is none of {len(arguments)}")
        orders = [counts.get(place, 0) for place in range(1, len(arguments) + 1)]
        return self._scripted(self._undefined(names[0], orders, arguments), items[at + 1]), at + 2

    def _nabla(self, items: Sequence[syntax.Node], at: int) -> tuple[Value, int]:
        item = items[at]
        below = item.below if isinstance(item, syntax.Scripts) else None
        if below is None or at + 1 == len(items):
            self.refuse(item, f"{self.shown(item)} says not by what, or not of what")
        if isinstance(item, syntax.Scripts) and (item.above is not None or item.primes):
            self.refuse(item, "a gradient has no mark but what it is by")
        argument = written(items[at + 2]) if at + 2 < len(items) else ""
        symbol = marked(items[at + 1])
        takes = bool(argument and self.table.find(symbol, argument))
        of = self.symbol(items[at + 1], argument if takes else "")
        with self.at(item):
            return self._gradient(of, self.value(below)), at + 2 + takes

    def derivative(self, node: syntax.Fraction) -> Value | None:
        """A fraction of two rows that begin with the sign of a derivative; None for any other."""
        above, below = node.above, node.below
        if not (isinstance(below, syntax.Row) and written(below.items[0]) == self._partial):
            return None
        if written(above) == self._partial:
            self.refuse(node, "the sign of a derivative with nothing behind it")
        if not (isinstance(above, syntax.Row) and written(above.items[0]) == self._partial):
            self.refuse(above, "above the line something else than a derivative")
        of, by = (self._rest(row) for row in (above, below))
        if not of.is_array and not by.is_array:
            return self._of_element(of.expr, by, node)
        return self._gradient(of, by)

    def _rest(self, row: syntax.Row) -> Value:
        """What stands behind the sign of a derivative."""
        return self.values.row(self.factors(row.items[1:]))

    def _of_element(self, of: Expr, by: Value, node: syntax.Node) -> Value:
        source = key_of(by.expr)
        if source is None:
            self.refuse(node, "a derivative by something that is no tensor")
        key = key_of(of)
        if key is None:
            return Value(Differentiated(of, by.expr))
        return Value((TotalDerivative if self._is_total(key, source) else PartialDerivative)(of, by.expr))

    def _is_total(self, of: str, by: str) -> bool:
        """Whether a derivative goes through all paths: that of the loss and of the cost does, but for the cost by the
        losses that it adds up; any other does not if the one is in the equation of the other.
        """
        vocabulary = self.table.vocabulary
        loss = vocabulary.loss.key if vocabulary.loss is not None else None
        objective = vocabulary.objective.key if vocabulary.objective is not None else None
        if of in (loss, objective):
            return not (of == objective and by == loss)
        return by not in self.table.inputs(of)

    def _gradient(self, of: Value, by: Value) -> Value:
        """The derivative of an array or of a scalar, by an array or by an element."""
        if by.is_array and not of.is_array and (key_of(of.expr) is None or self.values.letters(of.expr)):
            array = by.node.args[0] if isinstance(by.node, Transpose) else by.node
            if not isinstance(array, ArrayOf):
                raise Misfit("a derivative by something that is no tensor")
            return Value(EntryGradient(of.expr, by.node), by.rows, by.columns)
        top = self.values.array(of)
        if not isinstance(top.node, ArrayOf):
            raise Misfit("a derivative of something that is no tensor")
        if not by.is_array:
            key = key_of(by.expr)
            if key is None or top.columns is not None:
                raise Misfit("a derivative of something that is no column, or by something that is no tensor")
            if top.is_number:
                bottom = self.values.array(by)
                kind = Gradient if self._is_total(top.node.key, key) else PartialGradient
                return Value(kind(top.node, bottom.node))
            kinds = (TotalJacobian, Jacobian)
            return Value(kinds[not self._is_total(top.node.key, key)](top.node, by.node), top.rows)
        if not isinstance(by.node, ArrayOf):
            raise Misfit("a derivative by something that is no tensor")
        total = self._is_total(top.node.key, by.node.key)
        if by.node.example is None and self.example in self.table.tensors[by.node.key].indices:
            top = Value(ArrayOf(top.node.key), top.rows, top.columns)  # of all examples, by all examples
        if top.is_number:
            return Value((Gradient if total else PartialGradient)(top.node, by.node), by.rows, by.columns)
        if top.columns is not None or by.columns is not None:
            raise Misfit("of derivatives of an array only those of a column by a column make a matrix")
        return Value((TotalJacobian if total else Jacobian)(top.node, by.node), top.rows, by.rows)

    def _differentiated(self, item: syntax.Fraction, rest: Sequence[syntax.Node]) -> Value:
        below = item.below
        if not (isinstance(below, syntax.Row) and written(below.items[0]) == self._partial):
            self.refuse(item, "below the line something else than what is differentiated by")
        by = self._rest(below)
        body = self.values.row(self.factors(rest))
        with self.at(item):
            if by.is_array or key_of(by.expr) is None:
                raise Misfit("a derivative by something that is no element of a tensor")
            return Value(Differentiated(self.number(body), by.expr))


def _call(node: syntax.Node) -> syntax.Brackets | None:
    """Round brackets that may hold arguments, whatever marks stand behind them."""
    base = node.base if isinstance(node, syntax.Scripts) else node
    return base if isinstance(base, syntax.Brackets) and (base.open, base.close) == ("(", ")") else None
