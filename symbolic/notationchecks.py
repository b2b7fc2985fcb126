r"""What the fields of a notation may hold: symbols that are safe for LaTeX, and letters that a reader cannot confuse.

A field reaches a file that LaTeX runs, so each is matched against a whitelist: letters, digits, known commands,
balanced braces, at most one script of a kind. Nothing matched here repeats inside a repetition, so a long hostile text
costs no more time than a short one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from symbolic.errors import NotationError, nearest

if TYPE_CHECKING:
    from symbolic.notation import Notation

GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
    "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta",
    "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega", "ell",
})  # fmt: skip
# Commands that a function's LaTeX name may consist of; anything else is written upright and escaped.
FUNCTION_COMMANDS = GREEK | frozenset({"tanh", "exp", "log", "sin", "cos", "arctan", "max", "min"})

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
# Letters that may be left out, and the role whose letter stands in for them.
OWN_LETTERS = {"output": "activation", "weight_entry": "weight", "bias_entry": "bias"}
# Roles whose values at all examples are the rows of a matrix with a capital letter.
_STACKED = ("input", "target", "preactivation", "activation", "output", "adjoint")
# The index letters that equations of networks use; the first is that of the examples.
INDEX_LETTERS = "pjsmikrtuvwqlhcdefg"
EXAMPLE_LETTER = INDEX_LETTERS[0]

HADAMARD = (r"\circ", r"\odot", r"\ast", r"\cdot")
CHOICES: Mapping[str, tuple[object, ...]] = {
    "weight_layer": ("target", "source"),
    "weight_rows": ("outputs", "inputs"),
    "adjoints": ("delta", "partial"),
    "gradient": ("nabla", "partial"),
    "form": ("matrix", "component"),
    "over": ("one", "mean", "sum"),
    "sense": ("minimise", "maximise"),
    "transpose_brackets": ("", "()", "[]"),
    "entry_brackets": ("()", "[]"),
    "kronecker": ("brackets", "indicator"),
    "first": (0, 1),
    "first_layer": (0, 1),
    "hadamard": HADAMARD,
    "named_adjoint": (r"\bar", r"\hat", r"\tilde", r"\dot", r"\check", r"\vec"),
    "long_adjoint": (r"\overline", r"\widehat", r"\widetilde"),
}
FLAGS = ("layer_below", "bias_row", "batch", "example_below", "mark_examples", "sums_last")
TABLES = ("letters", "indices", "widths", "functions")
# Fields that are one symbol, and what it may have: "script" an index, "bare" nothing.
SYMBOLS = {
    "depth": "script", "any_layer": "script", "examples": "script", "ones": "script", "identity": "script",
    "unit": "bare",
    "transpose": "bare", "partial": "bare", "nabla": "bare", "indicator": "bare", "diagonal": "bare",
}  # fmt: skip
# What fields that hold a mark may hold: the named places, and letters, brackets and commas.
MARKS = {"layer": ("layer",), "example": ("example",), "marks": ("layer", "example")}

_GREEK = rf"\\(?:{'|'.join(sorted(GREEK))})(?![A-Za-z])"
_PLAIN = rf"(?:[A-Za-z0-9][A-Za-z0-9 ]*|{_GREEK})"
_STYLED = rf"\\(?:(?:mathrm|mathbf|mathit|mathsf|operatorname|boldsymbol)\{{{_PLAIN}|(?:mathcal|mathbb)\{{[A-Z])\}}"
_ACCENTS = "hat|bar|tilde|vec|dot|check|overline|widehat|widetilde"
_LETTER = (
    rf"(?:[A-Za-z]|\\(?:{'|'.join(sorted(FUNCTION_COMMANDS))}|partial|nabla|top|intercal)(?![A-Za-z])|{_STYLED}"
    rf"|\\(?:{_ACCENTS})\{{(?:{_PLAIN}|{_STYLED})\}})"
)
_GROUP = rf"\{{(?:[A-Za-z0-9()\[\] ,+*-]|{_GREEK}|\\mathrm\{{[A-Za-z0-9 ]+\}})+\}}"
_SCRIPT = rf"(?:[A-Za-z0-9*]|{_GREEK}|{_GROUP})"
_SCRIPTS = rf"(?:_{_SCRIPT}(?:\^{_SCRIPT})?|\^{_SCRIPT}(?:_{_SCRIPT})?)?"
_ARGUMENT = rf"(?:\({_LETTER}(?:_[A-Za-z0-9])?(?:, ?{_LETTER}(?:_[A-Za-z0-9])?)*\))?"
# The parts that a symbol may have, one after the other. Each is matched by itself: Python compiles a pattern that holds
# all of them several times as long.
_SYMBOL = {
    "argument": (_LETTER, _SCRIPTS, _ARGUMENT),
    "scripts": (_LETTER, _SCRIPTS),
    "script": (_LETTER, rf"(?:_{_SCRIPT})?"),
    "bare": (_LETTER,),
}
_WAY_OUT = {
    "argument": r"write a letter, a Greek letter such as \delta, \mathcal{L} or \hat{y}, with an index or an argument "
    r"if need be, as in C_x or L(\theta)",
    "script": r"write a letter, a Greek letter such as \ell or \mathbf{1}, with an index if need be, as in k_1",
    "scripts": r"write a letter, a Greek letter or a word, with an index and a mark if need be, as in g^{[1]}",
    "bare": r"write a letter, a Greek letter or a word such as \mathrm{T}, with nothing more",
}
ACCENTED = re.compile(rf"\\(?:{_ACCENTS})\{{")
LONGEST_SYMBOL = 80
_MARK = re.compile(r"[A-Za-z0-9()\[\], ]*\Z", re.ASCII)
_UNIT = re.compile(rf"({_LETTER})_\{{layer\}}\Z", re.ASCII)
_FUNCTION = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z", re.ASCII)


def checked_symbol(text: object, what: str, kind: str = "argument", *fields: tuple[str, ...]) -> str:
    r"""`text` if it is one symbol: a letter, a Greek letter, \mathcal{L}, with an index or an argument: L(\theta).

    It reaches a file that LaTeX runs.

    kind:   "argument", "scripts" (without an argument), "script" (without anything above) or "bare" (a letter alone).
    fields: whose fault it is, see `NotationError`.

    Raises:
        NotationError: it is anything else, such as a command that reads files.
    """
    if not isinstance(text, str) or len(text) > LONGEST_SYMBOL or not _is_symbol(text, kind):
        spoilt = isinstance(text, str) and any(mark in text for mark in "\a\b\t\n\v\f\r")
        hint = "; a backslash was lost: in Python write r'\\tau', in TOML '\\tau' in single quotes" if spoilt else ""
        raise NotationError(f"{what}: {shown(text)} is no symbol for this; {_WAY_OUT[kind]}{hint}", *fields)
    return text


def _is_symbol(text: str, kind: str) -> bool:
    """Whether the parts of a kind of symbol follow each other in a text, and nothing else. No part can begin where the
    one before may go on, so that the first match of each is the only one.
    """
    end = 0
    for part in _SYMBOL[kind]:
        found = re.compile(part, re.ASCII).match(text, end)
        if found is None:
            return False
        end = found.end()
    return end == len(text)


def shown(value: object) -> str:
    """A value as a message shows it: in ASCII, and not longer than a line."""
    text = ascii(value[:LONGEST_SYMBOL] if isinstance(value, str) else value)
    return text if len(text) <= LONGEST_SYMBOL else text[:20] + "..." + text[0] * (text[0] in "'\"")


def capital_of(letter: str) -> str:
    """The letter of the matrix whose rows are what `letter` stands for at each example."""
    if re.fullmatch(r"[a-z]", letter):
        return letter.upper()
    upper = letter[1:].capitalize()
    if letter.startswith("\\") and upper in GREEK:
        return rf"\{upper}"
    accent = re.fullmatch(r"(\\(?:hat|bar|tilde)\{)([a-z])\}", letter)
    return f"{accent.group(1)}{accent.group(2).upper()}}}" if accent else rf"\boldsymbol{{{letter}}}"


# ---------------------------------------------------------------------- fields one by one


def check_tables(notation: Notation) -> None:
    """Raise NotationError unless the tables of a notation are tables."""
    name = notation.name
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST_SYMBOL:
        raise NotationError(
            f"the name of a notation must be a word of at most {LONGEST_SYMBOL} characters, not {shown(name)}",
            ("name",),
        )
    for table in TABLES:
        held = getattr(notation, table)
        if not isinstance(held, Mapping):
            raise NotationError(
                f"{_where(notation)}: {table} must be a table, such as {{'weight': 'W'}}, not {shown(held)}", (table,)
            )


def check_fields(notation: Notation) -> None:
    """Raise NotationError for a field that cannot be, by itself."""
    where = _where(notation)
    for name, allowed in CHOICES.items():
        value = getattr(notation, name)
        if not any(type(value) is type(one) and value == one for one in allowed):
            known = ", ".join(f"'{one}'" if isinstance(one, str) else str(one) for one in allowed)
            raise NotationError(f"{where}: {name} must be one of {known}, not {shown(value)}", (name,))
    for name in FLAGS:
        if not isinstance(getattr(notation, name), bool):
            raise NotationError(f"{where}: {name} must be true or false, not {shown(getattr(notation, name))}", (name,))
    _check_letters(notation.letters, where)
    for key, text in notation.indices.items():
        if not isinstance(key, str) or not _FUNCTION.match(key):
            raise NotationError(f"{where}: indices has {shown(key)}, which is no index letter", ("indices", str(key)))
        checked_symbol(text, f"{where}: indices.{key}", "script", ("indices", key))
    for number, text in notation.widths.items():
        if type(number) is not int or number < 0:
            raise NotationError(
                f"{where}: widths has {shown(number)}, which is no number of a layer; the input is layer 0",
                ("widths", str(number)),
            )
        checked_symbol(text, f"{where}: widths.{number}", "script", ("widths", str(number)))
    for key, text in notation.functions.items():
        if not isinstance(key, str) or not _FUNCTION.match(key):
            raise NotationError(
                f"{where}: functions has {shown(key)}, which is no name of a function", ("functions", str(key))
            )
        checked_symbol(text, f"{where}: functions.{key}", "scripts", ("functions", key))
    for name, kind in SYMBOLS.items():
        checked_symbol(getattr(notation, name), f"{where}: {name}", kind, (name,))
    for name, places in MARKS.items():
        _check_mark(getattr(notation, name), places, f"{where}: {name}", name)
    unit = notation.unit_index
    if not isinstance(unit, str) or (unit and (len(unit) > LONGEST_SYMBOL or not _UNIT.match(unit))):
        raise NotationError(
            f"{where}: unit_index must be a letter with the layer below, as in 'n_{{layer}}', or empty, not "
            f"{shown(unit)}",
            ("unit_index",),
        )
    if notation.bias_row and notation.weight_rows != "inputs":
        raise NotationError(
            f"{where}: bias_row needs weight_rows = 'inputs': the bias is one more row of inputs",
            ("bias_row",), ("weight_rows",),
        )  # fmt: skip


def _check_letters(letters: Mapping[str, str], where: str) -> None:
    known = (*LETTERS, *OWN_LETTERS)
    for role, text in letters.items():
        if role not in known:
            fields = (*CHOICES, *FLAGS, *SYMBOLS, *MARKS, "unit_index")
            way_out = "a field of its own: in a file it stands above every [table]" if role in fields else ""
            reason = way_out or f"which is no role; {nearest(str(role)[:LONGEST_SYMBOL], known)}"
            raise NotationError(f"{where}: letters has {shown(role)}, {reason}", ("letters", str(role)))
        if not (role == "input" and text == ""):
            # The number of a layer becomes the index of the letter of widths.
            kind = "bare" if role == "width" else "argument"
            checked_symbol(text, f"{where}: letters.{role}", kind, ("letters", role))
            if text[1:] in FUNCTION_COMMANDS - GREEK:
                raise NotationError(
                    f"{where}: letters.{role} is {text}, which is a function everybody knows; take a letter",
                    ("letters", role),
                )
    missing = [role for role in LETTERS if role not in letters]
    if missing:
        raise NotationError(f"{where}: letters has none for {', '.join(missing)}", ("letters",))


def _check_mark(text: object, places: Sequence[str], what: str, field: str) -> None:
    plain = text if isinstance(text, str) and len(text) <= LONGEST_SYMBOL else ""
    for place in places:
        if plain.count(f"{{{place}}}") != 1:
            raise NotationError(
                f"{what} must hold {{{place}}} once, as in '[{{{place}}}]', not {shown(text)}", (field,)
            )
        plain = plain.replace(f"{{{place}}}", "")
    outer = str(text).strip() if field in ("layer", "example") else ""
    if outer.startswith(",") or outer.endswith(","):
        raise NotationError(f"{what}: {shown(text)} begins or ends in a comma, which separates marks", (field,))
    if not _MARK.match(plain) or re.search(r"\}[A-Za-z]", str(text)) or not _balanced(plain):
        raise NotationError(
            f"{what}: {shown(text)} may hold digits, commas, pairs of brackets, and letters that do not follow a "
            "place, besides",
            (field,),
        )


def _balanced(text: str) -> bool:
    """Whether the round and square brackets of a text are in pairs."""
    bare = re.sub(r"[^()\[\]]", "", text)
    while "()" in bare or "[]" in bare:
        bare = bare.replace("()", "").replace("[]", "")
    return not bare


# ---------------------------------------------------------------------- letters that must differ


class _Claim(NamedTuple):
    """A symbol of a page, the field that has it, and whose it is; what is of one owner may be written alike."""

    text: str
    field: tuple[str, ...]
    owner: str
    matrix: bool = False

    def __str__(self) -> str:
        return f"the matrix of {'.'.join(self.field)}" if self.matrix else ".".join(self.field)


def _claims(notation: Notation) -> Iterator[_Claim]:
    """Every symbol that stands in formulas on the line, indices aside."""
    for role, text in notation.letters.items():
        if text:
            yield _Claim(text, ("letters", role), OWN_LETTERS.get(role, role))
    for role in _STACKED:
        if notation.letters.get(role):
            field, owner = ("letters", role), OWN_LETTERS.get(role, role)
            yield _Claim(capital_of(notation.letters[role]), field, owner, matrix=True)
    yield _Claim(notation.examples, ("examples",), "examples")
    for number, text in notation.widths.items():
        yield _Claim(text, ("widths", str(number)), f"width {number}")
    for name in ("identity", "unit", "partial", "nabla", "ones", "indicator", "diagonal"):
        # 1 before a brace is an indicator, alone the vector of ones.
        yield _Claim(getattr(notation, name), (name,), "ones" if name == "indicator" else name)


def check_apart(notation: Notation) -> None:
    """Raise NotationError for two fields that a reader of the page would take for one another."""
    where = _where(notation)
    indices = [_Claim(text, ("indices", key), f"index {key}") for key, text in notation.indices.items()]
    functions = [_Claim(text, ("functions", key), f"function {key}") for key, text in notation.functions.items()]
    for group in ([*_claims(notation), *indices], functions):
        seen: dict[str, list[_Claim]] = {}
        for claim in group:
            for other in seen.setdefault(claim.text, []):
                # The letter of widths never stands alone: n_1 is not n.
                if other.owner != claim.owner and not (other.owner == "width" and claim.field[0] != "letters"):
                    raise NotationError(
                        f"{where}: {other} and {claim} are both {claim.text}; give each its own",
                        claim.field, other.field,
                    )  # fmt: skip
            seen[claim.text].append(claim)
    width = notation.letters["width"]
    for claim in [*_claims(notation), *indices]:
        number = int(claim.field[1]) + notation.first_layer if claim.field[0] == "widths" else None
        if claim.text.startswith(f"{width}_") and claim.text not in (f"{width}_{number}", f"{width}_{{{number}}}"):
            raise NotationError(
                f"{where}: {claim} is {claim.text}, which is how the width of a layer is written", claim.field
            )
    _check_layers(notation, where)


def _check_layers(notation: Notation, where: str) -> None:
    """The letters that number layers, and the marks that they stand in."""
    depth, layer, transpose = notation.depth, notation.any_layer, notation.transpose
    if depth == layer:
        raise NotationError(
            f"{where}: depth and any_layer are both {depth}; give each its own", ("depth",), ("any_layer",)
        )
    if depth == notation.examples:
        raise NotationError(
            f"{where}: depth and examples are both {depth}; give each its own", ("depth",), ("examples",)
        )
    written = index_letters(notation)
    for key, text in written.items():
        field = ("indices", key)
        if text == depth:
            raise NotationError(
                f"{where}: indices.{key} and depth are both {text}; give each its own", field, ("depth",)
            )
        if text == layer and (key == EXAMPLE_LETTER or notation.layer_below):
            raise NotationError(
                f"{where}: indices.{key} and any_layer are both {text}, and stand in one place; give each its own",
                field, ("any_layer",),
            )  # fmt: skip
    if not notation.transpose_brackets:
        bare = [("depth", depth), ("any_layer", layer)] if notation.layer == "{layer}" else []
        bare += [("example", written[EXAMPLE_LETTER])] if notation.example == "{example}" else []
        for name, text in bare:
            if text == transpose:
                raise NotationError(
                    f"{where}: {text} above a letter is {name} and the transpose; put brackets round the mark, as in "
                    f"'[{{{name}}}]', or set transpose_brackets",
                    ("transpose",), (name,),
                )  # fmt: skip
    between = notation.marks.replace("{layer}", notation.layer.replace("{layer}", "\0"))
    between = between.replace("{example}", notation.example.replace("{example}", "\0")).split("\0")[1]
    if not notation.layer_below and not notation.example_below and not re.search(r"[()\[\],]", between):
        raise NotationError(
            f"{where}: marks would write a layer and an example as one word; put a comma between them, as in "
            "'{example},{layer}', or brackets round one",
            ("marks",), ("layer",), ("example",),
        )  # fmt: skip
    unit = _UNIT.match(notation.unit_index)
    same = [claim for claim in _claims(notation) if unit and claim.text == unit.group(1)]
    for claim in same:
        if claim.owner == "width" or (notation.layer_below and claim.field[0] == "letters"):
            raise NotationError(
                f"{where}: unit_index and {claim} are both written {notation.unit_index}; give each its own letter",
                ("unit_index",), claim.field,
            )  # fmt: skip


def index_letters(notation: Notation) -> dict[str, str]:
    """How each index letter that equations use is written. All differ.

    A letter that `indices` has no entry for keeps its own name, or, if something else is called so, takes the next
    letter that is free.
    """
    written = dict(notation.indices)
    avoid = {claim.text for claim in _claims(notation)} | {notation.depth, notation.any_layer, *written.values()}
    waiting = [letter for letter in INDEX_LETTERS if letter not in written]
    for letter in [letter for letter in waiting if letter not in avoid]:
        written[letter] = letter
        waiting.remove(letter)
    avoid.update(written.values())
    free = [letter for letter in INDEX_LETTERS + "on" if letter not in avoid]
    free += [rf"\tilde{{{letter}}}" for letter in INDEX_LETTERS]
    written.update(zip(waiting, free, strict=False))
    return written


def _where(notation: Notation) -> str:
    return f"notation {notation.name!a}"
