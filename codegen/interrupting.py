"""Ctrl-C amid training: the step is finished first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def pending_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold back the first Ctrl-C, so that a step is finished; the second one interrupts at once.

    Yields a function that tells whether there was one. Signals reach the main thread only, and a program's
    own handler is left alone.
    """
    seen: list[int] = []
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )

    def remember(number: int, frame: Any) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if ours:
        signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(seen)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
