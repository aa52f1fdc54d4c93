"""The form by which older systems register a sender at Twilio, read into the fields of an account."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import Field

from wafleet.accounts.model import LONGEST_NAME, Account, Fields
from wafleet.domain.account import Desired
from wafleet.domain.errors import Invalid
from wafleet.engine.web import Body

AT_TWILIO: Final[Mapping[str, str]] = {  # setting, by the form's name for it
    "senderSid": "sender_sid",
    "wabaId": "waba_id",
    "supportContact": "support_contact",
}
SECRETS: Final = ("accountSid", "authToken")
HIDDEN: Final = "***"  # how a secret is shown ...
CUT: Final = "..."  # ... and before the end of what is none
STOPPED: Final = frozenset({"inactive", "disabled", "stopped", "suspended", "paused", "offline"})
RESTAURANT: Final = "restaurant_name"  # in the account's metadata


class SenderForm(Body):
    """A sender at Twilio, by the names older systems use."""

    name: str | None = Field(None, min_length=1, max_length=LONGEST_NAME, description="none: the restaurant's name")
    restaurantName: str | None = Field(None, min_length=1, max_length=LONGEST_NAME)
    whatsappNumber: str | None = Field(None, max_length=100, examples=["whatsapp:+14155238886"])
    senderSid: str | None = Field(None, max_length=100)
    wabaId: str | None = Field(None, max_length=100)
    accountSid: str | None = Field(None, max_length=100)
    authToken: str | None = Field(None, max_length=4096, description="write-only")
    status: str | None = Field(None, max_length=50, description="`inactive`: do not start it", examples=["active"])
    supportContact: str | None = Field(None, max_length=200)


def fields_of(form: Mapping[str, Any], *, before: Account | None = None) -> Fields:
    """Read the form. What is left out, null, or sent back as it was shown, stays as `before` has it. Raises Invalid."""
    given = _changed(form, before)
    fields: dict[str, Any] = {} if before is not None else {"transport": "twilio"}
    if "name" in given or (before is None and "restaurantName" in given):
        fields["name"] = given.get("name", given.get("restaurantName"))
    if "whatsappNumber" in given:
        fields["phone"] = given["whatsappNumber"]
    if "restaurantName" in given:
        fields["metadata"] = {**(before.metadata if before else {}), RESTAURANT: given["restaurantName"]}
    if own := {ours: given[theirs] for theirs, ours in AT_TWILIO.items() if theirs in given}:
        settings = before.settings if before else {}
        fields["settings"] = {**settings, "twilio": {**settings.get("twilio", {}), **own}}
    if secrets := {name: given[name] for name in SECRETS if name in given}:
        fields["credentials"] = secrets
    if "status" in given:
        fields["enabled"] = str(given["status"]).strip().lower() not in STOPPED
    return cast(Fields, fields)


def _changed(form: Mapping[str, Any], before: Account | None) -> dict[str, Any]:
    shown = form_of(before) if before is not None else {}
    same = {name for name in (*SECRETS, "status") if form.get(name) == shown.get(name)}
    given = {name: value for name, value in form.items() if value is not None and name not in same}
    for name in SECRETS:
        if str(given.get(name, "")).startswith((HIDDEN, CUT)):
            raise Invalid(name, f"{name}: this only shows that there is one; write it in full, or leave it out")
    return given


def form_of(account: Account) -> dict[str, Any]:
    """Write an account as older systems show it; its secrets are not part of it."""
    own = cast("dict[str, Any]", account.settings.get("twilio") or {})
    return {
        "id": str(account.id),
        "restaurantId": str(account.tenant_id),
        "restaurantName": account.metadata.get(RESTAURANT, account.tenant),
        "name": account.name,
        "whatsappNumber": account.phone,
        **{theirs: own.get(ours) for theirs, ours in AT_TWILIO.items()},
        "accountSid": f"{CUT}{account.credentials_hint}" if account.credentials_hint else None,
        "authToken": HIDDEN if account.credentials_hint else None,
        "status": "inactive" if account.desired is Desired.STOPPED else "active",  # what is wanted, not what is so
        "createdAt": account.created_at.isoformat(),
        "updatedAt": account.updated_at.isoformat(),
    }
