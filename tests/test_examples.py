"""The examples and the benchmark, run as a reader runs them: as processes, from a folder that stays empty."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# What the last line must match: the outcome of the check with which each example ends.
LAST_LINES = {
    "any_depth": r"checked: \d+ equalities, at any depth and at depths 1 to 5",
    "attention": r"checked: single-head attention, by its steps and by central differences",
    "batch_norm": r"checked: batch norm, by its steps and by central differences",
    "first_derivation": r"checked: every step is true, for 4 gradients",
    "generated_gradients": r"checked: lambdify and the module agree with central differences in 99 places",
    "layer_norm": r"checked: layer norm, by its steps and by central differences",
    "own_notation": r"checked: 6 formulas, written and read back",
    "own_activation": r"checked: gaussian and squared_relu, by their steps and by central differences",
    "train_digits": r"checked: 9\d\.\d% of 359 digits that were held out are recognised, above 90 %",
    "undefined_functions": r"checked: the hidden delta is \(W\^T delta\) o g'\(z\) for every g and every c",
}


def run(folder, *arguments):
    """The finished process of Python with these arguments, in `folder`, with the packages found as if installed."""
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_example_has_a_last_line_to_be_held_to():
    assert {path.stem for path in EXAMPLES} == set(LAST_LINES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs_and_its_own_check_passes(path, tmp_path):
    for stem, extra in (("train_digits", "sklearn"), ("own_notation", "lark")):
        if path.stem == stem:
            pytest.importorskip(extra)
    finished = run(tmp_path, path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert re.fullmatch(LAST_LINES[path.stem], finished.stdout.splitlines()[-1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_says_what_it_shows_and_how_it_is_run_and_ends_with_a_check(path):
    tree = ast.parse(path.read_text())
    assert f"python examples/{path.name}" in (ast.get_docstring(tree) or "")
    *_, check, last = tree.body
    assert isinstance(check, ast.Assert)
    assert isinstance(last, ast.Expr) and ast.unparse(last).startswith(
        ("print('checked: ", 'print("checked: ', "print(f")
    )


def test_a_failed_check_is_no_success(tmp_path):
    """The first example with one of its steps made wrong: the assertion stops it before it says `checked`."""
    source = (ROOT / "examples" / "first_derivation.py").read_text()
    spoiled = tmp_path / "spoiled.py"
    wrong = (
        "derivation = derive(network)\n"
        "from dataclasses import replace\n"
        "*others, last = derivation.results\n"
        "*earlier, end = last.steps\n"
        "last = replace(last, steps=(*earlier, replace(end, after=end.after * 2)))\n"
        "derivation = replace(derivation, results=(*others, last))\n"
    )
    assert "derivation = derive(network)\n" in source
    spoiled.write_text(source.replace("derivation = derive(network)\n", wrong))
    finished = run(tmp_path, spoiled)
    assert finished.returncode == 1
    assert "AssertionError" in finished.stderr and "checked:" not in finished.stdout


def test_without_scikit_learn_the_digits_are_skipped_with_advice(tmp_path):
    hidden = (
        "import runpy, sys\n"
        "sys.modules['sklearn'] = None\n"
        f"runpy.run_path({str(ROOT / 'examples' / 'train_digits.py')!r}, run_name='__main__')\n"
    )
    finished = run(tmp_path, "-c", hidden)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("skipped: ") and "pip install" in finished.stdout
    assert "checked" not in finished.stdout


def test_the_benchmark_prints_a_row_a_depth(tmp_path):
    benchmark = ROOT / "benchmarks" / "derivation.py"
    finished = run(tmp_path, benchmark, "--layers", "4", "2", "--rounds", "1", "--activations", "tanh", "relu")
    assert (finished.returncode, finished.stderr) == (0, "")
    title, headings, *rows, machine = finished.stdout.splitlines()
    assert title.startswith("tanh, relu") and "Python" in machine and "SymPy" in machine
    assert [row.split()[:2] for row in rows] == [["2", "4"], ["4", "8"]]
    assert "ratio" in headings and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [["--layers", "0"], ["--rounds", "two"], ["--activations", "sigmod"]])
def test_the_benchmark_says_which_option_is_wrong(wrong, tmp_path):
    finished = run(tmp_path, ROOT / "benchmarks" / "derivation.py", *wrong)
    assert finished.returncode == 2
    assert wrong[0] in finished.stderr and repr(wrong[1]) in finished.stderr
