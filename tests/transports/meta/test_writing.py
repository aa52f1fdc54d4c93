"""What is posted to Meta for each kind of content."""

from typing import Any

import pytest
from tests.transports.meta.posts import CUSTOMER

from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.message import (
    Audio,
    Buttons,
    Choice,
    Choices,
    ContactCard,
    Content,
    Deletion,
    Document,
    Edit,
    Image,
    Location,
    Media,
    Option,
    Reaction,
    Sticker,
    Template,
    Text,
    Video,
)
from wafleet.transports.base import About, Outgoing
from wafleet.transports.meta.transport import Meta
from wafleet.transports.meta.writing import Unwritable, reading, write

OPTIONS = (Option("yes", "Yes"), Option("no", "No, thank you very much indeed", "nothing is sent"))
FILE = Media("f" * 64, "image/jpeg", 10, "menu.jpg")
ASKED = About("wamid.ASKED", False, Text("Which one?"))


def part(content: Content, *, about: About | None = None) -> Any:
    letter = write(Outgoing(MessageId(new_id()), CUSTOMER, content, about), "media-1")
    return letter[letter["type"]]


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (Text("hello"), "text", {"body": "hello", "preview_url": False}),
        (Text("see https://example.com"), "text", {"body": "see https://example.com", "preview_url": True}),
        (Location(1.5, 2.5), "location", {"latitude": 1.5, "longitude": 2.5}),
        (Location(1.5, 2.5, "A", "B"), "location", {"latitude": 1.5, "longitude": 2.5, "name": "A", "address": "B"}),
        (Image(FILE, "look"), "image", {"id": "media-1", "caption": "look"}),
        (Video(FILE), "video", {"id": "media-1"}),
        (Audio(FILE, True), "audio", {"id": "media-1", "voice": True}),
        (Audio(FILE), "audio", {"id": "media-1"}),
        (Document(FILE, "the menu"), "document", {"id": "media-1", "caption": "the menu", "filename": "menu.jpg"}),
        (Sticker(FILE), "sticker", {"id": "media-1"}),
        (
            ContactCard("Omar Saleh", "+971501112233"),
            "contacts",
            [
                {
                    "name": {"formatted_name": "Omar Saleh", "first_name": "Omar", "last_name": "Saleh"},
                    "phones": [{"phone": "+971501112233", "type": "CELL", "wa_id": "971501112233"}],
                }
            ],
        ),
        (
            Buttons("Sure?", OPTIONS, "Order", "Thanks"),
            "interactive",
            {
                "type": "button",
                "header": {"type": "text", "text": "Order"},
                "body": {"text": "Sure?"},
                "footer": {"text": "Thanks"},
                "action": {
                    "buttons": [
                        {"type": "reply", "reply": {"id": "yes", "title": "Yes"}},
                        {"type": "reply", "reply": {"id": "no", "title": "No, thank you very m"}},
                    ]
                },
            },
        ),
        (
            Choices("Sure?", "Choose", OPTIONS),
            "interactive",
            {
                "type": "list",
                "body": {"text": "Sure?"},
                "action": {
                    "button": "Choose",
                    "sections": [
                        {
                            "rows": [
                                {"id": "yes", "title": "Yes"},
                                {"id": "no", "title": "No, thank you very much ", "description": "nothing is sent"},
                            ]
                        }
                    ],
                },
            },
        ),
    ],
)
def test_each_content_is_written_as_meta_takes_it(content: Content, kind: str, said: Any) -> None:
    letter = write(Outgoing(MessageId(new_id()), CUSTOMER, content), "media-1")
    assert letter["type"] == kind
    assert letter[kind] == said


def test_a_letter_says_to_whom_and_carries_our_id() -> None:
    out = Outgoing(MessageId(new_id()), CUSTOMER, Text("hi"))
    letter = write(out, "")
    assert letter["messaging_product"] == "whatsapp"
    assert letter["to"] == CUSTOMER
    assert letter["biz_opaque_callback_data"] == str(out.id)
    assert "context" not in letter


