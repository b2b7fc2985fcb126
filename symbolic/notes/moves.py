"""Moves: how one line of an exposition follows from the line before. None is about an activation, a loss or a note.

A `Telling` holds the line that was reached; each move rewrites the derivatives in it by one rule, with the engine's own
calculus, and appends a step. What a move cannot do raises a DerivationError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from sympy import Add, Basic, Expr, Indexed, KroneckerDelta, Mul, Sum, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.backpropagation import Term, is_elementwise, local_steps
from symbolic.calculus import (
    contract,
    derivative,
    fresh,
    letters,
    rename_bound,
    shape_ranges,
    substitute_indices,
    summation,
)
from symbolic.deltaform import tidy_steps, turned, unify
from symbolic.errors import DerivationError
from symbolic.expressions import (
    Applied,
    Differentiated,
    Entry,
    FunctionDerivative,
    Inner,
    PartialDerivative,
    TotalDerivative,
)
from symbolic.matrixform import matrix_form
from symbolic.notes.exposition import Chain, Setting
from symbolic.rules import (
    CHAIN,
    CONTRACT,
    DEFINITION,
    DIAGONAL,
    DIFFERENTIATE,
    FUNCTION,
    INNER_PRODUCT,
    NAME,
    REUSE_OUTPUT,
    SUBSTITUTE,
    WRITE_AS_MATRICES,
    WRITE_OUT,
    Rule,
    Step,
)
from symbolic.tensors import Equation, Fact, Tensor, elements, index, indices_of, key_of


class Telling:
    """A chain of equalities under way.

    head: what it begins with: the derivative of one tensor element by the usual element of another tensor.
    """

    def __init__(self, setting: Setting, head: Expr, name: str = "", form: str = "component") -> None:
        self.setting = setting
        self.head = head
        self.name = name or str(head)
        self.form = form
        self.now: Basic = head
        self.steps: list[Step] = []
        known = isinstance(head, (TotalDerivative, PartialDerivative, FunctionDerivative))
        element = head.by if known else head
        of = head.of if known else None
        axes = {} if of is None else dict(zip(indices_of(of), setting.tensor(key_of(of) or "").shape, strict=True))
        axes.update(shape_ranges(indices_of(element), setting.tensor(key_of(element) or "").shape))
        self.ranges: dict[Expr, Expr] = {
            letter: extent for letter, extent in axes.items() if isinstance(letter, Symbol)
        }

    def chain(self, *heads: Basic) -> Chain:
        """The chain as it is; `heads` stand before the head, such as the name that it defines."""
        indices, shape = tuple(self.ranges), tuple(self.ranges.values())
        return Chain(self.setting, self.name, (*heads, self.head), indices, shape, tuple(self.steps), self.form)

    def to(
        self, rule: Rule, after: Basic, because: Fact | Equation | str | None = None, substeps: tuple[Step, ...] = ()
    ) -> Self:
        """One more line, if it says anything new."""
        if after != self.now:
            self.steps.append(Step(rule, self.now, after, substeps, because))
            self.now = after
        return self

    def at_once(self, steps: int = 2, rule: Rule | None = None) -> Self:
        """The last steps as one, by a rule, or that of the first of them; they become its substeps."""
        parts = tuple(self.steps[-steps:])
        self.steps[-steps:] = [Step(rule or parts[0].rule, parts[0].before, parts[-1].after, parts)]
        return self

    # ------------------------------------------------------------------ the law of total derivatives

    def through(self, key: str, inner: bool = False, letter: str = "") -> Self:
        """dL/dv = sum over m of dL/du_m du_m/dv for every derivative dL/dv in the line from which u separates L.

        inner: as the inner product of two vectors. Where the line writes the head out, the head is meant.
        letter: how the sum's letter is called, if that is free; by default i in the layer of v, and m elsewhere.
        """
        if isinstance(self.now, Differentiated):
            return self.to(CHAIN, self._passed(self.head, key, inner, letter))
        found = self._last(TotalDerivative)
        return self.to(CHAIN, self._swapped(found, self._passed(found, key, inner, letter)))

    def _passed(self, node: Expr, key: str, inner: bool, letter: str) -> Expr:
        tensor = self.setting.tensor(key)
        taken = letters(self.now if isinstance(self.now, Expr) else self.head) | set(self.ranges)
        same = tensor.layer == self.setting.tensor(key_of(node.by) or "").layer
        element, bound = self._anywhere(tensor, taken, letter or ("i" if same else "m"))
        whole = isinstance(self.head, TotalDerivative) and node.of == self.head.of
        left = TotalDerivative(node.of, element) if whole else self.derivative(node.of, element)
        right = self.derivative(element, node.by)
        if inner:
            ((at, extent),) = bound
            return Inner(left, right, at, extent)
        return Sum(left * right, *((at, 0, extent - 1) for at, extent in bound)) if bound else left * right

    def derivative(self, of: Expr, by: Expr) -> Expr:
        """d of/d by: partial where the equation of `of` has `by` in it, total where more lies between."""
        equation = self.setting.program.definitions.get(key_of(of) or "")
        inputs = {key_of(element) for element in elements(equation.rhs)} if equation is not None else set()
        return (PartialDerivative if key_of(by) in inputs else TotalDerivative)(of, by)

    def summed(self) -> Self:
        """Inner products as sums."""
        swap = {node: node.sum for node in self.now.atoms(Inner)}
        return self.to(INNER_PRODUCT, self.now.xreplace(swap))

    def diagonal(self) -> Self:
        """The sum over i of u_i du_i/dv_j is u_j du_j/dv_j where no other u_i depends on v_j."""
        return self.to(DIAGONAL, self._everywhere(Sum, self._collapsed))

    def _collapsed(self, node: Sum) -> Expr | None:
        inner = [factor for factor in Mul.make_args(node.function) if isinstance(factor, PartialDerivative)]
        if len(node.limits) != 1:
            return None
        letter, _, high = node.limits[0]
        # Of several derivatives, the one whose sum this is has the letter below: dz_i/du_m du_m/dv.
        for factor in sorted(inner, key=lambda one: letter not in indices_of(one.by)):
            raw = self._raw(factor, {**self._all_ranges(), letter: high + 1})
            terms = [Mul.make_args(term) for term in Add.make_args(raw)]
            deltas = [one for one in terms[0] if isinstance(one, KroneckerDelta) and letter in one.args]
            shared = [one for one in deltas if all(one in factors for factors in terms)]
            if shared:
                other = next(one for one in shared[0].args if one != letter)
                return substitute_indices(node.function, {letter: other})
        return None

    # ------------------------------------------------------------------ one equation's derivative

    def slope(self) -> Self:
        """f'(z_j) for the derivative of an elementwise function that has a name."""

        def slope(node: Expr) -> Expr | None:
            equation = self.setting.program.definitions[key_of(node.of) or ""]
            elementwise = is_elementwise(equation, self.setting.tensor(key_of(node.by) or ""))
            same = indices_of(node.of) == indices_of(node.by)
            return FunctionDerivative(node.of, node.by) if elementwise and same else None

        return self.to(FUNCTION, self._everywhere(PartialDerivative, slope))

    def worked_out(self) -> Self:
        """A line that is the derivative of one equation, step by step to its simplest form, deltas summed at once."""
        if not isinstance(self.now, (PartialDerivative, FunctionDerivative)):
            raise DerivationError(f"{self.now} is not the derivative of one equation by itself")
        first, *others = self.local(self.now)
        if others and others[0].rule is CONTRACT:
            first = Step(first.rule, first.before, others[0].after, (first, others.pop(0)), first.because)
        for step in (first, *others):
            terms = [turned(term) for term in Add.make_args(step.after)]
            self.to(step.rule, Add(*terms), step.because, step.substeps)
        return self

    def evaluated(self, rule: Rule = DIFFERENTIATE, contracting: bool = True, functions: bool = True) -> Self:
        """The derivative of one equation, in its simplest form, for every one in the line.

        contracting: sums over deltas are then carried out. functions: those of functions with a name, f'(z_j), too.
        """
        substeps: list[Step] = []
        rules: list[Rule] = []

        def value(node: Expr) -> Expr:
            steps = self.local(node)
            substeps.extend(steps)
            rules.extend(step.rule for step in steps)
            return steps[-1].after

        after = self._everywhere((PartialDerivative, FunctionDerivative) if functions else PartialDerivative, value)
        cited = next((step.because for step in substeps if step.rule is REUSE_OUTPUT), None)
        self.to(REUSE_OUTPUT if REUSE_OUTPUT in rules else rule, after, cited, tuple(substeps))
        if contracting and isinstance(self.now, Expr):
            self.to(CONTRACT, contract(self.now, self.ranges))
        return self

    def local(self, node: Expr) -> list[Step]:
        """Steps from the derivative of one equation to its simplest form."""
        equation = self.setting.program.definitions[key_of(node.of) or ""]
        tensor = self.setting.tensor(key_of(node.by) or "")
        if indices_of(node.by) != tensor.indices:
            raise DerivationError(f"{node} is not taken by the usual element of {tensor.key}")
        place = indices_of(node.of)
        elementwise = isinstance(node, FunctionDerivative)
        free = dict(zip(place, equation.tensor.shape, strict=True))
        return local_steps(Term(equation, place, tuple(free.items()), elementwise), tensor)

    def _raw(self, node: Expr, ranges: dict[Expr, Expr]) -> Expr:
        equation = self.setting.program.definitions[key_of(node.of) or ""]
        rhs = rename_bound(equation.rhs, {*ranges, *indices_of(node.by), *indices_of(node.of)})
        rhs = substitute_indices(rhs, dict(zip(equation.indices, indices_of(node.of), strict=True)))
        return contract(derivative(rhs, node.by, indices_of(node.of)), ranges)

    # ------------------------------------------------------------------ what is known

    def known(self, *keys: str) -> Self:
        """Derivatives by these tensors (by any, if none is named) replaced by the forms that were derived for them."""
        forms = {}
        for result in self.setting.derivation.results:
            start = result.steps[0].before
            if isinstance(start, TotalDerivative) and (not keys or result.tensor.of in keys):
                forms[key_of(start.of), result.tensor.of] = result

        def form(node: Expr) -> Expr | None:
            result = forms.get((key_of(node.of), key_of(node.by)))
            if result is None:
                return None
            swap = dict(zip(result.steps[0].before.by.indices, node.by.indices, strict=True))
            avoid = letters(self.now) if isinstance(self.now, Expr) else set()
            return substitute_indices(rename_bound(result.steps[-1].after, avoid), swap)

        return self.to(SUBSTITUTE, self._everywhere(TotalDerivative, form))

    def tidied(self) -> Self:
        """Simplified, with the facts of the data."""
        if isinstance(self.now, Expr):
            for step in tidy_steps(contract(self.now, self.ranges), self.setting.program.facts):
                self.steps.append(replace(step, before=self.now))
                self.now = step.after
        return self

    # ------------------------------------------------------------------ writing out, and writing as matrices

    def written_out(self, preferred: str = "k", once: bool = False) -> Self:
        """du/dv as d/dv of what u is, in terms of v, with functions called by their names.

        once: in terms of what the equation of u holds, whatever of that is computed from v.
        """
        found = self._last((TotalDerivative, PartialDerivative))
        body = contract(self.unfolded(found.of, key_of(found.by) or "", preferred, once), self._all_ranges())
        return self.to(WRITE_OUT, self._swapped(found, Differentiated(body, found.by)))

    def unfolded(self, element: Expr, key: str, preferred: str = "k", once: bool = False) -> Expr:
        """A tensor element as an expression in the tensor `key`: every equation between the two is put in.

        once: only the element's own equation.
        """
        program = self.setting.program
        between = {key_of(element)} if once else self._between(key)
        avoid = set(self.ranges) | letters(self.head)
        body = element
        for equation in reversed(program.equations):
            own = equation.tensor.key
            if own not in between:
                continue
            swap: dict[Expr, Expr] = {}
            for found in dict.fromkeys(_outer_elements(body)):
                if key_of(found) != own:
                    continue
                taken = avoid | letters(body)
                rhs = _lettered(equation.rhs, taken, preferred)
                rhs = substitute_indices(rhs, dict(zip(equation.indices, indices_of(found), strict=True)))
                source = next(iter(dict.fromkeys(elements(rhs))), None)
                named = equation.function is not None and source is not None
                if named and is_elementwise(equation, self.setting.tensor(key_of(source) or "")):
                    rhs = Applied(found, source)
                swap[found] = rhs
            body = _put(body, swap)
        return body

    def put_in(self, *keys: str) -> Self:
        """Every element of these tensors as what its equation says, one line for each tensor."""
        for key in keys:
            equation = self.setting.program.definitions[key]
            swap: dict[Expr, Expr] = {}
            for found in dict.fromkeys(_outer_elements(self.now)):
                if key_of(found) == key:
                    rhs = rename_bound(equation.rhs, letters(self.now) | set(self.ranges))
                    swap[found] = substitute_indices(rhs, dict(zip(equation.indices, indices_of(found), strict=True)))
            self.to(WRITE_OUT, _put(self.now, swap))
        return self

    def called(self, key: str) -> Self:
        """Every element of the tensor `key` as its function, by name, of what it is computed from: f(z_j) for a_j."""
        equation = self.setting.program.definitions[key]
        inputs = list(dict.fromkeys(elements(equation.rhs)))
        if len(inputs) != 1 or not is_elementwise(equation, self.setting.tensor(key_of(inputs[0]) or "")):
            raise DerivationError(f"{key} is no elementwise function, with a name, of one tensor")
        swap: dict[Expr, Expr] = {}
        for found in dict.fromkeys(_outer_elements(self.now)):
            if key_of(found) == key:
                places = dict(zip(equation.indices, indices_of(found), strict=True))
                swap[found] = Applied(found, substitute_indices(inputs[0], places))
        return self.to(WRITE_OUT, _put(self.now, swap))

    def recognised(self, key: str) -> Self:
        """What the equation of the tensor `key` says, at whatever letters, by the tensor's name."""
        equation = self.setting.program.definitions[key]

        def name(node: Expr) -> Expr | None:
            swap = unify(equation.rhs, node)
            if swap is None or not set(equation.indices) <= set(swap):
                return None
            return equation.tensor[tuple(swap[letter] for letter in equation.indices)]

        after = self._everywhere(type(equation.rhs), name)
        if after == self.now:
            raise DerivationError(f"{equation.rhs} stands nowhere in {self.now}")
        return self.to(NAME, after)

    def _between(self, key: str) -> set[str]:
        """Keys of what is computed from the tensor `key`."""
        found = {key}
        for equation in self.setting.program.equations:
            if any(key_of(element) in found for element in elements(equation.rhs)):
                found.add(equation.tensor.key)
        return found - {key}

    def carried_out(self, letter: str = "m") -> Self:
        """d/dv of what is written out, differentiated; sums over deltas are carried out where they stand.

        What it holds of what is computed from v is differentiated too: df/dv = sum over m of df/du_m du_m/dv.
        letter: how m is called, if that is free.
        """

        def value(node: Differentiated) -> Expr:
            taken, ranges = letters(self.now) | set(self.ranges), self._all_ranges()
            total = derivative(node.body, node.by, taken)
            later = self._between(key_of(node.by) or "")
            for key in dict.fromkeys(key_of(one) or "" for one in _outer_elements(node.body)):
                if key in later:
                    element, bound = self._anywhere(self.setting.tensor(key), taken, letter)
                    outer = contract(derivative(node.body, element, taken), {**ranges, **dict(bound)})
                    total += summation(outer * self.derivative(element, node.by), *bound)
            return contract(total, ranges)

        return self.to(DIFFERENTIATE, self._everywhere(Differentiated, value))

    def _anywhere(self, tensor: Tensor, taken: set[Symbol], preferred: str) -> tuple[Expr, list[tuple[Symbol, Expr]]]:
        """An element of a tensor at new letters, which are added to `taken`, and those letters with their sizes."""
        place: list[Symbol] = []
        bound: list[tuple[Symbol, Expr]] = []
        for letter, extent in zip(tensor.indices, tensor.shape, strict=True):
            new = letter
            if letter != self.setting.example or letter not in taken:
                new = fresh(preferred, taken)
                taken.add(new)
                bound.append((new, extent))
            place.append(new)
        return tensor[tuple(place)], bound

    def _all_ranges(self) -> dict[Expr, Expr]:
        found = dict(self.ranges)
        for node in preorder_traversal(self.now):
            if isinstance(node, Sum):
                found.update((letter, high + 1) for letter, _, high in node.limits)
        return found

    def moved_out(self) -> Self:
        """Factors that do not depend on the letter of a sum stand in front of it."""
        return self.to(CONTRACT, contract(self.now, self.ranges))

    def as_entries(self) -> Self:
        """Every sum with a free letter as an entry of a matrix product: (W^T u)_j."""

        def entry(node: Sum) -> Expr | None:
            free = [
                letter for letter in self.ranges if letter in letters(node) and letter != self.setting.program.example
            ]
            if len(free) != 1:
                return None
            bound = {limit[0]: limit[2] + 1 for limit in node.limits}
            outside = [one for one in Mul.make_args(node.function) if not letters(one) & set(bound)]
            inside = Sum(Mul(*(one for one in Mul.make_args(node.function) if one not in outside)), *node.limits)
            array = matrix_form(inside, free, self.setting.tensors, self.setting.program.example)
            return Mul(*outside) * Entry(array, *free)

        return self.to(WRITE_AS_MATRICES, self._everywhere(Sum, entry))

    # ------------------------------------------------------------------ rewriting

    def _last(self, kinds: type | tuple[type, ...]) -> Expr:
        """The one derivative of a kind that still has a step to go: the last one in reading order."""
        by = self.head.by if isinstance(self.head, TotalDerivative) else None
        found: list[Any] = [node for node in preorder_traversal(self.now) if isinstance(node, kinds)]
        matching = [node for node in found if node.by == by]
        if not matching:
            raise DerivationError(f"{self.now} holds no derivative that could be rewritten")
        return matching[-1]

    def _swapped(self, old: Expr, new: Expr) -> Basic:
        return self.now.xreplace({old: new})

    def _everywhere(self, kinds: type | tuple[type, ...], new: Callable) -> Basic:
        """The line with every node of these kinds replaced by what `new` gives for it, unless that is None."""
        swap = {}
        for node in preorder_traversal(self.now):
            if isinstance(node, kinds) and node not in swap:
                value = new(node)
                if value is not None:
                    swap[node] = value
        return self.now.xreplace(swap)


