"""How fast the generated training code is, beside the usual libraries and the limit that its matrix products set.

    python benchmarks/training.py
    python benchmarks/training.py --workloads W1 W2 --dtypes float32 --json training.json --plot training.png

For each workload and dtype, everybody computes loss and gradients of one batch, takes steps of gradient descent on one
batch, and steps through eight batches as an epoch. All are in one process and take turns in an order drawn anew for
each round; the minimum over the rounds counts, and only ratios mean anything. Before a clock starts, gradients and
parameters after some steps are held against a float64 reference written out by hand. Who is not installed is left out
and named. deltaform's gradients are those of a workspace, which chooses its code: they stand in the row of that code.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from options import add_options, can_write, in_child
from tables import LIMIT, least, ratios

KINDS = ("gradient", "step", "epoch")
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}
# A round takes every competitor once; as many steps as take about this many seconds.
SLICE = 0.005


def main() -> int:
    arguments = _parser().parse_args()
    code = in_child(arguments.threads)
    if code is not None:
        return code
    if not can_write(arguments.json, arguments.plot) or not can_plot(arguments.plot):
        return 2
    found = measure(arguments.workloads, arguments.dtypes, arguments.seconds)
    report(found)
    if arguments.json is not None:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n")
    if arguments.plot is not None and found["results"]:
        plot(found, arguments.plot)
    return 0


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="training.py", description=__doc__, formatter_class=layout)
    add_options(
        parser, seconds=20.0,
        threads="of BLAS, torch and JAX; where the system can bind a process to processors (Linux), everything runs on "
        "so many, and elsewhere JAX takes as many as it likes",
    )  # fmt: skip
    parser.add_argument("--plot", metavar="FILE.png", help="draw the ratios to the limit; other endings: .pdf, .svg")
    return parser


def can_plot(path: str | None) -> bool:
    """Whether Matplotlib is there and writes files with this ending; says what is wrong."""
    if path is None:
        return True
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError:
        print("--plot needs matplotlib: pip install matplotlib", file=sys.stderr)
        return False
    known = sorted(FigureCanvasAgg.get_supported_filetypes())
    if Path(path).suffix.lower().removeprefix(".") in known:
        return True
    print(f"{path} must end in one of {', '.join(f'.{ending}' for ending in known)}", file=sys.stderr)
    return False


def machine() -> dict[str, Any]:
    """Processor, versions, and the kernels that BLAS runs."""
    import numpy

    made: dict[str, Any] = {"python": platform.python_version(), "numpy": numpy.__version__, "cores": os.cpu_count()}
    made["threads"] = int(os.environ["OMP_NUM_THREADS"])
    try:
        text = Path("/proc/cpuinfo").read_text()
        made["processor"] = next(line.split(":")[1].strip() for line in text.splitlines() if "model name" in line)
    except (OSError, StopIteration):
        made["processor"] = platform.processor() or platform.machine()
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        made["kernel"] = "unknown: pip install threadpoolctl"
    else:
        made["kernel"] = kernels(pool for pool in threadpool_info() if pool.get("user_api") == "blas") or "none"
    for name in ("torch", "jax", "sklearn", "numba"):
        if name in sys.modules:
            made[name] = sys.modules[name].__version__
    return made


def kernels(pools: Iterable[Mapping[str, Any]]) -> str:
    """The kernels of each BLAS, as threadpoolctl lists them, and whose it is; named once where they are the same."""
    from codegen.wording import number_of

    said = {p["filepath"]: f"{p.get('architecture')} ({number_of(p['num_threads'], 'thread')})" for p in pools}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{_owner(Path(path))} {kernel}" for path, kernel in said.items())


def _owner(library: Path) -> str:
    """Whose library it is, by its folder: wheels have theirs in numpy.libs or numpy/.dylibs."""
    owners = {"numpy": "NumPy's", "scipy": "SciPy's"}
    folders = [part.partition(".")[0] for part in reversed(library.parent.parts)]
    return next((owners[folder] for folder in folders if folder in owners), f"{library.name}:")


def measure(workloads: list[str], dtypes: list[str], seconds: float) -> dict[str, Any]:
    """Microseconds a step: results[workload dtype]["times"][competitor][kind]; who could not serve, and why; who is
    not installed, and how one installs it.
    """
    import limit
    from peers import OURS, PEERS
    from workloads import WORKLOADS

    from symbolic.errors import MissingExtra

    results: dict[str, Any] = {}
    missing: dict[str, str] = {}
    uninstalled: dict[str, str] = {}
    try:
        for workload in WORKLOADS:
            for dtype in dtypes if workload.name in workloads else ():
                jobs: dict[tuple[str, str], Callable[[int], Any]] = {}
                said = {}
                for name, make in {**OURS, **PEERS}.items():
                    try:
                        one = make(workload, dtype)
                        check(workload, dtype, one)
                    except MissingExtra as error:
                        uninstalled[name] = str(error)
                        continue
                    except Exception as error:  # a peer that fails is named, and the others are timed
                        if package := package_of(error):
                            uninstalled[name] = f"pip install {package}"
                        else:
                            missing[f"{name}, {workload.name} {dtype}"] = f"{type(error).__name__}: {error}"
                        continue
                    said[name] = one.said
                    jobs |= {(name, kind): getattr(one, kind) for kind in KINDS if getattr(one, kind) is not None}
                try:
                    jobs[LIMIT, "step"] = limit.limit(workload, dtype)
                except OSError as error:
                    missing[LIMIT] = str(error)
                times, rounds = clocked(jobs, workload.repeats, seconds)
                table: dict[str, dict[str, float]] = {}
                for (name, kind), value in times.items():
                    table.setdefault(name, {})[kind] = round(value * 1e6, 3)
                results[f"{workload.name} {dtype}"] = {
                    "title": workload.title, "rounds": rounds, "times": table, "said": said,
                }  # fmt: skip
                print(f"measured {workload.name} {dtype}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted; what was measured until then follows", file=sys.stderr)
    return {"machine": machine(), "missing": missing, "uninstalled": uninstalled, "results": results}


def package_of(error: Exception) -> str:
    """The package, as pip calls it, that is not installed; "" where an error says something else."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    name = error.name.partition(".")[0]
    return "" if find_spec(name) else {"sklearn": "scikit-learn"}.get(name, name)


