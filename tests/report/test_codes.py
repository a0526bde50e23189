from __future__ import annotations

import pytest

from loadgen.report.codes import code_lines, explain


def test_an_unknown_user_is_told_to_provision() -> None:
    line = explain("connack", "0x86", 3)
    assert line.words == "bad user name or password"
    assert "loadgen provision" in line.hint
    assert line.bad


@pytest.mark.parametrize(
    ("code", "words", "hint"),
    [
        ("connack:refused:0x86", "CONNECT: refused: bad user name or password", "loadgen provision"),
        ("connack:timeout", "CONNECT: no answer in time", "63 s"),
        ("tls:tls:tlsv1_alert_unknown_ca", "TLS handshake: tlsv1 alert unknown ca", "cacertfile"),
        ("tcp:refused", "TCP connection: connection refused", "is the broker up"),
        ("tcp:no-descriptors", "TCP connection: out of file descriptors", "ulimit"),
        ("tcp:os:5", "TCP connection: os:5", ""),
        ("anything else", "anything else", ""),
    ],
)
def test_a_cause_is_put_into_words_with_a_hint(code: str, words: str, hint: str) -> None:
    line = explain("connect_errors", code, 1)
    assert line.words == words
    assert hint in line.hint
    assert line.bad


def test_the_same_number_means_what_its_packet_says() -> None:
    assert explain("suback", "0x00", 1).words == "granted QoS 0"
    assert explain("connack", "0x00", 1).words == "success"
    assert explain("disconnect", "0", 1).words == "normal disconnection"


def test_no_matching_subscriber_is_bad_although_below_0x80() -> None:
    assert explain("puback", "0x10", 1).bad
    assert not explain("suback", "0x01", 1).bad


def test_a_drained_node_is_recognised_in_a_disconnect() -> None:
    assert "drained" in explain("disconnect", "disconnect:0x8B", 1).hint


def test_lines_stand_in_reading_order_and_the_frequent_first() -> None:
    lines = code_lines(
        {"puback": {"0x83": 1, "0x97": 5, "0x87": 0}, "connack": {"0x00": 2}, "later": {"0x80": 1}}
    )
    assert [(line.section, line.code) for line in lines] == [
        ("CONNACK", "0x00"), ("PUBACK", "0x97"), ("PUBACK", "0x83"), ("later", "0x80"),
    ]  # fmt: skip
