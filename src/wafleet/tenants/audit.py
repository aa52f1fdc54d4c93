"""The audit log: who changed what. Written in the same transaction as the change, so neither exists alone."""

from uuid import UUID

from psycopg.types.json import Jsonb

from wafleet.engine.db import Db, Tx
from wafleet.engine.web import Page, decode_cursor, page
from wafleet.tenants.model import AuditEntry, Caller


async def record(
    tx: Tx, caller: Caller, action: str, subject: object, *, tenant: UUID | None = None, **detail: object
) -> None:
    """Write one change into the audit log, as part of the caller's transaction.

    action     what was done, as `thing.verb`: "account.created"
    subject    the id of what it was done to
    tenant     whose log; without it the caller's tenant, else the tenant of the transaction, else the platform's log
    detail     small facts; never a secret, never a message's text
    """
    await tx.run(
        """
        insert into audit (tenant_id, actor, action, subject, detail)
        values (coalesce(%(tenant)s, current_tenant()), %(actor)s, %(action)s, %(subject)s, %(detail)s)
        """,
        tenant=tenant or caller.tenant,
        actor=caller.actor,
        action=action,
        subject=str(subject),
        detail=Jsonb(detail),
    )


class Audit:
    """Reads the audit log."""

    def __init__(self, db: Db) -> None:
        self._db = db

    async def list(self, caller: Caller, *, cursor: str | None, limit: int) -> Page[AuditEntry]:
        """Return entries, newest first. Raises Forbidden without the scope admin, BadCursor."""
        caller.require_admin()
        before = decode_cursor(cursor, tuple[int])[0] if cursor else None
        async with self._db.tx(caller.reach) as tx:
            rows = await tx.all(
                AuditEntry,
                """
                select id, tenant_id as tenant, at, actor, action, subject, detail
                  from audit
                 where %(before)s::bigint is null or id < %(before)s
                 order by id desc
                 limit %(limit)s + 1
                """,
                before=before,
                limit=limit,
            )
        return page(rows, limit=limit, place=lambda entry: [entry.id])
