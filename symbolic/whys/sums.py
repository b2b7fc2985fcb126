"""Why there is a sum, and over which index: what a tensor is shared over adds up in its derivative."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sympy import Basic, Expr, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.calculus import bound_limits
from symbolic.expressions import TotalDerivative
from symbolic.matrices import ArrayOf, Hadamard, Ones, Product, SumOver, Transpose
from symbolic.matrixform import arrays
from symbolic.pages.blocks import Text, text
from symbolic.rules import SUBSTITUTE
from symbolic.tensors import Equation, Tensor, elements, indices_of, key_of
from symbolic.whys.subject import Question, Subject, Why, at, factors_of, terms_of, the_sum

# ---------------------------------------------------------------------- the other index


@dataclass(frozen=True)
class Crossing:
    """A matrix that is summed over one index forwards and over the other one backwards.

    matrix:   the tensor. forward, backward: at which of its axes the letter of the sum stands.
    equation: the forward equation, with the letters of the backward sum.
    held:     the letter summed over forwards, with its size. summed: the one backwards.
    """

    matrix: Tensor
    forward: int
    backward: int
    user: Equation
    equation: tuple[Expr, Expr]
    held: tuple[Symbol, Expr]
    summed: tuple[Symbol, Expr]


def _crossing(subject: Subject) -> Crossing | None:
    user, found = subject.user, the_sum(subject.final)
    if user is None or found is None or len(found[1].limits) != 1:
        return None
    (letter, _, high) = found[1].limits[0]
    if letter == subject.example or subject.source.role == "parameter":
        return None  # a parameter is asked about as what the sum shares
    adjoint = subject.adjoint_of(user.tensor, found[1].function)
    if adjoint is None or letter not in indices_of(adjoint) or _pair(found[1].function, key_of(adjoint)) is None:
        return None
    partner = _pair(found[1].function, key_of(adjoint))
    for term in terms_of(user.rhs):
        forward = the_sum(term)
        if partner is None or forward is None or len(forward[1].limits) != 1:
            continue
        other = _pair(forward[1].function, subject.source.key)
        if other is None or key_of(other) != key_of(partner):
            continue
        s = forward[1].limits[0][0]
        here = at(forward[1].function, subject.source.key) or ()
        if s not in here or s not in indices_of(other) or letter not in indices_of(partner):
            continue
        held = subject.result.indices[here.index(s)]
        swap = {s: held, **dict(zip(user.indices, indices_of(adjoint), strict=True))}
        axes = indices_of(other).index(s), indices_of(partner).index(letter)
        taken = {bound for bound, _ in bound_limits(user.rhs) if bound != s} & set(swap.values())
        if axes[0] == axes[1] or other.xreplace(swap) != partner or taken:
            return None
        equation = (user.lhs.xreplace(swap), user.rhs.xreplace(swap))
        matrix = subject.tensors[key_of(partner) or ""]
        extent = subject.source.shape[here.index(s)]
        return Crossing(matrix, *axes, user, equation, (held, extent), (letter, high + 1))
    return None


def _pair(product: Basic, key: str | None) -> Expr | None:
    """The other factor of a product of two tensor elements, one of them of the tensor with this key."""
    factors = [factor for factor in factors_of(product) if key_of(factor) is not None]
    others = [factor for factor in factors if key_of(factor) != key]
    return others[0] if len(factors) == 2 == len(factors_of(product)) and len(others) == 1 else None


def _transposed(subject: Subject, crossing: Crossing) -> Why | None:
    result, tensor = subject.result, crossing.matrix
    units = crossing.user.tensor
    forward = subject.matrix(crossing.user.rhs, crossing.user.indices, units.shape)
    backward = subject.matrix(subject.final, result.indices, result.tensor.shape)
    if forward is None or backward is None or 1 in (crossing.held[1], crossing.summed[1]):
        return None
    before, now = subject.is_turned(forward, tensor), subject.is_turned(backward, tensor)
    side = _side(subject, backward, tensor)
    if before is None or before == now or side is None:
        return None
    array = next(node for node in arrays(backward) if node.key == tensor.key)
    plain, flipped = (subject.formula(subject.seen(node)) for node in (array, Transpose(array)))
    if now:
        question = text("Why {turned} and not {plain}?", turned=flipped, plain=plain)
        last = "so a sum over its {there} index takes the transpose: {product}."
    else:
        question = text("Why {plain} here, where the forward pass has {turned}?", turned=flipped, plain=plain)
        last = "and that is the sum here: {product}, where the forward sum took the transpose."
    return Why(question, (
        *_two_sums(subject, crossing),
        *text(
            " A matrix {side} of a product is summed over its {own} index, " + last,
            side="on the left" if side == 0 else "on the right",
            own="second" if side == 0 else "first",
            there=subject.place(tensor, crossing.backward),
            product=subject.formula(backward),
        ),
        *_in_rows(subject, crossing),
    ))  # fmt: skip


def _side(subject: Subject, node: Basic, tensor: Tensor) -> int | None:
    """0 where the tensor is the left factor of a product of two, 1 where it is the right one."""
    for part in preorder_traversal(subject.seen(node)):
        if isinstance(part, Product) and len(part.args) == 2:
            for n, factor in enumerate(part.args):
                inner = factor.args[0] if isinstance(factor, Transpose) else factor
                if isinstance(inner, ArrayOf) and inner.key == tensor.key:
                    return n
    return None


def _two_sums(subject: Subject, crossing: Crossing) -> Text:
    u = crossing.user.tensor
    element = crossing.equation[0]
    return text(
        "{opening} {equation} is a sum over {held}, the {one} index of {matrix}. Backwards {held} stays the same: "
        "{source} is in {user} for every {summed}, and each of them adds a term, so that {backward} is a sum over "
        "{summed}, the {other} index.",
        opening=_in_its_letters(subject, crossing),
        equation=subject.formula(*crossing.equation),
        held=subject.letter(*crossing.held),
        one=subject.place(crossing.matrix, crossing.forward),
        other=subject.place(crossing.matrix, crossing.backward),
        matrix=subject.bare(crossing.matrix),
        source=subject.formula(subject.element),
        user=subject.formula(element) if u.shape else subject.bare(u),
        summed=subject.letter(*crossing.summed),
        backward=subject.formula(subject.steps[0].before, subject.final),
    )


def _in_its_letters(subject: Subject, crossing: Crossing) -> Text:
    """The words before the forward equation, which tell how the page has it where the answer has other letters."""
    plain = text("Forwards,")
    if subject.form == "matrix" or subject.printer.notation.unit_index:
        return plain
    own, here = subject.formula(crossing.user.lhs, crossing.user.rhs), subject.formula(*crossing.equation)
    return plain if own == here else text("The forward equation is {own}. With the letters used here,", own=own)


def _in_rows(subject: Subject, crossing: Crossing) -> Text:
    """The same for all examples at once, where the notation writes it so."""
    if not subject.printer.notation.batch or subject.example is None:
        return ()
    result, user = subject.result, crossing.user
    forward = [subject.stacked(side, user.indices, user.tensor.shape) for side in (user.lhs, user.rhs)]
    backward = subject.stacked(subject.final, result.indices, result.tensor.shape)
    if None in forward or backward is None:
        return ()
    return text(
        " With the examples in rows it is the other way round, because the weights stand on the right: {forward} "
        "forwards, {backward} backwards.",
        forward=subject.formula(*[side for side in forward if side is not None]),
        backward=subject.formula(backward),
    )


def _other_sum(subject: Subject, crossing: Crossing) -> Why | None:
    if 1 in (crossing.held[1], crossing.summed[1]):
        return None
    question = text(
        "Why is this a sum over {summed}, the {other} index of {matrix}, and not over the {one}, as in the forward "
        "pass?",
        summed=subject.letter(*crossing.summed),
        one=subject.place(crossing.matrix, crossing.forward),
        other=subject.place(crossing.matrix, crossing.backward),
        matrix=subject.bare(crossing.matrix),
    )
    return Why(question, _two_sums(subject, crossing))


# ---------------------------------------------------------------------- a sum over what does not know the index


@dataclass(frozen=True)
class Sharing:
    """A tensor without an index that the equation that uses it has.

    user:    the equation. axis: at which axis of it the index stands. letter, extent: the index, as the sum has it.
    """

    user: Equation
    axis: int
    letter: Symbol
    extent: Expr


def why_a_sum(subject: Subject) -> Question | None:
    """Why a derivative is a sum over an index: one and the same v is in u_i for every i.

    Where u_m = sum over j of W_mj v_j, this is why the sum is over the other index of W, and why W is transposed.
    """
    sharing = _sharing(subject)
    if sharing is None:
        return None
    crossing = _crossing(subject)
    examples = sharing.letter == subject.example
    if examples and not _speaks_for_its_layer(subject):
        return None
    units = sum(usual != subject.example for usual in subject.source.indices)
    kind = "a sum over the examples" if examples else f"a sum over an axis, {units}"
    if crossing is not None:
        return Question("the other index", partial(_told, subject, sharing, crossing), crossing.equation)
    shown = (_used(subject, sharing),)
    return Question(kind, partial(_told, subject, sharing, None), shown, marked=examples)


def _speaks_for_its_layer(subject: Subject) -> bool:
    """Whether no parameter of the same equation, about which the page could ask the same, has fewer axes."""
    keys = dict.fromkeys(key_of(element) or "" for element in elements(subject.user.rhs)) if subject.user else {}
    others = [subject.of(subject.uses.gradients[key]) for key in keys if key in subject.uses.gradients]
    smaller = [other for other in others if len(other.source.shape) < len(subject.source.shape)]
    return all((sharing := _sharing(other)) is None or sharing.letter != other.example for other in smaller)


def _told(subject: Subject, sharing: Sharing, crossing: Crossing | None) -> Why | None:
    found = None
    if crossing is not None:
        found = (_transposed if subject.form == "matrix" else _other_sum)(subject, crossing)
    return found or _adding_up(subject, sharing)


def _sharing(subject: Subject) -> Sharing | None:
    user, found = subject.user, the_sum(subject.final)
    if user is None or found is None or len(found[1].limits) != 1:
        return None
    letter, _, high = found[1].limits[0]
    adjoint = subject.adjoint_of(user.tensor, found[1].function)
    if adjoint is None or letter not in indices_of(adjoint) or high == 0:
        return None
    axis = indices_of(adjoint).index(letter)
    places = [indices_of(e) for e in elements(user.rhs) if key_of(e) == subject.source.key]
    if any(user.indices[axis] in place for place in places):
        return None
    return Sharing(user, axis, letter, high + 1)


def _used(subject: Subject, sharing: Sharing) -> Expr:
    """The element of the equation that uses the source, with the letters of the sum and of the result."""
    adjoint = subject.adjoint_of(sharing.user.tensor, subject.final)
    return sharing.user.tensor[indices_of(adjoint)] if adjoint is not None else sharing.user.lhs


def _adding_up(subject: Subject, sharing: Sharing) -> Why | None:
    result = subject.result
    first = subject.steps[0].before
    shown = subject.matrix(subject.final, result.indices, result.tensor.shape) if subject.form == "matrix" else None
    head = subject.matrix(first, result.indices, result.tensor.shape) if shown is not None else None
    letter = subject.letter(sharing.letter, sharing.extent)
    examples = sharing.letter == subject.example
    total = _total(subject, sharing)
    about = subject.formula(head if head is not None else first)
    closing = _as_a_product(subject, sharing, shown)
    if shown is not None and not shown.has(SumOver) and closing:
        question = text("Where is the sum in {product}?", product=subject.formula(shown))
    elif examples:
        question = text("Why is {whole} a {total} over the examples?", whole=about, total=total)
    else:
        question = text("Why is {whole} a sum over {letter}?", whole=about, letter=letter)
    source = subject.formula(subject.element)
    opening = text(
        "{source} has no index {letter}" + (" of an example" if examples else "")
        + ": the same {source} is in {used} for every {letter}. ",
        source=source,
        letter=letter,
        used=subject.formula(_used(subject, sharing)),
    )  # fmt: skip
    each = _one_term(subject)
    if examples and each is not None:
        objective = subject.derivation.program.definitions[subject.derivation.program.objective]
        middle = text(
            "Changing it changes the loss of every example, at the rate {each}. As {objective} is the {total} of these "
            "losses, its derivative is the {total} of these derivatives, {final}.",
            each=subject.formula(*each),
            total=total,
            objective=subject.formula(objective.lhs, objective.rhs),
            final=subject.formula(subject.final),
        )
    else:
        middle = text(
            "Changing {source} changes all of these, and by the law of total derivatives their shares add up: {final}.",
            source=source,
            final=subject.formula(first, subject.final),
        )
    return Why(question, (*opening, *middle, *closing))


def _total(subject: Subject, sharing: Sharing) -> str:
    """How the objective is made of the losses of the examples."""
    weights = subject.derivation.program.definitions[subject.derivation.program.objective].rhs
    found = the_sum(weights)
    weight = found[0] if found is not None and key_of(found[1].function) is not None else None
    return "sum" if weight == 1 else "mean" if weight == 1 / sharing.extent else "weighted sum"


def _one_term(subject: Subject) -> tuple[Basic, Basic] | None:
    """The derivative of one example's loss and what it is, as the steps put it into the sum."""
    for step in subject.steps:
        if step.rule is SUBSTITUTE and isinstance(step.because, str):
            source = subject.derivation[step.because]
            factors = _inside(subject.steps[0].after)
            one = next((node for node in factors if isinstance(node, TotalDerivative)), None)
            return None if one is None else (one, source.steps[-1].after)
    return None


