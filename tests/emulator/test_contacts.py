"""Phones made of software, without any client: keys handed out once, messages read once, memories bounded."""

import pytest
from tests.emulator import talking
from tests.emulator.rig import CUSTOMER, PHONE

from wafleet.clientlib.protos import e2e
from wafleet.emulator.keybundles import KeyBundles, brought, written
from wafleet.emulator.model import Account, Device, PreKey, SignedKey
from wafleet.emulator.people import Memory, People, Phone
from wafleet.emulator.server import Emulator
from wafleet.emulator.signal import Conversation, Keychain, Undecryptable
from wafleet.emulator.wire import Malformed, Node


class Linked:
    """A linked device made of software as well."""

    def __init__(self, account: Account, keys: int) -> None:
        self.keychain, self.conversation = Keychain(account.key, 7), Conversation()
        stock = [self.keychain.bundle() for _ in range(keys)]
        signed = SignedKey(self.keychain.signed_number, self.keychain.signed.public, self.keychain.signature)
        self.device = Device(account, 1, account.key.public, 7, signed_key=signed)
        self.device.pre_keys.extend(PreKey(one.one_time_number or 0, one.one_time) for one in stock)
        account.devices[1] = self.device

    def read(self, enc: Node) -> str:
        words = self.conversation.decrypt(self.keychain, enc.text("type"), enc.data)
        return e2e.Message.FromString(words).conversation


@pytest.fixture
def people(emulator: Emulator) -> People:
    return talking.parts(emulator).people


def _encrypt(people: People, emulator: Emulator, linked: Linked, words: str) -> Node:
    enc = people.encrypt(emulator.account(CUSTOMER), linked.device, e2e.Message(conversation=words))
    assert enc
    return enc


async def test_a_phone_writes_to_a_device_and_reads_its_answer(emulator: Emulator, people: People) -> None:
    linked = Linked(emulator.account(PHONE), keys=2)
    assert linked.read(_encrypt(people, emulator, linked, "hello")) == "hello"
    assert len(linked.device.pre_keys) == 1
    kind, data = linked.conversation.encrypt(e2e.Message(conversation="hi").SerializeToString())
    customer = emulator.account(CUSTOMER)
    assert people.decrypt(customer, linked.device, Node("enc", {"type": kind}, data)).conversation == "hi"
    with pytest.raises(Undecryptable):
        people.decrypt(customer, linked.device, Node("enc", {"type": kind}, data))


async def test_a_device_without_one_time_keys_is_still_reached(emulator: Emulator, people: People) -> None:
    linked = Linked(emulator.account(PHONE), keys=0)
    assert linked.read(_encrypt(people, emulator, linked, "hello")) == "hello"


async def test_a_device_that_never_brought_keys_is_not_reached(emulator: Emulator, people: People) -> None:
    device = Device(emulator.account(PHONE), 1, bytes(32))
    assert people.encrypt(emulator.account(CUSTOMER), device, e2e.Message(conversation="hello")) is None


async def test_each_bundle_has_a_key_of_its_own(emulator: Emulator, people: People) -> None:
    bundles = KeyBundles(emulator, people)
    phone = people.phone(emulator.account(CUSTOMER)).device
    taken = [bundles.take(phone) for _ in range(3)]
    assert len({bundle.one_time for bundle in taken if bundle}) == 3


async def test_keys_are_read_as_they_were_written(people: People, emulator: Emulator) -> None:
    bundle = people.phone(emulator.account(CUSTOMER)).keychain.bundle()
    registration, *keys = written(bundle)
    assert brought(Node("keys", {}, keys), int.from_bytes(registration.data, "big")) == bundle
    with pytest.raises(Malformed):
        brought(Node("keys", {}, keys[:2]), 1)


async def test_nobody_is_a_customer_without_a_number_on_whatsapp(people: People) -> None:
    assert people.customer("+999001234567") is None
    assert people.customer("+12") is None
    assert people.customer(CUSTOMER)


async def test_a_phone_remembers_the_newest_messages_only(emulator: Emulator) -> None:
    phone = Phone(emulator.account(CUSTOMER), Memory())
    writer = emulator.account(PHONE)
    for n in range(2_100):
        phone.note_read(writer, str(n))
    assert len(phone.memory.read) == 2_000
    assert phone.has_read(writer, "2099")
    assert not phone.has_read(writer, "0")


async def test_a_phone_asks_for_a_message_five_times_at_most(emulator: Emulator) -> None:
    phone, writer = Phone(emulator.account(CUSTOMER)), emulator.account(PHONE)
    assert [phone.may_ask_again(writer, "3EB0") for _ in range(7)] == [1, 2, 3, 4, 5, 0, 0]
