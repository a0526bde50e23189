"""What RabbitMQ does when a node is lost, as loadgen measures it on real nodes, against what is known.

Two clusters, one with classic queues for kept sessions and one with quorum queues, are struck side by side by
the shipped scenarios in their short forms; each test looks at one of the runs.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.broker.cluster import LocalCluster
from loadgen.broker.packet_filter import why_no_packet_filter
from loadgen.report.html import write_html
from tests.conftest import free_ports, install_of, report_connections_each_second
from tests.report.browser import CHROMIUM, look_at
from tests.truth.failover import QUORUM_KILL, SHORT, Lane, Story
from tests.truth.queue_thief import Theft, steal_from_a_session
from tests.unavailable import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.rabbitmq

ON_CLASSIC = (
    "failover-kill.yaml",
    "rolling-restart.yaml",
    "failover-drain.yaml",
    "reconnect-storm.yaml",
    "partition.yaml",
    "slow-network.yaml",
)
KEEP_ALIVE = 4.0
"""Of every client of hang.yaml, seconds."""
MS = 1_000_000


@pytest.fixture(scope="module")
def classic(
    rabbitmq_cluster: LocalCluster, quorum: Lane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lane]:
    """Classic queues; begins when the other lane has begun too."""
    assert quorum
    lane = Lane(rabbitmq_cluster, tmp_path_factory.mktemp("failover-classic"))
    lane.scenarios({name: SHORT[name] for name in ON_CLASSIC})
    yield lane
    lane.close()


@pytest.fixture(scope="module")
def quorum(rabbitmq_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A cluster of its own: the type of a session's queue is settled when it is made."""
    if reason := why_no_packet_filter():
        unavailable(reason)
    mqtt_port, management_port = free_ports(1)
    cluster = LocalCluster(tmp_path_factory.mktemp("rabbitmq-quorum") / "cluster")
    cluster.up(
        3,
        certs=rabbitmq_cluster.certs,
        install=install_of("4.3"),
        mqtt_port=mqtt_port,
        management_port=management_port,
        queue_type="quorum",
    )
    try:
        report_connections_each_second(cluster)
        lane = Lane(cluster, tmp_path_factory.mktemp("failover-quorum"))
        lane.scenarios({"failover-kill.yaml": QUORUM_KILL})
        lane.scenarios({name: options for name, options in SHORT.items() if name not in ON_CLASSIC})
        lane.also("theft", lambda: steal_from_a_session(cluster, lane.folder / "theft"))
        yield lane
        lane.close()
    finally:
        cluster.down(purge=True)


def nothing_lost(story: Story) -> dict[str, Any]:
    """What holds in every one of these runs."""
    result = story.result
    assert result["verdict"] == "pass", result["reasons"]
    ledger: dict[str, Any] = result["ledger"]
    assert (ledger["lost"], ledger["unsettled"], ledger["unexpected"]) == (0, 0, 0)
    assert result["totals"]["acknowledged"] > 0
    fault = story.fault
    assert fault["ledger"]["lost"] == 0
    assert fault["not_back"] == fault["gave_up"] == 0
    assert fault["recovered_at"] is not None
    assert fault["window"]["start"] <= fault["recovered_at"] <= fault["window"]["end"]
    return fault


def cut_everywhere(story: Story) -> None:
    """A third of each group was on the node."""
    assert story.groups_cut() == dict.fromkeys(("clean", "devices", "kept", "qos0"), 4)


def lateness(ours: Iterable[int], seen: Iterable[int]) -> list[float]:
    """How many ms after the kernel loadgen had each of its times, in rising order."""
    ours, seen = sorted(ours), sorted(seen)
    assert len(ours) == len(seen) > 0
    return sorted((mine - theirs) / MS for mine, theirs in zip(ours, seen, strict=True))


