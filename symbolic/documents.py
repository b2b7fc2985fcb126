"""A derivation as a complete LaTeX document: set-up, output layer, hidden layers backwards, parameters, summary, rules.

Everything that is said is read off the derivation's records. In matrix form a line that matrices cannot say stays in
components, with its own left side. A derivation for any depth has two parts, the last layer and any layer before it; a
page of it states the induction that joins them.

The document needs pdflatex with `texlive-latex-base` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sympy import Add, Expr, Mul, Piecewise

from symbolic.chains import LINE, boxed, display
from symbolic.conventions import is_weight
from symbolic.depth import DEPTH, LAYER, Label, split_label
from symbolic.errors import UsageError
from symbolic.expressions import Undefined
from symbolic.latex import LatexPrinter
from symbolic.linewidth import width
from symbolic.notation import Notation, escape_text
from symbolic.notations import notation_named
from symbolic.precision import DIGITS
from symbolic.rules import RULES, Result, Rule
from symbolic.sections import DETAILS, ResultWriter
from symbolic.tensors import Equation, Tensor
from symbolic.vocabulary import Vocabulary

if TYPE_CHECKING:
    from symbolic.derivation import Derivation
    from symbolic.induction import GeneralDerivation
    from symbolic.verification import Report

FORMS = ("matrix", "component")
PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=22mm]{geometry}
\usepackage{amsmath,amssymb}
\usepackage{array,longtable}
\usepackage{color}
\definecolor{rulegray}{gray}{0.42}
\let\plainfrac\frac
\renewcommand{\frac}[2]{\mathinner{\plainfrac{#1}{#2}}}
\newcommand{\by}[1]{\tag*{\footnotesize\textcolor{rulegray}{#1}}}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\setlength{\jot}{5pt}
\allowdisplaybreaks[1]
"""

# A word of a law that is a formula.
FORMULA = re.compile(r"partial|[A-Za-z]|[*=<>+-]|[A-Za-z0-9^]*[_/\[\]='()][A-Za-z0-9_/\[\]='()^-]*")


def latex_document(
    derivation: Derivation | GeneralDerivation,
    notation: str | Notation = "cs229",
    form: str | None = None,
    detail: str = "layer",
    report: Report | None = None,
) -> str:
    """The whole derivation as a LaTeX document, ready for pdflatex. The same input gives the same text.

    notation: a name of NOTATIONS, or a Notation.
    form:     "matrix" writes W^T delta where matrices can say it, "component" writes sums over indices; None is
              what the notation has.
    detail:   "result" gives results only, "layer" the main steps, "rule" every substep as well.
    report:   the outcome of `derivation.verify()`, which the page then states; without it the page claims nothing.

    Raises:
        UsageError: an argument that is none of these, or an expression that the page has no form for.
    """
    notation = notation_named(notation)
    form = notation.form if form is None else form
    if form not in FORMS:
        raise UsageError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
    if detail not in DETAILS:
        raise UsageError(f"detail must be one of {', '.join(DETAILS)}, not {detail!r}")
    return _Page(derivation, notation, form, detail, report).document()


def printer_for(derivation: Derivation, notation: Notation) -> LatexPrinter:
    """A printer that knows the derivation's tensors, the names of its functions, its loss and its objective."""
    return Vocabulary.of(derivation.program, derivation.tensors).printer(notation)


