"""The note cs229: its lines in its order, each verified; a line that is wrong is found."""

from dataclasses import replace

import pytest
from sympy import Integer, Sum

from symbolic.expressions import TotalDerivative, Undefined
from symbolic.notes.cs229 import NOTATION, _gradient_and_delta, _pairing, exposition
from symbolic.notes.exposition import Display
from symbolic.notes.results import Unprinted
from symbolic.programs import Program
from symbolic.rules import Step
from symbolic.tensors import Equation, Tensor, index, indices_of, over, size

# What the note says, in its order, and what it leaves to the reader.
LINES = (
    r"z^{[\ell]} &= W^{[\ell]} a^{[\ell-1]} + b^{[\ell]} \tag{1}",
    r"a^{[\ell]} &= g^{[\ell]}(z^{[\ell]}) \tag{2}",
    r"J(W, b) &= \mathcal{L}(\hat{y}, y)",
    r"\mathcal{L}(\hat{y}, y) &= \frac{1}{2} (\hat{y} - y)^2",
    r"\mathcal{L}(\hat{y}, y) &= -(y \log \hat{y} + (1 - y) \log(1 - \hat{y}))",
    r"\operatorname{softmax}(z^{[N]})_j &=",
    r"\mathcal{L}(\hat{y}, y) &= -\sum_{j=1}^{k} \mathbf{1}\{y = j\} \log \hat{y}_j",
    r"\mathcal{L}(\hat{y}, y) &= -\sum_{j=1}^{k} y_j \log \hat{y}_j",
    r"\delta^{[\ell]} &= \nabla_{z^{[\ell]}} \mathcal{L}(\hat{y}, y)",
    r"\delta^{[N]} &= \nabla_{z^{[N]}} \mathcal{L}(\hat{y}, y)",
    r"\nabla_{z^{[N]}} \mathcal{L}(\hat{y}, y) &= \left(\frac{\partial \hat{y}}{\partial z^{[N]}}\right)^{\top} "
    r"\nabla_{\hat{y}} \mathcal{L}(\hat{y}, y) \by{chain rule}",
    r"&= \nabla_{\hat{y}} \mathcal{L}(\hat{y}, y) \circ (g^{[N]})'(z^{[N]}) \by{elementwise function}",
    r"&= \hat{y} - y \by{differentiate, contract}",
    r"&= \nabla_{\hat{y}} \mathcal{L}(\hat{y}, y) \circ \sigma'(z^{[N]})",
    r"&= \hat{y} - y \by{reuse the output}",
    r"&= \operatorname{diag}(\hat{y}) - \hat{y} \hat{y}^{\top} \by{reuse the output}",
    r"\nabla_{\hat{y}} \mathcal{L}(\hat{y}, y) &= -\frac{y}{\hat{y}} \by{differentiate}",
    r"&= (\operatorname{diag}(\hat{y}) - \hat{y} \hat{y}^{\top}) \nabla_{\hat{y}} \mathcal{L}(\hat{y}, y)",
    r"&= \hat{y} - y \by{the target's entries sum to 1}",
    r"\sum_{i=1}^{k} y_i \log\left(\frac{e^{z_i^{[N]}}}{\sum_{m=1}^{k} e^{z_m^{[N]}}}\right)",
    r"&= \frac{e^{z_j^{[N]}} \sum_{i=1}^{k} y_i}{\sum_{m=1}^{k} e^{z_m^{[N]}}} - y_j",
    r"&= \hat{y}_j - y_j",
    r"$\ell = N-1, N-2, \dots, 1$",
    r"&= (W^{[\ell+1]\top} \delta^{[\ell+1]}) \circ g'(z^{[\ell]})",
    r"\nabla_{W^{[\ell]}} J(W, b) &= \delta^{[\ell]} a^{[\ell-1]\top}",
    r"\nabla_{b^{[\ell]}} J(W, b) &= \delta^{[\ell]}",
    r"\delta^{[N]} &= \nabla_{z^{[N]}} \mathcal{L}(\hat{y}, y) \\",
    r"\delta^{[N]} &= \nabla_{\hat{y}} \mathcal{L}(\hat{y}, y) \circ (g^{[N]})'(z^{[N]})",
    r"$W^{[1]}$ is in $\mathbb{R}^{1 \times n}$",
    r"&= \sigma(z^{[1]}) \circ (1 - \sigma(z^{[1]}))",
    r"&= a^{[1]} - y",
    r"\nabla_{W^{[1]}} J(W, b) &= \delta^{[1]} x^{\top}",
)


@pytest.fixture(scope="module")
def note():
    return exposition()


def test_every_line_is_verified(note):
    report = note.verify(points=1)
    assert report.ok, report
    for ending in ("depth 5", "depth 5, softmax"):
        assert any(row.quantity.startswith(f"{ending}: ") for row in report.rows), "every depth has an instance"


def test_the_page_is_the_golden_one(note, golden):
    golden("note_cs229.tex", note.latex())


