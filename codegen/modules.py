"""Generated modules as files: write one, import one."""

from __future__ import annotations

import importlib.util
import keyword
import os
import sys
from pathlib import Path
from types import ModuleType

from codegen.source import is_untouched, module_source
from symbolic.derivation import Derivation
from symbolic.errors import FileError, warn
from symbolic.files import as_path, check_target, write_atomically
from symbolic.tensors import IDENTIFIER

# A file of this name would be imported in the place of what a generated module, NumPy or we need.
SHADOWING = sys.stdlib_module_names | {"numpy", "scipy", "symbolic", "codegen"}


def write_module(
    derivation: Derivation, path: str | os.PathLike[str], *, dtype: str | None = None, force: bool = False
) -> Path:
    """Write the module for `derivation` to `path`, a name ending in .py, and return the path.

    dtype: "float32" or "float64" if the module is to accept nothing else.
    force: replace a file that exists. A file with the same content is fine without.

    The file appears whole or not at all. The same derivation gives the same bytes.

    Raises:
        FileError: a path that cannot be written or imported, a name that would hide another module, or a file
            that exists.
        UsageError: no derivation.
        LoweringError: an equation without NumPy form.
    Warns:
        DeltaformWarning: when a generated module that was edited by hand is replaced.
    """
    target = check_target(path, (".py",), force=True)
    _check_name(target)
    if target.stem in SHADOWING:
        raise FileError(
            f"{target}: {target.stem!r} is the name of a module that a generated one imports or that Python brings; "
            f"the file would stand in its place, so choose another name, such as {target.stem}_network.py"
        )
    source = module_source(derivation, dtype=dtype)
    if target.exists():
        found = _read(target)
        if found == source:
            return target
        edited = is_untouched(found) is False
        if not force:
            what = "was generated and then edited by hand" if edited else "exists already"
            raise FileError(f"{target} {what}; choose another name, or replace it with force=True (--force)")
        if edited:
            warn(f"{target} was edited by hand; the edits are replaced")
    write_atomically(target, source.encode("ascii"))
    return target


def import_module(path: str | os.PathLike[str]) -> ModuleType:
    """The module in the file at `path`, executed as Python does; import only what you would run.

    Raises:
        FileError: there is no such file, or its name cannot be imported.
    Warns:
        DeltaformWarning: for a generated module that was edited by hand.
    """
    target = as_path(path)
    _check_name(target)
    if target.suffix != ".py" or not target.is_file():
        raise FileError(f"{target} is no file ending in .py; write one with write_module(derivation, 'network.py')")
    if is_untouched(_read(target)) is False:
        warn(f"{target} was edited by hand since it was generated")
    spec = importlib.util.spec_from_file_location(target.stem, target)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _check_name(target: Path) -> None:
    if not IDENTIFIER.match(target.stem) or keyword.iskeyword(target.stem):
        raise FileError(
            f"{target}: {target.stem!r} cannot be imported; a module's name is letters, digits and "
            "underscores, starts with a letter and is no keyword"
        )


def _read(target: Path) -> str:
    try:
        return target.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        raise FileError(f"{target} cannot be read: {error.strerror}") from error
