"""A derivation as a complete LaTeX document: set-up, output layer, hidden layers backwards, parameters, summary, rules.

Everything that is said is read off the derivation's records. Lines are broken here, by the estimated width, and a rule
is named at the right of the line that it made. In matrix form a line that matrices cannot say stays in components, with
its own left side.

The document needs pdflatex with `texlive-latex-base` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sympy import Basic, Expr, Integer, Mul, Piecewise, Symbol

from symbolic.derivation import Derivation
from symbolic.errors import NoMatrixForm, UsageError
from symbolic.expressions import TotalDerivative, Undefined
from symbolic.latex import LatexPrinter
from symbolic.linewidth import width
from symbolic.matrixform import matrix_form, stacked_form
from symbolic.notation import Notation, escape_text, notation_named
from symbolic.rules import RULES, Result, Step
from symbolic.tensors import Equation, Fact, Tensor, elements, key_of

FORMS = ("matrix", "component")
DETAILS = ("result", "layer", "rule")
# Width of a formula line in em, at 11 pt on 16.5 cm, less the indentation of a continued line.
LINE = 38.0
# A summary of more lines than this is not boxed, because a box cannot break across pages.
BOXED = 24

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
\allowdisplaybreaks
"""

ROLE_NAMES = {
    "input": "input", "target": "target", "parameter": "parameter", "preactivation": "pre-activation",
    "activation": "activation", "loss": "loss", "cost": "cost", "intermediate": "intermediate",
    "adjoint": "adjoint", "gradient": "gradient",
}  # fmt: skip


def latex_document(
    derivation: Derivation, notation: str | Notation = "cs229", form: str = "matrix", detail: str = "layer"
) -> str:
    """The whole derivation as a LaTeX document, ready for pdflatex. The same input gives the same text.

    notation: a name of NOTATIONS, or a Notation.
    form:     "matrix" writes W^T delta where matrices can say it, "component" writes sums over indices.
    detail:   "result" gives results only, "layer" the main steps, "rule" every substep as well.

    Raises:
        UsageError: an argument that is none of these, or an expression that the page has no form for.
    """
    if form not in FORMS:
        raise UsageError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
    if detail not in DETAILS:
        raise UsageError(f"detail must be one of {', '.join(DETAILS)}, not {detail!r}")
    return _Page(derivation, notation_named(notation), form, detail).document()


def printer_for(derivation: Derivation, notation: Notation) -> LatexPrinter:
    """A printer that knows the derivation's tensors, the names of its functions, its loss and its objective."""
    program = derivation.program
    functions = {e.tensor.key: e.function for e in program.equations if e.function is not None}
    tensors = derivation.tensors
    loss = next((tensors.get(key_of(top.of) or "") for top in _derivatives(derivation)), None)
    return LatexPrinter(notation, tensors, functions, program.example, loss, tensors[program.objective])


def _derivatives(derivation: Derivation) -> Iterator[TotalDerivative]:
    for result in derivation.results:
        if isinstance(result.steps[0].before, TotalDerivative):
            yield result.steps[0].before


@dataclass
class _Line:
    """One line of an aligned display: left side, which may be empty, right side in pieces, the rule's name."""

    left: str
    right: list[str]
    label: str = ""


