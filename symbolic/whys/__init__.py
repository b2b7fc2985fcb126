"""Questions that people ask about a derivation, each with an answer that is made from the records it is about.

A question is offered where the records have the structure that it asks about, and nowhere else; nothing is decided by
the name of a function or of a layer. The formulas in an answer are expressions of the steps and of the equations that
they cite, printed as the page prints them. `WHYS` is the table, in the order in which the questions are offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symbolic.expressions import TotalDerivative
from symbolic.latex import LatexPrinter
from symbolic.rules import Result
from symbolic.whys.cancelling import why_it_cancels
from symbolic.whys.entrywise import why_entry_by_entry, why_this_side_of_a_kink
from symbolic.whys.naming import why_it_has_a_name
from symbolic.whys.single import why_several_terms, why_there_is_no_sum
from symbolic.whys.subject import Question, Subject, Uses, Why
from symbolic.whys.sums import why_a_sum

if TYPE_CHECKING:
    from symbolic.derivation import Derivation

__all__ = ["WHYS", "Question", "Subject", "Why", "Whys", "whys"]

WHYS = (
    why_it_cancels,
    why_a_sum,
    why_there_is_no_sum,
    why_several_terms,
    why_it_has_a_name,
    why_entry_by_entry,
    why_this_side_of_a_kink,
)


class Whys:
    """The questions of one page, where each kind of question is asked once: at the first result that it fits.

    form: "matrix" or "component", as the page writes its chains.
    """

    def __init__(self, form: str) -> None:
        self.form = form
        self.asked: set[str] = set()
        self._uses: dict[int, Uses] = {}

    def of(self, derivation: Derivation, result: Result, printer: LatexPrinter) -> tuple[Why, ...]:
        """The questions about a result of the derivation that were not asked before, with answers."""
        if not isinstance(result.steps[0].before, TotalDerivative):
            return ()
        uses = self._uses.get(id(derivation.program))
        if uses is None:
            uses = self._uses[id(derivation.program)] = Uses(derivation)
        subject = Subject(derivation, result, printer, self.form, uses)
        found: list[Why] = []
        for about in (subject, *subject.inlined()):
            for ask in WHYS:
                question = ask(about)
                if question is None or question.kind in self.asked:
                    continue
                with about.writing(question):
                    why = question.answer()
                if why is not None:
                    self.asked.add(question.kind)
                    found.append(why)
        return tuple(found)


def whys(derivation: Derivation, result: Result, printer: LatexPrinter, form: str) -> tuple[Why, ...]:
    """All questions about one result, with answers."""
    return Whys(form).of(derivation, result, printer)
