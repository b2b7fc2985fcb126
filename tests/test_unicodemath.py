"""Formulas as Unicode: what is written, that brackets replace the fraction line, and that no LaTeX is left over."""

import random
import re
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_print_faithful import PRINTER, TENSORS, cases, changed, same_everywhere
from test_properties import CALM, N, i, j

from symbolic.errors import NoMatrixForm, UsageError
from symbolic.mathtree import Group, Scripts, Symbol, parsed
from symbolic.matrixform import matrix_form
from symbolic.notationchecks import _SYMBOL
from symbolic.unicodemath import Run, columns, runs, unicode_math, unicode_pieces

WRITTEN = {
    r"\delta^{[1]} = (W^{[2]\top} \delta^{[2]}) \circ g'(z^{[1]})": "δ^[1] = (W^[2]ᵀ δ^[2]) ∘ g′(z^[1])",
    r"\sum_{m=1}^{n_2} \delta_m^{[2]} W_{mj}^{[2]}": "Σ_{m=1}^{n_2} δ_m^[2] W_mj^[2]",
    r"\sum_m a_m": "Σ_m a_m",
    r"\frac{\partial \mathcal{L}}{\partial z^{[1]}}": "∂ℒ/∂z^[1]",
    r"\frac{\partial c^p}{\partial a^p} \frac{\partial a^p}{\partial z^p}": "(∂c^p/∂a^p) (∂a^p/∂z^p)",
    r"\frac{\partial L(\theta)}{\partial w}": "∂L(θ)/∂w",
    r"\frac{\partial (a b)}{\partial x}": "∂(a b)/∂x",
    r"\frac{\partial a b}{\partial x}": "∂(a b)/∂x",
    r"\frac{\partial^2 L}{\partial x^2}": "∂²L/∂x^2",
    r"\frac{\partial}{\partial x} (a + b)": "(∂/∂x) (a + b)",
    r"\frac{d L}{d z}": "dL/dz",
    r"\frac{1}{N} \sum_{p=1}^{N} a_j^{(p)}": "(1/N) Σ_{p=1}^N a_j^(p)",
    r"-\frac{y}{a^{[2]}}": "−y/a^[2]",
    r"a - \frac{y}{a + b}": "a − y/(a + b)",
    r"\frac{1}{1 + e^{-z}}": "1/(1 + e^(−z))",
    r"\frac{a b}{c d}": "a b/(c d)",
    r"\frac{a}{f(x)}": "a/f(x)",
    r"\frac{a}{f (x)}": "a/(f (x))",
    r"\frac{\log a}{b}": "(log a)/b",
    r"\frac{\frac{a}{b}}{c}": "(a/b)/c",
    r"\frac{a \circ b}{c}": "(a ∘ b)/c",
    r"x \circ \frac{a}{b}": "x ∘ (a/b)",
    r"\log \frac{a}{b}": "log (a/b)",
    r"\operatorname{diag}\left(\frac{a}{b}\right)": "diag(a/b)",
    r"\left(\frac{\partial a}{\partial z}\right)^{\top} y": "(∂a/∂z)ᵀ y",
    r"(a_j^{[1]})^2": "(a_j^[1])²",
    r"z^2": "z^2",
    r"z^{\circ 2}": "z^∘2",
    r"z^{\circ \frac{3}{2}}": "z^{∘3/2}",
    r"\mathbf{1}\{z > 0\}": "𝟏{z > 0}",
    r"\nabla_{W^{[1]}} J": "∇_{W^[1]} J",
    r"\nabla L(\theta)": "∇L(θ)",
    r"\operatorname{ReLU}'(z)": "ReLU′(z)",
    r"(g^{[N]})'(z)": "(g^[N])′(z)",
    r"n_L'": "n′_L",
    r"\bar{a}": "ā",
    r"\hat{y}_{in}": "ŷ_in",
    r"{{}\hat{y}_{in}}_j": "(ŷ_in)_j",
    r"\lVert x \rVert^2": "‖x‖²",
    r"|\theta| = \left|x\right|": "|θ| = |x|",
    r"\begin{cases} z & \text{if } z > 0 \\ 0 & \text{otherwise} \end{cases}": "{ z if z > 0; 0 otherwise }",
    r"\begin{cases} z & \text{if } z > 0 \\ 0 & \text{otherwise} \end{cases} + 1": "{ z if z > 0; 0 otherwise } + 1",
    r"\begin{bmatrix} a_1 & \cdots \\[0.3ex] \vdots & b \end{bmatrix}^{\top}": "[a_1, ⋯; ⋮, b]ᵀ",
    r"\Bigl(a": "(a",
    r"{} - b\Bigr)": "− b)",
    r"a - b": "a − b",
    r"-b": "−b",
    r"a \odot b \cdot c": "a ⊙ b · c",
    r"\ell = N-1, \dots, 1": "ℓ = N − 1, …, 1",
    r"\mathbb{R}^{n \times m}": "ℝ^(n×m)",
    r"n_{l-1}": "n_{l−1}",
    r"w_{n_l n_{l+1}}^l": "w_{n_l n_{l+1}}^l",
    r"(W^2)^T": "(W^2)ᵀ",
    r"[W^{l+1}]^\top": "[W^{l+1}]ᵀ",
    r"a^T": "a^T",
    r"{}^{(p)}": "^(p)",
    r"\sqrt{x} + \sqrt{a + b}": "√x + √(a + b)",
    r"\mathbf{w}_i^{[1]\top} x": "𝐰_i^[1]ᵀ x",
    r"\text{---} \; x": "— x",
    r"df/dx": "df/dx",
    r"a_{\mathrm{in}} b": "a_in b",
    r"a_1b": "a_1 b",
}  # fmt: skip


