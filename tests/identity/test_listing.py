from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.listing import read_csv

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def inventory(authority: Authority) -> Path:
    authority.issue_clients([ClientRequest(f"dev{index}") for index in range(3)])
    path = authority.directory / "fleet.csv"
    path.write_text(
        "client_id,certificate,key,site\n"
        "c-0,client_dev0_certificate.pem,client_dev0_key.pem,north\n"
        "\n"
        'c-1,client_dev1_certificate.pem,client_dev1_key.pem,"south, by the sea"\n'
        "c-2, client_dev2_certificate.pem ,client_dev2_key.pem,north\n",
        encoding="utf-8",
    )
    return path


def test_columns_are_template_fields(inventory: Path) -> None:
    first, second, third = read_csv(inventory)
    assert first.template_fields()["csv.client_id"] == "c-0"
    assert second.template_fields()["csv.site"] == "south, by the sea"
    assert "csv.certificate" not in third.template_fields()
    assert (third.cn, third.key.name) == ("dev2", "client_dev2_key.pem")


def test_rows_by_their_values(inventory: Path) -> None:
    assert [one.cn for one in read_csv(inventory, where={"site": "north"})] == ["dev0", "dev2"]
    with pytest.raises(ConfigError, match="no row with a certificate"):
        read_csv(inventory, where={"site": "west"})


def test_another_delimiter_and_a_byte_order_mark(inventory: Path) -> None:
    text = "certificate;key;site\nclient_dev0_certificate.pem;client_dev0_key.pem;a,b\n"
    inventory.write_text(text, encoding="utf-8-sig")
    (one,) = read_csv(inventory, delimiter=";")
    assert one.columns == {"site": "a,b"}


def test_a_key_in_the_certificates_file(inventory: Path) -> None:
    folder = inventory.parent
    both = b"".join((folder / f"client_dev0_{part}.pem").read_bytes() for part in ("certificate", "key"))
    (folder / "both.pem").write_bytes(both)
    inventory.write_text("certificate\nboth.pem\n")
    (one,) = read_csv(inventory)
    assert one.certificate == one.key == folder / "both.pem"


def test_everything_that_is_wrong_is_told_with_its_line(inventory: Path) -> None:
    inventory.write_text(
        "certificate,key\n"
        "client_dev0_certificate.pem,gone.pem\n"
        "client_dev1_certificate.pem\n"
        "fleet.csv,client_dev2_key.pem\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_csv(inventory)
    gone, short, rubbish = map(str, caught.value.problems)
    assert "fleet.csv:2: " in gone
    assert "gone.pem: No such file" in gone
    assert "fleet.csv:3: 1 values, and the header has 2 columns" in short
    assert "fleet.csv:4: " in rubbish
    assert "no certificate in PEM form" in rubbish


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no column `certificate`"),
        ("a,b\n", "no column `certificate`"),
        ("certificate,site name\n", "cannot stand in a template"),
        ("certificate,a,a\n", "two columns 'a'"),
        ("certificate\n", "no row with a certificate"),
        ('certificate\n"x\n', "no CSV file"),
    ],
)
def test_files_that_are_none(inventory: Path, content: str, complaint: str) -> None:
    inventory.write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        read_csv(inventory)


def test_other_files_that_are_none(inventory: Path) -> None:
    inventory.write_bytes(b"certificate\n\xff\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_csv(inventory)
    with pytest.raises(ConfigError, match="No such file"):
        read_csv(inventory.with_name("none.csv"))
    inventory.write_text("certificate\n")
    with pytest.raises(ConfigError, match="no column 'site', which `where` names"):
        read_csv(inventory, where={"site": "x"})
