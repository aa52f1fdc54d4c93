"""SQL of questions to WhatsApp, their answers, and what is remembered of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from wafleet.domain import phone
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.db import Tx


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that waits for the holder of the account's session."""

    id: UUID
    tenant_id: TenantId
    account_id: AccountId
    kind: str
    body: dict[str, Any]


async def put(tx: Tx, *, id: UUID, account: AccountId, kind: str, body: Mapping[str, Any], within: timedelta) -> None:
    """Add a question, and forget those of this account that are over."""
    await tx.run("delete from asks where account_id = %(account)s and expires_at < now()", account=account)
    await tx.run(
        """
        insert into asks (id, tenant_id, account_id, kind, body, expires_at)
        select %(id)s, tenant_id, id, %(kind)s, %(body)s, now() + %(within)s from accounts where id = %(account)s
        """,
        id=id,
        account=account,
        kind=kind,
        body=Jsonb(dict(body)),
        within=within,
    )


async def newest_of(tx: Tx, *, account: UUID, identity: str) -> str:
    """Return the network's name of a person's newest message to an account; empty: they never wrote."""
    sql = """
        select m.provider_id from messages m
         where m.conversation_id = any(array(select id from conversations
                                              where account_id = %(account)s and identity = any(%(names)s)))
           and m.direction = 'in' and m.provider_id is not null
         order by m.seq desc limit 1
        """
    return await tx.value(sql, account=account, names=list(phone.spellings(identity))) or ""


async def answer_of(tx: Tx, *, id: UUID) -> dict[str, Any] | None:
    """Return the answer, once there is one."""
    return await tx.value("select answer from asks where id = %(id)s", id=id)


async def waiting(tx: Tx, *, accounts: Sequence[AccountId]) -> list[Asked]:
    """Return what is asked of these accounts, the oldest first."""
    return await tx.all(
        Asked,
        """
        select id, tenant_id, account_id, kind, body from asks
         where account_id = any(%(accounts)s) and answer is null and expires_at > now() order by created_at, id
        """,
        accounts=list(accounts),
    )


async def answer(tx: Tx, *, asked: Asked, answer: Mapping[str, Any]) -> None:
    """Store an answer, and remember what it says of phones."""
    sql = "update asks set answer = %(answer)s where id = %(id)s"
    await tx.run(sql, id=asked.id, answer=Jsonb(dict(answer)))
    found: Mapping[str, bool] = answer.get("found", {})
    await tx.run(
        """
        insert into lookups (tenant_id, phone, on_whatsapp)
        select %(tenant)s, * from unnest(%(phones)s::text[], %(there)s::bool[])
        on conflict (tenant_id, phone) do update set on_whatsapp = excluded.on_whatsapp, asked_at = now()
        """,
        tenant=asked.tenant_id,
        phones=list(found),
        there=list(found.values()),
    )


async def remembered(tx: Tx, *, account: UUID, phones: Sequence[str], since: datetime) -> dict[str, bool]:
    """Return what WhatsApp said of these phones lately, to the tenant of this account."""
    rows = await tx.tuples(
        """
        select l.phone, l.on_whatsapp from lookups l join accounts a using (tenant_id)
         where a.id = %(account)s and l.phone = any(%(phones)s) and l.asked_at > %(since)s
        """,
        account=account,
        phones=list(phones),
        since=since,
    )
    return dict(rows)


async def forget(tx: Tx, *, older_than: timedelta) -> None:
    """Delete questions that are over, and what was remembered for long enough."""
    await tx.run("delete from asks where expires_at < now() - interval '1 hour'")
    await tx.run("delete from lookups where asked_at < now() - %(age)s", age=older_than)
