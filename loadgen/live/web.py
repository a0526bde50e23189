"""The live page as the run sees it: a port, bound early, and a process that is told how the run goes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import loadgen
from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_LOCAL = {"127.0.0.1", "::1", "localhost"}
# Not `-m`: the child must import this very package, wherever it is, with nothing before the standard library.
_BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv[1]); from loadgen.live.page.process import main; main(sys.argv[2:])"
)
_PATIENCE = 15.0
"""Seconds the page's process may take to end."""


class WebPage:
    """A context manager: bound when it is made, served from `start` on, ended with it."""

    def __init__(self, host: str, port: int, warn: Callable[[str], None]) -> None:
        """Bind a port; 0 takes any that is free.

        Args:
            host: address to listen on.
            port: port there.
            warn: told when the page's process ends before the run.

        Raises:
            ConfigError: it cannot listen there.
        """
        self._host = host
        self._warn = warn
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, port), family=family)
        except OSError as error:
            raise ConfigError(
                f"--web: cannot listen on {host} port {port}: {error.strerror or error}",
                "choose another port with --web, or end what listens there",
            ) from None
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._unsent = b""
        self._over = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with us
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}/"

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return self._host in _LOCAL

    def __enter__(self) -> Self:
        """It is bound already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process: it may show browsers the end first."""
        self._socket.close()
        self._stderr.close()
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            os.set_blocking(self._pipe, True)
            if self._unsent:
                os.write(self._pipe, self._unsent)
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()

    def start(self, folder: Path) -> None:
        """Serve the run in this folder."""
        number = self._socket.fileno()
        hosts = sorted(_LOCAL) if self.local else []
        root = str(Path(loadgen.__file__).parents[1])
        command = [sys.executable, "-P", "-c", _BOOTSTRAP, root, str(number), str(folder), *hosts]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=(number,),
            bufsize=0,
        )
        # Else browsers would wait for an answer if it died.
        self._socket.close()
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        # The run never waits for the page: what it does not read in time it does not get.
        os.set_blocking(self._pipe, False)

    def tell(self, line: str) -> None:
        """Tell the page a line of the JSON view."""
        if self._process is None or self._over:
            return
        if not self._unsent:
            self._unsent = line.encode() + b"\n"
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._pipe, self._unsent) :]
        except BlockingIOError:
            pass  # the rest of this line comes first the next time, so that lines stay whole
        except OSError:
            self._over, self._unsent = True, b""
            self._stderr.seek(0)
            last = self._stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            self._warn(f"the live page's process has ended: {last[0] if last else 'without a word'}")
