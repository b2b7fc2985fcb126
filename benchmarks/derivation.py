"""What a derivation costs as a network gets deeper: all gradients, their matrix forms, the page, the module, the
verification.

    python benchmarks/derivation.py
    python benchmarks/derivation.py --layers 20 100 300 1000 --rounds 3 --activations sigmoid tanh relu

A network of L layers has L - 1 hidden layers and a softmax output with cross-entropy. Each measurement runs in a
Python process of its own: there SymPy's caches and ours are empty and nothing was derived before. Rounds go through all
depths in turn, so that a slow minute of the machine does not fall on one depth alone, and the minimum counts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import sympy
from options import count
from sympy.core.cache import clear_cache

from codegen.source import module_source
from symbolic import ACTIVATIONS, Derivation, Network, derive

HEADINGS = (
    "layers", "gradients", "derive s", "matrix form s", "together s", "page s", "module s", "verify s",
    "derive ms/layer", "ratio", "ms/further layer",
)  # fmt: skip
EXPLANATION = """\
columns:
  derive s           derive(network) and its gradients: the forward equations, every adjoint and gradient
  matrix form s      every adjoint and gradient in matrix notation, about one example and for all of them at once
  together s         the two before: what a derivation with matrix form costs, without verification
  page s             derivation.latex(): the LaTeX page, with the steps and the matrix forms that it prints
  module s           module_source(derivation): from the gradients to the text of the NumPy module
  verify s           derivation.verify(): both sides of every step of every layer, up to --verify layers
  derive ms/layer    derive s over layers
  ratio              derive ms/layer over that of the smallest depth: 1 is linear growth, more is worse than linear.
                     What every network costs, whatever its depth, is shared by more layers in a deeper one.
  ms/further layer   derive s more than the row above over layers more, and so free of such shared cost; it stays the
                     same where growth is linear.

Layers of the same mathematics are derived once and renamed. With several names, --activations gives as many kinds of
layers, in turn.
"""
# What is started to see how long it takes until something can be asked.
STARTS = {
    "import sympy": ["-c", "import sympy"],
    "from symbolic import Network, derive": ["-c", "from symbolic import Network, derive"],
    "deltaform --help": ["-m", "codegen.cli", "--help"],
}


@dataclass(frozen=True)
class Measurement:
    """Seconds for one network: derive, matrix forms, page, module, verification; and how many gradients there are."""

    derive: float
    matrix: float
    page: float
    module: float
    verify: float | None
    gradients: int

    def best(self, other: Measurement) -> Measurement:
        """The smaller of the two for each quantity: what the machine adds is never negative."""
        verify = None if self.verify is None or other.verify is None else min(self.verify, other.verify)
        return Measurement(
            min(self.derive, other.derive), min(self.matrix, other.matrix), min(self.page, other.page),
            min(self.module, other.module), verify, self.gradients,
        )  # fmt: skip


def network_of(layers: int, activations: list[str]) -> Network:
    """`layers` layers of eight units, the activations of the hidden ones in turn."""
    hidden = [f"8 {activations[place % len(activations)]}" for place in range(layers - 1)]
    return Network.parse(" -> ".join(["8", *hidden, "10 softmax"]) + "; cross_entropy")


def write_as_matrices(derivation: Derivation) -> int:
    """The matrix form of every named result, about one example and for all at once; how many there are."""
    return len(derivation.matrix_forms()) + len(derivation.matrix_forms(stacked=True))


def measure(layers: int, activations: list[str], verify: bool) -> Measurement:
    """One measurement, in the process it is called in."""
    network = network_of(layers, activations)
    clear_cache()
    started = time.perf_counter()
    derivation = derive(network)
    gradients = len(derivation.gradients)
    derived = time.perf_counter()
    write_as_matrices(derivation)
    written = time.perf_counter()
    # The page must not gain from the matrix forms that were just made.
    clear_cache()
    page = _seconds(derivation.latex)
    module = _seconds(partial(module_source, derivation))
    checked = _seconds(derivation.verify) if verify else None
    return Measurement(derived - started, written - derived, page, module, checked, gradients)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure_all(depths: list[int], rounds: int, activations: list[str], verify: int) -> dict[int, Measurement]:
    """The best of `rounds` measurements of each depth, one process after the other; verified up to `verify` layers."""
    found: dict[int, Measurement] = {}
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=fresh, max_tasks_per_child=1) as processes:
        for number in range(rounds):
            for layers in depths:
                _show(f"round {number + 1} of {rounds}, {layers} layers ...")
                outcome = processes.submit(measure, layers, activations, layers <= verify).result()
                found[layers] = outcome.best(found.get(layers, outcome))
    _show("")
    return found


def starts(rounds: int) -> str:
    """How long Python takes to import and to answer, the best of `rounds` each."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for what, arguments in STARTS.items():
            start = partial(subprocess.run, [sys.executable, *arguments], check=True, capture_output=True)
            taken = _seconds(start)
            best[what] = min(taken, best.get(what, taken))
    return "; ".join(f"{what} {taken:.2f} s" for what, taken in best.items())


def _show(progress: str) -> None:
    """Where it is, on one line of the terminal, if there is one."""
    if sys.stderr.isatty():
        print(f"\r{progress:40}\r", end="", file=sys.stderr, flush=True)


def table(found: dict[int, Measurement]) -> str:
    """The measurements as text, one row a depth, the smallest first."""
    depths = sorted(found)
    first = found[depths[0]].derive / depths[0]
    further = ["", *(
        f"{1e3 * (found[deep].derive - found[shallow].derive) / (deep - shallow):.2f}"
        for shallow, deep in pairwise(depths)
    )]  # fmt: skip
    rows: list[tuple[str, ...]] = [HEADINGS]
    for layers, extra in zip(depths, further, strict=True):
        m = found[layers]
        each = m.derive / layers
        rows.append((
            str(layers), str(m.gradients), f"{m.derive:.3f}", f"{m.matrix:.3f}", f"{m.derive + m.matrix:.3f}",
            f"{m.page:.2f}", f"{m.module:.2f}", "-" if m.verify is None else f"{m.verify:.2f}",
            f"{1e3 * each:.2f}", f"{each / first:.2f}", extra,
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="derivation.py", description=__doc__, epilog=EXPLANATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--layers", nargs="+", type=count, default=[5, 20, 100, 1000], metavar="L",
        help="depths (default: 5 20 100 1000)",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=count, default=5, metavar="R",
        help="measurements of each depth; the minimum counts (default: 5)",
    )  # fmt: skip
    parser.add_argument(
        "--verify", type=count, default=100, metavar="L", help="verify up to so many layers (default: 100)"
    )
    parser.add_argument(
        "--activations", nargs="+", choices=sorted(ACTIVATIONS), default=["tanh"], metavar="NAME",
        help="of the hidden layers, in turn (default: tanh); one or more of %(choices)s",
    )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    found = measure_all(sorted(set(asked.layers)), asked.rounds, asked.activations, asked.verify)
    print(f"{', '.join(asked.activations)} hidden layers, softmax with cross_entropy; best of {asked.rounds}")
    print(table(found))
    print(
        f"{starts(asked.rounds)}; {platform.platform()}; Python {platform.python_version()}, SymPy {sympy.__version__}"
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
