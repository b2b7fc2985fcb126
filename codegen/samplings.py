"""Which examples each step of training sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symbolic.errors import UsageError, nearest


@dataclass(frozen=True)
class Sampling:
    """One entry of SAMPLINGS: which examples each step sees.

    law:        in one line.
    batch_size: examples a step, used when none is given.
    draw:       (generator, N, batch size) -> for each step of one epoch, the numbers of its examples. An
                epoch has as many steps as it takes to draw N examples.
    """

    name: str
    law: str
    batch_size: int
    draw: Callable[[np.random.Generator, int, int], list[NDArray]]


def _shuffled(generator: np.random.Generator, count: int, size: int) -> list[NDArray]:
    order = generator.permutation(count)
    return [order[first : first + size] for first in range(0, count, size)]


def _uniform(generator: np.random.Generator, count: int, size: int) -> list[NDArray]:
    return list(generator.integers(count, size=(math.ceil(count / size), size)))


_ENTRIES = (
    Sampling("shuffled", "each epoch takes every example once, in a new random order", 32, _shuffled),
    Sampling("uniform", "each step draws its examples from all of them, with replacement", 1, _uniform),
)

SAMPLINGS: dict[str, Sampling] = {entry.name: entry for entry in _ENTRIES}


def sampling_named(name: object) -> Sampling:
    """The entry of SAMPLINGS called `name`.

    Raises:
        UsageError: there is none; lists what there is.
    """
    if not isinstance(name, str) or name not in SAMPLINGS:
        raise UsageError(f"sampling {name!r} is unknown; {nearest(str(name), SAMPLINGS)}")
    return SAMPLINGS[name]
