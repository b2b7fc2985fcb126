"""Index expressions as functions from the values of their letters to dual numbers, at a point.

A dual number is (value, tangent); a tangent of None is exactly 0. Sums, products and powers carry both; the slope of an
elementary function is taken numerically by mpmath, so that no derivative is written down here. An undefined function
stands for a random trigonometric polynomial in its arguments. A tangent may be several in one, for several disturbances
at a time: see `Slopes`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from sympy import (
    Add,
    And,
    Basic,
    Expr,
    Indexed,
    KroneckerDelta,
    Mul,
    Not,
    Or,
    Piecewise,
    Pow,
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
from symbolic.precision import NUMBERS, Compiled, Dual, NotReal, Place, constant, real
from symbolic.tensors import elements, indices_of, key_of

if TYPE_CHECKING:
    from symbolic.evaluation import Point

ELEMENTARY: dict[str, Callable[[Any], Any]] = {"Abs": NUMBERS.fabs, "sign": NUMBERS.sign} | {
    name: getattr(NUMBERS, name)
    for name in (
        "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh",
        "erf", "erfc", "gamma", "loggamma",
    )
}  # fmt: skip


def compile_node(point: Point, node: Basic) -> Compiled:
    """The expression as a function of its free letters, at a point.

    Raises:
        DerivationError: nothing is known that evaluates it.
    """
    kind: Any = type(node)
    build = _builder(kind)
    if build is not None:
        return build(point, node)
    if isinstance(node, Symbol):
        return _symbol(point, node)
    if getattr(node, "is_number", False):
        number = constant(node)
        return lambda letters: (number, None)
    function = ELEMENTARY.get(type(node).__name__)
    if function is not None and len(node.args) == 1:
        return _elementary(point, function, point.compile(node.args[0]))
    raise DerivationError(f"{node} cannot be evaluated: no numbers are known for {type(node).__name__}")


@cache
def _builder(kind: Any) -> Callable[[Point, Any], Compiled] | None:
    return next((build for known, build in _BUILDERS if issubclass(kind, known)), None)


def _symbol(point: Point, node: Symbol) -> Compiled:
    if node in point.sizes:
        number = NUMBERS.mpf(point.sizes[node])
        return lambda letters: (number, None)
    key = key_of(node)
    if key is None:
        return lambda letters: (NUMBERS.mpf(letters[node]), None)
    return _lookup(point, key, ())


def _indexed(point: Point, node: Indexed) -> Compiled:
    return _lookup(point, key_of(node) or "", tuple(node.indices))


def _lookup(point: Point, key: str, positions: tuple[Expr, ...]) -> Compiled:
    place_at = place_reader(positions)

    def run(letters: dict[Symbol, int]) -> Dual:
        place = place_at(letters)
        moved = point.tangents.get(key)
        table = point.tables.get(key)
        if table is None:
            table = point.table(key)
        return table[place], moved.get(place) if moved else None

    return run


def place_reader(positions: tuple[Expr, ...]) -> Callable[[dict[Symbol, int]], Place]:
    """The place at which a tensor is looked up, from the values of the letters."""
    where = tuple(int(one) if one.is_Integer else one for one in positions)
    if any(isinstance(one, int) for one in where) or len(where) not in (1, 2):
        return lambda letters: tuple(one if isinstance(one, int) else letters[one] for one in where)
    if len(where) == 1:
        (only,) = where
        return lambda letters: (letters[only],)
    first, second = where
    return lambda letters: (letters[first], letters[second])


def _add(point: Point, node: Add) -> Compiled:
    parts = [point.compile(argument) for argument in node.args]

    def run(letters: dict[Symbol, int]) -> Dual:
        value, tangent = parts[0](letters)
        for part in parts[1:]:
            more, slope = part(letters)
            value = value + more
            if slope is not None:
                tangent = slope if tangent is None else tangent + slope
        return value, tangent

    return run


def _mul(point: Point, node: Mul) -> Compiled:
    parts = [point.compile(argument) for argument in node.args]

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


def _pow(point: Point, node: Pow) -> Compiled:
    if not node.exp.is_Rational:
        raise DerivationError(f"{node} cannot be evaluated: only rational powers are")
    base = point.compile(node.base)
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


def _sum(point: Point, node: Sum) -> Compiled:
    body = point.compile(node.function)
    bound = [(letter, range(int(low), point.extent(high + 1))) for letter, low, high in node.limits]
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


def _delta(point: Point, node: KroneckerDelta) -> Compiled:
    first, second = node.args

    def run(letters: dict[Symbol, int]) -> Dual:
        one = int(first) if first.is_Integer else letters[first]
        other = int(second) if second.is_Integer else letters[second]
        return (NUMBERS.one if one == other else NUMBERS.zero), None

    return run


def _piecewise(point: Point, node: Piecewise) -> Compiled:
    branches = [(point.compile(value), _condition(point, condition)) for value, condition in node.args]

    def run(letters: dict[Symbol, int]) -> Dual:
        for value, condition in branches:
            if condition(letters):
                return value(letters)
        raise NotReal(f"no branch of {node} applies")

    return run


def _condition(point: Point, node: Basic) -> Callable[[dict[Symbol, int]], bool]:
    if isinstance(node, (BooleanTrue, BooleanFalse)):
        truth = bool(node)
        return lambda letters: truth
    if isinstance(node, (And, Or, Not)):
        parts = [_condition(point, part) for part in node.args]
        join = {And: all, Or: any, Not: lambda truths: not next(iter(truths))}[type(node)]
        # Every part is looked at, so that each notes how near its kink is.
        return lambda letters: bool(join([part(letters) for part in parts]))
    if not isinstance(node, Relational):
        raise DerivationError(f"the condition {node} cannot be evaluated: only comparisons, and, or, not are")
    left, right, compare = point.compile(node.lhs), point.compile(node.rhs), _COMPARE[node.rel_op]

    def run(letters: dict[Symbol, int]) -> bool:
        gap = left(letters)[0] - right(letters)[0]
        if point.kink_distance is None or abs(gap) < point.kink_distance:
            point.kink_distance = abs(gap)
        holds = compare(gap)
        point.sides[node, tuple(letters.values())] = holds
        return holds

    return run


def _elementary(point: Point, function: Callable[[Any], Any], argument: Compiled) -> Compiled:
    images: dict[Any, Any] = {}
    slopes: dict[Any, Any] = {}

    def run(letters: dict[Symbol, int]) -> Dual:
        value, tangent = argument(letters)
        if value not in images:
            images[value] = real(function, value)
        if tangent is None:
            return images[value], None
        if value not in slopes:
            slopes[value] = NUMBERS.diff(function, value)
        return images[value], slopes[value] * tangent

    return run


def _undefined(point: Point, node: Undefined) -> Compiled:
    parts = [point.compile(argument) for argument in node.arguments]
    wave = point.wave(node.name, len(parts))

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


def _total_derivative(point: Point, node: TotalDerivative) -> Compiled:
    of_key, by_key, of_at, by_at = _of_and_by(node)
    return lambda letters: (point.total(of_key, by_key)[by_at(letters)].get(of_at(letters), NUMBERS.zero), None)


def _partial_derivative(point: Point, node: PartialDerivative | FunctionDerivative) -> Compiled:
    of_key, by_key, of_at, by_at = _of_and_by(node)
    keys = of_key, by_key

    def run(letters: dict[Symbol, int]) -> Dual:
        of, by = of_at(letters), by_at(letters)
        known = point.slopes.get(keys)
        if known is None or of not in known:
            return point.partial(of, of_key, by, by_key), None
        return known[of].get(by, NUMBERS.zero), None

    return run


def _differentiated(point: Point, node: Differentiated) -> Compiled:
    body = point.compile(node.body)
    key, place = key_of(node.by) or "", indices_of(node.by)
    moving = held(node.body)

    def run(letters: dict[Symbol, int]) -> Dual:
        at = tuple(letters[one] if isinstance(one, Symbol) else int(one) for one in place)
        return point.moved(body, letters, moving, key, at), None

    return run


def _inner(point: Point, node: Inner | Spelled) -> Compiled:
    return point.compile(node.sum)


def _applied(point: Point, node: Applied) -> Compiled:
    """The equation of the element with the argument in place of its input, at every unit where it stands."""
    equation = point.program.definitions[key_of(node.element) or ""]
    letters = dict(zip(equation.indices, indices_of(node.element), strict=True))
    own = [letter for letter in indices_of(node.element) if letter != point.program.example]
    swap = {}
    for element in elements(equation.rhs):
        there = [letters.get(one, one) for one in indices_of(element) if one != point.program.example]
        swap[element] = node.argument.xreplace(dict(zip(own, there, strict=True)))
    return point.compile(equation.rhs.xreplace(swap).xreplace(letters))


def _entry(point: Point, node: Entry) -> Compiled:
    if not isinstance(node.array, MatrixExpression) or point.matrix is None:
        raise DerivationError(f"{node} cannot be evaluated: it is no entry of a matrix expression")
    read = point.matrix
    inside = held(node.array)
    slopes = node.array.has(FunctionSlope, Jacobian, PartialGradient)

    def entry(letters: dict[Symbol, int]) -> Any:
        value = read(point, node.array, letters)
        place = [letters[one] if isinstance(one, Symbol) else int(one) for one in node.indices]
        row = value[place[0]]
        return row[place[1]] if len(place) == 2 else row[0]

    def run(letters: dict[Symbol, int]) -> Dual:
        value = entry(letters)
        moving = {key: table for key, table in point.tangents.items() if key in inside and table}
        if not moving:
            return value, None
        if slopes:
            raise DerivationError(f"{node} cannot be differentiated: it holds derivatives")
        return value, point.slope_along(moving, lambda: entry(letters))

    return run


Reader = Callable[[dict[Symbol, int]], Place]


def _of_and_by(node: Any) -> tuple[str, str, Reader, Reader]:
    """What is differentiated and by what: their keys, and their places from the values of the letters."""
    of, by = node.of, node.by
    return key_of(of) or "", key_of(by) or "", place_reader(indices_of(of)), place_reader(indices_of(by))


def held(node: Basic) -> set[str]:
    """Keys of the tensors that an index expression or a matrix expression holds."""
    arrays = {array.key for array in node.atoms(ArrayOf)}
    return arrays | ({key_of(element) or "" for element in elements(node)} if isinstance(node, Expr) else set())


_BUILDERS: tuple[tuple[type, Callable[[Point, Any], Compiled]], ...] = (
    (Indexed, _indexed),
    (Add, _add),
    (Mul, _mul),
    (Sum, _sum),
    (Pow, _pow),
    (KroneckerDelta, _delta),
    (Piecewise, _piecewise),
    (Undefined, _undefined),
    (TotalDerivative, _total_derivative),
    (PartialDerivative, _partial_derivative),
    (FunctionDerivative, _partial_derivative),
    (Differentiated, _differentiated),
    (Inner, _inner),
    (Spelled, _inner),
    (Applied, _applied),
    (Entry, _entry),
)
_COMPARE: dict[str, Callable[[Any], bool]] = {
    ">": lambda gap: gap > 0, ">=": lambda gap: gap >= 0, "<": lambda gap: gap < 0, "<=": lambda gap: gap <= 0,
    "==": lambda gap: gap == 0, "!=": lambda gap: gap != 0,
}  # fmt: skip
