"""Index expression -> matrix notation, by structure alone: which index stands where, and which is summed
over.

Sum_s W[j, s] a[s] is W a because s is the last axis of W and the only one of a; nothing here knows what W
is. What matrices cannot say is refused with `NoMatrixForm`, and the page then keeps the index form of that
line.

An expression that carries the example index p free is about one example: `ArrayOf("a1", p)` is then the
column of that example. Under a sum over p it becomes `SumOver`. Written with `example=None` the
examples' axis is an axis like any other, which gives the stacked form: (1/N) Delta^T A for (1/N) Sum_p
delta_p a_p^T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import permutations

from sympy import (
    Add,
    And,
    Basic,
    Expr,
    Function,
    Indexed,
    Integer,
    KroneckerDelta,
    Lambda,
    Mul,
    Not,
    Or,
    Piecewise,
    Pow,
    Sum,
    Symbol,
    default_sort_key,
)
from sympy.core.relational import Relational
from sympy.core.traversal import preorder_traversal
from sympy.logic.boolalg import BooleanAtom

from symbolic.errors import NoMatrixForm
from symbolic.expressions import (
    Applied,
    Differentiated,
    Entry,
    FunctionDerivative,
    Inner,
    PartialDerivative,
    TotalDerivative,
    Undefined,
)
from symbolic.matrices import (
    ArrayOf,
    Diagonal,
    Elementwise,
    FunctionOf,
    FunctionSlope,
    Gradient,
    Hadamard,
    Identity,
    Jacobian,
    MatrixExpression,
    Ones,
    PartialGradient,
    Plus,
    Product,
    Scalar,
    Scale,
    SumOver,
    Transpose,
)
from symbolic.tensors import Tensor, elements, free_letters, indices_of, key_of


def matrix_form(
    expression: Expr,
    indices: Sequence[Symbol],
    tensors: Mapping[str, Tensor],
    example: Symbol | None = None,
    shape: Sequence[Expr] = (),
) -> MatrixExpression:
    """`expression` in matrix notation.

    indices: the free indices in the order of the axes of the result: () gives a scalar, (j,) a column, (j,
    s) a matrix
             with rows j. The example index may stand among them or be left out; it makes no axis.
    tensors: every tensor of the expression by its key.
    shape:   sizes for `indices`; needed only where the expression does not mention an index.

    Raises:
        NoMatrixForm: matrices cannot say it; names the part that they cannot.
    """
    axes = tuple(letter for letter in indices if letter != example)
    extents = {letter: _extent(expression, letter, tensors) for letter in axes}
    if shape:
        extents.update((letter, n) for letter, n in zip(indices, shape, strict=True) if letter in axes)
    if len(axes) > 2:
        raise NoMatrixForm(f"an array with {len(axes)} axes has no matrix form: {expression}")
    return _Writer(tensors, example).write(expression, axes, extents)


def stacked_form(
    expression: Expr, indices: Sequence[Symbol], tensors: Mapping[str, Tensor], shape: Sequence[Expr] = ()
) -> MatrixExpression:
    """`expression` for all examples at once: matrices whose rows are the examples, and no sum over examples.

    Raises:
        NoMatrixForm: as `matrix_form`.
    """
    return matrix_form(expression, indices, tensors, None, shape)


def arrays(expression: Basic) -> Iterable[ArrayOf]:
    """Every `ArrayOf` in a matrix expression, left to right, repetitions included."""
    return (node for node in preorder_traversal(expression) if isinstance(node, ArrayOf))


def transpose(node: Basic) -> Basic:
    """The transpose; twice is nothing, and a symmetric node stays."""
    if isinstance(node, Transpose):
        return node.args[0]
    return node if isinstance(node, (Diagonal, Identity, Scalar)) else Transpose(node)


def product(*nodes: Basic) -> Basic:
    """Matrix product; scalars move to the front, the identity drops out."""
    flat = _flat(Product, nodes)
    scalars = [c for node in flat if isinstance(node, Scale) for c in node.args[:-1]]
    bare = _flat(Product, [n.args[-1] if isinstance(n, Scale) else n for n in flat])
    kept = [node for node in bare if not isinstance(node, Identity)] or bare[:1]
    return scale(scalars, kept[0] if len(kept) == 1 else Product(*kept))


def hadamard(nodes: Sequence[Basic]) -> Basic:
    """Entry by entry product, in SymPy's order; ones drop out, scalars move to the front."""
    flat = _flat(Hadamard, nodes)
    scalars = [c for node in flat if isinstance(node, Scale) for c in node.args[:-1]]
    bare = _flat(Hadamard, [n.args[-1] if isinstance(n, Scale) else n for n in flat])
    kept = [node for node in bare if not isinstance(node, Ones)] or bare[:1]
    return scale(scalars, kept[0] if len(kept) == 1 else Hadamard(*sorted(kept, key=default_sort_key)))


