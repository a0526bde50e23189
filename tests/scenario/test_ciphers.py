from __future__ import annotations

import pytest
from pydantic import ValidationError

from loadgen.scenario.target import TlsSettings

GOOD = "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_suites_of_tls_1_2_in_order() -> None:
    suites = (GOOD, "ECDHE-RSA-AES256-GCM-SHA384")
    settings = TlsSettings.model_validate({"versions": ["1.2"], "ciphers": list(suites)})
    assert settings.ciphers == suites
    assert TlsSettings.model_validate({"versions": ["1.2"], "ciphers": GOOD}).ciphers == (GOOD,)


@pytest.mark.parametrize(
    ("cipher", "what"),
    [
        ("ECDHE-NONSENSE", "no cipher suite"),
        ("HIGH", "stands for several"),
        ("HIGH:!aNULL", "is no name"),
        (17, "is no name"),
        ("TLS_AES_128_GCM_SHA256", "Python before 3.15 cannot choose"),
    ],
)
def test_what_is_no_suite_of_tls_1_2(cipher: object, what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        TlsSettings.model_validate({"versions": ["1.2"], "ciphers": [cipher]})


def test_ciphers_that_would_not_be_used_are_refused() -> None:
    with pytest.raises(ValidationError, match="would not be used"):
        TlsSettings.model_validate({"ciphers": [GOOD]})
