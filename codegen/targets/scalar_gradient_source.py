"""Loss and gradients of one example of a tiny network, as plain Python on floats."""

from __future__ import annotations

import ast
import math
import textwrap
from collections.abc import Sequence

import numpy as np

from codegen.targets.scalar_source import BUILTINS, INDENT, NODES, check_tree, head_of, import_fault, wrapped
from codegen.unrolled_step import Plan, pattern, unrolled_step

ABOUT = '"""The loss of arrays with one example; None, with nothing written, where one is not of this dtype."""'


def scalar_gradient_source(planned: Plan, keys: Sequence[str]) -> str:
    """A module with loss_and_gradients(params, X, Y, float64, pack, memory), checked against the whitelist.

    pack is that of a struct of as many doubles as there are parameters; it puts the gradients of `keys` into memory.
    """
    step = unrolled_step(planned, rate=False)
    elements, first, patterns = np.array(step.parameters, dtype=object), 0, []
    changes: dict[str, tuple[str, ...]] = {}
    for key, shape in planned.parameters.items():
        last = first + math.prod(shape)
        patterns.append(pattern(elements[first:last].reshape(shape)) if shape else step.parameters[first])
        changes[key] = step.changes[first:last]
        first = last
    # No element is called like this.
    names = [f"_{place}" for place in range(len(patterns))]
    arrays = [*zip(names, patterns, strict=True), ("X", pattern(step.input)), ("Y", pattern(step.target))]
    dtypes = " is ".join(f"{name}.dtype" for name, _ in arrays)
    values = ", ".join(f'params["{key}"]' for key in planned.parameters)
    gradients = ", ".join(change for key in keys for change in changes[key])
    lines = [
        ABOUT,
        *wrapped(f"{', '.join(names)}{',' * (len(names) == 1)} = ({values}{',' * (len(names) == 1)})", ""),
        *wrapped(f"if not ({dtypes} is float64):", ""),
        f"{INDENT}return None",
        *(line for name, taken_apart in arrays for line in wrapped(f"{taken_apart} = {name}.tolist()", "")),
        *(line for block in step.body for line in block),
        *wrapped(f"pack(memory, 0, {gradients})", ""),
        f"return {step.loss}",
    ]
    body = textwrap.indent("\n".join(lines), INDENT)
    text = head_of(planned, step, "loss and gradients of one example")
    text += f"\n\ndef loss_and_gradients(params, X, Y, float64, pack, memory):\n{body}\n"
    check_tree(text, (*NODES, ast.Subscript), BUILTINS, import_fault, _attribute_fault)
    return text


def _attribute_fault(node: ast.Attribute) -> bool:
    return node.attr not in ("dtype", "tolist")
