"""What travels between a worker and our side, and the little a worker reads of the library's words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafleet.clientlib import Unusable, find
from wafleet.transports.device.worker.line import Frame, Garbage, Kind, Splitter, packed
from wafleet.transports.device.worker.reading import fields, message_id, stanza

FRAMES = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.sampled_from(Kind), st.lists(st.binary(max_size=50), max_size=5)),
    max_size=8,
)


@given(FRAMES, st.integers(1, 60))
def test_frames_arrive_as_they_were_written_however_they_are_cut(frames: list[Frame], size: int) -> None:
    data = b"".join(packed(client, kind, *parts) for client, kind, parts in frames)
    splitter = Splitter()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert [frame for piece in pieces for frame in splitter.feed(piece)] == frames


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_waited_for_and_never_anything_else(data: bytes) -> None:
    try:
        for _, kind, _ in Splitter().feed(data):
            assert kind in Kind
    except Garbage:
        assert data


def test_numbers_travel_as_digits_and_words_as_letters() -> None:
    ((client, kind, parts),) = Splitter().feed(packed(7, Kind.CALL, 12, "größe", b"\0"))
    assert (client, kind, parts) == (7, Kind.CALL, [b"12", "größe".encode(), b"\0"])


@pytest.mark.parametrize(
    ("xml", "tag", "id"),
    [
        (
            '<message from="1@lid" id="3EB0" notify="A > B" t="1"><enc v="2"><!-- 9 bytes --></enc></message>',
            "message",
            "3EB0",
        ),
        ('<receipt id="X" to="1@lid"/>', "receipt", "X"),
        ('<stream:error code="515"/>', "stream:error", None),
        ('<message id="X" notify="id="/>', "message", "X"),
        ("not a stanza", "", None),
        ("", "", None),
    ],
)
def test_the_head_of_a_stanza_is_read(xml: str, tag: str, id: str | None) -> None:
    head = stanza(xml)
    assert (head.tag, head.attributes.get("id")) == (tag, id)


@given(st.text(max_size=300))
def test_any_text_can_be_asked_for_its_head(xml: str) -> None:
    assert stanza("<message " + xml).tag in {"", "message"}


@settings(deadline=None)
@given(id=st.text(max_size=200), text=st.text(), at=st.integers(0, 2**40))
def test_the_id_of_an_event_is_read_as_the_library_wrote_it(id: str, text: str, at: int) -> None:
    try:
        find()
    except Unusable as e:
        pytest.skip(str(e))
    from wafleet.clientlib.protos import told

    event = told.Message()
    event.Info.ID, event.Info.Timestamp, event.Info.Pushname = id, at, text
    event.Info.MessageSource.Chat.User = "491"
    event.Message.conversation = text
    assert message_id(event.SerializePartialToString()) == id


@given(st.binary(max_size=100))
def test_what_is_no_event_has_no_id(data: bytes) -> None:
    assert isinstance(message_id(data), str)


@given(st.binary(max_size=100))
def test_what_is_no_protobuf_is_an_error_and_never_an_endless_loop(data: bytes) -> None:
    try:
        assert all(isinstance(value, bytes) for value in fields(data).values())
    except (ValueError, IndexError):
        assert data
