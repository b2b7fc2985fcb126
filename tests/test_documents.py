"""Formats: which there are, what they write, what is said where something is missing, what a notebook shows."""

import importlib.util
import shutil
import subprocess
import sys

import pytest

from symbolic import DeltaformWarning, Network, derive
from symbolic.documents import FORMATS, SCREEN, format_named, format_of
from symbolic.errors import FileError, MissingExtra, UsageError
from symbolic.notes.table import note_named
from symbolic.pages import mathml
from symbolic.pages.blocks import PAPER, Derived, Fold, Heading

NETWORK = "3 -> 4 sigmoid -> 2 softmax; cross_entropy"
# What every format must show somewhere: the hidden layer's delta.
DELTA = {
    "tex": r"\delta^{[1]} &= (W^{[2]\top} \delta^{[2]}) \circ a^{[1]} \circ (1 - a^{[1]})",
    "html": "<mi>δ</mi>",
    "md": r"\delta^{[1]} &= (W^{[2]\top} \delta^{[2]}) \circ a^{[1]} \circ (1 - a^{[1]})",
    "txt": "(W^[2]ᵀ δ^[2]) ∘ a^[1] ∘ (1 − a^[1])",
}

needs_math_core = pytest.mark.skipif(
    importlib.util.find_spec("math_core") is None, reason="math-core is not installed: pip install 'deltaform[html]'"
)
needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed: apt-get install texlive-latex-base"
)


@pytest.fixture(scope="module")
def derivation():
    return derive(Network.parse(NETWORK))


@pytest.fixture(scope="module")
def sources(derivation):
    return [derivation, derive(Network.general(hidden="g", output="softmax", loss="cross_entropy")), note_named("vec")]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "pdf"])
def test_the_suffix_chooses_the_format_and_the_page_says_the_delta_form(derivation, name, tmp_path):
    if name == "html":
        pytest.importorskip("math_core")
    path = derivation.write(tmp_path / f"page{FORMATS[name].suffixes[0]}")
    text = path.read_text()
    assert text == derivation.render(name) and DELTA[name] in text
    assert format_of(path) is FORMATS[name]


