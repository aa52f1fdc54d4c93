"""Every setting there is: read once at start, in `app.py`; a slice is handed its own section and nothing else.

environment (WAFLEET_PORT, WAFLEET_OUTBOX__BATCH)  over  .env  over  wafleet.toml  over  the defaults below
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast, get_args, get_origin

from dotenv import dotenv_values
from platformdirs import user_data_dir
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

PREFIX: Final = "WAFLEET_"
FILE: Final = "wafleet.toml"

Role = Literal["api", "lanes", "duties"]


def _words(value: object) -> object:
    return [word for word in value.replace(",", " ").split() if word] if isinstance(value, str) else value


Roles = Annotated[frozenset[Role], BeforeValidator(_words)]


class NodeSettings(BaseModel, frozen=True, extra="forbid"):
    """This running process among its peers."""

    name: str | None = Field(
        default=None, min_length=1, max_length=60, description="unique among nodes; none: made from the host's name"
    )
    roles: Roles = Field(
        default=frozenset({"api", "lanes", "duties"}), min_length=1, description="what it does: api, lanes, duties"
    )
    lease_s: float = Field(default=6, ge=1, le=300, description="others take its accounts after this long a silence")
    renew_s: float = Field(default=2, ge=0.1, le=100, description="it renews its leases this often")
    database_connections: int = Field(default=12, ge=3, le=200, description="at most this many to the database")

    @model_validator(mode="after")
    def _renews_in_time(self) -> Self:
        if self.renew_s * 2 > self.lease_s:
            raise ValueError(
                f"{PREFIX}NODE__RENEW_S must be at most half of {PREFIX}NODE__LEASE_S, so that one lost renewal costs "
                "nothing: lower it."
            )
        return self


class SessionsSettings(BaseModel, frozen=True, extra="forbid"):
    """How accounts are connected."""

    concurrency: int = Field(default=200, ge=1, le=5000, description="accounts that connect at a time")
    gap_ms: float = Field(default=0, ge=0, le=60_000, description="pause between two of them")
    device_concurrency: int = Field(default=1, ge=1, le=100, description="linked devices that connect at a time")
    device_gap_s: float = Field(default=3, ge=0, le=600, description="pause between two linked devices")
    connect_limit_s: float = Field(default=20, gt=0, le=600, description="a connection takes at most this long")
    backoff_first_s: float = Field(default=1, gt=0, le=60, description="wait before the first reconnection")
    backoff_most_s: float = Field(default=32, gt=0, le=3600, description="longest wait between reconnections")


class KeepAliveSettings(BaseModel, frozen=True, extra="forbid"):
    """How a live connection proves that it lives."""

    every_s: float = Field(default=30, gt=0, le=3600, description="each account is asked this often")
    limit_s: float = Field(default=10, gt=0, le=600, description="it must answer within this time")
    tries: int = Field(default=3, ge=1, le=20, description="unanswered questions before it is connected anew")
    canary_after_s: float = Field(default=600, gt=0, le=86_400, description="silence before a canary is sent round")
    receipt_lag_s: float = Field(default=60, gt=0, le=3600, description="a missing receipt counts as lag after this")


class OutboxSettings(BaseModel, frozen=True, extra="forbid"):
    """How lanes send. Per account unless it says otherwise; an account's own settings win."""

    batch: int = Field(default=500, ge=1, le=10_000, description="messages per transaction")
    max_attempts: int = Field(
        default=5, ge=1, le=100, description="tries that never reached the network, then it failed"
    )
    answer_limit_s: float = Field(default=10, gt=0, le=600, description="the network has this long to answer")
    per_second: float | None = Field(default=None, gt=0, le=10_000, description="messages per second; none: no limit")
    burst: int = Field(default=1, ge=1, le=10_000, description="messages that may go at once after a pause")
    jitter: float = Field(default=0.1, ge=0, le=1, description="share of each gap that is left to chance")
    per_recipient_s: float = Field(default=0, ge=0, le=3600, description="shortest gap between two to one recipient")
    daily_cap: int | None = Field(default=None, ge=1, description="messages per day; none: no limit")
    warm_up_days: float = Field(default=0, ge=0, le=365, description="a new account reaches full pace over this long")


class InboxSettings(BaseModel, frozen=True, extra="forbid"):
    """How messages are taken in."""

    batch: int = Field(default=500, ge=1, le=10_000, description="messages per transaction")


class ApiSettings(BaseModel, frozen=True, extra="forbid"):
    """What callers of the API may ask of it."""

    body_limit_kb: int = Field(default=1024, ge=1, le=1_000_000, description="largest request body")
    per_token_per_second: float = Field(default=2000, gt=0, le=100_000, description="requests a token may make")