def plus(nodes: Sequence[Basic]) -> Basic:
    """The sum, in SymPy's order; plain numbers and sizes are gathered into one."""
    flat = _flat(Plus, nodes)
    numbers = [node for node in flat if isinstance(node, Scalar)]
    if len(numbers) > 1:
        flat = [*(node for node in flat if node not in numbers), Scalar(Add(*(number.args[0] for number in numbers)))]
    return flat[0] if len(flat) == 1 else Plus(*sorted(flat, key=default_sort_key))


def scale(scalars: Sequence[Basic], node: Basic) -> Basic:
    """Scalars times an array, all plain numbers and sizes gathered into one in front, the others in SymPy's order."""
    everything = _flat(Scale, [*scalars, node])
    coefficient = Mul(*(part.args[0] for part in everything if isinstance(part, Scalar)))
    others = [part for part in everything if not isinstance(part, Scalar)]
    if not others:
        return Scalar(coefficient)
    others = [*sorted(others[:-1], key=default_sort_key), others[-1]]
    kept = others if coefficient == 1 else [Scalar(coefficient), *others]
    return kept[0] if len(kept) == 1 else Scale(*kept)


def letters_of(arrays: Iterable[Basic]) -> dict[Basic, Symbol]:
    """The letters t_1, t_2, ... that stand for arrays in an entrywise function, in SymPy's order of the arrays."""
    # No assumption `real`: a real symbol would pass for a scalar tensor.
    ordered = sorted(dict.fromkeys(arrays), key=default_sort_key)
    return {array: Symbol(f"t_{n}") for n, array in enumerate(ordered, start=1)}


def _flat(kind: type[Basic], nodes: Iterable[Basic]) -> list[Basic]:
    return [part for node in nodes for part in (node.args if isinstance(node, kind) else (node,))]


def _extent(expression: Expr, letter: Symbol, tensors: Mapping[str, Tensor]) -> Expr | None:
    """The size of the axis at which `letter` stands, read off the first tensor that has it there."""
    for element in elements(expression):
        tensor = tensors.get(key_of(element) or "")
        if tensor is not None:
            for position, extent in zip(indices_of(element), tensor.shape, strict=True):
                if position == letter:
                    return extent
    return None


