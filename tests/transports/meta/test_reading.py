"""Messages of customers, as Meta's webhooks carry them, become contents of ours."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.transports.meta.posts import CUSTOMER, contact, inbound, messages, notice, post, said, signs, value

from wafleet.domain.inbound import Inbound
from wafleet.domain.message import (
    Audio,
    Choice,
    ContactCard,
    Content,
    Deletion,
    Document,
    Edit,
    Image,
    Location,
    Media,
    Reaction,
    Sticker,
    Text,
    Unsupported,
    Video,
)
from wafleet.transports.calls import Sign
from wafleet.transports.meta import hooks

HASH = "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI="
FILE = {"id": "1003383421387256", "sha256": HASH}
CHAT = {"from": "15550783881", "id": "wamid.QUESTION"}


def _kind(one: Any) -> str:
    return str(one["type"]) if isinstance(one, dict) else type(one).__name__


def only(*post_: Any) -> Inbound:
    (one,) = inbound(hooks.read(post(messages(*post_))))
    return one


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (said("text", {"body": "Does it come in green? / أخضر"}), Text("Does it come in green? / أخضر")),
        (
            said("image", FILE | {"mime_type": "image/jpeg", "caption": "Taj Mahal"}),
            Image(Media("", "image/jpeg"), "Taj Mahal"),
        ),
        (said("video", FILE | {"mime_type": "video/mp4"}), Video(Media("", "video/mp4"))),
        (
            said("audio", FILE | {"mime_type": "audio/ogg; codecs=opus", "voice": True}),
            Audio(Media("", "audio/ogg"), True),
        ),
        (
            said("document", FILE | {"mime_type": "application/pdf", "filename": "menu.pdf", "caption": "Here"}),
            Document(Media("", "application/pdf", name="menu.pdf"), "Here"),
        ),
        (said("sticker", FILE | {"mime_type": "image/webp", "animated": False}), Sticker(Media("", "image/webp"))),
        (
            said("location", {"latitude": 37.44, "longitude": -122.16, "name": "Mall", "address": "1 Main St"}),
            Location(37.44, -122.16, "Mall", "1 Main St"),
        ),
        (
            said(
                "contacts",
                [{"name": {"formatted_name": "Lucía Gómez"}, "phones": [{"phone": "+1 (983) 555", "wa_id": "1983"}]}],
            ),
            ContactCard("Lucía Gómez", "+1983"),
        ),
        (
            said("button", {"payload": "stop", "text": "Unsubscribe"}, context=CHAT),
            Choice("stop", "Unsubscribe"),
        ),
        (
            said("interactive", {"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes"}}, context=CHAT),
            Choice("yes", "Yes"),
        ),
        (
            said(
                "interactive",
                {"type": "list_reply", "list_reply": {"id": "fast", "title": "Express", "description": "Next day"}},
                context=CHAT,
            ),
            Choice("fast", "Express"),
        ),
    ],
    ids=_kind,
)
def test_every_kind_of_message_is_read(message: dict[str, Any], content: Content) -> None:
    got = only(message)
    assert got.content == content
    assert got.identity == CUSTOMER
    assert got.name == "Layla"
    assert got.provider_id == "wamid.ONE"
    assert got.at == datetime(2025, 6, 15, 19, 46, 40, tzinfo=UTC)
    assert got.about == ("wamid.QUESTION" if "context" in message else "")


def test_a_reaction_names_its_message_and_one_without_an_emoji_takes_it_away() -> None:
    put = only(said("reaction", {"message_id": "wamid.OURS", "emoji": "👍"}))
    gone = only(said("reaction", {"message_id": "wamid.OURS"}))
    assert (put.content, put.about) == (Reaction("", "👍"), "wamid.OURS")
    assert (gone.content, gone.about) == (Reaction("", ""), "wamid.OURS")


def test_an_edit_and_a_deletion_name_the_message_they_change() -> None:
    new = {"type": "text", "text": {"body": "two, please"}}
    edited = only(said("edit", {"original_message_id": "wamid.OLD", "message": new}))
    below = {"type": "image", "image": FILE | {"caption": "this one"}}
    caption = only(said("edit", {"original_message_id": "wamid.OLD", "message": below}))
    taken_back = only(said("revoke", {"original_message_id": "wamid.OLD"}))
    assert (edited.content, edited.about) == (Edit("", "two, please"), "wamid.OLD")
    assert caption.content == Edit("", "this one")
    assert (taken_back.content, taken_back.about) == (Deletion(""), "wamid.OLD")


@pytest.mark.parametrize(
    "message",
    [
        said("order", {"catalog_id": "19", "product_items": [{"product_retailer_id": "di9", "quantity": 2}]}),
        said("unsupported", errors=[{"code": 131051, "title": "Message type unknown"}]),
        said("interactive", {"type": "nfm_reply", "nfm_reply": {"response_json": "{}"}}),
        said("hologram", {"depth": 3}),
        said("location", {"latitude": "north"}),
        said("location", {"latitude": float("inf"), "longitude": 0}),
        said("image", {"mime_type": "image/jpeg"}),
        said("text", "not an object"),
    ],
    ids=["order", "unsupported", "flow", "new kind", "no place", "nowhere", "no file", "no words"],
)
def test_what_is_not_understood_is_kept_whole(message: dict[str, Any]) -> None:
    assert only(message).content == Unsupported(message)


def test_what_a_content_cannot_hold_is_kept_beside_it() -> None:
    got = only(
        said(
            "text",
            {"body": "Is this still there?"},
            context=CHAT | {"referred_product": {"catalog_id": "19", "product_retailer_id": "di9"}},
            referral={"source_type": "ad", "headline": "Summer"},
        )
    )
    assert got.raw
    assert got.raw["referral"]["headline"] == "Summer"
    assert got.raw["context"]["referred_product"]["product_retailer_id"] == "di9"


def test_a_plain_message_keeps_nothing_beside_it() -> None:
    assert only(said("text", {"body": "hello"})).raw is None


def test_a_file_keeps_what_fetching_it_needs() -> None:
    got = only(said("image", FILE | {"mime_type": "image/jpeg"}))
    assert got.file == f"{FILE['id']} {HASH}"
    assert got.raw is None
    assert only(said("text", {"body": "hi"})).file == ""


def test_a_customer_who_hides_the_phone_is_known_by_an_id() -> None:
    hidden = said("text", {"body": "hi"}, from_user_id="US.13491208655302741918")
    del hidden["from"]
    who = {"profile": {"name": "Jessica", "username": "jess"}, "user_id": "US.13491208655302741918"}
    (got,) = inbound(hooks.read(post(messages(hidden, contacts=[who]))))
    assert got.identity == "bsuid:US.13491208655302741918"
    assert got.name == "Jessica"
    assert got.raw == {"user_id": "US.13491208655302741918", "username": "jess", "from_user_id": hidden["from_user_id"]}


def test_a_customer_without_a_contact_is_known_by_the_message_alone() -> None:
    (got,) = inbound(hooks.read(post(messages(said("text", {"body": "hi"}), contacts=[]))))
    assert (got.identity, got.name) == (CUSTOMER, "")


def test_messages_of_several_people_in_one_change_keep_their_names() -> None:
    two = [contact("Layla"), contact("Omar", wa_id="971501112233")]
    second = said("text", {"body": "me too"}, id="wamid.TWO") | {"from": "971501112233"}
    got = inbound(hooks.read(post(messages(said("text", {"body": "hi"}), second, contacts=two))))
    assert [(one.identity, one.name) for one in got] == [(CUSTOMER, "Layla"), ("+971501112233", "Omar")]


def test_a_phone_that_changed_is_a_sign_and_stays_visible_in_the_conversation() -> None:
    moved = said("system", {"body": "Layla changed", "wa_id": "12195555358", "type": "user_changed_number"})
    news = hooks.read(post(notice({"field": "messages", "value": value(messages=[moved])})))
    assert signs(news) == [Sign("identity", "+12195555358", detail=CUSTOMER)]
    (shown,) = inbound(news)
    assert (shown.content, shown.notice) == (Unsupported(moved), True)


def test_a_changed_key_names_the_customer() -> None:
    moved = said("system", {"body": "changed", "type": "customer_identity_changed", "customer": CUSTOMER[1:]})
    news = hooks.read(post(notice({"field": "messages", "value": value(messages=[moved])})))
    assert signs(news) == [Sign("identity", CUSTOMER, detail="customer_identity_changed")]


def test_a_time_that_is_none_is_now() -> None:
    before = datetime.now(UTC)
    assert only(said("text", {"body": "hi"}, timestamp="soon")).at >= before


def test_half_a_character_does_not_hold_a_batch_up() -> None:
    body = b'{"entry":[{"id":"1","changes":[' + (
        b'{"field":"messages","value":{"metadata":{"phone_number_id":"7"},"messages":'
        b'[{"from":"16505551234","id":"w1","timestamp":"1","type":"text","text":{"body":"half \\ud83d"}}]}}]}]}'
    )
    (got,) = inbound(hooks.read(post(body)))
    assert got.content == Text("half \ud83d")
