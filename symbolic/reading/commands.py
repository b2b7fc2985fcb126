"""The LaTeX commands that a formula may be written with, and what each of them is to the reader.

There is no other way in: a command that is not in these tables is refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from symbolic.notation import GREEK

_LETTERS = GREEK | {
    "varepsilon", "vartheta", "varphi", "varrho", "varsigma", "varpi", "upsilon", "Upsilon", "partial", "nabla",
    "infty", "top", "intercal", "dagger", "prime", "emptyset", "forall", "exists", "imath", "jmath", "Re", "Im",
}  # fmt: skip
_FUNCTIONS = {
    "log", "ln", "exp", "sin", "cos", "tan", "cot", "sinh", "cosh", "tanh", "coth", "arcsin", "arccos", "arctan",
    "max", "min", "sup", "inf", "lim", "det", "dim", "ker", "arg", "argmax", "argmin", "deg", "Pr",
}  # fmt: skip
_OPERATORS = {"cdot", "circ", "odot", "bigodot", "times", "ast", "star", "bullet", "otimes", "oslash", "oplus", "div"}
_RELATIONS = {
    "equiv": r"\equiv", "le": r"\le", "leq": r"\le", "leqslant": r"\le", "ge": r"\ge", "geq": r"\ge",
    "geqslant": r"\ge", "ne": r"\ne", "neq": r"\ne", "lt": "<", "gt": ">", "ll": r"\ll", "gg": r"\gg",
    "leftarrow": r"\leftarrow", "gets": r"\leftarrow", "to": r"\to", "rightarrow": r"\to", "mapsto": r"\mapsto",
    "longrightarrow": r"\to", "coloneqq": ":=", "triangleq": r"\triangleq", "doteq": r"\doteq", "in": r"\in",
    "notin": r"\notin", "ni": r"\ni", "subset": r"\subset", "subseteq": r"\subseteq", "approx": r"\approx",
    "sim": r"\sim", "simeq": r"\simeq", "cong": r"\cong", "propto": r"\propto", "colon": ":", "mid": r"\mid",
}  # fmt: skip
_IMPLICATIONS = {
    "Rightarrow": r"\Rightarrow", "implies": r"\Rightarrow", "Longrightarrow": r"\Rightarrow",
    "Leftarrow": r"\Leftarrow", "impliedby": r"\Leftarrow",
    "Leftrightarrow": r"\Leftrightarrow", "iff": r"\Leftrightarrow",
}  # fmt: skip
_DOTS = {
    "ldots": r"\ldots", "dots": r"\ldots", "dotsc": r"\ldots", "dotso": r"\ldots", "cdots": r"\cdots",
    "dotsb": r"\cdots", "dotsm": r"\cdots", "vdots": r"\vdots", "ddots": r"\ddots",
}  # fmt: skip
_ACCENTS = {
    "bar", "overline", "hat", "widehat", "tilde", "widetilde", "vec", "dot", "ddot", "check", "breve", "underline",
    "underbrace", "overbrace",
}  # fmt: skip
_FRACTIONS = {"frac", "dfrac", "tfrac", "cfrac"}

# The terminal of the grammar, and the one spelling that the tree has, by command.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {rf"\{name}": ("SYMBOL", rf"\{name}") for name in _LETTERS | _FUNCTIONS}
    | {rf"\{name}": ("OPERATOR", rf"\{name}") for name in _OPERATORS}
    | {rf"\{name}": ("RELATION", sign) for name, sign in _RELATIONS.items()}
    | {rf"\{name}": ("IMPLIES", sign) for name, sign in _IMPLICATIONS.items()}
    | {rf"\{name}": ("DOTS", sign) for name, sign in _DOTS.items()}
    | {rf"\{name}": ("ACCENT", rf"\{name}") for name in _ACCENTS}
    | {rf"\{name}": ("FRACTION", r"\frac") for name in _FRACTIONS}
    | {rf"\{name}": ("BIG", rf"\{name}") for name in ("sum", "prod")}
    | {rf"\{name}": ("AND", "and") for name in ("land", "wedge")}
    | {rf"\{name}": ("OR", "or") for name in ("lor", "vee")}
    | {rf"\{name}": ("NOT", "not") for name in ("lnot", "neg")}
    | {rf"\{name}": ("GAP", "") for name in ("quad", "qquad")}
    | {r"\pm": ("SIGN", r"\pm"), r"\mp": ("SIGN", r"\mp"), r"\sqrt": ("ROOT", r"\sqrt"), r"\\": ("LINE", "")}
)

# Single characters that are a terminal.
CHARACTERS: Mapping[str, str] = MappingProxyType({
    "+": "SIGN", "-": "SIGN", "/": "OPERATOR", "*": "OPERATOR", "=": "RELATION", "<": "RELATION", ">": "RELATION",
    ":": "RELATION", "_": "BELOW", "^": "ABOVE", ",": "COMMA", ";": "SEMICOLON", "&": "MARK",
})  # fmt: skip

# Styles of a symbol; \mathrm and \operatorname make an upright word.
STYLES: Mapping[str, str] = MappingProxyType(
    {
        rf"\{name}": rf"\{name}"
        for name in ("mathbf", "mathcal", "mathbb", "mathit", "mathsf", "mathfrak", "mathscr", "mathds", "mathbbm")
    }
    | {rf"\{name}": r"\boldsymbol" for name in ("boldsymbol", "bm", "pmb")}
    | {rf"\{name}": "" for name in ("mathrm", "operatorname")}
)
# What may stand before \{condition\} to make it 1 or 0.
INDICATORS = frozenset({r"\mathbf{1}", r"\boldsymbol{1}", r"\mathbb{1}", r"\mathds{1}", r"\mathbbm{1}", r"\mathbb{I}"})
TEXTS = frozenset({r"\text", r"\textrm", r"\textnormal", r"\mbox", r"\textit", r"\textbf"})

SPACES = frozenset({
    r"\,", r"\;", r"\:", r"\!", r"\>", "\\ ", "\\\n", r"\thinspace", r"\enspace", r"\limits", r"\nolimits",
    r"\displaystyle", r"\textstyle", r"\nonumber", r"\notag", r"\hline", r"\hfill", r"\allowbreak",
})  # fmt: skip
# How many arguments in braces go unread.
UNREAD: Mapping[str, int] = MappingProxyType({
    r"\tag": 1, r"\by": 1, r"\label": 1, r"\hspace": 1, r"\vspace": 1, r"\color": 1, r"\textcolor": 1,
    r"\setlength": 2,
})  # fmt: skip
STARRED = frozenset({r"\tag", r"\hspace", r"\vspace", r"\operatorname"})

# Sizes of brackets: whether the next bracket opens (True), closes (False), or the bracket itself says it (None).
SIZES: Mapping[str, bool | None] = MappingProxyType(
    {r"\left": True, r"\right": False}
    | {
        rf"\{name}{side}": meaning
        for name in ("big", "Big", "bigg", "Bigg")
        for side, meaning in (("l", True), ("r", False), ("", None))
    }
)
# The text in the tree, and whether it opens; None for bars, which do both.
BRACKETS: Mapping[str, tuple[str, bool | None]] = MappingProxyType({
    "(": ("(", True), ")": (")", False), "[": ("[", True), "]": ("]", False),
    r"\lbrack": ("[", True), r"\rbrack": ("]", False),
    r"\{": ("{", True), r"\}": ("}", False), r"\lbrace": ("{", True), r"\rbrace": ("}", False),
    "|": ("|", None), r"\vert": ("|", None), r"\lvert": ("|", True), r"\rvert": ("|", False),
    "||": ("||", None), r"\|": ("||", None), r"\Vert": ("||", None), r"\lVert": ("||", True), r"\rVert": ("||", False),
    r"\langle": ("<", True), r"\rangle": (">", False),
    r"\lfloor": (r"\lfloor", True), r"\rfloor": (r"\rfloor", False),
    r"\lceil": (r"\lceil", True), r"\rceil": (r"\rceil", False),
})  # fmt: skip
CLOSING: Mapping[str, str] = MappingProxyType({
    "(": ")", "[": "]", "{": "}", "|": "|", "||": "||", "<": ">", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil",
})  # fmt: skip

# Environments that only arrange lines, and those that make something of their cells.
ARRANGING = frozenset(
    f"{name}{star}"
    for name in ("align", "gather", "equation", "multline", "flalign", "eqnarray", "displaymath", "math")
    for star in ("", "*")
) | {"aligned", "gathered", "split"}
CASES = frozenset({"cases", "dcases"})
MATRICES: Mapping[str, tuple[str, str]] = MappingProxyType({
    "matrix": ("", ""), "smallmatrix": ("", ""), "array": ("", ""), "pmatrix": ("(", ")"), "bmatrix": ("[", "]"),
    "Bmatrix": ("{", "}"), "vmatrix": ("|", "|"), "Vmatrix": ("||", "||"),
})  # fmt: skip

# Running text that means something: the terminal, and its text in the tree.
PHRASES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "and": ("AND", "and"),
        "or": ("OR", "or"),
        "not": ("NOT", "not"),
        "if and only if": ("IMPLIES", r"\Leftrightarrow"),
    }
    | dict.fromkeys(("if", "when", "whenever", "for", "for all", "where"), ("IF", "if"))
    | dict.fromkeys(("otherwise", "else", "elsewhere"), ("OTHERWISE", "otherwise"))
)
# One-word labels that are never the name of something.
LINKS = frozenset({"if", "when", "whenever", "for", "where", "otherwise", "else", "with", "hence", "thus", "so", "let",
                   "then", "therefore", "by", "since", "as", "is", "i", "e", "s", "t"})  # fmt: skip

KNOWN = frozenset(COMMANDS) | STYLES.keys() | TEXTS | SPACES | UNREAD.keys() | SIZES.keys() | {
    name for name in BRACKETS if name[0] == "\\"
} | {r"\begin", r"\end", r"\boxed", r"\displaylines", r"\not", r"\fboxsep"}  # fmt: skip
