import asyncio
import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.engine import secrets
from wafleet.engine.db import Db
from wafleet.engine.secrets import MasterKey, Secrets

HERE = Secrets({1: bytes(32)})


def new_key() -> MasterKey:
    return MasterKey(os.urandom(32))


@given(plain=st.binary(max_size=300), about=st.binary(max_size=40))
def test_what_was_encrypted_comes_back_and_never_looks_the_same_twice(plain: bytes, about: bytes) -> None:
    stored = HERE.encrypt(plain, about=about)
    assert HERE.decrypt(stored, about=about) == plain
    assert HERE.encrypt(plain, about=about) != stored
    assert len(plain) < 8 or plain not in stored


@given(about=st.binary(max_size=9), other=st.binary(max_size=9), place=st.integers(0, 40), flip=st.integers(1, 255))
def test_a_secret_that_was_changed_cut_or_belongs_elsewhere_is_refused(
    about: bytes, other: bytes, place: int, flip: int
) -> None:
    stored = HERE.encrypt(b"credentials", about=about)
    place %= len(stored)
    changed = stored[:place] + bytes([stored[place] ^ flip]) + stored[place + 1 :]
    for bad in (changed, stored[:place]):
        with pytest.raises(secrets.Unreadable):
            HERE.decrypt(bad, about=about)
    if other != about:
        with pytest.raises(secrets.Unreadable, match="belongs to something else"):
            HERE.decrypt(stored, about=other)


async def test_every_node_reads_what_another_stored_with_the_same_master_key(db: Db) -> None:
    master = new_key()
    first, second = await asyncio.gather(secrets.open_secrets(db, master), secrets.open_secrets(db, master))
    assert second.decrypt(first.encrypt(b"x", about=b"a"), about=b"a") == b"x"
    async with db.fleet_tx() as tx:
        assert await tx.value("select count(*) from data_keys") == 1


async def test_a_wrong_master_key_is_refused_in_one_sentence_and_makes_no_new_keys(db: Db) -> None:
    await secrets.open_secrets(db, new_key())
    with pytest.raises(secrets.WrongMasterKey, match=r"stored under another master key: start with the master\.key"):
        await secrets.open_secrets(db, new_key())
    async with db.fleet_tx() as tx:
        assert await tx.value("select count(*) from data_keys") == 1


async def test_a_damaged_data_key_is_refused(db: Db) -> None:
    master = new_key()
    await secrets.open_secrets(db, master)
    async with db.fleet_tx() as tx:
        await tx.run("update data_keys set wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))")
    with pytest.raises(secrets.WrongMasterKey):
        await secrets.open_secrets(db, master)


async def test_after_a_new_data_key_old_secrets_stay_readable_and_new_ones_use_it(db: Db) -> None:
    master = new_key()
    before = await secrets.open_secrets(db, master)
    stored = before.encrypt(b"old", about=b"a")
    after = await secrets.rotate_data_key(db, master)
    assert after.newest == before.newest + 1
    assert after.decrypt(stored, about=b"a") == b"old"
    reopened = await secrets.open_secrets(db, master)
    assert reopened.decrypt(after.encrypt(b"new", about=b"a"), about=b"a") == b"new"
    with pytest.raises(secrets.Unreadable, match="restart"):
        before.decrypt(after.encrypt(b"new", about=b"a"), about=b"a")


async def test_a_new_master_key_opens_everything_and_the_old_one_nothing(db: Db) -> None:
    old, new = new_key(), new_key()
    stored = (await secrets.open_secrets(db, old)).encrypt(b"x", about=b"a")
    await secrets.rotate_data_key(db, old)
    assert await secrets.rotate_master(db, old, new) == 2
    assert (await secrets.open_secrets(db, new)).decrypt(stored, about=b"a") == b"x"
    for call in (secrets.open_secrets(db, old), secrets.rotate_master(db, old, new)):
        with pytest.raises(secrets.WrongMasterKey):
            await call


def test_the_key_file_is_made_once_private_and_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(secrets.load_or_create_key, [folder] * 8))
    assert keys == {secrets.load_or_create_key(folder)}
    assert stat.S_IMODE((folder / "master.key").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["master.key"]


def test_a_key_file_others_can_read_is_refused(tmp_path: Path) -> None:
    secrets.load_or_create_key(tmp_path)
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(secrets.BadMasterKey, match="chmod 600"):
        secrets.load_or_create_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe", b"A" * 100])
def test_a_key_file_without_a_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(secrets.BadMasterKey, match="holds no key: put back the copy"):
        secrets.load_or_create_key(tmp_path)
    assert path.read_bytes() == content


@given(raw=st.binary(min_size=32, max_size=32))
def test_a_key_may_be_written_as_hex_or_any_base64(raw: bytes) -> None:
    base, safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    for text in (raw.hex(), raw.hex().upper(), base, base.rstrip("="), f" {base}\n", safe):
        assert MasterKey.parse(text).raw == raw


@given(text=st.one_of(st.text(max_size=80), st.binary(max_size=60).filter(lambda b: len(b) != 32).map(bytes.hex)))
def test_anything_else_is_no_key_and_is_not_repeated(text: str) -> None:
    with pytest.raises(secrets.BadMasterKey, match="must be 32 bytes") as error:
        MasterKey.parse(text)
    assert len(text) < 10 or text not in str(error.value)


def test_a_key_does_not_show_when_it_is_printed() -> None:
    assert repr(MasterKey(b"k" * 32)) == "MasterKey()"
