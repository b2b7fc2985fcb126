"""Axes by letter: values whose axes are named by index letters, and the operations that align them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Expr, Integer, Symbol

from codegen.arrays import TRUTHS, Node, broadcast_shape
from symbolic.errors import LoweringError
from symbolic.tensors import Equation


@dataclass(frozen=True)
class Value:
    """A node and the index letter of each of its axes."""

    node: Node
    axes: tuple[Symbol, ...] = ()


class Builder:
    """Makes nodes, equal ones once, and uses a tensor's name for the node that defines it."""

    def __init__(self) -> None:
        self._made: dict[Node, Node] = {}

    def make(
        self,
        op: str,
        args: tuple[Node, ...] = (),
        detail: object = None,
        shape: tuple[Expr, ...] | None = None,
    ) -> Node:
        node = Node(op, args, detail, broadcast_shape([a.shape for a in args]) if shape is None else shape)
        return self._made.setdefault(node, node)

    def remember(self, node: Node, key: str) -> None:
        if node.args and not node.is_host:
            self._made[node] = Node("tensor", detail=key, shape=node.shape)


class Layout:
    """Operations on values within one equation.

    scope: every index letter that is bound here with its size, outermost first. Where nothing else decides,
           axes are laid out in this order.
    """

    def __init__(self, builder: Builder, equation: Equation, scope: Mapping[Symbol, Expr]) -> None:
        self.builder = builder
        self.make = builder.make
        self.equation = equation
        self.scope = dict(scope)

    def refuse(self, expression: object, reason: str) -> LoweringError:
        text = str(expression)
        shown = text if len(text) <= 200 else text[:200] + "..."
        return LoweringError(f"equation for {self.equation.tensor.key}: {shown} {reason}")

    def _number(self, expression: Expr) -> Node:
        if not expression.is_extended_real or not expression.is_finite:
            raise self.refuse(expression, "is not a finite real number")
        return self.make("number", detail=expression if expression.is_Integer else expression.evalf(20))

    def _numeric(self, value: Value) -> Value:
        """Truth values as numbers, so that they add and do not decide a dtype."""
        return self.elementwise("cast", value) if value.node.op in TRUTHS else value

    def reduce(self, op: str, value: Value, bound: list[Symbol]) -> Value:
        present = [letter for letter in bound if letter in value.axes]
        if not present:
            return value
        where = tuple(sorted(value.axes.index(letter) for letter in present))
        kept = tuple(n for n in range(len(value.axes)) if n not in where)
        value = self._numeric(value)
        node = self.make(op, (value.node,), where, tuple(value.node.shape[n] for n in kept))
        return Value(node, tuple(value.axes[n] for n in kept))

    def elementwise(self, op: str, *values: Value) -> Value:
        """One operation on operands that are aligned by their letters."""
        axes = self._common_axes(values)
        return Value(self.make(op, tuple(self._aligned(value, axes) for value in values)), axes)

    def _common_axes(self, values: tuple[Value, ...]) -> tuple[Symbol, ...]:
        """The letters of all operands, laid out as in the largest operand where that has them all."""
        union = {axis for value in values for axis in value.axes}
        order = list(self.scope)
        natural = tuple(sorted(union, key=order.index))
        complete = [value.axes for value in values if len(value.axes) == len(union)]
        return natural if natural in complete or not complete else complete[0]

    def _aligned(self, value: Value, axes: tuple[Symbol, ...]) -> Node:
        """The node with its axes in the order of `axes`, and length-one axes where a later operand axis is
        missing.
        """
        node = self._transposed(value, tuple(axis for axis in axes if axis in value.axes))
        if not value.axes:
            return node
        first = min(axes.index(axis) for axis in value.axes)
        wanted = axes[first:]
        missing = tuple(n for n, axis in enumerate(wanted) if axis not in value.axes)
        if not missing:
            return node
        sizes = iter(node.shape)
        shape = tuple(Integer(1) if n in missing else next(sizes) for n in range(len(wanted)))
        return self.make("expand", (node,), missing, shape)

    def _transposed(self, value: Value, axes: tuple[Symbol, ...]) -> Node:
        if value.axes == axes:
            return value.node
        order = tuple(value.axes.index(axis) for axis in axes)
        if value.node.op == "transpose":
            inner = value.node.args[0]
            combined = tuple(value.node.detail[n] for n in order)
            if combined == tuple(range(len(combined))):
                return inner
            return self.make("transpose", (inner,), combined, tuple(inner.shape[n] for n in combined))
        return self.make("transpose", (value.node,), order, tuple(value.node.shape[n] for n in order))
