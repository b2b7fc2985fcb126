"""What the passes arrive at, and a target writes down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sympy import Expr

from codegen.passes.buffers import Buffer
from codegen.passes.costs import Costs
from codegen.passes.fused_update import descents
from codegen.passes.graph import Graph
from codegen.passes.instructions import Listing
from codegen.passes.vectors import Block

# What the text calls its own things; a tensor of such a name is refused.
OWN = frozenset({
    "P", "G", "build", "empty", "update", "train_step", "train_epoch", "loss_and_gradients", "learning_rate", "step",
    "dtype", "bool", "float", "enumerate", "descent",
})  # fmt: skip
OWN_PREFIXES = ("np_", "spare_", "part_", "scalar_", "ones_", "c_", "shifted_")


@dataclass(frozen=True)
class Plan:
    """Everything that a source is written from.

    count:      the symbol of the number of examples.
    parameters: their keys.
    blocks:     parameters in the flat vector; none where they are handed in at each call.
    gradients:  gradients in theirs; not of those that `descents` has.
    arguments:  (key, name in code, whether the axes are exchanged) of inputs and targets.
    shapes:     of one example of each argument, by key.
    wrt:        key of the gradient by the key of what it belongs to.
    step:       the name of the number that all gradients are multiplied by; "" where no step is folded in.
    factor:     what the learning rate is multiplied by to give it, or None.
    uphill:     whether the objective is to be maximised.
    taken:      names that a target may not give to things of its own.
    update:     text of a function that makes the optimizer's update, which `build` is given; the gradients are then as
                they are, or those of the negative of an objective to be maximised. "" where the step is P - G.
    """

    title: str
    graph: Graph
    listing: Listing
    buffers: dict[str, Buffer]
    costs: Costs
    passes: frozenset[str]
    dtype: str
    count: Expr
    objective: str
    arguments: tuple[tuple[str, str, bool], ...]
    parameters: tuple[str, ...]
    blocks: tuple[Block, ...]
    gradients: tuple[Block, ...]
    step: str
    factor: Expr | None
    uphill: bool
    taken: frozenset[str]
    shapes: dict[str, tuple[int, ...]]
    wrt: dict[str, str]
    update: str = ""

    @cached_property
    def descents(self) -> frozenset[str]:
        """Names of the blocks that instructions move; G then has one entry more, 0 only where none of them did."""
        return descents(self.listing)

    @property
    def entries(self) -> int:
        """How many entries G has."""
        return max((block.last for block in self.gradients), default=0) + bool(self.descents)

    @property
    def bytes(self) -> int:
        """Of memory that is made once, for the batch size that was planned."""
        itemsize = np.dtype(self.dtype).itemsize
        buffers = {id(buffer): buffer for buffer in self.buffers.values() if not buffer.fixed}.values()
        made = sum(self.graph.size(b.shape) * (1 if b.is_truth else itemsize) for b in buffers)
        return made + (self.entries + max((block.last for block in self.blocks), default=0)) * itemsize

    def views(self, flat: NDArray) -> dict[str, NDArray]:
        """The parameters in a flat vector, by key."""
        found = {}
        for block in self.blocks:
            array = block.view(flat)
            if block.name not in self.graph.joint:
                found[block.name] = array
                continue
            weights, bias = self.graph.joint[block.name]
            by_inputs = array.T if block.is_turned else array
            found[weights] = by_inputs[:-1].T if block.is_turned else by_inputs[:-1]
            found[bias] = by_inputs[-1]
        return {key: found[key] for key in self.parameters}

    def gradient_views(self, flat: NDArray) -> dict[str, NDArray]:
        """The gradients in a flat vector, by key of what they belong to."""
        views = {block.name: block.view(flat) for block in self.gradients}
        return {key: views[gradient] for key, gradient in self.wrt.items()}

    def argument_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of one example of each argument."""
        return tuple(self.shapes[key] for key, _, _ in self.arguments)
