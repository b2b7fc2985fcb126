"""Activations: forward formulas and declared facts. None carries a derivative.

A formula is written for one unit j of a layer of n units. `z` is that unit's preactivation, short for `Z[j]`;
`Z[k]` is another unit's, bound by a sum over `over(k, n)`. Most activations use z alone; softmax is
exp(z)/Sum(exp(Z[k]), over(k, n)).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sympy import (
    Expr,
    Indexed,
    IndexedBase,
    Integer,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    erf,
    exp,
    log,
    oo,
    pi,
    sqrt,
    tanh,
)

from symbolic.errors import ArchitectureError, nearest
from symbolic.expressions import Undefined
from symbolic.formulas import (
    check_continuous,
    check_differentiable,
    checked_formula,
    checked_function_name,
    checked_latex,
    default_latex,
    kinks,
)
from symbolic.tables import Table
from symbolic.tensors import checked_name, index, over, size

z = Symbol("z", real=True)
Z = IndexedBase(Symbol("Z", real=True))
j, k = index("j"), index("k")
n = size("n")

_SYMBOLS = {"z": z, "Z": Z.label, "j": j, "n": n}
_ADVICE = "give a SymPy expression in activations.z, or Activation.undefined(name)"
_SMOOTH = "Write it as a smooth function of z or as a continuous Piecewise"
# Reserved words that may name an activation, because it is the very function that the word already means.
_STANDARD = {"exp": exp(z), "log": log(z), "tanh": tanh(z), "erf": erf(z), "sqrt": sqrt(z)}
_APPLIED = re.compile(r"\s*(.*?)\s*\(\s*z\s*\)\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Activation:
    """A function from a layer's preactivations to its activations, unit by unit.

    name:        as in an architecture string; an identifier.
    expression:  the formula, in `z` (and `Z[k]`, `n` under a Sum). Max, Min and Abs are rewritten as
                 Piecewise; the derivative at a kink is that of the branch that holds there, so 0 at the kink
                 of max(z, 0).
    latex:       how the page writes it; made from the name if left out.
    interval:    lowest and highest value between which all outputs lie, or None if that is not known.
    sums_to_one: whether the outputs of a layer are positive and sum to 1; None if that is not known.
    kinks:       where it is not smooth; found from the branches if left out.

    Raises:
        NameRefused: the name or its LaTeX cannot be used.
        ArchitectureError: the formula is no expression, holds other symbols, or cannot be differentiated.
    """

    name: str
    expression: Expr
    latex: str = ""
    interval: tuple[Expr, Expr] | None = None
    sums_to_one: bool | None = None
    kinks: tuple[Expr, ...] | None = None

    def __post_init__(self) -> None:
        standard = isinstance(self.name, str) and self.name in _STANDARD
        if not (standard and _STANDARD[self.name] == self.expression):
            checked_name(self.name, "activation name")
        what = f"activation {self.name}"
        expression = checked_formula(self.expression, _SYMBOLS, what, _ADVICE).xreplace({Z[j]: z})
        _check_sums(expression, what)
        object.__setattr__(self, "expression", expression)
        object.__setattr__(self, "latex", checked_latex(self.latex or default_latex(self.name), what))
        object.__setattr__(self, "interval", _checked_interval(self.interval, what))
        check_differentiable(expression, {z: Z[j]}, Z[index("q")], what, _SMOOTH)
        if self.kinks is None:
            object.__setattr__(self, "kinks", kinks(expression, z))
        if not expression.has(Z, Undefined):
            check_continuous(expression, z, self.kinks or (), what, _SMOOTH)

    @classmethod
    def undefined(cls, name: str) -> Activation:
        """A function of z of which only the name is known: g, with derivative g'."""
        return cls(name, Undefined.function(checked_function_name(name, "activation name"), z))

    @property
    def spelling(self) -> str:
        """How an architecture string writes it: relu, or g(z) for an undefined function."""
        undefined = self.expression == Undefined.function(self.name, z)
        return f"{self.name}(z)" if undefined else self.name

    def apply(self, element: Expr, letter: Symbol, extent: Expr | int) -> Expr:
        """The formula for one element: z1[p, j], its unit letter j and the number of units give a1[p, j]."""
        template = self.expression.xreplace({z: Z[j]})
        taken = {s.name for s in element.free_symbols if isinstance(s, Symbol)} | {letter.name}
        bound = sorted({limit[0] for s in template.atoms(Sum) for limit in s.limits}, key=lambda s: s.name)
        renamed = {}
        for old in bound:
            new = next(c for c in (old.name, *(f"{old.name}_{t}" for t in range(1, len(taken) + 2))) if c not in taken)
            taken.add(new)
            renamed[old] = index(new)
        template = template.xreplace(renamed)
        filled = {j: letter, n: Integer(extent) if isinstance(extent, int) else extent}
        for node in template.atoms(Indexed):
            filled[node] = element if node.indices == (j,) else element.xreplace({letter: node.indices[0]})
        return template.xreplace(filled)


