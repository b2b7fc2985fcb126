"""Lowering: equations in index notation become array operations.

The rules are structural and few. A function of elements is elementwise; operands are aligned by the letters
of their indices. A sum of a product is split by the bound index: factors free of it move out, and where it
couples two groups of factors it is a matrix product. A sum over one group is a reduction. What has no such
form is refused by name.

A sum whose summand couples three or more axes inside a function, such as Sum_k |x_ik - y_jk|, is broadcast
and reduced: correct, and as large in memory as it looks. `einsum` remains for two groups that share free
indices besides the bound ones and are no batch of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sympy
from sympy import Add, Basic, Expr, Indexed, Integer, KroneckerDelta, Mul, Piecewise, Pow, Rational, Sum, Symbol
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, BooleanFalse, BooleanTrue, Not, Or

from codegen.arrays import ArrayProgram, Node, assemble
from codegen.contraction import PRODUCTS, Contraction
from codegen.layout import Builder, Value
from codegen.recording import Recordings
from codegen.stable import Expm1, LogisticSigmoid, Maximum, MaxOver, Minimum, Softplus, compute_form
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative, Undefined
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, indices_of, key_of

FUNCTIONS: Mapping[type, str] = {
    sympy.exp: "exp", sympy.log: "log", sympy.tanh: "tanh", sympy.sin: "sin", sympy.cos: "cos",
    sympy.tan: "tan", sympy.sinh: "sinh", sympy.cosh: "cosh", sympy.asin: "arcsin",
    sympy.acos: "arccos", sympy.atan: "arctan", sympy.asinh: "arcsinh", sympy.acosh: "arccosh",
    sympy.atanh: "arctanh", sympy.Abs: "absolute", sympy.sign: "sign", sympy.erf: "erf",
    Expm1: "expm1", Softplus: "log1pexp", LogisticSigmoid: "logistic", Maximum: "maximum",
    Minimum: "minimum", sympy.Max: "maximum", sympy.Min: "minimum",
}  # fmt: skip
RELATIONS = {
    ">": "greater",
    "<": "less",
    ">=": "greater_equal",
    "<=": "less_equal",
    "==": "equal",
    "!=": "not_equal",
}
COMPLEMENT = {
    "greater": "less_equal", "less": "greater_equal", "greater_equal": "less",
    "less_equal": "greater", "equal": "not_equal", "not_equal": "equal",
}  # fmt: skip


@dataclass(frozen=True)
class LoweredProgram:
    """The array operations of every equation, from which functions are cut.

    definitions: the node of each defined tensor, in an order that can be computed.
    """

    definitions: Mapping[str, Node]
    equations: Mapping[str, Equation]

    def function(self, outputs: tuple[str, ...], taken: frozenset[str] = frozenset()) -> ArrayProgram:
        """What computes `outputs` and nothing else."""
        return assemble(dict(self.definitions), dict(self.equations), outputs, set(taken))


def lower(equations: tuple[Equation, ...], tensors: Mapping[str, Tensor], program: Program) -> LoweredProgram:
    """Array operations for `equations`, each in its compute form.

    Raises:
        LoweringError: names the tensor and the expression that has no NumPy form.
    """
    definitions: dict[str, Node] = {}
    by_key = {equation.tensor.key: equation for equation in equations}
    recordings = Recordings(by_key, tensors, program)
    for equation in equations:
        key = equation.tensor.key

        def lowered(builder: Builder, value_of: Callable[[Expr], Expr], equation: Equation = equation) -> Node:
            scope = dict(zip(equation.indices, equation.tensor.shape, strict=True))
            lowering = Lowering(builder, equation, scope, tensors, value_of)
            return lowering.whole(compute_form(equation, by_key))

        node = recordings.node(equation, lowered)
        definitions[key] = node
        recordings.builder.remember(node, key)
    return LoweredProgram(definitions, by_key)


class Lowering(Contraction):
    """One equation on its way to array operations."""

    def __init__(
        self,
        builder: Builder,
        equation: Equation,
        scope: Mapping[Symbol, Expr],
        tensors: Mapping[str, Tensor],
        value_of: Callable[[Expr], Expr],
    ) -> None:
        super().__init__(builder, equation, scope)
        self.tensors = tensors
        self.value_of = value_of

    def whole(self, expression: Expr) -> Node:
        """The node for the right side, with exactly the axes of the left side, in its order."""
        indices, shape = self.equation.indices, self.equation.tensor.shape
        value = self._numeric(self.value(expression))
        if not shape:
            return value.node
        if value.node.is_host:
            return self.make("fill", (value.node,), shape, shape)
        node = self._aligned(value, indices)
        if len(value.axes) < len(indices):
            node = self.make("broadcast", (node,), shape, shape)
        return node

    # --- expressions
    # ------------------------------------------------------------------------------------------

    def value(self, expression: Expr) -> Value:
        if not free_symbols(expression) and expression.is_number and not expression.has(Undefined):
            return Value(self._number(expression))
        key = key_of(expression)
        if key is not None:
            return self._element(expression, key)
        if isinstance(expression, Symbol):
            return self._size_or_index(expression)
        for kind, method in DISPATCH:
            if isinstance(expression, kind):
                return method(self, expression)
        op = FUNCTIONS.get(expression.func)
        if op is None:
            raise self.refuse(
                expression,
                f"has no NumPy form: {expression.func.__name__} is not a function that can be lowered",
            )
        return self.elementwise(op, *(self._numeric(self.value(argument)) for argument in expression.args))

    def _element(self, element: Expr, key: str) -> Value:
        tensor = self.tensors.get(key)
        if tensor is None:
            raise self.refuse(element, "is not a tensor of the program")
        node = self.make("tensor", detail=key, shape=tensor.shape)
        positions = indices_of(element)
        free = tuple(p for p in positions if not p.is_Integer)
        if any(p not in self.scope for p in free):
            raise self.refuse(
                element,
                "has an index that is neither a letter of the equation nor a number; shifts have no form",
            )
        if len(free) < len(positions):
            picked = tuple(int(p) if p.is_Integer else None for p in positions)
            shape = tuple(n for n, p in zip(tensor.shape, picked, strict=True) if p is None)
            node = self.make("pick", (node,), picked, shape)
        while len(set(free)) < len(free):
            letter = next(p for p in free if free.count(p) > 1)
            first, second, *_ = (axis for axis, p in enumerate(free) if p == letter)
            rest = [axis for axis in range(len(free)) if axis not in (first, second)]
            free = (*(free[axis] for axis in rest), letter)
            shape = (*(node.shape[axis] for axis in rest), node.shape[first])
            node = self.make("diagonal", (node,), (first, second), shape)
        return Value(node, free)

    def _size_or_index(self, symbol: Symbol) -> Value:
        if symbol in self.scope:
            raise self.refuse(symbol, "is an index used as a number; put such numbers into a tensor of the program")
        known = self.value_of(symbol)
        return Value(self.make("number", detail=known) if known.is_Integer else self.make("extent", detail=symbol))

    def _sum_of_terms(self, expression: Add) -> Value:
        terms: list[tuple[tuple[bool, int, bool, int, int], Value]] = []
        for position, term in enumerate(expression.args):
            negative = term.could_extract_minus_sign() and term.as_coeff_Mul()[0].is_negative
            value = self._numeric(self.value(-term if negative else term))
            rank = (negative, -len(value.axes), value.node.op not in PRODUCTS, term.count_ops(), position)
            terms.append((rank, value))
        # Plus before minus, large before small, products first: x @ W.T + b. Among equals the simplest first,
        # so that u - max(u) is one part of u - max(u) - log(...).
        terms.sort(key=lambda term: term[0])
        (negative, *_), total = terms[0]
        if negative:
            total = self.elementwise("negative", total)
        for (negative, *_), value in terms[1:]:
            total = self.elementwise("subtract" if negative else "add", total, value)
        return total

    def _product_of_factors(self, expression: Expr) -> Value:
        return self._product(list(Mul.make_args(expression)))

    def _product(self, factors: list[Expr], lowered: list[Value] | None = None) -> Value:
        """The elementwise product of `factors` and of values that are `lowered` already; numbers and sizes
        scale it at the end.
        """
        coefficient: Expr = Integer(1)
        above: list[Value] = list(lowered or ())
        below: list[Value] = []
        choices: list[tuple[Expr, Expr, Expr]] = []
        for factor in factors:
            if not free_symbols(factor) and factor.is_number:
                coefficient *= factor
                continue
            choice = _numeric_choice(factor)
            if choice is not None:
                choices.append(choice)
                continue
            base, exponent = factor.as_base_exp()
            if isinstance(factor, Pow) and exponent.could_extract_minus_sign():
                below.append(self.value(Pow(base, -exponent)))
            else:
                above.append(self._numeric(self.value(factor)))
        arrays = sorted(
            (v for v in above if not v.node.is_host), key=lambda v: (len(v.axes), v.node.op not in PRODUCTS)
        )
        result = arrays[0] if arrays else None
        for value in arrays[1:]:
            result = value if result is None else self.elementwise("multiply", result, value)
        for divisor in sorted((v for v in below if not v.node.is_host), key=lambda v: len(v.axes)):
            whole = Value(self.make("number", detail=Integer(1))) if result is None else result
            result = self.elementwise("divide", whole, divisor)
        for choice in choices:
            result = self._chosen(result, *choice)
        return self._scaled(
            result, coefficient, [v for v in above if v.node.is_host], [v for v in below if v.node.is_host]
        )

    def _scaled(self, result: Value | None, coefficient: Expr, above: list[Value], below: list[Value]) -> Value:
        """`result` times a number and the scalars `above`, divided by those `below`; None stands for 1."""
        size = -coefficient if coefficient.is_negative else coefficient
        times, over = list(above), list(below)
        if isinstance(size, Rational) and size.p == 1 and size.q != 1:
            over.insert(0, Value(self._number(Integer(size.q))))
        elif size != 1:
            times.insert(0, Value(self._number(size)))
        if result is None and not times:
            times.append(Value(self._number(Integer(1))))
        for scale in times:
            result = scale if result is None else self.elementwise("multiply", scale, result)
        assert result is not None
        if over:
            divisor = over[0]
            for scale in over[1:]:
                divisor = self.elementwise("multiply", divisor, scale)
            result = self.elementwise("divide", result, divisor)
        return self.elementwise("negative", result) if coefficient.is_negative else result

    def _power(self, expression: Pow) -> Value:
        base, exponent = expression.as_base_exp()
        if exponent.could_extract_minus_sign():
            return self._product([expression])
        value = self._numeric(self.value(base))
        if value.node.is_host:
            return self.elementwise("power", value, self.value(exponent))
        if exponent == 2:
            return self.elementwise("square", value)
        if exponent == Rational(1, 2):
            return self.elementwise("sqrt", value)
        if exponent.is_Integer and exponent <= 4:
            # NumPy's general power is an order of magnitude slower than a product.
            square = self.elementwise("square", value)
            return self.elementwise("multiply", value, square) if exponent == 3 else self.elementwise("square", square)
        return self.elementwise("power", value, self._numeric(self.value(exponent)))

    def _kronecker(self, expression: KroneckerDelta) -> Value:
        left, right = expression.args
        place, letter = (left, right) if left.is_Integer else (right, left)
        if place.is_Integer and letter in self.scope:
            extent = self.scope[letter]
            rows = self.make("identity", (), extent, (extent, extent))
            return Value(self.make("pick", (rows,), (int(place), None), (extent,)), (letter,))
        if left not in self.scope or right not in self.scope or self.scope[left] != self.scope[right]:
            raise self.refuse(expression, "joins indices that do not both run over one axis")
        extent = self.scope[left]
        return Value(self.make("identity", (), extent, (extent, extent)), (left, right))

    def _derivative(self, expression: Expr) -> Value:
        raise self.refuse(expression, "is a derivative that was not evaluated")

    def _undefined(self, expression: Undefined) -> Value:
        raise self.refuse(
            expression,
            f"cannot be computed: {expression.name} is undefined; give it an expression to get code",
        )

    # --- choices
    # ----------------------------------------------------------------------------------------------

    def _piecewise(self, expression: Piecewise) -> Value:
        choice = _numeric_choice(expression)
        if choice is not None:
            return self._chosen(None, *choice)
        *branches, (last, default) = [(branch.expr, branch.cond) for branch in expression.args]
        if default is not sympy.true:
            raise self.refuse(expression, "has no value where none of its conditions holds; end it with (value, True)")
        result = self._numeric(self.value(last))
        for body, condition in reversed(branches):
            result = self.elementwise("where", self.condition(condition), self._numeric(self.value(body)), result)
        return self._numeric(result)

    def _chosen(self, rest: Value | None, condition: Expr, yes: Expr, no: Expr) -> Value:
        """`rest` times a number that depends on a condition; dtype and NaN of `rest` survive."""
        truth = self.condition(condition)
        if rest is None:
            if (yes, no) == (1, 0):
                return self.elementwise("cast", truth)
            return self.elementwise(
                "cast", self.elementwise("where", truth, Value(self._number(yes)), Value(self._number(no)))
            )
        if (yes, no) == (1, 0):
            return self.elementwise("multiply", rest, truth)
        if (yes, no) == (0, 1) and truth.node.op in COMPLEMENT:
            return self.elementwise("multiply", rest, self.elementwise("logical_not", truth))
        return self.elementwise("where", truth, self._scaled(rest, yes, [], []), self._scaled(rest, no, [], []))

    def condition(self, condition: Expr) -> Value:
        """The truth values of a condition."""
        if isinstance(condition, Relational):
            op = RELATIONS[condition.rel_op]
            return self.elementwise(
                op, self._numeric(self.value(condition.lhs)), self._numeric(self.value(condition.rhs))
            )
        if isinstance(condition, (And, Or)):
            op = "logical_and" if isinstance(condition, And) else "logical_or"
            first, *others = [self.condition(argument) for argument in condition.args]
            for other in others:
                first = self.elementwise(op, first, other)
            return first
        if isinstance(condition, Not):
            return self.elementwise("logical_not", self.condition(condition.args[0]))
        if isinstance(condition, (BooleanTrue, BooleanFalse)):
            return Value(self.make("number", detail=Integer(1 if condition else 0)))
        raise self.refuse(condition, "is not a comparison")

    # --- sums
    # -------------------------------------------------------------------------------------------------

    def _maximum_over(self, expression: MaxOver) -> Value:
        with_bound = self._enter(expression)
        value = with_bound.value(expression.function)
        return with_bound.reduce("max", value, [letter for letter, *_ in expression.limits])

    def _sum(self, expression: Sum) -> Value:
        inner = self._enter(expression)
        return inner.summed(expression.function, [letter for letter, *_ in expression.limits])

    def _enter(self, expression: Expr) -> Lowering:
        """The same equation with the bound letters of a sum in scope."""
        scope = dict(self.scope)
        for letter, low, high in expression.limits:
            if low != 0:
                raise self.refuse(expression, "does not start at 0; a sum runs over a whole axis")
            scope[letter] = high + 1
        return Lowering(self.builder, self.equation, scope, self.tensors, self.value_of)

    def summed(self, function: Expr, bound: list[Symbol]) -> Value:
        """The sum of `function` over the letters in `bound`."""
        if isinstance(function, Sum) and not set(bound) & {limit[0] for limit in function.limits}:
            nested = self._enter(function)
            return nested.summed(function.function, bound + [limit[0] for limit in function.limits])
        letters = self.letters(function)
        repeated: Expr = Integer(1)
        for letter in bound:
            if letter not in letters:
                repeated *= self.scope[letter]
        bound = [letter for letter in bound if letter in letters]
        if not bound:
            return self._product([repeated, function])
        if isinstance(function, Add) and not self._fits_one_factor(function):
            terms = [Sum(term, *((b, 0, self.scope[b] - 1) for b in bound)) for term in function.args]
            return self._product([repeated, Add(*terms)])
        factors = _spread(list(Mul.make_args(function)))
        outer = [f for f in factors if not self.letters(f) & set(bound)]
        inner = [f for f in factors if self.letters(f) & set(bound)]
        wide = next((f for f in inner if isinstance(f, Add) and not self._fits_one_factor(f)), None)
        if wide is not None:
            rest = Mul(*(f for f in factors if f is not wide))
            return self.summed(Add(*(term * rest for term in wide.args)), bound)
        parts = [self._component(group, bound) for group in self._components(inner, bound)]
        result = parts[0]
        for part in parts[1:]:
            result = self.elementwise("multiply", result, part)
        scale = Mul(repeated, *outer)
        return result if scale == 1 else self._product(list(Mul.make_args(scale)), [result])

    def _component(self, factors: list[Expr], bound: list[Symbol]) -> Value:
        """The sum of a product whose factors all hang together by bound letters."""
        by_letters: dict[frozenset[Symbol], list[Expr]] = {}
        for factor in factors:
            by_letters.setdefault(frozenset(self.letters(factor)), []).append(factor)
        present = frozenset().union(*by_letters)
        values = [self._product(group) for group in by_letters.values()]
        return self.joined(values, [letter for letter in bound if letter in present])

    def letters(self, expression: Expr) -> set[Symbol]:
        """The index letters that an expression depends on, which are the axes of its array."""
        return {symbol for symbol in free_symbols(expression) if symbol in self.scope}

    def _fits_one_factor(self, function: Expr) -> bool:
        """Whether the array of `function` is no larger than one tensor or sum in it, so that nothing is lost
        by making it.
        """
        wanted = self.letters(function)
        atoms = function.atoms(Indexed, Sum)
        return any(wanted <= self.letters(atom) for atom in atoms)

    def _components(self, factors: list[Expr], bound: list[Symbol]) -> list[list[Expr]]:
        """Factors in groups that share no bound letter: the sum of a product of groups is the product of
        their sums.
        """
        groups: list[tuple[set[Symbol], list[Expr]]] = []
        for factor in factors:
            mine = self.letters(factor) & set(bound)
            together = [factor]
            apart = []
            for letters, members in groups:
                if letters & mine:
                    mine |= letters
                    together = members + together
                else:
                    apart.append((letters, members))
            groups = [*apart, (mine, together)]
        return [members for _, members in groups]


@lru_cache(maxsize=2**10)
def free_symbols(expression: Basic) -> frozenset[Basic]:
    """What SymPy's attribute of this name is, which builds each sum anew to find it."""
    if isinstance(expression, (Sum, MaxOver)):
        free = free_symbols(expression.function)
        for letter, *ends in expression.limits:
            free = free.difference([letter]).union(*map(free_symbols, ends))
        return free
    if type(expression).free_symbols is Basic.free_symbols:
        return frozenset().union(*map(free_symbols, expression.args))
    return frozenset(expression.free_symbols)


