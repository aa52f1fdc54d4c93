"""The ways a number may take to WhatsApp, as a person chooses among them and fills in what each needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wafleet.accounts import LONGEST_NAME, LONGEST_ROLE

LONGEST_SECRET: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One field of a form."""

    name: str
    path: str  # what it is of an account; errors name it so
    label: str
    hint: str = ""
    shape: str = ""  # what a sound value looks like
    needed: bool = False
    secret: bool = False  # never shown again, not even to who typed it
    folded: bool = False  # of use to few
    platform: bool = False  # only the platform's administrator may fill it in
    made_up: bool = False  # any unguessable text will do
    phone: bool = False
    latin: bool = True  # reads from left to right whatever the page's language
    longest: int = 200
    also: tuple[str, ...] = ()  # names under which others write it down; filled by pasting


NAME: Final = Entry(
    name="name",
    path="name",
    label="Name",
    hint="What your people call it.",
    needed=True,
    latin=False,
    longest=LONGEST_NAME,
    also=("restaurantName", "displayName", "title"),
)
PHONE: Final = Entry(
    name="phone",
    path="phone",
    label="Number",
    hint="With its country code, in any usual spelling.",
    needed=True,
    phone=True,
    also=("whatsappNumber", "phoneNumber", "displayPhoneNumber", "number", "sender", "from"),
)
ROLE: Final = Entry(
    name="role", path="role", label="Role", hint="What it is for: sales, orders.", latin=False, longest=LONGEST_ROLE
)
RESTAURANT: Final = Entry(
    name="restaurantName",
    path="metadata.restaurant_name",
    label="Restaurant",
    hint="As programs of older systems ask for it.",
    folded=True,
    latin=False,
    longest=LONGEST_NAME,
)
COMMON: Final = (NAME, PHONE, ROLE)
"""What every number has; it stays when the number moves."""


def _url(transport: str, hint: str, *, folded: bool = False) -> Entry:
    return Entry(
        name="url",
        path=f"settings.{transport}.url",
        label="Address",
        hint=hint,
        shape="Write the whole address, such as http://gateway:3000.",
        folded=folded,
        platform=True,
        longest=500,
    )


def _business(transport: str, hint: str, *, folded: bool = False) -> Entry:
    return Entry(
        name="wabaId",
        path=f"settings.{transport}.waba_id",
        label="Business account id",
        hint=hint,
        shape="It has digits only.",
        folded=folded,
        also=("whatsappBusinessAccountId", "businessAccountId"),
    )


