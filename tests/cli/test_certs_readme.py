"""What certs/README.md tells people to type."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from loadgen.cli.certs import app
from loadgen.identity.check import check_file
from loadgen.identity.describe import describe
from loadgen.identity.directory import read_directory
from loadgen.scenario.identities import IdentitySet

README = Path(__file__).parents[2] / "certs" / "README.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command on this machine")
def test_the_three_steps_by_hand_give_what_loadgen_reads(tmp_path: Path) -> None:
    subprocess.run(["sh", "-ec", BLOCKS[0]], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    ca = tmp_path / "ca_certificate.pem"
    for file in ("ca", "server_rabbit1", "client_APM00000"):
        assert check_file(tmp_path / f"{file}_certificate.pem", ca) == []
    (client,) = read_directory(tmp_path)
    assert client.subject_rabbitmq == "O=client,CN=APM00000"


def test_the_commands_of_loadgen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scenarios").symlink_to(README.parents[1] / "scenarios")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P12_PASSWORD", "open sesame")
    lines = [line for block in BLOCKS[1:] for line in block.replace("\\\n", "").splitlines() if line]
    assert len(lines) == 14
    for line in lines:
        program, group, *arguments = shlex.split(line.replace("--count 2000", "--count 20"))
        assert (program, group) == ("loadgen", "certs")
        if arguments[1].startswith("scenarios/"):  # fewer of them: the figure isn't what is tested
            arguments += ["--set", "identities.devices.issue.count=20", "--set", "groups.devices.clients=20"]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, (line, done.output)
    made = tmp_path / "certs" / "out"
    meter = describe(made / "client_meter2_certificate.pem")
    assert meter.sans["other_name"] == ("1.3.6.1.4.1.54392.5.436=meter2",)
    assert meter.distinguished_name == "C=DE,OU=Werk,O=acme,CN=meter2"
    assert (made / "client_APM00001.p12").exists()
    device = made / "device" / "client_dev7_certificate.pem"
    assert check_file(device, made / "ca_certificate.pem") == []


def test_the_own_certificates_are_read_as_it_says() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    for spec in yaml.safe_load(block)["identities"].values():
        IdentitySet.model_validate(spec)
