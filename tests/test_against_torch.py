"""The same network, trained step by step by PyTorch from the same start on the same batches."""

import warnings

import numpy as np
import pytest

from codegen.datasets import load
from codegen.initialization import initialize
from codegen.training import train
from symbolic.network import Network

with warnings.catch_warnings():
    # What PyTorch warns of while it is imported is its own affair.
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")

NETWORK = Network.parse("64 -> 32 relu -> 10 softmax; cross_entropy")
EPOCHS, BATCH_SIZE, LEARNING_RATE, SEED = 3, 32, 0.1, 0


def curve_of_torch(X, Y):
    """Loss of each step of plain SGD in float64, by PyTorch's own layers, loss, gradients and optimizer."""
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)).double()
    start = initialize(NETWORK, SEED)
    with torch.no_grad():
        for number, layer in ((1, model[0]), (2, model[2])):
            layer.weight.copy_(torch.from_numpy(start[f"W{number}"]))
            layer.bias.copy_(torch.from_numpy(start[f"b{number}"]))
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    inputs, labels = torch.from_numpy(X), torch.from_numpy(Y)
    generator, losses = np.random.default_rng(SEED), []
    for _ in range(EPOCHS):
        order = torch.from_numpy(generator.permutation(len(X)))
        for batch in order.split(BATCH_SIZE):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, {name: value.detach().numpy() for name, value in model.named_parameters()}


def test_loss_curve_is_that_of_torch():
    pytest.importorskip("sklearn")
    data = load("digits", NETWORK, SEED).train
    history = train(
        NETWORK,
        data.X,
        data.Y,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        optimizer="sgd",
        seed=SEED,
    )
    losses, weights = curve_of_torch(data.X, data.Y)
    assert len(losses) == EPOCHS * 45 and losses[-1] < 0.5 * losses[0]
    np.testing.assert_allclose(history.step_losses, losses, rtol=0, atol=1e-6)
    np.testing.assert_allclose(history.params["W1"], weights["0.weight"], rtol=0, atol=1e-6)
