"""Units one by one, and stacked: rows of a matrix, entries under each other, sizes as numbers, entries with names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sympy import Add, Basic, Expr, Integer, KroneckerDelta, Mul, Sum, Symbol

from symbolic.calculus import substitute_indices
from symbolic.errors import DerivationError
from symbolic.expressions import Applied
from symbolic.matrices import Abreast, ArrayOf, Plus, Product, RowOf, Scalar, Stacked, Transpose
from symbolic.matrixform import matrix_form
from symbolic.notes.exposition import Chain, Setting
from symbolic.programs import Program
from symbolic.rules import INNER_PRODUCT, STACK, SUBSTITUTE, WRITE_OUT, Step
from symbolic.tensors import Equation, Fact, Tensor, elements, indices_of, key_of


def with_sizes(program: Program, numbers: Mapping[Symbol, int]) -> Program:
    """The program with numbers for some of its sizes, in shapes and sums too."""
    swap = {size: Integer(number) for size, number in numbers.items()}

    def fixed(tensor: Tensor) -> Tensor:
        return replace(tensor, shape=tuple(extent.xreplace(swap) for extent in tensor.shape))

    equations = [replace(one, tensor=fixed(one.tensor), rhs=one.rhs.xreplace(swap)) for one in program.equations]
    facts = [Fact(one.before.xreplace(swap), one.after.xreplace(swap), one.statement) for one in program.facts]
    sizes = {size: number for size, number in program.sizes.items() if size not in numbers}
    leaves = tuple(map(fixed, program.leaves))
    return replace(program, leaves=leaves, equations=tuple(equations), facts=tuple(facts), sizes=sizes)


def with_named_entries(program: Program, key: str, letter: str) -> Program:
    """The program with a matrix among its leaves made from the entries of one vector, column by column.

    letter: name of the vector. The matrix has numbers for its sizes.
    """
    matrix = next(leaf for leaf in program.leaves if leaf.key == key)
    rows, columns = map(int, matrix.shape)
    vector = Tensor(letter, matrix.role, None, (Integer(rows * columns),))
    row, column = matrix.indices
    entries = [
        vector[at * rows + n] * KroneckerDelta(row, n) * KroneckerDelta(column, at)
        for at in range(columns)
        for n in range(rows)
    ]
    made = Equation(replace(matrix, role="intermediate"), matrix.indices, Add(*entries))
    leaves = tuple(vector if leaf is matrix else leaf for leaf in program.leaves)
    return replace(program, leaves=leaves, equations=(made, *program.equations))


def unit_written_out(setting: Setting, key: str, unit: int, *through: str) -> Chain:
    """One element of a tensor by the equations of the tensors `through`, with every sum term by term.

    through: keys, the last one computed first; the function that gives the element keeps its name.
    """
    program = setting.program
    head = setting.tensor(key)[Integer(unit),]
    equation = program.definitions[key]
    argument = next(iter(elements(equation.rhs))).xreplace({equation.indices[0]: Integer(unit)})
    steps: list[Step] = [Step(WRITE_OUT, head, Applied(head, argument))]
    for one in through:
        argument = spelled_out(_put(program, one, argument))
        steps.append(Step(SUBSTITUTE, steps[-1].after, Applied(head, argument)))
    whole = Step(WRITE_OUT, head, steps[-1].after, tuple(steps))
    return Chain(setting, str(head), (head,), (), (), (whole,))


def _put(program: Program, key: str, expression: Expr) -> Expr:
    """The elements of one tensor by its equation."""
    equation = program.definitions[key]
    swap = {
        element: substitute_indices(equation.rhs, dict(zip(equation.indices, indices_of(element), strict=True)))
        for element in dict.fromkeys(elements(expression))
        if key_of(element) == key
    }
    return expression.xreplace(swap)


def spelled_out(expression: Expr) -> Expr:
    """Every sum over a known number of terms as those terms."""
    sums = [node for node in expression.atoms(Sum) if not node.function.has(Sum)]
    swap = {}
    for node in sums:
        terms = [node.function]
        for letter, low, high in node.limits:
            if not (low.is_Integer and high.is_Integer):
                raise DerivationError(f"{node} has no known number of terms")
            places = range(int(low), int(high) + 1)
            terms = [substitute_indices(term, {letter: Integer(n)}) for term in terms for n in places]
        swap[node] = Add(*terms)
    return spelled_out(expression.xreplace(swap)) if swap else expression


# ---------------------------------------------------------------------- rows


def by_row(setting: Setting, key: str, unit: Expr | None = None, called: str = "") -> Chain:
    """u_i = sum over j of W_ij v_j + ... as w_i^T v + ..., with w_i the row i of W as a column.

    unit: a number for i; without it the sum is a line of its own. called: key of a tensor that is the same.

    Raises:
        DerivationError: the tensor that is called the same is another one.
    """
    equation = setting.program.definitions[key]
    (letter,) = equation.indices
    swap = {} if unit is None else {letter: unit}
    head, rhs = equation.lhs.xreplace(swap), equation.rhs.xreplace(swap)
    if called:
        name = setting.program.definitions[called]
        if key_of(name.rhs) != key:
            raise DerivationError(f"{called} is not {key}")
        head = name.lhs.xreplace(dict(zip(name.indices, indices_of(head), strict=True)))
    steps: tuple[Step, ...] = (
        Step(WRITE_OUT, head, rhs),
        Step(INNER_PRODUCT, rhs, row_form(equation).xreplace(swap)),
    )
    if unit is not None:
        steps = (Step(INNER_PRODUCT, head, steps[-1].after, steps),)
    return Chain(setting, str(head), (head,), (), (), steps)


def row_form(equation: Equation) -> Basic:
    """The right side of an equation of a column with the inner products of rows in it; the letter of the row is free.

    Raises:
        DerivationError: a sum in it is no product of a row of a matrix with a column.
    """
    (letter,) = equation.indices
    terms: list[Basic] = []
    for term in Add.make_args(equation.rhs):
        if not isinstance(term, Sum):
            terms.append(Scalar(term))
            continue
        factors = {indices_of(one): key_of(one) or "" for one in Mul.make_args(term.function)}
        bound = term.limits[0][0]
        if set(factors) != {(letter, bound), (bound,)} or len(term.limits) != 1:
            raise DerivationError(f"{term} is no product of a row of a matrix with a column")
        row = RowOf(ArrayOf(factors[letter, bound]), letter)
        terms.append(Product(Transpose(row), ArrayOf(factors[bound,])))
    return terms[0] if len(terms) == 1 else Plus(*terms)


def rows_stacked(setting: Setting, key: str) -> Chain:
    """A matrix as its rows under each other."""
    tensor = setting.tensor(key)
    after = Stacked(tensor.indices[0], tensor.shape[0], Transpose(RowOf(ArrayOf(key), tensor.indices[0])))
    return _whole(setting, key, (Step(STACK, ArrayOf(key), after),))


def entries_stacked(setting: Setting, key: str, turned: bool = False) -> Chain:
    """A column as its entries; turned: as a row of them, turned."""
    return _whole(setting, key, (Step(STACK, ArrayOf(key), _column(setting.tensor(key), turned)),))


def entries_named(setting: Setting, key: str) -> Chain:
    """A matrix as the table of its entries, and of what its equation says that they are."""
    tensor, equation = setting.tensor(key), setting.program.definitions[key]
    (row, column), (rows, columns) = tensor.indices, tensor.shape
    entries, names = (
        Stacked(row, rows, Abreast(column, columns, Scalar(one))) for one in (tensor.element, equation.rhs)
    )
    return _whole(setting, key, (Step(STACK, ArrayOf(key), entries), Step(SUBSTITUTE, entries, names)))


def equation_stacked(setting: Setting, key: str) -> Chain:
    """A column as its entries, each by its row, and as what matrices say of that."""
    equation = setting.program.definitions[key]
    entries = _column(setting.tensor(key))
    (letter,), (extent,) = equation.indices, equation.tensor.shape
    parts: list[Basic] = []
    form = row_form(equation)
    for term in form.args if isinstance(form, Plus) else (form,):
        if isinstance(term, Product):
            row, column = term.args
            parts.append(Product(Stacked(letter, extent, row), _column(setting.tensor(column.key))))
        else:
            parts.append(Stacked(letter, extent, term))
    stacked = parts[0] if len(parts) == 1 else Plus(*parts)
    whole = matrix_form(equation.rhs, equation.indices, setting.tensors, None, equation.tensor.shape)
    steps = (Step(STACK, ArrayOf(key), entries), Step(INNER_PRODUCT, entries, stacked), Step(STACK, stacked, whole))
    return _whole(setting, key, steps)


def in_one(setting: Setting, key: str, through: str) -> Chain:
    """a = f(W x + b): a named function of what another equation says."""
    equation, inner = setting.program.definitions[key], setting.program.definitions[through]
    argument = substitute_indices(inner.rhs, dict(zip(inner.indices, equation.indices, strict=True)))
    named = equation.function is not None
    after = Applied(equation.lhs, argument) if named else argument
    steps = (Step(WRITE_OUT, equation.lhs, after),)
    return Chain(setting, key, (equation.lhs,), equation.indices, equation.tensor.shape, steps, "matrix")


def _column(tensor: Tensor, turned: bool = False) -> Basic:
    (letter,), (extent,) = tensor.indices, tensor.shape
    entry = Scalar(tensor.element)
    return Transpose(Abreast(letter, extent, entry)) if turned else Stacked(letter, extent, entry)


def _whole(setting: Setting, key: str, steps: tuple[Step, ...]) -> Chain:
    tensor = setting.tensor(key)
    return Chain(setting, key, (steps[0].before,), tensor.indices, tensor.shape, steps, "matrix")
