"""What a deep network costs, counted and never timed; and that nobody can see that equal layers are derived once."""

import gc
import importlib
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from programs import PROGRAMS
from sympy import Indexed, IndexedBase, Piecewise, Sum, Symbol, exp, log, tanh

from codegen.source import module_source
from symbolic import ACTIVATIONS, LOSSES, Network, backpropagation, derive, index, moulds, size
from symbolic.collecting import collection_paused
from symbolic.errors import NoMatrixForm
from symbolic.evaluation import Point
from symbolic.matrixform import matrix_form
from symbolic.moulds import Mould, Moulds, element, order_of, skeleton
from symbolic.precision import NUMBERS, places
from symbolic.programs import Program
from symbolic.repetition import Repetition
from symbolic.rules import Result
from symbolic.sampling import random_leaves, stand_in_sizes
from symbolic.tensors import Equation, Tensor, over

ROOT = Path(__file__).parent.parent
HIDDEN = {
    "tanh": "5 tanh",
    "relu and gelu": "5 relu -> 4 gelu",
    "undefined": "h_1 g(z)",
    "softmax": "3 softmax",
}


def deep(hidden, depth, examples="N"):
    layers = " -> ".join([hidden] * depth)
    return derive(Network.parse(f"3 -> {layers} -> 2; squared_error", examples=examples))


def afresh(monkeypatch, hidden, depth, examples):
    """The same with every chain derived for itself."""

    def alone(self, given, traits, cited, compute):
        return honest(Repetition(), given, traits, cited, compute)

    honest = Repetition.steps
    with monkeypatch.context() as patched:
        patched.setattr(Repetition, "steps", alone)
        return deep(hidden, depth, examples)


@pytest.mark.filterwarnings("ignore::symbolic.errors.DeltaformWarning")
@pytest.mark.parametrize("examples", ["N", None])
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_the_steps_of_a_repeated_layer_are_those_derived_afresh(hidden, examples, monkeypatch):
    # Twelve layers, so that the names of the layers 9 and 10 change their order.
    shared, alone = deep(hidden, 12, examples), afresh(monkeypatch, hidden, 12, examples)
    assert len({result.pattern.number for result in shared.results}) < len(shared.results)
    for one, other in zip(shared.results, alone.results, strict=True):
        assert one.form == other.form
        assert list(one.walk()) == list(other.walk())
        assert (one.tensor, one.indices, one.named) == (other.tensor, other.indices, other.named)


@pytest.mark.filterwarnings("ignore::symbolic.errors.DeltaformWarning")
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_the_matrix_form_of_a_repeated_layer_is_the_one_written_afresh(hidden):
    derivation = deep(hidden, 12)

    def of(form):
        try:
            return form()
        except NoMatrixForm as refusal:
            return str(refusal)

    for result in derivation.results:
        for stacked, example in ((False, derivation.program.example), (True, None)):
            written = of(
                lambda: matrix_form(result.form, result.indices, derivation.tensors, example, result.tensor.shape)  # noqa: B023
            )
            assert of(lambda: derivation.matrix_form(result.tensor.key, stacked)) == written  # noqa: B023
    assert len(derivation._moulds) < len(derivation.results)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_matrix_forms_of_programs_are_those_written_afresh(program):
    derivation = derive(program())
    for result in derivation.results:
        try:
            written = matrix_form(result.form, result.indices, derivation.tensors, None, result.tensor.shape)
        except NoMatrixForm:
            with pytest.raises(NoMatrixForm):
                derivation.matrix_form(result.tensor.key)
        else:
            assert derivation.matrix_form(result.tensor.key) == written


def counted(monkeypatch, module, name, depths, run):
    """How often a function is called for each depth."""
    calls = []
    honest = getattr(module, name)

    def count(*arguments, **options):
        calls.append(1)
        return honest(*arguments, **options)

    monkeypatch.setattr(module, name, count)
    found = []
    for depth in depths:
        calls.clear()
        run(depth)
        found.append(len(calls))
    return found


