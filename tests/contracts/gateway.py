"""Numbers that a gateway holds, over HTTP, with a stand-in on the same world behind it."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from tests.contracts.hooked import ANSWER_S, HURRY_S, Hooked, online, place
from tests.contracts.subject import Subject
from tests.transports.heard import QUICK

from wafleet.simulator.faults import FAULTS
from wafleet.simulator.local import Local
from wafleet.simulator.standins.gateway.api import listening
from wafleet.simulator.standins.gateway.service import Gateway as Standin
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports.base import LinkListener, Number, Pairing
from wafleet.transports.gateway import Gateway

KEYS = json.dumps({"apiKey": "a-key", "hmacKey": "another-key"}).encode()
_QUICK_RETRIES = {"policy": "constant", "delaySeconds": 0.05, "attempts": 1000}
_EVENTS = ["session.status", "message", "message.ack", "message.reaction", "message.edited", "message.revoked"]
_ALONE = {"replaced", "login_failure", "banned", "locked", "outdated"}  # the gateway says less of these than happens


class GatewaySubject(Subject):
    capabilities = Gateway.capabilities
    knows_what_never_left = False  # a gateway that is slow may still send
    acknowledges = False
    keeps_files = True
    wrong = json.dumps({"apiKey": "no key"}).encode()
    alike = frozenset({"audio", "sticker"})

    def __init__(self, world: World, transport: Hooked, standin: Standin, hooks: str) -> None:
        super().__init__(world)
        self.transport, self._hooked, self._standin, self._hooks = transport, transport, standin, hooks

    async def credentials(self, number: Number) -> bytes:
        hook = {"url": f"{self._hooks}/hooks/gateway/{number.id}", "events": _EVENTS, "retries": _QUICK_RETRIES}
        config = {"webhooks": [hook | {"hmac": {"key": "another-key"}}]}
        session = await self._standin.sessions.take(name(number.phone), number.phone, config)
        await self._standin.numbers.online(session.phone)
        return KEYS

    def scan(self, phone: str, shown: Pairing) -> None:
        self.world.linking.scan(phone, qr=shown.qr)

    def file(self, content: bytes) -> str:
        return self._standin.files.put(content)

    def file_named(self, phone: str) -> str:
        return f"{self._standin.base}/api/files/{name(phone)}/a.jpg"

    @classmethod
    def feels(cls, fault: str) -> bool:
        return not FAULTS[fault].devices and fault not in _ALONE

    async def well(self, phone: str) -> None:
        await online(self._standin.numbers, phone, self.patience_s)

    def hurry(self, on: bool = True) -> None:
        self._standin.numbers.answer_s = HURRY_S if on else ANSWER_S

    async def link(self, number: Number, shown: LinkListener) -> bytes:
        return await self._hooked.link(self._hooked.named(number, KEYS), shown)


def name(phone: str) -> str:
    """What the gateway calls the session of a phone."""
    return f"shop-{phone[1:]}"


@asynccontextmanager
async def on_a_standin() -> AsyncGenerator[Subject]:
    world = World(seed=1, manners=QUICK)

    async def connect() -> Wire:
        return Local(world)

    def settings(phone: str) -> Mapping[str, object]:
        return {"gateway": {"url": base, "session": name(phone)}}

    standin = Standin(connect, api_key="a-key", answer_s=ANSWER_S)
    async with (
        listening(standin) as base,
        place(lambda: hooked) as hooks,
        Gateway(hook=hooks + "/hooks/gateway/{account}", answer_s=2 * ANSWER_S, open_s=2.0, look_s=0.02) as transport,
    ):
        hooked = Hooked(transport, settings)
        yield GatewaySubject(world, hooked, standin, hooks)
