"""How every symbol is written: one frozen record a notation, and the table of them.

The printer knows structure, brackets and order; it asks the notation for every letter, mark and sign. A name
that a user chose reaches LaTeX only through `math_name` or `escape_text`, which let nothing but letters,
digits and known commands through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sympy import Expr, Symbol

from symbolic.errors import UsageError, nearest
from symbolic.tensors import FunctionName, Tensor

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
        return f"{math_name(head)}_{_braced(below)}"
    if text in GREEK:
        return rf"\{text}"
    if len(text) == 1 and text.isascii() and text.isalpha():
        return text
    safe = "".join(c if c.isascii() and c.isalnum() else r"\_" if c == "_" else "?" for c in text)
    return rf"\mathrm{{{safe}}}"


def _braced(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"


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


@dataclass(frozen=True)
class Notation:
    """Every symbol of a page.

    letters:     by role: input, target, preactivation, activation, weight, bias, loss, cost, adjoint.
    layer:       mark of a layer, with {layer} for its number; `layer_below` writes it as a subscript.
    example:     mark of an example, with {example} for its letter.
    indices:     other letters for indices, by the letter that the equations use.
    gradient:    "partial" writes a gradient as a fraction of partials, "nabla" with the nabla sign.
    first:       what the first element of an axis is called: 1, or 0.
    """

    name: str
    letters: Mapping[str, str]
    layer: str = "[{layer}]"
    layer_below: bool = False
    example: str = "({example})"
    hadamard: str = r"\circ"
    transpose: str = r"\top"
    gradient: str = "nabla"
    indices: Mapping[str, str] = field(default_factory=dict)
    first: int = 1
    partial: str = r"\partial"
    nabla: str = r"\nabla"
    ones: str = r"\mathbf{1}"
    identity: str = "I"
    indicator: str = r"\mathbf{1}"
    diagonal: str = r"\operatorname{diag}"
    named_adjoint: str = r"\bar"
    long_adjoint: str = r"\overline"

    def letter(self, tensor: Tensor, tensors: Mapping[str, Tensor]) -> str:
        """The bare letter of a tensor, without marks."""
        role = LETTER_OF.get((tensor.role, tensor.name))
        if role is not None:
            return self.letters[role]
        source = tensors.get(tensor.of or "")
        if tensor.role == "adjoint" and source is not None:
            return self._over(self.letter(source, tensors))
        return math_name(tensor.name)

    def _over(self, letter: str) -> str:
        """The mark of an adjoint over a letter, drawn out over a longer name."""
        one = len(letter) == 1 or (letter.startswith("\\") and letter[1:].isalpha())
        return rf"{self.named_adjoint if one else self.long_adjoint}{{{letter}}}"

    def capital(self, tensor: Tensor, tensors: Mapping[str, Tensor]) -> str:
        """The letter of the matrix whose rows are the tensor at each example."""
        source = tensors.get(tensor.of or "")
        if tensor.role == "adjoint" and source is not None and (tensor.role, tensor.name) not in LETTER_OF:
            return self._over(self.capital(source, tensors))
        letter = self.letter(tensor, tensors)
        if re.fullmatch(r"[a-z]", letter):
            return letter.upper()
        upper = letter[1:].capitalize()
        return rf"\{upper}" if letter.startswith("\\") and upper in GREEK else rf"\boldsymbol{{{letter}}}"

    def marked(
        self, letter: str, layer: int | None = None, below: tuple[str, ...] = (), above: tuple[str, ...] = ()
    ) -> str:
        """A letter with its layer, with index strings below and other marks (example, transpose) above."""
        over, under = list(above), list(below)
        if layer is not None:
            number = self.layer.format(layer=layer)
            if self.layer_below:
                under.insert(0, number)
            else:
                over.insert(0, number)
        # x_{in}_j would be a double subscript.
        base = f"{{{letter}}}" if ("_" in letter and under) or ("^" in letter and over) else letter
        separator = "" if all(len(part) == 1 for part in under) else ", "
        subscript = f"_{_braced(separator.join(under))}" if under else ""
        superscript = f"^{{{''.join(over)}}}" if over else ""
        return f"{base}{subscript}{superscript}"

    def example_mark(self, example: Symbol) -> str:
        return self.example.format(example=self.index(example))

    def index(self, position: Expr) -> str:
        """An index letter; a position without a letter counts from `first`."""
        return self.indices.get(position.name, math_name(position.name))

    def size(self, symbol: Symbol) -> str:
        return math_name(symbol.name)

    def function(self, name: FunctionName | str) -> str:
        """The name of a function: a known LaTeX command as it is, everything else escaped."""
        if isinstance(name, str):
            return math_name(name)
        latex = name.latex
        if latex.startswith("\\") and (latex[1:] in FUNCTION_COMMANDS or UPRIGHT.match(latex)):
            return latex
        if latex.isascii() and latex.isalpha():
            return math_name(latex)
        return math_name(name.name)


CS229 = Notation(
    name="cs229",
    letters=MappingProxyType({
        "input": "x", "target": "y", "preactivation": "z", "activation": "a", "weight": "W", "bias": "b",
        "loss": r"\mathcal{L}", "cost": "J", "adjoint": r"\delta",
    }),
)  # fmt: skip

NOTATIONS: Mapping[str, Notation] = MappingProxyType({"cs229": CS229})


def notation_named(notation: str | Notation) -> Notation:
    """The notation of that name, or the one given.

    Raises:
        UsageError: no such name; lists those there are.
    """
    if isinstance(notation, Notation):
        return notation
    if notation not in NOTATIONS:
        raise UsageError(f"notation {notation!r} is not known; {nearest(str(notation), NOTATIONS)}")
    return NOTATIONS[notation]
