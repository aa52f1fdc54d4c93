"""Stand-ins of providers as processes of their own, and numbers at them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from tests.crash.programs import Process, Program, free_port, until

from wafleet.cli.sim_gateway import GatewayKeys
from wafleet.cli.sim_providers import MetaKeys, TwilioKeys
from wafleet.simulator.standins.meta.model import number_id, wamid
from wafleet.simulator.standins.run import keep
from wafleet.simulator.standins.twilio.model import sid_of


def _keys(folder: Path, kind: str) -> dict[str, str]:
    """Write the keys of a stand-in into its folder, and return them as an account has them."""
    match kind:
        case "twilio":
            twilio = keep(folder, kind, TwilioKeys("AC" + "1" * 32, "a token"))
            return {"accountSid": twilio.account_sid, "authToken": twilio.auth_token}
        case "meta":
            meta = keep(folder, kind, MetaKeys("a token", "a secret", "a word"))
            return {"accessToken": meta.access_token, "appSecret": meta.app_secret, "verifyToken": meta.verify_token}
        case _:
            gateway = keep(folder, kind, GatewayKeys("an api key", "an hmac key"))
            return {"apiKey": gateway.api_key, "hmacKey": gateway.hmac_key}


_NUMBER: Final[Mapping[str, Callable[[str], dict[str, str]]]] = {
    "twilio": lambda phone: {"sender_sid": sid_of("XE", phone)},
    "meta": lambda phone: {"phone_number_id": number_id(phone)},
    "gateway": lambda phone: {"session": phone.removeprefix("+")},
}
# What each calls a message, by the name under which it handed it to the network.
NAMES: Final[Mapping[str, Callable[[bytes, str], str]]] = {
    "twilio": lambda ref, _: f"SM{ref.hex()}",
    "meta": lambda ref, to: wamid(to, ref.hex().upper(), inbound=False),
    "gateway": lambda ref, _: ref.decode(),
}


@dataclass
class StandIn(Process):
    """`wafleet sim twilio`, `meta` or `gateway`, with one number of wafleet's."""

    kind: str
    phone: str
    home: Path  # the network's folder is in it
    public: str  # how it reaches wafleet
    account: UUID | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def register(self, program: Program, tenant: str) -> UUID:
        """Make the number an account of wafleet."""
        body: dict[str, Any] = {"name": self.kind, "phone": self.phone, "transport": self.kind, "tenant": tenant}
        body["settings"] = {self.kind: {"url": self.url, **_NUMBER[self.kind](self.phone)}}
        body["credentials"] = _keys(self.home / "simulator", self.kind)
        async with program.api() as api:
            reply = await api.post("/api/v1/accounts", json=body)
            assert reply.status_code == 201, reply.text
        self.account = UUID(reply.json()["id"])
        return self.account

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        hook = f"{self.public}/hooks/{self.kind}/{self.account}"
        command = [sys.executable, "-m", "wafleet", "sim", self.kind, "--port", str(self.port), "--number", self.phone]
        command += ["--webhook-url", hook, "--data-dir", str(self.home), "--json"]
        command += [] if self.kind == "gateway" else ["--window-hours", "0"]
        said = self.home / f"{self.kind}.log"
        said.unlink(missing_ok=True)
        self.begin(command, log=said)

        async def told() -> bool:
            assert self.alive(), said.read_text()
            return "credentials" in said.read_text()

        await until(told, bool)
