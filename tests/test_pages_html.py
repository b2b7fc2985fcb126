"""Pages as HTML: well formed, self-contained, safe; read by html5lib, and shown by a browser without network."""

import importlib.util
import re
import sys
from functools import cache
from itertools import pairwise

import pytest
from browser import NEEDS_CHROMIUM, measure, show

from symbolic import NOTATIONS, Network, derive
from symbolic.documents import SCREEN
from symbolic.errors import MissingExtra, UsageError
from symbolic.notes.table import NOTES, note_named
from symbolic.pages.blocks import (
    DOTS,
    Code,
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
from symbolic.pages.html import html_fragment, write_html
from symbolic.pages.katex import katex_style
from symbolic.pages.mathml import converter, mathml

html5lib = pytest.importorskip("html5lib")
HOSTILE = "<script>alert(1)</script>\" onload='alert(2)' & <b>"
SOFTMAX = "3 -> 4 tanh -> 2 softmax; cross_entropy"
GELU = "n_0 -> n_1 gelu -> n_2 elu -> n_3 g(z); c(y,h)"
CHAIN_RULE = text(
    "all paths are added: {f}", f=Formula(r"\frac{\partial L}{\partial z} = \sum_i \frac{\partial L}{\partial a_i}")
)
FIRST = Line(
    r"\delta^{[2]}",
    [r"\nabla_{z^{[2]}} \mathcal{L}"],
    (Label("definition", CHAIN_RULE, checked="both sides agree at 3 points"),),
)
SECOND = Line(
    "",
    [r"\Bigl(\sum_{j=1}^{n} x_j", r"{} + \lVert y \rVert^2 \mathbf{1}\{z > 0\}\Bigr)", r"{} - 1"],
    (
        Label("substitute", target="eq-z", mark="(a)"),
        Label("contract", CHAIN_RULE, "eq-z", checked="FALSE: 1 is not 2"),
    ),
    anchor="line-delta",
)
CASES = r"\begin{cases} 1 & \text{if } z > 0 \\ 0.01 & \text{otherwise} \end{cases}"


def every_kind(detail="rule"):
    """A page with a block of each kind."""
    blocks = (
        Heading(text("Set-up")),
        Paragraph(text("See {rule}, {gone}, {x}.", rule=Link(("the rule",), "rule-chain"),
                       gone=Link(("nothing",), "nowhere"), x=Formula("x < y"))),
        Table((("symbol",), ("shape",)), (((Formula("W"),), (Formula(r"\mathbb{R}^{4 \times 3}"),)),)),
        Formulas((Line("z", ["W x + b"], anchor="eq-z"), Line("a", [CASES], note=text("for {z}", z=Formula("z"))))),
        Heading(text("Layer {n}", n=Formula("2")), 2),
        Derived(
            text("By {z}:", z=Formula("z")), "is-delta", Formulas((Line(r"\delta", ["a - y"], anchor="line-delta"),)),
            Formulas((FIRST, SECOND)),
            (
                Fold("rule", text("In smaller steps, (a)"), (Formulas((FIRST, SECOND)),)),
                Fold("why", text("Why?"), (Heading(text("Because"), 3), Paragraph(text("It is so.")))),
            ),
        ),
        Heading(text("Too deep"), 6),
        Formulas((Line("a", ["b"]), Line("", [DOTS]), Line("", ["c"], relation=r"\le")), braced=True, number="3"),
        Formulas((FIRST, SECOND), boxed=True),
        Formulas((FIRST, FIRST, FIRST), columns=2),
        Listing((text("one"), text("two")), numbered=True),
        Listing((text("three"),)),
        Picture('<svg id="s" viewBox="0 0 9 9" width="9" height="9"><path d="M0 0H9"/></svg>', "a line", ("A line.",)),
        Heading(text("Rules"), anchor="rules"),
        Terms((("chain rule", CHAIN_RULE, "rule-chain"), ("contract", text("a sum"), "rule-contract"))),
    )  # fmt: skip
    return Page(text("Backpropagation {to}", to=Formula(r"\to")), text("3 {to} 2", to=Formula(r"\to")), blocks, detail)


@cache
def derivation(network):
    return derive(Network.parse(network))


def read(html, fragment=False):
    """The tree of a text that the strict parser has no complaint about."""
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), strict=True, namespaceHTMLElements=False)
    return parser.parseFragment(html) if fragment else parser.parse(html)


