"""Linking a phone, with the real library in its worker, on an emulator."""

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.emulator.rig import CUSTOMER, PHONE, emulating
from tests.transports.device.parts import Phone, device, link, number, on_an_emulator
from tests.transports.heard import Heard, outgoing, until

from wafleet.clientlib.protos import registration
from wafleet.emulator.connection import Connection
from wafleet.emulator.model import Account
from wafleet.emulator.pairing import Times
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Node
from wafleet.simulator.model import Impossible
from wafleet.transports.base import OpenError, Pairing
from wafleet.transports.device.files import Store

OTHER = "+491701110009"


class Shown:
    def __init__(self) -> None:
        self.pairings: list[Pairing] = []

    def pairing(self, pairing: Pairing) -> None:
        self.pairings.append(pairing)


@pytest.mark.parametrize("kind", ["plain", "tls"])
async def test_a_scanned_code_links_the_phone_and_its_session_opens_at_once(tmp_path: Path, kind: str) -> None:
    async with emulating(tmp_path / "emulator") as emulator, device(tmp_path, kind=kind) as transport:
        account, heard = number(), Heard()
        secret, phone = await link(emulator, transport, account)
        assert phone.pairings[0].qr
        assert phone.pairings[0].expires_at is not None
        running = workers()
        session = await transport.open(account, secret, heard)
        assert workers() == running  # the one that linked goes on
        await session.ping()
        assert heard.seen
        assert len(emulator.accounts[PHONE].linked) == 1


class Curious(Phone):
    """Looks at what the device calls itself, before it scans."""

    def __init__(self, emulator: Emulator, phone: str) -> None:
        super().__init__(emulator, phone)
        self.names: list[str] = []

    def pairing(self, pairing: Pairing) -> None:
        linking = [one for one in self._emulator.connections if one.payload.HasField("devicePairingData")]
        for connection in linking:
            props = connection.payload.devicePairingData.deviceProps
            self.names.append(registration.DeviceProps.FromString(props).os)
        super().pairing(pairing)


@asynccontextmanager
async def proxy(inner: str) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """A proxy of an account's own, before the emulator's; its URL, and the heads of what was asked of it."""
    asked: list[bytes] = []
    _, _, port = inner.rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", int(port))
        inner_writer.write(head)
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_an_account_goes_through_its_own_proxy_and_under_its_own_name(tmp_path: Path) -> None:
    async with (
        emulating(tmp_path / "emulator") as emulator,
        proxy(emulator.endpoint.tls.proxy) as (url, asked),
        device(tmp_path, kind="tls", name="of all") as transport,
    ):
        account = number(device={"proxy": url, "name": "Blue Door"})
        phone = Curious(emulator, PHONE)
        secret = await transport.link(account, phone)
        assert set(phone.names) == {"Blue Door"}
        assert len(asked) >= 2  # to link, and to log in
        assert {head.split(b"\r\n")[0] for head in asked} == {b"CONNECT web.whatsapp.com:443 HTTP/1.1"}
        assert all(b"Proxy-Authorization: Basic " + b64encode(b"me:secret") in head for head in asked)
        session = await transport.open(account, secret, Heard())
        await session.close()
        before = len(asked)
        session = await transport.open(account, secret, Heard())
        await session.send(outgoing("hello", to=CUSTOMER))
        assert len(asked) == before + 1
        await session.close()


async def test_without_a_name_of_its_own_an_account_has_the_installations(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path, name="Blue Fleet") as (emulator, transport):
        phone = Curious(emulator, PHONE)
        await transport.link(number(), phone)
        assert set(phone.names) == {"Blue Fleet"}


async def test_a_code_typed_into_the_phone_links_it_once_even_after_a_wrong_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        shown = Shown()
        linking = asyncio.create_task(transport.link(number(), shown))
        await until(lambda: shown.pairings and shown.pairings[-1].code, limit_s=20)
        assert shown.pairings[-1].qr
        code = shown.pairings[-1].code
        emulator.phones.enter(PHONE, "ABCD-1234" if code != "ABCD-1234" else "ABCD-1235")
        await until(lambda: "a wrong code was typed" in caplog.text, limit_s=20)
        emulator.phones.enter(PHONE, code)
        assert await linking
        with pytest.raises(Impossible, match="No device waits for a code"):
            emulator.phones.enter(PHONE, code)
        assert devices(emulator) == [1]


