"""Why the derivative of a function cancels under one loss and stays under another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

from sympy import (
    Basic,
    Dummy,
    Expr,
    KroneckerDelta,
    Mul,
    Piecewise,
    Poly,
    S,
    Sum,
    cancel,
    factor,
    fraction,
    gcd,
    together,
)
from sympy import limit as limit_at
from sympy.core.relational import Relational, StrictGreaterThan, StrictLessThan
from sympy.polys.polyerrors import PolynomialError

from symbolic.calculus import substitute_indices
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative, Undefined
from symbolic.pages.blocks import Formula, Text, text
from symbolic.rules import CHAIN, NAME, SUBSTITUTE, USE_FACT
from symbolic.tensors import Equation, elements, indices_of, key_of
from symbolic.whys.subject import Question, Subject, Why, factors_of, the_sum

# SymPy looks for seconds for the limit of an expression of more operations than this; nothing is said of it then.
MOST_OPERATIONS = 30
# The argument of a function of which a limit is taken.
T = Dummy("t", real=True)
ROLES_OF_DERIVATIVES = ("adjoint", "gradient")


@dataclass(frozen=True)
class Meeting:
    """Where the derivative of the loss by an output a meets the derivative of the function that gives a = f(z).

    user:   the equation of a.
    loss:   dL/da_i. value: what it is.
    slope:  f'(z_j), or partial a_i/partial z_j. form: what it is.
    common: what is a factor of `form` and of the denominator of `value`, without numbers; 1 if nothing is.
    rest:   what remains of `form`.
    left:   what remains of the denominator.
    """

    user: Equation
    loss: Expr
    value: Expr
    slope: Expr
    form: Expr
    common: Expr
    rest: Expr
    left: Expr

    @property
    def elementwise(self) -> bool:
        return isinstance(self.slope, FunctionDerivative)

    @property
    def cancels(self) -> bool:
        """All of the slope does."""
        return not _mentions(self.rest)

    @property
    def may_cancel_more(self) -> bool:
        """Whether something of the rest may cancel because it is the same as something that is written otherwise."""
        if not all(part.is_polynomial(*elements(part)) for part in (self.rest, self.left)):
            return True
        return _mentions(self.left) and any(key_of(element) != self.user.tensor.key for element in elements(self.rest))

    @property
    def stays(self) -> bool:
        """Whether nothing of the slope can cancel, however it is written.

        The derivative of the loss is a polynomial, so it cancels nothing that is above. Nothing below is cancelled if
        the slope is a polynomial too, or if the target has a coefficient that is a number: what is below knows no
        target, so it would be a factor of every coefficient.
        """
        values = list(_cases(self.value))
        if not all(value.is_polynomial(*elements(value)) for value in values):
            return False
        if all(form.is_polynomial(*elements(form)) for form in _cases(self.form)):
            return True
        return all(value == 0 or self._has_a_number(value) for value in values)

    def _has_a_number(self, value: Expr) -> bool:
        free = [e for e in dict.fromkeys(elements(value)) if key_of(e) != self.user.tensor.key]
        return any(number.is_number for number in (Poly(value, *free).coeffs() if free else [value]))


def why_it_cancels(subject: Subject) -> Question | None:
    """Why f'(z) is in the derivative by the pre-activation of an output, or why it is not."""
    meeting = _meeting(subject)
    if meeting is None:
        return None
    shown = (meeting.loss, meeting.value, meeting.slope, meeting.form)
    if meeting.common != 1:
        ask = _cancels if meeting.elementwise else _fraction_cancels
        return Question("the slope cancels", partial(ask, subject, meeting), shown)
    if not meeting.stays:
        return None
    return Question(
        "the slope stays", partial(_stays if meeting.elementwise else _factor_stays, subject, meeting), shown
    )


