"""What each pass buys: steps of the generated NumPy code with all passes, and with one of them switched off.

    python benchmarks/passes.py
    python benchmarks/passes.py --workloads W2 W5 --dtypes float32 --json passes.json

For each workload and dtype all variants are in one process and take turns in an order drawn anew for each round. A cell
says how many times longer a step takes without the pass, by the minima; a dash says that the code is the same then.
`none` is the code without any pass. L3 is W3 with leaky ReLU, for a pass that the others have no use for.

Minima over a handful of rounds say nothing about cells near 1. The report has the rounds of each column; large networks
need more --seconds: W4 has fewest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from options import NAMES, add_options, can_write, in_child
from training import clocked, machine


def main() -> int:
    arguments = _parser().parse_args()
    code = in_child(arguments.threads)
    if code is not None:
        return code
    if not can_write(arguments.json):
        return 2
    found = measure(arguments.workloads, arguments.dtypes, arguments.seconds)
    report(found)
    if arguments.json is not None:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    from codegen.passes import PASSES

    width = max(map(len, PASSES))
    parser = argparse.ArgumentParser(
        prog="passes.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["passes:", *(f"  {name:{width}}  {one.law}" for name, one in PASSES.items())]),
    )  # fmt: skip
    add_options(
        parser, seconds=10.0, names=(*NAMES, "L3"),
        threads="of BLAS; where the system can bind a process to processors (Linux), everything runs on so many",
    )  # fmt: skip
    return parser


def measure(workloads: list[str], dtypes: list[str], seconds: float) -> dict[str, Any]:
    """results[workload dtype]: microseconds a step with all passes, the rounds, and for each pass how many times as
    many microseconds without it; None where the code is the same.
    """
    import numpy as np
    from workloads import WORKLOADS, Workload

    from codegen.numpy_stepper import NumpyStepper
    from codegen.passes import ALL, PASSES, without
    from codegen.steppers import Request
    from symbolic import Network, derive

    leaky = Workload("L3", (784, 256, 128, 10), "leaky_relu", True, 128, 10)
    results = {}
    try:
        for workload in (*WORKLOADS, leaky):
            for dtype in dtypes if workload.name in workloads else ():
                derivation = derive(Network.parse(workload.architecture))
                X, Y = workload.data(dtype)

                def made(passes: frozenset[str]) -> NumpyStepper:
                    stepper = NumpyStepper(Request(derivation, workload.batch, np.dtype(dtype)), passes)  # noqa: B023
                    for key, value in workload.params(dtype).items():  # noqa: B023
                        stepper.params[key][...] = value
                    return stepper

                def job(stepper: NumpyStepper) -> Callable[[int], None]:
                    def steps(count: int) -> None:
                        for _ in range(count):
                            stepper.train_step(X, Y, 1e-3)  # noqa: B023

                    return steps

                whole = made(ALL)
                jobs = {("all", "step"): job(whole), ("none", "step"): job(made(frozenset()))}
                for name in PASSES:
                    other = made(without(name))
                    if name == "aligned" or other.source != whole.source:
                        jobs[name, "step"] = job(other)
                times, rounds = clocked(jobs, workload.repeats, seconds)
                base = times["all", "step"]
                ratios = {
                    name: times[name, "step"] / base if (name, "step") in times else None for name in (*PASSES, "none")
                }
                results[f"{workload.name} {dtype}"] = {
                    "all": round(base * 1e6, 2), "rounds": rounds, "without": ratios,
                }  # fmt: skip
                print(f"measured {workload.name} {dtype}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted; what was measured until then follows", file=sys.stderr)
    return {"machine": machine(), "results": results}


def report(found: dict[str, Any]) -> None:
    """A table: a line for each pass, a column for each workload and dtype."""
    for name, value in found["machine"].items():
        print(f"{name}: {value}")
    results = found["results"]
    if not results:
        return
    print("\nmicroseconds a step with all passes, and how many times as many without one")
    heads = [name.replace("float", "f") for name in results]
    print(f"  {'':22}" + "".join(f"{head:>9}" for head in heads))
    print(f"  {'all passes':22}" + "".join(f"{one['all']:9.1f}" for one in results.values()))
    print(f"  {'rounds':22}" + "".join(f"{one['rounds']:9}" for one in results.values()))
    for name in next(iter(results.values()))["without"]:
        cells = ["-" if one["without"][name] is None else f"{one['without'][name]:.3f}" for one in results.values()]
        print(f"  {name:22}" + "".join(f"{cell:>9}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