def _numeric_choice(factor: Expr) -> tuple[Expr, Expr, Expr] | None:
    """(condition, number if it holds, number if not) of a Piecewise between two numbers."""
    if not isinstance(factor, Piecewise) or len(factor.args) != 2 or factor.args[1].cond is not sympy.true:
        return None
    yes, no = factor.args[0].expr, factor.args[1].expr
    return (factor.args[0].cond, yes, no) if yes.is_number and no.is_number else None


def _spread(factors: list[Expr]) -> list[Expr]:
    """Factors with products inside an integer power written out: (a*b)**2 as a**2 and b**2."""
    spread: list[Expr] = []
    for factor in factors:
        base, exponent = factor.as_base_exp()
        if isinstance(factor, Pow) and isinstance(base, Mul) and exponent.is_Integer:
            spread.extend(Pow(part, exponent) for part in base.args)
        else:
            spread.append(factor)
    return spread


# The first kind that fits decides; everything else must be a function in FUNCTIONS.
DISPATCH: tuple[tuple[type | tuple[type, ...], Callable[[Lowering, Expr], Value]], ...] = (
    (Add, Lowering._sum_of_terms),
    (Mul, Lowering._product_of_factors),
    (Pow, Lowering._power),
    (Sum, Lowering._sum),
    (MaxOver, Lowering._maximum_over),
    (Piecewise, Lowering._piecewise),
    (KroneckerDelta, Lowering._kronecker),
    ((TotalDerivative, PartialDerivative, FunctionDerivative, sympy.Derivative), Lowering._derivative),
    (Undefined, Lowering._undefined),
)
