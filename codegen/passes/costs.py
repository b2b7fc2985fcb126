"""What decides whether a pass pays: microseconds, estimated from shapes. Only their differences matter.

Measured with NumPy 2.4 and OpenBLAS on one core of a Sapphire Rapids Xeon: a call costs 0.35 us; an entry 0.025 ns a
byte where both operands lie in order, twice as much where one is broadcast, and each row of a broadcast operand 20 ns
more. A product of matrices does 100 multiplications and additions a nanosecond in float32, half as many in float64.
With AVX-512 OpenBLAS multiplies small matrices by functions of their own, of which that for A B^T takes 1.85 times as
long as that for A B in float32; for larger ones, and on other processors, the four cases differ little. A product is
5 % slower where rows do not begin at multiples of a cache line. A gradient that is written, and read again by the
update, costs 55 ps a byte. Where BLAS subtracts a product from the weights itself it is called through ctypes, which
takes 0.7 us longer than NumPy's call, and 4 us more where the place of a factor is to be found out each time. An outer
product stays a product of matrices: NumPy's dot takes a third of the time of a multiplication with one operand upright.

NumPy has loops for several sets of instructions. With AVX-512 an entry's tanh takes no longer than its exp; with AVX2,
where coefficients are gathered one by one, twice as long and more (measured on a Zen 3 EPYC).
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.arrays import Node
from codegen.passes.graph import Either, Graph
from codegen.passes.instructions import Listing
from codegen.passes.processor import Processor

CALL, ROW = 0.35, 0.02
IN_ORDER, ACROSS, SUMMED = 2.5e-5, 5e-5, 2e-5  # a byte
MULTIPLICATIONS = 1e5 * 4  # a microsecond, times bytes of an entry
UNALIGNED = 0.05
UPDATED, FOREIGN_CALL, FOUND_PLACE = 5.5e-5, 0.7, 2.0
# A byte that is copied to the other order of axes, in a matrix that the nearest cache holds and in a larger one.
TURNED, TURNED_FAR, NEAREST = 1e-4, 2.5e-4, 2**15
# How much longer than A B a product takes, by which of its factors is transposed: up to SMALL multiplications in
# float32 and in float64, and above; the second where there are no functions for small products (on Zen 3).
SMALL = 1e6
SLOWER_SMALL = {
    (False, False): (0.0, 0.0, 0.0),
    (True, False): (0.03, 0.03, 0.01),
    (False, True): (0.85, 0.45, 0.03),
    (True, True): (0.12, 0.08, 0.05),
}
SLOWER = {
    (False, False): (0.0, 0.0, 0.0),
    (True, False): (0.0, 0.0, 0.01),
    (False, True): (0.06, 0.02, 0.02),
    (True, True): (0.07, 0.01, 0.03),
}
# What an entry costs with AVX2, by its bytes.
TANH, EXP = {4: 2.7e-3, 8: 14e-3}, {4: 1.4e-3, 8: 5.5e-3}
EXTREMUM = 0.5  # to find the largest entry
NEAR, NEAR_CALLS = 8e-4, 7  # an entry, and calls, to find those near 0 and to compute them apart
WORTH = 0.9  # of the time, at most, for a way that is harder to read
# How much longer than a call one is that broadcasts, and how many times longer multiplications take with few rows.
BROADCAST, FEW_ROWS = 0.5, 4


@dataclass(frozen=True)
class Costs:
    """The cost model for one batch size, dtype and processor."""

    batch_size: int
    itemsize: int
    processor: Processor

    def product(self, rows: int, columns: int, inner: int, transposed: tuple[bool, bool]) -> float:
        """A product of two matrices, of which some are transposed."""
        multiplications = rows * columns * inner
        table = SLOWER_SMALL if self.processor.has_small_products else SLOWER
        slower = table[transposed][2 if multiplications > SMALL else self.itemsize // 4 - 1]
        return CALL + (1 + slower) * 2 * multiplications * self.itemsize / MULTIPLICATIONS

    def turning(self, entries: int) -> float:
        """A matrix copied to the other order of axes."""
        size = entries * self.itemsize
        return CALL + (TURNED if size <= NEAREST else TURNED_FAR) * size

    def bias(self, units: int) -> float:
        """A bias added to each column, and its gradient as a product with ones."""
        entries = units * self.batch_size * self.itemsize
        return 2 * CALL + ROW * units + (ACROSS + SUMMED) * entries

    def folded_bias(self, units: int, inputs: int, is_made_here: bool) -> float:
        """What the row of ones costs in the two products of the weights with an input; one that is not made here must
        be copied first, with the ones as a last column, and rows then begin anywhere.
        """
        longer = 2 * 2 * units * self.batch_size * self.itemsize / MULTIPLICATIONS
        if is_made_here:
            return longer
        multiplications = 2 * units * inputs * self.batch_size
        unaligned = 2 * UNALIGNED * multiplications * self.itemsize / MULTIPLICATIONS * (multiplications > SMALL)
        return longer + unaligned + CALL + ROW / 2 * self.batch_size + ACROSS * inputs * self.batch_size * self.itemsize

    def update(self, entries: int) -> float:
        """A gradient's way through memory: written by its product, subtracted from the parameters."""
        return UPDATED * entries * self.itemsize

    def descent(self, is_given: bool) -> float:
        """What a product that subtracts from the weights costs above one that makes the gradient; is_given: one of its
        factors lies in a caller's memory.
        """
        return FOREIGN_CALL + FOUND_PLACE * is_given

    def equal_shapes(self, rows: int, columns: int) -> bool:
        """Whether sums over rows are better made as a whole matrix: a longer product of few rows, for an operation of
        which no operand is broadcast.
        """
        longer = FEW_ROWS * 2 * rows * (rows - 1) * columns * self.itemsize / MULTIPLICATIONS
        return longer < BROADCAST + ROW / 2 * rows

    def takes_usual(self, either: Either, entries: int) -> bool:
        """Whether the usual way to compute so many entries gains enough, with a look at the extreme one and what it
        costs to find those near 0. Only what NumPy's tanh costs differs so much between processors.
        """
        if not self.processor.gathers:
            return False
        finding = EXTREMUM + (NEAR_CALLS * CALL + NEAR * entries) * bool(either.near)
        return self._chain(either.usual, entries) + finding < WORTH * self._chain(either.otherwise, entries)

    def _chain(self, root: Node, entries: int) -> float:
        """Operations one after the other on arrays of so many entries, with AVX2."""
        dear = {"tanh": TANH, "exp": EXP}
        operations = [node.op for node in root.walk() if node.op not in ("tensor", "number")]
        each = [dear[op][self.itemsize] if op in dear else IN_ORDER * self.itemsize for op in operations]
        return CALL * len(operations) + sum(each) * entries

    def estimate(self, graph: Graph, listing: Listing) -> float:
        """Microseconds of one step: a call an instruction, its entries, and the products of matrices."""
        total = 2.0
        for instruction in listing.instructions:
            total += CALL + IN_ORDER * self.itemsize * graph.size(instruction.shape)
            if instruction.op == "matmul" and instruction.scalar is None:
                multiplications = 2 * graph.size((*instruction.shape, instruction.operands[0].shape[-1]))
                total += multiplications * self.itemsize / MULTIPLICATIONS
        return total


def constant_pays(op: str) -> bool:
    """Whether one number as an operand should be a whole array: NumPy has no fast loop for the extremum of an array
    and a number in float32.
    """
    return op in ("maximum", "minimum")


def overwriting_pays(entries: int) -> bool:
    """Whether an operation on arrays of so many entries should write over one of them: NumPy takes 0.4 us longer to do
    so with a single number.
    """
    return entries != 1
