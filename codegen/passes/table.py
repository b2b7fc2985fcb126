"""The table of passes: every optimisation can be switched off by its name."""

from __future__ import annotations

from dataclasses import dataclass

from symbolic.errors import UsageError, nearest


@dataclass(frozen=True)
class Pass:
    """One entry of PASSES. law: what it does and why no number changes, in one line."""

    name: str
    law: str


_ENTRIES = (
    Pass("feature_major", "arrays are (units, examples): the equations with their axes exchanged say the same"),
    Pass("weight_layout", "a matrix lies in memory by rows or by columns, whichever its products are faster with"),
    Pass("folded_step", "backpropagation is linear in the adjoints, so the step is a factor of the first of them"),
    Pass("exponentials", "tanh and logistic by exp where NumPy is faster with it, but for entries near 0 or too large"),
    Pass("comparison", "max(z, c) > c exactly where z > c, so that z need not be kept for the way back"),
    Pass("arithmetic_choice", "a choice between multiples of one array is a maximum or a product, without branches"),
    Pass("common_subexpressions", "what is used in several places is computed once"),
    Pass("totals", "the sum of all entries of u v is the dot product of two vectors, rounded in the size of its terms"),
    Pass("sums_by_ones", "a sum over one axis is a product with a vector of ones"),
    Pass("equal_shapes", "sums that stand beside each row of a matrix are made as a matrix of equal rows, by ones"),
    Pass("folded_bias", "W a + b = [W b] [a; 1], and the gradients of W and b are one product too"),
    Pass("turned_factor", "a factor is copied to the order of axes that its product is faster with"),
    Pass("fused_update", "W - A B is one product of BLAS that writes into W, where the gradient A B is not asked for"),
    Pass("flat_update", "parameters lie in one vector as their gradients do, so that one subtraction updates them all"),
    Pass("guarded_shift", "a softmax needs no shift by its maximum while every entry is known to be small"),
    Pass("in_place", "an operation writes over an operand that nobody reads any more"),
    Pass("reuse", "an array that nobody reads any more lends its memory to the next of its shape"),
    Pass("aligned", "arrays begin at a cache line, so that no vector of the processor lies on two"),
    Pass("constant_operand", "an operand that is one number is made into an array where that loop is faster"),
)

PASSES: dict[str, Pass] = {entry.name: entry for entry in _ENTRIES}
ALL = frozenset(PASSES)


def without(*names: str) -> frozenset[str]:
    """All passes but these.

    Raises:
        UsageError: there is no such pass; lists what there is.
    """
    for name in names:
        if name not in PASSES:
            raise UsageError(f"pass {name!r} is unknown; {nearest(name, PASSES)}")
    return ALL - set(names)
