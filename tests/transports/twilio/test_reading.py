"""What Twilio tells us: messages of customers, receipts, and what is new to us."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.domain.failures import FAILURES
from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import (
    Audio,
    Choice,
    Content,
    Document,
    Image,
    Location,
    Media,
    Sending,
    Sticker,
    Text,
    Unsupported,
    Video,
)
from wafleet.transports.calls import Call, News, Sign, Unreadable
from wafleet.transports.twilio.hooks import FORM, SILENCE, read

CAPTURED = Path(__file__).parents[4] / "shared/contracts/twilio/webhook_params.json"
PHONE, LAYLA, SID = "+966500000001", "+971550000001", "SM" + "0" * 32
COMMON = {
    "AccountSid": "AC" + "0" * 32,
    "ApiVersion": "2010-04-01",
    "From": f"whatsapp:{LAYLA}",
    "MessageSid": SID,
    "NumMedia": "0",
    "ProfileName": "ليلى",
    "SmsStatus": "received",
    "To": f"whatsapp:{PHONE}",
    "WaId": LAYLA[1:],
}
STATUS = {"MessageSid": SID, "From": f"whatsapp:{PHONE}", "To": f"whatsapp:{LAYLA}"}


def told(form: dict[str, str], *, message: str = "") -> News:
    return read(
        Call("POST", "https://wafleet.example/hooks", {"content-type": FORM}, urlencode(form).encode(), message)
    )


def said(**more: str) -> Inbound:
    [one] = told(COMMON | more).said
    assert isinstance(one.what, Inbound)
    assert one.number == PHONE
    return one.what


def receipt(status: str, *, message: str = "", **more: str) -> Receipt:
    one = told(STATUS | {"MessageStatus": status} | more, message=message).said[0].what
    assert isinstance(one, Receipt)
    return one


MEDIA = {"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/x/Media/ME1", "Body": "look"}


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ({"Body": "السلام عليكم 🏠\r\nsecond line "}, Text("السلام عليكم 🏠\r\nsecond line ")),
        ({"Body": "0"}, Text("0")),
        (MEDIA | {"MediaContentType0": "image/jpeg"}, Image(Media("", "image/jpeg"), "look")),
        (MEDIA | {"MediaContentType0": "video/mp4"}, Video(Media("", "video/mp4"), "look")),
        (MEDIA | {"MediaContentType0": "audio/ogg; codecs=opus"}, Audio(Media("", "audio/ogg"), voice=True)),
        (MEDIA | {"MediaContentType0": "audio/mpeg"}, Audio(Media("", "audio/mpeg"))),
        (MEDIA | {"MediaContentType0": "application/pdf"}, Document(Media("", "application/pdf"), "look")),
        (MEDIA | {"MediaContentType0": "text/vcard"}, Document(Media("", "text/vcard"), "look")),
        (
            MEDIA | {"MediaContentType0": "image/png", "MessageType": "document"},
            Document(Media("", "image/png"), "look"),
        ),
        (MEDIA | {"MediaContentType0": "image/webp", "MessageType": "sticker"}, Sticker(Media("", "image/webp"))),
        (MEDIA, Document(Media("", ""), "look")),
        (
            {
                "Latitude": "25.27",
                "Longitude": "55.29",
                "Label": "Souk",
                "Address": "Road 1",
                "MessageType": "location",
            },
            Location(25.27, 55.29, name="Souk", address="Road 1"),
        ),
        ({"Latitude": "0.0", "Longitude": "0.0"}, Location(0.0, 0.0)),
        ({"ButtonText": "Yes", "ButtonPayload": "y", "Body": "Yes"}, Choice("y", "Yes")),
        ({"ButtonText": "Yes", "Body": "Yes"}, Choice("Yes", "Yes")),
        ({"ListId": "opt_2", "ListTitle": "Two rooms", "Body": "Two rooms"}, Choice("opt_2", "Two rooms")),
    ],
)
def test_a_customers_message_of_every_kind(form: dict[str, str], content: Content) -> None:
    one = said(**form)
    assert one.content == content
    assert (one.provider_id, one.identity, one.name) == (SID, LAYLA, "ليلى")


def test_the_answer_to_a_message_says_nothing_to_the_customer() -> None:
    news = told(COMMON | {"Body": "hi"})
    assert (news.answer, news.content_type) == (SILENCE, "text/xml")


def test_an_answer_names_what_it_answers() -> None:
    assert said(Body="yes", OriginalRepliedMessageSid="SM9").about == "SM9"


def test_an_ordinary_message_keeps_nothing_raw_and_what_is_new_is_kept() -> None:
    assert said(Body="hi", MessageType="text", ReferralNumMedia="0").raw is None
    assert said(Body="hi", MessageType="order", Novelty="1").raw == {"MessageType": "order", "Novelty": "1"}
    assert said(Body="hi", ReferralBody="an ad").raw == {"ReferralBody": "an ad"}


def test_where_a_file_waits_at_twilio_is_kept_beside_the_message() -> None:
    one = said(**MEDIA, MediaContentType0="image/jpeg")
    assert (one.file, one.raw) == (f"image/jpeg {MEDIA['MediaUrl0']}", None)
    assert said(Body="hi").file == ""
    assert said(**MEDIA | {"MediaUrl0": ""}).file == ""


def test_several_files_are_several_messages_and_the_words_belong_to_the_first() -> None:
    form = MEDIA | {"NumMedia": "2", "MediaContentType0": "image/png", "MediaContentType1": "image/jpeg"}
    contents = [
        (one.what.provider_id, one.what.content) for one in told(COMMON | form).said if isinstance(one.what, Inbound)
    ]
    assert contents == [(SID, Image(Media("", "image/png"), "look")), (f"{SID}/1", Image(Media("", "image/jpeg")))]


@pytest.mark.parametrize("form", [{}, {"MessageType": "unsupported"}, {"Latitude": "x", "Longitude": "1"}])
def test_what_cannot_be_shown_is_kept_whole(form: dict[str, str]) -> None:
    one = said(**form)
    assert one.content == Unsupported(COMMON | form)
    assert one.raw == COMMON | form


def test_what_did_not_come_by_whatsapp_is_counted_and_left() -> None:
    news = told(COMMON | {"From": LAYLA, "Body": "an SMS"})
    assert (news.said, news.left) == ((), {"not_whatsapp": 1})


@pytest.mark.parametrize("form", [{"From": "whatsapp:+1"}, {"MessageSid": "SM1", "From": "whatsapp:"}])
def test_a_message_without_name_or_sender_is_unreadable(form: dict[str, str]) -> None:
    with pytest.raises(Unreadable):
        told(form)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("accepted", Sending.SENT),
        ("queued", Sending.SENT),
        ("sending", Sending.SENT),
        ("sent", Sending.SENT),
        ("delivered", Sending.DELIVERED),
        ("read", Sending.READ),
        ("undelivered", Sending.FAILED),
        ("failed", Sending.FAILED),
        ("canceled", Sending.FAILED),
    ],
)
def test_every_status_is_a_rung_of_our_ladder(status: str, state: Sending) -> None:
    assert receipt(status).state is state
    assert receipt(status).provider_id == SID


def test_a_status_nobody_knows_proves_that_twilio_has_the_message() -> None:
    one = receipt("teleported")
    assert (one.state, one.detail) == (Sending.SENT, "twilio teleported")


def test_a_receipt_names_our_message_where_the_url_does() -> None:
    message = MessageId(new_id())
    assert receipt("sent", message=str(message)).message == message
    assert receipt("sent", message="no id").message is None
    assert told(STATUS | {"MessageStatus": "sent"}, message=str(message)).said[0].number == ""
    assert told(STATUS | {"MessageStatus": "sent"}).said[0].number == PHONE


def test_what_is_new_in_a_receipt_is_kept_as_it_came() -> None:
    assert receipt("delivered").raw is None
    assert receipt("delivered", AccountSid="AC1", SmsStatus="delivered").raw is None
    assert receipt("delivered", Price="0.0042", Hop="2").raw == {"Price": "0.0042", "Hop": "2"}


def test_a_failure_says_why_in_our_words_and_in_twilios() -> None:
    one = receipt("failed", ErrorCode="63016", ErrorMessage="outside the allowed window")
    assert (one.reason, one.detail) == ("outside_window", "twilio 63016 outside the allowed window")
    assert receipt("undelivered", ErrorCode="63999").reason == "provider_code"
    assert receipt("undelivered").reason == "refused"


def test_a_failure_that_is_the_accounts_is_told_of_the_account() -> None:
    news = told(STATUS | {"MessageStatus": "failed", "ErrorCode": "63112", "ErrorMessage": "disabled by Meta"})
    signs = [one.what for one in news.said if isinstance(one.what, Sign)]
    assert signs == [Sign("status", "63112", "restricted", "twilio 63112 disabled by Meta")]


@pytest.mark.skipif(not CAPTURED.exists(), reason=f"captured webhooks are not at {CAPTURED}")
def test_every_captured_webhook_is_understood() -> None:
    examples: list[dict[str, Any]] = json.loads(CAPTURED.read_text("utf-8"))["examples"]
    for example in examples:
        [one] = told(example["form"]).said
        assert isinstance(one.what, Inbound if example["id"].startswith("inbound") else Receipt)
        if isinstance(one.what, Inbound):
            assert not isinstance(one.what.content, Unsupported)
        if isinstance(one.what, Receipt) and one.what.state is Sending.FAILED:
            assert one.what.reason in FAILURES
            assert one.what.reason not in {"provider_code", "refused"}


@pytest.mark.skipif(not CAPTURED.exists(), reason=f"captured webhooks are not at {CAPTURED}")
def test_every_status_twilio_documents_is_known() -> None:
    values: list[str] = json.loads(CAPTURED.read_text("utf-8"))["status_callback"]["message_status_values"]
    for status in set(values) - {"receiving", "received"}:
        assert not receipt(status).detail.startswith(f"twilio {status}")


@given(st.dictionaries(st.sampled_from([*COMMON, *MEDIA, "MessageStatus", "Latitude", "ListId", "X"]), st.text()))
def test_any_form_is_read_or_called_unreadable(form: dict[str, str]) -> None:
    try:
        told(form, message=form.get("X", ""))
    except Unreadable:
        return
