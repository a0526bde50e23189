"""How keys and certificates reach the disk: whole or not at all, private from the first byte, one writer."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

PRIVATE = 0o600
"""Mode of private keys."""
PUBLIC = 0o644
"""Mode of certificates and manifests."""
_PENDING = ".loadgen-pending"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LOCK = ".loadgen-lock"


@contextlib.contextmanager
def exclusive(directory: Path) -> Iterator[int]:
    """Make the directory if need be and be its only writer; waits for another process to finish.

    The kernel drops the lock when its holder dies, so no stale lock can stay. Processes that are to write
    together with the holder inherit the descriptor that this gives, and keep the lock as long as it.

    Raises:
        ConfigError: the directory cannot be made or written.
    """
    with readable_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        with readable_errors(directory):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def write_file(path: Path, content: bytes, mode: int, slot: int = 0) -> None:
    """Write a whole file or nothing: a reader sees the old content or the new, never a part.

    Call it inside `exclusive`: the temporary name is one per directory and slot. The file has its mode from
    its creation, so a key is at no moment readable by others.

    Args:
        path: the file.
        content: all of it.
        mode: its permissions.
        slot: differs for each process that writes into the directory under the same lock.

    Raises:
        ConfigError: the file cannot be written.
    """
    # Texts and bare calls: paths would take a fifth of the time that a certificate takes.
    target = os.fspath(path)
    pending = f"{os.path.dirname(target) or '.'}/{_PENDING}{f'-{slot}' if slot else ''}"  # noqa: PTH120
    with readable_errors(path):
        try:
            descriptor = os.open(pending, _NEW_FILE, mode)
        except FileExistsError:  # of a writer that was killed; its mode might be another
            os.unlink(pending)  # noqa: PTH108
            descriptor = os.open(pending, _NEW_FILE, mode)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                _write_all(file, content)
            os.replace(pending, target)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(pending)  # noqa: PTH108
            raise


def _write_all(file: FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def write_pair(certificate: Path, key: Path, certificate_pem: bytes, key_pem: bytes, slot: int = 0) -> None:
    """Replace a certificate and its key so that an interruption leaves no two files that don't match.

    The old certificate goes first and the new one comes last: whatever stops us in between leaves a
    key without a certificate, which everyone reads as missing, never an old certificate beside a new key.
    """
    with readable_errors(certificate), contextlib.suppress(FileNotFoundError):
        os.unlink(certificate)  # noqa: PTH108
    write_file(key, key_pem, PRIVATE, slot)
    write_file(certificate, certificate_pem, PUBLIC, slot)


@contextlib.contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about a path into a ConfigError with a mend.

    Raises:
        ConfigError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}", _MENDS.get(error.errno or 0, "")) from error


_MENDS = {
    errno.ENOENT: "the file is not there; `loadgen certs issue` makes it, or name another",
    errno.EACCES: "run as the user who owns it, or name a directory of yours",
    errno.EROFS: "name a directory on a file system that can be written",
    errno.ENOSPC: "make room on the disk",
    errno.ENOTDIR: "a file stands where a directory is needed",
    errno.EEXIST: "a file stands where a directory is needed",
    errno.ENAMETOOLONG: "choose a shorter name",
}