def test_killed_under_classic_queues(classic: Lane) -> None:
    story: Story = classic.of("failover-kill.yaml")
    fault = nothing_lost(story)
    cut_everywhere(story)
    assert set(fault["noticed_by"]) <= {"closed", "reset"}
    assert fault["detect"]["max"] < 3
    kept = story.outages("kept")
    # The hang, and its end: no CONNACK for 63 s, then 0x83, and in the end the session is there.
    assert fault["slow_connacks"]["count"] >= 4
    assert 62 < fault["slow_connacks"]["max"] < 80  # 63 s, and more where the CPU is short
    # Where it is very short they become more than the 70 s that clients wait.
    assert fault["connack_codes"].get("0x83", 0) + fault["connack_timeouts"] >= 4
    for each in kept:
        answers = {"refused:0x83", "timeout"}
        hung = [attempt for attempt in each["last_attempts"] if attempt["outcome"] in answers]
        assert hung
        assert all(attempt["phase"] == "connack" for attempt in hung)
        assert each["session_present"] is True
        # Only the dead node has the session: it is there again when the node is.
        assert each["connack"] > each["noticed"] + 60_000 * MS
    assert fault["reconnect"]["p50"] < 5
    assert fault["reconnect"]["max"] > 60
    # The blast radius: who publishes to these sessions is refused, on whatever node it is.
    assert fault["codes"]["puback_codes"]["0x83"] > 200
    assert len(fault["by_second"]["puback_codes"]["0x83"]) > 55
    assert story.result["ledger"]["indeterminate"] > 0


def test_killed_under_quorum_queues(quorum: Lane) -> None:
    story: Story = quorum.of("failover-kill.yaml")
    fault = nothing_lost(story)
    cut_everywhere(story)
    assert set(fault["noticed_by"]) <= {"closed", "reset"}
    assert fault["reconnect"]["max"] < 10
    assert fault["slow_connacks"]["count"] == 0
    assert "0x83" not in fault["connack_codes"]
    assert [each["session_present"] for each in story.outages("kept")] == [True] * 4


def test_drained(classic: Lane) -> None:
    story: Story = classic.of("failover-drain.yaml")
    fault = nothing_lost(story)
    cut_everywhere(story)
    # A node that closes with a message of ours unread resets the connection, now and then without a word.
    noticed_by = fault["noticed_by"]
    assert set(noticed_by) <= {"disconnect:0x8B", "reset", "closed"}
    assert noticed_by["disconnect:0x8B"] >= 14
    assert fault["cut_again"] == 0
    assert [each["session_present"] for each in story.outages("kept")] == [True] * 4
    assert set(fault["connack_codes"]) == {"0x00"}
    assert fault["reconnect"]["max"] < 10


def test_stopped_in_good_order(quorum: Lane) -> None:
    story: Story = quorum.of("failover-graceful.yaml")
    fault = nothing_lost(story)
    cut_everywhere(story)
    assert set(fault["noticed_by"]) <= {"closed", "reset"}
    assert [step["what"] for step in fault["steps"]][:2] == ["stopping", "stopped"]


def test_a_hanging_node_is_found_by_unanswered_pings_only(quorum: Lane) -> None:
    story: Story = quorum.of("hang.yaml")
    fault = nothing_lost(story)
    cut_everywhere(story)
    assert set(fault["noticed_by"]) == {"keep-alive"}
    # A ping when one side was silent for the keep-alive less a second, half a keep-alive for its answer, each
    # looked at once a second. That is loadgen's limit; 1.5 keep-alives are the broker's, and this one hangs.
    assert fault["silence"]["min"] > KEEP_ALIVE / 2
    assert fault["silence"]["max"] < 1.5 * KEEP_ALIVE + 2
    # Elsewhere too a connection may be found dead: its process waits for a queue on the hanging node.
    (node,) = fault["endpoints"]
    struck = [each for each in story.outages() if each["node"] == node]
    assert len(struck) == 16


def test_restarted_one_after_the_other(classic: Lane) -> None:
    story: Story = classic.of("rolling-restart.yaml")
    fault = nothing_lost(story)
    tour = ["draining", "drained", "stopping", "stopped", "starting", "serving"]
    assert [(step["what"], step["node"]) for step in fault["steps"]] == [
        (what, node) for node in ("rabbit2", "rabbit3") for what in tour
    ]
    assert fault["cut_again"] >= 4
    assert fault["outages"] >= fault["affected"] + fault["cut_again"]
    assert fault["noticed_by"]["disconnect:0x8B"] >= 32
    # A kept classic session is refused while its node is away, and there again after it.
    assert fault["connack_codes"]["0x83"] > 0
    assert all(each["session_present"] for each in story.outages("kept"))


def test_cut_off_from_the_others(classic: Lane) -> None:
    story: Story = classic.of("partition.yaml")
    fault = nothing_lost(story)
    assert fault["outage"]["seconds"] > 1
    assert fault["latency"]["during"]["delivery"]["max"] > 3
    assert story.result["ledger"]["ok"] > 0


