"""Verification: both sides of every step, at random points, in 50-digit arithmetic.

Every step of every result is an equality of two index expressions, or of an index expression and its matrix form. Both
sides are evaluated for all values of the free letters, at several random points and, where the program has a kink, once
more with some units exactly on it, where the stated convention must hold. The chain itself is
checked too: it starts from the derivative that it claims to derive, and each step begins where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from sympy import Basic, Expr, Indexed, KroneckerDelta, Piecewise, Sum, Symbol

from symbolic.errors import DerivationError, NoMatrixForm, UsageError
from symbolic.evaluation import DIGITS, NEAREST_KINK, NUMBERS, NotReal, Point, places
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative
from symbolic.matrices import MatrixExpression
from symbolic.matrixform import matrix_form
from symbolic.matrixvalues import entries, matrix_value
from symbolic.programs import per_example_loss
from symbolic.rules import WRITE_AS_MATRICES, Result, Step
from symbolic.sampling import random_leaves, stand_in_sizes
from symbolic.tensors import elements, free_letters, indices_of, key_of

if TYPE_CHECKING:
    from symbolic.derivation import Derivation

Ranges = dict[Symbol, Expr]

TOLERANCE = NUMBERS.mpf("1e-30")
MOST_DRAWS = 40
MOST_SIZES_TOLD = 6


@dataclass(frozen=True)
class Row:
    """What verification found of one step: `error` is the largest relative difference of its two sides."""

    quantity: str
    number: str
    rule: str
    points: int
    error: float
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


@dataclass(frozen=True)
class Report:
    """Outcome of a verification; prints as a table."""

    rows: tuple[Row, ...]
    sizes: str
    points: int
    kink_points: int

    @property
    def ok(self) -> bool:
        return bool(self.rows) and all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def failures(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.ok)

    def __str__(self) -> str:
        head = ("quantity", "step", "rule", "largest relative error", "verdict")
        body = [
            (row.quantity, row.number, row.rule, f"{row.error:.1e}", "true" if row.ok else f"FALSE: {row.problem}")
            for row in self.rows
        ]
        widths = [max(len(line[column]) for line in [head, *body]) for column in range(4)]
        lines = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(line[:4], widths, strict=True)), line[4]])
            for line in [head, *body]
        ]
        return "\n".join([*lines, self.summary])

    @property
    def summary(self) -> str:
        """What was checked and what came out, in one line."""
        kink = f" and {self.kink_points} on the kink" if self.kink_points else ""
        verdict = "all true" if self.ok else f"{len(self.failures)} FALSE"
        points = f"{self.points} random point{'s' * (self.points != 1)}"
        return f"{len(self.rows)} equalities at {points}{kink}, {DIGITS} digits, {self.sizes}: {verdict}"


def verify(
    derivation: Derivation, points: int = 3, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Check every step of a derivation and every matrix form that the page may print.

    points:   how many random points, at least one, each with sizes of its own; the kink is one more.
    progress: called with (results done, results in all).

    Raises:
        UsageError: fewer than one point.
        DerivationError: if no point can be drawn at which the program has real values.
    """
    if isinstance(points, bool) or not isinstance(points, int) or points < 1:
        raise UsageError(f"points must be a whole number of at least 1, not {points!r}")
    program = derivation.program
    sizes = stand_in_sizes(program)
    drawn = [
        _Draw(partial(_draw, derivation, stand_in_sizes(program, number), seed * 1000 + number))
        for number in range(points)
    ]
    kinks = []
    if any(equation.rhs.has(Piecewise) for equation in program.equations):
        on_it = partial(_on_the_kink, derivation, sizes)
        kinks = [_Draw(on_it)] if on_it() is not None else []
    every = drawn + kinks
    rows: list[Row] = list(_missing_rows(derivation))
    for done, result in enumerate(derivation.results):
        rows.extend(_chain_rows(derivation, result, every))
        if progress:
            progress(done + 1, len(derivation.results))
    return Report(tuple(rows), _told(sizes), points, len(kinks))


