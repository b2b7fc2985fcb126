"""`deltaform derive` and `deltaform diagram`: formats, files, what is opened, what is refused."""

import os
import shutil
import subprocess
import sys
import webbrowser
from xml.etree import ElementTree

import pytest

from codegen import pages
from codegen.cli import FINE, WRONG_USE, main

NETWORK = "3 -> 4 sigmoid -> 2 softmax; cross_entropy"
BEGINS = {".tex": r"\documentclass", ".md": "# Backpropagation", ".txt": "Backpropagation", ".html": "<!DOCTYPE html>"}

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed: apt-get install texlive-latex-base"
)


def derive(*arguments):
    return main(["derive", NETWORK, "--no-verify", *map(str, arguments)])


@pytest.mark.parametrize("suffix", BEGINS)
def test_the_suffix_of_the_file_chooses_the_format(suffix, tmp_path, capsys):
    if suffix == ".html":
        pytest.importorskip("math_core")
    target = tmp_path / f"page{suffix}"
    assert derive("-o", target) == FINE
    assert target.read_text().startswith(BEGINS[suffix])
    assert f"wrote {target}" in capsys.readouterr().err


@needs_pdflatex
def test_a_pdf_is_written_and_nothing_beside_it(tmp_path):
    assert derive("-o", tmp_path / "page.pdf") == FINE
    assert [path.name for path in tmp_path.iterdir()] == ["page.pdf"]


def test_without_pdflatex_the_tex_is_kept_and_the_status_says_no(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    assert derive("-o", tmp_path / "page.pdf") == WRONG_USE
    told = capsys.readouterr().err
    assert "apt-get install texlive-latex-base" in told and "page.tex is written" in told
    assert [path.name for path in tmp_path.iterdir()] == ["page.tex"]


def test_the_format_may_be_named_where_there_is_no_file(capsys):
    assert derive("--format", "txt", "--detail", "result") == FINE
    assert "δ^[2] = a^[2] − y" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["vec", "post"])
def test_notes_have_every_format(name, capsys):
    assert main(["derive", "--like", name, "--no-verify", "--format", "txt"]) == FINE
    assert "∂" in capsys.readouterr().out


def test_any_depth_has_every_format(capsys):
    assert main(["derive", "--depth", "general", "--no-verify", "--format", "md"]) == FINE
    assert r"\delta^{[\ell]} &= " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-o", "page.doc"], r"unknown suffix '.doc'"),
        (["--format", "html", "-o", "page.txt"], "unknown suffix"),
        (["--katex", "-o", "page.tex"], "--katex is for HTML pages"),
        (["--katex", "--format", "md"], "--katex is for HTML pages"),
    ],
)
def test_what_contradicts_itself_is_refused_before_any_work(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pages, "derive", lambda network: pytest.fail("derived"))
    assert derive(*arguments) == WRONG_USE
    assert told in capsys.readouterr().err


def test_a_pdf_is_not_poured_into_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert derive("--format", "pdf") == WRONG_USE
    assert "-o page.pdf" in capsys.readouterr().err


def test_open_shows_the_file_that_was_written(tmp_path, monkeypatch, capsys):
    pytest.importorskip("math_core")
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    target = tmp_path / "page.html"
    assert derive("-o", target, "--open") == FINE
    assert opened == [target.as_uri()]


def test_open_without_a_file_says_where_the_page_is(tmp_path, monkeypatch, capsys):
    pytest.importorskip("math_core")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert derive("--open") == FINE
    (page,) = tmp_path.rglob("*.html")
    told = capsys.readouterr().err
    assert f"wrote {page}" in told and f"open {page} yourself" in told


@pytest.mark.parametrize("kind", ["graph", "network"])
def test_a_diagram_in_each_format(kind, tmp_path, capsys):
    for suffix, begins in ((".dot", "digraph"), (".tikz", "%"), (".svg", "<svg")):
        target = tmp_path / f"{kind}{suffix}"
        assert main(["diagram", NETWORK, "--kind", kind, "-o", str(target)]) == FINE
        assert target.read_text().lstrip().startswith(begins), target.read_text()[:80]
    ElementTree.fromstring((tmp_path / f"{kind}.svg").read_text())
    assert main(["diagram", NETWORK, "--kind", kind]) == FINE
    assert "digraph" in capsys.readouterr().out


def test_a_diagram_takes_the_notation_and_any_depth(capsys):
    assert main(["diagram", NETWORK, "--notation", "stacked", "--format", "tikz"]) == FINE
    assert main(["diagram", "--depth", "general", "--format", "dot"]) == FINE
    assert "digraph" in capsys.readouterr().out


def run(*arguments, **environment):
    command = [sys.executable, "-m", "codegen.cli", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=120, check=False)


def test_products_are_utf8_whatever_the_locale_is():
    arguments = ("derive", NETWORK, "--no-verify", "--format", "txt", "--detail", "result")
    done = run(*arguments, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert "δ^[2] = a^[2] − y" in done.stdout.decode()


def test_a_closed_standard_output_is_told():
    command = f"{sys.executable} -m codegen.cli derive '{NETWORK}' --no-verify --format txt >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == WRONG_USE and "standard output is closed; name a file with -o" in done.stderr


def test_what_pdflatex_cannot_set_is_kept_as_latex(tmp_path, monkeypatch, capsys):
    fake = tmp_path / "bin" / "pdflatex"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho '! Missing something.'\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    assert derive("-o", tmp_path / "page.pdf") == WRONG_USE
    told = capsys.readouterr().err
    assert "it says: ! Missing something." in told and "page.tex is written" in told
    assert (tmp_path / "page.tex").exists() and not (tmp_path / "page.pdf").exists()
