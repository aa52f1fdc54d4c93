"""What is written and read here beside Meta's own description, where that lies next to the project.

The description is used for names, paths and examples only: none of its own examples passes its schemas.
"""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from tests.transports.heard import Heard
from tests.transports.meta.posts import CREDENTIALS, NUMBER, Api, inbound, number, post, signs, taken

from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.message import (
    Audio,
    Buttons,
    Choice,
    Choices,
    ContactCard,
    Content,
    Document,
    Image,
    Location,
    Media,
    Option,
    Reaction,
    Sticker,
    Template,
    Text,
    Unsupported,
    Video,
)
from wafleet.transports.base import About, Outgoing
from wafleet.transports.meta import hooks
from wafleet.transports.meta.errors import ERRORS
from wafleet.transports.meta.writing import reading, write

FOLDER = Path(__file__).parents[4] / "shared" / "contracts" / "meta"
EXAMPLES, CODES = FOLDER / "openapi_examples.json", FOLDER / "error_codes.json"
DESCRIPTION = FOLDER / "business-messaging-api_v23.0.yaml"

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="Meta's description lies outside the project")
FILE = Media("f" * 64, "image/jpeg", 10, "menu.jpg")
OPTIONS = (Option("yes", "Yes", "really"),)
ASKED = About("wamid.ASKED", False, Text("?"))
ELSEWHERE = ("Flow", "BlockUser", "Calling", "Group", "TemplateCreation", "Username", "PhoneMigration", "Signup")


def examples() -> Any:
    return json.loads(EXAMPLES.read_text())


READ: dict[str, type[Content]] = {
    "Text Message": Text,
    "Text Message with Context (Product Inquiry)": Text,
    "Text Message from Click to WhatsApp Ad": Text,
    "Reaction Message": Reaction,
    "Image Message": Image,
    "Location Message": Location,
    "Contact Sharing Message": ContactCard,
    "Unsupported Message": Unsupported,
    "Button Message": Choice,
    "Interactive List Reply Message": Choice,
    "Interactive Button Reply Message": Choice,
    "Order Message": Unsupported,
    "System Message": Unsupported,
}


@pytest.mark.parametrize("name", READ)
def test_meta_s_examples_of_messages_are_read(name: str) -> None:
    news = hooks.read(post(examples()["webhook_examples"][name]))
    (got,) = inbound(news)
    assert type(got.content) is READ[name]
    assert got.identity == "+16505551234"
    assert news.said[0].number == "106540352242922"
    assert not news.left


def test_all_examples_of_webhooks_are_read_and_those_of_groups_counted() -> None:
    for name, example in examples()["webhook_examples"].items():
        news = hooks.read(post(example))
        assert bool(news.said) != bool(news.left), name
    system = hooks.read(post(examples()["webhook_examples"]["System Message"]))
    assert [one.value for one in signs(system)] == ["+12195555358"]


WRITTEN: dict[str, tuple[Content, About | None]] = {
    "Send Text Message": (Text("hi"), None),
    "Send Reply to Text Message": (Text("hi"), ASKED),
    "Send Image Message by ID": (Image(FILE), None),
    "Send Reply to Image Message by ID": (Image(FILE), ASKED),
    "Send Video Message by ID": (Video(FILE, "look"), None),
    "Send Audio Message by ID": (Audio(FILE), None),
    "Send Document Message by ID": (Document(FILE, "look"), None),
    "Send Sticker Message by ID": (Sticker(FILE), None),
    "Send Location Message": (Location(1, 2, "A", "B"), None),
    "Send Reply with Reaction Message": (Reaction("ours", "👍"), ASKED),
    "Send Reply Button": (Buttons("Sure?", OPTIONS), None),
    "Send List Message": (Choices("Sure?", "Choose", OPTIONS, "Header", "Footer"), None),
    "Send Sample Shipping Confirmation Template": (Template("t", "en", {"1": "one"}), None),
}
LEFT_OUT = {"biz_opaque_callback_data"}  # documented elsewhere: the description has no example with it


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_has_the_names_of_meta_s_example(name: str) -> None:
    content, about = WRITTEN[name]
    ours = write(Outgoing(MessageId(new_id()), "+16505551234", content, about), "media-1")
    theirs = examples()["send_request_examples"][name]
    assert ours.keys() - LEFT_OUT == theirs.keys()
    assert ours["type"] == theirs["type"]
    assert _names(ours[ours["type"]]) <= _names(theirs[theirs["type"]]) | {"sections[].title"}


def _names(part: Any, before: str = "") -> set[str]:
    """Return the paths of all names in a document; the values do not count."""
    if isinstance(part, dict):
        document = cast("dict[str, Any]", part)
        inside = [_names(one, f"{before}{name}.") for name, one in document.items()]
        return {f"{before}{name}" for name in document}.union(*inside)
    if isinstance(part, list):
        return set[str]().union(*(_names(one, f"{before}[].") for one in cast("list[Any]", part)))
    return set()


def test_reading_and_typing_are_written_as_in_the_example() -> None:
    theirs = examples()["send_request_examples"]["Send typing indicator and read receipt"]
    assert reading(theirs["message_id"], typing=True) == theirs


async def test_meta_s_answers_to_sends_are_read() -> None:
    wanted = {name: one for name, one in examples()["send_responses"]["200"].items() if "messages" in one}
    assert wanted
    api = Api()
    api.answer("POST /messages", taken())
    async with api.transport() as meta:
        session = await meta.open(number(), CREDENTIALS, Heard())
        for example in wanted.values():
            api.answer("POST /messages", taken(example["messages"][0]["id"]))
            got = await session.send(Outgoing(MessageId(new_id()), "+16505551234", Text("hi")))
            assert got == example["messages"][0]["id"]


def test_every_code_that_sending_can_meet_has_a_remedy() -> None:
    rows = json.loads(CODES.read_text())["rows"]
    codes = {
        code
        for row in rows
        if not row["family"].startswith(ELSEWHERE) and row["name"] not in {"RegistrationOrDeregistrationFailed"}
        for code in _codes(row["codes"])
    }
    assert len(codes) > 100
    assert {str(code) for code in codes} - {"132068", "132069"} <= ERRORS.keys()


def _codes(written: str) -> list[int]:
    if written.startswith("range("):
        first, end = written.removeprefix("range(").removesuffix(")").split(",")
        return list(range(int(first), int(end)))
    return [int(one) for one in written.strip("()").split(",") if one.strip()]


async def test_what_is_asked_for_is_among_the_paths_meta_describes() -> None:
    api = Api()
    api.answer("POST /messages", taken())
    async with api.transport() as meta:
        session = await meta.open(number(), CREDENTIALS, Heard())
        await session.send(Outgoing(MessageId(new_id()), "+16505551234", Text("hi")))
    described = _paths()
    for asked in api.asked:
        path = asked.url.path.replace(NUMBER, "{Phone-Number-ID}").replace("/v23.0", "/{Version}")
        assert path in described
    assert {"/{Version}/{Media-ID}", "/{Version}/{WABA-ID}/message_templates"} <= described


def _paths() -> set[str]:
    """Find the paths by their place in the text: the whole of it takes half a minute to read."""
    lines = DESCRIPTION.read_text().splitlines()
    return {str(yaml.safe_load(line[2:-1])) for line in lines if line.startswith("  /") and line.endswith(":")}
