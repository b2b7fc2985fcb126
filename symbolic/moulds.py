"""Expressions that differ in names only, made once and then cast: equal layers have equal expressions.

The names in an expression are those of tensors and of sizes; everything else is its skeleton. An expression whose
skeleton is known need not be derived or evaluated again: SymPy sorts and evaluates by structure and by the order of the
names, so where the new names have the same order as the old ones, putting them in gives exactly what SymPy would make.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

from sympy import Add, Basic, Expr, Function, Indexed, IndexedBase, KroneckerDelta, Mul, Pow, Sum, Symbol
from sympy.core.relational import Relational

from symbolic.matrices import ArrayOf

_REMEMBERED = 2**13
_NAMES = 2**15


class Skeleton(NamedTuple):
    """An expression without its names, and the names in the order in which they appear, each once."""

    tokens: Hashable
    names: tuple[Symbol, ...]


@lru_cache(maxsize=_NAMES)
def is_name(symbol: Symbol) -> bool:
    """Whether a symbol is the name of a tensor or of a size, and no index letter."""
    return bool(symbol.is_positive or not symbol.is_integer)


@lru_cache(maxsize=_NAMES)
def is_tensor_name(symbol: Symbol) -> bool:
    """Whether a name is that of a tensor."""
    return not symbol.is_integer


@lru_cache(maxsize=_NAMES)
def tensor_name(key: str) -> Symbol:
    """The symbol that names the tensor with this key in expressions."""
    return Symbol(key, real=True)


def skeleton(*expressions: Basic) -> Skeleton:
    """Equal tokens for expressions that differ in names only."""
    places: dict[Symbol, int] = {}
    tokens: list[Hashable] = []
    stack = list(reversed(expressions))
    while stack:
        node = stack.pop()
        if isinstance(node, Symbol):
            # In a tuple, since SymPy's numbers equal Python's.
            named = is_name(node)
            tokens.append((places.setdefault(node, len(places)), is_tensor_name(node)) if named else node)
        elif node.args:
            tokens += (node.func, len(node.args))
            stack.extend(reversed(node.args))
        else:
            tokens.append(node)
    return Skeleton(tuple(tokens), tuple(places))


def joined(parts: Iterable[Skeleton]) -> Skeleton:
    """Several skeletons as one, which says too which names they have in common."""
    places: dict[Symbol, int] = {}
    tokens = []
    for part in parts:
        tokens.append((part.tokens, tuple([places.setdefault(name, len(places)) for name in part.names])))
    return Skeleton(tuple(tokens), tuple(places))


def order_of(names: Sequence[Symbol], letters: Sequence[Symbol] = ()) -> tuple[int, ...]:
    """The order of names among each other and among letters, as SymPy sorts them."""
    texts = [name.name for name in (*names, *letters)]
    ranks = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    return tuple([ranks[text] for text in texts])


# Parts of expressions without their constructors' checks


@lru_cache(maxsize=_REMEMBERED)
def element(label: Symbol, indices: tuple[Expr, ...]) -> Indexed:
    """label[indices], as `Indexed` makes it."""
    base = _base(label)
    twin = _twin(_assumed(label))
    if twin is None:
        return Indexed(base, *indices)
    made = Expr.__new__(Indexed, base, *indices)
    # SymPy's symbols with the same assumptions share them too.
    made._assumptions = twin._assumptions
    return made


@lru_cache(maxsize=_REMEMBERED)
def _base(label: Symbol) -> IndexedBase:
    twin = _twin(_assumed(label))
    return IndexedBase(label) if twin is None else _bare_base(label, twin.base)


def _bare_base(label: Symbol, twin: IndexedBase) -> IndexedBase:
    made = Expr.__new__(IndexedBase, label)
    vars(made).update(vars(twin), _name=label.name)
    made._assumptions = twin._assumptions
    return made


def _assumed(label: Symbol) -> frozenset[tuple[str, bool]]:
    return _assumptions(label) if type(label) is Symbol else frozenset()


@lru_cache(maxsize=_REMEMBERED)
def _assumptions(label: Symbol) -> frozenset[tuple[str, bool]]:
    assumed = frozenset(label.assumptions0.items())
    return _KINDS.setdefault(assumed, assumed)


# One object for all labels of a kind: there are thousands of labels.
_KINDS: dict[frozenset[tuple[str, bool]], frozenset[tuple[str, bool]]] = {}


@cache
def _twin(assumed: frozenset[tuple[str, bool]]) -> Indexed | None:
    """An element by SymPy's own constructors, to take assumptions from; None if that does not give what they give."""
    if not assumed:
        return None
    letter = Symbol("i", integer=True, nonnegative=True)
    twin, other = (Indexed(IndexedBase(Symbol(name, **dict(assumed))), letter) for name in ("A", "B"))
    try:
        base = _bare_base(other.base.label, twin.base)
        same = base == other.base and vars(base) == vars(other.base) and base.assumptions0 == other.base.assumptions0
    except (AttributeError, TypeError):  # another SymPy, with other insides
        return None
    return twin if same else None


