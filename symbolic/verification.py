"""Verification: both sides of every step, at random points, in 50-digit arithmetic.

Every step of every result is an equality of two index expressions, or of an index expression and its matrix form. Both
sides are evaluated for all values of the free letters, at several random points and, where the program has a kink, once
more with some units exactly on it, where the stated convention must hold. The chain itself is
checked too: it starts from the derivative that it claims to derive, and each step begins where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from sympy import Basic, Expr, Indexed, KroneckerDelta, Sum, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.errors import DerivationError, NoMatrixForm, UsageError
from symbolic.evaluation import Point
from symbolic.expressions import Differentiated, FunctionDerivative, Inner, PartialDerivative, TotalDerivative
from symbolic.matrices import Abreast, EntryGradient, MatrixExpression, Stacked, SumOver, Unit
from symbolic.matrixform import matrix_form
from symbolic.matrixvalues import entries, matrix_value
from symbolic.precision import DIGITS, NUMBERS, Place, Table, largest, places
from symbolic.programs import Program, per_example_loss
from symbolic.rules import DEFINITION, WRITE_AS_MATRICES, WRITE_OUT, Result, Step
from symbolic.sampling import point_on_kinks, random_point, stand_in_sizes
from symbolic.tensors import Tensor, elements, free_letters, indices_of, key_of

if TYPE_CHECKING:
    from symbolic.derivation import Derivation

Ranges = dict[Symbol, Expr]

TOLERANCE = NUMBERS.mpf("1e-30")
MOST_SIZES_TOLD = 6
MOST_EXTRA_POINTS = 6


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
    check = _Check(derivation, points, seed)
    rows = list(check.missing())
    for done, result in enumerate(derivation.results):
        rows.extend(check.result(result))
        if progress:
            progress(done + 1, len(derivation.results))
    return Report(tuple(rows), _told(stand_in_sizes(derivation.program)), points, len(check.draws) - points)


def _told(sizes: dict[Symbol, int]) -> str:
    named = [f"{symbol} = {number}" for symbol, number in sizes.items()]
    return ", ".join(named[:MOST_SIZES_TOLD] + ["..."] * (len(named) > MOST_SIZES_TOLD)) or "sizes as given"


class Draw:
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

    def forget(self) -> None:
        """Drop what the points keep of expressions that are not the program's."""
        for point in (self.point, vars(self).get("finer")):
            if point is not None:
                point.forget()


@dataclass(frozen=True)
class Frame:
    """What a chain of steps is about: its name in the report, its free letters with their sizes, the tensors in it."""

    quantity: str
    indices: tuple[Symbol, ...]
    shape: tuple[Expr, ...]
    tensors: Mapping[str, Tensor]


def drawn_points(
    program: Program,
    points: int,
    seed: int,
    meaning: Mapping[str, tuple[str, str]],
    derived: Mapping[str, Tensor],
    both_sides: bool = False,
) -> list[Draw]:
    """Random points with sizes of their own, and one on the kinks where there are any.

    meaning: what every derived tensor stands for: key -> (tensor differentiated, tensor by which).
    derived: those tensors, by key.
    both_sides: more points are drawn, as far as need be, until every condition was met and missed at every place: where
        a line is about one unit by its number, a point at which that unit is active says nothing of the other case.
    """

    def point(sizes: dict[Symbol, int], leaves: dict[str, Table], number: int) -> Point:
        return Point(program, sizes, leaves, meaning, derived, number, matrix_value)

    draws = [
        Draw(partial(random_point, program, stand_in_sizes(program, turn), seed * 1000 + turn, point))
        for turn in range(points)
    ]
    for turn in range(points, points + MOST_EXTRA_POINTS if both_sides else points):
        if _seen_from_both_sides(draws):
            break
        draws.append(Draw(partial(random_point, program, stand_in_sizes(program), seed * 1000 + turn, point)))
    on_kink = partial(point_on_kinks, program, stand_in_sizes(program), point)
    return [*draws, Draw(on_kink)] if on_kink() is not None else draws


def _seen_from_both_sides(draws: Sequence[Draw]) -> bool:
    seen = {(*place, holds) for draw in draws for place, holds in draw.point.sides.items()}
    return all((*entry[:-1], not entry[-1]) in seen for entry in seen)


