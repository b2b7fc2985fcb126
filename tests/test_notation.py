"""Notations: what their fields may hold, which letters are taken for one another, tasks, and pages in all of them."""

import dataclasses
import re
import shutil
import subprocess
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Abs, KroneckerDelta, Sum

from codegen import initialize, lambdify
from symbolic import LOSSES, NOTATIONS, Dense, Loss, Network, Notation, derive, index, over, size
from symbolic.calculus import SPARE_LETTERS
from symbolic.errors import DeltaformError, DeltaformWarning, NotationError, UsageError
from symbolic.layers import EXAMPLE, PREVIOUS_UNIT, UNIT
from symbolic.losses import h, y
from symbolic.notation import ROLES
from symbolic.notationchecks import (
    CHOICES,
    FLAGS,
    FUNCTION_COMMANDS,
    INDEX_LETTERS,
    LONGEST_SYMBOL,
    SYMBOLS,
    TABLES,
    checked_symbol,
)
from symbolic.notations import in_one_line, notation_named
from symbolic.tensors import Tensor

CS229 = NOTATIONS["cs229"]
PRESETS = pytest.mark.parametrize("preset", NOTATIONS.values(), ids=lambda preset: preset.name)
FIELDS = [field.name for field in dataclasses.fields(Notation)]

# ---------------------------------------------------------------------- fields


def test_replace_changes_only_the_entries_given():
    changed = CS229.replace(letters={"weight": r"\Theta"}, depth="L", widths={0: "d"})
    assert changed.letters == {**CS229.letters, "weight": r"\Theta"} and changed.depth == "L"
    assert dict(changed.widths) == {0: "d"} and changed.replace(widths={0: ""}).widths == {}
    assert CS229.letters["weight"] == "W" and changed != CS229
    assert changed.replace(depth="L", letters={"weight": "W"}, widths={0: ""}) == CS229
    # An own letter that is empty is as good as none; only an input without a letter says something.
    assert CS229.replace(letters={"output": "h"}).replace(letters={"output": ""}) == CS229
    assert CS229.replace(letters={"input": ""}) != CS229


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dpeth": "L"}, r"no field 'dpeth'; did you mean depth\?"),
        ({"weight": "w"}, r"'weight'; it is an entry of letters: letters.weight"),
        ({"self": 1}, "no field 'self'"),
        ({"letters": {"wieght": "w"}}, r"letters has 'wieght', which is no role; did you mean weight\?"),
        ({"letters": {"depth": "L"}}, "letters has 'depth', a field of its own: in a file it stands above"),
        ({"letters": {"weight": ""}}, r"letters.weight: '' is no symbol"),
        ({"letters": {"weight": "\theta"}}, r"letters.weight: '\\theta' is no symbol.*a backslash was lost"),
        ({"form": "matrices"}, "form must be one of 'matrix', 'component', not 'matrices'"),
        ({"first": True}, "first must be one of 0, 1, not True"),
        ({"first": 1.0}, "first must be one of 0, 1, not 1.0"),
        ({"bias_row": 1}, "bias_row must be true or false, not 1"),
        ({"bias_row": True}, "bias_row needs weight_rows = 'inputs'"),
        ({"layer": "[]"}, r"layer must hold {layer} once"),
        ({"layer": "[{layer}]{layer}"}, r"layer must hold {layer} once"),
        ({"layer": "[{layer}"}, "pairs of brackets"),
        ({"layer": "{layer}x"}, "letters that do not follow a place"),
        ({"layer": r"\input{layer}"}, "layer: "),
        ({"marks": "{layer}"}, "marks must hold {example} once"),
        ({"unit_index": "n"}, "unit_index must be a letter with the layer below"),
        ({"unit_index": r"\input_{layer}"}, "unit_index must be"),
        ({"widths": {"0": "d"}}, "widths has '0', which is no number of a layer"),
        ({"widths": {-1: "d"}}, "widths has -1"),
        ({"widths": {True: "d"}}, "widths has True"),
        ({"indices": {3: "d"}}, "indices has 3, which is no index letter"),
        ({"functions": {"a b": "f"}}, "functions has 'a b', which is no name"),
        ({"depth": "L(x)"}, r"depth: 'L\(x\)' is no symbol"),
        ({"partial": "d_x"}, "partial: 'd_x' is no symbol"),
        ({"letters": {"width": "n_x"}}, "letters.width: 'n_x' is no symbol"),
        ({"letters": {"weight": "x_1_2"}}, "letters.weight: 'x_1_2' is no symbol"),
        ({"letters": ["W"]}, r"letters must be a table, such as .*, not \['W'\]"),
        ({"name": ""}, "the name of a notation must be a word"),
        ({"name": "a\nb"}, "the name of a notation must be a word"),
    ],
)
def test_a_field_that_cannot_be_is_named(changes, message):
    with pytest.raises(NotationError, match=message) as caught:
        CS229.replace(**changes)
    assert isinstance(caught.value, UsageError) and caught.value.fields and len(str(caught.value)) < 900
    assert caught.value.fields[0][0] in changes


