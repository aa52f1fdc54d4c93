"""SQL of the files: whose they are, and whether a message carries them."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from wafleet.domain.clean import clean
from wafleet.domain.ids import TenantId
from wafleet.domain.message import Media
from wafleet.engine.db import Tx
from wafleet.media.model import UNKNOWN, File

_ID: Final = re.compile("[0-9a-f]{64}")  # a file that could not be fetched has none


async def add(tx: Tx, tenant: TenantId, file: Media) -> File:
    """Note that a tenant has a file. One that was there keeps its first name and type, and is as new as ever."""
    found = await tx.one(
        File,
        """
        insert into media (tenant_id, id, mime, size, name)
        values (%(tenant)s, %(id)s, %(mime)s, %(size)s, %(name)s)
        on conflict (tenant_id, id) do update set touched_at = now()
        returning id, tenant_id as tenant, mime, size, name, created_at
        """,
        tenant=tenant,
        id=file.id,
        mime=file.mime,
        size=file.size,
        name=clean(file.name),
    )
    assert found is not None, "an insert that cannot be skipped returns its row"
    return found


async def find(tx: Tx, id: str, *, tenant: TenantId | None = None) -> File | None:
    """Return a file within the transaction's reach; None where nobody there, or not that tenant, has it."""
    return await tx.one(
        File,
        """
        select id, tenant_id as tenant, mime, size, name, created_at from media
         where id = %(id)s and (%(tenant)s::uuid is null or tenant_id = %(tenant)s)
         order by created_at limit 1
        """,
        tenant=tenant,
        id=id,
    )


async def received(tx: Tx, files: Sequence[tuple[TenantId, Media]]) -> None:
    """Note the files that customers' messages carry, as part of the transaction that stores the messages."""
    kept = sorted({(tenant, one.id): one for tenant, one in files if _ID.fullmatch(one.id)}.items())
    await tx.run(
        """
        insert into media (tenant_id, id, mime, size, name, used)
        select *, true from unnest(%(tenants)b::uuid[], %(ids)b::text[], %(mimes)b::text[], %(sizes)b::bigint[],
                                   %(names)b::text[])
        on conflict (tenant_id, id) do update set used = true where not media.used
        """,
        tenants=[tenant for (tenant, _), _ in kept],
        ids=[id for (_, id), _ in kept],
        mimes=[clean(one.mime) or UNKNOWN for _, one in kept],
        sizes=[max(0, one.size) for _, one in kept],
        names=[clean(one.name) for _, one in kept],
    )


async def used(tx: Tx, files: Collection[tuple[TenantId, str]]) -> None:
    """Note that our messages carry these files, so that they are kept."""
    kept = sorted(set(files))
    await tx.run(
        """
        update media m set used = true
          from unnest(%(tenants)b::uuid[], %(ids)b::text[]) as w (tenant_id, id)
         where m.tenant_id = w.tenant_id and m.id = w.id and not m.used
        """,
        tenants=[tenant for tenant, _ in kept],
        ids=[id for _, id in kept],
    )


async def forget_unused(tx: Tx, *, older_than_s: float) -> int:
    """Drop files that were uploaded, and that no message ever carried. Returns how many."""
    return await tx.run(
        "delete from media where not used and touched_at < now() - %(age)s * interval '1 second'", age=older_than_s
    )


async def known(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Return which of these files any tenant has."""
    rows = await tx.tuples("select distinct id from media where id = any(%(ids)s::text[])", ids=list(ids))
    return {row[0] for row in rows}
