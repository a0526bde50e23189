"""RabbitMQ's maintenance mode, with the moments at which the node itself did it."""

from __future__ import annotations

import re
import time

from loadgen.errors import BrokerError

DRAIN = "{os:system_time(nanosecond),rabbit_maintenance:drain(),os:system_time(nanosecond)}."
"""What `rabbitmq-upgrade drain` does, between two looks at the clock: the tool takes seconds to boot."""
REVIVE = "{os:system_time(nanosecond),rabbit_maintenance:revive(),os:system_time(nanosecond)}."
METADATA_LEADER = "ra_leaderboard:lookup_leader(rabbitmq_metadata)."


def moments(answer: str, *, same_clock: bool, began: int, ended: int) -> tuple[int, int]:
    """Read the answer to `DRAIN` or `REVIVE`: monotonic ns of its beginning and end.

    Args:
        answer: what `rabbitmqctl eval` printed.
        same_clock: whether the node has this machine's clock; else the times of the call must do.
        began: monotonic ns just before the tool was called.
        ended: monotonic ns just after it returned.

    Raises:
        BrokerError: the node did not do it.
    """
    found = re.search(r"\{(\d+),\s*ok,\s*(\d+)\}", answer)
    if found is None:
        raise BrokerError(f"the node did not change its maintenance mode: {answer.strip()[:200]}")
    if not same_clock:
        return began, ended
    offset = time.time_ns() - time.monotonic_ns()
    # A clock that was set meanwhile must not put the act outside the call.
    return tuple(min(max(int(wall) - offset, began), ended) for wall in found.groups())  # type: ignore[return-value]


def node_of(answer: str) -> str | None:
    """Read the answer to `METADATA_LEADER`: Erlang's name of the node; None when there is no leader."""
    found = re.search(r"\{rabbitmq_metadata,\s*'?([^'}\s]+)'?\}", answer)
    return found.group(1) if found else None
