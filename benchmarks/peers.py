"""Who is timed: each gives functions for a gradient, a step and an epoch of one workload, or is missing and named.

A competitor has `gradient(n)`, which computes loss and gradients of the first batch n times, `step(n)`, which takes n
steps of gradient descent on the first batch, and `epoch(n)`, which takes n steps through the batches in turn, in the
way that is fastest for it. What it does not have is None. `params()` are the present parameters as NumPy arrays with
the usual keys and shapes; `gradients()` those last computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from workloads import Params, Workload

BATCHES = 8
Timed = Callable[[int], Any]


@dataclass
class Competitor:
    gradient: Timed | None = None
    step: Timed | None = None
    epoch: Timed | None = None
    params: Callable[[], Params] | None = None
    gradients: Callable[[], Params] | None = None
    said: str = ""


def textbook(workload: Workload, dtype: str) -> Competitor:
    """What a lecture shows: a function of arrays with a list of activations, and a loop over the parameters."""
    from workloads import ACTIVATE, SLOPE

    params, (X, Y) = workload.params(dtype), workload.data(dtype, BATCHES)
    depth, batch, rate = len(workload.widths) - 1, workload.batch, workload.rate
    activate, slope = ACTIVATE[workload.hidden], SLOPE[workload.hidden]
    last: Params = {}

    def loss_and_gradients(X: np.ndarray, Y: np.ndarray) -> float:
        a = [X]
        for layer in range(1, depth + 1):
            z = a[-1] @ params[f"W{layer}"].T + params[f"b{layer}"]
            if layer < depth:
                a.append(activate(z))
        if workload.classes:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            loss = -(Y * np.log(p)).sum() / len(X)
            delta = (p - Y) / len(X)
        else:
            loss = 0.5 * ((z - Y) ** 2).sum() / len(X)
            delta = (z - Y) / len(X)
        for layer in range(depth, 0, -1):
            last[f"W{layer}"] = delta.T @ a[layer - 1]
            last[f"b{layer}"] = delta.sum(axis=0)
            if layer > 1:
                delta = (delta @ params[f"W{layer}"]) * slope(a[layer - 1]).astype(dtype)
        return float(loss)

    def gradient(count: int) -> None:
        for _ in range(count):
            loss_and_gradients(X[:batch], Y[:batch])

    def descend(count: int, batches: int) -> None:
        for n in range(count):
            at = n % batches * batch
            loss_and_gradients(X[at : at + batch], Y[at : at + batch])
            for key in params:
                params[key] -= rate * last[key]

    return Competitor(gradient, lambda n: descend(n, 1), lambda n: descend(n, BATCHES), lambda: params, lambda: last)


def module(workload: Workload, dtype: str) -> Competitor:
    """deltaform's readable module, as one imports it: checks on entry, a dict of new gradients."""
    from codegen import lambdify
    from symbolic import Network, derive

    functions = lambdify(derive(Network.parse(workload.architecture)), dtype=dtype)
    params, (X, Y) = workload.params(dtype), workload.data(dtype, BATCHES)
    batch, rate, last = workload.batch, workload.rate, {}

    def gradient(count: int) -> None:
        for _ in range(count):
            last.update(functions.loss_and_gradients(params, X[:batch], Y[:batch])[1])

    def descend(count: int, batches: int) -> None:
        for n in range(count):
            at = n % batches * batch
            last.update(functions.loss_and_gradients(params, X[at : at + batch], Y[at : at + batch])[1])
            for key in params:
                params[key] -= rate * last[key]

    return Competitor(gradient, lambda n: descend(n, 1), lambda n: descend(n, BATCHES), lambda: params, lambda: last)