class RetentionSettings(BaseModel, frozen=True, extra="forbid"):
    """How long things are kept."""

    events_days: float = Field(default=30, gt=0, le=3650, description="the event log")
    tallies_days: float = Field(default=3, gt=0, le=365, description="counts by five minutes; then they become days")
    idempotency_days: float = Field(default=7, gt=0, le=365, description="idempotency keys of requests")
    stray_receipts_days: float = Field(default=7, gt=0, le=365, description="receipts whose message is unknown")
    jobs_days: float = Field(default=7, gt=0, le=365, description="records of background jobs that ended")


class SimulatorSettings(BaseModel, frozen=True, extra="forbid"):
    """The WhatsApp network in the box."""

    enabled: bool = Field(default=False, description="accounts may use the transport `simulator`")
    folder: Path | None = Field(default=None, description="where its ledger lies; none: `simulator` in the data folder")
    auto_scan_s: float | None = Field(
        default=None, ge=0, le=3600, description="QR codes are scanned after this; none: never"
    )


class ConsoleSettings(BaseModel, frozen=True, extra="forbid"):
    """The pages people look at."""

    enabled: bool = Field(default=True, description="serve the console beside the API")


class Settings(BaseModel, frozen=True, extra="forbid"):
    """Every setting. `load` reads it; made directly, it holds the defaults and what it is given."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address the API and the console listen on")
    port: int = Field(default=8420, ge=0, le=65535, description="port they listen on; 0 takes any free one")
    data_dir: Path = Field(
        default_factory=lambda: Path(user_data_dir("wafleet")),
        description="folder of database, logs, media and keys",
    )
    database_url: str | None = Field(
        default=None, repr=False, description="PostgreSQL 15 or newer; none: the one that comes with wafleet"
    )
    master_key: SecretStr | None = Field(
        default=None, description="wraps every stored credential: 32 bytes, base64 or hex; none: a key file in data_dir"
    )
    admin_email: str = Field(
        default="admin@wafleet.local", pattern=r"^[^@\s]+@[^@\s]+$", description="sign-in of the first administrator"
    )
    admin_password: SecretStr | None = Field(
        default=None, min_length=8, description="the first administrator's; none: made at first start and printed once"
    )
    url: str | None = Field(default=None, description="the wafleet commands talk to; none: the one on this machine")
    token: SecretStr | None = Field(default=None, description="the API token that commands use")
    public_url: str | None = Field(default=None, description="how providers' webhooks reach this wafleet")
    config: Path | None = Field(default=None, description="the settings file; none: wafleet.toml in the current folder")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="what is worth a line")
    test_database_url: str | None = Field(default=None, repr=False, description="PostgreSQL for the test suite")

    node: NodeSettings = NodeSettings()
    sessions: SessionsSettings = SessionsSettings()
    keep_alive: KeepAliveSettings = KeepAliveSettings()
    outbox: OutboxSettings = OutboxSettings()
    inbox: InboxSettings = InboxSettings()
    api: ApiSettings = ApiSettings()
    retention: RetentionSettings = RetentionSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    console: ConsoleSettings = ConsoleSettings()

    @field_validator("data_dir", "config")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        return path.expanduser() if path else None

    @field_validator("database_url", "test_database_url")
    @classmethod
    def _is_postgres(cls, url: str | None) -> str | None:
        try:
            conninfo_to_dict(url or "")
        except ProgrammingError as error:
            raise ValueError("it must be like postgresql://user:password@host:5432/database") from error
        return url

    @field_validator("url", "public_url")
    @classmethod
    def _is_web_address(cls, url: str | None) -> str | None:
        try:
            return str(AnyHttpUrl(url)).rstrip("/") if url else None
        except ValueError as error:
            raise ValueError("it must be like https://fleet.example.com") from error

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, level: object) -> object:
        return level.lower() if isinstance(level, str) else level


class SettingsError(Exception):
    """A setting is wrong; the sentence names it, where it stands, and what to write instead."""


_RULES: Final[Mapping[str, str]] = {  # by pydantic's name for what is wrong
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "int_type": "it must be a whole number",
    "float_parsing": "it must be a number",
    "float_type": "it must be a number",
    "bool_parsing": "it must be true or false",
    "bool_type": "it must be true or false",
    "string_type": "it must be a text",
    "path_type": "it must be a path",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than_equal": "it must be at most {le}",
    "string_too_short": "it must have at least {min_length} characters",
    "string_too_long": "it must have at most {max_length} characters",
    "too_short": "it must have a length of at least {min_length}",
    "literal_error": "it must be {expected}",
    "string_pattern_mismatch": "it must match {pattern}",
}
_NAMES: Final[Mapping[object, str]] = {
    SecretStr: "text",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true | false",
    Path: "path",
}


@dataclass(frozen=True, slots=True)
class Described:
    """One setting, for documentation and `doctor`."""

    name: str  # as in the environment
    type: str
    default: object
    description: str
    secret: bool


Place = tuple[str, ...]  # ("outbox", "batch")


@dataclass(frozen=True, slots=True)
class _Given:
    name: str  # as it is written where it stands
    value: object
    where: str


def load(environ: Mapping[str, str] = os.environ, *, folder: Path | None = None, **overrides: object) -> Settings:
    """Read every source and check every name and value. Raises SettingsError.

    folder     where .env and wafleet.toml are looked for; none: the current one
    overrides  top-level settings from the command line, over everything else; None counts as not given
    """
    given: dict[Place, _Given] = {}
    for source in _sources(environ, folder or Path.cwd()):
        given |= source
    for name, value in overrides.items():
        if value is not None:
            given[(name,)] = _Given(f"--{name.replace('_', '-')}", value, "on the command line")
    tree: dict[str, Any] = {}
    for path, one in given.items():
        inner = tree if len(path) == 1 else tree.setdefault(path[0], {})
        inner[path[-1]] = None if one.value == "none" else one.value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(_sentence(error, given)) from None


def describe() -> Iterator[Described]:
    """List every setting with its type, default and meaning."""
    for path, field in _fields():
        yield Described(
            name=_variable(path),
            type=_type_of(field),
            default=field.get_default(call_default_factory=True, validated_data={}),
            description=field.description or "",
            secret=_is_secret(field),
        )


def _sources(environ: Mapping[str, str], folder: Path) -> Iterator[dict[Place, _Given]]:
    """The weakest first."""
    dotenv = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
    yield _from_toml(_toml_file(environ, dotenv, folder))
    yield _from_variables(dotenv, "in .env")
    yield _from_variables(environ, "in the environment")


def _toml_file(environ: Mapping[str, str], dotenv: Mapping[str, str], folder: Path) -> Path | None:
    named = environ.get(f"{PREFIX}CONFIG") or dotenv.get(f"{PREFIX}CONFIG")
    if named:
        path = folder / Path(named).expanduser()
        if not path.is_file():
            raise SettingsError(f"{PREFIX}CONFIG names {path}, which is no file: create it, or unset {PREFIX}CONFIG.")
        return path
    return folder / FILE if (folder / FILE).is_file() else None


def _from_toml(file: Path | None) -> dict[Place, _Given]:
    if file is None:
        return {}
    try:
        tree = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read: {error}: correct it, or move it away.") from error
    known = {path for path, _ in _fields()}
    found: dict[Place, _Given] = {}
    for path, value in _leaves(tree):
        name = ".".join(path)
        if path not in known:
            raise SettingsError(_unknown(name, f"in {file}", [".".join(one) for one in known]))
        found[path] = _Given(name, value, f"in {file}")
    return found


def _leaves(tree: Mapping[str, object], above: Place = ()) -> Iterator[tuple[Place, object]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(cast(dict[str, object], value), (*above, name))
        else:
            yield (*above, name), value


def _from_variables(variables: Mapping[str, str], where: str) -> dict[Place, _Given]:
    known = {_variable(path): path for path, _ in _fields()}
    found: dict[Place, _Given] = {}
    for name, value in variables.items():
        if not name.upper().startswith(PREFIX):
            continue
        if name.upper() not in known:
            raise SettingsError(_unknown(name, where, list(known)))
        if value.strip():
            found[known[name.upper()]] = _Given(name, value.strip(), where)
    return found


def _unknown(name: str, where: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name.upper() if name.isupper() else name, known, n=1, cutoff=0.6)
    remedy = f"did you mean {nearest[0]}?" if nearest else "remove it; `wafleet doctor` lists every setting."
    return f"{name} {where} is no setting of wafleet: {remedy}"


def _sentence(error: ValidationError, given: Mapping[Place, _Given]) -> str:
    fields = dict(_fields())
    first = error.errors(include_url=False)[0]
    rule = first["msg"].removeprefix("Value error, ")
    path = tuple(str(part) for part in first["loc"])[:2]
    path = path if path in fields else path[:1]
    if path not in fields or path not in given:
        return rule
    field, one = fields[path], given[path]
    value = "" if _is_secret(field) else f"={one.value!r}"
    known = _RULES.get(first["type"])
    rule = known.format(**first.get("ctx", {})) if known else rule
    return f"{one.name}{value} {one.where} cannot be used: {rule} ({field.description})."


def _fields() -> Iterator[tuple[Place, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for inner, inner_field in field.annotation.model_fields.items():
                yield (name, inner), inner_field
        else:
            yield (name,), field


def _variable(path: Place) -> str:
    return PREFIX + "__".join(path).upper()


def _is_secret(field: FieldInfo) -> bool:
    return field.repr is False or SecretStr in (field.annotation, *get_args(field.annotation))


def _type_of(field: FieldInfo) -> str:
    parts: list[object] = [one for one in get_args(field.annotation) or (field.annotation,) if one is not type(None)]
    if get_origin(field.annotation) is Literal:
        return " | ".join(map(str, parts))
    return ", ".join(_NAMES.get(part) or " | ".join(sorted(get_args(part))) for part in parts)
