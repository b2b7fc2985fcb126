"""Lowering: equations in index notation become array operations.

The rules are structural and few. A function of elements is elementwise; operands are aligned by the letters of their
indices. A sum of a product is split by the bound index: factors free of it move out, and where it couples two groups
of factors it is a matrix product. A sum over one group is a reduction. What has no such form is refused by name.

A sum whose summand couples three or more axes inside a function, such as Sum_k |x_ik - y_jk|, is broadcast and
reduced: correct, and as large in memory as it looks. `einsum` remains for two groups that share free indices besides
the bound ones and are no batch of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy
from sympy import Add, Expr, Indexed, Integer, KroneckerDelta, Mul, Piecewise, Pow, Rational, Sum, Symbol
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, BooleanFalse, BooleanTrue, Not, Or

from codegen.arrays import TRUTHS, ArrayProgram, Node, assemble, broadcast_shape
from codegen.stable import Expm1, LogisticSigmoid, Maximum, MaxOver, Minimum, Softplus, compute_form
from symbolic.errors import LoweringError
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative, Undefined
from symbolic.tensors import Equation, Program, Tensor, indices_of, key_of

FUNCTIONS: Mapping[type, str] = {
    sympy.exp: "exp", sympy.log: "log", sympy.tanh: "tanh", sympy.sin: "sin", sympy.cos: "cos", sympy.tan: "tan",
    sympy.sinh: "sinh", sympy.cosh: "cosh", sympy.asin: "arcsin", sympy.acos: "arccos", sympy.atan: "arctan",
    sympy.asinh: "arcsinh", sympy.acosh: "arccosh", sympy.atanh: "arctanh", sympy.Abs: "absolute",
    sympy.sign: "sign", sympy.erf: "erf", Expm1: "expm1", Softplus: "log1pexp", LogisticSigmoid: "logistic",
    Maximum: "maximum", Minimum: "minimum", sympy.Max: "maximum", sympy.Min: "minimum",
}  # fmt: skip
RELATIONS = {">": "greater", "<": "less", ">=": "greater_equal", "<=": "less_equal", "==": "equal", "!=": "not_equal"}
COMPLEMENT = {
    "greater": "less_equal", "less": "greater_equal", "greater_equal": "less",
    "less_equal": "greater", "equal": "not_equal", "not_equal": "equal",
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """A node and the index letter of each of its axes."""

    node: Node
    axes: tuple[Symbol, ...] = ()


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
    builder = Builder()
    definitions: dict[str, Node] = {}
    by_key = {equation.tensor.key: equation for equation in equations}
    for equation in equations:
        key = equation.tensor.key
        lowering = Lowering(builder, tensors, program, equation)
        node = lowering.whole(compute_form(equation, by_key))
        definitions[key] = node
        builder.remember(node, key)
    return LoweredProgram(definitions, by_key)


class Builder:
    """Makes nodes, equal ones once, and uses a tensor's name for the node that defines it."""

    def __init__(self) -> None:
        self._made: dict[Node, Node] = {}

    def make(self, op: str, args: tuple[Node, ...] = (), detail: object = None, shape: tuple[Expr, ...] | None = None) -> Node:
        node = Node(op, args, detail, broadcast_shape([a.shape for a in args]) if shape is None else shape)
        return self._made.setdefault(node, node)

    def remember(self, node: Node, key: str) -> None:
        if node.args and not node.is_host:
            self._made[node] = Node("tensor", detail=key, shape=node.shape)