@pytest.mark.parametrize(
    "value", [None, 3.5, 7, [], [1], {}, {"a": []}, b"x", object(), np.zeros(3), "\0", "é", "x" * 99]
)
@pytest.mark.parametrize("field", FIELDS)
def test_nothing_odd_is_held_or_ends_in_a_traceback(field, value):
    try:
        held = CS229.replace(**{field: value})
    except DeltaformError as error:
        assert isinstance(error, NotationError) and len(str(error)) < 900
    else:
        assert (field in TABLES and value == {}) or (field == "name" and value == "é"), held


def test_letters_missing_from_a_notation_are_listed():
    with pytest.raises(NotationError, match="letters has none for input, target"):
        Notation("mine", {"weight": "W"})


@pytest.mark.parametrize("wrong", [None, 3, [], "nothing", "x" * 5000])
def test_a_notation_that_is_not_known_is_refused(wrong):
    with pytest.raises(UsageError, match=r"is not known; .*known: cs229, goodfellow") as caught:
        notation_named(wrong)
    assert len(str(caught.value)) < 300


# ---------------------------------------------------------------------- hostile symbols

HOSTILE = [
    r"\input{/etc/passwd}", r"\write18{ls}", r"x}\input{a}{", "$", "x$", "%", "x%", "W\n", "\nW", "W\\", "{", "}",
    "{W}", "\ufb00", "\uff37", "\u1e82", "\uff11", "x" * 70_000, r"\mathrm{" * 9_000, r"\def\x{}", r"\deltax", "W #1",
    r"\mathcal{L}}", r"\mathrm{a}b", r"\mathrm{\input{x}}", "a&b", "a~b", r"\\", r"\ ", "^^41", "x_{^^41}",
    r"\mathbb{1}", r"\csname x\endcsname", "W\u200b",
]  # fmt: skip
STRINGS = [field for field in FIELDS if field not in (*TABLES, *FLAGS, "first", "first_layer", "name")]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_are_refused_everywhere(hostile):
    started = time.perf_counter()
    for field in STRINGS:
        for value in (hostile, f"[{{layer}}{{example}}]{hostile}", f"n_{{layer}}{hostile}"):
            with pytest.raises(NotationError):
                CS229.replace(**{field: value})
    for table, key in (*(("letters", role) for role in ROLES), ("indices", "p"), ("widths", 0), ("functions", "tanh")):
        with pytest.raises(NotationError):
            CS229.replace(**{table: {key: hostile}})
    assert time.perf_counter() - started < 2


COMMANDS = {
    "partial", "nabla", "top", "intercal", "mathrm", "mathbf", "mathit", "mathsf", "operatorname", "boldsymbol",
    "mathcal", "mathbb", "hat", "bar", "tilde", "vec", "dot", "check", "overline", "widehat", "widetilde",
} | FUNCTION_COMMANDS  # fmt: skip
PIECES = [
    *"abxLT19*+-_^(), []{}$%\\\n'\"&#~é", r"\delta", r"\mathcal{L}", r"\mathrm{in}", r"\hat{y}", r"\input", r"\theta",
    r"\operatorname{", "_{", "^{", "(x)", r"\write18", "\0",
]  # fmt: skip
texts = st.one_of(st.text(max_size=90), st.lists(st.sampled_from(PIECES), max_size=14).map("".join))


