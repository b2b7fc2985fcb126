"""Tables whose entries are made, and checked, when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


class Table(Mapping[str, Entry]):
    """Entries by name, in order; each is made by a function of its name."""

    def __init__(self, makers: Mapping[str, Callable[[str], Entry]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        if name not in self._made:
            self._made[name] = self._makers[name](name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return f"Table({', '.join(self._makers)})"
