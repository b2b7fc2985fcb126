"""Questions with answers: what they claim holds, and none is asked where its answer would be false."""

import re
import time
import warnings
from functools import cache

import programs
import pytest
from sympy import Piecewise, Sum, Symbol, asin, cancel, cosh, exp, fraction, lambdify, log, sqrt, tanh, together

from symbolic import Activation, Dense, Equation, Loss, Network, Program, Tensor, derive, index, over, size
from symbolic.activations import z
from symbolic.losses import h, y
from symbolic.notations import NOTATIONS
from symbolic.pages.blocks import Formula
from symbolic.tensors import elements, key_of
from symbolic.vocabulary import Vocabulary
from symbolic.whys import WHYS, Whys, whys
from symbolic.whys.cancelling import _flat_ends, _meeting
from symbolic.whys.subject import Subject, Uses
from symbolic.whys.sums import _crossing

SQUARED = "3 -> 4 relu -> 2 sigmoid; half_squared_error"
ENTROPY = "3 -> 4 tanh -> 2 sigmoid; binary_cross_entropy"
SOFTMAX = "3 -> 4 tanh -> 2 softmax; cross_entropy"
UNDEFINED = "3 -> 4 g(z) -> 2 phi(z); c(y,h)"


@cache
def derived_text(text, notation):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return derive(NOTATIONS[notation].convention(Network.parse(text)))


def derived(source, notation="cs229"):
    if isinstance(source, str):
        return derived_text(source, notation)
    return source if hasattr(source, "parts") else derive(source)


def printers(derivation, notation="cs229"):
    for part in derivation.parts:
        yield part, Vocabulary.of(part.program, part.tensors).printer(NOTATIONS[notation])


def plain(text):
    return "".join(f"${piece.latex}$" if isinstance(piece, Formula) else piece for piece in text)


def asked(source, notation="cs229", form="matrix"):
    """(key of the result, question, answer) of everything that a page asks."""
    page = Whys(form)
    return [
        (result.tensor.key, plain(why.question), plain(why.answer))
        for part, printer in printers(derived(source, notation), notation)
        for result in part.results
        for why in page.of(part, result, printer)
    ]


def subject_of(source, key, form="matrix", notation="cs229"):
    derivation = derived(source, notation)
    part, printer = next(pair for pair in printers(derivation, notation) if key in pair[0].tensors)
    return Subject(part, part[key], printer, form, Uses(part))


def questions(source, word, **options):
    return [(key, question, answer) for key, question, answer in asked(source, **options) if word in question]


# ---------------------------------------------------------------------- cancelling


@pytest.mark.parametrize("source", [ENTROPY, "3 -> 2 sigmoid; log_likelihood"])
def test_the_slope_cancels_under_cross_entropy(source):
    ((key, question, answer),) = questions(source, "cancel")
    assert key.startswith("delta") and question.startswith(r"Why does $\sigma'(z") and "not" not in question
    meeting = _meeting(subject_of(source, key))
    # What is said: a factor of the one is in the denominator of the other, it is all of the slope, and it is gone.
    assert cancel(meeting.common - meeting.form) == 0
    assert not list(elements(fraction(cancel(meeting.form / meeting.common))[1]))
    assert not list(elements(fraction(cancel(fraction(together(meeting.value))[1] / meeting.common))[1]))
    assert not list(elements(fraction(together(subject_of(source, key).final))[1]))
    assert "is still corrected" in answer


@pytest.mark.parametrize(
    "activation", ["sigmoid", "tanh", "softplus", "relu", "gelu", Activation("gaussian", exp(-(z**2)))], ids=str
)
@pytest.mark.parametrize("loss", ["half_squared_error", "squared_error"])
def test_the_slope_stays_under_squared_error(activation, loss):
    network = Network(3, [Dense(2, activation)], loss)
    ((key, question, answer),) = questions(network, "cancel")
    assert "not cancel" in question and "the factor stays" in answer
    subject = subject_of(network, key)
    meeting = _meeting(subject)
    assert cancel(together(subject.final - meeting.value * meeting.form)) == 0  # the whole slope is in the last form


