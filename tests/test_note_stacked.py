"""The note `stacked`: its lines in its order, all of them verified, wrong ones found, and its page as a golden file."""

import re
from dataclasses import replace

import pytest
from sympy import Expr, Rational

from symbolic import ACTIVATIONS, LOSSES
from symbolic.errors import DerivationError
from symbolic.matrices import ArrayOf, Diagonal, FunctionSlope, PartialGradient, Scalar, Scale, Transpose, Unit
from symbolic.notations import NOTATIONS
from symbolic.notes.exposition import Display, Exposition, Setting
from symbolic.notes.jacobians import JacobianTelling, path
from symbolic.notes.moves import by
from symbolic.notes.settings import stretch
from symbolic.notes.stacked import exposition, told
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, index

PAGE = exposition()
SLOPE = r"\operatorname{ReLU}'(z^{[2]})"
ERROR = r"W^{[3]\top} (a^{[3]} - y)"
STACK = r"\text{---} \; \mathbf{w}_1^{[1]\top} \; \text{---}"
LINES = {
    "counts": [
        r"\sum_{\ell=1}^{r} (n_{\ell-1} n_{\ell} + n_{\ell})",
        r"(2 \cdot 3 + 3) + (3 \cdot 4 + 4) + (4 \cdot 1 + 1) = 30",
    ],
    "units": [
        r"a_1^{[1]} &= \operatorname{ReLU}(\theta_1 x_1 + \theta_4 x_2 + b_1^{[1]})",
        r"a_2^{[1]} &= \operatorname{ReLU}(\theta_2 x_1 + \theta_5 x_2 + b_2^{[1]})",
        r"\mathbf{w}_i^{[1]\top} x + b_i^{[1]}", r"a_i^{[1]} &= \operatorname{ReLU}(z_i^{[1]})",
        r"\mathbf{w}_i^{[1]} \in \mathbb{R}^{d}", r"h &= \mathbf{w}^{[3]\top} a^{[2]} + b^{[3]}",
        r"\mathbf{w}^{[3]} \in \mathbb{R}^{n}",
    ],
    "stacking": [
        rf"W^{{[1]}} &= \begin{{bmatrix}} {STACK}", r"W^{[1]} \in \mathbb{R}^{m \times d}",
        r"\begin{bmatrix} \theta_1 & \theta_4 \\ \theta_2 & \theta_5 \\ \theta_3 & \theta_6 \end{bmatrix}",
        r"z^{[1]} &= \begin{bmatrix} z_1^{[1]}", STACK, r"\begin{bmatrix} x_1 \\ x_2 \\ \vdots \\ x_d \end{bmatrix} +",
        r"&= W^{[1]} x + b^{[1]}", r"h &= W^{[3]} a^{[2]} + b^{[3]}",
    ],
    "depth": [
        r"a^{[1]} &= \operatorname{ReLU}(W^{[1]} x + b^{[1]})", r"\vdots",
        r"a^{[r-1]} &= \operatorname{ReLU}(W^{[r-1]} a^{[r-2]} + b^{[r-1]})", r"h &= W^{[r]} a^{[r-1]} + b^{[r]}",
        r"L &= \frac{1}{2} (h - y)^2",
    ],
    "tools": [
        r"\by{gradient (tool 1)}", r"\begin{bmatrix} 6 x_1 x_2 \\[0.3ex] 3 x_1^2 \end{bmatrix}",
        r"\by{Jacobian (tool 2)}", r"\by{law of total derivatives (tool 3)}",
        r"\sum_{s=1}^{k} \frac{\partial f_m}{\partial g_s} \frac{\partial g_s}{\partial x_n}",
        r"\by{product of Jacobians (tool 4)}", r"\by{diagonal Jacobian (tool 5)}",
        r"\operatorname{ReLU}'(z_i^{[\ell]}) &= \mathbf{1}\{z_i^{[\ell]} > 0\}",
        r"$\operatorname{ReLU}'(z_i^{[\ell]}) = 0$",
    ],
    "algorithm": [
        r"\theta := \theta - \alpha \nabla_{\theta} L^{(t)}(\theta)", r"--sampling uniform --iterations",
    ],
    "chain": [
        r"\frac{\partial L}{\partial W_{ij}^{[2]}} &= "
        r"\left(\left(\frac{\partial L}{\partial a^{[3]}}\right)^{\top} "
        r"\frac{\partial a^{[3]}}{\partial z^{[3]}}\right) \left(\frac{\partial z^{[3]}}{\partial a^{[2]}}\right) "
        r"\left(\frac{\partial a^{[2]}}{\partial z^{[2]}}\right) "
        r"\left(\frac{\partial z^{[2]}}{\partial W_{ij}^{[2]}}\right) \by{product of Jacobians (tool 4)}",
        rf"&= (a^{{[3]}} - y)^{{\top}} W^{{[3]}} \operatorname{{diag}}({SLOPE}) a_j^{{[1]}} e_i",
        rf"&= [({ERROR}) \odot {SLOPE}]_i a_j^{{[1]}} \by{{entry}}",
        rf"\frac{{\partial L}}{{\partial W^{{[2]}}}} &= (({ERROR}) \odot {SLOPE}) a^{{[1]\top}}",
    ],
    "all parameters": [
        r"\frac{\partial L}{\partial W^{[3]}} &= (a^{[3]} - y) a^{[2]\top}",
        r"\frac{\partial L}{\partial b^{[3]}} &= a^{[3]} - y",
        rf"\frac{{\partial L}}{{\partial b^{{[2]}}}} &= ({ERROR}) \odot {SLOPE}",
        rf"\frac{{\partial L}}{{\partial W^{{[1]}}}} &= ((W^{{[2]\top}} (({ERROR}) \odot {SLOPE})) \odot "
        r"\operatorname{ReLU}'(z^{[1]})) x^{\top}",
        rf"\frac{{\partial L}}{{\partial b^{{[1]}}}} &= (W^{{[2]\top}} (({ERROR}) \odot {SLOPE})) \odot ",
    ],
    "any layer": [
        r"\frac{\partial L}{\partial z^{[r]}} &= a^{[r]} - y",
        r"&= \left(\frac{\partial L}{\partial z^{[\ell+1]}}\right)^{\top} "
        r"\frac{\partial z^{[\ell+1]}}{\partial a^{[\ell]}} ",
        r"\left(W^{[\ell+1]\top} \frac{\partial L}{\partial z^{[\ell+1]}}\right) "
        r"\odot \operatorname{ReLU}'(z^{[\ell]})",
        r"\frac{\partial L}{\partial W^{[\ell]}} &= \frac{\partial L}{\partial z^{[\ell]}} a^{[\ell-1]\top}",
        r"\frac{\partial L}{\partial b^{[\ell]}} &= \frac{\partial L}{\partial z^{[\ell]}}",
    ],
}  # fmt: skip