def test_who_hides_the_phone_is_written_to_by_id() -> None:
    letter = write(Outgoing(MessageId(new_id()), "bsuid:US.13491208655302741918", Text("hi")), "")
    assert letter["recipient"] == "US.13491208655302741918"
    assert "to" not in letter


@pytest.mark.parametrize("to", ["", "layla", "lid:123", "bsuid:", "+0123"])
def test_nobody_else_can_be_written_to(to: str) -> None:
    with pytest.raises(ValueError, match="neither a phone nor an id"):
        write(Outgoing(MessageId(new_id()), to, Text("hi")), "")


def test_an_answer_names_its_question() -> None:
    letter = write(Outgoing(MessageId(new_id()), CUSTOMER, Text("this one", "ours"), ASKED), "")
    assert letter["context"] == {"message_id": "wamid.ASKED"}


@pytest.mark.parametrize("emoji", ["👍", ""])
def test_a_reaction_names_its_message_and_an_empty_one_takes_it_away(emoji: str) -> None:
    out = Outgoing(MessageId(new_id()), CUSTOMER, Reaction("ours", emoji), ASKED)
    letter = write(out, "")
    assert letter["reaction"] == {"message_id": "wamid.ASKED", "emoji": emoji}
    assert "context" not in letter


@pytest.mark.parametrize(
    "content", [Edit("ours", "new"), Deletion("ours"), Choice("yes", "Yes"), Reaction("ours", "👍")], ids=repr
)
def test_what_meta_cannot_say_is_not_written(content: Content) -> None:
    with pytest.raises(Unwritable):
        part(content)


def test_what_is_written_is_what_the_transport_says_it_can_do() -> None:
    unable = {"edit", "deletion", "choice", "unsupported"}
    assert not Meta.capabilities.contents & unable
    assert {"text", "template", "buttons", "choices", "reaction", "image"} <= Meta.capabilities.contents


def test_numbered_blanks_are_filled_in_order() -> None:
    blanks = {"2": "two", "10": "ten", "1": "one"}
    said = part(Template("order_ready", "en_US", blanks))
    assert said["name"] == "order_ready"
    assert said["language"] == {"code": "en_US"}
    (body,) = said["components"]
    assert body["type"] == "body"
    assert [one["text"] for one in body["parameters"]] == ["one", "two", "ten"]


def test_named_blanks_are_filled_by_their_names() -> None:
    (body,) = part(Template("order_ready", "ar", {"customer": "Layla"}))["components"]
    assert body["parameters"] == [{"type": "text", "parameter_name": "customer", "text": "Layla"}]


def test_a_template_s_header_and_links_are_filled_too() -> None:
    header, body, link = part(Template("t", "en", {"header.1": "Order 7", "1": "Layla", "button.0": "track/7"}))[
        "components"
    ]
    assert header == {"type": "header", "parameters": [{"type": "text", "text": "Order 7"}]}
    assert body["parameters"] == [{"type": "text", "text": "Layla"}]
    assert link == {
        "type": "button",
        "sub_type": "url",
        "index": "0",
        "parameters": [{"type": "text", "text": "track/7"}],
    }


@pytest.mark.parametrize(
    ("mime", "kind"), [("image/png", "image"), ("video/mp4", "video"), ("application/pdf", "document")]
)
def test_a_template_s_file_is_shown_as_what_it_is(mime: str, kind: str) -> None:
    (header,) = part(Template("t", "en", media=Media("f" * 64, mime)))["components"]
    assert header == {"type": "header", "parameters": [{"type": kind, kind: {"id": "media-1"}}]}


def test_a_template_without_blanks_has_no_components() -> None:
    assert part(Template("hello_world", "en_US")) == {"name": "hello_world", "language": {"code": "en_US"}}


def test_reading_and_typing_name_the_customer_s_message() -> None:
    assert reading("wamid.X") == {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"}
    assert reading("wamid.X", typing=True)["typing_indicator"] == {"type": "text"}