@pytest.mark.parametrize("source", ["3 -> 4 tanh -> 2; half_squared_error", UNDEFINED, "3 -> 2 sigmoid; c(y,h)"])
def test_nothing_is_said_of_cancelling_where_there_is_no_slope_or_nothing_is_known(source):
    assert not questions(source, "cancel") and not questions(source, "stay")


def test_nothing_is_said_of_an_output_that_is_not_the_last():
    assert not questions(programs.residual_block(), "cancel")


def test_a_linear_loss_says_nothing_of_wrong_outputs():
    ((_, _, answer),) = questions(Network(3, [Dense(2, "sigmoid")], Loss("linear", -y * h)), "cancel")
    assert "the factor stays" in answer and "wrong" not in answer


def test_a_linear_function_has_no_slope_to_cancel():
    assert not questions(Network(3, [Dense(2, Activation("double", 2 * z))], "half_squared_error"), "cancel")


def test_a_part_of_the_slope_cancels():
    network = Network(3, [Dense(2, "sigmoid")], Loss("surprise", -y * log(h), output_interval=(0, 1)))
    ((_, question, answer),) = questions(network, "cancel")
    assert question.startswith("Why does only a part") and "is still corrected" not in answer
    meeting = _meeting(subject_of(network, "delta1"))
    assert key_of(meeting.common) == "a1" and cancel(meeting.form - meeting.common * meeting.rest) == 0


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        (exp(2 * z), -y * log(h)),
        (3 * exp(2 * z), h - y * log(h)),
        (z**2, y * log(h)),
        (z**3, y * log(h)),
        ("sigmoid", y / sqrt(h)),
        ("sigmoid", y * asin(sqrt(h))),
        ("softmax", y / sqrt(h)),
        (log(cosh(z)), exp(h)),
        (log(1 + exp(z)), exp(h) * y),
        (1 / (1 + z**2), h**2),
        (z * exp(z), -y * log(h)),
    ],
    ids=str,
)
def test_a_slope_is_not_said_to_stay_where_it_may_cancel_in_another_writing(activation, loss):
    activation = activation if isinstance(activation, str) else Activation("g", activation)
    network = Network(3, [Dense(2, activation)], Loss("m", loss))
    assert not questions(network, "cancel") and not questions(network, "stay")


@pytest.mark.parametrize("activation", [exp(-z), exp(-(z**2)), 5 * exp(3 - z)], ids=str)
def test_the_denominator_is_said_as_it_is(activation):
    network = Network(3, [Dense(2, Activation("g", activation))], Loss("m", -y * log(h)))
    found = questions(network, "cancel")
    meeting = _meeting(subject_of(network, "delta1"))
    assert "has $a_j^{[1]}$ in its denominator" in found[0][2] and "the same" not in found[0][2]
    assert key_of(meeting.common) == "a1" and cancel(meeting.form - meeting.common * meeting.rest) == 0


def test_a_denominator_has_the_signs_that_the_page_gives_it():
    loss = Loss("m", -y * log((1 + h) / 2) - (1 - y) * log((1 - h) / 2))
    ((_, question, answer),) = questions(Network(3, [Dense(2, "tanh")], loss), "cancel")
    below = re.search(r"= \\frac\{[^$]*\}\{([^$]*)\}\$ has \$([^$]*)\$ in its denominator", answer)
    assert question.startswith("Why does $") and below.group(1) == below.group(2)


def test_nothing_cancels_in_a_form_that_does_not_show_it():
    network = Network(3, [Dense(2, "softmax")], Loss("m", y / h))
    assert not questions(network, "cancel") and not questions(network, "stay")


