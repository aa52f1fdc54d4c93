"""Senders at Twilio, over HTTP, with a stand-in on the same world behind it."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from typing import ClassVar
from unittest.mock import patch

from tests.contracts.examples import ID, SIZE
from tests.contracts.hooked import ANSWER_S, HURRY_S, Hooked, nowhere, online, place
from tests.contracts.subject import Subject
from tests.transports.heard import QUICK

from wafleet.accounts import webhook_url
from wafleet.domain.message import Audio, Content, Document, Location, Media, Text
from wafleet.simulator.faults import FAULTS
from wafleet.simulator.local import Local
from wafleet.simulator.standins.twilio.api import listening
from wafleet.simulator.standins.twilio.content import APPROVED
from wafleet.simulator.standins.twilio.model import sid_of
from wafleet.simulator.standins.twilio.service import Rules
from wafleet.simulator.standins.twilio.service import Twilio as Standin
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports import web
from wafleet.transports.base import Number, Pairing
from wafleet.transports.twilio import Twilio

SID, TOKEN = "AC" + "1" * 32, "a token that is only for tests"
KEYS = json.dumps({"accountSid": SID, "authToken": TOKEN}).encode()
_ELSEWHERE = {"replaced", "logged_out"}  # what happens to a device happens to no sender
CARD = b"BEGIN:VCARD\nVERSION:3.0\nFN:Omar\nTEL:+971550000009\nEND:VCARD\n"
_NEVER = {"template"}  # only businesses send these


class TwilioSubject(Subject):
    capabilities = Twilio.capabilities
    acknowledges = False
    keeps_files = True
    wrong = json.dumps({"accountSid": SID, "authToken": "no token"}).encode()
    refuses_later = True
    says_how_long = True
    lists_what_it_took = True
    swallows = frozenset({"mute", "hidden", "silent"})
    answers_first = frozenset({"image", "video", "audio", "document", "sticker"})  # Twilio has to fetch files itself
    to_strangers = "held_back"
    ending, end = "banned", "restricted"
    hears = capabilities.contents - _NEVER | {"contact", "choice"}
    leaves: ClassVar[Mapping[str, Content]] = {
        "template": Text("Layla, your order is ready"),
        "location": Location(25.2, 55.3, name="1 Marina Walk"),  # a place has one label
        "audio": Audio(Media(ID, "audio/ogg", SIZE)),  # nobody can say that it was spoken
        "document": Document(Media(ID, "application/pdf", SIZE)),  # no name, no caption
    }
    arrives: ClassVar[Mapping[str, Content]] = {
        "audio": Audio(Media(ID, "audio/ogg", SIZE), voice=True),
        "document": Document(Media(ID, "application/pdf", SIZE), caption="the menu"),  # no name
        "contact": Document(Media(sha256(CARD).hexdigest(), "text/vcard", len(CARD))),
    }

    def __init__(self, world: World, transport: Hooked, standin: Standin, base: str, nowhere: str) -> None:
        super().__init__(world)
        self.transport, self._hooked, self._standin = transport, transport, standin
        self._base, self._nowhere, self.url = base, nowhere, base

    async def credentials(self, number: Number) -> bytes:
        self._standin.add(number.phone, webhook={"callback_url": webhook_url(self._hooked.url, "twilio", number.id)})
        await self._standin.numbers.online(number.phone)
        return KEYS

    def scan(self, phone: str, shown: Pairing) -> None:
        raise AssertionError("nobody links a sender")

    def file(self, content: bytes) -> str:
        return self._standin.files.put(content)

    def file_named(self, phone: str) -> str:
        return f"image/png {self._base}/2010-04-01/Accounts/{SID}/Messages/MM{0:032}/Media/ME{0:032}"

    @classmethod
    def feels(cls, fault: str) -> bool:
        return not FAULTS[fault].devices and fault not in _ELSEWHERE

    def template(self) -> str:
        said = {"twilio/text": {"body": "{{1}}, your order is ready"}}
        content = self._standin.contents.create({"friendly_name": "order_ready", "language": "en", "types": said}, 0.0)
        content.status = APPROVED
        return content.sid

    def named(self, world: str) -> str:
        known = self._standin.book.by_world(world)
        return known.sid if known else ""

    def of_the_world(self, name: str) -> str:
        known = self._standin.book.get(name)
        return known.world if known else ""

    async def well(self, phone: str) -> None:
        await online(self._standin.numbers, phone, self.patience_s)

    def hurry(self, on: bool = True) -> None:
        self._standin.numbers.answer_s = HURRY_S if on else ANSWER_S

    def away(self) -> None:
        self.url = self._nowhere

    def back(self) -> None:
        self.url = self._base


@asynccontextmanager
async def on_a_standin() -> AsyncGenerator[Subject]:
    world = World(seed=1, manners=QUICK)

    async def connect() -> Wire:
        return Local(world)

    def settings(phone: str) -> Mapping[str, object]:
        return {"twilio": {"url": subject.url, "sender_sid": sid_of("XE", phone)}}

    rules = Rules(window_hours=0)
    standin = Standin(connect, account_sid=SID, auth_token=TOKEN, rules=rules, answer_s=ANSWER_S)
    with nowhere() as none, patch.object(web, "FRESH_S", 0.0):
        async with (
            listening(standin) as base,
            place(lambda: hooked) as hooks,
            Twilio(public_url=hooks, answer_s=2 * ANSWER_S) as transport,
        ):
            hooked = Hooked(transport, settings, behind=timedelta(seconds=2 * ANSWER_S))
            hooked.url = hooks
            subject = TwilioSubject(world, hooked, standin, base, none)
            yield subject
