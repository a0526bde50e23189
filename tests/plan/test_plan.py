"""What a plan decides: clients, nodes, topics, expected deliveries; and that it is the same each time."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.plan.plan import make_plan
from loadgen.plan.subscriptions import FilterPlan
from tests.plan.conftest import BOARDS, SENSORS, identity

if TYPE_CHECKING:
    from tests.plan.conftest import MakePlan, MakeScenario


def test_the_same_scenario_and_seed_give_an_equal_plan(plan: MakePlan) -> None:
    assert plan(seed=5) == plan(seed=5)
    poisson = {
        "sensors": SENSORS | {"publish": SENSORS["publish"] | {"arrival": "poisson"}},
        "boards": BOARDS,
    }
    assert plan(seed=5, groups=poisson).definitions == plan(seed=5, groups=poisson).definitions
    assert plan(seed=5, groups=poisson).definitions != plan(seed=6, groups=poisson).definitions


def test_clients_carry_what_their_templates_say(plan: MakePlan) -> None:
    sensors = SENSORS | {"user_properties": {"kind": "APM", "name": "{cn}", "id": "{client_id}"}}
    made = plan(groups={"sensors": sensors, "boards": BOARDS})
    third = made.clients[3]
    assert (third.number, third.group, third.index) == (3, "sensors", 3)
    assert third.client_id == third.identity.cn == "dev003"
    assert third.user_properties == (("kind", "APM"), ("name", "dev003"), ("id", "dev003"))
    assert [stream.topic for stream in third.streams] == ["site/3/temp"]
    board = made.clients[7]
    assert (board.client_id, board.filters) == ("board-1", (FilterPlan("site/+/temp", 1),))
    assert board.identity.cn == "dev001", "several client ids may share one certificate"


def test_fanout_counts_the_planned_subscribers(plan: MakePlan) -> None:
    made = plan()
    assert {stream.fanout for client in made.clients for stream in client.streams} == {2}
    one = BOARDS | {"clients": 6, "subscribe": {"filter": "site/{index}/#", "qos": 0}}
    made = plan(groups={"sensors": SENSORS, "boards": one})
    assert {stream.fanout for client in made.clients for stream in client.streams} == {1}
    assert [len(found) for found in made.matches] == [1] * 6


def test_pairs_have_the_lower_qos_of_both_sides(plan: MakePlan) -> None:
    mixed = BOARDS | {"subscribe": [{"filter": "site/0/temp", "qos": 0}, {"filter": "site/1/+", "qos": 1}]}
    made = plan(groups={"sensors": SENSORS, "boards": mixed})
    assert sorted(made.pairs()) == [(0, 6, 0), (0, 7, 0), (1, 6, 1), (1, 7, 1)]
    silent = SENSORS | {"publish": SENSORS["publish"] | {"qos": 0}}
    made = plan(groups={"sensors": silent, "boards": mixed})
    assert {qos for _, _, qos in made.pairs()} == {0}


def test_publishers_are_numbered_over_groups_and_streams(plan: MakePlan) -> None:
    two = SENSORS | {
        "publish": [SENSORS["publish"], {"topic": "alarm/{index}", "qos": 0, "total_rate": "3/s"}]
    }
    both = BOARDS | {"publish": {"topic": "ask/{index}", "qos": 1, "rate": "1/m"}}
    made = plan(groups={"sensors": two, "boards": both})
    numbers = [stream.publisher for client in made.clients for stream in client.streams]
    assert numbers == list(range(6 * 2 + 2)) == list(range(made.publishers))
    assert [each.rate for each in made.definitions] == [2.0, 0.5, pytest.approx(1 / 60)]
    assert [(each.group, each.clients) for each in made.definitions] == [
        ("sensors", 6),
        ("sensors", 6),
        ("boards", 2),
    ]


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 20])
def test_shards_are_a_partition_and_travel(plan: MakePlan, workers: int) -> None:
    made = plan()
    shards = [pickle.loads(pickle.dumps(made.shard(n, workers))) for n in range(workers)]
    numbers = [client.number for shard in shards for client in shard.clients]
    assert sorted(numbers) == [client.number for client in made.clients]
    sizes = [len(shard.clients) for shard in shards]
    assert max(sizes) - min(sizes) <= 1
    assert {shard.definitions for shard in shards} == {made.definitions}


def test_round_robin_spreads_evenly_and_every_client_knows_every_node(plan: MakePlan) -> None:
    groups = {"sensors": SENSORS | {"clients": 9, "client_id": "{index}"}}
    made = plan(groups=groups)
    assert Counter(client.nodes[0] for client in made.clients) == {0: 3, 1: 3, 2: 3}
    assert all(sorted(client.nodes) == [0, 1, 2] for client in made.clients)


def test_random_spread_is_seeded_and_fair(plan: MakePlan) -> None:
    uris = [f"mqtts://127.0.0.{n}:8883" for n in (1, 2, 3)]
    groups = {"sensors": SENSORS | {"clients": 600, "client_id": "{index}"}}
    target = {"uris": uris, "spread": "random"}
    made, again = (plan(groups=groups, target=target, seed=3) for _ in range(2))
    assert [client.nodes for client in made.clients] == [client.nodes for client in again.clients]
    assert min(Counter(client.nodes for client in made.clients).values()) > 60, "all six orders are used"
    assert plan(groups=groups, target=target, seed=4).clients[:50] != made.clients[:50]


def test_in_order_tries_the_first_node_first(plan: MakePlan) -> None:
    uris = [f"mqtts://127.0.0.{n}:8883" for n in (1, 2, 3)]
    made = plan(target={"uris": uris, "spread": "in-order"})
    assert {client.nodes for client in made.clients} == {(0, 1, 2)}


def test_hold_stages_lie_one_after_the_other_in_load_time(plan: MakePlan) -> None:
    made = plan()
    assert list(made.segments) == ["warm", "steady"]
    assert made.segments["warm"].load_to == made.segments["steady"].load_from == 2_500_000_000


DIRECTORY = {"devices": {"directory": {"path": "certs"}}}


def refusal(plan: MakePlan, names: list[str], **groups: object) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(names, identities=DIRECTORY, groups=groups)
    return str(caught.value)


def test_duplicate_client_ids_of_a_directory_are_seen(plan: MakePlan) -> None:
    text = refusal(plan, ["a", "b"], sensors=SENSORS | {"clients": 3})
    assert "client id 'a' is used by groups.sensors[0] and by groups.sensors[2]" in text


def test_names_from_certificates_must_fit_topics(plan: MakePlan) -> None:
    bad = SENSORS | {"clients": 2, "publish": SENSORS["publish"] | {"topic": "site/{cn}"}}
    text = refusal(plan, ["a", "b+c"], sensors=bad)
    assert text.startswith("groups.sensors[1]: topic 'site/b+c' has a wildcard")
    assert "b+c.pem" in text


def test_a_field_that_a_certificate_lacks_names_the_client(plan: MakePlan) -> None:
    bad = SENSORS | {"clients": 2, "client_id": "{san.dns}"}
    assert refusal(plan, ["a", "b"], sensors=bad).startswith("groups.sensors[0]: the template")


def test_faults_of_thousands_are_told_for_a_few(plan: MakePlan) -> None:
    bad = SENSORS | {"clients": 3000, "publish": SENSORS["publish"] | {"topic": "site/{cn}"}}
    with pytest.raises(ConfigError) as caught:
        plan(["#"], identities=DIRECTORY, groups={"sensors": bad})
    assert len(caught.value.problems) == 20


def test_an_empty_identity_set_is_refused(scenario: MakeScenario) -> None:
    with pytest.raises(ConfigError, match="identity set 'devices' is empty"):
        make_plan(scenario(identities=DIRECTORY), {"devices": []})


def test_alternative_names_are_fields(scenario: MakeScenario) -> None:
    groups = {"sensors": SENSORS | {"clients": 1, "client_id": "{san.dns}-{san.dns.1}"}}
    made = make_plan(
        scenario(identities=DIRECTORY, groups=groups), {"devices": [identity("a", dns=("x.org", "y.org"))]}
    )
    assert made.clients[0].client_id == "x.org-y.org"
