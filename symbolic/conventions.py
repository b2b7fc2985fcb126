"""What a notation's conventions ask of an expression before it is printed: adjoints written out, weights turned,
indices called after the layers that they run over.
"""

from __future__ import annotations

from collections.abc import Mapping

from sympy import Basic, Expr, Indexed, Sum, Symbol
from sympy.core.traversal import preorder_traversal

from symbolic.depth import Label, label_of_width
from symbolic.errors import UsageError
from symbolic.expressions import TotalDerivative
from symbolic.matrices import ArrayOf, Gradient, Transpose
from symbolic.notation import Notation
from symbolic.tensors import Tensor, indices_of, is_letter, key_of

# Which letter of an axis goes without a prime if several run over it.
_FIRST_LETTERS = "jsm"

Names = dict[tuple[Symbol, Expr], int]


def index_names(expressions: tuple[Basic, ...], tensors: Mapping[str, Tensor], known: Names) -> Names:
    """How many primes each index letter needs, by the letter and the size of the axis that it runs over.

    known: what letters are called already; they keep their names.
    """
    names = dict(known)
    found: dict[tuple[Symbol, Expr], None] = {}
    for expression in expressions:
        for node in preorder_traversal(expression):
            if isinstance(node, Sum):
                found.update(((letter, high + 1), None) for letter, _, high in node.limits)
            elif isinstance(node, Indexed) and key_of(node) in tensors:
                axes = zip(indices_of(node), tensors[key_of(node) or ""].shape, strict=True)
                found.update((axis, None) for axis in axes if is_letter(axis[0]))
    for letter, extent in sorted(found, key=lambda pair: (_rank(pair[0]), str(pair))):
        if (letter, extent) not in names:
            taken = {primes for (_, other), primes in names.items() if other == extent}
            names[letter, extent] = next(n for n in range(len(taken) + 1) if n not in taken)
    return names


def widths_of_layers(tensors: Mapping[str, Tensor], notation: Notation) -> dict[Expr, Label]:
    """The sizes that are widths of layers, and are written as such, with the layer's number.

    Raises:
        UsageError: another size has a name that would be written like one of them.
    """
    axes = [(tensor, extent) for tensor in tensors.values() for extent in tensor.shape]
    found: dict[Expr, Label] = {}
    for tensor, extent in axes:
        label = label_of_width(extent) if isinstance(extent, Symbol) else None
        if label is not None and _has_layer(tensor, label):
            found[extent] = label
    written = {notation.width_of(label): size for size, label in found.items()}
    for _, extent in axes:
        for size in extent.free_symbols:
            if size not in found and notation.size(size) in written:
                raise UsageError(
                    f"in notation {notation.name}, size {size} would be written like {written[notation.size(size)]}, "
                    "the width of another layer; give it another name"
                )
    return found


def _has_layer(tensor: Tensor, label: Label) -> bool:
    """Whether the units of a layer are what an axis of the tensor runs over."""
    if tensor.layer is None:
        return tensor.role == "target" or (tensor.role == "input" and label == 0)
    return label == tensor.layer or (tensor.role == "parameter" and label == tensor.layer - 1)


def _rank(letter: Symbol) -> int:
    return _FIRST_LETTERS.find(letter.name) % (len(_FIRST_LETTERS) + 1)


def written_out(expression: Basic, tensors: Mapping[str, Tensor], loss: Tensor | None, example: Symbol | None) -> Basic:
    """Every adjoint as the derivative that it is a name for."""
    swap: dict[Basic, Basic] = {}
    walk = preorder_traversal(expression)
    for node in walk:
        if isinstance(node, (Indexed, ArrayOf)):
            walk.skip()  # an Indexed holds the symbol of its tensor, an ArrayOf that of its example
        key = node.key if isinstance(node, ArrayOf) else key_of(node) if isinstance(node, (Indexed, Symbol)) else None
        tensor = tensors.get(key or "")
        source = tensors.get(tensor.of or "") if tensor is not None and tensor.role == "adjoint" else None
        if loss is None or source is None:
            continue
        if isinstance(node, ArrayOf):
            mark = () if node.example is None else (node.example,)
            carried = mark if loss.shape else ()
            swap[node] = Gradient(ArrayOf(loss.key, *carried), ArrayOf(source.key, *mark))
        elif isinstance(node, Expr):
            positions = indices_of(node)
            at = [p for p, usual in zip(positions, source.indices, strict=True) if usual == example]
            swap[node] = TotalDerivative(loss[tuple(at)] if loss.shape else loss.element, source[positions])
    return expression.xreplace(swap) if swap else expression


def without_single_terms(expression: Basic) -> Basic:
    """Every sum over an axis of one element as its only term; the page writes no index at such an axis."""
    while single := [node for node in preorder_traversal(expression) if _has_single_term(node)]:
        limits = {node: [limit for limit in node.limits if limit[2] != 0] for node in single}
        swap = {node: Sum(node.function, *kept) if kept else node.function for node, kept in limits.items()}
        expression = expression.xreplace(swap)
    return expression


def _has_single_term(node: Basic) -> bool:
    return isinstance(node, Sum) and any(high == 0 for _, _, high in node.limits)


def turned(node: Basic, tensors: Mapping[str, Tensor]) -> Basic:
    """The same with each weight matrix W, and each gradient by it, standing for its transpose: its rows are inputs."""
    inner = node.args[0] if isinstance(node, Transpose) else node
    if isinstance(inner, ArrayOf) and is_weight(tensors[inner.key], tensors):
        return inner if isinstance(node, Transpose) else Transpose(inner)
    if (
        isinstance(inner, Gradient)
        and isinstance(inner.args[1], ArrayOf)
        and is_weight(tensors[inner.args[1].key], tensors)
    ):
        return inner if isinstance(node, Transpose) else Transpose(inner)
    if not node.args or isinstance(node, Expr):
        return node
    return node.func(*(turned(part, tensors) for part in node.args))


def is_weight(tensor: Tensor, tensors: Mapping[str, Tensor]) -> bool:
    """Whether it is a weight matrix, or the gradient by one: what a notation may have turned."""
    source = tensors.get(tensor.of or "", tensor) if tensor.role == "gradient" else tensor
    return source.role == "parameter" and len(source.shape) == 2 and source.name == "W"
