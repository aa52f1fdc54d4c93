"""Binary stanzas: whatever is written is read again, and rubbish is one clear error."""

import zlib
from collections.abc import Mapping
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafleet.emulator.wire import LIDS, PEOPLE, SERVER, Codec, Jid, Malformed, Node, Tokens

SINGLE = ["", *(f"word{number}" for number in range(1, 230)), "message", "iq", "id", "to", "type", PEOPLE]
DOUBLE = [[f"book{book}word{number}" for number in range(256)] for book in range(4)]
CODEC = Codec(Tokens(SINGLE, DOUBLE))

DIGITS = st.text("0123456789", min_size=1, max_size=20)
JIDS = st.one_of(
    st.builds(Jid, DIGITS, st.sampled_from([PEOPLE, LIDS, "hosted", "hosted.lid"]), st.integers(0, 255)),
    st.builds(Jid, DIGITS, st.sampled_from(["g.us", "broadcast", "newsletter"])),
    st.builds(Jid, DIGITS, st.just("msgr"), st.integers(0, 65535)),
    st.builds(Jid, DIGITS, st.just("interop"), st.integers(0, 65535), st.integers(0, 65535)),
    st.just(SERVER),
)
WORDS = st.one_of(
    st.integers(1, len(SINGLE) - 1).map(SINGLE.__getitem__),
    st.integers(0, 1023).map(lambda number: DOUBLE[number // 256][number % 256]),
    st.text("0123456789.-", max_size=300),
    st.text("0123456789ABCDEF", max_size=300),
    st.text(max_size=40),
)
ATTRS: st.SearchStrategy[Mapping[str, str | Jid]] = st.dictionaries(WORDS, st.one_of(WORDS, JIDS), max_size=5)


def nodes(content: st.SearchStrategy[list[Node] | bytes | None]) -> st.SearchStrategy[Node]:
    return st.builds(Node, WORDS, ATTRS, content)


LEAVES = nodes(st.one_of(st.none(), st.binary(max_size=300)))
NODES = st.one_of(LEAVES, nodes(st.lists(st.one_of(LEAVES, nodes(st.lists(LEAVES, max_size=3))), max_size=4)))


@given(NODES)
def test_what_is_written_is_read_again(node: Node) -> None:
    assert CODEC.decode(CODEC.encode(node)) == node


@settings(max_examples=30)  # what is written is read again above: only the packing is new
@given(NODES)
def test_a_compressed_stanza_is_the_same_stanza(node: Node) -> None:
    assert CODEC.decode(b"\x02" + zlib.compress(CODEC.encode(node)[1:])) == node


@pytest.mark.parametrize("size", [255, 256, (1 << 20) - 1, 1 << 20])
def test_contents_of_every_length_fit(size: int) -> None:
    node = Node("message", {}, bytes(size))
    assert CODEC.decode(CODEC.encode(node)) == node


def test_a_list_of_more_than_255_stanzas_fits() -> None:
    node = Node("iq", {}, [Node("message", {"id": str(number)}) for number in range(300)])
    assert CODEC.decode(CODEC.encode(node)) == node


@given(st.binary(max_size=400))
def test_rubbish_is_one_clear_error(data: bytes) -> None:
    with suppress(Malformed):
        CODEC.encode(CODEC.decode(data))


@settings(max_examples=30)  # stanzas take long to make up: each is broken in many places instead
@given(NODES, st.randoms(use_true_random=False))
def test_a_stanza_that_breaks_off_is_an_error(node: Node, random: Random) -> None:
    whole = CODEC.encode(node)
    for at in {0, 1, len(whole) - 1, *(random.randrange(len(whole)) for _ in range(20))}:
        with pytest.raises(Malformed):
            CODEC.decode(whole[:at])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"\x00\x00", "without a tag"),
        (b"\x00\xf8\x01\xe6\xff", "after the end"),
        (b"\x02not zlib", "compression is broken"),
        (b"\x02" + zlib.compress(bytes(9 * 1024 * 1024)), "too large"),
        (b"\x00" + b"\xf8\x02\xe6\xf8\x01" * 80, "without end"),
        (b"\x00\xf8\x01\xf7\x05\x01\xff\x01\x12", "unknown domain"),
        (b"\x00\xf8\x01\xf1", "unknown form"),
    ],
)
def test_each_kind_of_rubbish_has_its_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(Malformed, match=sentence):
        CODEC.decode(data)


@given(JIDS.filter(lambda jid: not jid.integrator))
def test_names_of_accounts_and_devices_can_be_written_and_read_as_text(jid: Jid) -> None:
    assert Jid.parse(str(jid)) == jid


def test_parts_and_attributes_are_found_or_named_as_missing() -> None:
    node = Node("iq", {"to": SERVER, "id": "1"}, [Node("message", {}, [Node("type", {}, b"x")])])
    assert node.need("message", "type").data == b"x"
    assert node.child("message", "nothing", "more") is None
    assert node.jid("to") == SERVER
    with pytest.raises(Malformed, match="lacks <message/nothing>"):
        node.need("message", "nothing")
    with pytest.raises(Malformed, match="lacks the attribute from"):
        node.jid("from")
