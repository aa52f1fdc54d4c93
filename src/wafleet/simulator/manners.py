"""How the network behaves while nothing is wrong: its delays, chances and limits."""

import msgspec

Span = tuple[float, float]  # seconds: anything between the two, equally likely


class Manners(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delays in seconds, chances from 0 to 1."""

    login_s: Span = (0.005, 0.02)
    answer_s: Span = (0.005, 0.03)  # from a send to its answer
    delivered_s: Span = (0.05, 0.4)  # from a send to the receipt "delivered"
    read_s: Span = (0.5, 5.0)  # from "delivered" to "read"
    read_share: float = 0.6
    qr_s: float = 20.0  # a QR code lasts this long
    link_s: float = 160.0  # a phone may be linked for this long, then the attempt is over
    auto_scan_s: float | None = None  # phones scan by themselves after this long; never when None
    passkey: bool = False  # phones ask for a passkey, which nobody here can give
    redeliver_s: float = 20.0  # an unacknowledged message is pushed again after this long
    unacknowledged: int = 256  # at most so many messages are pushed to one account and not acknowledged


INSTANT = Manners(
    login_s=(0.0, 0.0), answer_s=(0.0, 0.0), delivered_s=(0.0, 0.0), read_s=(0.0, 0.0), read_share=0.0
)  # for benchmarks: only the cost of the program is left
