"""Python's search for reference cycles, which is paused while expressions are made.

It looks through everything that is there again and again while more is made, which takes a third of the time of a
derivation. Expressions have no cycles: what nobody needs any more goes when its last reference does. The switch is one
for the whole process: other threads do without the search as well for that long.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """No search for cycles inside; afterwards as it was before."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
