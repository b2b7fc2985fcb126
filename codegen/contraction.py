"""Sums of products as matrix products, wherever the letters allow one."""

from __future__ import annotations

import math

from sympy import Symbol

from codegen.layout import Layout, Value

PRODUCTS = frozenset({"matmul", "tensordot", "einsum"})


class Contraction(Layout):
    """Joins the factors of a sum in pairs, the pair with the smallest result first."""

    def joined(self, values: list[Value], bound: list[Symbol]) -> Value:
        """The sum over `bound` of the product of `values`."""
        remaining = list(bound)
        while len(values) > 1:
            left, right = min(
                ((a, b) for a in range(len(values)) for b in range(a + 1, len(values))),
                key=lambda pair: self._pair_cost(values, pair, remaining),
            )
            others = {axis for n, v in enumerate(values) if n not in (left, right) for axis in v.axes}
            ready = [b for b in remaining if b not in others and b in {*values[left].axes, *values[right].axes}]
            joined = self._pair(values[left], values[right], ready)
            values = [v for n, v in enumerate(values) if n not in (left, right)] + [joined]
            remaining = [b for b in remaining if b not in ready]
        return self.reduce("sum", values[0], remaining) if remaining else values[0]

    def _pair_cost(
        self, values: list[Value], pair: tuple[int, int], bound: list[Symbol]
    ) -> tuple[int, int, tuple[int, int]]:
        """Axes of the array that joining two factors leaves; the smallest is joined first."""
        others = {axis for n, v in enumerate(values) if n not in pair for axis in v.axes}
        union = {axis for n in pair for axis in values[n].axes}
        return (len({axis for axis in union if axis in others or axis not in bound}), len(union), pair)

    def _pair(self, left: Value, right: Value, bound: list[Symbol]) -> Value:
        """The sum over `bound` of left * right: a matrix product where the letters allow one."""
        for name in bound:
            if name not in right.axes:
                left = self.reduce("sum", left, [name])
            elif name not in left.axes:
                right = self.reduce("sum", right, [name])
        bound = [b for b in bound if b in left.axes and b in right.axes]
        shared = [a for a in left.axes if a in right.axes and a not in bound]
        own_left = [a for a in left.axes if a not in right.axes]
        own_right = [a for a in right.axes if a not in left.axes]
        if not bound:
            return self.elementwise("multiply", left, right)
        if not shared and len(bound) == 1:
            if self._rank_in_scope(own_right) < self._rank_in_scope(own_left):
                left, right, own_left, own_right = right, left, own_right, own_left
            if len(own_right) <= 1:
                return self._matrix_product(left, right, own_left, own_right, bound[0])
            if len(own_left) <= 1:
                return self._matrix_product(right, left, own_right, own_left, bound[0])
        if not shared and (own_left or own_right):
            return self._tensordot(left, right, own_left, own_right, bound)
        if shared and len(bound) == 1 and len(own_left) == 1 and len(own_right) == 1:
            if self._rank_in_scope(own_right) < self._rank_in_scope(own_left):
                left, right, own_left, own_right = right, left, own_right, own_left
            axes_left, axes_right = (*shared, *own_left, bound[0]), (*shared, bound[0], *own_right)
            args = (self._transposed(left, axes_left), self._transposed(right, axes_right))
            shape = args[0].shape[:-1] + args[1].shape[-1:]
            return Value(self.make("matmul", args, None, shape), (*shared, *own_left, *own_right))
        if own_left and own_right:
            return self._einsum(left, right, (*shared, *own_left, *own_right))
        return self.reduce("sum", self.elementwise("multiply", left, right), bound)

    def _matrix_product(
        self, left: Value, right: Value, own_left: list[Symbol], own_right: list[Symbol], bound: Symbol
    ) -> Value:
        """left @ right over one letter; a vector is neither row nor column, so it goes on whichever side
        needs no transpose.
        """
        vector_first = not own_left and len(right.axes) > 1 and right.axes[-1] == bound
        vector_last = not own_right and len(left.axes) == 2 and left.axes[-1] != bound
        if vector_first or vector_last:
            left, right, own_left, own_right = right, left, own_right, own_left
        a = self._transposed(left, (*own_left, bound))
        b = self._transposed(right, (bound, *own_right))
        return Value(self.make("matmul", (a, b), None, a.shape[:-1] + b.shape[1:]), (*own_left, *own_right))

    def _tensordot(
        self, left: Value, right: Value, own_left: list[Symbol], own_right: list[Symbol], bound: list[Symbol]
    ) -> Value:
        if self._rank_in_scope(own_right) < self._rank_in_scope(own_left):
            left, right, own_left, own_right = right, left, own_right, own_left
        axes = tuple(left.axes.index(b) for b in bound), tuple(right.axes.index(b) for b in bound)
        shape = tuple(self.scope[a] for a in (*own_left, *own_right))
        return Value(self.make("tensordot", (left.node, right.node), axes, shape), (*own_left, *own_right))

    def _einsum(self, left: Value, right: Value, result: tuple[Symbol, ...]) -> Value:
        letter = {
            axis: "abcdefghijklmnopqrstuvwxyz"[n] for n, axis in enumerate(dict.fromkeys((*left.axes, *right.axes)))
        }
        detail = tuple("".join(letter[axis] for axis in axes) for axes in (left.axes, right.axes, result))
        return Value(self.make("einsum", (left.node, right.node), detail, tuple(self.scope[a] for a in result)), result)

    def _rank_in_scope(self, axes: list[Symbol]) -> float:
        order = list(self.scope)
        return min((order.index(axis) for axis in axes), default=math.inf)
