"""A container engine for tests: the one that runs here, or a private one that is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.broker.process import ProcessRef, end_all, start_detached, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.broker.install import RabbitInstall

STAND_IN = "loadgen-rabbitmq:stand-in"


class NoEngineError(Exception):
    """There is no engine and none can be started; the text says why."""


class Engine:
    """Runs `docker` and `docker compose` (or `docker-compose`) against one engine."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self._folder: Path | None = None
        self._daemon: ProcessRef | None = None
        if shutil.which("docker") is None:
            raise NoEngineError("the docker command is not here")
        if not self._answers():
            self._start_daemon()
        if self._run(["docker", "compose", "version"]).returncode == 0:
            self._compose = ["docker", "compose"]
        elif shutil.which("docker-compose"):
            self._compose = ["docker-compose"]
        else:
            self.close()
            raise NoEngineError("neither `docker compose` nor docker-compose is here")

    def docker(self, *arguments: str) -> str:
        return self._checked(["docker", *arguments], {})

    def compose(self, file: Path, variables: Mapping[str, str], *arguments: str) -> str:
        return self._checked([*self._compose, "-p", "loadgen-test", "-f", str(file), *arguments], variables)

    def import_root(self, install: RabbitInstall) -> str:
        """Make an image out of a root folder that behaves as the official one does."""
        assert install.root
        as_rabbitmq = ["setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups"]
        entry = [*as_rabbitmq, "env", "HOME=/var/lib/rabbitmq", f"{install.scripts}/rabbitmq-server"]
        changes = [
            "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8",
            f"ENTRYPOINT {json.dumps(entry)}",
        ]
        tar = ["tar", "-C", str(install.root), "--exclude=./proc/*", "--exclude=./srv/*", "-c", "."]
        import_image = ["docker", "import", *(x for change in changes for x in ("-c", change)), "-", STAND_IN]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
            subprocess.run(
                import_image, stdin=archive.stdout, env=self.environment, check=True, capture_output=True
            )
        return STAND_IN

    def close(self) -> None:
        if self._daemon:
            end_all([self._daemon], 30)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start_daemon(self) -> None:
        """Start a daemon that touches nothing of the host: no firewall rules, no default bridge."""
        if os.geteuid() != 0 or shutil.which("dockerd") is None:
            raise NoEngineError("no container engine runs, and none can be started (dockerd and root needed)")
        self._folder = folder = Path(tempfile.mkdtemp(prefix="loadgen-docker-"))  # short: socket paths are
        log = folder / "log"
        socket = f"unix://{folder}/docker.sock"
        where = [f"--host={socket}", f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
        plain = ["--iptables=false", "--ip6tables=false", "--bridge=none", f"--pidfile={folder}/pid"]
        self._daemon = start_detached(["dockerd", *where, *plain], self.environment, log)
        self.environment["DOCKER_HOST"] = socket
        daemon = self._daemon
        wait_until(lambda: self._answers() or not daemon.alive(), 60, 0.3)
        if not self._answers():
            last = log.read_text().splitlines()[-1:]
            self.close()
            raise NoEngineError(f"dockerd does not start here: {last}")

    def _answers(self) -> bool:
        return self._run(["docker", "info"]).returncode == 0

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def _checked(self, command: list[str], variables: Mapping[str, str]) -> str:
        done = subprocess.run(
            command, env={**self.environment, **variables}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout
