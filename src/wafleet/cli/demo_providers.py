"""The demo's numbers at Twilio and Meta: stand-ins of both, each a process, and the accounts that use them."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import structlog

from wafleet.accounts import Account, Fields, webhook_url
from wafleet.app import App
from wafleet.cli.demo_world import MANAGER, PROVIDED
from wafleet.cli.serving import write_private
from wafleet.cli.sim_providers import MetaKeys, TwilioKeys
from wafleet.domain.account import State
from wafleet.domain.errors import WafleetError
from wafleet.domain.phone import normalise
from wafleet.simulator.standins.meta.model import number_id
from wafleet.simulator.standins.run import keep
from wafleet.simulator.standins.twilio.model import sid_of
from wafleet.tenants import Caller

log = structlog.get_logger(__name__)
KINDS: Final = ("twilio", "meta")
START_S: Final = 20.0


class _Running(msgspec.Struct):
    """Where a stand-in answers; without a pid it is still to be started there."""

    port: int
    pid: int = 0


class StandIns:
    """The providers of the demo. They outlive a wafleet that is killed, as the network does.

    folder  the simulator's
    public  how they reach wafleet
    """

    def __init__(self, folder: Path, public: str) -> None:
        self._folder, self._public = folder, public
        self._running: dict[str, _Running] = {}
        self._children: list[subprocess.Popen[bytes]] = []

    async def settle(self, app: App) -> None:
        """Make the accounts where they are missing, and start or join the providers they are at."""
        for kind in KINDS:
            try:
                running = self._running[kind] = await self._known(kind)
                accounts = [await self._account(app, running, one) for one in PROVIDED if one[4] == kind]
                if not running.pid:
                    await self._start(kind, running, accounts)
                for one in accounts:
                    await self._enter(app, one)
            except (WafleetError, OSError) as error:
                log.warning("demo_providers", provider=kind, error=str(error))

    def stop(self) -> None:
        """End the providers."""
        for running in self._running.values():
            if running.pid:
                _end(running.pid)
        for child in self._children:
            child.wait(5)

    async def _account(self, app: App, running: _Running, of: tuple[str, str, str, str, str]) -> Account:
        tenant, name, phone, role, kind = of
        caller, here = Caller.local("demo"), app.slices.accounts
        settings = {"commands": [MANAGER], kind: self._settings(kind, phone, running.port)}
        found = await here.find(caller, phone)
        if found is not None:
            return await here.update(caller, found.id, Fields(settings=settings))
        owner = await app.slices.tenants.ensure(caller, tenant)
        fields = Fields(name=name, phone=phone, transport=kind, role=role, settings=settings, enabled=False)
        fields["credentials"] = self._credentials(kind)
        return await here.create(caller, fields, tenant=owner.id)

    async def _enter(self, app: App, account: Account) -> None:
        if account.state in {State.NEW, State.DISABLED}:
            await app.slices.accounts.enable(Caller.local("demo"), account.id)

    def _settings(self, kind: str, phone: str, port: int) -> dict[str, Any]:
        url = f"http://127.0.0.1:{port}"
        if kind == "twilio":
            return {"url": url, "sender_sid": sid_of("XE", normalise(phone))}
        return {"url": url, "phone_number_id": number_id(normalise(phone))}

    def _credentials(self, kind: str) -> dict[str, str]:
        """Return those of the stand-in, which it finds in its folder as well."""
        if kind == "twilio":
            fresh = TwilioKeys("AC" + secrets.token_hex(16), secrets.token_hex(16))
            own = keep(self._folder, kind, fresh)
            return {"accountSid": own.account_sid, "authToken": own.auth_token}
        keys = keep(self._folder, kind, MetaKeys(*(secrets.token_hex(16) for _ in range(3))))
        return {"accessToken": keys.access_token, "appSecret": keys.app_secret, "verifyToken": keys.verify_token}

    async def _start(self, kind: str, running: _Running, accounts: list[Account]) -> None:
        hook = webhook_url(self._public, kind, accounts[0].id)  # one for all numbers of a provider's account
        command = [sys.executable, "-m", "wafleet", "sim", kind, "--port", str(running.port), "--webhook-url", hook]
        command += [part for one in accounts for part in ("--number", one.phone)]
        environment = os.environ | {"WAFLEET_DATA_DIR": str(self._folder.parent)}
        write_private(self._file(kind), msgspec.json.encode(running))  # before: what is killed here finds it again
        with (self._folder / f"{kind}.log").open("ab") as told:
            child = subprocess.Popen(  # noqa: ASYNC220, S603
                command, env=environment, start_new_session=True, stdin=subprocess.DEVNULL, stdout=told, stderr=told
            )
        self._children.append(child)
        running.pid = child.pid
        deadline = asyncio.get_running_loop().time() + START_S
        while not _listens(running.port):
            if child.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise OSError(f"the stand-in of {kind} did not start: see {kind}.log")
            await asyncio.sleep(0.1)

    async def _known(self, kind: str) -> _Running:
        """Return a stand-in that an earlier demo left behind when it was killed; else where to start one.

        It goes where the last one was, so that accounts find it as soon as it is there.
        """
        try:
            found = msgspec.json.decode(self._file(kind).read_bytes(), type=_Running)
        except (OSError, msgspec.MsgspecError):
            return _Running(_free_port())
        if not _listens(found.port):
            return _Running(found.port)
        return await self._answering(kind, found.port) or _Running(_free_port())

    async def _answering(self, kind: str, port: int) -> _Running | None:
        """Ask who listens there; None when it is no stand-in of the demo: ports and pids are used again by others."""
        mine = {normalise(phone) for _, _, phone, _, of in PROVIDED if of == kind}
        async with httpx.AsyncClient(timeout=START_S, trust_env=False) as http:
            try:
                told = (await http.get(f"http://127.0.0.1:{port}/_standin")).raise_for_status().json()
                return _Running(port, int(told["pid"])) if set(told["numbers"]) == mine else None
            except (httpx.HTTPError, ValueError, LookupError, TypeError):
                return None

    def _file(self, kind: str) -> Path:
        return self._folder / f"{kind}-running.json"


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _end(pid: int) -> None:
    try:
        os.kill(pid, 15)
    except OSError:
        log.info("demo_provider_gone", pid=pid)
