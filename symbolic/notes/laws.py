"""Laws of vector calculus, each told and checked on functions that a setting computes: what is said of f holds there.

Every function takes a setting and keys of its tensors and makes a chain; the setting's equations are never looked at.
"""

from __future__ import annotations

from sympy import Basic, Expr, Integer, Sum, Symbol

from symbolic.calculus import substitute_indices
from symbolic.expressions import PartialDerivative, Spelled, TotalDerivative
from symbolic.matrices import (
    Abreast,
    ArrayOf,
    Diagonal,
    EntryGradient,
    FunctionSlope,
    Gradient,
    Jacobian,
    Product,
    Scalar,
    Stacked,
    TotalJacobian,
    Transpose,
)
from symbolic.notes.exposition import Chain, Setting
from symbolic.rules import DIAGONAL_JACOBIAN, DIFFERENTIATE, GRADIENT, JACOBIAN, PRODUCT, TOTAL, Rule, Step
from symbolic.tensors import index, over


def gradient_law(setting: Setting, of: str, by: str, value: bool = False) -> Chain:
    """The gradient of a scalar as the column of its derivatives; value: and as what they were derived to be."""
    f, x = setting.tensor(of), setting.tensor(by)
    (letter,), (extent,) = x.indices, x.shape
    lines: list[tuple[Rule, Basic]] = [
        (GRADIENT, Stacked(letter, extent, Scalar(TotalDerivative(f.element, x.element))))
    ]
    if value:
        result = setting.derivation[f"d{by}"]
        form = substitute_indices(result.steps[-1].after, dict(zip(result.indices, x.indices, strict=True)))
        lines.append((DIFFERENTIATE, Stacked(letter, extent, Scalar(form))))
    return _chain(setting, Gradient(ArrayOf(of), ArrayOf(by)), lines, x.indices, x.shape)


def jacobian_law(setting: Setting, of: str, by: str) -> Chain:
    """The Jacobian as the columns of derivatives by each x_j, as the gradients turned, and as a table."""
    f, x = setting.tensor(of), setting.tensor(by)
    rows, columns = (*f.indices, *f.shape), (*x.indices, *x.shape)
    slope = Scalar(TotalDerivative(f.element, x.element))
    lines = [
        (JACOBIAN, Abreast(*columns, TotalJacobian(ArrayOf(of), x.element))),
        (JACOBIAN, Stacked(*rows, Transpose(EntryGradient(f.element, ArrayOf(by))))),
        (JACOBIAN, Stacked(*rows, Abreast(*columns, slope))),
    ]
    head = TotalJacobian(ArrayOf(of), ArrayOf(by))
    return _chain(setting, head, lines, (*f.indices, *x.indices), (*f.shape, *x.shape))


def total_law(setting: Setting, of: str, through: str, by: str, at: int | None = None) -> Chain:
    """df/dx_j as the sum over i of df/dg_i dg_i/dx_j, written term by term and with a sign; at: the number of j."""
    f, g, x = (setting.tensor(key) for key in (of, through, by))
    place: tuple[Expr, ...] = x.indices if at is None else (Integer(at),)
    (letter,), (extent,) = g.indices, g.shape
    total = Sum(TotalDerivative(f.element, g.element) * TotalDerivative(g.element, x[place]), over(letter, extent))
    lines = [(TOTAL, Spelled(total))] if at is not None else [(TOTAL, Spelled(total)), (TOTAL, total)]
    letters = [one for one in place if isinstance(one, Symbol)]
    shape = x.shape if letters else ()
    return _chain(setting, TotalDerivative(f.element, x[place]), lines, tuple(letters), shape, "component")


def product_law(setting: Setting, of: str, through: str, by: str) -> Chain:
    """The Jacobian of f(g(x)): gradients turned, a table, the law of total derivatives in it, a product."""
    f, g, x = (setting.tensor(key) for key in (of, through, by))
    rows, columns = (*f.indices, *f.shape), (*x.indices, *x.shape)
    (letter,), (extent,) = g.indices, g.shape
    total = Sum(TotalDerivative(f.element, g.element) * TotalDerivative(g.element, x.element), over(letter, extent))
    lines = [
        (JACOBIAN, Stacked(*rows, Transpose(EntryGradient(f.element, ArrayOf(by))))),
        (JACOBIAN, Stacked(*rows, Abreast(*columns, Scalar(TotalDerivative(f.element, x.element))))),
        (TOTAL, Stacked(*rows, Abreast(*columns, Scalar(total)))),
        (PRODUCT, Product(TotalJacobian(ArrayOf(of), ArrayOf(through)), TotalJacobian(ArrayOf(through), ArrayOf(by)))),
    ]
    head = TotalJacobian(ArrayOf(of), ArrayOf(by))
    return _chain(setting, head, lines, (*f.indices, *x.indices), (*f.shape, *x.shape))


def diagonal_law(setting: Setting, of: str, by: str) -> Chain:
    """The Jacobian of an elementwise function as a table, and as a diagonal matrix."""
    a, z = setting.tensor(of), setting.tensor(by)
    (row,), (extent,) = a.indices, a.shape
    column = index("s") if row != index("s") else index("j")
    slope = Scalar(PartialDerivative(a[row], z[column]))
    lines = [
        (JACOBIAN, Stacked(row, extent, Abreast(column, *z.shape, slope))),
        (DIAGONAL_JACOBIAN, Diagonal(FunctionSlope(ArrayOf(of), ArrayOf(by)))),
    ]
    head = Jacobian(ArrayOf(of), ArrayOf(by))
    return _chain(setting, head, lines, (row, column), (extent, *z.shape))


def _chain(
    setting: Setting, head: Basic, lines: list[tuple[Rule, Basic]], indices: tuple[Symbol, ...],
    shape: tuple[Expr, ...], form: str = "matrix",
) -> Chain:  # fmt: skip
    before, steps = head, []
    for rule, after in lines:
        steps.append(Step(rule, before, after))
        before = after
    return Chain(setting, str(head), (head,), indices, shape, tuple(steps), form)
