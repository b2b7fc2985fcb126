"""A network in, its gradients out: every step of the derivation is a record, and every record is checked.

    python examples/first_derivation.py
"""

from symbolic import Network, derive

network = Network.parse("3 -> 4 sigmoid -> 2 softmax; cross_entropy")
derivation = derive(network)

print(f"{network}\n\nforward, element by element (p counts examples, j and s units, from 0):")
for equation in derivation.program.equations:
    print(f"  {equation.lhs} = {equation.rhs}")

# A result is one derived quantity; its steps lead from the definition to the final form, each by one rule. The named
# adjoints are the deltas: what one example's loss does when a preactivation moves.
deltas = [result for result in derivation.results if result.named and result.tensor.role == "adjoint"]
for result in deltas:
    print(f"\n{result.tensor.key}, the derivative of the loss by {result.tensor.of}, step by step:")
    print(f"  {result.steps[0].before}")
    for step in result.steps:
        print(f"  = {step.after}    [{step.rule.name}]")

print("\nthe gradient of the cost J by each parameter:")
for key, equation in derivation.gradients.items():
    print(f"  by {key}:  {equation.lhs} = {equation.rhs}")

# Both sides of every step are evaluated in 50-digit arithmetic, by an evaluator that knows none of the rules. The
# report prints as a table with one row a step; its last line sums it up.
report = derivation.verify()
print(f"\n{str(report).splitlines()[-1]}")

assert report.ok, report
print(f"checked: every step is true, in {len(derivation.gradients)} gradients and {len(deltas)} deltas")
