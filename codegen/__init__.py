"""NumPy from derivations: functions, modules, checks, training.

The names below are found when first used, so that the command answers `--help` before SymPy is loaded.
"""

from importlib import import_module as _import

_HOMES = {
    "Functions": "codegen.functions",
    "OPTIMIZERS": "codegen.optimizers",
    "check_gradients": "codegen.gradcheck",
    "import_module": "codegen.modules",
    "initialize": "codegen.initialization",
    "lambdify": "codegen.functions",
    "load": "codegen.datasets",
    "load_checkpoint": "codegen.checkpoints",
    "save_checkpoint": "codegen.checkpoints",
    "train": "codegen.training",
    "write_module": "codegen.modules",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'codegen' has no attribute {name!r}")
    return getattr(_import(_HOMES[name]), name)