def test_the_lines_of_the_note_stand_in_its_order(note):
    page, at = note.latex(), 0
    for line in LINES:
        at = page.find(line, at)
        assert at >= 0, line


def test_formulas_for_one_output_are_checked_with_several(note):
    quantities = {row.quantity for row in note.verify(points=1).rows}
    for name in ("regression", "binary classification"):
        assert f"{name}, several outputs: delta[depth]" in quantities
    assert "logistic regression, several outputs: dW1" in quantities


@pytest.mark.parametrize(
    ("activation", "loss"), [("identity", "half_squared_error"), ("sigmoid", "binary_cross_entropy")]
)
def test_what_is_printed_for_one_output_is_what_would_be_printed_for_several(note, activation, loss):
    settings = [_pairing("one output", activation, loss, Integer(1)), _pairing("several outputs", activation, loss)]
    pages = [replace(note, blocks=(Display(_gradient_and_delta(setting)),)).latex() for setting in settings]
    assert pages[0] == pages[1]


def test_unprinted_chains_are_checked_and_not_printed(note):
    good, *_ = _gradient_and_delta(_pairing("several outputs", "identity", "half_squared_error"))
    wrong = replace(good, steps=(replace(good.steps[0], after=-good.steps[0].after, substeps=()),))
    for chain, holds in ((good, True), (wrong, False)):
        part = Unprinted([chain], NOTATION)
        assert part.lines(NOTATION) == []
        assert all(row.ok for row in part.rows()) == holds


def test_the_hidden_activation_may_be_another_one():
    note = exposition(hidden="tanh")
    assert note.verify(points=1).ok
    assert r"\circ \tanh'(z^{[\ell]})" in note.latex()


def _with_step(note, quantity, number, change):
    """The note with one step of the first chain of that name changed, and what follows it beginning there."""
    blocks, done = [], False
    for block in note.blocks:
        parts = list(block.parts) if isinstance(block, Display) else []
        for place, part in enumerate(parts):
            if getattr(part, "name", "") == quantity and not done:
                steps, done = list(part.steps), True
                at = number % len(steps)
                after = change(steps[at].after)
                assert after != steps[at].after
                steps[at] = replace(steps[at], after=after, substeps=())
                if at + 1 < len(steps):
                    steps[at + 1] = Step(steps[at + 1].rule, after, steps[at + 1].after)
                parts[place] = replace(part, steps=tuple(steps))
        blocks.append(replace(block, parts=parts) if parts else block)
    assert done, quantity
    return replace(note, blocks=tuple(blocks))


def _next_layer(expression):
    """Totals by z of a layer taken at another unit."""
    swap = {node: TotalDerivative(node.of, node.by.base[index("s")]) for node in expression.atoms(TotalDerivative)}
    return expression.xreplace({old: new for old, new in swap.items() if indices_of(old.by)})


@pytest.mark.parametrize(
    ("quantity", "number", "change"),
    [
        ("delta[layer]", -1, lambda after: after * 10005 / 10000),
        ("dW[layer]", -1, lambda after: after * 10005 / 10000),
        ("dW[layer]", 1, lambda after: after.xreplace({index("i"): index("j")})),
        ("adj_a[layer]", -1, lambda after: after.xreplace({index("m"): index("j"), index("j"): index("m")})),
        ("dell/dz[depth][j]", -1, lambda after: after * 10005 / 10000),
        ("partial a[depth][i]/partial z[depth][j]", -1, lambda after: -after),
        ("delta1", -1, lambda after: after * 10005 / 10000),
        ("delta[layer]", 0, _next_layer),
    ],
)
def test_a_wrong_line_is_found(note, quantity, number, change):
    wrong = _with_step(note, quantity, number, change)
    kept = tuple(block for block, old in zip(wrong.blocks, note.blocks, strict=True) if block != old)
    assert not replace(wrong, blocks=kept).verify(points=1).ok


def test_a_function_whose_name_has_a_superscript_is_primed_in_brackets():
    notation = NOTATION.replace(functions={"f": "f^{[2]}"})
    z = Tensor("z", "preactivation", 1, (size("n_1"),), (index("j"),))
    slopes = [Undefined("f", (order,), z.element) for order in (0, 1, 2, 4)]
    assert [notation.write(slope) for slope in slopes] == [
        r"f^{[2]}(z_j^{[1]})",
        r"(f^{[2]})'(z_j^{[1]})",
        r"(f^{[2]})''(z_j^{[1]})",
        r"(f^{[2]})^{(4)}(z_j^{[1]})",
    ]


def test_an_axis_of_one_element_has_no_index_and_no_sum():
    one = Tensor("u", "intermediate", None, (Integer(1),), (index("j"),))
    many = Tensor("v", "intermediate", None, (size("n"),), (index("j"),))
    total = Sum(one.element**2, over(index("j"), 1)) + Sum(many.element, over(index("j"), size("n")))
    program = Program(leaves=(one, many), equations=(Equation(Tensor("L", "loss"), (), total),))
    assert NOTATION.write(total, program) == r"\sum_{j=1}^{n} v_j + u^2"
