"""What the tests of loadgen's truth share: one CA for all, a folder for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.truth.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def truth_certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the CA; certificates that fit are issued once only."""
    return tmp_path_factory.mktemp("truth-certs")


@pytest.fixture
def bench(tmp_path: Path, truth_certs: Path) -> Bench:
    return Bench(tmp_path, truth_certs)
