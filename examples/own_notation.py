"""A notation of your own, made from one that is there; what it writes it also reads.

python examples/own_notation.py   (reading needs the extra: pip install '.[latex]')
"""

from symbolic import NOTATIONS, Network, derive

network = Network.parse("3 -> 4 tanh -> 2 sigmoid; binary_cross_entropy", examples=None)
derivation = derive(network)

# Another letter for the weights, layers below, another sign for the product entry by entry; the rest stays.
mine = NOTATIONS["cs229"].replace(
    name="mine", letters={"weight": "U", "adjoint": r"\epsilon"}, layer="{layer}", layer_below=True, hadamard=r"\odot"
)

read_back = []
for result in derivation.results:
    if result.named:
        equation = result.equation
        left, right = (mine.write(side, of=derivation) for side in (equation.lhs, equation.rhs))
        print(f"{left} = {right}")
        read_back.append(mine.read(right, of=derivation) == equation.rhs)

# The page has it in matrices: epsilon_1 = (U_2^T epsilon_2) o (1 - a_1^2).
page = derivation.latex(notation=mine)

assert all(read_back) and r"\epsilon_1 &= (U_2^{\top} \epsilon_2) \odot (1 - a_1^{\odot 2})" in page
print(f"checked: {len(read_back)} formulas, written and read back")
