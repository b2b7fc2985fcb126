"""Second opinions for the tests: the loss of a dense network, computed without anything that deltaform generates.

`reference_loss` evaluates the tables' expressions with `sympy.lambdify` and plain matrix products; it takes complex
parameters, so that a complex step differentiates it to rounding. `elementwise_gradient` differentiates the loss written
out in scalar symbols with SymPy's own `diff`.
"""

import itertools
import warnings
from functools import cache

import numpy as np
import sympy

from symbolic import ACTIVATIONS, LOSSES, DeltaformWarning, Network
from symbolic.activations import Z, j, n, z
from symbolic.errors import ArchitectureError
from symbolic.losses import h, y


def pairs():
    """Every (activation, loss) of the tables that a network accepts at its output."""
    found = []
    for activation, loss in itertools.product(ACTIVATIONS, LOSSES):
        try:
            quiet(f"3 -> 2 {activation}; {loss}")
        except ArchitectureError:
            continue
        found.append((activation, loss))
    return found


def quiet(text, **options):
    """The network, without its warnings about unusual pairs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeltaformWarning)
        return Network.parse(text, **options)


def data(network, batch, seed, dtype=np.float64):
    """Random parameters, inputs and targets that suit the loss."""
    rng = np.random.default_rng(seed)
    params = {key: rng.normal(0, 0.7, shape).astype(dtype) for key, shape in network.parameters.items()}
    inputs, outputs = network.sizes[network.widths[0]], network.sizes[network.widths[-1]]
    X = rng.normal(0, 1, (batch, inputs)).astype(dtype)
    Y = rng.uniform(0.05, 0.95, (batch, outputs))
    if network.loss.target_sums_to_one:
        Y = Y / Y.sum(axis=1, keepdims=True)
    return params, X, Y.astype(dtype)


@cache
def _over_rows(activation, width):
    """A NumPy function of (N, width), from the table's expression, written out for each unit."""
    units = sympy.symbols(f"u0:{width}", real=True)

    columns = [
        sympy.lambdify(units, _unit(activation, units, unit), modules=["scipy", "numpy"]) for unit in range(width)
    ]
    return lambda rows: np.stack([column(*rows.T) + 0 * rows[:, 0] for column in columns], axis=1)


def _unit(activation, pre, unit):
    """The activation of one unit, with the sum of a softmax written out over the pre-activations `pre`."""
    whole = activation.expression.xreplace({z: Z[j]}).xreplace({n: sympy.Integer(len(pre))}).doit()
    return whole.xreplace({Z[place]: pre[place] for place in range(len(pre))}).xreplace({Z[j]: pre[unit]})


def reference_loss(network):
    """loss(params, X, Y), for real or complex params."""
    functions = [
        _over_rows(layer.activation, network.sizes[width])
        for layer, width in zip(network.layers, network.widths[1:], strict=True)
    ]
    loss = sympy.lambdify((h, y), network.loss.expression, modules="numpy")

    def evaluate(params, X, Y):
        a = X
        for number, function in enumerate(functions, 1):
            a = function(a @ params[f"W{number}"].T + params[f"b{number}"])
        total = loss(a, Y).sum()
        return total / len(X) if network.reduction == "mean" else total

    return evaluate


def elementwise_gradient(network, params, X, Y):
    """Gradients by SymPy's `diff` of the loss of one example written out in scalars; for sizes up to 3."""
    symbols = {
        key: np.array(sympy.symbols(f"{key}_0:{array.size}", real=True)).reshape(array.shape)
        for key, array in params.items()
    }
    a = [sympy.Float(float(entry), 30) for entry in X[0]]
    for number, layer in enumerate(network.layers, 1):
        weight, bias = symbols[f"W{number}"], symbols[f"b{number}"]
        pre = [sum(w * entry for w, entry in zip(row, a, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
        a = [_unit(layer.activation, pre, unit) for unit in range(len(pre))]
    loss = sum(
        network.loss.expression.xreplace({h: out, y: sympy.Float(float(t), 30)}) for out, t in zip(a, Y[0], strict=True)
    )
    names = [name for array in symbols.values() for name in array.flat]
    values = [float(value) for key in symbols for value in params[key].flat]
    slopes = sympy.lambdify(names, [sympy.diff(loss, name) for name in names], modules="mpmath", cse=True)(*values)
    found, at = {}, 0
    for key, array in params.items():
        found[key] = np.array(slopes[at : at + array.size], dtype=float).reshape(array.shape)
        at += array.size
    return found


def complex_step(loss, params, X, Y, step=1e-30):
    """Gradient of a complex-safe loss by Im f(x + ih)/h."""
    found = {}
    for key, array in params.items():
        slope = np.empty(array.shape)
        for place in np.ndindex(array.shape):
            moved = {name: one.astype(complex) for name, one in params.items()}
            moved[key][place] += 1j * step
            slope[place] = np.imag(loss(moved, X, Y)) / step
        found[key] = slope
    return found


def worst_difference(found, expected):
    """Largest difference over all arrays, relative to the largest entry of each array (or 1e-3, for tiny gradients)."""
    assert set(found) == set(expected)
    return max(
        float(np.abs(found[key] - expected[key]).max() / max(np.abs(expected[key]).max(), 1e-3)) for key in expected
    )
