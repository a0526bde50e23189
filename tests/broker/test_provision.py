from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.management import Management, ManagementError
from loadgen.broker.provision import (
    BATCH,
    TAG,
    Change,
    Grant,
    Permissions,
    ProvisionResult,
    TopicPermissions,
    missing_accounts,
    missing_users,
    provision,
    provision_grants,
    remove_provisioned,
)
from loadgen.errors import ConfigError
from tests.fakes.management_api import FakeManagementApi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

OTHERS = {"configure": ".*", "write": ".*", "read": ".*"}


def run(talk: Callable[[FakeManagementApi, Management], Awaitable[None]]) -> None:
    async def main() -> None:
        async with FakeManagementApi() as api, Management([api.uri], "admin", "right") as management:
            await talk(api, management)

    asyncio.run(main())


def test_it_creates_in_batches_and_a_second_call_changes_nothing() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        names = [f"dev{i}" for i in range(BATCH + 1)]
        steps: list[tuple[int, int]] = []
        first = await provision(management, names, progress=lambda done, total: steps.append((done, total)))
        assert first == ProvisionResult(BATCH + 1, 0, 0)
        assert steps == [(BATCH, BATCH + 1), (BATCH + 1, BATCH + 1)]
        assert [len(body["users"]) for body in api.bodies] == [BATCH, 1]
        assert api.bodies[1]["users"] == [{"name": f"dev{BATCH}", "password_hash": "", "tags": [TAG]}]
        assert await provision(management, names) == ProvisionResult(0, 0, BATCH + 1)
        assert len(api.bodies) == 2

    run(talk)


def test_a_dry_run_counts_and_changes_nothing() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        result = await provision(management, ["a", "b", "a"], dry_run=True)
        assert result == ProvisionResult(2, 0, 0, dry_run=True)
        assert api.bodies == []
        assert result.changes == (Change("create", Grant("a")), Change("create", Grant("b")))

    run(talk)


def test_users_that_others_made_are_never_touched() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        api.users |= {"ours": [TAG], "bare": ["monitoring"], "theirs": ["policymaker"], "right": []}
        api.permissions |= {"ours": OTHERS, "theirs": OTHERS, "right": asdict(Permissions())}
        result = await provision(management, ["new", "ours", "bare", "theirs", "right"])
        assert result == ProvisionResult(1, 1, 1, ("bare", "theirs"))
        assert [user["name"] for user in api.bodies[0]["users"]] == ["new"]
        assert api.users["bare"] == ["monitoring"]
        assert "bare" not in api.permissions
        assert api.permissions["theirs"] == OTHERS
        assert api.permissions["ours"] == api.permissions["new"] == asdict(Permissions())

    run(talk)


def test_topic_permissions_come_and_go() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        narrow = Grant("a", topics=TopicPermissions("^a$", ""))
        assert (await provision_grants(management, [narrow])).created == 1
        assert api.topics == {"a": {"write": "^a$", "read": ""}}
        assert (await provision_grants(management, [narrow])).unchanged == 1
        assert (await provision_grants(management, [Grant("a")])).updated == 1
        assert api.topics == {}

    run(talk)


def test_a_user_without_name_and_an_unknown_virtual_host_are_refused() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        with pytest.raises(ConfigError, match="no name"):
            await provision(management, ["good", ""])
        assert api.requests == []
        with pytest.raises(ConfigError, match="no virtual host 'urn:dev'"):
            await provision(management, ["good"], vhost="urn:dev")
        assert api.bodies == []

    run(talk)


def test_missing_users_are_those_without_account_or_permissions() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        await provision(management, ["ok"])
        api.users["bare"] = []
        assert await missing_users(management, ["ok", "none", "bare", "none"]) == ["none", "bare"]

    run(talk)


def test_accounts_are_looked_up_in_their_own_virtual_host() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        await provision(management, ["ok"])
        assert await missing_accounts(management, {"/": ["none", "ok"]}) == ["none"]
        with pytest.raises(ManagementError) as caught:
            await missing_accounts(management, {"/": ["ok"], "site": ["ok"]})
        assert caught.value.status == 404

    run(talk)


def test_remove_takes_only_what_was_made_by_us() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        api.users["theirs"] = []
        await provision(management, ["a", "b", "c"])
        assert await remove_provisioned(management, ["a", "theirs", "nobody"], dry_run=True) == ["a"]
        assert set(api.users) == {"admin", "theirs", "a", "b", "c"}
        assert await remove_provisioned(management, ["a", "theirs", "nobody"]) == ["a"]
        assert await remove_provisioned(management) == ["b", "c"]
        assert set(api.users) == {"admin", "theirs"}

    run(talk)


def test_the_default_permissions_are_mqtt_and_no_more() -> None:
    allowed = Permissions()
    queue = "mqtt-subscription-APM00001qos1"
    for expression in (allowed.configure, allowed.write, allowed.read):
        assert re.search(expression, queue)
        for foreign in ("orders", "amq.gen-x", "x-mqtt-subscription-aqos1", "amqxtopic", "amq.topics", ""):
            assert not re.search(expression, foreign)
    assert re.search(allowed.write, "amq.topic")
    assert re.search(allowed.read, "amq.topic")
    assert not re.search(allowed.configure, "amq.topic")


def test_users_without_permissions_are_made_and_stay_without() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        powerless = Grant("a", permissions=None)
        assert (await provision_grants(management, [powerless])).created == 1
        assert (api.users["a"], api.permissions) == ([TAG], {})
        assert (await provision_grants(management, [powerless])).unchanged == 1
        assert (await provision_grants(management, [Grant("a")])).updated == 1
        assert "a" in api.permissions
        result = await provision_grants(management, [powerless])
        assert (result.updated, api.permissions) == (1, {})
        assert str(result.changes[0]) == "update 'a', without permissions in /"

    run(talk)
