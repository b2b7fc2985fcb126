"""An exposition: a derivation told in the order and the form of a note, every line of it verified.

It is a list of blocks: headings, paragraphs, and displays of chains of equalities. A chain belongs to a setting, which
is a program with the derivation of its gradients; its steps are the records that the engine makes, and they are checked
by the same verifier as any derivation's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

from sympy import Basic, Expr, Symbol

from symbolic.backpropagation import derive
from symbolic.chains import ChainWriter
from symbolic.derivation import Derivation
from symbolic.latex import LatexPrinter
from symbolic.notation import Notation
from symbolic.pages.blocks import DOTS, Code, Line, Medium, Page
from symbolic.printable import Printable, detail_named
from symbolic.programs import Program, per_example_loss
from symbolic.rules import DEFINITION, WRITE_AS_MATRICES, Result, Step
from symbolic.tensors import Equation, Tensor
from symbolic.verification import Draw, Frame, Report, Row, check_steps, drawn_points
from symbolic.vocabulary import Vocabulary


@dataclass(frozen=True)
class Setting:
    """A program that a note speaks about, and what is derived from it.

    name: how the report calls it, such as "last layer".
    example: letter of the examples' axis, also where the program has it as an axis like any other.
    style: fields of the notation that this part of the note has otherwise.
    """

    name: str
    program: Program
    wrt: tuple[str, ...] = ()
    example: Symbol | None = None
    style: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "example", self.example or self.program.example)

    @cached_property
    def derivation(self) -> Derivation:
        return derive(self.program, self.wrt or None)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return self.derivation.tensors

    @cached_property
    def loss(self) -> Tensor:
        """What is differentiated: the loss of one example, or the objective where there is no examples' axis."""
        return per_example_loss(self.program)

    def tensor(self, key: str) -> Tensor:
        return self.tensors[key]

    def meaning(self) -> dict[str, tuple[str, str]]:
        """What each derived tensor stands for: key -> (tensor differentiated, tensor by which)."""
        given = {tensor.key: (self.loss.key, tensor.of or "") for tensor in self.derivation.given}
        return given | {
            result.tensor.key: (
                self.program.objective if result.tensor.role == "gradient" and result.named else self.loss.key,
                result.tensor.of or "",
            )
            for result in self.derivation.results
        }

    def derived(self) -> dict[str, Tensor]:
        """Each derived tensor by its key."""
        tensors = (*self.derivation.given, *(result.tensor for result in self.derivation.results))
        return {tensor.key: tensor for tensor in tensors}

    def printer(self, notation: Notation) -> LatexPrinter:
        own = notation.replace(**self.style) if self.style else notation
        return replace(Vocabulary.of(self.program, self.tensors), example=self.example).printer(own)


@dataclass(frozen=True)
class Chain:
    """heads[0] = ... = heads[-1] = steps[0].after = ..., for all values of the indices.

    name:    the quantity, as the report calls it.
    heads:   what the chain begins with; the first one stands on the left. steps[0].before is the last of them.
    indices, shape: the free letters with their sizes.
    form:    "matrix" or "component".
    """

    setting: Setting
    name: str
    heads: tuple[Basic, ...]
    indices: tuple[Symbol, ...]
    shape: tuple[Expr, ...]
    steps: tuple[Step, ...]
    form: str = "component"

    @classmethod
    def of(cls, setting: Setting, result: Result, form: str) -> Chain:
        """The chain of a result of the setting's derivation."""
        first = result.steps[0].before
        named = result.named and result.tensor.role != "gradient"
        heads = (result.tensor[result.indices], first) if named else (first,)
        return cls(setting, result.tensor.key, heads, result.indices, result.tensor.shape, result.steps, form)

    @property
    def final(self) -> Chain:
        """The first head and the last form, without what leads from the one to the other."""
        return self.since(len(self.steps) - 1)

    def until(self, count: int) -> Chain:
        """The first steps."""
        return replace(self, steps=self.steps[:count])

    def since(self, count: int) -> Chain:
        """The chain once more from its first head, without the first `count` lines that follow it."""
        first = self.steps[count]
        step = Step(first.rule, self.heads[0], first.after, (), first.because)
        return replace(self, heads=self.heads[:1], steps=(step, *self.steps[count + 1 :]))


@dataclass(frozen=True)
class Functions:
    """What the functions of a setting are that have names, each once."""

    setting: Setting


class Dots:
    """A line of dots: the lines before it go on to those after it."""

    def lines(self, notation: Notation) -> list[Line]:
        return [Line("", [DOTS])]

    def rows(self) -> Iterator[Row]:
        yield from ()


class Claim(Protocol):
    """A line that is no chain of derivatives, such as a count: it writes and checks itself."""

    def lines(self, notation: Notation) -> list[Line]: ...

    def rows(self) -> Iterator[Row]: ...


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 1


Part: TypeAlias = "Basic | Tensor | Code | str"