@settings(max_examples=1500, deadline=None)
@given(text=texts, kind=st.sampled_from(["argument", "scripts", "script", "bare"]))
def test_what_is_accepted_is_safe(text, kind):
    try:
        assert checked_symbol(text, "test", kind) == text
    except NotationError:
        return
    assert len(text) <= LONGEST_SYMBOL and set(re.findall(r"\\([A-Za-z]+)", text)) <= COMMANDS
    assert re.fullmatch(r"(?:[A-Za-z0-9 ()\[\],+*^_{}-]|\\(?=[A-Za-z]))+", text, re.ASCII)
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    outside = re.sub(r"\{(?:[^{}]|\{[^{}]*\})*\}", "", text)
    assert outside.count("^") <= (kind in ("argument", "scripts")) and outside.count("_") <= (2 if "(" in text else 1)


@pytest.mark.parametrize("kind", ["argument", "scripts", "script", "bare"])
def test_no_text_takes_long(kind):
    for start in ("", "x_{", r"x_{\mathrm{", r"\hat{\mathrm{", "x(", "x_{a}^{", r"\mathrm{"):
        for unit in ("a", "a ", r"\alpha", r"\mathrm{a}", "x,", "x_1, ", "+", " ", "_", "{", "("):
            text = (start + unit * LONGEST_SYMBOL)[: LONGEST_SYMBOL - 1] + "!"
            started = time.perf_counter()
            with pytest.raises(NotationError):
                checked_symbol(text, "test", kind)
            assert time.perf_counter() - started < 0.05


# ---------------------------------------------------------------------- letters that must differ


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        ("cs229", {"letters": {"weight": "b"}}, "letters.weight and letters.bias are both b"),
        ("cs229", {"letters": {"output": "y"}}, "letters.target and letters.output are both y"),
        ("cs229", {"letters": {"weight_entry": "b"}}, "letters.bias and letters.weight_entry are both b"),
        ("cs229", {"letters": {"weight": "X"}}, "letters.weight and the matrix of letters.input are both X"),
        (
            "cs229",
            {"letters": {"preactivation": "n", "width": "m"}},
            "matrix of letters.preactivation and examples are",
        ),
        ("cs229", {"examples": "x"}, "letters.input and examples are both x"),
        ("cs229", {"identity": "J"}, "letters.cost and identity are both J"),
        ("cs229", {"widths": {0: "d", 1: "d"}}, "widths.0 and widths.1 are both d"),
        ("cs229", {"widths": {0: "n_1"}}, "widths.0 is n_1, which is how the width of a layer is written"),
        ("cs229", {"indices": {"j": "i", "s": "i"}}, "indices.j and indices.s are both i"),
        ("stacked", {"indices": {"j": "j"}}, "indices.j and indices.s are both j"),
        ("stacked", {"indices": {"j": "d"}}, "widths.0 and indices.j are both d"),
        ("cs229", {"indices": {"j": "x"}}, "letters.input and indices.j are both x"),
        ("cs229", {"indices": {"j": "N"}}, "examples and indices.j are both N"),
        ("cs229", {"indices": {"j": "n_2"}}, "indices.j is n_2, which is how the width"),
        ("post", {"indices": {"j": "L"}}, "indices.j and depth are both L"),
        ("post", {"indices": {"p": "l"}}, "indices.p and any_layer are both l, and stand in one place"),
        (
            "vec",
            {"layer_below": True, "indices": {"k": "k"}},
            "indices.k and any_layer are both k, and stand in one place",
        ),
        ("cs229", {"depth": "k", "any_layer": "k"}, "depth and any_layer are both k"),
        ("index", {"unit_index": "N_{layer}"}, "unit_index and letters.width are both written"),
        ("cs229", {"unit_index": "a_{layer}", "layer_below": True}, "unit_index and letters.activation are both"),
        ("cs229", {"layer": "{layer}", "transpose": "T", "depth": "T"}, "T above a letter is depth and the transpose"),
        ("nielsen", {"transpose": "x", "transpose_brackets": ""}, "x above a letter is example and the transpose"),
        ("nielsen", {"marks": "{layer}{example}"}, "marks would write a layer and an example as one word"),
        ("cs229", {"functions": {"sigmoid": "f", "tanh": "f"}}, "functions.sigmoid and functions.tanh are both f"),
    ],
)
def test_letters_that_would_be_taken_for_one_another(base, changes, message):
    with pytest.raises(NotationError, match=message):
        NOTATIONS[base].replace(**changes)


