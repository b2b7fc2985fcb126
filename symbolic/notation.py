"""How every symbol is written: one frozen record a notation.

The printer knows structure, brackets and order; it asks the notation for every letter, mark and sign. A name that a
user chose reaches LaTeX only through `math_name` or `escape_text`, which let nothing but letters, digits and known
commands through; the fields of a notation are checked when it is made.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from sympy import Basic, Symbol

from symbolic.depth import DEPTH, Label, split_label
from symbolic.errors import DeltaformWarning, NotationError, nearest
from symbolic.notationchecks import (
    ACCENTED,
    FUNCTION_COMMANDS,
    GREEK,
    LETTER_OF,
    LETTERS,
    OWN_LETTERS,
    TABLES,
    capital_of,
    check_apart,
    check_fields,
    check_tables,
    index_letters,
    shown,
)
from symbolic.tensors import FunctionName, Tensor

if TYPE_CHECKING:
    from symbolic.reading.reader import Equalities
    from symbolic.vocabulary import Source

# A Network, which this file does not import: it writes networks, and need not know how they are made.
AnyNetwork = TypeVar("AnyNetwork", bound=Any)
ROLES = (*LETTERS, *OWN_LETTERS)

UPRIGHT = re.compile(r"\\(operatorname|mathrm|mathit|text)\{[A-Za-z0-9 ]+\}\Z")

_TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\^{}", "~": r"\~{}", "<": r"$<$", ">": r"$>$", "|": r"$|$",
}  # fmt: skip


def escape_text(text: str) -> str:
    """`text` as running text of a LaTeX document: special characters are escaped, what is not ASCII
    becomes `?`.
    """
    return "".join(_TEXT.get(c, c if c.isascii() and (c.isprintable() or c in "\n") else "?") for c in text)


def math_name(text: str) -> str:
    """A name as a symbol in a formula: one letter in italics, a Greek name as its letter, x_in with a
    subscript.
    """
    head, mark, tail = text.partition("_")
    if mark and head.isalnum() and tail.isalnum() and text.isascii():
        below = tail if len(tail) == 1 or tail.isdigit() else rf"\mathrm{{{tail}}}"
        return f"{math_name(head)}_{braced(below)}"
    if text in GREEK:
        return rf"\{text}"
    if len(text) == 1 and text.isascii() and text.isalpha():
        return text
    safe = "".join(c if c.isascii() and c.isalnum() else r"\_" if c == "_" else "?" for c in text)
    return rf"\mathrm{{{safe}}}"


@dataclass(frozen=True)
class Notation:
    r"""Every symbol of a page, and the conventions that go with them. Make another with `replace`.

    name:          what messages call it.
    letters:       by role: input, target, preactivation, activation, weight, bias, loss (of one example), cost,
                   adjoint, width (of a layer), parameters (all of them, theta), rate (of learning); where they differ,
                   output (the last activation), weight_entry and bias_entry. An input without a letter is the
                   activation of the input layer, an output without one that of the last layer.
    layer:         mark of a layer, with {layer} for its number; `layer_below` writes it as a subscript.
    first_layer:   what the input layer is called: 0, or 1.
    depth, any_layer: letters for the number of the last layer and of any layer.
    weight_layer:  whether weights and bias carry the number of their "target" layer or of their "source".
    weight_rows:   what a row of a weight matrix belongs to: one of the layer's "outputs" (z = W a + b) or of its
                   "inputs" (z = W^T a + b).
    bias_row:      the bias is row 0 of such a matrix: b_j is w_0j.
    adjoints:      "delta" gives dL/dz a letter, "partial" writes it out wherever it stands.
    gradient:      "partial" writes a gradient as a fraction of partials, "nabla" with the nabla sign.
    form:          "matrix" or "component", what is written if nobody asks for the other.
    batch:         a network is first written for all examples, the rows of a matrix.
    indices:       other letters for indices, by the letter that the equations use: p for examples, j for units, s for
                   units of the layer before, m for those of the layer after. What is not named here keeps its
                   letter, or gives way to what is called so.
    unit_index:    how an index that runs over a layer is called after it, such as n_{layer}; empty: by `indices`.
    first:         what the first element of an axis is called: 1, or 0.
    example:       mark of an example, with {example} for its letter; `example_below` writes it as a subscript.
    marks:         how the marks of a layer and of an example stand together.
    mark_examples: an example's mark is written always, not only where several examples meet.
    sums_last:     in a product a sum stands behind everything else, not in front as what comes from above.
    examples:      letter for the number of examples.
    widths:        letters of their own for the widths of numbered layers, by the number counted from 0.
    functions:     how functions are written, by name; the others as they say themselves.
    hadamard:      sign of the product entry by entry.
    transpose, transpose_brackets: sign of the transpose, and what stands round a letter with marks before it: "",
                   "()" or "[]".
    entry_brackets: what stands round a formula of which one entry is meant: "()" or "[]".
    partial, nabla: signs of derivatives.
    ones, identity, unit, indicator, diagonal: the vector of ones, the unit matrix, its columns e_i, what stands before
                   a condition in braces, and the name of the matrix with a vector on its diagonal.
    kronecker:     how 1 where i = j and 0 elsewhere is written: "brackets", [i = j], or "indicator", the condition
                   in braces.
    named_adjoint, long_adjoint: accents that mark the derivative by a tensor, over one letter and over several.
    over, sense:   what the cost is: the loss of "one" example, its "mean" or "sum" over them; whether it is to be
                   "minimise"d or "maximise"d. They are conventions for a network: see `convention`.

    An entry of a table that is empty is as good as none; only an input without a letter says something.

    Raises:
        NotationError: a field that cannot be, a letter that is no symbol, or two that would be taken for one another.
    """

    name: str
    letters: Mapping[str, str]
    layer: str = "[{layer}]"
    layer_below: bool = False
    first_layer: int = 0
    depth: str = "L"
    any_layer: str = r"\ell"
    weight_layer: str = "target"
    weight_rows: str = "outputs"
    bias_row: bool = False
    adjoints: str = "delta"
    gradient: str = "nabla"
    form: str = "matrix"
    batch: bool = False
    indices: Mapping[str, str] = field(default_factory=dict)
    unit_index: str = ""
    first: int = 1
    example: str = "({example})"
    example_below: bool = False
    marks: str = "{layer}{example}"
    mark_examples: bool = False
    sums_last: bool = False
    examples: str = "N"
    widths: Mapping[int, str] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    hadamard: str = r"\circ"
    transpose: str = r"\top"
    transpose_brackets: str = ""
    entry_brackets: str = "()"
    partial: str = r"\partial"
    nabla: str = r"\nabla"
    ones: str = r"\mathbf{1}"
    identity: str = "I"
    unit: str = "e"
    indicator: str = r"\mathbf{1}"
    kronecker: str = "brackets"
    diagonal: str = r"\operatorname{diag}"
    named_adjoint: str = r"\bar"
    long_adjoint: str = r"\overline"
    over: str = "mean"
    sense: str = "minimise"

    def __post_init__(self) -> None:
        check_tables(self)
        for name in TABLES:
            held = getattr(self, name).items()
            kept = {key: text for key, text in held if text != "" or (name == "letters" and key not in OWN_LETTERS)}
            object.__setattr__(self, name, MappingProxyType(kept))
        check_fields(self)
        check_apart(self)

    def replace(self, /, **changes: Any) -> Notation:
        """The same notation with other fields; of letters, indices, widths and functions only the entries given.

        Raises:
            NotationError: there is no such field, or it cannot hold that.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name, value in changes.items():
            if name not in known:
                way_out = f"it is an entry of letters: letters.{name}" if name in ROLES else nearest(name[:80], known)
                raise NotationError(f"a notation has no field {shown(name)}; {way_out}", (name,))
            if name in TABLES and isinstance(value, Mapping):
                changes[name] = {**getattr(self, name), **value}
        return dataclasses.replace(self, **changes)

    def convention(self, network: AnyNetwork) -> AnyNetwork:
        """The network as this notation states its task: the cost by `over`, its loss by `sense`.

        A loss of the other sense is turned round: see `Loss.turned`. Over one example there is no examples' axis. What
        was probably not meant is not said again.

        network: a Network, or what has its fields loss, examples and reduction, and its method replace.
        """
        changes: dict[str, Any] = {"examples": None}
        if self.over != "one":
            changes = {"examples": network.examples or "N", "reduction": self.over}
        if network.loss.sense != self.sense:
            changes["loss"] = network.loss.turned()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeltaformWarning)
            return network.replace(**changes)

    def write(self, expression: Basic | Equalities, of: Source | None = None) -> str:
        """The LaTeX of an index expression or a matrix expression, or of a chain of equalities as `read` gives it.

        of: the Network, Program or Derivation whose tensors it is about; by default those of a dense network with the
            usual names, z1[j], W2[j, s], without an examples' axis or, where a letter p leads, with one.

        Raises:
            UsageError: it is about a tensor that is not known, or of a kind that the page has no form for.
        """
        from symbolic.vocabulary import vocabulary_of

        sides = (expression,) if isinstance(expression, Basic) else expression.sides
        printer = vocabulary_of(of, *sides).printer(self)
        return " = ".join(printer.doprint(side) for side in sides)

    def read(self, latex: str, of: Source | None = None, form: str | None = None) -> Basic | Equalities:
        """The expression that a formula says: the inverse of `write`.

        A formula with unit indices is an index expression, one whose tensors stand without theirs a matrix expression,
        in the order that `matrix_form` makes. A chain a = b = c is `Equalities` of its sides.

        latex: one formula, as between dollars.
        of:    as for `write`. Without it there is an axis of examples if the formula marks one.
        form:  "matrix" or "component", where a formula of numbers only could be either; by itself it is an index
               expression.

        What two expressions are written alike comes back as one of them: a derivative that the notation has no letter
        for, and that of the cost by a parameter, as the derivative that it is a name for; a fraction of partials as
        `symbolic.reading.rows` decides; indices called after layers as j, s, m, ... in the order of their coming; and
        an index at an axis of one element as 0.

        Raises:
            FormulaSyntaxError: it is no formula; says where.
            FormulaError: it says nothing in this notation, or two things; says where and why.
        """
        from symbolic.reading.reader import read

        return read(latex, self, of, form)

    # ------------------------------------------------------------------ letters

    def letter(self, tensor: Tensor, tensors: Mapping[str, Tensor], output: bool = False, entry: bool = False) -> str:
        """The bare letter of a tensor, without marks.

        output: it is the network's output. entry: a single entry of it is meant.
        """
        role = LETTER_OF.get((tensor.role, tensor.name))
        if role == "activation" and output and self.letters.get("output"):
            return self.letters["output"]
        if role == "input" and not self.letters["input"]:
            role = "activation"
        if role == "bias" and self.bias_row:
            role = "weight"
        if role is not None:
            return (self.letters.get(f"{role}_entry") if entry else None) or self.letters[role]
        source = tensors.get(tensor.of or "")
        if tensor.role == "adjoint" and source is not None:
            return self._over(self.letter(source, tensors))
        return math_name(tensor.name)

    def row_letter(self, tensor: Tensor, tensors: Mapping[str, Tensor]) -> str:
        """The letter of a row of a matrix as a vector: the small bold letter of the matrix."""
        letter = self.letter(tensor, tensors)
        return rf"\mathbf{{{letter.lower()}}}" if len(letter) == 1 else rf"\boldsymbol{{{letter}}}"

    def _over(self, letter: str) -> str:
        """The mark of an adjoint over a letter, drawn out over a longer name."""
        one = len(letter) == 1 or (letter.startswith("\\") and letter[1:].isalpha())
        return rf"{self.named_adjoint if one else self.long_adjoint}{{{letter}}}"

    def capital(self, tensor: Tensor, tensors: Mapping[str, Tensor], output: bool = False) -> str:
        """The letter of the matrix whose rows are the tensor at each example."""
        source = tensors.get(tensor.of or "")
        if tensor.role == "adjoint" and source is not None and (tensor.role, tensor.name) not in LETTER_OF:
            return self._over(self.capital(source, tensors))
        return capital_of(self.letter(tensor, tensors, output))

    # ------------------------------------------------------------------ marks

    def layer_number(self, label: Label, source: bool = False) -> str:
        """The number of a layer as it is written; `source`: of the layer before it."""
        symbol, number = split_label(label)
        number -= source
        if symbol is None:
            return str(number + self.first_layer)
        letter = self.depth if symbol == DEPTH else self.any_layer
        return letter if number == 0 else f"{letter}{number:+d}"

    def number_of(self, tensor: Tensor, label: Label) -> str:
        """The number that a tensor carries: weights and bias may carry that of the layer they come from."""
        source = self.weight_layer == "source" and LETTER_OF.get((tensor.role, tensor.name)) in ("weight", "bias")
        return self.layer_number(label, source)

    def marked(
        self, letter: str, layer: str | None = None, below: Sequence[str] = (), example: str | None = None,
        transposed: bool = False,
    ) -> str:  # fmt: skip
        """A letter with its layer's number, with index strings below, and with the mark of an example."""
        groups = [run(below)] if below else []
        over = {"layer": "", "example": ""}
        for name, text, is_below in (("example", example, self.example_below), ("layer", layer, self.layer_below)):
            if text is None or (name == "example" and letter.endswith(f"_{text}")):
                continue  # C_x says already that it is about the example x
            mark = getattr(self, name).replace(f"{{{name}}}", text)
            if is_below:
                groups.insert(0, mark)
            else:
                over[name] = mark
        present = [mark for mark in over.values() if mark]
        both = self.marks.replace("{layer}", over["layer"], 1).replace("{example}", over["example"], 1)
        above = both if len(present) == 2 else "".join(present)
        letter, argument = split_argument(letter)
        subscript = f"_{braced(','.join(groups))}" if groups else ""
        in_brackets = transposed and bool(self.transpose_brackets and (above or subscript))
        if transposed and not in_brackets:
            # A command ends where no letter follows: \ell T.
            apart = " " if re.search(r"\\[A-Za-z]+\Z", above) and self.transpose[0].isalpha() else ""
            above += apart + self.transpose
        superscript = f"^{braced(above)}" if above else ""
        base = letter
        if ("_" in letter and subscript) or ("^" in letter and superscript):
            # x_{in}_j would be a double subscript; TeX drops braces that hold nothing but an accent.
            base = f"{{{{}}{letter}}}" if ACCENTED.match(letter) else f"{{{letter}}}"
        marked = f"{base}{subscript}{superscript}{argument}"
        if not in_brackets:
            return marked
        sign = self.transpose if "{" not in self.transpose else f"{{{self.transpose}}}"
        return f"{self.transpose_brackets[0]}{marked}{self.transpose_brackets[1]}^{sign}"

    # ------------------------------------------------------------------ indices, sizes, functions

    def index(self, position: Symbol) -> str:
        """An index letter; no two are written alike."""
        written = self.index_letters.get(position.name)
        if written is None:
            written = math_name(position.name)
            while written in self.index_letters.values():
                written = rf"\tilde{{{written}}}"
        return written

    @cached_property
    def index_letters(self) -> Mapping[str, str]:
        """How index letters are written, by the letter that equations use: `indices`, completed."""
        return MappingProxyType(index_letters(self))

    def example_mark(self, example: Symbol) -> str:
        """The mark of an example by itself."""
        return self.example.replace("{example}", self.index(example))

    def width_of(self, label: Label) -> str:
        """The number of units of a layer."""
        if isinstance(label, int) and label in self.widths:
            return self.widths[label]
        return f"{self.letters['width']}_{braced(self.layer_number(label))}"

    def unit_of(self, label: Label, rank: int) -> str:
        """An index that runs over the units of a layer, called after it; the second one of its kind has a prime."""
        return self.unit_index.replace("{layer}", braced(self.layer_number(label))) + "'" * rank

    def size(self, symbol: Symbol) -> str:
        """A size that is no width; N, if it is nothing else, is the number of examples."""
        return self.examples if symbol.name == "N" else math_name(symbol.name)

    def function(self, name: FunctionName | str) -> str:
        """The name of a function: a known LaTeX command as it is, everything else escaped."""
        plain = name if isinstance(name, str) else name.name
        if plain in self.functions:
            return self.functions[plain]
        if isinstance(name, str):
            return math_name(name)
        latex = name.latex
        if latex.startswith("\\") and (latex[1:] in FUNCTION_COMMANDS or UPRIGHT.match(latex)):
            return latex
        if latex.isascii() and latex.isalpha():
            return math_name(latex)
        return math_name(name.name)


def split_argument(letter: str) -> tuple[str, str]:
    """A symbol such as L(theta), whose marks stand before its argument, in two parts."""
    at = letter.rfind("(")
    return (letter[:at], letter[at:]) if letter.endswith(")") else (letter, "")


def braced(text: str) -> str:
    """A script, in braces unless it is one character."""
    return text if len(text) == 1 else f"{{{text}}}"


def run(parts: Sequence[str]) -> str:
    """Index strings side by side; a comma where two of them would be read as one."""
    if all(len(part) == 1 for part in parts):
        return "".join(parts)
    apart = all(len(part) == 1 or "_" in part for part in parts)
    return (" " if apart else ", ").join(parts)
