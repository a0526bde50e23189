"""Making a root folder with RabbitMQ out of Debian's packages, without a container engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Report = Callable[[str], None]

_SCRIPTS = Path("/usr/share/debootstrap/scripts")
_UNSTABLE_SCRIPT = "sid"
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
_NEEDLESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


def make_root(suite: str, root: Path, *, mirror: str | None, report: Report) -> None:
    """Make a root folder with Debian's rabbitmq-server in it, whole or not at all.

    Args:
        suite: Debian suite, for example `trixie`.
        root: Where it goes; must not exist.
        mirror: Address of a Debian mirror; None takes the one apt uses here, else debootstrap's own.
        report: Called with a line of progress now and then.

    Raises:
        BrokerError: No root, no debootstrap to be had, or it failed (its last words are in it).
    """
    if os.geteuid() != 0:
        raise BrokerError("making a root folder needs root (debootstrap, chroot)", "run it in a root shell")
    _need_debootstrap(report)
    partial = root.with_name(f"{root.name}.partial")
    root.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", suite, str(partial)]
    command.append(mirror or _apt_mirror() or "")
    if not (_SCRIPTS / suite).exists():
        # A suite younger than this machine's debootstrap is made as the newest one it knows.
        command.append(_UNSTABLE_SCRIPT)
    # A namespace of its own: what debootstrap mounts is gone with it, also when it is interrupted.
    namespace = ["unshare", "--mount", "--propagation", "private", "--"] if may_unshare() else []
    try:
        _run([*namespace, *command], report, "debootstrap")
        (partial / "etc" / "hosts").write_text(_HOSTS)
        for folder in _NEEDLESS:
            shutil.rmtree(partial / folder, ignore_errors=True)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _need_debootstrap(report: Report) -> None:
    if shutil.which("debootstrap"):
        return
    if shutil.which("apt-get") is None:
        raise BrokerError(
            "debootstrap is not here, and this machine has no apt-get to install it with",
            "install debootstrap, or put a RabbitMQ 4.x on PATH",
        )
    report("installing debootstrap with apt-get")
    _run(["apt-get", "update", "-q"], report, "apt-get update")
    _run(
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", "debootstrap"],
        report,
        "apt-get install",
    )


def _apt_mirror() -> str | None:
    """Ask apt which mirror of Debian this machine uses; None when it is no Debian, or apt does not tell."""
    if shutil.which("apt-get") is None:
        return None
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    for line in asked.stdout.splitlines():
        origin, label, uri = [*line.split("|"), "", ""][:3]
        if (origin, label) == ("Debian", "Debian") and uri.startswith(("http://", "https://")):
            return uri
    return None


def _apt_proxy() -> dict[str, str]:
    """Give the proxy that apt uses in the form debootstrap's downloader knows."""
    if shutil.which("apt-config") is None:
        return {}
    asked = subprocess.run(
        ["apt-config", "shell", "proxy", "Acquire::http::Proxy"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    _, _, value = asked.stdout.strip().partition("=")
    return {"http_proxy": value.strip("'")} if value.strip("'") else {}


def may_unshare() -> bool:
    """Tell whether this process may have a mount namespace of its own."""
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)  # noqa: S607
    return tried.returncode == 0


def _run(command: Sequence[str], report: Report, name: str) -> None:
    """Run a program, report its lines, and fail with its last ones."""
    environment = {**_apt_proxy(), **os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    last: deque[str] = deque(maxlen=8)
    with subprocess.Popen(  # noqa: S603 - our own command line
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout
        for line in process.stdout:
            last.append(line.rstrip())
            report(line.rstrip())
    if process.returncode:
        words = "\n".join(f"  {line}" for line in last)
        raise BrokerError(f"{name} failed with status {process.returncode}:\n{words}")
