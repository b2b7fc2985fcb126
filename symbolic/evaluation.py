"""An independent evaluator: numbers for index expressions, and derivatives by their meaning.

It knows nothing of the rules that derive: it shares no code with calculus or deltaform. A tensor is a table of mpmath
numbers with 50 digits. A derivative is taken by its meaning. TotalDerivative(u, v): disturb v, recompute every equation
downstream, see how u moves. PartialDerivative(u, v): disturb v in the one equation that defines u.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sympy import Basic, Expr, Symbol

from symbolic.duals import compile_node
from symbolic.errors import DerivationError
from symbolic.plainvalues import Bare, compile_plain
from symbolic.precision import NUMBERS, Compiled, Dual, Place, Slopes, Table, numeric_size, places
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, elements, key_of


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
        self.sides: dict[tuple[Basic, Place], bool] = {}  # what each condition said, by the values of its letters
        self.compiled: dict[Basic, Compiled] = {}
        self.plain: dict[Basic, Bare] = {}
        self.lasting: dict[Basic, Compiled] = {}  # of the program's equations
        self.values: dict[Basic, Table] = {}  # of expressions, kept by whoever asks for them more than once
        self.matrix_values: dict[Any, Any] = {}  # of matrix expressions, likewise
        self.known_extents: dict[Expr, int] = {}
        self.slopes: dict[tuple[str, str], dict[Place, Table]] = {}
        self.totals: dict[str, dict[str, dict[Place, Table]]] = {}
        self.tensors = self.program.tensors
        self.waves: dict[str, list[tuple[Any, list[Any], Any]]] = {}
        for equation in self.program.equations:
            self.tables[equation.tensor.key] = {
                place: value for place, (value, _) in self._run(equation, equation.rhs).items()
            }
        self.lasting, self.compiled = self.compiled, {}

    def extents(self, tensor: Tensor) -> tuple[int, ...]:
        return tuple([self.extent(one) for one in tensor.shape])

    def extent(self, one: Expr) -> int:
        if one not in self.known_extents:
            self.known_extents[one] = numeric_size(one, self.sizes)
        return self.known_extents[one]

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
                for at in places(self.extents(equation.tensor)):
                    for place, slope in self._slopes(equation, at, by).items():
                        table = tables[place]
                        for end, weight in outer[at].items():
                            table[end] = table[end] + weight * slope if end in table else weight * slope
        return found

    def _slopes(self, equation: Equation, at: Place, by: str) -> Table:
        """How one element of an equation's tensor moves when each element of `by` is disturbed in it alone."""
        known = self.slopes.setdefault((equation.tensor.key, by), {})
        if at not in known:
            every = {place: Slopes({place: NUMBERS.one}) for place in places(self.extents(self.tensors[by]))}
            kept, self.tangents = self.tangents, {by: every}
            try:
                _, tangent = self.compile(equation.rhs)(dict(zip(equation.indices, at, strict=True)))
            finally:
                self.tangents = kept
            known[at] = tangent or {}
        return known[at]

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
        return self._slopes(self.program.definitions[of_key], of, by_key).get(by, NUMBERS.zero)

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
        run = self.lasting.get(node) or self.compiled.get(node)
        if run is None:
            run = self.compiled[node] = compile_node(self, node)
        return run

    def compile_plain(self, node: Basic) -> Bare:
        """A function from the values of the free letters to the bare number of the expression, nothing disturbed."""
        if node not in self.plain:
            self.plain[node] = compile_plain(self, node)
        return self.plain[node]

    def forget(self) -> None:
        """Drop what was kept of expressions that are not the program's."""
        self.values.clear()
        self.matrix_values.clear()
        self.compiled.clear()
        self.plain.clear()

    def value(self, node: Expr, letters: dict[Symbol, int]) -> Any:
        return self.compile(node)(letters)[0]

    def compile_with(self, node: Expr, slots: tuple[Symbol, ...]) -> Callable[..., Any]:
        """A function of numbers for the symbols in `slots`, for an expression of those alone."""
        keys = [f"slot {slot.name}" for slot in slots]
        run = self.compile(node.xreplace({s: Symbol(k, real=True) for s, k in zip(slots, keys, strict=True)}))

        def call(*numbers: Any) -> Any:
            self.tables.update((key, {(): number}) for key, number in zip(keys, numbers, strict=True))
            return run({})[0]

        return call

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

    def slope_along(self, moving: dict[str, Table], value: Callable[[], Any]) -> Any:
        """The slope of a value when these tensors move along their tangents, taken numerically."""
        kept = self.tables, self.slopes, self.matrix_values
        tables = self.tables

        def at(amount: Any) -> Any:
            self.tables, self.slopes, self.matrix_values = dict(tables), {}, {}
            for key, table in moving.items():
                self.tables[key] = {
                    place: number + amount * table.get(place, NUMBERS.zero) for place, number in tables[key].items()
                }
            return value()

        try:
            return NUMBERS.diff(at, NUMBERS.zero)
        finally:
            self.tables, self.slopes, self.matrix_values = kept

    def wave(self, name: str, arity: int) -> list[tuple[Any, list[Any], Any]]:
        """What stands for an undefined function: three sines, each with height, frequencies and phase."""
        key = f"{name}/{arity}"
        if key not in self.waves:
            rng = random.Random(f"{self.seed}:{key}")

            def draw() -> Any:
                return NUMBERS.mpf(rng.randrange(300, 1300)) / 1000

            self.waves[key] = [(draw(), [draw() for _ in range(arity)], draw()) for _ in range(3)]
        return self.waves[key]
