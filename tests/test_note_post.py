"""The note `post`: its lines in its order, all of them verified, shapes too, and its page as a golden file."""

from dataclasses import replace

import pytest
from sympy import Expr, Integer

from symbolic import ACTIVATIONS, LOSSES
from symbolic.duals import held
from symbolic.errors import DerivationError
from symbolic.matrices import ArrayOf, FunctionSlope, Hadamard, Plus, Product, Scalar, Scale, Transpose
from symbolic.matrixshapes import shape_of
from symbolic.notes.arrays import Named
from symbolic.notes.exposition import Chain, Display, Exposition, Heading
from symbolic.notes.post import CORRECTIONS, exposition
from symbolic.notes.shapes import shape_rows
from symbolic.notes.updates import Updates

PAGE = exposition()
TEXT = PAGE.latex()
FORWARD = [
    r"a^l &= \sigma(W^l a^{l-1} + b^l)",
    r"a^l &= \sigma(z^l)",
    r"z^l &= W^l a^{l-1} + b^l",
    r"\sigma(x) &= \frac{1}{1 + e^{-x}}",
    r"z^1 &= W^1 a^0 + b^1", r"a^1 &= \sigma(z^1)", r"z^2 &= W^2 a^1 + b^2", r"a^2 &= \sigma(z^2)",
    r"\left[W^1\right]_{4 \times 3}", r"\left[W^2\right]_{2 \times 4}", r"\left[a^0\right]_{3 \times 1}",
    r"\left[a^1\right]_{4 \times 1}", r"\left[a^2\right]_{2 \times 1}",
    r"C &= \frac{1}{2} \lVert a^2 - t \rVert^2",
    r"W^l &:= W^l - \alpha \frac{\partial C}{\partial W^l}", r"b^l &:= b^l - \alpha \frac{\partial C}{\partial b^l}",
    r"l &= 1, 2",
]  # fmt: skip
OUTPUT = [
    r"\frac{\partial C}{\partial W^2} &= \sum_{i=1}^{2} \frac{\partial C}{\partial a_i^2} "
    r"\frac{\partial a_i^2}{\partial W^2}",
    r"&= \sum_{i=1}^{2} (a_i^2 - t_i) \frac{\partial a_i^2}{\partial W^2}",
    r"&= \sum_{i=1}^{2} (a_i^2 - t_i) \sigma'(z_i^2) \frac{\partial z_i^2}{\partial W^2}",
    r"&= \sum_{i=1}^{2} (a_i^2 - t_i) \sigma'(z_i^2) \frac{\partial (W^2 a^1 + b^2)_i}{\partial W^2}",
    r"\frac{\partial C}{\partial W^2} &= ((a^2 - t) \circ \sigma'(z^2)) [a^1]^\top",
    r"&= \delta^2 [a^1]^\top",
    r"\delta^2 &\equiv (a^2 - t) \circ \sigma'(z^2)",
    r"\frac{\partial C}{\partial z^2} &= ",
    r"&= (a^2 - t) \circ \sigma'(z^2)",
    r"&= \delta^2",
    r"\left[\frac{\partial C}{\partial W^2}\right]_{2 \times 4} &= "
    r"\left[\delta^2\right]_{2 \times 1} \left[a^1\right]_{4 \times 1}^{\top}",
    r"&= \sum_{i=1}^{2} (a_i^2 - t_i) \sigma'(z_i^2) \frac{\partial (W^2 a^1 + b^2)_i}{\partial b^2}",
    r"\left[\frac{\partial C}{\partial b^2}\right]_{2 \times 1} &= \left[\delta^2\right]_{2 \times 1}",
]
HIDDEN = [
    r"\frac{\partial C}{\partial W^1} &= \sum_{i=1}^{2} \frac{\partial C}{\partial a_i^2} "
    r"\frac{\partial a_i^2}{\partial W^1}",
    r"&= \sum_{i=1}^{2} (a_i^2 - t_i) \sigma'(z_i^2) \frac{\partial z_i^2}{\partial W^1}",
    r"&= \sum_{i=1}^{2} \delta_i^2 \frac{\partial (W^2 a^1 + b^2)_i}{\partial W^1}",
    r"&= \sum_{m=1}^{4} ([W^2]^\top \delta^2)_m \frac{\partial a_m^1}{\partial W^1}",
    r"&= \sum_{m=1}^{4} ([W^2]^\top \delta^2)_m \sigma'(z_m^1) \frac{\partial z_m^1}{\partial W^1}",
    r"&= \sum_{m=1}^{4} ([W^2]^\top \delta^2)_m \sigma'(z_m^1) \frac{\partial (W^1 a^0 + b^1)_m}{\partial W^1}",
    r"&= (([W^2]^\top \delta^2) \circ \sigma'(z^1)) [a^0]^\top",
    r"&= \delta^1 [a^0]^\top",
    r"\delta^1 &\equiv ([W^2]^\top \delta^2) \circ \sigma'(z^1)",
    r"\frac{\partial C}{\partial z^1} &= ",
    r"&= \delta^1",
    r"\left[\frac{\partial C}{\partial W^1}\right]_{4 \times 3} &= "
    r"\left[\delta^1\right]_{4 \times 1} \left[a^0\right]_{3 \times 1}^{\top}",
    r"\left[\delta^1\right]_{4 \times 1} &= \left(\left[W^2\right]_{2 \times 4}^{\top} "
    r"\left[\delta^2\right]_{2 \times 1}\right) \circ \left[\sigma'(z^1)\right]_{4 \times 1}",
    r"&= \sum_{m=1}^{4} ([W^2]^\top \delta^2)_m \sigma'(z_m^1) \frac{\partial (W^1 a^0 + b^1)_m}{\partial b^1}",
    r"\left[\frac{\partial C}{\partial b^1}\right]_{4 \times 1} &= \left[\delta^1\right]_{4 \times 1}",
]
SUMMARY = [
    r"\boxed{",
    r"\frac{\partial C}{\partial W^2} &= \delta^2 [a^1]^\top", r"\frac{\partial C}{\partial b^2} &= \delta^2",
    r"\delta^2 &\equiv (a^2 - t) \circ \sigma'(z^2)",
    r"\frac{\partial C}{\partial W^1} &= \delta^1 [a^0]^\top", r"\frac{\partial C}{\partial b^1} &= \delta^1",
    r"\delta^1 &\equiv ([W^2]^\top \delta^2) \circ \sigma'(z^1)",
    r"(a^L - t) \circ \sigma'(z^L)", r"([W^{l+1}]^\top \delta^{l+1}) \circ \sigma'(z^l)", r"\delta^l [a^{l-1}]^\top",
]  # fmt: skip


