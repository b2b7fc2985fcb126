"""Diagrams: what they show is what the derivation says, and what they draw can be read by whoever reads it."""

import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import PROGRAMS
from sympy import Sum

from symbolic import NOTATIONS, DeltaformError, Dense, Equation, Network, Program, Tensor, derive, index, over, size
from symbolic.diagrams import FORMATS, Column, Diagram, Edge, Node, diagram
from symbolic.diagrams.drawing import drawn
from symbolic.diagrams.layout import placed
from symbolic.diagrams.scene import Box, Circle, Curve, Text
from symbolic.diagrams.spans import breadth, spans
from symbolic.errors import UsageError
from symbolic.expressions import TotalDerivative
from symbolic.tensors import elements, key_of

LONG = "8 -> " + " -> ".join(["7 tanh"] * 99) + " -> 3 softmax; cross_entropy"
NETWORKS = {
    "digits": "784 -> 128 relu -> 10 softmax; cross_entropy",
    "small": "3 -> 4 sigmoid -> 2 sigmoid; half_squared_error",
    "open": "n_0 -> n_1 g(z) -> n_2; half_squared_error",
    "uneven": "8 -> 7 tanh -> 6 tanh -> 5 relu -> 3 softmax; cross_entropy",
}
HOSTILE = (
    "x}\\input{/etc/passwd}{",
    "<script>alert(1)</script>",
    "\" onload='x' ]]>",
    "a\\",
    "$ % # _ ^ &amp;",
    "\0\x1b\n",
)


def derivations():
    yield from ((name, derive(Network.parse(text))) for name, text in NETWORKS.items())
    yield "one example", derive(Network.parse(NETWORKS["small"], examples=None))
    yield "long", derive(Network.parse(LONG))
    yield "general", derive(Network.general(hidden="g", output="softmax", loss="cross_entropy"))
    yield from ((name, derive(make())) for name, make in PROGRAMS.items())


DERIVATIONS = dict(derivations())
LAYERED = [*NETWORKS, "one example", "long", "general"]
PLAIN = [name for name in DERIVATIONS if name not in ("long", "general")]
PICTURES = [(name, kind) for name in DERIVATIONS for kind in ("graph", "network") if kind == "graph" or name in LAYERED]


@pytest.fixture(scope="module", params=PICTURES, ids="-".join)
def picture(request):
    name, kind = request.param
    return diagram(DERIVATIONS[name], kind)


# ---------------------------------------------------------------------- what a graph shows


@pytest.mark.parametrize("name", PLAIN)
def test_forward_edges_are_the_uses_in_the_equations(name):
    derivation = DERIVATIONS[name]
    uses = {
        (key_of(element), equation.tensor.key)
        for equation in derivation.program.equations
        for element in elements(equation.rhs)
    }
    edges = [edge for edge in diagram(derivation).edges if not edge.backward]
    assert {(edge.source, edge.target) for edge in edges} == uses
    assert len(edges) == len(uses)


@pytest.mark.parametrize("name", PLAIN)
def test_backward_edges_are_the_derivatives_that_a_derivative_is_made_of(name):
    """By the law of the chain rule, not by how the diagram finds them: one for each equation that uses a tensor whose
    derivative is known, into each tensor whose derivative was derived.
    """
    derivation = DERIVATIONS[name]
    program = derivation.program
    derived = {result.tensor.of for result in derivation.results}
    whole = {key_of(result.steps[0].before.args[0]) for result in derivation.results if result.tensor.role == "adjoint"}
    wanted = {
        (equation.tensor.key, key_of(element))
        for equation in program.equations
        for element in elements(equation.rhs)
        if key_of(element) in derived and equation.tensor.key in derived | whole
    }
    assert {(edge.source, edge.target) for edge in diagram(derivation).edges if edge.backward} == wanted


@pytest.mark.parametrize("name", PLAIN)
def test_each_backward_edge_is_in_the_steps(name):
    derivation = DERIVATIONS[name]
    for edge in diagram(derivation).edges:
        if edge.backward:
            results = [result for result in derivation.results if result.tensor.of == edge.target]
            seen = {
                key_of(
                    part.by if edge.source in derivation.tensors and part.by != result.steps[0].before.by else part.of
                )
                for result in results
                for step in result.steps
                for side in (step.before, step.after)
                for part in side.atoms(TotalDerivative)
            }
            assert edge.source in seen


