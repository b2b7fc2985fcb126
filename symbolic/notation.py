"""How every symbol is written: one frozen record a notation.

The printer knows structure, brackets and order; it asks the notation for every letter, mark and sign. A name that a
user chose reaches LaTeX only through `math_name` or `escape_text`, which let nothing but letters, digits and known
commands through; the fields of a notation are checked when it is made.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sympy import Basic, Symbol

from symbolic.depth import DEPTH, Label, split_label
from symbolic.errors import UsageError, nearest
from symbolic.tensors import FunctionName, Tensor

if TYPE_CHECKING:
    from symbolic.vocabulary import Source

GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
    "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta",
    "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega", "ell",
})  # fmt: skip
# Commands that a function's LaTeX name may consist of; anything else is written upright and escaped.
FUNCTION_COMMANDS = GREEK | frozenset({"tanh", "exp", "log", "sin", "cos", "arctan", "max", "min"})
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


# The roles that a notation has letters for, and the tensor names that mean them. A user's other names keep
# their own.
LETTER_OF = {
    ("input", "x"): "input",
    ("target", "y"): "target",
    ("preactivation", "z"): "preactivation",
    ("activation", "a"): "activation",
    ("parameter", "W"): "weight",
    ("parameter", "b"): "bias",
    ("loss", "ell"): "loss",
    ("cost", "J"): "cost",
    ("adjoint", "delta"): "adjoint",
}
LETTERS = (*LETTER_OF.values(), "width", "parameters", "rate")
OWN_LETTERS = ("output", "weight_entry", "bias_entry")
CHOICES = {
    "weight_layer": ("target", "source"),
    "weight_rows": ("outputs", "inputs"),
    "adjoints": ("delta", "partial"),
    "gradient": ("nabla", "partial"),
    "form": ("matrix", "component"),
    "over": ("one", "mean", "sum"),
    "sense": ("minimise", "maximise"),
    "transpose_brackets": ("", "()", "[]"),
    "first": (0, 1),
    "first_layer": (0, 1),
}
HADAMARD = (r"\circ", r"\odot", r"\ast", r"\cdot")
# What fields that hold a mark may hold: the named places, the letters of LaTeX that carry one, brackets and commas.
MARKS = {"layer": "layer", "example": "example", "marks": "layer example", "unit_index": "layer"}

_WORD = r"(?:[A-Za-z0-9]+|\\(?:" + "|".join(sorted(GREEK)) + r")(?![A-Za-z])|[()\[\], +-])"
_LETTER = rf"(?:[A-Za-z]|\\(?:{'|'.join(sorted(GREEK | FUNCTION_COMMANDS))}|partial|nabla|top|intercal)(?![A-Za-z])"
_LETTER += r"|\\(?:mathrm|mathbf|mathit|mathcal|mathbb|mathsf|operatorname|boldsymbol|hat|bar|tilde|vec|overline)\{"
_LETTER += rf"(?:[A-Za-z0-9 ]+|\\(?:{'|'.join(sorted(GREEK))}))\}})"
_SYMBOL = re.compile(rf"{_LETTER}(?:[_^](?:[A-Za-z0-9]|\{{{_WORD}+\}}))*(?:\({_LETTER}(?:, ?{_LETTER})*\))?\Z")
LONGEST_SYMBOL = 80


def checked_symbol(text: object, what: str) -> str:
    """`text` if it is one symbol: a letter, a Greek letter, \\mathcal{L}, with an index or an argument: L(\\theta).

    It reaches a file that LaTeX runs.

    Raises:
        UsageError: it is anything else, such as a command that reads files.
    """
    if not isinstance(text, str) or len(text) > LONGEST_SYMBOL or not _SYMBOL.match(text):
        shown = ascii(text if not isinstance(text, str) or len(text) <= LONGEST_SYMBOL else text[:20] + "...")
        raise UsageError(
            f"{what}: {shown} is no symbol; write a letter, a Greek letter such as \\delta, \\mathcal{{L}} or "
            "\\hat{y}, with an index if need be, as in C_x"
        )
    return text


@dataclass(frozen=True)
class Notation:
    r"""Every symbol of a page, and the conventions that go with them. Make another with `replace`.

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
    indices:       other letters for indices, by the letter that the equations use.
    unit_index:    how an index that runs over a layer is called after it, such as n_{layer}; empty: by `indices`.
    first:         what the first element of an axis is called: 1, or 0.
    example:       mark of an example, with {example} for its letter; `example_below` writes it as a subscript.
    marks:         how the marks of a layer and of an example stand together.
    mark_examples: an example's mark is written always, not only where several examples meet.
    sums_last:     in a product a sum stands behind everything else, not in front as what comes from above.
    examples:      letter for the number of examples.
    widths:        letters of their own for the widths of numbered layers, by the number counted from 0.
    functions:     how functions are written, by name; the others as they say themselves.
    over, sense:   what the cost is: the loss of "one" example, its "mean" or "sum" over them; whether it is to be
                   "minimise"d or "maximise"d. They are conventions for a network: see `convention`.

    Raises:
        UsageError: a field that cannot be, or a letter that is no symbol; names it.
    """

    name: str
    letters: Mapping[str, str]
    layer: str = "[{layer}]"
    layer_below: bool = False
    first_layer: int = 0
    depth: str = "N"
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
    partial: str = r"\partial"
    nabla: str = r"\nabla"
    ones: str = r"\mathbf{1}"
    identity: str = "I"
    indicator: str = r"\mathbf{1}"
    diagonal: str = r"\operatorname{diag}"
    named_adjoint: str = r"\bar"
    long_adjoint: str = r"\overline"
    over: str = "mean"
    sense: str = "minimise"

    def __post_init__(self) -> None:
        _check(self)
        for name in ("letters", "indices", "widths", "functions"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def replace(self, **changes: Any) -> Notation:
        """The same notation with other fields; of letters, indices, widths and functions only the entries given.

        Raises:
            UsageError: there is no such field, or it cannot hold that.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name, value in changes.items():
            if name not in known:
                raise UsageError(f"a notation has no field {name!r}; {nearest(name, known)}")
            held = getattr(self, name)
            if isinstance(held, Mapping):
                if not isinstance(value, Mapping):
                    raise UsageError(f"notation field {name} must be a table, such as {{'weight': 'W'}}, not {value!r}")
                changes[name] = {**held, **value}
        return dataclasses.replace(self, **changes)

    def write(self, expression: Basic, of: Source | None = None) -> str:
        """The LaTeX of an index expression or a matrix expression.

        of: the Network, Program or Derivation whose tensors it is about; by default those of a dense network with the
            usual names, z1[j], W2[j, s], without an examples' axis or, where a letter p leads, with one.

        Raises:
            UsageError: it is about a tensor that is not known, or of a kind that the page has no form for.
        """
        from symbolic.vocabulary import vocabulary_of

        return vocabulary_of(of, expression).printer(self).doprint(expression)

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

    def _over(self, letter: str) -> str:
        """The mark of an adjoint over a letter, drawn out over a longer name."""
        one = len(letter) == 1 or (letter.startswith("\\") and letter[1:].isalpha())
        return rf"{self.named_adjoint if one else self.long_adjoint}{{{letter}}}"

    def capital(self, tensor: Tensor, tensors: Mapping[str, Tensor], output: bool = False) -> str:
        """The letter of the matrix whose rows are the tensor at each example."""
        source = tensors.get(tensor.of or "")
        if tensor.role == "adjoint" and source is not None and (tensor.role, tensor.name) not in LETTER_OF:
            return self._over(self.capital(source, tensors))
        letter = self.letter(tensor, tensors, output)
        if re.fullmatch(r"[a-z]", letter):
            return letter.upper()
        upper = letter[1:].capitalize()
        if letter.startswith("\\") and upper in GREEK:
            return rf"\{upper}"
        accent = re.fullmatch(r"(\\(?:hat|bar|tilde)\{)([a-z])\}", letter)
        return f"{accent.group(1)}{accent.group(2).upper()}}}" if accent else rf"\boldsymbol{{{letter}}}"

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
        both = self.marks.replace("{layer}", over["layer"]).replace("{example}", over["example"])
        above = both if len(present) == 2 else "".join(present)
        letter, argument = split_argument(letter)
        # x_{in}_j would be a double subscript.
        base = f"{{{letter}}}" if ("_" in letter and groups) or ("^" in letter and above) else letter
        subscript = f"_{braced(','.join(groups))}" if groups else ""
        if transposed and self.transpose_brackets and (above or subscript):
            above = f"^{braced(above)}" if above else ""
            return f"{self.transpose_brackets[0]}{base}{subscript}{above}{self.transpose_brackets[1]}^{self.transpose}"
        above += self.transpose if transposed else ""
        superscript = f"^{braced(above)}" if above else ""
        return f"{base}{subscript}{superscript}{argument}"

    # ------------------------------------------------------------------ indices, sizes, functions

    def index(self, position: Symbol) -> str:
        """An index letter."""
        return self.indices.get(position.name, math_name(position.name))

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
    at = letter.find("(")
    return (letter[:at], letter[at:]) if letter.endswith(")") and "{" not in letter[:at] else (letter, "")


