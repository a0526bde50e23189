from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadgen.broker import debian, install
from loadgen.errors import BrokerError


def make_root(root: Path, version: str) -> None:
    real = root / f"usr/lib/rabbitmq/lib/rabbitmq_server-{version}/sbin"
    real.mkdir(parents=True)
    (root / "usr/lib/rabbitmq/bin").mkdir()


def make_path(folder: Path, version: str) -> None:
    scripts = folder / f"rabbitmq_server-{version}/sbin"
    scripts.mkdir(parents=True)
    for name in ("rabbitmq-server", "rabbitmq-env"):
        (scripts / name).write_text("#!/bin/sh\n")
        (scripts / name).chmod(0o755)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for roots, and a PATH on which there is no RabbitMQ."""
    monkeypatch.setenv("LOADGEN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(install, "installed_on_path", lambda: None)
    return tmp_path / "home"


def test_without_any_rabbitmq_the_error_names_the_command_that_gets_one(home: Path) -> None:
    with pytest.raises(BrokerError, match=r"loadgen cluster install --release 4\.0"):
        install.find_rabbitmq("4.0")
    with pytest.raises(BrokerError, match="`loadgen cluster install` as root"):
        install.find_rabbitmq()


def test_the_newest_root_is_the_default_and_a_release_can_be_chosen(home: Path) -> None:
    make_root(home / "rabbitmq-4.0", "4.0.5")
    assert install.find_rabbitmq().version == "4.0.5"
    make_root(home / "rabbitmq-4.3", "4.3.6")
    assert install.find_rabbitmq().version == "4.3.6"
    chosen = install.find_rabbitmq("4.0")
    assert (chosen.kind, chosen.release, chosen.root) == ("root", "4.0", home / "rabbitmq-4.0")


@pytest.mark.parametrize(("version", "found"), [("4.1.8", "4.1.8"), ("3.13.7", None), ("12.0.1", "12.0.1")])
def test_only_rabbitmq_4_on_path_is_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, found: str | None
) -> None:
    make_path(tmp_path, version)
    monkeypatch.setenv("PATH", f"{tmp_path}/rabbitmq_server-{version}/sbin")
    result = install.installed_on_path()
    if Path("/usr/lib/rabbitmq/bin/rabbitmq-env").exists() and found is None:
        pytest.skip("this machine has a RabbitMQ of its own")
    assert (result.version if result else None) == found
    if result:
        assert result.command(tmp_path, "rabbitmqctl", "status") == [
            f"{result.scripts}/rabbitmqctl",
            "status",
        ]
        assert result.inside(tmp_path) == str(tmp_path)


def test_a_program_of_a_root_runs_in_a_mount_namespace_of_its_own(tmp_path: Path) -> None:
    root = install.RabbitInstall("root", "4.3.6", "/usr/lib/rabbitmq/bin", Path("/some/root"))
    argv = root.command(tmp_path, "rabbitmqctl", "status")
    assert argv[:2] == ["unshare", "--mount"]
    assert argv[-4:] == ["/some/root", str(tmp_path), "/usr/lib/rabbitmq/bin/rabbitmqctl", "status"]
    assert root.inside(tmp_path) == "/srv/loadgen"


def test_an_unknown_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"choose 4\.3 or 4\.0"):
        install.install("3.13", tmp_path / "root")


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BrokerError, match="holds no RabbitMQ"):
        install.install("4.0", tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_what_is_installed_is_kept(tmp_path: Path) -> None:
    make_root(tmp_path / "root", "4.0.5")
    assert install.install("4.0", tmp_path / "root").version == "4.0.5"


@pytest.fixture
def fake_debootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A debootstrap that writes its arguments down and makes a root, or fails when told to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "debootstrap"
    script.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" > "{tmp_path}/arguments"\n'
        'mkdir -p "$4/etc" "$4/usr/share/doc" "$4/usr/lib/rabbitmq/bin"\n'
        'mkdir -p "$4/usr/lib/rabbitmq/lib/rabbitmq_server-4.0.5"\n'
        'echo "I: Retrieving things"\n'
        f'[ ! -e "{tmp_path}/fail" ] || {{ echo "E: the mirror is on fire" >&2; exit 3; }}\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "_apt_mirror", lambda: None)
    return tmp_path


def test_a_root_is_made_by_debootstrap_and_appears_whole(fake_debootstrap: Path) -> None:
    lines: list[str] = []
    root = fake_debootstrap / "home" / "rabbitmq-4.0"
    made = install.install("4.0", root, report=lines.append)
    assert made.version == "4.0.5"
    assert (root / "etc/hosts").read_text().startswith("127.0.0.1 localhost\n")
    assert not (root / "usr/share/doc").exists()
    assert lines == ["I: Retrieving things"]
    arguments = (fake_debootstrap / "arguments").read_text().splitlines()
    assert arguments[:3] == ["--variant=minbase", "--include=rabbitmq-server", "trixie"]


def test_a_suite_that_debootstrap_does_not_know_is_made_as_the_unstable_one(
    fake_debootstrap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_SCRIPTS", fake_debootstrap)
    install.install("4.3", fake_debootstrap / "root", mirror="http://mirror.example/debian")
    arguments = (fake_debootstrap / "arguments").read_text().splitlines()
    assert arguments[-2:] == ["http://mirror.example/debian", "sid"]


def test_a_failure_leaves_nothing_and_tells_the_last_words(fake_debootstrap: Path) -> None:
    (fake_debootstrap / "fail").touch()
    with pytest.raises(BrokerError, match="the mirror is on fire"):
        install.install("4.0", fake_debootstrap / "home" / "root")
    assert list((fake_debootstrap / "home").iterdir()) == []


def test_force_makes_it_anew(fake_debootstrap: Path) -> None:
    root = fake_debootstrap / "root"
    make_root(root, "4.0.4")
    (root / "old").touch()
    assert install.install("4.0", root, force=True).version == "4.0.5"
    assert not (root / "old").exists()


def test_making_a_root_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BrokerError, match="needs root"):
        install.install("4.0", tmp_path / "root")


def test_a_container_that_may_not_mount_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(install, "may_unshare", lambda: False)
    assert "CAP_SYS_ADMIN" in str(install.why_root_cannot_run())
