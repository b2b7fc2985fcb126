r"""Notations as TOML files: read, with every mistake at its line, and written, with comments that teach.

A file is `based_on` a notation of NOTATIONS, by default cs229, and names what differs:

    based_on = 'vec'
    depth = 'L'

    [letters]
    loss = '\ell'
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from symbolic.errors import FileError, NotationError, UsageError, nearest
from symbolic.notation import ROLES, Notation
from symbolic.notationchecks import CHOICES, LONGEST_SYMBOL, TABLES, shown
from symbolic.notations import NOTATIONS
from symbolic.tomlkeys import key_places, line_of

BASE = "cs229"
LARGEST = 1 << 16
_AROUND = 40  # characters of a line shown on either side of the caret
_DEEPEST = 16  # brackets in brackets, where one is enough

_ESCAPE = r"a backslash in double quotes begins an escape; write LaTeX in single quotes, as in '\delta'"
# What tomllib says, by how it begins, and what we say.
_REASONS = (
    (r"Unescaped|Invalid hex|Escaped character", _ESCAPE),
    (
        r"(Illegal|Found invalid) character '\\n'|Unterminated|Expected [\"']+\Z|Expected \"'",
        "a string without its end",
    ),
    (r"(Illegal|Found invalid) character (.*)", r"a character that may not stand here: \2"),
    (r"Invalid value", "no value; text stands in quotes, as in depth = 'L', and a yes or no is true or false"),
    (r"Invalid (statement|initial)", "no KEY = VALUE, and no [TABLE]"),
    (r"Expected '='", "a key without a value; write KEY = VALUE"),
    (r"Expected newline", "something behind the value; each KEY = VALUE has a line of its own"),
    (r"Expected '\]", "the name of a table without its closing bracket"),
    (r"Unclosed", "a bracket that is not closed"),
)
_TWICE = re.compile(r"Cannot|Duplicate")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


def find_notation(wanted: str) -> Notation:
    """The notation of that name, or, if it ends in .toml or is a file, the one in that file.

    Raises:
        UsageError: it is neither; lists the names.
        FileError, NotationError: as `read_notation`.
    """
    if wanted in NOTATIONS:
        return NOTATIONS[wanted]
    try:
        file = wanted.endswith(".toml") or Path(wanted).is_file()
    except (OSError, ValueError):
        file = False
    if file:
        return read_notation(wanted)
    raise UsageError(
        f"{shown(wanted)} is no notation and no file; {nearest(wanted[:LONGEST_SYMBOL], NOTATIONS)}; or name a file, "
        f"such as my.toml, that `deltaform notations {BASE} > my.toml` begins"
    )


def read_notation(path: str | os.PathLike[str]) -> Notation:
    """The notation in a TOML file; its name is that of the file, unless the file says another.

    Any field of `Notation` may stand in it; of letters, indices, widths and functions, only what differs. `based_on` is
    the name of the notation that has the rest, cs229 if it is left out.

    Raises:
        FileError: there is no such file, it is a folder, larger than 64 kB, or not UTF-8.
        NotationError: it is no TOML, or no notation; has the line, and draws a caret.
    """
    file, content = _content(path)
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        line = content.split(b"\n")[number - 1][: 2 * _AROUND].decode("ascii", "backslashreplace").strip()
        raise FileError(f"{file}, line {number}: it is not UTF-8; save it as that\n    {line}") from None
    name = "".join(c if c.isprintable() else "?" for c in file.stem)[:LONGEST_SYMBOL]
    return _read(text, name, str(file))


def notation_from_toml(text: str, name: str) -> Notation:
    """The notation that a TOML text says; as `read_notation`.

    Raises:
        NotationError: it is no TOML, or no notation; has the line, and draws a caret.
    """
    if not isinstance(text, str):
        raise UsageError(f"a notation's TOML must be a string, not {type(text).__name__}")
    if len(text) > LARGEST:
        raise NotationError(f"notation {shown(name)}: {len(text)} characters; at most {LARGEST} are read")
    return _read(text.removeprefix("\ufeff"), name, f"notation {shown(name)}")


def _content(path: Any) -> tuple[Path, bytes]:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise FileError(f"a path is needed, as a string or a pathlib.Path, not {shown(path)}")
    file = Path(path)
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise FileError(f"{shown(os.fspath(path))} cannot name a file")
    try:
        if file.is_dir():
            raise FileError(f"{file} is a folder; name a file in it, such as {file / 'my.toml'}")
        if not file.exists():
            raise FileError(
                f"{file} does not exist; `deltaform notations {BASE} > {file.name}` writes one to begin with"
            )
        if not file.is_file():
            raise FileError(f"{file} is no ordinary file")
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise FileError(f"{shown(str(file))} cannot be read: {error.strerror or error}") from None
    if len(content) > LARGEST:
        raise FileError(f"{file} is larger than {LARGEST} bytes; a notation is a page or two")
    return file, content


# ---------------------------------------------------------------------- from text to fields


def _read(text: str, name: str, where: str) -> Notation:
    text = text.replace("\r\n", "\n")
    changes = {"name": name, **_parsed(text, where)}
    try:
        base = changes.pop("based_on", BASE)
        if not isinstance(base, str) or base not in NOTATIONS:
            known = nearest(base[:LONGEST_SYMBOL] if isinstance(base, str) else "", NOTATIONS)
            raise NotationError(f"based_on must be the name of a notation, not {shown(base)}; {known}", ("based_on",))
        if isinstance(changes.get("widths"), Mapping):
            changes["widths"] = {_number(key): text for key, text in changes["widths"].items()}
        return NOTATIONS[base].replace(**changes)
    except NotationError as error:
        places: dict[tuple[str, ...], int] = {}
        for path, offset in key_places(text):
            places.setdefault(path, offset)
        reason = str(error).removeprefix(f"notation {changes['name']!a}: ")
        offsets = [places[field] for field in error.fields if field in places]
        message = _placed(where, text, offsets[0], reason) if offsets else f"{where}: {reason}"
        raise NotationError(message, *error.fields) from None


def _number(key: str) -> int | str:
    """The key of a width as the number that it is; TOML has only words for keys."""
    return int(key) if re.fullmatch(r"0|[1-9][0-9]{0,5}", key) else key


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotationError(_syntax_error(text, where, str(error))) from None
    except RecursionError:
        depths = accumulate((character in "[{") - (character in "]}") for character in text)
        offset = next((at for at, depth in enumerate(depths) if depth > _DEEPEST), 0)
        raise NotationError(_placed(where, text, offset, "too many brackets in brackets")) from None
    except ValueError:
        # Python reads no whole number of more than a few thousand digits.
        digits = re.search(r"[0-9][0-9_]{999,}", text)
        reason = "a number of too many digits"
        raise NotationError(_placed(where, text, digits.start() if digits else 0, reason)) from None


def _syntax_error(text: str, where: str, said: str) -> str:
    place = _PLACE.search(said)
    reason = said[: place.start()] if place else said
    offset = len(text.rstrip())
    if place and place.group(1):
        starts = [0, *(found.end() for found in re.finditer("\n", text))]
        offset = min(starts[int(place.group(1)) - 1] + int(place.group(2)) - 1, len(text))
    if _TWICE.match(reason):
        paths = list(key_places(text[:offset]))
        if paths:
            path, offset = paths[-1]
            # What stands there already may be a key that this one is an entry of.
            twice = [(-len(other), at) for other, at in paths if at < offset and other == path[: len(other)]]
            length, first = min(twice, default=(-len(path), offset))
            reason = f"{'.'.join(path[:-length])} stands twice, first in line {line_of(text, first)[0]}"
            return _placed(where, text, offset, reason)
    for pattern, ours in _REASONS:
        found = re.match(pattern, reason)
        if found:
            if ours is _ESCAPE:
                offset = max(text.rfind("\\", 0, offset), 0)
            return _placed(where, text, offset, found.expand(ours.replace("\\d", "\\\\d")))
    return _placed(where, text, offset, reason[:1].lower() + reason[1:])


def _placed(where: str, text: str, offset: int, reason: str) -> str:
    """The message at its place: line and column, the line around it, and a caret."""
    line, column = line_of(text, offset)
    end = text.find("\n", offset)
    first, last = max(offset - column + 1, offset - _AROUND), min(len(text) if end < 0 else end, offset + _AROUND)
    around = "".join(c if c.isascii() and c.isprintable() else " " for c in text[first:last])
    return f"{where}, line {line}, column {column}: {reason}\n    {around}\n    {' ' * (offset - first)}^"


# ---------------------------------------------------------------------- from fields to text

_HEAD = """\
# The notation {name}, whole. Keep and change what you like: what a file leaves out is as in the notation
# that it is based on. Then
#   deltaform derive "3 -> 4 sigmoid -> 2; half_squared_error" --notation FILE.toml -o page.tex
# LaTeX stands in single quotes, where a backslash is a backslash.
"""


def notation_to_toml(notation: Notation) -> str:
    """A TOML file of every field of a notation but its name, with what each is for; `read_notation` reads it back."""
    about = _about()
    lines = [_HEAD.format(name=notation.name), f"based_on = '{BASE}'  # or {_listed(NOTATIONS, BASE)}"]
    waiting = [field.name for field in dataclasses.fields(notation) if field.name not in ("name", *TABLES)]
    while waiting:
        names, text = about.get(waiting[0], ([waiting[0]], ""))
        lines += ["", *_comment(text)] if text else []
        lines += [_line(notation, name) for name in names]
        waiting = [name for name in waiting if name not in names]
    for name in TABLES:
        lines += ["", *_comment(about[name][1] if name in about else ""), f"[{name}]"]
        table = getattr(notation, name)
        if name == "letters":
            table = {role: table.get(role, "") for role in ROLES}
        lines += [f"{key} = {_value(text)}" for key, text in table.items()]
    return "\n".join(lines) + "\n"


def _line(notation: Notation, name: str) -> str:
    value = _value(getattr(notation, name))
    choices = [_value(choice) for choice in CHOICES.get(name, ())]
    return f"{name} = {value}" + (f"  # or {_listed(choices, value)}" if choices else "")


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"'{value}'" if isinstance(value, str) else str(value)


def _listed(names: Any, but: str) -> str:
    return ", ".join(name for name in names if name != but)


def _comment(text: str) -> Iterator[str]:
    return (f"# {line}" for line in textwrap.wrap(text, 100))


def _about() -> dict[str, tuple[list[str], str]]:
    """For each field the fields that its paragraph of Notation's docstring is about, and the paragraph."""
    found: dict[str, tuple[list[str], str]] = {}
    names: list[str] = []
    for line in (inspect.getdoc(Notation) or "").splitlines():
        begins = re.match(r"([a-z_]+(?:, [a-z_]+)*): +(.*)", line)
        if begins:
            names = begins.group(1).split(", ")
            found.update(dict.fromkeys(names, (names, f"{begins.group(1)}: {begins.group(2)}")))
        elif names and line.startswith(" "):
            found.update(dict.fromkeys(names, (names, f"{found[names[0]][1]} {line.strip()}")))
        else:
            names = []
    return found
