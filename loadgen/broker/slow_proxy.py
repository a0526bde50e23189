"""Slow links between clients and nodes: a proxy in a child process through which the clients come.

The child passes bytes on untouched, so TLS and certificates are those of client and node. It is there from
the run's start, because connections that are open when the fault begins must become slow too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import loadgen
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from loadgen.broker.faults import Step

_ANSWER_S = 20.0
_STOP_S = 5.0
# As for the embedded broker: the child must import this very package, wherever it is.
_BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from loadgen.broker.slow_proxy_server import main; main(sys.argv[2])"
)


class SlowProxies:
    """The child process and its proxies, one for each node that may become slow."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()

    async def start(self, nodes: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        """Start the child.

        Args:
            nodes: name → where the node listens.

        Returns:
            Name → where its proxy listens.

        Raises:
            BrokerError: the child did not start.
        """
        root = Path(loadgen.__file__).parents[1]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            _BOOTSTRAP,
            str(root),
            json.dumps({name: list(where) for name, where in nodes.items()}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the run, which still needs its connections to drain
        )
        answer = await self._answer()
        return {name: ("127.0.0.1", int(port)) for name, port in answer["ports"].items()}

    async def slow(self, names: Collection[str], delay: int, jitter: int, step: Step) -> None:
        """Delay each direction of all connections to some nodes.

        Args:
            names: the nodes.
            delay: ns; 0 passes everything on at once again.
            jitter: each piece of data is late by `delay` ± up to this, ns; their order is kept.
            step: told when the delay holds.

        Raises:
            BrokerError: the child is gone.
        """
        order = {"nodes": list(names), "delay": delay, "jitter": jitter}
        async with self._asking:
            if self._process is None or self._process.stdin is None:
                raise BrokerError("the proxies do not run")
            now = monotonic_ns()
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            await self._answer()
        for name in names:
            step("slow" if delay else "at full speed", name, now)

    async def usage(self) -> dict[str, float]:
        """Ask the child what it did: `cpu` (seconds), `forwarded` (pieces of data), `late_max` (seconds)."""
        async with self._asking:
            if self._process is None or self._process.stdin is None:
                raise BrokerError("the proxies do not run")
            self._process.stdin.write(b'{"usage": true}\n')
            return await self._answer()

    async def close(self) -> None:
        """End the child and with it all connections through it; safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_ANSWER_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise BrokerError(f"the proxies gave no answer in {_ANSWER_S:g} s") from None
        if not line:
            raise BrokerError("the proxies' process ended", "see its last words on standard error")
        answer: dict[str, Any] = json.loads(line)
        return answer
