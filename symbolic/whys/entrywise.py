"""Why an elementwise function gives a product entry by entry, and what its slope is where two cases meet."""

from __future__ import annotations

from functools import partial

from sympy import Dummy, Piecewise
from sympy.core.relational import Relational

from symbolic.expressions import FunctionDerivative, PartialDerivative
from symbolic.matrices import Diagonal, Hadamard
from symbolic.pages.blocks import Formula, text
from symbolic.rules import FUNCTION, Step
from symbolic.tensors import Equation, elements, indices_of
from symbolic.whys.subject import Question, Subject, Why, factors_of, the_sum


def why_entry_by_entry(subject: Subject) -> Question | None:
    """Why the Jacobian of an elementwise function is a product entry by entry: a_j = f(z_j) looks at z_j alone."""
    step = next((step for step in subject.steps if step.rule is FUNCTION), None)
    found = the_sum(step.before) if step is not None else None
    if step is None or subject.user is None or found is None or len(found[1].limits) != 1 or found[1].limits[0][2] == 0:
        return None
    return Question("entry by entry", partial(_entry_by_entry, subject, step), (step.before, step.after))


def _entry_by_entry(subject: Subject, step: Step) -> Why | None:
    result, user, found = subject.result, subject.user, the_sum(step.before)
    if user is None or found is None:
        return None
    letter, _, high = found[1].limits[0]
    local = next((part for part in factors_of(found[1].function) if isinstance(part, PartialDerivative)), None)
    if local is None:
        return None
    slope = next(part for part in factors_of(step.after) if isinstance(part, FunctionDerivative))
    kept = [own for place, own in zip(indices_of(local.of), result.indices, strict=True) if place == letter]
    answer = text(
        "{entry} depends on {input} and on no other entry. So in the sum {sum} every {local} with an index {letter} "
        "other than {kept} is 0, and only one term is left: {after}.",
        entry=_applied(subject, user, slope),
        input=subject.formula(slope.by),
        sum=subject.formula(step.before),
        local=subject.formula(local),
        letter=subject.letter(letter, high + 1),
        kept=subject.letter(kept[0], high + 1),
        after=subject.formula(step.after),
    )
    if subject.form != "matrix":
        return Why(text("Where has the sum over {letter} gone?", letter=subject.letter(letter, high + 1)), answer)
    form = subject.matrix(step.after, result.indices, result.tensor.shape)
    column = subject.matrix(slope, result.indices, result.tensor.shape)
    if not isinstance(form, Hadamard) or column is None or len(result.indices) - (subject.example is not None) != 1:
        return None
    more = text(
        " In matrices: the Jacobian is {diagonal}, and a diagonal matrix times a vector multiplies entry by entry, "
        "{form}.",
        diagonal=subject.formula(Diagonal(column)),
        form=subject.formula(form),
    )
    sign = Formula(subject.printer.notation.hadamard)
    return Why(text("Why {sign} and not a matrix product?", sign=sign), (*answer, *more))


def _applied(subject: Subject, user: Equation, slope: FunctionDerivative) -> Formula:
    """a_j = f(z_j), by the name of f."""
    if user.function is None:
        return subject.formula(slope.of)
    return subject.formula(slope.of, subject.printer.applied(user.function, slope.by))


def why_this_side_of_a_kink(subject: Subject) -> Question | None:
    """What the derivative of a function by cases is at the border of two cases, where the cases have two slopes."""
    user = subject.user
    if user is None or not any(step.rule is FUNCTION for step in subject.steps):
        return None
    if not isinstance(user.rhs, Piecewise) or len(dict.fromkeys(elements(user.rhs))) != 1:
        return None
    return Question("a kink", partial(_kink, subject, user))


def _kink(subject: Subject, user: Equation) -> Why | None:
    element = next(elements(user.rhs))
    step = next(step for step in subject.steps if step.rule is FUNCTION)
    slope = next((part for part in factors_of(step.after) if isinstance(part, FunctionDerivative)), None)
    local = [inner for step in subject.steps for inner in step.substeps if inner.before == slope]
    t = Dummy("t", real=True)
    cases = user.rhs.xreplace({element: t})
    if slope is None or not local or len(cases.args) != 2:
        return None
    (first, test), (second, _) = cases.args
    if not isinstance(test, Relational) or test.lhs != t or not test.rhs.is_number or test.rel_op not in ORDERS:
        return None
    border = test.rhs
    slopes = [part.diff(t).subs(t, border) for part in (first, second)]
    if slopes[0] == slopes[1] or first.subs(t, border) != second.subs(t, border):
        return None
    above, below = slopes if test.rel_op in (">", ">=") else reversed(slopes)
    chosen = slopes[0] if test.rel_op in (">=", "<=") else slopes[1]
    value = local[0].after.xreplace({slope.by: border})
    if value != chosen:
        return None
    place = subject.formula(slope.by, border)
    question = text("What is {slope} at {place}?", slope=subject.formula(slope), place=place)
    answer = text(
        "There the two cases of {function} meet, with slope {below} on the one side and {above} on the other, so there "
        "is no derivative. It is a convention to take that of the case that holds at the point itself: {local} gives "
        "{value}.",
        function=_applied(subject, user, slope),
        below=subject.formula(below),
        above=subject.formula(above),
        local=subject.formula(slope, local[0].after),
        value=subject.formula(value),
    )
    return Why(question, answer)


ORDERS = (">", ">=", "<", "<=")
