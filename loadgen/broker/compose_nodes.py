"""Faults of nodes that docker compose runs, by the program docker.

The containers are found by the labels that compose gives them, so neither the compose file's variables nor
compose itself are needed.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

from loadgen.broker.acts import Act, in_thread, run_tool
from loadgen.broker.faults import NEEDS_NODES
from loadgen.broker.nodes import CLI_S, SERVING_S
from loadgen.broker.process import wait_until
from loadgen.broker.tool_nodes import ToolNodes
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.broker.faults import Address, Step

_DOCKER_S = 30.0
_STOP_S = 60
_LABEL = "com.docker.compose."


class ComposeNodes(ToolNodes):
    """The containers of some services; see `nodes.Nodes`."""

    kinds = NEEDS_NODES
    same_clock = True

    def __init__(
        self, file: str, project: str | None, services: Sequence[str], uris: Sequence[Address]
    ) -> None:
        """Find the containers; call it in a thread.

        Args:
            file: the compose file.
            project: the compose project; None takes the only one that was made of the file.
            services: in the order of the addresses; a service's name must be its host name.
            uris: where clients reach them.

        Raises:
            BrokerError: docker cannot be used, or a service has no container, or several.
        """
        super().__init__(services, uris)
        self._containers = {service: _container(file, project, service) for service in services}
        self._networks: dict[str, dict[str, list[str]]] = {}
        """Service → network → aliases, of those that were taken off their networks."""

    def inside(self, name: str, *command: str) -> list[str]:
        """Run it by `docker exec`."""
        return ["docker", "exec", self._containers[name], *command]

    async def kill(self, names: Sequence[str], step: Step) -> None:
        """`docker kill`."""
        await in_thread(self._end, names, step, ("kill",), "killing", "killed")

    async def stop(self, names: Sequence[str], step: Step) -> None:
        """`docker stop`."""
        await in_thread(self._end, names, step, ("stop", "-t", str(_STOP_S)), "stopping", "stopped")

    async def pause(self, names: Sequence[str], step: Step) -> None:
        """`docker pause`."""
        await in_thread(self._pause, names, step)

    async def partition(self, names: Sequence[str], step: Step) -> None:
        """`docker network disconnect`, which cuts the clients of these nodes off too."""
        await in_thread(self._partition, names, step)

    async def bring_back(self, names: Sequence[str], step: Step) -> None:
        """`docker unpause` and `docker start`."""
        await in_thread(self._bring_back, names, step)

    async def join(self, names: Sequence[str], step: Step) -> None:
        """`docker network connect`."""
        await in_thread(self._join, names, step)

    # -- in a thread -------------------------------------------------------------------------------

    def _end(self, names: Sequence[str], act: Act, how: Sequence[str], first: str, last: str) -> None:
        self._require(names, "running")
        began = monotonic_ns()
        for name in names:
            act.step(first, name, began)
        _docker(*how, *self._ids(names), limit_s=_STOP_S + _DOCKER_S)
        ended = monotonic_ns()
        for name, state in self._states(names).items():
            act.step(last, name, min(max(_monotonic(state["FinishedAt"]), began), ended))

    def _pause(self, names: Sequence[str], act: Act) -> None:
        self._require(names, "running")
        began = monotonic_ns()
        for name in names:
            act.step("pausing", name, began)
        _docker("pause", *self._ids(names))
        for name in names:
            act.step("paused", name, monotonic_ns())

    def _partition(self, names: Sequence[str], act: Act) -> None:
        self._require(names, "running")
        for name in names:
            networks = _inspect(self._containers[name], "{{json .NetworkSettings.Networks}}")
            self._networks[name] = {
                network: [alias for alias in facts.get("Aliases") or () if alias]
                for network, facts in networks.items()
            }
        for name in names:
            for network in self._networks[name]:
                act.step("partitioning", name, monotonic_ns())
                _docker("network", "disconnect", network, self._containers[name])
            act.step("partitioned", name, monotonic_ns())

    def _join(self, names: Sequence[str], act: Act) -> None:
        for name in names:
            container = self._containers[name]
            present = _inspect(container, "{{json .NetworkSettings.Networks}}")
            for network, aliases in self._networks.pop(name, {}).items():
                if network not in present:
                    flags = [flag for alias in aliases for flag in ("--alias", alias)]
                    _docker("network", "connect", *flags, network, container)
            act.step("joined", name, monotonic_ns())
        self.await_serving(names, act)
        running = [name for name, state in self._states(self.names).items() if state["Status"] == "running"]
        expression = "length(rabbit_nodes:list_running())."

        def whole() -> bool:
            command = self.inside(names[0], "rabbitmqctl", "eval", expression)
            return run_tool(command, CLI_S).strip() == str(len(running)) or act.given_up.is_set()

        if not wait_until(whole, SERVING_S, 1.0):
            raise BrokerError(f"{names[0]} does not see all nodes after {SERVING_S:g} s")

    def _bring_back(self, names: Sequence[str], act: Act) -> None:
        states = self._states(names)
        for command, status, word in (("unpause", "paused", "resumed"), ("start", "exited", "starting")):
            chosen = [name for name, state in states.items() if state["Status"] == status]
            if chosen:
                now = monotonic_ns()
                _docker(command, *self._ids(chosen))
                for name in chosen:
                    act.step(word, name, now)
        self.await_serving(names, act)

    def _ids(self, names: Sequence[str]) -> list[str]:
        return [self._containers[name] for name in names]

    def _states(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {name: _inspect(self._containers[name], "{{json .State}}") for name in names}

    def _require(self, names: Sequence[str], status: str) -> None:
        for name, state in self._states(names).items():
            if state["Status"] != status:
                raise BrokerError(f"{name} is {state['Status']}, not {status}", f"docker start {name}")


def _container(file: str, project: str | None, service: str) -> str:
    wanted = [f"--filter=label={_LABEL}service={service}"]
    if project:
        wanted.append(f"--filter=label={_LABEL}project={project}")
    labels = ("project.config_files", "project.working_dir")
    columns = "\t".join(["{{.ID}}", *(f'{{{{.Label "{_LABEL}{label}"}}}}' for label in labels)])
    found = []
    for line in _docker("ps", "-a", "--no-trunc", *wanted, f"--format={columns}").splitlines():
        container, files, folder = line.split("\t")
        if project or Path(file).resolve() in [Path(folder, each).resolve() for each in files.split(",")]:
            found.append(container)
    if len(found) != 1:
        of = f"project {project}" if project else file
        raise BrokerError(
            f"service {service} of {of} has {len(found)} containers, not one",
            "name the project in target.control" if found else "bring it up with docker compose",
        )
    return found[0]


def _inspect(container: str, template: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(_docker("inspect", "--format", template, container))
    return facts


def _docker(*arguments: str, limit_s: float = _DOCKER_S) -> str:
    return run_tool(["docker", *arguments], limit_s)


def _monotonic(moment: str) -> int:
    """Translate docker's UTC time with nanoseconds to monotonic ns of this machine."""
    date, _, fraction = moment.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{date}+00:00").timestamp())
    return seconds * 1_000_000_000 + int(f"{fraction:0<9}"[:9]) - (time_ns() - monotonic_ns())
