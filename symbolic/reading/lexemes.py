"""A LaTeX formula -> lexemes: each command, letter, number and bracket, with its place.

Everything that TeX decides before structure is decided here: an argument without braces is one character, a bar
opens or closes, \\left, \\, and the like go, \\text{..} is one lexeme. Brackets and environments are matched here, so
that the message can name both places. Input that is too long, too deep, or made of unknown commands is refused.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from symbolic.errors import FormulaSyntaxError
from symbolic.reading.commands import (
    ARRANGING,
    BRACKETS,
    CASES,
    CHARACTERS,
    CLOSING,
    COMMANDS,
    INDICATORS,
    KNOWN,
    MATRICES,
    PHRASES,
    SIZES,
    SPACES,
    STARRED,
    STYLES,
    TEXTS,
    UNREAD,
)

LONGEST = 20_000  # characters of a formula; a page has displays of three thousand
DEEPEST = 40  # brackets, braces and environments in each other
AROUND = 20  # characters shown on either side of the caret
GAPS = frozenset({"LINE", "MARK", "GAP", "HOLLOW", "TEXT", "STOP", "ARRANGE", "ARRANGED"})

_LEXEME = re.compile(
    r"(?P<space>[ \t\r\n~]+|%[^\n]*)|(?P<command>\\[A-Za-z]+|\\.)|(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<letter>[A-Za-z])"
    r"|(?P<primes>'+)|(?P<dots>\.\.\.)|(?P<brace>[{}])|(?P<bracket>[()\[\]|])|(?P<sign>:=|[-+/*=<>:_^,;&.])",
    re.ASCII | re.DOTALL,
)
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9 -]|\\[_, ])*"
_STYLED = re.compile(rf"\s*(?:\{{\s*({_WORD}|\\[A-Za-z]+)\s*\}}|([A-Za-z0-9]|\\[A-Za-z]+))", re.ASCII)
_SIZED = re.compile(r"\s*(\\[A-Za-z]+|\\.|[()\[\]|./<>])", re.ASCII)
_BRACE = re.compile(r"\s*\{", re.ASCII)
_NOTHING = re.compile(r"\s*\}(\s*[_^])?", re.ASCII)
_CONDITION = re.compile(r"\s*(?:\\(?:left|[bB]igg?l?)\s*)?\\(?:\{|lbrace(?![A-Za-z]))", re.ASCII)
_ENVIRONMENT = re.compile(r"\s*\{([A-Za-z]+\*?)\}", re.ASCII)
_OPTION = re.compile(r"\s*\[[tbc]\]|\s*\{[lcr|@ ]*\}", re.ASCII)  # of aligned, and the columns of array
_LINE_SKIP = re.compile(r"\*?\s*\[\s*-?[\d.]+\s*(?:ex|em|pt|mm|cm|in|\\jot)\s*\]", re.ASCII)
_POWER_OF_TEN = re.compile(r"[eE][-+]?\d", re.ASCII)
_IN_TEXT = re.compile(r"\\[A-Za-z]+", re.ASCII)
_DOLLAR = re.compile(r"(?<!\\)\$")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_EQUALS = re.compile(r"\s*=", re.ASCII)
_NO_RIGHT = re.compile(r"\s*\\right\s*\.", re.ASCII)
_ESCAPED = re.compile(r"\\([_%#&${}])")
_ENDS = {"SYMBOL", "WORD", "NUMBER", "CLOSE", "RBRACE", "PRIMES", "DOTS", "END", "TEXT"}  # of an operand
_OWES = {"BELOW": 1, "ABOVE": 1, "FRACTION": 2, "ROOT": 1, "ACCENT": 1, "STYLE": 1}  # arguments


class Lexeme(NamedTuple):
    """A terminal of the grammar or a gap of the layout, its text in the tree, and where it begins."""

    kind: str
    text: str
    offset: int


class Places:
    """Offset -> line and column, both from 1."""

    def __init__(self, latex: str) -> None:
        self.begins = [0, *(match.end() for match in re.finditer("\n", latex))]

    def __call__(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self.begins, offset)
        return line, offset - self.begins[line - 1] + 1


def offset_of(latex: str, line: int, column: int) -> int:
    """The offset of a line and a column."""
    return Places(latex).begins[line - 1] + column - 1


def syntax_error(
    latex: str, offset: int, reason: str, kind: type[FormulaSyntaxError] = FormulaSyntaxError
) -> FormulaSyntaxError:
    """The error, of this kind, that says the place, shows the line around it and draws a caret."""
    line, column = Places(latex)(offset)
    end = latex.find("\n", offset)
    first, last = max(offset - column + 1, offset - AROUND), min(len(latex) if end < 0 else end, offset + AROUND)
    shown = "".join(c if c.isascii() and c.isprintable() else " " for c in latex[first:last])
    caret = " " * (offset - first)
    return kind(f"line {line}, column {column}: {reason}\n    {shown}\n    {caret}^", line, column)


def lexemes(latex: str) -> list[Lexeme]:
    """The lexemes of a formula, its outer $..$, $$..$$, \\(..\\) or \\[..\\] taken off.

    Raises:
        FormulaSyntaxError: longer than `LONGEST`, deeper than `DEEPEST`, brackets that do not match, a character
            or a command that no formula has.
    """
    if len(latex) > LONGEST:
        raise syntax_error(latex, LONGEST, f"a formula of {len(latex)} characters; at most {LONGEST} are read")
    return _Scanner(latex).all()


@dataclass
class _Opening:
    """What is open, where, and what is owed outside of it.

    kind:  brace, bracket, environment, frame (\\boxed), text (a formula in running text).
    text:  of a bracket as in the tree; the name of an environment.
    index: of its lexeme.
    """

    kind: str
    text: str
    offset: int
    index: int
    owed: int

    @property
    def shown(self) -> str:
        if self.kind == "environment":
            return rf"\begin{{{self.text}}}"
        return r"'\{'" if (self.kind, self.text) == ("bracket", "{") else f"'{self.text}'"


class _Scanner:
    """The text, the place in it, what was found, and what is open.

    owed:  arguments that the last command still takes.
    """

    def __init__(self, latex: str) -> None:
        self.latex = latex
        self.place, self.end = extent(latex)
        self.found: list[Lexeme] = []
        self.open: list[_Opening] = []
        self.owed = 0

    def all(self) -> list[Lexeme]:
        self.scan(self.end)
        if self.open:
            self.refuse(self.open[-1].offset, f"{self.open[-1].shown} is never closed")
        return self.found

    def refuse(self, offset: int, reason: str) -> NoReturn:
        raise syntax_error(self.latex, offset, reason)

    def scan(self, end: int) -> None:
        while self.place < end:
            offset = self.place
            match = _LEXEME.match(self.latex, offset, end)
            if match is None:
                self.refuse(offset, _stray(self.latex[offset]))
            self.place = match.end()
            text, kind = match.group(), match.lastgroup
            if kind == "command":
                self.command(text, offset)
            elif kind == "letter":
                self.add("SYMBOL", text, offset)
            elif kind == "number":
                self.number(text, offset)
            elif kind == "brace":
                self.brace(text, offset)
            elif kind == "bracket":
                self.bracket(text, offset)
            elif kind == "primes":
                self.add("PRIMES", text, offset)
            elif kind == "dots":
                self.add("DOTS", r"\ldots", offset)
            elif kind == "sign":
                self.add("STOP" if text == "." else CHARACTERS.get(text, "RELATION"), text, offset)

    # ------------------------------------------------------------------ lexemes

    def add(self, kind: str, text: str, offset: int) -> None:
        self.owed = max(0, self.owed - 1) + _OWES.get(kind, 0)
        self.found.append(Lexeme(kind, text, offset))

    def number(self, text: str, offset: int) -> None:
        if self.owed and text[0] != ".":
            self.place, text = offset + 1, text[0]  # x_12 is x_1 2
        elif _POWER_OF_TEN.match(self.latex, self.place, self.end):
            self.refuse(offset, r"a power of ten is written as in 2 \cdot 10^{-8}")
        indicates = text == "1" and not self.owed and _CONDITION.match(self.latex, self.place, self.end)
        self.add("INDICATOR" if indicates else "NUMBER", text, offset)

    def brace(self, text: str, offset: int) -> None:
        if text == "}":
            self.close_brace(offset)
            return
        nothing = _NOTHING.match(self.latex, self.place, self.end)
        if nothing is None or self.owed:
            self.push("brace", "{", offset, "LBRACE")
            return
        self.place = self.latex.index("}", self.place) + 1
        self.add("NOTHING" if nothing.group(1) else "HOLLOW", "", offset)

    def bracket(self, text: str, offset: int, opens: bool | None = None) -> None:
        """A bracket; `opens` is what its size says. A bar closes what the same bar opened, after an operand."""
        top = self.open[-1] if self.open and self.open[-1].kind == "bracket" else None
        inner = top.text if top and self.found[-1].kind in _ENDS else ""
        if text == "|" and self.latex.startswith("|", self.place) and inner != "|":
            text, self.place = "||", self.place + 1
        name, usual = (text, None) if text == "." else BRACKETS[text]
        if opens is None:
            opens = inner != name if usual is None else usual
        elif usual not in (None, opens):
            self.refuse(offset, f"{text} cannot {'open' if opens else 'close'}")
        if opens:
            self.push("bracket", name, offset, "OPEN")
            return
        top = self.top(offset, f"'{text}'")
        if top.kind != "bracket" or not (name == CLOSING.get(top.text) or "." in (name, top.text)):
            self.early(top, offset, f"'{text}'")
        self.pop("CLOSE", name, offset)

    def close_brace(self, offset: int) -> None:
        top = self.top(offset, "'}'")
        if top.kind not in ("brace", "frame"):
            self.early(top, offset, "'}'")
        self.pop("RBRACE" if top.kind == "brace" else "ARRANGED", "", offset)

    def push(self, kind: str, text: str, offset: int, terminal: str) -> None:
        """Open something of this kind; `terminal` is the lexeme that says so."""
        if text == "[" and self.found and self.found[-1].kind == "ROOT":
            terminal = "DEGREE"
        self.add(terminal, text, offset)
        owed = 1 if terminal == "DEGREE" else self.owed
        self.open.append(_Opening(kind, text, offset, len(self.found) - 1, owed))
        self.owed = 0
        if len(self.open) > DEEPEST:
            self.refuse(offset, f"brackets nested deeper than {DEEPEST}")

    def pop(self, terminal: str, text: str, offset: int) -> None:
        top = self.open.pop()
        self.add(terminal, text, offset)
        self.owed = top.owed

    def top(self, offset: int, closing: str) -> _Opening:
        """What is open innermost, where `closing` stands."""
        if not self.open:
            self.refuse(offset, f"{closing} closes nothing")
        return self.open[-1]

    def early(self, top: _Opening, offset: int, closing: str) -> NoReturn:
        line, column = Places(self.latex)(top.offset)
        self.refuse(offset, f"{closing} before {top.shown} of line {line}, column {column} is closed")

    # ------------------------------------------------------------------ commands

    def command(self, text: str, offset: int) -> None:
        if text in STARRED and self.latex.startswith("*", self.place):
            self.place += 1
        if text in COMMANDS:
            kind, shown = COMMANDS[text]
            skip = _LINE_SKIP.match(self.latex, self.place, self.end) if kind == "LINE" else None
            self.place = skip.end() if skip else self.place
            self.add(kind, shown, offset)
        elif text in SPACES:
            return
        elif text in BRACKETS:
            self.bracket(text, offset)
        elif text in SIZES:
            self.sized(text, offset)
        elif text in STYLES:
            self.style(text, offset)
        elif text in TEXTS:
            self.text(text, offset)
        elif text in UNREAD:
            for _ in range(UNREAD[text]):
                self.check_text(*self.braced(text))
        elif text in (r"\begin", r"\end"):
            self.environment(text, offset)
        elif text in (r"\boxed", r"\displaylines"):
            self.frame(text, offset)
        elif text == r"\not" and _EQUALS.match(self.latex, self.place, self.end):
            self.place = self.latex.index("=", self.place) + 1
            self.add("RELATION", r"\ne", offset)
        else:
            self.unknown(text, offset)

    def unknown(self, text: str, offset: int) -> NoReturn:
        name = text if len(text) <= 24 else text[:24] + "..."
        name = name if name.isascii() and name.isprintable() else ascii(name)
        close = difflib.get_close_matches(text, KNOWN, n=1, cutoff=0.75) if len(text) <= 24 else []
        hint = f"; did you mean {close[0]}?" if close else ""
        if text in (r"\[", r"\]", r"\(", r"\)"):
            hint = "; one formula is read at a time"
        self.refuse(offset, f"the command {name} is not known{hint}")

    def sized(self, text: str, offset: int) -> None:
        match = _SIZED.match(self.latex, self.place, self.end)
        found = match.group(1) if match else ""
        place = match.start(1) if match else self.place
        if found in ("<", ">"):
            found = r"\langle" if found == "<" else r"\rangle"
        if match is None or not (found in BRACKETS or (found == "." and text in (r"\left", r"\right")) or found == "/"):
            self.refuse(place, f"expected a bracket after {text}")
        self.place = match.end()
        if found == "/":
            self.add("OPERATOR", "/", place)
        else:
            self.bracket(found, offset, SIZES[text])

    def style(self, text: str, offset: int) -> None:
        """A styled symbol or an upright word in one lexeme; a style of anything else takes an argument."""
        match, style = _STYLED.match(self.latex, self.place, self.end), STYLES[text]
        inner = (match.group(1) or match.group(2)).strip() if match else ""
        if match is None or (inner[0] == "\\" and COMMANDS.get(inner, ("",))[0] != "SYMBOL"):
            self.add("STYLE", style or r"\mathrm", offset)
            return
        self.place = match.end()
        inner = re.sub(r"\\[, ]| ", "", inner).replace(r"\_", "_")  # in formulas TeX drops spaces
        symbol = f"{style or chr(92) + 'mathrm'}{{{inner}}}"
        if not style and inner.lower() in PHRASES and not self.owed:
            self.add("TEXT", inner, offset)
        elif not style and inner[0] != "\\":
            self.add("WORD", inner, offset)
        elif symbol in INDICATORS and not self.owed and _CONDITION.match(self.latex, self.place, self.end):
            self.add("INDICATOR", symbol, offset)
        else:
            self.add("SYMBOL", symbol, offset)

    def text(self, command: str, offset: int) -> None:
        """Running text, and the formulas between dollars in it."""
        start, end = self.braced(command)
        self.check_text(start, end)
        if self.owed:
            self.add("WORD", self.plain(start, end), offset)
            return
        pieces = [match.start() for match in _DOLLAR.finditer(self.latex, start, end)]
        if len(pieces) % 2:
            self.refuse(pieces[-1], "'$' is never closed")
        for n, (first, last) in enumerate(zip([start, *pieces], [*pieces, end], strict=True)):
            if n % 2:
                self.push("text", "$", first, "HOLLOW")
                self.place = first + 1
                self.scan(last)
                if self.open[-1].kind != "text":
                    self.refuse(self.open[-1].offset, f"{self.open[-1].shown} is never closed")
                self.pop("HOLLOW", "", last)
            elif plain := self.plain(first + bool(n), last):
                self.add("TEXT", plain, offset if n == 0 else first)
        self.place = end + 1

    def plain(self, start: int, end: int) -> str:
        text = re.sub(r"\\[ ,;]|[~{}]", " ", _ESCAPED.sub(lambda match: match.group(1), self.latex[start:end]))
        plain = " ".join(text.split())
        return plain if plain.strip(",.;:") else ""

    def braced(self, command: str) -> tuple[int, int]:
        """Where the argument in braces that comes next begins and ends, without its braces; it is passed over."""
        match = _BRACE.match(self.latex, self.place, self.end)
        if match is None:
            self.refuse(self.place, f"expected '{{' after {command}")
        depth = 1
        for brace in _BRACES.finditer(self.latex, match.end(), self.end):
            depth += {"{": 1, "}": -1}.get(brace.group(), 0)
            if depth == 0:
                self.place = brace.end()
                return match.end(), brace.start()
        self.refuse(match.end() - 1, "'{' is never closed")

    def check_text(self, start: int, end: int) -> None:
        for match in _IN_TEXT.finditer(self.latex, start, end):
            if match.group() not in KNOWN:
                self.unknown(match.group(), match.start())

    # ------------------------------------------------------------------ environments

    def environment(self, command: str, offset: int) -> None:
        match = _ENVIRONMENT.match(self.latex, self.place, self.end)
        if match is None:
            self.refuse(self.place, f"expected the name of an environment in braces after {command}")
        self.place, name = match.end(), match.group(1)
        if command == r"\end":
            self.end_environment(name, offset)
            return
        if name not in MATRICES and name not in ARRANGING and name not in CASES:
            self.refuse(offset, f"the environment {name[:24]} is not known")
        option = _OPTION.match(self.latex, self.place, self.end)
        if option and name in ("aligned", "gathered", "split", "array"):
            self.place = option.end()
        terminal = "MATRIX" if name in MATRICES else "CASES" if name in CASES else "ARRANGE"
        self.push("environment", name, offset, terminal)

    def end_environment(self, name: str, offset: int) -> None:
        closing = rf"\end{{{name[:24]}}}"
        top = self.top(offset, closing)
        if top.kind != "environment" or top.text != name:
            self.early(top, offset, closing)
        begin = self.found[top.index]
        before = self.found[top.index - 1] if top.index else begin
        plain = name in ARRANGING or MATRICES.get(name) == ("", "")
        if before[:2] == ("OPEN", "{") and plain and _NO_RIGHT.match(self.latex, self.place, self.end):
            begin = self.found[top.index] = begin._replace(kind="CASES")  # \left\{ \begin{array} .. \right.
        self.pop("ARRANGED" if begin.kind == "ARRANGE" else "END", name, offset)

    def frame(self, command: str, offset: int) -> None:
        r"""\boxed{..} around a whole formula only arranges; elsewhere it is a group."""
        start = self.place
        _, last = self.braced(command)
        whole = all(lexeme.kind in GAPS for lexeme in self.found) and not self.latex[last + 1 : self.end].strip(" \n.,")
        self.place = self.latex.index("{", start) + 1
        self.push("frame" if whole else "brace", command, offset, "ARRANGE" if whole else "LBRACE")


def extent(latex: str) -> tuple[int, int]:
    """Where the formula begins and ends inside its outer signs of mathematics."""
    start, end = len(latex) - len(latex.lstrip()), len(latex.rstrip())
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)")):
        both = len(opening) + len(closing)
        if end - start >= both and latex.startswith(opening, start) and latex.endswith(closing, start, end):
            return start + len(opening), end - len(closing)
    return start, end


def _stray(character: str) -> str:
    if character == "\\":
        return "a backslash without a command"
    if character == "$":
        return "'$' inside a formula; one formula is read at a time"
    return f"{character!a} means nothing in a formula"
