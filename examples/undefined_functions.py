"""The textbook's general case: any activation g, any cost c, any widths, and g', c' on the page.

python examples/undefined_functions.py
"""

from symbolic import Network, derive

# A name in place of a number is a size that stays open; g(z) and c(y,h) are functions of which only the name is known.
network = Network.parse("n_0 -> n_1 g(z) -> n_2 identity; c(y,h)")
derivation = derive(network)
print(f"{network}: {network.parameter_count} parameters\n")

# The whole derivation is a LaTeX document for pdflatex. detail="result" leaves the steps out; form="component" would
# write sums over indices in place of matrix products.
page = derivation.latex(form="matrix", detail="result")
summary = page[page.index(r"\section*{Summary}") : page.index(r"\end{document}")]
print(summary)

# To be checked, g and c are given random smooth stand-ins: a step that holds for those uses nothing special of them.
report = derivation.verify()
print(report.summary)

assert report.ok, report
assert r"\delta^{[1]} &= (W^{[2]\top} \delta^{[2]}) \circ g'(z^{[1]})" in summary
print("checked: the hidden delta is (W^T delta) o g'(z) for every g and every c")