@pytest.mark.parametrize("part", LINES)
def test_the_lines_stand_in_the_order_of_the_note(part):
    page, at = PAGE.latex(), 0
    for line in LINES[part]:
        found = page.find(line, at)
        assert found >= 0, line
        at = found + 1


def test_the_parts_stand_in_the_order_of_the_note():
    page, firsts = PAGE.latex(), [lines[0] for lines in LINES.values()]
    places = [page.find(line) for line in firsts]
    assert places == sorted(places)


def test_every_line_is_verified():
    report = PAGE.verify(points=1)
    assert report.ok, report
    assert len(report.rows) > 100


def test_the_page_is_the_golden_one(golden):
    golden("note_stacked.tex", PAGE.latex())


def found_false(chain):
    """Whether a chain by itself is seen to be wrong."""
    return not Exposition("stacked", "", NOTATIONS["stacked"], (Display([chain]),)).verify(points=1).ok


def with_step(chain, number, after):
    steps = [*chain.steps]
    steps[number] = replace(steps[number], after=after)
    if number + 1 < len(steps):
        steps[number + 1] = replace(steps[number + 1], before=after)
    return replace(chain, steps=tuple(steps))


CHAINS = list(PAGE.chains)


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: f"{chain.setting.name}, {chain.name}")
def test_a_line_that_is_wrong_by_a_little_is_found(chain):
    for number in {0, len(chain.steps) - 1}:
        after, factor = chain.steps[number].after, Rational(10005, 10000)
        wrong = factor * after if isinstance(after, Expr) else Scale(Scalar(factor), after)
        assert found_false(with_step(chain, number, wrong))


