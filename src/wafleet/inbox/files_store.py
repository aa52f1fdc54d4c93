"""SQL of files that customers sent, and that their network keeps until they are fetched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from wafleet.domain.clean import json_of
from wafleet.domain.ids import AccountId, ConversationId, MessageId, TenantId
from wafleet.domain.message import Content
from wafleet.engine.db import Tx

LONGEST_WHY: Final = 300
_content: Final[msgspec.json.Decoder[Content]] = msgspec.json.Decoder(Content)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that the network keeps for us."""

    message: MessageId
    tenant: TenantId
    account: AccountId
    reference: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that this node fetches now, and the message it belongs to."""

    message: MessageId
    conversation: ConversationId
    tenant: TenantId
    account: AccountId
    phone: str
    transport: str
    reference: str
    tries: int  # this one included: the fence of what becomes of it
    content: Content


async def want(tx: Tx, files: Sequence[Kept]) -> None:
    """Note files to be fetched, as part of the transaction that stores their messages."""
    await tx.run(
        """
        insert into wanted_files (message_id, tenant_id, account_id, transport, reference)
        select w.message_id, w.tenant_id, w.account_id, a.transport, w.reference
          from unnest(%(messages)b::uuid[], %(tenants)b::uuid[], %(accounts)b::uuid[], %(references)b::text[])
               as w (message_id, tenant_id, account_id, reference)
          join accounts a on a.id = w.account_id
        """,
        messages=[one.message for one in files],
        tenants=[one.tenant for one in files],
        accounts=[one.account for one in files],
        references=[one.reference for one in files],
    )


async def claim(tx: Tx, *, busy: Sequence[AccountId], for_s: float) -> Wanted | None:
    """Take the file that has waited longest; if nothing is heard of it for so long, it is fetched again.

    busy  accounts whose turn it is not
    """
    rows: list[tuple[Any, ...]] = await tx.tuples(
        """
        with next as (
            select message_id from wanted_files
             where due_at <= now() and not account_id = any(%(busy)s::uuid[])
             order by due_at limit 1 for update skip locked)
        update wanted_files f set tries = f.tries + 1, due_at = now() + %(for_s)s * interval '1 second'
          from next, messages m, accounts a
         where f.message_id = next.message_id and m.id = f.message_id and a.id = f.account_id
        returning f.message_id, m.conversation_id, f.tenant_id, f.account_id, a.phone, f.transport, f.reference,
                  f.tries, m.content::text
        """,
        busy=list(busy),
        for_s=for_s,
    )
    return Wanted(*rows[0][:-1], content=_content.decode(rows[0][-1])) if rows else None


async def again(tx: Tx, wanted: Wanted, *, wait_s: float, why: str) -> None:
    """Try once more, not before so long."""
    await tx.run(
        """
        update wanted_files set due_at = now() + %(wait_s)s * interval '1 second', why = %(why)s
         where message_id = %(message)s and tries = %(tries)s
        """,
        message=wanted.message,
        tries=wanted.tries,
        wait_s=wait_s,
        why=why[:LONGEST_WHY],
    )


async def settle(tx: Tx, wanted: Wanted, content: Content) -> bool:
    """Complete a message. False when another node took its file over."""
    landed = await tx.run(
        "delete from wanted_files where message_id = %(message)s and tries = %(tries)s",
        message=wanted.message,
        tries=wanted.tries,
    )
    if landed:
        await tx.run(
            "update messages set content = %(content)s::jsonb where id = %(message)s",
            message=wanted.message,
            content=json_of(content),
        )
    return landed > 0
