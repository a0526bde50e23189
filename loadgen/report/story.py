"""A run in a sentence: who did what to which broker, for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report import figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def scenario_sentence(result: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """Say what the scenario asked for; empty when nothing is known.

    Args:
        result: The content of result.json.
        plan: The content of plan.json; may be empty.
    """
    clients = (result.get("totals") or {}).get("clients") or plan.get("clients")
    if not clients:
        return ""
    parts = [_who(result, plan, int(clients)), *_load(plan), _broker(result, plan)]
    held = sum(
        stage.get("duration") or 0.0 for stage in result.get("stages") or [] if stage.get("kind") == "hold"
    )
    text = " ".join(part for part in parts if part)
    text += f" for {figures.seconds(held)}" if held else ""
    faults = [str(fault.get("what") or fault.get("kind")) for fault in plan.get("faults") or []]
    if faults:
        shown = ", ".join(faults[:3]) + (" …" if len(faults) > 3 else "")
        text += f", with {_number(len(faults), 'fault')}: {shown}"
    return f"{text}."


def _who(result: Mapping[str, Any], plan: Mapping[str, Any], clients: int) -> str:
    groups = result.get("groups") or plan.get("groups") or {}
    in_groups = f" in {_number(len(groups), 'group')}" if len(groups) > 1 else ""
    return f"{_number(clients, 'client')}{in_groups}"


def _load(plan: Mapping[str, Any]) -> Iterator[str]:
    rate = plan.get("publish_rate")
    if not rate:
        return
    peak = plan.get("peak_load") or 1.0
    at_peak = f", up to {figures.rate(rate * peak)}" if peak > 1 else ""
    payloads = sorted({size for group in (plan.get("groups") or {}).values() for size in group["payloads"]})
    size = f" of {payloads[0]} B" if len(payloads) == 1 else ""
    fan_out = ""
    delivery = plan.get("delivery_rate")
    if delivery and round(delivery) != round(rate):
        fan_out = f" (to be delivered {figures.rate(delivery)})"
    yield f"publish {figures.rate(rate).removesuffix('/s')} messages/s{size}{at_peak}{fan_out}"


def _broker(result: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    broker = result.get("broker") or {}
    kind = str(broker.get("kind") or "")
    nodes = len(broker.get("nodes") or plan.get("clients_per_node") or ())
    tls = str((result.get("environment") or {}).get("tls") or "").partition(" ")[0].replace("TLSv", "TLS ")
    over = f" over {tls}" if tls else ""
    if kind == "embedded":
        return f"on loadgen's embedded broker{over}"
    name = {"rabbitmq": "RabbitMQ"}.get(kind, kind if kind != "unknown" else "")
    named = " ".join(part for part in (name, str(broker.get("version") or "")) if part)
    where = f"{_number(nodes, 'node')} of {named}" if nodes and named else named or _number(nodes, "node")
    return f"on {where}{over}" if nodes or named else ""


def _number(count: int, word: str) -> str:
    return f"{figures.count(count)} {word}{'' if count == 1 else 's'}"
