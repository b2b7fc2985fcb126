"""From a derivation to NumPy: functions to call at once, a module to keep, and a check that believes neither.

python examples/generated_gradients.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from codegen import check_gradients, import_module, initialize, lambdify, write_module
from symbolic import Network, derive

derivation = derive(Network.parse("5 -> 8 tanh -> 4 relu -> 3 softmax; cross_entropy"))

# Rows are examples. Under cross_entropy the targets are distributions; integer labels may stand for them.
random = np.random.default_rng(0)
X = random.normal(size=(20, 5))
labels = random.integers(0, 3, size=20)
params = initialize(derivation, seed=0)
print("parameters:", ", ".join(f"{key} {array.shape}" for key, array in params.items()))

functions = lambdify(derivation)
value, gradients = functions.loss_and_gradients(params, X, labels)
print(f"loss {value:.6f}")

# The same text as a file: it imports NumPy and nothing of ours, and gives the same numbers to the last bit.
with TemporaryDirectory() as folder:
    path = write_module(derivation, Path(folder) / "classifier.py")
    module = import_module(path)
    _, from_file = module.loss_and_gradients(params, X, labels)
    source = path.read_text()
same = all(np.array_equal(gradients[key], from_file[key]) for key in params)

print("\nhow the module computes the deltas and the gradients:")
backward = source[source.index("    # delta3[p, j]") :]
print(backward[: backward.index("    return")])

# Each parameter is moved up and down a little; the loss alone says what its gradient must be.
report = check_gradients(lambda moved: functions.loss(moved, X, labels), gradients, params)
print(report)

assert same and report.ok
print(f"checked: lambdify and the module agree with central differences in {sum(map(np.size, params.values()))} places")
