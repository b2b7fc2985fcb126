"""Passes on nodes. Each is a rule on structure; its docstring says why no number changes but by rounding."""

from __future__ import annotations

from sympy import Integer, Rational

from codegen.arrays import Node
from codegen.passes.costs import Costs
from codegen.passes.graph import Either, Graph, U, is_number, make, number, rewritten, scale_of, with_args
from codegen.passes.instructions import OVER_ANY
from symbolic.tensors import Equation

HALF, ZERO, ONE = Rational(1, 2).evalf(20), Integer(0), Integer(1)


def exponentials(graph: Graph, costs: Costs) -> None:
    """tanh(u) = 1 - 2/(1 + exp(u)^2) and logistic(u) = 1/(1 + exp(-u)), while exp does not overflow; it may underflow,
    which NumPy tells nobody who has not asked for it. The error of the first is that of numbers near 1, so that
    entries near 0 are left to tanh.
    """
    one, two, single = number(ONE), number(Integer(2)), costs.itemsize == 4
    squared, turned = make("square", make("exp", U)), make("exp", make("negative", U))
    tanh = make("subtract", one, make("divide", two, make("add", squared, one)))
    logistic = make("divide", one, make("add", turned, one))
    forms = {
        "tanh": Either(tanh, make("tanh", U), "max", most=40 if single else 350, near=2**-5 if single else 2**-10),
        "logistic": Either(logistic, _logistic(U), "min", least=-80 if single else -700),
    }

    def rule(node: Node) -> Node | None:
        either = forms[node.op]
        if not node.shape or not costs.takes_usual(either, graph.size(node.shape)):
            return None
        return Node("either", node.args, either, node.shape)

    graph.apply(rule, *forms)


def _logistic(u: Node) -> Node:
    """(1 + tanh(u/2))/2."""
    return make("multiply", number(HALF), make("add", make("tanh", make("multiply", number(HALF), u)), number(ONE)))


def helpers(graph: Graph) -> None:
    """logistic(u) = (1 + tanh(u/2))/2 and log1pexp(u) = max(u, 0) + log1p(exp(-|u|)), as in the helpers of the
    readable module; |-u| = |u|, so that both signs share one exponential.
    """

    def rule(node: Node) -> Node | None:
        if node.op == "negative" and node.args[0].op == "negative":
            return node.args[0].args[0]
        if node.op == "logistic":
            return _logistic(node.args[0])
        if node.op == "log1pexp":
            u = node.args[0]
            bare = u.args[0] if u.op == "negative" else u
            tail = make("log1p", make("exp", make("negative", make("absolute", bare))))
            return make("add", make("maximum", u, number(ZERO)), tail)
        return None

    graph.apply(rule, "negative", "logistic", "log1pexp")


def comparison(graph: Graph) -> None:
    """With a = max(z, c): z > c exactly where a > c, NaN included. z may then be overwritten by a."""
    known: dict[tuple[Node, ...], Node] = {}  # (z, c) -> a

    def rule(node: Node) -> Node | None:
        return make("greater", known[node.args], node.args[1]) if node.args in known else None

    for key, node in graph.definitions.items():
        graph.definitions[key] = rewritten(node, rule, "greater")
        if node.op == "maximum" and node.args[0].op == "tensor" and node.args[1].op == "number":
            known[node.args] = Node("tensor", (), key, node.shape)


