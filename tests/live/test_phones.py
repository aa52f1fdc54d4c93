"""A linked device lives as long as its phone comes back."""

from datetime import UTC, datetime, timedelta

from tests.live.rig import Rig, until

from wafleet.accounts.live.listener import Ears
from wafleet.domain.ids import AccountId

PHONE = "+971500000001"


async def seen_at(rig: Rig, account: AccountId) -> datetime | None:
    async with rig.db.fleet_tx() as tx:
        return await tx.value("select phone_seen_at from activity where account_id = %(id)s", id=account)


async def test_when_a_phone_was_last_seen_is_stored_once_and_never_goes_back(rig: Rig) -> None:
    account = await rig.account(PHONE)
    node = await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ("online", ""))
    held = node.live.holdings._held[account]  # pyright: ignore[reportPrivateUsage]
    assert held.live is not None
    ears = Ears(held.live, None, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    at = datetime(2026, 1, 2, tzinfo=UTC)
    ears.phone_seen(at)
    await until(lambda: seen_at(rig, account), lambda seen: seen == at)
    ears.phone_seen(at - timedelta(days=1))

    async def taken() -> bool:
        return held.live is not None and held.live.phone_seen is None

    await until(taken, bool)
    assert await seen_at(rig, account) == at


async def test_a_phone_that_is_long_away_is_told_once_until_it_comes_back(rig: Rig) -> None:
    account = await rig.account(PHONE)
    node = await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ("online", ""))

    async def away(days: float) -> list[dict[str, int]]:
        async with rig.db.fleet_tx() as tx:
            await tx.run(
                "update activity set phone_seen_at = now() - %(away)s, "
                "phone_warned_at = phone_warned_at - interval '30 days'"
                if days == 10
                else "update activity set phone_seen_at = now() - %(away)s",
                away=timedelta(days=days),
            )
        await node.live.warn_of_phones()
        await node.live.warn_of_phones()
        async with rig.db.fleet_tx() as tx:
            rows = await tx.tuples("select data from events where kind = 'account.phone_unseen' order by seq")
        return [row[0] for row in rows]

    assert await away(8.9) == []
    assert await away(9.1) == [{"days": 9, "left": 5}]
    assert await away(0) == [{"days": 9, "left": 5}]
    assert await away(10) == [{"days": 9, "left": 5}, {"days": 10, "left": 4}]
