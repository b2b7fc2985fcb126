"""NumPy from derivations: functions, modules, checks, training.

Everything public is named here. A name is found when it is first used, so that the command answers `--help` before
SymPy is loaded.
"""

from importlib import import_module as _import
from typing import TYPE_CHECKING as _FOR_TYPES

if _FOR_TYPES:
    from codegen.checkpoints import load_checkpoint, save_checkpoint
    from codegen.datasets import load
    from codegen.functions import Functions, lambdify
    from codegen.gradcheck import GradientCheck, GradientReport, check_gradients
    from codegen.history import Epoch, History, Settings
    from codegen.initialization import initialize
    from codegen.modules import import_module, write_module
    from codegen.optimizers import OPTIMIZERS
    from codegen.samplings import SAMPLINGS
    from codegen.steppers import Stepper, choose_stepper, stepper_kinds
    from codegen.training import Diverged, Interrupted, train
    from codegen.workspace import Workspace

__all__ = [
    "OPTIMIZERS",
    "SAMPLINGS",
    "Diverged",
    "Epoch",
    "Functions",
    "GradientCheck",
    "GradientReport",
    "History",
    "Interrupted",
    "Settings",
    "Stepper",
    "Workspace",
    "check_gradients",
    "choose_stepper",
    "import_module",
    "initialize",
    "lambdify",
    "load",
    "load_checkpoint",
    "save_checkpoint",
    "stepper_kinds",
    "train",
    "write_module",
]

_HOMES = {
    "OPTIMIZERS": "codegen.optimizers",
    "SAMPLINGS": "codegen.samplings",
    "Diverged": "codegen.training",
    "Epoch": "codegen.history",
    "Functions": "codegen.functions",
    "GradientCheck": "codegen.gradcheck",
    "GradientReport": "codegen.gradcheck",
    "History": "codegen.history",
    "Interrupted": "codegen.training",
    "Settings": "codegen.history",
    "Stepper": "codegen.steppers",
    "Workspace": "codegen.workspace",
    "check_gradients": "codegen.gradcheck",
    "choose_stepper": "codegen.steppers",
    "import_module": "codegen.modules",
    "initialize": "codegen.initialization",
    "lambdify": "codegen.functions",
    "load": "codegen.datasets",
    "load_checkpoint": "codegen.checkpoints",
    "save_checkpoint": "codegen.checkpoints",
    "stepper_kinds": "codegen.steppers",
    "train": "codegen.training",
    "write_module": "codegen.modules",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'codegen' has no attribute {name!r}")
    found = globals()[name] = getattr(_import(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
