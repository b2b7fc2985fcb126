"""The systems of equations of the note `index`: for any layer, and where less is open.

A program here has the cost of each output node at each example as a tensor of its own, ell[p, k], and their sum J. What
is found for any layer, with f and c undefined, is carried into the other settings, and checked there anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sympy import Expr, Integer, Symbol

from symbolic.activations import Activation
from symbolic.depth import DEPTH, LAYER, Label
from symbolic.expressions import FunctionDerivative, PartialDerivative, TotalDerivative
from symbolic.losses import Loss
from symbolic.notes.exposition import Chain, Setting
from symbolic.notes.moves import Telling
from symbolic.notes.results import Instances, Labels, Recalling, carried
from symbolic.notes.settings import stretch
from symbolic.rules import SUBSTITUTE, WRITE_OUT
from symbolic.tensors import Equation, Tensor, index

# Letters of an output node, of a node of the layer after, and of an example.
OUTPUT, LATER, EXAMPLE = index("k"), index("m"), index("p")
# At which depths the formulas for any layer are tried.
DEPTHS = (2, 3, 4)


def network(
    name: str, labels: Sequence[Label], activation: Activation, loss: Loss, widths: Mapping[Label, Expr] | None = None
) -> Setting:
    """A stretch of layers with a cost for each output node and an axis of P examples."""
    functions = [activation] * len(labels)
    return stretch(name, labels, functions, loss, examples="P", each_output=True, widths=widths)


@dataclass(frozen=True)
class System:
    """dc/dz of a layer from that of the next one, dC/dw_0 and dC/dw."""

    hidden: Chain
    bias: Chain
    weights: Chain

    @property
    def chains(self) -> tuple[Chain, Chain, Chain]:
        return self.hidden, self.bias, self.weights

    def carried(self, setting: Setting, labels: Labels | None = None, known: bool = False) -> System:
        """The same in another setting. known: its functions are differentiated."""
        return System(*(specialised(chain, setting, labels, known) for chain in self.chains))

    def at_last_layer(self, setting: Setting) -> System:
        """What (10) says where a second index runs over the output nodes: that of the sum, or of the parameters."""
        labels: tuple[Label, ...] = (DEPTH, DEPTH + 1, DEPTH + 1)
        pairs = zip(self.chains, labels, strict=True)
        return System(*(specialised(chain, setting, {LAYER: label}) for chain, label in pairs))


def specialised(chain: Chain, setting: Setting, labels: Labels | None = None, known: bool = False) -> Chain:
    """What a chain found in another setting, where sums over one node are carried out.

    known: the functions of the setting are differentiated.
    """
    telling = carried(chain, setting, labels).single_terms()
    return (telling.evaluated() if known else telling).chain()


class General:
    """Any layer, f and c undefined.

    sense: what is done with the cost, "minimise" or "maximise".
    """

    def __init__(self, sense: str) -> None:
        self.f, self.c = Activation.undefined("f"), replace(Loss.undefined("c"), sense=sense)
        self.setting = network("any layer", [LAYER, LAYER + 1, LAYER + 2, DEPTH], self.f, self.c)
        self.shifted = network("any layer, shifted", [LAYER - 1, LAYER, DEPTH], self.f, self.c)
        self.last = network("the last two layers", [DEPTH - 1, DEPTH], self.f, self.c)

    def each(self, by: str) -> TotalDerivative:
        """The derivative of one output node's cost."""
        return TotalDerivative(self.setting.tensor("ell")[EXAMPLE, OUTPUT], self.setting.tensor(by).element)

    def whole(self, by: str) -> TotalDerivative:
        """The derivative of the cost of all."""
        return TotalDerivative(self.setting.tensor("J").element, self.setting.tensor(by).element)

    @cached_property
    def forward(self) -> Chain:
        """(1)"""
        head = self.setting.tensor("z[layer+1]").element
        telling = Telling(self.setting, head)
        return telling.to(WRITE_OUT, telling.unfolded(head, "a[layer]")).called("a[layer]").chain()

    @cached_property
    def cost(self) -> Chain:
        """(2)"""
        head = self.setting.tensor("J").element
        telling = Telling(self.setting, head)
        return telling.to(WRITE_OUT, telling.unfolded(head, "a[depth]", "j")).recognised("ell").chain()

    @cached_property
    def into_sums(self) -> Chain:
        """(3)"""
        return Recalling(self.setting, self.whole("W[layer+1]")).into_sum().chain()

    def through_z(self, by: str) -> Chain:
        """(4)"""
        return Telling(self.setting, self.each(by)).through("z[layer+1]").diagonal().at_once().chain()

    def local(self, by: str) -> Chain:
        """(5) and (6)"""
        z = self.setting.tensor("z[layer+1]").element
        return Telling(self.setting, PartialDerivative(z, self.setting.tensor(by).element)).evaluated().chain()

    @cached_property
    def total(self) -> Chain:
        """(7)"""
        return Telling(self.setting, self.each("z[layer+1]")).through("z[layer+2]").chain()

    @cached_property
    def between(self) -> Chain:
        """(8)"""
        later, z = self.setting.tensor("z[layer+2]"), self.setting.tensor("z[layer+1]")
        telling = Recalling(self.setting, TotalDerivative(later[EXAMPLE, LATER], z.element)).through("a[layer+1]")
        telling = telling.diagonal().slope().along_one_path("a[layer+1]").evaluated(functions=False)
        return telling.at_once(len(telling.steps)).chain()

    @cached_property
    def hidden(self) -> Chain:
        """(7) with (8) put in, and f' in front."""
        telling = Recalling(self.setting, self.each("z[layer+1]")).through("z[layer+2]")
        return telling.using(self.between).at_once(rule=SUBSTITUTE).moved_out().chain()

    def parameter(self, by: str) -> Chain:
        """(3) with (4), and (5) or (6), put in."""
        telling = Recalling(self.setting, self.whole(by)).into_sum()
        return telling.using(self.through_z(by)).using(self.local(by)).moved_out().chain()

    @cached_property
    def system(self) -> System:
        """(9)"""
        return System(self.hidden, self.parameter("b[layer+1]"), self.parameter("W[layer+1]"))

    @cached_property
    def system_shifted(self) -> System:
        """(10)"""
        return self.system.carried(self.shifted, {LAYER: LAYER - 2})

    @cached_property
    def system_last(self) -> System:
        """(10) with L for l in the first line, and L + 1 in the others; no sum binds the index of c."""
        return self.system_shifted.at_last_layer(self.last)

    @property
    def instances(self) -> tuple[Instances, ...]:
        """(10) in whole networks: the first line up to the last layer, the others for one more; and the last layer."""

        def whole(depth: int) -> Setting:
            return network(f"depth {depth}", range(1, depth + 1), self.f, self.c)

        def places(beyond: int) -> list[tuple[int, Labels]]:
            pairs = [(depth, layer) for depth in DEPTHS for layer in range(2, depth + beyond + 1)]
            return [(depth, {LAYER: layer, DEPTH: depth}) for depth, layer in pairs]

        system, ends = self.system_shifted, [(depth, {DEPTH: Integer(depth)}) for depth in DEPTHS]
        return (
            Instances([system.hidden], whole, places(0)),
            Instances([system.bias, system.weights], whole, places(1)),
            Instances(self.system_last.chains, whole, ends),
        )


