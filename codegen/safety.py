"""The whitelist that generated source must pass before it is written or executed.

Nothing that a user can spell becomes code: names come from the program's own table. This is the second lock,
for the case that the first has a hole.
"""

from __future__ import annotations

import ast
from functools import lru_cache

from symbolic.errors import LoweringError

NODES = (
    ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.FunctionDef, ast.ClassDef, ast.arguments,
    ast.arg, ast.Return, ast.Assign, ast.Expr, ast.Constant, ast.Name, ast.Load, ast.Store, ast.Attribute,
    ast.Call, ast.keyword, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Dict, ast.ListComp,
    ast.GeneratorExp, ast.DictComp, ast.comprehension, ast.JoinedStr, ast.FormattedValue, ast.If, ast.For, ast.Raise,
    ast.Try, ast.ExceptHandler, ast.IfExp, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator,
    ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
# Those of them that `_fault` judges one by one: whoever adds a case to it adds the kind here.
JUDGED = frozenset((
    ast.Import, ast.ImportFrom, ast.Name, ast.DictComp, ast.Attribute, ast.FunctionDef, ast.ClassDef,
))  # fmt: skip
HARMLESS = frozenset(NODES) - JUDGED | {ast.Add, ast.Sub, ast.Mult, ast.Div}
BUILTINS = frozenset((
    "ImportError", "ValueError", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list",
    "map", "str", "type",
))  # fmt: skip
# What a loop over layers runs over, and nothing else may be made with it.
LOOPING = frozenset(("range", "reversed"))
NUMPY = frozenset((
    "abs", "absolute", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "argmax",
    "asarray", "broadcast_to", "cos", "cosh", "diagonal", "dtype", "einsum", "exp", "expm1", "eye", "float32",
    "finfo", "float64", "full", "integer", "issubdtype", "log", "log1p", "logical_and", "logical_or", "ma",
    "matrix", "maximum", "minimum", "ndarray", "newaxis", "ravel", "rint", "sign", "sin", "sinh", "sqrt", "tan",
    "tanh", "tensordot", "where", "zeros",
))  # fmt: skip
METHODS = frozenset((
    "MaskedArray", "T", "__name__", "all", "any", "append", "astype", "copy", "dtype", "eps", "get", "items",
    "join", "kind", "max", "min", "ndim", "shape", "size", "sum", "transpose",
))  # fmt: skip
# What code that repeats itself needs besides: memory made once, operations that write into it, views of it.
NUMPY |= {
    "add", "array", "copyto", "divide", "empty", "equal", "greater", "greater_equal", "less", "less_equal",
    "logical_not", "matmul", "may_share_memory", "multiply", "negative", "not_equal", "ones", "power", "square",
    "subtract",
}  # fmt: skip
METHODS |= {"argmax", "argmin", "dot", "left", "moves", "right", "reduce", "reshape", "take"}
IMPORTS = ("import numpy as np", "from scipy.special import erf")


@lru_cache(maxsize=4)
def check_source(source: str) -> ast.Module:
    """The syntax tree of `source`, if it contains nothing but what generated modules need. Not to be changed: source
    that was checked to be written is often run next, and is not checked again.

    Raises:
        LoweringError: names the line and the construct.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise LoweringError(
            f"generated source, line {error.lineno}: {error.msg}; this is a fault of deltaform"
        ) from error
    nodes = _nodes(tree)
    bound = _bound_names(nodes) | BUILTINS
    loops = _looping_names(nodes)
    for node in nodes:
        fault = None if type(node) in HARMLESS or node in loops else _fault(node, bound)
        if fault is not None:
            line = getattr(node, "lineno", "?")
            raise LoweringError(
                f"generated source, line {line}: {fault} is not allowed; it was neither written nor run"
            )
    return tree


def _nodes(tree: ast.Module) -> list[ast.AST]:
    """What `ast.walk` gives, in a third of the time."""
    nodes: list[ast.AST] = [tree]
    for node in nodes:  # which grows
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, ast.AST):
                nodes.append(value)
            elif isinstance(value, list):
                nodes += [item for item in value if isinstance(item, ast.AST)]
    return nodes


def _bound_names(nodes: list[ast.AST]) -> set[str]:
    """Every name that the source itself binds, with NumPy's."""
    bound = {"np", "erf"}
    for node in nodes:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                bound.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) or (isinstance(node, ast.ExceptHandler) and node.name):
            bound.add(str(node.name))
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    return bound


def _looping_names(nodes: list[ast.AST]) -> set[ast.AST]:
    """The names in `range(2, 9)` and `reversed(range(2, 9))`, where these are what a loop runs over."""
    loops = (node for node in nodes if isinstance(node, (ast.For, ast.comprehension)))
    return {name for loop in loops for name in _range_names(loop.iter)}


def _range_names(node: ast.AST) -> list[ast.AST]:
    """`range`, or `reversed` and `range`, if a node runs over whole numbers that are written out; none otherwise."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        return []
    if node.func.id == "reversed" and len(node.args) == 1:
        inner = _range_names(node.args[0])
        return [node.func, *inner] if len(inner) == 1 else []
    return [node.func] if node.func.id == "range" and node.args and all(map(_is_whole_number, node.args)) else []


def _is_whole_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _is_by_layer(node: ast.DictComp) -> bool:
    """Whether it is {l: params[f"W{l}"] for l in ...}, over numbers that are written out."""
    over = node.generators[0]
    if len(node.generators) > 1 or over.ifs or not isinstance(over.target, ast.Name):
        return False
    letter = over.target.id
    numbers = isinstance(over.iter, ast.Tuple) and all(map(_is_whole_number, over.iter.elts))
    return (
        (numbers or bool(_range_names(over.iter)))
        and ast.unparse(node.key) == letter
        and isinstance(node.value, ast.Subscript)
        and ast.unparse(node.value.value) == "params"
        and _is_key(node.value.slice, letter)
    )


def _is_key(node: ast.AST, letter: str) -> bool:
    """Whether it is f"W{l}": a name and the number of the layer."""
    return (
        isinstance(node, ast.JoinedStr)
        and len(node.values) == 2
        and isinstance(node.values[0], ast.Constant)
        and isinstance(node.values[1], ast.FormattedValue)
        and ast.unparse(node.values[1].value) == letter
        and node.values[1].format_spec is None
    )


def _fault(node: ast.AST, bound: set[str]) -> str | None:
    if not isinstance(node, NODES):
        return type(node).__name__
    if isinstance(node, (ast.Import, ast.ImportFrom)) and ast.unparse(node) not in IMPORTS:
        return ast.unparse(node)
    if isinstance(node, ast.Name) and node.id not in bound:
        return f"the name {node.id}"
    if isinstance(node, ast.DictComp) and not _is_by_layer(node):
        return f"the dict {ast.unparse(node)}"
    if isinstance(node, ast.Name) and node.id.startswith("__"):
        return f"the name {node.id}"
    if isinstance(node, ast.Attribute):
        of_numpy = isinstance(node.value, ast.Name) and node.value.id == "np"
        if node.attr not in (NUMPY if of_numpy else METHODS):
            return f"the attribute {ast.unparse(node)}"
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.decorator_list:
        return f"a decorator on {node.name}"
    return None
