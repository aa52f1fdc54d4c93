"""One number at Meta, opened."""

from collections.abc import AsyncIterator

import pytest
from tests.transports.heard import Heard
from tests.transports.meta.opened import SEND, Open
from tests.transports.meta.posts import (
    CREDENTIALS,
    Api,
    number,
    taken,
)


@pytest.fixture
async def one() -> AsyncIterator[Open]:
    api, heard = Api(), Heard()
    api.answer(SEND, taken())
    async with api.transport() as meta:
        yield Open(api, meta, await meta.open(number(), CREDENTIALS, heard), heard)
