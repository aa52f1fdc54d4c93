"""5,000 messages over 20 accounts at Twilio and Meta, through their stand-ins: none lost, none twice, few throttled.

The stand-ins enforce the providers' rules: messages a second for each number, messages to one person, the customer's
24 hours. Customers write first, so that they may be answered.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.figures import Figure
from benchmarks.place import NETWORK_IS, Node, Place, cpu, open_place, until
from wafleet.domain.ids import AccountId, new_id
from wafleet.engine.secrets import load_or_create_key, open_secrets
from wafleet.simulator.client import connect_folder
from wafleet.simulator.standins.meta import api as meta_api
from wafleet.simulator.standins.meta.service import Meta
from wafleet.simulator.standins.twilio import api as twilio_api
from wafleet.simulator.standins.twilio.service import Twilio

ACCOUNTS, TALKS = 20, 10
AT_ONCE: Final = 40  # callers that queue; each keeps to its conversations, so that their order is known
SID: Final = "AC" + "1" * 32
TOKEN: Final = "a token of a benchmark"
PART: Final = 500  # messages that are queued by one order
SPENDERS: Final = ("wafleet", "PostgreSQL", "stand-ins", "network")
PER_S: Final = 80.0  # what a stand-in takes of one number in a second
MOST_THROTTLED: Final = 1.0  # per cent of the answers
LIMIT_S: Final = 300.0
LOOK_S: Final = 0.2  # counting costs what is measured here


@dataclass(frozen=True, slots=True)
class Stood:
    """Both stand-ins, and where they answer."""

    twilio: Twilio
    meta: Meta
    twilio_url: str
    meta_url: str


async def measure(*, quick: bool) -> list[Figure]:
    """Send them all, and compare what the network, the stand-ins and the database counted."""
    total = 1_000 if quick else 5_000
    async with open_place() as place, _stood(place) as stood:
        public = f"http://127.0.0.1:{_free_port()}"
        place.settings |= {"WAFLEET_PORT": public.rpartition(":")[2], "WAFLEET_PUBLIC_URL": public}
        accounts = await _seed(place, stood, public)
        async with place.node() as node:
            await _subscribed(stood, accounts, public)
            await until(place.online, lambda n: n == ACCOUNTS)
            heard = await _written(place, stood)
            began, before = time.perf_counter(), _spent(place, node)
            what = {"tenant": str(place.tenant), "accounts": [str(id) for id, _, _ in accounts], "talks": TALKS}
            for start in range(0, total, PART):
                await node.do("queue", **what, start=start, total=PART, at_once=AT_ONCE)
            queued = time.perf_counter() - began
            await until(_settled(place), lambda n: n >= total, limit_s=LIMIT_S)
            took = time.perf_counter() - began
            spent = [after - one for after, one in zip(_spent(place, node), before, strict=True)]
            notes = await _ledger(place, total)
    tallies = (stood.twilio.tally, stood.meta.tally)
    answers = sum(one.accepted + sum(one.errors.values()) for one in tallies)
    throttled = sum(one.throttled for one in tallies)
    return [
        Figure(
            name="sent through providers",
            value=total / took,
            unit="msg/s",
            limit=ACCOUNTS * PER_S,
            least=True,
            limit_is=f"what the stand-ins let through: {PER_S:.0f}/s of each number; a lane uses 90 % of that",
            notes=[
                f"{total:,} messages, {ACCOUNTS} accounts, half at Twilio and half at Meta, until each was delivered",
                f"queued within {queued:.1f} s by {AT_ONCE} callers",
                "CPU per message: "
                + ", ".join(f"{who} {s / total * 1000:.1f} ms" for who, s in zip(SPENDERS, spent, strict=True)),
                f"{heard} messages of customers came in by webhook before",
                *notes,
                NETWORK_IS,
            ],
        ),
        Figure(
            name="throttled by providers",
            value=throttled / answers * 100,
            unit="% of answers",
            target=MOST_THROTTLED,
            notes=[f"{throttled} of {answers:,}"],
        ),
    ]


@asynccontextmanager
async def _stood(place: Place) -> AsyncGenerator[Stood]:
    connect = partial(connect_folder, place.folder / "simulator")
    twilio = Twilio(connect, account_sid=SID, auth_token=TOKEN)
    meta = Meta(connect, access_token=TOKEN, app_secret=TOKEN, verify_token=TOKEN)
    async with twilio_api.listening(twilio) as twilio_url, meta_api.listening(meta) as meta_url:
        yield Stood(twilio, meta, twilio_url, meta_url)


async def _seed(place: Place, stood: Stood, public: str) -> list[tuple[AccountId, str, str]]:
    """Add accounts (id, transport, phone), and their numbers at the providers."""
    secrets = await open_secrets(place.db, load_or_create_key(place.folder))
    keys = {
        "twilio": {"accountSid": SID, "authToken": TOKEN},
        "meta": {"accessToken": TOKEN, "appSecret": TOKEN, "verifyToken": TOKEN},
    }
    accounts: list[tuple[AccountId, str, str]] = []
    for nr in range(ACCOUNTS):
        id, kind, phone = AccountId(new_id()), ("twilio", "meta")[nr % 2], f"+9665{nr:08d}"
        if kind == "twilio":
            stood.twilio.add(phone, webhook={"callback_url": f"{public}/hooks/twilio/{id}"})
            own = {"url": stood.twilio_url}
        else:
            own = {"url": f"{stood.meta_url}/v23.0", "phone_number_id": stood.meta.add(phone).id}
        accounts.append((id, kind, phone))
        async with place.db.fleet_tx() as tx:
            await tx.run(
                """
                insert into accounts (id, tenant_id, name, phone, transport, state, reason, credentials, settings)
                values (%(id)s, %(tenant)s, %(phone)s, %(phone)s, %(kind)s, 'offline', 'starting', %(keys)s,
                        jsonb_build_object(%(kind)s::text, %(own)s::jsonb))
                """,
                id=id,
                tenant=place.tenant,
                phone=phone,
                kind=kind,
                keys=secrets.encrypt(json.dumps(keys[kind]).encode(), about=id.bytes),
                own=json.dumps(own),
            )
    return accounts


async def _subscribed(stood: Stood, accounts: Sequence[tuple[AccountId, str, str]], public: str) -> None:
    for id, kind, phone in accounts:
        if kind == "meta":
            assert await stood.meta.subscribe(f"{public}/hooks/meta/{id}", TOKEN, stood.meta.add(phone))


async def _written(place: Place, stood: Stood) -> int:
    """Let every customer write to every number, and return once all of it is stored."""
    phones = [*stood.twilio.senders, *(one.phone for one in stood.meta.phones.values())]
    for nr in range(TALKS):
        await asyncio.gather(*(place.control.say(f"+44770{nr:07d}", phone, "Is a table free?") for phone in phones))
    wanted = len(phones) * TALKS

    async def stored() -> int:
        return await place.count("select count(*) from messages where direction = 'in'")

    return await until(stored, lambda n: n >= wanted)


def _spent(place: Place, node: Node) -> list[float]:
    """Return the CPU seconds that each of SPENDERS has used; the stand-ins are in this process."""
    return [cpu(node.process), place.postgres_cpu(), time.process_time(), cpu(place.simulator)]


def _settled(place: Place) -> Callable[[], Awaitable[int]]:
    async def settled() -> int:
        await asyncio.sleep(LOOK_S)
        return await place.count(
            "select count(*) from outbox where state in ('delivered', 'read', 'failed', 'unknown')"
        )

    return settled


async def _ledger(place: Place, total: int) -> list[str]:
    lines = await place.control.ledger()
    sent, twice, disorder = (sum(getattr(one, x) for one in lines) for x in ("sent", "sent_twice", "out_of_order"))
    stored = await place.count("select count(*) from outbox where state = 'delivered'")
    if (sent, twice, stored) != (total, 0, total):
        raise AssertionError(f"{total} queued, {sent} sent, {twice} twice, {stored} delivered")
    return [f"the network's ledger: {sent:,} sent, 0 twice, {disorder} out of order, 0 lost"]


def _free_port() -> int:
    """Signed addresses name the port, so it must be known before wafleet starts."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
