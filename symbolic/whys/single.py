"""Why a sum of the chain rule has one term only, and why another has several."""

from __future__ import annotations

from functools import partial

from sympy import KroneckerDelta, Mul, Sum, Symbol

from symbolic.calculus import substitute_indices
from symbolic.expressions import PartialDerivative
from symbolic.matrices import Product, Transpose
from symbolic.pages.blocks import enumerated, text
from symbolic.rules import CHAIN, Step
from symbolic.tensors import elements, indices_of, key_of
from symbolic.whys.subject import Question, Subject, Why, factors_of, in_words, terms_of, the_sum


def why_there_is_no_sum(subject: Subject) -> Question | None:
    """Why the derivative by a weight is an outer product: W_js is in z_j only, and is multiplied by a_s there."""
    local = _one_place(subject)
    if local is None or len(_units(subject)) != 2:
        return None
    return Question("one term", partial(_one_term, subject, local), (local.before, local.after))


def _units(subject: Subject) -> list[Symbol]:
    return [letter for letter in subject.result.indices if letter != subject.example]


def _one_place(subject: Subject) -> Step | None:
    """The step that gives partial u_i/partial v_js as [i = j] times something, where the sum over i goes away by it."""
    found = the_sum(subject.steps[0].after)
    if subject.steps[0].rule is not CHAIN or subject.user is None or found is None or subject.final.has(Sum):
        return None
    letters = [letter for letter, _, high in found[1].limits if high != 0]
    local = [inner for step in subject.steps for inner in step.substeps]
    if len(letters) != 1 or not local or not isinstance(local[0].before, PartialDerivative):
        return None
    deltas = [part for part in factors_of(local[-1].after) if isinstance(part, KroneckerDelta)]
    others = [part for part in deltas[0].args if part != letters[0]] if len(deltas) == 1 else []
    if len(others) != 1 or others[0] not in subject.result.indices or len(factors_of(local[-1].after)) == 1:
        return None
    return Step(local[0].rule, local[0].before, local[-1].after)


def _one_term(subject: Subject, local: Step) -> Why | None:
    result = subject.result
    delta = next(part for part in factors_of(local.after) if isinstance(part, KroneckerDelta))
    found = the_sum(subject.steps[0].after)
    user = subject.user
    if found is None or user is None:
        return None
    letter, _, high = found[1].limits[0]
    kept = next(part for part in delta.args if part != letter)
    factor = substitute_indices(Mul(*(part for part in factors_of(local.after) if part is not delta)), {letter: kept})
    # The derivative of a product W x by W knows no W, nor what W is a part of.
    multiplied = not {key_of(element) for element in elements(factor)} & {subject.source.key, user.tensor.key}
    places = [kept if place == letter else place for place in indices_of(local.before.of)]
    here = user.tensor[tuple(places)]
    shown = subject.matrix(subject.final, result.indices, result.tensor.shape) if subject.form == "matrix" else None
    outer = isinstance(shown, Product) and len(shown.args) == 2 and isinstance(shown.args[1], Transpose)
    if subject.form == "matrix" and not outer:
        return None
    source = subject.formula(subject.element)
    answer = text(
        "{source} is in {here} alone"
        + (", where it is multiplied by {factor}" if multiplied else "")
        + ": {local}. Of the sum over {letter} only "
        "one term is left, {final}.",
        source=source,
        here=subject.formula(here),
        factor=subject.formula(factor),
        local=subject.formula(local.before, local.after),
        letter=subject.letter(letter, high + 1),
        final=subject.formula(subject.final),
    )
    if shown is None:
        return Why(text("Why is there no sum in {final}?", final=subject.formula(subject.final)), answer)
    more = text(
        " That is one number for each pair of indices, every entry of one vector times every entry of the other: a "
        "column times a row.",
    )
    return Why(text("Why is this an outer product, {product}?", product=subject.formula(shown)), (*answer, *more))


def why_several_terms(subject: Subject) -> Question | None:
    """Why a derivative has several terms: one for each equation that uses the tensor."""
    chain = subject.steps[0]
    terms = terms_of(chain.after)
    if chain.rule is not CHAIN or len(subject.users) < 2 or len(terms) != len(subject.users):
        return None
    if len(subject.uses.equations[subject.source.key]) != len(terms):
        return None  # it is used in an equation that the loss does not depend on, too
    return Question("several terms", partial(_several, subject, chain), ())


def _several(subject: Subject, chain: Step) -> Why | None:
    users = [subject.bare(user.tensor) for user in subject.users]
    source = subject.bare(subject.source)
    question = text("Why does the chain rule have {number} terms here?", number=in_words(len(users)))
    answer = text(
        "{source} is used {often}, in the equations of {users}. Changing it changes the loss along each of these ways, "
        "and by the law of total derivatives the ways add up: {sum}.",
        source=source,
        often="twice" if len(users) == 2 else f"{in_words(len(users))} times",
        users=(*enumerated(users[:-1]), " and ", users[-1]),
        sum=subject.formula(chain.before, chain.after),
    )
    return Why(question, answer)
