"""Asks every route of an app for what belongs to somebody else."""

import re
from collections.abc import Mapping

import httpx
from fastapi import FastAPI

NO_TENANTS: frozenset[str] = frozenset({"/openapi.json"})


def readable_routes(app: FastAPI) -> list[str]:
    """Return the template of every GET that names something by its id."""
    paths = app.openapi()["paths"]
    return [path for path, methods in paths.items() if "get" in methods and "{" in path and path not in NO_TENANTS]


async def ask_for_anothers(app: FastAPI, http: httpx.AsyncClient, theirs: Mapping[str, object]) -> int:
    """GET every route as `http`, with another tenant's ids; each must be 404. Return how many were asked.

    theirs    an id of the other tenant for every path parameter: a route with a new one fails until it is added
    """
    asked = 0
    for path in readable_routes(app):
        missing = set(re.findall(r"{(\w+)}", path)) - set(theirs)
        assert not missing, f"{path}: say which id of another tenant to try for {missing}"
        answer = await http.get(path.format_map({name: str(id) for name, id in theirs.items()}))
        assert answer.status_code == 404, f"GET {path} as a stranger: {answer.status_code} {answer.text[:200]}"
        asked += 1
    return asked
