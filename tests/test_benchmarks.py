"""The benchmarks run, hold everybody against the same reference, and the README's table is what a run has written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen import lambdify
from codegen.passes import PASSES
from symbolic import Network, derive

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT / "benchmarks"))

import options  # noqa: E402
import peers  # noqa: E402
import tables  # noqa: E402
import training  # noqa: E402
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
    assert re.search(rf"^  rounds +{one['rounds']}$", found.stdout, re.MULTILINE) and one["rounds"] >= 5


def test_the_help_of_the_passes_has_their_laws():
    lines = [line.split(maxsplit=1) for line in ran("benchmarks/passes.py", "--help").stdout.splitlines()]
    assert all([name, one.law] in lines for name, one in PASSES.items())


@pytest.mark.parametrize(("dtype", "row"), [("float32", "deltaform numpy"), ("float64", "deltaform scalar")])
def test_gradients_stand_in_the_row_of_the_code_that_computes_them(dtype, row):
    rows = {"deltaform numpy": dtype, "deltaform scalar": "float64"}
    found = {name: peers.OURS[name](WORKLOADS[0], its) for name, its in rows.items() if its == dtype}
    assert [name for name, one in found.items() if one.gradient is not None] == [row]
    training.check(WORKLOADS[0], dtype, found[row])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process cannot be bound to processors here")
def test_a_run_has_as_many_processors_as_threads(tmp_path):
    program = tmp_path / "bound.py"
    program.write_text(
        f"import os, sys\nsys.path.insert(0, {str(ROOT / 'benchmarks')!r})\n"
        "from options import THREADS, in_child\ncode = in_child(1)\n"
        "if code is None:\n    print(len(os.sched_getaffinity(0)), *(os.environ[name] for name in THREADS))\n"
        "sys.exit(code)\n"
    )
    found = ran(str(program))
    assert found.returncode == 0 and set(found.stdout.split()) == {"1"}


@pytest.mark.parametrize("name", ["training", "passes"])
def test_more_threads_than_processors(name):
    found = ran(f"benchmarks/{name}.py", "--threads", str(options.processors() + 1))
    assert found.returncode == 2 and "is more than the processors" in found.stderr
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("training", "--seconds", "inf_", "must be a number above 0"),
        ("training", "--seconds", "inf", "must be a number above 0"),
        ("training", "--seconds", "nan", "must be a number above 0"),
        ("training", "--threads", "1.5", "must be a whole number from 1"),
        ("imports", "--rounds", "0", "must be a whole number from 1"),
        ("derivation", "--rounds", "0", "must be a whole number from 1"),
        ("passes", "--json", str(ROOT), "is a folder"),
        ("training", "--json", str(ROOT / "none" / "a.json"), "the folder of"),
        ("training", "--plot", "a.txt", ".png"),
    ],
)
def test_what_is_refused_before_anything_is_measured(name, option, value, said):
    found = ran(f"benchmarks/{name}.py", option, value)
    assert found.returncode == 2 and said in found.stderr and value in found.stderr
    assert "Traceback" not in found.stderr and not found.stdout


def test_the_kernel_of_each_blas():
    numpy = {"filepath": "/venv/scipy/numpy.libs/libscipy_openblas64_.so", "architecture": "Haswell", "num_threads": 2}
    scipy = {"filepath": "/venv/numpy/scipy.libs/libscipy_openblas.so", "architecture": "Haswell", "num_threads": 2}
    assert training.kernels([numpy, scipy]) == "Haswell (2 threads)" and training.kernels([]) == ""
    scipy["num_threads"] = 1
    assert training.kernels([numpy, scipy]) == "NumPy's Haswell (2 threads), SciPy's Haswell (1 thread)"
    scipy["filepath"] = "/usr/lib/libblas.so"
    assert training.kernels([numpy, scipy]) == "NumPy's Haswell (2 threads), libblas.so: Haswell (1 thread)"


def test_what_is_not_installed_and_what_cannot_serve(capsys):
    why = "UsageError: " + "words " * 40
    uninstalled = {"PyTorch eager": "pip install torch", "JAX": "pip install jax", "torch.compile": "pip install torch"}
    training.report({"machine": {}, "results": {}, "missing": {"deltaform numba": why}, "uninstalled": uninstalled})
    left_out, lacking = capsys.readouterr().out.split("left out:\n")[1].split("\nnot installed:\n")
    assert left_out.endswith("words ...\n") and len(left_out) < 190
    assert lacking == "  PyTorch eager, torch.compile: pip install torch\n  JAX: pip install jax\n"


def test_the_package_that_is_not_installed():
    assert training.package_of(ModuleNotFoundError("", name="no_such_package.nn")) == "no_such_package"
    assert training.package_of(ModuleNotFoundError("", name="numpy.none")) == ""
    assert training.package_of(ImportError("cannot import name", name="no_such_package")) == ""


def test_a_table_of_a_file_that_is_none(tmp_path):
    found = ran("benchmarks/tables.py", str(tmp_path / "none.json"))
    assert found.returncode == 2 and "cannot be read" in found.stderr


@pytest.mark.parametrize("text", ['{"machine": {}, "results": {"W1 float64": {"all": 1.0, "without": {}}}}', "[]", "{"])
def test_a_table_of_another_file(tmp_path, text):
    target = tmp_path / "passes.json"
    target.write_text(text)
    found = ran("benchmarks/tables.py", str(target))
    assert found.returncode == 2 and found.stderr.startswith(f"{target} is not a file of training.py")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_bench_hands_on_what_it_is_given():
    # Without what an outer make test hands on.
    clean = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}

    def said(*arguments):
        return subprocess.run(["make", *arguments], cwd=ROOT, env=clean, capture_output=True, text=True, check=True)

    lines = said("--dry-run", "bench", "SECONDS=1", "WORKLOADS=W1 W2").stdout.splitlines()
    for name in ("passes", "training"):
        (line,) = (line for line in lines if f"benchmarks/{name}.py" in line)
        assert "--workloads W1 W2 --seconds 1" in line
    assert lines[-1].endswith("benchmarks/tables.py out/training.json")
    assert all(word in said("help").stdout for word in ("minutes", "SECONDS=", "WORKLOADS="))