@pytest.mark.parametrize("latex", WRITTEN)
def test_a_formula_is_written_as_a_person_would(latex):
    assert unicode_math(latex) == WRITTEN[latex]


@pytest.mark.parametrize(
    ("latex", "names"),
    [
        (r"\frac{a", "}"), (r"a}", "}"), (r"a^", "^"), (r"a^1^2", "^"), (r"\begin{cases} a", "something is missing"),
        (r"\left a", "left"), (r"\input{secrets}", "input"), (r"\begin{cases} a \end{bmatrix}", "cases"),
        (r"\frac a", "lacks"), ("a\x07", "x07"), (r"\text{\input}", "input"), ("a & b", "&"),
    ],
)  # fmt: skip
def test_what_the_printer_does_not_write_is_refused(latex, names):
    with pytest.raises(UsageError) as error:
        unicode_math(latex)
    assert names in str(error.value)


def test_scripts_and_primes_belong_to_what_stands_before_them():
    assert parsed("n_L'") == (Scripts(Symbol("n"), below=(Symbol("L"),), primes=1),)
    assert parsed("n_1 ^2") == (Scripts(Symbol("n"), (Symbol("1"),), (Symbol("2"),)),)
    assert parsed("^{a}") == (Scripts(Group(()), above=(Symbol("a"),)),)
    assert parsed("x^12") == (Scripts(Symbol("x"), above=(Symbol("1"),)), Symbol("2"))


def test_runs_have_their_heights():
    assert runs(r"z^{[1]}_j") == [Run("z", 0), Run("j", -1), Run("[1]", 1)]
    assert runs(r"a_{n_l}^{p,l}") == [Run("a", 0), Run("nₗ", -1), Run("p,l", 1)]
    assert runs(r"W^{[2]\top} x_1 + b") == [
        Run("W", 0), Run("[2]⊤", 1), Run(" x", 0), Run("1", -1), Run(" + b", 0),
    ]  # fmt: skip
    assert runs("(W^2)^T")[-1] == Run("T", 1)
    runs("z_j").append(Run("never", 0))
    assert runs("z_j") == [Run("z", 0), Run("j", -1)]


def test_a_terminal_gives_no_column_to_a_mark_over_a_letter():
    assert columns("ā") == columns("a\u0304") == columns("δ\u0304") == columns("𝟏") == 1
    assert columns("層") == 2
    assert columns(unicode_math(r"\overline{\mathrm{loss}}")) == 4


def test_pieces_know_what_stands_beside_them():
    assert unicode_pieces([r"\frac{a}{b}", r"\frac{c}{d}", r"{} - \frac{e}{f}"]) == ["(a/b)", "(c/d)", "− e/f"]
    assert unicode_pieces([r"\sum_j \Bigl(\frac{a}{b}", r"{} + c\Bigr)"]) == ["Σ_j (a/b", "+ c)"]
    assert unicode_pieces(["", "a"]) == ["", "a"]


