"""Commands that work on the database itself, whether or not wafleet runs."""

import typer

from wafleet.cli import doctor as examination
from wafleet.cli.ops_keys import keys
from wafleet.cli.ops_people import tenants, users
from wafleet.cli.ops_tokens import tokens
from wafleet.cli.options import DataDir, Json
from wafleet.cli.tables import put_json, show
from wafleet.cli.within import hush


def add_to(app: typer.Typer) -> None:
    """Add the commands that need no running wafleet."""
    app.command()(migrate)
    app.command()(examination.doctor)
    app.add_typer(tenants, name="tenant")
    app.add_typer(users, name="user")
    app.add_typer(tokens, name="token")
    app.add_typer(keys, name="keys")


def migrate(as_json: Json = False, data_dir: DataDir = None) -> None:
    """Bring the database to this program's schema. Safe while nodes run, and when others do it too."""
    import asyncio

    from wafleet.cli.database import opened, settings_of
    from wafleet.engine.migrate import Migrated
    from wafleet.engine.migrate import migrate as apply

    hush()

    async def work() -> Migrated:
        async with opened(settings_of(data_dir)) as dsn:
            return await apply(dsn)

    done = asyncio.run(work())
    if as_json:
        put_json(done)
    elif done.before == done.after:
        show(f"The schema is current: version {done.after}")
    else:
        show(f"The schema was brought from version {done.before} to {done.after}")
