"""The note `vec`: its lines in its order, all of them verified, and its page as a golden file."""

from dataclasses import replace

import pytest

from symbolic import ACTIVATIONS, LOSSES
from symbolic.notes.exposition import Display
from symbolic.notes.vec import exposition

PAGE = exposition()
OUTPUT = [
    r"\frac{\partial L(\theta)}{\partial a_j^{[M]}} \frac{\partial a_j^{[M]}}{\partial z_j^{[M]}}",
    r"\frac{\partial L(\theta)}{\partial a_j^{[M]}} \sigma'(z_j^{[M]})",
    r"(a_j^{[M]} - y_j) \sigma'(z_j^{[M]})",
    r"(a_j^{[M]} - y_j) a_j^{[M]} (1 - a_j^{[M]})",
]
HIDDEN = [
    r"\frac{\partial}{\partial z_j^{[M-1]}} \frac{1}{2} \sum_{k=1}^{n_M} "
    r"(\sigma(W^{[M]} \sigma(z^{[M-1]}) + b^{[M]})_k - y_k)^2",
    r"\nabla_{z^{[M]}} L(\theta) \cdot \frac{\partial z^{[M]}}{\partial z_j^{[M-1]}}",
    r"\sum_{m=1}^{n_M} \frac{\partial L(\theta)}{\partial z_m^{[M]}} \frac{\partial z_m^{[M]}}{\partial z_j^{[M-1]}}",
    r"\frac{\partial}{\partial z_j^{[M-1]}} "
    r"\left(\sum_{s=1}^{n_{M-1}} w_{ms}^{[M]} \sigma(z_s^{[M-1]}) + b_m^{[M]}\right)",
    r"\sum_{m=1}^{n_M} \frac{\partial L(\theta)}{\partial z_m^{[M]}} w_{mj}^{[M]} \sigma'(z_j^{[M-1]})",
    r"\left((W^{[M]})^T \frac{\partial L(\theta)}{\partial z^{[M]}}\right)_j \sigma'(z_j^{[M-1]})",
    r"\left((W^{[M]})^T \frac{\partial L(\theta)}{\partial z^{[M]}}\right)_j a_j^{[M-1]} (1 - a_j^{[M-1]})",
]  # fmt: skip
PARAMETERS = [
    r"a^{[2]} &= \sigma(W^{[2]} a^{[1]} + b^{[2]})", r"\vdots",
    r"a^{[M]} &= \sigma(W^{[M]} a^{[M-1]} + b^{[M]}) \tag{1}",
    r"L(\theta) &= \frac{1}{2} \lVert a^{[M]} - y \rVert^2 \tag{2}",
    r"\theta = (W^{[2]}, \dots, W^{[M]}, b^{[2]}, \dots, b^{[M]})", r"\sum_{k=2}^{M} (n_k n_{k-1} + n_k)", "= 26",
    r"z_j^{[k]} &= (W^{[k]} a^{[k-1]} + b^{[k]})_j", r"&= (W^{[k]} a^{[k-1]})_j + b_j^{[k]}",
    r"\frac{\partial L(\theta)}{\partial b_j^{[k]}} &=", r"&= \frac{\partial L(\theta)}{\partial z_j^{[k]}} \by",
    r"\frac{\partial L(\theta)}{\partial w_{js}^{[k]}} &=",
    r"&= \frac{\partial L(\theta)}{\partial z_j^{[k]}} a_s^{[k-1]} \by",
    r"&= \frac{1}{N} \sum_{i=1}^{N} \frac{1}{2} \lVert a_i^{[M]} - y_i \rVert^2",
    r"\frac{1}{N} \sum_{i=1}^{N} \frac{\partial L_i(\theta)}{\partial z_{i,j}^{[k]}} a_{i,s}^{[k-1]}",
]  # fmt: skip


@pytest.mark.parametrize("lines", [OUTPUT, HIDDEN, PARAMETERS], ids=["output", "hidden", "parameters"])
def test_the_lines_stand_in_the_order_of_the_note(lines):
    page, at = PAGE.latex(), 0
    for line in lines:
        found = page.find(line, at)
        assert found >= 0, line
        at = found + 1


def test_every_line_is_verified():
    report = PAGE.verify(points=1)
    assert report.ok, report
    assert len(report.rows) > 50


def test_the_page_is_the_golden_one(golden):
    golden("note_vec.tex", PAGE.latex())


def changed(change):
    """The exposition with one step of one chain changed."""
    for at, block in enumerate(PAGE.blocks):
        for place, part in enumerate(block.parts if isinstance(block, Display) else ()):
            if hasattr(part, "steps"):
                for n, step in enumerate(part.steps):
                    steps = (*part.steps[:n], change(step), *part.steps[n + 1 :])
                    parts = [*block.parts[:place], replace(part, steps=steps), *block.parts[place + 1 :]]
                    yield replace(PAGE, blocks=(*PAGE.blocks[:at], replace(block, parts=parts), *PAGE.blocks[at + 1 :]))


def test_a_line_that_is_wrong_by_a_factor_is_found():
    wrong = list(changed(lambda step: replace(step, after=step.after * 1000001 / 1000000)))
    assert len(wrong) > 20
    assert not any(page.verify(points=1).ok for page in wrong[:: len(wrong) // 6])


def test_a_wrong_layer_and_a_swapped_index_are_found():
    def swapped(step):
        j, s = step.before.free_symbols & step.after.free_symbols, step.after
        letters = sorted((one for one in j if one.is_integer and not one.is_positive), key=str)
        return replace(step, after=s.xreplace(dict(zip(letters, reversed(letters), strict=True))))

    wrong = [page for page in changed(swapped) if page != PAGE]
    assert wrong and not any(page.verify(points=1).ok for page in wrong)


@pytest.mark.parametrize(("activation", "loss"), [("tanh", "half_squared_error"), ("sigmoid", "binary_cross_entropy")])
def test_it_is_told_of_other_networks_too(activation, loss):
    assert exposition(activation=ACTIVATIONS[activation], loss=LOSSES[loss]).verify(points=1).ok