@pytest.mark.parametrize("name", ["contract", "derivative", "reuse_output", "tidy_steps", "best", "summation"])
def test_no_rule_is_applied_more_often_in_a_deeper_network(name, monkeypatch):
    shallow, deeper = counted(monkeypatch, backpropagation, name, (5, 40), lambda depth: deep("5 tanh", depth))
    assert shallow == deeper


@pytest.mark.parametrize("name", ["skeleton", "joined", "tensor_name"])
def test_names_are_compared_as_often_for_each_layer(name, monkeypatch):
    ten, twenty, forty = counted(monkeypatch, backpropagation, name, (10, 20, 40), lambda depth: deep("5 tanh", depth))
    assert forty - twenty == 2 * (twenty - ten)


def test_the_nodes_that_sympy_evaluates_do_not_grow_with_depth(monkeypatch):
    """Products are what SymPy takes longest for; those of a layer that was met before are cast."""
    from sympy import Mul

    honest, made = Mul.flatten.__func__, []
    monkeypatch.setattr(Mul, "flatten", classmethod(lambda cls, seq: made.append(1) or honest(cls, seq)))
    found = []
    for depth in (12, 24, 48):
        derivation = deep("5 tanh", depth)
        made.clear()
        assert len(derivation.gradients) == 2 * (depth + 1)
        for result in derivation.results:
            if result.named:
                derivation.matrix_form(result.tensor.key)
        found.append(len(made))
    assert found[2] <= found[0]


def test_steps_are_made_when_somebody_looks():
    derivation = deep("5 tanh", 12)
    lazy = [result for result in derivation.results if "steps" not in vars(result)]
    assert len(lazy) > 50
    assert len(derivation.gradients) == 26 and derivation.matrix_form("dW3")
    assert all("steps" not in vars(result) for result in lazy)
    assert all(isinstance(result.steps, tuple) and result.steps for result in lazy)
    assert all(result.steps is result.steps for result in lazy)


def test_laziness_cannot_be_seen():
    one, other = deep("5 tanh", 6), deep("5 tanh", 6)
    for result in other.results:
        assert result.steps
    assert one == other and hash(one.results[-1]) == hash(other.results[-1])
    assert repr(one.results[5]) == repr(other.results[5])
    again = replace(one.results[3], named=False)
    assert again.steps == one.results[3].steps and again != one.results[3]
    wrong = replace(one.results[3], steps=one.results[3].steps[:1])
    assert wrong.form == wrong.steps[0].after and wrong.made_by is None
    assert isinstance(wrong, Result) and wrong.equation.rhs == wrong.form
    with pytest.raises(AttributeError, match="no attribute 'step'"):
        one.results[3].step  # noqa: B018


def test_a_changed_result_has_a_matrix_form_of_its_own():
    derivation = deep("5 tanh", 4)
    last = derivation["dW2"]
    shorter = replace(last, steps=last.steps[:-1]) if len(last.steps) > 1 else last
    changed = replace(derivation, results=tuple(shorter if r is last else r for r in derivation.results))
    written = matrix_form(shorter.form, shorter.indices, derivation.tensors, index("p"), shorter.tensor.shape)
    assert changed.matrix_form("dW2") == written


# What is cast


j, s = index("j"), index("s")


def test_an_element_is_what_indexed_makes():
    label = Symbol("W7", real=True)
    cast, plain = element(label, (j, s)), Indexed(IndexedBase(label), j, s)
    assert cast == plain and hash(cast) == hash(plain) and cast.assumptions0 == plain.assumptions0
    assert vars(cast.base) == vars(plain.base) and cast.base.assumptions0 == plain.base.assumptions0
    assert cast.diff(plain) == 1 and cast.is_real and cast.is_positive is None


def test_another_sympy_is_served_by_its_own_constructors(monkeypatch):
    monkeypatch.setattr(moulds, "_twin", lambda assumed: None)
    label = Symbol("never_seen_before", real=True)
    assert element(label, (j,)) == Indexed(IndexedBase(label), j)


