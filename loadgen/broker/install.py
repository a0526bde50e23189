"""Where a RabbitMQ to run comes from: this machine's PATH, or a root folder made of Debian's packages."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from loadgen.broker.debian import make_root, may_unshare
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable

SUITES: dict[str, str] = {"4.3": "forky", "4.0": "trixie"}
"""RabbitMQ release → the Debian suite that carries it, newest first; the first is the default."""

DEFAULT_RELEASE = next(iter(SUITES))
SHARE = "/srv/loadgen"
"""Folder inside a root at which the cluster's own folder appears."""

_ROOT_SCRIPTS = "usr/lib/rabbitmq/bin"

# A mount namespace of its own: what is mounted here no one else sees, and it is gone with the process.
# Erlang and RabbitMQ read /proc for the memory they use; nothing else of the machine is needed.
_ENTER_ROOT = f"""\
mkdir -p "$1{SHARE}" && mount -t proc proc "$1/proc" && mount --bind "$2" "$1{SHARE}" || exit 125
root="$1"; shift 2
exec chroot "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class RabbitInstall:
    """One usable RabbitMQ."""

    kind: Literal["path", "root"]
    version: str
    """Full version, for example `4.3.6`; `unknown` when the installation does not tell."""
    scripts: str
    """Folder of `rabbitmq-server` and `rabbitmqctl`, as seen from inside the root."""
    root: Path | None = None

    @property
    def release(self) -> str:
        """The first two numbers of the version."""
        return ".".join(self.version.split(".")[:2])

    def inside(self, directory: Path) -> str:
        """Give the path at which the nodes see the cluster's folder."""
        return SHARE if self.root else str(directory)

    def command(self, directory: Path, program: str, *arguments: str) -> list[str]:
        """Build the command line that runs a program of this installation.

        Args:
            directory: The cluster's folder, which the program sees at `inside(directory)`.
            program: A name such as `rabbitmqctl` (looked up in `scripts`) or `epmd`.
            *arguments: Its arguments.
        """
        full = f"{self.scripts}/{program}" if program.startswith("rabbitmq") else program
        if self.root is None:
            return [full, *arguments]
        namespace = ["unshare", "--mount", "--propagation", "private", "--"]
        enter = ["/bin/sh", "-c", _ENTER_ROOT, "enter-root", str(self.root), str(directory)]
        return [*namespace, *enter, full, *arguments]

    def environment(self) -> dict[str, str]:
        """Give the variables every program of this installation needs."""
        path = "/usr/sbin:/usr/bin:/sbin:/bin" if self.root else os.environ.get("PATH", os.defpath)
        # systemd mode makes the server script exec the Erlang machine: signals then reach it directly.
        return {"PATH": path, "LANG": "C.UTF-8", "RUNNING_UNDER_SYSTEMD": "true"}


def default_root(release: str) -> Path:
    """Tell where the root of a release is kept: under `LOADGEN_HOME`, else in the user's data folder."""
    home = os.environ.get("LOADGEN_HOME")
    base = Path(home) if home else Path.home() / ".local" / "share" / "loadgen"
    return base / f"rabbitmq-{release}"


def installed_root(root: Path) -> RabbitInstall | None:
    """Look at a root folder and describe the RabbitMQ in it; None when there is none."""
    servers = sorted((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    if not servers or not (root / _ROOT_SCRIPTS).is_dir():
        return None
    version = servers[-1].name.removeprefix("rabbitmq_server-")
    return RabbitInstall("root", version, f"/{_ROOT_SCRIPTS}", root.resolve())


def installed_on_path() -> RabbitInstall | None:
    """Find a RabbitMQ 4.x on this machine's PATH; None when there is none or it is older."""
    found = shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        return None
    # Debian's /usr/sbin/rabbitmq-server is a wrapper that switches user; the real scripts lie elsewhere.
    for scripts in (Path(found).resolve().parent, Path("/") / _ROOT_SCRIPTS):
        if (scripts / "rabbitmq-env").exists():
            real = (scripts / "rabbitmq-env").resolve()
            match = re.search(r"(\d+\.\d+\.\d+)", str(real))
            version = match.group(1) if match else "unknown"
            if version == "unknown" or int(version.split(".")[0]) >= 4:
                return RabbitInstall("path", version, str(real.parent))
    return None


def install(
    release: str | None = None,
    root: Path | None = None,
    *,
    mirror: str | None = None,
    force: bool = False,
    report: Callable[[str], None] = lambda _line: None,
) -> RabbitInstall:
    """Make a root folder with a RabbitMQ release, or keep the one that is there.

    Args:
        release: One of `SUITES`; None takes the newest.
        root: Where it goes; None is `default_root(release)`.
        mirror: Address of a Debian mirror; None takes this machine's.
        force: Make it anew although it is there.
        report: Called with lines of progress.

    Raises:
        BrokerError: Unknown release, not root, or Debian's tools failed.
    """
    release = release or DEFAULT_RELEASE
    if release not in SUITES:
        raise BrokerError(
            f"no Debian suite with RabbitMQ {release} is known", f"choose {' or '.join(SUITES)}"
        )
    root = root or default_root(release)
    if force and root.exists():
        scratch = root.resolve().with_name(f"{root.resolve().name}.old")
        root.resolve().rename(scratch)
        shutil.rmtree(scratch)
    found = installed_root(root)
    if found is None:
        if root.exists() and any(root.iterdir()):
            raise BrokerError(f"{root} is there but holds no RabbitMQ", "remove it, or name another folder")
        make_root(SUITES[release], root, mirror=mirror, report=report)
        found = installed_root(root)
    if found is None:
        raise BrokerError(f"Debian {SUITES[release]} installed no usable RabbitMQ in {root}", "remove it")
    return found


def find_rabbitmq(release: str | None = None) -> RabbitInstall:
    """Choose the RabbitMQ to run.

    Args:
        release: Two numbers such as `4.0`; None takes RabbitMQ 4.x on PATH, else the newest root.

    Raises:
        BrokerError: When there is none; the mend says how to get one.
    """
    on_path = installed_on_path()
    if on_path and release in (None, on_path.release):
        return on_path
    for candidate in [release] if release else SUITES:
        found = installed_root(default_root(candidate))
        if found:
            return found
    wanted = f"RabbitMQ {release}" if release else "RabbitMQ 4.x"
    flag = f" --release {release}" if release else ""
    raise BrokerError(
        f"{wanted} is neither on PATH nor under {default_root(release or DEFAULT_RELEASE).parent}",
        f"run `loadgen cluster install{flag}` as root on a Debian machine, or install rabbitmq-server 4.x",
    )


def why_root_cannot_run() -> str | None:
    """Say why nodes cannot be started from a root folder here; None when they can."""
    if os.geteuid() != 0:
        return "nodes from a root folder need root (chroot)"
    missing = [name for name in ("unshare", "chroot") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not found"
    if not may_unshare():
        return "this machine or container may not mount (CAP_SYS_ADMIN), which nodes from a root folder need"
    return None
