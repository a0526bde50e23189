from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.management import Management, ManagementError
from tests.fakes.management_api import FakeManagementApi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

DEAD = "http://127.0.0.1:1"


def run(talk: Callable[[FakeManagementApi], Awaitable[None]], api: FakeManagementApi | None = None) -> None:
    async def main() -> None:
        async with api or FakeManagementApi() as served:
            await talk(served)

    asyncio.run(main())


def test_a_dead_node_is_passed_over_and_not_asked_again_first() -> None:
    async def talk(api: FakeManagementApi) -> None:
        async with Management([DEAD, api.uri], "admin", "right") as management:
            assert (await management.overview())["rabbitmq_version"] == "4.3.6"
            assert management._uris[0] == api.uri
            assert await management.users() == {"admin": frozenset({"administrator"})}

    run(talk)


def test_a_node_that_fails_is_passed_over() -> None:
    async def talk(api: FakeManagementApi) -> None:
        async with (
            FakeManagementApi(status=503) as broken,
            Management([broken.uri, api.uri], "admin", "right") as management,
        ):
            await management.overview()
            assert broken.requests

    run(talk)


def test_a_wrong_password_is_said_at_once_and_not_tried_elsewhere() -> None:
    async def talk(api: FakeManagementApi) -> None:
        async with Management([api.uri, api.uri], "admin", "wr0ng") as management:
            with pytest.raises(ManagementError, match=r"HTTP 401 .*'admin'.*password") as caught:
                await management.overview()
        assert caught.value.status == 401
        assert "wr0ng" not in str(caught.value)
        assert len(api.requests) == 1

    run(talk)


def test_all_nodes_dead_names_each() -> None:
    async def talk(_: FakeManagementApi) -> None:
        async with Management([DEAD, "http://127.0.0.2:1"], "admin", "right") as management:
            with pytest.raises(ManagementError, match=r"127\.0\.0\.1:1.*127\.0\.0\.2:1.*uris") as caught:
                await management.nodes()
        assert caught.value.status is None

    run(talk)


def test_an_answer_that_is_no_json_is_a_failure_of_that_node() -> None:
    async def talk(api: FakeManagementApi) -> None:
        api.status = 200
        async with Management([api.uri], "admin", "right") as management:
            with pytest.raises(ManagementError, match="does not answer"):
                await management.overview()

    run(talk)


def test_connections_are_asked_for_once_and_without_statistics() -> None:
    async def talk(api: FakeManagementApi) -> None:
        api.connections = [{"name": "127.0.0.1:5 -> 127.0.0.1:8883", "user": "dev1"}]
        async with Management([api.uri + "/"], "admin", "right") as management:
            assert await management.connections(["name", "user"]) == api.connections
        assert api.requests == [("GET", "/api/connections")]
        assert api.queries == [{"disable_stats": "true", "columns": "name,user"}]

    run(talk)


def test_close_connection_tells_whether_it_was_there() -> None:
    async def talk(api: FakeManagementApi) -> None:
        name = "127.0.0.1:5 -> 127.0.0.1:8883"
        api.connections = [{"name": name}]
        async with Management([api.uri], "admin", "right") as management:
            assert await management.close_connection(name, "test")
            assert not await management.close_connection(name, "test")

    run(talk)


def test_an_unknown_virtual_host_is_a_404() -> None:
    async def talk(api: FakeManagementApi) -> None:
        async with Management([api.uri], "admin", "right") as management:
            with pytest.raises(ManagementError, match="virtual host") as caught:
                await management.permissions("/nope")
        assert caught.value.status == 404

    run(talk)


def test_a_bad_ca_file_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ManagementError, match=r"management\.ca"):
        Management(["https://127.0.0.1:1"], "admin", "right", tmp_path / "no.pem")
