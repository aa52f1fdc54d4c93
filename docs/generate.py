"""Write docs/reference/ from the code, so that no page can go stale.

python docs/generate.py          writes the pages
python docs/generate.py --check  exit status 1, naming the pages that differ from the code
"""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import typer
from pydantic import BaseModel

from wafleet import transports
from wafleet.cli import app
from wafleet.config import Described, Settings, describe
from wafleet.domain.account import DEADLINES, REASONS, State
from wafleet.domain.errors import WafleetError
from wafleet.domain.events import MEANINGS, Kind
from wafleet.domain.failures import FAILURES
from wafleet.transports.base import SendError
from wafleet.transports.device.driver import LACKS
from wafleet.transports.remedies import Remedy, Table

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = ROOT / "docs/reference"
DOMAIN: Final = WafleetError.__module__
NOTE: Final = "<!-- Written by docs/generate.py from the code: change it there, then run `make reference`. -->\n"


def settings() -> str:
    """Every setting, section by section."""
    parts = [
        "# Settings",
        "Each can stand in the environment under the name below, in a file `.env`, or in `wafleet.toml` (or the file "
        "`WAFLEET_CONFIG` names) as a key of its section. The environment wins over `.env`, and `.env` over the file. "
        "A name wafleet does not know is an error, so a spelling mistake cannot hide. `none` empties a setting.",
        "```toml\n# wafleet.toml\nport = 8420\n\n[outbox]\nper_second = 2\n```",
    ]
    described = list(describe())
    sections = {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    top = [one for one in described if "__" not in one.name]
    parts += ["## The installation", _table(("setting", "type", "default", "meaning"), map(_setting, top))]
    for name, section in sections.items():
        inside = [one for one in described if one.name.startswith(f"WAFLEET_{name.upper()}__")]
        parts += [f"## `[{name}]`", _about(section)]
        parts.append(_table(("setting", "type", "default", "meaning"), map(_setting, inside)))
    return "\n\n".join(parts)


def device_limits() -> str:
    """What linked devices cannot do."""
    return "\n\n".join(
        (
            "# What linked devices cannot do",
            "All else of WhatsApp that wafleet knows works with them; see "
            "[Linked devices](../guides/linked-devices.md). These do not, and no setting changes that.",
            _table(("what", "why, and what there is instead"), LACKS.items()),
        )
    )


def _about(one: type) -> str:
    return (one.__doc__ or "").strip().split("\n")[0]


def _setting(one: Described) -> tuple[str, ...]:
    kept = "; kept secret" if one.secret else ""
    return f"`{one.name}`", one.type, _default(one.default), one.description + kept


def _default(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Path):
        return "the platform's data folder"  # it differs from machine to machine
    if isinstance(value, frozenset):
        return f"`{', '.join(sorted(map(str, cast(frozenset[object], value))))}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def events() -> str:
    """Every event."""
    rows = ((f"`{kind}`", *_meaning(MEANINGS[kind])) for kind in Kind)
    return "\n\n".join(
        [
            "# Events",
            "What happened is written to the event log in the same transaction as the change itself, so the log and "
            "the tables never disagree. Every consumer reads it in order, from where it stopped.",
            _table(("event", "when it is written", "data"), rows),
        ]
    )


def _meaning(text: str) -> tuple[str, str]:
    when, _, data = text.partition(" data: ")
    return when, data


def reasons() -> str:
    """Every reason an account can give for its state."""
    rows = (
        (f"`{code}`" if code else "(none)", one.sentence, one.next_step, "yes" if one.retried else "no")
        for code, one in REASONS.items()
    )
    limits = (
        (f"`{state}`", str(after), f"`{then}`", f"`{reason}`") for state, (after, then, reason) in DEADLINES.items()
    )
    return "\n\n".join(
        [
            "# States and reasons of an account",
            "States: " + ", ".join(f"`{state}`" for state in State) + ".",
            "An account's state says how it is; its reason says why, and what to do. A code of a provider that is not "
            "in this list is shown as it came.",
            _table(("reason", "what it means", "what to do", "connects again by itself"), rows),
            "## States that must not last",
            _table(("state", "at most (h:mm:ss)", "then", "with the reason"), limits),
        ]
    )


@dataclass(frozen=True, slots=True, order=True)
class _Told:
    code: str
    status: str
    sentence: str


def failures() -> str:
    """Every reason a message can give for not being sent, and every provider's code that leads to it."""
    rows = ((f"`{code}`", _capital(one.sentence), one.next_step) for code, one in FAILURES.items())
    parts = [
        "# Why a message was not sent",
        "A message that failed, or was tried in vain and waits, says why by one of these codes. The provider's own "
        "code and words stand in its `detail`. A code of a provider that is in no table here is `provider_code`: it "
        "is not tried again, keeps its number, and is told as the event `provider.unknown_code`. That there "
        "is nothing to do holds while a message waits; one that has failed is to be sent again later.",
        _table(("reason", "what it means", "what to do"), rows),
        "## What providers' codes mean",
        "*Refused* is final for the message. *RefusedAccount* keeps it waiting until the account works again. "
        "*NotSent* and *Throttled* are tried again by themselves. *MaybeSent* is cleared up with the provider "
        "before anything is tried.",
    ]
    for provider, table in tables():
        rows = ((f"`{code}`", one.error.__name__, f"`{one.reason}`") for code, one in _by_number(table))
        parts += [f"### {provider.capitalize()}", _table(("code", "remedy", "reason"), rows)]
    return "\n\n".join(parts)


def tables() -> Iterator[tuple[str, Table]]:
    """Every provider's table of error codes, wherever a transport has one."""
    for package in sorted(one.name for one in pkgutil.iter_modules(transports.__path__) if one.ispkg):
        name = f"{transports.__name__}.{package}.errors"
        for value in vars(importlib.import_module(name)).values() if importlib.util.find_spec(name) else ():
            rows = cast("dict[object, object]", value) if isinstance(value, dict) else {}
            if rows and all(isinstance(one, Remedy) for one in rows.values()):
                yield package, cast("Table", rows)


def _capital(sentence: str) -> str:
    return f"{sentence[0].upper()}{sentence[1:]}."


def _by_number(table: Table) -> list[tuple[str, Remedy]]:
    return sorted(table.items(), key=lambda one: (not one[0].isdecimal(), len(one[0]), one[0]))


def errors() -> str:
    """Every code a caller of the API can meet, as the code raises it."""
    known = {one.__name__: one.status for one in _tree(WafleetError) if one.__module__ == DOMAIN}
    told = {_Told(one.code, str(one.status), _meant(one)) for one in _tree(WafleetError) if _has_code(one)}
    for file in sorted((ROOT / "src/wafleet").rglob("*.py")):
        told |= {one for one in _raised(ast.parse(file.read_text("utf-8")), known) if one.code}
    sentences: dict[tuple[str, str], list[str]] = {}
    for one in sorted(told):
        sentences.setdefault((one.code, one.status), []).extend([one.sentence] if one.sentence else [])
    rows = ((f"`{code}`", status, "<br>".join(said) or "…") for (code, status), said in sentences.items())
    return "\n\n".join(
        [
            "# Error codes",
            "A failed request is answered with `application/problem+json`: `status`, `code`, and in `detail` one "
            "sentence that says what to do. Where one field is wrong, `field` names it. `…` stands for what differs "
            "from case to case.",
            _table(("code", "status", "sentences"), rows),
            "## When a message could not be sent",
            inspect.cleandoc(SendError.__doc__ or "").replace("\n\n", "\n\n```\n", 1) + "\n```",
        ]
    )


def _tree(root: type[WafleetError]) -> Iterator[type[WafleetError]]:
    """A class of the product's errors and all below it; those of tests are none of the product's."""
    yield root
    for branch in root.__subclasses__():
        if branch.__module__.startswith("wafleet."):
            yield from _tree(branch)


def _has_code(one: type[WafleetError]) -> bool:
    return "code" in vars(one) and one is not WafleetError


def _meant(one: type[WafleetError]) -> str:
    """What the drawing of the tree says of a class, or its own first line."""
    drawn = re.search(rf"^ +{one.__name__} +\d+ +(.+)$", sys.modules[one.__module__].__doc__ or "", re.M)
    return drawn[1][0].upper() + drawn[1][1:] if drawn else _about(one)


def _raised(tree: ast.Module, known: Mapping[str, int]) -> Iterator[_Told]:
    """Read what the code says where it raises: the sentence is the last argument."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        inside = list(ast.walk(function))
        assigned = [one for one in inside if isinstance(one, ast.Assign)]
        for call in (node for node in inside if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            before = sorted((one for one in assigned if one.lineno < call.lineno), key=lambda one: one.lineno)
            named = {ast.unparse(one.targets[0]): one.value for one in before}
            words = {one.arg: _words(one.value, named) for one in call.keywords if one.arg}
            name, code = ast.unparse(call.func), words.get("code", "")
            if name == "problem" and words.get("status") and code:
                yield _Told(code, words["status"], words.get("detail", ""))
            elif name in known and call.args and code:
                yield _Told(code, str(known[name]), _words(call.args[-1], named))


def _words(node: ast.expr, named: Mapping[str, ast.expr]) -> str:
    """The literal text of an expression, with `…` for what is computed; empty when nothing is literal."""
    if isinstance(node, ast.Name) and node.id in named:
        return _words(named[node.id], {})
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""


def commands() -> str:
    """Every command of the terminal."""
    parts = [
        "# Commands",
        "Failures are one sentence on standard error and an exit status that is not 0. `--help` works everywhere.",
    ]
    for path, command in _leaves(typer.main.get_command(app), ("wafleet",)):
        parts += [f"## `{' '.join(path)}`", inspect.cleandoc(command.help or "").replace("\b\n", "")]
        rows = [_parameter(one) for one in command.params if not getattr(one, "hidden", False)]
        parts += [_table(("argument", "meaning"), rows)] if rows else []
    return "\n\n".join(parts)


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, in the order of its name."""
    inner: dict[str, Any] = getattr(command, "commands", {})
    if not inner and not command.hidden:
        yield path, command
    for name in sorted(inner):
        yield from _leaves(inner[name], (*path, name))


def _parameter(one: Any) -> tuple[str, str]:
    words = ", ".join(f"`{word}`" for word in (*one.opts, *one.secondary_opts))
    if one.param_type_name == "argument":
        words = f"`{one.name.upper()}`"
    needed = " (needed)" if one.required else ""
    return words, f"{getattr(one, 'help', '') or ''}{needed}".strip()


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


REFERENCE: Final[Mapping[str, Callable[[], str]]] = {
    "settings.md": settings,
    "events.md": events,
    "reasons.md": reasons,
    "failures.md": failures,
    "errors.md": errors,
    "commands.md": commands,
    "device-limits.md": device_limits,
}


def pages() -> dict[Path, str]:
    """Every page as it must be."""
    return {PAGES / name: f"{NOTE}\n{page()}\n" for name, page in REFERENCE.items()}


def stale() -> list[Path]:
    """Pages that differ from the code, and pages nothing writes any more."""
    wanted = pages()
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    return changed + [path for path in PAGES.glob("*.md") if path not in wanted]


def main() -> int:
    """Write the pages, or with `--check` only compare them."""
    differing = stale()
    if "--check" in sys.argv[1:]:
        for path in differing:
            sys.stderr.write(f"{path.relative_to(ROOT)} differs from the code: run `make reference`\n")
        return 1 if differing else 0
    PAGES.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for path in differing:
        if path in wanted:
            path.write_text(wanted[path], "utf-8")
        else:
            path.unlink()
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
