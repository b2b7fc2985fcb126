"""Losses: what one output unit contributes to one example's loss, and the outputs it takes.

None carries a derivative. Whether an activation may stand before a loss is decided by the facts that both
declare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sympy import Expr, Integer, Symbol, log

from symbolic.errors import ArchitectureError, nearest
from symbolic.expressions import Undefined
from symbolic.formulas import check_differentiable, checked_formula, checked_function_name
from symbolic.tables import Table
from symbolic.tensors import LONGEST_NAME, checked_name

h = Symbol("h", real=True)
y = Symbol("y", real=True)

# What a loss asks of outputs that sum to 1 over the units: they must; they must not, since it takes every
# unit for a question of its own; they may, but it is probably not meant; nothing is known.
DISTRIBUTION = ("required", "refused", "discouraged", "unknown")

_ADVICE = "give a SymPy expression in losses.h (output) and losses.y (target), or Loss.undefined(name)"
# What a loss is called that was turned round.
_TURNED = "negated_"
_APPLIED = re.compile(r"\s*(.*?)\s*\(\s*y\s*,\s*h\s*\)\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Loss:
    """A separable loss: the sum of `expression` over the output units of one example.

    name:                as in an architecture string; an identifier.
    expression:          contribution of one unit, in its output `h` and its target `y`. Max, Min and Abs are
                         rewritten as Piecewise, as for an Activation.
    sense:               "minimise" or "maximise".
    output_interval:     the outputs must lie between these two, or None.
    output_distribution: one of DISTRIBUTION: what it asks of outputs that sum to 1.
    target_interval:     the targets lie between these two, or None.
    target_sums_to_one:  the targets of an example sum to 1; a derivation may use and then cites it.
    labels:              integer class labels are accepted in place of rows of targets.

    Raises:
        NameRefused: the name cannot be used.
        ArchitectureError: the formula is no expression, holds other symbols, or has no derivative by h.
    """

    name: str
    expression: Expr
    sense: str = "minimise"
    output_interval: tuple[int, int] | None = None
    output_distribution: str = "unknown"
    target_interval: tuple[int, int] | None = None
    target_sums_to_one: bool = False
    labels: bool = False

    def __post_init__(self) -> None:
        checked_name(self.name, "loss name")
        what = f"loss {self.name}"
        if self.sense not in ("minimise", "maximise"):
            raise ArchitectureError(f"{what}: sense must be 'minimise' or 'maximise', not {self.sense!r}")
        if self.output_distribution not in DISTRIBUTION:
            known = ", ".join(DISTRIBUTION)
            raise ArchitectureError(
                f"{what}: output_distribution must be one of {known}, not {self.output_distribution!r}"
            )
        expression = checked_formula(self.expression, {"h": h, "y": y}, what, _ADVICE)
        check_differentiable(expression, {}, h, what, _ADVICE[0].upper() + _ADVICE[1:])
        object.__setattr__(self, "expression", expression)

    @classmethod
    def undefined(cls, name: str) -> Loss:
        """A cost of which only the name is known: the sum of c(y_j, h_j) over the units."""
        return cls(name, Undefined.function(checked_function_name(name, "loss name"), y, h))

    @property
    def spelling(self) -> str:
        """How an architecture string writes it: cross_entropy, or c(y,h) for an undefined cost."""
        undefined = self.expression == Undefined.function(self.name, y, h)
        return f"{self.name}(y,h)" if undefined else self.name

    def apply(self, target: Expr, output: Expr) -> Expr:
        """The contribution of one unit, for its target element and its output element."""
        return self.expression.xreplace({y: target, h: output})

    def turned(self) -> Loss:
        """The loss of the other sense with the same best outputs: its negative, with the same declared facts.

        If that is a loss of LOSSES, it is that one. Of an undefined cost only the sense changes: nothing is known of
        it that could be negated.
        """
        sense = "minimise" if self.sense == "maximise" else "maximise"
        if self.spelling != self.name:
            return replace(self, sense=sense)
        negative = replace(self, expression=-self.expression, sense=sense)
        for loss in LOSSES.values():
            if replace(negative, name=loss.name) == loss:
                return loss
        bare = self.name.removeprefix(_TURNED)
        name = f"{_TURNED}{self.name}" if bare == self.name or bare in LOSSES else bare
        return replace(negative, name=name[:LONGEST_NAME])


LOSSES: Mapping[str, Loss] = Table({
    "half_squared_error": lambda name: Loss(name, (h - y) ** 2 / Integer(2), output_distribution="discouraged"),
    "squared_error": lambda name: Loss(name, (h - y) ** 2, output_distribution="discouraged"),
    "binary_cross_entropy": lambda name: Loss(
        name, -y * log(h) - (1 - y) * log(1 - h),
        output_interval=(0, 1), output_distribution="refused", target_interval=(0, 1),
    ),
    "cross_entropy": lambda name: Loss(
        name, -y * log(h),
        output_interval=(0, 1), output_distribution="required", target_interval=(0, 1),
        target_sums_to_one=True, labels=True,
    ),
    "log_likelihood": lambda name: Loss(
        name, y * log(h) + (1 - y) * log(1 - h), sense="maximise",
        output_interval=(0, 1), output_distribution="refused", target_interval=(0, 1),
    ),
})  # fmt: skip


def find_loss(wanted: object) -> Loss:
    """The loss that a network asks for: a name of LOSSES, "c(y,h)" for an undefined cost c, or a Loss.

    Raises:
        ArchitectureError: unknown name, or a name of the table with another formula.
    """
    if isinstance(wanted, str):
        applied = _APPLIED.match(wanted)
        if applied:
            wanted = Loss.undefined(applied.group(1))
        elif wanted in LOSSES:
            return LOSSES[wanted]
        else:
            shown = ascii(wanted if len(wanted) <= 40 else wanted[:20] + "...")
            raise ArchitectureError(
                f"unknown loss {shown}; {nearest(wanted[:40], LOSSES)}; c(y,h) stands for an undefined cost c"
            )
    if not isinstance(wanted, Loss):
        raise ArchitectureError(f"loss must be a name, 'c(y,h)' or a Loss, not {wanted!r}; {nearest('', LOSSES)}")
    if wanted.name in LOSSES and wanted != LOSSES[wanted.name]:
        raise ArchitectureError(
            f"loss {wanted.name} is already {LOSSES[wanted.name].expression}; "
            f"write {wanted.name!r} for that one, or give your own another name, such as '{wanted.name}_1'"
        )
    return wanted