class _Page:
    """Writes one document.

    parts: one writer for a derivation, two for one of any depth: the last layer, and any layer before it.
    """

    def __init__(
        self, derivation: Derivation | GeneralDerivation, notation: Notation, form: str, detail: str,
        report: Report | None,
    ) -> None:  # fmt: skip
        self.derivation = derivation
        self.used: dict[str, Rule] = {}
        self.parts = [ResultWriter(part, notation, form, detail, self.used) for part in derivation.parts]
        self.notation = notation
        self.form = form
        self.detail = detail
        self.report = report
        self.program = self.parts[0].program
        self.printer = self.parts[0].printer

    def document(self) -> str:
        parts = [
            PREAMBLE + r"\begin{document}",
            r"\begin{center}{\LARGE Backpropagation}\\[1.2ex]{\large " + self._title() + r"}\end{center}",
            *self._setup(),
            *(self._sections() if self.detail != "result" else []),
            *self._induction(),
            *self._summary(),
            *verdict(self.report),
            *rules_used(self.used.values()),
            r"\end{document}",
        ]
        return joined_parts(parts)

    @property
    def any_depth(self) -> bool:
        return len(self.parts) > 1

    def _title(self) -> str:
        sizes = {
            str(size): (part, size)
            for part in self.parts for tensor in part.tensors.values() for n in tensor.shape for size in n.free_symbols
        }  # fmt: skip
        words = {"->": r"$\to$", "...": r"$\cdots$"}
        words |= {name: f"${part.printer.doprint(size)}$" for name, (part, size) in sizes.items()}
        if self.any_depth:
            named = {"n_0": 0, "n_1": 1, "n_depth": DEPTH}
            words |= {name: f"${self.notation.width_of(label)}$" for name, label in named.items()}
        title = self.derivation.title
        return " ".join(words.get(word) or escape_text(word) for word in title.split()) or "A program"

    # ------------------------------------------------------------------ set-up

    def _setup(self) -> Iterator[str]:
        program = self.program
        yield r"\section*{Set-up}"
        if self.any_depth:
            first, any_layer = self.notation.layer_number(1), self.notation.any_layer
            yield (
                f"A network of any number of layers. The last one is layer ${self.notation.depth}$; a layer "
                f"${any_layer} = {first}, \\dots, {self.notation.layer_number(DEPTH - 1)}$ is any of those before it. "
                f"The activation of layer ${self.notation.layer_number(0)}$ is the input ${self._input()}$."
            )
        yield self._shapes()
        yield self._count()
        yield "Forward" + (", for one example:" if program.example is not None else ":")
        yield display([part.lines.forward(equation) for part, equation in self._forward()])
        functions = {
            line.left: line
            for part, equation in self._forward() for line in part.lines.functions([equation])
        }  # fmt: skip
        if functions:
            yield "where"
            yield display(list(functions.values()))
        if self.notation.batch and program.example is not None:
            yield "For all examples at once; capital letters are matrices whose rows are the examples:"
            yield display(
                [part.stacked_forward(equation) for part, equation in self._forward() if len(equation.indices) > 1]
            )
        undefined = sorted({node for _, e in self._forward() for node in e.rhs.atoms(Undefined)}, key=str)
        names = sorted({self.notation.function(node.name) for node in undefined})
        if names:
            formulas = ", ".join(f"${name}$" for name in names)
            yield f"Of {formulas} nothing is assumed but that the derivatives exist."
        for fact in program.facts:
            formula = f"{self.printer.doprint(fact.before)} = {self.printer.doprint(fact.after)}"
            yield f"Given: {escape_text(fact.statement)}, ${formula}$."
        yield self._aim()
        if any(equation.rhs.has(Piecewise) for _, equation in self._forward()):
            yield (
                "Convention: where a function is defined by cases, its derivative is that of the case which "
                "holds at the point, at the border between two cases too."
            )
        if self.form == "matrix":
            sign, ones = self.notation.hadamard, self.notation.ones
            yield (
                f"Vectors are columns. ${sign}$ is the product entry by entry; functions, powers and "
                f"quotients of vectors are meant entry by entry, and ${ones}$ is the vector of ones."
            )

    def _input(self) -> str:
        tensor = Tensor("x", "input", None, (self.program.tensors[self.program.leaves[0].key].shape[-1],))
        return LatexPrinter(self.notation, {"x": tensor}).bare(tensor)

    def _forward(self) -> Iterator[tuple[ResultWriter, Equation]]:
        """The defining equations, in order, each with the writer of the part that it belongs to."""
        for equation in self.derivation.forward:
            yield next((p, equation) for p in self.parts if equation.tensor.key in p.program.definitions)

    def _leaves(self) -> Iterator[tuple[ResultWriter, Tensor]]:
        """What the equations start from, each once; of a next layer, which is only looked back from, nothing."""
        seen: set[str] = set()
        for part in reversed(self.parts):
            used = {key for equation in self.derivation.forward for key in part.keys(equation)}
            for leaf in part.program.leaves:
                if leaf.key not in seen and (leaf.key in used or not self.any_depth):
                    seen.add(leaf.key)
                    yield part, leaf

    def _shapes(self) -> str:
        rows = [r"\textit{symbol} & \textit{what it is} & \textit{shape} & \\[0.4ex]"]
        for part, tensor in self._leaves():
            program, printer = part.program, part.printer
            pairs = zip(tensor.shape, tensor.indices, strict=True)
            extents: Sequence[Expr] = [extent for extent, letter in pairs if letter != program.example]
            if is_weight(tensor, part.tensors):
                _, extents = part.lines.axes(tensor.indices, tensor.shape)
            shape = _shape(extents, printer)
            numbers = _shape([program.value_of(extent) for extent in extents], printer)
            known = f"${numbers}$" if numbers != shape else ""
            rows.append(rf"${printer.bare(tensor)}$ & {tensor.role} & ${shape}$ & {known} \\")
        return "\n".join([r"\begin{longtable}[l]{@{}l@{\qquad}l@{\qquad}l@{\qquad}l@{}}", *rows, r"\end{longtable}"])

    def _count(self) -> str:
        parameters = () if self.any_depth else self.program.parameters
        counts = [Mul(*tensor.shape) for tensor in parameters]
        formula = " + ".join(self.printer.doprint(count) for count in counts)
        total = self.printer.doprint(self.program.value_of(Add(*counts)))
        text = formula if self.program.value_of(Add(*counts)) == Add(*counts) else f"{formula} = {total}"
        if width(text) > LINE:
            text = total if width(total) <= LINE else ""
        return f"Number of parameters: ${text}$." if parameters and text else ""

    def _aim(self) -> str:
        asked = [(part, part.tensors[key]) for part in self.parts for key in part.derivation.wrt]
        wanted = ", ".join(f"${part.printer.bare(tensor)}$" for part, tensor in asked)
        whole = self.printer.bare(self.program.tensors[self.program.objective])
        text = f"Wanted: the derivatives of ${whole}$, to be {self.program.sense}d, by {wanted}."
        if self.program.example is not None:
            mark = self.notation.example_mark(self.program.example)
            if self.notation.mark_examples:
                text += f" The mark ${{}}^{{{mark}}}$ is that of an example."
            else:
                sign = "_" if self.notation.example_below else "^"
                text += (
                    " A line about one example does not write which one; under a sum over the examples the mark "
                    f"${{}}{sign}{{{mark}}}$ does."
                )
        return text

    # ------------------------------------------------------------------ results

    def _sections(self) -> Iterator[str]:
        labels = [result.tensor.layer for part in self.parts for result in part.derivation.results]
        last = max((label for label in labels if isinstance(label, int)), default=0)
        groups: dict[str, list[tuple[ResultWriter, Result]]] = {}
        for part in self.parts:
            for result in part.derivation.results:
                title = self._section(result, last)
                groups.setdefault(title, []).append((part, result))
        for title in sorted(groups, key=lambda title: title in ("Parameters", "Gradients")):
            yield rf"\section*{{{title}}}"
            for part, result in groups[title]:
                yield from part.result(result)

    def _section(self, result: Result, last: int) -> str:
        """The heading under which a result stands."""
        label: Label | None = result.tensor.layer
        if result.tensor.role == "gradient":
            roles = {part.tensors[key].role for part in self.parts for key in part.derivation.wrt}
            return "Parameters" if roles == {"parameter"} else "Gradients"
        if label is None:
            return "Backwards"
        if label in (last, DEPTH):
            return "Output layer"
        number = self.notation.layer_number(label)
        return f"Hidden layer {number}" if split_label(label)[0] is None else f"Hidden layer ${number}$"

    def _induction(self) -> Iterator[str]:
        """Why the formulas of two layers hold for all of them."""
        if not self.any_depth:
            return
        step = self.parts[1]
        given = step.printer.doprint(step.derivation.given[0].element)
        first, before = self.notation.layer_number(1), self.notation.layer_number(DEPTH - 1)
        any_layer, after = self.notation.any_layer, self.notation.layer_number(LAYER + 1)
        yield r"\section*{Induction}"
        yield (
            f"Base: for layer ${self.notation.depth}$ the derivative by the pre-activation is derived from the loss. "
            f"Step: for a layer ${any_layer}$ before the last, suppose that ${given}$ is known. What layer "
            f"${any_layer}$ computes reaches the loss through layer ${after}$ alone, so the chain rule gives the "
            f"derivative of layer ${any_layer}$ from it, whatever comes after. Conclusion: starting at the base, the "
            f"step gives the derivatives of the layers ${before}, \\dots, {first}$ one after the other, at any depth."
        )

    # ------------------------------------------------------------------ summary

    def _summary(self) -> Iterator[str]:
        yield r"\section*{Summary}"
        yield boxed([part.final(result) for part in self.parts for result in part.named])
        lines = [part.stacked(result) for part in self.parts for result in part.named]
        stacked = [line for line in lines if line is not None]
        if self.program.example is not None and stacked:
            yield "For all examples at once; capital letters are matrices whose rows are the examples:"
            yield boxed(stacked)