def test_what_cannot_be_confused_is_allowed():
    CS229.replace(letters={"weight_entry": "W", "output": "a", "width": "m"}, indices={"p": "n"}, widths={2: "n_2"})
    CS229.replace(letters={"loss": "L"}, depth="L", indices={"j": r"\ell"})
    NOTATIONS["nielsen"].replace(first_layer=0, widths={1: "n_1"})


@PRESETS
def test_no_two_indices_are_written_alike(preset):
    """Those that equations use, and those that somebody's own program has."""
    assert set(SPARE_LETTERS) | {EXAMPLE.name, UNIT.name, PREVIOUS_UNIT.name} <= set(INDEX_LETTERS)
    written = preset.index_letters
    assert set(INDEX_LETTERS) <= set(written) and dict(preset.indices).items() <= dict(written).items()
    names = [*INDEX_LETTERS, "o", "n", "x", "a", "p_1", "i_1"]
    assert len({preset.index(index(name)) for name in names}) == len(names)
    for number in (3, 9):  # whichever letters are renamed
        changed = preset.replace(indices={INDEX_LETTERS[number]: r"\tilde{v}"})
        assert len({changed.index(index(name)) for name in names}) == len(names)


def test_a_letter_gives_way_to_what_is_called_so():
    changed = CS229.replace(indices={"j": "i"}, letters={"target": "t"})
    assert changed.index(index("j")) == "i" and changed.index(index("i")) == "j" and changed.index(index("t")) != "t"


# ---------------------------------------------------------------------- what is written


def test_changed_letters_reach_the_page():
    j, s, n = index("j"), index("s"), size("n_1")
    W, a = Tensor("W", "parameter", 2, (size("n_2"), n), (j, s)), Tensor("a", "activation", 1, (n,), (j,))
    mine = CS229.replace(letters={"weight": r"\Theta"}, layer="({layer})", indices={"s": "k"})
    assert mine.write(Sum(W[j, s] * a[s], over(s, n))) == r"\sum_{k=1}^{n_1} \Theta_{jk}^{(2)} a_k^{(1)}"
    assert mine.write(KroneckerDelta(j, s)) == "[j = k]"


def test_marks_make_no_double_scripts():
    mine = CS229.replace(transpose="T", layer="{layer}")
    assert mine.marked("W", r"\ell", transposed=True) == r"W^{\ell T}"
    assert mine.marked("W^*", transposed=True) == "{W^*}^T"
    assert mine.marked("x_{in}", "2", ["j"]) == "{x_{in}}_j^2"
    assert mine.marked(r"\hat{y}_1", None, ["j"]) == r"{{}\hat{y}_1}_j"
    assert mine.marked(r"\mathcal{L}(\theta)", None, (), "p") == r"\mathcal{L}^{(p)}(\theta)"
    words = mine.replace(transpose=r"\mathrm{T}", transpose_brackets="()")
    assert words.marked("W", "2", transposed=True) == r"(W^2)^{\mathrm{T}}" and words.marked("y", transposed=True) == (
        r"y^{\mathrm{T}}"
    )