def test_a_node_says_what_its_tensor_is():
    nodes = {node.key: node for node in diagram(DERIVATIONS["digits"]).nodes}
    assert nodes["W1"] == Node("W1", "parameter", "W^{[1]}", r"128 \times 784", r"\nabla_{W^{[1]}} J")
    assert nodes["z1"] == Node("z1", "computed", "z^{[1]}", "128", r"\delta^{[1]}")
    assert nodes["a1"].backward == r"\nabla_{a^{[1]}} \mathcal{L}"
    assert nodes["y"] == Node("y", "given", "y", "10")
    assert nodes["J"] == Node("J", "objective", "J", r"\text{all }N")


def test_a_notation_that_has_rows_of_examples_says_their_shapes():
    nodes = {node.key: node for node in diagram(DERIVATIONS["digits"], notation="goodfellow").nodes}
    assert nodes["W1"].note == r"784 \times 128"
    assert (nodes["z1"].symbol, nodes["z1"].note, nodes["z1"].backward) == ("U^{(1)}", r"m \times 128", r"\Delta^{(1)}")


def test_a_notation_without_a_letter_for_the_derivative_writes_it_out():
    nodes = {node.key: node for node in diagram(DERIVATIONS["digits"], notation="stacked").nodes}
    assert nodes["z2"].backward == r"\partial L / \partial z^{[2]}"
    assert nodes["a2"].symbol == "h"


def test_open_sizes_stand_as_symbols():
    nodes = {node.key: node for node in diagram(DERIVATIONS["open"]).nodes}
    assert nodes["W1"].note == r"n_1 \times n_0"


def test_what_was_not_derived_has_no_derivative():
    derivation = derive(Network.parse(NETWORKS["small"]), wrt=["W2"])
    found = diagram(derivation)
    assert {node.key for node in found.nodes if node.backward} == {"W2", "z2", "a2"}
    assert [column.backward for column in diagram(derivation, "network").columns] == ["", "", r"\delta^{[2]}"]


def test_who_cannot_see_a_graph_is_told_what_it_shows():
    assert diagram(DERIVATIONS["residual block"]).alt == (
        "Computation graph: h from x and V; v from W and h; g from v; r from h and g; L from y and r. "
        "Back along the arrows lead the derivatives by r, g, v, h, W and V."
    )
    assert diagram(DERIVATIONS["digits"], "network").alt == (
        "Network of layers, each unit joined to every unit of the layer before: x, 784 units; a^[1], 128 units, ReLU; "
        "a^[2], 10 units, softmax; then the loss ℒ. Back from the loss lead the derivatives δ^[2] and δ^[1]."
    )


# ---------------------------------------------------------------------- networks


def test_the_columns_of_a_network():
    found = diagram(DERIVATIONS["digits"], "network")
    assert [column.units for column in found.columns] == [(True, True, True, False, True)] * 3
    assert [column.note for column in found.columns] == ["784", "128", "10"]
    assert [column.function for column in found.columns] == ["", r"\operatorname{ReLU}", r"\operatorname{softmax}"]
    assert found.columns[1].between == "W^{[1]}, b^{[1]}"
    assert {edge for edge in found.edges if edge.backward} == {Edge("ell", "a2", True), Edge("a2", "a1", True)}
    assert [len(column.units) for column in diagram(DERIVATIONS["small"], "network").columns] == [3, 4, 2]


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_no_network_has_only_a_graph(name):
    with pytest.raises(UsageError, match="Only its computation graph exists"):
        diagram(DERIVATIONS[name], "network")


def _layer(rhs, extra=()):
    """One layer that looks like a dense one but for the right side of z."""
    n, j = size("n"), index("j")
    x, y = Tensor("x", "input", shape=(n,), indices=(j,)), Tensor("y", "target", shape=(n,), indices=(j,))
    w = Tensor("W", "parameter", 1, (n,), (j,))
    z, a = (Tensor(name, role, 1, (n,), (j,)) for name, role in (("z", "preactivation"), ("a", "activation")))
    return Program(
        leaves=(x, y, w, *extra),
        equations=(
            Equation(z, (j,), rhs(x, w, j, n)),
            Equation(a, (j,), z[j] ** 2),
            Equation(Tensor("ell", "loss"), (), Sum((a[j] - y[j]) ** 2, over(j, n))),
        ),
    )


def test_units_that_see_one_unit_only_are_no_dense_layer():
    with pytest.raises(UsageError, match="not every unit of z1 sees every unit of x"):
        diagram(derive(_layer(lambda x, w, j, n: w[j] * x[j])), "network")


