"""Numbers, times and names, as messages say them."""

from __future__ import annotations


def number_of(count: int | float, unit: str) -> str:
    """How many of something: "1 epoch", "2 epochs", "1.5 epochs", "2 classes"; 2.0 is 2."""
    number = int(count) if count == int(count) else count
    more = "es" if unit.endswith("s") else "s"
    return f"{number} {unit}" if number == 1 else f"{number} {unit}{more}"


def duration(seconds: float) -> str:
    """A time in seconds with one decimal, or where it is less than one in milliseconds with up to three digits."""
    return f"{seconds:.1f} s" if seconds >= 0.9995 else f"{1000 * seconds:.3g} ms"


# Without types, since generated modules have a copy: see `codegen.entry_checks`.
def listed(names):
    """Names in a row: the first eight, and how many more there are."""
    names = [str(name) for name in names]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
