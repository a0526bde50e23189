"""The cluster of docker-compose.yml for tests: started once per session, ended with it.

A test that needs it asks for `compose_cluster`. Where no engine can run it is skipped with the reason; with
`LOADGEN_REQUIRE_DOCKER=1` that is a failure, so that CI cannot pass by skipping.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.install import find_rabbitmq
from loadgen.broker.process import wait_until
from loadgen.errors import BrokerError
from loadgen.identity.authority import Authority
from tests.broker.composed import ADDRESS, Composed
from tests.broker.docker_engine import Engine, NoEngineError
from tests.unavailable import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def docker_engine() -> Iterator[Engine]:
    """A container engine: the one that runs here, or a private one."""
    try:
        engine = Engine()
    except NoEngineError as error:
        unavailable(str(error), "LOADGEN_REQUIRE_DOCKER")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def compose_cluster(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """The three nodes of docker-compose.yml, from the image `RABBITMQ_IMAGE` or one made of a root folder."""
    image = os.environ.get("RABBITMQ_IMAGE")
    if image is None:
        try:
            install = find_rabbitmq()
        except BrokerError as error:
            unavailable(f"no RABBITMQ_IMAGE is named, and {error}", "LOADGEN_REQUIRE_DOCKER")
        if install.root is None:
            reason = "no RABBITMQ_IMAGE is named, and there is no root folder to make an image of"
            unavailable(reason, "LOADGEN_REQUIRE_DOCKER")
        image = docker_engine.import_root(install)
    certs = tmp_path_factory.mktemp("compose-certs")
    Authority.ensure(certs).issue_server("rabbitmq", dns=["localhost"], ip=[ADDRESS])
    composed = Composed(docker_engine, image, certs)
    try:
        composed.compose("up", "-d")
        serving = wait_until(lambda: all(len(composed.members(node)) == 3 for node in range(3)), 180, 0.5)
        assert serving, composed.compose("logs", "--tail=30")
        yield composed
    finally:
        composed.compose("down", "-v", "-t", "0")