@pytest.mark.parametrize("lines", [FORWARD, OUTPUT, HIDDEN, SUMMARY], ids=["forward", "output", "hidden", "summary"])
def test_the_lines_stand_in_the_order_of_the_note(lines):
    at = 0
    for line in lines:
        found = TEXT.find(line, at)
        assert found >= 0, line
        at = found + 1
    assert "delta^3" not in TEXT


def test_the_parts_stand_in_the_order_of_the_note():
    starts = [TEXT.index(lines[0]) for lines in (FORWARD, OUTPUT, HIDDEN, SUMMARY)]
    assert starts == sorted(starts)
    assert isinstance(PAGE.blocks[-2], Heading) and len(PAGE.blocks[-1].texts) == len(CORRECTIONS)


def test_every_line_is_verified():
    report = PAGE.verify(points=1)
    assert report.ok, report
    assert len(report.rows) > 150
    assert {"shapes", "update", "chain rule", "exchange sums"} <= {row.rule for row in report.rows}


def test_the_page_is_the_golden_one(golden):
    golden("note_post.tex", TEXT)


def only(part: Chain, **options) -> Exposition:
    return replace(PAGE, blocks=(Display([part], **options),))


CHAINS = [part for part in PAGE.chains if len(part.steps) > 1]


def scaled(side):
    """A side that is wrong by 0.05 %."""
    factor = Integer(10005) / 10000
    return side * factor if isinstance(side, Expr) else Scale(Scalar(factor), side)


@pytest.mark.parametrize("at", range(len(CHAINS)))
def test_a_line_that_is_wrong_by_a_factor_is_found(at):
    chain = CHAINS[at]
    for n, step in enumerate(chain.steps):
        steps = (*chain.steps[:n], replace(step, after=scaled(step.after)), *chain.steps[n + 1 :])
        report = only(replace(chain, steps=steps)).verify(points=1)
        assert any(row.error > 1e-4 for row in report.failures), (n, step)


