"""The README's table of training times, from the JSON file of a run.

    python benchmarks/training.py --json out/training.json
    python benchmarks/tables.py out/training.json

Prints the table in Markdown, and what the figures say as ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LIMIT = "limit: the matrix products, from C"
# What a row is called: who is in it, and what of each is counted. The least counts.
ROWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "**deltaform**": (("deltaform numpy", "deltaform scalar"), ("step", "epoch")),
    "**deltaform, numba**": (("deltaform numba",), ("step", "epoch")),
    "textbook NumPy": (("textbook NumPy",), ("step", "epoch")),
    "scikit-learn": (("scikit-learn",), ("step", "epoch")),
    "PyTorch eager": (("PyTorch eager",), ("step", "epoch")),
    "torch.compile": (("torch.compile",), ("step", "epoch")),
    "JAX jit": (("JAX",), ("step",)),
    "JAX scan, a whole epoch": (("JAX",), ("epoch",)),
    "limit: only the matrix products": ((LIMIT,), ("step",)),
}


def least(times: Mapping[str, Mapping[str, float]], who: Iterable[str], kinds: Iterable[str]) -> float | None:
    """The shortest time of a step, None where none of them was measured."""
    kinds = tuple(kinds)
    found = [times[name][kind] for name in who for kind in kinds if kind in times.get(name, {})]
    return min(found, default=None)


def markdown(found: Mapping[str, Any]) -> str:
    """Microseconds a step, a line for each competitor and a column for each workload and dtype."""
    results = found["results"]
    heads = [name.replace("float", "f") for name in results]
    lines = ["| microseconds a step | " + " | ".join(heads) + " |", "|---" + "|---:" * len(heads) + "|"]
    for row, (who, kinds) in ROWS.items():
        values = [least(one["times"], who, kinds) for one in results.values()]
        if any(value is not None for value in values):
            lines.append(f"| {row} | " + " | ".join("" if v is None else _digits(v) for v in values) + " |")
    return "\n".join(lines)


def _digits(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def about(found: Mapping[str, Any]) -> str:
    """The machine and the versions, as one sentence."""
    machine = found["machine"]
    names = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "sklearn": "scikit-learn", "numba": "numba"}
    versions = ", ".join(f"{label} {machine[name]}" for name, label in names.items() if name in machine)
    return (
        f"{machine['processor']}, {machine['cores']} cores, BLAS kernel {machine['kernel'].split(',')[0]}, "
        f"Python {machine['python']}, {versions}"
    )


def ratios(found: Mapping[str, Any]) -> str:
    """How many times as long as deltaform the others take, and deltaform as the limit."""
    ours = ("deltaform numpy", "deltaform scalar")
    lines = [f"  {'':12}{'eager/ours':>12}{'jit/ours':>12}{'scan/ours':>12}{'ours/limit':>12}{'scan/numba':>12}"]
    for name, one in found["results"].items():
        times = one["times"]
        own, numba = least(times, ours, ("step", "epoch")), least(times, ("deltaform numba",), ("epoch",))
        others = [
            (least(times, ("PyTorch eager",), ("step", "epoch")), own),
            (least(times, ("JAX",), ("step",)), own),
            (least(times, ("JAX",), ("epoch",)), own),
            (own, least(times, (LIMIT,), ("step",))),
            (least(times, ("JAX",), ("epoch",)), numba),
        ]
        cells = ["" if above is None or below is None else f"{above / below:.2f}" for above, below in others]
        lines.append(f"  {name:12}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)


def main() -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="tables.py", description=__doc__, formatter_class=layout)
    parser.add_argument("file", metavar="FILE.json", help="what training.py wrote with --json")
    arguments = parser.parse_args()
    try:
        found = json.loads(Path(arguments.file).read_text())
        text = "\n\n".join((markdown(found), about(found), ratios(found)))
    except OSError as error:
        print(f"{arguments.file} cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    except (ValueError, LookupError, TypeError, AttributeError):
        print(f"{arguments.file} is not a file of training.py; make one: training.py --json FILE", file=sys.stderr)
        return 2
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
