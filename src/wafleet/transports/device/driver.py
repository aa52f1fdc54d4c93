"""Ordinary WhatsApp numbers as linked devices: the transport, which can be made with or without its library."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from wafleet.clientlib import Unusable, find
from wafleet.config import DevicesSettings
from wafleet.domain.ids import AccountId
from wafleet.transports.base import (
    Capabilities,
    KeepsMedia,
    LinkListener,
    Listener,
    NotSent,
    Number,
    OpenError,
    Session,
)
from wafleet.transports.device.alive import PATIENCE_S
from wafleet.transports.device.files import InUse, Store, Unreadable, left
from wafleet.transports.device.worker.line import LARGEST_FILE

if TYPE_CHECKING:
    from wafleet.transports.device.accounts import Accounts

LACKS: Final[Mapping[str, str]] = {
    "passkey linking": "Phones that WhatsApp asks for a passkey cannot be linked: the library answers no such request.",
    "message ids of ours": "WhatsApp's name of a message is made by the library; ours is kept beside it in a journal "
    "before the message leaves.",
    "canary": "A message of an account to its own number does not come back to the device that sent it. A session "
    "that sends nothing is found out by receipts that stay away; one that hears nothing looks like a quiet one.",
    "reading the server's list": "WhatsApp cannot be asked what became of a message: the journal and receipts tell.",
    "groups, channels and status": "They are no conversations with customers; what comes from them is passed over.",
    "customers' typing and presence": "Nothing in wafleet uses them, and WhatsApp shows them only to those who are "
    "shown as online themselves.",
    "editing location, contacts and media": "WhatsApp lets words be changed: of a text, and below a file.",
    "calls": "The library tells of calls and cannot take them.",
    "the client's version": "It is compiled into the library: when WhatsApp refuses it, the library must be updated.",
}


class Device:
    """Speak for linked WhatsApp numbers, each run by a worker process of its own.

    folder      where the accounts' private stores are while they run
    keep_media  stores files that customers send
    kind        how to reach an emulator: "plain", or "tls" for the whole way with certificates and proxy
    patience_s  when this process stands still for so long, its workers end: below the time its leases hold
    """

    capabilities = Capabilities(
        contents=frozenset(
            {
                *("text", "location", "contact", "image", "video", "audio", "document", "sticker"),
                *("reaction", "edit", "deletion"),
            }
        ),
        linking=frozenset({"qr", "code"}),
        finds_messages=True,
        window=1,
        asks=frozenset({"typing", "read", "lookup"}),
        canary=False,  # a device gets no copy of what it sent itself
        exclusive=True,
        largest_file=LARGEST_FILE,
    )

    def __init__(
        self,
        *,
        folder: Path,
        settings: DevicesSettings,
        keep_media: KeepsMedia,
        kind: str = "plain",
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._folder, self._settings, self._keep_media, self._kind = folder, settings, keep_media, kind
        self._patience_s = patience_s
        self._accounts: Accounts | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> Session:
        """Open the account's session. Raises OpenError only."""
        return await (await self._ready()).open(number, credentials, listener)

    async def link(self, number: Number, shown: LinkListener) -> bytes:
        """Link a phone: QR codes and a pairing code are shown until it confirms. Raises OpenError."""
        return await (await self._ready()).link(number, shown)

    async def unlink(self, number: Number, credentials: bytes) -> None:
        """Remove this device from the phone's list. Raises OpenError."""
        await (await self._ready()).unlink(number, credentials)

    async def fetch(self, number: Number, credentials: bytes, reference: str) -> bytes:
        """Fetch a customer's file that could not be had when its message came. Raises SendError.

        Only the node that runs the account can; on another one it is tried again later.
        """
        session = self._accounts.session(number.id) if self._accounts is not None else None
        if session is None:
            raise NotSent("network", "the account is not connected on this node")
        return await session.fetch(reference)

    async def kept(self, account: AccountId, credentials: bytes) -> None:
        """Learn which credentials are stored, so that a folder that nobody needs beside them goes.

        It stays while it is in use, while a message waits in it, and where it holds more than they do. So it goes once
        they are the copy that was made of it last, or once another node has run the account since.
        """
        if self._accounts is not None:
            await self._accounts.kept(account, credentials)
        else:
            with suppress(InUse, Unreadable):
                await Store(self._folder, account).remove_if(credentials)

    def left(self) -> Collection[AccountId]:
        """Return the accounts that have a private store on this disk."""
        return left(self._folder)

    async def forget(self, account: AccountId) -> None:
        """Remove an account's private store, unless it is in use."""
        await Store(self._folder, account).forget_all()

    async def close(self) -> None:
        """End every session and every worker."""
        if self._accounts is not None:
            await self._accounts.close()

    async def _ready(self) -> "Accounts":
        if self._accounts is None:
            made = await asyncio.to_thread(_with_library)
            if self._accounts is None:
                self._accounts = made(
                    root=self._folder,
                    settings=self._settings,
                    keep_media=self._keep_media,
                    kind=self._kind,
                    patience_s=self._patience_s,
                )
                await self._accounts.sweep()
        return self._accounts


def _with_library() -> "type[Accounts]":
    try:
        find()
        from wafleet.transports.device.accounts import Accounts  # noqa: PLC0415 it needs the library, wafleet does not
    except (Unusable, ImportError) as error:
        raise OpenError("library_missing", str(error)) from error
    return Accounts
