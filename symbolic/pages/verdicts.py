"""What a page says of its verification."""

from __future__ import annotations

from collections.abc import Iterator

from symbolic.pages.blocks import Block, Heading, Paragraph, text
from symbolic.precision import DIGITS
from symbolic.verification import Report


def verdict(report: Report | None) -> Iterator[Block]:
    """What verification found, if it was asked."""
    if report is None:
        return
    yield Heading(text("Verification"), anchor="verification")
    computed = [row.points for row in report.rows if row.points]
    others, wrong = len(report.rows) - len(computed), len(report.failures)
    fewest, most = min(computed, default=0), max(computed, default=0)
    points = f"{fewest} to {most} points" if fewest < most else "1 point" if most == 1 else f"{most} points"
    kinks = ", the kinks among them" if report.kink_points else ""
    said = (
        f"The steps above, what they begin with, their substeps and their matrix forms are {len(computed)} equalities. "
        f"Each had both sides computed in {DIGITS}-digit arithmetic at {points}{kinks}, with derivatives taken by "
        "disturbing the network and running it again. "
        + (f"{others} further checks compare definitions, counts and shapes. " if others else "")
        + (f"{wrong} are false." if wrong else "All of them hold.")
    )
    yield Paragraph((said,))
