"""The errors of deltaform: one family, so that `except DeltaformError` catches all of ours and nothing else.

A message names the thing, what was found, what is required and the way out.
"""

import warnings
from collections.abc import Iterable, Mapping

# Packages whose code may stand between a warning and whoever is warned.
_OURS = frozenset({"symbolic", "codegen", "dataclasses", "contextlib"})


class DeltaformError(Exception):
    """Base of every error this project raises on purpose."""


class NameRefused(DeltaformError):
    """A name that cannot be a symbol: no identifier, reserved, too long, or already taken."""


class ArchitectureError(DeltaformError):
    """A network that cannot be: widths, shapes that do not chain, activation and loss that do not fit."""


class ArchitectureSyntaxError(ArchitectureError):
    """An architecture string that cannot be read; says the column and draws a caret."""


class FormulaSyntaxError(DeltaformError):
    """A LaTeX formula that cannot be read; says `line` and `column`, from 1, and draws a caret."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line, self.column = line, column


class FormulaError(FormulaSyntaxError):
    """A LaTeX formula that is well formed and says nothing, or two things, in the notation that it is read in."""


class ProgramError(DeltaformError):
    """Equations that do not form a program: a tensor defined twice or never, indices that do not fit shapes."""


class DerivationError(DeltaformError):
    """An expression that cannot be differentiated or contracted; the expression is named."""


class NoMatrixForm(DeltaformError):
    """An index expression that matrix notation cannot say."""


class LoweringError(DeltaformError):
    """An equation that has no NumPy form, such as one with an undefined function."""


class DataError(DeltaformError, ValueError):
    """Numbers that do not fit the network: shape, dtype, NaN, labels out of range."""


class TrainingError(DeltaformError):
    """A training run that cannot start or cannot go on."""


class FileError(DeltaformError):
    """A file that cannot be read or written, or whose content is not what it should be."""


class MissingExtra(DeltaformError):
    """An optional dependency that is not installed; the message has the command that installs it."""


class UsageError(DeltaformError):
    """An argument out of its range, or options that contradict each other."""


class NoPicture(UsageError):
    """A program that a kind of diagram has no picture of, such as one that is no row of dense layers."""


class NotationError(UsageError):
    """A notation that cannot be, or a file of one that cannot be read.

    fields: the fields that are to blame, each as its path: ("depth",) or ("letters", "weight").
    """

    def __init__(self, message: str, *fields: tuple[str, ...]) -> None:
        super().__init__(message)
        self.fields = fields


class DeltaformWarning(UserWarning):
    """Something allowed but probably not meant, such as softmax in a hidden layer."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that suggests the known words closest to `word` and lists all of them."""
    import difflib  # one millisecond that only an error needs

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}known: {', '.join(names)}"


def warn(message: str) -> None:
    """Give a DeltaformWarning at the line of whoever called us, however many of our own calls lie between."""
    import inspect  # takes longer to import than all the rest

    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_back is not None and _package(frame.f_globals) in _OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, DeltaformWarning, stacklevel=level)


def _package(names: Mapping[str, object]) -> str:
    """The outermost package of a module, by what is global in it."""
    return str(names.get("__name__", "")).partition(".")[0]