def test_softmax_cancels_under_cross_entropy_and_stays_under_squared_error():
    ((_, question, answer),) = questions(SOFTMAX, "cancel")
    assert question == "Why does $a_i^{[2]}$ cancel?"
    assert answer.endswith("= a_j^{[2]} - y_j$, because the target's entries sum to 1.")
    ((_, question, answer),) = questions("3 -> 2 softmax; half_squared_error", "stay")
    assert question == "Why does $a_j^{[1]}$ stay as a factor?"
    assert not questions("3 -> 2 softmax; half_squared_error", "cancel") and not questions(SOFTMAX, "stay")


@pytest.mark.parametrize(
    ("activation", "ends", "words"),
    [
        ("sigmoid", {-1, 1}, "far below or far above 0"),
        ("tanh", {-1, 1}, "far below or far above 0"),
        ("softplus", {-1}, "far below 0"),
        ("relu", {-1}, "for every $z_j^{[1]} < 0$"),
        (Activation("ramp", Piecewise((-1, z < -1), (2, z > 2), (z, True))), {-1, 1}, "< -1$ and every"),
        ("silu", {-1}, "far below 0"),
        ("gelu", {-1}, "far below 0"),
        ("elu", {-1}, "far below 0"),
        ("leaky_relu", set(), None),
        (Activation("wave", tanh(z) + z), set(), None),
    ],
)
def test_learning_is_called_slow_where_it_is(activation, ends, words):
    network = Network(3, [Dense(2, activation)], "half_squared_error")
    subject = subject_of(network, "delta1")
    meeting = _meeting(subject)
    assert {end.sign for end in _flat_ends(meeting)} == ends
    ((_, _, answer),) = questions(network, "cancel")
    assert (words in answer) if words else ("learn" not in answer)
    # The claim by numbers: far out on that side the derivative is tiny though the target is off by 5.
    place, target = Symbol("t"), next(e for e in elements(meeting.value) if key_of(e) == "y")
    output = meeting.user.rhs.xreplace({subject.element: place})
    total = (meeting.value * meeting.form).xreplace({meeting.loss.by: output, subject.element: place})
    delta = lambdify(place, total.xreplace({target: output.xreplace({place: 0}) + 5}), "mpmath")
    for sign in (-1, 1):
        assert (abs(delta(60.0 * sign)) < 1e-9) == (sign in ends)


def test_nothing_is_said_of_the_speed_where_a_limit_takes_too_long():
    ((_, _, answer),) = questions("3 -> 2 gelu_tanh; half_squared_error", "cancel")
    assert "the factor stays" in answer and "learn" not in answer


def test_a_dead_unit_learns_nothing():
    ((_, _, answer),) = questions("3 -> 2 relu; half_squared_error", "cancel")
    assert r"is 0, for every $z_j^{[1]} < 0$, this derivative is too" in answer and answer.endswith(
        "nothing is learnt."
    )
    ((_, _, answer),) = questions(SQUARED, "cancel")
    assert "nearly 0" in answer and answer.endswith("learning is slow.")


# ---------------------------------------------------------------------- transposes


@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_answer_shows_two_sums_over_the_two_indices_of_the_weights(notation):
    _key, _question, answer = next(found for found in asked(SQUARED, notation, "component") if found[0] == "adj_a1")
    *own, forward, backward = re.findall(r"\$(?:[^$]* = [^$]*)\$", answer)
    equation = next(e for e in derived(SQUARED, notation).parts[0].program.equations if e.tensor.key == "z2")
    ((_, printer),) = printers(derived(SQUARED, notation), notation)
    assert (own or [forward]) == [f"${printer.doprint(equation.lhs)} = {printer.doprint(equation.rhs)}$"]
    weights = [re.search(r"[Ww]_\{([^0{}][^{}]*)\}\^", formula).group(1) for formula in (forward, backward)]
    assert weights[0] == weights[1]  # one and the same entry of W in both sums
    letters = re.findall(r"[a-z]_\d|[a-z]", weights[0])
    assert len(letters) == 2
    over_forward, over_backward = (re.search(r"\\sum_\{(.*?)=1\}", side).group(1) for side in (forward, backward))
    said = re.findall(r"sum over \$([^$]*)\$, the (first|second) index", answer)
    assert [letter for letter, _ in said] == [over_forward, over_backward]
    for letter, place in said:
        assert letters[("first", "second").index(place)] == letter
    assert {place for _, place in said} == {"first", "second"}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_question_is_about_the_weights_as_the_notation_has_them(notation):
    _key, question, answer = next(found for found in asked(SQUARED, notation, "matrix") if found[0] == "adj_a1")
    turned = NOTATIONS[notation].weight_rows == "outputs"
    assert ("and not" in question) == turned and ("here, where the forward pass has" in question) != turned
    assert ("takes the transpose" in answer) == turned
    assert ("With the examples in rows" in answer) == NOTATIONS[notation].batch