# ---------------------------------------------------------------------- brackets


@st.composite
def trees(draw, depth=3):
    """(kind, parts): sums, products, fractions, powers, calls, sums over j."""
    kinds = ["letter", "number"] if depth == 0 else [
        "letter", "sum", "difference", "product", "dot", "fraction", "fraction", "power", "exp", "call", "over",
        "minus",
    ]  # fmt: skip
    kind = draw(st.sampled_from(kinds))
    if kind == "letter":
        return kind, draw(
            st.sampled_from(["a", "x_j", r"W_{mj}^{[2]}", r"\delta^{l+1}", r"\hat{y}^{[1](p)}", r"\alpha"])
        )
    if kind == "number":
        return kind, draw(st.sampled_from(["2", "0.5", "10"]))
    count = 2 if kind in ("sum", "difference", "product", "dot", "fraction") else 1
    return kind, *(draw(trees(depth - 1)) for _ in range(count))


LOOSE = ("sum", "difference", "minus", "over")


def latex_of(tree):
    """In LaTeX, where a fraction line holds together what is above and below it."""
    kind, *parts = tree
    if kind in ("letter", "number"):
        return parts[0]
    texts = [latex_of(part) for part in parts]
    tight = [f"({text})" if part[0] in LOOSE else text for part, text in zip(parts, texts, strict=True)]
    if kind in ("product", "dot"):
        # Two dots in a row are one product; a product of products needs no brackets in LaTeX either.
        return (r" \cdot " if kind == "dot" or (tight[0][-1].isdigit() and tight[1][0].isdigit()) else " ").join(tight)
    if kind == "power":
        bare = parts[0][0] in ("letter", "number") and "^" not in texts[0]
        return f"{texts[0]}^2" if bare else rf"\left({texts[0]}\right)^2"
    return {
        "sum": lambda: f"{texts[0]} + {tight[1]}",
        "difference": lambda: f"{texts[0]} - {tight[1]}",
        "fraction": lambda: rf"\frac{{{texts[0]}}}{{{texts[1]}}}",
        "exp": lambda: f"e^{{{texts[0]}}}",
        "call": lambda: rf"\sigma'\left({texts[0]}\right)",
        "over": lambda: rf"\sum_{{j=1}}^{{2}} {tight[0]}",
        "minus": lambda: f"-{tight[0]}",
    }[kind]()


def number_of(name, j):
    """A letter's value, which depends on j where it has the index."""
    seed = f"{name} {j}" if re.search(r"_(mj|j)", name) else name
    return Fraction(random.Random(seed).randint(2, 40), 7)


def exponential(value):
    return 1 + value + value * value / 3


def sigmoid(value):
    return value * value * value + 2


def value_of(tree, j=3):
    kind, *parts = tree
    if kind == "letter":
        return number_of(unicode_math(parts[0]), j)
    if kind == "number":
        return Fraction(parts[0])
    if kind == "over":
        return value_of(parts[0], 1) + value_of(parts[0], 2)
    values = [value_of(part, j) for part in parts]
    return {
        "sum": lambda: values[0] + values[1],
        "difference": lambda: values[0] - values[1],
        "product": lambda: values[0] * values[1],
        "dot": lambda: values[0] * values[1],
        "fraction": lambda: values[0] / values[1],
        "power": lambda: values[0] ** 2,
        "exp": lambda: exponential(values[0]),
        "call": lambda: sigmoid(values[0]),
        "minus": lambda: -values[0],
    }[kind]()


