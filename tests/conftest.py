"""A database of its own for each test: a copy of a migrated template on a real PostgreSQL."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial

import psycopg
import pytest
import structlog
from anyio.from_thread import start_blocking_portal
from argon2 import PasswordHasher
from psycopg.conninfo import make_conninfo

from tests.databases import Databases
from tests.events import undocumented
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.engine.migrate import migrate
from wafleet.engine.postgres import PostgresSettings, open_postgres


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that kill processes: they take longest."""
    items.sort(key=lambda item: item.get_closest_marker("crash") is None)


@pytest.fixture(autouse=True)
def _logs_go_to_logging() -> Iterator[None]:
    """Log lines reach pytest's own capture, whatever a test does to stdout."""
    structlog.configure(
        processors=[structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def _passwords_are_hashed_fast() -> Iterator[None]:
    """A hash that is slow on purpose would be half of what many tests do; who tests hashing brings a slow one."""
    with pytest.MonkeyPatch.context() as patch:
        fast = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr("wafleet.tenants.passwords.PasswordHasher", fast)
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL to make databases on: the one of WAFLEET_TEST_DATABASE_URL, else an embedded one for this run."""
    if given := os.environ.get("WAFLEET_TEST_DATABASE_URL"):
        yield given
        return
    folder = tmp_path_factory.getbasetemp() / "postgres"
    settings = PostgresSettings(durable=False, max_connections=200)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_postgres(folder, settings=settings)) as dsn,
    ):
        yield dsn


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """A database with every migration applied once."""
    name = f"wafleet_template_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
        asyncio.run(migrate(make_conninfo(server, dbname=name)))
        yield name
        admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="session")
def databases(server: str, template: str) -> Iterator[Databases]:
    """Where a test's database comes from, and goes back to."""
    databases = Databases(server, template)
    yield databases
    if databases.spare:
        databases.drop(databases.spare)


@pytest.fixture
def dsn(server: str, databases: Databases) -> Iterator[str]:
    """The address of a migrated database that is this test's own."""
    name = databases.take()
    yield make_conninfo(server, dbname=name)
    databases.give_back(name)


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Db]:
    async with Db.open(dsn, connections=6) as db:
        yield db
        assert await undocumented(dsn) == []


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
