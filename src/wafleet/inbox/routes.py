"""Conversations, messages and the ledger over HTTP."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, Field

from wafleet.domain.errors import Invalid
from wafleet.domain.message import Direction
from wafleet.engine.db import Db
from wafleet.engine.web import Body, Cursor, Limit, Page
from wafleet.inbox.conversations import NONE, Change, Conversations, Narrow, Seen
from wafleet.inbox.ledger import Ledger, Ledgers
from wafleet.inbox.model import Conversation, Message, Standing, Statistics, Where
from wafleet.inbox.search import Messages, Wanted
from wafleet.tenants import Auth, Caller, Scope

Account = Annotated[UUID | None, Query(description="only this account's")]
Words = Annotated[str | None, Query(min_length=1, max_length=500)]
Assigned = Annotated[
    str | None, Query(description="a user's id, or `nobody`", pattern="^(nobody|[0-9a-fA-F-]{36})$", max_length=36)
]


class ChangeBody(Body):
    """What to change; what is left out stays as it is."""

    state: Standing | None = None
    assigned_to: UUID | None = Field(None, description="a user of this tenant; null: nobody")
    note: str | None = Field(None, max_length=4000)

    def change(self) -> Change:
        return Change(
            state=self.state,
            assigned_to=self.assigned_to,
            unassign="assigned_to" in self.model_fields_set and self.assigned_to is None,
            note=self.note,
        )


class ReadBody(Body):
    """Up to which message a conversation was read."""

    up_to: UUID | None = Field(None, description="the last message that was read; without it all count as read")


def router(db: Db, auth: Auth, *, seen: Seen | None = None, windows: Mapping[str, timedelta] = NONE) -> APIRouter:
    """Return the routes of the inbox.

    seen     tells customers what was read
    windows  how long after a customer's message anything may be sent, for transports that limit it
    """
    routes = APIRouter()
    conversations, messages = Conversations(db, seen=seen, windows=windows), Messages(db)
    _conversations(routes, conversations, messages, auth)
    _changes(routes, conversations, auth)
    _messages(routes, messages, auth)
    _ledger(routes, Ledgers(db), auth)
    return routes


def _conversations(routes: APIRouter, conversations: Conversations, messages: Messages, auth: Auth) -> None:
    @routes.get("/conversations", tags=["conversations"])
    async def list_conversations(
        caller: Annotated[Caller, Depends(auth.may(Scope.READ))],
        account: Account = None,
        state: Standing | None = None,
        unread: bool | None = None,
        assigned_to: Assigned = None,
        q: Words = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Page[Conversation]:
        """List conversations, the one with the newest message first. `q` looks in name, phone and newest words."""
        user, assigned = _assigned(assigned_to)
        narrow = Narrow(account=account, state=state, unread=unread, assigned_to=user, assigned=assigned, q=q)
        return await conversations.list(caller, narrow, cursor=cursor, limit=limit)

    @routes.get("/conversations/statistics", tags=["conversations"])
    async def conversation_statistics(
        caller: Annotated[Caller, Depends(auth.may(Scope.READ))], account: Account = None
    ) -> Statistics:
        """Count conversations by where they stand."""
        return await conversations.statistics(caller, account=account)

    @routes.get("/conversations/{conversation}", tags=["conversations"])
    async def get_conversation(
        conversation: UUID, caller: Annotated[Caller, Depends(auth.may(Scope.READ))]
    ) -> Conversation:
        """Return one conversation."""
        return await conversations.get(caller, conversation)

    @routes.get("/conversations/{conversation}/messages", tags=["conversations"])
    async def list_conversation_messages(
        conversation: UUID,
        caller: Annotated[Caller, Depends(auth.may(Scope.READ))],
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Page[Message]:
        """List one conversation's messages in both directions, newest first."""
        return await messages.of(caller, conversation, cursor=cursor, limit=limit)


def _changes(routes: APIRouter, conversations: Conversations, auth: Auth) -> None:
    @routes.patch("/conversations/{conversation}", tags=["conversations"])
    async def change_conversation(
        conversation: UUID, body: ChangeBody, caller: Annotated[Caller, Depends(auth.may(Scope.SEND))]
    ) -> Conversation:
        """Close or open a conversation, give it to somebody, write a note."""
        return await conversations.change(caller, conversation, body.change())

    @routes.post("/conversations/{conversation}/read", tags=["conversations"])
    async def read_conversation(
        conversation: UUID, caller: Annotated[Caller, Depends(auth.may(Scope.SEND))], body: ReadBody | None = None
    ) -> Conversation:
        """Count a conversation's messages as read, all or up to one of them."""
        return await conversations.read(caller, conversation, up_to=body.up_to if body else None)


def _messages(routes: APIRouter, messages: Messages, auth: Auth) -> None:
    @routes.get("/messages", tags=["messages"])
    async def list_messages(
        caller: Annotated[Caller, Depends(auth.may(Scope.READ))],
        account: Account = None,
        conversation: UUID | None = None,
        direction: Direction | None = None,
        state: Where | None = None,
        since: Annotated[AwareDatetime | None, Query(description="stored at or after")] = None,
        until: Annotated[AwareDatetime | None, Query(description="stored before")] = None,
        q: Words = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Page[Message]:
        """List messages, newest first. `q` searches their words: "quotes" for a phrase, -word for without, or."""
        wanted = Wanted(
            account=account,
            conversation=conversation,
            direction=direction,
            state=state,
            since=since,
            until=until,
            q=q,
        )
        return await messages.list(caller, wanted, cursor=cursor, limit=limit)

    @routes.get("/messages/{message}", tags=["messages"])
    async def get_message(message: UUID, caller: Annotated[Caller, Depends(auth.may(Scope.READ))]) -> Message:
        """Return one message with all that is known of its way."""
        return await messages.get(caller, message)


def _ledger(routes: APIRouter, ledgers: Ledgers, auth: Auth) -> None:
    @routes.get("/ledger", tags=["ledger"])
    async def get_ledger(
        caller: Annotated[Caller, Depends(auth.may(Scope.READ))],
        day: Annotated[date | None, Query(description="one day, UTC; today where no day is named")] = None,
        first: Annotated[date | None, Query(alias="from", description="the first of several days")] = None,
        last: Annotated[date | None, Query(alias="to", description="the last of several days")] = None,
        account: Account = None,
    ) -> Ledger:
        """Prove that received = stored = handled, and that all that was queued is accounted for."""
        first, last = _days(day, first, last)
        return await ledgers.draw(caller, first=first, last=last, account=account)


def _assigned(written: str | None) -> tuple[UUID | None, bool | None]:
    if written is None or written == "nobody":
        return None, None if written is None else False
    try:
        return UUID(written), None
    except ValueError:
        raise Invalid("assigned_to", "Give a user's id, or nobody") from None


def _days(day: date | None, first: date | None, last: date | None) -> tuple[date | None, date | None]:
    if day is not None and (first is not None or last is not None):
        raise Invalid("day", "Give either day, or from and to")
    if first is None and last is not None:
        raise Invalid("from", "Say from which day")
    return (day, day) if day is not None else (first, last)
