"""What an optimizer remembers between the steps of a stepper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from codegen.optimizers import Arrays, State


def _nothing(vector: NDArray) -> Arrays:
    return {}


@dataclass(frozen=True)
class Memory:
    """One vector for each slot, in the order of the stepper's `flat`, and how many steps were done.

    views: such a vector as arrays of the usual keys and shapes.
    count: one number in an array. Steps of an optimizer without slots need not count.
    """

    slots: dict[str, NDArray] = field(default_factory=dict)
    views: Callable[[NDArray], Arrays] = _nothing
    count: NDArray = field(default_factory=lambda: np.zeros(1, np.int64))

    def seen(self) -> State:
        """The state as views."""
        return State(int(self.count[0]), {slot: self.views(vector) for slot, vector in self.slots.items()})

    def state(self) -> State:
        """A copy of the state."""
        now = self.seen()
        copies = {slot: {key: value.copy() for key, value in arrays.items()} for slot, arrays in now.slots.items()}
        return State(now.steps, copies)

    def resume(self, state: State) -> None:
        """Remember `state` from now on."""
        self.count[0] = state.steps
        for slot, arrays in self.seen().slots.items():
            for key, value in arrays.items():
                value[...] = state.slots[slot][key]