def check(workload: Any, dtype: str, one: Any) -> None:
    """The competitor's gradients, and its parameters after steps and after an epoch, against the reference.

    Raises:
        AssertionError: they differ by more than rounding.
    """
    import numpy as np
    from peers import BATCHES
    from workloads import descended, reference

    def near(found: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
        for key, value in wanted.items():
            error = np.abs(np.asarray(found[key], np.float64) - value).max() / max(1e-3, np.abs(value).max())
            assert error < TOLERANCE[dtype], f"{what} {key} is off by {error:.1e}"

    params, (X, Y) = workload.params(dtype), workload.data(dtype, BATCHES)
    if one.gradient is not None:
        one.gradient(1)
        _, wanted = reference(workload, params, X[: workload.batch], Y[: workload.batch])
        near(one.gradients(), wanted, "gradient")
    one.step(2)
    after = descended(workload, params, X[: workload.batch], Y[: workload.batch], 2)
    near(one.params(), after, "after two steps")
    one.epoch(BATCHES)
    near(one.params(), descended(workload, after, X, Y, BATCHES), "after an epoch")


def clocked(
    jobs: Mapping[tuple[str, str], Callable[[int], Any]], repeats: int, seconds: float
) -> tuple[dict[tuple[str, str], float], int]:
    """Seconds a step, the minimum over rounds in which each job has its turn, in an order drawn anew; how many rounds
    there were.
    """
    best = dict.fromkeys(jobs, float("inf"))
    counts = {}
    for name, job in jobs.items():
        job(repeats)  # compiled and warm
        started = time.perf_counter()
        job(repeats)
        once = (time.perf_counter() - started) / repeats
        counts[name] = max(1, min(20000, int(SLICE / once)))
        job(counts[name])
    order = list(jobs)
    until = time.perf_counter() + seconds
    rounds = 0
    while rounds < 5 or time.perf_counter() < until:
        random.shuffle(order)
        for name in order:
            started = time.perf_counter()
            jobs[name](counts[name])
            best[name] = min(best[name], (time.perf_counter() - started) / counts[name])
        rounds += 1
    return best, rounds


def report(found: Mapping[str, Any]) -> None:
    """A table for each workload: microseconds, and how many times the limit."""
    for name, value in found["machine"].items():
        print(f"{name}: {value}")
    for name, one in found["results"].items():
        times = one["times"]
        base = times.get(LIMIT, {}).get("step")
        heading = f"{one['title']}, {name.split()[1]}, {one['rounds']} rounds"
        print(f"\n{heading}: microseconds a step (times the limit)")
        wide = max(len(who) for who in times)
        print(f"  {'':{wide}}" + "".join(f"{kind:>22}" for kind in KINDS))
        for who, row in times.items():
            cells = []
            for kind in KINDS:
                value = row.get(kind)
                ratio = f" ({value / base:.2f})" if value is not None and base and kind != "gradient" else ""
                cells.append("" if value is None else f"{value:.2f}{ratio}")
            print(f"  {who:{wide}}" + "".join(f"{cell:>22}" for cell in cells))
        for who, why in one["said"].items():
            if why:
                print(f"  {who}: {why}")
    print("\nratios of the best times (step or epoch)")
    print(ratios(found))
    if found["missing"]:
        print("\nleft out:")
        for who, why in found["missing"].items():
            print(f"  {who}: {textwrap.shorten(why, 160, placeholder=' ...')}")
    if found["uninstalled"]:
        print("\nnot installed:")
        for how in dict.fromkeys(found["uninstalled"].values()):
            print(f"  {', '.join(who for who, its in found['uninstalled'].items() if its == how)}: {how}")


def plot(found: Mapping[str, Any], path: str) -> None:
    """Steps and epochs as multiples of the limit, one panel a workload."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    results = found["results"]
    columns = min(2, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(6.5 * columns, 2.9 * rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for number, (name, one) in enumerate(results.items()):
        axes = figure.add_subplot(rows, columns, number + 1)
        base = least(one["times"], [LIMIT], ["step"]) or 1.0
        steps = {who: least(one["times"], [who], ["step", "epoch"]) for who in one["times"] if who != LIMIT}
        best = {who: value / base for who, value in steps.items() if value is not None}
        names = sorted(best, key=lambda who: -best[who])
        colours = ["C0" if who.startswith("deltaform") else "0.65" for who in names]
        bars = axes.barh(names, [best[who] for who in names], color=colours)
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
        axes.axvline(1.0, color="0.3", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.15)
        axes.tick_params(labelsize=7)
        axes.set_title(f"{one['title']}, {name.split()[1]}", fontsize="small")
        axes.set_xlabel("best time of a step, times the limit", fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