@PRESETS
def test_one_line_says_how_a_layer_is_written(preset):
    line = in_one_line(preset)
    assert line.startswith(f"{preset.name} ") and preset.any_layer in line and "\n" not in line
    assert preset.letters["preactivation"] in line and preset.sense in line


# ---------------------------------------------------------------------- tasks


def test_a_loss_is_turned_round_to_that_of_the_table_if_there_is_one():
    turned = {name: loss.turned() for name, loss in LOSSES.items()}
    assert turned["binary_cross_entropy"] is LOSSES["log_likelihood"]
    assert turned["log_likelihood"] is LOSSES["binary_cross_entropy"]
    assert turned["cross_entropy"].name == "negated_cross_entropy" and turned["cross_entropy"].labels
    for name, loss in LOSSES.items():
        assert turned[name].sense != loss.sense and turned[name].turned() == loss
        assert turned[name].expression + loss.expression == 0
        assert turned[name].target_sums_to_one == loss.target_sums_to_one


def test_own_and_undefined_losses_are_turned_round():
    absolute = Loss("absolute", Abs(h - y))
    turned = absolute.turned()
    assert (turned.name, turned.sense, turned.turned()) == ("negated_absolute", "maximise", absolute)
    unknown = Loss.undefined("c")
    assert unknown.turned().expression == unknown.expression and unknown.turned().spelling == "c(y,h)"
    assert unknown.turned().sense == "maximise" and unknown.turned().turned() == unknown
    # The name of a loss of the table is never given to another formula.
    assert Loss("negated_squared_error", h**4 + y).turned().name == "negated_negated_squared_error"
    assert len(Loss("x" * 40, h + y).turned().name) == 40


@PRESETS
def test_a_network_is_stated_as_the_notation_has_it(preset):
    network = Network.parse("3 -> 2 sigmoid; binary_cross_entropy")
    stated = preset.convention(network)
    assert stated.loss.sense == preset.sense and (stated.examples is None) == (preset.over == "one")
    assert preset.over == "one" or stated.reduction == preset.over
    assert preset.convention(stated) == stated and network.loss is LOSSES["binary_cross_entropy"]
    assert CS229.convention(stated) == network
    assert preset.convention(Network.parse("3 -> 2; c(y,h)", examples="M")).examples in ("M", None)


def test_what_was_said_of_a_network_is_not_said_again():
    with pytest.warns(DeltaformWarning) as caught:
        network = Network(3, [Dense(2, "softmax")], "half_squared_error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert NOTATIONS["index"].convention(network).loss.sense == "maximise"
    assert len(caught) == 1


@PRESETS
def test_gradients_agree_in_every_notations_task(preset):
    """Up to the factor that the notation's task says: 1/N for the mean, -1 for a cost to be maximised."""
    network = Network.parse("3 -> 4 tanh -> 5 sigmoid -> 2 sigmoid; binary_cross_entropy")
    N = 1 if preset.over == "one" else 6
    random = np.random.default_rng(0)
    X, Y, params = random.normal(size=(N, 3)), random.uniform(size=(N, 2)), initialize(network, seed=1)
    loss, gradients = lambdify(derive(network)).loss_and_gradients(params, X, Y)
    factor = (N if preset.over == "sum" else 1) * (-1 if preset.sense == "maximise" else 1)
    stated = lambdify(derive(preset.convention(network)))
    arrays = (X[0], Y[0]) if preset.over == "one" else (X, Y)
    its_loss, its_gradients = stated.loss_and_gradients(params, *arrays)
    assert its_loss == pytest.approx(factor * loss, rel=1e-12)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(its_gradients[key], factor * gradient, rtol=1e-12, atol=1e-14)


# ---------------------------------------------------------------------- pages

PAGE = "3 -> 4 sigmoid -> 2 softmax; cross_entropy"
WIDE = "5 -> 4 gelu -> 3 gelu_tanh -> 2 sigmoid; binary_cross_entropy"
# Marks, scripts, accents and words wherever they may stand.
ODD = CS229.replace(
    name="odd",
    letters={
        "input": r"\tilde{\mathbf{x}}_{in}", "activation": r"\bar{v}^*_1", "preactivation": r"u^{(a), b+1}(x, y_1)",
        "weight": r"W^\theta", "bias": r"\mathrm{bias}", "loss": r"L_*(\hat{y})", "adjoint": r"\boldsymbol{\delta}^{*}",
        "width": r"\operatorname{dim}", "output": r"\hat{\mathbf{y}}",
    },
    layer="{layer}", depth=r"\Lambda_1", transpose="T", partial=r"\mathrm{d}", nabla="D", identity="E_n",
    ones=r"\mathbf{e}", indices={"j": r"\kappa", "s": "k_1"}, widths={1: "w_{1}"}, hadamard=r"\ast",
    functions={"sigmoid": r"\operatorname{sig}^{(1)}_{in}"}, long_adjoint=r"\widehat", named_adjoint=r"\vec",
)  # fmt: skip
BELOW = ODD.replace(
    name="below", layer_below=True, example_below=True, weight_rows="inputs", first=0, marks="{layer},{example}"
)
PDFLATEX = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed: apt-get install texlive-latex-base"
)


