"""A derivation as a complete LaTeX document: set-up, output layer, hidden layers backwards, parameters,
summary, rules.

Everything that is said is read off the derivation's records. Lines are broken here, by the estimated width,
and a rule is named at the right of the line that it made. In matrix form a line that matrices cannot say
stays in components, with its own left side.

The document needs pdflatex with `texlive-latex-base` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sympy import Add, Basic, Expr, Mul, Piecewise, Symbol

from symbolic.chains import BOX_LINE, LINE, ChainWriter, Line, boxed, display, joined
from symbolic.errors import NoMatrixForm, UsageError
from symbolic.evaluation import DIGITS
from symbolic.expressions import Undefined
from symbolic.latex import LatexPrinter
from symbolic.linewidth import width
from symbolic.matrices import MatrixExpression
from symbolic.matrixform import stacked_form
from symbolic.notation import Notation, escape_text
from symbolic.notations import notation_named
from symbolic.rules import DEFINITION, RULES, Result, Rule, Step
from symbolic.tensors import key_of
from symbolic.vocabulary import Vocabulary

if TYPE_CHECKING:
    from symbolic.derivation import Derivation
    from symbolic.verification import Report

FORMS = ("matrix", "component")
DETAILS = ("result", "layer", "rule")
PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=22mm]{geometry}
\usepackage{amsmath,amssymb}
\usepackage{array,longtable}
\usepackage{color}
\definecolor{rulegray}{gray}{0.42}
\newcommand{\by}[1]{\tag*{\footnotesize\textcolor{rulegray}{#1}}}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\allowdisplaybreaks[1]
"""

# A word of a law that is a formula.
FORMULA = re.compile(r"partial|[A-Za-z]|[*=<>+-]|[A-Za-z0-9^]*[_/\[\]='()][A-Za-z0-9_/\[\]='()^-]*")
# The letter with which a named function is defined.
VARIABLE = Symbol("t")


def latex_document(
    derivation: Derivation,
    notation: str | Notation = "cs229",
    form: str = "matrix",
    detail: str = "layer",
    report: Report | None = None,
) -> str:
    """The whole derivation as a LaTeX document, ready for pdflatex. The same input gives the same text.

    notation: a name of NOTATIONS, or a Notation.
    form:     "matrix" writes W^T delta where matrices can say it, "component" writes sums over indices.
    detail:   "result" gives results only, "layer" the main steps, "rule" every substep as well.
    report:   the outcome of `derivation.verify()`, which the page then states; without it the page claims nothing.

    Raises:
        UsageError: an argument that is none of these, or an expression that the page has no form for.
    """
    if form not in FORMS:
        raise UsageError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
    if detail not in DETAILS:
        raise UsageError(f"detail must be one of {', '.join(DETAILS)}, not {detail!r}")
    return _Page(derivation, notation_named(notation), form, detail, report).document()


def printer_for(derivation: Derivation, notation: Notation) -> LatexPrinter:
    """A printer that knows the derivation's tensors, the names of its functions, its loss and its objective."""
    return Vocabulary.of(derivation.program, derivation.tensors).printer(notation)


