"""lambdify: a derivation as Python functions, made from the very text that `write_module` would write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from codegen.safety import check_source
from codegen.source import module_source
from symbolic.derivation import Derivation
from symbolic.errors import DataError, MissingExtra, UsageError

if TYPE_CHECKING:
    from codegen.workspace import Workspace

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Functions:
    """The functions of one derivation. Their arguments are those of the generated module; see `source`.

    forward:            (params, X) -> the output.
    loss:               (params, X, Y) -> the objective, a float.
    loss_and_gradients: (params, X, Y) -> the objective and a dict of gradients with the keys of params.
    source:             the text of the module.
    unchecked:          the same three without entry checks, by name; they also take complex params, for a
    complex step.
    derivation:         what they were made from; None for functions that were made from text.
    """

    forward: Callable[..., np.ndarray]
    loss: Callable[..., float]
    loss_and_gradients: Callable[..., tuple[float, Arrays]]
    source: str
    unchecked: dict[str, Callable[..., Any]]
    derivation: Derivation | None = None

    def workspace(self, batch_size: int, dtype: DTypeLike = "float64") -> Workspace:
        """Loss and gradients for batches of one size and dtype, again and again without allocating: see `Workspace`.
        Two threads need one each.

        Raises:
            UsageError: functions that were made from text, a batch size that is no whole number from 1 or needs more
                        memory than the machine has, or a dtype.
            LoweringError: the program has no axis of examples in front.
        """
        from codegen.workspace import Workspace

        if self.derivation is None:
            raise UsageError("these functions were made from text; make a workspace from lambdify(derivation)")
        return Workspace(self.derivation, batch_size, dtype)


def lambdify(derivation: Derivation, *, dtype: str | None = None) -> Functions:
    """Functions that compute what was derived.

    Raises:
        LoweringError: an equation without NumPy form, such as one with an undefined function.
        UsageError: no derivation, or a dtype other than None, "float32" or "float64".
        MissingExtra: the program needs erf and scipy is not installed.

    The functions raise DataError for arrays that do not fit.
    """
    return replace(functions_of(module_source(derivation, dtype=dtype)), derivation=derivation)


def functions_of(source: str) -> Functions:
    """The functions of generated source.

    Raises:
        LoweringError: the source contains anything that generated modules do not.
        MissingExtra: it needs erf and scipy is not installed.
    """
    namespace = namespace_of(source)
    # The module's own error class would be none of our family.
    namespace["DataError"] = DataError
    return Functions(
        forward=namespace["forward"],
        loss=namespace["loss"],
        loss_and_gradients=namespace["loss_and_gradients"],
        source=source,
        unchecked={name: namespace[f"_{name}"] for name in ("forward", "loss", "loss_and_gradients")},
    )


def namespace_of(source: str) -> dict[str, Any]:
    """What generated source defines, by name. Raises what `functions_of` raises."""
    tree = check_source(source)
    namespace: dict[str, Any] = {"__name__": "deltaform_functions"}
    # The one place that executes text: our own, from names of our own table, and past the whitelist just
    # above.
    try:
        exec(compile(tree, "<deltaform>", "exec"), namespace)  # noqa: S102
    except ImportError as error:
        raise MissingExtra(
            "this network needs erf, which NumPy lacks and scipy has; install it: pip install 'deltaform[erf]'"
        ) from error
    return namespace
