"""One function of a module: its lines, with a loop over the layers where layers do the same work."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from sympy import Symbol

from codegen.arrays import Assignment
from codegen.repetition import Family, Label, Labels, RepeatedProgram, Run, Section, Stretch, near, sections
from codegen.safety import BUILTINS, LOOPING
from codegen.signature import OWN_NAMES, Argument, Signature
from codegen.targets.expressions import HELPERS, equation_text, expression

WIDTH = 110
INDENT = "    "
Pair = tuple[str, str]


@dataclass(frozen=True)
class Layers:
    """How a module writes layers that are held together: a[l - 1], in loops over l.

    letter:    the loop variable.
    variables: the name in code of each family that is held by layer, or that one name serves in loops.
    table:     the name of the dict of gradients.
    meaning:   what a name inside a loop stands for, in words.
    """

    letter: str
    variables: Mapping[Family, str]
    table: str
    meaning: str = ""

    def at(self, label: Label) -> str:
        """One of a family: a[3]."""
        return f"{self.variables[label.kin]}[{label.layer}]"

    def near(self, label: Label, distance: int, by_layer: bool) -> str:
        """One of a family inside a loop: a[l - 1]."""
        variable = self.variables[label.kin]
        return f"{variable}[{shifted(self.letter, distance, ' ')}]" if by_layer else variable

    def key(self, family: str, distance: int) -> str:
        """The key of a parameter inside a loop: f"W{l}"."""
        return f'f"{family}{{{shifted(self.letter, distance, " ")}}}"'

    def in_words(self, label: Label, distance: int) -> str:
        """One of a family in the equation above a line: a_{l-1}."""
        where = shifted(self.letter, distance, "")
        return f"{label.family}_{{{where}}}" if distance else f"{label.family}_{where}"

    def head(self, layers: range) -> str:
        """The loop over these layers, the last first where they count down."""
        return f"for {self.letter} in {range_text(layers)}:"


def shifted(letter: str, distance: int, space: str) -> str:
    """l, l + 1, l - 1."""
    return f"{letter}{space}{'+' if distance > 0 else '-'}{space}{abs(distance)}" if distance else letter


def range_text(layers: range) -> str:
    """Source text that runs over these numbers."""
    if layers.step < 0:
        return f"reversed({range_text(layers[::-1])})"
    # The end that a person would write, one behind the last.
    first, behind = layers[0], layers[-1] + 1
    return f"range({first}, {behind})" if layers.step == 1 else f"range({first}, {behind}, {layers.step})"


def layers_of(signature: Signature, functions: Iterable[RepeatedProgram]) -> Layers | None:
    """Names for the loops of a module that collide with no other; None if it has no loops."""
    functions = list(functions)
    loops = [(function, run) for function in functions for run in function.runs]
    if not loops:
        return None
    written = [item for _, run in loops for item in run.items]
    names = signature.code_names
    used = {names.get(key, key) for function in functions for key in function.labels}
    used |= {letter.name for item in written for letter in _letters(item)} | set(names.values())
    if used & LOOPING:
        return None
    taken = used | OWN_NAMES | BUILTINS | LOOPING | set(HELPERS.values())
    wanted = frozenset().union(*(function.by_layer | function.passing for function in functions))
    families = dict.fromkeys(label.kin for function in functions for label in function.labels.values())
    variables = {kin: _free(kin[0], taken) for kin in families if kin in wanted}
    letter = next((letter for letter in ("l", "layer") if letter not in taken), None) or _free("layer", taken)
    layers = Layers(letter, variables, _free("gradients", taken))
    return replace(layers, meaning=_meaning(layers, *loops[0]))


def _meaning(layers: Layers, function: RepeatedProgram, run: Run[Assignment]) -> str:
    """What a tensor that a loop makes stands for, in two of its turns; the heads of loops say which there are."""
    makes = [item.equation.tensor for item in run.items if item.equation is not None and item.name in run.moving]
    label, distance = function.labels[makes[0].key], run.moving[makes[0].key]
    one, two = (f"{label.family}{layer + distance} where {layers.letter} is {layer}" for layer in run.layers[:2])
    where = layers.near(label, distance, True)
    return f"there {layers.in_words(label, distance)}, in code {where}, is {one}, {two}, and so on"


def _letters(assignment: Assignment) -> set[Symbol]:
    equation = assignment.equation
    return set() if equation is None else equation.lhs.atoms(Symbol) | equation.rhs.atoms(Symbol)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


class FunctionWriter:
    """Writes one function: parameters and sizes first, then the equations, and what it returns."""

    def __init__(self, signature: Signature, name: str, program: RepeatedProgram, layers: Layers | None) -> None:
        self.signature = signature
        self.name = name
        self.program = program
        self.layers = layers if program.runs else None
        self.names = dict(signature.code_names)
        # Families held by layer for which there is a dict already.
        self.made: set[Family] = set()
        if self.layers is not None:
            layered = {key: label for key, label in program.labels.items() if program.layered(key)}
            self.names |= {key: self.layers.at(label) for key, label in layered.items()}

    def source(self) -> str:
        head = ", ".join(["params", *(argument.name for argument in self._arguments)])
        doc = "without checks; params may be complex, for a complex step."
        lines = [f"def _{self.name}({head}):", f'{INDENT}"""`{self.name}` {doc}"""']
        lines += (INDENT + line for line in (*self._parameters(), *self._inputs(), *self._sizes()))
        lines += self._equations()
        lines += (INDENT + line for line in self._return())
        return "\n\n" + "\n".join(lines) + "\n"

    @property
    def _arguments(self) -> tuple[Argument, ...]:
        return self.signature.inputs if self.name == "forward" else self.signature.arguments

    def _text(self, key: str) -> str:
        return self.names.get(key, key)

    def _holds_by_layer(self, key: str) -> bool:
        return self.layers is not None and self.program.layered(key)

    def _parameters(self) -> list[str]:
        lines = []
        read = [key for key in self.signature.parameters if key in self.program.reads]
        for key in read:
            label = self.program.labels[key]
            if self.layers is None or not self.program.layered(key):
                lines.append(f'{self._text(key)} = params["{key}"]')
            elif label.kin not in self.made:
                self.made.add(label.kin)
                family = [other for other in map(self.program.labels.__getitem__, read) if other.kin == label.kin]
                numbers = sorted(other.layer for other in family if other.layer is not None)
                entry = f"{self.layers.letter}: params[{self.layers.key(label.family, 0)}]"
                runs = f"for {self.layers.letter} in {numbers_text(numbers)}"
                lines.append(f"{self.layers.variables[label.kin]} = {{{entry} {runs}}}")
        return lines

    def _inputs(self) -> list[str]:
        """Arguments of a family that is held by layer."""
        families: dict[Family, list[Argument]] = {}
        for argument in self._arguments:
            if argument.key in self.program.reads and self._holds_by_layer(argument.key):
                families.setdefault(self.program.labels[argument.key].kin, []).append(argument)
        lines = []
        for kin, arguments in families.items():
            if kin in self.made:
                lines += [f"{self._text(argument.key)} = {argument.name}" for argument in arguments]
                continue
            self.made.add(kin)
            entries = [f"{self.program.labels[argument.key].layer}: {argument.name}" for argument in arguments]
            variable = "" if self.layers is None else self.layers.variables[kin]
            line = f"{variable} = {{{', '.join(entries)}}}"
            long = len(line) + len(INDENT) > WIDTH
            lines += [f"{variable} = {{", *(f"{INDENT}{entry}," for entry in entries), "}"] if long else [line]
        return lines

    def _sizes(self) -> list[str]:
        written = self.program.program if self.layers is None else self.program.written
        lines = []
        for size in written.extents:
            value = self.signature.program.value_of(size)
            source = str(value) if value.is_Integer else self.signature.size_source(size)
            lines.append(f"{self._text(str(size))} = {source}")
        if any(node.op in ("cast", "fill", "identity") for item in written.assignments for node in item.node.walk()):
            lines.append(f"dtype = {self.signature.dtype_source}.dtype")
        return lines

    def _equations(self) -> list[str]:
        if self.layers is None:
            return [line for item in self.program.program.assignments for line in assignment(item, self.names)]
        lines: list[str] = []
        for section in self.program.sections:
            lines += (INDENT + line for line in self._empty([item.name for item in section.items]))
            if isinstance(section, Run):
                lines.append(INDENT + self.layers.head(section.layers))
                names, words = self._moving(self.layers, section)
                lines += (line for item in section.items for line in assignment(item, names, words, 2 * INDENT))
            else:
                lines += (line for item in section.items for line in assignment(item, self.names))
        return lines

    def _empty(self, keys: Iterable[str]) -> list[str]:
        """A dict for each family that is held by layer and made here first."""
        kins = dict.fromkeys(self.program.labels[key].kin for key in keys if self._holds_by_layer(key))
        new = [kin for kin in kins if kin not in self.made]
        if self.layers is None or not new:
            return []
        self.made.update(new)
        return [f"{', '.join(self.layers.variables[kin] for kin in new)} = {', '.join(['{}'] * len(new))}"]

    def _moving(self, layers: Layers, run: Run[Assignment]) -> tuple[dict[str, str], dict[str, str]]:
        """What names are called inside a loop, in code and in the equations above it."""
        names, words = dict(self.names), {}
        for key, distance in run.moving.items():
            label = self.program.labels[key]
            names[key] = layers.near(label, distance, self.program.layered(key))
            words[key] = layers.in_words(label, distance)
        for item in run.items:
            # A size of one layer is no size of the others.
            sizes = set() if item.equation is None else item.equation.rhs.free_symbols
            values = {size: self.signature.program.value_of(size) for size in sizes}
            words |= {str(size): str(value) for size, value in values.items() if value.is_Integer}
        return names, words

    def _return(self) -> list[str]:
        if self.name != "loss_and_gradients":
            return [f"return {self._text(self.program.program.returns[0])}"]
        value, *gradients = self.program.program.returns
        pairs = list(zip(self.signature.gradient_keys, gradients, strict=True))
        if self.layers is not None:
            labels = self.program.labels
            found = sections(stretches_of(pairs, labels, lambda pair: pair, lambda pair: ()), labels)
            runs = [section for section in found if isinstance(section, Run)]
            if runs and all(map(self.program.layered, (pair[1] for run in runs for pair in run.items))):
                rows = table(self.layers.table, found, self.layers, labels, self._gradient)
                return [*rows, f"return {self._text(value)}, {self.layers.table}"]
        entries = [f'"{key}": {self._text(of)}' for key, of in pairs]
        line = f"return {self._text(value)}, {{{', '.join(entries)}}}"
        if len(line) + len(INDENT) <= WIDTH:
            return [line]
        return [f"return {self._text(value)}, {{", *(f"{INDENT}{entry}," for entry in entries), "}"]

    def _gradient(self, pair: tuple[str, str], moving: Mapping[str, int]) -> str:
        if self.layers is None or pair[1] not in moving:
            return self._text(pair[1])
        return self.layers.near(self.program.labels[pair[1]], moving[pair[1]], True)


def numbers_text(numbers: Sequence[int]) -> str:
    """Source text of what runs over these numbers, in their order."""
    steps = {after - before for before, after in pairwise(numbers)}
    if len(steps) == 1 and min(steps) > 0:
        return range_text(range(numbers[0], numbers[-1] + 1, min(steps)))
    return f"({', '.join(map(str, numbers))}{',' * (len(numbers) == 1)})"


def stretches_of(
    pairs: Sequence[Pair], labels: Labels, keys: Callable[[Pair], tuple[str, ...]], kind: Callable[[Pair], Hashable]
) -> list[Stretch[Pair]]:
    """The entries of a table, in stretches of one layer. keys: the names in an entry; the first one is its key."""
    made = []
    for layer, row in groupby(pairs, key=lambda pair: labels[pair[0]].layer):
        items = tuple(row)
        kinds = tuple([kind(item) for item in items])
        named = tuple([key for item in items for key in keys(item)])
        made.append(Stretch(items, layer, kinds, named, near(named, layer, labels)))
    return made


def table(
    name: str,
    found: Sequence[Section[Pair]],
    layers: Layers,
    labels: Labels,
    value: Callable[[Pair, Mapping[str, int]], str],
) -> list[str]:
    """A dict by the keys of parameters, made in loops where entries repeat.

    value: the source text of an entry's value; it is given what moves with the layer.
    """
    at = next(place for place, section in enumerate(found) if isinstance(section, Run))
    first = [f'{INDENT}"{pair[0]}": {value(pair, {})},' for section in found[:at] for pair in section.items]
    lines = [f"{name} = {{", *first, "}"] if first else [f"{name} = {{}}"]
    for section in found[at:]:
        if isinstance(section, Run):
            lines.append(layers.head(section.layers))
            lines += (
                f"{INDENT}{name}[{layers.key(labels[pair[0]].family, section.moving[pair[0]])}] = "
                f"{value(pair, section.moving)}"
                for pair in section.items
            )
        else:
            lines += (f'{name}["{pair[0]}"] = {value(pair, {})}' for pair in section.items)
    return lines


def assignment(
    item: Assignment, names: Mapping[str, str], words: Mapping[str, str] | None = None, indent: str = INDENT
) -> list[str]:
    """An assignment under its equation. words: what the equation calls a tensor, where that is not its key."""
    lines = []
    if item.equation is not None:
        lines += wrapped(equation_text(item.equation, words or {}), indent + "# ")
    line = f"{indent}{names.get(item.name, item.name)} = {expression(item.node, names)}"
    return [*lines, line if len(line) <= WIDTH else _folded(line, indent)]


def _folded(line: str, indent: str) -> str:
    """A long assignment in parentheses, broken before operators of the outermost level."""
    head, text = line.split(" = ", 1)
    depth, rows, row = 0, [], ""
    words = text.split(" ")
    for word in words:
        if depth == 0 and row and word in ("+", "-", "*", "/", "@"):
            rows.append(row)
            row = word
        else:
            row = f"{row} {word}" if row else word
        depth += sum(word.count(c) for c in "([") - sum(word.count(c) for c in ")]")
    rows.append(row)
    if len(rows) == 1:
        return line
    return "\n".join([f"{head} = (", *(indent + INDENT + row for row in rows), f"{indent})"])


def wrapped(text: str, prefix: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
