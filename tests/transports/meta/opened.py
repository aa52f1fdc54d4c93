"""A session of one number at Meta, whose API answers what a test wants."""

from dataclasses import dataclass
from typing import Any

import pytest
from tests.transports.heard import Heard
from tests.transports.meta.posts import (
    CUSTOMER,
    Api,
)

from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.message import Content, Text
from wafleet.transports.base import (
    Outgoing,
    SendError,
)
from wafleet.transports.meta.session import MetaSession
from wafleet.transports.meta.transport import Meta

SEND = "POST /messages"


@dataclass
class Open:
    """A session of one number, the API behind it, and what its owner heard."""

    api: Api
    meta: Meta
    session: MetaSession
    heard: Heard

    async def send(self, content: Content | str = "hello", *, to: str = CUSTOMER, media: bytes = b"") -> str:
        return await self.session.send(
            Outgoing(MessageId(new_id()), to, Text(content) if isinstance(content, str) else content, media=media)
        )

    async def refused(self, *answers: Any, wanted: type[SendError]) -> SendError:
        self.api.answer(SEND, *answers)
        with pytest.raises(wanted) as error:
            await self.send()
        assert type(error.value) is wanted
        return error.value
