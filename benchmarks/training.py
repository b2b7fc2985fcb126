"""How fast the generated training code is, beside the usual libraries and the limit that its matrix products set.

    python benchmarks/training.py
    python benchmarks/training.py --workloads W1 W2 --dtypes float32 --json training.json --plot training.png

For each workload and dtype, everybody computes loss and gradients of one batch, takes steps of gradient descent on one
batch, and steps through eight batches as an epoch. All are in one process and take turns in an order drawn anew for
each round; the minimum over the rounds counts, and only ratios mean anything. Before a clock starts, gradients and
parameters after some steps are held against a float64 reference written out by hand. Who is not installed is left out
and named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tables import LIMIT, least, ratios

# These may pin kernels that are slower than what the processor has; a child process runs without them.
PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
NAMES = ("W1", "W2", "W3", "W4", "W5")
DTYPES = ("float32", "float64")
KINDS = ("gradient", "step", "epoch")
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}
# A round takes every competitor once; as many steps as take about this many seconds.
SLICE = 0.005


def main() -> int:
    arguments = _parser().parse_args()
    code = in_child(arguments.threads)
    if code is not None:
        return code
    if not can_write(arguments.json, arguments.plot):
        return 2
    found = measure(arguments.workloads, arguments.dtypes, arguments.seconds)
    report(found)
    if arguments.json is not None:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n")
    if arguments.plot is not None:
        plot(found, arguments.plot)
    return 0


def can_write(*paths: str | None) -> bool:
    """Whether the folder of each file exists; says which does not."""
    missing = [path for path in paths if path is not None and not Path(path).parent.is_dir()]
    for path in missing:
        print(f"the folder of {path} does not exist", file=sys.stderr)
    return not missing


def in_child(threads: int) -> int | None:
    """Run this command again in a child process whose BLAS may choose its kernels, and return its exit code; None in
    the child itself.
    """
    if os.environ.get("DELTAFORM_BENCHMARK_CHILD") == "1":
        return None
    environment = {key: value for key, value in os.environ.items() if key not in PINS}
    environment |= {"DELTAFORM_BENCHMARK_CHILD": "1", "OMP_NUM_THREADS": str(threads)}
    with subprocess.Popen([sys.executable, *sys.argv], env=environment) as child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child, which reports what it has
        return child.wait()


def _above_zero(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text}")
    return value


def add_options(parser: argparse.ArgumentParser, seconds: float, names: tuple[str, ...] = NAMES) -> None:
    """What is measured, for how long, with how many threads, and where the numbers go."""
    parser.add_argument("--workloads", nargs="+", choices=names, default=names, help="which (default: all)")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES, help="(default: both)")
    parser.add_argument(
        "--seconds", type=_above_zero, default=seconds, help=f"for each workload and dtype (default: {seconds:g})"
    )
    parser.add_argument("--threads", type=_count, default=2, help="of BLAS, torch and JAX (default: 2)")
    parser.add_argument("--json", metavar="FILE", help="write all numbers here")


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="training.py", description=__doc__, formatter_class=layout)
    add_options(parser, seconds=20.0)
    parser.add_argument("--plot", metavar="FILE.png", help="draw the ratios to the limit")
    return parser


def machine() -> dict[str, Any]:
    """Processor, versions, and the kernels that BLAS runs."""
    import numpy

    from codegen.wording import number_of

    made: dict[str, Any] = {"python": platform.python_version(), "numpy": numpy.__version__, "cores": os.cpu_count()}
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
        pools = [pool for pool in threadpool_info() if pool.get("user_api") == "blas"]
        kernels = [f"{p.get('architecture')} ({number_of(p['num_threads'], 'thread')})" for p in pools]
        made["kernel"] = ", ".join(kernels) or "none"
    for name in ("torch", "jax", "sklearn", "numba"):
        if name in sys.modules:
            made[name] = sys.modules[name].__version__
    return made


def measure(workloads: list[str], dtypes: list[str], seconds: float) -> dict[str, Any]:
    """Microseconds a step: results[workload dtype][competitor][kind]; who is missing, and why."""
    import limit
    from peers import OURS, PEERS
    from workloads import WORKLOADS

    results: dict[str, Any] = {}
    missing: dict[str, str] = {}
    try:
        for workload in WORKLOADS:
            for dtype in dtypes if workload.name in workloads else ():
                jobs: dict[tuple[str, str], Callable[[int], Any]] = {}
                said = {}
                for name, make in {**OURS, **PEERS}.items():
                    try:
                        one = make(workload, dtype)
                        check(workload, dtype, one)
                    except ImportError as error:
                        missing[name] = f"not installed ({error})"
                        continue
                    except Exception as error:  # a peer that fails is named, and the others are timed
                        missing[f"{name}, {workload.name} {dtype}"] = f"{type(error).__name__}: {str(error)[:160]}"
                        continue
                    said[name] = one.said
                    jobs |= {(name, kind): getattr(one, kind) for kind in KINDS if getattr(one, kind) is not None}
                try:
                    jobs[LIMIT, "step"] = limit.limit(workload, dtype)
                except OSError as error:
                    missing[LIMIT] = str(error)
                times = clocked(jobs, workload.repeats, seconds)
                table: dict[str, dict[str, float]] = {}
                for (name, kind), value in times.items():
                    table.setdefault(name, {})[kind] = round(value * 1e6, 3)
                results[f"{workload.name} {dtype}"] = {"title": workload.title, "times": table, "said": said}
                print(f"measured {workload.name} {dtype}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted; what was measured until then follows", file=sys.stderr)
    return {"machine": machine(), "missing": missing, "results": results}


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
) -> dict[tuple[str, str], float]:
    """Seconds a step, the minimum over rounds in which each job has its turn, in an order drawn anew."""
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
    return best


def report(found: Mapping[str, Any]) -> None:
    """A table for each workload: microseconds, and how many times the limit."""
    for name, value in found["machine"].items():
        print(f"{name}: {value}")
    for name, one in found["results"].items():
        times = one["times"]
        base = times.get(LIMIT, {}).get("step")
        print(f"\n{one['title']}, {name.split()[1]}: microseconds a step (times the limit)")
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
            print(f"  {who}: {why}")


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