def _meeting(subject: Subject) -> Meeting | None:
    """Read off the steps; None unless both derivatives are known, and are about outputs and targets alone."""
    user = subject.user
    if user is None or subject.result.tensor.role != "adjoint" or subject.steps[0].rule is not CHAIN:
        return None
    put_in = next((n for n, step in enumerate(subject.steps) if step.rule in (SUBSTITUTE, NAME)), None)
    if put_in is None or put_in + 1 >= len(subject.steps):
        return None
    found = _parts(subject, subject.steps[put_in].after)
    named = _parts(subject, subject.steps[put_in - 1].after)
    local = subject.steps[put_in + 1].substeps
    if found is None or named is None or not local or local[0].before != found[0]:
        return None
    slope, value = found
    value = _written_out(subject, value)
    loss = named[1]
    form = local[-1].after
    if value is None or not isinstance(loss, TotalDerivative) or key_of(loss.by) != user.tensor.key:
        return None
    if form.has(Undefined) or value.has(Undefined) or not _mentions(form):
        return None
    if _computed(subject, value) - {user.tensor.key}:
        return None  # then what is wrong may be something else than this output
    try:
        common, rest = _common(form, value)
        above, under = fraction(together(value))
        left = cancel(under / common)
        below = fraction(together(form))[1]
        lost = gcd(below, above) if common == 1 and _mentions(below) else S.One
    except PolynomialError:
        return None
    if _mentions(lost):
        return None  # the slope has a denominator, and it is that which cancels
    return Meeting(user, loss, value, slope, form, common, rest, left)


def _parts(subject: Subject, expression: Basic) -> tuple[Expr, Expr] | None:
    """(the slope, the rest) of the product of both, under a sum or not."""
    found = the_sum(expression)
    product = found[0] * found[1].function if found is not None and isinstance(expression, Sum) else expression
    slopes = [
        part for part in factors_of(product)
        if isinstance(part, (FunctionDerivative, PartialDerivative)) and key_of(part.by) == subject.source.key
    ]  # fmt: skip
    if len(slopes) != 1:
        return None
    return slopes[0], Mul(*(part for part in factors_of(product) if part is not slopes[0]))


def _written_out(subject: Subject, value: Expr) -> Expr | None:
    """The derivative by the output as a form, where it is called by its name; None if it comes from a later layer."""
    result = subject.uses.results.get(key_of(value) or "")
    if result is not None:
        form = result.steps[-1].after
        if not _of_the_loss(subject, form):
            return None
        value = substitute_indices(form, dict(zip(result.indices, indices_of(value), strict=True)))
    return value if _of_the_loss(subject, value) else None


def _computed(subject: Subject, value: Basic) -> set[str]:
    """The keys of the computed tensors in an expression."""
    return {key_of(element) or "" for element in elements(value)} & set(subject.derivation.program.definitions)


def _of_the_loss(subject: Subject, value: Basic) -> bool:
    """Whether a derivative by an output is about outputs and targets alone, at one place."""
    return not value.has(TotalDerivative, Sum) and _of_outputs(subject, value)


def _of_outputs(subject: Subject, value: Basic) -> bool:
    """Whether no derivative is in an expression by its name."""
    roles = {subject.tensors[key].role for key in dict.fromkeys(key_of(e) or "" for e in elements(value))}
    return not roles & set(ROLES_OF_DERIVATIVES)


def _common(form: Expr, value: Expr) -> tuple[Expr, Expr]:
    under = fraction(together(value))[1]
    if not _mentions(under):
        return S.One, form
    above, below = fraction(together(form))
    common = gcd(above, under)
    if not _mentions(common):
        return S.One, form
    factors = [part for part in factors_of(above) if _mentions(part)]
    own = [part for part in factors if not _mentions(fraction(cancel(part / common))[0])]
    own = own or [part for part in factors if not _mentions(fraction(cancel(common / part))[1])]
    written = Mul(*own) if own and not _mentions(cancel(common / Mul(*own))) else _without_numbers(factor(common))
    ratio = cancel(under / written)
    if ratio.is_number and ratio.is_negative:
        written = _without_numbers(under)  # with the signs that it has there
    return written, factor(cancel(above / written / below))


def _without_numbers(product: Expr) -> Expr:
    return Mul(*(part for part in factors_of(product) if _mentions(part)))


def _cases(expression: Expr) -> Iterator[Expr]:
    """The values of an expression by cases, in all combinations of them."""
    cases = next(iter(sorted(expression.atoms(Piecewise), key=str)), None)
    if cases is None:
        yield expression
        return
    for value, _ in cases.args:
        yield from _cases(expression.xreplace({cases: value}))


def _mentions(expression: Basic) -> bool:
    """Whether the expression is about a tensor."""
    return any(True for _ in elements(expression))


# ---------------------------------------------------------------------- a function of one number


def _slope(subject: Subject, meeting: Meeting) -> Formula:
    """f'(z), of the vector where the page has vectors."""
    result = subject.result
    form = None
    if subject.form == "matrix":
        form = subject.matrix(meeting.slope, result.indices, result.tensor.shape)
    return subject.formula(form if form is not None else meeting.slope)


