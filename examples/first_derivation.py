"""A network in, its gradients out: every step of the derivation is a record, and every record is checked.

python examples/first_derivation.py
"""

from symbolic import Network, derive

network = Network.parse("3 -> 4 sigmoid -> 2 softmax; cross_entropy")
derivation = derive(network)

print(f"{network}\n\nforward, element by element (p counts examples, j and s units, from 0):")
for equation in derivation.program.equations:
    print(f"  {equation}")

# A result is one derived quantity; its steps lead from the definition to the final form, each by one rule. The deltas
# are the named adjoints: what one example's loss does when a pre-activation moves.
for key in ("delta2", "delta1"):
    print(f"\n{derivation[key].tensor.of} moves the loss by\n  {derivation[key]}")

print("\nthe gradient of the cost J by each parameter:")
for key, equation in derivation.gradients.items():
    print(f"  by {key}:  {equation}")

# Both sides of every step are evaluated in 50-digit arithmetic, by an evaluator that knows none of the rules. The
# report prints as a table with one row a step; its last line sums it up.
report = derivation.verify()
print(f"\n{report.summary}")

assert report.ok, report
print(f"checked: every step is true, for {len(derivation.gradients)} gradients")
