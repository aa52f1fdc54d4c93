"""`wafleet keys rotate`: another master key for the stored secrets."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from wafleet.cli.options import DataDir, Json
from wafleet.cli.tables import put_json, show
from wafleet.cli.within import within

if TYPE_CHECKING:
    from wafleet.cli.database import Office
    from wafleet.engine.secrets import MasterKey
    from wafleet.tenants import Caller

NEXT: Final = "master.key.next"
keys = typer.Typer(no_args_is_help=True, help="The key that protects stored credentials.")


@keys.command("rotate")
def rotate(as_json: Json = False, data_dir: DataDir = None) -> None:
    """Wrap every stored secret with a new master key. Stop at any moment and run it again: it ends what it began.

    The old key is kept beside the new one, for backups that were made under it.
    """
    done = within(data_dir, _rotate)
    if as_json:
        return put_json(done)
    show(f"{done['keys']} data keys are wrapped with a new master key, {done['new']}")
    show(f"The old one is kept in {done['old']}: backups made until now need it" if done["old"] else str(done["next"]))
    return None


async def _rotate(office: Office, caller: Caller) -> dict[str, object]:
    """The new key is on the disk before the database depends on it, and the old one as long as it may."""
    from wafleet.engine.secrets import MasterKey, load_or_create_key, open_secrets, rotate_master
    from wafleet.tenants import record

    folder, given = office.settings.data_dir, office.settings.master_key
    old = load_or_create_key(folder) if given is None else MasterKey.parse(given.get_secret_value())
    beside = folder / NEXT
    new = _next_key(beside)
    if new == old:  # an earlier run's key is in use, and its file was left where it lay
        beside.unlink()
        new = _next_key(beside)
    if await _is_wrapped_by(office, new):
        count = 0
    else:
        await open_secrets(office.db, old)
        count = await rotate_master(office.db, old, new)
        async with office.db.fleet_tx() as tx:
            await record(tx, caller, "master_key.rotated", new.fingerprint)
    if given is not None:
        remedy = f"Now set WAFLEET_MASTER_KEY to what stands in {beside}, keep a copy elsewhere, and delete the file."
        return {"keys": count, "new": str(beside), "old": None, "next": remedy}
    kept = _swap(folder, beside, old)
    return {"keys": count, "new": str(folder / "master.key"), "old": str(kept), "next": ""}


def _next_key(path: Path) -> MasterKey:
    from wafleet.engine.secrets import MasterKey

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return MasterKey.parse(path.read_text("ascii"))
    with os.fdopen(file, "wb") as out:
        out.write(base64.b64encode(os.urandom(32)) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    return MasterKey.parse(path.read_text("ascii"))


async def _is_wrapped_by(office: Office, key: MasterKey) -> bool:
    """Whether an earlier run was stopped after the database had changed, and before the file had."""
    from wafleet.cli.ops_store import wrapped_by

    async with office.db.fleet_tx() as tx:
        return await wrapped_by(tx) == [key.fingerprint]


def _swap(folder: Path, beside: Path, old: MasterKey) -> Path:
    current, kept = folder / "master.key", folder / f"master.key.{old.fingerprint[:8]}.old"
    if not kept.exists():
        os.link(current, kept)
    beside.replace(current)
    return kept
