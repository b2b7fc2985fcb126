"""Training by single examples or mini-batches: reproducible from its seed, resumable amid an epoch, interruptible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import DTypeLike, NDArray

from codegen.examples import Targets, check_examples
from codegen.functions import lambdify
from codegen.history import Epoch, History, Settings
from codegen.initialization import program_of
from codegen.interrupting import pending_interrupt
from codegen.progress import Progress, telling
from codegen.samplings import SAMPLINGS, Sampling, sampling_named
from codegen.steppers import Stepper, check_target, choose_stepper
from codegen.textbook import TEXTBOOK, WHY
from codegen.training_run import Diverged, Interrupted, Run
from codegen.training_settings import EPOCHS, describe, new_history, resumed_history, steps_in_all
from codegen.wording import number_of
from symbolic.backpropagation import derive
from symbolic.derivation import Derivation
from symbolic.errors import TrainingError, UsageError

UNIFORM = (
    "drawn uniformly, a step is to the last bit the algorithm as it is written; faster, and the same to rounding, is "
    'another target, if you ask for it: target="numpy", or --target numpy'
)

__all__ = ["EPOCHS", "SAMPLINGS", "Diverged", "Interrupted", "Sampling", "describe", "sampling_named", "train"]


def train(
    source: Any,
    X: NDArray,
    Y: NDArray,
    held_out: tuple[NDArray, NDArray] | None = None,
    *,
    epochs: int | None = None,
    iterations: int | None = None,
    sampling: str | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    optimizer: str | None = None,
    seed: int | None = None,
    dtype: DTypeLike | None = None,
    params: Mapping[str, NDArray] | None = None,
    resume: History | None = None,
    progress: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    functions: Any = None,
    target: str | None = None,
) -> History:
    """Train a network on the examples (X, Y) and return the run.

    With sampling="uniform", one example a step and sgd, which are then the defaults, this is stochastic
    gradient descent in its plainest form, `iterations` times: draw j uniformly from the N examples, then
    theta <- theta - learning_rate * (gradient of the cost of example j alone).

    source: a Network, Program or Derivation with numbers for its sizes and an axis of examples. Only a
        Network says between which values targets lie; of the others it is not checked.
    X: (N, n_0). Y: (N, n_L), or labels (N,) where the entries of a target are known to sum to 1.
    held_out: another (X, Y), on which loss and accuracy are measured after each epoch.
    epochs: how many in all, 20 if neither this nor `iterations` is given; a resumed run stops where it would
        have stopped without the break. An epoch is the ceil(N / batch_size) steps that draw N examples,
        whether or not they are all different.
    iterations: how many steps in all, in place of `epochs`. Where they end amid an epoch, what there is of it
        is recorded as an Epoch; a run that is resumed from there finishes it.
    sampling: a name in SAMPLINGS, "shuffled" if not given: each epoch takes every example once, in a new
        order; "uniform": each step draws `batch_size` examples from all of them, with replacement.
    batch_size: examples a step, 1 to N; if not given 32 when shuffled and 1 when uniform, or all where there
        are fewer. The last batch of a shuffled epoch may be smaller; its cost is taken over the examples it
        has.
    learning_rate: the optimizer's own if not given; see OPTIMIZERS.
    optimizer: a name in OPTIMIZERS, "sgd" if not given.
    seed: of the start values and the examples of each step, 0 if not given. From
        numpy.random.default_rng(seed) comes the order of each epoch, its next permutation(N), or the examples
        of each step, its next integers(N, size=batch_size). The same seed on the same machine gives the same
        run to the last bit.
    dtype: of all arithmetic, float32 or float64; that of `params` if those are given, else float64.
    params: start values, by default `initialize(source, seed, dtype)`. They are not changed.
    resume: a run to go on with. It keeps its settings; only the learning rate and the target may be given anew. With
        the target that it had it goes on to the last bit as if it had not stopped, with another up to rounding.
    progress: show it on standard error: a bar where tqdm is installed and it is a terminal, else a line an
        epoch, which counts in steps where `iterations` are given.
    on_epoch: called with each Epoch that is recorded.
    functions: what computes `forward`, `loss` and `loss_and_gradients`, such as a generated module that was
        imported; by default `lambdify` of the derivation. They then do the steps too.
    target: which code does the steps: "textbook", the functions and the optimizer's rule, or another name in
        `codegen.steppers.stepper_kinds()`. If not given, "textbook" where examples are drawn uniformly, which is
        to the last bit the algorithm as it stands above; otherwise the stepper that is estimated to be fastest
        for this network, batch size, dtype and optimizer: the same numbers up to rounding. `History.why`
        says which code ran, and why.

    Raises:
        DataError, UsageError: an argument that does not fit; says which, and the rule.
        TrainingError: the run cannot start, or `resume` is of another network, dtype or number of examples.
        Diverged: the loss or a weight became NaN or infinite. Names the step; carries the last good
            weights.
        Interrupted: Ctrl-C. The step was finished; carries the run so far.
    """
    program = program_of(source)
    if program.example is None:
        raise TrainingError(
            "training needs a cost over many examples, but this network is for one; leave out examples=None"
        )
    given = {
        "sampling": sampling,
        "batch size": batch_size,
        "optimizer": optimizer,
        "seed": seed,
        "dtype": dtype,
    }
    targets = Targets.of(source)
    examples = check_examples(X, Y, targets, "training data")
    held = None if held_out is None else check_examples(*held_out, targets, "held-out data")
    if resume is not None:
        history = resumed_history(resume, program, given, params, learning_rate)
    else:
        history = new_history(program, len(examples), given, params, learning_rate)
    settings = history.settings
    steps = steps_in_all(epochs, iterations, history)
    examples = examples.prepared(targets, settings.dtype)
    held = None if held is None else held.prepared(targets, settings.dtype)
    if settings.batch_size > len(examples):
        raise UsageError(
            f"batch size is {settings.batch_size}, more than the "
            f"{number_of(len(examples), 'example')} to train on; choose 1 to {len(examples)}"
        )
    if settings.examples != len(examples):
        raise TrainingError(
            f"the resumed run was trained on {number_of(settings.examples, 'example')}, not {len(examples)}; give it "
            "the same data"
        )
    goes_on = resume is not None and target is None
    if goes_on:
        target = settings.target
    if target is not None:
        check_target(target, settings.optimizer, settings.batch_size, settings.dtype)
    stepper, why = None, "the functions given to train(), as they are, compute the gradients, and NumPy the update"
    if functions is None:
        derivation = source if isinstance(source, Derivation) else derive(source)
        functions = lambdify(derivation)
        stepper, why = _code(derivation, settings, target, goes_on, telling(progress))
    elif target not in (None, TEXTBOOK.name):
        raise UsageError(
            f"functions are given, but the steps are to be done by {target!r}; leave functions out, or ask for target "
            f"{TEXTBOOK.name!r}"
        )
    history.goes_on_with(TEXTBOOK.name if stepper is None else stepper.name, why)
    run = Run(functions, history, examples, held, targets, steps, stepper)
    shown_epochs = None if iterations is not None else steps // settings.steps_per_epoch
    with (
        Progress(steps, len(history.step_losses), shown_epochs, progress) as shown,
        pending_interrupt() as interrupted,
    ):
        while len(history.step_losses) < steps:
            for loss in run.epoch():
                shown.step(loss)
                if interrupted():
                    raise Interrupted(history)
            shown.epoch(history.epochs[-1])
            if on_epoch is not None:
                on_epoch(history.epochs[-1])
    return history


def _code(
    derivation: Derivation, settings: Settings, target: str | None, goes_on: bool, tell: Callable[[str], None]
) -> tuple[Stepper | None, str]:
    """What does the steps: a stepper, or None for the functions and the optimizer's rule; and a sentence why.

    goes_on: whether the target is that of the run that is resumed, and nobody asked for it.
    tell:    gets a line on what takes long, before it begins.
    """
    because = "as before the run was resumed" if goes_on else "it was asked for"
    if target == TEXTBOOK.name:
        return None, WHY.format(because)
    if target is None and settings.sampling == "uniform":
        return None, WHY.format(UNIFORM)
    stepper = choose_stepper(
        derivation, settings.batch_size, settings.dtype, settings.optimizer, target, tell=tell, because=because
    )
    return (None if stepper.name == TEXTBOOK.name else stepper), stepper.why