def test_the_forward_sum_of_the_answer_is_the_equation_with_other_letters():
    subject = subject_of(SQUARED, "adj_a1")
    crossing = _crossing(subject)
    back = dict(zip(crossing.equation[0].indices, crossing.user.lhs.indices, strict=True))
    assert crossing.equation[0].xreplace(back) == crossing.user.lhs
    assert (crossing.forward, crossing.backward) == (1, 0)
    (forward,) = [limit[0] for term in crossing.equation[1].args for limit in getattr(term, "limits", ())]
    assert forward == crossing.held[0] and forward in subject.result.indices
    assert crossing.summed[0] in crossing.equation[0].indices


def test_a_matrix_on_the_right_is_spoken_of_as_such():
    _key, _question, answer = questions(programs.attention(), "and not")[0]
    assert "A matrix on the right of a product is summed over its first index" in answer


def test_no_transpose_is_asked_about_where_there_is_none():
    assert not questions("3 -> 2 sigmoid; half_squared_error", r"\top}$ and not")


def test_one_weight_alone_is_an_outer_product_in_matrices_and_one_term_in_components():
    ((key, _question, answer),) = questions(SQUARED, "outer product")
    assert key == "each_dW2" and r"[i = j] a_s^{[1]}" in answer and answer.endswith("a column times a row.")
    ((key, _question, answer),) = questions(SQUARED, "no sum", form="component")
    assert key == "each_dW2" and "matri" not in answer


# ---------------------------------------------------------------------- sums over the examples


@pytest.mark.parametrize(("reduction", "word"), [("mean", "mean"), ("sum", "sum")])
def test_gradients_of_parameters_add_up_over_the_examples(reduction, word):
    ((key, question, answer),) = questions(Network.parse(SOFTMAX).replace(reduction=reduction), "over the examples")
    assert key == "db2" and word in question
    assert "has no index $p$ of an example" in answer and r"\sum_{p=1}^{N}" in answer
    assert r"$\frac{\partial \mathcal{L}^{(p)}}{\partial b_j^{[2]}} = \delta_j^{[2](p)}$" in answer
    assert r"\Delta^{[2]\top} \mathbf{1}" in answer


def test_where_no_bias_is_shown_the_weights_are_asked_about():
    network = NOTATIONS["cs229"].convention(Network.parse(SOFTMAX))
    found = questions(derive(network, wrt=["W1", "W2", "b1"]), "over the examples")
    assert [key for key, _, _ in found] == ["dW2"] and r"\Delta^{[2]\top} A^{[1]}" in found[0][2]
    assert "whose left factor is transposed" in found[0][2]


def test_with_one_example_there_is_no_sum_over_examples():
    assert not questions(Network.parse(SOFTMAX).replace(examples=None), "over the examples")


def test_an_axis_that_is_no_examples_axis_is_summed_over_for_the_same_reason():
    found = {key: (question, answer) for key, question, answer in asked(programs.layer_norm(), form="component")}
    question, answer = found["dscale" if "dscale" in found else "dgamma"]
    assert "example" not in question + answer and "has no index" in answer


# ---------------------------------------------------------------------- the rest of the table


