"""Array programs as programs of single numbers: every element of every array is a `Scalar` of its own.

Equal scalars are one object, so that common subexpressions are found by comparing. Constants are folded only where that
changes neither a NaN nor an infinity: 0*x stays. What a product with a truth value means to NumPy, x times 1 or 0, is a
choice between x and x*0, which is NaN where x is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Expr

from codegen.arrays import TRUTHS, ArrayProgram, Node
from symbolic.errors import LoweringError

COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"})
ARITHMETIC: Mapping[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "negative": lambda x: -x,
    "divide": lambda x, y: x / y,
    "sqrt": math.sqrt,
}


class Scalar:
    """One number: an operation on other numbers, a constant (its value) or a leaf (its name).

    place: counts the scalars of one table in the order in which they were made, arguments first.
    """

    __slots__ = ("args", "op", "place", "value")

    def __init__(self, op: str, args: tuple[Scalar, ...], value: Any, place: int) -> None:
        self.op, self.args, self.value, self.place = op, args, value, place

    @property
    def is_truth(self) -> bool:
        return self.op in TRUTHS

    def is_constant(self, value: float) -> bool:
        return self.op == "constant" and self.value == value


class Table:
    """Makes scalars, equal ones once."""

    def __init__(self) -> None:
        self._made: dict[tuple, Scalar] = {}

    def constant(self, value: float) -> Scalar:
        return self._intern("constant", (), float(value), (float(value), math.copysign(1.0, value)))

    def leaf(self, name: str) -> Scalar:
        return self._intern("leaf", (), name, name)

    def make(self, op: str, *args: Scalar) -> Scalar:
        """`op` of `args`, simplified where the result is the same number."""
        rule = RULES.get(op)
        found = None if rule is None else rule(self, *args)
        if found is not None:
            return found
        if op in ARITHMETIC and all(argument.op == "constant" for argument in args):
            try:
                return self.constant(ARITHMETIC[op](*(argument.value for argument in args)))
            except (ArithmeticError, ValueError):
                pass  # left to be computed, where it is what NumPy makes of it
        if op in COMMUTATIVE and args[0].place > args[1].place:
            return self._intern(op, args, None, (args[1], args[0]))
        return self._intern(op, args, None, args)

    def _intern(self, op: str, args: tuple[Scalar, ...], value: Any, key: object) -> Scalar:
        found = self._made.get((op, key))
        if found is None:
            found = self._made[op, key] = Scalar(op, args, value, len(self._made))
        return found


Rule = Callable[..., "Scalar | None"]


def _add(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if x.is_constant(0):
        return y
    if y.is_constant(0):
        return x
    if y.op == "negative":
        return table.make("subtract", x, y.args[0])
    return table.make("subtract", y, x.args[0]) if x.op == "negative" else None


def _subtract(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if y.is_constant(0):
        return x
    if x.is_constant(0):
        return table.make("negative", y)
    return table.make("add", x, y.args[0]) if y.op == "negative" else None


def _multiply(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if x.is_truth and y.is_truth:
        return table.make("multiply", table.make("cast", x), y)
    if x.is_truth:
        return table.make("multiply", y, x)
    if y.is_truth:
        return table.make("where", y, x, table.make("multiply", x, table.constant(0)))
    for one, other in ((x, y), (y, x)):
        if one.is_constant(1):
            return other
        if one.is_constant(-1):
            return table.make("negative", other)
        if one.op == "negative" and other.op != "constant":
            return table.make("negative", table.make("multiply", one.args[0], other))
    return None


def _divide(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if y.op == "constant" and y.value and abs(math.frexp(y.value)[0]) == 0.5 and abs(y.value) < 2.0**100:
        return table.make("multiply", x, table.constant(1 / y.value))  # a power of two: exact
    return None


def _negative(table: Table, x: Scalar) -> Scalar | None:
    if x.op == "negative":
        return x.args[0]
    return table.make("subtract", x.args[1], x.args[0]) if x.op == "subtract" else None


def _power(table: Table, x: Scalar, y: Scalar) -> Scalar | None:
    if y.op == "constant" and y.value == int(y.value) and 1 <= y.value <= 16:
        half = table.make("power", x, table.constant(y.value // 2)) if y.value > 1 else x
        if y.value == 1:
            return x
        square = table.make("multiply", half, half)
        return table.make("multiply", square, x) if y.value % 2 else square
    return None


def _cast(table: Table, x: Scalar) -> Scalar:
    return table.make("where", x, table.constant(1), table.constant(0)) if x.is_truth else x


def _where(table: Table, condition: Scalar, yes: Scalar, no: Scalar) -> Scalar | None:
    if condition.op == "constant":
        return yes if condition.value else no
    if condition.op == "logical_not":
        return table.make("where", condition.args[0], no, yes)
    return yes if yes is no else None


def _square(table: Table, x: Scalar) -> Scalar:
    return table.make("multiply", x, x)


def _logistic(table: Table, x: Scalar) -> Scalar:
    """1/(1 + exp(-x)) as (1 + tanh(x/2))/2, as the NumPy module has it."""
    half = table.constant(0.5)
    return table.make(
        "multiply", half, table.make("add", table.make("tanh", table.make("multiply", half, x)), table.constant(1))
    )


def _log1pexp(table: Table, x: Scalar) -> Scalar:
    """log(1 + exp(x)) as max(x, 0) + log1p(exp(min(x, -x))), as the NumPy module has it."""
    small = table.make("negative", table.make("absolute", x))
    tail = table.make("log1p", table.make("exp", small))
    return table.make("add", table.make("maximum", x, table.constant(0)), tail)


RULES: Mapping[str, Rule] = {
    "add": _add, "subtract": _subtract, "multiply": _multiply, "divide": _divide, "negative": _negative,
    "power": _power, "cast": _cast, "where": _where, "square": _square, "logistic": _logistic, "log1pexp": _log1pexp,
}  # fmt: skip


class Unroller:
    """Evaluates array programs on arrays of scalars.

    size: the number that a size of an axis is.
    """

    def __init__(self, table: Table, size: Callable[[Expr], int]) -> None:
        self.table = table
        self.size = size
        self._functions: dict[str, np.ufunc] = {}

    def leaf(self, shape: Iterable[Expr], name: Callable[[tuple[int, ...]], str]) -> NDArray:
        """An array of leaves, each called as its place says."""
        extents = tuple(self.size(extent) for extent in shape)
        array = np.empty(extents, dtype=object)
        for place in np.ndindex(extents):
            array[place] = self.table.leaf(name(place))
        return array

    def run(self, program: ArrayProgram, arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """`arrays` and what the program assigns, by name."""
        known = dict(arrays)
        for assignment in program.assignments:
            found: dict[Node, Any] = {}
            for node in assignment.node.walk():
                found[node] = self._array(node, [found[argument] for argument in node.args], known)
            known[assignment.name] = found[assignment.node]
        return known

    def _array(self, node: Node, args: list[NDArray], known: Mapping[str, NDArray]) -> NDArray:
        whole = OPERATIONS.get(node.op)
        if whole is not None:
            return _as_array(whole(self, node, args, known))
        return _as_array(self.function(node.op, len(args))(*args))

    def function(self, op: str, count: int) -> np.ufunc:
        """`op` as a function of whole arrays."""
        if op not in self._functions:
            self._functions[op] = np.frompyfunc(lambda *args: self.table.make(op, *args), count, 1)
        return self._functions[op]

    def sum(self, array: NDArray, axes: tuple[int, ...]) -> NDArray:
        return self.reduced("add", self._numbers(array), axes)

    def reduced(self, op: str, array: NDArray, axes: tuple[int, ...]) -> NDArray:
        """One axis after the other, the last first; within an axis in order."""
        function = self.function(op, 2)
        for axis in sorted(axes, reverse=True):
            first, *others = np.moveaxis(array, axis, 0)
            for other in others:
                first = function(first, other)
            array = _as_array(first)
        return array

    def product(self, left: NDArray, right: NDArray, letters: tuple[str, str, str]) -> NDArray:
        """The sum of left * right over the letters that the result has not, as einsum says it."""
        first, second, result = letters
        bound = [letter for letter in dict.fromkeys(first + second) if letter not in result]
        order = [*result, *bound]
        aligned = [_aligned(array, mine, order) for array, mine in ((left, first), (right, second))]
        return self.sum(_as_array(self.function("multiply", 2)(*aligned)), tuple(range(len(result), len(order))))

    def _numbers(self, array: NDArray) -> NDArray:
        return _as_array(self.function("cast", 1)(array))

    def shape(self, node: Node) -> tuple[int, ...]:
        return tuple(self.size(extent) for extent in node.shape)


def _as_array(value: Any) -> NDArray:
    if isinstance(value, np.ndarray):
        return value
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def _aligned(array: NDArray, letters: str, order: list[str]) -> NDArray:
    present = [letter for letter in order if letter in letters]
    turned = array.transpose([letters.index(letter) for letter in present])
    return turned[tuple(slice(None) if letter in letters else None for letter in order)]


def _matmul(unroller: Unroller, node: Node, args: list[NDArray], known: Mapping[str, NDArray]) -> NDArray:
    left, right = args
    stack = "abcdefgh"[: max(left.ndim, right.ndim) - 2]
    rows, columns = ("i" if left.ndim > 1 else ""), ("j" if right.ndim > 1 else "")
    mine = stack[len(stack) - max(left.ndim - 2, 0) :], stack[len(stack) - max(right.ndim - 2, 0) :]
    return unroller.product(left, right, (f"{mine[0]}{rows}s", f"{mine[1]}s{columns}", f"{stack}{rows}{columns}"))


def _tensordot(unroller: Unroller, node: Node, args: list[NDArray], known: Mapping[str, NDArray]) -> NDArray:
    names = iter("abcdefghijklmnopqrstuvwxyz")
    first = [next(names) for _ in range(args[0].ndim)]
    second = [next(names) for _ in range(args[1].ndim)]
    for left, right in zip(*node.detail, strict=True):
        second[right] = first[left]
    free = [letter for letter in first + second if (letter in first) != (letter in second)]
    return unroller.product(args[0], args[1], ("".join(first), "".join(second), "".join(free)))


def _constants(unroller: Unroller, array: NDArray) -> NDArray:
    return _as_array(np.frompyfunc(unroller.table.constant, 1, 1)(array))


Operation = Callable[[Unroller, Node, list[NDArray], Mapping[str, NDArray]], Any]
OPERATIONS: Mapping[str, Operation] = {
    "tensor": lambda unroller, node, args, known: known[node.detail],
    "number": lambda unroller, node, args, known: unroller.table.constant(float(node.detail)),
    "extent": lambda unroller, node, args, known: unroller.table.constant(unroller.size(node.detail)),
    "sum": lambda unroller, node, args, known: unroller.sum(args[0], node.detail),
    "max": lambda unroller, node, args, known: unroller.reduced("maximum", args[0], node.detail),
    "matmul": _matmul,
    "tensordot": _tensordot,
    "einsum": lambda unroller, node, args, known: unroller.product(args[0], args[1], node.detail),
    "transpose": lambda unroller, node, args, known: args[0].transpose(node.detail),
    "expand": lambda unroller, node, args, known: args[0][
        tuple(None if axis in node.detail else slice(None) for axis in range(len(node.shape)))
    ],
    "pick": lambda unroller, node, args, known: args[0][
        tuple(slice(None) if place is None else place for place in node.detail)
    ],
    "diagonal": lambda unroller, node, args, known: np.diagonal(args[0], axis1=node.detail[0], axis2=node.detail[1]),
    "fill": lambda unroller, node, args, known: np.broadcast_to(args[0], unroller.shape(node)),
    "broadcast": lambda unroller, node, args, known: np.broadcast_to(args[0], unroller.shape(node)),
    "identity": lambda unroller, node, args, known: _constants(unroller, np.eye(unroller.shape(node)[0])),
    "copy": lambda unroller, node, args, known: args[0],
}


def operations(program: ArrayProgram, size: Callable[[Expr], int]) -> int:
    """How many operations on single numbers a program is, before equal ones are found; cheap to say."""
    total = 0
    for assignment in program.assignments:
        for node in assignment.node.walk():
            shape = node.args[0].shape if node.op in ("sum", "max") else node.shape
            count = math.prod(size(extent) for extent in shape)
            if node.op == "matmul":
                total += 2 * count * size(node.args[0].shape[-1])
            elif node.op == "tensordot":
                total += 2 * count * math.prod(size(node.args[0].shape[axis]) for axis in node.detail[0])
            elif node.op == "einsum":
                first, second, result = node.detail
                extents = dict(zip(first + second, (*node.args[0].shape, *node.args[1].shape), strict=True))
                total += 2 * count * math.prod(size(extents[letter]) for letter in extents if letter not in result)
            elif node.args and node.op not in ("transpose", "expand", "pick", "diagonal", "copy", "broadcast", "fill"):
                total += count
    return total


class Scaled:
    """Scalars times a factor, taken in at the bottom: one product at the output instead of one a parameter.

    linear: the scalars at which a factor may be taken in, such as the elements of adjoints; all others are multiplied
            as they are.
    """

    def __init__(self, table: Table, linear: set[Scalar]) -> None:
        self.table = table
        self.done: dict[tuple[Scalar, Scalar], Scalar] = {}
        self._below: dict[Scalar, bool] = {}
        self._linear = linear

    def reaches(self, scalar: Scalar) -> bool:
        """Whether a scalar is made from a linear one, or is one."""
        for node in walk([scalar]):
            if node not in self._below:
                self._below[node] = node in self._linear or any(self._below[argument] for argument in node.args)
        return self._below[scalar]

    def times(self, scalar: Scalar, factor: Scalar) -> Scalar:
        """factor * scalar; a constant that stands before the scalar, such as 1/N, goes into the factor."""
        while scalar not in self._linear:
            constant, rest = _constant_apart(scalar)
            if constant is None or not self.reaches(rest):
                break
            factor, scalar = self.table.make(scalar.op, factor, constant), rest
        stack = [(scalar, factor)]
        while stack:
            node, by = stack[-1]
            if (node, by) in self.done:
                stack.pop()
                continue
            parts = self._parts(node, by)
            missing = [part for part in parts if part not in self.done]
            if missing:
                stack.extend(missing)
                continue
            self.done[stack.pop()] = self._made(node, by, [self.done[part] for part in parts])
        return self.done[scalar, factor]

    def _parts(self, node: Scalar, by: Scalar) -> list[tuple[Scalar, Scalar]]:
        """What has to be scaled for `node` to be scaled; nothing if it is multiplied as it is."""
        if not self.reaches(node):
            return []
        if node.op in ("multiply", "divide", "negative"):
            inner = node.args[:1] if node.op != "multiply" else node.args
            return [(argument, by) for argument in inner if self.reaches(argument)][:1]
        if node.op in ("add", "subtract", "where"):
            inner = node.args[1:] if node.op == "where" else node.args
            if all(self.reaches(argument) for argument in inner):
                return [(argument, by) for argument in inner]
        return []

    def _made(self, node: Scalar, by: Scalar, parts: list[Scalar]) -> Scalar:
        make = self.table.make
        if not parts:
            return make("multiply", by, node)
        if node.op == "where":
            return make("where", node.args[0], *parts)
        if len(parts) == len(node.args):
            return make(node.op, *parts)
        if node.op == "divide":
            return make("divide", parts[0], node.args[1])
        taken = next(argument for argument in node.args if self.reaches(argument))
        other = node.args[1] if node.args[0] is taken else node.args[0]
        return make("multiply", parts[0], other)


def _constant_apart(scalar: Scalar) -> tuple[Scalar | None, Scalar]:
    """(c, x) of c*x or x/c, where c is no zero; (None, the scalar) of anything else."""
    if scalar.op in ("multiply", "divide"):
        for place in (1, 0) if scalar.op == "multiply" else (1,):
            constant = scalar.args[place]
            if constant.op == "constant" and constant.value != 0:
                return constant, scalar.args[1 - place]
    return None, scalar


def walk(roots: Iterable[Scalar]) -> Iterator[Scalar]:
    """Every scalar below the roots and these, arguments first, each once."""
    seen: set[Scalar] = set()
    stack: list[tuple[Scalar, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        scalar, expanded = stack.pop()
        if expanded:
            yield scalar
        elif scalar not in seen:
            seen.add(scalar)
            stack.append((scalar, True))
            stack.extend((argument, False) for argument in reversed(scalar.args))


# --- text ---------------------------------------------------------------------------------------------------------

CHOICE, OR, AND, NOT, COMPARED, SUM, PRODUCT, SIGN, ATOM = range(9)
BINARY = {
    "add": ("+", SUM), "subtract": ("-", SUM), "multiply": ("*", PRODUCT), "divide": ("/", PRODUCT),
    "greater": (">", COMPARED), "less": ("<", COMPARED), "greater_equal": (">=", COMPARED),
    "less_equal": ("<=", COMPARED), "equal": ("==", COMPARED), "not_equal": ("!=", COMPARED),
    "logical_and": ("and", AND), "logical_or": ("or", OR),
}  # fmt: skip
# Functions of Python's math module, by what arrays call them.
CALLS = {
    "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "tanh": "tanh", "sin": "sin", "cos": "cos",
    "tan": "tan", "sinh": "sinh", "cosh": "cosh", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "erf": "erf", "sqrt": "sqrt", "power": "pow",
}  # fmt: skip
# Operations whose text speaks of an argument more than once, so that it must have a name: which arguments.
REPEATED = {"maximum": (0, 1), "minimum": (0, 1), "absolute": (0,), "sign": (0,)}
# What Python may refuse to compute, with an exception, where NumPy gives an infinity or NaN.
FALLIBLE = frozenset({*CALLS, "divide"})


def text(scalar: Scalar, names: Mapping[Scalar, str], whole: bool = False) -> str:
    """Source text of a scalar. names: of those that have one; whole: spell out this one nevertheless."""
    return _write(scalar, names, whole)[0]


def _write(scalar: Scalar, names: Mapping[Scalar, str], whole: bool = False) -> tuple[str, int]:
    if scalar in names and not whole:
        return names[scalar], ATOM
    op, args = scalar.op, scalar.args
    if op == "leaf":
        return scalar.value, ATOM
    if op == "constant":
        if not math.isfinite(scalar.value):
            raise LoweringError(f"the constant {scalar.value} is no finite number")
        return repr(scalar.value), ATOM if scalar.value >= 0 and math.copysign(1, scalar.value) > 0 else SIGN
    if op in BINARY:
        sign, strength = BINARY[op]
        left, right = args
        if op in ("add", "multiply") and _strength(right, names) < _strength(left, names) and left.op != op:
            left, right = right, left
        first, second = _put(left, names, strength), _put(right, names, strength + 1)
        return f"{first} {sign} {second}", strength
    if op == "negative":
        return f"-{_put(args[0], names, SIGN)}", SIGN
    if op == "logical_not":
        return f"not {_put(args[0], names, NOT)}", NOT
    if op == "where":
        condition, yes, no = args
        return f"{_put(yes, names, OR)} if {_put(condition, names, OR)} else {_put(no, names, CHOICE)}", CHOICE
    if op in ("maximum", "minimum"):
        return _extremum(_put(args[0], names, ATOM), _put(args[1], names, ATOM), args, op), CHOICE
    if op in ("absolute", "sign"):
        inner = _put(args[0], names, ATOM)
        if op == "absolute":
            return f"-{inner} if {inner} < 0.0 else {inner}", CHOICE
        return f"1.0 if {inner} > 0.0 else -1.0 if {inner} < 0.0 else {inner}", CHOICE
    if op not in CALLS:
        raise LoweringError(f"{op} has no form for single numbers")
    return f"{CALLS[op]}({', '.join(_put(argument, names, CHOICE) for argument in args)})", ATOM


def _extremum(first: str, second: str, args: tuple[Scalar, ...], op: str) -> str:
    """The larger or smaller of two, NaN if either is."""
    for mine, other, number in ((first, second, args[1]), (second, first, args[0])):
        if number.op == "constant":
            return f"{other} if {mine} {'<=' if op == 'maximum' else '>='} {other} else {mine}"
    return f"{first} if {first} {'>=' if op == 'maximum' else '<='} {second} or {first} != {first} else {second}"


def _strength(scalar: Scalar, names: Mapping[Scalar, str]) -> int:
    if scalar in names or scalar.op in ("leaf", "constant") or scalar.op in CALLS:
        return ATOM
    return BINARY[scalar.op][1] if scalar.op in BINARY else CHOICE


def _put(scalar: Scalar, names: Mapping[Scalar, str], strength: int) -> str:
    written, own = _write(scalar, names)
    return written if own >= strength else f"({written})"
