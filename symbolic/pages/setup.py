"""The first section of a derivation's page: what there is, how it is computed, what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sympy import Add, Expr, Mul, Piecewise

from symbolic.conventions import is_weight
from symbolic.depth import DEPTH
from symbolic.expressions import Undefined
from symbolic.latex import LatexPrinter
from symbolic.linewidth import width
from symbolic.matrixform import matrix_form, stacked_form
from symbolic.notation import Notation
from symbolic.pages.blocks import (
    DOTS,
    PAPER,
    Block,
    Formula,
    Formulas,
    Heading,
    Line,
    Paragraph,
    Piece,
    Table,
    Text,
    anchor_of,
    enumerated,
    text,
)
from symbolic.pages.sameness import FEWEST, Run, equation_kind, runs, same_for
from symbolic.sections import ResultWriter
from symbolic.tensors import Equation, Tensor

if TYPE_CHECKING:
    from symbolic.derivation import Derivation
    from symbolic.induction import GeneralDerivation

# Of more parameters than this the first and the last are named.
NAMED = 8

Defined = tuple[ResultWriter, Equation]


class SetUp:
    """Writes the section.

    parts: one writer for a derivation, two for one of any depth: the last layer, and any layer before it.
    """

    def __init__(
        self, derivation: Derivation | GeneralDerivation, notation: Notation, form: str, parts: Sequence[ResultWriter]
    ) -> None:
        self.derivation = derivation
        self.notation = notation
        self.form = form
        self.parts = parts
        self.program = parts[0].program
        self.printer = parts[0].printer
        self.forward = list(self._forward())
        self.runs = self._runs()

    @property
    def any_depth(self) -> bool:
        return len(self.parts) > 1

    def title(self) -> Text:
        """The network, with its sizes as formulas."""
        sizes = {
            str(size): (part, size)
            for part in self.parts for tensor in part.tensors.values() for n in tensor.shape for size in n.free_symbols
        }  # fmt: skip
        words = {"->": r"\to", "...": r"\cdots"}
        words |= {name: part.printer.doprint(size) for name, (part, size) in sizes.items()}
        if self.any_depth:
            named = {"n_0": 0, "n_1": 1, "n_depth": DEPTH}
            words |= {name: self.notation.width_of(label) for name, label in named.items()}
        pieces = [Formula(words[word]) if word in words else word for word in _counted(self.derivation.title).split()]
        return enumerated(pieces, " ") or text("A program")

    def blocks(self) -> Iterator[Block]:
        program = self.program
        yield Heading(text("Set-up"), anchor="set-up")
        if self.any_depth:
            yield Paragraph(text(
                "A network of any number of layers. The last one is layer {depth}; a layer {layers} is any of those "
                "before it. The activation of layer {first} is the input {input}.",
                depth=Formula(self.notation.depth),
                layers=Formula(
                    rf"{self.notation.any_layer} = {self.notation.layer_number(1)}, \dots, "
                    f"{self.notation.layer_number(DEPTH - 1)}"
                ),
                first=Formula(self.notation.layer_number(0)),
                input=Formula(self._input()),
            ))  # fmt: skip
        yield self._shapes()
        yield from self._count()
        yield Paragraph(text("Forward" + (", for one example:" if program.example is not None else ":")))
        yield Formulas(tuple(self._lines(lambda part, equation: part.lines.forward(equation), self.runs, named=True)))
        functions = {
            line.left: line for part, equation in self.forward for line in part.lines.functions([equation])
        }  # fmt: skip
        if functions:
            yield Paragraph(text("where"))
            yield Formulas(tuple(functions.values()))
        if self.notation.batch and program.example is not None:
            yield Paragraph(text("For all examples at once; capital letters are matrices whose rows are the examples:"))
            yield Formulas(tuple(self._lines(
                lambda part, equation: part.stacked_forward(equation),
                self._runs(lambda equation: len(equation.indices) > 1),
            )))  # fmt: skip
        yield from self._assumptions()
        yield Paragraph(self._aim())
        yield from self._conventions()

    # ------------------------------------------------------------------ forward equations

    def _forward(self) -> Iterator[Defined]:
        """The defining equations, in order, each with the writer of the part that it belongs to."""
        for equation in self.derivation.forward:
            yield next((p, equation) for p in self.parts if equation.tensor.key in p.program.definitions)

    def _runs(self, wanted: Callable[[Equation], bool] = lambda equation: True) -> list[Run[list[Defined]]]:
        """The equations layer by layer; of equal layers the first."""
        layers: list[list[Defined]] = []
        for part, equation in self.forward:
            if not wanted(equation):
                continue
            if layers and equation.tensor.layer is not None and layers[-1][0][1].tensor.layer == equation.tensor.layer:
                layers[-1].append((part, equation))
            else:
                layers.append([(part, equation)])

        def kind(layer: list[Defined]) -> Hashable:
            return tuple(equation_kind(equation, part.printer) for part, equation in layer)

        return runs(layers, lambda layer: _number(layer[0][1].tensor), kind)

    def _lines(
        self, write: Callable[[ResultWriter, Equation], Line], found: Sequence[Run[list[Defined]]], named: bool = False
    ) -> Iterator[Line]:
        """The lines of the equations; named: links lead to them."""
        for run in found:
            for part, equation in run.item:
                line = write(part, equation)
                line.anchor = anchor_of("eq", equation.tensor.key) if named else ""
                yield line
            if run.others:
                layers = [_number(layer[0][1].tensor) or 0 for layer in run.others]
                yield Line("", [DOTS], note=same_for(layers, self.notation))

    # ------------------------------------------------------------------ what there is

    def _input(self) -> str:
        tensor = Tensor("x", "input", None, (self.program.tensors[self.program.leaves[0].key].shape[-1],))
        return LatexPrinter(self.notation, {"x": tensor}).bare(tensor)

    def _leaves(self) -> Iterator[tuple[ResultWriter, Tensor]]:
        """What the equations start from, each once; of a next layer, which is only looked back from, nothing."""
        seen: set[str] = set()
        for part in reversed(self.parts):
            used = {key for equation in self.derivation.forward for key in part.keys(equation)}
            for leaf in part.program.leaves:
                if leaf.key not in seen and (leaf.key in used or not self.any_depth):
                    seen.add(leaf.key)
                    yield part, leaf

    def _shapes(self) -> Table:
        """Every leaf with its shape; of equal layers the first and the last."""
        layers: list[list[tuple[Tensor, tuple[Text, ...]]]] = []
        for part, tensor in self._leaves():
            row = (tensor, self._row(part, tensor))
            if layers and _number(tensor) is not None and layers[-1][0][0].layer == tensor.layer:
                layers[-1].append(row)
            else:
                layers.append([row])

        def kind(layer: list[tuple[Tensor, tuple[Text, ...]]]) -> Hashable:
            """Sizes that are numbers must be equal; those that are letters carry the number of the layer."""
            return tuple((tensor.name, tensor.role, row[3] or row[2]) for tensor, row in layer)

        rows: list[tuple[Text, ...]] = []
        for run in runs(layers, lambda layer: _number(layer[0][0]), kind):
            rows += [row for _, row in run.item]
            if run.others:
                numbers = [_number(layer[0][0]) or 0 for layer in run.others]
                rows.append(((Formula(r"\vdots"),), same_for(numbers, self.notation), (), ()))
        head = (text("symbol"), text("what it is"), text("shape"), text("in numbers"))
        known = any(row[3] for row in rows)
        return Table(head, tuple(rows)) if known else Table(head[:3], tuple(row[:3] for row in rows))

    def _row(self, part: ResultWriter, tensor: Tensor) -> tuple[Text, ...]:
        program, printer = part.program, part.printer
        pairs = zip(tensor.shape, tensor.indices, strict=True)
        extents: Sequence[Expr] = [extent for extent, letter in pairs if letter != program.example]
        if is_weight(tensor, part.tensors):
            _, extents = part.lines.axes(tensor.indices, tensor.shape)
        shape = _shape(extents, printer)
        numbers = _shape([program.value_of(extent) for extent in extents], printer)
        known: Text = (Formula(numbers),) if numbers != shape else ()
        return (Formula(printer.bare(tensor)),), (tensor.role,), (Formula(shape),), known

    def _count(self) -> Iterator[Block]:
        parameters = () if self.any_depth else self.program.parameters
        counts = [Mul(*tensor.shape) for tensor in parameters]
        formula = " + ".join(self.printer.doprint(count) for count in counts)
        total = self.printer.doprint(self.program.value_of(Add(*counts)))
        shown = formula if self.program.value_of(Add(*counts)) == Add(*counts) else f"{formula} = {total}"
        if width(shown) > PAPER.line:
            shown = total if width(total) <= PAPER.line else ""
        if parameters and shown:
            yield Paragraph(text("Number of parameters: {count}.", count=Formula(shown)))

    # ------------------------------------------------------------------ what is given, what is wanted

    def _assumptions(self) -> Iterator[Block]:
        undefined = sorted({node for _, e in self.forward for node in e.rhs.atoms(Undefined)}, key=str)
        names = sorted({self.notation.function(node.name) for node in undefined})
        if names:
            formulas = enumerated(Formula(name) for name in names)
            yield Paragraph(text("Of {names} nothing is assumed but that the derivatives exist.", names=formulas))
        for fact in self.program.facts:
            formula = f"{self.printer.doprint(fact.before)} = {self.printer.doprint(fact.after)}"
            yield Paragraph(
                text("Given: {fact}, {formula}.", fact=fact.statement, formula=Formula(formula)),
                anchor_of("fact", fact.statement),
            )

    def _aim(self) -> Text:
        asked: list[Piece] = [
            Formula(part.printer.bare(part.tensors[key])) for part in self.parts for key in part.derivation.wrt
        ]
        if len(asked) > NAMED:
            asked = [*asked[:2], Formula(r"\dots"), *asked[-2:]]
        whole = Formula(self.printer.bare(self.program.tensors[self.program.objective]))
        said = text(
            "Wanted: the derivatives of {whole}, to be {sense}d, with respect to {asked}.",
            whole=whole, sense=self.program.sense, asked=enumerated(asked),
        )  # fmt: skip
        if self.program.example is None:
            return said
        mark = self.notation.example_mark(self.program.example)
        if self.notation.mark_examples:
            return said + text(
                " The mark {mark} is on what belongs to example {example}.",
                mark=Formula(f"{{}}^{{{mark}}}"), example=Formula(self.notation.index(self.program.example)),
            )  # fmt: skip
        sign = "_" if self.notation.example_below else "^"
        return said + text(
            " A line about one example leaves out its mark {mark}, which is written under a sum over the examples.",
            mark=Formula(f"{{}}{sign}{{{mark}}}"),
        )

    def _rows(self) -> Iterator[Block]:
        """What the derivative by a matrix of examples is, where it has no letter of its own."""
        example, part = self.program.example, self.parts[-1]
        adjoint = next((r for r in part.derivation.results if r.named and r.tensor.role == "adjoint"), None)
        if self.notation.adjoints != "partial" or example is None or adjoint is None:
            return
        whole = stacked_form(adjoint.tensor[adjoint.indices], adjoint.indices, part.tensors, adjoint.tensor.shape)
        one = matrix_form(adjoint.steps[0].before, adjoint.indices, part.tensors, example, adjoint.tensor.shape)
        with part.printer.marked():
            row = part.printer.doprint(one)
        yield Paragraph(text(
            "For all examples at once, row {example} of {whole} is {row}, written as a row.",
            example=Formula(self.notation.index(example)), whole=Formula(part.printer.doprint(whole)), row=Formula(row),
        ))  # fmt: skip

    def _conventions(self) -> Iterator[Block]:
        yield from self._rows()
        if any(equation.rhs.has(Piecewise) for _, equation in self.forward):
            yield Paragraph(text(
                "Convention: where a function is defined by cases, its derivative is that of the case which "
                "holds at the point, also at a border between two cases."
            ))  # fmt: skip
        if self.form == "matrix":
            yield Paragraph(text(
                "Vectors are columns. {sign} is the product entry by entry; functions, powers and "
                "quotients of vectors are meant entry by entry, and {ones} is the vector of ones.",
                sign=Formula(self.notation.hadamard), ones=Formula(self.notation.ones),
            ))  # fmt: skip


def _counted(title: str) -> str:
    """A title of signs that can be printed, where a layer that is written many times in a row is counted."""
    written = []
    title = "".join(sign if sign.isprintable() else "?" for sign in title)
    for layer, same in groupby(title.split(" -> ")):
        count = len(list(same))
        written += [f"{layer} ({count} layers)"] if count > FEWEST else [layer] * count
    return " -> ".join(written)


def _number(tensor: Tensor) -> int | None:
    """The tensor's layer, where it is a number."""
    label: Any = tensor.layer
    return label if isinstance(label, int) else None


def _shape(extents: Sequence[Expr], printer: LatexPrinter) -> str:
    if not extents:
        return r"\mathbb{R}"
    return r"\mathbb{R}^{" + r" \times ".join(printer.doprint(extent) for extent in extents) + "}"
