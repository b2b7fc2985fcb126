"""examples/pages: one rendered page in each format, so that a reader of the repository sees the product.

`pytest --update tests/test_rendered.py` writes them anew.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from symbolic import Network, derive
from symbolic.diagrams import FORMATS as PICTURES
from symbolic.diagrams import diagram

FOLDER = Path(__file__).parent.parent / "examples" / "pages"
NETWORK = "784 -> 128 relu -> 10 softmax; cross_entropy"
CELLS = [
    ("markdown", "# A derivation shows itself\n\nWith `pip install 'deltaform[html]'`, a notebook needs nothing else."),
    ("code", f'from symbolic import Network, derive\n\nnetwork = Network.parse("{NETWORK}")\nderive(network)'),
    ("markdown", "With options: verified, in the notation of a book, every rule unfolded."),
    (
        "code",
        'derivation = derive(Network.parse("3 -> 4 sigmoid -> 2 sigmoid; half_squared_error"))\n'
        'derivation.show(notation="nielsen", detail="rule", report=derivation.verify())',
    ),
]


@pytest.fixture(scope="module")
def page():
    derivation = derive(Network.parse(NETWORK))
    return derivation, {"report": derivation.verify()}


@pytest.mark.parametrize("name", ["tex", "md", "txt", "html"])
def test_a_page_of_each_format_lies_there(page, name, golden):
    if name == "html":
        pytest.importorskip("math_core")
    derivation, options = page
    golden(f"digits.{name}", derivation.render(name, **options), FOLDER)


@pytest.mark.parametrize("kind", ["graph", "network"])
@pytest.mark.parametrize("suffix", [".dot", ".tikz", ".svg"])
def test_the_diagrams_lie_there(page, kind, suffix, golden):
    golden(f"digits_{kind}{suffix}", PICTURES[suffix](diagram(page[0], kind)), FOLDER)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is missing: apt-get install texlive-latex-base")
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is missing: apt-get install poppler-utils")
def test_the_pdf_lies_there(page, request, tmp_path):
    """Compared by its text: other releases of TeX set the same page in other bytes."""
    derivation, options = page
    kept, made = FOLDER / "digits.pdf", tmp_path / "digits.pdf"
    derivation.write(made, **options)
    if request.config.getoption("--update"):
        shutil.copyfile(made, kept)
    texts = [subprocess.run(["pdftotext", one, "-"], capture_output=True, check=True).stdout for one in (kept, made)]
    assert texts[0] == texts[1], "digits.pdf differs; look at it, then run pytest with --update"
    assert b"softmax" in texts[0]


@pytest.fixture(scope="module")
def notebook():
    """The notebook, executed; without what differs from one machine to the next."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("math_core")
    made = nbformat.v4.new_notebook()
    for number, (kind, source) in enumerate(CELLS):
        cell = getattr(nbformat.v4, f"new_{kind}_cell")(source)
        cell["id"] = f"cell-{number}"
        made.cells.append(cell)
    nbclient.NotebookClient(made, timeout=300, kernel_name="python3", record_timing=False).execute()
    made.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return made


def test_the_notebook_lies_there(notebook, golden):
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(notebook)
    golden("notebook.ipynb", nbformat.writes(notebook) + "\n", FOLDER)


def test_the_notebook_is_exported_as_html_with_its_formulas(notebook):
    nbconvert = pytest.importorskip("nbconvert")
    text, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    for part in ("<math", "<mi>δ</mi>", "agree at 3 points", "<details"):
        assert part in text


def test_the_notebook_is_exported_as_latex_with_its_formulas(notebook):
    """Whole where there is pandoc, which nbconvert needs for cells of text; else what the derivations show."""
    nbconvert = pytest.importorskip("nbconvert")
    if shutil.which("pandoc") is None:
        notebook = notebook.copy()
        notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text, _ = nbconvert.LatexExporter().from_notebook_node(notebook)
    for part in (r"\delta^{[1]} &= (W^{[2]\top} \delta^{[2]}) \circ \mathbf{1}\{z^{[1]} > 0\}", r"\odot"):
        assert part in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is missing: apt-get install texlive-latex-base")
def test_what_a_notebook_exports_as_latex_can_be_set(notebook, tmp_path):
    """In a document that loads what nbconvert's loads and we need; the rest of its packages are not ours to install."""
    body = "\n".join(output["data"]["text/latex"] for cell in notebook.cells for output in cell.get("outputs", ()))
    packages = r"\usepackage{amsmath,amssymb,longtable,xcolor}"
    if not subprocess.run(["kpsewhich", "xcolor.sty"], capture_output=True, check=False).stdout:
        packages = packages.replace("xcolor", "color")
    text = rf"\documentclass{{article}}{packages}\begin{{document}}" + body + r"\end{document}"
    (tmp_path / "page.tex").write_text(text)
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_nothing_else_lies_there():
    made = {f"digits.{name}" for name in ("tex", "md", "txt", "html", "pdf")} | {"notebook.ipynb"}
    made |= {f"digits_{kind}{suffix}" for kind in ("graph", "network") for suffix in (".dot", ".tikz", ".svg")}
    assert {path.name for path in FOLDER.iterdir()} == made