class Known:
    """f and c known: (11).

    first: the cost of an output node, differentiated by its own value; naming: the setting in which that is called d.
    system: of any layer. system_last: of the last two, where the sums over output nodes are carried out.
    """

    def __init__(self, general: General, activation: Activation, loss: Loss) -> None:
        self.activation, self.loss = activation, loss
        self.setting = network("known functions", [LAYER - 1, LAYER, DEPTH], activation, loss)
        self.last = network("known functions, last layer", [DEPTH - 1, DEPTH], activation, loss)
        self.first = self.output(self.last.tensor("z[depth]").indices[-1])
        self.system = general.system_shifted.carried(self.setting, known=True)
        self.naming = _with_name("d", self.first)
        self.system_last = System(*map(self._last, general.system_last.chains))

    def output(self, node: Symbol) -> Chain:
        """The cost of an output node, differentiated by the value before activation at its own node or at another."""
        z, cost = self.last.tensor("z[depth]"), self.last.tensor("ell")
        telling = Recalling(self.last, TotalDerivative(cost[EXAMPLE, node], z.element)).through("a[depth]").diagonal()
        telling = telling.slope().along_one_path("a[depth]").evaluated(functions=False)
        return telling.evaluated().aligned().tidied().chain()

    def _last(self, chain: Chain) -> Chain:
        """A line of the last two layers with the derivatives by the output nodes' own values put in."""
        return carried(chain, self.last).evaluated().using(self.output(OUTPUT)).moved_out().chain()

    @property
    def named(self) -> Chain:
        """What the recursion starts with, by its name."""
        return carried(self.first, self.naming).recognised("d").chain()

    @property
    def slope(self) -> Chain:
        """f'(z) step by step."""
        a, z = (self.setting.tensor(key).element for key in ("a[layer-1]", "z[layer-1]"))
        return Telling(self.setting, FunctionDerivative(a, z)).worked_out().chain()


def _with_name(letter: str, chain: Chain) -> Setting:
    """The setting of a chain with a tensor more: what the chain ends with, by a name."""
    program = chain.setting.program
    tensor = Tensor(letter, "intermediate", None, chain.shape, chain.indices)
    *before, each, whole = program.equations
    equation = Equation(tensor, tensor.indices, chain.steps[-1].after)
    named = replace(program, equations=(*before, equation, each, whole))
    return replace(chain.setting, name=f"{chain.setting.name}, {letter}", program=named)


# Layers of which a setting with one output node consists: where the sum over the next layer stays, and where it goes.
_ONE: Mapping[str, tuple[Label, ...]] = {"any layer": (LAYER - 1, LAYER, DEPTH), "last layer": (DEPTH - 1, DEPTH)}


class OneOutput:
    """One output node, with f and c open, (12), and known, (13).

    open_last, last: the first line of the system for the layer before the last.
    """

    def __init__(self, general: General, known: Known) -> None:
        single: dict[Label, Expr] = {DEPTH: Integer(1)}
        shifted = general.system_shifted
        any_layer, before_last = (
            network(f"one output, {name}", labels, general.f, general.c, single) for name, labels in _ONE.items()
        )
        known_any, known_last = (
            network(f"one output, known functions, {name}", labels, known.activation, known.loss, single)
            for name, labels in _ONE.items()
        )
        self.open_last = specialised(shifted.hidden, before_last, {LAYER: DEPTH})
        self.open = shifted.carried(any_layer)
        self.first = specialised(known.first, known_last)
        self.last = specialised(self.open_last, known_last, known=True)
        self.system = self.open.carried(known_any, known=True)


class TwoLayers:
    """One output node in layer 2, f and c known: (14), then one line after the other put in.

    first, last, bias, weights: (14). hidden: (15). put_in: (16). factored: (17).
    """

    def __init__(self, known: Known, one: OneOutput) -> None:
        self.setting = network("two layers", [1, 2], known.activation, known.loss, {2: Integer(1)})
        self.first = specialised(one.first, self.setting, {DEPTH: 2})
        self.last = specialised(one.last, self.setting, {DEPTH: 2})
        self.bias, self.weights = (
            specialised(chain, self.setting, {LAYER: 2}) for chain in (one.system.bias, one.system.weights)
        )
        self.hidden = self._begun(self.last).using(self.last).using(self.first).chain()
        self.put_in = [
            self._begun(chain).using(chain).using(self.hidden).chain() for chain in (self.bias, self.weights)
        ]
        self.factored = [self._begun(chain).using(chain).moved_out().chain() for chain in self.put_in]

    def _begun(self, chain: Chain) -> Recalling:
        return Recalling(self.setting, chain.heads[0])

    @property
    def weight(self) -> Expr:
        """The weight from a node of layer 1 to the output node."""
        weights = self.setting.tensor("W2")
        return weights[Integer(0), weights.indices[1]]
