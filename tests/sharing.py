"""How three test processes (`pytest -n 3`) share the tests: real clusters stay in two of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parent.parent


class ClustersApart(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed
    """Files with tests on real clusters are two units of work, begun first; so is each file of benchmarks.

    Node failures are one of the two: its clusters wait more than they work, and for long.

    Every other test is a unit by itself. (`--dist loadgroup` finds no groups with pytest 9.2, whose test ids
    xdist 3.8 cannot change.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return unit_of(file) or nodeid


@cache
def unit_of(file: str) -> str:
    """The unit that a file's tests belong to; empty when each is one by itself."""
    path = ROOT / file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if path.name == "test_failover_rabbitmq.py":
        return "failover"
    if "mark.rabbitmq" in text or "mark.docker" in text:
        return "clusters"
    return file if "benchmarks" in path.parts else ""
