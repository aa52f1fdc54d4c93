"""An account's states, the moves between them, and a reason with a next step for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class Desired(StrEnum):
    """What the operator wants, whatever is observed."""

    RUNNING = "running"
    STOPPED = "stopped"


class State(StrEnum):
    """What is observed of an account."""

    NEW = "new"  # never linked
    LINKING = "linking"  # waiting for a phone to scan
    CONNECTING = "connecting"
    ONLINE = "online"
    DEGRADED = "degraded"  # connected, but something is wrong
    OFFLINE = "offline"  # not connected; connects again by itself, unless the reason says otherwise
    RECOVERING = "recovering"  # being healed
    LOGGED_OUT = "logged_out"  # must be linked again
    BLOCKED = "blocked"  # the provider refuses this number
    DISABLED = "disabled"  # stopped by the operator


S = State
_DOWN: Final = frozenset({S.OFFLINE, S.LOGGED_OUT, S.BLOCKED, S.DISABLED})
MOVES: Final[Mapping[State, frozenset[State]]] = {
    S.NEW: frozenset({S.LINKING, S.CONNECTING, S.DISABLED, S.OFFLINE}),
    S.LINKING: frozenset({S.NEW, S.CONNECTING, S.ONLINE}) | _DOWN,
    S.CONNECTING: frozenset({S.ONLINE, S.DEGRADED, S.RECOVERING, S.LINKING, S.NEW}) | _DOWN,
    S.ONLINE: frozenset({S.DEGRADED, S.RECOVERING, S.CONNECTING, S.LINKING}) | _DOWN,
    S.DEGRADED: frozenset({S.ONLINE, S.RECOVERING, S.CONNECTING, S.LINKING}) | _DOWN,
    S.OFFLINE: frozenset({S.CONNECTING, S.RECOVERING, S.LINKING, S.NEW}) | (_DOWN - {S.OFFLINE}),
    S.RECOVERING: frozenset({S.ONLINE, S.DEGRADED, S.CONNECTING, S.LINKING}) | _DOWN,
    S.LOGGED_OUT: frozenset({S.LINKING, S.CONNECTING, S.DISABLED}),
    S.BLOCKED: frozenset({S.CONNECTING, S.LINKING, S.LOGGED_OUT, S.DISABLED}),
    S.DISABLED: frozenset({S.NEW, S.CONNECTING, S.LINKING, S.LOGGED_OUT, S.OFFLINE, S.BLOCKED}),
}

DEADLINES: Final[Mapping[State, tuple[timedelta, State, str]]] = {
    # a state that must not last: how long it may, where it then goes, and the reason given
    S.LINKING: (timedelta(minutes=3), S.NEW, "link_expired"),
    S.CONNECTING: (timedelta(seconds=45), S.OFFLINE, "connect_timeout"),
    S.RECOVERING: (timedelta(minutes=5), S.OFFLINE, "recovery_timeout"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an account is where it is, in words an operator understands, and what to do next."""

    sentence: str
    next_step: str
    retried: bool = True  # wafleet connects again by itself


