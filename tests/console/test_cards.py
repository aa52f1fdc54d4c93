"""What changed since a moment ago, as a law."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from wafleet.console.cards import Card, difference, embedded

CARDS = st.builds(
    Card,
    id=st.sampled_from(["a", "b", "c", "d"]),
    name=st.sampled_from(["x", "y"]),
    phone=st.just("+447700900123"),
    shown=st.just("+44 7700 900123"),
    tenant=st.just("t"),
    transport=st.just("simulator"),
    role=st.sampled_from(["", "sales"]),
    state=st.sampled_from(["online", "offline"]),
    reason=st.just(""),
    sentence=st.just(""),
    next_step=st.just(""),
    since=st.integers(0, 2),
    active=st.none() | st.integers(0, 2),
    waiting=st.integers(0, 2),
    sent=st.integers(0, 2),
    received=st.integers(0, 2),
    spark=st.lists(st.integers(0, 2), max_size=2),
)
VIEWS = st.lists(CARDS, unique_by=lambda card: card.id)


@given(VIEWS, VIEWS)
def test_what_changed_leads_from_one_view_to_the_next(before: list[Card], after: list[Card]) -> None:
    known = {card.id: card for card in before}
    patch = difference(known, after, now=1)
    shown: dict[str, dict[str, Any]] = {id: msgspec.structs.asdict(card) for id, card in known.items()}
    for id in patch.gone:
        del shown[id]
    for part in patch.changed:
        shown[part["id"]] = shown.get(part["id"], {}) | dict(part)
    assert shown == {card.id: msgspec.structs.asdict(card) for card in after}


@given(VIEWS)
def test_an_unchanged_fleet_is_nothing_to_tell(view: list[Card]) -> None:
    assert not difference({card.id: card for card in view}, view, now=1)


@given(st.text())
def test_embedded_data_means_the_same_and_holds_no_markup(text: str) -> None:
    written = embedded({"name": text})
    assert not set("<>&") & set(written)
    assert msgspec.json.decode(written) == {"name": text}
