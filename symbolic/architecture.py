"""The architecture string: `SIZE (-> SIZE [ACTIVATION])+ ; LOSS`, read into a size, layers and a loss.

    SIZE        digits, or the name of a size that stays open
    ACTIVATION  a name of ACTIVATIONS, or NAME(z) for an undefined function; identity if left out
    LOSS        a name of LOSSES, or NAME(y,h) for an undefined cost

White space is free; the arrow may be the character U+2192.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from sympy import Symbol

from symbolic.errors import ArchitectureError, ArchitectureSyntaxError, DeltaformError
from symbolic.layers import Dense, checked_size
from symbolic.losses import Loss, find_loss

# A word takes every letter there is, so that look-alikes are refused as the names they are, not as stray
# characters.
_TOKEN = re.compile(r"(?P<number>[0-9]+(?![\w.]))|(?P<word>[^\W\d]\w*)|(?P<arrow>->|→)|(?P<sign>[;(),])")
_LONGEST_NUMBER = 15
_AROUND = 30  # characters of the text shown on either side of the caret
_END = "the end of the text"
_EXAMPLE = "as in '784 -> 128 relu -> 10 softmax; cross_entropy'"

T = TypeVar("T")


def read_architecture(text: str) -> tuple[int | Symbol, list[Dense], Loss]:
    """The input's size, the layers and the loss that the text names.

    Raises:
        ArchitectureSyntaxError: says the column, counted from 1, and draws a caret under it.
    """
    if not isinstance(text, str):
        raise ArchitectureError(f"architecture must be a string {_EXAMPLE}, not {type(text).__name__}")
    return _Reader(text).architecture()


class _Reader:
    """The text, its tokens (kind, text, offset), and the place of the next one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.place = 0

    def _tokens(self) -> list[tuple[str, str, int]]:
        tokens: list[tuple[str, str, int]] = []
        offset = 0
        while True:
            while offset < len(self.text) and self.text[offset].isspace():
                offset += 1
            if offset == len(self.text):
                return [*tokens, ("end", _END, offset)]
            match = _TOKEN.match(self.text, offset)
            if match is None:
                if self.text[offset] in "0123456789-+.":
                    self.refuse(offset, "a size is a positive whole number, or a name that begins with a letter")
                self.refuse(offset, f"{self.text[offset]!a} means nothing here; an architecture is written {_EXAMPLE}")
            tokens.append((str(match.lastgroup), match.group(), offset))
            offset = match.end()

    def architecture(self) -> tuple[int | Symbol, list[Dense], Loss]:
        inputs = self.size("the number of inputs")
        layers = []
        while self.accept("->", "→"):
            layers.append(self.layer())
        if not layers:
            self.unexpected("'->' and a layer: a network needs at least one")
        if not self.accept(";"):
            self.unexpected("'->' and another layer, or ';' and the loss")
        loss = self.loss()
        if self.kind != "end":
            self.unexpected("nothing after the loss")
        return inputs, layers, loss

    def layer(self) -> Dense:
        start = self.offset
        units = self.size("the number of units of a layer")
        activation = "identity"
        if self.kind == "word":
            start = self.offset
            activation = self.applied_to("z")
        layer = self.make(start, lambda: Dense(units, activation))
        if self.kind == "word":
            self.unexpected("'->' or ';' here: a layer has one activation")
        return layer

    def loss(self) -> Loss:
        start = self.offset
        if self.kind != "word":
            self.unexpected("a loss, such as cross_entropy or c(y,h)")
        word = self.applied_to("y", "h")
        return self.make(start, lambda: find_loss(word))

    def size(self, what: str) -> int | Symbol:
        start, kind, word = self.offset, self.kind, self.word
        if kind not in ("number", "word"):
            self.unexpected(f"{what}, such as 128 or n_1")
        self.place += 1
        if kind == "number" and len(word) > _LONGEST_NUMBER:
            self.refuse(
                start,
                f"a width of {len(word)} digits: no memory holds its parameters; write a name such as n",
            )
        return self.make(start, lambda: checked_size(int(word) if kind == "number" else word, what))

    def applied_to(self, *arguments: str) -> str:
        """A name, with these arguments in parentheses if it has any: relu, or g(z)."""
        name = self.word
        self.place += 1
        if not self.accept("("):
            return name
        for position, argument in enumerate(arguments):
            if position and not self.accept(","):
                self.unexpected(f"',' in {name}({','.join(arguments)})")
            if not self.accept(argument):
                self.unexpected(f"{argument!r} in {name}({','.join(arguments)})")
        if not self.accept(")"):
            self.unexpected(f"')' in {name}({','.join(arguments)})")
        return f"{name}({','.join(arguments)})"

    @property
    def kind(self) -> str:
        return self.tokens[self.place][0]

    @property
    def word(self) -> str:
        return self.tokens[self.place][1]

    @property
    def offset(self) -> int:
        return self.tokens[self.place][2]

    def accept(self, *words: str) -> bool:
        """Whether the next token is one of these; if so, it is read."""
        if self.kind == "end" or self.word not in words:
            return False
        self.place += 1
        return True

    def make(self, start: int, maker: Callable[[], T]) -> T:
        """What `maker` returns; what it refuses is refused at the offset `start`."""
        try:
            return maker()
        except DeltaformError as error:
            self.refuse(start, str(error), error)

    def unexpected(self, wanted: str) -> NoReturn:
        found = (
            self.word if self.kind == "end" else ascii(self.word if len(self.word) <= 40 else self.word[:20] + "...")
        )
        self.refuse(self.offset, f"expected {wanted}; found {found}")

    def refuse(self, offset: int, reason: str, cause: DeltaformError | None = None) -> NoReturn:
        first = max(0, offset - _AROUND)
        shown = "".join(c if c.isprintable() else " " for c in self.text[first : offset + _AROUND])
        raise ArchitectureSyntaxError(
            f"column {offset + 1}: {reason}\n    {shown}\n    {' ' * (offset - first)}^"
        ) from cause
