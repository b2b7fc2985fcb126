"""The pass that decides how matrices of weights lie in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sympy import Add, Expr, Indexed, Integer, Mul, Sum, preorder_traversal

from codegen.passes.alike import OncePerKind
from codegen.passes.costs import Costs
from codegen.recording import tensors_in
from symbolic.tensors import Equation, Tensor, key_of

Size = Callable[[Expr], int]


def transposed_weights(
    equations: Sequence[Equation],
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, str],
    numbers: Mapping[Expr, Integer],
    costs: Costs,
    folds: bool,
) -> dict[str, tuple[int, ...]]:
    """Orders of axes for the matrices of weights, with their gradients, that are better kept the other way round.

    Compared are the products that a matrix or its gradient takes part in and, where biases can be folded in
    (`folds`), whether its bias can be its last row, which leaves the length of the rows as it is.

    gradients: key of the gradient by the key of its parameter.
    numbers:   the sizes that are numbers.
    """

    def size(extent: Expr) -> int:
        return int(numbers.get(extent) or extent.xreplace(numbers))

    parts_of = OncePerKind(_parts_of_products)
    readers: dict[str, list[Equation]] = {}
    for equation in equations:
        for key in tensors_in(equation):
            if key in gradients:
                readers.setdefault(key, []).append(equation)
    makers = {equation.tensor.key: equation for equation in equations}
    found: dict[str, tuple[int, ...]] = {}
    for key, gradient in gradients.items():
        if len(tensors[key].shape) != 2:
            continue
        plain = turned = 0.0
        for equation in (*readers.get(key, ()), makers[gradient]):
            parts = parts_of(equation)
            products = [_Product(*parts[at : at + 4]) for at in range(0, len(parts), 4)]
            plain += _cost(equation, products, (), size, costs)
            turned += _cost(equation, products, (key, gradient), size, costs)
            affine = _affine(equation, products, key, gradients) if folds else None
            if affine is not None:
                inputs, is_by_units = affine
                units, width = (size(extent) for extent in tensors[key].shape[:: 1 if is_by_units else -1])
                gain = min(0.0, costs.folded_bias(units, width, inputs in makers) - costs.bias(units))
                # The bias becomes the last row of (inputs, units).
                turned, plain = (turned + gain, plain) if is_by_units else (turned, plain + gain)
        if turned < plain:
            found |= {key: (1, 0), gradient: (1, 0)}
    return found


def _cost(equation: Equation, products: Sequence[_Product], turned: tuple[str, ...], size: Size, costs: Costs) -> float:
    """Microseconds of the products of matrices in an equation; `turned`: keys of matrices that lie transposed."""
    total = 0.0
    result = equation.indices[::-1] if equation.tensor.key in turned else equation.indices
    sizes = dict(zip(equation.indices, equation.tensor.shape, strict=True))
    for left, right, letter, extent in products:
        one, two = (e.indices[::-1] if key_of(e) in turned else e.indices for e in (left, right))
        found = _product_letters(one, two, letter, result)
        if found is not None:
            rows, columns, transposed = found
            total += costs.product(size(sizes[rows]), size(sizes[columns]), size(extent), transposed)
    return total


def _product_letters(
    left: Sequence[Expr], right: Sequence[Expr], bound: Expr, result: Sequence[Expr]
) -> tuple[Expr, Expr, tuple[bool, bool]] | None:
    """(row letter, column letter, which factors are transposed) of result = sum over `bound` of left * right, each
    with the letters of its axes; None for what is no product of two matrices.
    """
    if len(result) != 2:
        return None
    rows, columns = result
    if rows not in left:
        left, right = right, left
    if {rows, bound} != set(left) or {columns, bound} != set(right) or rows == columns:
        return None
    return rows, columns, (left[0] == bound, right[1] == bound)


class _Product(NamedTuple):
    """A sum over one letter of two elements of matrices."""

    left: Indexed
    right: Indexed
    letter: Expr
    extent: Expr


def _parts_of_products(equation: Equation) -> Iterator[Expr]:
    """The parts of each product of two matrices in an equation, one product after the other."""
    for total in preorder_traversal(equation.rhs):
        if isinstance(total, Sum) and len(total.limits) == 1:
            letter, _, high = total.limits[0]
            pair = [factor for factor in Mul.make_args(total.function) if letter in factor.free_symbols]
            if len(pair) == 2 and all(isinstance(factor, Indexed) and len(factor.indices) == 2 for factor in pair):
                yield from _Product(pair[0], pair[1], letter, high + 1)


def _affine(
    equation: Equation, products: Sequence[_Product], weights: str, gradients: Mapping[str, str]
) -> tuple[str, bool] | None:
    """The key of a in z = b + W a, with a parameter b that has a gradient, and whether W is (units, inputs)."""
    terms = Add.make_args(equation.rhs)
    biases = [term for term in terms if isinstance(term, Indexed) and len(term.indices) == 1]
    if len(terms) != 2 or len(biases) != 1 or key_of(biases[0]) not in gradients:
        return None
    for left, right, _, _ in products:
        if weights in (key_of(left), key_of(right)):
            matrix, inputs = (left, right) if key_of(left) == weights else (right, left)
            return str(key_of(inputs)), matrix.indices[0] == biases[0].indices[0]
    return None
