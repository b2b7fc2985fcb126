"""The whitelist that generated source must pass before it is written or executed.

Nothing that a user can spell becomes code: names come from the program's own table. This is the second lock,
for the case that the first has a hole.
"""

from __future__ import annotations

import ast

from symbolic.errors import LoweringError

NODES = (
    ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.FunctionDef, ast.ClassDef, ast.arguments,
    ast.arg, ast.Return, ast.Assign, ast.Expr, ast.Constant, ast.Name, ast.Load, ast.Store, ast.Attribute,
    ast.Call, ast.keyword, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Dict, ast.ListComp,
    ast.GeneratorExp, ast.comprehension, ast.JoinedStr, ast.FormattedValue, ast.If, ast.For, ast.Raise,
    ast.Try, ast.ExceptHandler, ast.IfExp, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator,
    ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
BUILTINS = frozenset((
    "ImportError", "ValueError", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list",
    "map", "str", "type",
))  # fmt: skip
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
    "logical_not", "matmul", "multiply", "negative", "not_equal", "ones", "power", "square", "subtract",
}  # fmt: skip
METHODS |= {"dot", "reduce", "reshape"}
IMPORTS = ("import numpy as np", "from scipy.special import erf")


def check_source(source: str) -> ast.Module:
    """The syntax tree of `source`, if it contains nothing but what generated modules need.

    Raises:
        LoweringError: names the line and the construct.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise LoweringError(
            f"generated source, line {error.lineno}: {error.msg}; this is a fault of deltaform"
        ) from error
    bound = _bound_names(tree)
    for node in ast.walk(tree):
        fault = _fault(node, bound)
        if fault is not None:
            line = getattr(node, "lineno", "?")
            raise LoweringError(
                f"generated source, line {line}: {fault} is not allowed; it was neither written nor run"
            )
    return tree


def _bound_names(tree: ast.Module) -> set[str]:
    """Every name that the source itself binds, with NumPy's."""
    bound = {"np", "erf"}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) or (isinstance(node, ast.ExceptHandler) and node.name):
            bound.add(str(node.name))
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return bound


def _fault(node: ast.AST, bound: set[str]) -> str | None:
    if not isinstance(node, NODES):
        return type(node).__name__
    if isinstance(node, (ast.Import, ast.ImportFrom)) and ast.unparse(node) not in IMPORTS:
        return ast.unparse(node)
    if isinstance(node, ast.Name) and node.id not in bound | BUILTINS:
        return f"the name {node.id}"
    if isinstance(node, ast.Name) and node.id.startswith("__"):
        return f"the name {node.id}"
    if isinstance(node, ast.Attribute):
        of_numpy = isinstance(node.value, ast.Name) and node.value.id == "np"
        if node.attr not in (NUMPY if of_numpy else METHODS):
            return f"the attribute {ast.unparse(node)}"
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.decorator_list:
        return f"a decorator on {node.name}"
    return None