def stepper(target: str) -> Callable[[Workload, str], Competitor]:
    """deltaform's own training code, of one target; its gradients where a workspace chooses the same code."""

    def make(workload: Workload, dtype: str) -> Competitor:
        from codegen.functions import lambdify
        from codegen.steppers import choose_stepper
        from symbolic import Network, derive

        derivation = derive(Network.parse(workload.architecture))
        X, Y = workload.data(dtype, BATCHES)
        batch, rate = workload.batch, workload.rate
        one = choose_stepper(derivation, batch, dtype, target=target, params=workload.params(dtype))
        first = (np.ascontiguousarray(X[:batch]), np.ascontiguousarray(Y[:batch]))
        order, rows = np.arange(len(X)).reshape(BATCHES, batch), {}

        def step(count: int) -> None:
            for _ in range(count):
                one.step(*first, rate)

        def epoch(count: int) -> None:
            if count not in rows:
                rows[count] = np.resize(order, (count, batch))
            one.epoch(X, Y, rows[count], rate)

        found = Competitor(None, step, epoch, lambda: dict(one.params), None, one.why)
        space = lambdify(derivation).workspace(batch, dtype)
        if space.name == target:
            params, (one_x, one_y), last = workload.params(dtype), first, {}

            def gradient(count: int) -> None:
                for _ in range(count):
                    _, gradients = space.loss_and_gradients(params, one_x, one_y)
                last.update(gradients)

            found.gradient, found.gradients = gradient, lambda: last
        return found

    return make


