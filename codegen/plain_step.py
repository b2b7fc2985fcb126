"""One step of gradient descent by the NumPy functions, for steppers whose own code cannot do it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codegen.functions import Functions


def plain_step(
    functions: Functions, params: dict[str, NDArray], X: NDArray, Y: NDArray, rate: float, sense: str
) -> tuple[float, bool]:
    """Move `params`, which are written over: down the gradient, or up it for sense="maximise". Returns the loss before,
    and whether every gradient was zero.
    """
    with np.errstate(all="ignore"):
        loss, gradients = functions.loss_and_gradients(params, X, Y)
        for key, array in params.items():
            array += array.dtype.type(rate if sense == "maximise" else -rate) * gradients[key]
    return loss, not any(gradients[key].any() for key in params)
