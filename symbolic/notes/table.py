"""The table of notes: what `deltaform derive --like NAME` prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from symbolic.errors import UsageError, nearest
from symbolic.notes import cs229, index, post, stacked, vec
from symbolic.notes.exposition import Exposition

# By the name of the notation that each is written in.
NOTES: Mapping[str, Callable[[], Exposition]] = MappingProxyType({
    "vec": vec.exposition,
    "stacked": stacked.exposition,
    "index": index.exposition,
    "cs229": cs229.exposition,
    "post": post.exposition,
})  # fmt: skip


def note_named(name: str) -> Exposition:
    """The exposition of the note of that name.

    Raises:
        UsageError: there is none; lists those there are.
    """
    if name not in NOTES:
        raise UsageError(f"note {ascii(name)[:40]} is not known; {nearest(name[:40], NOTES)}")
    return NOTES[name]()
