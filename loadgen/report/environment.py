"""What a run was made with, in lists that people read: run, loadgen's machine, target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report import figures

if TYPE_CHECKING:
    from collections.abc import Mapping

Facts = list[tuple[str, Any]]

_KNOWN = (
    "loadgen",
    "client",
    "python",
    "implementation",
    "openssl",
    "platform",
    "cores",
    "tls",
    "insecure",
    "limits",
)
_LIMITS = {
    "open_files": ("open files", figures.count),
    "local_ports": ("local ports", figures.count),
    "memory": ("memory, free at the end", figures.size),
}


def environment_facts(result: Mapping[str, Any]) -> list[tuple[str, Facts]]:
    """Give titled lists of names and values; a value that is not known is None and is to be left out."""
    scenario, broker = result.get("scenario") or {}, result.get("broker") or {}
    environment = result.get("environment") or {}
    run: Facts = [
        ("run", result.get("run_id")),
        ("file", scenario.get("file")),
        ("seed", scenario.get("seed")),
        ("started", result.get("started_at")),
    ]
    python = " ".join(str(environment[key]) for key in ("implementation", "python") if environment.get(key))
    client = environment.get("client")
    machine: Facts = [
        ("loadgen", result.get("loadgen_version") or environment.get("loadgen")),
        ("clients", "loadgen's own" if client == "native" else client),
        ("Python", python),
        ("platform", environment.get("platform")),
        ("cores", environment.get("cores")),
        *_limits(environment),
        *((str(key), value) for key, value in environment.items() if key not in _KNOWN),
    ]
    insecure = environment.get("insecure")
    target: Facts = [
        ("broker", " ".join(str(part) for part in (broker.get("kind"), broker.get("version")) if part)),
        ("nodes", ", ".join(_node(node) for node in broker.get("nodes") or [])),
        ("TLS", environment.get("tls")),
        ("its certificates", None if insecure is None else "NOT checked" if insecure else "checked"),
        ("OpenSSL", environment.get("openssl")),
    ]
    return [("Run", run), ("Generator", machine), ("Target", target)]


def _limits(environment: Mapping[str, Any]) -> Facts:
    limits = environment.get("limits") or {}
    return [
        (words, show(limits[key])) for key, (words, show) in _LIMITS.items() if limits.get(key) is not None
    ]


def _node(node: object) -> str:
    return str(node.get("name") or node) if isinstance(node, dict) else str(node)
