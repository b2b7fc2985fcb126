"""The symbol table of a notation: what each letter, mark and name of a formula stands for.

Nothing is typed in here: the table is made by asking the notation how it writes the tensors, the sizes and the
functions of a vocabulary, and is looked up by what is written. Without a vocabulary the tensors are those of a dense
network with the usual names, of any layer that a formula mentions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sympy import Expr, Integer, Symbol

from symbolic.depth import DEPTH, LAYER, Label, label_of_width, label_text, split_label, width
from symbolic.expressions import Undefined
from symbolic.notation import Notation
from symbolic.notationchecks import GREEK, INDEX_LETTERS, LETTER_OF
from symbolic.reading.marks import Letter, Marked, letter_of, marked, pieces, text_of, written
from symbolic.reading.syntax import BigOperator, Node, Number, Scripts, Sequence, walk
from symbolic.reading.syntax import Symbol as SymbolNode
from symbolic.tensors import Tensor, elements, index, key_of, size
from symbolic.vocabulary import EXAMPLE, Vocabulary, usual_tensor

# Tensors of a dense network; the adjoints of those that have no letter for theirs come last.
_USUAL = ("x", "y", "z", "a", "W", "b", "ell", "J", "delta", "adj_x", "adj_a", "adj_y", "adj_b")
_WITHOUT_LAYER = ("x", "y", "ell", "J", "adj_x", "adj_y")


@dataclass(frozen=True)
class Found:
    """A tensor as it stands in a formula.

    below:      its indices as they are written, in the order of its axes; none if the whole array is meant.
    example:    the example's letter or number, as text; None where it is not written.
    stacked:    the letter is that of the matrix whose rows are the examples.
    transposed: the mark above says so.
    """

    tensor: Tensor
    below: tuple[Node, ...]
    example: str | None
    stacked: bool = False
    transposed: bool = False


class SymbolTable:
    """The symbols of one notation.

    vocabulary: what is written about; None for a dense network with the usual names.
    examples:   without a vocabulary, whether there is an axis of examples.
    """

    def __init__(self, notation: Notation, vocabulary: Vocabulary | None, examples: bool = False) -> None:
        self.notation = notation
        self.usual = vocabulary is None
        self.vocabulary = vocabulary or usual_vocabulary(examples)
        self.tensors: dict[str, Tensor] = dict(self.vocabulary.tensors)
        self.printer = Vocabulary(
            self.tensors, self.vocabulary.functions, self.vocabulary.example, self.vocabulary.loss,
            self.vocabulary.objective, self.vocabulary.output,
        ).printer(notation)  # fmt: skip
        self.examples = self.vocabulary.example is not None
        self.letters = {text_of(text): index(name) for name, text in notation.index_letters.items()}
        self.transpose = text_of(notation.transpose)
        self._forms: dict[str, list[tuple[Letter, bool]]] = {}
        self._number = re.compile(
            rf"(?:^|(?<= ))(\d+|{re.escape(text_of(notation.depth))}|{re.escape(text_of(notation.any_layer))})"
            r"(?: ([+-]) (\d+))?(?= |$)",
            re.ASCII,
        )
        self.sizes = self._sizes()
        self.functions = self._functions()

    @property
    def count(self) -> Expr | None:
        """The number of examples, if there is an axis of them."""
        example = self.vocabulary.example
        axes = (axis for tensor in self.tensors.values() for axis in zip(tensor.indices, tensor.shape, strict=True))
        return next((extent for letter, extent in axes if letter == example), None)

    # ------------------------------------------------------------------ layers, sizes, indices

    def labels(self, text: str) -> list[Label]:
        """The layers that a mark may name, the one after each included: weights may carry either."""
        found: list[Label] = []
        for letter, sign, number in self._number.findall(text):
            offset = int(f"{sign}{number}") if sign else 0
            if letter.isdigit():
                label: Label = int(letter) + offset - self.notation.first_layer
            else:
                label = (DEPTH if letter == text_of(self.notation.depth) else LAYER) + Integer(offset)
            found += [one for one in (label, label + 1) if one not in found]
        return [one for one in found if not isinstance(one, int) or 0 <= one < 10**6]

    def _sizes(self) -> dict[str, list[Expr]]:
        """Every size of the vocabulary, by how it is written; what is a width of the usual network is read later."""
        shapes = [tensor.shape for tensor in self.tensors.values()]
        symbols = {symbol for shape in shapes for extent in shape for symbol in extent.free_symbols}
        if self.usual:
            symbols |= {size("N"), *map(width, self.notation.widths)}
        sizes: dict[str, list[Expr]] = {}
        for symbol in sorted(symbols, key=str):
            sizes.setdefault(text_of(self._written_size(symbol)), []).append(symbol)
        sizes.setdefault(text_of(self.notation.examples), [size("N")])
        return sizes

    def _written_size(self, symbol: Symbol) -> str:
        label = label_of_width(symbol) if self.usual else self.printer.widths.get(symbol)
        return self.notation.size(symbol) if label is None else self.notation.width_of(label)

    def size(self, symbol: Marked) -> list[Expr]:
        """The sizes that are written so."""
        text = written(symbol.node)
        if text in self.sizes:
            return self.sizes[text]
        if self.usual and len(symbol.below) == 1:
            labels = self.labels(written(symbol.below[0]))
            return [width(label) for label in labels if text_of(self.notation.width_of(label)) == text]
        return []

    def unit(self, symbol: Marked) -> tuple[Label, int] | None:
        """The layer whose units an index runs over that is called after it, and its primes."""
        if not self.notation.unit_index or len(symbol.below) != 1:
            return None
        for label in self.labels(written(symbol.below[0])):
            if text_of(self.notation.unit_of(label, symbol.primes)) == written(symbol.node):
                return label, symbol.primes
        return None

    def letters_in(self, nodes: Iterable[Node]) -> tuple[set[Symbol], set[Symbol], dict[tuple[Label, int], Symbol]]:
        """The index letters that formulas have, those among them that are indices of something or under a sum sign, and
        a letter for each index that is called after a layer.

        Those without a prime come first, then those with one, and so on, each in the order of the text; they are called
        j, s, m, and then by what is left of the alphabet. So a printer gives them the same primes again.
        """
        letters, used = set(), set()
        units: dict[tuple[Label, int], None] = {}
        for part in (part for node in nodes for part in walk(node)):
            if isinstance(part, (Scripts, BigOperator)) and part.below is not None:
                found = (self.letters.get(written(one)) for one in walk(part.below))
                used |= {letter for letter in found if letter is not None}
            bare = replace(part, above=None) if isinstance(part, Scripts) else part  # n_1^2 is a power of n_1
            if isinstance(part, Scripts) and (unit := self.unit(marked(bare))) is not None:
                units[unit] = None
            elif isinstance(part, SymbolNode) and (letter := self.letters.get(part.latex)) is not None:
                letters.add(letter)
        names = (*"jsm", *sorted(set(INDEX_LETTERS) - set("jsmp")), *(f"v{n}" for n in range(len(units))))
        free = (one for one in map(index, names) if one not in letters)
        ordered = sorted(units, key=lambda unit: unit[1])
        return letters, used, dict(zip(ordered, free, strict=False))

    def letter(self, text: str) -> Symbol | None:
        """The index letter that is written so."""
        if text in self.letters:
            return self.letters[text]
        name = text
        while name.startswith(r"\tilde { ") and name.endswith(" }"):
            name = name[len(r"\tilde { ") : -2]
        name = name.removeprefix("\\") if name[:1] == "\\" and name[1:] in GREEK else name
        plain = re.fullmatch(r"[a-z]+", name, re.ASCII) and (len(name) == 1 or name in GREEK)
        if not plain or text == self.transpose:
            return None
        letter = index(name)
        if text_of(self.notation.index(letter)) != text:
            return None
        return letter

    # ------------------------------------------------------------------ tensors

    def known(self, labels: Iterable[Label]) -> Iterator[Tensor]:
        """The tensors that may be meant where these layers are mentioned."""
        if not self.usual:
            yield from (tensor for tensor in self.tensors.values() if tensor.role != "gradient")
            return
        for label in (None, *labels):
            for name in _USUAL:
                if (label is None) != (name in _WITHOUT_LAYER):
                    continue
                if label == 0 and not (name == "a" and self.notation.letters["input"]):
                    continue
                key = name if label is None else f"{name}{label_text(label)}"
                if key not in self.tensors:
                    tensor = usual_tensor(key, self.examples)
                    self.tensors[key] = tensor
                    if tensor.of is not None and tensor.of not in self.tensors:
                        self.tensors[tensor.of] = usual_tensor(tensor.of, self.examples)
                yield self.tensors[key]

    def forms(self, tensor: Tensor) -> list[tuple[Letter, bool]]:
        """The letters of a tensor, the one of its entries first, and whether it is that of the stacked matrix."""
        if tensor.key not in self._forms:
            output = tensor.key == self.vocabulary.output
            names = [self.notation.letter(tensor, self.tensors, output, entry) for entry in (True, False)]
            forms = [(letter_of(name), False) for name in dict.fromkeys(names)]
            if self.vocabulary.example in tensor.indices and len(tensor.shape) > 1:
                forms.append((letter_of(self.notation.capital(tensor, self.tensors, output)), True))
            self._forms[tensor.key] = forms
        return self._forms[tensor.key]

    def find(self, symbol: Marked, argument: str = "") -> list[Found]:
        """Every tensor that may be written so.

        argument: what stands in brackets behind it, where that belongs to its letter: L(theta).
        """
        if symbol.primes:
            return []
        labels = [label for mark in (*symbol.below, *symbol.above) for label in self.labels(written(mark))]
        found: dict[tuple[str, bool], Found] = {}
        for tensor in self.known(dict.fromkeys(labels)):
            for letter, stacked in self.forms(tensor):
                if (letter.core, letter.argument) != (symbol.core, argument):
                    continue
                one = self._match(symbol, letter, tensor, stacked)
                if one is not None:
                    found.setdefault((tensor.key, stacked), one)
        return list(found.values())

    def _match(self, symbol: Marked, letter: Letter, tensor: Tensor, stacked: bool) -> Found | None:
        """The tensor with the marks of the symbol, if the notation writes it so."""
        below, above = symbol.below[len(letter.below) :], symbol.above[len(letter.above) :]
        own = (
            tuple(map(written, symbol.below[: len(letter.below)])),
            tuple(map(written, symbol.above[: len(letter.above)])),
        )
        if symbol.core != letter.core or own != (letter.below, letter.above) or len(below) > 1 or len(above) > 1:
            return None
        number = self.printer.number(tensor)
        layer = "" if number is None else self.notation.layer.replace("{layer}", number)
        items = pieces_of(below[0]) if below else []
        if layer and self.notation.layer_below:
            if not items or written(items.pop(0)) != text_of(layer):
                return None
            layer = ""
        example: str | None = None
        carries = self.vocabulary.example in tensor.indices and not stacked
        if carries and self.notation.example_below and self._leads(items, tensor):
            example = self._example(self.notation.example, written(items[0]))
            items = items[1:] if example is not None else items
        text, transposed = (written(above[0]) if above else ""), False
        marks = self._marks(text, layer, carries)
        if marks is None and self.transpose and (text == self.transpose or text.endswith(f" {self.transpose}")):
            marks, transposed = self._marks(text[: -len(self.transpose)].rstrip(), layer, carries), True
        if marks is None or (marks and example):
            return None
        indices = self._indices([part for item in items for part in pieces(item)], tensor)
        if indices is None:
            return None
        return Found(tensor, tuple(indices), marks or example, stacked, transposed)

    def _leads(self, items: list[Node], tensor: Tensor) -> bool:
        """Whether the first part of a subscript is the example, and not a unit: there is one part more than units, or
        it is the letter of examples alone.
        """
        parts = [part for item in items for part in pieces(item)]
        alone = len(items) == 1 and written(items[0]) == text_of(self.notation.example_mark(EXAMPLE))
        return len(parts) == len(self.axes(tensor)) + 1 or alone

    def _marks(self, text: str, layer: str, carries: bool) -> str | None:
        """The example's text in a superscript, empty where none stands; None if the superscript is another."""
        if text == text_of(layer):
            return ""
        if not carries or self.notation.example_below:
            return None
        mark = self.notation.example
        if layer:
            mark = self.notation.marks.replace("{layer}", layer).replace("{example}", mark)
        return self._example(mark, text) or None

    def _example(self, mark: str, text: str) -> str | None:
        """What stands in the place of the example in a mark; a bare number is a power, no example."""
        pattern = re.escape(text_of(mark.replace("{example}", r"\infty"))).replace(r"\\infty", r"(\S+(?: \S+)*)")
        match = re.fullmatch(pattern, text)
        if match is None or (mark == "{example}" and match.group(1).isdigit()):
            return None
        inside = match.group(1)
        return inside if inside.isdigit() or self.letter(inside) is not None else None

    def _indices(self, items: list[Node], tensor: Tensor) -> list[Node] | None:
        """The indices in the order of the axes; the row of a bias is taken off. None: it is another tensor."""
        role = LETTER_OF.get((tensor.role, tensor.name))
        axes = len(self.axes(tensor))
        split = sum(len(item.text) for item in items if isinstance(item, Number)) + sum(
            not isinstance(item, Number) for item in items
        )
        if role == "bias" and self.notation.bias_row:
            if not items or not isinstance(items[0], Number) or items[0].text[0] != "0":
                return None
            first = items[0].text[1:]
            rest = [Number(first, line=items[0].line, column=items[0].column)] if first else []
            return [*rest, *items[1:]]
        if role == "weight" and self.notation.bias_row and items and written(items[0])[0] == "0":
            return None
        if len(items) < axes == split:
            items = [
                Number(digit, line=item.line, column=item.column) if isinstance(item, Number) else item
                for item in items for digit in (item.text if isinstance(item, Number) else " ")
            ]  # fmt: skip
        turned = role == "weight" and self.notation.weight_rows == "inputs"
        return items[::-1] if turned else items

    def axes(self, tensor: Tensor) -> list[tuple[int, Expr]]:
        """The place and the size of each axis that has an index on the page."""
        whole = enumerate(zip(tensor.indices, tensor.shape, strict=True))
        return [(n, extent) for n, (usual, extent) in whole if usual != self.vocabulary.example and extent != 1]

    # ------------------------------------------------------------------ functions

    def _functions(self) -> dict[str, list[tuple[str, str]]]:
        """By how a function is written: the keys of the tensors that it defines, or its own name if it is undefined."""
        table: dict[str, list[tuple[str, str]]] = {}
        for key, function in self.vocabulary.functions.items():
            table.setdefault(text_of(self.notation.function(function)), []).append(("defines", key))
        program = self.vocabulary.program
        rhs = [equation.rhs for equation in program.equations] if program is not None else []
        inside = {node.name for side in rhs for node in side.atoms(Undefined)}
        named = {function.name for function in self.vocabulary.functions.values()}
        for name in sorted(inside | (set(self.notation.functions) - named)):
            table.setdefault(text_of(self.notation.function(name)), []).append(("undefined", name))
        return table

    def undefined(self, text: str) -> str | None:
        """The name of a function of which nothing is known, where a vocabulary does not list them: a letter."""
        name = text[1:] if text[:1] == "\\" and text[1:] in GREEK else text
        plain = len(name) == 1 or name in GREEK
        return name if plain and text_of(self.notation.function(name)) == text else None

    def inputs(self, key: str) -> set[str]:
        """The tensors in the equation that defines a tensor; in a dense network its neighbours."""
        program = self.vocabulary.program
        if program is not None:
            equation = program.definitions.get(key)
            return {key_of(one) or "" for one in elements(equation.rhs)} if equation is not None else set()
        tensor = self.tensors[key]
        if tensor.layer is None:
            return set()
        label = label_text(tensor.layer)
        if tensor.role == "activation":
            return {f"z{label}"}
        if tensor.role != "preactivation":
            return set()
        before = tensor.layer - 1
        below = {"x"} if before == 0 or split_label(before) == (LAYER, 0) else set()
        return {f"W{label}", f"b{label}", f"a{label_text(before)}", *below}

    # ------------------------------------------------------------------ what a message may suggest

    def spellings(self) -> list[str]:
        """The letters and names of the notation, as LaTeX."""
        letters = [text for text in self.notation.letters.values() if text]
        return [*letters, *self.notation.index_letters.values(), *self.sizes, *self.functions]


def usual_vocabulary(examples: bool) -> Vocabulary:
    """The vocabulary of a dense network with the usual names, with nothing in it but loss and cost."""
    tensors: Mapping[str, Tensor] = {key: usual_tensor(key, examples) for key in ("ell", "J")}
    return Vocabulary(tensors, {}, EXAMPLE if examples else None, tensors["ell"], tensors["J"])


def pieces_of(node: Node) -> list[Node]:
    """The parts of a subscript between its commas."""
    return list(node.items) if isinstance(node, Sequence) and node.sign == "," else [node]
