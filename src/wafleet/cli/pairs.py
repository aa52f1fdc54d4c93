"""`--set key=value`: what a way to WhatsApp needs of a number, pair by pair."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer

SECRETS: Final = frozenset({"accountSid", "authToken", "accessToken", "appSecret", "verifyToken", "apiKey", "hmacKey"})
"""They go encrypted into the database; all other pairs are settings, which may be shown."""

Pairs = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value; as often as needed. Value - is read from stdin, a line each."),
]


def read_pairs(given: list[str] | None) -> dict[str, Any]:
    """Read pairs as they were typed, and from stdin those that are too secret to be typed."""
    pairs: dict[str, Any] = {}
    for one in given or []:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"--set {name}: write it as key=value")
        pairs[name] = sys.stdin.readline().strip() if value == "-" else value
    return pairs


def divided(transport: str, pairs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return an account's settings and its credentials; either spelling of a name will do."""
    secrets = {_snake(name): name for name in SECRETS}
    credentials = {secrets[_snake(name)]: value for name, value in pairs.items() if _snake(name) in secrets}
    own = {_snake(name): value for name, value in pairs.items() if _snake(name) not in secrets}
    return {transport: own} if own else {}, credentials


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
