"""Contents: what a transport says it can carry crosses whole in both directions."""

from tests.contracts.examples import EXAMPLES, FILE, ID
from tests.contracts.subject import OTHER, Holder, Peer, Subject, across, only, plain

from wafleet.domain.message import Content, Deletion, Edit, OnMessage, Reaction, Text, Unsupported, media
from wafleet.transports.base import About


def test_every_kind_of_content_has_an_example() -> None:
    tags = {kind.__struct_config__.tag for kind in Content.__args__}
    assert set(EXAMPLES) == tags - {"unsupported"}


def _sends(subject: type[Subject], kind: str) -> bool:
    return kind in subject.capabilities.contents


def _hears(subject: type[Subject], kind: str) -> bool:
    return kind in subject.hears


@across(_sends, kind=EXAMPLES)
async def test_what_an_account_sends_reaches_the_other_side_whole(one: Holder, peer: Peer, kind: str) -> None:
    content = one.example(kind)
    about = About(await one.send("before", to=OTHER), True, Text("before")) if isinstance(content, OnMessage) else None
    await one.send(content, to=OTHER, about=about, file=FILE if media(content) else b"")
    wanted = 2 if about else 1
    await one.subject.until(lambda: len(peer.said) == wanted)
    assert plain(peer.contents[-1]) == one.subject.leaves.get(kind, content)


@across(_hears, kind=EXAMPLES)
async def test_what_a_customer_sends_reaches_the_account_whole(one: Holder, kind: str) -> None:
    content = EXAMPLES[kind]
    if media(content):
        assert one.subject.file(FILE) == ID
    earlier = one.say("before")
    await one.hears("before")
    id = one.say(body=_naming(content, earlier))
    await one.subject.until(lambda: len(one.heard.inbound) == 2)
    got = one.heard.inbound[-1]
    assert got.provider_id == one.subject.named(id)
    assert plain(got.content) == one.subject.arrives.get(kind, content)
    assert got.about == (one.subject.named(earlier) if isinstance(content, OnMessage) else "")


async def test_an_answer_of_a_customer_names_what_it_answers(one: Holder, peer: Peer) -> None:
    first = await one.send("a question", to=OTHER)
    await one.subject.until(lambda: peer.said)
    asked = one.say(body=Text("an answer", reply_to=one.subject.of_the_world(first)), customer=OTHER)
    await one.subject.until(lambda: one.heard.inbound)
    got = one.heard.inbound[0]
    assert (got.provider_id, got.about) == (one.subject.named(asked), first)


@only(lambda subject: _sends(subject, "reaction"))  # what carries these can name earlier messages
async def test_an_answer_of_ours_names_what_it_answers(one: Holder, peer: Peer) -> None:
    asked = one.say("a question", customer=OTHER)
    await one.subject.until(lambda: one.heard.inbound)
    got = one.heard.inbound[0]
    await one.send("an answer", to=OTHER, about=About(got.provider_id, False, got.content))
    await one.subject.until(lambda: peer.said)
    (answered,) = peer.contents
    assert isinstance(answered, Text)
    assert answered.reply_to == asked


async def test_what_wafleet_cannot_show_is_kept_whole(one: Holder) -> None:
    one.subject.say_unknown(one.phone)
    await one.subject.until(lambda: one.heard.inbound)
    got = one.heard.inbound[0]
    assert isinstance(got.content, Unsupported)
    assert got.content.raw


def _naming(content: Content, earlier: str) -> Content:
    match content:
        case Reaction():
            return Reaction(earlier, content.emoji)
        case Edit():
            return Edit(earlier, content.text)
        case Deletion():
            return Deletion(earlier)
        case _:
            return content