@pytest.mark.parametrize("names", [("a1", "b1"), ("a2", "b2"), ("b1", "a1"), ("a9", "a10"), ("a10", "a9")])
def test_what_is_cast_is_what_sympy_makes(names):
    n = size("n")

    def make(one, other, extent):
        x, y = element(one, (j,)), element(other, (s,))
        inner = Sum(x * y * tanh(y) ** 2, (s, 0, extent - 1))
        return Piecewise((inner / extent + log(1 + exp(-x)), x > 0), (-x * element(other, (j,)), True))

    cast = Moulds(make, (j, s))
    for pair in (("a1", "b1"), ("u", "v"), names):
        found = [Symbol(name, real=True) for name in pair]
        assert cast.cast((*found, n)) == make(*found, n)
        assert str(cast.cast((*found, n))) == str(make(*found, n))


def test_a_mould_holds_several_expressions_and_what_they_share():
    a, b, c = (Symbol(name, real=True) for name in "abc")
    mould = Mould((a * b + 1, tanh(a * b), a, 2 * j), (a, b))
    assert mould.cast((b, c)) == [b * c + 1, tanh(b * c), b, 2 * j]


def test_skeletons_are_equal_up_to_names_and_nothing_else():
    a, b, c = (Symbol(name, real=True) for name in "abc")
    n = size("n")
    assert skeleton(a * b + a).tokens == skeleton(b * c + b).tokens
    assert skeleton(a + 1).tokens != skeleton(a + a * 0 + 2).tokens
    assert skeleton(a + b).tokens != skeleton(a + n).tokens
    assert skeleton(element(a, (j,))).tokens != skeleton(element(a, (s,))).tokens
    assert skeleton(a, b).tokens != skeleton(a, a).tokens
    assert skeleton(a * b).names == (a, b)


def test_orders_tell_where_a_name_has_a_digit_more():
    nine, ten, eleven = (Symbol(name, real=True) for name in ("a9", "a10", "a11"))
    assert order_of((ten, eleven)) != order_of((nine, ten))
    assert order_of((nine, nine)) != order_of((nine, ten))


# Verification


def test_every_layer_is_verified_at_its_own_numbers():
    derivation = deep("5 tanh", 4)
    report = derivation.verify(points=1)
    rows = [row.quantity for row in report.rows]
    assert [rows.count(f"delta{layer}") for layer in (1, 2, 3)] == [rows.count("delta1")] * 3
    for key in ("delta2", "dW3"):
        last = derivation[key]
        wrong = replace(last.steps[-1], after=2 * last.steps[-1].after)
        changed = replace(last, steps=(*last.steps[:-1], wrong))
        broken = replace(derivation, results=tuple(changed if r is last else r for r in derivation.results))
        assert {row.quantity for row in broken.verify(points=1).failures} == {key}


def test_plain_values_are_those_of_dual_numbers():
    attention = PROGRAMS["attention"]()
    sizes = stand_in_sizes(attention)
    point = Point(attention, sizes, random_leaves(attention, sizes, 1))
    for equation in attention.equations:
        for place in places(point.extents(equation.tensor)):
            letters = dict(zip(equation.indices, place, strict=True))
            assert point.compile_plain(equation.rhs)(letters) == point.compile(equation.rhs)(letters)[0]._mpf_


def test_several_disturbances_at_a_time_are_as_many_single_ones():
    program = deep("5 tanh", 2).program
    sizes = stand_in_sizes(program)
    point = Point(program, sizes, random_leaves(program, sizes, 1))
    equation = program.definitions["z2"]
    for by in ("W2", "a1", "b2"):
        for at in places(point.extents(equation.tensor)):
            for place in places(point.extents(program.tensors[by])):
                single = point._moved(equation, {by: {place: NUMBERS.one}}).get(at, NUMBERS.zero)
                assert point.partial(at, "z2", place, by) == single


def test_most_stand_in_sizes_of_a_deep_network_are_small_and_neighbours_differ():
    program = deep("5 tanh", 50).program
    for turn in range(3):
        sizes = stand_in_sizes(program, turn)
        widths = [number for symbol, number in sizes.items() if str(symbol) != "N"]
        assert all(one != other for one, other in pairwise(widths))
    assert stand_in_sizes(program, 2)[size("n_0")] != stand_in_sizes(program, 2)[size("n_2")]


# Imports


OTHERS = {"codegen", "lark", "math_core", "matplotlib", "numpy", "scipy", "symbolic.reading"}


