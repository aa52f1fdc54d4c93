"""Numbers on Meta's Cloud API, over HTTP, with a stand-in on the same world behind it."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import ClassVar
from unittest.mock import patch

from tests.contracts.examples import ID, SIZE
from tests.contracts.hooked import ANSWER_S, HURRY_S, Hooked, nowhere, online, place
from tests.contracts.subject import Subject
from tests.transports.heard import QUICK

from wafleet.domain.message import Audio, Content, Media, Text
from wafleet.simulator.faults import FAULTS
from wafleet.simulator.local import Local
from wafleet.simulator.standins.meta.api import listening
from wafleet.simulator.standins.meta.model import number_id
from wafleet.simulator.standins.meta.service import Meta as Standin
from wafleet.simulator.standins.meta.service import Rules
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports import web
from wafleet.transports.base import Number, Pairing
from wafleet.transports.meta import Meta

TOKEN, SECRET, VERIFY = "a token that is only for tests", "a secret that is only for tests", "a word"
KEYS = json.dumps({"accessToken": TOKEN, "appSecret": SECRET, "verifyToken": VERIFY}).encode()
_ELSEWHERE = {"replaced", "logged_out"}  # what happens to a device happens to no number of the Cloud API
_NEVER = {"template", "buttons", "choices"}  # only businesses send these


class MetaSubject(Subject):
    capabilities = Meta.capabilities
    knows_what_never_left = False
    acknowledges = False
    keeps_files = True
    wrong = json.dumps({"accessToken": "no token", "appSecret": SECRET}).encode()
    refuses_later = True
    says_how_long = True
    to_strangers = "held_back"
    to_nobody = "recipient_unreachable"  # it does not tell why
    ending, end = "banned", "restricted"
    hears = capabilities.contents - _NEVER | {"choice", "edit", "deletion"}
    leaves: ClassVar[Mapping[str, Content]] = {
        "template": Text("Layla, your order is ready"),
        "audio": Audio(Media(ID, "audio/ogg", SIZE), voice=True),
    }
    arrives: ClassVar[Mapping[str, Content]] = {"audio": Audio(Media(ID, "audio/ogg", SIZE), voice=True)}

    def __init__(self, world: World, transport: Hooked, standin: Standin, base: str, nowhere: str) -> None:
        super().__init__(world)
        self.transport, self._hooked, self._standin = transport, transport, standin
        self._base, self._nowhere, self.url = base, nowhere, base

    async def credentials(self, number: Number) -> bytes:
        registered = self._standin.add(number.phone)
        registered.webhook = f"{self._hooked.url}/hooks/meta/{number.id}"
        await self._standin.numbers.online(number.phone)
        return KEYS

    def scan(self, phone: str, shown: Pairing) -> None:
        raise AssertionError("nobody links a number of the Cloud API")

    def file(self, content: bytes) -> str:
        return self._standin.files.put(content)

    def file_named(self, phone: str) -> str:
        return "1003"

    @classmethod
    def feels(cls, fault: str) -> bool:
        return not FAULTS[fault].devices and fault not in _ELSEWHERE

    def template(self) -> str:
        body = {"type": "BODY", "text": "{{1}}, your order is ready"}
        return self._standin.templates.add("order_ready", "en", "UTILITY", [body]).name

    def named(self, world: str) -> str:
        return self._standin.book.wamid_of(world)

    def of_the_world(self, name: str) -> str:
        return self._standin.book.world_of(name)

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
        return {"meta": {"url": subject.url, "waba_id": standin.waba_id, "phone_number_id": number_id(phone)}}

    standin = Standin(
        connect,
        access_token=TOKEN,
        app_secret=SECRET,
        verify_token=VERIFY,
        rules=Rules(window_hours=0, pair_s=0.01),  # how often to one person is tried elsewhere
        answer_s=ANSWER_S,
    )
    with nowhere() as none, patch.object(web, "FRESH_S", 0.0):
        async with (
            listening(standin) as base,
            place(lambda: hooked) as hooks,
            Meta(answer_s=2 * ANSWER_S) as transport,
        ):
            hooked = Hooked(transport, settings)
            hooked.url = hooks
            subject = MetaSubject(world, hooked, standin, base, none)
            yield subject
