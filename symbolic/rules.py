"""Rules and steps: records without logic.

A `Rule` is a name and its law in one line; the law is what the page prints as justification. A `Step` says that
`before` equals `after` by a rule. A `Result` is one quantity and the chain of steps that leads from its definition to
its final form; the final form is read off the last step and stored nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from sympy import Basic, Expr, Symbol

from symbolic.tensors import Equation, Fact, Tensor


@dataclass(frozen=True)
class Rule:
    """name: how a step is labelled at the right of its line. law: the identity it applies, in plain text."""

    name: str
    law: str


DEFINITION = Rule("definition", "a derivative dL/dv that later lines use is given a name")
CHAIN = Rule(
    "chain rule",
    "dL/dv = sum over every u computed from v, and every element i of u, of dL/du_i * partial u_i/partial v",
)
SUBSTITUTE = Rule("substitute", "a quantity derived above is replaced by its form")
NAME = Rule("name", "a quantity derived above is called by its name")
FUNCTION = Rule(
    "elementwise function", "a_i = f(z_i) gives partial a_i/partial z_j = [i = j] f'(z_j): the Jacobian is diagonal"
)
DIFFERENTIATE = Rule("differentiate", "the defining equation is differentiated")
CONTRACT = Rule("contract", "sum over s of [s = t] f_s is f_t; factors free of s move out of the sum")
REUSE_OUTPUT = Rule("reuse the output", "a = g(z) is solved for the transcendental part and put into g'(z)")
TIDY = Rule("simplify", "cancel, factor, collect")
USE_FACT = Rule("use a fact", "something that the set-up says of the data; the line says what")
INSTANTIATE = Rule(
    "instantiate", "a formula for every depth and every layer holds for each: their labels are replaced by numbers"
)
WRITE_OUT = Rule("write out", "a quantity is what the equations that lead to it say")
INNER_PRODUCT = Rule("inner product", "u * v = sum over m of u_m v_m")
DIAGONAL = Rule(
    "diagonal", "the sum over i of u_i partial z_i/partial v_j is the term i = j where no other z_i depends on v_j"
)
EXCHANGE = Rule(
    "exchange sums", "sum over i of f_i times sum over m of g_im h_m is sum over m of h_m times sum over i of f_i g_im"
)
GRADIENT = Rule("gradient", "the gradient of f by x is the column of the df/dx_i")
JACOBIAN = Rule("Jacobian", "row i of the Jacobian of f by x holds the df_i/dx_j, the gradient of f_i turned")
TOTAL = Rule(
    "law of total derivatives",
    "where f depends on x through g_1, g_2, ... alone, df/dx_j = sum over i of df/dg_i dg_i/dx_j",
)
PRODUCT = Rule("product of Jacobians", "the Jacobian of f(g(x)) by x is the Jacobian of f by g times that of g by x")
DIAGONAL_JACOBIAN = Rule(
    "diagonal Jacobian", "where a_i = f(z_i), the Jacobian of a by z is diagonal, with f'(z_i) on the diagonal"
)
ENTRY = Rule("entry", "a row times the unit vector e_i is its entry i; turned, factors change their order")
STACK = Rule("stack", "what holds for every entry holds for the vector or the matrix of all entries")
LINEAR = Rule("derivative of a sum", "the derivative of a sum is the sum of the derivatives of its terms")
ONE_PATH = Rule("one path", "du/dv = partial u/partial v where v enters u through the equation of u alone")
ALIGN = Rule("align", "[k = j] f_k is [k = j] f_j")
SINGLE_TERM = Rule("single term", "a sum over one element is the element")
SPECIALISE = Rule("specialise", "what holds for every layer, every width and every function holds for these")
COUNT = Rule("count", "a formula for any depth gives what networks of that depth have")
SHAPES = Rule("shapes", "the columns of a factor are the rows of the next one; terms have one shape")
UPDATE = Rule("update", "a step against the derivative changes the cost at the rate of the square of its norm")
WRITE_AS_MATRICES = Rule("write as matrices", "the same, in matrix notation")

# In the order in which a derivation meets them; the page's list of rules and the documentation are made from it.
RULES = (
    DEFINITION,
    CHAIN,
    SUBSTITUTE,
    NAME,
    FUNCTION,
    DIFFERENTIATE,
    CONTRACT,
    REUSE_OUTPUT,
    TIDY,
    USE_FACT,
    INSTANTIATE,
    WRITE_OUT,
    INNER_PRODUCT,
    DIAGONAL,
    EXCHANGE,
    GRADIENT,
    JACOBIAN,
    TOTAL,
    PRODUCT,
    DIAGONAL_JACOBIAN,
    ENTRY,
    STACK,
    LINEAR,
    ONE_PATH,
    ALIGN,
    SINGLE_TERM,
    SPECIALISE,
    COUNT,
    SHAPES,
    UPDATE,
    WRITE_AS_MATRICES,
)


@dataclass(frozen=True)
class Step:
    """before = after, by `rule`.

    substeps: the same equality in smaller steps, where it has any; they are equalities of parts of `before`.
    because:  what is cited: a fact, the equation that was differentiated or solved, or the key of an earlier result.
    """

    rule: Rule
    before: Expr
    after: Basic
    substeps: tuple[Step, ...] = ()
    because: Fact | Equation | str | None = None

    def __str__(self) -> str:
        return f"= {self.after}    ({self.rule.name})"

    @property
    def label(self) -> str:
        """What the page names at the right of the line: the fact that is used, or the rule."""
        return self.because.statement if isinstance(self.because, Fact) else self.rule.name

    def walk(self) -> Iterator[Step]:
        """This step after all of its substeps."""
        for substep in self.substeps:
            yield from substep.walk()
        yield self


@dataclass(frozen=True, slots=True)
class Pattern:
    """Two results of a derivation with the same number are equal but for names, each name in the place of the other's.

    names: of the tensors and sizes that the steps depend on, in the order in which they appear there.
    """

    number: int
    names: tuple[Symbol, ...]


class Source(Protocol):
    """What can make the steps of a result, and its final form alone, when they are asked for.

    order: how the names of the pattern are sorted among each other and among the letters.
    """

    @property
    def pattern(self) -> Pattern: ...

    @property
    def order(self) -> tuple[int, ...]: ...

    def steps(self) -> tuple[Step, ...]: ...

    def form(self) -> Expr: ...


@dataclass(frozen=True)
class Result:
    """One derived quantity: tensor[indices] = steps[0].before = ... = steps[-1].after.

    tensor:  the adjoint or gradient that is derived. `tensor.of` is the key of the tensor it belongs to.
    named:   later lines use it by its name, and code computes it. Otherwise it was put into a later result.
    pattern: what it shares with results of other layers, or None.
    """

    tensor: Tensor
    indices: tuple[Symbol, ...]
    steps: tuple[Step, ...]
    named: bool = True
    pattern: Pattern | None = None

    @classmethod
    def of(cls, source: Source, tensor: Tensor, indices: tuple[Symbol, ...], named: bool = True) -> Result:
        """The result whose steps are made by `source` when they are looked at."""
        result = object.__new__(cls)
        fields = {"tensor": tensor, "indices": indices, "named": named, "pattern": source.pattern, "source": source}
        vars(result).update(fields)
        return result

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            source = vars(self).get("source")
            if name != "steps" or source is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return vars(self).setdefault("steps", source.steps())

    @property
    def form(self) -> Expr:
        """What stands after the last step."""
        known = vars(self)
        return known["source"].form() if "steps" not in known else self.steps[-1].after

    @cached_property
    def equation(self) -> Equation:
        """The result, read off the last step."""
        return Equation(self.tensor, self.indices, self.form)

    def under_no_name(self) -> Result:
        """The same, put into a later result."""
        source = self.made_by
        return replace(self, named=False) if source is None else Result.of(source, self.tensor, self.indices, False)

    @property
    def made_by(self) -> Source | None:
        """What makes the steps, unless somebody gave them."""
        return vars(self).get("source")

    def __str__(self) -> str:
        head = f"{self.tensor[self.indices]} = " if self.named else ""
        return "\n  ".join([f"{head}{self.steps[0].before}", *map(str, self.steps)])

    def walk(self) -> Iterator[Step]:
        """Every step and substep, substeps first."""
        for step in self.steps:
            yield from step.walk()
