"""What Twilio's error codes mean for a message, and where they stand in an answer.

The same codes come in answers to requests and later in status callbacks. Only those are here that the sending of
WhatsApp messages can meet; Twilio adds new ones without notice, and they survive as `provider_code`.
Source: https://www.twilio.com/docs/api/errors
"""

from typing import Final

import httpx

from wafleet.transports import web
from wafleet.transports.base import (
    MaybeSent,
    NotSent,
    OutsideWindow,
    RefusedAccount,
    RefusedContent,
    RefusedRecipient,
    Throttled,
)
from wafleet.transports.remedies import Remedy, Table, Told, remedy

PROVIDER: Final = "twilio"

_CREDENTIALS: Final = Remedy(RefusedAccount, "credentials", account="credentials")
_SUSPENDED: Final = Remedy(RefusedAccount, "restricted", account="restricted")
_RESTRICTED: Final = Remedy(RefusedAccount, "restricted")
_PERMISSION: Final = Remedy(RefusedAccount, "permission")
_SENDER: Final = Remedy(RefusedAccount, "sender_missing")
_ADDRESS: Final = Remedy(RefusedAccount, "public_url")
_SLOWER: Final = Remedy(Throttled, "throttled")
_TIER: Final = Remedy(Throttled, "tier")
_AWAY: Final = Remedy(MaybeSent, "provider_away")
_INVALID: Final = Remedy(RefusedRecipient, "recipient_invalid")
_REFUSES: Final = Remedy(RefusedRecipient, "recipient_refuses")
_CANNOT: Final = Remedy(RefusedRecipient, "recipient_unreachable")
_NOT_THERE: Final = Remedy(RefusedRecipient, "not_on_whatsapp")
_COUNTRY: Final = Remedy(RefusedRecipient, "country")
_TEST_NUMBER: Final = Remedy(RefusedRecipient, "recipient_not_allowed")
_HELD_BACK: Final = Remedy(RefusedRecipient, "held_back")
_CONTENT: Final = Remedy(RefusedContent, "content")
_POLICY: Final = Remedy(RefusedContent, "policy")
_FILE: Final = Remedy(RefusedContent, "media_refused")
_UNFETCHED: Final = Remedy(RefusedContent, "media_unfetched")
_NO_TEMPLATE: Final = Remedy(RefusedContent, "template_missing")
_BLANKS: Final = Remedy(RefusedContent, "template_blanks")
_PAUSED: Final = Remedy(RefusedContent, "template_paused")

