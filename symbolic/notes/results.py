"""Moves that use what was found before, and settings in which less is open: the same formulas, and fewer letters.

`carried` takes the equality that a chain ends with into another setting: another layer, fewer output units, functions
that are known. `Recalling.using` puts such an equality in where its left side stands. `Instances` and `Unprinted` are
checked with a page, and print nothing. None is about an activation, a
loss or a note; what a move cannot do raises a DerivationError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from sympy import Add, Basic, Expr, Integer, KroneckerDelta, Mul, Sum, Symbol

from symbolic.calculus import bound_limits, letters, rename_bound, substitute_indices
from symbolic.deltaform import unify
from symbolic.depth import Label, split_label
from symbolic.errors import DerivationError
from symbolic.expressions import PartialDerivative, TotalDerivative, Undefined
from symbolic.notation import Notation
from symbolic.notes.exposition import Chain, Display, Exposition, Setting
from symbolic.notes.moves import Telling
from symbolic.pages.blocks import Line
from symbolic.repetition import renamed
from symbolic.rules import ALIGN, LINEAR, ONE_PATH, SINGLE_TERM, SPECIALISE, SUBSTITUTE, Step
from symbolic.tensors import Tensor, elements, index, indices_of, key_of
from symbolic.verification import Frame, Row, check_steps, drawn_points

Labels = Mapping[Symbol, Label]


class Recalling(Telling):
    """A chain of equalities under way that may use other chains of its setting."""

    def using(self, *chains: Chain) -> Self:
        """Every quantity that one of the chains begins with, at whatever letters, in the form that the chain ends with.

        Raises:
            DerivationError: none stands in the line, or a chain is of another setting.
        """
        if foreign := [chain for chain in chains if chain.setting is not self.setting]:
            raise DerivationError(
                f"{foreign[0].name} was found in {foreign[0].setting.name}, not in {self.setting.name}"
            )

        def form(node: Basic) -> Expr | None:
            for chain in chains:
                swap = unify(chain.heads[0], node)
                if swap is not None and not any(True for _ in bound_limits(node)):
                    value = rename_bound(chain.steps[-1].after, letters(self.now))
                    return substitute_indices(value, {old: new for old, new in swap.items() if isinstance(old, Symbol)})
            return None

        after = self._everywhere(tuple({type(chain.heads[0]) for chain in chains}), form)
        if after == self.now:
            raise DerivationError(f"{self.now} holds nothing that {', '.join(chain.name for chain in chains)} is about")
        return self.to(SUBSTITUTE, after)

    def into_sum(self) -> Self:
        """du/dv as the sum of the dt/dv, where the equation of u adds up tensor elements t with constant factors."""
        node = self.now
        known = self.setting.program.definitions
        equation = known.get(key_of(node.of) or "") if isinstance(node, TotalDerivative) else None
        if equation is None or not _adds_up(equation.rhs):
            raise DerivationError(f"{node} is not the derivative of a sum of tensor elements")
        rhs = rename_bound(equation.rhs, letters(node))
        rhs = substitute_indices(rhs, dict(zip(equation.indices, indices_of(node.of), strict=True)))
        return self.to(LINEAR, rhs.xreplace({element: TotalDerivative(element, node.by) for element in elements(rhs)}))

    def along_one_path(self, key: str) -> Self:
        """du/dv as a partial derivative, for v of this key that enters u through the equation of u alone."""

        def partial(node: TotalDerivative) -> Expr | None:
            equation = self.setting.program.definitions.get(key_of(node.of) or "")
            if key_of(node.by) != key or equation is None:
                return None
            inputs = {key_of(element) or "" for element in elements(equation.rhs)}
            alone = key in inputs and not inputs & self._between(key)
            return PartialDerivative(node.of, node.by) if alone else None

        return self.to(ONE_PATH, self._everywhere(TotalDerivative, partial))

    def lettered(self, **names: str) -> Self:
        """The letters of sums in the line that was reached, old by new.

        Raises:
            DerivationError: an old one is no sum's, or a new one is taken.
        """
        swap = {index(old): index(new) for old, new in names.items()}
        bound = {letter for letter, _ in bound_limits(self.now)}
        taken = (letters(self.now) - set(swap)) | set(self.ranges)
        if not set(swap) <= bound or taken & set(swap.values()) or len(set(swap.values())) < len(swap):
            raise DerivationError(f"the sums of {self.now} cannot be given the letters {', '.join(names.values())}")
        self.now = self.now.xreplace(swap)
        self.steps[-1] = replace(self.steps[-1], after=self.now)
        return self

    def aligned(self) -> Self:
        """[k = j] f_k as [k = j] f_j: the letter of what the line is differentiated by stays."""
        kept = set(indices_of(self.head.by)) if isinstance(self.head, TotalDerivative) else set()

        def align(node: Mul) -> Expr | None:
            deltas = [factor for factor in node.args if isinstance(factor, KroneckerDelta)]
            if len(deltas) != 1 or len(set(deltas[0].args) & kept) != 1:
                return None
            (stays,) = set(deltas[0].args) & kept
            (gone,) = set(deltas[0].args) - kept
            rest = Mul(*(factor for factor in node.args if factor not in deltas))
            return deltas[0] * substitute_indices(rest, {gone: stays})

        return self.to(ALIGN, self._everywhere(Mul, align))

    def single_terms(self) -> Self:
        """A sum over an axis of one element as its one term."""

        def term(node: Sum) -> Expr | None:
            one = {letter: Integer(0) for letter, _, high in node.limits if high == 0}
            kept = [limit for limit in node.limits if limit[0] not in one]
            if not one:
                return None
            body = substitute_indices(node.function, one)
            return Sum(body, *kept) if kept else body

        return self.to(SINGLE_TERM, self._everywhere(Sum, term))


def _adds_up(rhs: Expr) -> bool:
    """Whether an expression is a sum of tensor elements with constant factors."""
    stack, found = [rhs], False
    while stack:
        node = stack.pop()
        if isinstance(node, Sum):
            stack.append(node.function)
        elif isinstance(node, Add):
            stack.extend(node.args)
        elif isinstance(node, Mul):
            varying = [factor for factor in node.args if any(True for _ in elements(factor))]
            if len(varying) != 1 or letters(Mul(*(factor for factor in node.args if factor not in varying))):
                return False
            stack.append(varying[0])
        elif key_of(node) is None:
            return False
        else:
            found = True
    return found


def carried(chain: Chain, setting: Setting, labels: Labels | None = None, name: str = "") -> Recalling:
    """What a chain found, its first head and its last form, as the first line of a telling in another setting.

    labels: what the open labels of its layers become, such as {LAYER: LAYER - 2} or {LAYER: DEPTH}; the input takes
            the place of the activation of layer 0. An axis that has one element there loses its letter.

    Raises:
        DerivationError: the other setting has no such tensor, or one of another shape.
    """
    sides = (chain.heads[0], chain.steps[-1].after)
    names: dict[Symbol, Symbol] = {}
    sizes: dict[Expr, Expr] = {}
    for side in sides:
        for element in elements(side):
            tensor = chain.setting.tensor(key_of(element) or "")
            other = setting.tensors.get(_key_at(tensor, labels or {}))
            if other is None or len(other.shape) != len(tensor.shape):
                raise DerivationError(f"{setting.name} has nothing for {tensor.key} of {chain.setting.name}")
            names[Symbol(tensor.key, real=True)] = Symbol(other.key, real=True)
            for old, new in zip(tensor.shape, other.shape, strict=True):
                if sizes.setdefault(old, new) != new:
                    raise DerivationError(f"{old} would be {sizes[old]} and {new} in {setting.name}")
    known = {node.name for equation in setting.program.equations for node in equation.rhs.atoms(Undefined)}
    if unknown := {node.name for side in sides for node in side.atoms(Undefined)} - known:
        raise DerivationError(f"{setting.name} has no function {', '.join(sorted(unknown))}")
    ranges = {letter: sizes.get(extent, extent) for letter, extent in zip(chain.indices, chain.shape, strict=True)}
    single = {letter: Integer(0) for letter, extent in ranges.items() if extent == 1}
    head, form = (substitute_indices(renamed(side, names).xreplace(sizes), single) for side in sides)
    return Recalling(setting, head, name or str(head)).to(SPECIALISE, form)


def _key_at(tensor: Tensor, labels: Labels) -> str:
    """The key that a tensor has where open labels are replaced."""
    if tensor.layer is None:
        return tensor.key
    symbol, number = split_label(tensor.layer)
    label = tensor.layer if symbol is None else labels.get(symbol, symbol) + number
    if label == 0 and tensor.role == "activation":
        return "x"
    return Tensor(tensor.name, layer=int(label) if isinstance(label, Integer) else label).key


def folded(chain: Chain) -> Chain:
    """The first head and the last form; what leads from the one to the other are the smaller steps, checked as well."""
    step = Step(chain.steps[-1].rule, chain.heads[0], chain.steps[-1].after, chain.steps)
    return replace(chain, heads=chain.heads[:1], steps=(step,))


@dataclass(frozen=True)
class Instances:
    """Chains for any layer of a network of any depth, held against networks of some depths: it prints nothing.

    chains:  equalities with open labels.
    setting: the network of a given depth.
    places:  (depth, labels) to be tried.
    """

    chains: Sequence[Chain]
    setting: Callable[[int], Setting]
    places: Sequence[tuple[int, Labels]]

    def lines(self, notation: Notation) -> list[Line]:
        return []

    def rows(self) -> Iterator[Row]:
        """Every chain at every place, at one random point."""
        for depth in dict.fromkeys(depth for depth, _ in self.places):
            setting = self.setting(depth)
            draws = drawn_points(setting.program, 1, depth, setting.meaning(), setting.derived())
            for labels in (labels for at, labels in self.places if at == depth):
                for chain in self.chains:
                    found = carried(chain, setting, labels).chain()
                    frame = Frame(f"{setting.name}: {found.name}", found.indices, found.shape, setting.tensors)
                    yield from check_steps(frame, found.steps, draws, setting.program.example)


@dataclass(frozen=True)
class Unprinted:
    """Chains that stand behind what is printed, such as the same ones at other widths: checked, and not printed.

    notation: in which their matrix forms are checked.
    """

    chains: Sequence[Chain]
    notation: Notation

    def lines(self, notation: Notation) -> list[Line]:
        return []

    def rows(self) -> Iterator[Row]:
        """Every line of every chain, at one random point."""
        yield from Exposition("", "", self.notation, (Display(self.chains),)).verify(points=1).rows
