import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest

from wafleet.engine.wakes import MOST_IDS, Wakes

Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]
Heard = list[frozenset[str] | None]


@asynccontextmanager
async def node(dsn: str, topic: str = "lane") -> AsyncGenerator[tuple[Wakes, Heard]]:
    """A running exchange, once it listens."""
    wakes, heard = Wakes(dsn), Heard()
    wakes.subscribe(topic, heard.append)
    with wakes.waiting(topic) as listening:
        running = asyncio.create_task(wakes.run())
        assert await listening.wait(60)
    heard.clear()
    try:
        yield wakes, heard
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_subscribers_of_this_process_are_woken_at_once_and_only_for_their_topic() -> None:
    wakes, heard, other = Wakes("host=nowhere"), Heard(), Heard()
    stop = wakes.subscribe("lane", heard.append)
    wakes.subscribe("events", other.append)
    wakes.wake("lane", "a", "b")
    wakes.wake("lane")
    stop()
    wakes.wake("lane", "c")
    assert heard == [frozenset({"a", "b"}), None]
    assert other == []


async def test_other_nodes_are_woken_once_for_what_came_together_and_ours_do_not_echo(dsn: str, until: Until) -> None:
    async with node(dsn) as (here, ours), node(dsn) as (_, theirs):
        for name in "abcab":
            here.wake("lane", name)

        async def arrived() -> bool:
            return bool(theirs)

        await until(arrived)
        here.wake("lane", "z")

        async def twice() -> bool:
            return len(theirs) == 2

        await until(twice)
        assert theirs == [frozenset("abc"), frozenset("z")]
        assert ours == [frozenset({name}) for name in "abcabz"]


async def test_too_many_names_are_told_as_the_topic_alone(dsn: str, until: Until) -> None:
    async with node(dsn) as (here, _), node(dsn) as (_, theirs):
        here.wake("lane", *(str(n) for n in range(MOST_IDS + 1)))

        async def arrived() -> bool:
            return bool(theirs)

        await until(arrived)
        assert theirs == [None]


async def test_names_and_topics_too_long_for_one_notice_are_split(dsn: str, until: Until) -> None:
    async with node(dsn) as (here, _), node(dsn) as (_, theirs):
        here.wake("lane", "x" * 9000)
        for n in range(400):
            here.wake(f"topic {n} " + "y" * 100, "z")
        here.wake("lane")

        async def arrived() -> bool:
            return bool(theirs)

        await until(arrived)
        assert theirs == [None]


async def test_after_its_connection_was_cut_everybody_is_woken_once_and_wakes_go_on(dsn: str, until: Until) -> None:
    async with node(dsn) as (here, _), node(dsn) as (_, theirs):
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as admin:
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name like 'wafleet %'"
            )

        async def woken() -> bool:
            return theirs == [None]

        await until(woken)

        async def goes_on() -> bool:
            here.wake("lane", "again")
            return frozenset({"again"}) in theirs

        await until(goes_on)


async def test_a_subscriber_that_fails_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    wakes, heard = Wakes("host=nowhere"), Heard()

    def broken(ids: frozenset[str] | None) -> None:
        raise RuntimeError("broken")

    wakes.subscribe("lane", broken)
    wakes.subscribe("lane", heard.append)
    wakes.wake("lane")
    assert heard == [None]
    assert "wake_failed" in caplog.messages


async def test_somebody_elses_notices_on_the_channel_are_ignored(dsn: str, until: Until) -> None:
    async with node(dsn) as (_, heard):
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as other:
            for payload in ("", "not json", '{"node": 1}', '{"node": "x", "topics": {"lane": ["ok"]}}'):
                await other.execute("select pg_notify('wafleet', %s)", (payload,))

        async def arrived() -> bool:
            return bool(heard)

        await until(arrived)
        assert heard == [frozenset({"ok"})]


async def test_waiting_ends_when_woken_even_if_that_was_before_it_waited() -> None:
    wakes = Wakes("host=nowhere")
    with wakes.waiting("events") as waiting:
        wakes.wake("events")
        assert await waiting.wait(60)
        waiting.clear()
        assert not await waiting.wait(0.01)
    assert not wakes._subscribers["events"]