def _outer_elements(expression: Basic) -> list[Expr]:
    """Tensor elements of an expression that can be replaced: not those that only name a function."""
    if isinstance(expression, Applied):
        return _outer_elements(expression.argument)
    if isinstance(expression, Indexed) or (isinstance(expression, Symbol) and key_of(expression) is not None):
        return [expression]
    return [found for part in expression.args for found in _outer_elements(part)]


def _put(expression: Expr, swap: dict[Expr, Expr]) -> Expr:
    """The elements replaced, but not where they only name a function."""
    if isinstance(expression, Applied):
        return Applied(expression.element, _put(expression.argument, swap))
    if expression in swap:
        return swap[expression]
    if not expression.args or isinstance(expression, Indexed):
        return expression
    return expression.func(*(_put(part, swap) for part in expression.args))


def _lettered(rhs: Expr, taken: set[Symbol], preferred: str) -> Expr:
    """The right side with its outermost bound letter called as the note calls it, if that is free."""
    rhs = rename_bound(rhs, taken)
    outer = next((node.limits[0][0] for node in preorder_traversal(rhs) if isinstance(node, Sum)), None)
    letter = index(preferred)
    if outer is None or letter in taken | letters(rhs):
        return rhs
    return rhs.xreplace({outer: letter})


def by(setting: Setting, key: str) -> TotalDerivative:
    """The derivative of the setting's loss by a tensor, at its usual letters."""
    return TotalDerivative(setting.loss.element, setting.tensor(key).element)


def definition(setting: Setting, key: str, form: str = "component") -> Chain:
    """The name of a derivative and what it stands for."""
    tensor = setting.tensor(key)
    of, variable = (setting.tensor(one) for one in setting.meaning()[key])
    step = Step(DEFINITION, tensor.element, TotalDerivative(of.element, variable.element))
    return Chain(setting, key, (tensor.element,), tensor.indices, tensor.shape, (step,), form)
