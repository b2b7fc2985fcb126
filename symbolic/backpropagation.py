"""The reverse sweep: from a program to the gradients of its objective, each with its steps.

One law does the work, the law of total derivatives: dL/dv_k = sum over every u computed from v, and every element i of
u, of dL/du_i * partial u_i/partial v_k. Tensors are visited from the objective backwards, so dL/du is there when it is
needed. Each adjoint that is used more than once gets a name, and later lines mention only the name: the delta form.

Where the program computes each example by itself (`program.example`), dL/dv is derived for the loss of one example; the
objective's mean or sum over the examples comes in front of the parameters' gradients at the end, by the chain rule too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import overload

from sympy import Add, Expr, Integer, Symbol, Tuple

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
from symbolic.deltaform import best, cost, rank, reuse_output, tidy_steps
from symbolic.depth import LAYER, NEEDS_DEPTH, Label
from symbolic.derivation import Derivation
from symbolic.errors import DeltaformWarning, DerivationError, ProgramError, UsageError
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative
from symbolic.induction import AnyDepth, GeneralDerivation
from symbolic.programs import HasProgram, Program, per_example_loss
from symbolic.repetition import Repeated, Repetition
from symbolic.rules import CHAIN, CONTRACT, DIFFERENTIATE, FUNCTION, NAME, REUSE_OUTPUT, SUBSTITUTE, TIDY, Result, Step
from symbolic.tensors import Equation, Tensor, elements, indices_of, key_of

# A form of more operations than this gets a name, even if it is used once: nested forms would grow with depth.
DEAREST_INLINED = 40


@overload
def derive(source: AnyDepth, wrt: None = None) -> GeneralDerivation: ...


@overload
def derive(source: Program | HasProgram, wrt: Iterable[str] | None = None) -> Derivation: ...


def derive(source: Program | HasProgram | AnyDepth, wrt: Iterable[str] | None = None) -> Derivation | GeneralDerivation:
    """Derive the gradient of the objective with respect to every parameter, or to the tensors named in `wrt`.

    source: a Network, or a Program of equations; or a GeneralNetwork, which gives a GeneralDerivation.
    wrt:    one key or several, such as "W1" or "x"; inputs and intermediate tensors are allowed.

    The cost is linear in the number of equations. Nothing is verified here: see `Derivation.verify`.

    Raises:
        UsageError: for a source that is none of these, or wrt where the depth is open.
        DerivationError: for a key that is no tensor of the program, or an equation that cannot be differentiated.
        ProgramError: if a program with an examples' axis mixes examples.

    Source: the law of total derivatives, applied as in D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning
    representations by back-propagating errors", Nature 323 (1986).
    """
    if isinstance(source, (Derivation, GeneralDerivation)):
        raise UsageError(f"this {type(source).__name__} is derived already; derive takes a Network or a Program")
    if isinstance(source, AnyDepth):
        return _any_depth(source, wrt)
    if not isinstance(source, Program) and not hasattr(source, "program"):
        raise UsageError(
            f"derive takes a Network or a Program, not {type(source).__name__}; for text: derive(Network.parse(...))"
        )
    program = source if isinstance(source, Program) else source.program()
    known = program.tensors
    if isinstance(wrt, str):
        wrt = (wrt,)
    wanted = tuple(dict.fromkeys(wrt)) if wrt is not None else tuple(leaf.key for leaf in program.parameters)
    for key in wanted:
        if key not in known:
            raise DerivationError(f"there is no tensor {key!r} to differentiate by; the program has {', '.join(known)}")
    if program.objective in wanted:
        raise DerivationError(f"{program.objective} is the objective itself; its derivative by itself is 1")
    for key in program.given:
        if key in wanted:
            raise DerivationError(f"the derivative by {key} is given, not derived; leave {key} out of wrt")
    if not wanted:
        there = "the program has no parameters" if wrt is None else "wrt is empty"
        raise DerivationError(f"{there}; name the tensors to differentiate by, as in wrt=['x']")
    sweep = _Sweep(program, wanted)
    return Derivation(program, sweep.run(), wanted, tuple(sweep.given.values()))


def _any_depth(source: AnyDepth, wrt: Iterable[str] | None) -> GeneralDerivation:
    """The last layer, and any layer from the one after it, by the parameters of that layer."""
    if wrt is not None:
        raise UsageError(f"wrt: a network of any depth is derived by all of its parameters; {NEEDS_DEPTH}")
    step = source.step()
    own = [leaf.key for leaf in step.parameters if leaf.layer == LAYER]
    return GeneralDerivation(source, derive(source.base()), derive(step, own), derive)


@dataclass
class Term:
    """One summand of the law of total derivatives: through `equation`, at `place`, summed over `bound`."""

    equation: Equation
    place: tuple[Symbol, ...]
    bound: tuple[tuple[Symbol, Expr], ...]
    elementwise: bool

    def summed(self, body: Expr) -> Expr:
        return summation(body, *self.bound)


@dataclass
class _Sweep:
    program: Program
    wanted: tuple[str, ...]
    results: dict[str, Result] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tensors = self.program.tensors
        self.top = per_example_loss(self.program)
        self.inputs = {e.tensor.key: _inputs(e) for e in self.program.equations}
        self.consumers: dict[str, list[Equation]] = {key: [] for key in self.tensors}
        for equation in self.program.equations:
            for key in self.inputs[equation.tensor.key]:
                self.consumers[key].append(equation)
        self.needed = self._between()
        self._refuse_shared_intermediates()
        self.order: list[str] = []
        self.repetition = Repetition()
        layers: dict[Label | None, list[str]] = {}
        for tensor in self.tensors.values():
            if tensor.role == "preactivation":
                layers.setdefault(tensor.layer, []).append(tensor.key)
        self.tensors_called_delta = {layer: keys[0] for layer, keys in layers.items() if len(keys) == 1}
        self.given = {key: self._adjoint(self.tensors[key]) for key in self.program.given}

    def _between(self) -> set[str]:
        """Keys of the tensors that lie between what is wanted and the objective, or a tensor whose adjoint is given."""
        downstream = set(self.wanted)
        for equation in self.program.equations:
            if (downstream - set(self.program.given)) & set(self.inputs[equation.tensor.key]):
                downstream.add(equation.tensor.key)
        upstream = {self.top.key}
        for equation in reversed(self.program.equations):
            if equation.tensor.key in upstream:
                upstream.update(self.inputs[equation.tensor.key])
        return downstream & upstream

    def _refuse_shared_intermediates(self) -> None:
        """With an examples' axis, what is computed for all examples together has no derivative for one of them."""
        example = self.program.example
        for key in self.program.definitions:
            if example is not None and key in self.needed and example not in self.tensors[key].indices:
                raise ProgramError(
                    f"{key} is computed once for all examples, without the examples' axis {example}. "
                    "Leave Program.example out, so that the examples' axis is treated like any other"
                )

    def run(self) -> tuple[Result, ...]:
        pending = [key for key in self.tensors if key in self.wanted]
        for equation in reversed(self.program.equations):
            key = equation.tensor.key
            if key in self.needed and key != self.top.key and key not in self.given:
                self._put(key, self._adjoint_result(self.tensors[key]))
            for leaf in list(pending):
                users = self.consumers[leaf]
                if leaf == key or (leaf not in self.program.definitions and (not users or users[0] is equation)):
                    pending.remove(leaf)
                    self._gradient(self.tensors[leaf])
        for leaf in pending:
            self._gradient(self.tensors[leaf])
        return tuple(self.results[key] for key in self.order)

    def _put(self, key: str, result: Result) -> None:
        self.results[key] = result
        self.order.append(key)

    # Which adjoint is called what

    def _adjoint(self, tensor: Tensor) -> Tensor:
        """delta for the one pre-activation of a layer, adj_... for everything else."""
        name = "delta" if self.tensors_called_delta.get(tensor.layer) == tensor.key else f"adj_{tensor.name}"
        return self._free(Tensor(name, "adjoint", tensor.layer, tensor.shape, tensor.indices, of=tensor.key))

    def _free(self, tensor: Tensor) -> Tensor:
        if tensor.key in self.tensors:
            raise ProgramError(f"tensor {tensor.key} has the name that a derivative by {tensor.of} needs; rename it")
        return tensor

    def _may_inline(self, key: str) -> bool:
        """Only one later line would mention the name, so its form may stand there instead."""
        users = [one for one in self.inputs.get(key, ()) if one in self.needed]
        free = key not in self.wanted and key not in self.given and key != self.top.key
        return free and len(users) == 1 and users[0] in self.inputs

    # The law of total derivatives

    def _terms(self, tensor: Tensor) -> list[Term]:
        terms = []
        for equation in self.consumers[tensor.key]:
            if equation.tensor.key not in self.needed:
                continue
            taken = set(tensor.indices) | letters(equation.rhs) | set(equation.indices)
            place: list[Symbol] = []
            bound: list[tuple[Symbol, Expr]] = []
            same = equation.tensor.layer == tensor.layer
            for letter, extent in zip(equation.indices, equation.tensor.shape, strict=True):
                if letter == self.program.example:
                    place.append(letter)
                    continue
                new = fresh("i" if same else "m", taken)
                taken.add(new)
                place.append(new)
                bound.append((new, extent))
            terms.append(Term(equation, tuple(place), tuple(bound), is_elementwise(equation, tensor)))
        return terms

    def _adjoint_result(self, tensor: Tensor) -> Result:
        """The adjoint of a computed tensor, through the names of later adjoints, or their forms if that is less."""
        terms = self._terms(tensor)
        open_keys = [t.equation.tensor.key for t in terms if self._may_inline(t.equation.tensor.key)]
        open_keys = [key for key in open_keys if cost(self.results[key].steps[-1].after) <= DEAREST_INLINED]
        inlined = self._steps(tensor, terms, set(open_keys))
        if open_keys and not all(t.elementwise for t in terms):
            by_name = self._steps(tensor, terms, set())
            definitions = sum(cost(self.results[key].steps[-1].after) for key in open_keys)
            if cost(by_name.steps[-1].after) + definitions < cost(inlined.steps[-1].after):
                inlined, open_keys = by_name, []
        for key in open_keys:
            self.results[key] = replace(self.results[key], named=False)
        return Result(self._adjoint(tensor), tensor.indices, inlined.steps, pattern=inlined.pattern)

    def _steps(self, tensor: Tensor, terms: list[Term], inline: set[str]) -> Repeated:
        """From dL/dv to its simplest form, or the form of an equal layer, renamed."""
        ranges = shape_ranges(tensor.indices, tensor.shape)
        sources = [Symbol(self._source(term), real=True) for term in terms if self._source(term)]
        given = Tuple(
            self.top.element, tensor.element, *tensor.shape, *sources,
            *(Tuple(
                term.equation.lhs, term.equation.rhs, *term.equation.tensor.shape, *term.place,
                self._value(term, ranges, inline),
            ) for term in terms),
        )  # fmt: skip
        traits = tuple(
            (t.elementwise, t.equation.tensor.key in inline, t.equation.tensor.key == self.top.key) for t in terms
        )
        cited = [term.equation for term in terms]
        return self._repeated(given, traits, cited, lambda: self._derived_steps(tensor, terms, inline))

    def _repeated(
        self, given: Tuple, traits: Hashable, cited: list[Equation], compute: Callable[[], list[Step]]
    ) -> Repeated:
        """The chain of an equal layer, renamed; layers are equal only if the same facts hold of what they mention."""
        mentioned = {key_of(element) for element in elements(given)}
        facts = [f for f in self.program.facts if mentioned & {key_of(element) for element in elements(f.before)}]
        whole = Tuple(given, *(part for fact in facts for part in (fact.before, fact.after)))
        return self.repetition.steps(whole, traits, [*cited, *facts], compute)

    def _derived_steps(self, tensor: Tensor, terms: list[Term], inline: set[str]) -> list[Step]:
        element = tensor.element
        top = self.top.element
        ranges = shape_ranges(tensor.indices, tensor.shape)
        chain: list[Step] = []

        def go(rule, after, substeps=(), because=None):
            before = chain[-1].after if chain else TotalDerivative(top, element)
            if after != before:
                chain.append(Step(rule, before, after, tuple(substeps), because))

        direct = len(terms) == 1 and terms[0].equation.tensor.key == self.top.key
        outer = [self._outer(term) for term in terms]
        if not direct:
            go(CHAIN, Add(*(
                term.summed(factor * PartialDerivative(term.equation.tensor[term.place], element))
                for term, factor in zip(terms, outer, strict=True)
            )))  # fmt: skip
        local = [local_steps(term, tensor) for term in terms]
        if any(term.elementwise for term in terms):
            terms, outer, inner = self._collapsed(terms, tensor)
            go(FUNCTION, Add(*(term.summed(f * d) for term, f, d in zip(terms, outer, inner, strict=True))))
        else:
            inner = [PartialDerivative(term.equation.tensor[term.place], element) for term in terms]
        values = [self._value(term, ranges, inline) for term in terms]
        if not direct:
            substituted = any(term.equation.tensor.key in inline for term in terms)
            after = Add(*(term.summed(v * d) for term, v, d in zip(terms, values, inner, strict=True)))
            go(SUBSTITUTE if substituted else NAME, after, because=self._source(terms[0]) if len(terms) == 1 else None)
        bodies = [
            term.summed(_unclashed(v, d[-1].after) * d[-1].after)
            for term, v, d in zip(terms, values, local, strict=True)
        ]
        substeps = [step for steps in local for step in steps]
        reused = any(step.rule is REUSE_OUTPUT for step in substeps)
        cited = next((step.because for step in substeps if step.rule is REUSE_OUTPUT), None)
        go(REUSE_OUTPUT if reused else DIFFERENTIATE, Add(*bodies), substeps, cited)
        go(CONTRACT, contract(chain[-1].after, ranges))
        for step in tidy_steps(chain[-1].after, self.program.facts):
            go(step.rule, step.after, step.substeps, step.because)
        return chain

    def _outer(self, term: Term) -> Expr:
        if term.equation.tensor.key == self.top.key:
            return Integer(1)
        return TotalDerivative(self.top.element, term.equation.tensor[term.place])

    def _collapsed(self, terms: list[Term], tensor: Tensor) -> tuple[list[Term], list[Expr], list[Expr]]:
        """Each elementwise term without its sum: dL/da_j f'(z_j), because partial a_i/partial z_j = [i = j] f'(z_j)."""
        after, outer, inner = [], [], []
        for term in terms:
            of = term.equation.tensor
            if term.elementwise:
                term = replace(term, place=tensor.indices, bound=())
                inner.append(FunctionDerivative(of[tensor.indices], tensor.element))
            else:
                inner.append(PartialDerivative(of[term.place], tensor.element))
            after.append(term)
            outer.append(self._outer(term))
        return after, outer, inner

    def _source(self, term: Term) -> str:
        """The key of dL/du for what the term goes through, or "" for the loss itself."""
        key = term.equation.tensor.key
        if key == self.top.key:
            return ""
        return (self.given[key] if key in self.given else self.results[key].tensor).key

    def _value(self, term: Term, ranges: dict[Expr, Expr], inline: set[str]) -> Expr:
        """dL/du at the term's place: its name, or its form."""
        key = term.equation.tensor.key
        if key == self.top.key:
            return Integer(1)
        if key in self.given:
            return self.given[key][term.place]
        result = self.results[key]
        if key not in inline:
            return result.tensor[term.place]
        avoid = set(ranges) | {letter for letter, _ in term.bound}
        form = rename_bound(result.steps[-1].after, avoid)
        return substitute_indices(form, dict(zip(result.indices, term.place, strict=True)))

    # From the loss of one example to the objective

    def _gradient(self, tensor: Tensor) -> None:
        objective = self.tensors[self.program.objective]
        gradient = self._free(
            Tensor(f"d{tensor.name}", "gradient", tensor.layer, tensor.shape, tensor.indices, of=tensor.key)
        )
        whole = TotalDerivative(objective.element, tensor.element)
        if tensor.key not in self.needed:
            warnings.warn(
                f"the objective does not depend on {tensor.key}; its gradient is 0", DeltaformWarning, stacklevel=4
            )
            self._put(f"d{tensor.key}", Result(gradient, tensor.indices, (Step(CHAIN, whole, Integer(0)),)))
            return
        if tensor.key == self.top.key:
            weights = self._weight(objective)
            step = Step(DIFFERENTIATE, whole, weights[-1].after, tuple(weights), weights[0].because)
            self._put(f"d{tensor.key}", Result(gradient, tensor.indices, (step,)))
            return
        computed = self.results.get(tensor.key)
        if objective.key == self.top.key:
            if computed is None:
                found = self._steps(tensor, self._terms(tensor), set())
                self._put(f"d{tensor.key}", Result(gradient, tensor.indices, found.steps, pattern=found.pattern))
            else:
                step = Step(NAME, whole, computed.tensor[tensor.indices], because=computed.tensor.key)
                self._put(f"d{tensor.key}", Result(gradient, tensor.indices, (step,)))
            return
        if computed is None:
            carried = self.program.example in tensor.indices
            indices = tensor.indices if carried else (*self.top.indices, *tensor.indices)
            shape = tensor.shape if carried else (*self.top.shape, *tensor.shape)
            each = self._free(Tensor(f"each_d{tensor.name}", "gradient", tensor.layer, shape, indices, of=tensor.key))
            found = self._steps(tensor, self._terms(tensor), set())
            computed = Result(each, indices, found.steps, named=False, pattern=found.pattern)
            self._put(each.key, computed)
            form: Expr = computed.steps[-1].after
        else:
            form = computed.tensor.element
        given = Tuple(objective.element, self.top.element, tensor.element, *tensor.shape, self.top.shape[0], form)
        source = computed.tensor.key
        given = Tuple(*given, Symbol(source, real=True))
        found = self._repeated(given, computed.tensor.role, [], lambda: self._total_steps(tensor, form, source))
        self._put(f"d{tensor.key}", Result(gradient, tensor.indices, found.steps, pattern=found.pattern))

    def _total_steps(self, tensor: Tensor, form: Expr, source: str) -> list[Step]:
        """From dJ/dv through the derivative `form` of one example's loss to the mean or sum over the examples."""
        objective = self.tensors[self.program.objective]
        example, extent = self.program.example, self.top.shape[0]
        carried = example in tensor.indices
        weights = self._weight(objective)
        one = TotalDerivative(self.top.element, tensor.element)

        def total(body: Expr) -> Expr:
            return body if carried else summation(body, (example, extent))

        ranges = {**shape_ranges(tensor.indices, tensor.shape), example: extent}
        chained = total(weights[0].before * one)
        weighted = contract(total(weights[-1].after * one), ranges)
        formed = contract(total(weights[-1].after * form), ranges)
        return [
            Step(CHAIN, TotalDerivative(objective.element, tensor.element), chained),
            Step(DIFFERENTIATE, chained, weighted, tuple(weights), self.program.definitions[objective.key]),
            Step(SUBSTITUTE, weighted, formed, because=source),
            *tidy_steps(formed, self.program.facts),
        ]

    def _weight(self, objective: Tensor) -> list[Step]:
        """How much one example's loss counts in the objective: 1/N for a mean."""
        equation = self.program.definitions[objective.key]
        element = self.top.element
        raw = derivative(equation.rhs, element)
        after = contract(raw, shape_ranges(self.top.indices, self.top.shape))
        start = PartialDerivative(objective.element, element)
        steps = [Step(DIFFERENTIATE, start, raw, because=equation)]
        if after != raw:
            steps.append(Step(CONTRACT, raw, after))
        if list(elements(after)):
            raise ProgramError(f"objective {objective.key} must be linear in {self.top.key}; its derivative is {after}")
        return steps


