"""Two tenants and the accounts service over their database."""

import pytest
from tests.accounts.offices import TRANSPORTS, Mirror, Office, make_office

from wafleet.accounts import Accounts
from wafleet.engine.db import Db
from wafleet.engine.wakes import Wakes


@pytest.fixture
async def broker(db: Db) -> Office:
    return await make_office(db, "Broker")


@pytest.fixture
async def grill(db: Db) -> Office:
    return await make_office(db, "Grill")


@pytest.fixture
def wakes(dsn: str) -> Wakes:
    return Wakes(dsn)


@pytest.fixture
def woken(wakes: Wakes) -> list[str]:
    """The accounts whose sessions were woken, in order."""
    ids: list[str] = []
    wakes.subscribe("sessions", lambda some: ids.extend(some or ()))
    return ids


@pytest.fixture
def accounts(db: Db, wakes: Wakes) -> Accounts:
    return Accounts(db, secrets=Mirror(), wakes=wakes, transports=TRANSPORTS)
