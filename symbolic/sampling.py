"""Where a derivation is checked: small sizes that stand in for the real ones, and values for the leaves.

A network of 784 inputs has the same equations as one of 3, so it is checked with 3. The values make the declared facts
true.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from sympy import Indexed, Piecewise, Sum, Symbol

from symbolic.errors import DerivationError
from symbolic.evaluation import Point
from symbolic.precision import NUMBERS, NotReal, Table, constant, numeric_size, places
from symbolic.programs import Program
from symbolic.tensors import Fact, elements, indices_of, key_of

# Stand-in sizes: small, and different for neighbouring axes, so that a dropped transpose does not fit.
STAND_IN_WIDTHS = (3, 2, 4)
# Of so many sizes most are smaller, at two of three points; neighbours still differ.
MANY_SIZES = 40
STAND_IN_WIDTHS_OF_MANY = (3, 2)
STAND_IN_EXAMPLES = (2, 3)
MOST_DRAWS = 40
# How many of them are looked at for a point at which the objective moves with every parameter.
DRAWS_THAT_MOVE = 12
NEAREST_KINK = NUMBERS.mpf("1e-6")


def stand_in_sizes(program: Program, turn: int = 0) -> dict[Symbol, int]:
    """Small numbers for the size symbols of a program, in the order in which its tensors mention them.

    turn: another number gives other sizes, so that a size cannot be taken for another one, or for a number, throughout.
    """
    sizes: dict[Symbol, int] = {}
    for tensor in program.tensors.values():
        for letter, extent in zip(tensor.indices, tensor.shape, strict=True):
            if letter == program.example and isinstance(extent, Symbol):
                sizes[extent] = STAND_IN_EXAMPLES[turn % len(STAND_IN_EXAMPLES)]
    count = turn
    shapes = [tensor.shape for tensor in program.tensors.values()]
    many = len({symbol for shape in shapes for extent in shape for symbol in extent.free_symbols}) >= MANY_SIZES
    widths = STAND_IN_WIDTHS_OF_MANY if many and turn % 3 < 2 else STAND_IN_WIDTHS
    for tensor in sorted(program.tensors.values(), key=lambda tensor: tensor.role == "target"):
        for extent in tensor.shape:
            for symbol in sorted(extent.free_symbols, key=str):
                if symbol not in sizes:
                    sizes[symbol] = widths[count % len(widths)]
                    count += 1
    return sizes


MakePoint = Callable[[dict[Symbol, int], dict[str, Table], int], Point]


def random_point(program: Program, sizes: dict[Symbol, int], seed: int, make: MakePoint) -> Point:
    """A random point at which everything is real and no condition is about to change its mind.

    Where there are conditions it is also one at which the objective moves with every parameter, if one can be found:
    where all units of a layer are on the flat side of relu, every derivative before them is 0, and 0 is right by any
    formula that has it as a factor.

    make: the point for sizes, leaves and a seed.

    Raises:
        DerivationError: if none is found; says what was in the way last.
    """
    reason = ""
    kept: Point | None = None
    for attempt in range(MOST_DRAWS):
        leaves = random_leaves(program, sizes, seed * MOST_DRAWS + attempt, positive=attempt >= MOST_DRAWS // 2)
        try:
            point = make(sizes, leaves, seed)
        except NotReal as error:
            reason = str(error)
            continue
        if point.kink_distance is None:
            return point
        if point.kink_distance <= NEAREST_KINK:
            reason = "a condition is at its kink"
            continue
        if _moves(point):
            return point
        kept = kept or point
        if attempt >= DRAWS_THAT_MOVE:
            break
    if kept is not None:
        return kept
    raise DerivationError(f"no random point was found at which the program has real values: {reason}")


def _moves(point: Point) -> bool:
    """Whether the objective moves with every parameter."""
    objective = point.program.objective
    slopes = (point.total(objective, leaf.key) for leaf in point.program.parameters)
    try:
        return all(any(moved.get((), 0) != 0 for moved in tables.values()) for tables in slopes)
    except NotReal:
        return True  # what has no slope is told by whoever asks for it


def point_on_kinks(program: Program, sizes: dict[Symbol, int], make: MakePoint) -> Point | None:
    """A point at which the first unit of every tensor that a condition looks at is exactly 0, and the rest is random.

    Reached by setting to 0 the parameters that lead straight to that unit. None if no condition then sits on its kink.
    """
    looked_at = {
        key_of(element)
        for equation in program.equations
        for piece in equation.rhs.atoms(Piecewise)
        for _, condition in piece.args
        for element in elements(condition)
    }
    if not looked_at:
        return None
    leaves = random_leaves(program, sizes, 0)
    parameters = {leaf.key for leaf in program.parameters}
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
        point = make(sizes, leaves, 0)
    except NotReal:
        return None
    return point if point.kink_distance == 0 else None


def random_leaves(program: Program, sizes: Mapping[Symbol, int], seed: int, positive: bool = False) -> dict[str, Table]:
    """Random values for the leaves, which make the declared facts true.

    Targets lie in (0, 1), everything else in (-1.3, 1.3) away from 0; with `positive`, in (0.1, 1.3).

    Raises:
        DerivationError: for a fact that is no sum of one leaf over one axis.
    """
    rng = random.Random(f"leaves:{seed}")
    tables: dict[str, Table] = {}
    for leaf in program.leaves:
        extents = tuple(numeric_size(one, sizes) for one in leaf.shape)
        table: Table = {}
        for place in places(extents):
            number = NUMBERS.mpf(rng.randrange(100_000_000, 900_000_000)) / 1_000_000_000
            if leaf.role != "target":
                number = number * NUMBERS.mpf("1.4")
                number = number if positive or rng.random() < 0.5 else -number
            table[place] = number
        tables[leaf.key] = table
    for fact in program.facts:
        _make_true(fact, program, tables)
    return tables


def _make_true(fact: Fact, program: Program, tables: dict[str, Table]) -> None:
    total = fact.before
    element = total.function if isinstance(total, Sum) and len(total.limits) == 1 else None
    key = key_of(element) if element is not None else None
    if key not in tables or not isinstance(element, Indexed) or not fact.after.is_number:
        raise DerivationError(f"no random values are known that make the fact {fact.statement!r} true")
    axis = list(element.indices).index(total.limits[0][0])
    goal = constant(fact.after)
    sums: Table = {}
    for place, value in tables[key].items():
        rest = place[:axis] + place[axis + 1 :]
        sums[rest] = sums.get(rest, NUMBERS.zero) + value
    tables[key] = {place: value * goal / sums[place[:axis] + place[axis + 1 :]] for place, value in tables[key].items()}
