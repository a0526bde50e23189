"""The import directions of docs/architecture.md, kept by a walk over the source."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "loadgen"

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "reason_codes": set(),
    "scenario": {"errors"},
    "identity": {"errors"},
    "mqtt": {"errors"},
    "metrics": {"errors"},
    "plan": {"errors", "scenario", "identity"},
    "engine": {"errors", "mqtt", "plan", "identity", "metrics"},
    "backend": {"errors", "engine", "metrics", "plan"},
    "broker": {"errors", "identity"},
    "store": {"errors", "metrics"},
    "report": {"errors", "store", "metrics", "reason_codes"},
    "compare": {"errors", "store", "metrics", "report"},
    "live": {"errors", "store", "metrics", "scenario", "report"},
    "certificates": {
        "errors", "scenario", "identity", "plan", "metrics", "backend", "broker",
        "places", "target", "view_check",
    },
    "faults": {"errors", "plan", "metrics", "backend", "broker", "store"},
    "coordination": {
        "errors", "scenario", "plan", "engine", "metrics", "backend", "broker", "store", "report",
        "certificates", "drift_watch", "faults", "result", "target", "view_check",
    },
    "result": {
        "errors", "scenario", "plan", "engine", "metrics", "backend", "broker", "faults",
        "drift_watch", "expectations", "generator_faults", "machine", "target",
    },
}  # fmt: skip
"""Package or module → what of ours it may import, besides itself. What is not named here may import anything
below the command line."""

SANS_IO_REFUSES = {"asyncio", "socket", "ssl", "time", "random", "uvloop", "threading", "selectors"}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def _unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _ours(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("loadgen.")}


def test_imports_point_downward() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        unit = _unit(path)
        allowed = ALLOWED.get(unit)
        if allowed is None:
            continue
        others = _ours(_imports(path)) - {unit} - allowed
        wrong += [f"{path.relative_to(PACKAGE)} imports loadgen.{other}" for other in others]
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_imports_the_command_line() -> None:
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if _unit(path) not in {"cli", "__main__"} and "cli" in _ours(_imports(path))
    ]
    assert not wrong


def test_the_session_does_no_io() -> None:
    for path in (PACKAGE / "mqtt").rglob("*.py"):
        names = {name.split(".")[0] for name in _imports(path)}
        assert not names & SANS_IO_REFUSES, path


def test_every_package_is_covered_by_a_rule() -> None:
    above = {
        "__init__", "__main__", "cli", "diagnosis", "doctor", "drift_watch", "expectations",
        "generator_faults", "grants", "histogram_log", "machine", "partial", "partial_drift", "places",
        "preflight", "refused_identities", "run", "target", "view_check",
    }  # fmt: skip
    units = {_unit(path) for path in PACKAGE.rglob("*.py")}
    assert units <= ALLOWED.keys() | above, "a new package or module needs a rule here"
