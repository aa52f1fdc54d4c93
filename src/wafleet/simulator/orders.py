"""What a controller may ask of the network, and what it is told. Phones are E.164, times are seconds."""

from typing import Any

import msgspec

from wafleet.simulator.faults import Fault


class _Order(msgspec.Struct, tag=str.lower, forbid_unknown_fields=True):
    """One thing to do or to tell."""


class Status(_Order): ...


class Scan(_Order):
    """Confirm that an account is linked, as its phone would. A linked device needs what it shows: `qr` or `code`."""

    account: str
    qr: str = ""  # the text inside the QR code
    code: str = ""  # the pairing code


class Say(_Order):
    """Have a customer write to an account."""

    customer: str
    account: str
    text: str
    name: str = ""
    body: dict[str, Any] | None = None


class StartFault(_Order):
    account: str
    kind: str
    lasts: float | None = None
    seconds: float | None = None
    share: float = 1.0
    detail: str = ""


class EndFault(_Order):
    account: str
    kind: str


class Faults(_Order): ...


class Ledger(_Order):
    account: str | None = None


class Refs(_Order):
    account: str
    start: int = 0


class Offers(_Order):
    account: str
    start: int = 0


class StartLoad(_Order):
    """Have customers write at a steady rate: `total` messages, or as many as fit into `lasts` seconds."""

    rate: float
    accounts: list[str] | None = None  # all linked ones when None
    total: int | None = None
    lasts: float | None = None
    customers: int = 10  # per account


class StopLoad(_Order):
    id: int | None = None  # all when None


class Loads(_Order): ...


class Customers(_Order): ...


class Rotate(_Order):
    """Give an account new credentials, as the network does now and then."""

    account: str


class Passkey(_Order):
    """Have phones ask for a passkey when they are linked, or no longer."""

    demanded: bool


class Adopt(_Order):
    """Give an account to a provider: it is linked without a QR code. The answer is its credentials."""

    account: str


Order = (
    Status
    | Scan
    | Say
    | StartFault
    | EndFault
    | Faults
    | Ledger
    | Refs
    | Offers
    | StartLoad
    | StopLoad
    | Loads
    | Customers
    | Rotate
    | Passkey
    | Adopt
)


class AccountLine(msgspec.Struct, kw_only=True):
    account: str
    linked: bool
    online: bool
    linking: bool
    waiting: int
    faults: list[str]


class StatusReport(msgspec.Struct, kw_only=True):
    """What is there, and what is wrong."""

    now: float
    pid: int
    accounts: list[AccountLine]
    linked: int
    online: int
    customers: int
    loads: int
    crossed: int  # messages that crossed the network in both directions since it was founded
    faults: list[Fault]


class LedgerLine(msgspec.Struct, kw_only=True):
    """What crossed the network for one account, counted outside wafleet."""

    account: str
    sent: int = 0  # different messages that crossed to customers
    sent_twice: int = 0  # ... of these, crossed more than once
    out_of_order: int = 0  # crossed after a later one of the same conversation, where texts end in #number
    offered: int = 0  # messages customers wrote to this account
    received: int = 0  # ... of these, acknowledged by the account
    waiting: int = 0  # ... of these, not yet
    repeated: int = 0  # deliveries beyond the first
    refused: int = 0  # sends the network refused, throttled ones apart
    throttled: int = 0
    hidden: int = 0  # messages whose truth was hidden from the account
    muted: int = 0  # sends that were answered but went nowhere
    canaries: int = 0  # messages of the account to itself, not counted above
    replaced: int = 0  # sessions that another login of this account ended


class RefLine(msgspec.Struct, array_like=True):
    """One message of an account, by the account's own name for it."""

    ref: bytes
    times: int  # how often it crossed; 0 only where it is hidden and did not
    hidden: bool
    state: int  # 1 sent, 2 delivered, 3 read
    at: float  # when it crossed, by the network's clock


class OfferLine(msgspec.Struct, array_like=True):
    id: str
    acknowledged: bool


class LoadLine(msgspec.Struct, kw_only=True):
    id: int
    rate: float
    accounts: int
    said: int
    left: int | None  # None: until its time is over
    running: bool


class CustomerLine(msgspec.Struct, kw_only=True):
    phone: str
    name: str
    accounts: list[str]
    said: int
    heard: int