def local_steps(term: Term, tensor: Tensor) -> list[Step]:
    """Steps from partial u_i/partial v_k, or f'(v_k) where the term is elementwise, to its simplest form."""
    equation = term.equation
    element = tensor.element
    if term.elementwise:
        rhs = substitute_indices(equation.rhs, dict(zip(equation.indices, tensor.indices, strict=True)))
        start: Expr = FunctionDerivative(equation.tensor[tensor.indices], element)
        ranges = shape_ranges(tensor.indices, tensor.shape)
    else:
        rhs = rename_bound(equation.rhs, {*tensor.indices, *(letter for letter, _ in term.bound)})
        rhs = substitute_indices(rhs, dict(zip(equation.indices, term.place, strict=True)))
        start = PartialDerivative(equation.tensor[term.place], element)
        ranges = {**shape_ranges(tensor.indices, tensor.shape), **dict(term.bound)}
    raw = derivative(rhs, element)
    steps = [Step(DIFFERENTIATE, start, raw, because=equation)]
    contracted = contract(raw, ranges)
    if contracted != raw:
        steps.append(Step(CONTRACT, raw, contracted))
    placed = Equation(equation.tensor, tensor.indices if term.elementwise else term.place, rhs)
    reused = reuse_output(contracted, placed)
    if reused is not None:
        steps.append(Step(REUSE_OUTPUT, contracted, reused, because=equation))
    simpler = best(steps[-1].after)
    if rank(simpler) < rank(steps[-1].after):
        steps.append(Step(TIDY, steps[-1].after, simpler))
    return steps


def _inputs(equation: Equation) -> tuple[str, ...]:
    """Keys of the tensors on the right side, each once, in order."""
    return tuple(dict.fromkeys(key_of(element) or "" for element in elements(equation.rhs)))


def is_elementwise(equation: Equation, tensor: Tensor) -> bool:
    """The equation applies a named function to each element of `tensor` by itself, and is more than a copy."""
    if equation.function is None or equation.tensor.shape != tensor.shape or equation.rhs == equation.tensor.element:
        return False
    places = [indices_of(e) for e in elements(equation.rhs) if key_of(e) == tensor.key]
    return all(place == equation.indices for place in places) and bool(equation.rhs.args) and not _plain(equation.rhs)


def _plain(rhs: Expr) -> bool:
    """A tensor element by itself, as the identity gives it."""
    return key_of(rhs) is not None


def _unclashed(value: Expr, other: Expr) -> Expr:
    return rename_bound(value, letters(other))
