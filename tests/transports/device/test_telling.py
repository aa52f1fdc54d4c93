from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.clientlib.protos import told
from wafleet.domain.account import REASONS
from wafleet.transports.base import (
    MaybeSent,
    NotSent,
    Refused,
    RefusedContent,
    RefusedRecipient,
    SendError,
    Throttled,
)
from wafleet.transports.device import telling
from wafleet.transports.device.ears import Why
from wafleet.transports.device.telling import Noticed, ending, returned, send_error, worker_ended

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def noticed(xml: str = "") -> Noticed:
    found = Noticed()
    if xml:
        found.take(xml)
    return found


def failure(number: str, more: str = "") -> Noticed:
    return noticed(f'<failure location="frc" reason="{number}"{more}/>')


@pytest.mark.parametrize("code", ["101", "102", "103", "104", "105", "106", "199"])
def test_every_ban_says_why_and_until_when(code: str) -> None:
    event = told.TemporaryBan(Expire=3600).SerializePartialToString()  # the library has no name for some of them
    found = ending(telling.BANNED, event, failure("402", f' code="{code}" expire="3600"'), now=NOW)
    assert found is not None
    assert (found.reason, found.until) == ("banned", NOW + HOUR)
    assert code in found.detail


def test_a_ban_whose_stanza_was_not_seen_is_read_from_the_event() -> None:
    event = told.TemporaryBan(Code=told.TemporaryBan.BLOCKED_BY_USERS, Expire=60)
    found = ending(telling.BANNED, event.SerializeToString(), noticed(), now=NOW)
    assert found is not None
    assert "blocked it" in found.detail
    assert found.until == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("number", "reason", "lost"),
    [
        ("400", "refused_client", False),
        ("401", "logged_out", True),
        ("403", "locked", True),
        ("405", "outdated", False),
        ("406", "banned_for_good", True),
        ("409", "refused_client", False),
        ("500", "network", False),
        ("503", "network", False),
        ("418", "refused_client", False),
    ],
)
def test_every_failure_has_its_reason(number: str, reason: str, lost: bool) -> None:
    event, code = (
        (told.LoggedOut(OnConnect=True), telling.LOGGED_OUT) if lost else (told.ConnectFailure(), telling.FAILED)
    )
    found = ending(code, event.SerializePartialToString(), failure(number), now=NOW)
    assert found is not None
    assert (found.reason, found.lost) == (reason, lost)
    assert number in found.detail


def test_a_device_removed_by_its_phone_is_logged_out() -> None:
    found = ending(telling.LOGGED_OUT, told.LoggedOut(OnConnect=False).SerializePartialToString(), noticed(), now=NOW)
    assert found is not None
    assert (found.reason, found.lost) == ("logged_out", True)


def test_an_unknown_stream_error_is_told_as_it_came() -> None:
    xml = '<stream:error code="599"><strange/></stream:error>'
    event = told.StreamError(Code="599").SerializePartialToString()
    found = ending(telling.STREAM_ERROR, event, noticed(xml), now=NOW)
    assert found is not None
    assert found.reason == "stream_error"
    assert "599" in found.detail
    assert "strange" in found.detail


@given(st.integers(0, 60), st.binary(max_size=40), st.text(max_size=60))
def test_no_event_is_too_strange_to_be_read_and_every_reason_is_explained(code: int, data: bytes, xml: str) -> None:
    found = ending(code, data, noticed(xml), now=NOW)
    assert found is None or found.reason in REASONS


def test_what_ends_a_worker_has_a_reason_of_its_own() -> None:
    for why in Why:
        assert worker_ended(why, "x", now=NOW).reason in REASONS
    assert worker_ended(Why.LIFETIME, "", now=NOW).until == NOW
    assert worker_ended(Why.CRASHED, "", now=NOW).until is None
    assert returned("failed to dial").reason == "network"


def test_passkeys_are_noticed() -> None:
    found = noticed('<notification from="s.whatsapp.net" type="passkey"><passkey_prologue_request/></notification>')
    assert found.passkey


ERRORS: list[tuple[str, str, type[SendError], str]] = [
    ("server returned error 463", "3EB0", RefusedRecipient, "reach_out_lock"),
    ("server returned error 479", "3EB0", RefusedContent, "content"),
    ("server returned error 400", "3EB0", RefusedContent, "content"),
    ("server returned error 429", "3EB0", Throttled, "throttled"),
    ("server returned error 503", "3EB0", MaybeSent, "no_answer"),
    ("server returned error 999", "3EB0", Refused, "refused"),
    ("failed to get device list: websocket not connected", "", NotSent, "network"),
    ("no LID found for 99900@s.whatsapp.net from server", "", RefusedRecipient, "not_on_whatsapp"),
    ("something nobody has seen", "", NotSent, "network"),
    ("something nobody has seen", "3EB0", MaybeSent, "network"),
    ("timed out waiting for message send response", "3EB0", MaybeSent, "no_answer"),
]


@pytest.mark.parametrize(("words", "named", "kind", "reason"), ERRORS)
def test_every_error_of_a_send_is_named_by_its_remedy(
    words: str, named: str, kind: type[SendError], reason: str
) -> None:
    error = send_error(words, named=named)
    assert type(error) is kind
    assert error.reason == reason
    assert error.detail == words


@given(st.text(max_size=60))
def test_what_may_have_left_is_never_called_unsent_without_the_servers_word(words: str) -> None:
    error = send_error(words, named="3EB0")
    assert isinstance(error, MaybeSent) or "server returned error" in words
