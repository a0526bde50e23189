"""CONNECT user properties as RabbitMQ's own tool lists them: in order, and with repeated names.

The management API shows them as an object: of a repeated name only the last value is left, and no order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loadgen.broker.view import MISMATCHES_SHOWN, ViewResult
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.broker.cluster import LocalCluster

Pairs = tuple[tuple[str, str], ...]


def listed_properties(cluster: LocalCluster) -> dict[str, Pairs]:
    """Ask a node for the user properties of all clients of a cluster, by client id; takes some seconds.

    Raises:
        BrokerError: no node runs, or the tool failed or said something else than it does.
    """
    up = [node.name.partition("@")[0] for node in cluster.status() if node.running]
    if not up:
        raise BrokerError("no node of the cluster runs", "`loadgen cluster up`")
    columns = ("client_id", "user_property")
    # Its JSON makes an object of them, as the API does; Erlang's own notation keeps them all.
    told = cluster.rabbitmqctl(up[0], "--silent", "--formatter=erlang", "list_mqtt_connections", *columns)
    if not told.lstrip().startswith("["):
        raise BrokerError(f"rabbitmqctl list_mqtt_connections said: {told[:100]!r}")
    return parse_listing(told)


def parse_listing(told: str) -> dict[str, Pairs]:
    """Read the tool's list of `[{client_id,<<"x">>},{user_property,[{<<"name">>,<<"value">>}]}]`."""
    found: dict[str, list[tuple[str, str]]] = {}
    pairs: list[tuple[str, str]] = []
    for match in _ROW_OR_PAIR.finditer(told):
        client_id, name, value = match.groups()
        if client_id is not None:
            pairs = found.setdefault(_text(client_id), [])
        else:
            pairs.append((_text(name), _text(value)))
    return {client_id: tuple(pairs) for client_id, pairs in found.items()}


# A binary is `<<"text">>`, in several literals when it is long, `<<"text"/utf8>>`, or bytes: `<<195,128>>`.
_STRING = r'"(?:[^"\\]|\\.)*"'
_BINARY = rf"<<((?:{_STRING}|/utf8|[\d,\s])*)>>"
_ROW_OR_PAIR = re.compile(
    rf"\{{client_id,\s*{_BINARY}\s*\}}|\{{\s*{_BINARY}\s*,\s*{_BINARY}\s*\}}", re.DOTALL
)
_PART = re.compile(rf"({_STRING})(/utf8)?|(\d+)", re.DOTALL)
_ESCAPE = re.compile(r"\\(x\{[0-9A-Fa-f]+\}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "s": " ",
    "d": "\x7f",
}


def _text(binary: str) -> str:
    """The UTF-8 text of a binary's inside."""
    content = b""
    for match in _PART.finditer(binary):
        string, utf8, byte = match.groups()
        if byte is not None:
            content += bytes([int(byte)])
        else:
            plain = _ESCAPE.sub(_unescaped, string[1:-1])
            content += plain.encode("utf-8" if utf8 else "latin-1")
    return content.decode("utf-8", errors="replace")


def _unescaped(match: re.Match[str]) -> str:
    word = match[1]
    if word.startswith("x{"):
        return chr(int(word[2:-1], 16))
    if word.isdigit():
        return chr(int(word, 8))
    return _ESCAPED.get(word, word)


def compare_properties(
    result: ViewResult, wanted: Mapping[str, Pairs], listed: Mapping[str, Pairs]
) -> ViewResult:
    """Add to a view what differs in order and repetition of user properties.

    Args:
        result: the view by the management API; clients that are wrong in it already count once.
        wanted: client id → what its CONNECT had.
        listed: client id → what the broker tells.
    """
    wrong = [
        f"{client_id}: user properties are {listed.get(client_id)!r}, not {pairs!r}"
        for client_id, pairs in wanted.items()
        if listed.get(client_id) != pairs and not _told(result.mismatches, client_id)
    ]
    mismatches = [*result.mismatches, *wrong]
    if len(mismatches) > MISMATCHES_SHOWN:
        mismatches = [*mismatches[:MISMATCHES_SHOWN], f"and {len(mismatches) - MISMATCHES_SHOWN} more"]
    return ViewResult(
        result.checked, max(result.ok - len(wrong), 0), mismatches, result.by_node, result.unexpected
    )


def _told(mismatches: Sequence[str], client_id: str) -> bool:
    return any(line.startswith(f"{client_id}: ") for line in mismatches)
