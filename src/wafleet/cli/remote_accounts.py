"""`wafleet accounts`: the fleet's numbers."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from wafleet.cli.calling import AccountName, connected, now, sure
from wafleet.cli.options import DataDir, Json, JsonLines, TenantName, duration, words
from wafleet.cli.pairs import Pairs, divided, read_pairs
from wafleet.cli.sentences import NOT_WELL
from wafleet.cli.tables import ago, facts, moment, put_json, put_lines, show, span, state, table

if TYPE_CHECKING:
    from wafleet.client import Client
    from wafleet.client.fleet_answers import Account

accounts = typer.Typer(no_args_is_help=True, help="Look at, add, change, start and stop the fleet's numbers.")

CALL_US: Final = frozenset({"twilio", "meta", "gateway"})

Role = Annotated[str | None, typer.Option(help="What it is for: primary, sales, ...")]
Priority = Annotated[int | None, typer.Option(help="Higher starts first.")]
Metadata = Annotated[str | None, typer.Option(help="A JSON object that events echo; replaces the former one.")]
Settings = Annotated[str | None, typer.Option(help='A JSON object, such as {"pace": {"per_second": 0.5}}.')]
Secret = Annotated[bool, typer.Option("--credentials-stdin", help="Read the provider's credentials from stdin.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")]


@accounts.command("list")
def list_accounts(
    states: Annotated[str | None, typer.Option("--state", help="Only these states, with commas.")] = None,
    role: Annotated[str | None, typer.Option(help="Only this role.")] = None,
    search: Annotated[str | None, typer.Option(help="Look for this in names, phones and roles.")] = None,
    tenant: TenantName = None,
    as_json: JsonLines = False,
    data_dir: DataDir = None,
) -> None:
    """List accounts by name. Exit status 3 when one that should run is not online."""
    from wafleet.client import every

    wanted = words(states) if states else None
    with connected(data_dir, tenant) as client:
        found = list(
            every(lambda cursor: client.accounts(state=wanted, role=role, q=search, cursor=cursor, limit=1000))
        )
    if as_json:
        put_lines(found)
    else:
        _table(found)
    if any(one.desired == "running" and one.state != "online" for one in found):
        raise typer.Exit(NOT_WELL)


@accounts.command("show")
def show_account(account: AccountName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show all of one account: its state, why, and what to do next."""
    with connected(data_dir) as client:
        answer(client.account(account), as_json)


@accounts.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What people call it.", show_default=False)],
    phone: Annotated[str, typer.Argument(help="Its number, in any usual spelling.", show_default=False)],
    transport: Annotated[str, typer.Option(help="How it reaches WhatsApp.")] = "simulator",
    tenant: Annotated[str | None, typer.Option(help="Who owns it, by name or id.")] = None,
    role: Role = None,
    priority: Priority = None,
    metadata: Metadata = None,
    settings: Settings = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Do not start it yet.")] = False,
    given: Pairs = None,
    credentials_stdin: Secret = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Add an account. `wafleet link` comes next, where its transport links a phone.

    At a provider, --set names what it needs: --transport meta --set phoneNumberId=106... --set accessToken=-
    """
    fields = _fields(
        role=role, priority=priority, metadata=metadata, settings=settings, credentials_stdin=credentials_stdin
    )
    own, credentials = divided(transport, read_pairs(given))
    fields |= {"settings": fields.get("settings", {}) | own} if own else {}
    fields |= {"credentials": credentials} if credentials else {}
    with connected(data_dir) as client:
        made = client.create_account(name, phone, transport, tenant=tenant, enabled=not disabled, **fields)
        answer_with_address(client, made, as_json)


@accounts.command("update")
def update(
    account: AccountName,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    phone: Annotated[str | None, typer.Option(help="Its number; only while it is not linked.")] = None,
    role: Role = None,
    priority: Priority = None,
    metadata: Metadata = None,
    settings: Settings = None,
    credentials_stdin: Secret = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Change an account. What is left out stays."""
    changes = _fields(
        name=name,
        phone=phone,
        role=role,
        priority=priority,
        metadata=metadata,
        settings=settings,
        credentials_stdin=credentials_stdin,
    )
    if not changes:
        raise typer.BadParameter("nothing is to be changed: name at least one field, such as --role")
    with connected(data_dir) as client:
        answer(client.change_account(account, changes), as_json)


