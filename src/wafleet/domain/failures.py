"""Why a message was not sent, or waits, in words an operator understands, and what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Failure:
    """What one reason code of a message means."""

    sentence: str  # goes on after "Not sent: ", so without a capital or a full stop of its own
    next_step: str

    @property
    def last_step(self) -> str:
        """What to do once the message has failed, so that nothing is tried any more."""
        return "Send it again later." if self.next_step.startswith(_NOTHING) else self.next_step


_NOTHING: Final = "Nothing to do"
_RETRIED: Final = "Nothing to do: it is tried again."
_ANOTHER: Final = "Look at the detail, change the message, and send it again."
_TEMPLATE: Final = "Look at the template at the provider: its name, language, blanks and approval."
_ACCOUNT: Final = "See what its account says: the number needs attention before anything goes out."

FAILURES: Final[Mapping[str, Failure]] = {
    # --- the way to the network
    "network": Failure("the network could not be reached", _RETRIED),
    "unsure": Failure("this node was not sure any more that the account is its own", _RETRIED),
    "no_answer": Failure("no answer came", "Look at the phone before you send it again: it may have gone out."),
    "never_crossed": Failure("the network answered, but never had it", "Send it again."),
    "unexpected": Failure("wafleet met something unexpected", "See the log, and tell the makers of wafleet."),
    "worker_crashed": Failure(
        "the process that runs this number died over it",
        "Look at the detail: if this message alone fails so, change it, and tell the makers of wafleet.",
    ),
    "provider_away": Failure("the provider has a fault of its own", _RETRIED),
    "throttled": Failure("WhatsApp slows this number down", "Nothing to do: its lane sends more slowly."),
    "pair_rate": Failure(
        "too many messages went to this person in a short time", "Nothing to do: it waits and is tried again."
    ),
    "tier": Failure(
        "this number reached its limit of new conversations for today",
        "Wait, or ask the provider for a higher limit; answers to customers who write still go out.",
    ),
    # --- this recipient
    "not_on_whatsapp": Failure("this phone is not on WhatsApp", "Check the number, or reach the customer otherwise."),
    "recipient": Failure("WhatsApp refuses this recipient", "Look at the detail; reach the customer otherwise."),
    "recipient_refuses": Failure(
        "the customer blocked this number or opted out", "Do not write again before the customer does."
    ),
    "recipient_invalid": Failure("this is no number WhatsApp can reach", "Correct the number, and send it again."),
    "recipient_not_allowed": Failure(
        "this number may only write to people who agreed beforehand: it is a test number",
        "Let the customer join the test, or use a number that is approved.",
    ),
    "recipient_unreachable": Failure(
        "the customer's WhatsApp cannot take it: it is too old, or its terms were not accepted",
        "Ask the customer to update WhatsApp, or reach them otherwise.",
    ),
    "country": Failure(
        "this number may not write to the recipient's country",
        "Permit the country at the provider, or reach them otherwise.",
    ),
    "held_back": Failure(
        "WhatsApp held it back, so that this person does not get too much advertising",
        "Do not send it again soon: wait a day at least, or wait until the customer writes.",
    ),
    "reach_out_lock": Failure(
        "WhatsApp refuses first messages to strangers from this number (463)",
        "Answer those who write, and let new conversations wait.",
    ),
    # --- this content
    "outside_window": Failure(
        "the customer has not written for 24 hours, so only a template may be sent", "Send a template instead."
    ),
    "content": Failure("WhatsApp refuses this content", _ANOTHER),
    "too_long": Failure("it is longer than WhatsApp permits", "Shorten it, and send it again."),
    "policy": Failure(
        "it breaks a rule of WhatsApp on what may be sent", "Do not send the like again: it costs quality."
    ),
    "unsupported": Failure("the network cannot send this kind of message", "Send it as another kind, or as text."),
    "about_missing": Failure("the network never had the message it refers to", "Send it without referring to another."),
    "about_waits": Failure("the message it refers to is not sent yet", _RETRIED),
    "media_missing": Failure("its file is no longer there", "Upload the file again, and send it again."),
    "media_away": Failure("its file cannot be read now", _RETRIED),
    "media_gone": Failure("the network does not have its file any more", "Ask for the file again."),
    "media_refused": Failure(
        "the network refuses its file", "Look at the detail: the file's type or size; send another."
    ),
    "media_unfetched": Failure(
        "the network could not fetch its file from us",
        "Check that the public address of this installation can be reached from outside, then send it again.",
    ),
    "template_missing": Failure("the network has no such template in this language", _TEMPLATE),
    "template_blanks": Failure("what fills its template's blanks does not fit", _TEMPLATE),
    "template_paused": Failure("its template was paused, disabled or refused", _TEMPLATE),
    "expired": Failure("it could not be delivered before it expired", "Send it again if it still matters."),
    # --- this account
    "not_linked": Failure("this number is not linked any more", "Link it again."),
    "credentials": Failure("the provider refuses the account's credentials", "Enter new credentials for this account."),
    "permission": Failure("the account's credentials do not permit this", _ACCOUNT),
    "billing": Failure("the provider waits for payment", _ACCOUNT),
    "restricted": Failure("the provider restricts this number", _ACCOUNT),
    "public_url": Failure("the provider refuses the public address of this installation", _ACCOUNT),
    "busy": Failure("too many requests to the provider are under way", "Nothing to do: it is tried again."),
    "sender_missing": Failure("the provider does not know this number as a sender", _ACCOUNT),
    "banned_for_good": Failure("WhatsApp banned this number", _ACCOUNT),
    # --- no one knows
    "refused": Failure("WhatsApp refuses it", _ANOTHER),
    "provider_code": Failure(
        "the provider gave an error that wafleet does not know",
        "Look the code in the detail up at the provider, and tell the makers of wafleet.",
    ),
}


def failure(reason: str) -> Failure:
    """Return what a reason code means; a code nobody knows is shown as it is."""
    return FAILURES.get(reason) or Failure(reason.replace("_", " ") or "no reason was given", _ANOTHER)