def name(element):
    """A tag's name without its namespace; comments have none."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def check(html, fragment=False):
    """What holds of every page: well formed, headings in order, links that lead somewhere, nothing from outside."""
    tree = read(html, fragment)
    elements = list(tree.iter())
    ids = [element.get("id") for element in elements if element.get("id")]
    assert len(ids) == len(set(ids))
    links = [element.get("href") for element in elements if name(element) == "a"]
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    levels = [int(name(element)[1]) for element in elements if re.fullmatch("h[1-6]", name(element))]
    assert levels[0] == (3 if fragment else 1)
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert not [element for element in elements if element.get("src") or name(element) == "link"]
    assert not [key for element in elements for key in element.attrib if key.startswith("on")]
    styles = "".join("".join(element.itertext()) for element in elements if name(element) == "style")
    assert "@import" not in styles
    assert all(url.startswith("data:") for url in re.findall(r"url\(([^)]*)", styles))
    for element in elements:
        if name(element) == "math":
            assert not set("&\\") & set("".join(element.itertext()))
    sources = re.findall(r"<math.*?</math>", html, re.DOTALL)
    assert all("\\" not in source and "&" not in source.replace("&lt;", "") for source in sources)
    return tree


@pytest.mark.parametrize("detail", ["result", "layer", "rule"])
def test_a_page_with_every_kind_of_block(detail):
    html = write_html(every_kind(detail))
    tree = check(html)
    assert html == write_html(every_kind(detail))
    assert {name(element) for element in tree.iter()} >= {
        "nav", "main", "details", "summary", "table", "dl", "figure", "svg", "math", "ol", "ul", "title",
    }  # fmt: skip
    opened = [element.get("class") for element in tree.iter("details") if element.get("open") is not None]
    assert opened == {"result": [], "layer": ["steps"], "rule": ["steps", "fold rule"]}[detail]
    assert tree.find(".//html") is None and tree.get("lang") == "en"
    assert [element.text for element in tree.iter("title")] == ["Backpropagation →"]


def test_contents_list_the_headings_that_are_not_folded():
    tree = check(write_html(every_kind()))
    nav = next(tree.iter("nav"))
    shown = ["".join(link.itertext()) for link in nav.iter("a")]
    assert shown == ["Set-up", "Layer 2", "Rules"]


def test_a_label_has_its_law_its_verification_and_its_link():
    html = write_html(every_kind())
    assert "verified: both sides agree at 3 points" in html
    assert '<p class="found">not verified: FALSE: 1 is not 2</p>' in html
    assert html.count('<a href="#eq-z"') == 2 * 2
    assert "nowhere" not in html


def test_an_anchor_is_given_once_and_first_where_it_is_seen():
    html = write_html(every_kind("result"))
    assert html.index('id="line-delta"') < html.index('class="steps"')


def test_a_fragment_has_its_own_ids_and_no_script():
    one, two = (html_fragment(every_kind(), prefix) for prefix in ("one", "two"))
    trees = [check(html, fragment=True) for html in (one, two)]
    ids = [{element.get("id") for element in tree.iter() if element.get("id")} for tree in trees]
    assert ids[0] and not ids[0] & ids[1]
    assert "<script" not in one and "<body" not in one
    style = one[one.index("<style>") + len("<style>") : one.index("</style>")]
    rules = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    selectors = [part for group in re.findall(r"([^{}]+)\{", rules) for part in group.split(",") if "@" not in group]
    assert all(part.strip().startswith(".deltaform") for part in selectors)
    assert html_fragment(every_kind()) == html_fragment(every_kind()) != html_fragment(every_kind("result"))


def test_hostile_text_never_becomes_markup():
    hostile = (HOSTILE,)
    line = Line("a", ["b"], (Label(HOSTILE, hostile, HOSTILE, HOSTILE, HOSTILE),), note=hostile, anchor=HOSTILE)
    blocks = (
        Heading(hostile, anchor=HOSTILE), Paragraph(hostile), Listing((hostile,)), Table((hostile,), ((hostile,),)),
        Terms(((HOSTILE, hostile, HOSTILE),)), Formulas((line,), number=HOSTILE),
        Fold("why", hostile, (Paragraph(hostile),)),
        Derived(hostile, HOSTILE, Formulas((line,)), Formulas((line,))), Picture("<svg></svg>", HOSTILE, hostile),
        Formulas((Line("a", [r"\text{<b>}"]),)),
    )  # fmt: skip
    page = Page(hostile, hostile, blocks)
    for html, fragment in ((write_html(page), False), (html_fragment(page, HOSTILE), True)):
        tree = read(html, fragment)
        assert len(list(tree.iter("script"))) == (0 if fragment else 1)
        assert not list(tree.iter("b"))
        assert not [key for element in tree.iter() for key in element.attrib if key.startswith("on")]
    assert len(list(read(write_html(page, katex=True)).iter("script"))) == 2


@pytest.mark.parametrize("notation", NOTATIONS)
def test_pages_of_every_notation(notation):
    for form in ("matrix", "component"):
        for detail in ("result", "layer", "rule"):
            html = write_html(derivation(SOFTMAX).page(SCREEN, notation=notation, form=form, detail=detail))
            if (form, detail) == ("component", "rule"):
                check(html)
    write_html(derivation(GELU).page(SCREEN, notation=notation))


@pytest.mark.parametrize("note", NOTES)
def test_pages_of_every_note(note):
    check(write_html(note_named(note).page(SCREEN, "rule")))


@pytest.mark.parametrize("latex", [
    r"\overline{ab}", r"\widehat{ab}", r"\widetilde{ab}", r"\bar{a}", r"\hat{y}", r"\check{a}", r"\vec{a}", r"\dot{b}",
    r"\mathsf{c}", r"\mathit{ab}", r"\boldsymbol{\delta}", r"\operatorname{a\_b}'(z)", r"a \ast b", r"a^\intercal",
    r"\left[W\right]_{2 \times 3}^{\top}", r"{}^{(p)}", r"\tilde{j}", r"\bar{\mathbf{A}}", r"0.5\%", r"\max(0, z)",
])  # fmt: skip
def test_what_a_notation_may_hold_is_mathml(latex):
    found = mathml(latex, True)
    assert found.startswith('<math displaystyle="true">')
    assert not set("&\\") & set(found)
    assert "\u0332" not in found


def test_room_between_rows_is_not_printed():
    assert "[" not in mathml(r"\begin{matrix} \text{---} \\[0.3ex] b \end{matrix}")


def test_a_formula_that_cannot_be_written_is_an_error_of_ours():
    with pytest.raises(UsageError, match="math-core cannot write the formula"):
        mathml("a & b")


def test_without_math_core_there_is_katex(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_core", None)
    converter.cache_clear()
    mathml.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'deltaform\[html\]'.*--katex"):
        write_html(every_kind())
    assert '<span class="tex display">\\delta^{[2]}</span>' in write_html(every_kind(), katex=True)


def test_what_is_typed_is_code():
    html = write_html(Page(("T",), (), (Paragraph(text("{a}", a=Code("train <_\\"))),)))
    assert "<p><code>train &lt;_\\</code></p>" in html


def test_katex_is_inside_the_page_with_its_licence():
    html = write_html(every_kind(), katex=True)
    check(html)
    assert "The MIT License" in html and "Khan Academy" in html
    assert katex_style().count("src:url(data:font/woff2;base64,") == katex_style().count("@font-face") > 10
    assert "fonts/" not in katex_style()


# ---------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Files with pages: every kind of block, and a real one; in MathML and by KaTeX."""
    folder = tmp_path_factory.mktemp("pages")
    long = derivation(GELU).page(SCREEN, notation="vec", form="component", detail="rule")
    found = {}
    for key, page in {"kinds": every_kind(), "folded": every_kind("result"), "long": long}.items():
        for katex in (False, True):
            found[key, katex] = folder / f"{key}{'-katex' * katex}.html"
            found[key, katex].write_text(write_html(page, katex=katex))
    return found


