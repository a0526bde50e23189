from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from loadgen.backend.framing import frame, read_message
from loadgen.backend.messages import Begin, Failed, Final, Finish, StartStage

if TYPE_CHECKING:
    from loadgen.backend.messages import Message

MESSAGES = st.one_of(
    st.builds(Begin, st.integers(0, 2**63)),
    st.just(Finish()),
    st.builds(StartStage, st.text(), st.sampled_from(["connect", "hold"]), st.integers(0, 2**63)),
    st.builds(Failed, st.integers(0, 99), st.text(max_size=5000)),
    st.builds(
        Final,
        st.integers(0, 9),
        st.dictionaries(st.integers(0, 99), st.lists(st.integers(), max_size=5), max_size=5),
        st.just({}),
        st.just(0),
        st.floats(0, 9),
        st.just(0),
        st.just(("TLSv1.3", "x")),
    ),
)


def read_all(data: bytes, cut: int) -> list[Message]:
    async def read() -> list[Message]:
        reader = asyncio.StreamReader()
        found: list[Message] = []
        for start in range(0, len(data), cut):
            reader.feed_data(data[start : start + cut])
        reader.feed_eof()
        while (message := await read_message(reader)) is not None:
            found.append(message)
        return found

    return asyncio.run(read())


@given(st.lists(MESSAGES, max_size=4), st.integers(1, 300))
def test_messages_come_out_as_they_went_in(messages: list[Message], cut: int) -> None:
    assert read_all(b"".join(map(frame, messages)), cut) == messages


@given(MESSAGES, st.data())
def test_a_stream_that_breaks_off_is_an_end(message: Message, data: st.DataObject) -> None:
    whole = frame(message)
    kept = data.draw(st.integers(0, len(whole) - 1))
    assert read_all(whole + whole[:kept], 64) == [message]
