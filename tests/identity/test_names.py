from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from loadgen.identity import names


def test_plain_names_are_those_of_tls_gen() -> None:
    assert names.client_certificate(Path(), "APM00001").name == "client_APM00001_certificate.pem"
    assert names.client_key(Path(), "host.example").name == "client_host.example_key.pem"
    assert names.file_stem("host-1.example_x~y") == "host-1.example_x~y"


@given(st.text(min_size=1, max_size=64).filter(lambda text: len(text.encode("utf-8", "replace")) <= 64))
def test_any_common_name_is_one_safe_reversible_part_of_a_path(cn: str) -> None:
    if any(0xD800 <= ord(character) <= 0xDFFF for character in cn):
        return  # no UTF-8: refused before a file name is made
    stem = names.file_stem(cn)
    file = names.client_certificate(Path("/d"), stem)
    assert file.parent == Path("/d")
    assert unquote(stem, errors="strict") == cn
    assert len(file.name.encode()) <= 255
    assert names.client_stem_of_certificate(file.name) == stem
    assert names.client_stem_of_key(names.client_key(Path("/d"), stem).name) == stem


def test_aliases_and_other_files_have_no_stem() -> None:
    for other in ("client_certificate.pem", "client_key.pem", "server_x_certificate.pem", "client_x.p12"):
        assert names.client_stem_of_certificate(other) is None
        assert names.client_stem_of_key(other) is None


def test_the_key_beside_a_certificate() -> None:
    assert names.key_beside(Path("/d/ca_certificate.pem")) == Path("/d/ca_key.pem")
    assert names.key_beside(Path("/d/x.crt")) == Path("/d/x.crt")
