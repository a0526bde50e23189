"""`loadgen plan`: what a scenario will do and need, without opening a socket."""

from __future__ import annotations

import sys
from typing import Any

from loadgen.cli.options import (
    Format,
    OutputFormat,
    Overrides,
    ScenarioFile,
    TargetOption,
    Workers,
    warn,
    write_json,
)
from loadgen.plan.needs import summary
from loadgen.run import RunOptions, prepare, read_scenario


def plan(
    scenario: ScenarioFile,
    *,
    overrides: Overrides = None,
    target: TargetOption = None,
    workers: Workers = None,
    output_format: OutputFormat = Format.TEXT,
) -> int:
    """Check SCENARIO and say what it will do and need; opens no socket.

    Missing certificates of the scenario's own CA are issued, so that their names can be checked.
    """
    options = RunOptions(scenario, overrides or (), target, workers)
    prepared = prepare(options, read_scenario(options))
    warn(prepared.warnings)
    numbers = summary(prepared.plan, prepared.needs)
    if prepared.logins is not None:
        numbers["logins"] = prepared.logins.to_dict()
    if output_format is Format.JSON:
        write_json(numbers)
    else:
        sys.stdout.write(_text(numbers) + "\n")
    return 0


def _text(numbers: dict[str, Any]) -> str:
    stages = " → ".join(each["name"] for each in numbers["stages"])
    workers = numbers["workers"]
    lines = [
        f"scenario   {numbers['scenario']} (seed {numbers['seed']})",
        f"stages     {stages}, {numbers['duration']:.0f} s without draining",
        f"clients    {numbers['clients']:,} on {workers} worker{'s' if workers > 1 else ''}",
    ]
    lines += [f"           {count:,} first on {node}" for node, count in numbers["clients_per_node"].items()]
    for name, group in numbers["groups"].items():
        does = []
        if group["publishers"]:
            sizes = " and ".join(f"{size:,} B" for size in dict.fromkeys(group["payloads"]))
            does.append(f"{group['publishers']:,} publishers, {group['publish_rate']:,.1f} msg/s of {sizes}")
        if group["subscriptions"]:
            does.append(f"{group['subscriptions']:,} subscriptions")
        lines.append(
            f"group      {name}: {group['clients']:,} clients; {'; '.join(does) or 'connect and idle'}"
        )
    lines += [
        f"{'' if number else 'faults':10} {each['at']}: {_fault(each)}"
        for number, each in enumerate(numbers["faults"])
    ]
    if "logins" in numbers:
        lines += _logins(numbers["logins"])
    lines += [
        (
            f"load       {numbers['publish_rate']:,.1f} msg/s published, "
            f"{numbers['delivery_rate']:,.1f} msg/s delivered, "
            f"{numbers['publish_bytes_per_second'] / 1e6:,.2f} MB/s at 100 %; "
            f"highest load {numbers['peak_load']:.0%}"
        ),
        f"messages   {numbers['messages']:,} in all, {numbers['pairs']:,} publisher-subscriber pairs",
        (
            f"needs      {numbers['descriptors_per_worker']:,} open files a worker, "
            f"{numbers['ports_per_node']:,} local ports to a node"
            f"{_from(numbers['source_addresses'])}, "
            f"{numbers['memory_bytes'] / (1 << 20):,.0f} MiB of memory"
        ),
    ]
    return "\n".join(lines)


def _fault(fault: dict[str, Any]) -> str:
    name = f" ({fault['name']})" if fault["name"] != fault["kind"] else ""
    return f"{fault['what']}{name}, {fault['healed']}"


def _from(sources: int) -> str:
    return f" from each of {sources:,} addresses" if sources > 1 else ""


def _logins(logins: dict[str, Any]) -> list[str]:
    vhosts = ", ".join(f"{vhost} ({count:,})" for vhost, count in logins["vhosts"].items())
    ids = logins["client_id_from"]
    lines = [
        f"logins     {logins['users']:,} users by {logins['user_from']}; virtual hosts: {vhosts or 'none'}",
        (
            f"           client ids {f'must be {ids}' if ids else 'are free'}; "
            f"{logins['accepted']:,} clients accepted"
        ),
    ]
    lines += [f"           {count:,} refused: {why}" for why, count in logins["refused"].items()]
    if logins["unchecked_client_ids"]:
        lines.append(f"           {logins['unchecked_client_ids']:,} client ids not enforced: no such name")
    return lines
