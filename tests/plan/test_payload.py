from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.payload import HEADER, HEADER_SIZE, MAGIC, PayloadFactory, body, decode

U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)


@given(run=U64, publisher=U32, sequence=U32, intended=U64, size=st.integers(HEADER_SIZE, 400))
def test_what_is_made_is_read_back(run: int, publisher: int, sequence: int, intended: int, size: int) -> None:
    payload = PayloadFactory(run, size).make(publisher, sequence, intended)
    assert len(payload) == size
    assert decode(payload) == (run, publisher, sequence, intended)


@given(st.binary(max_size=80))
def test_what_others_sent_is_not_taken_for_ours(payload: bytes) -> None:
    if not payload.startswith(MAGIC):
        assert decode(payload) is None


def test_a_header_cut_short_is_not_ours() -> None:
    assert decode(PayloadFactory(1, HEADER_SIZE).make(1, 2, 3)[:-1]) is None


def test_the_header_has_32_bytes_and_nothing_smaller_is_made() -> None:
    assert HEADER.size == HEADER_SIZE == 32
    with pytest.raises(ValueError, match="32 bytes"):
        PayloadFactory(1, 31)


def test_the_filler_is_printable_and_does_not_compress_to_nothing() -> None:
    filler = body(4096)
    assert filler.isascii()
    assert filler.decode().isprintable()
    assert len(zlib.compress(filler)) > 3000
