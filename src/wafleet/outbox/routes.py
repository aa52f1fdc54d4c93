"""HTTP routes of the outbox."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Header
from pydantic import AwareDatetime, BaseModel, Field

from wafleet.domain.errors import Invalid
from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.message import Content, Priority, Sending, Text
from wafleet.engine.web import Body
from wafleet.outbox.contents import LONGEST
from wafleet.outbox.service import Answer, Outbox
from wafleet.tenants import Auth, Caller, Scope

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="The same key names the same message for a week, so that a request can safely be repeated.",
    ),
]


class MessageBody(Body):
    """A message to be sent: either `text`, or `content` for other kinds."""

    to: str = Field(
        max_length=64,
        description="phone in any usual spelling, or a conversation's `identity`",
        examples=["+447700900123"],
    )
    text: str | None = Field(None, max_length=LONGEST, examples=["Your table is ready."])
    content: dict[str, Any] | None = Field(
        None,
        description=(
            "`type` is text, image, video, audio, document, sticker, location, contact, buttons, choices, template, "
            "reaction, edit or deletion. `media` is the id of an uploaded file, `reply_to` and `message` are ids of "
            "messages of this conversation"
        ),
        examples=[{"type": "text", "text": "Hello"}],
    )
    priority: str = Field(
        "reply", pattern="^(reply|broadcast)$", description="replies of an account go before its broadcasts"
    )
    due_at: AwareDatetime | None = Field(None, description="not before this time; left out: now")


class AnyAccountBody(MessageBody):
    account: UUID | None = Field(None, description="which account speaks; left out: the one that knows this person")


class MessageAnswer(BaseModel):
    """The message is durable: follow its state."""

    id: UUID
    state: Sending
    account: UUID
    why: str = Field(description="why it is where it is, and which account speaks")


def router(outbox: Outbox, auth: Auth) -> APIRouter:
    """Build the routes of the outbox."""
    routes = APIRouter(tags=["messages"])
    sender = auth.may(Scope.SEND)

    @routes.post("/messages", status_code=202)
    async def send(
        message: AnyAccountBody, caller: Annotated[Caller, Depends(sender)], key: Key = None
    ) -> MessageAnswer:
        """Queue one message. 202 means it survives a crash, not that it was sent: follow its `state`."""
        account = None if message.account is None else AccountId(message.account)
        return _shown(await _send(outbox, caller, message, account, key))

    @routes.post("/accounts/{account}/messages", status_code=202)
    async def send_from(
        account: UUID, message: MessageBody, caller: Annotated[Caller, Depends(sender)], key: Key = None
    ) -> MessageAnswer:
        """Queue one message from this account. 202 means it survives a crash: follow its `state`."""
        return _shown(await _send(outbox, caller, message, AccountId(account), key))

    @routes.post("/messages/{message}/cancel")
    async def cancel(message: UUID, caller: Annotated[Caller, Depends(sender)]) -> dict[str, Sending]:
        """Cancel a message that still waits. 409 when it is on the wire or further."""
        return {"state": await outbox.cancel(caller, MessageId(message))}

    return routes


async def _send(
    outbox: Outbox, caller: Caller, body: MessageBody, account: AccountId | None, key: str | None
) -> Answer:
    return await outbox.send(
        caller,
        to=body.to,
        content=_content(body),
        account=account,
        priority=Priority[body.priority.upper()],
        due_at=body.due_at,
        key=key,
    )


def _content(body: MessageBody) -> Content:
    if (body.text is None) == (body.content is None):
        raise Invalid("text", "Give either `text` or `content`")
    if body.text is not None:
        return Text(body.text)
    given = dict(body.content or {})
    if isinstance(given.get("media"), str):
        given["media"] = {"id": given["media"]}
    try:
        return msgspec.convert(given, Content)
    except msgspec.ValidationError as error:
        raise Invalid("content", f"This content is not understood: {error}") from None


def _shown(answer: Answer) -> MessageAnswer:
    return MessageAnswer(id=answer.id, state=answer.state, account=answer.account, why=answer.why)