def _inside(expression: Basic) -> tuple[Basic, ...]:
    found = the_sum(expression)
    return factors_of(found[1].function) if found is not None else factors_of(expression)


def _is_a_matrix(subject: Subject, node: Basic) -> bool:
    """Whether a part of a matrix form is a tensor with two indices."""
    return isinstance(node, ArrayOf) and len(subject.tensors[node.key].shape) - (node.example is not None) == 2


def _as_a_product(subject: Subject, sharing: Sharing, shown: Basic | None) -> Text:
    """Where matrices say the sum without a sign for it, how they do."""
    result = subject.result
    if subject.form != "matrix":
        return ()
    form = shown
    lead = ""
    if shown is None or shown.has(SumOver):
        form = subject.stacked(subject.final, result.indices, result.tensor.shape)
        lead = "with the examples in rows, "
    if form is None or form.has(SumOver):
        return ()
    products = [node for node in preorder_traversal(form) if isinstance(node, Product)]
    if len(products) != 1 or len(products[0].args) != 2:
        return ()
    if isinstance(form, Hadamard) or products[0] not in (form, *form.args):
        form = products[0]  # the sum is in this part of it
    left, right = subject.seen(products[0]).args
    what = "the sum is inside the product {product}"
    if isinstance(right, Ones) or (isinstance(left, Transpose) and isinstance(left.args[0], Ones)):
        what = "the product with the vector of ones adds up: {product}"
    elif isinstance(left, Transpose) and _is_a_matrix(subject, left.args[0]):
        what += ", whose left factor is transposed because the sum is over its first index"
    sentence = " In matrices, " + lead + what + "."
    return text(sentence, product=subject.formula(form))
