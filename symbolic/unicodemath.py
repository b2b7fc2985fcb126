r"""Formulas as one line of Unicode, as a person writes them in a terminal: `δ^[1] = (W^[2]ᵀ δ^[2]) ∘ g′(z^[1])`.

A fraction line becomes a slash, and what it held together is bracketed: nothing that is read off the line differs from
what LaTeX shows. Scripts of more than one symbol stand in braces.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from symbolic.errors import UsageError
from symbolic.mathtree import (
    ACCENTS,
    OPENING,
    Cells,
    Delimiter,
    Fraction,
    Group,
    Node,
    Root,
    Row,
    Scripts,
    Styled,
    Symbol,
    Text,
    parsed,
)  # fmt: skip

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ",
    "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "ell": "ℓ",
    "varepsilon": "ε", "varphi": "φ",
}  # fmt: skip
LETTERS = {
    **{rf"\{name}": letter for name, letter in GREEK.items()},
    r"\top": "⊤", r"\intercal": "⊺", r"\dots": "…", r"\ldots": "…", r"\cdots": "⋯", r"\vdots": "⋮", r"\ddots": "⋱",
    r"\bullet": "•", r"\infty": "∞", r"\prime": "′", r"\_": "_", r"\%": "%", r"\#": "#", r"\&": "&", r"\$": "$",
}  # fmt: skip
PRODUCTS = {r"\circ": "∘", r"\odot": "⊙", r"\ast": "∗", r"\cdot": "·", r"\times": "×", "*": "*", "/": "/"}
BINARY = {"+": "+", "-": "−", r"\pm": "±", **PRODUCTS}
RELATIONS = {
    "=": "=", "<": "<", ">": ">", r"\le": "≤", r"\leq": "≤", r"\ge": "≥", r"\geq": "≥", r"\ne": "≠", r"\neq": "≠",
    r"\in": "∈", r"\equiv": "≡", r"\approx": "≈", r"\to": "→", r"\mapsto": "↦", r"\Rightarrow": "⇒",
    r"\propto": "∝", ":": ":", r"\colon": ":", r"\sim": "∼",
}  # fmt: skip
SUMS = {r"\sum": "Σ", r"\prod": "∏"}
PREFIXES = {r"\partial": "∂", r"\nabla": "∇"}
SPACES = {
    " ": " ",
    r"\,": " ",
    r"\;": " ",
    r"\:": " ",
    r"\!": "",
    r"\ ": " ",
    "~": " ",
    r"\quad": "  ",
    r"\qquad": "    ",
}
NAMED = ("log", "exp", "tanh", "sinh", "cosh", "sin", "cos", "arctan", "max", "min", "arg", "ln", "det", "lim")
BRACKETS = {
    "(": "(", ")": ")", "[": "[", "]": "]", r"\{": "{", r"\}": "}", r"\lVert": "‖", r"\rVert": "‖", r"\|": "‖",
    r"\Vert": "‖", "|": "|", r"\vert": "|", r"\lvert": "|", r"\rvert": "|", r"\langle": "⟨", r"\rangle": "⟩",
}  # fmt: skip
MARKS = {
    r"\bar": "\u0304", r"\hat": "\u0302", r"\tilde": "\u0303", r"\dot": "\u0307", r"\check": "\u030c",
    r"\vec": "\u20d7", r"\overline": "\u0305", r"\widehat": "\u0302", r"\widetilde": "\u0303",
}  # fmt: skip
FONTS = {
    r"\mathbf": "MATHEMATICAL BOLD", r"\boldsymbol": "MATHEMATICAL BOLD", r"\mathcal": "MATHEMATICAL SCRIPT",
    r"\mathbb": "MATHEMATICAL DOUBLE-STRUCK", r"\mathsf": "MATHEMATICAL SANS-SERIF",
}  # fmt: skip
DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
LOWERED = dict(zip("0123456789+−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
TRANSPOSED = "ᵀ"
# Where a line may be broken; a control character, so that no formula has it.
BREAK = "\0"
RAISE, LOWER, LEVEL = "\1", "\2", "\3"


@dataclass(frozen=True)
class Run:
    """Text at one height: shift 0 on the base line, 1 above it, -1 below it."""

    text: str
    shift: int


@lru_cache(maxsize=4096)
def unicode_math(latex: str) -> str:
    """The formula as one line.

    Raises:
        UsageError: it has something that the page's printer does not write.
    """
    return unicodedata.normalize("NFC", _Writer().row(parsed(latex)))


def unicode_pieces(pieces: Sequence[str]) -> list[str]:
    """A formula that is given in pieces, between which a line may be broken, as pieces of the line."""
    return [piece.strip() for piece in unicode_math(f" {BREAK} ".join(pieces)).split(BREAK)]


def runs(latex: str) -> list[Run]:
    """The formula as runs at three heights: that of the line, and what is set lower and higher.

    A script of a script stays in its run, in small letters where Unicode has them.

    Raises:
        UsageError: it has something that the page's printer does not write.
    """
    text = unicodedata.normalize("NFC", _Heights().row(parsed(latex)))
    found: list[Run] = []
    shift = 0
    for part in re.split(f"([{RAISE}{LOWER}{LEVEL}])", text):
        if part in (RAISE, LOWER, LEVEL) and part:
            shift = {RAISE: 1, LOWER: -1, LEVEL: 0}[part]
        elif part and found and found[-1].shift == shift:
            found[-1] = Run(found[-1].text + part, shift)
        elif part:
            found.append(Run(part, shift))
    return found


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(map(_columns_of, unicodedata.normalize("NFC", text)))


@lru_cache(maxsize=4096)
def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf", "Cc"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


# ---------------------------------------------------------------------- what stands on a line


@dataclass(frozen=True)
class _Item:
    """A text and what it is to its neighbours.

    kind: "symbol", "group" (something in brackets), "function", "word", "open", "close", "binary", "product", "sign",
    "relation", "comma", "sum", "prefix" (of a derivative), "fraction", "space", "break" or "nothing".
    """

    text: str
    kind: str


SILENT = ("space", "break", "nothing")
# What a factor of a product begins and ends with.
BEGINS = ("symbol", "group", "open", "function", "sum", "prefix", "fraction")
ENDS = ("symbol", "group", "close", "function", "prefix", "fraction")
# What a plus or a minus is a sign after.
UNSIGNED = ("", "open", "binary", "product", "sign", "relation", "comma", "sum", "word")
# What may be a function, if brackets follow it without a space.
CALLED = ("symbol", "group", "function", "close")


class _Writer:
    """Writes rows of a tree."""

    def row(self, row: Row, tight: bool = False) -> str:
        """tight: without spaces round signs, as in a script."""
        return _joined(self.items(row), tight)

    def items(self, row: Row) -> list[_Item]:
        """What stands on the line; signs and fractions know their neighbours."""
        found: list[_Item] = []
        open_bars: list[str] = []
        for node in row:
            bare = node.base if isinstance(node, Scripts) else node
            if isinstance(bare, Delimiter):
                bracket = self.bracket(bare.sign, open_bars)
                found.append(self.scripts(node, bracket) if isinstance(node, Scripts) else bracket)
            elif isinstance(node, Group) and node.body:
                found += self.items(node.body)
            elif isinstance(node, Text):
                found += _words(node.words)
            elif isinstance(node, Cells):
                found.append(_Item(self.cells(node, last=node is row[-1]), "symbol"))
            else:
                found.append(self.item(node))
        return _with_brackets(_with_signs(found))

    def item(self, node: Node) -> _Item:
        if isinstance(node, Symbol):
            return _symbol(node.latex)
        if isinstance(node, Styled):
            return self.styled(node)
        if isinstance(node, Scripts):
            return self.scripts(node, self.base(node.base))
        if isinstance(node, Fraction):
            return _Item(_quotient(self.items(node.above), self.items(node.below)), "fraction")
        if isinstance(node, Root):
            inner = self.items(node.body)
            text = _joined(inner)
            return _Item(f"√{text}" if _Parts(inner).single else f"√({text})", "symbol")
        return _Item("", "nothing")

    def styled(self, node: Styled) -> _Item:
        inner = self.row(node.body)
        if node.style in ACCENTS:
            mark = MARKS[node.style]
            return _Item("".join(c if c == " " or unicodedata.combining(c) else c + mark for c in inner), "symbol")
        if node.style in FONTS:
            return _Item("".join(_in_font(c, FONTS[node.style]) for c in inner), "symbol")
        return _Item(inner, "function" if node.style == r"\operatorname" else "symbol")

    def bracket(self, sign: str, open_bars: list[str]) -> _Item:
        """A bracket; a bar opens or closes by whether one is open."""
        if sign == ".":
            return _Item("", "nothing")
        opens = sign in OPENING
        if sign in ("|", r"\|", r"\vert", r"\Vert"):
            opens = not open_bars or open_bars[-1] != sign
            if opens:
                open_bars.append(sign)
            else:
                open_bars.pop()
        return _Item(BRACKETS[sign], "open" if opens else "close")

    def cells(self, node: Cells, last: bool) -> str:
        rows = [[self.row(cell).strip() for cell in row] for row in node.rows]
        if node.environment == "cases":
            texts = [
                " ".join(cells) if cells[-1].startswith(("if ", "otherwise")) else ", ".join(cells) for cells in rows
            ]
            return "{ " + "; ".join(texts) + " }"
        if node.environment.endswith("matrix"):
            return "[" + "; ".join(", ".join(cells) for cells in rows) + "]"
        return "; ".join(" ".join(cell for cell in cells if cell) for cells in rows)

    # ------------------------------------------------------------------ scripts

    def base(self, node: Node) -> _Item:
        """What carries scripts: in brackets if it has some itself, or is more than one symbol."""
        if isinstance(node, Group):
            inner = [item for item in self.items(node.body) if item.kind not in SILENT]
            if not inner:
                return _Item("", "symbol")
            single = len(inner) == 1 and not any(isinstance(part, (Scripts, Fraction)) for part in node.body)
            return inner[0] if single else _Item(f"({self.row(node.body).strip()})", "group")
        if isinstance(node, (Fraction, Root)):
            return _Item(f"({self.item(node).text})", "group")
        if isinstance(node, Cells):
            text = self.cells(node, last=False)
            return _Item(text, "group" if node.environment.endswith("matrix") else "symbol")
        return self.item(node)

    def scripts(self, node: Scripts, base: _Item) -> _Item:
        text = base.text + "′" * node.primes
        if node.below is not None:
            text += self.lowered(node.below)
        if node.above is not None:
            text += self.raised(node.above, base)
        return replace(base, text=text)

    def lowered(self, row: Row) -> str:
        text = self.row(row, tight=True).strip()
        return f"_{text}" if _in_one(row, text) else f"_{{{text}}}"

    def raised(self, row: Row, base: _Item) -> str:
        row, transposed = _without_transpose(row, base)
        text = self.row(row, tight=True).strip()
        after = TRANSPOSED if transposed else ""
        if not text:
            return after
        is_power = base.kind in ("close", "group") or base.text in ("e", "∂") or base.text.isdigit()
        if text.isdigit() and is_power and base.text != "e":
            return text.translate(RAISED) + after
        if _in_one(row, text):
            return f"^{text}{after}"
        return (f"^({text})" if is_power or _is_double_struck(base.text) else f"^{{{text}}}") + after


class _Heights(_Writer):
    """Marks where the height changes, instead of writing how."""

    def __init__(self, script: bool = False) -> None:
        self.script = script

    def lowered(self, row: Row) -> str:
        if self.script:
            text = _Writer().row(row, tight=True)
            return "".join(LOWERED[c] for c in text) if set(text) <= set(LOWERED) else _Writer().lowered(row)
        return LOWER + _Heights(True).row(row, tight=True).strip() + LEVEL

    def raised(self, row: Row, base: _Item) -> str:
        if self.script:
            return _Writer().raised(row, base)
        return RAISE + _Heights(True).row(row, tight=True).strip() + LEVEL


def _without_transpose(row: Row, base: _Item) -> tuple[Row, bool]:
    """The marks above a symbol without the sign of the transpose at their end, and whether it is there.

    A plain T is one behind a bracket only: elsewhere it may be a layer, or the number of examples.
    """
    bare = [node for node in row if node != Symbol(" ")]
    if not bare or base.kind == "sum":
        return row, False
    behind = isinstance(bare[-2], Delimiter) if len(bare) > 1 else base.kind in ("close", "group")
    letter = bare[-1] in (Symbol("T"), Styled(r"\mathrm", (Symbol("T"),)))
    if bare[-1] in (Symbol(r"\top"), Symbol(r"\intercal")) or (letter and behind):
        return tuple(bare[:-1]), True
    return row, False


def _in_one(row: Row, text: str) -> bool:
    """Whether a script can stand without braces: a run of letters and digits, one sign, or one pair of brackets."""
    if len(row) > 1 and any(isinstance(node, Scripts) or _is_word(node) for node in row):
        return False
    # z^∘2 is a power entry by entry.
    plain = "".join(c for c in re.sub(r"\A[∘⊙·∗*]", "", text) if not unicodedata.combining(c) and c != "′")
    if plain.isalnum() or len(text) == 1:
        return True
    pairs = {"(": ")", "[": "]"}
    inner = text[1:-1]
    return text[0] in pairs and text[-1] == pairs[text[0]] and not set(inner) & set("()[]{}")


def _is_word(node: Node) -> bool:
    return isinstance(node, Styled) and node.style in (r"\mathrm", r"\operatorname", r"\mathit") and len(node.body) > 1


def _is_double_struck(text: str) -> bool:
    return len(text) == 1 and "DOUBLE-STRUCK" in unicodedata.name(text, "")


# ---------------------------------------------------------------------- symbols


def _symbol(latex: str) -> _Item:
    if latex in SPACES:
        return _Item(SPACES[latex], "space")
    if latex == BREAK:
        return _Item(BREAK, "break")
    tables = ((LETTERS, "symbol"), (PRODUCTS, "product"), (BINARY, "binary"), (RELATIONS, "relation"))
    for table, kind in (*tables, (SUMS, "sum"), (PREFIXES, "prefix")):
        if latex in table:
            return _Item(table[latex], kind)
    if latex[1:] in NAMED and latex.startswith("\\"):
        return _Item(latex[1:], "function")
    if latex.startswith("\\") or not latex.isprintable() or latex in "{}$#%&":
        raise UsageError(f"the page has no Unicode for {latex!a}")
    return _Item(latex, "comma" if latex in (",", ";") else "symbol")


def _words(words: str) -> Iterator[_Item]:
    """Words with the spaces round them."""
    text = words.strip().replace("---", "—")
    if words[:1] == " ":
        yield _Item(" ", "space")
    if text:
        yield _Item(text, "word")
    if words[-1:] == " ":
        yield _Item(" ", "space")


def _in_font(character: str, font: str) -> str:
    """A letter or digit in a mathematical font, where Unicode has it; ℒ and ℝ are older than their fonts."""
    name = unicodedata.name(character, "")
    if name.startswith(("LATIN ", "GREEK ")):
        name = name.split(" ", 1)[1].replace("LETTER ", "")
    elif name.startswith("DIGIT "):
        name = f"DIGIT {DIGITS[int(character)]}"
    else:
        return character
    for full in (f"{font} {name}", f"{font.removeprefix('MATHEMATICAL ')} {name}"):
        try:
            return unicodedata.lookup(full)
        except KeyError:
            continue
    return character


# ---------------------------------------------------------------------- signs, brackets and spaces


def _with_signs(items: Sequence[_Item]) -> list[_Item]:
    """A plus or a minus with nothing before it is a sign of what comes after; so is the mark of an entrywise power."""
    found: list[_Item] = []
    before = ""
    for item in items:
        if (item.kind == "binary" and before in UNSIGNED) or (item.kind == "product" and not before):
            item = replace(item, kind="sign")
        found.append(item)
        if item.kind not in ("space", "break"):
            before = item.kind
    return found


def _with_brackets(items: Sequence[_Item]) -> list[_Item]:
    """A fraction that is a factor of a product is bracketed."""
    loud = [n for n, item in enumerate(items) if item.kind not in SILENT]
    found = list(items)
    for place, n in enumerate(loud):
        before = items[loud[place - 1]].kind if place else ""
        after = items[loud[place + 1]].kind if place + 1 < len(loud) else ""
        if items[n].kind == "fraction" and (before in (*ENDS, "product") or after in (*BEGINS, "product")):
            found[n] = _Item(f"({items[n].text})", "group")
    return found


class _Parts:
    """What a row consists of: how many factors, and whether it needs brackets beside a slash.

    factors: letters, bracketed groups, and functions with their argument in brackets. loose: it has a sign, a relation,
    a comma, a sum, words, a function without brackets, or brackets that are not in pairs.
    """

    def __init__(self, items: Sequence[_Item]) -> None:
        self.factors = self.prefixes = 0
        self.loose = False
        depth = 0
        for n, item in enumerate(items):
            following = items[n + 1].kind if n + 1 < len(items) else ""
            if item.kind == "open":
                called = n > 0 and items[n - 1].kind in CALLED
                self.factors += depth == 0 and not called
                depth += 1
            elif item.kind == "close":
                depth -= 1
                self.loose = self.loose or depth < 0
            elif depth == 0 and item.kind not in SILENT:
                self.prefixes += item.kind == "prefix"
                self.factors += item.kind in CALLED
                bare = item.kind == "function" and following != "open"
                self.loose = self.loose or bare or item.kind not in (*CALLED, "prefix")
        self.loose = self.loose or depth > 0

    @property
    def single(self) -> bool:
        return self.factors == 1 and not self.loose


def _quotient(above: list[_Item], below: list[_Item]) -> str:
    """Both sides of a slash, in the brackets that they need."""
    first = [next((n for n, item in enumerate(side) if item.kind not in SILENT), -1) for side in (above, below)]
    if all(n >= 0 and side[n].text == "d" for n, side in zip(first, (above, below), strict=True)):
        for n, side in zip(first, (above, below), strict=True):
            side[n] = _Item("d", "prefix")
    return f"{_side(above, most=99)}/{_side(below, most=1)}"


def _side(items: list[_Item], most: int) -> str:
    """most: how many factors need no brackets."""
    items = [item for item in items if item.kind not in ("break", "nothing")]
    while items and items[0].kind == "space":
        items = items[1:]
    parts = _Parts(items)
    if items and items[0].kind == "prefix" and parts.prefixes == 1:
        rest = _Parts(items[1:])
        body = _joined(items[1:]).strip()
        if rest.single or not body:
            return _joined(items).strip()
        return f"{items[0].text}({body})"
    text = _joined(items).strip()
    return f"({text})" if parts.loose or parts.factors > most or parts.prefixes > 1 else text


def _joined(items: Sequence[_Item], tight: bool = False) -> str:
    """The texts with the spaces that belong between them."""
    text = gap = ""
    before: _Item | None = None
    for item in items:
        if item.kind == "space":
            gap = max(gap, item.text, key=len)
        elif item.kind == "break":
            text += BREAK
        elif item.kind != "nothing":
            text += _gap(before, item, gap, tight) + item.text
            before, gap = item, ""
    return text


def _gap(before: _Item | None, item: _Item, spaces: str, tight: bool) -> str:
    if before is None or before.kind in ("open", "sign") or item.kind in ("close", "comma"):
        return ""
    pair = (before.kind, item.kind)
    if "/" in (before.text, item.text) or (before.kind == "prefix" and before.text in ("∂", "d", "∂²", "∂³", "∇")):
        return ""
    if "binary" in pair or "product" in pair or "relation" in pair:
        return "" if tight else spaces if len(spaces) > 1 else " "
    if before.kind == "comma":
        return spaces or ("" if tight else " ")
    if "sum" in pair or (before.kind == "function" and item.kind != "open"):
        return spaces or " "
    collides = re.search(r"[_^]\w+\Z", before.text) and item.text[:1].isalnum()
    return spaces or (" " if collides else "")