def set_by_pdflatex(page, folder):
    (folder / "page.tex").write_text(page)
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    log = (folder / "page.log").read_text(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert not re.findall(r"Overfull.*|Missing character.*", log)


@PDFLATEX
@pytest.mark.parametrize("form", ["matrix", "component"])
@PRESETS
def test_pdflatex_sets_every_notation_without_an_overfull_line(preset, form, tmp_path):
    derivation = derive(preset.convention(Network.parse(PAGE)))
    pages = [derivation.latex(preset, form, detail) for detail in ("result", "layer", "rule")]
    assert len(set(pages)) == 3
    for page in pages:
        set_by_pdflatex(page, tmp_path)
    set_by_pdflatex(derive(preset.convention(Network.parse(WIDE))).latex(preset, form, "rule"), tmp_path)


@PDFLATEX
@pytest.mark.parametrize("form", ["matrix", "component"])
@pytest.mark.parametrize("odd", [ODD, BELOW], ids=["odd", "below"])
def test_pdflatex_sets_odd_notations(odd, form, tmp_path):
    set_by_pdflatex(derive(odd.convention(Network.parse(PAGE))).latex(odd, form, "rule"), tmp_path)


@pytest.mark.parametrize("preset", NOTATIONS)
def test_the_task_as_a_notation_states_it_is_verified_and_its_pages_say_so(preset):
    notation = NOTATIONS[preset]
    derivation = derive(notation.convention(Network.parse("3 -> 4 tanh -> 2 sigmoid; binary_cross_entropy")))
    report = derivation.verify(points=1)
    assert report.ok, report
    assert {"m", "t"} <= {row.number[-1] for row in report.rows if not row.number[-1].isdigit()}, (
        "no matrix form was checked"
    )
    for form in ("component", "matrix"):
        for detail in ("result", "layer", "rule"):
            page = derivation.latex(notation, form, detail, report)
            assert "All of them hold." in page and f"are {len(report.rows)} equalities" in page


def test_the_form_is_that_of_the_notation_if_none_is_given():
    derivation = derive(Network.parse(PAGE))
    for preset in (CS229, NOTATIONS["vec"]):
        assert derivation.latex(preset) == derivation.latex(preset, form=preset.form)
    assert derivation.latex(form="component") != derivation.latex()


def test_every_field_is_checked():
    """A new field has a place in one of the tables of checks."""
    marks = {"layer", "example", "marks", "unit_index"}
    assert set(FIELDS) == {"name", *CHOICES, *FLAGS, *TABLES, *SYMBOLS, *marks}


@pytest.mark.parametrize(
    "changes",
    [
        {"letters": {"cost": r"\log"}},
        {"letters": {"weight": r"\exp"}},
        {"layer": "{layer},"},
        {"example": ",{example}"},
    ],
)
def test_functions_are_no_letters_and_marks_end_in_no_comma(changes):
    with pytest.raises(NotationError):
        NOTATIONS["cs229"].replace(**changes)
