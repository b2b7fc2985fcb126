"""What a derivation costs as a network gets deeper: all gradients, their matrix forms, the page.

    python benchmarks/derivation.py
    python benchmarks/derivation.py --layers 20 100 300 1000 --rounds 3 --activations sigmoid tanh relu

A network of L layers has L - 1 hidden layers and a softmax output with cross-entropy. Each measurement runs in a
Python process of its own: there SymPy's caches and ours are empty and nothing was derived before. Rounds go through all
depths in turn, so that a slow minute of the machine does not fall on one depth alone, and the minimum counts.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy
import sympy
from sympy.core.cache import clear_cache

from symbolic import ACTIVATIONS, DeltaformError, Derivation, Network, derive
from symbolic.errors import NoMatrixForm
from symbolic.matrixform import matrix_form, stacked_form

HEADINGS = (
    "layers", "gradients", "derive s", "matrix form s", "together s", "page s", "derive ms/layer", "ratio",
    "ms/further layer",
)  # fmt: skip
EXPLANATION = """\
columns:
  derive s           derive(network): every adjoint and gradient, with all steps
  matrix form s      the matrix form of every line of every result, and of the final ones for all examples at once
  together s         the two before: what a derivation with matrix form costs, without verification
  page s             derivation.latex(): the LaTeX page, which makes the matrix forms it prints anew
  derive ms/layer    derive s over layers
  ratio              derive ms/layer over that of the smallest depth: 1 is linear growth, more is worse than linear.
                     What a network costs whatever its depth is shared by more layers the deeper it is, so expect less.
  ms/further layer   derive s more than the row above, over layers more: free of such shared cost. Linear growth keeps it.

Layers of the same mathematics are derived once and renamed; --activations with several names has as many kinds of
layers in turn, and so measures what repetition saves, and that its saving is not the whole story.
"""


@dataclass(frozen=True)
class Measurement:
    """Seconds for one network: derive, matrix forms, page; and how many gradients were derived."""

    derive: float
    matrix: float
    page: float
    gradients: int

    def best(self, other: Measurement) -> Measurement:
        """The smaller of the two for each quantity: what the machine adds is never negative."""
        pairs = ((self.derive, other.derive), (self.matrix, other.matrix), (self.page, other.page))
        return Measurement(*(min(pair) for pair in pairs), self.gradients)


def network_of(layers: int, activations: list[str]) -> Network:
    """`layers` layers of eight units, the activations of the hidden ones in turn."""
    hidden = [f"8 {activations[place % len(activations)]}" for place in range(layers - 1)]
    return Network.parse(" -> ".join(["8", *hidden, "10 softmax"]) + "; cross_entropy")


def write_as_matrices(derivation: Derivation) -> int:
    """The matrix form of each line that the page would show, and the stacked one of each result; how many there are."""
    written = 0
    tensors, example = derivation.tensors, derivation.program.example
    for result in derivation.results:
        shape = result.tensor.shape
        for line in (result.steps[0].before, *(step.after for step in result.steps)):
            # Some lines on the way, such as one with a Kronecker delta, are no matrix expressions; they stay in components.
            with contextlib.suppress(NoMatrixForm):
                matrix_form(line, result.indices, tensors, example, shape)
                written += 1
        if result.named:
            stacked_form(result.equation.rhs, result.indices, tensors, shape)
            written += 1
    return written


def measure(layers: int, activations: list[str]) -> Measurement:
    """One measurement, in the process it is called in."""
    network = network_of(layers, activations)
    clear_cache()
    marks = [time.perf_counter()]
    derivation = derive(network)
    marks.append(time.perf_counter())
    write_as_matrices(derivation)
    marks.append(time.perf_counter())
    # So that the page does not gain from the matrix forms that were just made.
    clear_cache()
    marks[-1:] = [marks[-1], time.perf_counter()]
    derivation.latex()
    marks.append(time.perf_counter())
    return Measurement(marks[1] - marks[0], marks[2] - marks[1], marks[4] - marks[3], len(derivation.gradients))
