"""What is worked out once for equations that differ in names only is what would come out for each by itself."""

import pytest

from codegen.lowering import free_symbols
from codegen.passes.alike import OncePerKind
from codegen.passes.equations import exchanged, feature_major, folded_step
from codegen.passes.weights import _parts_of_products
from codegen.recording import outline_of
from codegen.targets.expressions import _CommentPrinter, equation_text
from symbolic.backpropagation import derive
from symbolic.network import Network
from symbolic.tensors import Tensor, size

# Eleven layers and more, so that the names of neighbours are sorted in more ways than one: W9 stands after W10.
NETWORKS = (
    "3 -> " + "4 tanh -> " * 11 + "2 softmax; cross_entropy",
    "n_0 -> " + " -> ".join(f"n_{n} sigmoid" for n in range(1, 12)) + "; half_squared_error",
    "3 -> " + "4 relu -> 4 elu -> 3 leaky_relu -> " * 4 + "2 sigmoid; binary_cross_entropy",
    "3 -> " + "5 silu -> 4 gelu_tanh -> " * 6 + "2 sigmoid; log_likelihood",
)
DERIVATIONS = {text: derive(Network.parse(text)) for text in NETWORKS}
every_network = pytest.mark.parametrize("derivation", DERIVATIONS.values(), ids=range(len(NETWORKS)))


@every_network
def test_axes_are_exchanged_as_in_each_equation_by_itself(derivation):
    equations, tensors = derivation.equations, derivation.tensors
    orders = feature_major(equations, tensors, size("N"))
    together, _ = exchanged(equations, tensors, orders)
    assert orders
    assert together == tuple(exchanged([equation], tensors, orders)[0][0] for equation in equations)


@every_network
def test_the_step_is_folded_into_each_equation_as_into_it_alone(derivation):
    equations = derivation.equations
    adjoints = frozenset(result.tensor.key for result in derivation.results)
    gradients = frozenset(equation.tensor.key for equation in derivation.gradients.values())
    step = Tensor("step", "input").element
    together, factor = folded_step(equations, adjoints, gradients, step)
    assert str(factor) == "1/N"
    for equation, folded in zip(equations, together, strict=True):
        # The factor is what all gradients share, here those that are the one equation.
        (by_itself,), own = folded_step([equation], adjoints, gradients, step)
        assert (own == factor) == (equation.tensor.key in gradients)
        assert by_itself == folded


@every_network
def test_products_are_found_as_in_each_equation_by_itself(derivation):
    parts_of = OncePerKind(_parts_of_products)
    found = [tuple(parts_of(equation)) for equation in derivation.equations]
    assert found == [tuple(_parts_of_products(equation)) for equation in derivation.equations]
    assert any(found)


@every_network
def test_an_equation_is_written_as_by_itself(derivation):
    for names in ({}, {"x": "X", "y": "Y", "N": "count", "p": "row", "W10": "W_10", "delta9": "d"}):
        printer = _CommentPrinter(names)
        for equation in derivation.equations:
            text = f"{printer.doprint(equation.lhs)} = {printer.doprint(equation.rhs)}"
            assert equation_text(equation, names) == text


@every_network
def test_few_kinds_are_worked_out(derivation):
    worked = []

    def work(equation):
        worked.append(equation)
        return [equation.rhs]

    right_side = OncePerKind(work)
    for equation in derivation.equations:
        assert right_side(equation)[0] is equation.rhs
    assert len(worked) < len(derivation.equations) / 1.5
    assert len(worked) == len({outline_of(equation).kind() for equation in derivation.equations})


@every_network
def test_free_symbols_are_those_of_sympy(derivation):
    for equation in derivation.equations:
        assert free_symbols(equation.rhs) == equation.rhs.free_symbols