def arithmetic_choice(graph: Graph) -> None:
    """Choices without branches, which cost many times more than arithmetic where the signs are mixed:

    (u if u > 0 else s u) = max(u, s u) for 0 < s <= 1;
    (1 if m else s) = max(m, s) for 0 <= s <= 1, with m as 0 or 1;
    (r if m else s r) = r max(m, s);
    (u if u > 0 else f) = max(u, 0) + f where f = s expm1(min(u, 0)), which is 0 for u > 0;
    (1 if u > 0 else a + 1) = f + 1 for such an a, since a = f elsewhere.
    """
    tails: dict[str, tuple[Node, Node]] = {}  # key of a -> (u, f)

    def rule(node: Node) -> Node | None:
        inner = node.args[0] if node.op == "cast" and node.args[0].op == "where" else node
        if inner.op != "where":
            return None
        mask, yes, no = inner.args
        positive = mask.args[0] if mask.op == "greater" and is_number(mask.args[1], 0) else None
        slope, base = scale_of(no)
        if no.op == "number" and is_number(yes, 1) and 0 <= no.detail <= 1:
            return make("maximum", mask, no)
        if base == yes and base.shape and slope <= 1:
            return (
                make("maximum", yes, no)
                if positive == yes
                else make("multiply", yes, make("maximum", mask, number(slope)))
            )
        if positive is None:
            return None
        if yes == positive and _vanishes(base, positive):
            return make("add", make("maximum", positive, number(ZERO)), no)
        if is_number(yes, 1) and no.op == "add" and is_number(no.args[1], 1) and no.args[0].op == "tensor":
            u, tail = tails.get(no.args[0].detail, (None, None))
            if u == positive and tail is not None:
                return make("add", tail, number(ONE))
        return None

    for key, node in graph.definitions.items():
        made = rewritten(node, rule, "cast", "where")
        graph.definitions[key] = made
        if made.op == "add" and made.args[0].op == "maximum" and is_number(made.args[0].args[1], 0):
            u = made.args[0].args[0]
            if _vanishes(scale_of(made.args[1])[1], u):
                tails[key] = (u, made.args[1])


def _vanishes(node: Node, u: Node) -> bool:
    """Whether `node` is expm1(min(u, 0)), which is exactly 0 wherever u > 0."""
    return node.op == "expm1" and node.args[0] == make("minimum", u, number(ZERO))


def totals(graph: Graph) -> None:
    """The sum of all entries is linear, and that of u v is a dot product of two vectors. An array of sums that is
    only summed further is never made.
    """

    def fact(node: Node) -> Node | None:
        """sum_j (u_j + v) y_j = sum_j u_j y_j + v where the y_j are declared to sum to 1."""
        if node.detail != (0,) or node.args[0].op != "multiply":
            return None
        first, second = node.args[0].args
        if second.op != "tensor" or second.detail not in graph.one_hot:
            first, second = second, first
        if second.op != "tensor" or second.detail not in graph.one_hot or first.op not in ("add", "subtract"):
            return None
        u, v = first.args
        if v.shape != node.shape or u.shape != second.shape:
            return None
        return make(first.op, Node("sum", (make("multiply", u, second),), (0,), node.shape), v)

    def push(node: Node) -> Node | None:
        if node.op == "negative" and node.args[0].op == "negative":
            return node.args[0].args[0]
        if node.op == "sum" and node.args[0].op == "negative":
            return make("negative", push_sum(node.args[0].args[0], node))
        return None

    def push_sum(inner: Node, node: Node) -> Node:
        made = Node("sum", (inner,), node.detail, node.shape)
        return fact(made) or made

    graph.apply(push, "negative", "sum")
    graph.apply(fact, "sum")
    uses = graph.uses()
    above: list[Equation] = []

    def total(node: Node) -> Node:
        """The sum of all entries of `node`, as a scalar."""
        if node.op == "tensor" and uses.get(node.detail) == 1 and node.detail in graph.definitions:
            inner = graph.definitions[node.detail]
            if _is_summed(inner):
                above.extend(graph.equations.get(node.detail, ()))
                return total(inner)
        if node.op == "negative":
            return make("negative", total(node.args[0]))
        if node.op in ("add", "subtract") and all(argument.shape == node.shape for argument in node.args):
            return make(node.op, *(total(argument) for argument in node.args), shape=())
        if node.op == "multiply" and not node.args[0].shape:
            return make("multiply", node.args[0], total(node.args[1]))
        if node.op == "divide" and not node.args[1].shape:
            return make("divide", total(node.args[0]), node.args[1], shape=())
        if node.op == "sum":
            return total(node.args[0])
        if node.op == "multiply" and node.args[0].shape == node.args[1].shape:
            return Node("dot", node.args, None, ())
        if node.op == "square":
            return Node("dot", (node.args[0], node.args[0]), None, ())
        return Node("dot", (node, Node("ones", (), None, node.shape)), None, ())

    def rule(node: Node) -> Node | None:
        return total(node.args[0]) if not node.shape and node.args[0].shape else None

    for key in list(graph.definitions):
        above.clear()
        graph.definitions[key] = rewritten(graph.definitions[key], rule, "sum")
        graph.equations[key] = (*above, *graph.equations.get(key, ()))


