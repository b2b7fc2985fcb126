"""Lines, columns, wide spaces and running text -> what they mean to the grammar: a separator, or nothing.

A display goes on over its lines: a line that begins with a relation or an operator continues what stood before, and
any other line is a formula of its own. The mark & only aligns where it touches a relation or an operator. In a matrix
and in cases, & and \\\\ separate cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from symbolic.reading.commands import LINKS, PHRASES
from symbolic.reading.lexemes import GAPS, Lexeme, syntax_error

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*", re.ASCII)
_PUNCTUATION = frozenset({"COMMA", "SEMICOLON", "STOP"})
_WAITING = frozenset({"RELATION", "OPERATOR", "SIGN", "BIG", "AND", "OR", "NOT", "IMPLIES"})
_OPENS = {"OPEN": "inside", "DEGREE": "inside", "LBRACE": "inside", "CASES": "cases", "MATRIX": "matrix"}
_CLOSES = frozenset({"CLOSE", "RBRACE", "END"})
_BEFORE_LINES = frozenset({"RELATION", "NEXT", "LABEL", "COMMA", "SEMICOLON", "LINE", "CELL", "IF", *_OPENS})
_PHRASES_OF_CASES = frozenset({"IF", "OTHERWISE"})


def terminals(lexemes: list[Lexeme], latex: str) -> list[Lexeme]:
    """The lexemes of `latex` with every gap turned into a terminal, NEXT, LABEL, COMMA, CELL or LINE, or left out.

    Raises:
        FormulaSyntaxError: a line that ends inside a bracket, and the next one does not go on.
    """
    return _Layout(lexemes, latex).all()


class _Layout:
    """The lexemes, what came out of them, and the line of the display that it is in.

    levels:   of what is open: inside brackets or braces, cases, matrix; a display at the bottom.
    left:     whether a line of the display has had something before its first &.
    related:  whether the formula that is being read has a relation.
    """

    def __init__(self, lexemes: list[Lexeme], latex: str) -> None:
        self.lexemes, self.latex = lexemes, latex
        self.found: list[Lexeme] = []
        self.levels = ["display"]
        self.left = self.related = False

    def all(self) -> list[Lexeme]:
        at = 0
        while at < len(self.lexemes):
            start = at
            while at < len(self.lexemes) and self.in_gap(at):
                at += 1
            if at > start:
                self.gap(self.lexemes[start:at], at)
            else:
                self.keep(self.read(at))
                at += 1
        return self.found

    def keep(self, lexeme: Lexeme) -> None:
        level = _OPENS.get(lexeme.kind)
        if level is not None:
            self.levels.append(level)
        elif lexeme.kind in _CLOSES:
            self.levels.pop()
        elif lexeme.kind == "RELATION" and len(self.levels) == 1:
            self.related = True
        elif lexeme.kind in ("NEXT", "LABEL") and len(self.levels) == 1:
            self.related = False
        self.found.append(lexeme)

    # ------------------------------------------------------------------ running text

    def in_gap(self, at: int) -> bool:
        kind = self.lexemes[at].kind
        return kind in _PUNCTUATION or (kind in GAPS and (kind != "TEXT" or self.is_label(at)))

    def is_label(self, at: int) -> bool:
        """Whether running text in a display stands between formulas, and is not a name in one."""
        text = self.lexemes[at].text
        if len(self.levels) > 1 or _phrase(text)[0] in ("AND", "OR", "NOT", "IMPLIES"):
            return False
        if not _NAME.fullmatch(text) or text.lower() in LINKS:
            return True
        before = self.lexemes[at - 1].kind if at else "LINE"
        after = at + 1
        while after < len(self.lexemes) and self.lexemes[after].kind in ("MARK", "STOP"):
            after += 1
        following = self.lexemes[after].kind if after < len(self.lexemes) else "LINE"
        return before in GAPS and following in GAPS

    def read(self, at: int) -> Lexeme:
        """A lexeme outside of a gap; running text becomes a word, or a terminal if the text means something."""
        lexeme = self.lexemes[at]
        if lexeme.kind != "TEXT":
            return lexeme
        kind, text = _phrase(lexeme.text)
        if kind in _PHRASES_OF_CASES and self.levels[-1] != "cases":
            kind, text = "WORD", lexeme.text
        return Lexeme(kind, text, lexeme.offset)

    # ------------------------------------------------------------------ gaps

    def gap(self, gap: list[Lexeme], at: int) -> None:
        """What stands between the last terminal and `lexemes[at]`."""
        following = self.read(at) if at < len(self.lexemes) else None
        level = self.levels[-1]
        self.check_arranged([lexeme for lexeme in gap if lexeme.kind != "HOLLOW"], following)
        if level == "inside":
            self.gap_inside(gap, following)
        elif level == "display":
            self.gap_in_display(gap, following, at)
        else:
            for lexeme in self.gap_in_cells(gap, following, level == "cases"):
                self.keep(lexeme)

    def check_arranged(self, gap: list[Lexeme], following: Lexeme | None) -> None:
        """Refuse lines that are part of a term, where nothing shows that they belong together."""
        reason = "lines in an environment without a bracket, as part of a term"
        if gap and gap[0].kind == "ARRANGE" and self.found and self.found[-1].kind not in _BEFORE_LINES:
            raise syntax_error(self.latex, gap[0].offset, reason)
        if gap and gap[-1].kind == "ARRANGED" and following and following.kind not in _CLOSES | {"RELATION"}:
            raise syntax_error(self.latex, gap[-1].offset, reason)

    def gap_inside(self, gap: list[Lexeme], following: Lexeme | None) -> None:
        """Inside a bracket a line may end where an operator goes on; spaces and marks are nothing."""
        joined = following is None or following.kind in _WAITING | _CLOSES
        joined = joined or self.found[-1].kind in _WAITING | {"OPEN", "DEGREE", "LBRACE"} or gap[0].kind == "COMMA"
        for lexeme in gap:
            if lexeme.kind in _PUNCTUATION:
                self.keep(lexeme)
            elif lexeme.kind == "LINE" and not joined:
                reason = "the line ends inside a bracket, and the next begins without an operator"
                raise syntax_error(self.latex, lexeme.offset, reason)

    def gap_in_cells(self, gap: list[Lexeme], following: Lexeme | None, cases: bool) -> Iterator[Lexeme]:
        before = self.found[-1].kind
        ends = following is None or following.kind == "END"
        lines = [lexeme for lexeme in gap if lexeme.kind == "LINE"]
        marks = [lexeme for lexeme in gap if lexeme.kind == "MARK"]
        if lines:
            marks_before = [mark for mark in marks if mark.offset < lines[0].offset]
            marks_after = [mark for mark in marks if mark.offset > lines[-1].offset]
            if not cases:
                yield from (mark._replace(kind="CELL") for mark in marks_before)
            if before not in ("CASES", "MATRIX") and not ends:
                yield lines[0]
            if not cases:
                yield from (mark._replace(kind="CELL") for mark in marks_after)
        elif marks and cases:
            aligns = before in ("RELATION", "CASES") or ends or (following and following.kind == "RELATION")
            if not aligns and following and following.kind not in _PHRASES_OF_CASES:
                yield marks[0]._replace(kind="CELL")
        elif marks:
            yield from (mark._replace(kind="CELL") for mark in marks)
        elif not ends and following and following.kind not in _PHRASES_OF_CASES:
            yield from (lexeme for lexeme in gap if lexeme.kind in _PUNCTUATION)

    # ------------------------------------------------------------------ displays

    def gap_in_display(self, gap: list[Lexeme], following: Lexeme | None, at: int) -> None:
        kinds = [lexeme.kind for lexeme in gap]
        labels = [lexeme._replace(kind="LABEL") for lexeme in gap if lexeme.kind == "TEXT"]
        punctuation = [lexeme for lexeme in gap if lexeme.kind in _PUNCTUATION]
        new_line = "LINE" in kinds
        in_line = kinds[: kinds.index("LINE")] if new_line else kinds
        if "MARK" in in_line and self.found:
            self.left = True
        if kinds[: kinds.index("TEXT") if labels else 0].count("MARK") > 1 and (new_line or following is None):
            labels = []  # a remark in a column of its own
        if following is None or not self.found:
            for lexeme in labels or ([] if following is None else punctuation):
                self.keep(lexeme)
        elif not punctuation and self.goes_on(kinds, following, at):
            if labels and not new_line:
                self.keep(labels[0])
        elif new_line and following.kind == "RELATION":
            return
        elif labels:
            for label in labels:
                self.keep(label)
        elif {"LINE", "MARK", "GAP", "SEMICOLON", "ARRANGED"} & set(kinds):
            self.keep(Lexeme("NEXT", "", gap[0].offset))
        else:
            for lexeme in punctuation:
                self.keep(lexeme)

    def goes_on(self, kinds: list[str], following: Lexeme, at: int) -> bool:
        """Whether the formula goes on after a gap of these kinds without punctuation."""
        if self.found[-1].kind in _WAITING or following.kind in _WAITING - {"SIGN", "BIG", "NOT"}:
            return True
        if following.kind != "SIGN" or ("LINE" not in kinds and kinds.count("MARK") > 1):
            return False
        if "LINE" not in kinds:
            return "GAP" not in kinds or not (self.related and self.has_relation(at, {"LINE", "GAP"}))
        line = kinds[len(kinds) - kinds[::-1].index("LINE") :]
        if following.text == "+" or "HOLLOW" in line:
            return True
        related = self.has_relation(at, {"LINE"})  # a line - x = 3 is a formula, a line - x is not
        return self.left or not related if "MARK" in line else self.related and not related

    def has_relation(self, at: int, end: set[str]) -> bool:
        """Whether the formula from `lexemes[at]` to a gap of these kinds has a relation outside of brackets."""
        depth = 0
        while at < len(self.lexemes):
            kind = self.lexemes[at].kind
            depth += (kind in _OPENS) - (kind in _CLOSES)
            if depth == 0 and kind == "RELATION":
                return True
            if depth == 0 and kind in end:
                return False
            at += 1
        return False


def _phrase(text: str) -> tuple[str, str]:
    """The terminal that running text is, and its text in the tree."""
    return PHRASES.get(text.lower().strip(" ,.;:"), ("WORD", text))