@dataclass(frozen=True)
class Paragraph:
    """Running text with formulas: {name} stands for the formula of that name in `parts`.

    parts: a tensor, an expression or a matrix expression with the setting whose it is, LaTeX made by a printer,
           or code.
    shapes: tensors are written with their shapes.
    """

    text: str
    setting: Setting | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    shapes: bool = False


@dataclass(frozen=True)
class Listing:
    """Short texts under each other, each with a mark, or numbered."""

    texts: Sequence[str | Paragraph]
    numbered: bool = False


@dataclass(frozen=True)
class Display:
    """Chains, defining equations and claims under each other.

    number: the equation's number, at the right. braced: one brace in front, as for a system of equations. labels:
    whether the rules stand at the right. shapes: every factor is written with its shape, and shapes are checked.
    columns: how many equalities stand beside each other; they have no rules then. boxed: in a box.
    """

    parts: Sequence[Chain | tuple[Setting, Equation] | Functions | Claim]
    number: str = ""
    braced: bool = False
    labels: bool = True
    shapes: bool = False
    form: str = ""
    columns: int = 1
    boxed: bool = False


Block = Heading | Paragraph | Listing | Display


@dataclass(frozen=True)
class Exposition(Printable):
    """A note's derivation.

    title: of the page. notation: how it is written. blocks: in order. like: the name of the note's notation.
    cited: how the page itself calls a rule, by the rule's name; its lines say both.
    """

    like: str
    title: str
    notation: Notation
    blocks: tuple[Block, ...]
    cited: Mapping[str, str] = field(default_factory=dict)

    @property
    def chains(self) -> Iterator[Chain]:
        """Every chain of equalities, in order."""
        for block in self.blocks:
            if isinstance(block, Display):
                yield from (part for part in block.parts if isinstance(part, Chain))

    @property
    def rounds(self) -> int:
        """How often `verify` tells its progress."""
        return len(list(self.chains))

    def verify(self, points: int = 3, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Report:
        """Check every line by numbers: see `symbolic.verification.verify`.

        progress: called with (chains done, chains in all).
        """
        from symbolic.notes.shapes import shape_rows

        rows: list[Row] = []
        chains = list(self.chains)
        draws: dict[str, list[Draw]] = {}
        kinks = 0
        for done, chain in enumerate(chains, 1):
            setting = chain.setting
            if setting.name not in draws:
                meaning, derived = setting.meaning(), setting.derived()
                draws[setting.name] = drawn_points(setting.program, points, seed, meaning, derived, both_sides=True)
                kinks = max(kinks, sum(draw.point.kink_distance == 0 for draw in draws[setting.name]))
            frame = Frame(f"{setting.name}: {chain.name}", chain.indices, chain.shape, setting.tensors)
            names = [Step(DEFINITION, one, other) for one, other in pairwise(chain.heads)]
            steps = [*names, *chain.steps]
            rows += check_steps(frame, steps, draws[setting.name], setting.program.example, chain.heads[0])
            rows += self._matrices(chain, frame, draws[setting.name])
            if progress:
                progress(done, len(chains))
        for block in self.blocks:
            if not isinstance(block, Display):
                continue
            for part in block.parts:
                if isinstance(part, tuple):
                    rows += _defined(*part)
                if isinstance(part, (Chain, tuple)):
                    rows += shape_rows(part, self.notation) if block.shapes else ()
                elif not isinstance(part, Functions):
                    rows += part.rows()
        return Report(tuple(rows), "sizes chosen for each setting", points, kinks)

    def _matrices(self, chain: Chain, frame: Frame, draws: Sequence[Draw]) -> Iterator[Row]:
        """Every line that the page writes in matrix notation, against what it writes."""
        writer = ChainWriter(chain.setting.printer(self.notation), chain.form)
        indices, shape = writer.axes(chain.indices, chain.shape)
        turned = replace(frame, indices=tuple(indices), shape=tuple(shape))
        for side in (*chain.heads, *(step.after for step in chain.steps)):
            form = writer.matrix(side, chain.indices, chain.shape)
            if form is not None and form is not side:
                yield from check_steps(turned, [Step(WRITE_AS_MATRICES, side, form)], draws, writer.printer.example)

    def page(self, medium: Medium, detail: str = "layer", report: Report | None = None) -> Page:
        from symbolic.notes.page import exposition_page

        return exposition_page(self, medium, detail_named(detail), report)

    def latex(self, report: Report | None = None, detail: str = "layer") -> str:
        """The page as a LaTeX document, ready for pdflatex; the same exposition gives the same text.

        report: the outcome of `verify`, which the page then states.
        detail: "layer" is as the note has it, "result" leaves out what leads to a result, "rule" adds every substep.

        Raises:
            UsageError: a detail that is none of these.
        """
        return str(self.render("tex", report=report, detail=detail))


def _defined(setting: Setting, equation: Equation) -> Iterator[Row]:
    """A defining equation that is shown must be the one that everything is computed with."""
    same = setting.program.definitions.get(equation.tensor.key) == equation
    problem = "" if same else "it is not the equation of the program"
    yield Row(f"{setting.name}: {equation.tensor.key}", "0", DEFINITION.name, 0, 0.0 if same else float("inf"), problem)
