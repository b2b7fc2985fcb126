"""Progress of a training run on standard error: a bar where tqdm is there and somebody watches, else a line
an epoch.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codegen.history import Epoch


class Progress:
    """Shows epochs and losses while it is entered.

    epochs:  how many in all.
    batches: steps an epoch.
    done:    steps done before the start.
    show:    False is silence.
    """

    def __init__(self, epochs: int, batches: int, done: int, show: bool) -> None:
        self.epochs = epochs
        self.batches = batches
        self.done = done
        self.show = show
        self.bar: Any = None

    def __enter__(self) -> Progress:
        if self.show and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return self
            self.bar = tqdm(
                total=self.epochs * self.batches,
                initial=self.done,
                unit="step",
                file=sys.stderr,
                leave=False,
            )
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
            self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)

    def epoch(self, epoch: Epoch) -> None:
        """One epoch is done."""
        if not self.show:
            return
        line = f"epoch {epoch.number:{len(str(self.epochs))}}/{self.epochs}: {epoch}"
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
