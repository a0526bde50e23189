"""How large a benchmark is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The work that every contender does; the same numbers for all of them unless a field says otherwise."""

    repeats: int
    clients: int
    """Idle clients of loadgen."""
    rival_clients: int
    """Idle clients of aiomqtt: enough to tell what one costs, few enough to be connected in time."""
    connect_rate: int
    """Connects a second of loadgen."""
    rival_connect_rate: int
    """Connects a second of aiomqtt."""
    idle_s: int
    keep_alive_s: int
    pairs: int
    """Publishers, and as many subscribers, each of one publisher's topic."""
    rate: int
    """Messages a second over all publishers, QoS 1."""
    library_rate: int
    """The same for `--client aiomqtt`: a rate that it holds."""
    payload: int
    warm_up_s: int
    steady_s: int
    processes: int
    """Processes of mosquitto_sub that stand for idle clients, and runs of it that stand for connects."""


FULL = Settings(
    repeats=3,
    clients=2000,
    rival_clients=400,
    connect_rate=250,
    rival_connect_rate=40,
    idle_s=10,
    keep_alive_s=10,
    pairs=100,
    rate=2000,
    library_rate=500,
    payload=256,
    warm_up_s=3,
    steady_s=15,
    processes=10,
)

QUICK = Settings(
    repeats=1,
    clients=100,
    rival_clients=20,
    connect_rate=100,
    rival_connect_rate=100,
    idle_s=1,
    keep_alive_s=2,
    pairs=20,
    rate=300,
    library_rate=300,
    payload=256,
    warm_up_s=1,
    steady_s=1,
    processes=2,
)