def torch_eager(workload: Workload, dtype: str, compiled: bool = False) -> Competitor:
    """PyTorch: modules, autograd, and its own SGD; `compiled`: the forward pass with the loss through torch.compile."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    kind = {"float32": torch.float32, "float64": torch.float64}[dtype]
    hidden = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}[workload.hidden]
    layers: list[Any] = []
    for before, units in zip(workload.widths, workload.widths[1:], strict=False):
        layers += [torch.nn.Linear(before, units, dtype=kind), hidden()]
    model = torch.nn.Sequential(*layers[:-1])
    linear = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for number, layer in enumerate(linear, 1):
            layer.weight.copy_(torch.from_numpy(workload.params(dtype)[f"W{number}"]))
            layer.bias.copy_(torch.from_numpy(workload.params(dtype)[f"b{number}"]))
    X, Y = (torch.from_numpy(array) for array in workload.data(dtype, BATCHES))
    if workload.classes:
        labels, criterion = Y.argmax(dim=1), torch.nn.CrossEntropyLoss()
    else:
        labels, criterion = Y, lambda out, target: 0.5 * ((out - target) ** 2).sum(dim=1).mean()
    forward = torch.compile(lambda x, y: criterion(model(x), y)) if compiled else lambda x, y: criterion(model(x), y)
    if compiled:
        torch._dynamo.reset()  # code compiled for other workloads counts against a limit
    optimizer = torch.optim.SGD(model.parameters(), lr=workload.rate)
    batch = workload.batch

    def backward(at: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        forward(X[at : at + batch], labels[at : at + batch]).backward()

    def gradient(count: int) -> None:
        for _ in range(count):
            backward(0)

    def descend(count: int, batches: int) -> None:
        for n in range(count):
            backward(n % batches * batch)
            optimizer.step()

    def named(value: Callable[[Any], Any]) -> Params:
        made: Params = {}
        for number, layer in enumerate(linear, 1):
            made[f"W{number}"] = value(layer.weight).detach().numpy()
            made[f"b{number}"] = value(layer.bias).detach().numpy()
        return made

    return Competitor(
        gradient, lambda n: descend(n, 1), lambda n: descend(n, BATCHES),
        lambda: named(lambda p: p), lambda: named(lambda p: p.grad),
    )  # fmt: skip


def torch_compiled(workload: Workload, dtype: str) -> Competitor:
    return torch_eager(workload, dtype, compiled=True)


def jax(workload: Workload, dtype: str) -> Competitor:
    """JAX: value_and_grad under jit, the step with its parameters donated, and an epoch as one scan."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    depth, batch, rate = len(workload.widths) - 1, workload.batch, workload.rate
    activate = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}[workload.hidden]

    def loss(params: Any, X: Any, Y: Any) -> Any:
        a = X
        for layer in range(1, depth + 1):
            z = a @ params[f"W{layer}"].T + params[f"b{layer}"]
            a = activate(z) if layer < depth else z
        if workload.classes:
            return -(jax.nn.log_softmax(a) * Y).sum(axis=1).mean()
        return 0.5 * ((a - Y) ** 2).sum(axis=1).mean()

    slopes = jax.jit(jax.value_and_grad(loss))

    def one(params: Any, X: Any, Y: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(params, X, Y)
        return {key: params[key] - rate * gradients[key] for key in params}, value

    step = jax.jit(one, donate_argnums=0)

    def through(params: Any, X: Any, Y: Any) -> Any:
        return jax.lax.scan(lambda carry, data: one(carry, *data), params, (X, Y))

    scan = jax.jit(through, donate_argnums=0)
    X, Y = (jnp.asarray(array) for array in workload.data(dtype, BATCHES))
    first = (X[:batch], Y[:batch])
    state = {"params": {key: jnp.asarray(value) for key, value in workload.params(dtype).items()}, "gradients": {}}
    stacked: dict[int, tuple[Any, Any]] = {}

    def gradient(count: int) -> None:
        for _ in range(count):
            value, state["gradients"] = slopes(state["params"], *first)
            value.block_until_ready()

    def steps(count: int) -> None:
        for _ in range(count):
            state["params"], value = step(state["params"], *first)
            value.block_until_ready()

    def epoch(count: int) -> None:
        if count not in stacked:
            rows = np.resize(np.arange(len(X)).reshape(BATCHES, batch), (count, batch))
            stacked[count] = (X[rows], Y[rows])
        state["params"], values = scan(state["params"], *stacked[count])
        values.block_until_ready()

    def arrays(name: str) -> Callable[[], Params]:
        return lambda: {key: np.asarray(value) for key, value in state[name].items()}

    return Competitor(gradient, steps, epoch, arrays("params"), arrays("gradients"))


def sklearn(workload: Workload, dtype: str) -> Competitor:
    """scikit-learn's perceptron: its own `_backprop` and SGD update, without the checks of `partial_fit`."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

    kind = MLPClassifier if workload.classes else MLPRegressor
    names = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}
    X, Y = workload.data(dtype, BATCHES)
    made = kind(
        hidden_layer_sizes=workload.widths[1:-1],
        activation=names[workload.hidden],
        alpha=0.0,
        max_iter=1,
        batch_size=workload.batch,
    )
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = Y.argmax(axis=1) if workload.classes else Y.ravel() if Y.shape[1] == 1 else Y
        if workload.classes:
            made.partial_fit(X[: workload.batch], target[: workload.batch], classes=np.arange(Y.shape[1]))
        else:
            made.partial_fit(X[: workload.batch], target[: workload.batch])
    given = workload.params(dtype)
    depth = len(workload.widths) - 1
    made.coefs_ = [np.ascontiguousarray(given[f"W{n}"].T) for n in range(1, depth + 1)]
    made.intercepts_ = [given[f"b{n}"].copy() for n in range(1, depth + 1)]
    batch = workload.batch
    activations = [X[:batch], *(np.empty((batch, n), dtype) for n in workload.widths[1:])]
    deltas = [np.empty((batch, n), dtype) for n in workload.widths[1:]]
    coefs = [np.empty_like(c) for c in made.coefs_]
    intercepts = [np.empty_like(c) for c in made.intercepts_]
    parameters = made.coefs_ + made.intercepts_
    optimizer = SGDOptimizer(parameters, workload.rate, momentum=0.0, nesterov=False)
    import inspect

    weighted = "sample_weight" in inspect.signature(made._backprop).parameters

    def backward(at: int) -> None:
        activations[0] = X[at : at + batch]
        arguments = (X[at : at + batch], Y[at : at + batch])
        made._backprop(*arguments, *((None,) if weighted else ()), activations, deltas, coefs, intercepts)

    def gradient(count: int) -> None:
        for _ in range(count):
            backward(0)

    def descend(count: int, batches: int) -> None:
        for n in range(count):
            backward(n % batches * batch)
            optimizer.update_params(parameters, coefs + intercepts)

    def named(weights: list[np.ndarray], biases: list[np.ndarray]) -> Params:
        found: Params = {}
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), 1):
            found[f"W{number}"], found[f"b{number}"] = weight.T, bias
        return found

    return Competitor(
        gradient, lambda n: descend(n, 1), lambda n: descend(n, BATCHES),
        lambda: named(made.coefs_, made.intercepts_), lambda: named(coefs, intercepts),
    )  # fmt: skip


PEERS: dict[str, Callable[[Workload, str], Competitor]] = {
    "textbook NumPy": textbook,
    "PyTorch eager": torch_eager,
    "torch.compile": torch_compiled,
    "JAX": jax,
    "scikit-learn": sklearn,
}
OURS: dict[str, Callable[[Workload, str], Competitor]] = {
    "deltaform module": module,
    "deltaform numpy": stepper("numpy"),
    "deltaform scalar": stepper("scalar"),
    "deltaform numba": stepper("numba"),
}
