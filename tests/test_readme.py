"""The README shows what the engine prints and what the module contains, and its Python runs."""

import re
from pathlib import Path

import pytest

from codegen.source import module_source
from symbolic import Network, derive

README = (Path(__file__).parent.parent / "README.md").read_text()
NETWORK = "784 -> 128 relu -> 10 softmax; cross_entropy"
MATH = re.findall(r"<!-- from the page: matrix, layer -->\n```math\n(.*?)```", README, re.DOTALL)
MODULE = re.findall(r"<!-- from the module -->\n```python\n(.*?)```", README, re.DOTALL)
PYTHON = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if block not in MODULE]


def test_the_first_screen_has_the_two_commands():
    top = README.splitlines()[:12]
    for command in ("    make demo", "    make test"):
        assert any(line.startswith(command) for line in top)


def test_every_line_of_mathematics_stands_on_the_page():
    page = derive(Network.parse(NETWORK)).markdown(form="matrix", detail="layer")
    lines = [line.removesuffix(r" \\") for block in MATH for line in block.splitlines() if "&=" in line]
    assert len(lines) == 14
    for line in lines:
        assert line in page, line


def test_the_shown_code_is_the_generated_code():
    assert len(MODULE) == 1 and MODULE[0] in module_source(derive(Network.parse(NETWORK)))


def test_the_python_of_the_readme_runs_in_order(capsys):
    names: dict[str, object] = {}
    assert len(PYTHON) == 8
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 (our own README)
    assert "all gradients agree" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:symbolic|codegen|examples)/[\w/.]*)`", README))))
def test_every_file_that_the_readme_names_exists(name):
    assert (Path(__file__).parent.parent / name).exists()


def test_every_module_of_the_diagram_exists():
    root = Path(__file__).parent.parent
    diagram = re.search(r"```mermaid\n(.*?)```", README, re.DOTALL).group(1)
    for name in re.findall(r"[\w/]+\.py", diagram):
        assert (root / "symbolic" / name).exists() or (root / "codegen" / name).exists(), name
