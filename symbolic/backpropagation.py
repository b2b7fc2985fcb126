"""The reverse sweep: from a program to the gradients of its objective, each with its steps.

One law does the work, the law of total derivatives: dL/dv_k = sum over every u computed from v, and every element i of
u, of dL/du_i * partial u_i/partial v_k. Tensors are visited from the objective backwards, so dL/du is there when it is
needed. Each adjoint that is used more than once gets a name, and later lines mention only the name: the delta form.

Where the program computes each example by itself (`program.example`), dL/dv is derived for the loss of one example; the
objective's mean or sum over the examples comes in front of the parameters' gradients at the end, by the chain rule too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import overload

from sympy import Add, Expr, Integer, Symbol

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
from symbolic.collecting import collection_paused
from symbolic.deltaform import best, cost, rank, reuse_output, tidy_steps
from symbolic.depth import LAYER, NEEDS_DEPTH, Label
from symbolic.derivation import Derivation
from symbolic.errors import DerivationError, ProgramError, UsageError, warn
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative
from symbolic.induction import AnyDepth, GeneralDerivation
from symbolic.moulds import Skeleton, is_tensor_name, joined, skeleton, tensor_name
from symbolic.programs import HasProgram, Program, per_example_loss
from symbolic.repetition import Repeated, Repetition
from symbolic.rules import CHAIN, CONTRACT, DIFFERENTIATE, FUNCTION, NAME, REUSE_OUTPUT, SUBSTITUTE, TIDY, Result, Step
from symbolic.tensors import Equation, Fact, Tensor, elements, indices_of, key_of

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
    with collection_paused():
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
    with collection_paused():
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


@dataclass(frozen=True)
class _Shape:
    """An equation without its names.

    number:   equal for equations that differ in names only. names: its own, that of its tensor first.
    letters:  of the right side. inputs: keys of the tensors on the right side, each once, in order.
    """

    number: int
    names: tuple[Symbol, ...]
    letters: frozenset[Symbol]
    inputs: tuple[str, ...]


class _Shapes:
    """The shapes of a program's equations; what they have in common is found once."""

    def __init__(self) -> None:
        self.numbers: dict[Hashable, int] = {}
        self.letters: list[frozenset[Symbol]] = []
        self.elementwise: dict[Hashable, bool] = {}

    def of(self, equation: Equation) -> _Shape:
        tensor = equation.tensor
        label = tensor_name(tensor.key)
        right = skeleton(equation.rhs)
        whole = joined((skeleton(label, *tensor.shape, *equation.indices), right))
        key = (whole.tokens, len(tensor.shape), equation.function is None)
        number = self.numbers.setdefault(key, len(self.numbers))
        if number == len(self.letters):
            self.letters.append(frozenset(letters(equation.rhs)))
        inputs = tuple([name.name for name in right.names if is_tensor_name(name)])
        return _Shape(number, whole.names, self.letters[number], inputs)

    def is_elementwise(self, equation: Equation, shape: _Shape, tensor: Tensor) -> bool:
        key = shape.number, shape.names.index(tensor_name(tensor.key)), equation.tensor.shape == tensor.shape
        if key not in self.elementwise:
            self.elementwise[key] = is_elementwise(equation, tensor)
        return self.elementwise[key]


