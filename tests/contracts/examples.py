"""One example of every kind of content."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

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

FILE: Final = b"the content of a file " * 100
ID, SIZE = sha256(FILE).hexdigest(), len(FILE)


def _media(mime: str, name: str = "") -> Media:
    return Media(ID, mime, SIZE, name)


EXAMPLES: Final[Mapping[str, Content]] = {
    "text": Text("hello 👋 مرحبا"),
    "location": Location(25.2, 55.3, name="Home", address="1 Marina Walk"),
    "contact": ContactCard("Omar", "+971550000009"),
    "image": Image(_media("image/jpeg"), caption="a cat"),
    "video": Video(_media("video/mp4"), caption="a cat that runs"),
    "audio": Audio(_media("audio/ogg; codecs=opus"), voice=True),
    "document": Document(_media("application/pdf", "menu.pdf"), caption="the menu"),
    "sticker": Sticker(_media("image/webp")),
    "reaction": Reaction("", "👍"),
    "edit": Edit("", "what I meant"),
    "deletion": Deletion(""),
    "buttons": Buttons("Tuesday?", (Option("yes", "Yes"), Option("no", "No"))),
    "choices": Choices("When?", "Days", (Option("tue", "Tuesday"), Option("wed", "Wednesday", "after five"))),
    "choice": Choice("yes", "Yes"),
    "template": Template("order_ready", "en", {"1": "Layla"}),
}
