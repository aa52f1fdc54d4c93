"""`wafleet sim twilio` and `wafleet sim meta`: stand-ins of providers, whose numbers live on the simulated network."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from wafleet.cli.sim import AsJson, DataDir, folder_of, print_json, screen
from wafleet.cli.sim_standin import PHONE, Port, adding, phones, run_standin

if TYPE_CHECKING:
    from wafleet.simulator.standins.numbers import Connect

_WAFLEET = "http://127.0.0.1:8420"

NumberOption = Annotated[list[str] | None, typer.Option("--number", help="A number it has; may be given again.")]
WebhookUrl = Annotated[str, typer.Option(help="Called for what customers write, and what becomes of messages.")]
PerSecond = Annotated[float, typer.Option(min=0.1, help="Messages a second that each number may send.")]
WindowHours = Annotated[float, typer.Option(min=0, help="How long a customer may be written to freely; 0: always.")]
PeopleADay = Annotated[
    int | None, typer.Option(min=1, help="People that each number may begin to write to in 24 hours; none: any number.")
]


class TwilioKeys(msgspec.Struct):
    """What proves an account at the stand-in of Twilio."""

    account_sid: str
    auth_token: str


class MetaKeys(msgspec.Struct):
    """What proves an account at the stand-in of Meta."""

    access_token: str
    app_secret: str
    verify_token: str


def twilio(
    port: Port = 8091,
    number: NumberOption = None,
    webhook_url: WebhookUrl = "",
    per_second: PerSecond = 80.0,
    window_hours: WindowHours = 24.0,
    people_a_day: PeopleADay = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run a stand-in of Twilio on the simulated network, until Ctrl-C."""
    from wafleet.simulator.standins.files import Files
    from wafleet.simulator.standins.run import keep
    from wafleet.simulator.standins.twilio.api import listening
    from wafleet.simulator.standins.twilio.service import Rules, Twilio

    folder = folder_of(data_dir).absolute()
    keys = keep(folder, "twilio", TwilioKeys("AC" + secrets.token_hex(16), secrets.token_hex(16)))
    rules = Rules(per_s=per_second, window_hours=window_hours, people_a_day=people_a_day)

    @asynccontextmanager
    async def open(connect: "Connect") -> AsyncGenerator[None]:
        stand_in = Twilio(
            connect,
            account_sid=keys.account_sid,
            auth_token=keys.auth_token,
            webhook_url=webhook_url,
            rules=rules,
            files=Files(folder / "files"),
            memory=folder / "twilio-messages.jsonl",
        )
        async with listening(stand_in, port=port) as url:
            senders = [stand_in.add(phone) for phone in phones(number or [PHONE])]
            settings = {s.phone: {"twilio": {"url": url, "sender_sid": s.sid}} for s in senders}
            credentials = {"accountSid": keys.account_sid, "authToken": keys.auth_token}
            _tell("twilio", url, credentials, settings, as_json=as_json)
            yield

    run_standin(folder, open)


def meta(
    port: Port = 8092,
    number: NumberOption = None,
    webhook_url: WebhookUrl = "",
    per_second: PerSecond = 80.0,
    window_hours: WindowHours = 24.0,
    people_a_day: PeopleADay = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run a stand-in of Meta's Cloud API on the simulated network, until Ctrl-C."""
    from wafleet.simulator.standins.files import Files
    from wafleet.simulator.standins.meta.api import listening
    from wafleet.simulator.standins.meta.service import Meta, Rules
    from wafleet.simulator.standins.run import keep

    folder = folder_of(data_dir).absolute()
    fresh = MetaKeys("EAA" + secrets.token_hex(24), secrets.token_hex(16), secrets.token_hex(8))
    keys, rules = (
        keep(folder, "meta", fresh),
        Rules(per_s=per_second, window_hours=window_hours, people_a_day=people_a_day),
    )

    @asynccontextmanager
    async def open(connect: "Connect") -> AsyncGenerator[None]:
        stand_in = Meta(
            connect,
            access_token=keys.access_token,
            app_secret=keys.app_secret,
            verify_token=keys.verify_token,
            webhook_url=webhook_url,
            rules=rules,
            files=Files(folder / "files"),
            memory=folder,
        )
        async with listening(stand_in, port=port) as url:
            numbers = [stand_in.add(phone) for phone in phones(number or [PHONE])]
            ids = {"url": url, "waba_id": stand_in.waba_id}
            settings = {n.phone: {"meta": {**ids, "phone_number_id": n.id}} for n in numbers}
            credentials = {"accessToken": keys.access_token, "appSecret": keys.app_secret}
            _tell("meta", url, credentials | {"verifyToken": keys.verify_token}, settings, as_json=as_json)
            yield

    run_standin(folder, open)


def _tell(
    name: str, url: str, credentials: dict[str, str], settings: dict[str, dict[str, dict[str, str]]], *, as_json: bool
) -> None:
    """Say where it is, and how to add one of its numbers to wafleet."""
    if as_json:
        print_json({"url": url, "credentials": credentials, "settings": settings})
        return
    phone, of = next(iter(settings.items()))
    for line in (
        f"A stand-in of {name.title()} answers at {url} with {', '.join(settings)}. Ctrl-C stops it.",
        "",
        "1  Start wafleet so that it knows under which URL webhooks reach it, and add a number:",
        f"   WAFLEET_PUBLIC_URL={_WAFLEET} wafleet up",
        *adding(name, phone, of[name] | credentials),
        "",
        "2  Start this again with the webhook of the account, whose id the last command has shown:",
        f"   wafleet sim {name} --webhook-url {_WAFLEET}/hooks/{name}/ACCOUNT",
        "",
        "3  Be a customer, and see what was called and answered:",
        f'   wafleet sim say +971550000001 {phone} "Is it still available?"',
        f"   curl {url}/_standin",
    ):
        screen.print(line, soft_wrap=True, markup=False)
