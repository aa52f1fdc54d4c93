"""Small rooms, nothing half done, and each kind of thing in its place."""

import ast
import re
import statistics

from tests.architecture.source import Function, Module, length, literal, modules, nodes, statement_lines

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40  # an SQL statement counts as one line of it ...
MOST_LINES_WITH_ITS_STATEMENT = 60  # ... but must be readable beside it

SMALL = 8  # lines

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|type:\s*ignore|pyright:\s*ignore(?!\[)|\bNotImplementedError\b")
MACHINE_PATH = re.compile(r"/(home|root|work|Users|opt)/\w|[A-Z]:\\\\?Users")

SQL = re.compile(r"\s*(select|insert\s+into|update|delete\s+from|with\s+\w+\s+as|merge\s+into|copy|truncate)\b", re.I)
RUNS_SQL = {"run", "one", "all", "tuples", "value", "execute", "executemany", "copy", "stream"}
SQL_LIVES_IN = re.compile(r"(.*/)?(\w+_)?store\.py|engine/.*|analytics/.*")
PARTS_OF_A_STORE = {  # views that would make their store.py too long; each is named here on purpose
    "accounts/figures.py",
    "inbox/conversations.py",
    "inbox/ledger.py",
    "inbox/search.py",
    "tenants/audit.py",
}

WALL_CLOCK = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
READS_THE_WALL_CLOCK = re.compile(r"engine/clock\.py|domain/ids\.py|transports/(device/moments|web)\.py|simulator/.*")


def test_no_file_is_longer_than_a_person_can_hold_in_mind() -> None:
    found = [f"{one.path}: {one.lines}" for one in modules() if one.lines > MOST_LINES_OF_A_FILE]
    assert not found, "\n".join(found)


def test_no_function_is_longer_than_a_screen() -> None:
    found = [
        f"{one.at(function)} {function.name}: {length(function)} lines, {statement_lines(function)} of them text"
        for one in modules()
        for function in one.functions()
        if length(function) > MOST_LINES_WITH_ITS_STATEMENT
        or length(function) - statement_lines(function) > MOST_LINES_OF_A_FUNCTION
    ]
    assert not found, "\n".join(found)


def test_the_usual_function_is_short() -> None:
    lengths = [length(function) for one in modules() for function in one.functions()]
    assert statistics.median(lengths) <= 10


def test_nothing_is_half_done_or_silenced() -> None:
    found = [
        f"{one.path}:{number}: {line.strip()}"
        for one in modules()
        for number, line in enumerate(one.text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_function_of_a_class_or_module_is_empty() -> None:
    found = [
        f"{one.at(function)} {function.name}"
        for one in modules()
        for function in one.functions()
        if isinstance(function.body[-1], ast.Pass) and len(function.body) == 1
    ]
    assert not found, "\n".join(found)


def test_no_path_of_one_machine_is_written_down() -> None:
    found = [
        f"{one.at(node)}: {node.value!r}"
        for one in modules()
        for node in nodes(one)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and MACHINE_PATH.search(node.value)
    ]
    assert not found, "\n".join(found)


def test_sql_is_only_in_stores_the_engine_and_analytics() -> None:
    found = [
        f"{one.at(call)}: {literal(call.args[0]).strip()[:60]}"
        for one in modules()
        if not SQL_LIVES_IN.fullmatch(one.path) and one.path not in PARTS_OF_A_STORE
        for function in one.functions()
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in RUNS_SQL
        if _first_is_sql(call, _texts(function))
    ]
    assert not found, "\n".join(found)


def _first_is_sql(call: ast.Call, texts: dict[str, ast.expr]) -> bool:
    given = (texts.get(one.id, one) if isinstance(one, ast.Name) else one for one in call.args[:2])
    return any(SQL.match(literal(argument)) for argument in given)


def _texts(function: Function) -> dict[str, ast.expr]:
    """What names stand for inside a function."""
    assigned = (node for node in ast.walk(function) if isinstance(node, ast.Assign))
    return {name.id: one.value for one in assigned for name in one.targets if isinstance(name, ast.Name)}


def test_only_the_clock_reads_the_time_of_day() -> None:
    found = [
        f"{one.at(call)}: {ast.unparse(call.func)}"
        for one in modules()
        if not READS_THE_WALL_CLOCK.fullmatch(one.path)
        for call in one.calls()
        if ast.unparse(call.func).removeprefix("dt.").removeprefix("datetime.datetime.") in WALL_CLOCK
    ]
    assert not found, "\n".join(found)


def test_every_module_class_and_function_of_weight_says_what_it_is_for() -> None:
    explained = {name for one in modules() for name in _explained_by_protocols(one)}
    found = [name for one in modules() for name in _undocumented(one, explained)]
    assert not found, "\n".join(found)


def _undocumented(module: Module, explained: set[str]) -> list[str]:
    """What others use and no docstring explains. What is small speaks for itself."""
    missing = [module.path] if module.tree.body and not ast.get_docstring(module.tree) else []
    for holder in (module.tree, *_public_classes(module)):
        missing += [
            f"{module.at(node)} {node.name}"
            for node in holder.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and length(node) > SMALL
            and not ast.get_docstring(node)
            and not (isinstance(holder, ast.ClassDef) and node.name in explained)
        ]
    return missing


def _public_classes(module: Module) -> list[ast.ClassDef]:
    return [node for node in module.tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]


def _explained_by_protocols(module: Module) -> list[str]:
    """Methods of interfaces: whoever implements one need not say again what it is for."""
    protocols = [one for one in _public_classes(module) if "Protocol" in map(ast.unparse, one.bases)]
    methods = [method for one in protocols for method in one.body if isinstance(method, Function)]
    return [method.name for method in methods if ast.get_docstring(method)]
