"""Whether a number at a provider works, as a list: what is done, what is waited for, what is wrong and what helps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wafleet.accounts import Account, WebhookView
from wafleet.domain.account import State, explain

LIVE: Final = frozenset({State.ONLINE, State.DEGRADED})
OF_THE_PROVIDER: Final = frozenset(
    {"provider_refused", "permission", "billing", "restricted", "sender_pending", "public_url", "sender_missing"}
)
"""Reasons that wafleet tries again by itself, and that only a person ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be so before a number works."""

    name: str
    stage: str  # done | waiting | wrong
    sentence: str
    remedy: str = ""
    at: datetime | None = None  # when it was seen so


def checks(account: Account, hook: WebhookView, *, provider: str, shown: str) -> Sequence[Check]:
    """Return what must be so, in the order in which a person sees to it.

    provider  whom people mean within a sentence
    shown     the number as people read it
    """
    return (_address(hook), _access(account, provider), _call(hook, provider), _message(account, hook, shown))


def _address(hook: WebhookView) -> Check:
    if hook.complete:
        return Check(name="Public address", stage="done", sentence="This installation knows its own address.")
    return Check(
        name="Public address",
        stage="wrong",
        sentence="WAFLEET_PUBLIC_URL is not set: the address above is a guess.",
        remedy="Set it to how the world reaches this wafleet, and start wafleet anew.",
    )


def _access(account: Account, provider: str) -> Check:
    name, why = "Credentials", explain(account.reason)
    if account.state in LIVE:
        return Check(name=name, stage="done", sentence=_begun(f"{provider} accepts them."), at=account.state_since)
    if account.state is State.DISABLED:
        return Check(
            name=name, stage="waiting", sentence="The number is stopped.", remedy="Enable it to try its credentials."
        )
    wrong = not why.retried or account.reason in OF_THE_PROVIDER
    said = f"{why.sentence} {account.detail}".strip()
    return Check(name=name, stage="wrong" if wrong else "waiting", sentence=said, remedy=why.next_step)


def _call(hook: WebhookView, provider: str) -> Check:
    name, called, refused = f"A call of {provider}", hook.last_call_at, hook.call_refused_at
    if refused is not None and (called is None or refused > called):
        return Check(
            name=name,
            stage="wrong",
            sentence=f"A call was refused: {hook.call_refused.rstrip('.')}.",
            remedy="Compare the address above and the secrets with those at the provider, letter by letter.",
            at=refused,
        )
    if called is not None:
        return Check(name=name, stage="done", sentence="It came, and proved who it is.", at=called)
    return Check(
        name=name,
        stage="waiting",
        sentence=_begun(f"{provider} has not called yet."),
        remedy="Enter the address above, and see that your proxy passes /hooks/ on unchanged.",
    )


def _message(account: Account, hook: WebhookView, shown: str) -> Check:
    if account.last_inbound_at is not None and hook.last_call_at is not None:  # not what a former transport brought
        return Check(name="A message", stage="done", sentence="Messages come in.", at=account.last_inbound_at)
    return Check(
        name="A message", stage="waiting", sentence="None has come in yet.", remedy=f"Write to {shown} from a phone."
    )


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