@accounts.command("enable")
def enable(account: AccountName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Let an account run. Again changes nothing."""
    with connected(data_dir) as client:
        answer(client.enable_account(account), as_json)


@accounts.command("disable")
def disable(account: AccountName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Stop an account. It stays linked, and its messages wait."""
    with connected(data_dir) as client:
        answer(client.disable_account(account), as_json)


@accounts.command("reconnect")
def reconnect(account: AccountName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Connect an account anew, now."""
    with connected(data_dir) as client:
        answer(client.reconnect_account(account), as_json)


@accounts.command("unlink")
def unlink(account: AccountName, yes: Yes = False, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Remove this device from the account's phone. It must be linked again before it sends."""
    with connected(data_dir) as client:
        found = client.account(account)
        sure(f"Unlink {found.name} ({found.phone})?", yes)
        answer(client.unlink_account(found.id), as_json)


@accounts.command("delete")
def delete(account: AccountName, yes: Yes = False, data_dir: DataDir = None) -> None:
    """Take an account out of the fleet. Its history stays."""
    with connected(data_dir) as client:
        found = client.account(account)
        sure(f"Delete {found.name} ({found.phone})?", yes)
        client.delete_account(found.id)
    show(f"{found.name} ({found.phone}) is no longer in the fleet")


@accounts.command("lookup")
def lookup(
    account: AccountName,
    phones: Annotated[list[str], typer.Argument(help="Numbers, in any usual spelling.", show_default=False)],
    as_json: JsonLines = False,
    data_dir: DataDir = None,
) -> None:
    """Tell which numbers are on WhatsApp, asked through this account. Exit status 3 when one is not."""
    with connected(data_dir) as client:
        found = client.lookup(account, phones)
    if as_json:
        put_lines(found)
    else:
        said = {True: "on WhatsApp", False: "not on WhatsApp", None: "WhatsApp cannot tell"}
        show(facts(*((one.phone, said[one.on_whatsapp]) for one in found)))
    if not all(one.on_whatsapp for one in found):
        raise typer.Exit(NOT_WELL)


@accounts.command("typing")
def typing_to(
    account: AccountName,
    to: Annotated[str, typer.Argument(help="The customer's phone.", show_default=False)],
    off: Annotated[bool, typer.Option("--off", help="Nobody writes any longer.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show a customer that somebody is writing."""
    with connected(data_dir) as client:
        client.show_typing(account, to, on=not off)


@accounts.command("statistics")
def statistics(
    account: AccountName,
    period: Annotated[str, typer.Option("--period", help="How far back, such as 24h or 30d.")] = "24h",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show what one account did: sent, received, failed, uptime, response time."""
    until = now()
    with connected(data_dir) as client:
        found = client.account_statistics(account, since=until - duration(period), until=until)
    if as_json:
        return put_json(found)
    show(
        facts(
            ("period", f"{moment(found.since)} to {moment(found.until)}"),
            ("sent", f"{found.sent} ({found.delivered} delivered, {found.read} read)"),
            ("received", found.received),
            ("failed", found.failed),
            ("unknown", found.unknown),
            ("waiting now", found.waiting),
            ("uptime", _figure(found.uptime_percent, "%")),
            ("answers within", _figure(found.response_s, "s, half of them")),
            ("delivered within", _figure(found.delivery_s, "s, half of them")),
        )
    )
    return None


def _figure(value: float | None, unit: str) -> str:
    return "nothing to measure yet" if value is None else f"{value:.1f} {unit}"


def _fields(*, credentials_stdin: bool, **given: Any) -> dict[str, Any]:
    fields = {name: value for name, value in given.items() if value is not None}
    for name in ("metadata", "settings"):
        if name in fields:
            fields[name] = _object(fields[name], name)
    if credentials_stdin:
        fields["credentials"] = sys.stdin.read().strip()
    return fields


def _object(written: str, name: str) -> dict[str, Any]:
    import msgspec

    try:
        return msgspec.json.decode(written, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise typer.BadParameter(f"--{name} is no JSON object: {error}") from None


def _table(found: list[Account]) -> None:
    several = len({one.tenant for one in found}) > 1
    columns = (
        "NAME",
        "PHONE",
        "ROLE",
        *(("TENANT",) if several else ()),
        "STATE",
        "SINCE",
        "ACTIVE",
        "WAITING",
        "NEXT STEP",
    )
    time = now()
    rows = [
        (
            *(one.name, one.phone, one.role),
            *((one.tenant,) if several else ()),
            *(state(one.state), ago(one.state_since, time), _active(one), one.waiting),
            "" if one.state in {"online", "disabled"} else one.next_step,
        )
        for one in found
    ]
    spare = ("ACTIVE", "TENANT", "SINCE", "ROLE", "NEXT STEP")
    show(table(*columns, rows=rows, right=["WAITING"], firm=["PHONE", "STATE", "SINCE"], spare=spare))


def _active(one: Account) -> str:
    last = max((at for at in (one.last_inbound_at, one.last_sent_at) if at), default=None)
    return ago(last, now())


def answer_with_address(client: Client, one: Account, as_json: bool) -> None:
    """Show all of one account and, where a provider calls us, the address to enter there."""
    answer(one, as_json)
    if one.transport in CALL_US and not as_json:
        show(f"\nEnter this address at the provider: {client.webhook(one.id).url}")


def answer(one: Account, as_json: bool) -> None:
    """Show all of one account."""
    if as_json:
        return put_json(one)
    at = now()
    show(
        facts(
            ("name", one.name),
            ("phone", one.phone),
            ("role", one.role),
            ("tenant", one.tenant),
            ("id", one.id),
            ("transport", one.transport),
            ("state", state(one.state)),
            ("since", f"{moment(one.state_since)} ({_ago(one.state_since, at)})"),
            ("why", one.sentence),
            ("detail", one.detail),
            ("next step", one.next_step),
            ("tried again", f"in {span(one.retry_at - at)}" if one.retry_at else ""),
            ("wanted", one.desired),
            ("linked", "yes" if one.linked else "no"),
            ("credentials", f"end in {one.credentials_hint}" if one.credentials_hint else ""),
            ("held by", one.node),
            ("last received", _ago(one.last_inbound_at, at)),
            ("last sent", _ago(one.last_sent_at, at)),
            ("its phone", _phone(one, at)),
            ("its network says", ", ".join(f"{kind} {value}" for kind, value in one.provider.items())),
            ("its network called", _ago(one.last_call_at, at) if one.last_call_at else ""),
            ("call refused", f"{_ago(one.call_refused_at, at)}: {one.call_refused}" if one.call_refused_at else ""),
            ("waiting", one.waiting),
            ("priority", one.priority),
            ("settings", _json(one.settings)),
            ("metadata", _json(one.metadata)),
        )
    )
    return None


def _phone(one: Account, at: datetime) -> str:
    """Of a linked device: when its phone was seen last, and what to do where that was long ago."""
    from wafleet.domain.absence import absence

    if one.phone_seen_at is None:
        return ""
    away = absence(one.phone_seen_at, now=at)
    return f"seen {ago(one.phone_seen_at, at)} ago" if away is None else f"{away.sentence} {away.next_step}".strip()


def _ago(at: datetime | None, time: datetime) -> str:
    return "never" if at is None else f"{ago(at, time)} ago"


def _json(value: dict[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(value).decode() if value else ""
