"""The reverse sweep: what it refuses, what it leaves out, how it grows, and that it is the same every time."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from reference import quiet
from sympy import Sum

from symbolic import DeltaformError, DeltaformWarning, Equation, Program, Tensor, derive, index, over, size
from symbolic.repetition import Repetition

ROOT = Path(__file__).parent.parent
j, p = index("j"), index("p")


def small(extra=(), equations=()):
    n = size("n")
    x, w = Tensor("x", "input", shape=(n,)), Tensor("w", "parameter", shape=(n,))
    i = index("i")
    product, loss = Tensor("product", shape=(n,)), Tensor("L", "loss")
    return Program(
        (x, w, *extra),
        (Equation(product, (i,), x[i] * w[i]), *equations, Equation(loss, (), Sum(product[i] ** 2, over(i, n)))),
    )


def test_bad_30_a_gradient_by_no_tensor_of_the_program():
    with pytest.raises(DeltaformError, match=r"no tensor 'W9'.*x, w, product, L"):
        derive(small(), wrt=["W9"])
    with pytest.raises(DeltaformError, match="objective itself"):
        derive(small(), wrt=["L"])


def test_nothing_to_differentiate_by():
    program = dataclasses.replace(small(), leaves=tuple(dataclasses.replace(t, role="input") for t in small().leaves))
    with pytest.raises(DeltaformError, match="wrt="):
        derive(program)


def test_bad_28_a_parameter_that_the_loss_does_not_depend_on():
    program = small(extra=(Tensor("unused", "parameter", shape=(size("n"),)),))
    with pytest.warns(DeltaformWarning, match="does not depend on unused; its gradient is 0"):
        derivation = derive(program)
    assert derivation.gradients["unused"].rhs == 0
    assert derivation.verify().ok


def test_a_name_that_a_derivative_needs():
    with pytest.raises(DeltaformError, match="dw has the name that a derivative by w needs"):
        derive(small(extra=(Tensor("dw", "input"),)))


def test_a_program_that_mixes_examples_is_refused_with_an_examples_axis_and_derived_without():
    N = size("N")
    x, w = Tensor("x", "input", shape=(N,), indices=(p,)), Tensor("w", "parameter")
    mean, ell = Tensor("mean"), Tensor("ell", shape=(N,), indices=(p,))
    J = Tensor("J", "cost")
    equations = (
        Equation(mean, (), Sum(x[p] * w[()], over(p, N)) / N),
        Equation(ell, (p,), (x[p] * w[()] - mean[()]) ** 2),
        Equation(J, (), Sum(ell[p], over(p, N)) / N),
    )
    with pytest.raises(DeltaformError, match="mixes examples"):
        derive(Program((x, w), equations, example=p))
    assert derive(Program((x, w), equations)).verify().ok


def test_gradients_by_inputs_and_intermediate_tensors():
    derivation = derive(quiet("3 -> 4 tanh -> 2 softmax; cross_entropy"), wrt=["x", "a1", "W2"])
    assert list(derivation.gradients) == ["x", "a1", "W2"]
    assert derivation.verify(points=1).ok


def test_the_gradient_by_the_loss_of_one_example_is_its_weight_in_the_cost():
    derivation = derive(quiet("3 -> 2; half_squared_error"), wrt=["ell"])
    assert derivation.gradients["ell"].rhs == 1 / size("N")
    assert derivation.verify(points=1).ok


def test_only_what_is_asked_for_is_derived():
    keys = {result.tensor.of for result in derive(quiet("3 -> 4 tanh -> 2; half_squared_error"), wrt=["b2"]).results}
    assert keys == {"a2", "z2", "b2"}


def test_results_use_only_earlier_results():
    derivation = derive(quiet("3 -> 4 tanh -> 5 softmax -> 2; half_squared_error"))
    known = set(derivation.program.tensors)
    for equation in derivation.equations[len(derivation.program.equations) :]:
        from symbolic.tensors import elements, key_of

        assert {key_of(element) for element in elements(equation.rhs)} <= known
        known.add(equation.tensor.key)


def test_equal_layers_are_derived_once_and_deep_networks_need_no_recursion(monkeypatch):
    misses = []
    honest = Repetition.steps

    def counted(self, given, traits, cited, compute):
        return honest(self, given, traits, cited, lambda: misses.append(1) or compute())

    monkeypatch.setattr(Repetition, "steps", counted)
    found = {}
    for depth in (5, 60):
        misses.clear()
        layers = " -> ".join(["4 tanh"] * depth)
        derivation = derive(quiet(f"3 -> {layers} -> 2 softmax; cross_entropy"))
        assert len(derivation.gradients) == 2 * (depth + 1)
        found[depth] = len(misses)
    assert found[5] == found[60]


def test_a_renamed_chain_is_true():
    derivation = derive(quiet("3 -> 4 tanh -> 5 tanh -> 3 tanh -> 2 softmax; cross_entropy"))
    report = derivation.verify(points=2)
    assert report.ok, str(report)


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from codegen import lambdify
from symbolic import Network, derive
for text in ("4 -> 5 elu -> 3 softmax; cross_entropy", "n -> h_1 g(z) -> d_2 sigmoid; binary_cross_entropy"):
    derivation = derive(Network.parse(text))
    print([(r.tensor.key, [(s.rule.name, str(s.before), str(s.after)) for s in r.walk()]) for r in derivation.results])
    for detail in ("result", "layer", "rule"):
        for form in ("matrix", "component"):
            print(derivation.latex(form=form, detail=detail))
    if "g(z)" not in text:
        print(lambdify(derivation).source)
"""


def test_the_same_input_gives_the_same_bytes_whatever_the_hash_seed():
    outputs = set()
    for seed in range(4):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(root=str(ROOT))],
            env={**os.environ, "PYTHONHASHSEED": str(seed)}, capture_output=True, check=True,
        )  # fmt: skip
        outputs.add(done.stdout)
    assert len(outputs) == 1 and len(outputs.pop()) > 10_000
