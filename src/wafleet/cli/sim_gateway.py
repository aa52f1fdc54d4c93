"""`wafleet sim gateway`: a stand-in of a gateway, whose numbers live on the simulated network."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
import typer
from rich.panel import Panel

from wafleet.cli.sim import AsJson, DataDir, folder_of, print_json, screen
from wafleet.cli.sim_standin import Port, adding, phones, run_standin
from wafleet.simulator.standins.numbers import Connect

_PHONE = "+971501110002"
_RETRIES = {"policy": "exponential", "delaySeconds": 1, "attempts": 10}


class GatewayKeys(msgspec.Struct):
    """What proves callers to the stand-in of a gateway, and the stand-in to those it calls."""

    api_key: str
    hmac_key: str


def gateway(
    port: Port = 8093,
    number: Annotated[
        list[str] | None,
        typer.Option("--number", help="A number whose phone is linked already; may be given again."),
    ] = None,
    webhook_url: Annotated[
        str, typer.Option(help="Called for every session; one that wafleet links calls wafleet by itself.")
    ] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run a stand-in of a gateway, such as WAHA, on the simulated network, until Ctrl-C."""
    from wafleet.simulator.standins.files import Files
    from wafleet.simulator.standins.gateway.api import listening
    from wafleet.simulator.standins.gateway.service import Gateway
    from wafleet.simulator.standins.run import keep

    folder, linked = folder_of(data_dir).absolute(), phones(number or [])
    keys = keep(folder, "gateway", GatewayKeys(secrets.token_urlsafe(16), secrets.token_urlsafe(16)))

    @asynccontextmanager
    async def open(connect: Connect) -> AsyncGenerator[None]:
        files = Files(folder / "files")
        stand_in = Gateway(connect, api_key=keys.api_key, webhooks=_webhooks(webhook_url, keys), files=files)
        async with listening(stand_in, port=port) as url:
            for phone in linked:
                await stand_in.sessions.take(_session(phone), phone)
            _tell(url, keys, linked, as_json=as_json)
            yield

    run_standin(folder, open)


def _webhooks(url: str, keys: GatewayKeys) -> list[dict[str, Any]]:
    return [{"url": url, "events": ["*"], "hmac": {"key": keys.hmac_key}, "retries": _RETRIES}] if url else []


def _session(phone: str) -> str:
    return phone.removeprefix("+")


def _tell(url: str, keys: GatewayKeys, linked: list[str], *, as_json: bool) -> None:
    """Say where it is, and how to add one of its numbers to wafleet."""
    credentials = {"apiKey": keys.api_key, "hmacKey": keys.hmac_key}
    settings = {phone: {"gateway": {"url": url, "session": _session(phone)}} for phone in linked or [_PHONE]}
    if as_json:
        print_json({"url": url, "credentials": credentials, "settings": settings if linked else {}})
        return
    phone, of = next(iter(settings.items()))
    link = (
        "   wafleet link Shop"
        if not linked
        else "   (its phone is linked already; with another one: wafleet link Shop)"
    )
    lines = [
        f"It answers at {url} as a gateway with the interface of WAHA does. Ctrl-C stops it.",
        "",
        "[bold]1[/]  Add a number to wafleet, in another terminal:",
        *adding("gateway", phone, of["gateway"] | credentials),
        "",
        "[bold]2[/]  Link it, and be its phone:",
        link,
        f"   wafleet sim link {phone} --code ABCD-1234",
        "",
        "[bold]3[/]  Be a customer, and see what was called and answered:",
        f'   wafleet sim say +971550000001 {phone} "Is it still available?"',
        f"   curl {url}/_standin",
    ]
    screen.print(Panel("\n".join(lines), title="A stand-in of a gateway", title_align="left", expand=False))
