"""Accounts on the simulator's network, over its local protocol or in this process."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import msgspec

from wafleet.domain.ids import MessageId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import KINDS, Content, Sending, Text, Unsupported, about, naming
from wafleet.simulator import frames
from wafleet.simulator.client import connect_folder
from wafleet.simulator.clock import from_now
from wafleet.simulator.local import Local
from wafleet.simulator.wire import Channel, Gone, NoAnswer, Refusal, Wire
from wafleet.simulator.world import World
from wafleet.transports.base import (
    Capabilities,
    Doubt,
    Found,
    LinkListener,
    Listener,
    MaybeSent,
    NotSent,
    Number,
    OpenError,
    Outgoing,
    Pairing,
    Refused,
    RefusedContent,
    RefusedRecipient,
    SendError,
    Session,
    Throttled,
)

Connect = Callable[[], Awaitable[Wire]]

_STATES: Final = {frames.SENT: Sending.SENT, frames.DELIVERED: Sending.DELIVERED, frames.READ: Sending.READ}
_REFUSED: Final[Mapping[str, type[SendError]]] = {
    "reach_out_lock": RefusedRecipient,
    "not_on_whatsapp": RefusedRecipient,
    "too_long": RefusedContent,
    "refused": Refused,
}
_LINK_S: Final = 600.0  # the network ends an attempt long before
_PING_S: Final = 60.0  # so that a ping nobody waits for does not stay; the caller's limit is shorter
_BACKOFF_S: Final = (0.1, 5.0)  # between attempts to reach the simulator


class Simulated:
    """Speak for accounts of the simulator's network. All of them share one connection, opened when first needed.

    connect   opens a connection; called again after one is lost
    answer_s  a send without an answer for this long may have been sent
    open_s    a session that is not open by then is given up
    """

    capabilities = Capabilities(
        contents=KINDS - {"unsupported", "choice"},
        linking=frozenset({"qr", "code"}),
        finds_messages=True,
        window=16,
    )

    def __init__(self, connect: Connect, *, answer_s: float = 5.0, open_s: float = 20.0) -> None:
        self._shared = _Shared(connect)
        self._answer_s, self._open_s = answer_s, open_s

    @classmethod
    def at(cls, folder: Path, *, answer_s: float = 5.0, open_s: float = 20.0) -> Self:
        """Use the simulator's process whose folder this is, wherever it listens by then."""
        return cls(lambda: connect_folder(folder), answer_s=answer_s, open_s=open_s)

    @classmethod
    def within(cls, world: World, *, answer_s: float = 5.0, open_s: float = 20.0) -> Self:
        """Use a world in this process."""

        async def connect() -> Wire:
            return Local(world)

        return cls(connect, answer_s=answer_s, open_s=open_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> Session:
        """Open the account's session. Raises OpenError only."""
        wire = await self._shared.wire()
        with _named():
            channel = await wire.login(number.phone, credentials, _Hears(listener), self._open_s)
        return _Session(channel, self._answer_s)

    async def link(self, number: Number, shown: LinkListener) -> bytes:
        """Link a phone; the network shows a new code every 20 seconds until one is scanned. Raises OpenError."""
        wire = await self._shared.wire()
        with _named():
            return await wire.link(number.phone, lambda s: shown.pairing(_pairing(s)), _LINK_S)

    async def unlink(self, number: Number, credentials: bytes) -> None:
        """Remove this device from the phone's list. Raises OpenError."""
        wire = await self._shared.wire()
        with _named():
            await wire.unlink(number.phone, credentials, self._open_s)

    async def close(self) -> None:
        """Close the connection; every session on it ends."""
        await self._shared.close()


@contextmanager
def _named() -> Generator[None, None, None]:
    """Name what went wrong while opening or linking by the codes of `domain.account.REASONS`."""
    try:
        yield
    except Refusal as e:
        raise OpenError(_reason(e.reason, e.wait), e.detail, _until(e.wait)) from e
    except NoAnswer as e:
        raise OpenError("connect_timeout", str(e)) from e
    except Gone as e:
        raise OpenError("network", str(e)) from e


class _Shared:
    """The one connection of this node, opened when needed and opened again after it was lost."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._wire: Wire | None = None
        self._opening: asyncio.Task[Wire] | None = None
        self._pause_s, self._not_before, self._failure = 0.0, 0.0, ""

    async def wire(self) -> Wire:
        """Return the connection. Raises OpenError when there is none, at once where one has just failed."""
        if self._wire is not None and self._wire.alive:
            return self._wire
        if self._opening is None:
            now = asyncio.get_running_loop().time()
            if now < self._not_before:
                raise OpenError("network", self._failure, _until(self._not_before - now))
            self._opening = asyncio.create_task(self._open(), name="simulator connection")
            self._opening.add_done_callback(_looked_at)
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._wire is not None:
            await self._wire.close()

    async def _open(self) -> Wire:
        try:
            self._wire = await self._connect()
        except (OSError, TimeoutError) as e:
            self._pause_s = min(max(self._pause_s * 2, _BACKOFF_S[0]), _BACKOFF_S[1])
            self._not_before, self._failure = asyncio.get_running_loop().time() + self._pause_s, str(e)
            raise OpenError("network", str(e), _until(self._pause_s)) from e
        else:
            self._pause_s = 0.0
            return self._wire
        finally:
            self._opening = None


def _looked_at(opening: "asyncio.Task[Wire]") -> None:
    """Whoever asked may have given up by now; a failure nobody waits for is no news."""
    if not opening.cancelled():
        opening.exception()


class _Session:
    """One account's live session."""

    __slots__ = ("_answer_s", "_channel")

    def __init__(self, channel: Channel, answer_s: float) -> None:
        self._channel, self._answer_s = channel, answer_s

    async def send(self, out: Outgoing) -> str:
        """Hand one message to the network; return its name for it. Raises SendError only."""
        text, body = _written(out)
        try:
            return await self._channel.send(out.id.bytes, out.to, text, body, self._answer_s)
        except (Gone, NoAnswer, Refusal) as e:
            raise _send_error(e) from e

    async def find(self, messages: Sequence[Doubt]) -> Mapping[MessageId, Found | None]:
        """Ask what became of messages; one that is left out, the network cannot tell. Raises SendError."""
        try:
            answer = await self._channel.find([one.id.bytes for one in messages], self._answer_s)
        except (Gone, NoAnswer, Refusal) as e:
            raise NotSent("network", str(e)) from e
        found: dict[MessageId, Found | None] = {_message(ref): None for ref in answer.absent}
        found.update({_message(ref): Found(id, _STATES[state]) for ref, id, state in answer.known})
        return found

    async def ping(self) -> None:
        """Return when the network answers. Raises ConnectionError."""
        try:
            await self._channel.ping(_PING_S)
        except (Refusal, NoAnswer) as e:
            raise ConnectionError(str(e)) from e

    def acknowledge(self, provider_ids: Sequence[str]) -> None:
        """Tell the network that these messages are stored."""
        self._channel.acknowledge(provider_ids)

    async def close(self) -> None:
        """End the session; the account stays linked."""
        self._channel.leave()


class _Hears:
    """Tell a listener, in wafleet's words, what the network says."""

    __slots__ = ("_listener",)

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def said(self, said: frames.Said) -> None:
        content, raw = _read(said.text, said.body)
        self._listener.received(
            Inbound(
                provider_id=said.id,
                identity=said.sender,
                name=said.name,
                content=naming(content, "") if about(content) else content,
                about=about(content),
                at=datetime.fromtimestamp(said.at, UTC),
                raw=raw,
            )
        )

    def receipt(self, receipt: frames.Receipt) -> None:
        self._listener.receipt(
            Receipt(
                state=_STATES[receipt.state],
                at=datetime.fromtimestamp(receipt.at, UTC),
                provider_id=receipt.id,
                message=_message(receipt.ref),
            )
        )

    def secret(self, credentials: bytes) -> None:
        self._listener.credentials(credentials)

    def closed(self, reason: str, detail: str, wait: float) -> None:
        self._listener.closed(_reason(reason, wait), detail, _until(wait))


def _message(ref: bytes) -> MessageId:
    return MessageId(UUID(bytes=ref))


def _until(wait: float) -> datetime | None:
    return datetime.fromtimestamp(from_now(wait), UTC) if wait > 0 else None


def _reason(reason: str, wait: float) -> str:
    return "banned_for_good" if reason == "banned" and wait <= 0 else reason


def _pairing(shown: frames.Shown) -> Pairing:
    return Pairing(shown.qr, shown.code, _until(shown.seconds))


def _send_error(error: Gone | NoAnswer | Refusal) -> SendError:
    match error:
        case Gone():
            return MaybeSent("network", str(error)) if error.written else NotSent("network", str(error))
        case NoAnswer():
            return MaybeSent("no_answer", str(error))
        case Refusal(reason="throttled"):
            return Throttled("throttled", error.detail, retry_after=timedelta(seconds=error.wait or 1.0))
        case Refusal():
            return _REFUSED.get(error.reason, NotSent)(error.reason, error.detail)


def _written(out: Outgoing) -> tuple[str, dict[str, Any] | None]:
    """Write a message as it crosses: earlier ones under the network's names, files under their ids alone."""
    content = out.content if out.about is None else naming(out.content, out.about.provider_id)
    if type(content) is Text:
        return content.text, msgspec.to_builtins(content) if content.reply_to else None
    return "", msgspec.to_builtins(content)


def _read(text: str, body: dict[str, Any] | None) -> tuple[Content, dict[str, Any] | None]:
    if body is None:
        return Text(text), None
    try:
        return msgspec.convert(body, Content), None
    except msgspec.ValidationError:
        return Unsupported(body), body
