"""Contents of messages: what gateways tell, and what they are asked."""

from typing import Any

import pytest
from tests.transports.gateway.events import WHO, message
from tests.transports.heard import outgoing

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
from wafleet.transports.base import About, Outgoing, RefusedContent
from wafleet.transports.gateway import cards
from wafleet.transports.gateway.reading import content
from wafleet.transports.gateway.reading import message as read
from wafleet.transports.gateway.writing import CONTENTS, write
from wafleet.transports.web import now

URL = "http://localhost:3000/api/files/shop/3A11.bin"


def media(mime: str, name: str | None = None, **data: Any) -> dict[str, Any]:
    return message(hasMedia=True, media={"url": URL, "mimetype": mime, "filename": name}, body="look", _data=data)


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (media("image/jpeg"), Image(Media("", "image/jpeg"), "look")),
        (media("video/mp4"), Video(Media("", "video/mp4"), "look")),
        (media("audio/ogg; codecs=opus", type="ptt"), Audio(Media("", "audio/ogg; codecs=opus"), voice=True)),
        (media("audio/mpeg", type="audio"), Audio(Media("", "audio/mpeg"))),
        (media("audio/mp4", Message={"audioMessage": {"PTT": True}}), Audio(Media("", "audio/mp4"), voice=True)),
        (media("image/webp", type="sticker"), Sticker(Media("", "image/webp"))),
        (media("image/webp"), Sticker(Media("", "image/webp"))),
        (media("application/pdf", "menu.pdf"), Document(Media("", "application/pdf", 0, "menu.pdf"), "look")),
        (media("image/png", "scan.png"), Document(Media("", "image/png", 0, "scan.png"), "look")),
        (media("image/jpeg", type="image", size=99), Image(Media("", "image/jpeg", 99), "look")),
    ],
)
def test_a_file_is_what_its_type_and_its_engine_say(payload: dict[str, Any], wanted: Content) -> None:
    got = read(payload, at=now())
    assert got
    assert got.content == wanted
    assert got.file == URL


def test_a_file_that_the_gateway_did_not_fetch_is_kept_with_all_that_is_known() -> None:
    got = read(message(hasMedia=True, media=None, _data={"mimetype": "image/jpeg"}), at=now())
    assert got
    assert got.content == Image(Media("", "image/jpeg"), "")
    assert not got.file
    assert got.raw


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            {"location": {"latitude": "25.2", "longitude": 55.3, "description": "Home\n1 Marina Walk"}},
            Location(25.2, 55.3, "Home", "1 Marina Walk"),
        ),
        (
            {"vCards": [cards.write(ContactCard("Omar; Sons", "+971550000009"))]},
            ContactCard("Omar; Sons", "+971550000009"),
        ),
        ({"body": "Yes", "_data": {"type": "buttons_response", "selectedButtonId": "y"}}, Choice("y", "Yes")),
        ({"body": "Tea", "_data": {"listResponse": {"singleSelectReply": {"selectedRowId": "t"}}}}, Choice("t", "Tea")),
    ],
)
def test_places_cards_and_choices_are_understood(said: dict[str, Any], wanted: Content) -> None:
    assert content(message(**said)) == wanted


def test_a_size_that_is_no_number_is_unknown() -> None:
    file = {"hasMedia": True, "media": {"mimetype": "image/png"}, "_data": {"size": float("inf")}}
    assert content(file) == Image(Media("", "image/png"))


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"location": {"latitude": "north"}},
        {"location": {"latitude": float("inf"), "longitude": 0}},
        {"_data": {"type": "poll_creation"}},
    ],
)
def test_what_is_not_understood_is_kept_whole(said: dict[str, Any]) -> None:
    got = content(message(**said))
    assert isinstance(got, Unsupported)
    assert got.raw == message(**said)


def test_a_card_survives_folding_and_escapes() -> None:
    card = "BEGIN:VCARD\r\nitem1.FN:Layla\\, of the\r\n  shop\r\nitem1.TEL;waid=971550\r\n 000001:+971 55\r\nEND:VCARD"
    assert cards.read(card) == ContactCard("Layla, of the shop", "+971550000001")
    assert cards.read("nothing") == ContactCard("", "")


def _written(said: Content, *, about: About | None = None, file: bytes = b"") -> tuple[str, str, dict[str, Any]]:
    out = outgoing(said, to="+971550000001")
    request = write(Outgoing(out.id, out.to, said, about, file), session="shop", chat=WHO)
    return request.method, request.path, request.body


def test_an_answer_names_the_message_as_the_gateway_does() -> None:
    theirs = _written(Text("hi"), about=About("3A11", False, Text("?")))
    assert theirs[2] == {"session": "shop", "chatId": WHO, "text": "hi", "reply_to": f"false_{WHO}_3A11"}
    ours = _written(Text("hi"), about=About("3EB0", True, Text("?")))
    assert ours[2]["reply_to"] == f"true_{WHO}_3EB0"


@pytest.mark.parametrize(
    ("said", "path"),
    [
        (Image(Media("1", "image/png")), "/api/sendImage"),
        (Video(Media("1")), "/api/sendVideo"),
        (Audio(Media("1"), voice=True), "/api/sendVoice"),
        (Audio(Media("1")), "/api/sendFile"),
        (Document(Media("1", name="menu.pdf"), "the menu"), "/api/sendFile"),
        (Sticker(Media("1")), "/api/sendSticker"),
    ],
)
def test_files_go_along_in_base_64(said: Content, path: str) -> None:
    method, where, body = _written(said, file=b"abc")
    assert (method, where, body["file"]["data"]) == ("POST", path, "YWJj")
    assert body["file"]["mimetype"]
    with pytest.raises(RefusedContent):
        _written(said)


def test_what_is_about_a_message_of_ours_goes_to_its_address() -> None:
    about = About("3EB0", True, Text("before"))
    path = "/api/{session}/chats/971550000001%40c.us/messages/true_971550000001%40c.us_3EB0"
    assert _written(Edit("", "after"), about=about) == ("PUT", path, {"text": "after"})
    assert _written(Deletion(""), about=about) == ("DELETE", path, {})
    wanted = {"session": "shop", "messageId": f"true_{WHO}_3EB0", "reaction": "👍"}
    assert _written(Reaction("", "👍"), about=about) == ("PUT", "/api/reaction", wanted)


@pytest.mark.parametrize("said", [Edit("", "after"), Deletion("")])
def test_what_a_customer_wrote_is_not_ours_to_change(said: Content) -> None:
    with pytest.raises(RefusedContent):
        _written(said, about=About("3A11", False, Text("before")))
    with pytest.raises(RefusedContent):
        _written(said)


def test_what_a_gateway_cannot_send_is_refused_and_not_claimed() -> None:
    assert "choice" not in CONTENTS
    with pytest.raises(RefusedContent):
        _written(Choice("y", "Yes"))
