"""Formulas that a user brings, an activation or a loss: checked before anything is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import sympy
from sympy import (
    Derivative,
    DiracDelta,
    Expr,
    I,
    Indexed,
    IndexedBase,
    Integer,
    Piecewise,
    Poly,
    PolynomialError,
    Subs,
    Symbol,
    default_sort_key,
    nan,
    oo,
    true,
    zoo,
)
from sympy.core.function import FunctionClass
from sympy.core.relational import Relational
from sympy.core.traversal import preorder_traversal

from symbolic.errors import ArchitectureError, NameRefused
from symbolic.extrema import of_one_variable, without_extrema
from symbolic.tensors import checked_name

GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi",
    "rho", "sigma", "tau", "phi", "chi", "psi", "omega",
)  # fmt: skip
# The letters of a network's own tensors: a function of the same name would be read as the tensor.
NETWORK_LETTERS = frozenset({"x", "y", "h", "W", "b", "z", "a", "ell", "J", "delta"})
_ATOM = rf"(?:[A-Za-z0-9]|\\(?:{'|'.join(GREEK)}|tanh|exp|log|erf|ell)(?![A-Za-z])"
_ATOM += r"|\\(?:operatorname|mathrm|mathbf|mathit|mathcal)\{(?:[A-Za-z0-9 -]|\\_)+\})"
_LATEX = re.compile(rf"{_ATOM}(?:[_^](?:{_ATOM}|\{{(?:{_ATOM}|[ ,+-])+\}}))*\Z")
LONGEST_LATEX = 80
# How close to a kink, and how exactly, continuity is looked at.
_NEAR, _JUMP, _DIGITS = Integer(10) ** -40, Integer(10) ** -20, 60


def default_latex(name: str) -> str:
    r"""How a function is written if nobody says: a letter, a Greek letter, or \operatorname."""
    if len(name) == 1:
        return name
    return f"\\{name}" if name in GREEK else f"\\operatorname{{{name.replace('_', chr(92) + '_')}}}"


def checked_latex(latex: object, what: str) -> str:
    """`latex` if it is one function name, possibly with an index. It reaches a file that LaTeX runs.

    Raises:
        NameRefused: it holds anything else, such as a command that reads files.
    """
    if not isinstance(latex, str) or len(latex) > LONGEST_LATEX or not _LATEX.match(latex):
        shown = ascii(latex if not isinstance(latex, str) or len(latex) <= LONGEST_LATEX else latex[:20] + "...")
        raise NameRefused(
            f"{what}: latex {shown} must be one letter, a Greek letter such as \\sigma, or "
            f"\\operatorname{{name}}, "
            "with or without an index; leave it out to have it made from the name"
        )
    return latex


def checked_function_name(name: object, what: str) -> str:
    """`name` if a function that is known by its name alone may be called so."""
    checked = checked_name(name, what)
    if checked in NETWORK_LETTERS:
        raise NameRefused(
            f"{what} {checked!r} is the letter of a tensor of every network; call the function g, c or phi"
        )
    if isinstance(getattr(sympy, checked, None), FunctionClass):
        raise NameRefused(
            f"{what} {checked!r} is a function that everybody knows; give its formula as an Activation or a Loss, "
            "or call the unknown function g, c or phi"
        )
    return checked


def checked_formula(formula: object, symbols: Mapping[str, Symbol], what: str, advice: str) -> Expr:
    """`formula` over exactly these symbols, with Max, Min and Abs written as Piecewise.

    symbols: what may stand in it, by name. A symbol of the same name and other assumptions is taken to be it:
             so `from sympy.abc import z` serves.
    advice:  the way out, put at the end of each message.

    Raises:
        ArchitectureError: no SymPy expression, a stray symbol, or values that are not real numbers.
    """
    if isinstance(formula, bool) or not isinstance(formula, (int, float, Expr)):
        shown = ascii(formula)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise ArchitectureError(f"{what}: {shown} is no SymPy expression but {type(formula).__name__}; {advice}")
    # Adding a number to 0 is SymPy's way to read it that never reads text.
    expression: Expr = Integer(0) + formula if isinstance(formula, (int, float)) else formula
    same = {s: symbols[s.name] for s in expression.free_symbols if isinstance(s, Symbol) and s.name in symbols}
    expression = expression.xreplace(same)
    stray = sorted({str(s) for s in expression.free_symbols if not _known(s, symbols)})
    if stray:
        raise ArchitectureError(
            f"{what}: it holds {', '.join(stray)}, which is neither {' nor '.join(symbols)}; {advice}"
        )
    if expression.has(nan, zoo, oo, -oo, I) or expression.is_commutative is not True:
        raise ArchitectureError(f"{what}: {expression} is not a real number for every real argument; {advice}")
    if any(isinstance(node, Piecewise) and node.args[-1][1] != true for node in preorder_traversal(expression)):
        raise ArchitectureError(f"{what}: {expression} has no last case (value, True) for what is left over; {advice}")
    plain = without_extrema(expression)
    variables = plain.free_symbols
    return of_one_variable(plain, variables.pop()) if plain != expression and len(variables) == 1 else plain


def _known(symbol: Expr, symbols: Mapping[str, Symbol]) -> bool:
    """Whether a free symbol is one of ours; of Z[k] SymPy calls Z[k], Z and k free."""
    if isinstance(symbol, Indexed):
        return _known(symbol.base, symbols)
    if isinstance(symbol, IndexedBase):
        return _known(symbol.label, symbols)
    return symbol in symbols.values()


def check_differentiable(expression: Expr, filled: Mapping[Expr, Expr], by: Expr, what: str, advice: str) -> None:
    """Raise ArchitectureError unless SymPy can differentiate `expression` by `by`, and the result is not 0.

    filled: what is put in place of its symbols first, such as the element Z[j] for z.
    """
    derivative = expression.xreplace(dict(filled)).diff(by)
    for unknown in (Derivative, Subs, DiracDelta):
        if derivative.has(unknown):
            raise ArchitectureError(
                f"{what}: {expression} has no derivative that could be used; SymPy leaves a "
                f"{unknown.__name__}. {advice}"
            )
    if derivative == 0:
        raise ArchitectureError(
            f"{what}: the derivative of {expression} is 0 everywhere, so nothing can be learnt. {advice}"
        )


def kinks(expression: Expr, variable: Symbol) -> tuple[Expr, ...]:
    """Where branches of `expression` meet, ascending, as far as their conditions are polynomials."""
    found: set[Expr] = set()
    for condition in expression.atoms(Relational):
        try:
            found.update(Poly(condition.lhs - condition.rhs, variable).real_roots())
        except (PolynomialError, NotImplementedError):
            continue  # a condition such as exp(z) > 2: its author can declare the kink
    return tuple(sorted(found, key=lambda root: (root.evalf(_DIGITS), default_sort_key(root))))


def check_continuous(expression: Expr, variable: Symbol, where: Iterable[Expr], what: str, advice: str) -> None:
    """Raise ArchitectureError if `expression` jumps at one of the points: a jump has no derivative."""
    for point in where:
        left, here, right = (expression.subs(variable, point + shift).evalf(_DIGITS) for shift in (-_NEAR, 0, _NEAR))
        if max(abs(left - here), abs(right - here)) > _JUMP:
            raise ArchitectureError(
                f"{what}: {expression} jumps at {variable} = {point}, so it has no derivative there. {advice}"
            )
