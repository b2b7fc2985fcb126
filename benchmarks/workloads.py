"""The networks that training is timed on, their data, and the numbers that every competitor must reproduce."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Params = dict[str, np.ndarray]


@dataclass(frozen=True)
class Workload:
    """widths: inputs, units of each layer. hidden: activation of the hidden layers; the output layer is softmax with
    cross-entropy, or identity with half the squared error. batch: examples a step. repeats: steps timed at a time.
    """

    name: str
    widths: tuple[int, ...]
    hidden: str
    classes: bool
    batch: int
    repeats: int
    rate: float = 0.01

    @property
    def architecture(self) -> str:
        layers = [f"{n} {self.hidden}" for n in self.widths[1:-1]]
        end = "softmax; cross_entropy" if self.classes else "identity; half_squared_error"
        return " -> ".join([str(self.widths[0]), *layers, f"{self.widths[-1]} {end}"])

    @property
    def title(self) -> str:
        inner = self.widths[1:-1]
        shown = f"{len(inner)} x {inner[0]}" if len(inner) > 4 else "-".join(map(str, inner))
        return f"{self.name}: {self.widths[0]}-{shown}-{self.widths[-1]} {self.hidden}, batch {self.batch}"

    def params(self, dtype: str) -> Params:
        """W_l of (n_l, n_{l-1}) and b_l of (n_l,), drawn at the scale of Glorot and Bengio (2010)."""
        random = np.random.default_rng(1)
        made: Params = {}
        for layer, (before, units) in enumerate(zip(self.widths, self.widths[1:], strict=False), 1):
            scale = np.sqrt(2 / (before + units))
            made[f"W{layer}"] = (scale * random.normal(size=(units, before))).astype(dtype)
            made[f"b{layer}"] = (0.1 * random.normal(size=units)).astype(dtype)
        return made

    def data(self, dtype: str, batches: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """X of (batches * batch, inputs) and Y of (batches * batch, outputs): rows that are 0 and one 1, or numbers."""
        random = np.random.default_rng(2)
        rows = batches * self.batch
        X = random.normal(size=(rows, self.widths[0])).astype(dtype)
        if self.classes:
            return X, np.eye(self.widths[-1], dtype=dtype)[random.integers(self.widths[-1], size=rows)]
        return X, random.normal(size=(rows, self.widths[-1])).astype(dtype)


WORKLOADS = (
    Workload("W1", (2, 3, 4, 1), "relu", False, 1, 400),
    Workload("W2", (64, 32, 10), "sigmoid", True, 32, 200),
    Workload("W3", (784, 256, 128, 10), "relu", True, 128, 10),
    Workload("W4", (1024, 1024, 1024, 1024, 10), "tanh", True, 256, 1),
    Workload("W5", (64, *(64,) * 29, 10), "tanh", True, 64, 10),
)


def reference(workload: Workload, params: Params, X: np.ndarray, Y: np.ndarray) -> tuple[float, Params]:
    """Loss and gradients of one batch, in float64, by the textbook; nothing of deltaform is used."""
    params = {key: value.astype(np.float64) for key, value in params.items()}
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    depth, rows = len(workload.widths) - 1, len(X)
    a = [X]
    for layer in range(1, depth + 1):
        z = a[-1] @ params[f"W{layer}"].T + params[f"b{layer}"]
        if layer < depth:
            a.append(ACTIVATE[workload.hidden](z))
        elif workload.classes:
            shifted = z - z.max(axis=1, keepdims=True)
            logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            loss, delta = -(logs * Y).sum() / rows, (np.exp(logs) - Y) / rows
        else:
            loss, delta = 0.5 * ((z - Y) ** 2).sum() / rows, (z - Y) / rows
    gradients: Params = {}
    for layer in range(depth, 0, -1):
        gradients[f"W{layer}"], gradients[f"b{layer}"] = delta.T @ a[layer - 1], delta.sum(axis=0)
        if layer > 1:
            delta = (delta @ params[f"W{layer}"]) * SLOPE[workload.hidden](a[layer - 1])
    return float(loss), gradients


ACTIVATE = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}
SLOPE = {"relu": lambda a: (a > 0) * 1.0, "tanh": lambda a: 1 - a * a, "sigmoid": lambda a: a * (1 - a)}


def descended(workload: Workload, params: Params, X: np.ndarray, Y: np.ndarray, steps: int) -> Params:
    """The parameters after so many steps of gradient descent, in float64; batch after batch, from the first again."""
    params = {key: value.astype(np.float64) for key, value in params.items()}
    batches = len(X) // workload.batch
    for step in range(steps):
        rows = slice(step % batches * workload.batch, (step % batches + 1) * workload.batch)
        _, gradients = reference(workload, params, X[rows], Y[rows])
        params = {key: params[key] - workload.rate * gradients[key] for key in params}
    return params
