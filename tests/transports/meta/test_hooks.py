"""Requests of Meta: who may have sent them, and what a post with many changes says."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.transports.meta.posts import (
    BUSINESS,
    CREDENTIALS,
    CUSTOMER,
    KEYS,
    NUMBER,
    SECRET,
    SETTINGS,
    TOKEN,
    URL,
    VERIFY,
    Api,
    challenge,
    change,
    contact,
    escaped,
    inbound,
    messages,
    notice,
    post,
    receipts,
    said,
    signed,
    signs,
    status,
    statuses,
    value,
)

from wafleet.domain.account import REASONS
from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Sending, Text
from wafleet.transports.calls import Call, Forged, Sign, Unreadable
from wafleet.transports.meta import hooks
from wafleet.transports.meta.settings import keys_of

HELLO = messages(said("text", {"body": "price? 10 / 20 — سعر 👋"}))


# --- who sent it


def test_a_signature_over_the_bytes_as_they_came_is_accepted() -> None:
    body = escaped(HELLO)
    assert b"\\/" in body
    assert b"\\u0633" in body
    hooks.check(Call("POST", URL, signed(body), body), KEYS)


def test_the_same_post_written_anew_has_another_signature() -> None:
    body = escaped(HELLO)
    anew = json.dumps(json.loads(body), ensure_ascii=False).encode()
    with pytest.raises(Forged):
        hooks.check(Call("POST", URL, signed(body), anew), KEYS)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": "sha256="},
        {"x-hub-signature-256": "sha256=" + "0" * 64},
        {"x-hub-signature-256": "sha1=" + signed(escaped(HELLO))["x-hub-signature-256"].removeprefix("sha256=")},
        {"x-hub-signature-256": "sha256=é" + "0" * 63},
        signed(escaped(HELLO), secret="another app's"),
    ],
    ids=["none", "empty", "no digits", "wrong", "other name", "no ascii", "other secret"],
)
def test_any_other_signature_is_forged(headers: dict[str, str]) -> None:
    with pytest.raises(Forged):
        hooks.check(Call("POST", URL, headers, escaped(HELLO)), KEYS)


def test_without_an_app_secret_nothing_is_believed() -> None:
    keys = keys_of(json.dumps({"accessToken": TOKEN}).encode())
    with pytest.raises(Forged, match="app secret"):
        hooks.check(post(HELLO, secret=""), keys)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_whatever_is_changed_on_the_way_is_noticed(sent: bytes, came: bytes) -> None:
    call = Call("POST", URL, signed(sent), came)
    if sent == came:
        hooks.check(call, KEYS)
    else:
        with pytest.raises(Forged):
            hooks.check(call, KEYS)


def test_the_challenge_is_answered_to_who_knows_the_verify_token() -> None:
    asked = challenge(mode="subscribe", verify_token=VERIFY, challenge="1158201444")
    hooks.check(asked, KEYS)
    assert hooks.read(asked).answer == b"1158201444"


@pytest.mark.parametrize(
    "asked",
    [
        {"mode": "subscribe", "verify_token": "guess"},
        {"mode": "unsubscribe", "verify_token": VERIFY},
        {"verify_token": VERIFY},
        {},
    ],
)
def test_any_other_challenge_is_forged(asked: dict[str, str]) -> None:
    with pytest.raises(Forged):
        hooks.check(challenge(challenge="1", **asked), KEYS)


def test_without_a_verify_token_no_challenge_is_answered() -> None:
    keys = keys_of(json.dumps({"appSecret": SECRET}).encode())
    with pytest.raises(Forged):
        hooks.check(challenge(mode="subscribe", verify_token="", challenge="1"), keys)


async def test_credentials_that_cannot_be_read_prove_nothing_and_are_not_repeated() -> None:
    async with Api().transport() as meta:
        with pytest.raises(Forged) as refused:
            meta.check(post(HELLO), f'{{"appSecret": {SECRET}'.encode(), SETTINGS)
        assert SECRET not in str(refused.value)
        meta.check(post(HELLO), CREDENTIALS, SETTINGS)


def test_secrets_are_not_in_what_shows_them() -> None:
    for secret in (TOKEN, SECRET, VERIFY):
        assert secret not in repr(KEYS)
        assert secret not in str(KEYS)


# --- statuses


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("sent", Sending.SENT),
        ("delivered", Sending.DELIVERED),
        ("read", Sending.READ),
        ("played", Sending.READ),
    ],
)
def test_a_status_is_a_receipt_that_names_the_message_twice(word: str, state: Sending) -> None:
    ours = MessageId(new_id())
    said = status(word, biz_opaque_callback_data=str(ours))
    got = receipts(hooks.read(post(statuses(said))))
    at = datetime(2025, 6, 15, 19, 46, 41, tzinfo=UTC)
    raw = {"pricing": said["pricing"]}
    assert got == [Receipt(state=state, at=at, provider_id="wamid.OURS", message=ours, raw=raw)]


def test_the_price_of_a_message_and_what_is_new_are_kept_as_they_came() -> None:
    price = {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}
    more = {"pricing": price, "conversation": {"id": "c1"}, "recipient_mood": "fine"}
    (got,) = receipts(hooks.read(post(statuses(status("sent", **more)))))
    assert got.raw == more


@pytest.mark.parametrize("data", [None, "", "order 17", 17])
def test_callback_data_of_another_program_is_not_ours(data: object) -> None:
    (got,) = receipts(hooks.read(post(statuses(status("sent", biz_opaque_callback_data=data)))))
    assert got.message is None
    assert got.provider_id == "wamid.OURS"


def failed(code: int, **more: Any) -> dict[str, Any]:
    error = {"code": code, "title": "Some title", "message": "Some message"} | more
    return status("failed", errors=[error])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (131047, "outside_window"),
        (131026, "recipient_unreachable"),
        (131049, "held_back"),
        (131053, "media_refused"),
        (132015, "template_paused"),
    ],
)
def test_a_failure_is_named_by_its_code_alone(code: int, reason: str) -> None:
    details = {"error_data": {"details": "said in full"}}
    (got,) = receipts(hooks.read(post(statuses(failed(code, **details)))))
    assert (got.state, got.reason) == (Sending.FAILED, reason)
    assert got.detail == f"meta {code} said in full"


def test_a_code_nobody_knows_is_kept_and_told() -> None:
    with capture_logs() as logs:
        (got,) = receipts(hooks.read(post(statuses(failed(139999)))))
    assert (got.reason, got.detail) == ("provider_code", "meta 139999 Some message")
    assert [one["event"] for one in logs] == ["message.unknown_error"]


def test_a_failure_of_the_number_itself_is_told_once_for_a_whole_post() -> None:
    news = hooks.read(post(statuses(failed(131042), failed(131042) | {"id": "wamid.TWO"})))
    assert [one.reason for one in receipts(news)] == ["billing", "billing"]
    assert [(one.kind, one.reason) for one in signs(news)] == [("status", "billing")]
    assert news.said[-1].number == NUMBER
    assert "billing" in REASONS


def test_a_failure_without_errors_is_a_failure() -> None:
    (got,) = receipts(hooks.read(post(statuses(status("failed")))))
    assert (got.state, got.reason) == (Sending.FAILED, "provider_code")


def test_a_failure_whose_error_has_no_code_is_a_failure() -> None:
    (got,) = receipts(hooks.read(post(statuses(status("failed", errors=[{"title": "Something went wrong"}])))))
    assert (got.state, got.reason, got.detail) == (Sending.FAILED, "provider_code", "meta Something went wrong")


def test_a_status_nobody_knows_is_counted() -> None:
    news = hooks.read(post(statuses(status("deleted"), status("read"))))
    assert len(news.said) == 1
    assert news.left == {"status deleted": 1}


# --- batches


def test_one_post_may_speak_of_many_numbers_and_keeps_its_order() -> None:
    first = value("111", contacts=[contact()], messages=[said("text", {"body": "one"})])
    second = value("222", statuses=[status("sent"), status("delivered")])
    third = value("111", contacts=[contact()], messages=[said("text", {"body": "two"}, id="wamid.TWO")])
    body = notice(change(first), change(second))
    body["entry"].append({"id": BUSINESS, "changes": [change(third)]})
    news = hooks.read(post(body))
    assert [one.number for one in news.said] == ["111", "222", "222", "111"]
    assert [one.content for one in inbound(news)] == [Text("one"), Text("two")]


def test_one_bad_message_does_not_lose_the_others() -> None:
    nobody = said("text", {"body": "from nobody"})
    del nobody["from"]
    body = messages(nobody, "nonsense", said("text", {"body": "good"}), contacts=[])
    news = hooks.read(post(body))
    assert [one.content for one in inbound(news)] == [Text("good")]
    assert news.left == {"unreadable message": 2}


def test_groups_echoes_and_opened_chats_are_counted_and_no_conversation() -> None:
    group = messages(said("text", {"body": "to all"}, group_id="Y2FwaV9ncm91cDo"))
    echo = change(value(message_echoes=[said("text", {"body": "from the app"})]), "smb_message_echoes")
    opened = messages(said("request_welcome"))
    news = hooks.read(post({"entry": [*group["entry"], *notice(echo)["entry"], *opened["entry"]]}))
    assert not news.said
    assert news.left == {"group message": 1, "smb_message_echoes": 1, "request_welcome": 1}


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"entry":1}', b'{"entry":[1]}', b"\xff", b"[" * 5000])
def test_what_is_not_described_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        hooks.read(post(body))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["entry", "changes", "value", "messages", "id", "from"]), inner)
        ),
    )
)
def test_whatever_is_signed_is_read_or_refused(document: Any) -> None:
    for body in (document, notice(change(value(messages=document, statuses=document, contacts=document)))):
        try:
            hooks.read(post(body))
        except Unreadable:
            continue


# --- news of numbers


def told(name: str, **said: Any) -> list[Sign]:
    return signs(hooks.read(post(notice(change(said, name)))))


def test_limits_are_told_in_meta_s_words_wherever_they_come_from() -> None:
    phone = {"display_phone_number": "15550783881"}
    tier = {"max_daily_conversations_per_business": "TIER_10K", "current_limit": "TIER_1K"}
    name = "phone_number_quality_update"
    assert told(name, event="UPGRADE", **phone, **tier) == [Sign("limit", "TIER_10K", detail="UPGRADE")]
    assert told(name, event="FLAGGED", **phone) == [Sign("quality", "FLAGGED")]
    more = "business_capability_update"
    assert told(more, max_daily_conversations_per_business=2000) == [Sign("limit", "TIER_2K")]
    assert told(more, max_daily_conversation_per_phone=250) == [Sign("limit", "TIER_250")]
    assert told(more, max_daily_conversation_per_phone=-1) == [Sign("limit", "TIER_UNLIMITED")]


def test_news_of_one_phone_and_of_a_whole_business_say_whom_they_are_about() -> None:
    quality = change({"display_phone_number": "15550783881", "event": "FLAGGED"}, "phone_number_quality_update")
    deleted = change({"event": "ACCOUNT_DELETED"}, "account_update")
    news = hooks.read(post(notice(quality, deleted)))
    assert [one.number for one in news.said] == ["+15550783881", f"waba:{BUSINESS}"]


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"event": "ACCOUNT_DELETED"}, "sender_missing"),
        ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}, "banned_for_good"),
        ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}, ""),
        ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "SCHEDULE_FOR_DISABLE"}}, ""),
        (
            {
                "event": "ACCOUNT_RESTRICTION",
                "restriction_info": [{"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1}],
            },
            "restricted",
        ),
        (
            {
                "event": "ACCOUNT_RESTRICTION",
                "restriction_info": [{"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}],
            },
            "",
        ),
        ({"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}}, ""),
        ({"event": "PARTNER_REMOVED"}, "permission"),
        ({"event": "SOMETHING_NEW"}, ""),
    ],
)
def test_updates_of_the_account_say_whether_it_works(update: dict[str, Any], reason: str) -> None:
    (got,) = told("account_update", **update)
    assert (got.kind, got.value, got.reason) == ("status", update["event"], reason)
    assert got.reason in REASONS


def test_what_meta_holds_against_an_account_is_in_the_detail() -> None:
    (got,) = told("account_update", event="ACCOUNT_VIOLATION", violation_info={"violation_type": "ADULT"})
    assert got.detail == "ADULT"


@pytest.mark.parametrize(
    ("name", "update"),
    [
        ("account_update", {"event": "VOLUME_BASED_PRICING_TIER_UPDATE"}),
        ("account_alerts", {"alert_type": "ELIGIBLE"}),
        ("calls", {}),
    ],
)
def test_news_that_change_nothing_here_are_counted(name: str, update: dict[str, Any]) -> None:
    news = hooks.read(post(notice(change(update, name))))
    assert not news.said
    assert news.left == {name: 1}


def test_a_template_s_fate_is_told() -> None:
    about = {"message_template_name": "order_ready", "message_template_language": "en_US"}
    got = told("message_template_status_update", event="REJECTED", reason="INVALID_FORMAT", **about)
    assert got == [Sign("template", "REJECTED", detail="order_ready en_US INVALID_FORMAT")]


def test_a_new_id_of_a_customer_is_told() -> None:
    ids = {"previous": "US.1", "current": "US.2"}
    got = told("user_id_update", user_id_update=[{"wa_id": CUSTOMER[1:], "user_id": ids}])
    assert got == [Sign("identity", "bsuid:US.2", detail="bsuid:US.1")]
