"""The mathematics of deltaform: networks as equations, their gradients step by step, and the page.

Everything public is named here. `Network` describes a network, `derive` gives its `Derivation`.
"""

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
