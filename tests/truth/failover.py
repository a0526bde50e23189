"""The shipped failover scenarios in their short forms, and how tests run them on real nodes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from loadgen.store import Run, open_run
from tests.shipped import run_shipped
from tests.truth.loopback_capture import LoopbackCapture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from loadgen.broker.cluster import LocalCluster


def short(at: str, hold: str, drain: str = "15s", **more: str) -> tuple[str, ...]:
    """`--set` options: when the fault comes, how long publishing goes on, and other keys of the fault."""
    options = {
        "stages.warm-up.hold": "1s",
        "stages.steady.hold": hold,
        # Where QoS 0 messages are missing it lasts its whole time.
        "stages.drain.drain": drain,
        "faults.0.at": f"steady+{at}",
        **{f"faults.0.{key}": value for key, value in more.items()},
    }
    return tuple(part for key, value in options.items() for part in ("--set", f"{key}={value}"))


SHORT: dict[str, tuple[str, ...]] = {
    # A CONNACK that hangs for 63 s has to come, and the node is to return after that.
    "failover-kill.yaml": short("5s", "80s", heal_after="67s"),
    "failover-graceful.yaml": short("5s", "12s", heal_after="4s"),
    "failover-drain.yaml": short("5s", "12s", heal_after="4s"),
    "rolling-restart.yaml": short("4s", "35s", between="1s", **{"rolling-restart": "[rabbit2, rabbit3]"}),
    "partition.yaml": short("5s", "14s", heal_after="4s"),
    # Sometimes a kept session's CONNACK hangs on after the node does not.
    "hang.yaml": short("5s", "20s", drain="75s", heal_after="10s"),
    "reconnect-storm.yaml": (
        *short("4s", "15s", heal_after="3s"),
        *("--set", "groups.devices.clients=300", "--set", "groups.devices.publish.rate=1/s"),
        *("--set", "identities.devices.issue.count=300"),
    ),
    "takeover.yaml": short("4s", "18s", heal_after="8s"),
    "slow-network.yaml": short("4s", "10s", heal_after="4s"),
}
"""Scenario → its short form."""
QUORUM_KILL = short("5s", "20s", drain="65s", heal_after="8s")
"""`failover-kill.yaml` where nobody hangs, and a message may be delivered anew a minute late."""


@dataclass(frozen=True)
class Story:
    """What a run on real nodes left, and what the kernel saw of it."""

    run: Run
    capture: LoopbackCapture

    @property
    def result(self) -> dict[str, Any]:
        return self.run.result

    @property
    def fault(self) -> dict[str, Any]:
        """The one fault of the run."""
        (fault,) = self.result["faults"]
        assert fault["outcome"] == "injected", fault["trouble"]
        assert fault["trouble"] == []
        found: dict[str, Any] = fault
        return found

    def outages(self, group: str | None = None) -> list[dict[str, Any]]:
        """The timelines of all clients that were cut, or of a group's, in the order of the losses."""
        found = [each for each in self.run.events() if each["event"] == "outage"]
        return sorted((each for each in found if group in (None, each["group"])), key=lambda each: each["ns"])

    def groups_cut(self) -> dict[str, int]:
        """Group → how many of its clients were cut."""
        groups = [each["group"] for each in {each["client_id"]: each for each in self.outages()}.values()]
        return {group: groups.count(group) for group in sorted(set(groups))}


@dataclass
class Lane:
    """Runs on one cluster, one after the other, while those of the other cluster go on."""

    cluster: LocalCluster
    folder: Path
    _stories: dict[str, Future[Any]] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def scenarios(self, scenarios: Mapping[str, tuple[str, ...]]) -> None:
        """Run shipped scenarios, each in its short form."""
        for scenario, options in scenarios.items():
            self.also(scenario, partial(self._run, scenario, options))

    def also(self, name: str, act: Callable[[], Any]) -> None:
        """Do something else with the cluster, after what was asked before."""
        self._stories[name] = self._pool.submit(act)

    def of(self, name: str) -> Any:  # noqa: ANN401 - what `act` gave, or a Story
        """Wait for what was asked under this name."""
        return self._stories[name].result(timeout=600)

    def close(self) -> None:
        """Wait for what goes on, and begin nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, scenario: str, options: tuple[str, ...]) -> Story:
        folder = self.folder / scenario.removesuffix(".yaml")
        folder.mkdir(parents=True)
        with LoopbackCapture(self.cluster.load().nodes[0].mqtt_port) as capture:
            run_shipped(folder, scenario, *options, target=self.cluster.target_file, certs=self.cluster.certs)
        # Kept beside the run, for whoever has to find out why a test failed.
        (folder / "capture.json").write_text(json.dumps(capture.packets), encoding="utf-8")
        return Story(open_run(folder / "runs/latest"), capture)
