"""Steppers: objects that own the parameters of a network and do steps of training, each by other code.

A stepper is made for one derivation, batch size, dtype and optimizer. To add a kind, write its factory and its
line in `stepper_kinds`; `choose_stepper` takes the kind that is estimated to be fastest among those that can serve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codegen.initialization import checked_count, checked_dtype, shape_of
from codegen.optimizer_memory import Memory
from codegen.optimizers import optimizer_named
from codegen.wording import listed
from symbolic.backpropagation import derive
from symbolic.derivation import Derivation
from symbolic.errors import DataError, DeltaformError, UsageError, nearest
from symbolic.programs import Program

Made = TypeVar("Made")


class Stepper(Protocol):
    """Owns parameters and moves them down the gradient.

    name:   of its kind, as in `stepper_kinds`.
    why:    one sentence that says which code runs, and why it was chosen.
    flat:   all parameters in one vector, in an order of the stepper's own. Whoever saves and restores it saves and
            restores the weights.
    params: the usual keys and shapes, as views of `flat`: writing into them sets the weights. Where a program
            is maximised, a step goes up.
    memory: what the optimizer remembers. Whoever saves and restores `flat` does the same with its arrays.
    idle:   the place, in the steps of the last call, of the first whose gradient was exactly zero in every
            entry; -1 if there was none.
    """

    name: str
    why: str

    @property
    def memory(self) -> Memory: ...

    @property
    def flat(self) -> NDArray: ...

    @property
    def params(self) -> dict[str, NDArray]: ...

    @property
    def idle(self) -> int: ...

    def step(self, X: NDArray, Y: NDArray, rate: float) -> float:
        """One step on the examples X (N, n_0), Y (N, n_L). Returns the loss before the update."""
        ...

    def epoch(self, X: NDArray, Y: NDArray, batches: Sequence[NDArray], rate: float) -> NDArray:
        """One step for each array of row numbers in `batches`, in order; the last may be shorter than the batch
        size. Returns the loss of each step, before its update, as float64. Gives the same weights as `step`
        would, to the last bit.
        """
        ...


@dataclass(frozen=True)
class Request:
    """What a stepper is asked for.

    tell:  gets a line on what takes long, before it begins; None prints it where somebody watches.
    cache: what kinds have worked out for it so far, by their names.
    """

    derivation: Derivation
    batch_size: int
    dtype: np.dtype
    optimizer: str = "sgd"
    tell: Callable[[str], None] | None = field(default=None, compare=False)
    cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def settings(self) -> tuple[str, int, np.dtype]:
        return self.optimizer, self.batch_size, self.dtype

    @property
    def program(self) -> Program:
        return self.derivation.program

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter; raises ArchitectureError where a size has no number."""
        return {tensor.key: shape_of(self.program, tensor) for tensor in self.program.parameters}

    def once(self, name: str, make: Callable[[], Made]) -> Made | DeltaformError:
        """What `make` gives, or why it gives nothing; worked out once."""
        if name not in self.cache:
            try:
                self.cache[name] = make()
            except DeltaformError as error:
                self.cache[name] = error
        return self.cache[name]

    @property
    def count(self) -> int:
        """How many parameters there are, as single numbers."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())


@dataclass(frozen=True)
class Kind:
    """One entry of `stepper_kinds`.

    law:      what it is, in one line.
    refusal:  why it cannot serve a request; "" if it can.
    estimate: microseconds a step, from shapes alone; only compared with those of other kinds.
    make:     the stepper; its parameters are zero until they are set.
    conflict: why it cannot serve any network with this optimizer, batch size (None if not known yet) and dtype; "" if
              it can. A refusal says so too, but needs a derivation.
    asked:    taken only where it is asked for by name, because it does what a user may not expect.
    """

    name: str
    law: str
    refusal: Callable[[Request], str]
    estimate: Callable[[Request], float]
    make: Callable[[Request], Stepper]
    conflict: Callable[[str, int | None, np.dtype], str] = lambda optimizer, batch_size, dtype: ""
    asked: bool = False


def stepper_kinds() -> dict[str, Kind]:
    """All kinds; their files import this one."""
    from codegen.numpy_stepper import NUMPY
    from codegen.small_kinds import NUMBA, SCALAR
    from codegen.textbook import TEXTBOOK

    return {kind.name: kind for kind in (NUMPY, SCALAR, NUMBA, TEXTBOOK)}


def check_target(target: object, optimizer: str, batch_size: int | None, dtype: DTypeLike) -> None:
    """Refuse a target that can serve no network with this optimizer, batch size (None if not known yet) and dtype.

    Raises:
        UsageError: there is no such target, or it cannot serve; says why, and which may.
    """
    kinds = stepper_kinds()
    if not isinstance(target, str) or target not in kinds:
        raise UsageError(f"target {target!r} is unknown; {nearest(str(target), kinds)}")
    conflicts = {name: kind.conflict(optimizer, batch_size, np.dtype(dtype)) for name, kind in kinds.items()}
    if conflicts[target]:
        others = ", ".join(name for name, conflict in conflicts.items() if not conflict)
        raise UsageError(f"target {target!r} cannot serve: {conflicts[target]}; ask for another: {others}")


def choose_stepper(
    source: Any,
    batch_size: int,
    dtype: DTypeLike = "float64",
    optimizer: str = "sgd",
    target: str | None = None,
    params: Mapping[str, NDArray] | None = None,
    tell: Callable[[str], None] | None = None,
    because: str = "it was asked for",
) -> Stepper:
    """The stepper for `source`, a Network, Program or Derivation whose sizes are numbers.

    target:  a name in `stepper_kinds()`; the kind with the least estimate if not given, of those that write nothing to
             disk.
    params:  start values, which are copied.
    tell:    gets a line on what takes long, before it begins; by default it is printed where somebody watches.
    because: what `Stepper.why` says of a target that is given.

    Raises:
        UsageError: there is no such target, or it cannot serve; says why.
        DataError: `params` that do not fit.
    """
    kinds = stepper_kinds()
    batch_size = checked_count("batch size", batch_size)
    if target is not None:
        check_target(target, optimizer_named(optimizer).name, batch_size, checked_dtype(dtype))
    derivation = source if isinstance(source, Derivation) else derive(source)
    request = Request(derivation, batch_size, checked_dtype(dtype), optimizer_named(optimizer).name, tell)
    offered = [kind for kind in kinds.values() if target == kind.name or (target is None and not kind.asked)]
    refusals = {kind.name: kind.refusal(request) for kind in offered}
    able = [kinds[name] for name, refusal in refusals.items() if not refusal]
    if not able:
        raise UsageError("; ".join(f"target {name!r} cannot serve: {refusal}" for name, refusal in refusals.items()))
    estimates = {kind.name: kind.estimate(request) for kind in able}
    stepper = kinds[min(estimates, key=estimates.__getitem__)].make(request)
    if target is None:
        because = _reason(stepper.name, estimates, refusals)
        unasked = [kind.name for kind in kinds.values() if kind.asked and not kind.conflict(*request.settings)]
        because += "".join(f"; {name} is taken only where it is asked for" for name in unasked)
    stepper.why += f"; {because}"
    for key, value in (params or {}).items():
        if key not in request.shapes or np.shape(value) != request.shapes[key]:
            there = listed(f"{name} {shape}" for name, shape in request.shapes.items())
            raise DataError(f'params["{key}"] of shape {np.shape(value)} is no parameter; there are {there}')
        stepper.params[key][...] = value
    return stepper


def _reason(name: str, estimates: Mapping[str, float], refusals: Mapping[str, str]) -> str:
    """Why this target was taken: microseconds a step, estimated from shapes, and what kept others from serving."""
    own = estimates[name]
    others = "".join(f", {other} at {value:.3g}" for other, value in estimates.items() if other != name)
    kept = "".join(f"; {other} cannot serve: {refusal}" for other, refusal in refusals.items() if refusal)
    return f"estimated at {own:.3g} us a step{others}{kept}"
