from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity import storage

if TYPE_CHECKING:
    from pathlib import Path


def test_a_failed_write_leaves_the_old_content_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    storage.write_file(file, b"old", storage.PUBLIC)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ConfigError, match=r"No space left.*make room"):
        storage.write_file(file, b"new", storage.PUBLIC)
    assert file.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_a_key_is_private_from_its_creation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a killed writer left, open to everyone, must not lend its mode to the key.
    (tmp_path / ".loadgen-pending").touch(mode=0o666)
    modes = []
    real_open = os.open

    def watched(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real_open(path, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    storage.write_file(tmp_path / "k", b"secret", storage.PRIVATE)
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


@pytest.mark.parametrize("stops_at", [1, 2])
def test_a_pair_that_is_interrupted_is_never_two_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_at: int
) -> None:
    certificate, key = tmp_path / "c", tmp_path / "k"
    storage.write_pair(certificate, key, b"certificate 1", b"key 1")
    writes = 0
    real_write = storage.write_file

    def write(path: Path, content: bytes, mode: int, slot: int = 0) -> None:
        nonlocal writes
        writes += 1
        if writes == stops_at:
            raise KeyboardInterrupt
        real_write(path, content, mode, slot)

    monkeypatch.setattr(storage, "write_file", write)
    with pytest.raises(KeyboardInterrupt):
        storage.write_pair(certificate, key, b"certificate 2", b"key 2")
    assert not certificate.exists()


def test_a_file_where_a_directory_is_needed(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with (
        pytest.raises(ConfigError, match="a file stands where a directory is needed"),
        storage.exclusive(tmp_path / "f"),
    ):
        pass
