"""The note `index`: equations (1) to (17) are derived, printed in its notation, and verified."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from sympy import Float, Integer, Sum

from symbolic.activations import ACTIVATIONS, Activation
from symbolic.depth import DEPTH, LAYER
from symbolic.errors import DerivationError
from symbolic.expressions import TotalDerivative
from symbolic.losses import LOSSES, Loss
from symbolic.notes.exposition import Chain, Display, Exposition
from symbolic.notes.index import exposition
from symbolic.notes.indexsystems import General, network
from symbolic.notes.results import Recalling, carried, folded
from symbolic.rules import TIDY, Step
from symbolic.tensors import index

# What the page has to say, in order, one line an equation or an item of a system.
LINES = (
    r"z_{n_{l+1}}^{p,l+1} &= w_{0 n_{l+1}}^l + \sum_{n_l=1}^{N_l} w_{n_l n_{l+1}}^l a_{n_l}^{p,l}",
    r"&= w_{0 n_{l+1}}^l + \sum_{n_l=1}^{N_l} w_{n_l n_{l+1}}^l f(z_{n_l}^{p,l}) \tag{1}",
    r"C &= \sum_{p=1}^{P} \sum_{n_L=1}^{N_L} c(y_{n_L}^p, h_{n_L}^p)",
    r"&= \sum_{p=1}^{P} \sum_{n_L=1}^{N_L} c_{n_L}^p \tag{2}",
    r"\frac{\partial C}{\partial w_{n_l n_{l+1}}^l} &= \sum_{p=1}^{P} \sum_{n_L=1}^{N_L} "
    r"\frac{\partial c_{n_L}^p}{\partial w_{n_l n_{l+1}}^l} \tag{3}",
    r"\frac{\partial c_{n_L}^p}{\partial w_{n_l n_{l+1}}^l} &= \frac{\partial c_{n_L}^p}{\partial z_{n_{l+1}}^{p,l+1}} "
    r"\frac{\partial z_{n_{l+1}}^{p,l+1}}{\partial w_{n_l n_{l+1}}^l} \tag{4}",
    r"\frac{\partial z_{n_{l+1}}^{p,l+1}}{\partial w_{0 n_{l+1}}^l} &= 1 \tag{5}",
    r"\frac{\partial z_{n_{l+1}}^{p,l+1}}{\partial w_{n_l n_{l+1}}^l} &= a_{n_l}^{p,l} \tag{6}",
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_{l+1}}^{p,l+1}} &= \sum_{n_{l+2}=1}^{N_{l+2}} "
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_{l+2}}^{p,l+2}} "
    r"\frac{\partial z_{n_{l+2}}^{p,l+2}}{\partial z_{n_{l+1}}^{p,l+1}} \tag{7}",
    r"\frac{\partial z_{n_{l+2}}^{p,l+2}}{\partial z_{n_{l+1}}^{p,l+1}} &= "
    r"w_{n_{l+1} n_{l+2}}^{l+1} f'(z_{n_{l+1}}^{p,l+1}) \tag{8}",
    r"&= f'(z_{n_{l+1}}^{p,l+1}) \sum_{n_{l+2}=1}^{N_{l+2}} w_{n_{l+1} n_{l+2}}^{l+1} "
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_{l+2}}^{p,l+2}}",
    r"\frac{\partial C}{\partial w_{0 n_{l+1}}^l} &= \sum_{p=1}^{P} \sum_{n_L=1}^{N_L} "
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_{l+1}}^{p,l+1}}",
    r"\frac{\partial C}{\partial w_{n_l n_{l+1}}^l} &= \sum_{p=1}^{P} a_{n_l}^{p,l} \sum_{n_L=1}^{N_L} "
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_{l+1}}^{p,l+1}}",
    r"\tag{9}",
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_{l-1}}^{p,l-1}} &= f'(z_{n_{l-1}}^{p,l-1}) \sum_{n_l=1}^{N_l} "
    r"w_{n_{l-1} n_l}^{l-1} \frac{\partial c_{n_L}^p}{\partial z_{n_l}^{p,l}}",
    r"\frac{\partial C}{\partial w_{n_{l-2} n_{l-1}}^{l-2}} &= \sum_{p=1}^{P} a_{n_{l-2}}^{p,l-2} \sum_{n_L=1}^{N_L} "
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_{l-1}}^{p,l-1}}",
    r"\tag{10}",
    r"\frac{\partial c_{n_L'}^p}{\partial z_{n_{L-1}}^{p,L-1}} &= f'(z_{n_{L-1}}^{p,L-1}) \sum_{n_L=1}^{N_L} "
    r"w_{n_{L-1} n_L}^{L-1} \frac{\partial c_{n_L'}^p}{\partial z_{n_L}^{p,L}}",
    r"\frac{\partial C}{\partial w_{0 n_L}^{L-1}} &= \sum_{p=1}^{P} \sum_{n_L'=1}^{N_L} "
    r"\frac{\partial c_{n_L'}^p}{\partial z_{n_L}^{p,L}}",
    r"c_{n_L}^p &= y_{n_L}^p \log h_{n_L}^p + (1 - y_{n_L}^p) \log(1 - h_{n_L}^p)",
    r"d_{n_L}^p &= y_{n_L}^p - h_{n_L}^p",
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_L}^{p,L}} &= d_{n_L}^p",
    r"\frac{\partial c_{n_L'}^p}{\partial z_{n_L}^{p,L}} &= [n_L = n_L'] (y_{n_L}^p - h_{n_L}^p)",
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_L}^{p,L}} &= y_{n_L}^p - h_{n_L}^p",
    r"\frac{\partial c_{n_L}^p}{\partial z_{n_{l-1}}^{p,l-1}} &= a_{n_{l-1}}^{p,l-1} (1 - a_{n_{l-1}}^{p,l-1}) "
    r"\sum_{n_l=1}^{N_l} w_{n_{l-1} n_l}^{l-1} \frac{\partial c_{n_L}^p}{\partial z_{n_l}^{p,l}}",
    r"\tag{11}",
    r"\frac{\partial C}{\partial w_{n_{L-1} n_L}^{L-1}} &= \sum_{p=1}^{P} a_{n_{L-1}}^{p,L-1} (y_{n_L}^p - h_{n_L}^p)",
    r"\frac{\partial c^p}{\partial z_{n_{L-1}}^{p,L-1}} &= f'(z_{n_{L-1}}^{p,L-1}) w_{n_{L-1}}^{L-1} "
    r"\frac{\partial c^p}{\partial z^{p,L}}",
    r"\frac{\partial c^p}{\partial z_{n_{l-1}}^{p,l-1}} &= f'(z_{n_{l-1}}^{p,l-1}) \sum_{n_l=1}^{N_l} "
    r"w_{n_{l-1} n_l}^{l-1} \frac{\partial c^p}{\partial z_{n_l}^{p,l}}",
    r"\frac{\partial C}{\partial w_{0 n_{l-1}}^{l-2}} &= \sum_{p=1}^{P} "
    r"\frac{\partial c^p}{\partial z_{n_{l-1}}^{p,l-1}}",
    r"\tag{12}",
    r"\frac{\partial c^p}{\partial z^{p,L}} &= y^p - h^p",
    r"&= a_{n_{L-1}}^{p,L-1} (1 - a_{n_{L-1}}^{p,L-1}) w_{n_{L-1}}^{L-1} \frac{\partial c^p}{\partial z^{p,L}}",
    r"\tag{13}",
    r"\frac{\partial c^p}{\partial z_{n_1}^{p,1}} &= a_{n_1}^{p,1} (1 - a_{n_1}^{p,1}) w_{n_1}^1 "
    r"\frac{\partial c^p}{\partial z^{p,2}}",
    r"\frac{\partial C}{\partial w_{n_0 n_1}^0} &= \sum_{p=1}^{P} a_{n_0}^{p,0} "
    r"\frac{\partial c^p}{\partial z_{n_1}^{p,1}}",
    r"\tag{14}",
    r"\frac{\partial c^p}{\partial z_{n_1}^{p,1}} &= a_{n_1}^{p,1} (1 - a_{n_1}^{p,1}) w_{n_1}^1 (y^p - h^p)",
    r"\tag{15}",
    r"\frac{\partial C}{\partial w_{0 n_1}^0} &= \sum_{p=1}^{P} a_{n_1}^{p,1} (1 - a_{n_1}^{p,1}) "
    r"w_{n_1}^1 (y^p - h^p)",
    r"\frac{\partial C}{\partial w_{n_0 n_1}^0} &= \sum_{p=1}^{P} a_{n_0}^{p,0} a_{n_1}^{p,1} (1 - a_{n_1}^{p,1}) "
    r"w_{n_1}^1 (y^p - h^p)",
    r"\tag{16}",
    r"\frac{\partial C}{\partial w_{0 n_1}^0} &= w_{n_1}^1 \sum_{p=1}^{P} a_{n_1}^{p,1} "
    r"(1 - a_{n_1}^{p,1}) (y^p - h^p)",
    r"\frac{\partial C}{\partial w_{n_0 n_1}^0} &= w_{n_1}^1 \sum_{p=1}^{P} a_{n_0}^{p,0} a_{n_1}^{p,1} "
    r"(1 - a_{n_1}^{p,1}) (y^p - h^p)",
    r"\tag{17}",
)


@cache
def told() -> Exposition:
    return exposition()


@cache
def general() -> General:
    return General("maximise")


def test_every_line_is_verified():
    report = told().verify(points=1)
    assert report.ok, report
    depths = {row.quantity.split(":")[0] for row in report.rows if row.quantity.startswith("depth")}
    assert depths == {"depth 2", "depth 3", "depth 4"}


def test_the_equations_are_there_in_order():
    page, at = told().latex(), 0
    for line in LINES:
        found = page.find(line, at)
        assert found >= 0, f"not there, or not in order: {line}"
        at = found + len(line)


def test_golden(golden):
    golden("note_index.tex", told().latex())


def one_chain(chain: Chain) -> Exposition:
    return replace(told(), blocks=(Display([chain]),))


def changed(chain: Chain, after) -> Chain:
    """The chain with another last form."""
    last = replace(chain.steps[-1], after=after, substeps=())
    return replace(chain, steps=(*chain.steps[:-1], last))


@pytest.mark.parametrize("place", range(3))
def test_a_factor_that_is_wrong_by_a_little_is_found(place):
    chain = general().system.chains[place]
    assert one_chain(chain).verify(points=1).ok
    assert not one_chain(changed(chain, chain.steps[-1].after * Float("1.0005"))).verify(points=1).ok


def test_a_wrong_index_or_layer_is_found():
    chain = general().system.weights
    j, s = index("j"), index("s")
    right = chain.steps[-1].after
    swapped = right.xreplace({s: j, j: s})
    assert swapped != right
    assert not one_chain(changed(chain, swapped)).verify(points=1).ok
    tensor = general().setting.tensor
    later = right.xreplace({tensor("a[layer]")[index("p"), s]: tensor("a[layer+1]")[index("p"), s]})
    assert later != right
    assert not one_chain(changed(chain, later)).verify(points=1).ok


def test_the_sum_over_the_next_layer_does_not_go_away_before_the_last_layer():
    """(12) of the note for every l: the verifier finds that it holds for l = L only."""
    chain = folded(general().system_shifted.hidden)
    (total,) = chain.steps[0].after.atoms(Sum)
    letter = total.limits[0][0]
    single = chain.steps[0].after.xreplace({total: total.function.xreplace({letter: Integer(0)})})
    wrong = replace(chain, steps=(Step(TIDY, chain.heads[0], single),))
    assert not one_chain(wrong).verify(points=1).ok


@pytest.mark.parametrize("place", range(3))
def test_with_one_letter_for_two_indices_the_lines_of_the_last_layer_are_wrong(place):
    """(10) at its upper end, read with n_L both for the index of c and for the other one over the output nodes."""
    chain = general().system_last.chains[place]
    assert one_chain(chain).verify(points=1).ok
    right = chain.steps[-1].after
    (total,) = [node for node in right.atoms(TotalDerivative) if node.by.base != node.of.base]
    output, at = total.of.indices[-1], total.by.indices[-1]
    captured = right.xreplace({output: at} if place == 0 else {at: output})
    assert captured != right
    assert not one_chain(changed(chain, captured)).verify(points=1).ok


def test_whole_networks_are_checked_at_their_last_layer_too():
    rows = [row for part in general().instances for row in part.rows()]
    assert all(row.ok for row in rows)
    quantities = {row.quantity for row in rows}
    for depth in (2, 3, 4):
        assert f"depth {depth}: dell[p, k]/dz{depth - 1}[p, j]" in quantities
        assert f"depth {depth}: dJ/db{depth}[j]" in quantities


@pytest.mark.parametrize(("activation", "loss"), [("gelu", "squared_error"), ("relu", "half_squared_error")])
def test_other_functions(activation, loss):
    other = exposition(activation=ACTIVATIONS[activation], loss=LOSSES[loss])
    assert other.verify(points=1).ok
    assert r"\tag{17}" in other.latex()
    assert "to be minimised" in other.latex()


def test_what_holds_for_undefined_functions_is_not_carried_to_known_ones_once_it_is_differentiated():
    f, c = Activation.undefined("f"), Loss.undefined("c")
    evaluated = carried(general().system.hidden, general().shifted, {LAYER: LAYER - 2}).evaluated().chain()
    known = network("known", [LAYER - 1, LAYER, DEPTH], ACTIVATIONS["tanh"], LOSSES["squared_error"])
    with pytest.raises(DerivationError, match="has no function f"):
        carried(evaluated, known)
    short = network("short", [DEPTH], f, c)
    with pytest.raises(DerivationError, match="has nothing for"):
        carried(general().system.hidden, short)


def test_moves_refuse_what_they_cannot_do():
    setting, other = general().setting, general().shifted
    cost, weights = setting.tensor("ell"), setting.tensor("W[layer+1]")
    one = TotalDerivative(cost[index("p"), index("k")], weights.element)
    with pytest.raises(DerivationError, match="is not the derivative of a sum"):
        Recalling(setting, one).into_sum()
    with pytest.raises(DerivationError, match="holds nothing that"):
        Recalling(setting, one).using(general().total)
    for names in ({"j": "r"}, {"m": "p"}, {"m": "k"}):
        with pytest.raises(DerivationError, match="cannot be given the letters"):
            Recalling(setting, general().each("z[layer+1]")).through("z[layer+2]").lettered(**names)
    z = other.tensor("z[layer-1]")
    with pytest.raises(DerivationError, match="was found in any layer, not in any layer, shifted"):
        Recalling(other, TotalDerivative(other.tensor("ell")[index("p"), index("k")], z.element)).using(general().total)


def test_the_finest_detail_shows_how_a_system_follows_from_the_one_before():
    page = told().latex(detail="rule")
    first = page.index(r"\tag{13}")
    special = page.index(r"\sigma'(z_{n_{L-1}}^{p,L-1}) w_{n_{L-1}}^{L-1}", first)
    assert page.index(r"\by{specialise}", special) < page.index(r"\by{reuse the output}", special)
    assert r"\by{derivative of a sum}" in page
