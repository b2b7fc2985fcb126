"""Pages as plain text and as Markdown: real pages of every notation, and blocks made by hand."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolic import NOTATIONS, Network, derive
from symbolic.documents import PAPER, TERMINAL
from symbolic.pages.blocks import (
    DOTS,
    Derived,
    Fold,
    Formula,
    Formulas,
    Heading,
    Label,
    Line,
    Link,
    Listing,
    Page,
    Paragraph,
    Picture,
    Table,
    Terms,
    text,
)
from symbolic.pages.markdown import github_math, write_markdown
from symbolic.pages.text import wrapped, write_text
from symbolic.unicodemath import columns

NETWORKS = {
    "softmax": Network.parse("2 -> 3 relu -> 2 softmax; cross_entropy"),
    "equal layers": Network.parse("3 -> 4 silu -> 4 tanh -> 4 tanh -> 4 tanh -> 1 sigmoid; binary_cross_entropy"),
    "any depth": Network.general(hidden="g", output="softmax", loss="cross_entropy"),
}
DERIVED = {name: derive(network) for name, network in NETWORKS.items()}
DETAILS = ("result", "layer", "rule")
STEP = Line(r"\delta", [r"\frac{a}{b}", r"{} + c"], (Label("chain rule", target="eq-z"),), anchor="line-delta")


def page_of(*blocks, detail="layer"):
    return Page(text("Title"), (), blocks, detail)


def written(*blocks, detail="layer", columns=88):
    """The lines below the title."""
    return write_text(page_of(*blocks, detail=detail), columns).splitlines()[3:]


# ---------------------------------------------------------------------- plain text


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_no_line_of_a_page_is_wider_than_the_terminal_and_no_latex_is_left(name, notation):
    for form, detail, width in (("matrix", "result", 60), ("component", "layer", 88), (None, "rule", 100)):
        found = write_text(DERIVED[name].page(TERMINAL, notation=notation, form=form, detail=detail), width)
        assert found.endswith("\n") and not found.endswith("\n\n")
        assert "\\" not in found and "\0" not in found
        for line in found.splitlines():
            assert columns(line) <= width, line
            assert line == line.rstrip()


def test_a_page_for_a_terminal_has_the_chain_with_its_rules_at_the_right():
    found = write_text(DERIVED["softmax"].page(TERMINAL), 88)
    assert "    δ^[1] = ∇_{z^[1]} ℒ" in found
    line = next(line for line in found.splitlines() if "= (W^[2]ᵀ δ^[2]) ∘ ReLU′(z^[1])" in line)
    assert line.endswith(" [substitute]") and columns(line) == 88
    assert "│       δ^[1] = (W^[2]ᵀ δ^[2]) ∘ 𝟏{z^[1] > 0}" in found


def test_detail_decides_what_is_written_of_what_could_be_folded():
    folds = (
        Fold("rule", text("Smaller steps"), (Formulas((STEP,)),)),
        Fold("why", text("Why {a}?", a=Formula("a")), (Paragraph(text("Because.")),)),
    )
    last = Line(r"\delta", ["c"])
    derived = Derived(text("By {z}:", z=Formula("z^{[1]}")), "is-z", Formulas((last,)), Formulas((STEP,)), folds)
    result, layer, rule = (written(derived, detail=detail) for detail in DETAILS)
    assert result == ["By z^[1]:", "    δ = c"]
    assert layer[:2] == ["By z^[1]:", f"    δ = a/b + c{'[chain rule]':>73}"]
    assert layer[2:] == ["", "    Why a?", "    Because."]
    assert "    Smaller steps" in rule and "    Why a?" in rule


def test_a_long_line_is_continued_and_its_label_moves_below():
    line = Line("z", [r"\frac{a_1}{b_1}", "{} + a_2", "{} + a_3"], (Label("a rule", mark="(a)"),))
    assert written(Formulas((line,)), columns=30) == ["    z = a_1/b_1 + a_2 + a_3", " " * 18 + "[a rule (a)]"]
    assert written(Formulas((line,)), columns=24)[:2] == ["    z = a_1/b_1 + a_2", "            + a_3"]


def test_a_piece_that_is_too_long_is_broken_outside_its_brackets():
    line = Line("z", ["(a + b) c + (d + e) f + g(a, b)"])
    assert written(Formulas((line,)), columns=26) == [
        "    z = (a + b) c",
        "            + (d + e) f",
        "            + g(a, b)",
    ]
    assert written(Formulas((Line("z", ["(a_1 + b_1 + c_1 + d_1)"]),)), columns=22) == [
        "    z = (a_1 + b_1",
        "            + c_1",
        "            + d_1)",
    ]


def test_displays_are_aligned_boxed_braced_and_numbered():
    lines = (Line("a_1", ["b"]), Line("", ["c"]), Line("", [DOTS], note=text("and {n} more", n=Formula("n"))))
    assert written(Formulas(lines)) == ["    a_1 = b", "        = c", "          ⋮  and n more"]
    assert written(Formulas(lines[:2], boxed=True)) == [
        "    ┌─────────┐", "    │ a_1 = b │", "    │     = c │", "    └─────────┘",
    ]  # fmt: skip
    assert written(Formulas(lines[:2], braced=True)) == ["    ⎧ a_1 = b", "    ⎩     = c"]
    assert written(Formulas(lines[:1], number="3"), columns=20) == ["    a_1 = b      (3)"]
    assert written(Formulas((*lines[:1], Line("x", ["y"])), columns=2)) == ["    a_1 = b    x = y"]


def test_the_other_blocks():
    assert written(Heading(text("Layer {n}", n=Formula(r"\ell")))) == ["Layer ℓ", "───────"]
    assert written(Listing((text("one"), text("two")))) == ["• one", "• two"]
    assert written(Listing((text("one"), text("two")), numbered=True)) == ["1. one", "2. two"]
    assert written(Terms((("weight", text("a number"), ""),))) == ["weight: a number"]
    assert written(Paragraph((Link(text("here"), "there"),)), Picture("<svg/>", "alt", ())) == ["here"]
    table = Table((text("symbol"), text("shape")), ((text("x"), (Formula(r"\mathbb{R}^{n}"),)), ((), text("none"))))
    assert written(table) == [
        "    symbol  shape",
        "    ─────────────",
        "    x       ℝ^n",
        "            none",
    ]
    narrow = written(Table((text("a"), text("b")), ((text("word"), text("several words in a cell")),)), columns=24)
    assert all(columns(line) <= 24 for line in narrow) and len(narrow) == 4


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="abcé層 ", max_size=12), max_size=20), st.integers(14, 60))
def test_wrapping_keeps_every_word_in_order(words, width):
    words = " ".join(words).split()
    lines = wrapped(" ".join(words), width, "  ")
    assert " ".join(lines).split() == words
    assert all(columns(line) <= width or len(line.split()) == 1 for line in lines)


def test_a_formula_in_running_text_is_broken_only_if_it_is_long():
    short, long = Formula("a + b"), Formula(" + ".join(f"a_{{{n}}}" for n in range(10, 30)))
    assert written(Paragraph(text("Some words {a}", a=short)), columns=14) == ["Some words", "a + b"]
    lines = written(Paragraph(text("Some words {a}", a=long)), columns=40)
    assert all(columns(line) <= 40 for line in lines) and all(line.startswith("+ ") for line in lines[1:])


# ---------------------------------------------------------------------- Markdown


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_markdown_has_only_what_github_sets(name, notation):
    for detail in ("result", "rule"):
        found = write_markdown(DERIVED[name].page(PAPER, notation=notation, detail=detail))
        for refused in (r"\operatorname", r"\by", r"\tag", r"\newcommand", r"\mbox", r"\phantom", r"\href", "$$"):
            assert refused not in found
        assert len(re.findall("^```", found, re.M)) == 2 * len(re.findall("^```math$", found, re.M))
        outside = re.sub(r"```math\n.*?\n```|\$`[^`\n]*`\$", "", found, flags=re.S)
        assert not re.search(r"\\[A-Za-z]|[$`]", outside)
        assert not re.search(r"[A-Za-z0-9-]\$`", found)
        for fence in re.findall(r"```math\n(.*?)\n```", found, re.S):
            assert fence.count("{") == fence.count("}") and "\n\n" not in fence
            assert fence.count(r"\begin") == fence.count(r"\end")


def test_a_page_in_markdown_has_the_chain_with_its_rules():
    found = write_markdown(DERIVED["softmax"].page(PAPER, detail="rule"))
    assert r"&= (W^{[2]\top} \delta^{[2]}) \circ \mathrm{ReLU}'(z^{[1]}) && \text{substitute} \\" in found
    assert "\n## Hidden layer 1\n" in found
    assert "<details open>\n<summary>In smaller steps, (a)</summary>\n\n```math\n" in found
    assert "| $`W^{[1]}`$ | parameter | $`\\mathbb{R}^{n_1 \\times n_0}`$ |" in found


def test_an_operator_keeps_its_space():
    assert github_math(r"\operatorname{ReLU}'(z)") == r"\mathrm{ReLU}'(z)"
    assert github_math(r"a \operatorname{f} x") == r"a \, \mathrm{f} \, x"
    assert github_math(r"a \odot \operatorname{f}(x)") == r"a \odot \mathrm{f}(x)"
    assert github_math(r"\delta \operatorname{f}\left(x\right)") == r"\delta \, \mathrm{f}\left(x\right)"
    assert github_math(r"\left|x\right|") == r"\left\vert x\right\vert "


def test_an_address_is_no_link():
    found = write_markdown(page_of(Paragraph(("http://a.b and www.a.b",))))
    assert r"http:\//a.b and www\.a.b" in found


def test_links_lead_to_anchors_that_are_there():
    line = Line("z", ["x"], anchor="eq-z")
    found = write_markdown(page_of(
        Heading(text("Head"), anchor="head"), Heading(text("Not linked"), anchor="other"), Formulas((line, STEP)),
        Paragraph((Link(text("see {z}", z=Formula("z^{[1]}")), "head"), " and ", Link(text("lost"), "nowhere"))),
    ))  # fmt: skip
    assert '## <a id="head"></a>Head\n' in found
    assert "## Not linked\n" in found
    assert "eq-z" not in found  # a label stands in a formula, which cannot be a link
    assert r"[see z\^\[1\]](#head) and lost" in found
    assert r"&\qquad {} + c && \text{chain rule}" in found


def test_markdown_displays():
    lines = (Line("a", ["b", "{} + c"], note=text("for {n} of 5%", n=Formula("n"))), Line("", [DOTS]))
    plain = write_markdown(page_of(Formulas(lines, number="7")))
    assert "a &= b \\\\\n&\\qquad {} + c \\quad \\text{for }n\\text{ of 5}\\%" in plain
    assert r"&\;\;\vdots && \text{(7)}" in plain
    assert r"\boxed{\begin{aligned}" in write_markdown(page_of(Formulas(lines, boxed=True)))
    assert r"\left\{\begin{aligned}" in write_markdown(page_of(Formulas(lines, braced=True)))
    beside = write_markdown(page_of(Formulas((Line("a", ["b"]), Line("c", ["d"])), columns=2)))
    assert r"a &= b & \qquad c &= d" in beside


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab1.-+ *_`~<>#[]()|$&\\^!:/\n'\"{}@=", min_size=1, max_size=30))
def test_plain_text_is_never_markup(words):
    """The text that a Markdown reader shows is the text that was given."""
    mistune = pytest.importorskip("mistune")
    found = write_markdown(page_of(Paragraph((words,)), Table(((words,), ("b",)), (((words,), ("c",)),))))
    shown = mistune.create_markdown(plugins=["table", "strikethrough", "url"], escape=False)(found)
    for tag, count in (("p", 1), ("th", 2), ("td", 2)):
        cells = re.findall(rf"<{tag}>(.*?)</{tag}>", shown, re.S)
        if not words.strip():
            continue
        assert len(cells) == count, shown
        bare = cells[0].replace("<span>$</span>", "$")
        for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
            bare = bare.replace(entity, character)
        assert " ".join(bare.split()) == " ".join(words.split())
