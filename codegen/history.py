"""Records of a training run: its settings, its epochs, and all that is needed to go on with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from codegen.optimizers import Arrays, State


@dataclass(frozen=True)
class Settings:
    """What a run was started with; a resumed run goes on with the same, though its learning rate and its
    target may be others.

    network:    title of what is trained, for a Network its architecture string.
    equations:  its sizes and forward equations; they decide what the parameters are and what the gradients.
    batch_size: examples a step.
    examples:   number of examples to train on.
    sampling:   which examples each step sees, a name in SAMPLINGS. Runs saved before there was a choice are
                shuffled.
    target:     which code does the steps, a name in `codegen.steppers.stepper_kinds()`. Runs saved before there was
                a choice are of the textbook kind.
    """

    network: str
    equations: str
    optimizer: str
    learning_rate: float
    batch_size: int
    seed: int
    dtype: str
    examples: int
    sampling: str = "shuffled"
    target: str = "textbook"

    @property
    def steps_per_epoch(self) -> int:
        """Steps that it takes to draw as many examples as there are."""
        return math.ceil(self.examples / self.batch_size)


def loss_text(loss: float) -> str:
    """A loss with four decimals, or with four digits where it is large: a diverging run reaches 1e300."""
    return f"{loss:.4f}" if abs(loss) < 1e4 else f"{loss:.4g}"


@dataclass(frozen=True)
class Epoch:
    """What was seen in one epoch, or in the steps of it that were done when the run ended.

    number:         from 1.
    steps:          steps done since the start of the run, this epoch included.
    train_loss:     mean over the epoch's batches, weighted by their numbers of examples, each before its
                    update.
    held_out_loss:  cost of the held-out examples after the epoch; None without held-out examples.
    accuracy:       fraction of the held-out targets that are hit; None where targets are no classes.
    seconds:        wall time of the epoch's steps, without the held-out examples.
    """

    number: int
    steps: int
    train_loss: float
    held_out_loss: float | None
    accuracy: float | None
    seconds: float

    def __str__(self) -> str:
        parts = [f"loss {loss_text(self.train_loss)}"]
        if self.held_out_loss is not None:
            parts.append(f"held-out loss {loss_text(self.held_out_loss)}")
        if self.accuracy is not None:
            parts.append(f"held-out accuracy {self.accuracy:.2%}")
        return ", ".join(parts)


@dataclass
class History:
    """A run so far: its curve, and all that is needed to go on with it. `codegen.checkpoints` saves and
    loads it.

    params:       by key, the weights after the last step.
    state:        what the optimizer remembers.
    random:       state of the generator before it draws the examples of the present epoch.
    sense:        "minimise" or "maximise".
    step_losses:  cost of each step's batch, before its update; one float a step.
    epochs:       one record a finished epoch; where the run ended amid one, one more of the steps it has.
    batches:      steps done of the present epoch; 0 between epochs.
    seconds:      wall time of all steps.
    why:          a sentence that says which code did the steps, and why; of runs saved before it was kept, empty.
    earlier:      of each target that did steps before the present one, up to which step, and its name.
    """

    settings: Settings
    params: Arrays = field(repr=False)
    state: State = field(repr=False)
    random: dict[str, Any] = field(repr=False)
    sense: str = "minimise"
    step_losses: list[float] = field(default_factory=list, repr=False)
    epochs: list[Epoch] = field(default_factory=list)
    batches: int = 0
    seconds: float = 0.0
    why: str = ""
    earlier: tuple[tuple[int, str], ...] = ()

    def goes_on_with(self, target: str, why: str) -> None:
        """Note that `target` does the steps from now on, and why; what did those before is said too."""
        done, before = len(self.step_losses), self.settings.target
        if target != before and done > max((step for step, _ in self.earlier), default=0):
            self.earlier += ((done, before),)
        said = ", then ".join(f"up to step {step} it was target {name!r}" for step, name in self.earlier)
        self.settings = replace(self.settings, target=target)
        self.why = f"{why}; {said}" if said else why
