"""The table of notations: those of five published notes and of two books.

`vec`, `stacked`, `index`, `cs229` and `post` are the notations of the notes that `symbolic.notes` tells in full;
`nielsen` is that of M. Nielsen, "Neural Networks and Deep Learning" (2015), chapter 2; `goodfellow` that of
I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning" (2016), chapter 6, with the examples in rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sympy import Sum

from symbolic.depth import LAYER, width
from symbolic.errors import UsageError, nearest
from symbolic.matrixform import matrix_form
from symbolic.notation import Notation
from symbolic.notationchecks import LONGEST_SYMBOL, shown
from symbolic.tensors import index, over
from symbolic.vocabulary import Vocabulary, usual_tensor

CS229 = Notation(
    name="cs229",
    letters={
        "input": "x", "target": "y", "preactivation": "z", "activation": "a", "output": "", "weight": "W",
        "bias": "b", "loss": r"\mathcal{L}", "cost": "J", "adjoint": r"\delta", "width": "n", "parameters": r"\theta",
        "rate": r"\alpha",
    },
)  # fmt: skip

VEC = CS229.replace(
    name="vec",
    letters={
        "input": "", "weight_entry": "w", "loss": r"L(\theta)", "cost": r"\mathcal{L}(\theta)",
    },
    first_layer=1,
    depth="M",
    any_layer="k",
    adjoints="partial",
    gradient="partial",
    form="component",
    indices={"p": "i", "i": "r"},
    example="{example}",
    example_below=True,
    transpose="T",
    transpose_brackets="()",
)  # fmt: skip

STACKED = CS229.replace(
    name="stacked",
    letters={"output": "h", "loss": "L"},
    depth="r",
    any_layer=r"\ell",
    indices={"j": "i", "s": "j", "m": "k", "i": "l", "k": "q", "p": "t"},
    adjoints="partial",
    gradient="partial",
    widths={0: "d", 1: "m", 2: "n"},
    hadamard=r"\odot",
    entry_brackets="[]",
)

INDEX = CS229.replace(
    name="index",
    letters={
        "input": "", "output": "h", "weight": "w", "loss": "c", "cost": "C", "width": "N",
    },
    layer="{layer}",
    depth="L",
    any_layer="l",
    weight_layer="source",
    weight_rows="inputs",
    bias_row=True,
    adjoints="partial",
    gradient="partial",
    form="component",
    unit_index="n_{layer}",
    example="{example}",
    marks="{example},{layer}",
    mark_examples=True,
    examples="P",
    sums_last=True,
    over="sum",
    sense="maximise",
)  # fmt: skip

POST = CS229.replace(
    name="post",
    letters={"input": "", "target": "t", "loss": "C", "cost": "J"},
    layer="{layer}",
    depth="L",
    any_layer="l",
    gradient="partial",
    transpose_brackets="[]",
    over="one",
)

NIELSEN = CS229.replace(
    name="nielsen",
    letters={"input": "", "weight": "w", "loss": "C_x", "cost": "C", "rate": r"\eta"},
    layer="{layer}",
    first_layer=1,
    depth="L",
    any_layer="l",
    indices={"s": "k", "m": "m", "p": "x", "k": "i", "i": "r"},
    example="{example}",
    marks="{example},{layer}",
    examples="n",
    hadamard=r"\odot",
    transpose="T",
    transpose_brackets="()",
)

GOODFELLOW = CS229.replace(
    name="goodfellow",
    letters={"preactivation": "u", "activation": "h", "loss": "L", "rate": r"\epsilon"},
    layer="({layer})",
    depth="l",
    any_layer="k",
    indices={"p": "i", "m": "q", "i": "r", "k": "v"},
    weight_rows="inputs",
    batch=True,
    hadamard=r"\odot",
    example="[{example}]",
    examples="m",
)

NOTATIONS: Mapping[str, Notation] = MappingProxyType(
    {notation.name: notation for notation in (VEC, STACKED, INDEX, CS229, POST, NIELSEN, GOODFELLOW)}
)


def notation_named(notation: str | Notation) -> Notation:
    """The notation of that name, or the one given.

    Raises:
        UsageError: no such name; lists those there are.
    """
    if isinstance(notation, Notation):
        return notation
    if not isinstance(notation, str) or notation not in NOTATIONS:
        name = notation[:LONGEST_SYMBOL] if isinstance(notation, str) else ""
        raise UsageError(f"notation {shown(notation)} is not known; {nearest(name, NOTATIONS)}")
    return NOTATIONS[notation]


def in_one_line(notation: Notation) -> str:
    """Its name, its form, its task, and a layer as it is written in it."""
    j, s = index("j"), index("s")
    keys = ("z[layer]", "W[layer]", "a[layer-1]", "b[layer]")
    tensors = {key: usual_tensor(key, examples=False) for key in keys}
    z, W, a, b = tensors.values()
    sides = (z[j], Sum(W[j, s] * a[s], over(s, width(LAYER - 1))) + b[j])
    printer = Vocabulary(tensors).printer(notation)
    with printer.lettering(*sides):
        shown = [matrix_form(side, (j,), tensors) for side in sides] if notation.form == "matrix" else sides
        layer = " = ".join(printer.doprint(side) for side in shown)
    task = f"{notation.sense} {'one loss' if notation.over == 'one' else f'the {notation.over}'}"
    return f"{notation.name:<11} {notation.form:<10} {task:<18} {layer}"