UNFOLDED = "for (const one of page.document.querySelectorAll('details')) one.open = true; "
WIDEST = "return page.document.documentElement.scrollWidth;"


@NEEDS_CHROMIUM
@pytest.mark.parametrize("katex", [False, True], ids=["mathml", "katex"])
def test_a_phone_shows_the_whole_width_of_a_page(pages, katex):
    for key in ("kinds", "long"):
        assert int(measure(pages[key, katex], UNFOLDED + WIDEST)) <= 360


@NEEDS_CHROMIUM
def test_a_browser_has_no_complaint(pages):
    shown = show(pages["long", False])
    assert not shown.console
    assert shown.dom.count("<button") == 2


@NEEDS_CHROMIUM
@pytest.mark.parametrize("key", ["kinds", "long"])
def test_katex_sets_every_formula(pages, key):
    shown = show(pages[key, True])
    assert not shown.console
    tree = html5lib.parse(shown.dom, namespaceHTMLElements=False)
    formulas = [element for element in tree.iter("span") if (element.get("class") or "").split()[:1] == ["tex"]]
    assert formulas and all((formula[0].get("class") or "") == "katex" for formula in formulas)
    assert "katex-error" not in {element.get("class") for element in tree.iter()}


@NEEDS_CHROMIUM
def test_a_link_opens_what_it_leads_into(pages):
    script = (
        "page.location.hash = '#rule-chain'; const to = page.document.querySelector('.steps'); const was = to.open; "
    )
    inner = "to.querySelector('.line').id = 'inner'; page.location.hash = '#inner'; "
    inner += "await new Promise(done => setTimeout(done, 300)); "
    assert measure(pages["folded", False], script + inner + "return [was, to.open];") == "[false,true]"


@NEEDS_CHROMIUM
def test_formulas_of_one_display_meet_at_their_relations(pages):
    script = (
        UNFOLDED + "return [...page.document.querySelectorAll('.steps > .inside > .lines')].map(one => new Set("
        "[...one.querySelectorAll(':scope > .line > .relation')].map(sign => sign.getBoundingClientRect().left)).size);"
    )
    assert set(measure(pages["long", False], script, width=1200).strip("[]").split(",")) == {"1"}


@pytest.mark.skipif(importlib.util.find_spec("math_core") is None, reason="math-core is missing: pip install math-core")
def test_a_prime_stands_beside_what_it_marks():
    """As a superscript it would be raised twice."""
    assert mathml("g'(z)").startswith("<math><mrow><mi>g</mi><mo")
    assert "<msup" not in mathml(r"\operatorname{ReLU}'(z)") and "\u2032" in mathml(r"\operatorname{ReLU}'(z)")
    assert "<msub><mrow><mi>n</mi>" in mathml("n_2'")