REASONS: Final[Mapping[str, Reason]] = {
    "": Reason("All is well.", "Nothing to do."),
    "created": Reason("This account has never been linked.", "Link it: scan its QR code with the phone.", False),
    "credentials_missing": Reason("Its credentials were never entered.", "Enter its credentials.", False),
    "scan": Reason("The QR code waits for the phone.", "On the phone: Linked devices, Link a device, scan the code."),
    "passkey": Reason(
        "WhatsApp asks for a passkey before it links this phone.",
        "Confirm it on the phone when that asks, or in the dashboard of the gateway that holds the number, then link "
        "again. The Cloud API needs none.",
        False,
    ),
    "link_expired": Reason("Nobody scanned the QR code in time.", "Start linking again with the phone at hand.", False),
    "link_cancelled": Reason("Linking was cancelled.", "Start linking again when the phone is at hand.", False),
    "link_refused": Reason("WhatsApp refused to link this phone.", "Wait an hour, then link again.", False),
    "link_broken": Reason(
        "Linking broke off before the phone was linked.", "Look at the detail, then link it again.", False
    ),
    "starting": Reason("The session is being restored.", "Wait: this takes a few seconds."),
    "handover": Reason("The node that held it was stopped.", "Wait: another node, or the next start, takes it over."),
    "connect_timeout": Reason("WhatsApp did not answer in time.", "Wait: it is tried again, later each time."),
    "network": Reason("The connection to WhatsApp broke.", "Wait: it is tried again, later each time."),
    "silent": Reason("Keep-alives are not answered.", "Wait: the session is being restarted."),
    "deaf": Reason("Connected, but nothing arrives.", "Wait: the session is being restarted."),
    "mute": Reason("Connected, but nothing sent is delivered.", "Wait: the session is being restarted."),
    "throttled": Reason("WhatsApp slows this number down.", "Wait: its lane sends more slowly until this ends."),
    "reach_out_lock": Reason(
        "WhatsApp refuses first messages to strangers from this number (error 463).",
        "Answer those who write, and let new conversations wait.",
    ),
    "replaced": Reason(
        "Another program uses this number's session.",
        "Close the other program; wafleet connects again by itself in a minute.",
    ),
    "logged_out": Reason("The phone removed this device.", "Link it again: its history stays.", False),
    "banned": Reason("WhatsApp banned this number for a time.", "Wait until the ban ends; send less and to fewer."),
    "banned_for_good": Reason("WhatsApp banned this number.", "Ask WhatsApp for a review in the app.", False),
    "outdated": Reason(
        "WhatsApp no longer accepts this version of the client.",
        "Update wafleet; until then the number cannot connect.",
    ),
    "credentials": Reason("The provider refuses the credentials.", "Enter new credentials for this account.", False),
    "credentials_lost": Reason(
        "The stored credentials cannot be read with this master key.",
        "Give wafleet the master key they were stored with, or link again.",
        False,
    ),
    "unlinked": Reason("This account was unlinked here.", "Link it again when it is needed.", False),
    "not_removed": Reason(
        "This account was unlinked here, but WhatsApp could not be told: its phone still lists this device.",
        "On the phone: Linked devices, choose this device, Log out.",
        False,
    ),
    "library_missing": Reason(
        "The library of linked devices is missing, or does not fit this machine.",
        "See the detail, or `wafleet doctor`, then start wafleet anew.",
    ),
    "locked": Reason(
        "WhatsApp locked this number, or its account on the phone is gone.",
        "Open WhatsApp on the phone and follow what it says, then link again.",
        False,
    ),
    "refused_client": Reason(
        "WhatsApp refuses how this client presents itself.",
        "Look at the detail, and update wafleet; it is tried again, later each time.",
    ),
    "stream_error": Reason(
        "WhatsApp ended the session with an error that is not known yet.",
        "Wait: the session is opened anew. If it comes back, tell the makers of wafleet the detail.",
    ),
    "worker_crashed": Reason("The process that runs this number died.", "Wait: a new one is started."),
    "worker_stuck": Reason(
        "The process that runs this number stood still and was ended.", "Wait: a new one is started."
    ),
    "worker_memory": Reason(
        "The process that runs this number took more memory than it may.",
        "Wait: a new one is started. If it comes back, give it more: `devices.memory_mb`.",
    ),
    "worker_lifetime": Reason("The process that runs this number is replaced by a new one.", "Nothing to do."),
    "in_use": Reason(
        "Another wafleet on this machine runs this number with the same data folder.",
        "Stop the other one; it is tried again.",
    ),
    "link_wrong_phone": Reason(
        "Another phone than this account's own scanned the code; it was unlinked again.",
        "Link again with the phone whose number the account has.",
        False,
    ),
    "provider_refused": Reason(
        "The provider refuses to let this account work.", "Look at the detail; it is tried again, later each time."
    ),
    "permission": Reason(
        "The provider's credentials do not permit this account to send.",
        "Give them the rights they lack at the provider; it is tried again, later each time.",
    ),
    "billing": Reason(
        "The provider waits for payment.", "Pay, or correct how you pay, at the provider; it is tried again."
    ),
    "restricted": Reason(
        "The provider restricts what this number may send.",
        "Look at its quality and its notices at the provider; send less until they are settled.",
    ),
    "sender_pending": Reason(
        "The provider has not approved this sender yet.",
        "Finish its registration at the provider, or wait for the review; it is tried again, later each time.",
    ),
    "public_url": Reason(
        "The provider refuses the public address of this installation, at which it should report on messages.",
        "Set `public_url` to an address that the internet can reach, and start wafleet anew.",
    ),
    "sender_missing": Reason(
        "The provider does not know this number as a sender of WhatsApp messages.",
        "Compare number and ids with those at the provider, and register the sender there; it is tried again.",
    ),
    "recovery_timeout": Reason("Healing took too long.", "Wait: it is tried again, later each time."),
    "unready": Reason("Its transport could not be started.", "Look at the detail; it is tried again."),
    "moving": Reason("It moves to another transport.", "Wait: it connects there at once."),
    "stopped": Reason("The operator stopped this account.", "Enable it when it is needed again.", False),
}


def explain(reason: str) -> Reason:
    """Return the sentence and the next step for a reason code; a code nobody knows is shown as it is."""
    return REASONS.get(reason) or Reason(f"The provider gave the reason {reason!r}.", "Wait: it is tried again.")
