"""Why a derivative is given a name: several later results are made of it."""

from __future__ import annotations

from functools import partial

from sympy import Basic

from symbolic.depth import is_open
from symbolic.expressions import TotalDerivative
from symbolic.pages.blocks import enumerated, text
from symbolic.rules import CHAIN, Result
from symbolic.tensors import key_of
from symbolic.whys.subject import Question, Subject, Why, in_words


def why_it_has_a_name(subject: Subject) -> Question | None:
    """Why dL/dz is called delta: it is worked out once and used several times."""
    result = subject.result
    if not result.named or result.tensor.role != "adjoint" or subject.printer.notation.adjoints == "partial":
        return None
    if is_open(result.tensor.layer):
        return None  # a layer before it, which is not there, may use the name too
    return Question("a name", partial(_named, subject))


def _paths(result: Result) -> set[str]:
    """The keys of the tensors by which the chain rule takes the derivative on the way to a result."""
    chain = result.steps[0]
    if chain.rule is not CHAIN:
        return set()
    return {key_of(node.by) or "" for node in chain.after.atoms(TotalDerivative)}


def _named(subject: Subject) -> Why | None:
    result, key = subject.result, subject.source.key
    users = [other.steps[0].before for other in subject.derivation.results if key in _paths(other)]
    if len(users) < 2 or not all(isinstance(user, TotalDerivative) for user in users):
        return None
    sides: list[Basic] = [subject.steps[0].before, result.tensor[result.indices]]
    forms = [subject.matrix(side, result.indices, result.tensor.shape) for side in sides]
    if subject.form == "matrix":
        sides = [side if None in forms else form or side for side, form in zip(sides, forms, strict=True)]
    whole, name = (subject.formula(side) for side in sides)
    *before, last = [subject.bare(subject.tensors[key_of(user.by) or ""]) for user in users]
    answer = text(
        "The chain rule uses {whole} for {number} of the derivatives that follow: those by {before} and {last}. With a "
        "name, it is worked out once and not {often}.",
        whole=whole,
        number=in_words(len(users)),
        often="twice" if len(users) == 2 else f"{in_words(len(users))} times",
        before=enumerated(before),
        last=last,
    )
    return Why(text("Why is {whole} given a name, {name}?", whole=whole, name=name), answer)
