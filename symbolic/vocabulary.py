"""What the formulas of a page are about: tensors, the names of functions, the examples' axis, loss, cost and output.

A vocabulary is read off a network, a program or a derivation, or, where nobody names one, off the formula itself: the
tensors of a dense network have names that everybody knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sympy import Basic, Expr, Indexed, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.depth import DEPTH, LAYER, Label, label_of_width, label_text, width
from symbolic.errors import UsageError
from symbolic.latex import LatexPrinter
from symbolic.matrices import ArrayOf
from symbolic.notation import Notation
from symbolic.programs import Program, per_example_loss
from symbolic.tensors import FunctionName, Tensor, elements, index, key_of, size

# A Network, Program or Derivation, or a Vocabulary itself.
Source: TypeAlias = Any

EXAMPLE = index("p")
_KEY = re.compile(r"(adj_[a-z]+|delta|each_dW|each_db|dW|db|ell|[xyWbzaJ])(\d+|\[(depth|layer)([+-]\d+)?\])?\Z")
_ROLES = {
    "x": "input", "y": "target", "W": "parameter", "b": "parameter", "z": "preactivation", "a": "activation",
    "ell": "loss", "J": "cost", "delta": "adjoint", "dW": "gradient", "db": "gradient",
}  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """tensors:   by key, derivatives included.
    functions: by the key of the tensor that an equation defines, the name of the function that it applies.
    example:   the index of the examples' axis, or None.
    loss, objective: what is differentiated: the loss of one example, and the objective.
    output:    the key of the network's output, or None.
    program:   the equations that it was read off, or None.
    """

    tensors: Mapping[str, Tensor]
    functions: Mapping[str, FunctionName] = field(default_factory=dict)
    example: Symbol | None = None
    loss: Tensor | None = None
    objective: Tensor | None = None
    output: str | None = None
    program: Program | None = None

    @classmethod
    def of(cls, program: Program, tensors: Mapping[str, Tensor] | None = None) -> Vocabulary:
        """The vocabulary of a program; `tensors`: those of a derivation as well."""
        known = dict(program.tensors) if tensors is None else dict(tensors)
        functions = {e.tensor.key: e.function for e in program.equations if e.function is not None}
        loss = per_example_loss(program)
        return cls(known, functions, program.example, loss, known[program.objective], _output(program), program)

    def printer(self, notation: Notation) -> LatexPrinter:
        """A printer of expressions about these tensors."""
        return LatexPrinter(
            notation, self.tensors, self.functions, self.example, self.loss, self.objective, self.output
        )


def vocabulary_of(source: Source | None, *expressions: Basic) -> Vocabulary:
    """The vocabulary of a Network, Program or Derivation; of a dense network with the usual names, if there is none.

    Raises:
        UsageError: it is none of these, or an expression is about a tensor that has no usual name.
    """
    if source is None:
        return _usual(expressions)
    if isinstance(source, Vocabulary):
        return source
    program = source if isinstance(source, Program) else getattr(source, "program", None)
    if callable(program):
        program = program()
    if not isinstance(program, Program):
        raise UsageError(f"of must be a Network, a Program or a Derivation, not {type(source).__name__}")
    return Vocabulary.of(program, getattr(source, "tensors", None))


def _output(program: Program) -> str | None:
    """The one activation that the loss is computed from, or that each output's loss is where they are added up."""
    key = per_example_loss(program).key
    while True:
        keys = dict.fromkeys(key_of(element) or "" for element in elements(program.definitions[key].rhs))
        found = [key for key in keys if program.tensors[key].role == "activation"]
        parts = [key for key in keys if program.tensors[key].role == "loss" and key in program.definitions]
        if found or len(parts) != 1:
            return found[0] if len(found) == 1 else None
        key = parts[0]


def _usual(expressions: tuple[Basic, ...]) -> Vocabulary:
    ranks: dict[str, tuple[int, bool]] = {}
    for expression in expressions:
        walk = preorder_traversal(expression)
        for node in walk:
            if isinstance(node, (Indexed, ArrayOf)):
                walk.skip()
            if isinstance(node, ArrayOf):
                ranks.setdefault(node.key, (-1, node.example is not None))
            elif isinstance(node, (Indexed, Symbol)) and key_of(node) is not None:
                positions = node.indices if isinstance(node, Indexed) else ()
                ranks[key_of(node) or ""] = (len(positions), EXAMPLE in positions[:1])
    examples = any(carried for _, carried in ranks.values())
    tensors = {key: usual_tensor(key, examples) for key in ranks if not key.startswith("t_")}
    for key in [tensor.of for tensor in tensors.values() if tensor.of]:
        tensors.setdefault(key, usual_tensor(key, examples))
    for symbol in sorted({symbol for expression in expressions for symbol in expression.free_symbols}, key=str):
        label = label_of_width(symbol)
        if label is not None:  # a width is written as such where nothing is said of its layer but how wide it is
            key = "x" if label == 0 else f"a{label_text(label)}"
            tensors.setdefault(key, usual_tensor(key, examples))
    tensors.setdefault("ell", usual_tensor("ell", examples))
    tensors.setdefault("J", usual_tensor("J", examples))
    return Vocabulary(tensors, {}, EXAMPLE if examples else None, tensors["ell"], tensors["J"])


def usual_tensor(key: str, examples: bool) -> Tensor:
    """The tensor that a key means in a dense network, such as z1 or delta[layer+1].

    Raises:
        UsageError: it is the key of none.
    """
    match = _KEY.match(key)
    if match is None:
        raise UsageError(f"{key} is no tensor of a dense network; say what it belongs to, as in write(..., of=program)")
    name, label = match.group(1), _label(match)
    j, s = index("j"), index("s")
    batch: tuple[tuple[Symbol, Expr], ...] = ((EXAMPLE, size("N")),) if examples else ()
    units: tuple[tuple[Symbol, Expr], ...] = ()
    if name in ("W", "dW", "each_dW") and label is not None:
        units = ((j, width(label)), (s, width(label - 1)))
    elif name in ("b", "db", "each_db", "z", "a", "delta") or name.startswith("adj_"):
        units = ((j, width(DEPTH if label is None else label)),)
    elif name in ("x", "y"):
        units = ((j, width(0 if name == "x" else DEPTH)),)
    if name not in ("W", "b", "dW", "db", "J"):
        units = (*batch, *units)
    suffix = key[len(name) :]
    of = {"delta": "z", "dW": "W", "db": "b", "each_dW": "W", "each_db": "b"}.get(name, name.removeprefix("adj_"))
    role = _ROLES.get(name, "gradient" if name.startswith("each_") else "adjoint")
    return Tensor(
        name, role, label, tuple(n for _, n in units), tuple(letter for letter, _ in units),
        of=f"{of}{suffix}" if role in ("adjoint", "gradient") else None,
    )  # fmt: skip


def _label(match: re.Match[str]) -> Label | None:
    text = match.group(2)
    if text is None or text.isdigit():
        return None if text is None else int(text)
    return (DEPTH if match.group(3) == "depth" else LAYER) + int(match.group(4) or 0)
