"""Passes: named optimisations on the way from equations to code that repeats itself without allocating.

Each changes how numbers are computed, none changes the numbers beyond rounding. A pass works on equations
(`equations`, `weights`), on nodes of arrays (`rewriting`, `bias`), on instructions (`fused_update`) or on where arrays
lie (`buffers`); a few are choices of the text (`targets/stepper_source`) or of memory (`codegen/memory`). `planning`
runs them in their order. Where a pass need not pay, a cost in microseconds decides, estimated from shapes in `costs`.
"""

from codegen.passes.table import ALL, PASSES, Pass, without

__all__ = ["ALL", "PASSES", "Pass", "without"]