class Reader:
    """Computes the value of a line of Unicode, and refuses one that could be read in two ways.

    After a slash stands one factor, and then the term ends.
    """

    TOKEN = re.compile(r"Σ_\{j=1\}\^2|σ′(?=\()|e(?=\^)|[a-zA-Zαδŷ](?:_[a-z]+)?(?:\^\[\d\]|\^\{[^{}]*\})?|[\d.]+|.")

    def __init__(self, text):
        # In an exponent signs have no spaces round them.
        self.tokens = self.TOKEN.findall(re.sub(" ([+−·]) ", r"\1", text))
        self.at = 0

    @property
    def token(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def skip(self, wanted=" "):
        found = self.token == wanted
        self.at += found
        return found

    def whole(self):
        value = self.sum(3)
        assert self.token == "", self.tokens[self.at :]
        return value

    def sum(self, j):
        value = self.term(j)
        while self.token in ("+", "−"):
            sign = self.token
            self.at += 1
            value += self.term(j) if sign == "+" else -self.term(j)
        return value

    def term(self, j):
        if self.skip("−"):
            return -self.term(j)
        if self.skip("Σ_{j=1}^2"):
            assert self.skip()
            start = self.at
            first = self.term(1)
            self.at = start
            return first + self.term(2)
        value = self.factor(j)
        while True:
            if self.skip("/"):
                value /= self.factor(j)
                assert self.token in ("", ")", "+", "−"), self.tokens[self.at :]
                return value
            if not self.skip() and not self.skip("·"):
                return value
            if self.token.startswith("Σ"):
                return value * self.term(j)
            value *= self.factor(j)

    def factor(self, j):
        name = self.token
        self.at += 1
        if name == "(":
            value = self.sum(j)
            assert self.skip(")")
        elif name == "σ′":
            assert self.skip("(")
            value = sigmoid(self.sum(j))
            assert self.skip(")")
        elif name == "e":
            assert self.skip("^")
            value = exponential(self.factor(j))
        elif name[:1].isdigit():
            value = Fraction(name)
        else:
            assert name[:1].isalpha(), name
            value = number_of(name, j)
        if self.skip("²"):
            return value * value
        if self.token == "^" and name != "e":
            self.at += 2
            return value * value
        return value


@settings(max_examples=400, deadline=None)
@given(trees())
def test_the_line_says_what_the_fraction_lines_say(tree):
    try:
        value = value_of(tree)
    except ZeroDivisionError:
        assume(False)
    assert Reader(unicode_math(latex_of(tree))).whole() == value


@pytest.mark.parametrize("text", ["a/x_j a", "a/a/a", "a/a · a", "a a + a) a"])
def test_the_reader_refuses_what_could_be_read_in_two_ways(text):
    with pytest.raises(AssertionError):
        Reader(text).whole()


# ---------------------------------------------------------------------- what a notation may hold


@settings(max_examples=300, deadline=None)
@given(
    st.from_regex(re.compile("".join(_SYMBOL["argument"]), re.ASCII), fullmatch=True).filter(
        lambda text: not text.endswith("\n")
    )
)
def test_whatever_a_notation_may_hold_can_be_written(latex):
    text = unicode_math(latex)
    assert text and "\\" not in text
    assert text.count("{") == text.count("}")
    assert columns(text) > 0
    assert {run.shift for run in runs(latex)} <= {-1, 0, 1}


def test_letters_that_differ_are_written_differently():
    letters = [
        "a", "A", r"\alpha", r"\mathbf{a}", r"\mathcal{A}", r"\mathbb{A}", r"\mathsf{a}", r"\bar{a}", r"\hat{a}",
        r"\tilde{a}", r"\dot{a}", r"\check{a}", r"\vec{a}", r"\overline{a}", r"\mathrm{ab}", r"\mathbf{1}", r"\ell",
        "l",
        r"\boldsymbol{\delta}", r"\delta", r"\mathcal{L}", "L", r"\top", "T", r"\partial", r"\nabla", r"\Sigma",
    ]  # fmt: skip
    scripts = [
        "",
        "_1",
        "^1",
        "_{12}",
        "_1^2",
        "_2^1",
        "_{1,2}",
        "_{(1)}",
        "^{[1]}",
        "_{l+1}",
        "^{l+1}",
        r"^{\top}",
        "^{T}",
    ]
    written = [unicode_math(letter + script) for letter, script in product(letters, scripts)]
    assert len(set(written)) == len(written)


# ---------------------------------------------------------------------- what the printer writes


@settings(CALM, max_examples=150)
@given(cases(), st.randoms(use_true_random=False))
def test_different_values_are_never_the_same_line(expression, shuffler):
    pair = (expression, changed(expression, shuffler))
    written = [unicode_math(PRINTER.doprint(one)) for one in pair]
    assert not any("\\" in text for text in written)
    assert written[0] != written[1] or same_everywhere(*pair), written[0]
    try:
        written = [unicode_math(PRINTER.doprint(matrix_form(one, (i, j), TENSORS, None, (N, N)))) for one in pair]
    except NoMatrixForm:
        return
    assert written[0] != written[1] or same_everywhere(*pair), written[0]
