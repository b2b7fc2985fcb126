"""Where the nodes of a graph stand: in rows, every edge leading down.

Rows are found by the longest path; an edge that passes a row holds a place there, so that it runs through no node.
Rows are ordered by barycentres, which gives few crossings, and then drawn together: each node as near to the middle of
its neighbours as the order allows. Nothing is left to chance, so that the same graph is drawn the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 12
# Room between neighbours in a row, between rows, and for an edge that passes a row.
BESIDE, BELOW, PASSING = 18.0, 40.0, 18.0
# How strongly an edge draws its ends together: one that passes rows stays straight, one from a leaf gives way, and
# one from what stands aside gives way to all.
STRAIGHT, USUAL, LEAF, ASIDE = 8.0, 3.0, 0.3, 0.03

Pair = tuple[str, str]
Point = tuple[float, float]


@dataclass(frozen=True)
class Placed:
    """centres: of the nodes, each in the middle of its row. rows: the height of each node's row. passes: for each edge
    the places, from above to below, where it passes a row, each with the height of that row.
    """

    centres: Mapping[str, Point]
    rows: Mapping[str, float]
    passes: Mapping[Pair, tuple[tuple[float, float, float], ...]]
    width: float
    height: float


def placed(sizes: Mapping[str, Point], edges: Sequence[Pair], aside: Collection[str] = ()) -> Placed:
    """Places for nodes of given width and height, whose edges make no circle; nodes and edges in a fixed order.

    aside: nodes that stand beside the others of their row, half of them at the left.
    """
    ranks = _ranks(list(sizes), edges)
    chains: dict[Pair, list[str]] = {}
    widths = {node: width for node, (width, _) in sizes.items()}
    rows: list[list[str]] = [[] for _ in range(max(ranks.values()) + 1)]
    leaves = set(sizes) - {target for _, target in edges}
    for node in (*(node for node in sizes if node not in leaves), *(node for node in sizes if node in leaves)):
        if node not in aside:
            rows[ranks[node]].append(node)
    links: list[tuple[str, str, float]] = []
    for source, target in edges:
        chain = [source]
        for rank in range(ranks[source] + 1, ranks[target]):
            dummy = f"{source} -> {target} at {rank}"
            widths[dummy] = PASSING
            rows[rank].append(dummy)
            chain.append(dummy)
        chain.append(target)
        chains[source, target] = chain
        single = source in leaves and sum(source == other for other, _ in edges) == 1
        pull = STRAIGHT if len(chain) > 2 else USUAL
        if single:
            pull = ASIDE if source in aside else LEAF
        links += [(one, other, pull) for one, other in pairwise(chain)]
    rows = _ordered(_with_sides(rows, [node for node in sizes if node in aside], ranks), links)
    across = _across(rows, widths, links)
    heights = [max((sizes[node][1] for node in row if node in sizes), default=0.0) for row in rows]
    middles = [sum(heights[:n]) + n * BELOW + height / 2 for n, height in enumerate(heights)]
    passes = {
        edge: tuple(
            (across[dummy], middles[ranks[edge[0]] + n], heights[ranks[edge[0]] + n])
            for n, dummy in enumerate(chain[1:-1], start=1)
        )
        for edge, chain in chains.items()
    }  # fmt: skip
    centres = {node: (across[node], middles[ranks[node]]) for node in sizes}
    right = max(across[name] + widths[name] / 2 for name in across)
    tall = {node: heights[ranks[node]] for node in sizes}
    return Placed(centres, tall, passes, right, middles[-1] + heights[-1] / 2)


def _ranks(nodes: Sequence[str], edges: Sequence[Pair]) -> dict[str, int]:
    """The row of each node: below all that it uses; a leaf right above its first use."""
    after: dict[str, list[str]] = {node: [] for node in nodes}
    open_ = dict.fromkeys(nodes, 0)
    for source, target in edges:
        after[source].append(target)
        open_[target] += 1
    leaves = [node for node in nodes if not open_[node]]
    ranks = dict.fromkeys(nodes, 0)
    ready = list(leaves)
    while ready:
        node = ready.pop(0)
        for target in after[node]:
            ranks[target] = max(ranks[target], ranks[node] + 1)
            open_[target] -= 1
            if not open_[target]:
                ready.append(target)
    for leaf in leaves:
        ranks[leaf] = min((ranks[target] for target in after[leaf]), default=1) - 1
    return ranks


def _with_sides(rows: list[list[str]], aside: Sequence[str], ranks: Mapping[str, int]) -> list[list[str]]:
    """The rows with what stands aside at both of their ends."""
    found = []
    for rank, row in enumerate(rows):
        mine = [node for node in aside if ranks[node] == rank]
        half = len(mine) // 2
        found.append([*mine[:half], *row, *mine[half:]])
    return found


def _ordered(rows: list[list[str]], links: Sequence[tuple[str, str, float]]) -> list[list[str]]:
    """The rows in an order with few crossings: the best that sweeps down and up come by."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for one, other, _ in links:
        below.setdefault(one, []).append(other)
        above.setdefault(other, []).append(one)
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        current = [list(row) for row in (rows if down else rows[::-1])]
        for fixed, free in pairwise(current):
            at = {name: place for place, name in enumerate(fixed)}
            neighbours = above if down else below
            places = {name: [at[other] for other in neighbours.get(name, ())] for name in free}
            _sort(free, places)
        rows = current if down else current[::-1]
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _sort(row: list[str], places: Mapping[str, list[int]]) -> None:
    """Sort a row by the mean place of its neighbours; a name without any keeps its place."""
    moved = sorted((n for n in row if places[n]), key=lambda n: sum(places[n]) / len(places[n]))
    turn = iter(moved)
    row[:] = [next(turn) if places[name] else name for name in row]


