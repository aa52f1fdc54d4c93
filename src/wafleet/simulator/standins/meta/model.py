"""What a stand-in of Meta's Cloud API remembers: numbers, templates, and what was sent and received."""

import hashlib
import os
import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from wafleet.simulator.standins.diary import Diary

_MOST: Final = 200_000  # messages remembered in each direction; older ones are forgotten first
_BLANK: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Number(msgspec.Struct, kw_only=True):
    """One business phone number."""

    id: str
    phone: str
    name: str
    quality: str = "GREEN"
    tier: str = "TIER_10K"
    status: str = "CONNECTED"
    webhook: str = ""  # its own, in place of the business account's

    @property
    def shown_phone(self) -> str:
        return self.phone.removeprefix("+")

    def shown(self) -> dict[str, Any]:
        """Return the number as the API has it."""
        return {
            "verified_name": self.name,
            "code_verification_status": "VERIFIED",
            "display_phone_number": self.phone,
            "quality_rating": self.quality,
            "platform_type": "CLOUD_API",
            "throughput": {"level": "STANDARD"},
            "status": self.status,
            "name_status": "APPROVED",
            "account_mode": "LIVE",
            "messaging_limit_tier": self.tier,
            "whatsapp_business_manager_messaging_limit": self.tier,
            "webhook_configuration": {"application": self.webhook},
            "id": self.id,
        }


class Template(msgspec.Struct, kw_only=True):
    """A template of a business account; here each is approved at once."""

    id: str
    name: str
    language: str
    category: str
    components: list[dict[str, Any]]
    status: str = "APPROVED"

    def shown(self) -> dict[str, Any]:
        """Return the template as the API has it."""
        return msgspec.to_builtins(self) | {"parameter_format": "POSITIONAL"}

    def text(self) -> str:
        """Return its body, with its blanks."""
        return next((str(c.get("text", "")) for c in self.components if str(c.get("type")).upper() == "BODY"), "")

    def blanks(self) -> list[str]:
        """List the blanks of its body, each once."""
        return list(dict.fromkeys(_BLANK.findall(self.text())))

    def filled(self, given: dict[str, str]) -> str:
        """Return its body with the blanks filled in."""
        return _BLANK.sub(lambda blank: given.get(blank[1], blank[0]), self.text())


class Sent(msgspec.Struct, kw_only=True):
    """One message of a business."""

    wamid: str
    phone: str
    to: str
    data: str  # what the business wants to hear again with each status
    offered: str = ""  # "buttons" or "choices", where it offers answers
    world: str = ""
    ref: bytes = b""  # the name under which it was handed to the network


class Got(msgspec.Struct, kw_only=True):
    """One message of a customer."""

    wamid: str
    phone: str
    customer: str
    world: str
    at: float  # when it was told first
    read: bool = False


