"""The rule by which gradient descent changes parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from symbolic.depth import LAYER
from symbolic.evaluation import Point
from symbolic.matrices import ArrayOf, Gradient
from symbolic.notation import Notation
from symbolic.notes.exposition import Setting
from symbolic.pages.blocks import Line
from symbolic.precision import NUMBERS, Table
from symbolic.rules import UPDATE
from symbolic.verification import Draw, Row, drawn_points

ASSIGN = ":="
# How far a parameter is moved to see the cost change, and how well the change must be met.
_STEP = NUMBERS.mpf("1e-16")
_NEAR = NUMBERS.mpf("1e-25")
# At how many points: functions with a flat part may have no slope at one.
_POINTS = 3


@dataclass(frozen=True)
class Updates:
    """v := v - alpha dL/dv for parameters of any layer, and the layers for which it is meant.

    setting: whose tensors have the letters of any layer. names: of the parameters, such as "W" and "b".
    network: the network in which it is tried, at every layer of `layers`. Those must be all of its parameters.
    """

    setting: Setting
    names: Sequence[str]
    network: Setting
    layers: Sequence[int]

    def lines(self, notation: Notation) -> list[Line]:
        printer = self.setting.printer(notation)
        loss = ArrayOf(self.setting.loss.key)
        sign = "-" if self.setting.program.sense == "minimise" else "+"
        lines = []
        for name in self.names:
            parameter = ArrayOf(f"{name}[{LAYER}]")
            left, slope = printer.doprint(parameter), printer.doprint(Gradient(loss, parameter))
            lines.append(Line(left, [f"{left} {sign} {notation.letters['rate']} {slope}"], relation=ASSIGN))
        numbers = ", ".join(notation.layer_number(layer) for layer in self.layers)
        return [*lines, Line(notation.layer_number(LAYER), [numbers])]

    def rows(self) -> Iterator[Row]:
        """Every parameter has its step.

        Moved by h along it, the cost changes by -h times the sum of squares of the derivatives, or by +h.
        """
        program = self.network.program
        meant = {f"{name}{layer}" for layer in self.layers for name in self.names}
        wanted = {tensor.key for tensor in program.parameters}
        problems = [f"{key} has no step" for key in sorted(wanted - meant)]
        problems += [f"{key} is no parameter" for key in sorted(meant - wanted)]
        error = float("inf") if problems else 0.0
        yield Row(f"{self.network.name}: parameters", "1", UPDATE.name, 0, error, ", ".join(problems))
        draws = drawn_points(program, _POINTS, 0, self.network.meaning(), self.network.derived())[:_POINTS]
        for layer in self.layers:
            for name in self.names:
                key = f"{name}{layer}"
                if key not in wanted:
                    continue
                error = max(self._error(draw, key) for draw in draws)
                problem = "" if error <= _NEAR else "the cost does not change as it should"
                yield Row(f"{self.network.name}: step by {key}", "1", UPDATE.name, _POINTS, float(error), problem)

    def _error(self, draw: Draw, key: str) -> Any:
        program, loss = self.network.program, self.network.loss.key
        sign = -1 if self.setting.program.sense == "minimise" else 1
        point = draw.point
        slopes = {place: moved.get((), NUMBERS.zero) for place, moved in point.total(loss, key).items()}

        def cost(amount: Any) -> Any:
            own: Table = {place: value + sign * amount * slopes[place] for place, value in point.leaves[key].items()}
            return Point(program, point.sizes, {**point.leaves, key: own}).table(loss)[()]

        change = (cost(_STEP) - cost(-_STEP)) / (2 * _STEP)
        square = NUMBERS.fsum(slope**2 for slope in slopes.values())
        # Where every function on the way is flat, nothing moves.
        return abs(change - sign * square) / square if square else abs(change)
