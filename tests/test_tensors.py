"""Names, tensors, well-formed programs. Numbers in test ids are rows of the list of bad inputs."""

import pytest
from sympy import Sum, Symbol

from symbolic.errors import DeltaformError, NameRefused, ProgramError
from symbolic.programs import Program
from symbolic.tensors import Equation, Tensor, checked_name, elements, index, indices_of, key_of, over, size

i, j, s = index("i"), index("j"), index("s")
n, m = size("n"), size("m")
W = Tensor("W", "parameter", None, (m, n))
x = Tensor("x", "input", None, (n,))
u = Tensor("u", "intermediate", None, (m,))
L = Tensor("L", "cost")
PRODUCT = Equation(u, (j,), Sum(W[j, s] * x[s], over(s, n)))
TOTAL = Equation(L, (), Sum(u[j] ** 2, over(j, m)))

NAMES = [
    ("1", '__import__("os")', "letter followed by"),
    ("2", "lambda", "reserved"),
    *((f"3-{word}", word, "reserved") for word in ("np", "exp", "pi", "I", "S", "N")),
    ("6", "ℓ", "not plain ASCII"),
    ("6-cyrillic", "а", "not plain ASCII"),
    ("7", "", "is empty"),
    ("8", r"x}\input{/etc/passwd}{", "letter followed by"),
    ("9", "<script>", "letter followed by"),
    ("10", "x" * 70_000, "70000 characters"),
    ("11", "_t", "letter followed by"),
    ("newline", "W\n", "letter followed by"),
    ("type", 7, "must be a string, not int"),
]


@pytest.mark.parametrize(("name", "words"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_name_is_refused_for_a_tensor_as_for_anything(name, words) -> None:
    with pytest.raises(NameRefused, match=words) as caught:
        checked_name(name, "the name")
    assert "the name" in str(caught.value) and len(str(caught.value)) < 200
    with pytest.raises(NameRefused, match="tensor name"):
        Tensor(name)


@pytest.mark.parametrize("name", ["W", "delta_1", "gamma", "x" * 40])
def test_plain_name_is_returned(name) -> None:
    assert checked_name(name) == name
    assert Tensor(name).key == name
    assert Tensor(name[:30], layer=3).key == f"{name[:30]}3"


BAD = [
    ("4-leaf", lambda: Program((W, x, x), (PRODUCT, TOTAL)), ["x is declared twice"]),
    ("4-equation", lambda: Program((W, x), (PRODUCT, PRODUCT, TOTAL)), ["u is defined twice"]),
    (
        "5",
        lambda: Program((W, Tensor("W", "parameter", None, (n, n)), x), (PRODUCT, TOTAL)),
        ["W is declared twice"],
    ),
    (
        "5-key",
        lambda: Program((Tensor("W1"), Tensor("W", layer=1, shape=(n,))), (TOTAL,)),
        ["W1 is declared twice"],
    ),
    (
        "17",
        lambda: Program((W, x), (Equation(u, (j,), Sum(W[j, s] * x[s], over(s, m))), TOTAL)),
        ["index s", "runs over m", "has n"],
    ),
    ("17-left", lambda: Program((x,), (Equation(u, (j,), x[j]), TOTAL)), ["runs over m", "has n"]),
    ("27", lambda: Program((W, x), (PRODUCT,)), ["objective u", "shape (m)", "sum it to a scalar"]),
    ("30", lambda: Program((W, x), (PRODUCT, TOTAL), "J"), ["'J' is no tensor", "W, x, u, L"]),
    ("undefined", lambda: Program((W,), (PRODUCT, TOTAL)), ["x is used"]),
    ("later", lambda: Program((W, x), (TOTAL, PRODUCT)), ["equation for L", "u is used"]),
    ("itself", lambda: Program((), (Equation(L, (), L.element + 1),)), ["L is used"]),
    ("free", lambda: Program((W, x), (Equation(u, (j,), W[j, s] * x[s]), TOTAL)), ["index s", "neither"]),
    (
        "bound-twice",
        lambda: Program((W, x), (Equation(u, (j,), Sum(x[j], over(j, n))), TOTAL)),
        ["bound twice"],
    ),
    ("part", lambda: Program((x,), (Equation(L, (), Sum(x[s], (s, 1, n - 1))),)), ["start at 0"]),
    ("none", lambda: Program((W, x), ()), ["at least one equation"]),
    ("sense", lambda: Program((W, x), (PRODUCT, TOTAL), sense="up"), ["sense", "'up'"]),
    ("axes", lambda: W[j], ["W has 2 axes", "1 indices"]),
    ("twice-left", lambda: Equation(W, (j, j), x[j]), ["stands twice"]),
    ("left", lambda: Equation(u, (), x[j]), ["1 axes, but 0 indices"]),
    ("right", lambda: Equation(u, (j,), "x[j]"), ["must be a SymPy expression"]),
    ("role", lambda: Tensor("W", "weights"), ["role 'weights'", "parameter"]),
    ("13-shape", lambda: Tensor("W", shape=(0,)), ["at least 1, not 0"]),
    ("14-shape", lambda: Tensor("W", shape=(True,)), ["not True"]),
    ("14-float", lambda: Tensor("W", shape=(2.5,)), ["not 2.5"]),
    ("letters", lambda: Tensor("W", shape=(2, 3), indices=(i,)), ["2 axes but 1"]),
]


@pytest.mark.parametrize(("call", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_no_program_is_refused_in_words(call, words) -> None:
    with pytest.raises(DeltaformError) as caught:
        call()
    assert isinstance(caught.value, ProgramError)
    for word in words:
        assert word in str(caught.value)


def test_a_program_knows_its_tensors_and_its_objective() -> None:
    program = Program((W, x), (PRODUCT, TOTAL), sizes={n: 3})
    assert list(program.tensors) == ["W", "x", "u", "L"]
    assert program.objective == "L"
    assert program.parameters == (W,)
    assert program.definitions["u"] is PRODUCT
    assert "W" not in program.definitions
    assert program.value_of(n * m) == 3 * m


def test_elements_are_known_by_key_and_indices() -> None:
    assert key_of(W[i, j]) == "W"
    assert indices_of(W[i, j]) == (i, j)
    assert key_of(L.element) == "L" and indices_of(L.element) == ()
    assert key_of(n) is None and key_of(j) is None and key_of(Symbol("t")) is None
    found = list(elements(Sum(W[j, s] * x[s], over(s, n)) + L.element))
    assert {key_of(element) for element in found} == {"W", "x", "L"}
    assert len(found) == 3
    assert over(s, 5) == (s, 0, 4)