def modules_after(statement):
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def collections_while(call):
    """How often Python looks for reference cycles."""
    begun = []

    def counted(phase, info):
        begun.append(phase)

    gc.callbacks.append(counted)
    try:
        call()
    finally:
        gc.callbacks.remove(counted)
    return begun.count("start")


def test_nobody_looks_for_cycles_while_expressions_are_made():
    """Python would look through all that is there, again and again: a third of the time of a derivation."""
    made = deep("5 tanh", 60)
    collections = {
        "derive": collections_while(lambda: deep("5 tanh", 60)),
        "matrix forms": collections_while(made.matrix_forms),
        "latex": collections_while(made.latex),
        "module": collections_while(lambda: module_source(made)),
    }
    # One wherever it goes on, for what has come up in between.
    assert all(count <= 6 for count in collections.values()), collections
    assert gc.isenabled()


@pytest.mark.parametrize("enabled", [True, False])
def test_whether_cycles_are_looked_for_is_as_before(enabled):
    try:
        (gc.enable if enabled else gc.disable)()
        with collection_paused():
            assert not gc.isenabled()
            with collection_paused():
                pass
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
        with pytest.raises(ValueError), collection_paused():
            raise ValueError
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_all_matrix_forms_at_once_are_those_of_each():
    made = deep("5 tanh", 3)
    named = [result.tensor.key for result in made.results if result.named]
    for stacked in (False, True):
        forms = made.matrix_forms(stacked)
        assert list(forms) == named and forms == {key: made.matrix_form(key, stacked) for key in named}
    i, j, k, n = index("i"), index("j"), index("k"), size("n")
    cube, cost = Tensor("w", "parameter", None, (n, n, n), (i, j, k)), Tensor("J", "cost")
    total = Sum(cube[i, j, k] ** 2, *(over(letter, n) for letter in (i, j, k)))
    with pytest.raises(NoMatrixForm):
        derive(Program((cube,), (Equation(cost, (), total),))).matrix_forms()


def test_deriving_does_not_import_what_writes_pages_or_verifies():
    loaded = modules_after("from symbolic import Network, derive; derive(Network.parse('2 -> 2 tanh; squared_error'))")
    assert "symbolic.backpropagation" in loaded
    pages = {"symbolic.latex", "symbolic.documents", "symbolic.pages", "symbolic.notations", "symbolic.diagrams"}
    assert not loaded & {*pages, "symbolic.verification", "symbolic.whys", "symbolic.notes", *OTHERS}


def test_no_public_name_imports_what_only_one_use_of_it_needs():
    loaded = modules_after("from symbolic import *")
    assert "symbolic.verification" in loaded
    assert not loaded & {"symbolic.documents", "symbolic.pages", "symbolic.whys", "symbolic.notes", "difflib", *OTHERS}


def test_help_needs_no_mathematics():
    loaded = modules_after("from codegen.cli import main; main(['--help'])")
    assert not loaded & {"sympy", "numpy", "symbolic"}


def test_entries_of_tables_are_made_when_they_are_asked_for():
    script = "from symbolic import ACTIVATIONS, Network; Network.parse('2 -> 2 tanh; squared_error')"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; print(*ACTIVATIONS._made)"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["tanh"]


@pytest.mark.parametrize("table", [ACTIVATIONS, LOSSES], ids=["activations", "losses"])
def test_every_entry_of_a_table_is_made_and_bears_its_name(table):
    assert [entry.name for entry in table.values()] == list(table) and len(table) == len(list(table))
    assert "none such" not in table
    with pytest.raises(TypeError):
        table["relu"] = None
    with pytest.raises(KeyError):
        table["none such"]


@pytest.mark.parametrize("package", ["symbolic", "codegen"])
def test_every_public_name_is_found(package):
    module = importlib.import_module(package)
    assert set(module.__all__) == set(module._HOMES) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_public_names_of_codegen_are_seen_before_anything_is_imported():
    assert not modules_after("import codegen; dir(codegen)") & {"sympy", "numpy", "symbolic"}
    assert "codegen.training" not in modules_after("from codegen import History")