def _both(subject: Subject, meeting: Meeting) -> dict[str, Formula]:
    sides = [meeting.value]
    if meeting.common != 1 and _mentions(fraction(cancel(meeting.common / fraction(meeting.value)[1]))[0]):
        sides.append(together(meeting.value))  # what it says of a denominator is of that of the whole
    return {
        "loss": subject.formula(meeting.loss, *sides),
        "slope": subject.formula(meeting.slope, meeting.form),
        "final": subject.formula(subject.steps[0].before, subject.final),
    }


def _cancels(subject: Subject, meeting: Meeting) -> Why | None:
    whole = meeting.cancels
    if not whole and meeting.may_cancel_more:
        return None
    question = "Why does {asked} cancel?" if whole else "Why does only a part of {asked} cancel?"
    answer = text(
        "Because {loss} has {common} in its denominator, and {slope} "
        + ("is the same" if whole and _same(meeting.form, meeting.common) else "has it as a factor")
        + ": in the product they cancel, and what is left is {final}.",
        common=subject.formula(meeting.common),
        **_both(subject, meeting),
    )
    return Why(text(question, asked=_slope(subject, meeting)), (*answer, *_still_learns(subject, meeting)))


def _same(form: Expr, common: Expr) -> bool:
    return cancel(form - common) == 0


@dataclass(frozen=True)
class FlatEnd:
    """An end of the line at which f' tends to 0 and f to a number.

    sign: -1 or 1. limit: of f.
    flat: f' is 0 on all of this side of a number already, and this is the number; None if it only tends to 0.
    """

    sign: int
    limit: Expr
    flat: Expr | None


def _still_learns(subject: Subject, meeting: Meeting) -> Text:
    """That what is left is not small because f' is, if it is so."""
    ends = _flat_ends(meeting)
    output = meeting.user.tensor[subject.result.indices]
    if (
        not meeting.cancels
        or not ends
        or len({end.flat is None for end in ends}) > 1
        or not isinstance(subject.final, Expr)
    ):
        return ()
    if any(_value(subject.final, output, end.limit) in (None, S.Zero) for end in ends):
        return ()
    return text(
        " So where {slope} is {small}, {where}, this derivative need not be, and a wrong {output} is still corrected.",
        output=subject.formula(output),
        slope=subject.formula(meeting.slope),
        small=_small(ends),
        where=_where(subject, ends),
    )


def _stays(subject: Subject, meeting: Meeting) -> Why | None:
    answer = text(
        "{loss} has no denominator that could cancel a factor of {slope}, so the factor stays: {final}.",
        **_both(subject, meeting),
    )
    question = text("Why does {asked} not cancel?", asked=_slope(subject, meeting))
    return Why(question, (*answer, *_slow(subject, meeting)))


def _slow(subject: Subject, meeting: Meeting) -> Text:
    """That learning is slow where f' is nearly 0, if the derivative is nearly 0 there and the output may be wrong."""
    output = meeting.loss.by
    if output not in set(elements(meeting.value)):
        return ()
    ends = [end for end in _flat_ends(meeting) if _value(meeting.value, output, end.limit) not in (None, S.Zero)]
    if not ends or len({end.flat is None for end in ends}) > 1:
        return ()
    return text(
        " Where {slope} is {small}, {where}, this derivative is too, however wrong {output} is: there {learning}.",
        slope=subject.formula(meeting.slope),
        small=_small(ends),
        where=_where(subject, ends),
        output=subject.formula(output),
        learning="nothing is learnt" if _small(ends) == "0" else "learning is slow",
    )


def _small(ends: list[FlatEnd]) -> str:
    return "nearly 0" if any(end.flat is None for end in ends) else "0"


def _where(subject: Subject, ends: list[FlatEnd]) -> Text:
    """In words: the ends of the line at which the slope is 0 or goes to 0."""
    sides = [
        subject.formula((StrictLessThan if end.sign < 0 else StrictGreaterThan)(subject.element, end.flat))
        for end in ends
        if end.flat is not None
    ]
    if sides:
        return text("for every {first}", first=sides[0]) + tuple(
            piece for side in sides[1:] for piece in text(" and every {side}", side=side)
        )
    signs = {end.sign for end in ends}
    side = "far below or far above 0" if len(signs) == 2 else "far above 0" if 1 in signs else "far below 0"
    return text("for {input} " + side, input=subject.formula(subject.element))


