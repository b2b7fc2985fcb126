"""Optimizers: update rules in index notation, from which both codes that apply them are made.

A rule says what a parameter theta and the slots that belong to it become, given the gradient g, the learning rate eta
and the number t of the step, counted from 1. What x becomes is called x_next. Rules are written for minimising;
whoever maximises hands in the negated gradient, as `Optimizer.step` does for `sense="maximise"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sympy import Expr, Float, Indexed, sqrt

from symbolic.errors import UsageError, nearest
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, index, size

Arrays = dict[str, NDArray]


@dataclass(frozen=True)
class State:
    """What an optimizer remembers: the number of steps done, and one dictionary of arrays a slot."""

    steps: int
    slots: dict[str, Arrays]


@dataclass(frozen=True)
class Optimizer:
    """One entry of OPTIMIZERS.

    source:         where it was published.
    learning_rate:  used when none is given.
    slots:          names of the arrays it keeps for each parameter, all zero at the start.
    rule:           its equations, for each entry of an array by itself.
    """

    name: str
    source: str
    learning_rate: float
    slots: tuple[str, ...]
    rule: Program

    @property
    def is_descent(self) -> bool:
        """Whether a step subtracts eta g and does nothing else."""
        return [equation.rhs for equation in self.rule.equations] == [theta - eta * g]

    @cached_property
    def function(self) -> Callable[..., list[NDArray]]:
        """(theta, g, *slots, eta, t) -> [theta_next, *slots_next]. Changes none of its arguments."""
        from codegen.functions import namespace_of
        from codegen.targets.update_source import rule_source

        made: Callable[..., list[NDArray]] = namespace_of(rule_source(self.rule, self.slots))["rule"]
        return made

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
        """New parameters and new state; shapes and dtypes are those of `params`. No argument is changed, so that a
        caller can go back to earlier weights by keeping them.

        sense: "minimise" goes down the gradient, "maximise" up.
        """
        updated: Arrays = {}
        slots: dict[str, Arrays] = {slot: {} for slot in self.slots}
        for key, value in params.items():
            gradient = gradients[key] if sense == "minimise" else -gradients[key]
            kept = [state.slots[slot][key] for slot in self.slots]
            new, *remembered = self.function(value, gradient, *kept, float(learning_rate), state.steps + 1)
            updated[key] = np.asarray(new, dtype=value.dtype)
            for slot, array in zip(self.slots, remembered, strict=True):
                slots[slot][key] = np.asarray(array, dtype=value.dtype)
        return updated, State(state.steps + 1, slots)


def _array(name: str) -> Tensor:
    return Tensor(name, shape=(size("n"),), indices=(index("i"),))


def rule_of(slots: tuple[str, ...], **rights: Expr) -> Program:
    """The program whose equations have these right sides, in order. A right side without an entry of an array is a
    number that is computed once a step.
    """
    made = ((_array(name) if right.has(Indexed) else Tensor(name), right) for name, right in rights.items())
    return Program(
        leaves=(*map(_array, ("theta", "g", *slots)), Tensor("eta"), Tensor("t")),
        equations=tuple(Equation(tensor, tensor.indices, right) for tensor, right in made),
        objective="eta",  # a program must name a scalar; a rule has nothing to be differentiated
    )


theta, g, m, v, m_next, v_next = (_array(name).element for name in ("theta", "g", "m", "v", "m_next", "v_next"))
eta, t, root, rate, least = (Tensor(name).element for name in ("eta", "t", "root", "rate", "least"))
# With 20 digits, and 1 - beta beside beta, since its rounding would show.
MOMENTUM = BETA_1 = Float("0.9", 20)
BETA_2, EPSILON = Float("0.999", 20), Float("1e-8", 20)
REST_1, REST_2 = Float("0.1", 20), Float("0.001", 20)

_ENTRIES = (
    Optimizer(
        name="sgd",
        source="Robbins & Monro, A Stochastic Approximation Method, 1951",
        learning_rate=0.1,
        slots=(),
        rule=rule_of((), theta_next=theta - eta * g),
    ),
    Optimizer(
        name="momentum",
        source="Polyak, Some methods of speeding up the convergence of iteration methods, 1964",
        learning_rate=0.02,
        slots=("v",),
        rule=rule_of(("v",), v_next=MOMENTUM * v + g, theta_next=theta - eta * v_next),
    ),
    Optimizer(
        name="adam",
        source="Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, algorithm 1",
        learning_rate=0.005,
        slots=("m", "v"),
        # theta - eta (m/(1 - 0.9^t)) / (sqrt(v/(1 - 0.999^t)) + 1e-8), with the fraction expanded by the root.
        rule=rule_of(
            ("m", "v"),
            root=sqrt(1 - BETA_2**t),
            rate=eta * root / (1 - BETA_1**t),
            least=EPSILON * root,
            m_next=BETA_1 * m + REST_1 * g,
            v_next=BETA_2 * v + REST_2 * g**2,
            theta_next=theta - rate * m_next / (sqrt(v_next) + least),
        ),
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