def chain_of(key):
    return next(chain for chain in CHAINS if chain.name == f"dell/d{key}[j, s]")


W3, OUTER, SLOPE_2 = ArrayOf("W3"), ArrayOf("z2"), FunctionSlope(ArrayOf("a2"), ArrayOf("z2"))


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        (-1, SLOPE_2, ArrayOf("a2")),  # the prime that the note forgets
        (-1, Transpose(W3), W3),  # its transpose
        (-1, SLOPE_2, FunctionSlope(ArrayOf("a1"), ArrayOf("z1"))),  # another layer
        (-2, Diagonal(SLOPE_2), Transpose(W3)),
        (-2, Unit(index("j"), W3), Unit(index("s"), W3)),
    ],
)
def test_the_mistakes_of_the_note_are_found(line, old, new):
    chain = chain_of("W2")
    number = len(chain.steps) + line
    after = chain.steps[number].after
    units = {unit: Unit(index("s"), unit.args[1]) for unit in after.atoms(Unit)}
    wrong = after.xreplace(units) if isinstance(old, Unit) else after.xreplace({old: new})
    assert wrong != after
    assert found_false(with_step(chain, number, wrong))


def test_the_derivative_of_the_loss_by_a_vector_is_a_column_everywhere():
    """A row is written as one: nowhere is dL/da the first factor of a product without its sign."""
    text = PAGE.latex()
    row = re.compile(r"\\frac\{\\partial L\}\{\\partial [az]\^\{\[[^]]*\]\}\} \\frac\{\\partial [az]")
    assert not row.search(text)
    chain = chain_of("W2")
    first = chain.steps[0].after
    (turned,) = (node for node in first.atoms(Transpose) if isinstance(node.args[0], PartialGradient))
    assert found_false(with_step(chain, 0, first.xreplace({turned: turned.args[0]})))


def test_where_two_cases_meet_the_page_says_what_is_taken():
    assert "corner" in PAGE.latex()
    assert "corner" not in exposition(activation=ACTIVATIONS["tanh"]).latex()
    assert r"\operatorname{LReLU}'(z_i^{[\ell]}) = 0.01" in exposition(activation=ACTIVATIONS["leaky_relu"]).latex()


def test_a_swapped_index_is_found():
    chain = chain_of("W2")
    j, s = index("j"), index("s")
    after = chain.steps[-1].after
    assert found_false(with_step(chain, len(chain.steps) - 1, after.xreplace({j: s, s: j})))


@pytest.mark.parametrize(
    ("activation", "output", "loss"),
    [("tanh", "sigmoid", "binary_cross_entropy"), ("sigmoid", "identity", "squared_error")],
)
def test_it_is_told_of_other_networks_too(activation, output, loss):
    page = exposition(activation=ACTIVATIONS[activation], output=ACTIVATIONS[output], loss=LOSSES[loss])
    assert page.verify(points=1).ok
    assert r"\operatorname{ReLU}" not in page.latex()


def test_a_product_of_jacobians_is_made_for_a_layer_that_mixes_its_units():
    setting = stretch("softmax", [1, 2], [ACTIVATIONS["tanh"], ACTIVATIONS["softmax"]], LOSSES["cross_entropy"])
    telling = told(setting, "W1")
    assert not found_false(telling.chain())
    assert not found_false(telling.stacked())


def test_two_paths_have_no_product():
    x, w, y, total = (Tensor(n, role) for n, role in (("x", "parameter"), ("w", "intermediate"), ("y", "intermediate"),
                                                      ("L", "loss")))  # fmt: skip
    equations = (Equation(w, (), x[()] ** 2), Equation(y, (), 3 * x[()]), Equation(total, (), w[()] * y[()]))
    program = Program((x,), equations)
    with pytest.raises(DerivationError, match="2 paths lead from x to L"):
        path(program, "x", "L")
    with pytest.raises(DerivationError, match="no entry that could be stacked"):
        JacobianTelling(
            Setting("one", Program((x,), equations[:1])), by(Setting("one", Program((x,), equations[:1])), "x")
        ).factored().stacked()