def test_a_layer_that_is_written_by_hand_is_one():
    s = index("s")
    program = _layer(lambda x, w, j, n: w[j] * Sum(x[s], over(s, n)))
    assert len(diagram(derive(program), "network").columns) == 2


@pytest.mark.parametrize("kind", ["", "Graph", "tree", None, 3, "<script>"])
def test_another_kind_is_refused(kind):
    with pytest.raises(UsageError, match="graph, network"):
        diagram(DERIVATIONS["small"], kind)


@pytest.mark.parametrize("what", [None, "small", Network.parse(NETWORKS["small"])])
def test_only_a_derivation_has_a_diagram(what):
    with pytest.raises(UsageError, match="Derivation"):
        diagram(what)


def test_another_notation_is_refused():
    with pytest.raises(UsageError, match="not known"):
        diagram(DERIVATIONS["small"], notation="none")


# ---------------------------------------------------------------------- many layers


def test_equal_layers_are_drawn_once():
    found = diagram(DERIVATIONS["long"], "network")
    assert [column.symbol for column in found.columns] == ["x", "a^{[1]}", r"\cdots", "a^{[99]}", "a^{[100]}"]
    assert found.columns[2].note == r"\text{97 more layers}"
    keys = [node.key for node in diagram(DERIVATIONS["long"]).nodes]
    assert "layers 2 to 98" in keys and "z99" in keys and "z50" not in keys
    assert len(keys) < 20


@pytest.mark.parametrize("kind", ["graph", "network"])
def test_a_hundred_layers_make_a_small_picture_quickly(kind):
    start = time.process_time()
    made = diagram(DERIVATIONS["long"], kind).svg()
    assert time.process_time() - start < 0.3
    assert len(made) < 20_000
    assert len(ElementTree.fromstring(made)[0].text) == 80


def test_layers_of_other_sizes_or_activations_are_all_drawn():
    assert len(diagram(DERIVATIONS["uneven"], "network").columns) == 5
    widths = Network(5, [Dense(units, "tanh") for units in (9, 8, 7, 6, 5, 4)], "half_squared_error")
    assert len(diagram(derive(widths), "network").columns) == 7
    mixed = Network(5, [Dense(5, name) for name in ("tanh", "relu", "tanh", "sigmoid", "tanh")], "half_squared_error")
    assert len(diagram(derive(mixed), "network").columns) == 6


def test_layers_that_a_later_one_uses_are_all_drawn():
    """h5 uses h2 again: leaving layer 2 out would hide it."""
    n, i = size("n"), index("i")
    x, loss = Tensor("x", "input", shape=(n,)), Tensor("L", "loss")
    h = [Tensor("h", "intermediate", layer, (n,)) for layer in range(1, 8)]
    equations = [Equation(h[0], (i,), x[i] ** 2)]
    equations += [Equation(one, (i,), before[i] ** 2) for before, one in pairwise(h)]
    plain = [*equations, Equation(loss, (), Sum(h[-1][i], over(i, n)))]
    again = [*equations, Equation(loss, (), Sum(h[-1][i] * h[2][i], over(i, n)))]
    counts = [
        sum(node.kind == "more" for node in diagram(derive(Program((x,), tuple(rows)), wrt=["x"])).nodes)
        for rows in (plain, again)
    ]
    assert counts == [1, 0]


def test_any_depth_is_drawn_with_what_is_left_open():
    found = diagram(DERIVATIONS["general"])
    assert [node.kind for node in found.nodes].count("more") == 2
    edges = {(edge.source, edge.target) for edge in found.edges if edge.backward}
    assert {("a[layer]", "z[layer]"), ("z[layer+1]", "a[layer]"), ("z[depth]", "a[depth-1]")} <= edges
    columns = diagram(DERIVATIONS["general"], "network", "nielsen").columns
    assert [column.symbol for column in columns] == ["a^1", r"\cdots", "a^l", "a^{l+1}", r"\cdots", "a^L"]
    assert [column.backward for column in columns] == ["", "", r"\delta^l", r"\delta^{l+1}", "", r"\delta^L"]


# ---------------------------------------------------------------------- the drawing


def _inside(box, point, by):
    return box.x + by < point[0] < box.x + box.width - by and box.y + by < point[1] < box.y + box.height - by