def total(body: Expr, *limits: Basic) -> Expr:
    """`Sum` of parts that stood in one before: nothing in them is to be folded or checked again."""
    made = Expr.__new__(Sum, body, *limits)
    made.is_commutative = True
    return made


def _array(label: Symbol, *example: Symbol) -> ArrayOf:
    return ArrayOf(label.name, *example)


@cache
def _unevaluated(kind: Any) -> Callable[..., Basic]:
    return partial(kind, evaluate=False)


def _parts(node: Basic) -> tuple[Callable[..., Any], tuple[Basic, ...]]:
    """How a node is made, and from what."""
    if isinstance(node, Indexed) and len(node.base.args) == 1:
        return _element_of, (node.base.label, *node.indices)
    if isinstance(node, ArrayOf):
        return _array, (tensor_name(node.key), *node.args[1:])
    if type(node) is Sum:
        return total, node.args
    kind: Any = node.func
    evaluated = isinstance(node, (Add, Mul, Pow, Function, Relational)) and not isinstance(node, KroneckerDelta)
    return (_unevaluated(kind) if evaluated else kind), node.args


def _element_of(label: Symbol, *indices: Expr) -> Indexed:
    return element(label, indices)


class Mould:
    """Expressions that are made again and again, with other names in the places of their own.

    The names that are put in must have the order of the old ones, and so must what is equal among them.
    """

    def __init__(self, expressions: Sequence[Basic], names: Sequence[Symbol]) -> None:
        made: dict[Basic, tuple[Callable[..., Any], tuple[Basic, ...]]] = {}
        fixed: dict[Basic, None] = {}
        varying: set[Basic] = set(names)
        stack = list(reversed(expressions))
        while stack:
            node = stack.pop()
            if node in varying or node in fixed:
                continue
            make, parts = _parts(node) if node.args else (node.func, ())
            if not all(part in varying or part in fixed for part in parts):
                stack += [node, *reversed(parts)]
            elif any(part in varying for part in parts):
                made[node] = make, parts
                varying.add(node)
            else:
                fixed[node] = None
        slots = {node: at for at, node in enumerate((*names, *fixed, *made))}
        self.fixed = tuple(fixed)
        self.made = [(make, tuple(slots[part] for part in parts)) for make, parts in made.values()]
        self.wanted = [slots[node] for node in expressions]

    def cast(self, names: Sequence[Symbol]) -> list[Any]:
        """The expressions with these names."""
        values: list[Any] = [*names, *self.fixed]
        for make, where in self.made:
            values.append(make(*[values[at] for at in where]))
        return [values[at] for at in self.wanted]


class Moulds:
    """One expression for any names: made by SymPy once for each order that the names come in, then cast.

    letters: the index letters in it.
    """

    def __init__(self, make: Callable[..., Basic], letters: Sequence[Symbol] = ()) -> None:
        self.make = make
        self.letters = tuple(letters)
        self.moulds: dict[tuple[int, ...], Mould] = {}

    def cast(self, names: Sequence[Symbol]) -> Any:
        order = order_of(names, self.letters)
        mould = self.moulds.get(order)
        if mould is None:
            made = self.make(*names)
            self.moulds[order] = Mould((made,), names)
            return made
        return mould.cast(names)[0]
