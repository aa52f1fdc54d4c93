import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.domain.ids import AccountId, new_id
from wafleet.transports.device.files import SESSION, Header, InUse, Lineage, Store, Unreadable, left, pack, unpack
from wafleet.transports.device.worker.store import Spool

DATABASE = b"SQLite format 3\0"
NAMES = st.text(max_size=20)


def store_at(root: Path, account: AccountId) -> Store:
    return Store(root, account)


def write(store: Store, words: str) -> None:
    with closing(sqlite3.connect(store.folder / SESSION)) as session:
        session.execute("create table if not exists whatsmeow_device as select 'the device' as jid")
        session.execute("create table if not exists said (words text)")
        session.execute("insert into said values (?)", (words,))
        session.commit()


def said(store: Store) -> list[str]:
    with closing(sqlite3.connect(store.folder / SESSION)) as session:
        return [row[0] for row in session.execute("select words from said order by rowid")]


def _without_a_device(session: Path) -> None:
    with closing(sqlite3.connect(session)) as opened:
        opened.execute("delete from whatsmeow_device")
        opened.commit()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda session: session.write_bytes(b""),
    "garbage": lambda session: session.write_bytes(bytes(session.stat().st_size)),
    "cut short": lambda session: session.write_bytes(session.read_bytes()[:8192]),
    "without a device": _without_a_device,
}


@pytest.fixture
def account() -> AccountId:
    return AccountId(new_id())


@given(NAMES, st.integers(0, 2**40), NAMES, st.lists(st.tuples(NAMES, NAMES), max_size=5), st.binary(max_size=5000))
def test_what_is_packed_is_unpacked(
    tag: str, count: int, parent: str, open_: list[tuple[str, str]], rest: bytes
) -> None:
    told = Header(Lineage(tag, count, parent), tuple(open_))
    assert unpack(pack(told, DATABASE + rest)) == (told, DATABASE + rest)


@given(st.data())
def test_damaged_credentials_are_called_unreadable_and_nothing_else(data: st.DataObject) -> None:
    whole = pack(Header(Lineage("t")), DATABASE + bytes(range(256)) * 4)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(Unreadable):
        unpack(cut)
    with pytest.raises(Unreadable):
        unpack(data.draw(st.binary(max_size=60)))


async def test_a_session_goes_on_at_another_node_from_its_copy(tmp_path: Path, account: AccountId) -> None:
    here, there = store_at(tmp_path / "a", account), store_at(tmp_path / "b", account)
    await here.fresh()
    write(here, "one")
    copy = await here.copy({"ours": "3EB0"})
    await there.restore(copy)
    assert said(there) == ["one"]
    assert not there.continues
    assert there.lineage.follows(unpack(copy)[0].lineage)
    assert unpack(copy)[0].open == (("ours", "3EB0"),)


async def test_a_folder_left_by_a_killed_node_wins_over_the_copy_it_made_before(
    tmp_path: Path, account: AccountId
) -> None:
    killed = store_at(tmp_path, account)
    await killed.fresh()
    copy = await killed.copy()
    write(killed, "after the copy")
    again = store_at(tmp_path, account)
    await again.restore(copy)
    assert said(again) == ["after the copy"]
    assert again.continues


@pytest.mark.parametrize("how", DAMAGES)
async def test_a_damaged_folder_loses_to_good_credentials(tmp_path: Path, account: AccountId, how: str) -> None:
    killed = store_at(tmp_path, account)
    await killed.fresh()
    write(killed, "in the copy " * 1000)
    copy = await killed.copy()
    session = killed.folder / SESSION
    with closing(sqlite3.connect(session)) as busy:
        busy.execute("pragma wal_checkpoint(truncate)")
    DAMAGES[how](session)
    again = store_at(tmp_path, account)
    await again.restore(copy)
    assert said(again) == ["in the copy " * 1000]
    assert not again.continues