def test_a_kink_is_named_with_both_slopes_and_a_smooth_border_is_not():
    ((key, _question, answer),) = questions(SQUARED, "What is")
    assert (
        key == "delta1" and "slope $0$ on the one side and $1$ on the other" in answer and answer.endswith("gives $0$.")
    )
    assert not questions("3 -> 4 elu -> 2; half_squared_error", "What is")
    ((_, _, answer),) = questions("3 -> 4 leaky_relu -> 2; half_squared_error", "What is")
    assert "slope $0.01$ on the one side and $1$" in answer


def test_of_a_product_it_is_the_left_factor_that_is_transposed():
    (n, m), (j, s) = (size("n"), size("m")), (index("j"), index("s"))
    x, W = Tensor("h", "input", shape=(n,), indices=(s,)), Tensor("W", "parameter", shape=(m, n), indices=(j, s))
    g, loss = Tensor("g", shape=(m,), indices=(j,)), Tensor("L", "loss")
    program = Program(
        leaves=(x, W),
        equations=(
            Equation(g, (j,), Sum(W[j, s] * tanh(x[s]), over(s, n))),
            Equation(loss, (), Sum(g[j] ** 3, over(j, m))),
        ),
    )
    ((key, question, answer),) = questions(derive(program, wrt=["h", "W"]), "Where is the sum")
    assert key == "dh" and r"\circ" in question
    assert r"the sum is inside the product $W^{\top} \bar{g}$, whose left factor is transposed" in answer


def program_of(equation, *leaves):
    """v_j = something for j < m, and L = sum of v_j^3."""
    v, loss = Tensor("v", shape=(M,), indices=(J,)), Tensor("L", "loss")
    equations = (Equation(v, (J,), equation), Equation(loss, (), Sum(v[J] ** 3, over(J, M))))
    return derive(Program(leaves=leaves, equations=equations))


N, M, J, S = size("n"), size("m"), index("j"), index("s")
X, WEIGHT = Tensor("x", "input", shape=(N,), indices=(S,)), Tensor("W", "parameter", shape=(M, N), indices=(J, S))
SCALE, FACTOR = Tensor("b", "parameter", shape=(M,), indices=(J,)), Tensor("c", "parameter")


def test_a_weight_is_said_to_be_multiplied_only_where_it_is():
    for other in (Sum(WEIGHT[J, S] ** 2 * X[S], over(S, N)), tanh(Sum(WEIGHT[J, S] * X[S], over(S, N)))):
        ((_, _, answer),) = questions(program_of(other, X, WEIGHT), "no sum", form="component")
        assert "multiplied" not in answer and "$W_{js}$ is in $v_j$ alone: $" in answer
    scaled = program_of(SCALE[J] * Sum(WEIGHT[J, S] * X[S], over(S, N)), X, WEIGHT, SCALE)
    ((_, _, answer),) = questions(scaled, "no sum", form="component")
    assert "multiplied by $b_j x_s$" in answer and "only one term is left" in answer


def test_it_is_not_asked_where_a_sum_is_in_matrices_if_the_answer_does_not_say_it():
    scaled = program_of(FACTOR[()] * Sum(WEIGHT[J, S] * X[S], over(S, N)), X, WEIGHT, FACTOR)
    ((_, question, answer),) = [found for found in asked(scaled) if found[0] == "dc"]
    assert question == r"Why is $\frac{\partial L}{\partial c}$ a sum over $i$?" and "In matrices" not in answer


def test_several_uses_give_several_terms():
    ((key, question, answer),) = questions(programs.residual_block(), "terms")
    assert key == "adj_h" and "two terms" in question and "$v$ and $r$" in answer
    assert not questions(SQUARED, "terms")


def test_entry_by_entry_is_asked_at_the_first_elementwise_function_only():
    assert [key for key, *_ in questions(SQUARED, r"\circ")] == ["delta2"]
    assert [key for key, *_ in questions(SOFTMAX, r"\circ")] == ["delta1"]


def test_a_name_is_used_by_those_that_the_answer_lists():
    ((key, _question, answer),) = questions(SQUARED, "given a name")
    assert key == "delta2" and "$W^{[2]}$, $b^{[2]}$ and $a^{[1]}$" in answer and "three" in answer
    assert not questions(SQUARED, "given a name", notation="stacked")  # which has no letter for it


