"""A RabbitMQ that loses acknowledged messages: a session's queue is emptied behind its back, and counted."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.shipped import LENIENT, loadgen
from tests.truth.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.broker.cluster import LocalCluster

QUEUE = "mqtt-subscription-visitor-0qos1"
_STEAL = f"""
R = rabbit_misc:r(<<"/">>, queue, <<"{QUEUE}">>),
Steal = fun Steal(0) -> never;
            Steal(N) ->
  Found = case rabbit_amqqueue:lookup(R) of {{ok, Q}} -> {{Q, rabbit_amqqueue:stat(Q)}}; _ -> none end,
  case Found of
    {{Queue, {{ok, Ready, 0}}}} when Ready >= 30 -> {{ok, Count}} = rabbit_amqqueue:purge(Queue), Count;
    _ -> timer:sleep(50), Steal(N - 1)
  end
end,
Steal(600).
"""
"""Erlang: wait until nobody reads the queue and 30 messages lie in it, throw them away, and tell how many."""


@dataclass(frozen=True)
class Theft:
    """What was taken, by the broker's count, and what loadgen said to it."""

    stolen: int
    exit_code: int
    result: dict[str, Any]


def steal_from_a_session(cluster: LocalCluster, folder: Path) -> Theft:
    """Run with a subscriber that is away for some seconds while its session's queue is emptied."""
    folder.mkdir(parents=True)
    target = yaml.safe_load(cluster.target_file.read_text(encoding="utf-8"))
    subscribe = {"filter": "theft/+", "qos": 1}
    path = Bench(folder, cluster.certs).scenario(
        target["uris"],
        {
            "devices": {"clients": 2, "publish": {"topic": "theft/{index}", "qos": 1, "rate": "20/s"}},
            "keeper": {"clients": 1, "subscribe": subscribe},
            "visitor": {
                "clients": 1,
                "subscribe": subscribe,
                "session": {"clean_start": False, "expiry": "10m"},
                "lifetime": "2s",
                "pause": "6s",
            },
        },
        [
            {"name": "connect", "connect": "50/s"},
            {"name": "steady", "hold": "10s"},
            {"name": "drain", "drain": "10s"},
        ],
        target=target,
    )
    provisioned = loadgen(folder, "provision", str(path))
    assert provisioned.returncode == 0, provisioned.stderr
    taken: list[int] = []
    thief = threading.Thread(target=lambda: taken.append(_steal(cluster)))
    thief.start()
    done = loadgen(folder, "run", str(path), *LENIENT, "--view", "quiet", "--no-report")
    thief.join()
    result = json.loads((folder / "runs/latest/result.json").read_text(encoding="utf-8"))
    return Theft(taken[0], done.returncode, result)


def _steal(cluster: LocalCluster) -> int:
    return int(cluster.rabbitmqctl("rabbit1", "eval", _STEAL))