def _shape(extents: Sequence[Expr], printer: LatexPrinter) -> str:
    if not extents:
        return r"\mathbb{R}"
    return r"\mathbb{R}^{" + r" \times ".join(printer.doprint(extent) for extent in extents) + "}"


def joined_parts(parts: Iterable[str]) -> str:
    """The parts of a document, with a blank line between them.

    A display belongs to the paragraph before it: a blank line there would open an empty paragraph.
    """
    text = "\n\n".join(part for part in parts if part)
    return re.sub(r"\n\n(?=\\begin\{(?:align|equation)\*\}|\\\[)", "\n", text) + "\n"


def verdict(report: Report | None) -> Iterator[str]:
    """What verification found, if it was asked."""
    if report is None:
        return
    yield r"\section*{Verification}"
    computed = [row.points for row in report.rows if row.points]
    others, wrong = len(report.rows) - len(computed), len(report.failures)
    fewest, most = min(computed, default=0), max(computed, default=0)
    points = f"{fewest} to {most} points" if fewest < most else "1 point" if most == 1 else f"{most} points"
    kinks = ", the kinks among them" if report.kink_points else ""
    yield (
        f"The steps above, what they begin with, their substeps and their matrix forms are {len(computed)} equalities. "
        f"Each had both sides computed in {DIGITS}-digit arithmetic at {points}{kinks}, with derivatives taken by "
        "disturbing the network and running it again. "
        + (f"{others} further checks compare definitions, counts and shapes. " if others else "")
        + (f"{wrong} are false." if wrong else "All of them hold.")
    )


