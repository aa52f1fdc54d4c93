"""One running wafleet for the tests of a file, and commands against it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from anyio.from_thread import start_blocking_portal
from psycopg.conninfo import make_conninfo
from tests.cli.commands import Shell
from tests.cli.served import Served, serving

from wafleet.cli import tables


@pytest.fixture(scope="module")
def served(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A wafleet with two tenants and no accounts."""
    name, folder = f"wafleet_test_{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("served")
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy".encode())
        dsn = make_conninfo(server, dbname=name)
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(serving(dsn, folder)) as (app, world, url, token),
        ):
            yield Served(url=url, token=token, folder=folder, app=app, world=world, portal=portal)
        admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def installation(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stopped wafleet: a migrated database and an empty data folder, named by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAFLEET_DATABASE_URL", dsn)
    monkeypatch.setenv("WAFLEET_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    monkeypatch.delenv("COLUMNS", raising=False)  # test runners set it for their workers
    tables.screen.cache_clear()
    yield Shell(monkeypatch, capsys)
    tables.screen.cache_clear()


@pytest.fixture
def at_served(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The environment names the running wafleet by its data folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAFLEET_DATA_DIR", str(served.folder))
    return served
