"""What gateways post to us: only what is signed is read, and nothing that is read breaks anything."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transports.gateway.events import (
    GOWS,
    KEY,
    KEYS,
    NOWEB,
    SETTINGS,
    WEBJS,
    WHO,
    call,
    event,
    message,
    signature,
)

from wafleet.domain.account import REASONS
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Deletion, Edit, Reaction, Sending, Text, Unsupported
from wafleet.transports.calls import Call, Forged, News, Sign, Unreadable
from wafleet.transports.gateway import hooks


def read(kind: str, payload: dict[str, Any], **more: Any) -> News:
    return hooks.read(call(event(kind, payload, **more)), SETTINGS)


def only(news: News) -> Any:
    (one,) = news.said
    return one.what


def test_the_example_of_the_documents_is_genuine() -> None:
    """Source: https://waha.devlike.pro/docs/how-to/events/#hmac-authentication"""
    body = b'{"event":"message","session":"default","engine":"WEBJS"}'
    said = (
        "208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09b6b90476301b98d8"
        "097c462b2b17a6ce93b6b47a136cf2e78a33a63f6752c2c1631777076153fa89"
    )
    hooks.check(Call("POST", "https://any.test", {"x-webhook-hmac": said}, body), KEYS)


@pytest.mark.parametrize(
    ("headers", "credentials"),
    [
        ({"x-webhook-hmac": ""}, KEYS),
        ({"x-webhook-hmac": "0" * 128}, KEYS),
        ({"x-webhook-hmac": "é"}, KEYS),
        ({"x-webhook-hmac-algorithm": "sha1"}, KEYS),
        ({}, json.dumps({"apiKey": "k"}).encode()),
        ({}, json.dumps({"apiKey": "k", "hmacKey": "another"}).encode()),
        ({}, b"nonsense"),
    ],
)
def test_what_is_not_signed_with_our_key_is_forged(headers: dict[str, str], credentials: bytes) -> None:
    with pytest.raises(Forged) as refused:
        hooks.check(call(event("message", WEBJS), **headers), credentials)
    assert KEY not in str(refused.value)


def test_a_body_that_was_changed_is_forged() -> None:
    genuine = call(event("message", WEBJS))
    with pytest.raises(Forged):
        hooks.check(Call("POST", genuine.url, genuine.headers, genuine.body + b" "), KEYS)


def test_the_signature_is_over_the_bytes_as_they_came() -> None:
    body = '{"event": "message",  "payload": {"body": "مرحبا"}}'.encode()
    hooks.check(call(body, **{"x-webhook-hmac": signature(body).upper()}), KEYS)


@pytest.mark.parametrize("payload", [WEBJS, NOWEB, GOWS])
def test_the_same_message_reads_the_same_whichever_engine_told_it(payload: dict[str, Any]) -> None:
    got = only(read("message", payload))
    assert isinstance(got, Inbound)
    assert (got.provider_id, got.identity, got.name) == ("3A11", "+971550000001", "Layla")
    assert got.content == Text("hi")
    assert got.at == datetime(2025, 3, 6, 8, 28, 20, tzinfo=UTC)


def test_who_hides_the_phone_keeps_the_id_that_whatsapp_gave() -> None:
    got = only(read("message", GOWS | {"_data": {}}))
    assert got.identity == "lid:123456789"


@pytest.mark.parametrize(
    "payload",
    [
        WEBJS | {"fromMe": True},
        WEBJS | {"from": "120363000000000000@g.us"},
        WEBJS | {"from": "status@broadcast"},
        WEBJS | {"from": "120363@newsletter"},
        WEBJS | {"id": None},
        {},
    ],
)
def test_what_is_no_customers_message_is_counted_and_left(payload: dict[str, Any]) -> None:
    news = read("message", payload)
    assert not news.said
    assert news.left == {"message": 1}


def test_events_that_nobody_needs_are_counted_and_left() -> None:
    assert read("presence.update", {"id": WHO}).left == {"presence.update": 1}


