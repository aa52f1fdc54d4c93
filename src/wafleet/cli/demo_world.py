"""Who lives in the demo: a broker's office, a restaurant group, a pool of numbers, and their customers."""

from typing import Final

from wafleet.simulator.manners import Manners
from wafleet.simulator.scenario import Crowd, Scenario, Weather

PASSWORD: Final = "wafleet-demo"  # noqa: S105 - of a demo that everybody may know
MANAGER: Final = "+971509990001"  # may use chat commands
BROKERS: Final = "Sharq Properties"
GRILL: Final = "Bait Al Mandi بيت المندي"
POOL: Final = "Simulated pool"
NUMBERS: Final = (
    (BROKERS, "Sharq Reception", "+971501110001", "primary"),
    (BROKERS, "Sharq Sales", "+971501110002", "sales"),
    (BROKERS, "Sharq Manager", "+971501110003", "manager"),
    (GRILL, "بيت المندي - العليا", "+966551110001", "primary"),
    (GRILL, "بيت المندي - الملقا", "+966551110002", "delivery"),
)
DEVICES: Final = (
    (BROKERS, "Sharq Showroom", "+971501110011", "showroom"),
    (GRILL, "Catering", "+966551110011", "catering"),
)
"""Linked devices, run by the real client library where it is installed."""
PROVIDED: Final = (
    (GRILL, "بيت المندي - التوصيل", "+966551110021", "orders", "twilio"),
    (GRILL, "بيت المندي - الحفلات", "+966551110022", "parties", "twilio"),
    (GRILL, "Bait Al Mandi Online", "+966551110031", "online", "meta"),
)
"""Numbers at providers, which stand-ins play."""
REPLIES: Final = {
    BROKERS: (
        "Yes, it is still available. Shall I book a viewing?",
        "The rent is 85,000 a year, paid in four cheques.",
        "Of course. I am sending you the location in a moment.",
        "نعم متوفرة، متى يناسبك موعد المعاينة؟",
    ),
    GRILL: (
        "أهلا وسهلا! نصف دجاج مندي مع الرز بـ 32 ريال.",
        "تم، الطلب جاهز خلال 25 دقيقة.",
        "كبسة لحم أو دجاج؟ وهل تحب إضافة سلطة؟",
        "Your order is on its way.",
    ),
    POOL: ("Thank you, we will call you back.", "Noted, see you tomorrow.", "Could you tell me a little more?"),
}


def phones(accounts: int) -> list[str]:
    """Return the pool's phones, for a fleet of so many accounts."""
    return [f"+97152{n:07d}" for n in range(1, accounts - len(NUMBERS) + 1)]


def scenario(accounts: int, *, devices: bool) -> Scenario:
    """Write the day of the demo: customers who chat, and a fault every few seconds."""
    numbers = (*NUMBERS, *(DEVICES if devices else ()))
    brokers = [phone for tenant, _, phone, _ in numbers if tenant == BROKERS]
    grill = [phone for tenant, _, phone, _ in numbers if tenant == GRILL]
    grill += [phone for _, _, phone, _, _ in PROVIDED]
    pool = phones(accounts)
    crowds = [
        Crowd(count=10, accounts=brokers, topic="property", language="en", chats_per_minute=1.5, prefix="+97155"),
        Crowd(count=6, accounts=brokers, topic="property", language="ar", chats_per_minute=1.5, prefix="+97156"),
        Crowd(count=16, accounts=grill, topic="restaurant", language="ar", chats_per_minute=2, prefix="+96655"),
    ]
    if pool:
        some = pool[:200]
        crowds.append(Crowd(count=max(8, len(some)), accounts=some, chats_per_minute=1, prefix="+97158"))
    return Scenario(manners=Manners(auto_scan_s=1.5), crowd=crowds, weather=[Weather(every="6s", lasts="9s")])