TWILIO: Final = (
    Entry(
        name="accountSid",
        path="credentials.accountSid",
        label="Account SID",
        hint="Begins with AC: on the start page of Twilio's console.",
        needed=True,
    ),
    Entry(
        name="authToken",
        path="credentials.authToken",
        label="Auth token",
        hint="Beside the account SID. It is stored encrypted and never shown again.",
        needed=True,
        secret=True,
        longest=LONGEST_SECRET,
    ),
    Entry(
        name="senderSid",
        path="settings.twilio.sender_sid",
        label="Sender SID",
        hint="Begins with XE. Without it, quality and limits stay unknown.",
        shape="It begins with XE and has 34 characters.",
    ),
    Entry(
        name="messagingServiceSid",
        path="settings.twilio.messaging_service_sid",
        label="Messaging service SID",
        hint="Begins with MG: to send by that service's rules.",
        shape="It begins with MG and has 34 characters.",
        folded=True,
    ),
    _business("twilio", "Kept for you.", folded=True),
    Entry(
        name="supportContact",
        path="settings.twilio.support_contact",
        label="Support contact",
        hint="Kept for you.",
        shape="One line of text.",
        folded=True,
        latin=False,
    ),
    RESTAURANT,
    _url("twilio", "In place of Twilio's own: a stand-in, or a proxy.", folded=True),
)
META: Final = (
    Entry(
        name="phoneNumberId",
        path="settings.meta.phone_number_id",
        label="Phone number id",
        hint="In the app's settings: WhatsApp, API setup.",
        shape="It has digits only, and is not the phone number itself.",
        needed=True,
    ),
    Entry(
        name="accessToken",
        path="credentials.accessToken",
        label="Access token",
        hint="A lasting one, of a system user. It is stored encrypted and never shown again.",
        needed=True,
        secret=True,
        longest=LONGEST_SECRET,
        also=("token",),
    ),
    Entry(
        name="appSecret",
        path="credentials.appSecret",
        label="App secret",
        hint="In the app's basic settings. Meta's calls are proved with it.",
        needed=True,
        secret=True,
        longest=LONGEST_SECRET,
    ),
    Entry(
        name="verifyToken",
        path="credentials.verifyToken",
        label="Verify token",
        hint="Any words of yours. Keep them: Meta wants the same beside the webhook address.",
        made_up=True,
        longest=LONGEST_SECRET,
    ),
    _business("meta", "Without it templates cannot be listed."),
    _url("meta", "In place of Meta's own: a stand-in, or a proxy.", folded=True),
)
GATEWAY: Final = (
    Entry(
        name="session",
        path="settings.gateway.session",
        label="Session",
        hint="Its name in the gateway.",
        shape="One line of text.",
    ),
    Entry(
        name="apiKey",
        path="credentials.apiKey",
        label="API key",
        hint="It is stored encrypted and never shown again.",
        needed=True,
        secret=True,
        longest=LONGEST_SECRET,
    ),
    Entry(
        name="hmacKey",
        path="credentials.hmacKey",
        label="HMAC key",
        hint="The gateway signs its calls with it; without it they are refused.",
        made_up=True,
        longest=LONGEST_SECRET,
    ),
    _url("gateway", "Where the gateway is, if not where this installation says."),
)
DEVICE: Final = (
    Entry(
        name="deviceName",
        path="settings.device.name",
        label="Device name",
        hint="How the phone lists it, under Linked devices.",
        shape="Write at most 25 characters.",
        folded=True,
        latin=False,
        longest=25,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One transport, for the person who chooses."""

    kind: str
    label: str
    summary: str
    need: str
    entries: Sequence[Entry] = ()
    where: Sequence[str] = ()  # where its provider wants the address of the webhook
    provider: str = ""  # whom people mean by it within a sentence


WAYS: Final[Mapping[str, Way]] = {
    way.kind: way
    for way in (
        Way(
            kind="device",
            label="Linked device",
            summary="An ordinary WhatsApp number.",
            need="You need its phone, to scan a QR code.",
            entries=DEVICE,
        ),
        Way(
            kind="twilio",
            label="Twilio",
            provider="Twilio",
            summary="A WhatsApp sender registered at Twilio.",
            need="You need the account SID and the auth token.",
            entries=TWILIO,
            where=(
                "In Twilio's console, open Messaging, Senders, WhatsApp senders, and this sender.",
                "Paste it as the webhook for incoming messages, method POST.",
                "Reports on sent messages need nothing: each message names its own address.",
            ),
        ),
        Way(
            kind="meta",
            label="Meta Cloud",
            provider="Meta",
            summary="A number on Meta's Cloud API.",
            need="You need its id, an access token and the app's secret.",
            entries=META,
            where=(
                "In the app's settings at Meta, open WhatsApp, Configuration.",
                "Paste it as the callback URL, with the verify token entered here.",
                "Subscribe to messages; also to account_update, phone_number_quality_update and "
                "message_template_status_update.",
            ),
        ),
        Way(
            kind="gateway",
            label="Gateway",
            provider="the gateway",
            summary="A session of a server with WAHA's interface.",
            need="You need its API key.",
            entries=GATEWAY,
            where=(
                "Linking the phone tells the gateway this address by itself.",
                "For a session that works already, paste it as its webhook, with the HMAC key entered here.",
            ),
        ),
        Way(
            kind="simulator",
            label="Simulator",
            summary="A number that exists only here.",
            need="To try things out.",
        ),
    )
}


def way_of(kind: str) -> Way:
    """Return how a transport is shown; one this console does not know is shown by its own name."""
    return WAYS.get(kind) or Way(kind=kind, label=kind.capitalize(), summary="", need="")


def entries_of(kind: str, *, platform: bool, moving: bool = False) -> list[Entry]:
    """Return the fields to fill in: those of the transport, and of a new number its own before them."""
    own = [one for one in way_of(kind).entries if platform or not one.platform]
    return [one for one in own if one is not RESTAURANT] if moving else [*COMMON, *own]


def secrets_of(kind: str) -> list[Entry]:
    """Return the fields of a transport's credentials."""
    return [one for one in way_of(kind).entries if one.path.startswith("credentials.")]