def test_the_mistakes_of_the_note_are_found():
    weights, bias = (
        next(chain for chain in CHAINS if chain.name == name and chain.steps[-1].rule.name == "name")
        for name in ("dW2", "db1")
    )
    for chain, old, new in [(weights, "a1", "x"), (weights, "delta2", "delta1"), (bias, "delta1", "delta2")]:
        after = chain.steps[-1].after.xreplace({ArrayOf(old): ArrayOf(new)})
        assert after != chain.steps[-1].after
        wrong = replace(chain.final, steps=(replace(chain.final.steps[-1], after=after),))
        assert not only(wrong).verify(points=1).ok
        shapes = [row for row in only(wrong, shapes=True).verify(points=1).failures if row.rule == "shapes"]
        assert shapes, "the shapes alone say that it is wrong"
    transposed = Product(ArrayOf("delta2"), ArrayOf("a1"))
    wrong = replace(weights.final, steps=(replace(weights.final.steps[-1], after=transposed),))
    report = only(wrong, shapes=True).verify(points=1)
    assert "1 columns meet 4 rows" in str(report)


def test_shapes_are_multiplied_through():
    network = next(chain.setting for chain in CHAINS if chain.name == "dW2")

    def shape(node):
        return shape_of(node, network.tensors, network.program.value_of)

    weights, column, other = ArrayOf("W2"), ArrayOf("a1"), ArrayOf("z2")
    assert shape(Product(weights, column)) == (2, 1)
    assert shape(Product(Transpose(weights), other)) == (4, 1)
    assert shape(Product(other, Transpose(column))) == (2, 4)
    assert shape(Scale(Scalar(Integer(2)), weights)) == (2, 4)
    for wrong in (Product(weights, other), Hadamard(column, other), Plus(column, Transpose(column))):
        with pytest.raises(DerivationError):
            shape(wrong)


def test_a_step_in_the_wrong_direction_is_found():
    updates = next(part for block in PAGE.blocks if isinstance(block, Display) for part in block.parts
                   if isinstance(part, Updates))  # fmt: skip
    assert [row.ok for row in updates.rows()] == [True] * 5
    uphill = replace(updates.setting, program=replace(updates.setting.program, sense="maximise"))
    turned = replace(updates, setting=uphill)
    assert r"W^l + \alpha" in turned.lines(PAGE.notation)[0].right[0]
    assert all(row.ok for row in turned.rows()), "uphill, the cost grows"


def test_every_parameter_has_its_step():
    updates = next(part for block in PAGE.blocks if isinstance(block, Display) for part in block.parts
                   if isinstance(part, Updates))  # fmt: skip
    for changes, said in [
        ({"layers": [1]}, "W2 has no step, b2 has no step"),
        ({"names": ("W",)}, "b1 has no step, b2 has no step"),
        ({"layers": [1, 2, 3]}, "W3 is no parameter, b3 is no parameter"),
    ]:
        wrong = [row.problem for row in replace(updates, **changes).rows() if not row.ok]
        assert wrong == [said]


def test_a_definition_that_is_another_quantity_is_found():
    named = next(part for block in PAGE.blocks if isinstance(block, Display) for part in block.parts
                 if isinstance(part, Named))  # fmt: skip
    assert all(row.ok for row in named.rows())
    last = named.chain.steps[-1]
    steps = (*named.chain.steps[:-1], replace(last, after=scaled(last.after)))
    assert not all(row.ok for row in Named(replace(named.chain, steps=steps)).rows())


def test_a_slope_of_something_turned_has_no_shape():
    chain = next(chain for chain in CHAINS if chain.name == "delta1")
    after = chain.steps[-2].after
    (slope,) = after.atoms(FunctionSlope)
    for turned in ([0], [1], [0, 1]):
        parts = [Transpose(part) if at in turned else part for at, part in enumerate(slope.args)]
        step = replace(chain.steps[-1], after=after.xreplace({slope: FunctionSlope(*parts)}))
        wrong = replace(chain, steps=(*chain.steps[:-1], step))
        assert any("is no array of an equation" in row.problem for row in shape_rows(wrong, PAGE.notation))


def test_a_derivative_of_what_is_written_out_recomputes_what_lies_between():
    """d(W^2 a^1 + b^2)_i/dW^1 is not 0: a^1 is computed from W^1."""
    chain = next(chain for chain in CHAINS if chain.name == "dW1")
    line = next(step.after for step in chain.steps if step.rule.name == "write out")
    assert {"W2", "a1", "b2"} <= held(line)
    steps = (replace(chain.steps[0], before=chain.heads[0], after=line.xreplace({ArrayOf("a1"): ArrayOf("z1")})),)
    assert not only(replace(chain, steps=steps)).verify(points=1).ok


@pytest.mark.parametrize(("activation", "loss"), [("tanh", "half_squared_error"), ("sigmoid", "binary_cross_entropy")])
def test_it_is_told_of_other_networks_too(activation, loss):
    assert exposition(activation=ACTIVATIONS[activation], loss=LOSSES[loss]).verify(points=1).ok
