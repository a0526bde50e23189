"""The errors of a run so far, by cause and in words, out of its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.report.codes import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

_FAMILIES = {
    "connack_codes": "connack",
    "suback_codes": "suback",
    "puback_codes": "puback",
    "disconnect_codes": "disconnect",
    "connect_errors": "connect_errors",
}
"""Families of counters by code (`metrics.catalog.CODES`), with the name `report.codes` has for each."""

_OTHERS = {
    "dropped": "messages due and never sent",
    "foreign": "received messages of another run",
    "sessions_lost": "sessions gone at the broker",
}
"""Counters without a code that tell of trouble."""


def errors_by_cause(counters: Mapping[str, int]) -> dict[str, int]:
    """Give how often each cause of an error was seen.

    Args:
        counters: Counters as snapshots have them (`connack_codes:0x86|sensors`), since the start.

    Returns:
        Words such as `CONNACK 0x86 bad user name or password` → how often, over all groups; successes are
        left out.
    """
    codes: dict[tuple[str, str], int] = {}
    found: dict[str, int] = {}
    for key, count in counters.items():
        name = key.partition("|")[0]
        family, colon, code = name.partition(":")
        if colon and family in _FAMILIES:
            kind = _FAMILIES[family]
            codes[kind, code] = codes.get((kind, code), 0) + count
        elif name in _OTHERS and count:
            found[_OTHERS[name]] = found.get(_OTHERS[name], 0) + count
    for (kind, code), count in codes.items():
        line = explain(kind, code, count)
        # A connection that was lost is trouble, however politely the broker said so.
        if count and (line.bad or kind == "disconnect"):
            coded = line.code.startswith("0x")
            words = f"{line.section} {line.code} {line.words}" if coded else f"{line.section}: {line.words}"
            found[words] = found.get(words, 0) + count
    return found
