"""Reads the settings from the environment, .env and wafleet.toml, and says in one sentence what is wrong with them."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from wafleet.config.sections import FILE, PREFIX, Settings


class SettingsError(Exception):
    """A setting is wrong; the sentence names it, where it stands, and what to write instead."""


_RULES: Final[Mapping[str, str]] = {  # by pydantic's name for what is wrong
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "int_type": "it must be a whole number",
    "float_parsing": "it must be a number",
    "float_type": "it must be a number",
    "bool_parsing": "it must be true or false",
    "bool_type": "it must be true or false",
    "string_type": "it must be a text",
    "path_type": "it must be a path",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than_equal": "it must be at most {le}",
    "string_too_short": "it must have at least {min_length} characters",
    "string_too_long": "it must have at most {max_length} characters",
    "too_short": "it must have a length of at least {min_length}",
    "literal_error": "it must be {expected}",
    "string_pattern_mismatch": "it must match {pattern}",
}
_NAMES: Final[Mapping[object, str]] = {
    SecretStr: "text",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true | false",
    Path: "path",
}


@dataclass(frozen=True, slots=True)
class Described:
    """One setting, for documentation and `doctor`."""

    name: str  # as in the environment
    type: str
    default: object
    description: str
    secret: bool


Place = tuple[str, ...]  # ("outbox", "batch")


@dataclass(frozen=True, slots=True)
class _Given:
    name: str  # as it is written where it stands
    value: object
    where: str


def load(environ: Mapping[str, str] = os.environ, *, folder: Path | None = None, **overrides: object) -> Settings:
    """Read every source and check every name and value. Raises SettingsError.

    folder     where .env and wafleet.toml are looked for; none: the current one
    overrides  top-level settings from the command line, over everything else; None counts as not given
    """
    given: dict[Place, _Given] = {}
    for source in _sources(environ, folder or Path.cwd()):
        given |= source
    for name, value in overrides.items():
        if value is not None:
            given[(name,)] = _Given(f"--{name.replace('_', '-')}", value, "on the command line")
    tree: dict[str, Any] = {}
    for path, one in given.items():
        inner = tree if len(path) == 1 else tree.setdefault(path[0], {})
        inner[path[-1]] = None if one.value == "none" else one.value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(_sentence(error, given)) from None


def describe() -> Iterator[Described]:
    """List every setting with its type, default and meaning."""
    for path, field in _fields():
        yield Described(
            name=_variable(path),
            type=_type_of(field),
            default=field.get_default(call_default_factory=True, validated_data={}),
            description=field.description or "",
            secret=_is_secret(field),
        )


def _sources(environ: Mapping[str, str], folder: Path) -> Iterator[dict[Place, _Given]]:
    """The weakest first."""
    dotenv = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
    yield _from_toml(_toml_file(environ, dotenv, folder))
    yield _from_variables(dotenv, "in .env")
    yield _from_variables(environ, "in the environment")


def _toml_file(environ: Mapping[str, str], dotenv: Mapping[str, str], folder: Path) -> Path | None:
    named = environ.get(f"{PREFIX}CONFIG") or dotenv.get(f"{PREFIX}CONFIG")
    if named:
        path = folder / Path(named).expanduser()
        if not path.is_file():
            raise SettingsError(f"{PREFIX}CONFIG names {path}, which is no file: create it, or unset {PREFIX}CONFIG.")
        return path
    return folder / FILE if (folder / FILE).is_file() else None


def _from_toml(file: Path | None) -> dict[Place, _Given]:
    if file is None:
        return {}
    try:
        tree = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read: {error}: correct it, or move it away.") from error
    known = {path for path, _ in _fields()}
    found: dict[Place, _Given] = {}
    for path, value in _leaves(tree):
        name = ".".join(path)
        if path not in known:
            raise SettingsError(_unknown(name, f"in {file}", [".".join(one) for one in known]))
        found[path] = _Given(name, value, f"in {file}")
    return found


def _leaves(tree: Mapping[str, object], above: Place = ()) -> Iterator[tuple[Place, object]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(cast(dict[str, object], value), (*above, name))
        else:
            yield (*above, name), value


def _from_variables(variables: Mapping[str, str], where: str) -> dict[Place, _Given]:
    known = {_variable(path): path for path, _ in _fields()}
    found: dict[Place, _Given] = {}
    for name, value in variables.items():
        if not name.upper().startswith(PREFIX):
            continue
        if name.upper() not in known:
            raise SettingsError(_unknown(name, where, list(known)))
        if value.strip():
            found[known[name.upper()]] = _Given(name, value.strip(), where)
    return found


def _unknown(name: str, where: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name.upper() if name.isupper() else name, known, n=1, cutoff=0.6)
    remedy = f"did you mean {nearest[0]}?" if nearest else "remove it; `wafleet doctor` lists every setting."
    return f"{name} {where} is no setting of wafleet: {remedy}"


def _sentence(error: ValidationError, given: Mapping[Place, _Given]) -> str:
    fields = dict(_fields())
    first = error.errors(include_url=False)[0]
    rule = first["msg"].removeprefix("Value error, ")
    path = tuple(str(part) for part in first["loc"])[:2]
    path = path if path in fields else path[:1]
    if path not in fields or path not in given:
        return rule
    field, one = fields[path], given[path]
    value = "" if _is_secret(field) else f"={one.value!r}"
    known = _RULES.get(first["type"])
    rule = known.format(**first.get("ctx", {})) if known else rule
    return f"{one.name}{value} {one.where} cannot be used: {rule} ({field.description})."


def _fields() -> Iterator[tuple[Place, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for inner, inner_field in field.annotation.model_fields.items():
                yield (name, inner), inner_field
        else:
            yield (name,), field


def _variable(path: Place) -> str:
    return PREFIX + "__".join(path).upper()


def _is_secret(field: FieldInfo) -> bool:
    return field.repr is False or SecretStr in (field.annotation, *get_args(field.annotation))


def _type_of(field: FieldInfo) -> str:
    parts: list[object] = [one for one in get_args(field.annotation) or (field.annotation,) if one is not type(None)]
    if get_origin(field.annotation) is Literal:
        return " | ".join(map(str, parts))
    return ", ".join(_NAMES.get(part) or " | ".join(sorted(get_args(part))) for part in parts)
