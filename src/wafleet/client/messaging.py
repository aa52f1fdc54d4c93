"""Messages, conversations and the ledger."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from wafleet.client.answers import (
    Cancelled,
    Conversation,
    ConversationStatistics,
    Ledger,
    Message,
    Page,
    Queued,
)
from wafleet.client.wire import Wire


class Messaging(Wire):
    """What is said, and by whom."""

    def send(
        self,
        to: str,
        text: str | None = None,
        *,
        content: Mapping[str, Any] | None = None,
        account: UUID | None = None,
        key: str | None = None,
        priority: str = "reply",
        due_at: datetime | None = None,
    ) -> Queued:
        """Queue one message; once this returns it survives a crash, and is not sent twice however often it is tried.

        key    the same key names the same message for a week; left out: one is made, for this call's own retries
        """
        body = _message(to, text, content, priority, due_at) | ({"account": account} if account else {})
        return self._ask(Queued, "POST /messages", body=body, key=key or str(uuid4()))

    def send_from(
        self,
        account: UUID,
        to: str,
        text: str | None = None,
        *,
        content: Mapping[str, Any] | None = None,
        key: str | None = None,
        priority: str = "reply",
        due_at: datetime | None = None,
    ) -> Queued:
        """Queue one message from this account, as `send` does."""
        body = _message(to, text, content, priority, due_at)
        operation = "POST /accounts/{account}/messages"
        return self._ask(Queued, operation, account=account, body=body, key=key or str(uuid4()))

    def cancel(self, message: UUID) -> Cancelled:
        """Cancel a message that still waits; ApiError 409 when it is on the wire or further."""
        return self._ask(Cancelled, "POST /messages/{message}/cancel", message=message)

    def messages(
        self,
        *,
        account: UUID | None = None,
        conversation: UUID | None = None,
        direction: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        q: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Message]:
        """List messages, newest first. `q` searches their words: "quotes" for a phrase, -word for without, or."""
        return self._ask(
            Page[Message],
            "GET /messages",
            account=account,
            conversation=conversation,
            direction=direction,
            state=state,
            since=since,
            until=until,
            q=q,
            cursor=cursor,
            limit=limit,
        )

    def message(self, message: UUID) -> Message:
        """Return one message with all that is known of its way."""
        return self._ask(Message, "GET /messages/{message}", message=message)

    def conversations(
        self,
        *,
        account: UUID | None = None,
        state: str | None = None,
        unread: bool | None = None,
        assigned_to: str | None = None,
        q: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Conversation]:
        """List conversations, the one with the newest message first; `assigned_to` is a user's id, or `nobody`."""
        return self._ask(
            Page[Conversation],
            "GET /conversations",
            account=account,
            state=state,
            unread=unread,
            assigned_to=assigned_to,
            q=q,
            cursor=cursor,
            limit=limit,
        )

    def conversation_statistics(self, *, account: UUID | None = None) -> ConversationStatistics:
        """Count conversations by where they stand."""
        return self._ask(ConversationStatistics, "GET /conversations/statistics", account=account)

    def conversation(self, conversation: UUID) -> Conversation:
        """Return one conversation."""
        return self._ask(Conversation, "GET /conversations/{conversation}", conversation=conversation)

    def conversation_messages(self, conversation: UUID, *, cursor: str | None = None, limit: int = 50) -> Page[Message]:
        """List one conversation's messages in both directions, newest first."""
        operation = "GET /conversations/{conversation}/messages"
        return self._ask(Page[Message], operation, conversation=conversation, cursor=cursor, limit=limit)

    def change_conversation(self, conversation: UUID, changes: Mapping[str, Any]) -> Conversation:
        """Change `state` (open, closed), `assigned_to` (a user's id, or None) or `note`; what is left out stays."""
        operation = "PATCH /conversations/{conversation}"
        return self._ask(Conversation, operation, conversation=conversation, body=changes)

    def read_conversation(self, conversation: UUID, *, up_to: UUID | None = None) -> Conversation:
        """Count a conversation's messages as read, all or up to one of them."""
        operation = "POST /conversations/{conversation}/read"
        return self._ask(Conversation, operation, conversation=conversation, body={"up_to": up_to})

    def ledger(
        self,
        *,
        day: date | None = None,
        first: date | None = None,
        last: date | None = None,
        account: UUID | None = None,
    ) -> Ledger:
        """Prove that received = stored = handled, and that all that was queued is accounted for. Days are UTC."""
        span: dict[str, Any] = {"from": first, "to": last}
        return self._ask(Ledger, "GET /ledger", day=day, account=account, **span)


def _message(
    to: str, text: str | None, content: Mapping[str, Any] | None, priority: str, due_at: datetime | None
) -> dict[str, Any]:
    given = {"text": text, "content": content, "due_at": due_at}
    return {"to": to, "priority": priority} | {name: value for name, value in given.items() if value is not None}
