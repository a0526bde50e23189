"""Whether two runs are of the same scenario, and in what else they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MISSING = object()
_NO_MATTER: tuple[tuple[str, ...], ...] = (
    ("description",),
    ("thresholds",),
    ("generator",),
    ("target", "management"),
    ("target", "control"),
    ("target", "tls", "ca"),
    ("target", "tls", "server_name"),
    ("target", "source_addresses"),
)
"""What says where the target is, or how a run is judged, and not what is done in it."""
_PLACES_OF_IDENTITIES = ("out", "path", "ca", "key_password", "ca_password", "password")


def scenario_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Name what differs between two scenarios as run; empty when the same is done in both.

    Addresses, certificates' places, thresholds and the generator's limits do not count; how many nodes the
    target has does.
    """
    return [
        f"{'.'.join(map(str, place))}: {_shown(before)} / {_shown(after)}"
        for place, before, after in _differences((), _essence(one), _essence(other))
    ]


def _essence(scenario: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in scenario.items() if (key,) not in _NO_MATTER}
    target = dict(scenario.get("target") or {})
    target["nodes"] = len(target.pop("uris", None) or [])
    kept["target"] = {
        key: _without(value, [place[2] for place in _NO_MATTER if place[:2] == ("target", key) and place[2:]])
        for key, value in target.items()
        if ("target", key) not in _NO_MATTER
    }
    kept["identities"] = {
        name: {kind: _without(value, _PLACES_OF_IDENTITIES) for kind, value in (sets or {}).items()}
        for name, sets in (scenario.get("identities") or {}).items()
    }
    return kept


def _without(value: object, keys: list[str] | tuple[str, ...]) -> object:
    return {key: each for key, each in value.items() if key not in keys} if isinstance(value, dict) else value


def _differences(
    place: tuple[object, ...], one: object, other: object
) -> Iterator[tuple[tuple[object, ...], object, object]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            yield from _differences((*place, key), one.get(key, _MISSING), other.get(key, _MISSING))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (before, after) in enumerate(zip(one, other, strict=True)):
            name = before.get("name", number) if isinstance(before, dict) else number
            yield from _differences((*place, name), before, after)
    elif one != other:
        yield place, one, other


def _shown(value: object) -> str:
    if value is _MISSING:
        return "nothing"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


_ENVIRONMENT = (
    ("loadgen", ("loadgen_version",)),
    ("broker", ("broker", "kind")),
    ("broker's version", ("broker", "version")),
    ("client library", ("environment", "client")),
    ("Python", ("environment", "python")),
    ("platform", ("environment", "platform")),
    ("cores", ("environment", "cores")),
    ("TLS", ("environment", "tls")),
    ("workers", ("generator", "workers")),
)


def environment_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Name what differs in what two results ran on: the cause may be there, and not in the broker."""
    found = []
    for name, path in _ENVIRONMENT:
        before, after = _at(one, path), _at(other, path)
        if before != after:
            found.append(f"{name}: {_shown(before)} / {_shown(after)}")
    return found


def _at(result: Mapping[str, Any], path: tuple[str, ...]) -> object:
    value: Any = result
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
