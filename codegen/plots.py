"""The loss curve of a training run as a picture, by matplotlib (the extra `plot`) without its global
state.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np

from symbolic.errors import MissingExtra, UsageError
from symbolic.files import check_target, write_atomically

if TYPE_CHECKING:
    from codegen.history import History

SUFFIXES = (".png", ".pdf", ".svg")
# A curve that falls by more than this factor is drawn on a logarithmic axis.
LOGARITHMIC_FROM = 20.0


def require_matplotlib() -> None:
    """Raise MissingExtra, with the command that installs it, when matplotlib is not there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "drawing a loss curve needs matplotlib; install it: pip install 'deltaform[plot]'"
        ) from error


def draw_loss_curve(history: History, path: str | os.PathLike[str], force: bool = False) -> None:
    """Draw the loss of each step, its mean over each epoch, and the held-out loss, over the number of
    steps.

    path: a .png, .pdf or .svg file; an existing one is kept unless `force`.

    Raises:
        MissingExtra: matplotlib is not installed.
        FileError: the file cannot be written there.
        UsageError: nothing was trained yet.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    target = check_target(path, SUFFIXES, force)
    if not history.step_losses:
        raise UsageError("there is no step to draw; train for at least one")
    figure = Figure(figsize=(7.0, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    losses = np.asarray(history.step_losses)
    axes.plot(np.arange(1, len(losses) + 1), losses, color="0.8", linewidth=0.5, label="training, each step")
    ends = [epoch.steps for epoch in history.epochs]
    marker = "o" if len(ends) <= 30 else ""
    means = [epoch.train_loss for epoch in history.epochs]
    if ends:
        axes.plot(ends, means, color="C0", marker=marker, markersize=3, label="training, mean of the epoch")
    held_out = [(epoch.steps, epoch.held_out_loss) for epoch in history.epochs if epoch.held_out_loss is not None]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), color="C1", marker=marker, markersize=3, label="held out")
    curves = [*means, *(loss for _, loss in held_out)]
    # A single example may be fitted exactly; its zero is drawn as falling below the axis.
    if losses.min() >= 0 and losses.max() > LOGARITHMIC_FROM * losses.min():
        axes.set_yscale("log")
        if curves and min(curves) > 0:
            # Single batches may be fitted almost exactly; the axis ends where the curves do.
            axes.set_ylim(bottom=min(curves) / 3)
    axes.set_xlabel("step")
    axes.set_ylabel("loss" if history.sense == "minimise" else "objective (to be maximised)")
    accuracy = history.epochs[-1].accuracy if history.epochs else None
    reached = "" if accuracy is None else f", held-out accuracy {accuracy:.1%}"
    axes.set_title(f"{history.settings.network}\n{history.settings.optimizer}{reached}", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend()
    picture = io.BytesIO()
    # No date and no version in the file: the same run gives the same bytes.
    metadata = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    figure.savefig(picture, format=target.suffix[1:], metadata=metadata[target.suffix])
    write_atomically(target, picture.getvalue())
