"""Linking, logging in, and one session at a time."""

import pytest
from tests.simulator.peer import LAYLA, ONE, PROMPT, Peer, fault, online, say, still

from wafleet.simulator import frames
from wafleet.simulator.behaviour import Persona
from wafleet.simulator.faults import Fault
from wafleet.simulator.manners import Manners
from wafleet.simulator.model import Impossible
from wafleet.simulator.orders import Scan


def test_a_qr_code_changes_every_twenty_seconds_until_it_is_scanned() -> None:
    world = still()
    peer = Peer(world)
    peer.link()
    world.advance(50)
    codes = [s.qr for s in peer.of(frames.Shown)]
    assert len(codes) == len(set(codes)) == 3
    world.linking.scan(ONE)
    world.advance(60)
    assert len(peer.of(frames.Shown)) == 3
    assert peer.of(frames.Linked)[0].credentials == world.account(ONE).credentials


def test_an_attempt_to_link_that_nobody_scans_ends() -> None:
    world = still()
    peer = Peer(world)
    peer.link()
    world.advance(161)
    assert [r.reason for r in peer.of(frames.Refused)] == ["link_expired"]
    with pytest.raises(Impossible, match="Nobody is linking"):
        world.linking.scan(ONE)


def test_phones_scan_by_themselves_when_told_so() -> None:
    world = still(Manners(auto_scan_s=3))
    peer = Peer(world)
    peer.link()
    world.advance(2.9)
    assert not peer.of(frames.Linked)
    world.advance(0.2)
    assert len(peer.of(frames.Linked)) == 1


def test_a_phone_that_asks_for_a_passkey_is_not_linked() -> None:
    world = still(Manners(passkey=True))
    peer = Peer(world)
    peer.link()
    world.linking.scan(ONE)
    assert [r.reason for r in peer.of(frames.Refused)] == ["passkey"]
    assert ONE not in world.phones


def test_a_phone_may_be_given_the_qr_code_or_the_pairing_code_that_is_shown() -> None:
    world = still()
    peer = Peer(world)
    peer.link()
    (shown,) = peer.of(frames.Shown)
    for order in (Scan(ONE, qr="2@old"), Scan(ONE, code="AAAA-AAAA")):
        with pytest.raises(Impossible, match="take the newest code"):
            world.scan(order)
    world.scan(Scan(ONE, code=shown.code.lower().replace("-", " ")))
    assert peer.of(frames.Linked)
    peer.link()
    world.scan(Scan(ONE, qr=peer.of(frames.Shown)[-1].qr))
    assert len(peer.of(frames.Linked)) == 2


def test_codes_nobody_here_shows_go_to_the_linked_devices() -> None:
    world, devices = still(), Devices()
    with pytest.raises(Impossible, match="wafleet sim device"):
        world.scan(Scan(ONE, qr="https://wa.me/settings/linked_devices#a,b,c,d,1"))
    world.adopt(devices)
    world.scan(Scan(ONE, qr="https://wa.me/settings/linked_devices#a,b,c,d,1"))
    world.scan(Scan(ONE, code="ABCD-1234"))
    with pytest.raises(Impossible, match=r"--qr or .* --code"):
        world.scan(Scan(ONE))
    assert devices.told == [(ONE, "https://wa.me/settings/linked_devices#a,b,c,d,1"), (ONE, "ABCD-1234")]


def test_a_fault_that_devices_saw_to_leaves_the_session_to_them() -> None:
    world, devices = still(), Devices()
    peer, _ = online(world)
    world.adopt(devices)
    fault(world, "stream_error", detail="599 open")
    assert devices.told == [(ONE, "stream_error")]
    assert not peer.of(frames.Closed)
    fault(world, "disconnect")
    assert [c.reason for c in peer.of(frames.Closed)] == ["network"]
    fault(world, "undecryptable")
    assert [f.kind for f in world.trouble.active()] == ["undecryptable"]


@pytest.mark.parametrize("over", ["ended", "later", "by a login"])
def test_devices_are_told_once_their_line_is_silent_no_longer(over: str) -> None:
    world, devices = still(), Devices()
    peer, _ = online(world)
    world.adopt(devices)
    fault(world, "silent", lasts=5)
    if over == "ended":
        world.trouble.end(ONE, "silent")
    elif over == "later":
        world.advance(5)
    else:
        peer.login()
    world.advance(60)
    assert devices.told == [(ONE, "silent"), (ONE, "recover")]


def test_customers_show_devices_that_they_type_before_they_answer() -> None:
    world, devices = still(), Devices()
    peer, session = online(world)
    world.adopt(devices)
    world.add(Persona(phone=LAYLA, accounts=[ONE], replies=1.0, reply_after_s=(4, 4)))
    peer.send(session, to=LAYLA)
    world.advance(3.9)
    assert (devices.told, peer.texts) == ([(ONE, f"{LAYLA} types")], [])
    world.advance(1)
    assert len(peer.texts) == 1


@pytest.mark.parametrize("code", ["abc", "402", "404", "503 open"])
def test_a_login_fails_with_the_codes_there_are(code: str) -> None:
    world = still()
    online(world)
    with pytest.raises(Impossible, match=f"400, 401, 403, 405, 406, 409, 500, 503, and {code} is none"):
        fault(world, "login_failure", detail=code)
    assert not world.trouble.active()