def check_steps(
    frame: Frame, steps: Sequence[Step], draws: Sequence[Draw], carried: Symbol | None, start: Basic | None = None
) -> Iterator[Row]:
    """Every step of one chain, its substeps first, and that each begins where the last one ended.

    carried: the example index, if matrix forms are about one example. start: what the first step must begin with.
    """
    before = start
    for number, step in enumerate(steps, 1):
        if before is not None and step.before != before:
            yield _wrong(frame.quantity, "does not begin where the last step ended", str(number), step.rule.name)
        yield from _step_rows(frame, step, str(number), draws, carried)
        yield from _written_out(frame, step, str(number), draws)
        before = step.after


def _written_out(frame: Frame, step: Step, number: str, draws: Sequence[Draw]) -> Iterator[Row]:
    """What newly stands under a derivative sign must be the quantity that was differentiated, as a value too.

    The derivative alone would not notice that a term is missing which does not depend on the variable.
    """
    place = Frame(frame.quantity, (), (), frame.tensors)
    gone, new = _differentiated(step.before), _differentiated(step.after)
    for body, by in new:
        if (body, by) in gone or key_of(body) is not None:
            continue
        sources = [of for of, variable in gone if variable == by and (of, variable) not in new]
        rows = [_row(place, Step(WRITE_OUT, of, body), f"{number}w", draws) for of in sources]
        found = next((row for row in rows if row.ok), rows[0] if rows else None)
        yield found or _wrong(frame.quantity, "what stands under the derivative sign comes from nowhere", number)


def _differentiated(side: Basic) -> list[tuple[Basic, Basic]]:
    """What is differentiated in a line, and by what, in order."""
    found: dict[tuple[Basic, Basic], None] = {}
    for node in preorder_traversal(side):
        if isinstance(node, (TotalDerivative, PartialDerivative, Differentiated, EntryGradient)):
            found.setdefault((node.args[0], node.args[1]))
    return list(found)


def _step_rows(frame: Frame, step: Step, number: str, draws: Sequence[Draw], carried: Symbol | None) -> Iterator[Row]:
    for part, substep in enumerate(step.substeps, 1):
        yield from _step_rows(frame, substep, f"{number}.{part}", draws, carried)
    yield _row(frame, step, number, draws, carried)


