"""mosquitto_pub and mosquitto_sub: one client a process, so one pair carries all the messages."""

from __future__ import annotations

import shutil
import tempfile
import time
from typing import IO, TYPE_CHECKING

from benchmarks.brokers import HOST
from benchmarks.figures import BenchmarkError, Figures
from benchmarks.process import cpu_so_far, rss, run, start, wait

if TYPE_CHECKING:
    import subprocess

    from benchmarks.brokers import Broker
    from benchmarks.settings import Settings

_TICK_S = 0.001
_CONNECTED_S = 10.0
_LEAST_KEEP_ALIVE_S = 5
"""mosquitto_sub takes no less."""


def available() -> bool:
    """Whether both are installed."""
    return bool(shutil.which("mosquitto_pub") and shutil.which("mosquitto_sub"))


def measure(broker: Broker, settings: Settings) -> Figures:
    """Connect and leave; sit idle; pass messages at the rate that all pairs of the others share."""
    connects = [run(_sub(broker, index, "-E")) for index in range(settings.processes)]
    if any(each.code for each in connects):
        raise BenchmarkError(f"mosquitto_sub: {connects[0].output}")
    cpu_connect = sum(each.cpu for each in connects) / len(connects)
    rss_client, cpu_idle = _idle(broker, settings)
    cpu_message, rate = _messages(broker, settings)
    return Figures(
        rss_one=rss_client,
        # One more client is one more process.
        rss_client=rss_client,
        cpu_fixed=cpu_connect,
        cpu_connect=cpu_connect,
        cpu_idle=cpu_idle,
        cpu_message=cpu_message,
        rate=rate,
    )


def _options(broker: Broker, name: str, index: int, topic: str) -> list[str]:
    pair = broker.certs / f"client_bench{index:05d}"
    return [
        *("-V", "mqttv5", "-h", HOST, "-p", str(broker.port), "-q", "1", "-t", topic),
        *("--cafile", str(broker.ca), "-i", f"{name}-{index}"),
        *("--cert", f"{pair}_certificate.pem", "--key", f"{pair}_key.pem"),
        *("-D", "connect", "user-property", "client_name", f"bench{index:05d}"),
    ]


def _sub(broker: Broker, index: int, *more: str, topic: str = "bench/idle/#") -> list[str]:
    return ["mosquitto_sub", *_options(broker, "sub", index, topic), *more]


def _idle(broker: Broker, settings: Settings) -> tuple[float, float | None]:
    """(RSS, CPU seconds a second) of a mosquitto_sub that hears nothing."""
    with tempfile.TemporaryFile() as output:
        waiting = [
            start(
                # Line by line, so that it is seen when it is subscribed.
                [
                    *("stdbuf", "-oL", *_sub(broker, index, "-d", topic=f"bench/idle/{index}")),
                    *("-k", str(max(settings.keep_alive_s, _LEAST_KEEP_ALIVE_S))),
                ],
                output.fileno(),
            )
            for index in range(settings.processes)
        ]
        try:
            _wait_until_said(output, "received SUBACK", len(waiting))
            before = [cpu_so_far(each.pid) for each in waiting]
            time.sleep(settings.idle_s)
            after = [cpu_so_far(each.pid) for each in waiting]
            memory = sum(rss(each.pid) for each in waiting) / len(waiting)
        finally:
            for each in waiting:
                each.terminate()
                wait(each)
    spent = [
        end - begin for begin, end in zip(before, after, strict=True) if begin is not None and end is not None
    ]
    return memory, sum(spent) / len(spent) / settings.idle_s if spent else None


def _messages(broker: Broker, settings: Settings) -> tuple[float, float]:
    """(CPU seconds of both a message, messages a second)."""
    count = settings.rate * settings.steady_s
    # The broker keeps the session between the two, so that nothing is published before it is subscribed.
    kept = ("-c", "-x", "120")
    subscribed = run(_sub(broker, 0, *kept, "-E", topic="bench/line"))
    if subscribed.code:
        raise BenchmarkError(f"mosquitto_sub: {subscribed.output}")
    with tempfile.TemporaryFile() as output:
        subscriber = start(
            _sub(broker, 0, *kept, "-C", str(count), "-W", str(settings.steady_s + 30), topic="bench/line"),
            output.fileno(),
        )
        try:
            began = time.monotonic()
            publisher = run(
                ["mosquitto_pub", *_options(broker, "pub", 1, "bench/line"), "-l"],
                lambda process: _feed(process, settings),
            )
            ended = wait(subscriber)
            seconds = time.monotonic() - began
        finally:
            if subscriber.returncode is None:
                subscriber.terminate()
                wait(subscriber)
        output.seek(0)
        received = sum(1 for _ in output)
    if publisher.code or ended.code or received < count:
        raise BenchmarkError(f"mosquitto_sub received {received} of {count}: {publisher.output}")
    return (publisher.cpu + ended.cpu) / received, received / seconds


def _feed(process: subprocess.Popen[bytes], settings: Settings) -> None:
    """Write lines when they fall due."""
    assert process.stdin is not None
    line = b"x" * settings.payload + b"\n"
    start_at, sent, count = time.monotonic(), 0, settings.rate * settings.steady_s
    while sent < count:
        due = min(int((time.monotonic() - start_at) * settings.rate), count)
        process.stdin.write(line * (due - sent))
        process.stdin.flush()
        sent = due
        time.sleep(_TICK_S)


def _wait_until_said(output: IO[bytes], words: str, times: int) -> None:
    deadline = time.monotonic() + _CONNECTED_S
    while time.monotonic() < deadline:
        output.seek(0)
        if output.read().decode(errors="replace").count(words) >= times:
            return
        time.sleep(0.02)
    raise BenchmarkError(f"mosquitto_sub did not say {words!r} in time")
