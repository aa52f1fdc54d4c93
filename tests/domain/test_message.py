from functools import reduce
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from wafleet.domain.message import MOVES, ContactCard, Content, Location, Sending, Text, after_receipt, words

RECEIPTS = st.sampled_from([Sending.SENT, Sending.DELIVERED, Sending.READ])  # FAILED is final: it does not commute
START = st.sampled_from([Sending.SENDING, Sending.SENT, Sending.UNKNOWN])


@given(START, st.lists(RECEIPTS, max_size=6), st.randoms())
def test_receipts_may_come_in_any_order_and_any_number(start: Sending, receipts: list[Sending], random: Random) -> None:
    shuffled = random.sample(receipts + receipts, k=2 * len(receipts))
    assert reduce(after_receipt, shuffled, start) == reduce(after_receipt, receipts, start)


def test_every_state_has_its_moves_and_the_ends_have_none() -> None:
    assert set(MOVES) == set(Sending)
    assert {state for state, after in MOVES.items() if not after} == {Sending.READ, Sending.FAILED, Sending.CANCELLED}


@given(
    st.one_of(
        st.builds(Text, st.text()),
        st.builds(Location, st.floats(-90, 90), st.floats(-180, 180), st.text(), st.text()),
        st.builds(ContactCard, st.text(), st.text()),
    )
)
def test_content_survives_the_way_through_json(content: Content) -> None:
    try:
        written = msgspec.json.encode(content)
    except UnicodeEncodeError:  # half of a surrogate pair: cleaned before it is stored
        return
    assert msgspec.json.decode(written, type=Content) == content
    assert isinstance(words(content), str)
