"""A fault told in words: what was done, who felt it, how long it took, what became of the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.codes import explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DONE = {
    "kill": "was killed (SIGKILL)",
    "stop": "was stopped in good order (SIGTERM)",
    "pause": "was made to hang (SIGSTOP)",
    "drain": "was put into maintenance mode",
    "partition": "was cut off from the other nodes",
    "reset": "had connections closed by the broker",
    "slow": "was slowed down for its clients",
    "rolling-restart": "was restarted",
}
"""What was done to a node, by kind of fault."""
_SEVERAL = {"rolling-restart": "were restarted one after the other"}
_HEALED = {
    "kill": "served again",
    "stop": "served again",
    "pause": "went on",
    "drain": "was open for clients again",
    "partition": "was joined again",
    "slow": "was quick again",
}
_COUNTED = {
    "acknowledged": "acknowledgements",
    "received": "deliveries",
    "ready": "clients that were ready",
}


def fault_story(fault: Mapping[str, Any], clients: int | None = None) -> list[tuple[str, str]]:
    """Tell one fault: what a few sentences are about, and the sentences.

    Args:
        fault: One of `faults` in result.json.
        clients: Connected clients of the run, to compare with those who were affected.
    """
    if fault.get("injected_at") is None:
        return [("What was done", f"{_title(fault)} did not happen, so this run says nothing about it.")]
    return [
        (about, " ".join(sentences))
        for about, part in (
            ("What was done", _deed(fault)),
            ("Who was hit", _clients(fault, clients)),
            ("The fleet", _fleet(fault)),
            ("Messages", _messages(fault)),
        )
        if (sentences := list(part))
    ]


def _title(fault: Mapping[str, Any]) -> str:
    return f"The fault {fault.get('name') or fault.get('kind') or ''}".strip()


def _deed(fault: Mapping[str, Any]) -> Iterator[str]:
    kind = str(fault.get("kind") or "")
    nodes = [str(node) for node in fault.get("nodes") or []]
    at = f"{figures.clock(fault['injected_at'])} into the run"
    what = _DONE.get(kind)
    if kind == "mark":
        yield f"Somebody marked “{fault.get('name')}” {at}."
    elif what is None or not nodes:
        yield f"{_title(fault)} began {at}."
    elif len(nodes) == 1:
        yield f"{nodes[0]} {what} {at}."
    else:
        plural = _SEVERAL.get(kind) or what.replace("was ", "were ", 1)
        yield f"{', '.join(nodes[:-1])} and {nodes[-1]} {plural}, from {at} on."
    healed, word = fault.get("healed_at"), _HEALED.get(kind)
    after = figures.seconds(healed - fault["injected_at"]) if healed is not None else ""
    if healed is not None and word:
        one = len(nodes) == 1
        yield f"{'It' if one else 'All'} {word if one else word.replace('was ', 'were ', 1)} {after} later."
    elif healed is not None and kind == "rolling-restart":
        yield f"The last one served again {after} after the first went."


def _clients(fault: Mapping[str, Any], clients: int | None) -> Iterator[str]:
    affected = fault.get("affected")
    if affected is None:
        return
    if not affected:
        yield "No client lost its connection."
        return
    of_all = f" of {figures.count(clients)}" if clients else ""
    lost = "client lost its connection" if affected == 1 else "clients lost their connection"
    noticed = fault.get("noticed_by") or {}
    how = " or ".join(_cause(cause) for cause in noticed)
    yield f"{figures.count(affected)}{of_all} {lost}{f' ({how})' if how else ''}."
    detect = fault.get("detect") or {}
    if detect.get("count"):
        yield f"The last of them noticed {figures.seconds(detect['max'])} after it happened to its node."
    ready = fault.get("ready") or {}
    if ready.get("count"):
        yield (
            f"Half were connected and subscribed again within {figures.seconds(ready['p50'])}, "
            f"90 % within {figures.seconds(ready['p90'])}, the last after {figures.seconds(ready['max'])}."
        )
    if cut := fault.get("cut_again"):
        yield f"{figures.count(cut)} were cut more than once."
    if away := fault.get("not_back"):
        yield f"{figures.count(away)} were not back when the run ended."


def _cause(cause: str) -> str:
    words = explain("disconnect", cause, 1).words
    return "a ping was not answered" if cause == "keep-alive" else words


def _fleet(fault: Mapping[str, Any]) -> Iterator[str]:
    outage, rate = fault.get("outage") or {}, fault.get("rate") or {}
    counted = _COUNTED.get(str(rate.get("metric")), "messages")
    baseline = rate.get("baseline")
    if outage.get("first_low_at") is not None:
        worst = outage.get("deepest")
        down_to = f"; at worst {figures.percent(100 * worst)} of it came through" if worst is not None else ""
        yield (
            f"The fleet's {counted} were below 90 % of the {figures.rate(baseline)} before for "
            f"{figures.seconds(outage['seconds'])} in all{down_to}."
        )
    elif outage and baseline is not None:
        yield (
            f"As a whole the fleet kept going: its {counted} did not fall clearly below 90 % of the "
            f"{figures.rate(baseline)} before."
        )
    recovered = fault.get("recovered_at")
    if recovered is not None:
        back = figures.seconds(recovered - fault["injected_at"])
        yield f"Its clients and the rate were back {back} after the fault."
    else:
        yield "Not all its clients and the rate were back when the run ended."


def _messages(fault: Mapping[str, Any]) -> Iterator[str]:
    ledger = fault.get("ledger") or {}
    if ledger.get("lost") is None:
        return
    lost, twice = ledger["lost"], ledger.get("duplicate") or 0
    expected = f"Of the {figures.count(ledger.get('expected'))} deliveries due for what was sent until then, "
    if lost:
        yield (
            f"{expected}{figures.count(lost)} never came although the broker had acknowledged the message: "
            "they are LOST."
        )
    else:
        yield f"{expected}none that the broker had acknowledged is missing."
    refused = sum(((fault.get("codes") or {}).get("puback_codes") or {}).values())
    if refused:
        yield f"The broker refused {figures.count(refused)} publishes."
    missing = ledger.get("indeterminate") or 0
    if missing:
        yield f"{figures.count(missing)} did not arrive and had not been promised."
    if twice:
        yield f"{figures.count(twice)} arrived more than once, which QoS 1 allows."