def test_a_storm_of_reconnects(classic: Lane) -> None:
    story: Story = classic.of("reconnect-storm.yaml")
    fault = nothing_lost(story)
    assert story.groups_cut()["devices"] == 100
    assert fault["backoff"]["max"] == 0
    assert fault["attempts"]["total"] >= fault["outages"]
    assert fault["reconnect"]["max"] < 20


def test_taken_over_from_a_node_that_is_too_slow(quorum: Lane) -> None:
    story: Story = quorum.of("takeover.yaml")
    fault = nothing_lost(story)
    # Whoever misses the other first says so: the client its ping's answer, the broker the ping (0x8D).
    noticed_by = fault["noticed_by"]
    assert set(noticed_by) <= {"keep-alive", "disconnect:0x8D"}
    assert noticed_by["keep-alive"] > fault["outages"] / 2
    assert sum(noticed_by.values()) == fault["outages"]
    kept = [each for each in story.outages("kept") if each["node"].startswith("127.0.0.2:")]
    assert kept
    assert all(each["session_present"] for each in kept)


def test_slow_is_late_and_cuts_nobody(classic: Lane) -> None:
    story: Story = classic.of("slow-network.yaml")
    fault = nothing_lost(story)
    assert fault["affected"] == 0
    assert fault["latency"]["during"]["publish"]["max"] > 0.16
    assert fault["latency"]["during"]["delivery"]["p99"] > 0.08


def test_qos_0_in_a_fault_is_counted_and_no_failure(quorum: Lane) -> None:
    story: Story = quorum.of("failover-kill.yaml")
    ledger = story.fault["ledger"]
    assert ledger["indeterminate_qos0"] > 0
    assert story.result["verdict"] == "pass"


def test_the_kernel_saw_the_same_times(quorum: Lane) -> None:
    story: Story = quorum.of("failover-graceful.yaml")
    outages, capture = story.outages(), story.capture
    (node,) = {each["node"] for each in outages}
    host = node.rpartition(":")[0]
    lost = [each["noticed"] for each in outages]
    noticed = lateness(lost, (at for at in capture.goodbyes(host) if lost[0] - 3000 * MS < at <= lost[-1]))
    # What loadgen itself was late by, where it shares its processor, is what it says of its own loop.
    loop_lag = 1000 * story.result["generator"]["loop_lag"]["max"]
    assert noticed[0] > -1, noticed
    assert statistics.median(noticed) < 5 + loop_lag, (loop_lag, noticed)
    back = [each["connack"] for each in outages]
    admitted = (at for target, at in capture.admissions() if target != host and lost[0] < at <= max(back))
    connack = lateness(back, admitted)
    # Sixteen clients at once, whose handshakes hold one another up.
    assert connack[0] > -1, connack
    assert connack[0] < 5 + loop_lag, (loop_lag, connack)
    assert connack[-1] < 1000, connack


def test_the_broker_that_throws_acknowledged_messages_away_is_found_out(quorum: Lane) -> None:
    theft: Theft = quorum.of("theft")
    assert theft.stolen >= 30
    assert theft.result["ledger"]["lost"] == theft.stolen
    assert theft.result["verdict"] == "fail"
    assert theft.exit_code == 99


def test_reports_of_real_failovers_in_a_browser(classic: Lane, quorum: Lane, tmp_path: Path) -> None:
    """What the first screen says is in test_fault_story.py; here it is whether all of it is drawn."""
    if CHROMIUM is None:
        unavailable("no Chromium here")
    stories: list[Story] = [
        classic.of("failover-kill.yaml"),
        classic.of("rolling-restart.yaml"),
        quorum.of("failover-graceful.yaml"),
    ]
    for story, seen in zip(
        stories, look_at([write_html(story.run) for story in stories], tmp_path / "profile"), strict=True
    ):
        assert seen.console == []
        assert seen.blank == seen.undescribed == []
        assert not seen.too_wide
        (fault,) = story.result["faults"]
        assert {
            f"The fleet around {fault['name']}",
            f"How long clients were away in {fault['name']}",
            "Messages per second",
            "Connected clients",
            "Publish latency",
            "Delivery latency",
            "Errors per second",
            "Latency by percentile",
            "Phases of a connection",
            "The generator's lag",
            "The brokers' memory",
            "The brokers' connections",
        } <= set(seen.charts)
