"""The faults of a run that was killed: what was done and when, from its events; the rest is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TIMES = {
    "injecting": "injected_at",
    "marked": "injected_at",
    "injected": "injected_done_at",
    "healing": "healing_at",
    "healed": "healed_at",
}
"""Phase of a `fault` event → the key of `faults[]` that it gives."""
_OUTCOMES = {
    "injecting": "injecting",
    "injected": "injected",
    "marked": "injected",
    "not reached": "not reached",
}
_NO_STEP = {*_TIMES, "closed", "not reached", "trouble"}


def faults_of(events: Iterable[Mapping[str, Any]], origin: int) -> list[dict[str, Any]]:
    """Give `faults` of result.json as far as a killed run's events tell it; the figures are null.

    Args:
        events: of the run, in the order of writing.
        origin: the run's start, monotonic ns: seconds count from here.
    """
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        if event.get("event") != "fault":
            continue
        fault = found.setdefault(event["number"], _begun(event))
        phase, at = event["phase"], (event["ns"] - origin) / 1e9
        if phase in _TIMES:
            fault[_TIMES[phase]] = at
        fault["outcome"] = _OUTCOMES.get(phase, fault["outcome"])
        if phase == "trouble":
            fault["trouble"].append(event["why"])
        elif phase not in _NO_STEP:
            fault["steps"].append({"what": phase, "node": event.get("node", ""), "at": at})
    return [found[number] for number in sorted(found)]


def _begun(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": event["number"],
        "name": event["fault"],
        "kind": event["kind"],
        "target": "",
        "nodes": list(event.get("nodes") or []),
        "endpoints": list(event.get("nodes") or []),
        "outcome": "pending",
        "planned_at": None,
        "trouble": [],
        "steps": [],
        **dict.fromkeys(("injected_at", "injected_done_at", "healing_at", "healed_at", "recovered_at")),
        **dict.fromkeys(("affected", "window", "ledger")),
    }
