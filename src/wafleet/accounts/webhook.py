"""Where an account's network is to call wafleet, and whether it does."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, Field

from wafleet.accounts.model import Account
from wafleet.domain.ids import AccountId
from wafleet.engine.web import Stamp
from wafleet.transports.twilio.hooks import AGAIN

_BEHIND: Final[Mapping[str, str]] = {
    "twilio": AGAIN
}  # what an address needs for calls to be repeated that came in vain


class WebhookView(BaseModel):
    """Where an account's network is to call, and whether it does."""

    url: str = Field(description="enter this at the provider, with all that stands behind a `#`")
    complete: bool = Field(description="false: WAFLEET_PUBLIC_URL is not set, so that this address is a guess")
    last_call_at: Stamp | None = Field(description="when a call last proved that it came from the network")
    call_refused_at: Stamp | None
    call_refused: str = Field(description="why a call was last refused")
    sentence: str = Field(description="how it stands, and what to do next")


def webhook_view(account: Account, public_url: str | None, guess: str) -> WebhookView:
    """Describe an account's webhook; `guess` is how this request reached us, where no public address is set."""
    return WebhookView(
        url=webhook_url(public_url or guess, account.transport, account.id),
        complete=public_url is not None,
        last_call_at=account.last_call_at,
        call_refused_at=account.call_refused_at,
        call_refused=account.call_refused,
        sentence=_sentence(account, public_url),
    )


def webhook_url(base: str, transport: str, account: AccountId) -> str:
    """Return where an account's network is to call a wafleet that is reached at `base`, as it is entered there."""
    return f"{base.rstrip('/')}/hooks/{transport}/{account}{_BEHIND.get(transport, '')}"


def _sentence(account: Account, public_url: str | None) -> str:
    called, refused = account.last_call_at, account.call_refused_at
    if refused is not None and (called is None or refused > called):
        return f"The last call was refused: {account.call_refused}."
    if called is not None:
        return "The network calls, and proves that it is the network."
    if public_url is None:
        return "Set WAFLEET_PUBLIC_URL to how the world reaches this wafleet; then enter the address at the provider."
    return "The network has not called yet: enter this address at the provider, then send a message to the number."