async def test_another_phone_than_the_accounts_own_is_unlinked_again(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account = number()
        with pytest.raises(OpenError) as refused:
            await transport.link(account, Phone(emulator, OTHER))
        assert refused.value.reason == "link_wrong_phone"
        assert OTHER in refused.value.detail
        await until(lambda: not emulator.accounts[OTHER].linked)


async def test_a_phone_that_asks_for_a_passkey_cannot_be_linked_and_says_so(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        emulator.world.linking.passkey = True
        with pytest.raises(OpenError) as refused:
            await transport.link(number(), Phone(emulator, PHONE))
        assert refused.value.reason == "passkey"


async def test_a_code_that_nobody_scans_expires(tmp_path: Path) -> None:
    async with (
        emulating(tmp_path / "emulator", times=Times(first=0.2, next=0.1, typed=0.1)) as _,
        device(tmp_path) as transport,
    ):
        with pytest.raises(OpenError) as refused:
            await transport.link(number(), Shown())
        assert refused.value.reason == "link_expired"


async def test_an_attempt_that_is_cancelled_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account, shown = number(), Shown()
        linking = asyncio.create_task(transport.link(account, shown))
        await until(lambda: shown.pairings, limit_s=20)
        linking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await linking
        assert not workers()
        assert (await link(emulator, transport, account))[0]


async def test_unlinking_removes_the_device_from_the_phone_and_the_store_from_the_disk(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account, heard = number(), Heard()
        secret, _ = await link(emulator, transport, account)
        session = await transport.open(account, secret, heard)
        await transport.unlink(account, secret)
        await session.close()
        assert emulator.accounts[PHONE].linked == []
        assert not Store(tmp_path / "devices", account.id).folder.exists()
        assert heard.reasons == []


async def test_an_account_that_is_not_open_is_unlinked_by_its_credentials(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account = number()
        secret, _ = await link(emulator, transport, account)
        async with device(tmp_path / "other", emulator=tmp_path / "emulator") as other:
            await transport.close()
            await other.unlink(account, secret)
        assert emulator.accounts[PHONE].linked == []


async def test_an_account_whose_session_was_closed_is_unlinked_in_a_session_of_its_own(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account, heard = number(), Heard()
        secret, _ = await link(emulator, transport, account)
        session = await transport.open(account, secret, heard)
        await session.close()
        await transport.unlink(account, heard.secrets[-1] if heard.secrets else secret)
        assert emulator.accounts[PHONE].linked == []


async def test_a_device_that_was_unlinked_meanwhile_is_logged_out(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account = number()
        secret, _ = await link(emulator, transport, account)
        await transport.open(account, secret, Heard())
        await transport.unlink(account, secret)
        with pytest.raises(OpenError) as refused:
            await transport.open(account, secret, Heard())
        assert refused.value.reason == "logged_out"


async def test_linking_anew_removes_the_earlier_device_once_the_new_session_is_open(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account, heard = number(), Heard()
        first, _ = await link(emulator, transport, account)
        await (await transport.open(account, first, Heard())).close()
        anew = replace(account, credentials=first)
        second, _ = await link(emulator, transport, anew)
        assert devices(emulator) == [1, 2]  # the new one's credentials may not be stored yet
        session = await transport.open(anew, second, heard)
        await until(lambda: devices(emulator) == [2], limit_s=20)
        await session.ping()
        assert heard.reasons == []
        await until(lambda: not list((tmp_path / "devices-earlier").iterdir()), limit_s=20)


async def test_linking_anew_a_device_that_the_phone_has_removed_is_as_linking_it_the_first_time(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account = number()
        first, _ = await link(emulator, transport, account)
        await transport.unlink(account, first)
        second, _ = await link(emulator, transport, replace(account, credentials=first))
        session = await transport.open(account, second, Heard())
        assert devices(emulator) == [2]
        await session.ping()


async def test_a_link_whose_credentials_nobody_stored_is_removed_from_the_phone(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        account = number()
        first, _ = await link(emulator, transport, account)
        await (await transport.open(account, first, Heard())).close()
        await link(emulator, transport, replace(account, credentials=first))
        session = await transport.open(account, first, Heard())  # as after a failure to store the second
        await session.ping()
        assert devices(emulator) == [1]


async def test_a_link_that_is_cancelled_after_the_phone_confirmed_is_removed_from_the_phone(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        busy = Busy()
        emulator.refusals.append(busy)
        linking = asyncio.create_task(transport.link(number(), Phone(emulator, PHONE)))
        await until(lambda: busy.refused, limit_s=20)
        assert devices(emulator) == [1]
        emulator.refusals.remove(busy)
        linking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await linking
        assert devices(emulator) == []
        assert not workers()


async def test_who_links_anew_waits_for_an_attempt_that_was_cancelled_twice(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        busy, account = Busy(), number()
        emulator.refusals.append(busy)
        linking = asyncio.create_task(transport.link(account, Phone(emulator, PHONE)))
        await until(lambda: busy.refused, limit_s=20)
        for _ in range(2):  # the first begins to remove the device, the second does not wait for that
            linking.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await linking
        emulator.refusals.remove(busy)
        assert (await link(emulator, transport, account))[0]
        assert devices(emulator) == [2]


async def test_what_a_killed_process_left_of_an_earlier_device_is_removed_from_the_disk(tmp_path: Path) -> None:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        left = Store(tmp_path / "devices-earlier", number().id).take()
        await left.fresh()
        left.let_go()
        await link(emulator, transport, number())
        assert not left.folder.exists()


class Busy:
    """A server that lets nobody in for now."""

    refused = 0

    def __call__(self, connection: Connection, account: Account | None) -> Node:
        self.refused += 1
        return Node("failure", {"reason": "503"})


def devices(emulator: Emulator) -> list[int]:
    """The devices that the phone lists, by number."""
    return [device.number for device in emulator.accounts[PHONE].linked]


def workers() -> set[int]:
    """The worker processes of this test."""
    found: set[int] = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return {pid for pid in found if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes()}