def _told(sizes: dict[Symbol, int]) -> str:
    named = [f"{symbol} = {number}" for symbol, number in sizes.items()]
    return ", ".join(named[:MOST_SIZES_TOLD] + ["..."] * (len(named) > MOST_SIZES_TOLD)) or "sizes as given"


class _Draw:
    """A point, and the same point once more with twice the digits, made when it is needed."""

    def __init__(self, make: Callable[[], Point | None]) -> None:
        self.make = make
        self.point = self._made()

    def _made(self) -> Point:
        point = self.make()
        if point is None:
            raise DerivationError("a point that could be drawn before cannot be drawn again")
        return point

    @cached_property
    def finer(self) -> Point:
        return self._made()


def _meaning(derivation: Derivation) -> dict[str, tuple[str, str]]:
    """What every derived tensor stands for: key -> (tensor differentiated, tensor by which)."""
    program = derivation.program
    one = per_example_loss(program).key
    return {
        result.tensor.key: (
            program.objective if result.tensor.role == "gradient" and result.named else one, result.tensor.of or ""
        )
        for result in derivation.results
    }  # fmt: skip


def _point(derivation: Derivation, sizes: dict[Symbol, int], leaves: dict[str, Any], seed: int) -> Point:
    derived = {result.tensor.key: result.tensor for result in derivation.results}
    return Point(derivation.program, sizes, leaves, _meaning(derivation), derived, seed)


def _draw(derivation: Derivation, sizes: dict[Symbol, int], seed: int) -> Point:
    """A random point at which everything is real and no condition is about to change its mind."""
    reason = ""
    for attempt in range(MOST_DRAWS):
        leaves = random_leaves(
            derivation.program, sizes, seed * MOST_DRAWS + attempt, positive=attempt >= MOST_DRAWS // 2
        )
        try:
            point = _point(derivation, sizes, leaves, seed)
        except NotReal as error:
            reason = str(error)
            continue
        if point.kink_distance is None or point.kink_distance > NEAREST_KINK:
            return point
        reason = "a condition is at its kink"
    raise DerivationError(f"no random point was found at which the program has real values: {reason}")


def _on_the_kink(derivation: Derivation, sizes: dict[Symbol, int]) -> Point | None:
    """A point at which the first unit of every tensor that a condition looks at is exactly 0, and the rest is random.

    Reached by setting to 0 the parameters that lead straight to that unit. None if no condition then sits on its kink.
    """
    program = derivation.program
    leaves = random_leaves(program, sizes, 0)
    parameters = {leaf.key for leaf in program.parameters}
    looked_at = {
        key_of(element) for equation in program.equations for piece in equation.rhs.atoms(Piecewise)
        for _, condition in piece.args for element in elements(condition)
    }  # fmt: skip
    for key in parameters & looked_at:
        leaves[key][next(iter(leaves[key]))] = NUMBERS.zero
    for equation in program.equations:
        if equation.tensor.key not in looked_at:
            continue
        for element in elements(equation.rhs):
            key = key_of(element) or ""
            if key in parameters:
                own = [axis for axis, letter in enumerate(indices_of(element)) if letter in equation.indices]
                leaves[key] = {
                    place: NUMBERS.zero if all(place[axis] == 0 for axis in own) else value
                    for place, value in leaves[key].items()
                }
    try:
        point = _point(derivation, sizes, leaves, 0)
    except NotReal:
        return None
    return point if point.kink_distance == 0 else None


def _chain_rows(derivation: Derivation, result: Result, points: list[_Draw]) -> Iterable[Row]:
    name = result.tensor.key
    start = _claimed_start(derivation, result)
    for problem in _problems(derivation, result, start):
        yield Row(name, "0", "definition", 0, float("inf"), problem)
    if not result.steps or result.steps[0].before != start:
        return
    before: Basic = start
    for number, step in enumerate(result.steps, 1):
        letters = free_letters(step.after) if isinstance(step.after, Expr) else set()
        if not letters <= {*result.indices, *free_letters(start)}:
            yield Row(name, str(number), step.rule.name, 0, float("inf"), "an index stands for nothing")
        if step.before != before:
            yield Row(name, str(number), step.rule.name, 0, float("inf"), "does not begin where the last step ended")
        yield from _step_rows(derivation, result, step, str(number), points)
        before = step.after
        if not isinstance(step.after, MatrixExpression):
            yield from _matrix_rows(derivation, result, step.after, number, points)