@dataclass
class _Page:
    derivation: Derivation
    notation: Notation
    form: str
    detail: str
    used: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.program = self.derivation.program
        self.tensors = self.derivation.tensors
        self.printer = printer_for(self.derivation, self.notation)

    def document(self) -> str:
        title = escape_text(self.program.title).replace("-$>$", r"$\to$") if self.program.title else "A program"
        parts = [
            PREAMBLE,
            r"\title{Backpropagation\\[0.4ex]\large " + title + "}",
            r"\author{}\date{}",
            r"\begin{document}",
            r"\maketitle",
            self._setup(),
            *self._sections(),
            self._summary(),
            self._rules(),
            r"\end{document}",
        ]
        return "\n".join(part for part in parts if part) + "\n"

    # ------------------------------------------------------------------ set-up

    def _setup(self) -> str:
        equations = self.program.equations
        parts = [r"\section*{Set-up}", self._shapes(), self._count()]
        parts.append("Forward equations" + (", for one example:" if self.program.example is not None else ":"))
        parts.append(self._display([self._equation(equation) for equation in equations]))
        functions = self._functions()
        if functions:
            parts += ["with", self._display(functions)]
        parts.append(self._aim())
        for fact in self.program.facts:
            formula = f"{self.printer.doprint(fact.before)} = {self.printer.doprint(fact.after)}"
            parts.append(f"Given: {escape_text(fact.statement)}, ${formula}$.")
        parts.append(self._conventions())
        return "\n\n".join(part for part in parts if part)

    def _shapes(self) -> str:
        rows = []
        for tensor in self.program.leaves:
            extents = self._axes(tensor)
            symbol = f"${self.printer.bare(tensor)}$"
            shape = self._shape(extents)
            numbers = self._shape(tuple(self.program.value_of(extent) for extent in extents))
            known = numbers if numbers != shape else ""
            rows.append(rf"{symbol} & {ROLE_NAMES[tensor.role]} & ${shape}$ & {f'${known}$' if known else ''} \\")
        head = r"\begin{longtable}[l]{@{}l@{\qquad}l@{\qquad}l@{\qquad}l@{}}" + "\n"
        titles = r"\textit{symbol} & \textit{what it is} & \textit{shape} & \textit{in numbers} \\[0.3ex]" + "\n"
        return head + titles + "\n".join(rows) + "\n" + r"\end{longtable}"

    def _axes(self, tensor: Tensor) -> tuple[Expr, ...]:
        """The sizes of a tensor for one example."""
        pairs = zip(tensor.shape, tensor.indices, strict=True)
        return tuple(extent for extent, letter in pairs if letter != self.program.example)

    def _shape(self, extents: Sequence[Expr]) -> str:
        if not extents:
            return r"\mathbb{R}"
        return rf"\mathbb{{R}}^{{{r' \times '.join(self.printer.doprint(n) for n in extents)}}}"

    def _count(self) -> str:
        parameters = self.program.parameters
        if not parameters:
            return ""
        products = [Mul(*tensor.shape) for tensor in parameters]
        numbers = [self.program.value_of(entry) for entry in products]
        total = sum(numbers, Integer(0))
        formula = " + ".join(self.printer.doprint(entry) for entry in products)
        text = f"{formula} = {self.printer.doprint(total)}" if numbers != products else formula
        if width(text) > LINE:
            text = self.printer.doprint(total)
            if width(text) > LINE:
                return ""
        return f"The number of parameters is ${text}$."

    def _equation(self, equation: Equation) -> _Line:
        matrix = self._both(equation.lhs, self._right(equation), equation.indices, equation.tensor.shape)
        if matrix is not None:
            return _Line(*matrix)
        return self._component_line(equation.lhs, self._right(equation))

    def _right(self, equation: Equation) -> Basic:
        return equation.rhs

    def _component_line(self, left: Basic, right: Basic) -> _Line:
        text = self.printer.doprint(left)
        return _Line(text, self.printer.lines(right, LINE - width(text)))

    def _both(
        self, left: Basic, right: Basic, indices: Sequence[Symbol], shape: Sequence[Expr]
    ) -> tuple[str, list[str]] | None:
        """Both sides in matrix form, or None where matrices cannot say them or components are wanted."""
        if self.form != "matrix":
            return None
        try:
            sides = [matrix_form(side, indices, self.tensors, self.program.example, shape) for side in (left, right)]
        except NoMatrixForm:
            return None
        text = self.printer.doprint(sides[0])
        return text, self.printer.lines(sides[1], LINE - width(text))