async def test_what_is_written_is_on_the_disk_before_it_counts(
    tmp_path: Path, account: AccountId, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def synced(file: int) -> None:
        done.append(Path(f"/proc/self/fd/{file}").readlink().name)

    monkeypatch.setattr("os.fsync", synced)
    store = store_at(tmp_path, account)
    await store.fresh()
    assert done == [f"{SESSION}.part", str(account), "lineage.part", str(account)]


async def test_a_folder_loses_once_another_node_has_run_the_account(tmp_path: Path, account: AccountId) -> None:
    first, second = store_at(tmp_path / "a", account), store_at(tmp_path / "b", account)
    await first.fresh()
    copy = await first.copy()
    write(first, "never copied")
    await second.restore(copy)
    write(second, "on the other node")
    newer = await second.copy()
    again = store_at(tmp_path / "a", account)
    await again.restore(newer)
    assert said(again) == ["on the other node"]
    assert not again.continues


async def test_a_folder_of_a_node_that_never_made_a_copy_loses_to_a_later_one(
    tmp_path: Path, account: AccountId
) -> None:
    first, second = store_at(tmp_path / "a", account), store_at(tmp_path / "b", account)
    await first.fresh()
    copy = await first.copy()
    await second.restore(copy)  # and is killed at once
    write(second, "lost")
    write(first, "later")
    later = await first.copy()
    again = store_at(tmp_path / "b", account)
    await again.restore(later)
    assert said(again) == ["later"]


async def test_a_folder_written_out_and_not_copied_goes_on_from_the_same_copy(
    tmp_path: Path, account: AccountId
) -> None:
    first, second = store_at(tmp_path / "a", account), store_at(tmp_path / "b", account)
    await first.fresh()
    copy = await first.copy()
    await second.restore(copy)
    write(second, "killed before its first copy")
    again = store_at(tmp_path / "b", account)
    await again.restore(copy)
    assert said(again) == ["killed before its first copy"]


async def test_a_copy_is_consistent_while_the_session_is_being_written(tmp_path: Path, account: AccountId) -> None:
    store = store_at(tmp_path, account)
    await store.fresh()
    write(store, "committed")
    with closing(sqlite3.connect(store.folder / SESSION)) as busy:
        busy.execute("insert into said values ('under way')")
        copy = await store.copy()
        busy.rollback()
    other = store_at(tmp_path / "other", account)
    await other.restore(copy)
    assert said(other) == ["committed"]


async def test_a_store_knows_whether_it_changed_since_its_copy(tmp_path: Path, account: AccountId) -> None:
    store = store_at(tmp_path, account)
    await store.fresh()
    assert store.changed()
    await store.copy()
    assert not store.changed()
    write(store, "news")
    assert store.changed()


async def test_a_store_is_removed_only_when_its_very_copy_is_stored(tmp_path: Path, account: AccountId) -> None:
    store = store_at(tmp_path, account)
    await store.fresh()
    older = await store.copy()
    newer = await store.copy()
    assert not await store.remove_if(older)
    assert store.folder.is_dir()
    assert await store.remove_if(newer)
    assert not store.folder.exists()


async def test_a_store_is_removed_once_another_node_has_run_the_account_unless_messages_wait_in_it_or_it_is_held(
    tmp_path: Path, account: AccountId
) -> None:
    first, second = store_at(tmp_path / "a", account), store_at(tmp_path / "b", account)
    await first.fresh()
    copy = await first.copy()
    await first.copy()  # not stored any more, since another node has taken over
    await second.restore(copy)
    newer = await second.copy()
    assert not await first.remove_if(copy)  # it holds more than this copy
    spool = Spool(first.folder)
    spool.add(17, b"")
    assert not await first.remove_if(newer)
    spool.drop([""])
    held = store_at(tmp_path / "a", account).take()
    with pytest.raises(InUse):
        await first.remove_if(newer)
    held.let_go()
    assert await first.remove_if(newer)
    assert left(tmp_path / "a") == frozenset()


async def test_only_its_owner_may_look_into_a_store(tmp_path: Path, account: AccountId) -> None:
    store = store_at(tmp_path, account)
    await store.fresh()
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert (store.folder / SESSION).stat().st_mode & 0o077 == 0


def test_one_account_is_held_by_one_process(tmp_path: Path, account: AccountId) -> None:
    first = store_at(tmp_path, account).take()
    with pytest.raises(InUse):
        store_at(tmp_path, account).take()
    first.let_go()
    store_at(tmp_path, account).take().let_go()


async def test_what_is_left_of_an_account_is_found_and_removed_unless_it_is_held(
    tmp_path: Path, account: AccountId
) -> None:
    assert left(tmp_path / "nothing") == frozenset()
    store = store_at(tmp_path, account).take()
    await store.fresh()
    (tmp_path / "something else").touch()
    assert left(tmp_path) == {account}
    await store_at(tmp_path, account).forget_all()
    assert store.folder.is_dir()
    store.let_go()
    await store_at(tmp_path, account).forget_all()
    assert left(tmp_path) == frozenset()