class _Check:
    """One verification under way.

    meaning: what every derived tensor stands for: key -> (tensor differentiated, tensor by which).
    known:   keys that a result may use: the program's tensors and the named results before it.
    """

    def __init__(self, derivation: Derivation, points: int, seed: int) -> None:
        self.derivation = derivation
        self.program = derivation.program
        one = per_example_loss(self.program).key
        self.meaning = {
            result.tensor.key: (
                self.program.objective if result.tensor.role == "gradient" and result.named else one,
                result.tensor.of or "",
            )
            for result in derivation.results
        }
        self.derived = {result.tensor.key: result.tensor for result in derivation.results}
        self.known = set(self.program.tensors)
        for tensor in derivation.given:
            self.meaning[tensor.key] = (one, tensor.of or "")
            self.derived[tensor.key] = tensor
            self.known.add(tensor.key)
        self.draws = drawn_points(self.program, points, seed, self.meaning, self.derived)

    def frame(self, result: Result) -> Frame:
        return Frame(result.tensor.key, result.indices, result.tensor.shape, self.derivation.tensors)

    def missing(self) -> Iterator[Row]:
        """A gradient that was asked for and is not there, or an adjoint that is called given and is not."""
        results = self.derivation.results
        found = [result.tensor.of for result in results if result.named and result.tensor.role == "gradient"]
        for key in self.derivation.wrt:
            if found.count(key) != 1:
                yield _wrong(f"d{key}", f"{found.count(key)} gradients by {key}, not one")
        for tensor in self.derivation.given:
            if tensor.of not in self.program.given:
                yield _wrong(tensor.key, "it is taken as given, but the program does not give it")

    def result(self, result: Result) -> Iterator[Row]:
        """Every step of one result, and what is wrong with it as a whole."""
        for draw in self.draws:
            draw.forget()
        name = result.tensor.key
        of, by = (self.program.tensors[key] for key in self.meaning[name])
        start = TotalDerivative(of.element, by.element)
        if not result.steps or result.steps[0].before != start:
            yield _wrong(name, f"the derivation does not start from {start}")
            return
        for problem in self.problems(result, of, by):
            yield _wrong(name, problem)
        if result.named:
            self.known.add(name)
        allowed = {*result.indices, *free_letters(start)}
        before: Basic = start
        for number, step in enumerate(result.steps, 1):
            if isinstance(step.after, Expr) and not free_letters(step.after) <= allowed:
                yield _wrong(name, "an index stands for nothing", str(number), step.rule.name)
            if step.before != before:
                yield _wrong(name, "does not begin where the last step ended", str(number), step.rule.name)
            yield from _step_rows(self.frame(result), step, str(number), self.draws, None)
            before = step.after
            if isinstance(step.after, Expr):
                yield from self.matrices(result, step.after, number)

    def problems(self, result: Result, of: Tensor, by: Tensor) -> Iterator[str]:
        """What can be seen to be wrong before any number is computed."""
        # The derivative of one example's loss by what belongs to the same example has the examples' axis once.
        leading = [at for at, letter in enumerate(of.indices) if letter not in by.indices]
        indices = (*(of.indices[at] for at in leading), *by.indices)
        shape = (*(of.shape[at] for at in leading), *by.shape)
        if result.indices != indices or result.tensor.shape != shape:
            yield f"it should be written with the indices ({', '.join(map(str, indices))})"
        final = result.steps[-1].after
        if final.has(TotalDerivative, PartialDerivative, FunctionDerivative):
            yield "a derivative is left in its final form"
        unknown = {key_of(element) for element in elements(final)} - self.known if isinstance(final, Expr) else set()
        if unknown:
            yield f"it uses what is not derived before it: {', '.join(sorted(map(str, unknown)))}"

    def matrices(self, result: Result, after: Expr, number: int) -> Iterator[Row]:
        """The line in matrix notation, about one example (m) and for all examples at once (s), where there is one.

        A matrix of parameters is written turned too (t), as notations have it whose weights are rows of inputs.
        """
        example, frame = self.program.example, self.frame(result)
        turned = replace(frame, indices=frame.indices[::-1], shape=frame.shape[::-1])
        forms = [("m", example, frame), ("s", None, frame)] if example is not None else [("m", None, frame)]
        if len(frame.indices) == 2 and example not in frame.indices:
            forms += [(f"{mark}t", carried, turned) for mark, carried, _ in forms]
        for mark, carried, about in forms:
            try:
                form = matrix_form(after, about.indices, frame.tensors, carried, about.shape)
            except NoMatrixForm:
                continue
            yield _row(about, Step(WRITE_AS_MATRICES, after, form), f"{number}{mark}", self.draws, carried)


def _wrong(quantity: str, problem: str, number: str = "0", rule: str = DEFINITION.name) -> Row:
    return Row(quantity, number, rule, 0, float("inf"), problem)


def _row(frame: Frame, step: Step, number: str, draws: Sequence[Draw], carried: Symbol | None = None) -> Row:
    worst = 0.0
    try:
        ranges = free_ranges(step, frame)
        for draw in draws:
            error = _error(draw, step, frame, ranges, carried)
            worst = worst if error <= worst else error
    except (DerivationError, ArithmeticError, KeyError, IndexError, ValueError, TypeError) as error:
        kind = "an index runs outside of its axis" if isinstance(error, (KeyError, IndexError)) else str(error)
        return _wrong(frame.quantity, kind, number, step.rule.name)
    problem = "" if worst <= TOLERANCE else "the two sides differ"  # NaN is no number that is small enough
    return Row(frame.quantity, number, step.rule.name, len(draws), worst, problem)


def _error(draw: Draw, step: Step, frame: Frame, ranges: Ranges, carried: Symbol | None) -> float:
    """The largest difference of the two sides at a point, relative to their largest entry.

    Where both sides are 0 in truth, what is left of them is rounding: with twice the digits it shrinks to nothing. A
    difference that does not shrink is one.
    """
    gap, scale = _gap(draw.point, step, frame, ranges, carried)
    if gap <= TOLERANCE * scale:
        return float(gap / scale) if scale else 0.0
    with NUMBERS.workdps(2 * DIGITS):
        finer_gap, finer_scale = _gap(draw.finer, step, frame, ranges, carried)
        if finer_scale <= TOLERANCE * scale:
            return 0.0
        return float(finer_gap / finer_scale)


