"""What commands ask the database itself that no capability asks."""

from datetime import datetime

from wafleet.engine.db import Tx


async def wrapped_by(tx: Tx) -> list[str]:
    """Return the fingerprints of the master keys that the data keys are wrapped with: one, or none before a start."""
    return [row[0] for row in await tx.tuples("select distinct wrapped_by from data_keys")]


async def database_time(tx: Tx) -> datetime:
    """Return the moment by the database's clock, which leases go by."""
    return await tx.value("select clock_timestamp()")
