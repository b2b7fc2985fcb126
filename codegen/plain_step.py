"""A step by the NumPy functions and an optimizer's rule, as a textbook has it; for gradient descent also in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegen.functions import Functions
from codegen.optimizers import OPTIMIZERS, Arrays, Optimizer, State


class TextbookStep(NamedTuple):
    """loss: before the step. params, state: after it. idle: whether every gradient was exactly zero."""

    loss: float
    params: Arrays
    state: State
    idle: bool


def textbook_step(
    loss_and_gradients: Callable[..., tuple[float, Arrays]],
    optimizer: Optimizer,
    params: Mapping[str, NDArray],
    state: State,
    X: NDArray,
    Y: NDArray,
    rate: float,
    sense: str,
) -> TextbookStep:
    """One step on the examples X, Y: down the gradient, or up it for sense="maximise". Changes no argument."""
    loss, gradients = loss_and_gradients(params, X, Y)
    updated, after = optimizer.step(params, gradients, state, rate, sense)
    return TextbookStep(float(loss), updated, after, not any(gradient.any() for gradient in gradients.values()))


def plain_step(
    functions: Functions, params: dict[str, NDArray], X: NDArray, Y: NDArray, rate: float, sense: str
) -> tuple[float, bool]:
    """A step of gradient descent, for steppers whose own code cannot do it: `params` are written over. Returns the loss
    before, and whether every gradient was zero.
    """
    with np.errstate(all="ignore"):
        done = textbook_step(functions.loss_and_gradients, OPTIMIZERS["sgd"], params, State(0, {}), X, Y, rate, sense)
    for key, value in done.params.items():
        params[key][...] = value
    return done.loss, done.idle