def braced(text: str) -> str:
    """A script, in braces unless it is one character."""
    return text if len(text) == 1 else f"{{{text}}}"


def run(parts: Sequence[str]) -> str:
    """Index strings side by side; a comma where two of them would be read as one."""
    if all(len(part) == 1 for part in parts):
        return "".join(parts)
    apart = all(len(part) == 1 or "_" in part for part in parts)
    return (" " if apart else ", ").join(parts)


def _check(notation: Notation) -> None:
    """Raise UsageError for a field that cannot be."""
    where = f"notation {notation.name!a}"
    for name, allowed in CHOICES.items():
        if getattr(notation, name) not in allowed:
            shown = ", ".join(map(repr, allowed))
            raise UsageError(f"{where}: {name} must be one of {shown}, not {getattr(notation, name)!r}")
    for name in ("layer_below", "bias_row", "batch", "example_below", "mark_examples", "sums_last"):
        if not isinstance(getattr(notation, name), bool):
            raise UsageError(f"{where}: {name} must be true or false, not {getattr(notation, name)!r}")
    for name in ("letters", "indices", "functions", "widths"):
        for key, text in getattr(notation, name).items():
            if not (text == "" and name == "letters" and key in ("input", *OWN_LETTERS)):
                checked_symbol(text, f"{where}: {name}.{key}")
    missing = [role for role in LETTERS if role not in notation.letters]
    if missing:
        raise UsageError(f"{where}: letters has none for {', '.join(missing)}")
    strange = [role for role in notation.letters if role not in (*LETTERS, *OWN_LETTERS)]
    if strange:
        known = (*LETTERS, *OWN_LETTERS)
        raise UsageError(f"{where}: letters has {strange[0]!r}, which is no role; {nearest(strange[0], known)}")
    for name in ("depth", "any_layer", "examples", "transpose", "partial", "nabla", "identity"):
        checked_symbol(getattr(notation, name), f"{where}: {name}")
    if notation.hadamard not in HADAMARD:
        raise UsageError(f"{where}: hadamard must be one of {', '.join(HADAMARD)}, not {notation.hadamard!a}")
    for name, places in MARKS.items():
        _check_mark(getattr(notation, name), places.split(), f"{where}: {name}", empty=name == "unit_index")
    if notation.bias_row and notation.weight_rows != "inputs":
        raise UsageError(f"{where}: bias_row needs weight_rows = 'inputs': the bias is one more row of inputs")
    letters = {role: text for role, text in notation.letters.items() if text and role not in OWN_LETTERS}
    for role, text in letters.items():
        others = [other for other, same in letters.items() if same == text and other != role]
        if others:
            raise UsageError(f"{where}: letters.{role} and letters.{others[0]} are both {text}; give each its own")


def _check_mark(text: object, places: Sequence[str], what: str, empty: bool) -> None:
    if empty and text == "":
        return
    plain = text if isinstance(text, str) else ""
    for place in places:
        if plain.count(f"{{{place}}}") != 1:
            raise UsageError(f"{what} must hold {{{place}}} once, as in '[{{{place}}}]', not {text!a}")
        plain = plain.replace(f"{{{place}}}", "")
    if not re.fullmatch(r"[A-Za-z0-9_()\[\], ]*(?:\{[A-Za-z0-9_()\[\], ]*\})?", plain) or len(plain) > LONGEST_SYMBOL:
        raise UsageError(f"{what}: {text!a} may hold letters, digits, brackets and commas besides")
