"""SQL of moving an account to another transport."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from wafleet.domain.ids import AccountId
from wafleet.engine.db import Tx


async def put_away(tx: Tx, *, account: AccountId) -> None:
    """Keep an account's credentials, still encrypted, with the transport and the settings they belong to."""
    await tx.run(
        """
        insert into retired_credentials (tenant_id, account_id, credentials, reason, transport, settings)
        select tenant_id, id, credentials, 'moved', transport, settings
          from accounts where id = %(account)s and credentials is not null
        """,
        account=account,
    )


async def move(
    tx: Tx,
    *,
    account: AccountId,
    to: str,
    settings: Mapping[str, Any],
    credentials: bytes | None,
    hint: str,
    private: bytes | None,
) -> None:
    """Write where an account is from now on. What its former network said of it is forgotten."""
    await tx.run(
        """
        update accounts
           set transport = %(to)s, settings = %(settings)s, credentials = %(credentials)s, credentials_hint = %(hint)s,
               private = %(private)s, provider = '{}', remove_until = null, updated_at = now()
         where id = %(account)s
        """,
        account=account,
        to=to,
        settings=Jsonb(dict(settings)),
        credentials=credentials,
        hint=hint,
        private=private,
    )
    await tx.run(
        """
        update activity set last_call_at = null, call_refused_at = null, call_refused = ''
         where account_id = %(account)s
        """,
        account=account,
    )


async def hidden_people(tx: Tx, *, account: AccountId, known: str, most: int) -> tuple[int, list[str]]:
    """Return how many conversations are with people whom only the former network can name, and some of these names."""
    rows = await tx.tuples(
        """
        select count(*) over (), identity from conversations
         where account_id = %(account)s and identity not like '+%%'
           and (%(known)s = '' or identity not like %(known)s || '%%')
         order by last_message_at desc limit %(most)s
        """,
        account=account,
        known=known,
        most=most,
    )
    return (rows[0][0] if rows else 0), [row[1] for row in rows]


async def waiting_kinds(tx: Tx, *, account: AccountId, free_for: timedelta | None) -> list[tuple[str, int, int]]:
    """Return (kind, how many wait to be sent, how many of them will be due with their customer's window closed).

    free_for  how long a customer's message opens the window; None: it is always open
    """
    rows: Sequence[tuple[Any, ...]] = await tx.tuples(
        """
        select m.content ->> 'type', count(*),
               count(*) filter (where coalesce(greatest(o.due_at, now()) >= c.last_inbound_at + %(free_for)s::interval,
                                               %(free_for)s::interval is not null))
          from outbox o join messages m on m.id = o.message_id join conversations c on c.id = o.conversation_id
         where o.account_id = %(account)s and o.state = 'queued' group by 1 order by 1
        """,
        account=account,
        free_for=free_for,
    )
    return [(kind, n, shut) for kind, n, shut in rows]