@needs_pdflatex
def test_a_pdf_is_the_same_bytes_each_time_and_leaves_nothing_behind(derivation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = derivation.write("page.pdf", detail="result")
    assert path.read_bytes() == derivation.pdf(detail="result")
    assert path.read_bytes().startswith(b"%PDF") and [one.name for one in tmp_path.iterdir()] == ["page.pdf"]


def test_without_pdflatex_the_latex_is_kept_and_the_package_is_named(derivation, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"apt-get install texlive-latex-base.*page\.tex is written"):
        derivation.write(tmp_path / "page.pdf")
    assert [one.name for one in tmp_path.iterdir()] == ["page.tex"]
    assert (tmp_path / "page.tex").read_text() == derivation.latex()


def test_without_math_core_the_page_is_set_by_katex_and_says_so(derivation, monkeypatch):
    monkeypatch.setitem(sys.modules, "math_core", None)
    mathml.converter.cache_clear()
    mathml.mathml.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'deltaform\[html\]'"):
        derivation.html(katex=False)
    with pytest.warns(DeltaformWarning, match=r"KaTeX.*pip install 'deltaform\[html\]'"):
        page = derivation.html()
    assert "katex" in page and "<math" not in page.split("<script>")[0]
    bundle = derivation._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/latex"} and "pip install" in bundle["text/plain"]


@needs_math_core
def test_a_notebook_gets_html_latex_and_text(sources):
    for source in sources:
        bundle = source._repr_mimebundle_()
        assert set(bundle) == {"text/plain", "text/latex", "text/html"}
        assert "<math" in bundle["text/html"] and "<html" not in bundle["text/html"]
        assert r"\begin{align*}" in bundle["text/latex"] and r"\documentclass" not in bundle["text/latex"]
        assert "∂" in bundle["text/plain"] and "\\" not in bundle["text/plain"]


@needs_math_core
def test_show_takes_the_options_of_a_page(derivation):
    report = derivation.verify(points=1)
    shown = derivation.show(notation="nielsen", form="component", detail="rule", report=report)._repr_mimebundle_()
    assert "All of them hold." in shown["text/latex"] and "All of them hold." not in derivation.latex()
    assert shown["text/latex"] != derivation._repr_mimebundle_()["text/latex"]


def test_every_source_has_every_format(sources):
    for source in sources:
        assert source.markdown().startswith("# ") and source.text(columns=72).endswith("\n")


def test_unknown_formats_suffixes_and_options_are_refused(derivation, tmp_path):
    with pytest.raises(UsageError, match="did you mean html"):
        format_named("htm")
    with pytest.raises(FileError, match=r"unknown suffix '\.doc'; it must be \.tex or \.pdf or \.html"):
        derivation.write(tmp_path / "page.doc")
    with pytest.raises(FileError, match="must be \\.md"):
        derivation.write(tmp_path / "page.txt", format="md")
    with pytest.raises(UsageError, match="detail must be one of"):
        derivation.text(detail="all")
    (tmp_path / "page.txt").write_text("mine")
    with pytest.raises(FileError, match="exists already"):
        derivation.write(tmp_path / "page.txt")
    assert (tmp_path / "page.txt").read_text() == "mine"


@needs_pdflatex
def test_what_pdflatex_cannot_set_is_an_error_of_ours():
    from symbolic.pages.pdf import pdf_of

    with pytest.raises(UsageError, match=r"pdflatex cannot set the page; it says: .*Undefined control sequence"):
        pdf_of(r"\documentclass{article}\begin{document}\nonsense\end{document}")
    with pytest.raises(MissingExtra, match=r"no nowhere\.sty.*apt-get install"):
        pdf_of(r"\documentclass{article}\usepackage{nowhere}\begin{document}a\end{document}")


@needs_pdflatex
def test_pdflatex_may_run_no_command_and_reads_no_other_file(tmp_path):
    from symbolic.pages.pdf import pdf_of

    mark = tmp_path / "mark"
    body = rf"\documentclass{{article}}\begin{{document}}a\immediate\write18{{touch {mark}}}\end{{document}}"
    assert pdf_of(body) and not mark.exists()
    with pytest.raises((UsageError, MissingExtra)):
        pdf_of(r"\documentclass{article}\begin{document}\input{/etc/hostname}\end{document}")


# ---------------------------------------------------------------------- equal layers


def deep(layers, width=7):
    return derive(Network.parse(f"8 -> {f'{width} tanh -> ' * (layers - 1)}3 softmax; cross_entropy"))


def test_equal_layers_are_written_once():
    page = deep(9).latex()
    assert page.count(r"\section*{Hidden layer") == 1 and r"\section*{Hidden layer 8}" in page
    assert r"The same for $\ell = 7, \dots, 1$." in page
    assert page.count(r"\delta^{[5]}") == 0 and r"\delta^{[8]}" in page
    # The first layer takes the input, so its weights are derived by themselves; those of the others are the same.
    assert r"\delta^{[1]} x^{\top}" in page and r"The same for $\ell = 8, \dots, 2$." in page
    longer = deep(60).latex()
    assert len(longer) < 1.1 * len(page) and r"8 $\to$ 7 tanh (59 layers) $\to$ 3 softmax" in longer


def test_two_equal_layers_are_both_written_and_different_layers_too():
    page = deep(3).latex()
    assert r"\section*{Hidden layer 2}" in page and r"\section*{Hidden layer 1}" in page and "same for" not in page
    mixed = derive(Network.parse("3 -> 4 tanh -> 4 sigmoid -> 4 tanh -> 4 sigmoid -> 2; half_squared_error")).latex()
    assert all(rf"\section*{{Hidden layer {layer}}}" in mixed for layer in (1, 2, 3, 4))


def test_layers_of_functions_with_other_names_are_not_the_same():
    """The mathematics may be equal, but the page says the name."""
    from sympy import tanh

    from symbolic import Activation, Dense
    from symbolic.activations import z

    other = Activation("squash", tanh(z))
    network = Network(3, [Dense(4, "tanh"), *(Dense(4, other) for _ in range(3)), Dense(2)], "half_squared_error")
    page = derive(network).text()
    assert "tanh′(z^[1])" in page and "squash′(z^[4])" in page and "The same for ℓ = 3, 2." in page


def test_sizes_that_differ_are_all_in_the_table():
    page = derive(Network.parse("3 -> 4 tanh -> 5 tanh -> 6 tanh -> 7 tanh -> 2; half_squared_error")).latex()
    assert page.count(r"\mathbb{R}^{6 \times 5}") == 1 and "same for" in page


def test_what_links_lead_to_is_on_the_page():
    for source in (deep(30), derive(Network.parse(NETWORK)), note_named("cs229")):
        page = source.page(SCREEN)
        anchors, targets = set(), set()
        for block in walk(page.blocks):
            anchors.add(getattr(block, "anchor", ""))
            for lines in (getattr(block, name, None) for name in ("final", "chain")):
                for line in lines.lines if lines else ():
                    anchors.add(line.anchor)
                    targets |= {label.target for label in line.labels}
            for line in getattr(block, "lines", ()):
                anchors.add(line.anchor)
                targets |= {label.target for label in line.labels}
        assert targets - {""} <= anchors


def walk(blocks):
    for block in blocks:
        yield block
        if isinstance(block, Derived):
            yield from walk(block.folds)
        if isinstance(block, Fold):
            yield from walk(block.blocks)


def test_a_screen_unfolds_to_rules_to_the_other_form_and_to_shapes(derivation):
    report = derivation.verify(points=1)
    page = derivation.page(SCREEN, detail="result", report=report)
    derived = [block for block in page.blocks if isinstance(block, Derived)]
    assert len(derived) == len(derivation.results)
    kinds = {fold.kind for block in derived for fold in block.folds}
    assert kinds == {"rule", "other", "shapes", "why"}
    labels = [label for block in derived for line in block.chain.lines for label in line.labels]
    steps = [label for label in labels if label.text != "definition"]
    assert all("agree at 1 point" in label.checked for label in steps) and all(label.law for label in steps)
    paper = derivation.page(PAPER, detail="result")
    assert not any(isinstance(block, Derived) for block in paper.blocks)
    assert [block for block in paper.blocks if isinstance(block, Heading)]


def test_a_false_step_is_not_marked_as_true(derivation):
    from dataclasses import replace

    report = derivation.verify(points=1)
    rows = tuple(
        replace(row, problem="it is not so") if (row.quantity, row.number) == ("delta1", "2") else row
        for row in report.rows
    )
    page = derivation.page(SCREEN, report=replace(report, rows=rows))
    derived = next(b for b in page.blocks if isinstance(b, Derived) and b.anchor == "is-delta1")
    checked = [label.checked for line in derived.chain.lines for label in line.labels]
    assert sum("FALSE: it is not so" in one for one in checked) == 1
    assert "1 are false." in derivation.latex(report=replace(report, rows=rows))


def test_of_several_findings_about_one_step_one_that_fails_counts(derivation):
    from dataclasses import replace

    from symbolic.sections import rows_by_step

    report = derivation.verify(points=1)
    true = next(row for row in report.rows if (row.quantity, row.number) == ("delta1", "2"))
    false = replace(true, problem="does not begin where the last step ended")
    for rows in ((false, true), (true, false), (true, false, true)):
        assert rows_by_step(replace(report, rows=rows))["delta1", "2"] is false


@pytest.mark.parametrize("arguments", [["--format", "html"], ["--format", "txt"], ["--format", "md"]])
def test_the_command_writes_every_format_to_standard_output(arguments):
    command = [sys.executable, "-m", "codegen.cli", "derive", NETWORK, "--no-verify", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and DELTA[arguments[1]] in done.stdout


def folded(page, kind):
    blocks = (block for block in page.blocks if isinstance(block, Derived))
    return [fold.blocks[0] for block in blocks for fold in block.folds if fold.kind == kind]


def test_shapes_are_written_as_the_notation_has_its_matrices(derivation):
    def pieces(notation):
        page = derivation.page(SCREEN, notation=notation, form="matrix")
        return "\n".join(piece for block in folded(page, "shapes") for line in block.lines for piece in line.right)

    assert r"\left[W^{[2]}\right]_{2 \times 4}^{\top}" in pieces("cs229")
    assert r"\left[W^{(2)}\right]_{4 \times 2}" in pieces("goodfellow")
    # A Jacobian has the shape of both; a number has none.
    assert r"\left[\frac{\partial z^{[2]}}{\partial a^{[1]}}\right]_{2 \times 4}" in pieces("cs229")
    assert r"_{1 \times 1}" not in pieces("cs229")


def test_shapes_at_any_depth_are_widths():
    general = derive(Network.general(hidden="g", output="softmax", loss="cross_entropy"))
    lines = [line for block in folded(general.page(SCREEN), "shapes") for line in block.lines]
    text = " ".join(piece for line in lines for piece in (line.left, *line.right))
    assert r"_{n_{\ell+1} \times n_{\ell}}^{\top}" in text and "n_[" not in text


def test_what_is_put_in_leads_to_the_line_that_made_it():
    page = deep(9).page(SCREEN)
    blocks = {block.anchor: block for block in page.blocks if isinstance(block, Derived)}
    labels = {
        (anchor, label.text): label.target
        for anchor, block in blocks.items() for line in block.chain.lines for label in line.labels
    }  # fmt: skip
    assert labels["is-delta8", "substitute"] == "line-adj-a8"
    assert labels["is-adj-a8", "name"] == "line-delta9"
    assert labels["is-dW9", "substitute"] == "line-each-dW9"
    # Layer 1 is written, the layers after it are not: its links lead to a layer that says the same.
    assert labels["is-each-dW1", "name"] == "line-delta8"
