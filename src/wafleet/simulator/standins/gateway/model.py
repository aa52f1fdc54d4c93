"""What a stand-in of a gateway remembers: its sessions and the messages of their chats."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

STOPPED, STARTING, SCAN, WORKING, FAILED = "STOPPED", "STARTING", "SCAN_QR_CODE", "WORKING", "FAILED"
PASSKEY: Final = "PASSKEY_REQUIRED"
PREFIX: Final = "3EB0"  # what WhatsApp's own ids begin with
ACKS: Final = {-1: "ERROR", 0: "PENDING", 1: "SERVER", 2: "DEVICE", 3: "READ", 4: "PLAYED"}
_MOST: Final = 20_000  # messages that are remembered


class Wrong(Exception):
    """A request that is refused, with the answer that says so."""

    def __init__(self, status: int, body: dict[str, Any], *, wait: float = 0.0) -> None:
        super().__init__(status)
        self.status, self.body, self.wait = status, body, wait


def wrong(status: int, words: str, error: str = "Bad Request") -> Wrong:
    """Refuse a request as the framework of WAHA does."""
    return Wrong(status, {"message": words, "error": error, "statusCode": status})


def broken(words: str) -> Wrong:
    """Refuse a request as WAHA does where its engine failed: the words of WhatsApp's server are inside."""
    inside = {"message": words, "name": "Error", "code": 2, "details": words.partition(": ")[2] or words}
    return Wrong(500, {"statusCode": 500, "exception": inside, "version": {"engine": "GOWS"}})


@dataclass(slots=True)
class Session:
    """One number of the gateway."""

    name: str
    phone: str  # empty until somebody says it: a gateway learns it from the phone that scans
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    status: str = STOPPED
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    credentials: bytes = b""
    qr: str = ""
    code: str = ""

    def shown(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        me = {"id": chat(self.phone), "pushName": self.phone} if self.status == WORKING else None
        shown = {"name": self.name, "status": self.status, "config": self.config, "me": me}
        return shown | {"engine": {"engine": "GOWS"}}


@dataclass(slots=True)
class Message:
    """One message of a chat, as the API shows it. It is listed once the network has it."""

    id: str
    session: str
    chat: str
    payload: dict[str, Any]
    crossed: bool = False


class Book:
    """The newest messages of all sessions."""

    def __init__(self) -> None:
        self._messages: OrderedDict[str, Message] = OrderedDict()

    def add(self, message: Message) -> None:
        self._messages[message.id] = message
        if len(self._messages) > _MOST:
            self._messages.popitem(last=False)

    def get(self, id: str) -> Message | None:
        return self._messages.get(id)

    def drop(self, id: str) -> None:
        self._messages.pop(id, None)

    def of(self, session: str, chat: str) -> Iterator[Message]:
        """List the messages of a chat, newest first."""
        for message in reversed(self._messages.values()):
            if message.session == session and message.chat == chat and message.crossed:
                yield message


def chat(phone: str) -> str:
    return f"{phone.removeprefix('+')}@c.us"


def phone_of(chat: object) -> str:
    """Return whom a chat is with. Raises Wrong."""
    user = str(chat or "").partition("@")[0]
    if not (user.isascii() and user.isdecimal()):
        raise wrong(400, "chatId must be a phone number followed by @c.us")
    return f"+{user}"


def own_id(id: object) -> str:
    """Return WhatsApp's own name of a message."""
    parts = str(id or "").split("_")
    return parts[2] if parts[0] in {"true", "false"} and len(parts) > 2 else parts[0]