def _points(curve):
    start, steps = curve.start, 24
    for one, other, end in curve.pieces:
        for n in range(steps + 1):
            t = n / steps
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            yield tuple(
                sum(w * p[axis] for w, p in zip(weights, (start, one, other, end), strict=True)) for axis in (0, 1)
            )
        start = end


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("name", DERIVATIONS)
def test_boxes_stand_apart_and_no_line_runs_through_one(name, notation):
    _check_lines(drawn(diagram(DERIVATIONS[name], "graph", notation)))


def _check_lines(scene):
    boxes = [shape for shape in scene.shapes if isinstance(shape, Box)]
    for one, other in combinations(boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    for curve in (shape for shape in scene.shapes if isinstance(shape, Curve)):
        for point in _points(curve):
            assert not any(_inside(box, point, 0.5) for box in boxes)


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize(("name", "kind"), PICTURES)
def test_texts_stand_inside_and_apart(name, kind, notation):
    scene = drawn(diagram(DERIVATIONS[name], kind, notation))
    texts = [shape for shape in scene.shapes if isinstance(shape, Text)]
    places = []
    for text in texts:
        half = text.size * breadth(text.latex) / 2
        places.append((text.x - half, text.x + half, text.y - 0.7 * text.size, text.y + 0.2 * text.size))
        assert places[-1][0] >= 0 and places[-1][1] <= scene.width and places[-1][2] >= 0
        assert places[-1][3] <= scene.height
    for one, other in combinations(places, 2):
        assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
    circles = [shape for shape in scene.shapes if isinstance(shape, Circle)]
    assert all(circle.x - circle.radius >= 0 for circle in circles)


@pytest.mark.parametrize("kind", ["graph", "network"])
@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_phone_shows_three_layers_in_letters_that_can_be_read(kind, notation):
    derivation = derive(Network.parse("784 -> 300 relu -> 100 relu -> 10 softmax; cross_entropy"))
    scene = drawn(diagram(derivation, kind, notation))
    smallest = min(shape.size for shape in scene.shapes if isinstance(shape, Text))
    assert smallest * min(1, 360 / scene.width) >= 9
    assert diagram(derivation, kind, notation).width == scene.width


def test_a_wide_drawing_is_not_made_so_small_that_it_cannot_be_read():
    least = {}
    for name in ("small", "uneven"):
        style = ElementTree.fromstring(diagram(DERIVATIONS[name], "network", "vec").svg()).get("style")
        least[name] = float(re.search(r"min-width: ([\d.]+)px", style).group(1))
    assert least["small"] == 0 and least["uneven"] > 360


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_line_runs_through_a_box_of_any_program(data):
    """Any graph whose edges lead forward, with nodes of any size."""
    count = data.draw(st.integers(2, 12))
    keys = [f"t{n}" for n in range(count)]
    uses = [data.draw(st.sets(st.sampled_from(keys[:n]), min_size=1, max_size=4)) for n in range(1, count)]
    nodes = tuple(
        Node(key, data.draw(st.sampled_from(["computed", "parameter"])), "W" * data.draw(st.integers(1, 6)), "n", note)
        for key, note in zip(
            keys, data.draw(st.lists(st.sampled_from(["", "J"]), min_size=count, max_size=count)), strict=True
        )
    )
    edges = [Edge(source, key) for key, used in zip(keys[1:], uses, strict=True) for source in sorted(used)]
    _check_lines(drawn(Diagram("graph", "", "", nodes, (*edges, *(Edge(e.target, e.source, True) for e in edges)))))


def test_a_row_that_an_edge_passes_keeps_a_place_for_it():
    sizes = dict.fromkeys("abcd", (40.0, 20.0))
    found = placed(sizes, [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("a", "d")])
    assert len(found.passes["a", "d"]) == 2
    assert abs(found.passes["a", "d"][0][0] - found.centres["b"][0]) > 20
    assert min(y for _, y in found.centres.values()) == 10


# ---------------------------------------------------------------------- the formats


def test_the_same_derivation_is_drawn_the_same(picture):
    again = replace(picture)
    for write in FORMATS.values():
        assert write(picture) == write(again)


def test_svg_is_xml_that_needs_nothing_else(picture):
    made = picture.svg(prefix="first")
    root = ElementTree.fromstring(made)
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg" and root.get("role") == "img" and root.get("viewBox")
    assert root.get("width") is None and root.get("height") is None
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert ids == ["first-title", "first-desc"] == root.get("aria-labelledby").split()
    assert root.find(f"{space}desc").text == picture.alt
    assert {element.tag.removeprefix(space) for element in root.iter()} <= {
        "svg", "title", "desc", "style", "rect", "circle", "path", "text", "tspan",
    }  # fmt: skip
    assert not re.search(r"href|url\(|@import|\bon\w+=|<script", made)
    colours = re.findall(r"(?:fill|stroke): ([^;]*)", made)
    assert set(colours) <= {"none", "currentColor", "var(--accent, #b5462a)"}
    assert not re.search(r"\bnan\b|\binf\b|e-\d", re.sub(r"<(style|title|desc).*?</\1>", "", made, flags=re.DOTALL))


@pytest.mark.parametrize("prefix", ["", "1", 'a"b', "a b", "<x", "a\n"])
def test_a_prefix_that_is_no_id_is_refused(prefix):
    with pytest.raises(UsageError, match="prefix"):
        diagram(DERIVATIONS["small"]).svg(prefix=prefix)


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("kind", ["graph", "network"])
def test_hostile_titles_are_escaped(kind, words):
    found = replace(diagram(DERIVATIONS["small"], kind), title=words, alt=words)
    root = ElementTree.fromstring(found.svg())
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert r"\input" not in found.tikz()
    assert _dot_is_parsed(found.dot())
    assert not re.search(r"(?<!\\)(\\\\)*\"\s*onload", found.dot())


@pytest.mark.parametrize("symbol", ["x}\\input{/etc/passwd}{", r"\input{/etc/passwd}", "$x$", "x}{", "x%"])
@pytest.mark.parametrize("kind", ["graph", "network"])
def test_a_label_that_is_no_formula_is_refused(kind, symbol):
    for made in (Node("x", "given", symbol), Column("x", "given", symbol, units=(True,))):
        found = Diagram(kind, "", "", (made, Column("L", "objective", "L")), (Edge("x", "L"),))
        for write in (found.svg, found.tikz, found.dot):
            with pytest.raises(DeltaformError):
                write()


def test_a_relation_in_a_label_is_escaped_in_xml():
    root = ElementTree.fromstring(Diagram("graph", "", "", (Node("x", "given", "x < y"),), ()).svg())
    assert "x < y" in ["".join(element.itertext()) for element in root]


def _dot_is_parsed(text):
    if shutil.which("dot") is None:
        return True
    done = subprocess.run(["dot", "-Tcanon"], input=text, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode == 0 and "Error" not in done.stderr and "Warning" not in done.stderr


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_draws_the_dot(picture):
    done = subprocess.run(
        ["dot", "-Tplain"], input=picture.dot(), capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 0 and not re.search("error|syntax", done.stderr, re.IGNORECASE)
    forward = sum(not edge.backward for edge in picture.edges)
    assert done.stdout.count("\nedge ") >= forward


def _has_tikz():
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", "tikz.sty"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _has_tikz(), reason="tikz.sty is not installed: apt-get install texlive-pictures")
@pytest.mark.parametrize("packages", ["tikz", "amsmath,tikz"])
def test_latex_sets_the_tikz(tmp_path, packages):
    """Pictures of all kinds, and in all notations, in one document, with and without amsmath."""
    names = [("digits", "cs229"), ("long", "vec"), *((name, "cs229") for name in PROGRAMS)]
    names += [("general", notation) for notation in (NOTATIONS if packages == "tikz" else ["stacked"])]
    pictures = [
        diagram(DERIVATIONS[name], kind, notation).tikz()
        for name, notation in names
        for kind in ("graph", "network")
        if (name, kind) in PICTURES
    ]
    assert all(text.startswith("% \\usepackage{tikz}\n") for text in pictures)
    body = "\n\\newpage\n".join(pictures)
    source = rf"\documentclass{{article}}\usepackage{{{packages}}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "page.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout


# ---------------------------------------------------------------------- labels without formulas


def test_a_script_of_a_script_is_smaller_and_higher():
    nabla, letter, mark, *_ = spans(r"\nabla_{W^{[1]}} J")
    assert (nabla.text, letter.text, mark.text) == ("∇", "W", "[1]")
    assert nabla.size > letter.size > mark.size and mark.rise > letter.rise < nabla.rise
    assert letter.italic and not mark.italic


def test_words_are_upright_and_barred_as_a_whole():
    assert [(span.text, span.italic, span.overlined) for span in spans(r"\overline{\mathrm{out}}")] == [
        ("out", False, True)
    ]
    assert [(span.text, span.italic, span.overlined) for span in spans(r"\bar{h}")] == [("h", True, True)]
    assert [(span.text, span.italic, span.overlined) for span in spans(r"\bar{v}")] == [("v\u0304", True, False)]