def _flat_ends(meeting: Meeting) -> list[FlatEnd]:
    inputs = list(dict.fromkeys(elements(meeting.user.rhs)))
    if not meeting.elementwise or len(inputs) != 1:
        return []
    f = meeting.user.rhs.xreplace({inputs[0]: T})
    ends = []
    for sign in (-1, 1):
        case = _last_case(f, sign)
        slope = None if case is None else case.diff(T)
        if case is None or slope is None or _limit(slope, sign) != 0:
            continue
        value = _limit(case, sign)
        if value is not None and value.is_finite:
            border = _border(f, sign) if slope == 0 else None
            if slope != 0 or border is not None:
                ends.append(FlatEnd(sign, value, border))
    return ends


def _border(expression: Expr, sign: int) -> Expr | None:
    """From where on to the end of the line no case of a function of T gives way to another; None if it is not known."""
    tests = {test for cases in expression.atoms(Piecewise) for _, test in cases.args}
    relations = {relation for test in tests for relation in test.atoms(Relational)}
    if not relations or not all(r.lhs == T and r.rhs.is_number and r.rhs.is_real for r in relations):
        return None
    return (min if sign < 0 else max)(relation.rhs for relation in relations)


def _last_case(expression: Expr, sign: int) -> Expr | None:
    """A function of T as it is near the end of the line, without cases; None where it cannot be decided."""
    end = sign * S.Infinity
    for cases in sorted(expression.atoms(Piecewise), key=str):
        held = next((value for value, test in cases.args if test.subs(T, end) == True), None)  # noqa: E712
        if held is None or any(test.subs(T, end) not in (S.true, S.false) for _, test in cases.args):
            return None
        expression = expression.xreplace({cases: held})
    return expression


@cache
def _limit(expression: Expr, sign: int) -> Expr | None:
    """The limit of a function of T at the end of the line, or None where it cannot be decided."""
    if expression.count_ops() > MOST_OPERATIONS:
        return None
    try:
        found = limit_at(expression, T, sign * S.Infinity)
    except (NotImplementedError, ValueError, TypeError, AttributeError):
        return None
    return found if found.is_number else None


def _value(expression: Expr, element: Expr, value: Expr) -> Expr | None:
    """The expression with a number for an element; None where it is not finite there."""
    found = expression.xreplace({element: value})
    return None if found.has(S.ComplexInfinity, S.NaN, S.Infinity, S.NegativeInfinity) else cancel(found)


# ---------------------------------------------------------------------- a function of a vector


def _fraction_cancels(subject: Subject, meeting: Meeting) -> Why | None:
    if _mentions(fraction(together(subject.final))[1]) or not _of_outputs(subject, subject.final):
        return None  # what is left is not seen to have it no more
    answer = text(
        "Because {loss} has {common} in its denominator, and {slope} has it as a factor. They cancel in every "
        "term of the sum, ",
        common=subject.formula(meeting.common),
        loss=subject.formula(meeting.loss, meeting.value),
        slope=subject.formula(meeting.slope, meeting.form),
    )
    put_in = next(n for n, step in enumerate(subject.steps) if step.rule in (SUBSTITUTE, NAME))
    after = subject.steps[put_in + 1].after
    facts = [step.label for step in subject.steps if step.rule is USE_FACT]
    sides = dict.fromkeys((subject.steps[0].before, after, subject.final))
    left = text(
        "which leaves {final}{because}.",
        final=subject.formula(*sides),
        because=f", because {facts[0]}" if len(facts) == 1 else "",
    )
    question = text("Why does {asked} cancel?", asked=subject.formula(meeting.common))
    return Why(question, (*answer, *left))


def _factor_stays(subject: Subject, meeting: Meeting) -> Why | None:
    """A factor of the Jacobian that a denominator could have cancelled, and that is a factor of the result."""
    own = [part for part in factors_of(meeting.form) if key_of(part) == meeting.user.tensor.key]
    kept = [part for part in factors_of(subject.final) if key_of(part) == meeting.user.tensor.key]
    if len(own) != 1 or len(kept) != 1 or not meeting.form.has(KroneckerDelta):
        return None
    answer = text(
        "{slope} has {factor} as a factor, and {loss} has no {factor} in a denominator that could cancel it. So "
        "it stays in every term of the sum, and {kept} in what the sum comes to, {final}.",
        factor=subject.formula(own[0]),
        kept=subject.formula(kept[0]),
        **_both(subject, meeting),
    )
    return Why(text("Why does {kept} stay as a factor?", kept=subject.formula(kept[0])), answer)
