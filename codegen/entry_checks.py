"""What every generated module checks before it computes: NumPy broadcasting hides mistakes, (2, 1) + (2,) is
(2, 2).

The source of the functions below, and of `listed`, is copied into each module, so they use NumPy and each other only.
Inside a module `DataError` is its own class; functions made by `lambdify` raise ours.
"""

from __future__ import annotations

import numpy as np

from codegen.wording import listed as _listed
from symbolic.errors import DataError


def _check_parameters(params, shapes, sizes, dtypes):
    """Refuse `params` unless it has exactly the keys and shapes of `shapes`; the named sizes are noted in
    `sizes`.
    """
    if not isinstance(params, dict):
        raise DataError(f"params is a {type(params).__name__}; it must be a dict with the keys {_listed(shapes)}")
    missing = [key for key in shapes if key not in params]
    extra = [key for key in params if key not in shapes]
    if missing or extra:
        found = [f"{_listed(missing)} missing"] * bool(missing) + [f"{_listed(extra)} not known"] * bool(extra)
        raise DataError(f"params: {'; '.join(found)}; it must have exactly the keys {_listed(shapes)}")
    for key, shape in shapes.items():
        _check_array(f'params["{key}"]', params[key], shape, sizes, dtypes)


def _check_array(name, array, shape, sizes, dtypes):
    """Refuse `array` unless it is a plain real array of this shape, of the dtype of those before it."""
    if not isinstance(array, np.ndarray) or isinstance(array, (np.ma.MaskedArray, np.matrix)):
        raise DataError(
            f"{name} is a {type(array).__name__}; it must be a plain, dense "
            "np.ndarray: convert it, as with np.asarray(x) or x.toarray()"
        )
    if array.dtype not in (np.float32, np.float64):
        kind = "integers" if np.issubdtype(array.dtype, np.integer) else f"dtype {array.dtype}"
        raise DataError(f"{name} holds {kind}; it must be float32 or float64: convert with .astype(np.float64)")
    wanted = ", ".join(map(str, shape)) + "," * (len(shape) == 1)
    if array.ndim != len(shape):
        raise DataError(
            f"{name} has shape {array.shape}; required is ({wanted}): "
            + ("take one row for each example, as in x[np.newaxis, :]" if array.ndim < len(shape) else "use .reshape")
        )
    for axis, extent in enumerate(shape):
        found = array.shape[axis]
        if found == 0:
            raise DataError(
                f"{name} is empty: its shape is {array.shape}; required is ({wanted}), with at least one element"
            )
        required, source = sizes.get(extent, (extent, "")) if isinstance(extent, str) else (extent, "")
        if isinstance(required, str):
            sizes[extent] = (found, f", because {name} has {extent} = {found}")
        elif found != required:
            raise DataError(
                f"{name} has shape {array.shape}; required is ({wanted}): "
                f"axis {axis} must be of length {required}{source}"
            )
    if dtypes and array.dtype != dtypes[0][0]:
        raise DataError(
            f"{name} is {array.dtype}, but {dtypes[0][1]} {dtypes[0][0]}; they must agree: "
            f"convert with .astype(np.{dtypes[0][0]})"
        )
    dtypes.append((array.dtype, f"{name} is"))


def _check_distribution(name, array):
    """Refuse rows that are no distribution: the gradients are right only for sums that are 1 up to rounding."""
    totals = array.sum(axis=-1)
    rounding = 4 * array.shape[-1] * np.finfo(array.dtype).eps
    wrong = ~((np.abs(totals - 1.0) <= rounding) & (array >= 0.0).all(axis=-1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{name}: row {row} sums to {float(totals[row])!r}, its smallest entry is "
            f"{float(array[row].min())}; "
            "each row must be a distribution over the classes: no entry below 0, and the sum 1 up to rounding in "
            f"{array.dtype}: normalise, as with {name} / {name}.sum(axis=1, keepdims=True)"
        )


def _check_interval(name, array, low, high):
    """Refuse values outside [low, high]; NaN is let through, so that it shows in the result."""
    if (array < low).any() or (array > high).any():
        found = float(array.min()) if (array < low).any() else float(array.max())
        raise DataError(
            f"{name} contains {found}; its values must lie between {low} and {high}: "
            f"recode them, as labels {low} and {high}"
        )


def _are_labels(name, array, classes):
    """Whether `array` is a vector of integers, one class label for each example; refuse labels in another form."""
    if not isinstance(array, np.ndarray):
        return False
    if array.ndim == 1 and np.issubdtype(array.dtype, np.integer):
        return True
    vector = array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1 and classes > 1)
    if vector and array.dtype.kind in "biuf" and (array == np.rint(array)).all():
        raise DataError(
            f"{name} has shape {array.shape} and dtype {array.dtype}; required is one row for each example, or class "
            f"labels as a vector of integers, of shape (N,): convert labels with {name}.ravel().astype(np.int64)"
        )
    return False


def _one_hot(name, labels, classes, dtype):
    """Rows with a 1 at each label, for integer labels 0 to classes - 1."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = int(labels.min()) if labels.min() < 0 else int(labels.max())
        raise DataError(
            f"{name} contains label {wrong}; labels must lie between 0 and {classes - 1}, one for each class"
        )
    rows = np.zeros((labels.size, classes), dtype)
    rows[np.arange(labels.size), labels] = 1.0
    return rows