def _crossings(rows: Sequence[Sequence[str]], below: Mapping[str, list[str]]) -> int:
    count = 0
    for row, following in pairwise(rows):
        at = {name: place for place, name in enumerate(following)}
        ends = [sorted(at[other] for other in below.get(name, ())) for name in row]
        for n, mine in enumerate(ends):
            for others in ends[n + 1 :]:
                count += sum(other < end for end in mine for other in others)
    return count


def _across(
    rows: Sequence[Sequence[str]], widths: Mapping[str, float], links: Sequence[tuple[str, str, float]]
) -> dict[str, float]:
    """How far from the left each name stands, in the order of its row and apart from its neighbours."""
    near: dict[str, list[tuple[str, float]]] = {}
    for one, other, pull in links:
        near.setdefault(one, []).append((other, pull))
        near.setdefault(other, []).append((one, pull))
    across: dict[str, float] = {}
    for row in rows:
        across.update(zip(row, _apart(row, widths, [0.0] * len(row), [1.0] * len(row)), strict=True))
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wished, pulls = [], []
            for name in row:
                strength = sum(pull for _, pull in near.get(name, ())) or 0.01
                mean = sum(across[other] * pull for other, pull in near.get(name, ())) / strength
                wished.append(mean if near.get(name) else across[name])
                pulls.append(strength)
            across.update(zip(row, _apart(row, widths, wished, pulls), strict=True))
    left = min(across[name] - widths[name] / 2 for name in across)
    return {name: round(place - left, 2) for name, place in across.items()}


def _apart(
    row: Sequence[str], widths: Mapping[str, float], wished: Sequence[float], pulls: Sequence[float]
) -> list[float]:
    """The places nearest to those wished at which neighbours are apart: least squares, by pooling those that meet."""
    offsets = [0.0]
    for one, other in pairwise(row):
        offsets.append(offsets[-1] + (widths[one] + widths[other]) / 2 + BESIDE)
    pools: list[tuple[float, float, int]] = []
    for wish, offset, pull in zip(wished, offsets, pulls, strict=True):
        place, strength, count = wish - offset, pull, 1
        while pools and pools[-1][0] > place:
            nearest, force, many = pools.pop()
            place = (place * strength + nearest * force) / (strength + force)
            strength, count = strength + force, count + many
        pools.append((place, strength, count))
    shifts = [place for place, _, count in pools for _ in range(count)]
    return [shift + offset for shift, offset in zip(shifts, offsets, strict=True)]
