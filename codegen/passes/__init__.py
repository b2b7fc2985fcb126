"""Passes: named optimisations on the way from equations to code that repeats itself without allocating.

Each changes how numbers are computed, none changes the numbers beyond rounding. A pass works on equations
(`equations`), on nodes of arrays (`rewriting`, `bias`, `softmax`) or on instructions (`instructions`, `buffers`).
What decides whether one runs is a cost in microseconds, estimated from shapes in `costs`.
"""

from codegen.passes.table import ALL, PASSES, Pass, without

__all__ = ["ALL", "PASSES", "Pass", "without"]