TABLE: Final[Table] = {
    # --- who asks
    "20003": _CREDENTIALS,
    "20005": _SUSPENDED,
    "20006": _PERMISSION,
    "20008": _CREDENTIALS,  # the credentials of Twilio's test mode
    "20010": _PERMISSION,
    "20151": _CREDENTIALS,
    "20403": _PERMISSION,
    "20404": _SENDER,  # the account of these credentials does not exist
    "30002": _SUSPENDED,
    "30037": _RESTRICTED,
    # --- how fast
    "14107": _SLOWER,
    "20429": _SLOWER,
    "21611": _SLOWER,  # ten hours' worth of messages wait at Twilio
    "30001": _SLOWER,
    "30022": _SLOWER,
    "30454": _TIER,
    "63017": _SLOWER,
    "63018": _SLOWER,
    "63038": _TIER,
    # --- to whom
    "21211": _INVALID,
    "21214": _INVALID,
    "21217": _INVALID,
    "21408": _COUNTRY,
    "21604": _INVALID,
    "21608": _TEST_NUMBER,  # trial accounts write to verified numbers only
    "21610": _REFUSES,
    "21612": _CANNOT,
    "21614": _INVALID,
    "21635": _INVALID,
    "30003": _CANNOT,
    "30004": _REFUSES,
    "30005": _NOT_THERE,
    "30006": _CANNOT,
    "30014": _INVALID,
    "63003": _NOT_THERE,
    "63014": _REFUSES,
    "63015": _TEST_NUMBER,  # the sandbox writes to those who joined it
    "63024": _NOT_THERE,
    "63031": _INVALID,  # from a number to itself
    "63032": _HELD_BACK,
    "63033": _REFUSES,
    "63049": _HELD_BACK,
    # --- what
    "21602": _CONTENT,
    "21605": Remedy(RefusedContent, "too_long"),
    "21617": Remedy(RefusedContent, "too_long"),
    "21618": _CONTENT,
    "21619": _CONTENT,
    "21620": _UNFETCHED,
    "21623": _FILE,
    "21654": _NO_TEMPLATE,
    "21655": _NO_TEMPLATE,
    "21656": _BLANKS,
    "21658": Remedy(RefusedContent, "too_long"),
    "30007": _POLICY,
    "30008": Remedy(RefusedContent, "refused"),  # "unknown error", says Twilio; final all the same
    "30019": _FILE,
    "30036": Remedy(RefusedContent, "expired"),
    "30039": _POLICY,  # taken for a loop of two machines
    "30453": Remedy(RefusedContent, "refused"),
    "30485": Remedy(RefusedContent, "refused"),
    "60228": _NO_TEMPLATE,
    "63005": _CONTENT,
    "63006": _CONTENT,
    "63011": _CONTENT,
    "63013": _POLICY,
    "63016": Remedy(OutsideWindow, "outside_window"),
    "63019": _UNFETCHED,
    "63021": _CONTENT,
    "63025": _FILE,
    "63026": _POLICY,
    "63027": _NO_TEMPLATE,
    "63028": _BLANKS,
    "63029": _CANNOT,
    "63030": Remedy(RefusedContent, "unsupported"),
    "63034": _FILE,
    "63037": _FILE,
    "63039": Remedy(RefusedAccount, "restricted"),
    "63040": _PAUSED,
    "63041": _PAUSED,
    "63042": _PAUSED,
    "63043": _UNFETCHED,
    "63044": _UNFETCHED,
    "63045": _UNFETCHED,
    "63047": _FILE,
    "63105": Remedy(RefusedContent, "unsupported"),
    "11200": _UNFETCHED,
    "11205": _UNFETCHED,
    "12300": _FILE,
    # --- from whom
    "21212": _SENDER,
    "21601": _SENDER,
    "21603": _SENDER,
    "21606": _SENDER,
    "21607": _SENDER,
    "21657": _SENDER,
    "21659": _SENDER,
    "21660": _SENDER,
    "21661": _SENDER,
    "21701": _SENDER,
    "21702": _SENDER,
    "21703": _SENDER,
    "21704": _SENDER,
    "21705": _SENDER,
    "21711": _SENDER,
    "21910": _SENDER,
    "63001": _PERMISSION,  # Twilio's own credentials at WhatsApp do not count; ours are right, so nobody logs out
    "63002": _SENDER,
    "63007": _SENDER,
    "63008": _SENDER,
    "63020": Remedy(RefusedAccount, "billing"),  # the business account at Meta: payment, or not verified
    "63022": _RESTRICTED,
    "63051": _RESTRICTED,
    "63101": _SENDER,
    "63102": _SENDER,
    "63103": Remedy(RefusedAccount, "billing"),
    "63109": _SENDER,
    "63111": _SENDER,
    "63112": _RESTRICTED,
    # --- how it hears from us
    "21609": _ADDRESS,
    "21626": _ADDRESS,
    "30109": _ADDRESS,
    "30123": _ADDRESS,
    # --- Twilio itself
    "20500": _AWAY,
    "20503": _AWAY,
    "20004": Remedy(NotSent, "unexpected"),
    "30410": _AWAY,
    "63009": _AWAY,
    "63010": _AWAY,
    "63012": _AWAY,
    "63023": _AWAY,
}


def failure(told: Told) -> str:
    """Return the reason why a message that Twilio had taken has failed."""
    return remedy(PROVIDER, told, TABLE).reason if told.code else "refused"


def told(reply: httpx.Response) -> Told:
    """Find the code in an error answer: `{"code": 21211, "message": ..., "more_info": ..., "status": 400}`."""
    said = web.obj(reply.json())
    code = said.get("code")
    words = said.get("message")
    return Told(str(code) if isinstance(code, int | str) else "", words if isinstance(words, str) else "")
