"""A training run in a file: weights, optimizer, random state and curve, as plain arrays and JSON in a
.npz.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
from typing import Any

import numpy as np

from codegen.datasets import read_npz
from codegen.history import Epoch, History, Settings
from codegen.optimizers import OPTIMIZERS, Arrays, State
from symbolic.errors import FileError
from symbolic.files import as_path, check_target, write_atomically

FORMAT = "deltaform run 1"
SUFFIXES = (".npz",)
# Keys of the file. The weights have their own names after the prefix: params/W1; an optimizer's arrays:
# state/v/W1.
ABOUT, LOSSES, PARAMS, STATE = "about", "step_losses", "params/", "state/"


def save_checkpoint(history: History, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a run to a .npz file, whole or not at all; nothing in it is pickled.

    `numpy.load(path)["params/W1"]` reads a weight without us.

    Raises:
        FileError: the file cannot be written there, or it exists and `force` is not given.
    """
    target = check_target(path, SUFFIXES, force)
    about = {
        "format": FORMAT,
        "settings": dataclasses.asdict(history.settings),
        "random": history.random,
        "sense": history.sense,
        "epochs": [dataclasses.asdict(epoch) for epoch in history.epochs],
        "batches": history.batches,
        "seconds": history.seconds,
        "why": history.why,
        "earlier": history.earlier,
        "steps": history.state.steps,
    }
    arrays: dict[str, Any] = {
        ABOUT: np.array(json.dumps(about)),
        LOSSES: np.array(history.step_losses, np.float64),
    }
    arrays |= {PARAMS + key: value for key, value in history.params.items()}
    for slot, kept in history.state.slots.items():
        arrays |= {f"{STATE}{slot}/{key}": value for key, value in kept.items()}
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(target, content.getvalue())


def load_checkpoint(path: str | os.PathLike[str]) -> History:
    """The run that `save_checkpoint` wrote to `path`.

    Raises:
        FileError: it is not there, truncated, pickled, or no run of ours; says what is missing.
    """
    source = as_path(path)
    if source.is_dir():
        raise FileError(f"{source} is a folder; name the .npz file that --save wrote")
    if source.suffix not in SUFFIXES:
        raise FileError(f"{source}: unknown suffix {source.suffix!r}; a saved run is a .npz file")
    if not source.exists():
        raise FileError(f"{source} does not exist; check the path, or start a new run without resuming")
    arrays = read_npz(source)
    for key in (ABOUT, LOSSES):
        if key not in arrays:
            raise FileError(
                f"{source} is no saved run: {key!r} is missing, there is {', '.join(arrays) or 'nothing'}; "
                "give a file that --save (save_checkpoint) wrote"
            )
    try:
        about = json.loads(str(arrays[ABOUT]))
        if about["format"] != FORMAT:
            raise FileError(f"{source} has the format {about['format']!r}, but this version reads {FORMAT!r}")
        settings = Settings(**about["settings"])
        params = {key.removeprefix(PARAMS): value for key, value in arrays.items() if key.startswith(PARAMS)}
        slots: dict[str, Arrays] = {
            slot: {key: arrays[f"{STATE}{slot}/{key}"] for key in params}
            for slot in OPTIMIZERS[settings.optimizer].slots
        }
        return History(
            settings=settings,
            params=params,
            state=State(about["steps"], slots),
            random=about["random"],
            sense=about["sense"],
            step_losses=[float(loss) for loss in arrays[LOSSES]],
            epochs=[Epoch(**epoch) for epoch in about["epochs"]],
            batches=about["batches"],
            seconds=about["seconds"],
            why=about.get("why", ""),
            earlier=tuple((int(step), str(name)) for step, name in about.get("earlier", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"{source} is no whole saved run ({error}); give a file that --save wrote") from error
