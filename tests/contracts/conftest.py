"""Every transport there is, put through the same promises: those of the docstrings in `transports/base.py`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import pytest
from tests.contracts import gateway, meta, simulated, twilio
from tests.contracts.subject import Across, Holder, Peer, Subject

from wafleet.clientlib import Unusable, find

Within = Callable[[], AbstractAsyncContextManager[Subject]]
SUBJECTS: Final[dict[str, tuple[type[Subject], Within]]] = {
    "simulated": (simulated.SimulatedSubject, simulated.within),
    "simulated over the wire": (simulated.SimulatedSubject, simulated.over_the_wire),
    "gateway": (gateway.GatewaySubject, gateway.on_a_standin),
    "twilio": (twilio.TwilioSubject, twilio.on_a_standin),
    "meta": (meta.MetaSubject, meta.on_a_standin),
}
try:
    find()
except Unusable:  # without the client library there are no linked devices to try
    pass
else:
    from tests.contracts import device

    SUBJECTS["device"] = (device.DeviceSubject, device.on_an_emulator)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each transport that a promise concerns, and for each value it is tried with."""
    if "subject" not in metafunc.fixturenames:
        return
    asked: list[Across] = [mark.args[0] for mark in metafunc.definition.iter_markers("across")]
    named = next((one for one in asked if one.name), Across(lambda *_: True))
    rows = [
        (name, value)
        for name, (kind, _) in SUBJECTS.items()
        for value in named.values or [""]
        if all(one.where(kind, value) if one.name else one.where(kind) for one in asked)
    ]
    if named.name:
        ids = [f"{name}-{value}" for name, value in rows]
        metafunc.parametrize(("subject", named.name), rows, indirect=["subject"], ids=ids)
    else:
        metafunc.parametrize("subject", [name for name, _ in rows], indirect=True)


@pytest.fixture
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with SUBJECTS[request.param][1]() as subject:
        yield subject


@pytest.fixture
async def one(subject: Subject) -> AsyncIterator[Holder]:
    """An account whose session is open."""
    holder = await subject.open()
    yield holder
    for session in holder.sessions:
        await session.close()


@pytest.fixture
async def peer(subject: Subject) -> AsyncIterator[Peer]:
    peer = await Peer.at(subject.world)
    yield peer
    await peer.wire.close()
