"""The client and the API are the same list, and every answer is read as its type."""

import ast
import inspect
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.cli.served import Served

from wafleet.client import Client
from wafleet.client import client as module

OPERATION = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S+)")
PARTS = ("fleet.py", "media.py", "messaging.py", "network.py", "people.py")
FOLDER = Path(inspect.getfile(module)).parent


def operations_of_the_client() -> dict[str, list[str]]:
    """Every public method of the client's parts, with the operations that stand in it."""
    found: dict[str, list[str]] = {}
    for file in PARTS:
        tree = ast.parse((FOLDER / file).read_text("utf-8"))
        for part in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            for method in (node for node in part.body if isinstance(node, ast.FunctionDef)):
                texts = [one.value for one in ast.walk(method) if isinstance(one, ast.Constant)]
                found[method.name] = [text for text in texts if isinstance(text, str) and OPERATION.fullmatch(text)]
    return found


def unnamed(operation: str) -> str:
    """An operation whatever its path's parts are called."""
    return re.sub(r"\{\w+\}", "{}", operation)


def test_every_method_is_one_operation() -> None:
    found = operations_of_the_client()
    assert not {name: done for name, done in found.items() if len(done) != 1}
    assert all(callable(getattr(Client, name)) for name in found)


def test_every_operation_of_the_api_has_exactly_one_method(served: Served) -> None:
    paths = served.app.http.openapi()["paths"]
    offered = {
        unnamed(f"{method.upper()} {path.removeprefix('/api/v1')}")
        for path, methods in paths.items()
        if path.startswith("/api/v1")
        for method in methods
    }
    counted = Counter(unnamed(done) for each in operations_of_the_client().values() for done in each)
    assert set(counted) == offered
    assert not [operation for operation, times in counted.items() if times != 1]


@pytest.mark.parametrize("part", PARTS)
def test_every_method_says_what_it_does(part: str) -> None:
    tree = ast.parse((FOLDER / part).read_text("utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = [method for one in classes for method in one.body if isinstance(method, ast.FunctionDef)]
    assert methods
    assert not [method.name for method in methods if not ast.get_docstring(method)]
