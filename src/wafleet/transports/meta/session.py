"""One number on the Cloud API: it sends and asks over HTTP; what customers say comes through the webhook instead."""

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from wafleet.domain.ids import MessageId
from wafleet.domain.message import Media, Template, media
from wafleet.transports import web
from wafleet.transports.base import (
    Found,
    Listener,
    MaybeSent,
    NotSent,
    Outgoing,
    Refused,
    RefusedContent,
    RefusedRecipient,
)
from wafleet.transports.meta.errors import ERRORS, PROVIDER, told
from wafleet.transports.meta.files import Handed, Key
from wafleet.transports.meta.graph import Graph
from wafleet.transports.meta.settings import Own
from wafleet.transports.meta.templates import Templates
from wafleet.transports.meta.writing import Unwritable, reading, write
from wafleet.transports.remedies import Patience, http_errors, ping_errors


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a node have in common."""

    handed: Handed = field(default_factory=Handed)
    templates: Templates = field(default_factory=Templates)


class MetaSession:
    """One account that may send. It costs nothing while nothing is sent. Made by `Meta.open`."""

    __slots__ = ("__weakref__", "_contact", "_graph", "_listener", "_over", "_own", "_patience", "_shared")

    def __init__(self, graph: Graph, own: Own, listener: Listener, shared: Shared) -> None:
        self._graph, self._own, self._listener, self._shared = graph, own, listener, shared
        self._contact, self._patience, self._over = web.Contact(), Patience(), False

    async def send(self, out: Outgoing) -> str:
        """Hand one message to Meta; return Meta's name for it. Raises SendError only."""
        out = await self._in_its_language(out)
        file = media(out.content)
        if file is None:
            return await self._post(out, "")
        handed, before = await self._hand_over(out, file)
        try:
            return await self._post(out, handed)
        except RefusedContent:
            if not before:
                raise
        self._shared.handed.forget(self._key(file), handed)  # it may be gone at Meta, and nothing was sent
        return await self._post(out, (await self._hand_over(out, file))[0])

    async def find(self, messages: Sequence[object]) -> Mapping[MessageId, Found | None]:
        """Nothing: Meta cannot be asked. A receipt, which carries our id, settles what became of a message."""
        return {}

    async def ping(self) -> None:
        """Return when Meta answers, or did within the last ten minutes. Raises ConnectionError."""
        if self._over:
            raise ConnectionError("the session has ended")
        if self._contact.fresh:
            return
        with ping_errors(PROVIDER, table=ERRORS, read=told, account=self._trouble):
            await self._graph.get(self._own.number, fields="id")
        self._contact.made()

    def acknowledge(self, provider_ids: Sequence[str]) -> None:
        """Nothing: Meta's post was answered once everything in it was stored."""

    async def close(self) -> None:
        """End the session; nothing is sent through it any more."""
        self._over = True

    # --- asks

    async def typing(self, to: str, on: bool, *, newest: str = "") -> None:
        """Show a customer that somebody is writing, for 25 seconds or until the answer; their message counts as read.

        Meta wants the message that is being answered. Raises SendError; Refused for who never wrote.
        """
        if not on:
            return  # it ends by itself
        if not newest:
            raise Refused("unsupported", "typing can be shown only after a message of this customer has come")
        await self._tell(reading(newest, typing=True))

    async def read(self, identity: str, provider_ids: Sequence[str]) -> None:
        """Show a customer that these messages were read, and those before them. Raises SendError."""
        if provider_ids:
            await self._tell(reading(provider_ids[-1]))

    async def lookup(self, phones: Sequence[str]) -> Mapping[str, bool]:
        """Nothing: Meta tells nobody who is on WhatsApp."""
        return {}

    async def templates(self) -> list[dict[str, Any]]:
        """List the templates of this number's business account. Raises SendError."""
        if not self._own.business:
            raise Refused("unsupported", "set `meta.waba_id`: without it nobody knows whose templates to list")
        with self._named():
            return await self._shared.templates.all(self._graph, self._own.business)

    # --- the wire

    async def _in_its_language(self, out: Outgoing) -> Outgoing:
        """Fill in the language of a template that has one only: Meta wants it named."""
        said = out.content
        if not isinstance(said, Template) or said.language or not self._own.business:
            return out
        try:
            languages = [one["language"] for one in await self.templates() if one["name"] == said.name]
        except MaybeSent as error:
            raise NotSent("provider_away", f"its templates were not listed: {error.detail}") from error
        except Refused:  # the token may send without the right to list
            return out
        if not languages:
            return out
        return dataclasses.replace(out, content=msgspec.structs.replace(said, language=languages[0]))

    async def _post(self, out: Outgoing, file: str) -> str:
        letter = _written(out, file)
        if self._over:  # also while a file was on its way
            raise NotSent("network", "the session has ended")
        with self._named():
            answer = await self._graph.post(f"{self._own.number}/messages", letter)
            return web.text(web.objs(answer["messages"])[0]["id"])

    async def _tell(self, said: Mapping[str, Any]) -> None:
        with self._named():
            await self._graph.post(f"{self._own.number}/messages", said)

    async def _hand_over(self, out: Outgoing, file: Media) -> tuple[str, bool]:
        """Hand a file to Meta, once; return its id there, and whether it had it before.

        Whatever goes wrong here, the message itself was not sent.
        """

        async def upload() -> str:
            return await self._graph.upload(self._own.number, out.media, mime=file.mime, name=file.name)

        try:
            with self._named():
                return await self._shared.handed.id(self._key(file), upload)
        except MaybeSent as error:
            raise NotSent("provider_away", f"the file was not taken: {error.detail}") from error

    def _key(self, file: Media) -> Key:
        return self._own.number, file.id, file.mime

    @contextmanager
    def _named(self) -> Generator[None, None, None]:
        with http_errors(PROVIDER, table=ERRORS, read=told, patience=self._patience, account=self._trouble):
            yield
        self._contact.made()

    def _trouble(self, reason: str, detail: str) -> None:
        """End the session: nothing can go out until somebody acts, or Meta can be reached again."""
        if not self._over:
            self._over = True
            self._listener.closed(reason, detail)


def _written(out: Outgoing, file: str) -> dict[str, Any]:
    try:
        return write(out, file)
    except Unwritable as error:
        raise RefusedContent("unsupported", str(error)) from error
    except ValueError as error:
        raise RefusedRecipient("recipient_invalid", str(error)) from error
