"""The states of a gateway's session, and what they mean for an account.

Source: https://waha.devlike.pro/docs/how-to/sessions/ (the passkey states came in 2026).
"""

from collections.abc import Mapping
from typing import Final

STOPPED, STARTING, SCAN, WORKING, FAILED = "STOPPED", "STARTING", "SCAN_QR_CODE", "WORKING", "FAILED"
PASSKEY, CONFIRM = "PASSKEY_REQUIRED", "PASSKEY_CONFIRMATION_REQUIRED"

# What a session that does not work means, by its status; a status nobody knows yet is trouble that may pass.
REASONS: Final[Mapping[str, str]] = {
    STOPPED: "network",
    SCAN: "logged_out",
    FAILED: "stream_error",
    PASSKEY: "passkey",
    CONFIRM: "passkey",
}

_SENTENCES: Final[Mapping[str, str]] = {
    STOPPED: "the gateway has stopped this session",
    STARTING: "the gateway is still starting this session",
    SCAN: "the gateway waits for the phone to link it",
    FAILED: "the gateway's session has failed",
    PASSKEY: "WhatsApp asks for a passkey: confirm it in the gateway's own dashboard, then link again",
    CONFIRM: "the phone shows a code: compare and confirm it in the gateway's own dashboard, then link again",
}


def reason(status: str) -> str:
    """Return the code of `domain.account.REASONS` for a session's status; empty: it works, or will in a moment."""
    return "" if status in {WORKING, STARTING} else REASONS.get(status, "network")


def sentence(status: str) -> str:
    """Say what a status means, for people."""
    return _SENTENCES.get(status, f"the gateway says {status}")
