"""Scalars times a factor, such as gradients times the learning rate."""

from __future__ import annotations

from codegen.scalars import Scalar, Table, walk


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
