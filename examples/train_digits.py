"""Training on real handwritten digits, by gradients that were derived a moment before.

python examples/train_digits.py      needs scikit-learn: pip install 'deltaform[digits]'
"""

import sys

from codegen import train
from codegen.datasets import load
from symbolic import Network
from symbolic.errors import MissingExtra

network = Network.parse("64 -> 32 relu -> 10 softmax; cross_entropy")
try:
    digits = load("digits", network, seed=0)
except MissingExtra as error:
    print(f"skipped: {error}")
    sys.exit(0)
print(digits)

# `train` derives the gradients, makes functions of them and takes the steps. The same seed gives the same run.
history = train(
    network, *digits.train_and_held_out, epochs=5, batch_size=8, learning_rate=0.2, optimizer="sgd", seed=0,
    on_epoch=lambda epoch: print(f"epoch {epoch.number}: {epoch}"),
)  # fmt: skip

accuracy = history.epochs[-1].accuracy
assert accuracy is not None and accuracy > 0.9, f"accuracy {accuracy}"
print(f"checked: {accuracy:.1%} of {len(digits.held_out)} digits that were held out are recognised, above 90 %")
