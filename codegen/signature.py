"""What the functions of a generated module take and give: read off the program's leaves, never from names.

The functions are forward(params, inputs...), loss(params, inputs..., targets...) and loss_and_gradients with
the same arguments as loss. An array of two or more axes whose tensor is a single letter is written as a
capital, as in forward(params, X).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Expr, Symbol

from symbolic.derivation import Derivation
from symbolic.errors import LoweringError, UsageError
from symbolic.programs import Program
from symbolic.tensors import Tensor, elements, key_of

DTYPES = ("float32", "float64")
# Names that the generated functions use themselves.
OWN_NAMES = frozenset({"params", "dtype", "np", "erf", "float"})


@dataclass(frozen=True)
class Argument:
    """One array that a function takes besides params.

    labels:   integer class labels are accepted in its place, because its rows are declared to sum to 1.
    interval: the values must lie between these two, or None.
    """

    key: str
    name: str
    shape: tuple[int | str, ...]
    target: bool
    labels: bool = False
    interval: tuple[int, int] | None = None


@dataclass(frozen=True)
class Signature:
    """Arguments and results of the functions of one module.

    parameters:  shape of each parameter, a name for a size that is open.
    gradients:   key of each gradient tensor by the key it belongs to.
    output:      key of the tensor that forward returns.
    code_names:  what a tensor or a size is called in the code, where that is not its key.
    dtype:       the only dtype accepted, or None for float32 and float64 alike.
    """

    program: Program
    parameters: Mapping[str, tuple[int | str, ...]]
    arguments: tuple[Argument, ...]
    gradients: Mapping[str, str]
    output: str
    code_names: dict[str, str]
    dtype: str | None = None

    @property
    def inputs(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if not argument.target)

    @property
    def gradient_keys(self) -> tuple[str, ...]:
        return tuple(self.gradients)

    def array_source(self, tensor: Tensor) -> str:
        """Source text of a leaf, wherever it is available."""
        if tensor.role == "parameter":
            return f'params["{tensor.key}"]'
        return self.code_names.get(tensor.key, tensor.key)

    def size_source(self, size: Expr) -> str:
        """Source text that reads a size off the first array that has it."""
        for leaf in sorted(self.program.leaves, key=lambda leaf: (leaf.role == "parameter", leaf.role == "target")):
            if size in leaf.shape:
                return f"{self.array_source(leaf)}.shape[{leaf.shape.index(size)}]"
        raise LoweringError(f"size {size} is no axis of any leaf, so no array says how large it is; give it a number")

    @property
    def dtype_source(self) -> str:
        leaf = min(self.program.leaves, key=lambda leaf: leaf.role == "parameter")
        return self.array_source(leaf)


def signature(derivation: Derivation, dtype: str | None = None) -> Signature:
    """The signature of the module for `derivation`.

    Raises:
        UsageError: for a dtype that is neither None, "float32" nor "float64".
    """
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"dtype must be one of {', '.join(DTYPES)} or None, not {dtype!r}")
    program = derivation.program
    names = _code_names(derivation)
    others = [leaf for leaf in program.leaves if leaf.role != "parameter"]
    ordered = sorted(others, key=lambda leaf: leaf.role == "target")
    return Signature(
        program=program,
        parameters={leaf.key: _shape(leaf, program) for leaf in program.parameters},
        arguments=tuple(
            Argument(
                leaf.key,
                names.get(leaf.key, leaf.key),
                _shape(leaf, program),
                leaf.role == "target",
                leaf.role == "target" and len(leaf.shape) == 2 and program.sums_to_one(leaf.key),
                program.intervals.get(leaf.key),
            )
            for leaf in ordered
        ),
        gradients={key: equation.tensor.key for key, equation in derivation.gradients.items()},
        output=output_key(program),
        code_names=names,
        dtype=dtype,
    )


def output_key(program: Program) -> str:
    """The tensor that the objective compares or sums: the last one that uses no target and is used by what
    comes after.

    In a network that is the output of the last layer.
    """
    targets = {leaf.key for leaf in program.leaves if leaf.role == "target"}
    tainted = set(targets)
    reads = {e.tensor.key: [str(key_of(x)) for x in elements(e.rhs)] for e in program.equations}
    for key, used in reads.items():
        if tainted & set(used):
            tainted.add(key)
    order = [key for key in reads if key not in tainted]
    users = tainted - targets if targets else {program.objective}
    consumed = {key for user in users for key in reads.get(user, ())}
    candidates = [key for key in order if key in consumed]
    return candidates[-1] if candidates else program.objective


def _shape(leaf: Tensor, program: Program) -> tuple[int | str, ...]:
    values = [program.value_of(extent) for extent in leaf.shape]
    return tuple(int(value) if value.is_Integer else str(value) for value in values)


def _code_names(derivation: Derivation) -> dict[str, str]:
    """Names in code that differ from the key: capitals for matrices given as arguments, and what would
    collide.
    """
    program = derivation.program
    taken = set(derivation.tensors) | OWN_NAMES
    names: dict[str, str] = {}
    for leaf in program.leaves:
        capital = leaf.key.upper()
        if leaf.role != "parameter" and len(leaf.key) == 1 and len(leaf.shape) > 1 and capital not in taken:
            names[leaf.key] = capital
            taken.add(capital)
    for key in derivation.tensors:
        if key in OWN_NAMES:
            names[key] = _free(key, taken)
    sizes = {s for tensor in derivation.tensors.values() for n in tensor.shape for s in n.free_symbols}
    for symbol in sorted(sizes, key=str):
        assert isinstance(symbol, Symbol)
        if symbol.name in taken or symbol.name in names.values():
            names[symbol.name] = _free(symbol.name, taken)
        taken.add(names.get(symbol.name, symbol.name))
    return names


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