def _is_summed(node: Node) -> bool:
    return "sum" in node.ops


def sums_by_ones(graph: Graph) -> None:
    """sum_i u_i = sum_i 1 u_i: BLAS is faster than NumPy's reduction over one axis of two."""

    def rule(node: Node) -> Node | None:
        if len(node.detail) != 1 or len(node.args[0].shape) != 2:
            return None
        axis, inner = node.detail[0], node.args[0]
        ones = Node("ones", (), None, (inner.shape[axis],))
        return make("matmul", *((ones, inner) if axis == 0 else (inner, ones)), shape=node.shape)

    graph.apply(rule, "sum")


def equal_shapes(graph: Graph, costs: Costs) -> None:
    """1 (1^T u) is a matrix of which every row has the sums over the first axis of u: a product by a square of ones,
    where it costs less than to go through one row again and again beside a matrix.
    """
    wide: dict[Node, Node] = {}
    for node in (node for key in graph.needed() for node in graph.definitions[key].below):
        for sums in node.args if node.op in OVER_ANY and len(node.shape) == 2 else ():
            if sums.op != "matmul" or sums.args[0].op != "ones" or sums.args[1].shape != node.shape:
                continue
            units, examples = node.shape
            if costs.equal_shapes(graph.size((units,)), graph.size((examples,))):
                square = Node("ones", (), None, (units, units))
                wide[sums] = make("matmul", square, sums.args[1], shape=node.shape)

    def row(node: Node) -> Node | None:
        return Node("pick", (wide[node],), (0, None), node.shape) if node in wide else None

    rows = {Node("pick", (matrix,), (0, None), matrix.shape[1:]): matrix for matrix in wide.values()}

    def beside(node: Node) -> Node | None:
        if not any(node.shape == rows[argument].shape for argument in node.args if argument in rows):
            return None
        return with_args(node, [rows.get(argument, argument) for argument in node.args])

    graph.apply(row, "matmul")
    graph.apply(beside, *OVER_ANY)


def turned_factor(graph: Graph, costs: Costs) -> None:
    """A B^T with B^T copied to lie by rows, where the product gains more than the copy costs."""

    def rule(node: Node) -> Node | None:
        if len(node.shape) != 2:
            return None
        left, right = node.args
        if left.op not in ("tensor", "with_ones") or right.op != "transpose":
            return None
        rows, columns, inner = (graph.size((n,)) for n in (*node.shape, right.shape[0]))
        before, after = (costs.product(rows, columns, inner, (False, turned)) for turned in (True, False))
        if right.args[0].op != "tensor" or before - after <= costs.turning(columns * inner):
            return None
        return make("matmul", left, Node("copy", (right,), None, right.shape), shape=node.shape)

    graph.apply(rule, "matmul")


def guarded_shift(graph: Graph) -> None:
    """u - max(u) becomes "u, or u - max(u) if an entry might be large".

    Maxima come from the compute forms of softmax and of the logarithm of a sum of exponentials alone, whose laws
    hold for any shift m; so where every use of max(u) is in u - max(u), each may take m = 0 when that is safe.
    """
    maxima: dict[Node, int] = {}
    shifts: dict[Node, int] = {}
    needed = [graph.definitions[key] for key in graph.needed()]
    for definition in needed:
        if "max" in definition.ops:
            maxima.update((node, 0) for node in definition.below if node.op == "max")
    if not maxima:
        return
    for definition in needed:
        for node in definition.below:
            for argument in node.args:
                if argument in maxima:
                    maxima[argument] += 1
                    shifts[argument] = shifts.get(argument, 0) + _is_shift(node)

    def rule(node: Node) -> Node | None:
        if not _is_shift(node) or maxima.get(node.args[1], 0) != shifts.get(node.args[1], -1):
            return None
        return Node("shifted", (node.args[0],), node.args[1].detail, node.shape)

    graph.apply(rule, "subtract")


def _is_shift(node: Node) -> bool:
    """Whether a node is u - max(u) over the first axis."""
    return (
        node.op == "subtract"
        and node.args[1].op == "max"
        and node.args[1].detail == (0,)
        and node.args[0] == node.args[1].args[0]
        and len(node.shape) == 2
    )