def _missing_rows(derivation: Derivation) -> Iterator[Row]:
    """A gradient that was asked for and is not there."""
    found = [result.tensor.of for result in derivation.results if result.named and result.tensor.role == "gradient"]
    for key in derivation.wrt:
        if found.count(key) != 1:
            yield Row(f"d{key}", "0", "definition", 0, float("inf"), f"{found.count(key)} gradients by {key}, not one")


def _problems(derivation: Derivation, result: Result, start: Expr) -> Iterator[str]:
    """What is wrong with a result as a whole, before any number is looked at."""
    if not result.steps or result.steps[0].before != start:
        yield f"the derivation does not start from {start}"
        return
    program = derivation.program
    of, by = (program.tensors[key] for key in _meaning(derivation)[result.tensor.key])
    # The derivative of one example's loss by what belongs to the same example has the examples' axis once.
    leading = [at for at, letter in enumerate(of.indices) if letter not in by.indices]
    indices = (*(of.indices[at] for at in leading), *by.indices)
    shape = (*(of.shape[at] for at in leading), *by.shape)
    if result.indices != indices or result.tensor.shape != shape:
        yield f"it should be written with the indices ({', '.join(map(str, indices))})"
    final = result.steps[-1].after
    if final.has(TotalDerivative, PartialDerivative, FunctionDerivative):
        yield "a derivative is left in its final form"
    known = set(program.tensors)
    for earlier in derivation.results:
        if earlier is result:
            break
        if earlier.named:
            known.add(earlier.tensor.key)
    unknown = {key_of(element) for element in elements(final)} - known if isinstance(final, Expr) else set()
    if unknown:
        yield f"it uses what is not derived before it: {', '.join(sorted(map(str, unknown)))}"


def _claimed_start(derivation: Derivation, result: Result) -> Expr:
    program = derivation.program
    of, by = _meaning(derivation)[result.tensor.key]
    tensor = program.tensors[by]
    return TotalDerivative(program.tensors[of].element, tensor.element)


def _step_rows(derivation: Derivation, result: Result, step: Step, number: str, points: list[_Draw]) -> Iterable[Row]:
    for part, substep in enumerate(step.substeps, 1):
        yield from _step_rows(derivation, result, substep, f"{number}.{part}", points)
    yield _row(derivation, result, step, number, points)


def _matrix_rows(
    derivation: Derivation, result: Result, after: Expr, number: int, points: list[_Draw]
) -> Iterable[Row]:
    """The line in matrix notation, about one example (m) and for all examples at once (s), where it has these forms."""
    example = derivation.program.example
    for mark, carried in (("m", example), ("s", None)) if example is not None else (("m", None),):
        try:
            form = matrix_form(after, result.indices, derivation.tensors, carried, result.tensor.shape)
        except NoMatrixForm:
            continue
        yield _row(derivation, result, Step(WRITE_AS_MATRICES, after, form), f"{number}{mark}", points, carried)


def _row(
    derivation: Derivation, result: Result, step: Step, number: str, points: list[_Draw], carried: Symbol | None = None
) -> Row:
    worst = 0.0
    try:
        ranges = free_ranges(step, result, derivation)
        for draw in points:
            error = _error(draw, step, result, ranges, carried)
            worst = worst if error <= worst else error
    except (DerivationError, ArithmeticError, KeyError, IndexError, ValueError, TypeError) as error:
        kind = "an index runs outside of its axis" if isinstance(error, (KeyError, IndexError)) else str(error)
        return Row(result.tensor.key, number, step.rule.name, 0, float("inf"), kind)
    problem = "" if worst <= TOLERANCE else "the two sides differ"  # NaN is no number that is small enough
    return Row(result.tensor.key, number, step.rule.name, len(points), worst, problem)


