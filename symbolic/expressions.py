"""The few expression kinds that SymPy does not have: unevaluated derivatives, undefined functions, ways to write.

`TotalDerivative(L, v)` is how much L changes when v is disturbed and everything downstream is computed again.
`PartialDerivative(u, v)` is how much the one equation that defines u changes when v is disturbed in it and all
other tensors of that equation are held. The chain rule joins them: dL/dv = sum over u of dL/du * partial u/partial v.

`Undefined(name, orders, arguments)` is a function of which only the name is known, such as an activation g(z) or a
cost c(y, h). `orders` counts how often it was differentiated with respect to each argument, so g' is again a function.

The last four are ways to write what the others say, as notes do on their way: `Differentiated` is d/dv of an expression
that is written out; `Inner` a sum over products, written as the inner product of two vectors; `Entry` one entry of a
matrix expression, (W^T u)_j; `Applied` a function applied to more than a name, sigma(W a + b)_k.
"""

from __future__ import annotations

from typing import Any

from sympy import Basic, Expr, Integer, Sum, Symbol, Tuple
from sympy.core.symbol import Str


class _DerivativeOf(Expr):
    """An unevaluated derivative of one tensor element by another."""

    is_commutative = True
    sign = "d"

    def __new__(cls, of: Expr, by: Expr) -> _DerivativeOf:
        return Expr.__new__(cls, of, by)

    @property
    def of(self) -> Expr:
        return self.args[0]

    @property
    def by(self) -> Expr:
        return self.args[1]

    def _sympystr(self, printer: Any) -> str:
        return f"{self.sign}{printer.doprint(self.of)}/{self.sign}{printer.doprint(self.by)}"


class TotalDerivative(_DerivativeOf):
    """d of / d by, through every path that leads from `by` to `of`. Arguments: two tensor elements."""


class PartialDerivative(_DerivativeOf):
    """Derivative of the equation that defines `of`, by `by` alone. Arguments: two tensor elements."""

    sign = "partial "


class FunctionDerivative(_DerivativeOf):
    """f'(argument) for a function of one variable that an equation names: sigma'(z_j), not yet evaluated.

    Arguments: the element a_j = f(z_j) that the function gives, and the element z_j that it takes.
    """


class Undefined(Expr):
    """A function of which only the name is known, applied to `arguments` and differentiated `orders` times."""

    is_commutative = True

    def __new__(cls, name: Any, orders: Any, *arguments: Expr) -> Undefined:
        label = name if isinstance(name, Str) else Str(str(name))
        counts = orders if isinstance(orders, Tuple) else Tuple(*(Integer(n) for n in orders))
        return Expr.__new__(cls, label, counts, *arguments)

    @classmethod
    def function(cls, name: str, *arguments: Expr) -> Undefined:
        """The function itself, not differentiated."""
        return cls(name, (0,) * len(arguments), *arguments)

    @property
    def name(self) -> str:
        return self.args[0].name

    @property
    def orders(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.args[1])

    @property
    def arguments(self) -> tuple[Expr, ...]:
        return self.args[2:]

    def _sympystr(self, printer: Any) -> str:
        inside = ", ".join(printer.doprint(argument) for argument in self.arguments)
        if len(self.orders) == 1:
            return f"{self.name}{chr(39) * self.orders[0]}({inside})"
        marks = "".join(str(place) * order for place, order in enumerate(self.orders, 1))
        return f"{self.name}{'_' if marks else ''}{marks}({inside})"

    def _eval_derivative(self, variable: Expr) -> Expr:
        total: Expr = Integer(0)
        for position, argument in enumerate(self.arguments):
            inner = argument.diff(variable)
            if inner != 0:
                orders = list(self.orders)
                orders[position] += 1
                total += Undefined(self.name, orders, *self.arguments) * inner
        return total


class Differentiated(Expr):
    """`Differentiated(f, v)`: the derivative of an expression f by the tensor element v.

    v is disturbed, and what f holds of what is computed from v is computed again.
    """

    is_commutative = True

    def __new__(cls, body: Expr, by: Expr) -> Differentiated:
        return Expr.__new__(cls, body, by)

    @property
    def body(self) -> Expr:
        return self.args[0]

    @property
    def by(self) -> Expr:
        return self.args[1]

    def _sympystr(self, printer: Any) -> str:
        return f"d/d{printer.doprint(self.by)}({printer.doprint(self.body)})"


class Inner(Expr):
    """`Inner(u_m, v_m, m, n)`: the sum over m of u_m v_m, n terms, as an inner product of two vectors."""

    is_commutative = True

    def __new__(cls, left: Expr, right: Expr, letter: Symbol, extent: Expr) -> Inner:
        return Expr.__new__(cls, left, right, letter, extent)

    @property
    def sum(self) -> Sum:
        """The same as a sum."""
        left, right, letter, extent = self.args
        return Sum(left * right, (letter, 0, extent - 1))

    def _sympystr(self, printer: Any) -> str:
        left, right, letter, _ = map(printer.doprint, self.args)
        return f"inner_{letter}({left}, {right})"


class Entry(Expr):
    """`Entry(A, j, ...)`: the entry of a matrix expression at these indices."""

    is_commutative = True

    def __new__(cls, array: Basic, *indices: Expr) -> Entry:
        return Expr.__new__(cls, array, *indices)

    @property
    def array(self) -> Basic:
        return self.args[0]

    @property
    def indices(self) -> tuple[Expr, ...]:
        return self.args[1:]


class Spelled(Expr):
    """`Spelled(Sum(f_i, (i, 0, n - 1)))`: a sum that is written term by term: f_1 + f_2 + ... + f_n."""

    is_commutative = True

    def __new__(cls, total: Sum) -> Spelled:
        return Expr.__new__(cls, total)

    @property
    def sum(self) -> Sum:
        """The same as a sum."""
        return self.args[0]

    def _sympystr(self, printer: Any) -> str:
        return f"spelled({printer.doprint(self.sum)})"


class Applied(Expr):
    """`Applied(a_k, u_k)`: what the equation that defines a_k gives where its one input is u, at the unit k.

    Arguments: the element a_k, whose equation has a function with a name, and an expression in the letter k.
    """

    is_commutative = True

    def __new__(cls, element: Expr, argument: Expr) -> Applied:
        return Expr.__new__(cls, element, argument)

    @property
    def element(self) -> Expr:
        return self.args[0]

    @property
    def argument(self) -> Expr:
        return self.args[1]

    def _sympystr(self, printer: Any) -> str:
        return f"[{printer.doprint(self.element)}]({printer.doprint(self.argument)})"

    def _eval_derivative(self, variable: Expr) -> Expr:
        inner = self.argument.diff(variable)
        return Integer(0) if inner == 0 else FunctionDerivative(self.element, self.argument) * inner