def _check_sums(expression: Expr, what: str) -> None:
    """A formula may only speak of its own unit, j, and of those that a sum over the whole layer binds."""
    bound = set()
    for total in expression.atoms(Sum):
        for letter, low, high in total.limits:
            if letter == j or low != 0 or high != n - 1:
                raise ArchitectureError(f"{what}: {total} must sum over all units, as in Sum(exp(Z[k]), over(k, n))")
            bound.add(letter)
    for node in expression.atoms(Indexed):
        if len(node.indices) != 1 or node.indices[0] not in bound:
            raise ArchitectureError(f"{what}: {node} must have one index, bound by a Sum; the unit itself is z")


def _checked_interval(interval: object, what: str) -> tuple[Expr, Expr] | None:
    if interval is None:
        return None
    ends = tuple(interval) if isinstance(interval, (tuple, list)) else ()
    numbers = tuple(
        Integer(0) + end for end in ends if isinstance(end, (int, float, Expr)) and not isinstance(end, bool)
    )
    if len(ends) != 2 or len(numbers) != 2 or (numbers[0] < numbers[1]) != True:  # noqa: E712  SymPy's truth
        raise ArchitectureError(
            f"{what}: interval {interval!r} must be two numbers, the lower first, such as (0, 1), or None"
        )
    return numbers


_REAL = (-oo, oo)

ACTIVATIONS: Mapping[str, Activation] = Table({
    "identity": lambda name: Activation(name, z, r"\operatorname{id}", _REAL, False),
    "sigmoid": lambda name: Activation(name, 1 / (1 + exp(-z)), r"\sigma", (0, 1), False),
    "tanh": lambda name: Activation(name, tanh(z), r"\tanh", (-1, 1), False),
    "relu": lambda name: Activation(
        name, Piecewise((z, z > 0), (0, True)), r"\operatorname{ReLU}", (0, oo), False,
    ),
    "leaky_relu": lambda name: Activation(
        name, Piecewise((z, z > 0), (z / 100, True)), r"\operatorname{LReLU}", _REAL, False,
    ),
    "elu": lambda name: Activation(
        name, Piecewise((z, z > 0), (exp(z) - 1, True)), r"\operatorname{ELU}", (-1, oo), False,
    ),
    "softplus": lambda name: Activation(name, log(1 + exp(z)), r"\operatorname{softplus}", (0, oo), False),
    "silu": lambda name: Activation(
        name, z / (1 + exp(-z)), r"\operatorname{SiLU}", (-Rational(3, 10), oo), False,
    ),
    "gelu": lambda name: Activation(
        name, z * (1 + erf(z / sqrt(2))) / 2, r"\operatorname{GELU}", (-Rational(1, 5), oo), False,
    ),
    "gelu_tanh": lambda name: Activation(
        name,
        z * (1 + tanh(sqrt(2 / pi) * (z + Rational(44715, 1000000) * z**3))) / 2,
        r"\operatorname{GELU}_{\tanh}", (-Rational(1, 5), oo), False,
    ),
    "softmax": lambda name: Activation(
        name, exp(z) / Sum(exp(Z[k]), over(k, n)), r"\operatorname{softmax}", (0, 1), True,
    ),
})  # fmt: skip


def find_activation(wanted: object) -> Activation:
    """The activation that a layer asks for: a name of ACTIVATIONS, "g(z)" for an undefined g, or an
    Activation.

    Raises:
        ArchitectureError: unknown name, or a name of the table with another formula.
    """
    if isinstance(wanted, str):
        applied = _APPLIED.match(wanted)
        if applied:
            wanted = Activation.undefined(applied.group(1))
        elif wanted in ACTIVATIONS:
            return ACTIVATIONS[wanted]
        else:
            shown = ascii(wanted if len(wanted) <= 40 else wanted[:20] + "...")
            hint = nearest(wanted[:40], ACTIVATIONS)
            raise ArchitectureError(f"unknown activation {shown}; {hint}; g(z) stands for an undefined function g")
    if not isinstance(wanted, Activation):
        raise ArchitectureError(
            f"activation must be a name, 'g(z)' or an Activation, not {wanted!r}; {nearest('', ACTIVATIONS)}"
        )
    if wanted.name in ACTIVATIONS and wanted != ACTIVATIONS[wanted.name]:
        raise ArchitectureError(
            f"activation {wanted.name} is already {ACTIVATIONS[wanted.name].expression}; "
            f"write {wanted.name!r} for that one, or give your own another name, such as '{wanted.name}_1'"
        )
    return wanted
