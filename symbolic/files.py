"""Files that a user names: refused before any work is done, written aside and then moved into place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symbolic.errors import FileError


def as_path(path: Any) -> Path:
    """`path` as a Path.

    Raises:
        FileError: it is nothing that can name a file.
    """
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise FileError(f"a path is needed, as a string or a pathlib.Path, not {path!r}")
    if not str(path) or "\0" in str(path):
        raise FileError(f"{str(path)!r} cannot name a file; a path has at least one character and no NUL in it")
    return Path(path)


def check_target(path: str | os.PathLike[str], suffixes: Sequence[str], force: bool = False) -> Path:
    """`path`, if a file may be written there.

    Call it before the work whose outcome goes there: an hour's training should not end in a refusal.

    Raises:
        FileError: no path, another suffix than `suffixes`, a folder, a missing or read-only folder around it, or a
            file that exists already while `force` is not given.
    """
    target = as_path(path)
    if target.is_dir():
        raise FileError(f"{target} is a folder; name a file in it, such as {target / ('result' + suffixes[0])}")
    if target.suffix not in suffixes:
        raise FileError(
            f"{target}: unknown suffix {target.suffix!r}; it must be {' or '.join(suffixes)}, such as "
            f"{target.with_suffix(suffixes[0]) if target.name else 'result' + suffixes[0]}"
        )
    folder = target.parent
    if not folder.is_dir():
        raise FileError(f"{target}: the folder {folder} does not exist; create it first (mkdir -p {folder})")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"{target}: the folder {folder} cannot be written; choose another or change its permissions")
    if target.exists() and not force:
        raise FileError(f"{target} exists already; give --force (force=True) to replace it, or another name")
    return target


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` beside `path` and move it there: a reader finds the old file or the whole new one.

    Raises:
        FileError: the disk is full or the folder cannot be written; what stood at `path` is untouched.
    """
    target = Path(path)
    aside: str | None = None
    try:
        handle, aside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files for the owner alone; the result gets what open() would have given it.
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, target)
        aside = None
    except OSError as error:
        raise FileError(
            f"{target} could not be written ({error.strerror}); what was there before is unchanged"
        ) from error
    finally:
        if aside is not None and os.path.exists(aside):
            os.unlink(aside)


def _umask() -> int:
    present = os.umask(0o022)
    os.umask(present)
    return present
