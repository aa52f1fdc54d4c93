"""What a stand-in of Twilio remembers: messages, senders and contents, as its API shows them."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from wafleet.simulator.standins.diary import Diary

API: Final = "/2010-04-01"
_MOST: Final = 200_000  # messages remembered; older ones are forgotten first
RANK: Final = {"accepted": 0, "queued": 1, "sent": 2, "delivered": 3, "read": 4, "undelivered": 5, "failed": 5}


class File(msgspec.Struct):
    """A file of a message."""

    sid: str
    mime: str
    name: str  # in the stand-in's files


class Message(msgspec.Struct, kw_only=True):
    """One message in either direction."""

    sid: str
    account_sid: str
    direction: str
    from_: str  # whatsapp:+...
    to: str
    body: str
    status: str
    at: float
    service: str = ""
    callback: str = ""
    offered: str = ""  # "buttons" or "choices", where it offers answers
    world: str = ""  # the network's name for it
    updated: float = 0.0
    error: int = 0
    error_words: str = ""
    files: list[File] = []

    @property
    def uri(self) -> str:
        return f"{API}/Accounts/{self.account_sid}/Messages/{self.sid}"

    def shown(self) -> dict[str, Any]:
        """Return the resource as the API has it."""
        sent = None if self.status in {"queued", "accepted"} else _rfc2822(self.at)
        return {
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": _rfc2822(self.at),
            "date_sent": sent,
            "date_updated": _rfc2822(self.updated or self.at),
            "direction": self.direction,
            "error_code": self.error or None,
            "error_message": self.error_words or None,
            "from": self.from_,
            "messaging_service_sid": self.service or None,
            "num_media": str(len(self.files)),
            "num_segments": "1",
            "price": None,
            "price_unit": None,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{self.uri}/Media.json"},
            "to": self.to,
            "uri": f"{self.uri}.json",
        }

    def shown_file(self, file: File) -> dict[str, Any]:
        """Return one of its files as the API has it."""
        return {
            "account_sid": self.account_sid,
            "content_type": file.mime,
            "date_created": _rfc2822(self.at),
            "date_updated": _rfc2822(self.at),
            "parent_sid": self.sid,
            "sid": file.sid,
            "uri": f"{self.uri}/Media/{file.sid}.json",
        }


class Sender(msgspec.Struct, kw_only=True):
    """One WhatsApp number at Twilio."""

    sid: str
    phone: str
    status: str = "CREATING"
    quality: str = "HIGH"
    limit: str = "10K Customers/24hr"
    webhook: dict[str, Any] = {}
    configuration: dict[str, Any] = {}
    profile: dict[str, Any] = {}
    offline: list[dict[str, str]] = []

    def shown(self, base: str) -> dict[str, Any]:
        """Return the resource as the API has it."""
        return {
            "sid": self.sid,
            "status": self.status,
            "sender_id": f"whatsapp:{self.phone}",
            "configuration": self.configuration,
            "webhook": self.webhook,
            "profile": self.profile,
            "properties": {"quality_rating": self.quality, "messaging_limit": self.limit},
            "offline_reasons": self.offline or None,
            "compliance": None,
            "url": f"{base}/v2/Channels/Senders/{self.sid}",
        }


class Book:
    """The messages of an account, by sid and in order.

    path  where they are kept beyond the end of this process; None: nowhere
    """

    def __init__(self, path: Path | None = None) -> None:
        self._messages: dict[str, Message] = {}
        self._by_world: dict[str, str] = {}
        self.diary = Diary(path, Message)
        for message in self.diary.read():
            self._messages[message.sid] = message
            if message.world:
                self._by_world[message.world] = message.sid

    def __iter__(self) -> Iterator[Message]:
        return iter(list(self._messages.values()))

    def noted(self, message: Message) -> None:
        """Keep how a message is now."""
        self.diary.note(message.sid, message)

    def add(self, message: Message) -> None:
        self._messages[message.sid] = message
        self.noted(message)
        if len(self._messages) > _MOST:
            old = self._messages.pop(next(iter(self._messages)))
            self._by_world.pop(old.world, None)

    def called(self, message: Message, world: str) -> None:
        """Remember what the network calls a message."""
        if message.world == world:
            return
        message.world = world
        self._by_world[world] = message.sid
        self.noted(message)

    def remove(self, sid: str) -> None:
        message = self._messages.pop(sid, None)
        if message is not None:
            self.diary.note(sid, None)
            self._by_world.pop(message.world, None)

    def get(self, sid: str) -> Message | None:
        return self._messages.get(sid)

    def by_world(self, id: str) -> Message | None:
        return self._messages.get(self._by_world.get(id, ""))

    def newest(self, wanted: Mapping[str, str]) -> Iterator[Message]:
        """List messages, newest first, by the parameters of the API: To, From, DateSent and its comparisons."""
        for message in reversed(self._messages.values()):
            if wanted.get("To", message.to) != message.to or wanted.get("From", message.from_) != message.from_:
                continue
            if all(_within(name, wanted[name], message.at) for name in wanted if name.startswith("DateSent")):
                yield message


def _within(name: str, written: str, at: float) -> bool:
    """Compare a time with one of the DateSent parameters; a date without a time means the whole day."""
    moment = datetime.fromisoformat(written)
    start = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    length = 86_400.0 if len(written) == len("2026-01-31") else 1.0
    match name:
        case "DateSent>":
            return at >= start
        case "DateSent<":
            return at < start + length
        case _:
            return start <= at < start + length


def new_sid(prefix: str, at: float) -> tuple[str, bytes]:
    """Make a sid that was never given, and its 16 bytes, which grow with time."""
    raw = int(at * 1000).to_bytes(6) + os.urandom(10)
    return prefix + raw.hex(), raw


def sid_of(prefix: str, name: str) -> str:
    """Make the one sid that something of this name always has."""
    return prefix + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def phone_of(address: str) -> str:
    """Return the phone of an address such as whatsapp:+971501234567; empty when it is none of WhatsApp's."""
    return address.removeprefix("whatsapp:") if address.startswith("whatsapp:+") else ""


def _rfc2822(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC))
