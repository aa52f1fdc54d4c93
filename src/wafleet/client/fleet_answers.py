"""What wafleet answers of accounts and of the fleet as a whole."""

from datetime import datetime
from typing import Any
from uuid import UUID

from wafleet.client.answers import Answer


class Account(Answer, frozen=True, kw_only=True):
    """One WhatsApp number of the fleet, and how it is now."""

    id: UUID
    tenant_id: UUID
    tenant: str
    name: str
    phone: str
    transport: str
    role: str
    priority: int
    metadata: dict[str, Any]
    settings: dict[str, Any]
    desired: str
    state: str
    reason: str
    detail: str
    sentence: str
    next_step: str
    state_since: datetime
    retry_at: datetime | None = None
    credentials_hint: str = ""
    linked: bool
    node: str | None = None
    last_inbound_at: datetime | None = None
    last_sent_at: datetime | None = None
    phone_seen_at: datetime | None = None  # of a linked device
    provider: dict[str, str]  # what its network last said of it: quality, limit, status
    last_call_at: datetime | None = None  # when its network last called wafleet
    call_refused_at: datetime | None = None
    call_refused: str = ""  # why a call was last refused
    waiting: int
    created_at: datetime
    updated_at: datetime


class Moved(Answer, frozen=True, kw_only=True):
    """What moving an account to another transport did, and what to know of it."""

    account: Account
    was: str
    notes: tuple[str, ...] = ()
    unknown_people: int = 0
    some_unknown: tuple[str, ...] = ()
    unsendable: int = 0


class Webhook(Answer, frozen=True, kw_only=True):
    """Where an account's network is to call, and whether it does."""

    url: str
    complete: bool
    last_call_at: datetime | None = None
    call_refused_at: datetime | None = None
    call_refused: str = ""
    sentence: str


class LookedUp(Answer, frozen=True, kw_only=True):
    """One number that was looked up."""

    phone: str
    on_whatsapp: bool | None = None  # None: WhatsApp cannot tell


class ApprovedTemplate(Answer, frozen=True, kw_only=True):
    """Words that the network approved beforehand, so that they may be sent at any time."""

    name: str
    language: str = ""
    status: str = ""
    category: str = ""
    text: str = ""
    header: str = ""
    variables: tuple[str, ...] = ()  # the blanks to be filled


class Pairing(Answer, frozen=True, kw_only=True):
    """What a person must do now to link an account's phone, or how the last attempt ended."""

    state: str
    reason: str
    ended: str = ""  # "linked", or the reason why not; empty while it is being linked
    detail: str = ""  # of an attempt that failed
    sentence: str
    next_step: str
    qr: str = ""  # the text inside the QR code
    code: str = ""  # the pairing code to type on the phone
    expires_at: datetime | None = None
    deadline_at: datetime | None = None


class AccountStatistics(Answer, frozen=True, kw_only=True):
    """What one account did in a period."""

    account: UUID
    since: datetime
    until: datetime
    sent: int
    received: int
    delivered: int
    read: int
    failed: int
    unknown: int
    waiting: int
    uptime_percent: float | None = None
    response_s: float | None = None
    delivery_s: float | None = None


class FleetRow(Answer, frozen=True, kw_only=True):
    """One account at a glance."""

    id: UUID
    tenant_id: UUID
    tenant: str
    name: str
    phone: str
    transport: str
    role: str
    desired: str
    state: str
    reason: str
    sentence: str
    next_step: str
    state_since: datetime
    last_activity_at: datetime | None = None
    phone_seen_at: datetime | None = None
    waiting: int
    received_today: int
    sent_today: int
    spark: tuple[int, ...] = ()  # messages per five minutes of the last two hours


class Totals(Answer, frozen=True, kw_only=True):
    """Sums over accounts; `states` has every state, also those nobody is in. Today is the day in UTC."""

    total: int
    states: dict[str, int]
    waiting: int
    received_today: int
    sent_today: int


class FleetView(Answer, frozen=True, kw_only=True):
    """The accounts asked for, by name, and the totals of the same accounts in all states."""

    at: datetime
    totals: Totals
    accounts: list[FleetRow]


class FieldChange(Answer, frozen=True, kw_only=True):
    """One field of an account that a fleet file changes; credentials appear only by their ends."""

    field: str
    before: Any = None
    after: Any = None


class FleetChange(Answer, frozen=True, kw_only=True):
    """What a fleet file does to one tenant or account: create, update, remove, left, unchanged."""

    action: str
    kind: str
    tenant: str
    name: str
    phone: str = ""
    account: UUID | None = None
    fields: list[FieldChange]


class Applied(Answer, frozen=True, kw_only=True):
    """What applying a fleet file changed; of a dry run, what it would change."""

    dry_run: bool
    changes: list[FleetChange]


class NetworkStatus(Answer, frozen=True, kw_only=True):
    """The simulated network: its accounts, faults and loads."""

    accounts: list[dict[str, Any]]
    linked: int
    online: int
    customers: int
    loads: int
    crossed: int
    faults: list[dict[str, Any]]


class NetworkLedger(Answer, frozen=True, kw_only=True):
    """What crossed the network per account, counted outside wafleet."""

    accounts: list[dict[str, Any]]


class NetworkDone(Answer, frozen=True, kw_only=True):
    """It was done; `id` names what it made."""

    id: str = ""
