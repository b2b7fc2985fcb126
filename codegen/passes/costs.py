"""What decides whether a pass pays: microseconds, estimated from shapes. Only their differences matter.

Measured with NumPy 2.4 on a Zen 5 core: a call with equal shapes costs 0.3 us, a broadcast one 0.9; an entry costs
0.1 ns when read and written in order, 0.3 when broadcast along rows, and 1.0 when copied to the other order of axes.
A product of matrices does 100 multiplications and additions a nanosecond in float32, half as many in float64, and 5 %
fewer where rows do not begin at multiples of a cache line.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.arrays import Node
from codegen.passes.graph import Graph
from codegen.passes.instructions import Listing

CALL, BROADCAST_CALL, PRODUCT_CALL = 0.3, 0.9, 0.3
IN_ORDER, ACROSS, TURNED = 1e-4, 3e-4, 1e-3
MULTIPLICATIONS = 1e5 * 4  # a microsecond, times bytes of an entry
UNALIGNED = 0.05


@dataclass(frozen=True)
class Costs:
    """The cost model for one batch size and dtype."""

    batch_size: int
    itemsize: int

    def fold_pays(self, graph: Graph, affine: Node, inputs: Node, is_made_here: bool) -> bool:
        """Whether to fold a bias: it saves a broadcast sum and a product with ones; an input that is not made
        here must be copied to get its row of ones; and the three products with W are of a matrix whose rows have
        one entry more, which matters where they are large.
        """
        saved = BROADCAST_CALL + PRODUCT_CALL + (ACROSS + IN_ORDER) * graph.size(affine.shape)
        copied = 0.0 if is_made_here else CALL + TURNED * graph.size(inputs.shape)
        multiplications = 2 * graph.size((*affine.shape, inputs.shape[0]))
        slower = 3 * UNALIGNED * multiplications * self.itemsize / MULTIPLICATIONS
        return saved > copied + slower

    def estimate(self, graph: Graph, listing: Listing) -> float:
        """Microseconds of one step: a call an instruction, its entries, and the products of matrices."""
        total = 2.0
        for instruction in listing.instructions:
            total += CALL + IN_ORDER * graph.size(instruction.shape)
            if instruction.op == "matmul":
                multiplications = 2 * graph.size((*instruction.shape, instruction.operands[0].shape[-1]))
                total += multiplications * self.itemsize / MULTIPLICATIONS
        return total

    def constant_pays(self, op: str, size: int) -> bool:
        """Whether one number as an operand should be a whole array: NumPy has no fast loop for the extremum of an
        array and a number in float32.
        """
        return op in ("maximum", "minimum")
