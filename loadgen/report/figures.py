"""Numbers and names as people read them: durations, counts, sizes, and text that cannot harm a terminal."""

from __future__ import annotations

import math
import unicodedata

NOTHING = "\N{EN DASH}"
"""What stands where there is no figure; never 0, which would be a measurement."""

_MINUTE = 60.0
_HOUR = 3600.0


def seconds(value: float | None) -> str:
    """Give a duration in seconds as `412 µs`, `12.3 ms`, `1.23 s`, `2m 05s` or `3h 02m`; a dash for none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if size == 0:
        return "0 s"
    for limit, factor, unit in ((9.995e-4, 1e6, "µs"), (0.9995, 1e3, "ms"), (59.95, 1.0, "s")):
        if size < limit:
            return f"{three_digits(value * factor)} {unit}"
    return _long(value)


def clock(value: float | None) -> str:
    """Give elapsed seconds as `12s`, `2m 05s` or `3h 02m`: for axes and the first column of a live view."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.0f}s" if abs(value) < _MINUTE else _long(value)


def _long(value: float) -> str:
    """Give a duration of a minute or more in two units."""
    whole = round(value)
    if whole < _HOUR:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def three_digits(value: float) -> str:
    """Give a number three significant digits, without an exponent (`0.412`, `12.3`, `1,234`)."""
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"


def count(value: float | None) -> str:
    """Give a whole number with thousands separated by commas; a dash for none."""
    return NOTHING if value is None else f"{round(value):,}"


def rate(value: float | None) -> str:
    """Give a rate per second as `205/s`; a dash for none."""
    return NOTHING if value is None or not math.isfinite(value) else f"{three_digits(value)}/s"


def size(value: float | None) -> str:
    """Give a number of bytes in decimal units (`1.23 MB`); a dash for none."""
    if value is None:
        return NOTHING
    number, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):  # noqa: B007 - the unit at the break is the answer
        if abs(number) < 999.5:
            break
        number /= 1000
    else:
        unit = "PB"
    return f"{number:.0f} B" if unit == "B" else f"{three_digits(number)} {unit}"


def percent(value: float | None) -> str:
    """Give a percentage as `12.3 %`; a dash for none."""
    return NOTHING if value is None else f"{three_digits(value)} %"


def clean(text: object) -> str:
    r"""Make text safe for a terminal and one line: control and format characters become `\x1b`-like escapes.

    Names come from scenario files, certificates and brokers; an escape sequence in one must not move the
    reader's cursor, and a right-to-left override must not rewrite the line.
    """
    return "".join(
        character
        if unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else character.encode("unicode_escape").decode("ascii")
        for character in str(text)
    )
