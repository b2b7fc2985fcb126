"""What `symbolic` adds to `import sympy`, until something is imported, derived, and written.

    python benchmarks/imports.py
    python benchmarks/imports.py --rounds 30

Every measurement is a fresh Python process that has imported SymPy before its clock starts; the rows of SymPy itself
and of `deltaform --help` are whole processes. Rounds go through all rows in turn, and the minimum counts. "compiled" is
what a user has: Python keeps the bytecode of each module beside it. "from source" is the very first time, or where
nothing may be written (PYTHONDONTWRITEBYTECODE): Python then compiles every module that is imported.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from options import count

ROOT = Path(__file__).resolve().parent.parent
NETWORK = "784 -> 128 relu -> 64 relu -> 10 softmax; cross_entropy"
DERIVE = f"from symbolic import Network, derive; derivation = derive(Network.parse({NETWORK!r}))"
# What is run after `import sympy`.
ADDED = {
    "import symbolic": "import symbolic",
    "from symbolic import Network, derive": "from symbolic import Network, derive",
    "from symbolic import NOTATIONS, Network, derive": "from symbolic import NOTATIONS, Network, derive",
    "from symbolic import *": "from symbolic import *",
    "the same two, and derive(three layers)": DERIVE,
    "the same two, derive, .latex()": f"{DERIVE}; derivation.latex()",
}
WHOLE = {
    "python": ["-c", "pass"],
    "python, import sympy": ["-c", "import sympy"],
    "deltaform --help": ["-m", "codegen.cli", "--help"],
}
# The clock of a row of ADDED. SymPy's own bytecode is where it was; ours comes from the folder, if it is there.
TIMED = """\
import sys, time, sympy
sys.pycache_prefix, sys.dont_write_bytecode = {folder!r}, {source}
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=count, default=15, metavar="R",
        help="fresh processes a row; the minimum counts (default: %(default)s)",
    )  # fmt: skip
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as compiled, tempfile.TemporaryDirectory() as empty:
        for statement in ADDED.values():
            seconds_added(statement, compiled, source=False)
        added: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ADDED}
        whole: dict[str, list[float]] = {name: [] for name in WHOLE}
        for _ in range(rounds):
            for name, statement in ADDED.items():
                added[name][0].append(seconds_added(statement, compiled, source=False))
                added[name][1].append(seconds_added(statement, empty, source=True))
            for name, arguments in WHOLE.items():
                whole[name].append(seconds_of_process(arguments))
    print(f"{'added to import sympy, ms':50} {'compiled':>12} {'from source':>12}")
    for name, (fast, slow) in added.items():
        print(f"{name:50} {1000 * min(fast):12.0f} {1000 * min(slow):12.0f}")
    print(f"\n{'the whole process, ms':50}")
    for name, seconds in whole.items():
        print(f"{name:50} {1000 * min(seconds):12.0f}")


def seconds_added(statement: str, folder: str, source: bool) -> float:
    """Seconds that a statement takes in a fresh process that has imported SymPy."""
    program = TIMED.format(folder=folder, source=source, statement=statement)
    return float(subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True).stdout)


def seconds_of_process(arguments: list[str]) -> float:
    """Seconds that a Python process takes with these arguments."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
