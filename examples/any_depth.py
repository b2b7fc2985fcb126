"""A network of any depth: the last layer, the step from one layer to the one before, and the induction.

python examples/any_depth.py
"""

from symbolic import Network, derive

general = derive(Network.general(hidden="g", output="softmax", loss="cross_entropy"))
print(general)
print(f"\n{general.induction}\n")

# The formulas are instantiated at depths 1 to 5 and held against what is derived for those networks.
report = general.verify()
print(report.summary)

assert report.ok and {row.number[-1] for row in report.rows if "depth" in row.number} == set("12345")
print(f"checked: {len(report.rows)} equalities, at any depth and at depths 1 to 5")
