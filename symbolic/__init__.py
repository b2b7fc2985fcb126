"""The mathematics of deltaform: networks as equations, their gradients step by step, and the page.

Everything public is named here. `Network` describes a network, `derive` gives its `Derivation`. A name is found when it
is first used, so that who derives need not wait for what writes pages.
"""

from importlib import import_module as _import
from typing import TYPE_CHECKING as _FOR_TYPES

if _FOR_TYPES:
    from symbolic.activations import ACTIVATIONS, Activation
    from symbolic.backpropagation import derive
    from symbolic.derivation import Derivation
    from symbolic.errors import DeltaformError, DeltaformWarning
    from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative, Undefined
    from symbolic.general import GeneralNetwork
    from symbolic.induction import GeneralDerivation
    from symbolic.layers import Dense
    from symbolic.losses import LOSSES, Loss
    from symbolic.network import Network
    from symbolic.notation import Notation
    from symbolic.notationfiles import notation_from_toml, notation_to_toml, read_notation
    from symbolic.notations import NOTATIONS
    from symbolic.programs import Program
    from symbolic.rules import RULES, Result, Rule, Step
    from symbolic.tensors import Equation, Fact, FunctionName, Tensor, index, over, size
    from symbolic.verification import Report, verify

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "NOTATIONS",
    "RULES",
    "Activation",
    "DeltaformError",
    "DeltaformWarning",
    "Dense",
    "Derivation",
    "Equation",
    "Fact",
    "FunctionDerivative",
    "FunctionName",
    "GeneralDerivation",
    "GeneralNetwork",
    "Loss",
    "Network",
    "Notation",
    "PartialDerivative",
    "Program",
    "Report",
    "Result",
    "Rule",
    "Step",
    "Tensor",
    "TotalDerivative",
    "Undefined",
    "derive",
    "index",
    "notation_from_toml",
    "notation_to_toml",
    "over",
    "read_notation",
    "size",
    "verify",
]  # fmt: skip

_HOMES = {
    "ACTIVATIONS": "symbolic.activations",
    "LOSSES": "symbolic.losses",
    "NOTATIONS": "symbolic.notations",
    "RULES": "symbolic.rules",
    "Activation": "symbolic.activations",
    "DeltaformError": "symbolic.errors",
    "DeltaformWarning": "symbolic.errors",
    "Dense": "symbolic.layers",
    "Derivation": "symbolic.derivation",
    "Equation": "symbolic.tensors",
    "Fact": "symbolic.tensors",
    "FunctionDerivative": "symbolic.expressions",
    "FunctionName": "symbolic.tensors",
    "GeneralDerivation": "symbolic.induction",
    "GeneralNetwork": "symbolic.general",
    "Loss": "symbolic.losses",
    "Network": "symbolic.network",
    "Notation": "symbolic.notation",
    "PartialDerivative": "symbolic.expressions",
    "Program": "symbolic.programs",
    "Report": "symbolic.verification",
    "Result": "symbolic.rules",
    "Rule": "symbolic.rules",
    "Step": "symbolic.rules",
    "Tensor": "symbolic.tensors",
    "TotalDerivative": "symbolic.expressions",
    "Undefined": "symbolic.expressions",
    "derive": "symbolic.backpropagation",
    "index": "symbolic.tensors",
    "notation_from_toml": "symbolic.notationfiles",
    "notation_to_toml": "symbolic.notationfiles",
    "over": "symbolic.tensors",
    "read_notation": "symbolic.notationfiles",
    "size": "symbolic.tensors",
    "verify": "symbolic.verification",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'symbolic' has no attribute {name!r}")
    found = globals()[name] = getattr(_import(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
