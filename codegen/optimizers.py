"""Optimizers: pure update rules on dictionaries of arrays.

An update takes parameters, gradients and a state and gives new parameters and a new state; it changes none
of its arguments, so that a caller can go back to earlier weights by keeping them. Arrays keep their dtype.
Rules are written for minimising; whoever maximises hands in the negated gradient, as `Optimizer.step` does
for `sense="maximise"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symbolic.errors import UsageError, nearest

Arrays = dict[str, NDArray]
# (gradient g, slots of this parameter, learning rate eta, number t of the step from 1) -> (what is
# subtracted, new slots)
Rule = Callable[[NDArray, dict[str, NDArray], float, int], tuple[NDArray, dict[str, NDArray]]]

MOMENTUM = 0.9
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class State:
    """What an optimizer remembers: the number of steps done, and one dictionary of arrays a slot."""

    steps: int
    slots: dict[str, Arrays]


@dataclass(frozen=True)
class Optimizer:
    """One entry of OPTIMIZERS.

    formula:        the rule in plain text, theta a parameter, g its gradient, eta the learning rate.
    source:         where it was published.
    learning_rate:  used when none is given.
    slots:          names of the arrays it keeps for each parameter, all zero at the start.
    """

    name: str
    formula: str
    source: str
    learning_rate: float
    slots: tuple[str, ...]
    rule: Rule

    def start(self, params: Mapping[str, NDArray]) -> State:
        """The state before the first step: zeros shaped as the parameters."""
        return State(0, {slot: {key: np.zeros_like(value) for key, value in params.items()} for slot in self.slots})

    def step(
        self,
        params: Mapping[str, NDArray],
        gradients: Mapping[str, NDArray],
        state: State,
        learning_rate: float,
        sense: str = "minimise",
    ) -> tuple[Arrays, State]:
        """New parameters and new state; shapes and dtypes are those of `params`.

        sense: "minimise" goes down the gradient, "maximise" up.
        """
        updated: Arrays = {}
        slots: dict[str, Arrays] = {slot: {} for slot in self.slots}
        for key, value in params.items():
            gradient = gradients[key] if sense == "minimise" else -gradients[key]
            kept = {slot: state.slots[slot][key] for slot in self.slots}
            change, kept = self.rule(gradient, kept, learning_rate, state.steps + 1)
            updated[key] = np.asarray(value - change, dtype=value.dtype)
            for slot, array in kept.items():
                slots[slot][key] = np.asarray(array, dtype=value.dtype)
        return updated, State(state.steps + 1, slots)


def _sgd(g: NDArray, slots: dict[str, NDArray], eta: float, t: int) -> tuple[NDArray, dict[str, NDArray]]:
    return eta * g, {}


def _momentum(g: NDArray, slots: dict[str, NDArray], eta: float, t: int) -> tuple[NDArray, dict[str, NDArray]]:
    v = MOMENTUM * slots["v"] + g
    return eta * v, {"v": v}


def _adam(g: NDArray, slots: dict[str, NDArray], eta: float, t: int) -> tuple[NDArray, dict[str, NDArray]]:
    m = BETA_1 * slots["m"] + (1 - BETA_1) * g
    v = BETA_2 * slots["v"] + (1 - BETA_2) * g * g
    unbiased_m = m / (1 - BETA_1**t)
    unbiased_v = v / (1 - BETA_2**t)
    return eta * unbiased_m / (np.sqrt(unbiased_v) + EPSILON), {"m": m, "v": v}


_ENTRIES = (
    Optimizer(
        name="sgd",
        formula="theta <- theta - eta g",
        source="Robbins & Monro, A Stochastic Approximation Method, 1951",
        learning_rate=0.1,
        slots=(),
        rule=_sgd,
    ),
    Optimizer(
        name="momentum",
        formula="v <- 0.9 v + g; theta <- theta - eta v",
        source="Polyak, Some methods of speeding up the convergence of iteration methods, 1964",
        learning_rate=0.02,
        slots=("v",),
        rule=_momentum,
    ),
    Optimizer(
        name="adam",
        formula=(
            "m <- 0.9 m + 0.1 g; v <- 0.999 v + 0.001 g^2; "
            "theta <- theta - eta (m/(1 - 0.9^t)) / (sqrt(v/(1 - 0.999^t)) + 1e-8)"
        ),
        source="Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, algorithm 1",
        learning_rate=0.005,
        slots=("m", "v"),
        rule=_adam,
    ),
)

OPTIMIZERS: dict[str, Optimizer] = {entry.name: entry for entry in _ENTRIES}


def optimizer_named(name: object) -> Optimizer:
    """The entry of OPTIMIZERS called `name`.

    Raises:
        UsageError: there is none; lists what there is.
    """
    if not isinstance(name, str) or name not in OPTIMIZERS:
        raise UsageError(f"optimizer {name!r} is unknown; {nearest(str(name), OPTIMIZERS)}")
    return OPTIMIZERS[name]
