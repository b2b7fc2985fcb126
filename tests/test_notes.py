"""The five notes together: the table, the command, every level of detail, and pages that pdflatex sets."""

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache

import pytest
from sympy import Expr, Sum

from codegen.cli import main
from symbolic.errors import UsageError
from symbolic.expressions import Differentiated
from symbolic.notations import NOTATIONS
from symbolic.notes.exposition import Chain, Display
from symbolic.notes.table import NOTES, note_named

DETAILS = ("result", "layer", "rule")


@cache
def note(name):
    """A note, made once for the tests that only look at it or change a copy."""
    return note_named(name)


def test_every_note_is_in_the_table_under_its_notation():
    assert list(NOTES) == ["vec", "stacked", "index", "cs229", "post"]
    assert set(NOTES) <= set(NOTATIONS)
    for name in NOTES:
        assert note(name).like == name


def test_an_unknown_note_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean vec"):
        note_named("vecs")


@pytest.mark.parametrize("name", NOTES)
def test_each_level_of_detail_says_more_and_is_deterministic(name):
    result, layer, rule = (note(name).latex(detail=detail) for detail in DETAILS)
    lines = [page.count("&=") for page in (result, layer, rule)]
    assert lines[0] < lines[1] <= lines[2]
    assert note_named(name).latex() == layer
    with pytest.raises(UsageError, match="detail"):
        note(name).latex(detail="all")


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
    (tmp_path / "page.tex").write_text(note(name).latex(detail=detail))
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = (tmp_path / "page.log").read_text(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert not re.findall(r"Overfull.*|Missing character.*", log)


def settings_of(exposition):
    """Every chain with its place: (block, part, chain)."""
    for at, block in enumerate(exposition.blocks):
        for place, part in enumerate(block.parts if isinstance(block, Display) else ()):
            yield at, place, part


def exchanged(exposition, at, place, part):
    block = exposition.blocks[at]
    parts = [*block.parts[:place], part, *block.parts[place + 1 :]]
    return replace(
        exposition, blocks=(*exposition.blocks[:at], replace(block, parts=parts), *exposition.blocks[at + 1 :])
    )


@pytest.mark.parametrize("name", ["vec", "stacked", "post"])
def test_a_wrong_left_side_is_found(name):
    chains = [(at, place, part) for at, place, part in settings_of(note(name)) if isinstance(part, Chain)]
    for at, place, chain in chains[:: max(1, len(chains) // 4)]:
        if isinstance(chain.heads[0], Expr):
            wrong = replace(chain, heads=(2 * chain.heads[0], *chain.heads[1:]))
            assert not exchanged(note(name), at, place, wrong).verify(points=1).ok


def test_a_wrong_definition_is_found():
    shown = [(at, place, part) for at, place, part in settings_of(note("vec")) if isinstance(part, tuple)]
    assert len(shown) > 4
    for at, place, (setting, equation) in shown:
        wrong = replace(equation, rhs=equation.rhs * 1001 / 1000)
        report = exchanged(note("vec"), at, place, (setting, wrong)).verify(points=1)
        assert [row.problem for row in report.failures] == ["it is not the equation of the program"]


def test_a_term_lost_under_the_derivative_sign_is_found():
    found = 0
    for at, place, chain in settings_of(note("vec")):
        for n, step in enumerate(chain.steps if isinstance(chain, Chain) else ()):
            for node in step.after.atoms(Differentiated) - step.before.atoms(Differentiated):
                bias = [term for term in node.body.args if "b[" in str(term) and not term.has(Sum)]
                if bias and node.body.is_Add:
                    found += 1
                    lost = step.after.xreplace({node: Differentiated(node.body - bias[0], node.by)})
                    follow = chain.steps[n + 1]
                    steps = (
                        *chain.steps[:n],
                        replace(step, after=lost),
                        replace(follow, before=lost),
                        *chain.steps[n + 2 :],
                    )
                    assert not exchanged(note("vec"), at, place, replace(chain, steps=steps)).verify(points=1).ok
    assert found >= 2


def test_a_numbered_unit_is_seen_active_and_inactive():
    report = note("stacked").verify(points=1)
    assert report.ok
    relu = [row for row in report.rows if row.points > 2]
    assert relu, "no setting with a kink got the points that it needs"