def rules_used(rules: Iterable[Rule]) -> Iterator[str]:
    """The laws of the rules that a page names, in the order of the table."""
    order = {rule.name: n for n, rule in enumerate(RULES)}
    used = sorted(rules, key=lambda rule: (order.get(rule.name, len(order)), rule.name))
    if used:
        items = [rf"\item[{escape_text(rule.name)}] {law_text(rule.law)}." for rule in used]
        yield r"\section*{Rules used}"
        yield "\n".join([r"\begin{description}", *items, r"\end{description}"])


def law_text(law: str) -> str:
    """A rule's law as running text, with its formulas set as formulas: what has _ / [ ] = ' ( ) or is one
    letter.
    """
    words = law.replace("sum over", "sum\0over").split(" ")
    kinds = [bool(FORMULA.fullmatch(word.rstrip(",.;:"))) for word in words]
    for n, word in enumerate(words):
        if word == "a":
            kinds[n] = n + 1 < len(words) and words[n + 1] == "="
    text: list[str] = []
    for n, word in enumerate(words):
        word = word.replace("\0", " ")
        if not kinds[n]:
            text.append(escape_text(word))
            continue
        bare = word.rstrip(",.;:")
        stop = word[len(bare) :]
        formula = bare.replace("partial", r"\partial ").replace("*", r"\,")
        if text and kinds[n - 1] and text[-1].endswith("$"):
            text[-1] = f"{text[-1][:-1]} {formula}${stop}"
        else:
            text.append(f"${formula}${stop}")
    return " ".join(text)
