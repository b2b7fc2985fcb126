"""Progress of long work on standard error: a bar where tqdm is there and somebody watches, else lines now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from codegen.history import Epoch, loss_text

SECONDS_BETWEEN_LINES = 5.0


def _bar(total: int, unit: str, what: str = "", done: int = 0) -> Any:
    """A tqdm bar, or None where nobody watches or tqdm is not installed."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, initial=done, unit=unit, desc=what or None, file=sys.stderr, leave=False)


def telling(show: bool) -> Callable[[str], None]:
    """A function that prints a line, such as what takes long before it begins: if `show`, or where somebody watches."""

    def tell(line: str) -> None:
        if show or sys.stderr.isatty():
            print(line, file=sys.stderr, flush=True)

    return tell


@contextmanager
def counted(what: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    """A function to call after each of `total` pieces of work; shown as a bar, or as a line every few seconds."""
    bar = _bar(total, unit, what)
    done, told = 0, time.monotonic()

    def tick() -> None:
        nonlocal done, told
        done += 1
        if bar is not None:
            bar.update()
        elif time.monotonic() - told > SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            print(f"{what}: {done} of {total} {unit}s", file=sys.stderr, flush=True)

    try:
        yield tick
    finally:
        if bar is not None:
            bar.close()


class Progress:
    """Shows epochs and losses while it is entered.

    steps:  how many in all.
    done:   steps done before the start.
    epochs: how many in all, or None where the run is measured in steps, and so told in steps.
    show:   False is silence.
    """

    def __init__(self, steps: int, done: int, epochs: int | None, show: bool) -> None:
        self.steps = steps
        self.done = done
        self.epochs = epochs
        self.show = show
        self.bar: Any = None

    def __enter__(self) -> Progress:
        if self.show:
            self.bar = _bar(self.steps, "step", done=self.done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def step(self, loss: float) -> None:
        """One step is done, at this loss."""
        if self.bar is not None:
            self.bar.update()
            self.bar.set_postfix_str(f"loss {loss_text(loss)}", refresh=False)

    def epoch(self, epoch: Epoch) -> None:
        """One epoch is done, or the run has ended amid it."""
        if not self.show:
            return
        unit, number, of = (
            ("step", epoch.steps, self.steps) if self.epochs is None else ("epoch", epoch.number, self.epochs)
        )
        line = f"{unit} {number:{len(str(of))}}/{of}: {epoch}"
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
