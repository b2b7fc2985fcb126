"""An independent evaluator: numbers for index expressions, and derivatives by dual numbers.

It knows nothing of the rules that derive: it shares no code with calculus or deltaform. A tensor is a table of mpmath
numbers with 50 digits. A derivative is taken by its meaning. TotalDerivative(u, v): disturb v, recompute every equation
downstream, see how u moves. PartialDerivative(u, v): disturb v in the one equation that defines u.

Dual numbers carry (value, tangent) through sums, products and powers; the slope of an elementary function is taken
numerically by mpmath, so that no derivative is written down here either. An undefined function stands for a random
trigonometric polynomial in its arguments.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import mpmath
from sympy import (
    Add,
    And,
    Basic,
    Expr,
    Indexed,
    Integer,
    KroneckerDelta,
    Mul,
    Not,
    Or,
    Piecewise,
    Pow,
    Rational,
    Sum,
    Symbol,
)
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from symbolic.errors import DerivationError
from symbolic.expressions import (
    Applied,
    Differentiated,
    Entry,
    FunctionDerivative,
    Inner,
    PartialDerivative,
    Spelled,
    TotalDerivative,
    Undefined,
)
from symbolic.matrices import ArrayOf, FunctionSlope, Jacobian, MatrixExpression, PartialGradient
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, elements, indices_of, key_of

DIGITS = 50
NUMBERS = mpmath.MPContext()
NUMBERS.dps = DIGITS

Dual = tuple[Any, Any]  # value, tangent; a tangent of None is exactly 0
Place = tuple[int, ...]
Table = dict[Place, Any]
Compiled = Callable[[dict[Symbol, int]], Dual]

ELEMENTARY: dict[str, Callable[[Any], Any]] = {"Abs": NUMBERS.fabs, "sign": NUMBERS.sign} | {
    name: getattr(NUMBERS, name)
    for name in (
        "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh",
        "erf", "erfc", "gamma", "loggamma",
    )
}  # fmt: skip


class NotReal(ArithmeticError):
    """A value left the real numbers: the logarithm of a negative number, a division by zero."""


def places(extents: tuple[int, ...]) -> Iterator[Place]:
    return itertools.product(*(range(extent) for extent in extents))


def numeric_size(extent: Expr, sizes: Mapping[Symbol, int]) -> int:
    """A size with numbers put in for its symbols."""
    number = extent.xreplace({symbol: Integer(value) for symbol, value in sizes.items()})
    if not number.is_Integer:
        raise DerivationError(f"the size {extent} has no number to be checked with")
    return int(number)


@dataclass
class Point:
    """One assignment of numbers to the leaves of a program, with everything that follows from it.

    derived: tensors that stand for derivatives, key -> (tensor differentiated, tensor by which).
    derived_tensors: those tensors themselves, by key.
    matrix: reads matrix expressions that stand inside of others: `matrixvalues.matrix_value`.
    """

    program: Program
    sizes: Mapping[Symbol, int]
    leaves: dict[str, Table]
    derived: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    derived_tensors: Mapping[str, Tensor] = field(default_factory=dict)
    seed: int = 0
    matrix: Callable[[Point, Basic, dict[Symbol, int]], Any] | None = None

    def __post_init__(self) -> None:
        self.tables: dict[str, Table] = dict(self.leaves)
        self.tangents: dict[str, Table] = {}
        self.kink_distance: Any = None  # how close a condition came to changing its mind, over all that was evaluated
        self.compiled: dict[Basic, Compiled] = {}
        self.totals: dict[str, dict[str, dict[Place, Table]]] = {}
        self.tensors = self.program.tensors
        self.waves: dict[str, list[tuple[Any, list[Any], Any]]] = {}
        for equation in self.program.equations:
            self.tables[equation.tensor.key] = {
                place: value for place, (value, _) in self._run(equation, equation.rhs).items()
            }

    def extents(self, tensor: Tensor) -> tuple[int, ...]:
        return tuple(self.extent(one) for one in tensor.shape)

    def extent(self, one: Expr) -> int:
        return numeric_size(one, self.sizes)

    def _run(self, equation: Equation, rhs: Expr) -> dict[Place, Dual]:
        run = self.compile(rhs)
        found = {}
        for place in places(self.extents(equation.tensor)):
            found[place] = run(dict(zip(equation.indices, place, strict=True)))
        return found

    # Derivatives by their meaning

    def total(self, of: str, by: str) -> dict[Place, Table]:
        """Place in `by` -> table of d of/d by there."""
        if of not in self.totals:
            self.totals[of] = self._accumulated(of)
            self._certify(of)
        if by not in self.totals[of]:
            self.totals[of][by] = {place: {} for place in places(self.extents(self.tensors[by]))}
        return self.totals[of][by]

    def _accumulated(self, of: str) -> dict[str, dict[Place, Table]]:
        """Tables of d of/d v for every v upstream: dual numbers through one equation at a time, joined backwards."""
        found = {of: {place: {place: NUMBERS.one} for place in places(self.extents(self.tensors[of]))}}
        for equation in reversed(self.program.equations):
            outer = found.get(equation.tensor.key)
            if outer is None:
                continue
            for by in dict.fromkeys(key_of(element) or "" for element in elements(equation.rhs)):
                tables = found.setdefault(by, {place: {} for place in places(self.extents(self.tensors[by]))})
                for place, table in tables.items():
                    for at, slope in self._moved(equation, {by: {place: NUMBERS.one}}).items():
                        for end, weight in outer[at].items():
                            table[end] = table.get(end, NUMBERS.zero) + weight * slope
        return found

    def _certify(self, of: str) -> None:
        """Hold the accumulated tables against their meaning, all at once.

        Every element of every tensor is disturbed by a random amount of its own and everything downstream is recomputed
        with dual numbers. `of` must then move by the sum of those amounts times the tables' entries. A single wrong
        entry makes the two differ.
        """
        rng = random.Random(f"{self.seed}:disturbance:{of}")
        amounts = {
            key: {
                place: NUMBERS.mpf(rng.randrange(1, 1000)) / 1000 for place in places(self.extents(self.tensors[key]))
            }
            for key in self.totals[of]
        }
        moved = {key: dict(table) for key, table in amounts.items()}
        for equation in self.program.equations:
            key = equation.tensor.key
            if key in moved:
                for at, slope in self._moved(equation, moved).items():
                    moved[key][at] += slope
        expected: Table = {}
        for key, tables in self.totals[of].items():
            for place, table in tables.items():
                for end, slope in table.items():
                    expected[end] = expected.get(end, NUMBERS.zero) + slope * amounts[key][place]
        for end, value in moved[of].items():
            if abs(value - expected[end]) > NUMBERS.mpf("1e-30") * max(1, abs(value)):
                raise DerivationError(
                    f"the evaluator contradicts itself on the derivatives of {of}; nothing is verified"
                )

    def _moved(self, equation: Equation, tangents: dict[str, Table]) -> Table:
        """How the elements of an equation's tensor move when those of its inputs do; those that do not are left out."""
        kept, self.tangents = self.tangents, tangents
        try:
            found = self._run(equation, equation.rhs)
        finally:
            self.tangents = kept
        return {at: tangent for at, (_, tangent) in found.items() if tangent is not None}

    def partial(self, of: Place, of_key: str, by: Place, by_key: str) -> Any:
        """Derivative of the equation that defines `of_key`, at `of`, by one element of `by_key` alone."""
        equation = self.program.definitions[of_key]
        kept, self.tangents = self.tangents, {by_key: {by: NUMBERS.one}}
        try:
            _, tangent = self.compile(equation.rhs)(dict(zip(equation.indices, of, strict=True)))
        finally:
            self.tangents = kept
        return NUMBERS.zero if tangent is None else tangent

    def table(self, key: str) -> Table:
        """The values of a tensor of the program, or of a derivative, which is then taken by its meaning."""
        if key not in self.tables:
            of, by = self.derived[key]
            totals = self.total(of, by)
            whole = self.extents(self.tensors[of])
            example = self.program.example
            table: Table = {}
            for place, moved in totals.items():
                if not whole:
                    table[place] = moved.get((), NUMBERS.zero)
                elif example in self.tensors[by].indices:
                    own = (place[self.tensors[by].indices.index(example)],)
                    table[place] = moved.get(own, NUMBERS.zero)
                else:
                    for at in places(whole):
                        table[at + place] = moved.get(at, NUMBERS.zero)
            self.tables[key] = table
        return self.tables[key]

    # Expressions

    def compile(self, node: Basic) -> Compiled:
        """A function from the values of the free letters to the dual number of the expression."""
        if node not in self.compiled:
            self.compiled[node] = self._compile(node)
        return self.compiled[node]

    def value(self, node: Expr, letters: dict[Symbol, int]) -> Any:
        return self.compile(node)(letters)[0]

    def compile_with(self, node: Expr, slots: tuple[Symbol, ...]) -> Callable[..., Any]:
        """A function of numbers for the symbols in `slots`, for an expression of those alone."""
        keys = [f"slot {slot.name}" for slot in slots]
        run = Point._compile(self, node.xreplace({s: Symbol(k, real=True) for s, k in zip(slots, keys, strict=True)}))

        def call(*numbers: Any) -> Any:
            self.tables.update((key, {(): number}) for key, number in zip(keys, numbers, strict=True))
            return run({})[0]

        return call

    def _compile(self, node: Basic) -> Compiled:
        for kind, build in _BUILDERS:
            if isinstance(node, kind):
                return build(self, node)
        if isinstance(node, Symbol):
            return self._symbol(node)
        if getattr(node, "is_number", False):
            number = constant(node)
            return lambda letters: (number, None)
        function = ELEMENTARY.get(type(node).__name__)
        if function is not None and len(node.args) == 1:
            return self._elementary(function, self.compile(node.args[0]))
        raise DerivationError(f"{node} cannot be evaluated: no numbers are known for {type(node).__name__}")

    def _symbol(self, node: Symbol) -> Compiled:
        if node in self.sizes:
            number = NUMBERS.mpf(self.sizes[node])
            return lambda letters: (number, None)
        key = key_of(node)
        if key is None:
            return lambda letters: (NUMBERS.mpf(letters[node]), None)
        return self._lookup(key, ())

    def _indexed(self, node: Indexed) -> Compiled:
        return self._lookup(key_of(node) or "", tuple(node.indices))

    def _lookup(self, key: str, positions: tuple[Expr, ...]) -> Compiled:
        where = tuple(int(one) if one.is_Integer else one for one in positions)

        def run(letters: dict[Symbol, int]) -> Dual:
            place = tuple(one if isinstance(one, int) else letters[one] for one in where)
            moved = self.tangents.get(key)
            table = self.tables.get(key)
            if table is None:
                table = self.table(key)
            return table[place], moved.get(place) if moved else None

        return run

    def _add(self, node: Add) -> Compiled:
        parts = [self.compile(argument) for argument in node.args]

        def run(letters: dict[Symbol, int]) -> Dual:
            value, tangent = parts[0](letters)
            for part in parts[1:]:
                more, slope = part(letters)
                value = value + more
                if slope is not None:
                    tangent = slope if tangent is None else tangent + slope
            return value, tangent

        return run

    def _mul(self, node: Mul) -> Compiled:
        parts = [self.compile(argument) for argument in node.args]

        def run(letters: dict[Symbol, int]) -> Dual:
            value, tangent = parts[0](letters)
            for part in parts[1:]:
                more, slope = part(letters)
                if tangent is not None:
                    tangent = tangent * more
                if slope is not None:
                    tangent = value * slope if tangent is None else tangent + value * slope
                value = value * more
            return value, tangent

        return run

    def _pow(self, node: Pow) -> Compiled:
        if not node.exp.is_Rational:
            raise DerivationError(f"{node} cannot be evaluated: only rational powers are")
        base = self.compile(node.base)
        power = NUMBERS.mpf(node.exp.p) / node.exp.q
        whole = int(node.exp) if node.exp.is_Integer else None

        def run(letters: dict[Symbol, int]) -> Dual:
            value, tangent = base(letters)
            if (value == 0 and power < 0) or (whole is None and value < 0):
                raise NotReal(f"{node} at {value}")
            raised = value**whole if whole is not None else value**power
            if tangent is None:
                return raised, None
            if value == 0 and power < 1:
                raise NotReal(f"the slope of {node} at {value}")
            return raised, power * (value ** (whole - 1) if whole is not None else value ** (power - 1)) * tangent

        return run

    def _sum(self, node: Sum) -> Compiled:
        body = self.compile(node.function)
        bound = [(letter, range(int(low), self.extent(high + 1))) for letter, low, high in node.limits]
        names = [letter for letter, _ in bound]
        spans = [span for _, span in bound]

        def run(letters: dict[Symbol, int]) -> Dual:
            value, tangent = NUMBERS.zero, None
            inside = dict(letters)
            for place in itertools.product(*spans):
                for name, at in zip(names, place, strict=True):
                    inside[name] = at
                more, slope = body(inside)
                value = value + more
                if slope is not None:
                    tangent = slope if tangent is None else tangent + slope
            return value, tangent

        return run

    def _delta(self, node: KroneckerDelta) -> Compiled:
        first, second = node.args

        def run(letters: dict[Symbol, int]) -> Dual:
            one = int(first) if first.is_Integer else letters[first]
            other = int(second) if second.is_Integer else letters[second]
            return (NUMBERS.one if one == other else NUMBERS.zero), None

        return run

    def _piecewise(self, node: Piecewise) -> Compiled:
        branches = [(self.compile(value), self._condition(condition)) for value, condition in node.args]

        def run(letters: dict[Symbol, int]) -> Dual:
            for value, condition in branches:
                if condition(letters):
                    return value(letters)
            raise NotReal(f"no branch of {node} applies")

        return run

    def _condition(self, node: Basic) -> Callable[[dict[Symbol, int]], bool]:
        if isinstance(node, (BooleanTrue, BooleanFalse)):
            truth = bool(node)
            return lambda letters: truth
        if isinstance(node, (And, Or, Not)):
            parts = [self._condition(part) for part in node.args]
            join = {And: all, Or: any, Not: lambda truths: not next(iter(truths))}[type(node)]
            # Every part is looked at, so that each notes how near its kink is.
            return lambda letters: bool(join([part(letters) for part in parts]))
        if not isinstance(node, Relational):
            raise DerivationError(f"the condition {node} cannot be evaluated: only comparisons, and, or, not are")
        left, right, compare = self.compile(node.lhs), self.compile(node.rhs), _COMPARE[node.rel_op]

        def run(letters: dict[Symbol, int]) -> bool:
            gap = left(letters)[0] - right(letters)[0]
            if self.kink_distance is None or abs(gap) < self.kink_distance:
                self.kink_distance = abs(gap)
            return compare(gap)

        return run

    def _elementary(self, function: Callable[[Any], Any], argument: Compiled) -> Compiled:
        images: dict[Any, Any] = {}
        slopes: dict[Any, Any] = {}

        def run(letters: dict[Symbol, int]) -> Dual:
            value, tangent = argument(letters)
            if value not in images:
                images[value] = _real(function, value)
            if tangent is None:
                return images[value], None
            if value not in slopes:
                slopes[value] = NUMBERS.diff(function, value)
            return images[value], slopes[value] * tangent

        return run

    def _undefined(self, node: Undefined) -> Compiled:
        parts = [self.compile(argument) for argument in node.arguments]
        wave = self._wave(node.name, len(parts))

        def at(values: list[Any], orders: list[int]) -> Any:
            quarter_turns = sum(orders)
            total = NUMBERS.zero
            for height, frequencies, phase in wave:
                scale = height
                for frequency, order in zip(frequencies, orders, strict=True):
                    scale *= frequency**order
                angle = phase + sum(f * v for f, v in zip(frequencies, values, strict=True))
                total += scale * NUMBERS.sin(angle + quarter_turns * NUMBERS.pi / 2)
            return total

        orders = list(node.orders)

        def run(letters: dict[Symbol, int]) -> Dual:
            pairs = [part(letters) for part in parts]
            values = [value for value, _ in pairs]
            tangent = None
            for position, (_, slope) in enumerate(pairs):
                if slope is not None:
                    raised = [order + (position == at_) for at_, order in enumerate(orders)]
                    push = at(values, raised) * slope
                    tangent = push if tangent is None else tangent + push
            return at(values, orders), tangent

        return run

    def _wave(self, name: str, arity: int) -> list[tuple[Any, list[Any], Any]]:
        key = f"{name}/{arity}"
        if key not in self.waves:
            rng = random.Random(f"{self.seed}:{key}")

            def draw() -> Any:
                return NUMBERS.mpf(rng.randrange(300, 1300)) / 1000

            self.waves[key] = [(draw(), [draw() for _ in range(arity)], draw()) for _ in range(3)]
        return self.waves[key]

    def _total_derivative(self, node: TotalDerivative) -> Compiled:
        return self._derivative(
            node, lambda of, of_key, by, by_key: self.total(of_key, by_key)[by].get(of, NUMBERS.zero)
        )

    def _partial_derivative(self, node: PartialDerivative | FunctionDerivative) -> Compiled:
        return self._derivative(node, self.partial)

    def _differentiated(self, node: Differentiated) -> Compiled:
        body = self.compile(node.body)
        key, place = key_of(node.by) or "", indices_of(node.by)
        moving = held(node.body)

        def run(letters: dict[Symbol, int]) -> Dual:
            at = tuple(letters[one] if isinstance(one, Symbol) else int(one) for one in place)
            return self.moved(body, letters, moving, key, at), None

        return run

    def moved(self, run: Compiled, letters: dict[Symbol, int], keys: set[str], by_key: str, by: Place) -> Any:
        """How much an expression that holds the tensors `keys` moves when one element is disturbed.

        What lies between that element and those tensors is computed again.
        """
        tangents: dict[str, Table] = {}
        for key in sorted(keys & set(self.tensors)):
            moves = self.total(key, by_key)[by]
            if moves:
                tangents[key] = moves
        kept, self.tangents = self.tangents, tangents
        try:
            tangent = run(letters)[1]
        finally:
            self.tangents = kept
        return NUMBERS.zero if tangent is None else tangent

    def _inner(self, node: Inner | Spelled) -> Compiled:
        return self.compile(node.sum)

    def _applied(self, node: Applied) -> Compiled:
        """The equation of the element with the argument in place of its input, at every unit where it stands."""
        equation = self.program.definitions[key_of(node.element) or ""]
        letters = dict(zip(equation.indices, indices_of(node.element), strict=True))
        own = [letter for letter in indices_of(node.element) if letter != self.program.example]
        swap = {}
        for element in elements(equation.rhs):
            there = [letters.get(one, one) for one in indices_of(element) if one != self.program.example]
            swap[element] = node.argument.xreplace(dict(zip(own, there, strict=True)))
        return self.compile(equation.rhs.xreplace(swap).xreplace(letters))

    def _entry(self, node: Entry) -> Compiled:
        if not isinstance(node.array, MatrixExpression) or self.matrix is None:
            raise DerivationError(f"{node} cannot be evaluated: it is no entry of a matrix expression")
        read = self.matrix
        inside = held(node.array)
        slopes = node.array.has(FunctionSlope, Jacobian, PartialGradient)

        def entry(letters: dict[Symbol, int]) -> Any:
            value = read(self, node.array, letters)
            place = [letters[one] if isinstance(one, Symbol) else int(one) for one in node.indices]
            row = value[place[0]]
            return row[place[1]] if len(place) == 2 else row[0]

        def run(letters: dict[Symbol, int]) -> Dual:
            value = entry(letters)
            moving = {key: table for key, table in self.tangents.items() if key in inside and table}
            if not moving:
                return value, None
            if slopes:
                raise DerivationError(f"{node} cannot be differentiated: it holds derivatives")
            return value, self._slope_along(moving, lambda: entry(letters))

        return run

    def _slope_along(self, moving: dict[str, Table], value: Callable[[], Any]) -> Any:
        """The slope of a value when these tensors move along their tangents, taken numerically."""
        kept = self.tables

        def at(amount: Any) -> Any:
            self.tables = dict(kept)
            for key, table in moving.items():
                self.tables[key] = {
                    place: number + amount * table.get(place, NUMBERS.zero) for place, number in kept[key].items()
                }
            return value()

        try:
            return NUMBERS.diff(at, NUMBERS.zero)
        finally:
            self.tables = kept

    def _derivative(self, node: Any, find: Callable[[Place, str, Place, str], Any]) -> Compiled:
        of_key, by_key = key_of(node.of) or "", key_of(node.by) or ""
        of_place, by_place = indices_of(node.of), indices_of(node.by)

        def at(place: tuple[Expr, ...], letters: dict[Symbol, int]) -> Place:
            return tuple(letters[one] if isinstance(one, Symbol) else int(one) for one in place)

        return lambda letters: (find(at(of_place, letters), of_key, at(by_place, letters), by_key), None)


