"""The benchmarks run, hold everybody against the same reference, and the README's table is what a run has written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen import lambdify
from symbolic import Network, derive

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT / "benchmarks"))

import tables  # noqa: E402
from workloads import WORKLOADS, descended, reference  # noqa: E402


def ran(*arguments):
    environment = {key: value for key, value in os.environ.items() if key != "DELTAFORM_BENCHMARK_CHILD"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_the_readme_shows_what_the_run_wrote():
    readme = (ROOT / "README.md").read_text()
    found = json.loads((RESULTS / "training.json").read_text())
    assert tables.markdown(found) in readme
    assert tables.about(found) in " ".join(readme.split())
    assert set(found["results"]) == {f"{w.name} {dtype}" for w in WORKLOADS for dtype in ("float32", "float64")}
    assert "benchmarks/results/training.png" in readme and (RESULTS / "training.png").stat().st_size > 10_000


@pytest.mark.parametrize("workload", WORKLOADS[:3], ids=lambda workload: workload.name)
def test_the_reference_is_right(workload):
    """By the module's gradients, which are themselves checked by disturbing every parameter."""
    params, (X, Y) = workload.params("float64"), workload.data("float64")
    loss, gradients = reference(workload, params, X, Y)
    value, found = lambdify(derive(Network.parse(workload.architecture))).loss_and_gradients(params, X, Y)
    assert value == pytest.approx(loss, rel=1e-12)
    after = descended(workload, params, X, Y, 1)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(found[key], gradient, rtol=0, atol=1e-12)
        np.testing.assert_allclose(after[key], params[key] - workload.rate * gradient, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ["training", "passes", "derivation", "imports", "tables"])
def test_help(name):
    found = ran(f"benchmarks/{name}.py", "--help")
    assert found.returncode == 0 and f"python benchmarks/{name}.py" in found.stdout


def test_a_run_of_the_passes(tmp_path):
    target = tmp_path / "passes.json"
    only = ("--workloads", "W1", "--dtypes", "float64", "--seconds", "0.01", "--json", str(target))
    found = ran("benchmarks/passes.py", *only)
    assert found.returncode == 0, found.stderr
    (one,) = json.loads(target.read_text())["results"].values()
    assert one["all"] > 0 and one["without"]["none"] > 0 and one["without"]["feature_major"] is not None
    assert "folded_bias" in found.stdout


def test_a_table_of_a_file_that_is_none(tmp_path):
    found = ran("benchmarks/tables.py", str(tmp_path / "none.json"))
    assert found.returncode == 2 and "cannot be read" in found.stderr
