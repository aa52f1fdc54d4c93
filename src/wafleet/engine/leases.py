"""Who owns what: rows that run out, with an epoch that grows each time one changes hands.

Only the database's clock decides whether a lease has run out. A holder judges by its own monotonic clock, from the
moment *before* it asked for the renewal, so that it stops before anybody else may start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from wafleet.engine.clock import Clock
from wafleet.engine.db import Db, Tx


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    epoch: int  # grows by one each time the lease changes hands; every write of its holder names it


async def take(tx: Tx, *, names: Sequence[str], holder: str, ttl: timedelta) -> list[Lease]:
    """Take those of `names` that are free or have run out.

    The epoch grows, so that whatever the earlier holder left under way is fenced off.
    """
    return await tx.all(
        Lease,
        """
        insert into leases as l (name, holder, epoch, expires_at)
        select name, %(holder)s, 1, now() + %(ttl)s from unnest(%(names)s::text[]) as n (name) order by name
        on conflict (name) do update
           set holder = excluded.holder, epoch = l.epoch + 1, expires_at = excluded.expires_at
         where l.expires_at < now() or l.holder is null
        returning name, epoch
        """,
        names=list(names),
        holder=holder,
        ttl=ttl,
    )


async def release(tx: Tx, *, leases: Sequence[Lease], holder: str) -> int:
    """Give leases back so that others can take them at once. Returns how many were still the holder's."""
    sql = """
        update leases l set expires_at = '-infinity', holder = null
          from unnest(%(names)s::text[], %(epochs)s::bigint[]) as r (name, epoch)
         where l.name = r.name and l.epoch = r.epoch and l.holder = %(holder)s
    """
    return await tx.run(sql, names=[one.name for one in leases], epochs=[one.epoch for one in leases], holder=holder)


class Node:
    """This process among its peers: it says that it lives, and renews all it holds in one statement.

    name  unique among running processes, and the same after a restart of the same installation: what a node held
          when it died is free as soon as it starts again, instead of waiting to run out
    """

    def __init__(self, db: Db, clock: Clock, *, name: str, version: str, ttl: timedelta) -> None:
        self._db, self._clock = db, clock
        self.name, self.ttl = name, ttl
        self._version = version
        self._sure_until = float("-inf")

    @property
    def sure_s(self) -> float:
        """Seconds for which this node's leases certainly hold; at or below 0 it must not act on them."""
        return self._sure_until - self._clock.monotonic()

    async def join(self) -> None:
        """Announce this node, and free what it held in an earlier life: that process lost its name, so it is dead."""
        asked = self._clock.monotonic()
        async with self._db.fleet_tx() as tx:
            await tx.run(
                """
                insert into nodes (name, version) values (%(name)s, %(version)s)
                on conflict (name) do update
                   set started_at = now(), seen_at = now(), version = excluded.version, draining = false
                """,
                name=self.name,
                version=self._version,
            )
            await tx.run(
                "update leases set expires_at = '-infinity', holder = null where holder = %(name)s", name=self.name
            )
        self._sure_until = asked + self.ttl.total_seconds()

    async def renew(self) -> frozenset[str]:
        """Renew every lease this node holds and return their names; what is missing is lost.

        A lease that ran out while the database was away is still the holder's as long as nobody took it.
        """
        asked = self._clock.monotonic()
        async with self._db.fleet_tx() as tx:
            await tx.run("update nodes set seen_at = now() where name = %(name)s", name=self.name)
            rows = await tx.tuples(
                """
                update leases set expires_at = now() + %(ttl)s
                 where holder = %(name)s
                returning name
                """,
                name=self.name,
                ttl=self.ttl,
            )
        self._sure_until = asked + self.ttl.total_seconds()
        return frozenset(row[0] for row in rows)

    async def peers(self) -> list[str]:
        """Return the names of all nodes that live and take work, this one included."""
        async with self._db.fleet_tx() as tx:
            rows = await tx.tuples(
                "select name from nodes where seen_at > now() - %(ttl)s and not draining order by name", ttl=self.ttl
            )
        return [row[0] for row in rows]

    async def drain(self) -> None:
        """Say that this node takes no more work."""
        async with self._db.fleet_tx() as tx:
            await tx.run("update nodes set draining = true where name = %(name)s", name=self.name)

    async def leave(self) -> None:
        """Give every lease back and leave the list of nodes."""
        async with self._db.fleet_tx() as tx:
            await tx.run(
                "update leases set expires_at = '-infinity', holder = null where holder = %(name)s", name=self.name
            )
            await tx.run("delete from nodes where name = %(name)s", name=self.name)
        self._sure_until = float("-inf")