_BUILDERS: tuple[tuple[type, Callable[[Point, Any], Compiled]], ...] = (
    (Indexed, Point._indexed),
    (Add, Point._add),
    (Mul, Point._mul),
    (Sum, Point._sum),
    (Pow, Point._pow),
    (KroneckerDelta, Point._delta),
    (Piecewise, Point._piecewise),
    (Undefined, Point._undefined),
    (TotalDerivative, Point._total_derivative),
    (PartialDerivative, Point._partial_derivative),
    (FunctionDerivative, Point._partial_derivative),
    (Differentiated, Point._differentiated),
    (Inner, Point._inner),
    (Spelled, Point._inner),
    (Applied, Point._applied),
    (Entry, Point._entry),
)
_COMPARE: dict[str, Callable[[Any], bool]] = {
    ">": lambda gap: gap > 0, ">=": lambda gap: gap >= 0, "<": lambda gap: gap < 0, "<=": lambda gap: gap <= 0,
    "==": lambda gap: gap == 0, "!=": lambda gap: gap != 0,
}  # fmt: skip


def held(node: Basic) -> set[str]:
    """Keys of the tensors that an index expression or a matrix expression holds."""
    arrays = {array.key for array in node.atoms(ArrayOf)}
    return arrays | ({key_of(element) or "" for element in elements(node)} if isinstance(node, Expr) else set())


def _real(function: Callable[[Any], Any], value: Any) -> Any:
    try:
        image = function(value)
    except (ValueError, ZeroDivisionError) as error:
        raise NotReal(f"{function.__name__} at {value}") from error
    if isinstance(image, NUMBERS.mpc) or not NUMBERS.isfinite(image):
        raise NotReal(f"{function.__name__} at {value}")
    return image


def constant(node: Basic) -> Any:
    """A number without tensors or letters, to the digits in use."""
    return NUMBERS.mpf(node.p) / node.q if isinstance(node, Rational) else NUMBERS.mpf(node.evalf(NUMBERS.dps + 10))