class Lowering:
    """One equation on its way to array operations."""

    def __init__(self, builder: Builder, tensors: Mapping[str, Tensor], program: Program, equation: Equation) -> None:
        self.make = builder.make
        self.tensors = tensors
        self.program = program
        self.equation = equation
        # Every index letter in scope with its size, outermost first: this order is how axes are laid out where free.
        self.scope: dict[Symbol, Expr] = {}

    def whole(self, expression: Expr) -> Node:
        """The node for the right side, with exactly the axes of the left side, in its order."""
        indices, shape = self.equation.indices, self.equation.tensor.shape
        self.scope = dict(zip(indices, shape, strict=True))
        value = self._numeric(self.value(expression))
        if not shape:
            return value.node
        if value.node.is_host:
            return self.make("fill", (value.node,), shape, shape)
        node = self._aligned(value, indices)
        if len(value.axes) < len(indices):
            node = self.make("broadcast", (node,), shape, shape)
        return node

    def refuse(self, expression: object, reason: str) -> LoweringError:
        text = str(expression)
        shown = text if len(text) <= 200 else text[:200] + "..."
        return LoweringError(f"equation for {self.equation.tensor.key}: {shown} {reason}")

    # --- expressions ------------------------------------------------------------------------------------------

    def value(self, expression: Expr) -> Value:
        if not expression.free_symbols and expression.is_number and not expression.has(Undefined):
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
            raise self.refuse(expression, f"has no NumPy form: {expression.func.__name__} is not a function that can be lowered")
        return self.elementwise(op, *(self._numeric(self.value(argument)) for argument in expression.args))

    def _number(self, expression: Expr) -> Node:
        if not expression.is_extended_real or not expression.is_finite:
            raise self.refuse(expression, "is not a finite real number")
        return self.make("number", detail=expression if expression.is_Integer else expression.evalf(20))

    def _element(self, element: Expr, key: str) -> Value:
        tensor = self.tensors.get(key)
        if tensor is None:
            raise self.refuse(element, "is not a tensor of the program")
        node = self.make("tensor", detail=key, shape=tensor.shape)
        positions = indices_of(element)
        free = tuple(p for p in positions if not p.is_Integer)
        if any(p not in self.scope for p in free):
            raise self.refuse(element, "has an index that is neither a letter of the equation nor a number; shifts have no form")
        if len(set(free)) != len(free):
            raise self.refuse(element, "has the same index twice; a diagonal has no form here, give it a tensor of its own")
        if len(free) < len(positions):
            picked = tuple(int(p) if p.is_Integer else None for p in positions)
            shape = tuple(n for n, p in zip(tensor.shape, picked, strict=True) if p is None)
            node = self.make("pick", (node,), picked, shape)
        return Value(node, free)

    def _size_or_index(self, symbol: Symbol) -> Value:
        if symbol in self.scope:
            raise self.refuse(symbol, "is an index used as a number; put such numbers into a tensor of the program")
        known = self.program.value_of(symbol)
        return Value(self.make("number", detail=known) if known.is_Integer else self.make("extent", detail=symbol))

    def _sum_of_terms(self, expression: Add) -> Value:
        terms: list[tuple[tuple[bool, int, bool, int, int], Value]] = []
        for position, term in enumerate(expression.args):
            negative = term.could_extract_minus_sign() and term.as_coeff_Mul()[0].is_negative
            value = self._numeric(self.value(-term if negative else term))
            rank = (negative, -len(value.axes), value.node.op not in PRODUCTS, term.count_ops(), position)
            terms.append((rank, value))
        # Plus before minus, large before small, products first: x @ W.T + b. Among equals the simplest first, so that
        # u - max(u) is one part of u - max(u) - log(...).
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
        """The elementwise product of `factors` and of values that are `lowered` already; numbers and sizes scale it at the end."""
        coefficient: Expr = Integer(1)
        upper: list[Value] = list(lowered or ())
        lower_: list[Value] = []
        choices: list[tuple[Expr, Expr, Expr]] = []
        for factor in factors:
            if factor.is_number and not factor.free_symbols:
                coefficient *= factor
                continue
            choice = _numeric_choice(factor)
            if choice is not None:
                choices.append(choice)
                continue
            base, exponent = factor.as_base_exp()
            if isinstance(factor, Pow) and exponent.could_extract_minus_sign():
                lower_.append(self.value(Pow(base, -exponent)))
            else:
                upper.append(self._numeric(self.value(factor)))
        arrays = sorted((v for v in upper if not v.node.is_host), key=lambda v: (len(v.axes), v.node.op not in PRODUCTS))
        result = arrays[0] if arrays else None
        for value in arrays[1:]:
            result = self.elementwise("multiply", result, value)
        for divisor in sorted((v for v in lower_ if not v.node.is_host), key=lambda v: len(v.axes)):
            result = self.elementwise("divide", result or Value(self.make("number", detail=Integer(1))), divisor)
        for choice in choices:
            result = self._chosen(result, *choice)
        return self._scaled(
            result, coefficient, [v for v in upper if v.node.is_host], [v for v in lower_ if v.node.is_host]
        )

    def _scaled(self, result: Value | None, coefficient: Expr, upper: list[Value], lower_: list[Value]) -> Value:
        negative = bool(coefficient.is_negative)
        coefficient = -coefficient if negative else coefficient
        numerator, denominator = (coefficient.p, coefficient.q) if isinstance(coefficient, Rational) else (coefficient, 1)
        if denominator != 1 and numerator != 1:
            numerator, denominator = coefficient, 1
        over = [v for v in lower_]
        if denominator != 1:
            over.insert(0, Value(self._number(Integer(denominator))))
        times = list(upper)
        if numerator != 1 or (result is None and not times):
            times.insert(0, Value(self._number(sympy.sympify(numerator))))
        for scale in times:
            result = scale if result is None else self.elementwise("multiply", scale, result)
        if over:
            divisor = over[0]
            for scale in over[1:]:
                divisor = self.elementwise("multiply", divisor, scale)
            assert result is not None
            result = self.elementwise("divide", result, divisor)
        assert result is not None
        return self.elementwise("negative", result) if negative else result

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
        if left not in self.scope or right not in self.scope or self.scope[left] != self.scope[right]:
            raise self.refuse(expression, "joins indices that do not both run over one axis")
        extent = self.scope[left]
        return Value(self.make("identity", (), extent, (extent, extent)), (left, right))

    def _derivative(self, expression: Expr) -> Value:
        raise self.refuse(expression, "is a derivative that was not evaluated")

    def _undefined(self, expression: Undefined) -> Value:
        raise self.refuse(
            expression, f"cannot be computed: {expression.name} is undefined; give it an expression to get code"
        )

    # --- choices ----------------------------------------------------------------------------------------------

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
            return self.elementwise("cast", self.elementwise("where", truth, Value(self._number(yes)), Value(self._number(no))))
        if (yes, no) == (1, 0):
            return self.elementwise("multiply", rest, truth)
        if (yes, no) == (0, 1) and truth.node.op in COMPLEMENT:
            return self.elementwise("multiply", rest, self.elementwise("logical_not", truth))
        return self.elementwise("where", truth, self._scaled(rest, yes, [], []), self._scaled(rest, no, [], []))

    def condition(self, condition: Expr) -> Value:
        """The truth values of a condition."""
        if isinstance(condition, Relational):
            op = RELATIONS[condition.rel_op]
            return self.elementwise(op, self._numeric(self.value(condition.lhs)), self._numeric(self.value(condition.rhs)))
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

    def _numeric(self, value: Value) -> Value:
        """Truth values as numbers, so that they add and do not decide a dtype."""
        return self.elementwise("cast", value) if value.node.op in TRUTHS else value

    # --- sums -------------------------------------------------------------------------------------------------

    def _maximum_over(self, expression: MaxOver) -> Value:
        with_bound = self._enter(expression)
        value = with_bound.value(expression.function)
        return with_bound.reduce("max", value, [letter for letter, *_ in expression.limits])

    def _sum(self, expression: Sum) -> Value:
        inner = self._enter(expression)
        return inner.summed(expression.function, [letter for letter, *_ in expression.limits])

    def _enter(self, expression: Expr) -> Lowering:
        """The same equation with the bound letters of a sum in scope."""
        inner = Lowering.__new__(Lowering)
        inner.make, inner.tensors, inner.program, inner.equation = self.make, self.tensors, self.program, self.equation
        inner.scope = dict(self.scope)
        for letter, low, high in expression.limits:
            if low != 0:
                raise self.refuse(expression, "does not start at 0; a sum runs over a whole axis")
            inner.scope[letter] = high + 1
        return inner

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
        parts = [self._contracted(group, [b for b in bound if b in set().union(*map(self.letters, group))]) for group in
                 self._components(inner, bound)]  # fmt: skip
        result = parts[0]
        for part in parts[1:]:
            result = self.elementwise("multiply", result, part)
        scale = Mul(repeated, *outer)
        return result if scale == 1 else self._product(list(Mul.make_args(scale)), [result])

    def letters(self, expression: Expr) -> set[Symbol]:
        """The index letters that an expression depends on, which are the axes of its array."""
        return {symbol for symbol in expression.free_symbols if symbol in self.scope}

    def _fits_one_factor(self, function: Expr) -> bool:
        """Whether the array of `function` is no larger than one tensor or sum in it, so that nothing is lost by making it."""
        wanted = self.letters(function)
        atoms = function.atoms(Indexed, Sum)
        return any(wanted <= self.letters(atom) for atom in atoms)

    def _components(self, factors: list[Expr], bound: list[Symbol]) -> list[list[Expr]]:
        """Factors in groups that share no bound letter: the sum of a product of groups is the product of their sums."""
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

    def _contracted(self, factors: list[Expr], bound: list[Symbol]) -> Value:
        """The sum of a product whose factors all hang together by bound letters."""
        by_letters: dict[frozenset[Symbol], list[Expr]] = {}
        for factor in factors:
            by_letters.setdefault(frozenset(self.letters(factor)), []).append(factor)
        values = [self._product(group) for group in by_letters.values()]
        remaining = list(bound)
        while len(values) > 1:
            left, right = min(
                ((a, b) for a in range(len(values)) for b in range(a + 1, len(values))),
                key=lambda pair: self._pair_cost(values, *pair, remaining),
            )
            others = {axis for n, v in enumerate(values) if n not in (left, right) for axis in v.axes}
            ready = [b for b in remaining if b not in others and b in {*values[left].axes, *values[right].axes}]
            joined = self._pair(values[left], values[right], ready)
            values = [v for n, v in enumerate(values) if n not in (left, right)] + [joined]
            remaining = [b for b in remaining if b not in ready]
        return self.reduce("sum", values[0], remaining) if remaining else values[0]

    def _pair_cost(self, values: list[Value], left: int, right: int, bound: list[Symbol]) -> tuple[int, int, int, int]:
        """Axes of the array that joining two factors leaves; the smallest is joined first."""
        others = {axis for n, v in enumerate(values) if n not in (left, right) for axis in v.axes}
        union = {*values[left].axes, *values[right].axes}
        return (len({axis for axis in union if axis in others or axis not in bound}), len(union), left, right)

    def _pair(self, left: Value, right: Value, bound: list[Symbol]) -> Value:
        """The sum over `bound` of left * right: a matrix product where the letters allow one."""
        for name in bound:
            if name not in right.axes:
                left = self.reduce("sum", left, [name])
            elif name not in left.axes:
                right = self.reduce("sum", right, [name])
        bound = [b for b in bound if b in left.axes and b in right.axes]
        shared = [a for a in left.axes if a in right.axes and a not in bound]
        own_left = [a for a in left.axes if a not in right.axes]
        own_right = [a for a in right.axes if a not in left.axes]
        if not bound:
            return self.elementwise("multiply", left, right)
        if not shared and len(bound) == 1:
            if self._rank_in_scope(own_right) < self._rank_in_scope(own_left):
                left, right, own_left, own_right = right, left, own_right, own_left
            if len(own_left) <= 1 and len(own_right) <= 1:
                return self._matrix_product(left, right, own_left, own_right, bound[0])
            if len(own_left) > 1 >= len(own_right):
                return self._matrix_product(left, right, own_left, own_right, bound[0])
            if len(own_right) > 1 >= len(own_left):
                return self._matrix_product(right, left, own_right, own_left, bound[0])
        if not shared and (own_left or own_right):
            return self._tensordot(left, right, own_left, own_right, bound)
        if shared and len(bound) == 1 and len(own_left) == 1 and len(own_right) == 1:
            if self._rank_in_scope(own_right) < self._rank_in_scope(own_left):
                left, right, own_left, own_right = right, left, own_right, own_left
            axes_left, axes_right = (*shared, *own_left, bound[0]), (*shared, bound[0], *own_right)
            args = (self._transposed(left, axes_left), self._transposed(right, axes_right))
            shape = args[0].shape[:-1] + args[1].shape[-1:]
            return Value(self.make("matmul", args, None, shape), (*shared, *own_left, *own_right))
        if own_left and own_right:
            return self._einsum(left, right, (*shared, *own_left, *own_right))
        return self.reduce("sum", self.elementwise("multiply", left, right), bound)

    def _matrix_product(self, left: Value, right: Value, own_left: list[Symbol], own_right: list[Symbol], bound: Symbol) -> Value:
        """left @ right over one letter; a vector is neither row nor column, so it goes on whichever side needs no transpose."""
        if not own_left and right.axes[-1] == bound and len(right.axes) > 1:
            left, right, own_left, own_right = right, left, own_right, own_left
        elif not own_right and len(left.axes) > 1 and left.axes[-1] != bound and len(left.axes) == 2:
            left, right, own_left, own_right = right, left, own_right, own_left
        a = self._transposed(left, (*own_left, bound))
        b = self._transposed(right, (bound, *own_right))
        return Value(self.make("matmul", (a, b), None, a.shape[:-1] + b.shape[1:]), (*own_left, *own_right))

    def _tensordot(self, left: Value, right: Value, own_left: list[Symbol], own_right: list[Symbol], bound: list[Symbol]) -> Value:
        if self._rank_in_scope(own_right) < self._rank_in_scope(own_left):
            left, right, own_left, own_right = right, left, own_right, own_left
        axes = tuple(left.axes.index(b) for b in bound), tuple(right.axes.index(b) for b in bound)
        shape = tuple(self.scope[a] for a in (*own_left, *own_right))
        return Value(self.make("tensordot", (left.node, right.node), axes, shape), (*own_left, *own_right))

    def _einsum(self, left: Value, right: Value, result: tuple[Symbol, ...]) -> Value:
        letter = {axis: "abcdefghijklmnopqrstuvwxyz"[n] for n, axis in enumerate(dict.fromkeys((*left.axes, *right.axes)))}
        detail = tuple("".join(letter[axis] for axis in axes) for axes in (left.axes, right.axes, result))
        return Value(self.make("einsum", (left.node, right.node), detail, tuple(self.scope[a] for a in result)), result)

    def _rank_in_scope(self, axes: list[Symbol]) -> float:
        order = list(self.scope)
        return min((order.index(axis) for axis in axes), default=math.inf)

    def reduce(self, op: str, value: Value, bound: list[Symbol]) -> Value:
        present = [letter for letter in bound if letter in value.axes]
        if not present:
            return value
        where = tuple(sorted(value.axes.index(letter) for letter in present))
        kept = tuple(n for n in range(len(value.axes)) if n not in where)
        value = self._numeric(value)
        node = self.make(op, (value.node,), where, tuple(value.node.shape[n] for n in kept))
        return Value(node, tuple(value.axes[n] for n in kept))

    # --- axes -------------------------------------------------------------------------------------------------

    def elementwise(self, op: str, *values: Value) -> Value:
        """One operation on operands that are aligned by their letters."""
        axes = self._common_axes(values)
        return Value(self.make(op, tuple(self._aligned(value, axes) for value in values)), axes)

    def _common_axes(self, values: tuple[Value, ...]) -> tuple[Symbol, ...]:
        """The letters of all operands, laid out as in the largest operand where that has them all."""
        union = {axis for value in values for axis in value.axes}
        order = list(self.scope)
        natural = tuple(sorted(union, key=order.index))
        complete = [value.axes for value in values if len(value.axes) == len(union)]
        return natural if natural in complete or not complete else complete[0]

    def _aligned(self, value: Value, axes: tuple[Symbol, ...]) -> Node:
        """The node with its axes in the order of `axes`, and length-one axes where a later operand axis is missing."""
        node = self._transposed(value, tuple(axis for axis in axes if axis in value.axes))
        if not value.axes:
            return node
        first = min(axes.index(axis) for axis in value.axes)
        wanted = axes[first:]
        missing = tuple(n for n, axis in enumerate(wanted) if axis not in value.axes)
        if not missing:
            return node
        sizes = iter(node.shape)
        shape = tuple(Integer(1) if n in missing else next(sizes) for n in range(len(wanted)))
        return self.make("expand", (node,), missing, shape)

    def _transposed(self, value: Value, axes: tuple[Symbol, ...]) -> Node:
        if value.axes == axes:
            return value.node
        order = tuple(value.axes.index(axis) for axis in axes)
        if value.node.op == "transpose":
            inner = value.node.args[0]
            combined = tuple(value.node.detail[n] for n in order)
            if combined == tuple(range(len(combined))):
                return inner
            return self.make("transpose", (inner,), combined, tuple(inner.shape[n] for n in combined))
        return self.make("transpose", (value.node,), order, tuple(value.node.shape[n] for n in order))


PRODUCTS = frozenset({"matmul", "tensordot", "einsum"})


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