class _Writer:
    """Writes one expression. `extents` holds the size of every index in scope, free or bound."""

    def __init__(self, tensors: Mapping[str, Tensor], example: Symbol | None) -> None:
        self.tensors = tensors
        self.example = example

    def write(self, expression: Expr, axes: tuple[Symbol, ...], extents: Mapping[Symbol, Expr | None]) -> Basic:
        """The array with entries `expression`, one axis for each of `axes`: (), (row,) or (row, column)."""
        if isinstance(expression, Add):
            return plus([self.write(term, axes, extents) for term in expression.args])
        missing = [letter for letter in axes if letter not in free_letters(expression)]
        if missing:
            return self._spread(expression, axes, extents, missing)
        if isinstance(expression, Mul):
            return self._product(list(expression.args), axes, extents)
        if isinstance(expression, Sum):
            return self._sum(expression, axes, extents)
        if key_of(expression) is not None:
            return self._array(expression, axes)
        if isinstance(expression, KroneckerDelta):
            if len(axes) == 2 and set(expression.args) == set(axes):
                return Identity(self._size(expression, axes, extents))
            raise NoMatrixForm(f"matrix notation has no {expression} with the axes {axes}")
        if isinstance(expression, Applied) and len(axes) == 1:
            return FunctionOf(self._array(expression.element, axes), self.write(expression.argument, axes, extents))
        if isinstance(expression, Entry) and expression.indices == axes:
            return expression.array
        if isinstance(expression, FunctionDerivative):
            return FunctionSlope(self.write(expression.of, axes, extents), self.write(expression.by, axes, extents))
        if isinstance(expression, (TotalDerivative, PartialDerivative)):
            return self._derivative(expression, axes)
        if not self._varies(expression, extents):
            return Scalar(expression)
        if isinstance(expression, (Pow, Function, Piecewise, Undefined)):
            return self._entrywise(expression, axes, extents)
        raise NoMatrixForm(f"matrix notation has no form for {expression}")

    def _varies(self, expression: Basic, extents: Mapping[Symbol, Expr | None]) -> bool:
        """Whether a tensor, an index, a sum or a derivative occurs in it, so that it is no plain number
        or size.
        """
        kinds = (
            Sum,
            Indexed,
            KroneckerDelta,
            TotalDerivative,
            PartialDerivative,
            FunctionDerivative,
            Undefined,
            Applied,
            Differentiated,
            Inner,
            Entry,
        )
        return any(
            isinstance(node, kinds) or (isinstance(node, Symbol) and self._is_letter(node, extents))
            for node in preorder_traversal(expression)
        )

    def _is_letter(self, node: Symbol, extents: Mapping[Symbol, Expr | None]) -> bool:
        return node in extents or node == self.example or node.name in self.tensors or key_of(node) is not None

    def _size(self, expression: Expr, letters: Iterable[Expr], extents: Mapping[Symbol, Expr | None]) -> Expr:
        for letter in letters:
            extent = extents.get(letter)
            if extent is not None:
                return extent
        raise NoMatrixForm(f"the size of the axis of {', '.join(map(str, letters))} is not known in {expression}")

    def _spread(
        self,
        expression: Expr,
        axes: tuple[Symbol, ...],
        extents: Mapping[Symbol, Expr | None],
        missing: list[Symbol],
    ) -> Basic:
        """The same value along an axis that the expression does not mention."""
        inner = self.write(expression, tuple(letter for letter in axes if letter not in missing), extents)
        ones = {letter: Ones(self._size(expression, [letter], extents)) for letter in missing}
        if len(axes) == 1:
            return scale([inner], ones[axes[0]])
        if len(missing) == 2:
            return scale([inner], Product(ones[axes[0]], Transpose(ones[axes[1]])))
        if missing[0] == axes[0]:
            return product(ones[axes[0]], transpose(inner))
        return product(inner, Transpose(ones[axes[1]]))

    def _array(self, element: Expr, axes: tuple[Symbol, ...]) -> Basic:
        key = key_of(element)
        tensor = self.tensors.get(key or "")
        if key is None or tensor is None:
            raise NoMatrixForm(f"{element} is no element of a known tensor")
        positions = indices_of(element)
        at_example = [n for n, position in enumerate(positions) if position == self.example]
        kept = tuple(position for position in positions if position != self.example)
        if at_example and (len(at_example) > 1 or tensor.indices[at_example[0]] != self.example):
            raise NoMatrixForm(f"{element}: the example index stands at an axis that is not the examples'")
        if not at_example and self.example is not None and self.example in tensor.indices:
            raise NoMatrixForm(f"{element} is not about the example {self.example}")
        array = ArrayOf(key, self.example) if at_example else ArrayOf(key)
        if kept == axes:
            return array
        if len(axes) == 2 and kept == axes[::-1]:
            return Transpose(array)
        raise NoMatrixForm(f"{element} is no array with the axes ({', '.join(map(str, axes))})")

    def _derivative(self, expression: TotalDerivative | PartialDerivative, axes: tuple[Symbol, ...]) -> Basic:
        total = isinstance(expression, TotalDerivative)
        above = tuple(n for n in indices_of(expression.of) if n != self.example)
        below = tuple(n for n in indices_of(expression.by) if n != self.example)
        if not above:
            by = self._array(expression.by, below)
            gradient = (Gradient if total else PartialGradient)(self._array(expression.of, ()), by)
            if below == axes:
                return gradient
            if len(axes) == 2 and below == axes[::-1]:
                return Transpose(gradient)
        if not total and len(above) == len(below) == 1 and above != below:
            jacobian = Jacobian(self._array(expression.of, above), self._array(expression.by, below))
            if above + below == axes:
                return jacobian
            if below + above == axes:
                return Transpose(jacobian)
        raise NoMatrixForm(f"matrix notation has no array of the derivatives {expression}")

    def _entrywise(self, expression: Expr, axes: tuple[Symbol, ...], extents: Mapping[Symbol, Expr | None]) -> Basic:
        arrays: dict[Basic, Basic] = {}

        def condition(part: Basic, change: Callable[[Basic], Basic]) -> Basic:
            if isinstance(part, BooleanAtom):
                return part
            if isinstance(part, Relational):
                return part.func(change(part.lhs), change(part.rhs), evaluate=False)
            if isinstance(part, (And, Or, Not)):
                return part.func(*(condition(inner, change) for inner in part.args), evaluate=False)
            raise NoMatrixForm(f"matrix notation has no form for the condition {part}")

        def body(change: Callable[[Basic], Basic]) -> Basic:
            if isinstance(expression, Piecewise):
                pairs = [(change(value), condition(test, change)) for value, test in expression.args]
                return Piecewise(*pairs, evaluate=False)
            return expression.func(*(change(part) for part in expression.args))

        def collect(part: Basic) -> Basic:
            if isinstance(part, Expr) and self._varies(part, extents):
                arrays[part] = self.write(part, axes, extents)
            return part

        body(collect)
        slots = letters_of(array for array in arrays.values() if not isinstance(array, Scalar))
        places = {part: slots.get(array) or array.args[0] for part, array in arrays.items()}
        inner = body(lambda part: places.get(part, part))
        return Elementwise(Lambda(tuple(slots.values()), inner), *slots) if slots else Scalar(inner)

    def _product(self, factors: list[Expr], axes: tuple[Symbol, ...], extents: Mapping[Symbol, Expr | None]) -> Basic:
        if len(axes) == 2:
            bracket = next((f for f in factors if isinstance(f, Add) and _joins(f, axes)), None)
            if bracket is not None:
                rest = Mul(*(f for f in factors if f is not bracket))
                return plus([self.write(rest * term, axes, extents) for term in bracket.args])
            delta = next((f for f in factors if isinstance(f, KroneckerDelta) and set(f.args) == set(axes)), None)
            if delta is not None:
                row, column = axes
                rest = Mul(*(f for f in factors if f is not delta)).xreplace({column: row})
                if row not in free_letters(rest):
                    unit = Identity(self._size(delta, axes, extents))
                    return scale([self.write(rest, (), extents)], unit)
                return Diagonal(self.write(rest, (row,), extents))
        groups: dict[tuple[Symbol, ...], list[Basic]] = {}
        for factor in factors:
            there = tuple(letter for letter in axes if letter in free_letters(factor))
            groups.setdefault(there, []).append(self.write(factor, there, extents))
        scalars = groups.get((), [])
        if not axes:
            return scale(scalars[:-1], scalars[-1])
        if len(axes) == 1:
            return scale(scalars, hadamard(groups[axes]))
        left, right = (hadamard(groups[(n,)]) if (n,) in groups else None for n in axes)
        if axes not in groups:
            assert left is not None and right is not None, "an axis that no factor mentions is spread before"
            return scale(scalars, product(left, transpose(right)))
        parts = [hadamard(groups[axes])]
        if left is not None:
            parts.insert(0, Diagonal(left))
        if right is not None:
            parts.append(Diagonal(right))
        return scale(scalars, parts[0] if len(parts) == 1 else product(*parts))

    def _sum(self, expression: Sum, axes: tuple[Symbol, ...], extents: Mapping[Symbol, Expr | None]) -> Basic:
        body, limits = expression.function, tuple(expression.limits)
        if any(len(limit) != 3 or limit[1] != 0 for limit in limits):
            raise NoMatrixForm(f"{expression} does not run over a whole axis")
        for limit in limits:
            if limit[0] == self.example:
                others = tuple(other for other in limits if other != limit)
                inner = Sum(body, *others) if others else body
                return SumOver(limit[0], limit[2] + 1, self.write(inner, axes, extents))
        if len(limits) > 1:
            return self._nested(expression, axes, extents)
        letter, _, last = limits[0]
        inside = {**extents, letter: last + 1}
        if isinstance(body, Add):
            return plus([self.write(Sum(term, limits[0]), axes, extents) for term in body.args])
        factors = list(Mul.make_args(body))
        outer = [factor for factor in factors if letter not in free_letters(factor)]
        if len(outer) == len(factors):
            return self.write(body * (last + 1), axes, extents)
        if outer:
            rest = Sum(Mul(*(f for f in factors if letter in free_letters(f))), limits[0])
            return self._product([*outer, rest], axes, extents)
        return self._contraction(_squares_apart(factors), letter, axes, inside)

    def _nested(self, expression: Sum, axes: tuple[Symbol, ...], extents: Mapping[Symbol, Expr | None]) -> Basic:
        """Several sums: one inside the other, in the first order that matrices can say."""
        refusal: NoMatrixForm | None = None
        for first, *others in permutations(reversed(expression.limits)):
            factors = Mul.make_args(expression.function)
            inner = Mul(*(f for f in factors if first[0] in free_letters(f)))
            outer = Mul(*(f for f in factors if first[0] not in free_letters(f)))
            try:
                if outer == 1:
                    return self._summed_up(Sum(inner, first), others, axes, extents)
                return self.write(Sum(outer * Sum(inner, first), *others), axes, extents)
            except NoMatrixForm as error:
                refusal = error
        raise refusal or NoMatrixForm(f"{expression} has no matrix form")

    def _summed_up(
        self,
        inner: Sum,
        limits: Sequence[Sequence[Expr]],
        axes: tuple[Symbol, ...],
        extents: Mapping[Symbol, Expr | None],
    ) -> Basic:
        """The entries of an array added up along its last axis, which is all that a sum without factors
        does.
        """
        if len(limits) > 1 or len(axes) > 1:
            raise NoMatrixForm(f"{inner} has more axes than a matrix")
        letter, _, last = limits[0]
        array = self.write(inner, (*axes, letter), {**extents, letter: last + 1})
        return product(array, Ones(last + 1)) if axes else product(Transpose(Ones(last + 1)), array)

    def _contraction(
        self,
        factors: list[Expr],
        letter: Symbol,
        axes: tuple[Symbol, ...],
        extents: Mapping[Symbol, Expr | None],
    ) -> Basic:
        """Sum over `letter` of a product in which every factor has it."""
        if len(axes) == 1:
            factors = _attach(factors, letter, axes[0])
        groups: dict[tuple[Symbol, ...], list[Expr]] = {}
        for factor in factors:
            groups.setdefault(tuple(n for n in axes if n in free_letters(factor)), []).append(factor)
        vectors = groups.pop((), [])
        columns = [self.write(factor, (letter,), extents) for factor in vectors]
        if not axes:
            if len(columns) == 1:
                return product(Transpose(Ones(self._size(factors[0], [letter], extents))), columns[0])
            columns.sort(key=self._inner_rank)
            return product(transpose(hadamard(columns[:-1])), columns[-1])
        if len(axes) == 1:
            matrix = self.write(Mul(*groups[axes]), (axes[0], letter), extents)
            column = hadamard(columns) if columns else Ones(self._size(factors[0], [letter], extents))
            return product(matrix, column)
        row, last = axes
        if axes in groups:
            raise NoMatrixForm(f"{Mul(*groups[axes])} has three axes ({row}, {letter}, {last}), and matrices have two")
        parts = [self.write(Mul(*groups[(row,)]), (row, letter), extents)]
        if columns:
            parts.append(Diagonal(hadamard(columns)))
        return product(*parts, self.write(Mul(*groups[(last,)]), (letter, last), extents))

    def _inner_rank(self, node: Basic) -> tuple[bool, int]:
        """In an inner product u^T v: named arrays before sums before functions, adjoints last."""
        late = any(self.tensors[array.key].role == "adjoint" for array in arrays(node)) or node.has(Gradient)
        kind = 0 if isinstance(node, ArrayOf) else 1 if isinstance(node, Plus) else 2
        return late, kind


def _joins(expression: Expr, letters: Iterable[Symbol]) -> bool:
    """Whether a Kronecker delta of exactly these two letters stands in it."""
    wanted = set(letters)
    return any(set(delta.args) == wanted for delta in expression.atoms(KroneckerDelta))


def _squares_apart(factors: Iterable[Expr]) -> list[Expr]:
    """f**2 as f times f, so that a sum of squares becomes u^T u."""
    apart: list[Expr] = []
    for factor in factors:
        apart += [factor.base] * 2 if isinstance(factor, Pow) and factor.exp == Integer(2) else [factor]
    return apart


def _attach(factors: list[Expr], letter: Symbol, axis: Symbol) -> list[Expr]:
    """Multiply a factor u_k into ([k = j] - u_j), so that the bracket becomes diag(u) - u u^T."""
    for bracket in factors:
        if isinstance(bracket, Add) and _joins(bracket, (letter, axis)):
            for factor in factors:
                twin = factor.xreplace({letter: axis})
                if factor is not bracket and axis not in free_letters(factor) and bracket.has(factor, twin):
                    rest = [f for f in factors if f is not bracket and f is not factor]
                    return [*rest, Add(*(factor * term for term in bracket.args))]
    return factors