class _Page:
    """Writes one document. Results are written one after the other: the cost is linear in their number."""

    def __init__(
        self, derivation: Derivation, notation: Notation, form: str, detail: str, report: Report | None
    ) -> None:
        self.derivation = derivation
        self.program = derivation.program
        self.tensors = derivation.tensors
        self.printer = printer_for(derivation, notation)
        self.form = form
        self.detail = detail
        self.report = report
        self.writer = ChainWriter(self.printer, form)
        self.used: dict[str, Rule] = {}

    def document(self) -> str:
        sizes = {str(size): size for t in self.tensors.values() for n in t.shape for size in n.free_symbols}
        words = {"->": r"$\to$"} | {name: f"${self.printer.doprint(size)}$" for name, size in sizes.items()}
        title = " ".join(words.get(word) or escape_text(word) for word in self.program.title.split()) or "A program"
        parts = [
            PREAMBLE + r"\begin{document}",
            r"\begin{center}{\LARGE Backpropagation}\\[1.2ex]{\large " + title + r"}\end{center}",
            *self._setup(),
            *(self._sections() if self.detail != "result" else []),
            *self._summary(),
            *verdict(self.report),
            *rules_used(self.used.values()),
            r"\end{document}",
        ]
        return joined_parts(parts)

    # ------------------------------------------------------------------ set-up

    def _setup(self) -> Iterator[str]:
        program = self.program
        yield r"\section*{Set-up}"
        yield self._shapes()
        yield self._count()
        yield "Forward" + (", for one example:" if program.example is not None else ":")
        yield display([self.writer.forward(equation) for equation in program.equations])
        functions = self._functions()
        if functions:
            yield "where"
            yield display(functions)
        undefined = sorted({node for e in program.equations for node in e.rhs.atoms(Undefined)}, key=str)
        names = sorted({self.printer.notation.function(node.name) for node in undefined})
        if names:
            formulas = ", ".join(f"${name}$" for name in names)
            yield f"Of {formulas} nothing is assumed but that the derivatives exist."
        for fact in program.facts:
            formula = f"{self.printer.doprint(fact.before)} = {self.printer.doprint(fact.after)}"
            yield f"Given: {escape_text(fact.statement)}, ${formula}$."
        yield self._aim()
        if any(equation.rhs.has(Piecewise) for equation in program.equations):
            yield (
                "Convention: where a function is defined by cases, its derivative is that of the case which "
                "holds at the point, at the border between two cases too."
            )
        if self.form == "matrix":
            sign, ones = self.printer.notation.hadamard, self.printer.notation.ones
            yield (
                f"Vectors are columns. ${sign}$ is the product entry by entry; functions, powers and "
                f"quotients of vectors are meant entry by entry, and ${ones}$ is the vector of ones."
            )

    def _shapes(self) -> str:
        rows = [r"\textit{symbol} & \textit{what it is} & \textit{shape} & \\[0.4ex]"]
        for tensor in self.program.leaves:
            pairs = zip(tensor.shape, tensor.indices, strict=True)
            extents: Sequence[Expr] = [extent for extent, letter in pairs if letter != self.program.example]
            if tensor.role == "parameter":
                _, extents = self.writer.axes(tensor.indices, tensor.shape)
            shape = self._shape(extents)
            numbers = self._shape([self.program.value_of(extent) for extent in extents])
            known = f"${numbers}$" if numbers != shape else ""
            rows.append(rf"${self.printer.bare(tensor)}$ & {tensor.role} & ${shape}$ & {known} \\")
        return "\n".join([r"\begin{longtable}[l]{@{}l@{\qquad}l@{\qquad}l@{\qquad}l@{}}", *rows, r"\end{longtable}"])

    def _shape(self, extents: Sequence[Expr]) -> str:
        if not extents:
            return r"\mathbb{R}"
        return r"\mathbb{R}^{" + r" \times ".join(self.printer.doprint(extent) for extent in extents) + "}"

    def _count(self) -> str:
        parameters = self.program.parameters
        counts = [Mul(*tensor.shape) for tensor in parameters]
        formula = " + ".join(self.printer.doprint(count) for count in counts)
        total = self.printer.doprint(self.program.value_of(Add(*counts)))
        text = formula if self.program.value_of(Add(*counts)) == Add(*counts) else f"{formula} = {total}"
        if width(text) > LINE:
            text = total if width(total) <= LINE else ""
        return f"Number of parameters: ${text}$." if parameters and text else ""

    def _functions(self) -> list[Line]:
        """What each named function is, once."""
        lines: dict[str, Line] = {}
        for equation in self.program.equations:
            argument = self.writer.argument(equation)
            if argument is None or equation.function is None or equation.function.latex in lines:
                continue
            if self.writer.elementwise(equation):
                body = equation.rhs.xreplace({argument: VARIABLE})
                left = self.printer.applied(equation.function, VARIABLE)
            else:
                body = equation.rhs
                left = self.printer.component(equation.function, self.tensors[key_of(argument) or ""], equation.lhs)
            lines[equation.function.latex] = Line(left, self.printer.lines(body, LINE - width(left)))
        return [line for line in lines.values() if [line.left] != line.right]

    def _aim(self) -> str:
        objective = self.tensors[self.program.objective]
        wanted = ", ".join(f"${self.printer.bare(self.tensors[key])}$" for key in self.derivation.wrt)
        whole = self.printer.bare(objective)
        text = f"Wanted: the derivatives of ${whole}$, to be {self.program.sense}d, by {wanted}."
        if self.program.example is not None:
            mark = self.printer.notation.example_mark(self.program.example)
            if self.printer.notation.mark_examples:
                text += f" The mark ${{}}^{{{mark}}}$ is that of an example."
            else:
                sign = "_" if self.printer.notation.example_below else "^"
                text += (
                    " A line about one example does not write which one; under a sum over the examples the mark "
                    f"${{}}{sign}{{{mark}}}$ does."
                )
        return text

    # ------------------------------------------------------------------ results

    def _sections(self) -> Iterator[str]:
        top = max((r.tensor.layer or 0 for r in self.derivation.results), default=0)
        groups: dict[str, list[Result]] = {}
        for result in self.derivation.results:
            layer = result.tensor.layer
            if result.tensor.role == "gradient":
                title = "Parameters" if self._only_parameters() else "Gradients"
            elif layer is None:
                title = "Backwards"
            else:
                title = "Output layer" if layer == top else f"Hidden layer {layer}"
            groups.setdefault(title, []).append(result)
        for title in sorted(groups, key=lambda title: title in ("Parameters", "Gradients")):
            yield rf"\section*{{{title}}}"
            for result in groups[title]:
                with self.printer.lettering(result.tensor[result.indices], *_expressions(result.steps)):
                    yield from self._result(result)

    def _only_parameters(self) -> bool:
        return all(self.tensors[key].role == "parameter" for key in self.derivation.wrt)

    def _result(self, result: Result) -> Iterator[str]:
        """The chain of a result, then, at the finest detail, its substeps under the letters that the
        chain refers to.
        """
        smaller: dict[int, list[Line]] = {}
        if self.detail == "rule":
            for step in result.steps:
                with self.printer.marking(*(side for inner in step.substeps for side in (inner.before, inner.after))):
                    lines = self._substeps(step.substeps)
                if lines:
                    smaller[id(step)] = lines
        marks = {key: f"({_letter(n)})" for n, key in enumerate(smaller)}
        yield self._lead(result)
        with self.printer.marking(result.steps[0].before):
            chain = self._chain(result, marks)
        yield display(chain)
        for key, lines in smaller.items():
            yield rf"{{\small In smaller steps, {marks[key]}:}}"
            yield display(lines)

    def _lead(self, result: Result) -> str:
        source = f"${self.printer.bare(self.tensors[result.tensor.of or ''])}$"
        if self.program.example is None or result.tensor.role != "gradient":
            return f"By {source}:"
        one = self.program.example in result.indices and not result.named
        return f"By {source}, {'one example' if one else 'all examples'}:"

    def _chain(self, result: Result, marks: dict[int, str]) -> list[Line]:
        first = result.steps[0].before
        heads = [result.tensor[result.indices], first] if self._introduces_name(result) else [first]
        items: list[tuple[Basic, str]] = [(first, "")]
        if len(heads) == 2:
            self.used[DEFINITION.name] = DEFINITION
            items = [(first, DEFINITION.name)]
        for step in result.steps:
            items.append((step.after, f"{self._label(step)} {marks.get(id(step), '')}".strip()))
        return self.writer.chain(heads, items, result.indices, result.tensor.shape)

    def _introduces_name(self, result: Result) -> bool:
        return result.named and result.tensor.role != "gradient"

    def _substeps(self, steps: Sequence[Step]) -> list[Line]:
        """Substeps in components, one chain for each part that they rewrite."""
        lines: list[Line] = []
        last: Basic | None = None
        indent = ""
        for step in steps:
            label = self._label(step)
            left = "" if step.before == last else self.printer.doprint(step.before)
            indent = left or indent
            text = self.printer.doprint(step.after)
            last = step.after
            if (lines and not left and "".join(lines[-1].right) == text) or text == left:
                lines[-1:] = [Line(lines[-1].left, lines[-1].right, joined(lines[-1].label, label))] if lines else []
                continue
            lines.append(Line(left, self.printer.lines(step.after, LINE - width(indent)), label))
        return lines

    def _label(self, step: Step) -> str:
        self.used[step.rule.name] = step.rule
        for inner in step.substeps if self.detail == "rule" else ():
            self.used[inner.rule.name] = inner.rule
        return escape_text(step.label)

    # ------------------------------------------------------------------ summary and rules

    def _summary(self) -> Iterator[str]:
        named = [result for result in self.derivation.results if result.named]
        yield r"\section*{Summary}"
        yield boxed([self._final(result) for result in named])
        stacked = [line for result in named if (line := self._stacked(result)) is not None]
        if self.program.example is not None and stacked:
            yield "For all examples at once; capital letters are matrices whose rows are the examples:"
            yield boxed(stacked)

    def _final(self, result: Result) -> Line:
        head = result.tensor[result.indices] if self._introduces_name(result) else result.steps[0].before
        after = result.steps[-1].after
        with self.printer.marking(head):
            sides = self.writer.matrices(head, after, result.indices, result.tensor.shape) or (head, after)
            return self.writer.line(sides[0], sides[1], limit=BOX_LINE)

    def _stacked(self, result: Result) -> Line | None:
        head = result.tensor[result.indices] if self._introduces_name(result) else result.steps[0].before
        after = result.steps[-1].after
        if isinstance(after, MatrixExpression):
            return None
        try:
            example = self.program.example in result.indices
            whole = (result.indices, result.tensor.shape)
            indices, shape = whole if example else self.writer.axes(*whole)
            sides = [stacked_form(e, indices, self.tensors, shape) for e in (head, after)]
        except NoMatrixForm:
            return None
        return self.writer.line(sides[0], sides[1], limit=BOX_LINE)


def joined_parts(parts: Iterable[str]) -> str:
    """The parts of a document, with a blank line between them.

    A display belongs to the paragraph before it: a blank line there would open an empty paragraph.
    """
    text = "\n\n".join(part for part in parts if part)
    return re.sub(r"\n\n(?=\\begin\{(?:align|equation)\*\}|\\\[)", "\n", text) + "\n"


def verdict(report: Report | None) -> Iterator[str]:
    """What verification found, if it was asked."""
    if report is not None:
        yield r"\section*{Verification}"
        count, wrong = len(report.rows), len(report.failures)
        kinks = " and on the kinks" if report.kink_points else ""
        yield (
            f"Every step above, its substeps and its matrix forms, {count} equalities in all, had both sides "
            f"computed in {DIGITS}-digit arithmetic at {report.points} random points{kinks}, with derivatives "
            "taken by disturbing the network and running it again. "
            + (f"{wrong} of them are false." if wrong else "All of them hold.")
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


def _letter(number: int) -> str:
    return chr(ord("a") + number % 26) * (1 + number // 26)


def _expressions(steps: Sequence[Step]) -> Iterator[Basic]:
    for step in steps:
        yield step.before
        yield step.after
        yield from _expressions(step.substeps)
