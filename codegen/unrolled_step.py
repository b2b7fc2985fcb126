"""One step of gradient descent as statements about single numbers, which more than one target writes down.

Learning rate and mean are taken in at the output, see `unrolled.Scaled`. What is used once stands in the expression
that uses it; what is used more than once, what Python may refuse to compute (a division, a function), and what would
nest too deep gets a name. Everything that is named is computed before the first parameter moves, so that a step that
fails leaves the parameters as they were.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sympy import Expr, Integer

from codegen.arrays import ArrayProgram
from codegen.initialization import checked_count
from codegen.scalar_text import CALLS, FALLIBLE, REPEATED, text
from codegen.scalars import Scalar, Table, walk
from codegen.scaling import Scaled
from codegen.signature import Argument, signature
from codegen.source import array_programs
from codegen.targets.expressions import equation_text
from codegen.unrolled import Unroller, operations
from symbolic.derivation import Derivation
from symbolic.errors import UsageError
from symbolic.tensors import Tensor

WIDTH = 110
DEEPEST = 25  # operations inside one another in one expression
RATE = "rate"
# Names that the text around the statements uses.
OWN = frozenset({
    RATE, "parameters", "xs", "ys", "losses", "idle", "epoch", "stepping", "count", "numbers", "order", "zip", "len",
    "float", "float64", "np", "njit", "math", "step", "place", "loss", "range", "theta", "X", "Y",
    "params", "build", "pack", "memory", "loss_and_gradients", *CALLS.values(),
})  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a derivation is for a target that trains: its arrays, its sizes, and one array program.

    tensors, argument: the input and the target, with what the signature says of them.
    parameters:        in the order of the flat vector, with their shapes.
    gradients:         key of each parameter's gradient.
    """

    derivation: Derivation
    batch_size: int
    program: ArrayProgram
    input: Argument
    target: Argument
    parameters: dict[str, tuple[int, ...]]
    gradients: dict[str, str]
    sizes: dict[Expr, Expr]

    def size(self, extent: Expr) -> int:
        number = extent.xreplace(self.sizes)
        if not number.is_Integer:
            raise UsageError(f"size {extent} has no number; give the network numbers for its sizes")
        return int(number)

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        return self.shape_of(tensor.shape)

    def shape_of(self, extents: tuple[Expr, ...]) -> tuple[int, ...]:
        return tuple(self.size(extent) for extent in extents)

    @property
    def operations(self) -> int:
        """Operations on single numbers in one step."""
        return operations(self.program, self.size) + 2 * sum(math.prod(shape) for shape in self.parameters.values())


def plan(derivation: Derivation, batch_size: int) -> Plan:
    """Raises UsageError where this is no derivation that can be trained by steps, LoweringError without array form."""
    if not isinstance(derivation, Derivation):
        raise UsageError(f"a Derivation is needed, not a {type(derivation).__name__}; derive first")
    batch_size = checked_count("batch size", batch_size)
    program = derivation.program
    contract = signature(derivation)
    inputs = contract.inputs
    targets = tuple(argument for argument in contract.arguments if argument.target)
    if program.example is None or len(inputs) != 1 or len(targets) != 1:
        raise UsageError("a step needs a cost over many examples with one input and one target; this program has not")
    tensors = derivation.tensors
    leaves = [tensors[argument.key] for argument in (inputs[0], targets[0])]
    for leaf in leaves:
        if leaf.indices[:1] != (program.example,):
            known = ", ".join(map(str, leaf.indices)) or "none"
            raise UsageError(
                f"the indices of {leaf.key} are {known}; declare it with {program.example}, that of the examples, first"
            )
    sizes: dict[Expr, Expr] = {symbol: Integer(number) for symbol, number in program.sizes.items()}
    count = leaves[0].shape[0]
    if count.xreplace(sizes) not in (count, Integer(batch_size)):
        raise UsageError(f"the program is for {count.xreplace(sizes)} examples, not for {batch_size}")
    sizes[count] = Integer(batch_size)
    without = [tensor.key for tensor in program.parameters if tensor.key not in derivation.gradients]
    if without:
        raise UsageError(f"the gradient of {without[0]} was not derived; derive with respect to all parameters")
    made = Plan(
        derivation=derivation,
        batch_size=batch_size,
        program=array_programs(derivation, contract)["loss_and_gradients"],
        input=inputs[0],
        target=targets[0],
        parameters={},
        gradients={tensor.key: contract.gradients[tensor.key] for tensor in program.parameters},
        sizes=sizes,
    )
    made.parameters.update((tensor.key, made.shape(tensor)) for tensor in program.parameters)
    return made


