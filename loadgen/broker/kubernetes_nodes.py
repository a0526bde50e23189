"""Faults of nodes that are pods of a StatefulSet, by the program kubectl.

A deleted pod is made again by its StatefulSet at once: it stays away as long as it takes to start, and
`heal_after` cannot make that longer.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.broker.acts import Act, in_thread, run_tool
from loadgen.broker.nodes import SERVING_S
from loadgen.broker.process import wait_until
from loadgen.broker.tool_nodes import ToolNodes
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.broker.faults import Address, KubernetesSettings, Step

_KUBECTL_S = 30.0
_STOP_S = 120
_READY = '{.status.conditions[?(@.type=="Ready")].status}'


class KubernetesNodes(ToolNodes):
    """Some pods; see `nodes.Nodes`."""

    kinds = frozenset({"kill", "stop", "drain", "rolling-restart"})
    same_clock = False

    def __init__(self, settings: KubernetesSettings, uris: Sequence[Address]) -> None:
        """Name the pods, in the order of the addresses at which clients reach them."""
        super().__init__(settings.pods, uris)
        context = [f"--context={settings.context}"] if settings.context else []
        self._kubectl = ["kubectl", *context, f"--namespace={settings.namespace}"]
        self._container = ["-c", settings.container] if settings.container else []

    def inside(self, name: str, *command: str) -> list[str]:
        """Run it by `kubectl exec`."""
        return [*self._kubectl, "exec", name, *self._container, "--", *command]

    async def kill(self, names: Sequence[str], step: Step) -> None:
        """Delete the pods without grace."""
        flags = ("--grace-period=0", "--force", "--wait=false")
        await in_thread(self._delete, names, step, flags, "killing", "killed")

    async def stop(self, names: Sequence[str], step: Step) -> None:
        """Delete the pods with their grace period, and wait until they are gone."""
        await in_thread(self._delete, names, step, (f"--timeout={_STOP_S}s",), "stopping", "stopped")

    async def bring_back(self, names: Sequence[str], step: Step) -> None:
        """Wait until the StatefulSet has made them again and they serve."""
        await in_thread(self._await_ready, names, step)

    async def pause(self, names: Sequence[str], step: Step) -> None:  # noqa: ARG002 - as Nodes has it
        """Refuse: the first process of a pod cannot be stopped by a signal from inside."""
        raise BrokerError("kubectl cannot do this to a pod", "use `run:` with a command of yours")

    partition = join = pause

    def _delete(self, names: Sequence[str], act: Act, flags: Sequence[str], first: str, last: str) -> None:
        now = monotonic_ns()
        for name in names:
            act.step(first, name, now)
        run_tool([*self._kubectl, "delete", "pod", *names, *flags], _STOP_S + _KUBECTL_S)
        now = monotonic_ns()
        for name in names:
            act.step(last, name, now)

    def _await_ready(self, names: Sequence[str], act: Act) -> None:
        waiting = list(names)

        def done() -> bool:
            for name in list(waiting):
                command = ["get", "pod", name, "--ignore-not-found", f"--output=jsonpath={_READY}"]
                if run_tool([*self._kubectl, *command], _KUBECTL_S).strip() == "True":
                    waiting.remove(name)
            return not waiting or act.given_up.is_set()

        if not wait_until(done, SERVING_S, 0.5):
            raise BrokerError(f"{', '.join(waiting)} not ready within {SERVING_S:g} s", "kubectl get pods")
        self.await_serving(names, act)
