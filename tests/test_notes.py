"""The five notes together: the table, the command, every level of detail, and pages that pdflatex sets."""

import re
import shutil
import subprocess

import pytest

from codegen.cli import main
from symbolic.errors import UsageError
from symbolic.notations import NOTATIONS
from symbolic.notes.table import NOTES, note_named

DETAILS = ("result", "layer", "rule")


def test_every_note_is_in_the_table_under_its_notation():
    assert list(NOTES) == ["vec", "stacked", "index", "cs229", "post"]
    assert set(NOTES) <= set(NOTATIONS)
    for name in NOTES:
        assert note_named(name).like == name


def test_an_unknown_note_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean vec"):
        note_named("vecs")


@pytest.mark.parametrize("name", NOTES)
def test_each_level_of_detail_says_more_and_is_deterministic(name):
    note = note_named(name)
    result, layer, rule = (note.latex(detail=detail) for detail in DETAILS)
    lines = [page.count("&=") for page in (result, layer, rule)]
    assert lines[0] < lines[1] <= lines[2]
    assert note_named(name).latex() == layer
    with pytest.raises(UsageError, match="detail"):
        note.latex(detail="all")


@pytest.mark.parametrize("name", NOTES)
def test_the_command_prints_the_note_and_that_it_was_verified(name, tmp_path, golden):
    page = tmp_path / "note.tex"
    assert main(["derive", "--like", name, "-o", str(page)]) == 0
    text = page.read_text()
    assert r"\section*{Verification}" in text and "All of them hold." in text
    golden(f"note_{name}.tex", re.sub(r"\\section\*\{Verification\}\n\n.*?\n\n", "", text))


@pytest.mark.parametrize(
    "arguments",
    [
        ["3 -> 2; squared_error"],
        ["--notation", "cs229"],
        ["--form", "matrix"],
        ["--examples", "one"],
        ["--depth", "general"],
    ],
)
def test_what_contradicts_a_note_is_refused(arguments, capsys):
    assert main(["derive", "--like", "vec", *arguments]) == 2
    assert "leave" in capsys.readouterr().err


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed: apt-get install texlive-latex-base"
)
@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", NOTES)
def test_pdflatex_sets_it_without_an_overfull_line(name, detail, tmp_path):
    (tmp_path / "page.tex").write_text(note_named(name).latex(detail=detail))
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = (tmp_path / "page.log").read_text(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert not re.findall(r"Overfull.*|Missing character.*", log)
