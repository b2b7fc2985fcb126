"""Loss and gradients of one example of a tiny network, as plain Python on floats."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence

import numpy as np

from codegen.memory import views
from codegen.targets.scalar_source import BUILTINS, INDENT, NODES, check_tree, head_of, import_fault, wrapped
from codegen.unrolled_step import Plan, pattern, unrolled_step

ABOUT = """def build(pack, memory, float64):
    \"\"\"loss_and_gradients for arrays of one example.

    pack: puts so many doubles into memory, from a place on. float64: the dtype that all arrays must have.
    \"\"\"

    def loss_and_gradients(params, X, Y):
        \"\"\"The loss; None, with nothing written, where the arrays are others than they must be.\"\"\"
"""


def scalar_gradient_source(planned: Plan, keys: Sequence[str]) -> str:
    """A module with build(pack, memory, float64), checked against the whitelist, that returns the function
    loss_and_gradients(params, X, Y).

    pack is that of a struct of as many doubles as there are parameters; it puts the gradients of `keys` into memory.
    """
    step = unrolled_step(planned, rate=False)
    elements, changes = (
        views(np.array(texts, dtype=object), planned.parameters) for texts in (step.parameters, step.changes)
    )
    patterns = [pattern(array) if array.shape else array.item() for array in elements.values()]
    # No element is called like this.
    names = [f"_{place}" for place in range(len(patterns))]
    arrays = [*zip(names, patterns, strict=True), ("X", pattern(step.input)), ("Y", pattern(step.target))]
    # Faster than one chain of comparisons.
    dtypes = " and ".join(f"{name}.dtype is float64" for name, _ in arrays)
    gradients = ", ".join(change for key in keys for change in changes[key].flat)
    lines = [
        f"if len(params) != {len(names)}:",
        f"{INDENT}return None",
        *(f'{name} = params["{key}"]' for name, key in zip(names, planned.parameters, strict=True)),
        *wrapped(f"if not ({dtypes}):", ""),
        f"{INDENT}return None",
        *(line for name, taken_apart in arrays for line in wrapped(f"{taken_apart} = {name}.tolist()", "")),
        *(line for block in step.body for line in block),
        *wrapped(f"pack(memory, 0, {gradients})", ""),
        f"return {step.loss}",
    ]
    body = textwrap.indent("\n".join(lines), 2 * INDENT)
    text = head_of(planned, step, "loss and gradients of one example")
    text += f"\n\n{ABOUT}{body}\n\n{INDENT}return loss_and_gradients\n"
    check_tree(text, (*NODES, ast.Subscript), BUILTINS, import_fault, _attribute_fault)
    return text


def _attribute_fault(node: ast.Attribute) -> bool:
    return node.attr not in ("dtype", "tolist")
