"""House rules that a test can hold: which package imports which, and what the mathematics never touches."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SYMBOLIC = sorted((ROOT / "symbolic").rglob("*.py"))
CODEGEN = sorted((ROOT / "codegen").rglob("*.py"))
STANDARD = {
    "__future__", "abc", "argparse", "ast", "collections", "contextlib", "ctypes", "csv", "dataclasses", "difflib",
    "bisect", "functools", "gc", "hashlib",
    "importlib", "io", "itertools", "json", "keyword", "math", "operator", "os", "pathlib", "random", "re", "shutil",
    "signal", "string", "subprocess", "sys", "tempfile", "textwrap", "threading", "time", "tomllib", "types", "typing",
    "unicodedata", "warnings", "webbrowser", "base64", "html", "xml",
    "zipfile", "zlib", "tokenize", "errno", "stat", "numbers", "builtins", "inspect", "struct",
}  # fmt: skip

# The optional packages of the mathematics, by the module that imports them.
EXTRAS = {"grammar": {"lark"}, "mathml": {"math_core"}}

# The mathematics never sees the rules that derive, and the rules never see a layer, an activation or a loss.
FORBIDDEN = {
    ("layers", "activations", "losses", "network", "general", "depth", "tensors", "formulas", "architecture"): (
        "calculus", "deltaform", "backpropagation", "repetition", "derivation", "induction", "verification",
    ),
    ("calculus", "deltaform", "backpropagation", "repetition", "rules"): (
        "layers", "activations", "losses", "network", "general", "architecture", "formulas", "latex", "documents",
        "printable", "notation",
    ),
    ("induction",): (
        "calculus", "deltaform", "backpropagation", "layers", "activations", "losses", "network", "general",
    ),
    ("verification", "evaluation", "duals", "plainvalues", "precision", "sampling", "matrixvalues", "moulds"): (
        "calculus", "deltaform", "backpropagation", "repetition",
    ),
    # What writes blocks knows nothing but blocks.
    ("blocks", "tex", "html", "markdown", "text", "mathml", "katex", "pdf", "mathtree", "unicodemath"): (
        "calculus", "deltaform", "backpropagation", "derivation", "network", "layers", "programs", "tensors",
        "sections", "latex", "pages.composition", "pages.setup", "verification",
    ),
    ("matrixform", "matrices"): ("calculus", "deltaform", "backpropagation", "network", "layers"),
    ("syntax", "commands", "lexemes", "layout", "grammar", "reductions"): (
        "tensors", "expressions", "matrices", "programs", "latex", "documents", "printable", "calculus",
        "deltaform", "backpropagation",
    ),
    ("symbols", "walk", "resolver", "rows", "values", "entries", "reader"): (
        "calculus", "deltaform", "backpropagation", "network", "layers",
    ),
    (
        "notation", "notationchecks", "notationfiles", "tomlkeys",
        "latex", "elementprinting", "stackprinting", "printorder",
    ): (
        "calculus", "deltaform", "backpropagation", "network", "layers",
    ),
}  # fmt: skip


def imports(path):
    """(module, is it a whole-package import) of every import in a file, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", SYMBOLIC, ids=lambda path: path.stem)
def test_symbolic_imports_the_standard_library_sympy_mpmath_and_itself(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert roots <= STANDARD | {"sympy", "mpmath", "symbolic"} | EXTRAS.get(path.stem, set())


@pytest.mark.parametrize("path", CODEGEN, ids=lambda path: path.stem)
def test_codegen_imports_numpy_symbolic_and_named_extras(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert roots <= STANDARD | {"sympy", "numpy", "symbolic", "codegen", "sklearn", "matplotlib", "tqdm", "numba"}


@pytest.mark.parametrize("path", SYMBOLIC, ids=lambda path: path.stem)
def test_no_arrow_points_the_wrong_way(path):
    mine = {name.removeprefix("symbolic.") for name in imports(path) if name.startswith("symbolic.")}
    for modules, never in FORBIDDEN.items():
        if path.stem in modules:
            assert not mine & set(never)


def test_every_module_named_in_the_rules_exists():
    stems = {path.stem for path in SYMBOLIC}
    assert {name for modules in FORBIDDEN for name in modules} <= stems


@pytest.mark.parametrize("path", SYMBOLIC + CODEGEN, ids=lambda path: path.stem)
def test_no_forbidden_call(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            assert name not in {"simplify", "sympify", "parse_expr", "S", "eval", "MatrixSymbol"}, f"line {node.lineno}"
            assert name != "exec" or path.stem == "functions", f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"


@pytest.mark.parametrize("path", SYMBOLIC + CODEGEN, ids=lambda path: path.stem)
def test_a_file_fits_in_a_readers_head(path):
    assert len(path.read_text().splitlines()) <= 620
