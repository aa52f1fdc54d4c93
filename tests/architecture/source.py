"""The product's own source, parsed, for the tests that look at its shape."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src/wafleet"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """One file of the product."""

    path: str  # below src/wafleet, with slashes
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def functions(self) -> Iterator[Function]:
        return (node for node in nodes(self) if isinstance(node, Function))

    def calls(self) -> Iterator[ast.Call]:
        return (node for node in nodes(self) if isinstance(node, ast.Call))

    def at(self, node: ast.expr | ast.stmt) -> str:
        return f"{self.path}:{node.lineno}"


@cache
def modules() -> tuple[Module, ...]:
    """Every Python file of the product, in order of its path."""
    found = ((file.relative_to(SRC).as_posix(), file.read_text("utf-8")) for file in sorted(SRC.rglob("*.py")))
    return tuple(Module(path, text, ast.parse(text, path)) for path, text in found)


@cache
def nodes(module: Module) -> tuple[ast.AST, ...]:
    """Every node of a file; walking a tree costs more than all else the tests do."""
    return tuple(ast.walk(module.tree))


@cache
def length(node: Function | ast.ClassDef) -> int:
    """Lines of its own: without its docstring, and without the functions inside it, which are judged by themselves."""
    within = [inner for inner in ast.iter_child_nodes(node) if isinstance(inner, Function)]
    documented = ast.get_docstring(node, clean=False) is not None
    apart = [*(within if isinstance(node, Function) else []), *(node.body[:1] if documented else [])]
    return _lines(node) - sum(_lines(part) for part in apart)


def statement_lines(node: Function) -> int:
    """Lines of text literals inside: mostly SQL."""
    texts = (part for part in ast.walk(node) if isinstance(part, ast.Constant | ast.JoinedStr))
    return sum(_lines(text) - 1 for text in texts if not _is_docstring(text, node))


def _is_docstring(text: ast.expr, node: Function) -> bool:
    first = node.body[0]
    return isinstance(first, ast.Expr) and first.value is text


def _lines(node: ast.stmt | ast.expr) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def literal(node: ast.expr) -> str:
    """The text a literal begins with; empty for anything computed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr) and node.values:
        return literal(node.values[0])
    if isinstance(node, ast.BinOp):
        return literal(node.left)
    return ""