def _gap(point: Point, step: Step, frame: Frame, ranges: Ranges, carried: Symbol | None) -> tuple[Any, Any]:
    """The largest difference of the two sides over all free letters, and their largest entry.

    carried: the example index, if a matrix form is about one example.
    """
    left, right = (_values(point, side, frame, ranges, carried) for side in (step.before, step.after))
    values: list[Any] = []
    gaps: list[Any] = []
    for place in places(tuple([point.extent(n) for n in ranges.values()])):
        one, other = left(place), right(place)
        values += (one, other)
        if one is not other:
            gaps.append(one - other)
    scale = largest(values)
    if not NUMBERS.isfinite(scale):
        raise DerivationError("a side has no finite value")
    return largest(gaps), scale


def _values(point: Point, side: Basic, frame: Frame, ranges: Ranges, carried: Symbol | None) -> Callable[[Place], Any]:
    """The value of one side at a place: values for the letters of `ranges`, in their order."""
    letters = list(ranges)
    if not isinstance(side, MatrixExpression):
        return _entry_values(point, side, letters)
    axes = [letter for letter in frame.indices if letter != carried]
    shape = tuple(point.extent(ranges[letter]) for letter in axes)
    tables: dict[Place, Table] = {}
    fixed = [at for at, letter in enumerate(letters) if letter not in axes]
    inside = [letters.index(letter) for letter in axes]

    def value(place: Place) -> Any:
        chosen = tuple([place[at] for at in fixed])
        if chosen not in tables:
            around = dict(zip([letters[at] for at in fixed], chosen, strict=True))
            tables[chosen] = entries(matrix_value(point, side, around), len(axes))
            if set(tables[chosen]) != set(places(shape)):
                raise DerivationError("the matrix form has another shape")
        return tables[chosen][tuple([place[at] for at in inside])]

    return value


def _entry_values(point: Point, side: Basic, letters: list[Symbol]) -> Callable[[Place], Any]:
    """The value of an index expression at values for `letters`; each is computed once while one result is checked."""
    run = point.compile_plain(side)
    own = free_letters(side) if isinstance(side, Expr) else set(letters)
    axes = sorted((letter.name, at) for at, letter in enumerate(letters) if letter in own)
    where = [at for _, at in axes]
    known = point.values.setdefault(side, {})
    all_in_order = where == list(range(len(letters)))

    def value(place: Place) -> Any:
        chosen = place if all_in_order else tuple([place[at] for at in where])
        found = known.get(chosen)
        if found is None:
            found = known[chosen] = NUMBERS.make_mpf(run(dict(zip(letters, place, strict=True))))
        return found

    return value


def free_ranges(step: Step, frame: Frame) -> Ranges:
    """The sizes that the free letters of a step run over, read off the axes they stand at.

    Raises:
        DerivationError: if a letter stands at axes of different sizes, which a dropped transpose does.
    """
    ranges: dict[Symbol, Expr] = {}
    deltas: list[tuple[tuple[Basic, Expr | None], ...]] = []
    for letter, extent in zip(frame.indices, frame.shape, strict=True):
        ranges[letter] = extent
    stack: list[tuple[Basic, dict[Symbol, Expr]]] = [(side, {}) for side in (step.before, step.after)]
    while stack:
        node, bound = stack.pop()
        if isinstance(node, Sum):
            inner = dict(bound)
            inner.update((letter, high + 1) for letter, _, high in node.limits)
            stack.append((node.function, inner))
            continue
        if isinstance(node, Inner):
            stack.extend((part, {**bound, node.args[2]: node.args[3]}) for part in node.args[:2])
            continue
        if isinstance(node, (SumOver, Stacked, Abreast)):
            stack.append((node.args[2], {**bound, node.args[0]: node.args[1]}))
            continue
        if isinstance(node, Unit) and isinstance(node.args[0], Symbol) and node.args[0] not in bound:
            ranges.setdefault(node.args[0], node.args[1])
        if isinstance(node, KroneckerDelta):
            deltas.append(tuple((one, bound.get(one)) for one in node.args))
        if isinstance(node, Indexed):
            tensor = frame.tensors[key_of(node) or ""]
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
