"""How a value is printed, the same in every format."""

from assets.tables.table import Column, Table, Value

NO_DATA = "no data"
SEEN = "†"
SEEN_NOTE = f"{SEEN}: the detector was trained on images of the generator that it is tested on."

_DIGITS = 6  # of a share; a billion images would not support more
_FACTOR = {"percent": 100, "points": 100}


def number(value: Value, column: Column) -> str:
    """`0.87`, `87.3`, `+1.2`, `12,000`, the text in its place, or `no data`."""
    if value.text is not None:
        return value.text
    if value.value is None:
        return NO_DATA
    return _printed(value.value, column)


def spread(value: Value, column: Column) -> str:
    """`± 0.02`, the deviation over training seeds; '' where there is none."""
    if value.sd is None or value.value is None:
        return ""
    return f"± {_printed(value.sd, column).removeprefix('+')}"


def bounds(value: Value, column: Column) -> str:
    """`(0.79–0.85)`, or `(-0.10 to 0.12)` where an end is negative; '' without an interval."""
    if value.low is None or value.high is None or value.value is None:
        return ""
    joint = "–" if value.low >= 0 and column.unit != "points" else " to "
    return f"({_printed(value.low, column)}{joint}{_printed(value.high, column)})"


def whole(value: Value | None, column: Column, seen: str = "") -> str:
    """Number, mark (`seen`) if it was trained on, deviation and interval; '' for an empty place."""
    if value is None:
        return ""
    mark = seen if value.seen and value.value is not None else ""
    parts = number(value, column) + mark, spread(value, column), bounds(value, column)
    return " ".join(part for part in parts if part)


def any_seen(table: Table) -> bool:
    """Whether a number of the table is to be marked."""
    return any(value is not None and value.seen for line in table.lines for value in line.values)


def rounded(value: float | None) -> float | None:
    """For files that programs read: more digits than any number of images supports, the same everywhere."""
    return None if value is None else round(value, _DIGITS)


def _printed(value: float, column: Column) -> str:
    if column.unit == "count":
        return f"{value:,.0f}"
    text = f"{value * _FACTOR.get(column.unit, 1):.{column.places}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.removeprefix("-")  # -0.00 is 0.00
    return (
        f"+{text}" if column.unit == "points" and value > 0 and any(d in text for d in "123456789") else text
    )
