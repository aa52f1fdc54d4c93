"""News of numbers and business accounts at Meta: quality, limits, restrictions and templates.

A `status` whose reason is empty is good news, or news that changes nothing: the number works.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from wafleet.transports.calls import Of, Sign
from wafleet.transports.meta.identity import identity

Json = dict[str, Any]

UNLIMITED: Final = "TIER_UNLIMITED"
_QUALITY: Final = frozenset({"FLAGGED", "UNFLAGGED"})
_MUTE: Final = frozenset({"RESTRICTED_BIZ_INITIATED_MESSAGING", "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"})
_ELSEWHERE: Final = frozenset(  # of prices, partners and papers: whether a number works does not hang on them
    {
        "AD_ACCOUNT_LINKED",
        "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
        "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
        "MM_LITE_TERMS_SIGNED",
        "PARTNER_ADDED",
        "PARTNER_APP_INSTALLED",
        "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE",
        "VOLUME_BASED_PRICING_TIER_UPDATE",
    }
)
_REASONS: Final[Mapping[str, str]] = {
    "ACCOUNT_DELETED": "sender_missing",
    "ACCOUNT_OFFBOARDED": "sender_missing",
    "PARTNER_APP_UNINSTALLED": "permission",
    "PARTNER_REMOVED": "permission",
}
_STATUSES: Final[Mapping[str, str]] = {  # of a number; others send, if only to some, such as RESTRICTED for a day
    "BANNED": "banned_for_good",
    "DELETED": "sender_missing",
    "DISCONNECTED": "sender_missing",
    "MIGRATED": "sender_missing",
    "PENDING": "sender_pending",
    "UNVERIFIED": "sender_pending",
}


def read(field: str, value: Json, business: str) -> list[Of]:
    """Read one change that is no message; nothing for a field that says nothing to us.

    business  Meta's id of the business account: the change is about all its numbers, unless it names one
    """
    reader = _READERS.get(field)
    if reader is None:
        return []
    about = identity(value.get("display_phone_number")) or f"waba:{business}"
    return [Of(sign, about) for sign in reader(value)]


def of_number(found: Mapping[str, Any]) -> Iterator[Sign]:
    """Tell what Meta's description of a number says: its status first, then quality and limits."""
    if status := str(found.get("status") or ""):
        yield Sign("status", status, _STATUSES.get(status, ""))
    if quality := str(found.get("quality_rating") or ""):
        yield Sign("quality", quality)
    if tier := found.get("whatsapp_business_manager_messaging_limit") or found.get("messaging_limit_tier"):
        yield Sign("limit", str(tier))


def _quality(value: Json) -> Iterator[Sign]:
    event = str(value.get("event") or "")
    if event in _QUALITY:
        yield Sign("quality", event)
    tier = value.get("max_daily_conversations_per_business") or value.get("current_limit")
    if tier:
        yield Sign("limit", _tier(tier), detail=event)


def _capability(value: Json) -> Iterator[Sign]:
    tier = value.get("max_daily_conversations_per_business") or value.get("max_daily_conversation_per_phone")
    if tier is not None:
        yield Sign("limit", _tier(tier))


def _tier(said: object) -> str:
    """Write a limit as Meta's words for it: some fields give it as a number, -1 being none."""
    if said == -1 or said == "-1":
        return UNLIMITED
    count = int(str(said)) if str(said).isdecimal() else 0
    if not count:
        return str(said)
    return f"TIER_{count // 1000}K" if count >= 1000 else f"TIER_{count}"


def _account(value: Json) -> Iterator[Sign]:
    event = str(value.get("event") or "")
    if event not in _ELSEWHERE:
        yield Sign("status", event, _REASONS.get(event, "") or _forbidden(value), _words(value))


def _forbidden(value: Json) -> str:
    """Name why nothing can be sent any more: the account is disabled, or may not write. Empty: it may."""
    if _part(value, "ban_info").get("waba_ban_state") == "DISABLE":
        return "banned_for_good"
    limits = value.get("restriction_info")
    kinds = {str(obj.get("restriction_type")) for obj in _objects(limits)}
    return "restricted" if kinds & _MUTE else ""


def _words(value: Json) -> str:
    """Write what Meta says besides the event, for people."""
    told = [
        str(_part(value, "violation_info").get("violation_type") or ""),
        str(_part(value, "ban_info").get("waba_ban_state") or ""),
        str(_part(value, "ban_info").get("waba_ban_date") or ""),
    ]
    for one in _objects(value.get("restriction_info")):
        told += [str(one.get("restriction_type") or ""), str(one.get("remediation") or "")]
    return " ".join(filter(None, told))


def _review(value: Json) -> Iterator[Sign]:
    decision = str(value.get("decision") or "")
    yield Sign("status", decision, "restricted" if decision == "REJECTED" else "")


def _template(value: Json) -> Iterator[Sign]:
    event = str(value.get("event") or value.get("new_quality_score") or value.get("new_category") or "")
    told = ("message_template_name", "message_template_language", "reason")
    yield Sign("template", event, detail=" ".join(str(value[key]) for key in told if value.get(key)))


def _renamed(value: Json) -> Iterator[Sign]:
    for one in _objects(value.get("user_id_update")):
        ids = _part(one, "user_id")
        now, before = identity(ids.get("current")), identity(ids.get("previous"))
        if now and now != before:
            yield Sign("identity", now, detail=before or identity(one.get("wa_id")))


def _part(value: Json, name: str) -> Json:
    part = value.get(name)
    return cast("Json", part) if isinstance(part, dict) else {}


def _objects(value: object) -> list[Json]:
    many = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [cast("Json", one) for one in many if isinstance(one, dict)]


_READERS: Final[Mapping[str, Callable[[Json], Iterator[Sign]]]] = {
    "account_review_update": _review,
    "account_update": _account,
    "business_capability_update": _capability,
    "message_template_quality_update": _template,
    "message_template_status_update": _template,
    "phone_number_quality_update": _quality,
    "template_category_update": _template,
    "user_id_update": _renamed,
}
