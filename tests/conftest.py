"""Options of the test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.passes.processor import Processor

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser):
    parser.addoption("--update", action="store_true", help="write the golden files anew instead of comparing with them")


@pytest.fixture
def every_pass(monkeypatch):
    """A processor on which each pass has something to do: tanh takes forever, and small products differ."""
    monkeypatch.setattr("codegen.passes.planning.this_processor", lambda: Processor("SkylakeX", "X86_V3"))
    monkeypatch.setattr("codegen.passes.costs.TANH", {4: 1e9, 8: 1e9})


@pytest.fixture
def golden(request):
    """Compare a text with the golden file of a name, or write it with --update."""

    def compare(name: str, text: str, folder: Path = GOLDEN) -> None:
        path = folder / name
        if request.config.getoption("--update"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{name} is missing; run pytest with --update"
        assert path.read_text() == text, f"{name} differs; look at it, then run pytest with --update"

    return compare
