"""A derivation as a page: set-up, output layer, hidden layers backwards, parameters, summary, verification, rules.

Everything that is said is read off the derivation's records. In matrix form a line that matrices cannot say stays in
components, with its own left side. Layers that say the same are written once. A derivation for any depth has two parts,
the last layer and any layer before it; its page states the induction that joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symbolic.depth import DEPTH, LAYER, split_label
from symbolic.errors import NoPicture
from symbolic.notation import Notation
from symbolic.pages.blocks import (
    DOTS,
    Block,
    Code,
    Formula,
    Formulas,
    Heading,
    Line,
    Medium,
    Page,
    Paragraph,
    Picture,
    Text,
    anchor_of,
    text,
)
from symbolic.pages.laws import rules_used
from symbolic.pages.sameness import result_kind, runs, same_for
from symbolic.pages.setup import SetUp
from symbolic.pages.verdicts import verdict
from symbolic.rules import Result
from symbolic.sections import ResultWriter, rows_by_step
from symbolic.whys import Whys

if TYPE_CHECKING:
    from symbolic.derivation import Derivation
    from symbolic.induction import GeneralDerivation
    from symbolic.verification import Report

# Headings of what was asked for, where it is the parameters and where it is something else; they stand last.
GRADIENTS = (text("Parameters"), text("Gradients"))
# A graph of more nodes than this is not drawn on the page.
DRAWN = 60
CAPTIONS = {
    "network": "The network; under each layer what the reverse sweep finds.",
    "graph": "What is computed from what, and dashed, against the arrows, how the derivatives follow from each other.",
}


def compose(
    derivation: Derivation | GeneralDerivation, notation: Notation, form: str, detail: str, report: Report | None,
    medium: Medium,
) -> Page:  # fmt: skip
    """The page of a derivation: see `DerivationPages.latex`."""
    return _Composer(derivation, notation, form, detail, report, medium).page()


@dataclass
class _Section:
    """The results that stand under one heading and belong to one layer."""

    title: Text
    layer: int | None
    results: list[tuple[ResultWriter, Result]]

    @property
    def kind(self) -> Hashable:
        """Equal for the sections of layers that say the same."""
        kinds = (result_kind(result, part.printer) for part, result in self.results)
        return self.title if self.title in GRADIENTS else None, tuple(kinds)


class _Composer:
    """Composes one page.

    parts: one writer for a derivation, two for one of any depth: the last layer, and any layer before it.
    """

    def __init__(
        self, derivation: Derivation | GeneralDerivation, notation: Notation, form: str, detail: str,
        report: Report | None, medium: Medium,
    ) -> None:  # fmt: skip
        self.derivation = derivation
        self.notation = notation
        self.detail = detail
        self.report = report
        self.medium = medium
        self.shown_as: dict[str, str] = {}
        rows = rows_by_step(report)
        whys = Whys(form)
        self.parts = [
            ResultWriter(part, notation, form, detail, medium, rows, self.shown_as, whys) for part in derivation.parts
        ]
        self.setup = SetUp(derivation, notation, form, self.parts)
        self.sections = runs(self._sections(), lambda section: section.layer, lambda section: section.kind)
        for run in self.sections:
            pairs = [pair for other in run.others for pair in zip(other.results, run.item.results, strict=True)]
            for (_, other), (_, shown) in pairs:
                self.shown_as[other.tensor.key] = shown.tensor.key
        for layers in self.setup.runs:
            for same in layers.others:
                for (_, hidden), (_, equation) in zip(same, layers.item, strict=True):
                    self.shown_as[hidden.tensor.key] = equation.tensor.key

    def page(self) -> Page:
        blocks = [
            *self.setup.blocks(),
            *(self._pictures() if self.medium.pictures else ()),
            *(self._derivations() if self.detail != "result" or self.medium.unfolds else ()),
            *self._induction(),
            *self._summary(),
            *verdict(self.report),
        ]
        blocks += rules_used(blocks)
        return Page(text("Backpropagation"), self.setup.title(), tuple(blocks), self.detail)

    @property
    def any_depth(self) -> bool:
        return len(self.parts) > 1

    def _pictures(self) -> Iterator[Block]:
        """The network, where the program is one, and the computation graph."""
        from symbolic.diagrams import diagram, svg

        for kind, caption in CAPTIONS.items():
            try:
                drawn = diagram(self.derivation, kind, self.notation)
            except NoPicture:
                continue
            if len(drawn.nodes) <= DRAWN:
                yield Picture(svg(drawn, prefix=kind), drawn.alt, text(caption))
            else:
                yield Paragraph(text(
                    "The computation graph has {count} nodes; {command} draws it.",
                    count=str(len(drawn.nodes)), command=Code("deltaform diagram"),
                ))  # fmt: skip

    # ------------------------------------------------------------------ results

    def _sections(self) -> list[_Section]:
        """The results by heading and layer; parameters last."""
        labels = [result.tensor.layer for part in self.parts for result in part.derivation.results]
        last = max((label for label in labels if isinstance(label, int)), default=0)
        found: list[_Section] = []
        for part in self.parts:
            for result in part.derivation.results:
                title = self._title(result, last)
                layer = result.tensor.layer if isinstance(result.tensor.layer, int) else None
                known = next((s for s in reversed(found) if (s.title, s.layer) == (title, layer)), None)
                if known is None:
                    found.append(_Section(title, layer, [(part, result)]))
                else:
                    known.results.append((part, result))
        return sorted(found, key=lambda section: section.title in GRADIENTS)

    def _title(self, result: Result, last: int) -> Text:
        """The heading under which a result stands."""
        label = result.tensor.layer
        if result.tensor.role == "gradient":
            roles = {part.tensors[key].role for part in self.parts for key in part.derivation.wrt}
            return GRADIENTS[0 if roles == {"parameter"} else 1]
        if label is None:
            return text("Backwards")
        if label in (last, DEPTH):
            return text("Output layer")
        number = self.notation.layer_number(label)
        return text("Hidden layer {number}", number=number if split_label(label)[0] is None else Formula(number))

    def _derivations(self) -> Iterator[Block]:
        before: Text = ()
        for run in self.sections:
            section = run.item
            if section.title != before:
                plain = "-".join(piece if isinstance(piece, str) else "any" for piece in section.title)
                yield Heading(section.title, anchor=anchor_of("of", plain))
            before = section.title
            for part, result in section.results:
                yield part.result(result)
            if run.others:
                same = same_for([other.layer or 0 for other in run.others], self.notation)
                yield Paragraph(text("{same}.", same=("T" + str(same[0])[1:], *same[1:])))

    def _induction(self) -> Iterator[Block]:
        """Why the formulas of two layers hold for all of them."""
        if not self.any_depth:
            return
        step = self.parts[1]
        yield Heading(text("Induction"), anchor="induction")
        yield Paragraph(text(
            "Base: for layer {depth} the derivative by the pre-activation is derived from the loss. "
            "Step: for a layer {layer} before the last, suppose that {given} is known. What layer {layer} computes "
            "reaches the loss through layer {after} alone, so the chain rule gives the derivative of layer {layer} "
            "from it, whatever comes after. Conclusion: starting at the base, the step gives the derivatives of the "
            "layers {layers} one after the other, at any depth.",
            depth=Formula(self.notation.depth),
            layer=Formula(self.notation.any_layer),
            given=Formula(self._given(step)),
            after=Formula(self.notation.layer_number(LAYER + 1)),
            layers=Formula(rf"{self.notation.layer_number(DEPTH - 1)}, \dots, {self.notation.layer_number(1)}"),
        ))  # fmt: skip

    def _given(self, step: ResultWriter) -> str:
        """What the step takes for granted, as the page writes it."""
        tensor = step.derivation.given[0]
        form = step.lines.matrix(tensor.element, tensor.indices, tensor.shape)
        return step.printer.doprint(tensor.element if form is None else form)

    # ------------------------------------------------------------------ summary

    def _summary(self) -> Iterator[Block]:
        yield Heading(text("Summary"), anchor="summary")
        yield Formulas(tuple(self._summed(lambda part, result: part.final(result))), boxed=True)
        if self.parts[0].program.example is None:
            return
        stacked = tuple(self._summed(lambda part, result: part.stacked(result)))
        if stacked:
            yield Paragraph(text("For all examples at once; capital letters are matrices whose rows are the examples:"))
            yield Formulas(stacked, boxed=True)

    def _summed(self, write: Callable[[ResultWriter, Result], Line | None]) -> Iterator[Line]:
        """A line for every named result; of equal layers for the first."""
        layers: list[_Section] = []
        for part in self.parts:
            for result in part.named:
                layer = result.tensor.layer if isinstance(result.tensor.layer, int) else None
                if layers and layer is not None and layers[-1].layer == layer:
                    layers[-1].results.append((part, result))
                else:
                    layers.append(_Section((), layer, [(part, result)]))
        for run in runs(layers, lambda section: section.layer, lambda section: section.kind):
            lines = [write(part, result) for part, result in run.item.results]
            yield from (line for line in lines if line is not None)
            if run.others and any(lines):
                numbers = [other.layer or 0 for other in run.others]
                yield Line("", [DOTS], note=same_for(numbers, self.notation))
