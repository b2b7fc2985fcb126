"""What the commands are given and need before they measure: numbers, files that can be written, and a process with so
many threads.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

# These may pin kernels that are slower than what the processor has; a child process runs without them.
PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# What BLAS libraries and torch read. OMP_NUM_THREADS is not enough: OpenBLAS and MKL prefer their own.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
NAMES = ("W1", "W2", "W3", "W4", "W5")
DTYPES = ("float32", "float64")


def above_zero(text: str) -> float:
    """A number above 0, and finite: a workload must end."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0, such as 0.5 or 20")
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1")
    return int(text)


def add_options(parser: argparse.ArgumentParser, seconds: float, threads: str, names: tuple[str, ...] = NAMES) -> None:
    """What is measured, for how long, with how many threads, and where the numbers go.

    threads: the sentence that says whose threads are meant.
    """
    parser.add_argument("--workloads", nargs="+", choices=names, default=names, help="which (default: all)")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES, help="(default: both)")
    parser.add_argument(
        "--seconds", type=above_zero, default=seconds,
        help=f"for each workload and dtype (default: {seconds:g}); five rounds are made even where they take longer",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=count, default=min(2, processors()),
        help=f"{threads} (default: 2, or 1 where there is but one processor)",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write all numbers here")


def can_write(*paths: str | None) -> bool:
    """Whether each file could be written; says which could not, and why."""
    faults = [_fault(Path(path)) for path in paths if path is not None]
    for fault in filter(None, faults):
        print(fault, file=sys.stderr)
    return not any(faults)


def _fault(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; name a file in it"
    if not path.parent.is_dir():
        return f"the folder of {path} does not exist"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return f"{path} may not be written"
    return ""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_child(threads: int) -> int | None:
    """Run this command again in a child process that has so many threads and whose BLAS may choose its kernels, and
    return its exit code; None in the child itself, and 2 where there are fewer processors than that.
    """
    if os.environ.get("DELTAFORM_BENCHMARK_CHILD") == "1":
        return None
    if threads > processors():
        said = f"--threads {threads} is more than the processors that this process may use: {processors()}"
        print(said, file=sys.stderr)
        return 2
    environment = {key: value for key, value in os.environ.items() if key not in PINS}
    environment |= {"DELTAFORM_BENCHMARK_CHILD": "1"} | dict.fromkeys(THREADS, str(threads))
    # XLA reads no variable: it makes a thread for each processor that it may run on. The child inherits them.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    with subprocess.Popen([sys.executable, *sys.argv], env=environment) as child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child, which reports what it has
        return child.wait()
