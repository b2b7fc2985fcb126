"""Max, Min and Abs as branches, so that their derivatives follow one stated convention.

SymPy's own derivatives put 1/2 or a sign function at the kink. As a `Piecewise`, the derivative at a border is that of
the branch that holds there: at a tie of Max or Min the last branch, and numbers stand last, so max(z, 0) has
derivative 0 at 0; |z| has a branch of its own at 0, with derivative 0.
"""

from __future__ import annotations

from sympy import Abs, And, Basic, Expr, Max, Min, Number, Or, Piecewise, Symbol, default_sort_key, piecewise_fold
from sympy.core.relational import Relational


def without_extrema(expression: Expr) -> Expr:
    """`expression` with Max, Min and Abs written as Piecewise."""
    if not _has_extrema(expression):
        return expression
    expression = expression.replace(lambda node: isinstance(node, (Max, Min)), _as_branches)
    return expression.replace(
        lambda node: isinstance(node, Abs),
        lambda node: Piecewise((node.args[0], node.args[0] > 0), (-node.args[0], node.args[0] < 0), (0, True)),
    )


def _has_extrema(expression: Expr) -> bool:
    nodes: list[Basic] = [expression]
    for node in nodes:  # which grows
        if isinstance(node, (Max, Min, Abs)):
            return True
        nodes += node.args
    return False


def of_one_variable(expression: Expr, variable: Symbol) -> Expr:
    """Branches within branches folded into one list, each with an interval of the variable as its condition."""
    folded = piecewise_fold(expression)
    tangled = folded.atoms(And, Or)
    try:
        plain = {condition: condition.as_set().as_relational(variable) for condition in tangled}
    except NotImplementedError:  # such as exp(z) > z: right as it stands, only longer
        return folded
    return folded.xreplace(plain)


def _as_branches(extremum: Expr) -> Expr:
    candidates = sorted(extremum.args, key=lambda a: (isinstance(a, Number), default_sort_key(a)))
    folded = candidates[-1]
    for candidate in reversed(candidates[:-1]):
        wins: Relational = candidate > folded if isinstance(extremum, Max) else candidate < folded
        folded = Piecewise((candidate, wins), (folded, True))
    return folded
