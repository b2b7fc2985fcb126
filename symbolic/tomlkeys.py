"""Where the keys of a TOML text stand: tomllib gives the values and forgets their lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Generator, Iterator

Path = tuple[str, ...]

_BETWEEN = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_PART = re.compile(r"[ \t]*([A-Za-z0-9_-]+|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*')[ \t]*")
_HEADER = re.compile(r"\[\[?")
_HEADER_END = re.compile(r"\]{0,2}")
_EQUALS = re.compile(r"=[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?""""{0,2}' + r"|'''.*?''''{0,2}" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'", re.DOTALL
)
_SCALAR = re.compile(r"[^\s,\]}#\[{\"'][^,\]}\n#]*")
_BROKEN = -1


def key_places(text: str) -> Iterator[tuple[Path, int]]:
    """The path of each key and each table's name, from the root, with the offset at which it stands.

    Of letters.weight = 'w' the paths of letters and of letters.weight. Strings and comments are passed over. The text
    is what tomllib has read, or the part of it that it could read: at something else the search ends.
    """
    table: Path = ()
    at = _skip(_BETWEEN, text, 0)
    while at < len(text):
        header = _HEADER.match(text, at)
        parts, at = _key(text, header.end() if header else at)
        if not parts:
            return
        path = tuple(part for part, _ in parts)
        above = () if header else table
        for n, (_, offset) in enumerate(parts, start=1):
            yield above + path[:n], offset
        if header:
            table = path
            at = _skip(_HEADER_END, text, at)
        else:
            at = yield from _value(text, at, table + path)
            if at == _BROKEN:
                return
        at = _skip(_BETWEEN, text, at)


def line_of(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _key(text: str, at: int) -> tuple[list[tuple[str, int]], int]:
    """The parts of a dotted key with their offsets, and where it ends; no parts if there is none."""
    parts: list[tuple[str, int]] = []
    while True:
        found = _PART.match(text, at)
        if not found:
            return parts, at
        part = found.group(1)
        if part[0] == "'":
            part = part[1:-1]
        elif part[0] == '"':
            try:
                part = str(tomllib.loads(f"key = {part}")["key"]) if "\\" in part else part[1:-1]
            except tomllib.TOMLDecodeError:
                return [], at  # an escape that there is not
        parts.append((part, found.start(1)))
        at = found.end()
        if text[at : at + 1] != ".":
            return parts, at
        at += 1


def _value(text: str, at: int, path: Path, equals: bool = True) -> Generator[tuple[Path, int], None, int]:
    """Yields the keys inside the value that stands there; returns where it ends, or _BROKEN."""
    if equals:
        found = _EQUALS.match(text, at)
        if not found:
            return _BROKEN
        at = found.end()
    plain = _STRING.match(text, at) or _SCALAR.match(text, at)
    if plain:
        return plain.end()
    opening = text[at : at + 1]
    if opening not in ("[", "{"):
        return _BROKEN
    closing = "]" if opening == "[" else "}"
    at = _skip(_BETWEEN, text, at + 1)
    while text[at : at + 1] != closing:
        if opening == "{":
            parts, at = _key(text, at)
            if not parts:
                return _BROKEN
            inner = path + tuple(part for part, _ in parts)
            for n, (_, offset) in enumerate(parts, start=1):
                yield inner[: len(path) + n], offset
            at = yield from _value(text, at, inner)
        else:
            # Nothing in an array has a path of its own.
            at = yield from _value(text, at, (*path, "[]"), equals=False)
        if at == _BROKEN:
            return _BROKEN
        at = _skip(_BETWEEN, text, at)
        if text[at : at + 1] == ",":
            at = _skip(_BETWEEN, text, at + 1)
        elif text[at : at + 1] != closing:
            return _BROKEN
    return at + 1
