from tests.live.rig import Rig, until

PHONE = "+971500000001"


async def test_an_account_is_connected_and_its_messages_are_sent_delivered_and_read(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ("online", ""))
    first, second = await rig.put(account, "one", "two")
    await until(rig.messages, lambda seen: seen == {first: "read", second: "read"})
    (line,) = rig.world.ledger(PHONE)
    assert (line.sent, line.sent_twice) == (2, 0)


async def test_what_customers_write_is_stored_once_and_acknowledged(rig: Rig) -> None:
    account = await rig.account(PHONE)
    rig.say(PHONE, "before it was online")
    await rig.start()
    await until(lambda: rig.state(account), lambda seen: seen == ("online", ""))
    rig.say(PHONE, "after")
    await until(rig.stored, lambda seen: seen == ["before it was online", "after"])

    async def received() -> int:
        return rig.world.ledger(PHONE)[0].received

    await until(received, lambda seen: seen == 2)


async def test_linking_shows_a_code_and_ends_online_once_it_is_scanned(rig: Rig) -> None:
    account = await rig.account(PHONE, linked=False)
    await rig.start()

    async def pairing() -> dict[str, object] | None:
        async with rig.db.fleet_tx() as tx:
            return await tx.value("select pairing from accounts where id = %(id)s", id=account)

    shown = await until(pairing, lambda seen: bool(seen and seen["qr"]))
    assert shown is not None
    rig.world.linking.scan(PHONE)
    await until(lambda: rig.state(account), lambda seen: seen == ("online", ""))


async def test_a_killed_node_is_followed_by_another_and_nothing_is_lost_or_sent_twice(rig: Rig) -> None:
    account = await rig.account(PHONE)
    first = await rig.start("n1", lease_s=1)
    await until(lambda: rig.state(account), lambda seen: seen == ("online", ""))
    await rig.put(account, *map(str, range(30)))
    await first.kill()
    rig.nodes.remove(first)
    await rig.start("n2", lease_s=1)
    seen = await until(rig.messages, lambda seen: set(seen.values()) == {"read"})
    assert len(seen) == 30
    (line,) = rig.world.ledger(PHONE)
    assert (line.sent, line.sent_twice) == (30, 0)