@dataclass
class _Sweep:
    program: Program
    wanted: tuple[str, ...]
    results: dict[str, Result] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.asked = frozenset(self.wanted)
        self.tensors = self.program.tensors
        self.top = per_example_loss(self.program)
        self.shapes = _Shapes()
        self.shape = {e.tensor.key: self.shapes.of(e) for e in self.program.equations}
        self.inputs = {key: shape.inputs for key, shape in self.shape.items()}
        self.consumers: dict[str, list[Equation]] = {key: [] for key in self.tensors}
        for equation in self.program.equations:
            for key in self.inputs[equation.tensor.key]:
                self.consumers[key].append(equation)
        self.needed = self._between()
        self._refuse_shared_intermediates()
        self.order: list[str] = []
        self.repetition = Repetition()
        self.found: dict[str, Repeated] = {}
        self.facts = [
            (fact, {tensor_name(key_of(one) or "") for one in elements(fact.before)}) for fact in self.program.facts
        ]
        self.adjoints: dict[str, Tensor] = {}
        self.own: dict[str, Skeleton] = {}
        self.whole = skeleton(tensor_name(self.program.objective), tensor_name(self.top.key), *self.top.shape)
        self.places: dict[Hashable, tuple[Symbol, ...]] = {}
        self.local: dict[tuple[str, str], list[Step]] = {}
        layers: dict[Label | None, list[str]] = {}
        for tensor in self.tensors.values():
            if tensor.role == "preactivation":
                layers.setdefault(tensor.layer, []).append(tensor.key)
        self.tensors_called_delta = {layer: keys[0] for layer, keys in layers.items() if len(keys) == 1}
        self.given = {key: self._adjoint(self.tensors[key]) for key in self.program.given}

    def _between(self) -> set[str]:
        """Keys of the tensors that lie between what is wanted and the objective, or a tensor whose adjoint is given."""
        downstream, given = set(self.wanted), set(self.program.given)
        for equation in self.program.equations:
            if any(key in downstream and key not in given for key in self.inputs[equation.tensor.key]):
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
        ready: dict[str, list[str]] = {}  # what is wanted, by the tensor after whose turn it can be had
        last = self.program.equations[-1].tensor.key
        for key in self.tensors:
            if key in self.asked:
                users = self.consumers[key]
                after = key if key in self.shape else users[0].tensor.key if users else last
                ready.setdefault(after, []).append(key)
        for equation in reversed(self.program.equations):
            key = equation.tensor.key
            if key in self.needed and key != self.top.key and key not in self.given:
                self._put(key, self._adjoint_result(self.tensors[key]))
            for wanted in ready.get(key, ()):
                self._gradient(self.tensors[wanted])
        return tuple(self.results[key] for key in self.order)

    def _put(self, key: str, result: Result) -> None:
        self.results[key] = result
        self.order.append(key)

    # Which adjoint is called what

    def _adjoint(self, tensor: Tensor) -> Tensor:
        """delta for the one pre-activation of a layer, adj_... for everything else."""
        if tensor.key not in self.adjoints:
            name = "delta" if self.tensors_called_delta.get(tensor.layer) == tensor.key else f"adj_{tensor.name}"
            adjoint = Tensor(name, "adjoint", tensor.layer, tensor.shape, tensor.indices, of=tensor.key)
            self.adjoints[tensor.key] = self._free(adjoint)
        return self.adjoints[tensor.key]

    def _free(self, tensor: Tensor) -> Tensor:
        if tensor.key in self.tensors:
            raise ProgramError(f"tensor {tensor.key} has the name that a derivative by {tensor.of} needs; rename it")
        return tensor

    def _may_inline(self, key: str) -> bool:
        """Only one later line would mention the name, so its form may stand there instead."""
        users = [one for one in self.inputs.get(key, ()) if one in self.needed]
        free = key not in self.asked and key not in self.given and key != self.top.key
        return free and len(users) == 1 and users[0] in self.inputs

    # The law of total derivatives

    def _terms(self, tensor: Tensor) -> list[Term]:
        terms = []
        for equation in self.consumers[tensor.key]:
            key = equation.tensor.key
            if key not in self.needed:
                continue
            place = self._place(equation, self.shape[key], tensor)
            bound = [
                (new, extent)
                for letter, new, extent in zip(equation.indices, place, equation.tensor.shape, strict=True)
                if letter != self.program.example
            ]
            elementwise = self.shapes.is_elementwise(equation, self.shape[key], tensor)
            terms.append(Term(equation, place, tuple(bound), elementwise))
        return terms

    def _place(self, equation: Equation, shape: _Shape, tensor: Tensor) -> tuple[Symbol, ...]:
        """Letters for the elements of what an equation computes: its own at the examples' axis, else new ones."""
        same = equation.tensor.layer == tensor.layer
        if (shape.number, tensor.indices, same) not in self.places:
            taken = {*tensor.indices, *shape.letters, *equation.indices}
            place: list[Symbol] = []
            for letter in equation.indices:
                new = letter if letter == self.program.example else fresh("i" if same else "m", taken)
                if new != letter:
                    taken.add(new)
                place.append(new)
            self.places[shape.number, tensor.indices, same] = tuple(place)
        return self.places[shape.number, tensor.indices, same]

    def _adjoint_result(self, tensor: Tensor) -> Result:
        """The adjoint of a computed tensor, through the names of later adjoints, or their forms if that is less."""
        terms = self._terms(tensor)
        open_keys = [t.equation.tensor.key for t in terms if self._may_inline(t.equation.tensor.key)]
        open_keys = [key for key in open_keys if _cost(self.found[key]) <= DEAREST_INLINED]
        inlined = self._steps(tensor, terms, set(open_keys))
        if open_keys and not all(t.elementwise for t in terms):
            by_name = self._steps(tensor, terms, set())
            definitions = sum(_cost(self.found[key]) for key in open_keys)
            if _cost(by_name) + definitions < _cost(inlined):
                inlined, open_keys = by_name, []
        for key in open_keys:
            self.results[key] = self.results[key].under_no_name()
        self.found[tensor.key] = inlined
        return Result.of(inlined, self._adjoint(tensor), tensor.indices)

    def _steps(self, tensor: Tensor, terms: list[Term], inline: set[str]) -> Repeated:
        """From dL/dv to its simplest form, or the form of an equal layer, renamed."""
        sources = [tensor_name(source) for term in terms if (source := self._source(term))]
        given = [self._own_skeleton(tensor)]
        given += [Skeleton(None, (source,)) for source in sources]
        traits: list[Hashable] = [len(tensor.shape), len(sources)]
        for term in terms:
            key = term.equation.tensor.key
            shape = self.shape[key]
            given.append(Skeleton(shape.number, shape.names))
            given.append(self._value_skeleton(key, inline))
            traits.append((term.elementwise, key in inline, key == self.top.key, term.place))
        return self._repeated(
            given, tuple(traits), [term.equation for term in terms], lambda: self._derived_steps(tensor, terms, inline)
        )

    def _own_skeleton(self, tensor: Tensor) -> Skeleton:
        """What is differentiated, and by what."""
        if tensor.key not in self.own:
            labels = tensor_name(self.top.key), tensor_name(tensor.key)
            self.own[tensor.key] = skeleton(*labels, *tensor.shape, *tensor.indices)
        return self.own[tensor.key]

    def _value_skeleton(self, key: str, inline: set[str]) -> Skeleton:
        """What `_value` depends on, besides the term's place."""
        if key == self.top.key:
            return Skeleton(None, ())
        if key in inline:
            form = self.found[key].form_skeleton()
            return Skeleton((form.tokens, self.results[key].indices), form.names)
        tensor = self.given[key] if key in self.given else self.results[key].tensor
        return Skeleton(len(tensor.shape), (tensor_name(tensor.key),))

    def _repeated(
        self, given: list[Skeleton], traits: Hashable, cited: list[Equation], compute: Callable[[], list[Step]]
    ) -> Repeated:
        """The chain of an equal layer, renamed; layers are equal only if the same facts hold of what they mention."""
        facts: list[Fact] = []
        if self.facts:
            facts = [fact for fact, names in self.facts if not all(names.isdisjoint(part.names) for part in given)]
            given = [*given, *(skeleton(part) for fact in facts for part in (fact.before, fact.after))]
        return self.repetition.steps(joined(given), traits, [*cited, *facts], compute)

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
        local = [self._local_steps(term, tensor) for term in terms]
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

    def _local_steps(self, term: Term, tensor: Tensor) -> list[Step]:
        key = term.equation.tensor.key, tensor.key
        if key not in self.local:
            self.local[key] = local_steps(term, tensor)
        return self.local[key]

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
        form = rename_bound(result.form, avoid)
        return substitute_indices(form, dict(zip(result.indices, term.place, strict=True)))

    # From the loss of one example to the objective

    def _gradient(self, tensor: Tensor) -> None:
        objective = self.tensors[self.program.objective]
        gradient = self._free(
            Tensor(f"d{tensor.name}", "gradient", tensor.layer, tensor.shape, tensor.indices, of=tensor.key)
        )
        whole = TotalDerivative(objective.element, tensor.element)
        if tensor.key not in self.needed:
            warn(f"the objective does not depend on {tensor.key}; its gradient is 0")
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
                self._put(f"d{tensor.key}", Result.of(found, gradient, tensor.indices))
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
            computed = Result.of(found, each, indices, named=False)
            self._put(each.key, computed)
            form = found.form_skeleton()
        else:
            form = Skeleton(computed.tensor.indices, (tensor_name(computed.tensor.key),))
        source = Skeleton(None, (tensor_name(computed.tensor.key),))
        given = [self.whole, self._own_skeleton(tensor), form, source]
        traits = computed.tensor.role, len(tensor.shape)
        result = computed
        total = self._repeated(given, traits, [], lambda: self._total_steps(tensor, result))
        self._put(f"d{tensor.key}", Result.of(total, gradient, tensor.indices))

    def _total_steps(self, tensor: Tensor, computed: Result) -> list[Step]:
        """From dJ/dv through the derivative of one example's loss to the mean or sum over the examples."""
        form = computed.tensor.element if computed.named else computed.form
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
            Step(SUBSTITUTE, weighted, formed, because=computed.tensor.key),
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


def _cost(found: Repeated) -> int:
    """The cost of the final form, which is that of every chain that differs in names only."""
    return cost(found.chain.steps[-1].after)


def _unclashed(value: Expr, other: Expr) -> Expr:
    return rename_bound(value, letters(other))
