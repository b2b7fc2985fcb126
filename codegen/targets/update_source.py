"""The NumPy target for an optimizer's rule: as a pure function, and as code that writes over its arguments."""

from __future__ import annotations

from sympy import Integer

from codegen.arrays import ArrayProgram
from codegen.lowering import lower
from codegen.passes.buffers import allocate
from codegen.passes.graph import Graph
from codegen.passes.instructions import Instruction, Operand, listing
from codegen.targets.expressions import equation_text, expression
from codegen.targets.function_source import INDENT
from codegen.targets.ufuncs import UFUNCS, call, numpy_name
from symbolic.errors import LoweringError
from symbolic.programs import Program

# Entries that are brought up to date at a time, so that they stay in the cache from the first operation to the last.
BLOCK = 16384
ABOUT = '''

def build_update({given}, count, empty):
    """update(eta): one step of the optimizer. P: all parameters. G: the gradients that they go down.

    It writes over {slots}, and the number of steps done over count[0].
    """
'''


def rule_source(rule: Program, slots: tuple[str, ...]) -> str:
    """A module with the function rule(theta, g, *slots, eta, t), which returns a list of the new theta and slots."""
    outputs = _outputs(slots)
    lines = ["import numpy as np", "", "", f"def rule(theta, g, {''.join(slot + ', ' for slot in slots)}eta, t):"]
    for assignment in _assembled(rule, outputs).assignments:
        text = expression(assignment.node, {})
        if assignment.equation is not None:
            lines.append(f"{INDENT}# {equation_text(assignment.equation)}")
        # A scalar of NumPy's would make float64 of float32.
        lines.append(f"{INDENT}{assignment.name} = {text if assignment.node.shape else f'float({text})'}")
    return "\n".join([*lines, f"{INDENT}return [{', '.join(outputs)}]"]) + "\n"


def update_source(rule: Program, slots: tuple[str, ...], entries: int) -> str:
    """The function build_update(P, G, *slots, count, empty), whose arrays are vectors of `entries` entries. It returns
    update(eta), which allocates nothing.

    Raises:
        LoweringError: a rule that is not computed entry by entry.
    """
    return _Writer(rule, slots, entries).source()


def _outputs(slots: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}_next" for name in ("theta", *slots))


def _assembled(rule: Program, outputs: tuple[str, ...]) -> ArrayProgram:
    return lower(rule.equations, rule.tensors, rule).function(outputs, frozenset(rule.tensors))


class _Writer:
    def __init__(self, rule: Program, slots: tuple[str, ...], entries: int) -> None:
        self.rule, self.slots, self.entries = rule, slots, entries
        outputs = _outputs(slots)
        self.over = dict(zip(outputs, ("theta", *slots), strict=True))
        self.listing = listing(_assembled(rule, outputs), Graph({}, {}, outputs), ())
        if self.listing.dots or any(i.scalar is None and i.op not in UFUNCS for i in self.listing.instructions):
            raise LoweringError("an update must be computed entry by entry")
        extent = {size: Integer(entries) for size in rule.tensors["theta"].shape}
        self.buffers = allocate(self.listing, frozenset(outputs), extent, lambda shape: True, True, self.over)
        self.setup: dict[str, str] = {}
        self.spares: dict[int, str] = {}
        self.numbers: dict[str, str] = {}

    def source(self) -> str:
        before, inside = ["t = int(count[0]) + 1", "count[0] = t"], []
        for instruction in self.listing.instructions:
            lines = [f"# {equation_text(self.rule.definitions[key])}" for key in instruction.equations]
            if instruction.scalar is not None:
                before += [*lines, f"{instruction.result} = float({expression(instruction.scalar, {})})"]
            else:
                inside += [*lines, self._statement(instruction)]
        before += [f"{array}[()] = {name}" for name, array in self.numbers.items()]
        names = ", ".join(("theta", "g", *self.slots, *self.spares.values()))
        lines = ["dtype = P.dtype", *(f"{name} = {text}" for name, text in self.setup.items()), *self._blocks()]
        lines += ["", "def update(eta):", *(INDENT + line for line in before), f"{INDENT}for {names} in blocks:"]
        lines += [*(2 * INDENT + line for line in inside), "", "return update"]
        given, slots = ", ".join(("P", "G", *self.slots)), ", ".join(("P", *self.slots))
        return ABOUT.format(given=given, slots=slots) + "\n".join((INDENT + line).rstrip() for line in lines) + "\n"

    def _blocks(self) -> list[str]:
        """The blocks of every vector, and as much spare memory as one of them."""
        size = min(BLOCK, self.entries)
        parts = [f"{vector}[first : first + {size}]" for vector in ("P", "G", *self.slots)]
        parts += [f"{name}[: {self.entries} - first]" for name in self.spares.values()]
        made = [f"{name} = empty(({size},), dtype)" for name in self.spares.values()]
        each = ["(", *(f"{INDENT}{part}," for part in parts), ")", f"for first in range(0, {self.entries}, {size})"]
        return [*made, "blocks = [", *(INDENT + line for line in each), "]"]

    def _statement(self, instruction: Instruction) -> str:
        op, out = instruction.op, self._memory(instruction.result)
        function = self._once(f"np_{numpy_name(op)}", f"np.{numpy_name(op)}")
        return call(op, function, [self._operand(operand) for operand in instruction.operands], out)

    def _memory(self, name: str) -> str:
        buffer = self.buffers.get(name)
        if buffer is None:
            return name
        if buffer.fixed:
            return self.over[buffer.fixed]
        return self.spares.setdefault(id(buffer), f"spare_{len(self.spares) + 1}")

    def _operand(self, operand: Operand) -> str:
        """An array; a number as an array of the same dtype, which NumPy reads faster than a Python float."""
        if operand.node is not None:
            text = expression(operand.node, {})
            return self._once("c_" + "".join(c if c.isalnum() else "_" for c in text), f"np.array({text}, dtype)")
        if operand.shape:
            return self._memory(operand.name)
        self.numbers[operand.name] = self._once(f"c_{operand.name}", "np.empty((), dtype)")
        return self.numbers[operand.name]

    def _once(self, name: str, text: str) -> str:
        self.setup[name] = text
        return name
