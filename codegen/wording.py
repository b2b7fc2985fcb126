"""Numbers and times, as messages say them."""

from __future__ import annotations


def number_of(count: int | float, unit: str) -> str:
    """How many of something: "1 epoch", "2 epochs", "1.5 epochs", "2 classes"."""
    more = "es" if unit.endswith("s") else "s"
    return f"{count:g} {unit}" if count == 1 else f"{count} {unit}{more}"


def duration(seconds: float) -> str:
    """A time in seconds, or where it is less than one in milliseconds, with two digits at least."""
    return f"{seconds:.1f} s" if seconds >= 0.9995 else f"{1000 * seconds:.3g} ms"