class Devices:
    """Linked devices that only note what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def holds(self, phone: str) -> bool:
        return True

    def scan(self, phone: str, qr: str) -> None:
        self.told.append((phone, qr))

    def enter(self, phone: str, code: str) -> None:
        self.told.append((phone, code))

    def feel(self, phone: str, fault: Fault) -> bool:
        self.told.append((phone, fault.kind))
        return fault.kind == "stream_error"

    def recover(self, phone: str) -> None:
        self.told.append((phone, "recover"))

    def restart(self) -> None:
        self.told.append(("*", "restart"))

    def type(self, customer: str, phone: str) -> None:
        self.told.append((phone, f"{customer} types"))


def test_a_second_attempt_to_link_ends_the_first() -> None:
    world = still()
    first, second = Peer(world), Peer(world)
    first.link()
    second.link()
    assert [r.reason for r in first.of(frames.Refused)] == ["link_cancelled"]
    world.linking.scan(ONE)
    assert second.of(frames.Linked)
    assert not first.of(frames.Linked)


def test_what_is_no_phone_number_cannot_be_linked() -> None:
    world = still()
    peer = Peer(world)
    peer.link("Layla")
    assert [r.reason for r in peer.of(frames.Refused)] == ["link_refused"]


def test_a_cancelled_attempt_cannot_be_scanned_any_more() -> None:
    world = still()
    peer = Peer(world)
    peer.tell(frames.Cancel(peer.link()))
    with pytest.raises(Impossible):
        world.linking.scan(ONE)


def test_wrong_credentials_are_refused_and_leave_the_open_session_alone() -> None:
    world = still()
    peer, session = online(world)
    stranger = Peer(world)
    stranger.login(ONE, b"something else")
    assert [r.reason for r in stranger.of(frames.Refused)] == ["logged_out"]
    peer.send(session)
    assert len(peer.of(frames.Taken)) == 1


def test_linking_again_ends_the_earlier_device() -> None:
    world = still()
    peer, _ = online(world)
    old = world.account(ONE).credentials
    world.link(ONE)
    assert [c.reason for c in peer.of(frames.Closed)] == ["replaced"]
    peer.login(ONE, old)
    assert peer.of(frames.Refused)[-1].reason == "logged_out"


def test_a_replaced_session_cannot_send_and_has_no_effect() -> None:
    world = still()
    old, old_session = online(world)
    say(world, "waits")
    waiting = [m.id for m in old.of(frames.Said)]
    new = Peer(world)
    new.login()
    assert [c.reason for c in old.of(frames.Closed)] == ["replaced"]
    name = old.send(old_session)
    old.acknowledge(old_session, waiting)
    assert old.of(frames.Refused)[-1].reason == "replaced"
    assert world.ledger()[0].sent == 0
    assert world.ledger()[0].received == 0
    assert new.find(new.login(), name).absent == [name]


def test_a_lost_connection_ends_its_sessions_and_nothing_of_them_is_under_way() -> None:
    world = still()
    peer, session = online(world)
    name = peer.send(session)
    peer.lose()
    world.advance(5)
    again = Peer(world)
    session = again.login()
    assert [(r, s) for r, _, s in again.find(session, name).known] == [(name, frames.READ)]
    assert [r.state for r in again.of(frames.Receipt)] == [frames.DELIVERED, frames.READ]


def test_new_credentials_replace_the_former_ones_once_they_are_used() -> None:
    world = still()
    peer, _ = online(world)
    old = world.account(ONE).credentials
    world.sessions.rotate(world.account(ONE))
    new = peer.of(frames.Secret)[0].credentials
    assert new != old
    for credentials in (old, new):
        peer.login(ONE, credentials)
    assert not peer.of(frames.Refused)
    peer.login(ONE, old)
    assert peer.of(frames.Refused)[-1].reason == "logged_out"


def test_an_unlinked_device_is_gone_and_its_messages_wait() -> None:
    world = still()
    peer, _ = online(world)
    peer.tell(frames.Unlink(99, ONE, world.account(ONE).credentials or b""))
    assert [c.reason for c in peer.of(frames.Closed)] == ["logged_out"]
    say(world, "still there?")
    assert world.ledger()[0].waiting == 1
    world.link(ONE)
    peer.login()
    assert peer.texts == ["still there?"]


def test_the_same_seed_and_the_same_calls_give_the_same_happenings() -> None:
    def day(seed: int) -> list[str]:
        world = still(Manners(), seed=seed)
        peer = Peer(world)
        peer.link()
        world.linking.scan(ONE)
        session = peer.login()
        world.advance(1)
        fault(world, "hidden", share=0.3)
        for i in range(20):
            peer.send(session, f"text {i}")
            say(world, f"line {i}")
            world.advance(0.3)
        return [repr(m) for m in peer.heard]

    assert day(7) == day(7)
    assert day(7) != day(8)


def test_an_account_may_write_to_another_and_to_itself() -> None:
    world = still()
    one, session = online(world)
    two, _ = online(world, "+966500000002")
    one.send(session, "to a colleague", to="+966500000002")
    one.send(session, "canary", to=ONE)
    world.advance(1)
    assert two.texts == ["to a colleague"]
    assert one.texts == ["canary"]
    line = world.ledger(ONE)[0]
    assert (line.sent, line.canaries, line.offered) == (1, 1, 0)
    assert world.ledger("+966500000002")[0].offered == 1


def test_idle_accounts_leave_nothing_on_the_agenda() -> None:
    world = still(PROMPT)
    for i in range(50):
        online(world, f"+9665000010{i:02}")
    assert world.agenda.next_due is None
    assert LAYLA not in world.phones