def _error(draw: _Draw, step: Step, result: Result, ranges: Ranges, carried: Symbol | None) -> float:
    """The largest difference of the two sides at a point, relative to their largest entry.

    Where both sides are 0 in truth, what is left of them is rounding: with twice the digits it shrinks to nothing. A
    difference that does not shrink is one.
    """
    gap, scale = _gap(draw.point, step, result, ranges, carried)
    if gap <= TOLERANCE * scale:
        return float(gap / scale) if scale else 0.0
    with NUMBERS.workdps(2 * DIGITS):
        finer_gap, finer_scale = _gap(draw.finer, step, result, ranges, carried)
        if finer_scale <= TOLERANCE * scale:
            return 0.0
        return float(finer_gap / finer_scale)


def _gap(point: Point, step: Step, result: Result, ranges: Ranges, carried: Symbol | None) -> tuple[Any, Any]:
    """The largest difference of the two sides over all free letters, and their largest entry.

    carried: the example index, if a matrix form on the right is about one example.
    """
    letters = list(ranges)
    left = point.compile(step.before)
    sides: list[tuple[Any, Any]] = []
    if isinstance(step.after, MatrixExpression):
        axes = [letter for letter in result.indices if letter != carried]
        example = [letter for letter in letters if letter == carried]
        shape = tuple(point.extent(ranges[letter]) for letter in axes)
        for chosen in places(tuple(point.extent(ranges[letter]) for letter in example)):
            fixed = dict(zip(example, chosen, strict=True))
            table = entries(matrix_value(point, step.after, dict(fixed)), len(axes))
            if set(table) != set(places(shape)):
                raise DerivationError("the matrix form has another shape")
            for place in places(shape):
                sides.append((left({**fixed, **dict(zip(axes, place, strict=True))})[0], table[place]))
    else:
        right = point.compile(step.after)
        for place in places(tuple(point.extent(ranges[letter]) for letter in letters)):
            values = dict(zip(letters, place, strict=True))
            sides.append((left(values)[0], right(values)[0]))
    if not all(NUMBERS.isfinite(value) for pair in sides for value in pair):
        raise DerivationError("a side has no finite value")
    scale = max((abs(value) for pair in sides for value in pair), default=NUMBERS.zero)
    gap = max((abs(one - other) for one, other in sides), default=NUMBERS.zero)
    return gap, scale


def free_ranges(step: Step, result: Result, derivation: Derivation) -> Ranges:
    """The sizes that the free letters of a step run over, read off the axes they stand at.

    Raises:
        DerivationError: if a letter stands at axes of different sizes, which a dropped transpose does.
    """
    tensors = derivation.tensors
    ranges: dict[Symbol, Expr] = {}
    deltas: list[tuple[tuple[Basic, Expr | None], ...]] = []
    own = result.tensor.shape
    for letter, extent in zip(result.indices, own, strict=True):
        ranges[letter] = extent
    sides = [step.before] if isinstance(step.after, MatrixExpression) else [step.before, step.after]
    stack: list[tuple[Basic, dict[Symbol, Expr]]] = [(side, {}) for side in sides]
    while stack:
        node, bound = stack.pop()
        if isinstance(node, Sum):
            inner = dict(bound)
            inner.update((letter, high + 1) for letter, _, high in node.limits)
            stack.append((node.function, inner))
            continue
        if isinstance(node, KroneckerDelta):
            deltas.append(tuple((one, bound.get(one)) for one in node.args))
        if isinstance(node, Indexed):
            tensor = tensors[key_of(node) or ""]
            for letter, extent in zip(indices_of(node), tensor.shape, strict=True):
                known = bound.get(letter, ranges.get(letter))
                if known is None and isinstance(letter, Symbol):
                    ranges[letter] = extent
                elif known is not None and known != extent:
                    raise DerivationError(
                        f"index {letter} runs over {known} elements, but an axis of {tensor.key} has {extent}"
                    )
            continue
        stack.extend((argument, bound) for argument in node.args)
    for first, second in deltas:
        for (one, inside), (other, extent) in ((first, second), (second, first)):
            if isinstance(one, Symbol) and inside is None and one not in ranges:
                known = extent if extent is not None else ranges.get(other)
                if known is not None:
                    ranges[one] = known
    return ranges