@pytest.mark.parametrize("about", ["true_971550000001@c.us_3EB0AA", "3EB0AA", {"id": "3EB0AA", "participant": WHO}])
def test_an_answer_names_what_it_answers(about: object) -> None:
    assert only(read("message", message(body="yes", replyTo=about))).about == "3EB0AA"


def test_reactions_edits_and_deletions_are_about_earlier_messages() -> None:
    put = {"text": "🙏", "messageId": f"true_{WHO}_3EB0AA"}
    reaction = only(read("message.reaction", message(reaction=put)))
    assert (reaction.content, reaction.about) == (Reaction("", "🙏"), "3EB0AA")
    edit = only(read("message.edited", message(editedMessageId="3EB0BB", body="new")))
    assert (edit.content, edit.about, edit.provider_id) == (Edit("", "new"), "3EB0BB", "3A11")
    deletion = only(read("message.revoked", {"after": message(), "revokedMessageId": "3EB0CC", "before": None}))
    assert (deletion.content, deletion.about) == (Deletion(""), "3EB0CC")


def test_an_edit_that_has_the_id_of_what_it_changes_gets_one_of_its_own_each_time() -> None:
    first, again = (only(read("message.edited", message(editedMessageId="3A11", body="new"))) for _ in range(2))
    later = only(read("message.edited", message(editedMessageId="3A11", body="newer", timestamp=1741249800)))
    assert first.provider_id == again.provider_id != later.provider_id
    assert "3A11" not in {first.provider_id, later.provider_id}


def test_what_cannot_be_decrypted_is_visible_and_does_not_take_the_place_of_what_may_still_come() -> None:
    waiting = only(read("message.waiting", message()))
    assert isinstance(waiting.content, Unsupported)
    assert waiting.provider_id == "3A11?"


@pytest.mark.parametrize(
    ("ack", "state"),
    [(-1, Sending.FAILED), (1, Sending.SENT), (2, Sending.DELIVERED), (3, Sending.READ), (4, Sending.READ)],
)
def test_acks_are_receipts(ack: int, state: Sending) -> None:
    got = only(read("message.ack", {"id": f"true_{WHO}_3EB0AA", "from": WHO, "fromMe": True, "ack": ack}))
    assert isinstance(got, Receipt)
    assert (got.provider_id, got.state) == ("3EB0AA", state)
    assert bool(got.reason) == (state is Sending.FAILED)


@pytest.mark.parametrize("ack", [0, None, "READ", 99])
def test_acks_that_say_nothing_are_left(ack: object) -> None:
    assert not read("message.ack", {"id": f"true_{WHO}_3EB0AA", "fromMe": True, "ack": ack}).said


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("WORKING", ""),
        ("STARTING", ""),
        ("STOPPED", "network"),
        ("SCAN_QR_CODE", "logged_out"),
        ("FAILED", "stream_error"),
        ("PASSKEY_REQUIRED", "passkey"),
        ("PASSKEY_CONFIRMATION_REQUIRED", "passkey"),
        ("SOMETHING_NEW", "network"),
    ],
)
def test_a_sessions_status_is_a_sign_with_a_reason(status: str, reason: str) -> None:
    sign = only(read("session.status", {"status": status, "statuses": []}))
    assert isinstance(sign, Sign)
    assert (sign.kind, sign.value, sign.reason) == ("status", status, reason)
    assert reason in REASONS


def test_events_of_another_session_of_the_gateway_name_it() -> None:
    assert [one.number for one in read("message", WEBJS).said] == [""]
    assert [one.number for one in read("message", WEBJS, session="second").said] == ["second"]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"{}", b'{"event": 1}', b"[" * 100_000])
def test_what_is_no_event_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        hooks.read(call(body), SETTINGS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([WHO, "3A11"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [*message(), "_data", "media", "location", "vCards", "reaction", "after", "status", "selectedRowId"]
)


@given(st.sampled_from([*hooks.EVENTS, "else"]), st.dictionaries(FIELDS, JSON))
def test_whatever_a_gateway_says_is_read_left_or_kept_whole(kind: str, payload: dict[str, Any]) -> None:
    news = read(kind, message() | payload)
    assert bool(news.said) != bool(news.left)