# ---------------------------------------------------------------------- a page


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("form", ["matrix", "component"])
@pytest.mark.parametrize("source", [SQUARED, ENTROPY, SOFTMAX, UNDEFINED])
def test_in_every_notation_questions_and_answers_are_whole_sentences(source, form, notation):
    found = asked(source, notation, form)
    assert found == asked(source, notation, form)
    for _, question, answer in found:
        assert question.endswith("?") and answer.endswith(".") and "$$" not in question + answer
        words = re.sub(r"\$[^$]*\$", "F", question + answer)
        assert (
            "None" not in words and "{" not in words and "  " not in words and " ," not in words and " ." not in words
        )
        assert 1 <= len(re.findall(r"[.?](?: |$)", re.sub(r"\$[^$]*\$", "F", answer))) <= 5
        for formula in re.findall(r"\$([^$]*)\$", question + answer):
            assert formula and formula.count("{") == formula.count("}")
    assert len({question for _, question, _ in found}) == len(found)


def test_each_kind_of_question_is_asked_once_however_deep_the_network():
    deep = "3 -> " + " -> ".join(["4 relu"] * 8) + " -> 2 sigmoid; half_squared_error"
    few, many = ([re.sub(r"\$[^$]*\$", "", q) for _, q, _ in asked(source)] for source in (SQUARED, deep))
    assert few == many


def test_a_network_of_any_depth_is_asked_about_too():
    general = derive(Network.general(hidden="tanh", output="softmax", loss="cross_entropy"))
    found = {key: question for key, question, _ in asked(general)}
    assert {"delta[depth]", "db[depth]", "adj_a[layer]", "delta[layer]"} <= set(found)
    assert found["adj_a[layer]"] == r"Why $W^{[\ell+1]\top}$ and not $W^{[\ell+1]}$?"


@pytest.mark.parametrize("program", [programs.residual_block, programs.layer_norm, programs.attention])
@pytest.mark.parametrize("notation", ["cs229", "goodfellow", "vec"])
def test_programs_of_any_kind_are_asked_about(program, notation):
    for form in ("matrix", "component"):
        for _, question, answer in asked(program(), notation, form):
            assert question.endswith("?") and answer.endswith(".") and "cancel" not in question


def test_an_axis_of_one_element_is_not_summed_over_in_words():
    n, (j, s) = size("n"), (index("j"), index("s"))
    x = Tensor("x", "input", shape=(n,), indices=(s,))
    W, V = (Tensor(name, "parameter", shape=shape, indices=(j, s)) for name, shape in (("W", (n, n)), ("V", (1, n))))
    a, u, loss = Tensor("a", shape=(n,), indices=(j,)), Tensor("u", shape=(1,), indices=(j,)), Tensor("L", "loss")
    program = Program(
        leaves=(x, W, V),
        equations=(
            Equation(a, (j,), Sum(W[j, s] * x[s], over(s, n))),
            Equation(u, (j,), Sum(V[j, s] * a[s], over(s, n))),
            Equation(loss, (), u[0] ** 2),
        ),
    )
    assert all("sum over" not in question for _, question, _ in asked(program, form="component"))


def test_a_result_alone_is_asked_everything():
    derivation = derived(SQUARED)
    ((part, printer),) = printers(derivation)
    assert len(whys(part, part["delta2"], printer, "matrix")) == 3
    assert len(whys(part, part["delta1"], printer, "matrix")) == 4 and len(WHYS) == 7  # its inlined part as well


def test_a_hundred_layers_take_no_time():
    deep = derive(Network.parse("3 -> " + " -> ".join(["4 tanh"] * 99) + " -> 2 softmax; cross_entropy"))
    ((part, printer),) = printers(deep)
    page, start = Whys("matrix"), time.perf_counter()
    assert sum(len(page.of(part, result, printer)) for result in part.results) == 6
    assert time.perf_counter() - start < 5
