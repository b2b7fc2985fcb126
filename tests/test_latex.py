"""The page: forms that must come out, names that must not get through, and a document that pdflatex sets."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings

import pytest
from sympy import KroneckerDelta, Piecewise, Rational, Sum, exp, sqrt

from symbolic.backpropagation import derive
from symbolic.errors import DeltaformWarning, UsageError
from symbolic.expressions import FunctionDerivative, TotalDerivative, Undefined
from symbolic.latex import LatexPrinter
from symbolic.linewidth import width
from symbolic.matrixform import matrix_form
from symbolic.network import Network
from symbolic.notation import escape_text, math_name
from symbolic.notations import NOTATIONS, notation_named
from symbolic.pages.laws import law_text
from symbolic.pages.tex import running
from symbolic.programs import Program
from symbolic.rules import RULES
from symbolic.tensors import Equation, FunctionName, Tensor, index, over, size
from symbolic.vocabulary import Vocabulary

p, i, j, m, s = (index(letter) for letter in "pijms")
N, n1, n2 = (size(name) for name in ("N", "n_1", "n_2"))
W = Tensor("W", "parameter", 2, (n2, n1), (j, s))
y = Tensor("y", "target", None, (N, n1), (p, j))
z = Tensor("z", "preactivation", 1, (N, n1), (p, j))
a = Tensor("a", "activation", 1, (N, n1), (p, j))
d = Tensor("delta", "adjoint", 2, (N, n2), (p, j), of="z2")
g = Tensor("adj_a", "adjoint", 1, (N, n1), (p, j), of="a1")
ell = Tensor("ell", "loss", None, (N,), (p,))
J = Tensor("J", "cost")
TENSORS = {t.key: t for t in (W, y, z, a, d, g, ell, J)}
PRINTER = LatexPrinter(
    NOTATIONS["cs229"], TENSORS, {"a1": FunctionName("sigmoid", r"\sigma")}, p, loss=ell, objective=J
)

COMPONENTS = [
    (a[p, j] - y[p, j], "a_j^{[1]} - y_j"),
    (1 - a[p, j], "1 - a_j^{[1]}"),
    ((1 - a[p, j]) * a[p, j] * (a[p, j] - y[p, j]), r"(a_j^{[1]} - y_j) a_j^{[1]} (1 - a_j^{[1]})"),
    (1 - a[p, j] ** 2, r"1 - (a_j^{[1]})^2"),
    (1 - exp(-a[p, j]), r"1 - e^{-a_j^{[1]}}"),
    (Sum(W[m, j] * d[p, m], over(m, n2)), r"\sum_{m=1}^{n_2} \delta_m^{[2]} W_{mj}^{[2]}"),
    (Sum(d[p, j] * a[p, s], over(p, N)) / N, r"\frac{1}{N} \sum_{p=1}^{N} \delta_j^{[2](p)} a_s^{[1](p)}"),
    (
        a[p, j] * (g[p, j] - Sum(g[p, i] * a[p, i], over(i, n1))),
        r"a_j^{[1]} \left(\bar{a}_j^{[1]} - \sum_{i=1}^{n_1} a_i^{[1]} \bar{a}_i^{[1]}\right)",
    ),
    (TotalDerivative(ell[p], z[p, j]), r"\frac{\partial \mathcal{L}}{\partial z_j^{[1]}}"),
    (FunctionDerivative(a[p, j], z[p, j]), r"\sigma'(z_j^{[1]})"),
    (Undefined("g", (1,), z[p, j]), "g'(z_j^{[1]})"),
    (Undefined("c", (0, 1), y[p, j], a[p, j]), r"\partial_{2} c(y_j, a_j^{[1]})"),
    (Piecewise((1, z[p, j] > 0), (0, True)), r"\mathbf{1}\{z_j^{[1]} > 0\}"),
    (Piecewise((z[p, j], z[p, j] > 0), (0, True)), r"\max(0, z_j^{[1]})"),
    (KroneckerDelta(i, j), "[i = j]"),
    (y[p, 0], "y_1"),
    (y[2, j], "y_j^{(3)}"),
    (z[p, j] / sqrt(2), r"\frac{z_j^{[1]}}{\sqrt{2}}"),
    (Rational(44715, 1000000) * z[p, j], "0.044715 z_j^{[1]}"),
    (-(a[p, j] - y[p, j]) * z[p, j] / 2, r"\frac{1}{2} (y_j - a_j^{[1]}) z_j^{[1]}"),
]


@pytest.mark.parametrize(("expression", "latex"), COMPONENTS, ids=[latex for _, latex in COMPONENTS])
def test_components(expression, latex):
    assert PRINTER.doprint(expression) == latex


MATRICES = [
    (Sum(W[m, j] * d[p, m], over(m, n2)), (j,), r"W^{[2]\top} \delta^{[2]}"),
    (d[p, j] * a[p, s], (j, s), r"\delta^{[2]} a^{[1]\top}"),
    (a[p, j] * (1 - a[p, j]), (j,), r"a^{[1]} \circ (1 - a^{[1]})"),
    (
        FunctionDerivative(a[p, j], z[p, j]) * Sum(W[m, j] * d[p, m], over(m, n2)),
        (j,),
        r"(W^{[2]\top} \delta^{[2]}) \circ \sigma'(z^{[1]})",
    ),
    (
        a[p, j] * (g[p, j] - Sum(g[p, i] * a[p, i], over(i, n1))),
        (j,),
        r"a^{[1]} \circ (\bar{a}^{[1]} - (a^{[1]\top} \bar{a}^{[1]}) \mathbf{1})",
    ),
    (
        a[p, i] * (KroneckerDelta(i, j) - a[p, j]),
        (i, j),
        r"\operatorname{diag}(a^{[1]}) - a^{[1]} a^{[1]\top}",
    ),
    (Sum((a[p, j] - y[p, j]) ** 2, over(j, n1)) / 2, (), r"\frac{1}{2} \lVert a^{[1]} - y \rVert^2"),
    (a[p, j] ** 2, (j,), r"(a^{[1]})^{\circ 2}"),
]


@pytest.mark.parametrize(("expression", "axes", "latex"), MATRICES, ids=[latex for _, _, latex in MATRICES])
def test_matrices(expression, axes, latex):
    assert PRINTER.doprint(matrix_form(expression, axes, TENSORS, p)) == latex


def derived(architecture, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        return derive(Network.parse(architecture, **options))


# architecture, form, what the page must say
MUST_SAY = [
    ("3 -> 4 sigmoid -> 2 sigmoid; half_squared_error", "component", [
        r"(a_j^{[2]} - y_j) a_j^{[2]} (1 - a_j^{[2]})",
        r"\left(\sum_{m=1}^{n_2} \delta_m^{[2]} W_{mj}^{[2]}\right) a_j^{[1]} (1 - a_j^{[1]})",
        r"\frac{1}{N} \sum_{p=1}^{N} \delta_j^{[2](p)} a_s^{[1](p)}",
    ]),
    ("3 -> 4 sigmoid -> 2 sigmoid; half_squared_error", "matrix", [
        r"\delta^{[2]} &= (a^{[2]} - y) \circ a^{[2]} \circ (1 - a^{[2]})",
        r"\delta^{[1]} &= (W^{[2]\top} \delta^{[2]}) \circ a^{[1]} \circ (1 - a^{[1]})",
        r"\nabla_{W^{[2]}} J &= \frac{1}{N} \sum_{p=1}^{N} \delta^{[2](p)} a^{[1](p)\top}",
        r"\nabla_{W^{[2]}} J &= \frac{1}{N} \Delta^{[2]\top} A^{[1]}",
        r"\Delta^{[1]} &= (\Delta^{[2]} W^{[2]}) \circ A^{[1]} \circ (1 - A^{[1]})",
        r"\nabla_{b^{[1]}} J &= \frac{1}{N} \sum_{p=1}^{N} \delta^{[1](p)}",
    ]),
    ("3 -> 4 relu -> 2 softmax; cross_entropy", "matrix", [
        r"\delta^{[2]} &= a^{[2]} - y", r"\by{the target's entries sum to 1}", r"\circ \mathbf{1}\{z^{[1]} > 0\}",
        r"\operatorname{ReLU}(t) &= \max(0, t)",
    ]),
    ("3 -> 4 tanh -> 2 identity; half_squared_error", "component", [
        r"\delta_j^{[2]} &= a_j^{[2]} - y_j", r"(1 - (a_j^{[1]})^2)",
    ]),
    ("3 -> 4 g(z) -> 2 identity; c(y,h)", "component", [
        r"\left(\sum_{m=1}^{n_2} \delta_m^{[2]} W_{mj}^{[2]}\right) g'(z_j^{[1]})",
        r"\partial_{2} c(y_j, a_j^{[2]})",
    ]),
    ("3 -> 4 g(z) -> 2 identity; c(y,h)", "matrix", [r"(W^{[2]\top} \delta^{[2]}) \circ g'(z^{[1]})"]),
    ("3 -> 4 softmax -> 2 identity; half_squared_error", "matrix", [
        r"\delta^{[1]} &= a^{[1]} \circ (\bar{a}^{[1]} - (a^{[1]\top} \bar{a}^{[1]}) \mathbf{1})",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "form", "parts"), MUST_SAY)
def test_the_page_says_the_delta_forms(architecture, form, parts):
    page = derived(architecture).latex(form=form)
    for part in parts:
        assert part in page


def test_each_level_of_detail_says_more():
    derivation = derived("3 -> 4 sigmoid -> 2 softmax; cross_entropy")
    result, layer, rule = (derivation.latex(detail=detail) for detail in ("result", "layer", "rule"))
    final = r"\delta^{[1]} &= (W^{[2]\top} \delta^{[2]}) \circ a^{[1]} \circ (1 - a^{[1]})"
    assert all(final in page for page in (result, layer, rule))
    assert r"\by{" not in result and r"\by{chain rule}" in layer
    assert r"In smaller steps, (a):" in rule and "In smaller steps" not in layer
    assert r"e^{-z_j^{[1]}}" in rule


def test_the_same_input_gives_the_same_text():
    pages = {derived("3 -> 4 gelu -> 2 softmax; cross_entropy").latex(form="component") for _ in range(2)}
    assert len(pages) == 1


@pytest.mark.parametrize("options", [{"notation": "nothing"}, {"form": "tensor"}, {"detail": "all"}])
def test_wrong_arguments_are_named(options):
    with pytest.raises(UsageError, match=next(iter(options.values()))):
        derived("2 -> 1 sigmoid; half_squared_error").latex(**options)


HOSTILE = [r"x}\input{/etc/passwd}{", "<script>", r"\write18{ls}", "100% $a_b^c$ & #1 ~", "a\x00b"]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_reach_the_page_escaped(text):
    leaf = Tensor("x", "input", None, (n1,), (j,))
    loss = Tensor("L", "loss")
    program = Program((leaf,), (Equation(loss, (), Sum(leaf[j] ** 2, over(j, n1))),), title=text)
    page = derive(program, wrt=["x"]).latex()
    assert r"\input" not in page and r"\write" not in page and "<" not in page.replace("$<$", "")
    for command in re.findall(r"\\[A-Za-z]+", math_name(text) + NOTATIONS["cs229"].function(FunctionName(text, text))):
        assert command in (r"\mathrm", r"\_")
    assert "\x00" not in escape_text(text)


def test_a_functions_latex_is_taken_only_from_the_whitelist():
    cs229 = NOTATIONS["cs229"]
    assert cs229.function(FunctionName("sigmoid", r"\sigma")) == r"\sigma"
    assert cs229.function(FunctionName("swish", r"\operatorname{swish}")) == r"\operatorname{swish}"
    assert cs229.function(FunctionName("swish", r"\input{secret}")) == r"\mathrm{swish}"
    assert cs229.function(FunctionName("swish", r"\operatorname{a}\input{b}")) == r"\mathrm{swish}"


def test_what_has_no_form_is_refused():
    with pytest.raises(UsageError, match="no form"):
        PRINTER.doprint(Sum(y[p, j], over(j, n1)).limits)
    with pytest.raises(UsageError, match="no element"):
        PRINTER.doprint(Tensor("other", "input", None, (n1,))[j])


def test_laws_are_set_as_formulas():
    for rule in RULES:
        text = running(law_text(rule.law))
        assert text.count("$") % 2 == 0
        outside = re.sub(r"\$[^$]*\$", "", text)
        assert "_" not in outside and "^" not in outside and "partial" not in outside


def test_long_lines_are_broken_at_signs():
    long = sum((exp(k * z[p, j]) for k in range(2, 14)), start=z[p, j])
    pieces = PRINTER.lines(long, 20.0)
    assert len(pieces) > 2 and all(width(piece) <= 20.0 for piece in pieces)
    assert all(piece.startswith("{} +") for piece in pieces[1:])
    assert notation_named(NOTATIONS["cs229"]) is NOTATIONS["cs229"]


def test_no_result_is_lost_in_the_summary():
    derivation = derived("3 -> 4 relu -> 4 relu -> 2 softmax; cross_entropy")
    summary = derivation.latex(detail="result").split(r"\section*{Summary}")[1]
    printer = Vocabulary.of(derivation.program, derivation.tensors).printer(NOTATIONS["cs229"])
    for key in derivation.wrt:
        assert rf"\nabla_{{{printer.bare(derivation.tensors[key])}}} J" in summary


SET = [
    "784 -> 128 relu -> 10 softmax; cross_entropy",
    "n_0 -> n_1 elu -> n_2 leaky_relu -> n_3 softplus -> n_4 silu -> n_5 tanh; squared_error",
    "5 -> 4 gelu -> 3 gelu_tanh -> 2 sigmoid; binary_cross_entropy",
    "3 -> 4 softmax -> 2 g(z); c(y,h)",
]


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed: apt-get install texlive-latex-base"
)
@pytest.mark.parametrize("form", ["matrix", "component"])
@pytest.mark.parametrize("architecture", SET)
def test_pdflatex_sets_it_without_an_overfull_line(architecture, form, tmp_path):
    (tmp_path / "page.tex").write_text(derived(architecture).latex(form=form, detail="rule"))
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = (tmp_path / "page.log").read_text(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert not re.findall(r"Overfull.*|Missing character.*", log)


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed: apt-get install texlive-latex-base"
)
def test_what_cannot_be_broken_is_set_smaller(tmp_path):
    """Cases of cases, and questions whose formulas are wider than a line."""
    from sympy import Abs, Piecewise, Rational

    from symbolic import Activation, Dense, Loss
    from symbolic.activations import z as at
    from symbolic.losses import h
    from symbolic.losses import y as target

    huber = Loss(
        "huber", Piecewise(((h - target) ** 2 / 2, Abs(h - target) < 1), (Abs(h - target) - Rational(1, 2), True))
    )
    hard = Activation("hardtanh", Piecewise((-1, at < -1), (at, at < 1), (1, True)))
    networks = [Network(3, [Dense(4, hard), Dense(2)], huber), Network.parse("3 -> 2 gelu_tanh; squared_error")]
    for network in networks:
        for notation in ("cs229", "index"):
            page = derive(network).latex(notation, "component", "rule")
            (tmp_path / "page.tex").write_text(page)
            command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
            subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=True)
            assert not re.findall(
                r"Overfull.*|Missing character.*", (tmp_path / "page.log").read_text(errors="replace")
            )
