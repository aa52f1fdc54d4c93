"""The form by which older systems register a sender at Twilio, read into the fields of an account."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import Field

from wafleet.accounts.model import LONGEST_NAME, Account, Fields
from wafleet.domain.account import Desired, State
from wafleet.engine.web import Body

AT_TWILIO: Final[Mapping[str, str]] = {  # setting, by the form's name for it
    "senderSid": "sender_sid",
    "wabaId": "waba_id",
    "supportContact": "support_contact",
}
SECRETS: Final = ("accountSid", "authToken")
STOPPED: Final = frozenset({"inactive", "disabled", "stopped", "suspended", "paused", "offline"})
RESTAURANT: Final = "restaurant_name"  # in the account's metadata


class SenderForm(Body):
    """A sender at Twilio, by the names older systems use."""

    name: str | None = Field(None, min_length=1, max_length=LONGEST_NAME, description="none: the restaurant's name")
    restaurantName: str | None = Field(None, min_length=1, max_length=LONGEST_NAME)  # noqa: N815
    whatsappNumber: str | None = Field(None, max_length=100, examples=["whatsapp:+14155238886"])  # noqa: N815
    senderSid: str | None = Field(None, max_length=100)  # noqa: N815
    wabaId: str | None = Field(None, max_length=100)  # noqa: N815
    accountSid: str | None = Field(None, max_length=100)  # noqa: N815
    authToken: str | None = Field(None, max_length=4096, description="write-only")  # noqa: N815
    status: str | None = Field(None, max_length=50, description="`inactive`: do not start it", examples=["active"])
    supportContact: str | None = Field(None, max_length=200)  # noqa: N815


def fields_of(form: Mapping[str, Any], *, before: Account | None = None) -> Fields:
    """Read the form. What is left out, or null, stays as `before` has it."""
    given = {name: value for name, value in form.items() if value is not None}
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
        "accountSid": f"...{account.credentials_hint}" if account.credentials_hint else None,
        "authToken": "***" if account.credentials_hint else None,
        "status": _status(account),
        "createdAt": account.created_at.isoformat(),
        "updatedAt": account.updated_at.isoformat(),
    }


def _status(account: Account) -> str:
    if account.desired is Desired.STOPPED:
        return "inactive"
    return "active" if account.state in {State.ONLINE, State.DEGRADED} else account.state.value
