"""The sections, with each setting's limits, default and meaning."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from platformdirs import user_data_dir
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

PREFIX: Final = "WAFLEET_"
FILE: Final = "wafleet.toml"

Role = Literal["api", "lanes", "duties"]


def _words(value: object) -> object:
    return [word for word in value.replace(",", " ").split() if word] if isinstance(value, str) else value


Roles = Annotated[frozenset[Role], BeforeValidator(_words)]


ANSWER: Final = "a request without an answer for this long may have been carried out"


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
    database_connections: int = Field(default=15, ge=3, le=200, description="at most this many to the database")

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
    device_concurrency: int = Field(default=2, ge=1, le=100, description="linked devices that connect at a time")
    device_gap_s: float = Field(default=0.5, ge=0, le=600, description="pause between two linked devices")
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
    media_at_once: int = Field(default=8, ge=1, le=1000, description="messages with files that a node sends at a time")
    per_second: float | None = Field(default=None, gt=0, le=10_000, description="messages per second; none: no limit")
    burst: int = Field(default=1, ge=1, le=10_000, description="messages that may go at once after a pause")
    jitter: float = Field(default=0.1, ge=0, le=1, description="share of each gap that is left to chance")
    per_recipient_s: float = Field(default=0, ge=0, le=3600, description="shortest gap between two to one recipient")
    daily_cap: int | None = Field(default=None, ge=1, description="messages per day; none: no limit")
    warm_up_days: float = Field(default=0, ge=0, le=365, description="a new account reaches full pace over this long")


class InboxSettings(BaseModel, frozen=True, extra="forbid"):
    """How messages are taken in."""

    batch: int = Field(default=500, ge=1, le=10_000, description="messages per transaction")


class MediaSettings(BaseModel, frozen=True, extra="forbid"):
    """Files that messages carry."""

    folder: Path | None = Field(default=None, description="where they lie; none: `media` in the data folder")
    limit_mb: int = Field(default=100, ge=1, le=2048, description="largest file")
    link_s: float = Field(default=900, ge=10, le=604_800, description="a link to a file is good for this long")
    unused_days: float = Field(
        default=7, gt=0, le=3650, description="an uploaded file that no message carries is kept this long"
    )
    s3_bucket: str | None = Field(
        default=None, description="they lie in this bucket of an S3-compatible store instead; needs the extra `s3`"
    )
    s3_endpoint: str | None = Field(default=None, pattern="^https?://", description="of the store; none: Amazon's own")
    s3_region: str = Field(default="us-east-1", min_length=1, description="of the bucket, as its store calls it")
    s3_prefix: str = Field(default="", description="what the names of all files in the bucket begin with")
    s3_access_key: str | None = Field(default=None, repr=False, description="none: what the machine's role gives")
    s3_secret_key: SecretStr | None = Field(default=None, description="belongs to the access key")


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
    answer_s: float = Field(default=10, gt=0, le=120, description=ANSWER)


class DevicesSettings(BaseModel, frozen=True, extra="forbid"):
    """Linked devices: ordinary WhatsApp numbers, each run by a worker process of its own."""

    enabled: bool = Field(default=True, description="offer the transport `device`, where its library is installed")
    name: str = Field(
        default="wafleet", min_length=1, max_length=25, description="what phones call it in their list of devices"
    )
    emulator: Path | None = Field(
        default=None, description="folder of an emulator to link to instead of WhatsApp; none: WhatsApp itself"
    )
    accounts_per_worker: int = Field(
        default=1, ge=1, le=50, description="accounts that share a worker process, and its crashes"
    )
    memory_mb: int = Field(default=300, ge=64, le=8192, description="a worker that takes more is started anew")
    lifetime_h: float = Field(default=24, gt=0, le=720, description="a worker older than this is started anew")
    stuck_s: float = Field(default=20, gt=0, le=600, description="a worker silent for this long is killed")
    checkpoint_s: float = Field(
        default=10, gt=0, le=3600, description="changed sessions are copied to the database this often"
    )


class TwilioSettings(BaseModel, frozen=True, extra="forbid"):
    """WhatsApp senders at Twilio."""

    enabled: bool = Field(default=True, description="accounts may use the transport `twilio`")
    answer_s: float = Field(default=15, gt=0, le=120, description=ANSWER)


class MetaSettings(BaseModel, frozen=True, extra="forbid"):
    """WhatsApp numbers on Meta's Cloud API."""

    enabled: bool = Field(default=True, description="accounts may use the transport `meta`")
    url: str = Field(
        default="https://graph.facebook.com", pattern="^https?://", description="where the API of all accounts is"
    )
    answer_s: float = Field(default=15, gt=0, le=120, description=ANSWER)


class GatewaySettings(BaseModel, frozen=True, extra="forbid"):
    """Numbers that an existing gateway holds, a server with the HTTP interface of WAHA."""

    enabled: bool = Field(default=True, description="accounts may use the transport `gateway`")
    url: str | None = Field(
        default=None, pattern="^https?://", description="where it is; none: each account names its own"
    )
    store: str | None = Field(
        default=None,
        pattern="^https?://",
        description="where it keeps customers' files, when not with itself; they are fetched from nowhere else",
    )
    answer_s: float = Field(default=15, gt=0, le=120, description=ANSWER)


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
    media: MediaSettings = MediaSettings()
    api: ApiSettings = ApiSettings()
    retention: RetentionSettings = RetentionSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    devices: DevicesSettings = DevicesSettings()
    twilio: TwilioSettings = TwilioSettings()
    meta: MetaSettings = MetaSettings()
    gateway: GatewaySettings = GatewaySettings()
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
