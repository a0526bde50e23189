"""What travels to the workers of a group's reconnect policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.plan.settings import group_settings
from tests.plan.conftest import BOARDS, SENSORS

if TYPE_CHECKING:
    from tests.plan.conftest import MakeScenario

S = 1_000_000_000


def test_a_group_reconnects_as_it_says(scenario: MakeScenario) -> None:
    reconnect = {
        "backoff": "0s",
        "jitter": "none",
        "order": "stick",
        "max_attempts": 7,
        "resume": False,
        "resend": False,
        "tcp_timeout": "1s",
        "tls_timeout": "2s",
        "connack_timeout": "3s",
    }
    made = group_settings(scenario(groups={"sensors": SENSORS | {"reconnect": reconnect}, "boards": BOARDS}))
    own, other = made["sensors"], made["boards"]
    assert (own.backoff_min, own.backoff_max, own.jitter, own.max_attempts) == (0, 0, "none", 7)
    assert (own.reconnect_order, own.resume, own.resend) == ("stick", False, False)
    assert (own.tcp_timeout, own.tls_timeout, own.connack_timeout) == (S, 2 * S, 3 * S)
    assert (other.reconnect_order, other.jitter, other.resume, other.resend) == (None, "full", True, True)


def test_the_targets_time_limits_are_those_of_groups_without_their_own(scenario: MakeScenario) -> None:
    target = {"uris": ["mqtts://h"], "timeouts": {"tcp": "4s", "connack": "80s"}}
    made = group_settings(scenario(target=target))["boards"]
    assert (made.tcp_timeout, made.tls_timeout, made.connack_timeout) == (4 * S, 10 * S, 80 * S)
