"""What a run is started with, or goes on with: every setting checked, before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codegen.history import History, Settings
from codegen.initialization import DTYPES, checked_count, checked_dtype, checked_seed, initialize
from codegen.optimizers import optimizer_named
from codegen.samplings import sampling_named
from codegen.steppers import check_target
from symbolic.errors import TrainingError, UsageError
from symbolic.programs import Program

EPOCHS = 20  # where neither epochs nor iterations are given


def describe(program: Program) -> str:
    """Sizes and equations in text: programs with the same text have the same parameters and the same
    gradients.
    """
    sizes = ", ".join(f"{symbol} = {number}" for symbol, number in sorted(program.sizes.items(), key=str))
    equations = "; ".join(f"{equation.lhs} = {equation.rhs}" for equation in program.equations)
    return f"{sizes}; {equations}"


def checked_learning_rate(rate: object) -> float:
    """`rate` if it is a positive finite number.

    Raises:
        UsageError: it is not.
    """
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < float(rate) < math.inf:
        raise UsageError(f"learning rate must be a number above 0, such as 0.1, not {rate!r}")
    return float(rate)


def steps_in_all(epochs: object, iterations: object, history: History) -> int:
    """How many steps the run has when it ends, from whichever of the two is given.

    Raises:
        UsageError: both are given, the one that is given is no whole number from 1, or the run has got as
            far already.
    """
    if epochs is not None and iterations is not None:
        raise UsageError(
            f"epochs is {epochs!r} and iterations is {iterations!r}, but one number says when to stop; leave out "
            "epochs to count steps, or iterations to count passes over the examples"
        )
    if iterations is None:
        what, given, each = "epochs", EPOCHS if epochs is None else epochs, history.settings.steps_per_epoch
    else:
        what, given, each = "iterations", iterations, 1
    count, done = checked_count(what, given), len(history.step_losses)
    if count * each <= done:
        raise UsageError(
            f"{what} is {count}, but the resumed run has done {done // each} already; {what} counts "
            f"all of them, so ask for more, such as {done // each + count}"
        )
    return count * each


def _dtype(dtype: DTypeLike | None, params: Mapping[str, NDArray] | None) -> np.dtype:
    if dtype is not None:
        return checked_dtype(dtype)
    first = next((np.asarray(value).dtype for value in (params or {}).values()), None)
    return first if first in DTYPES and first is not None else np.dtype(np.float64)


def new_history(
    program: Program,
    examples: int,
    given: Mapping[str, Any],
    params: Mapping[str, NDArray] | None,
    learning_rate: float | None,
) -> History:
    """A run that has not begun. given: settings by what messages call them, None for the usual."""
    entry = optimizer_named(_or(given["optimizer"], "sgd"))
    drawn = sampling_named(_or(given["sampling"], "shuffled"))
    settings = Settings(
        network=program.title or "a program without a title",
        equations=describe(program),
        optimizer=entry.name,
        learning_rate=checked_learning_rate(_or(learning_rate, entry.learning_rate)),
        batch_size=checked_count("batch size", _or(given["batch size"], min(drawn.batch_size, examples))),
        seed=checked_seed(_or(given["seed"], 0)),
        dtype=_dtype(given["dtype"], params).name,
        examples=examples,
        sampling=drawn.name,
    )
    if params is None:
        start = initialize(program, settings.seed, settings.dtype)
    else:
        start = {key: np.array(value) for key, value in params.items()}
    order = dict(np.random.default_rng(settings.seed).bit_generator.state)
    return History(settings, start, entry.start(start), order, program.sense)


def check_settings(given: Mapping[str, Any], target: str | None, resume: History | None) -> None:
    """Refuse a batch size, a sampling, an optimizer or a target that no examples can make right.

    given: as for `new_history`.

    Raises:
        UsageError: the batch size is no whole number from 1, there is no sampling, optimizer or target of that name,
            or the target cannot serve with the rest; lists what there is.
    """
    if given["batch size"] is not None:
        checked_count("batch size", given["batch size"])
    if resume is not None:
        settings = resume.settings
        check_target(_or(target, settings.target), settings.optimizer, settings.batch_size, settings.dtype)
        return
    sampling_named(_or(given["sampling"], "shuffled"))
    optimizer = optimizer_named(_or(given["optimizer"], "sgd")).name
    if target is not None:
        check_target(target, optimizer, given["batch size"], checked_dtype(_or(given["dtype"], np.float64)))


def _or(value: Any, usual: Any) -> Any:
    return usual if value is None else value


def resumed_history(
    run: History,
    program: Program,
    given: Mapping[str, Any],
    params: Mapping[str, NDArray] | None,
    learning_rate: float | None,
) -> History:
    """A copy of `run` to go on with, once it is known to be of this program and of these settings."""
    settings = run.settings
    if params is not None:
        raise UsageError("params and resume are both given; a resumed run brings its own weights, so leave params out")
    if settings.equations != describe(program):
        present = program.title or "a program without a title"
        other = f"this is {present}" if present != settings.network else "this one has other equations"
        raise TrainingError(
            f"the run to resume is of another network: it trains {settings.network}, and {other}; resume it "
            "with its own"
        )
    kept = {
        "sampling": settings.sampling,
        "batch size": settings.batch_size,
        "optimizer": settings.optimizer,
        "seed": settings.seed,
        "dtype": settings.dtype,
    }
    for what, value in given.items():
        asked = checked_dtype(value).name if what == "dtype" and value is not None else value
        if asked is not None and asked != kept[what]:
            raise TrainingError(
                f"the run to resume has {what} {kept[what]}, not {asked}; leave it out, or start a new run "
                "without resume"
            )
    rate = settings.learning_rate if learning_rate is None else checked_learning_rate(learning_rate)
    epochs = list(run.epochs)
    if run.batches and epochs and epochs[-1].steps == len(run.step_losses):
        epochs.pop()  # the run ended amid this epoch; it is recorded again when it is whole
    return replace(
        run,
        settings=replace(settings, learning_rate=rate),
        step_losses=list(run.step_losses),
        epochs=epochs,
    )