@dataclass(frozen=True)
class Block:
    """Statements with the equations they compute above them."""

    comments: tuple[str, ...]
    lines: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        for comment in self.comments:
            yield from textwrap.wrap(
                comment, WIDTH, initial_indent="# ", subsequent_indent="#     ", break_long_words=False,
                break_on_hyphens=False,
            )  # fmt: skip
        for line in self.lines:
            yield from folded(line)


def folded(line: str) -> list[str]:
    """A long statement in parentheses over several lines."""
    if len(line) <= WIDTH:
        return [line]
    head, sign, body = line.partition("= ")
    rows = textwrap.wrap(body, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return [f"{head}{sign}(", *("    " + row for row in rows), ")"]


@dataclass(frozen=True)
class UnrolledStep:
    """One step, written out.

    parameters:   names of all parameters' elements, in the order of the flat vector.
    input, target: nested names of the elements, examples first.
    body:         what is computed before a parameter moves.
    loss:         text of the objective.
    idle:         texts of: a gradient is exactly zero; what is computed anyway comes first.
    updates:      the parameters' moves.
    changes:      texts of what each parameter moves by, in the same order; the gradients where there is no rate.
    functions:    the functions of the math module that are called.
    """

    parameters: tuple[str, ...]
    input: NDArray
    target: NDArray
    body: tuple[Block, ...]
    loss: str
    idle: tuple[str, ...]
    updates: tuple[Block, ...]
    changes: tuple[str, ...]
    functions: tuple[str, ...]


def unrolled_step(plan: Plan, guarded: bool = False, rate: bool = True) -> UnrolledStep:
    """One step of `plan`, every element a variable.

    guarded: parameters whose gradient has a factor that is often exactly 0 move only where it is not.
    rate:    whether the learning rate is taken in.
    """
    return _Writer(plan, guarded, rate).written()


class _Writer:
    def __init__(self, plan: Plan, guarded: bool, rate: bool) -> None:
        self.plan = plan
        self.guarded = guarded
        self.rate = rate
        self.table = Table()
        self.unroller = Unroller(self.table, plan.size)
        self.taken = set(OWN)
        self.names: dict[Scalar, str] = {}
        self.emitted: set[Scalar] = set()
        self.spare = 0

    def written(self) -> UnrolledStep:
        plan, derivation = self.plan, self.plan.derivation
        leaves = {
            key: self._leaf(derivation.tensors[key]) for key in (*plan.parameters, plan.input.key, plan.target.key)
        }
        arrays = self.unroller.run(plan.program, leaves)
        arrays = {name: np.asarray(self.unroller.function("cast", 1)(array)) for name, array in arrays.items()}
        linear = {
            scalar
            for name, array in arrays.items()
            if name in derivation.tensors and derivation.tensors[name].role == "adjoint"
            for scalar in array.flat
        }
        scaled = Scaled(self.table, linear)
        factor = self.table.leaf(RATE)
        moves: dict[str, list[tuple[Scalar, Scalar]]] = {}
        for key, gradient in plan.gradients.items():
            moves[key] = [
                (mine, scaled.times(change, factor) if self.rate else change)
                for mine, change in zip(leaves[key].flat, arrays[gradient].flat, strict=True)
            ]
        loss = arrays[derivation.program.objective].item()
        changes = [change for pairs in moves.values() for _, change in pairs]
        self._choose_names([loss, *changes], moves)
        body = tuple(self._body(arrays, scaled, changes, loss))
        idle = sorted(dict.fromkeys(changes), key=lambda scalar: (scalar not in self.names, scalar.place))
        return UnrolledStep(
            parameters=tuple(scalar.value for key in plan.parameters for scalar in leaves[key].flat),
            input=_texts(leaves[plan.input.key]),
            target=_texts(leaves[plan.target.key]),
            body=body,
            loss=text(loss, self.names),
            idle=tuple(f"{_operand(change, self.names)} == 0.0" for change in idle),
            updates=tuple(self._updates(moves)),
            changes=tuple(text(change, self.names) for change in changes),
            functions=tuple(sorted({CALLS[s.op] for s in walk([loss, *changes]) if s.op in CALLS})),
        )

    # --- names

    def _leaf(self, tensor: Tensor) -> NDArray:
        return self.unroller.leaf(tensor.shape, lambda place: self._free(self._name(tensor.key, place)))

    def _name(self, name: str, place: tuple[int, ...]) -> str:
        """z1_2 for the element 2 of z1; the number of the example is left out where there is only one."""
        tensor = self.plan.derivation.tensors.get(name)
        one = self.plan.batch_size == 1 and tensor is not None
        if one and tensor is not None and tensor.indices[:1] == (self.plan.derivation.program.example,):
            place = place[1:]
        return "_".join([name, *map(str, place)])

    def _free(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _spare(self) -> str:
        self.spare += 1
        return self._free(f"part_{self.spare}")

    def _choose_names(self, roots: list[Scalar], moves: dict[str, list[tuple[Scalar, Scalar]]]) -> None:
        """Which scalars get a name of their own. The names come later, with the places where they stand."""
        uses: dict[Scalar, int] = dict.fromkeys(roots, 1)
        repeated: set[Scalar] = set()
        depth: dict[Scalar, int] = {}
        self.named: set[Scalar] = set()
        self.needed = list(walk(roots))
        for scalar in self.needed:
            for place, argument in enumerate(scalar.args):
                uses[argument] = uses.get(argument, 0) + 1
                if place in REPEATED.get(scalar.op, ()):
                    repeated.add(argument)
        gates = {scalar: gate[1] for scalar in self.needed if (gate := _gated(scalar)) is not None}
        absorbed = {inner for inner in gates.values() if uses[inner] == 2 and inner not in repeated and inner.args}
        self.absorbed = absorbed
        for scalar in self.needed:
            depth[scalar] = 1 + max((depth[argument] for argument in scalar.args), default=-1)
            if scalar.op in ("leaf", "constant") or scalar.is_truth:
                continue
            if scalar in absorbed:
                continue
            if (
                uses[scalar] > 1
                or scalar in repeated
                or scalar in gates
                or scalar.op in FALLIBLE
                or depth[scalar] > DEEPEST
            ):
                self.named.add(scalar)
                depth[scalar] = 0
        parameters = {mine for pairs in moves.values() for mine, _ in pairs}
        for pairs in moves.values():
            for _, change in pairs:
                # What a parameter's move reads of parameters must be read before any of them moves.
                if change not in self.named and change.op != "constant" and self._inside(change) & parameters:
                    self.named.add(change)

    def _inside(self, scalar: Scalar) -> set[Scalar]:
        """The leaves that the text of an unnamed scalar speaks of."""
        found, stack = set(), [scalar]
        while stack:
            node = stack.pop()
            if node.op == "leaf":
                found.add(node)
            elif node not in self.named or node is scalar:
                stack.extend(node.args)
        return found

    # --- statements

    def _body(self, arrays: dict[str, NDArray], scaled: Scaled, changes: list[Scalar], loss: Scalar) -> Iterator[Block]:
        needed = set(self.needed)
        preferred = self._preferred(arrays)
        comments: list[str] = []
        by_factor: dict[Scalar, list[Scalar]] = {}
        for (scalar, _), result in scaled.done.items():
            by_factor.setdefault(scalar, []).append(result)
        for assignment in self.plan.program.assignments:
            if assignment.equation is not None and assignment.equation.tensor.role != "gradient":
                comments.append(equation_text(assignment.equation))
            lines: list[str] = []
            for scalar in arrays[assignment.name].flat:
                name = preferred[scalar]
                if scalar in needed:
                    lines += self._statements(scalar, name)
                for times in by_factor.get(scalar, ()):
                    if times in needed:
                        lines += self._statements(times, f"{RATE}_{name}")
            if lines:
                yield Block(tuple(comments), tuple(lines))
                comments = []
        rest = [line for root in [*changes, loss] for line in self._statements(root, "")]
        if rest or comments:
            yield Block(tuple(comments), tuple(rest))

    def _preferred(self, arrays: dict[str, NDArray]) -> dict[Scalar, str]:
        """What each element is called: by the first tensor that it is an element of, else by the part."""
        found: dict[Scalar, str] = {}
        for assignment in sorted(self.plan.program.assignments, key=lambda one: one.equation is None):
            for place, scalar in np.ndenumerate(arrays[assignment.name]):
                found.setdefault(scalar, self._name(assignment.name, place))
        return found

    def _statements(self, root: Scalar, name: str) -> list[str]:
        """Whatever is named below `root` and was not written yet."""
        lines = []
        for scalar in walk_until([root], self.emitted):
            if scalar not in self.named:
                continue
            gate = _gated(scalar)
            absorbed = gate is not None and gate[1] in self.absorbed
            written = text(gate[1] if gate is not None and absorbed else scalar, self.names, whole=True)
            mine = self.names[scalar] = self._free(name) if scalar is root and name else self._spare()
            self.emitted.add(scalar)
            lines.append(f"{mine} = {written}")
            if gate is not None and absorbed:
                condition = text(scalar.args[0], self.names)
                bare = gate[0] == "" or scalar.args[0].op not in ("logical_and", "logical_or")
                lines += [f"if {gate[0]}{condition if bare else f'({condition})'}:", f"    {mine} *= 0.0"]
        return lines

    def _updates(self, moves: dict[str, list[tuple[Scalar, Scalar]]]) -> Iterator[Block]:
        """The moves of each parameter; parameters that wait for the same numbers to be other than 0 together."""
        comments: list[str] = []
        groups: dict[Scalar | None, list[str]] = {}
        for key, pairs in moves.items():
            mine: dict[Scalar | None, list[str]] = {}
            for parameter, change in pairs:
                if not change.is_constant(0):
                    mine.setdefault(self._guard(change), []).append(self._move(parameter, change))
            if comments and not (set(mine) & set(groups) - {None}):
                yield Block(tuple(comments), tuple(self._guarded(groups)))
                comments, groups = [], {}
            up = self.plan.derivation.program.sense == "maximise"
            equation = self.plan.derivation.gradients[key]
            move = f"{key} <- {key} {'+' if up else '-'} {RATE}*{equation.tensor.key}"
            comments.append(f"{equation_text(equation)}; {move}")
            for guard, lines in mine.items():
                groups.setdefault(guard, []).extend(lines)
        yield Block(tuple(comments), tuple(self._guarded(groups)))

    def _move(self, parameter: Scalar, change: Scalar) -> str:
        up = self.plan.derivation.program.sense == "maximise"
        turned = change.op == "negative" and change not in self.names
        written = text(change.args[0] if turned else change, self.names)
        return f"{parameter.value} {'+' if up != turned else '-'}= {written}"

    def _guard(self, change: Scalar) -> Scalar | None:
        """A named number that is often exactly 0, as below the kink of a relu, and whose zero is the change's.

        Where it is 0, so is its product with any finite number.
        """
        inner = change.args[0] if change.op == "negative" and change not in self.names else change
        factors = inner.args if inner.op == "multiply" and inner not in self.names else (inner,)
        often = [factor for factor in factors if self.guarded and factor in self.names and _gated(factor) is not None]
        return often[0] if often else None

    def _guarded(self, groups: dict[Scalar | None, list[str]]) -> Iterator[str]:
        for guard, lines in groups.items():
            if guard is None or len(lines) < 2:
                yield from lines
            else:
                yield f"if {self.names[guard]} != 0.0:"
                yield from ("    " + line for line in lines)


def _gated(scalar: Scalar) -> tuple[str, Scalar] | None:
    """(condition's prefix, x) of "x if condition else x*0" or the other way round."""
    if scalar.op != "where":
        return None
    _, yes, no = scalar.args
    for prefix, kept, gone in (("not ", yes, no), ("", no, yes)):
        if gone.op == "multiply" and gone.args[0] is kept and gone.args[1].is_constant(0):
            return prefix, kept
    return None


def walk_until(roots: list[Scalar], done: set[Scalar]) -> Iterator[Scalar]:
    """As `walk`, without what lies below scalars in `done`, which may grow meanwhile."""
    seen: set[Scalar] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        scalar, expanded = stack.pop()
        if expanded:
            yield scalar
        elif scalar not in seen and scalar not in done:
            seen.add(scalar)
            stack.append((scalar, True))
            stack.extend((argument, False) for argument in reversed(scalar.args))


def _operand(scalar: Scalar, names: dict[Scalar, str]) -> str:
    written = text(scalar, names)
    return f"({written})" if " if " in written else written


def _texts(leaves: NDArray) -> NDArray:
    texts = np.empty(leaves.shape, dtype=object)
    for place, leaf in np.ndenumerate(leaves):
        texts[place] = leaf.value
    return texts


def pattern(names: NDArray) -> str:
    """What takes nested lists of these names apart: ((x_0, x_1),)."""
    inner = [pattern(part) if isinstance(part, np.ndarray) else str(part) for part in names]
    return f"({', '.join(inner)}{',' * (len(inner) == 1)})"


def names_tuple(names: tuple[str, ...]) -> str:
    return f"({', '.join(names)}{',' * (len(names) == 1)})"