class Book:
    """What was sent and received, by Meta's names, the world's, and our refs.

    folder  where it is kept beyond the end of this process; None: nowhere
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._sent: dict[str, Sent] = {}
        self._refs: dict[bytes, str] = {}
        self._got: dict[str, Got] = {}
        self._worlds: dict[str, str] = {}
        self._people: dict[str, str] = {}  # phones of customers, by the id that Meta gives them
        self._told = Diary(folder / "meta-sent.jsonl" if folder else None, Sent)
        self._heard = Diary(folder / "meta-received.jsonl" if folder else None, Got)
        for sent in self._told.read():
            self._sent[sent.wamid], self._refs[sent.ref] = sent, sent.wamid
            self._worlds[sent.world] = sent.wamid
        for got in self._heard.read():
            self._got[got.wamid], self._worlds[got.world] = got, got.wamid
            self.met(got.customer)

    @property
    def received(self) -> Iterator[Got]:
        """What customers wrote, oldest first."""
        return iter(list(self._got.values()))

    def close(self) -> None:
        """Let the files go."""
        self._told.close()
        self._heard.close()

    def met(self, phone: str) -> None:
        """Remember a customer, who may be written to by the id that Meta gives them."""
        self._people[bsuid(phone)] = phone

    def phone_of(self, bsuid: str) -> str:
        """Return the phone of a customer; empty when nobody has this id."""
        return self._people.get(bsuid, "")

    def send(self, sent: Sent, ref: bytes) -> None:
        sent.ref = ref
        self._sent[sent.wamid], self._refs[ref] = sent, sent.wamid
        self._told.note(sent.wamid, sent)
        if len(self._sent) > _MOST:
            self._worlds.pop(self._sent.pop(next(iter(self._sent))).world, None)
            self._refs.pop(next(iter(self._refs)))

    def called(self, sent: Sent, world: str) -> None:
        """Remember what the network calls a message."""
        if sent.world == world:
            return
        sent.world = world
        self._worlds[world] = sent.wamid
        self._told.note(sent.wamid, sent)

    def receive(self, got: Got) -> None:
        self._got[got.wamid], self._worlds[got.world] = got, got.wamid
        self._heard.note(got.wamid, got)
        if len(self._got) > _MOST:
            self._worlds.pop(self._got.pop(next(iter(self._got))).world, None)

    def sent(self, wamid: str) -> Sent | None:
        return self._sent.get(wamid)

    def by_ref(self, ref: bytes) -> Sent | None:
        return self._sent.get(self._refs.get(ref, ""))

    def got(self, wamid: str) -> Got | None:
        return self._got.get(wamid)

    def wamid_of(self, world: str) -> str:
        """Return Meta's name of a message that the network calls so; empty when it is unknown."""
        return self._worlds.get(world, "")

    def world_of(self, wamid: str) -> str:
        """Return the network's name of a message; empty when it is unknown."""
        found = self._sent.get(wamid) or self._got.get(wamid)
        return found.world if found else ""


class Templates:
    """The templates of a business account."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, str], Template] = {}
        hello = [{"type": "BODY", "text": "Welcome and congratulations! This message shows that you can send."}]
        self.add("hello_world", "en_US", "UTILITY", hello)

    def add(self, name: str, language: str, category: str, components: list[dict[str, Any]]) -> Template:
        """Take a template; one of its name and language is replaced."""
        id = str(int(hashlib.md5(f"{name} {language}".encode(), usedforsecurity=False).hexdigest()[:12], 16))
        template = Template(id=id, name=name, language=language, category=category, components=components)
        self._templates[name, language] = template
        return template

    def get(self, name: str, language: str) -> Template | None:
        return self._templates.get((name, language))

    def remove(self, name: str) -> bool:
        """Remove a template in all its languages; False when there is none."""
        gone = [key for key in self._templates if key[0] == name]
        for key in gone:
            del self._templates[key]
        return bool(gone)

    def __iter__(self) -> Iterator[Template]:
        return iter(list(self._templates.values()))


def number_id(phone: str) -> str:
    """Return the id that Meta gives a number: always the same for the same phone."""
    return "1" + str(int(hashlib.md5(phone.encode(), usedforsecurity=False).hexdigest()[:12], 16)).zfill(14)[:14]


def bsuid(phone: str) -> str:
    """Return the id that Meta gives a customer for this business: always the same for the same phone."""
    return "US." + str(int(hashlib.md5(f"customer {phone}".encode(), usedforsecurity=False).hexdigest()[:15], 16))


def new_ref(at: float) -> bytes:
    """Make a name for a message: 16 bytes that grow with time."""
    return int(at * 1000).to_bytes(6) + os.urandom(10)


def wamid(customer: str, name: str, *, inbound: bool) -> str:
    """Return Meta's name of a message: it holds the customer's number and the message's name within WhatsApp."""
    digits, plain = customer.removeprefix("+").encode(), name.encode()
    kind = b"\x12" if inbound else b"\x11"
    packed = b"\x1c\x18" + bytes([len(digits)]) + digits + b"\x15\x02\x00" + kind + b"\x18" + bytes([len(plain)])
    return "wamid." + b64encode(packed + plain + b"\x00").decode()
