"""YAML as people expect it: `+971501234567` and `22:00` are text, and nothing is dropped or repeated silently."""

import re
from typing import Any, Final

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node

from wafleet.domain.errors import Invalid

# YAML 1.1 would read a phone number as an octal or decimal number, a time of day in base 60, and "no" as false.
_CORE: Final = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"-?(?:0|[1-9][0-9]{0,14})", list("-0123456789")),
    "float": (r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
}
_Resolvers = dict[str, list[tuple[str, re.Pattern[str]]]]


def load(text: str) -> Any:
    """Read one YAML document. Raises Invalid with the line and the reason."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (derived from the safe loader)
    except yaml.YAMLError as error:
        raise Invalid("file", f"This file is not YAML that can be read: {error}") from None
    except (RecursionError, ValueError):
        raise Invalid("file", "This file is nested too deeply or holds an impossible value") from None


def _resolvers() -> _Resolvers:
    made: _Resolvers = {}
    for tag, (pattern, beginnings) in _CORE.items():
        for first in beginnings:
            made.setdefault(first, []).append((f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$")))
    return made


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.check_event(AliasEvent):  # a few lines of them can unfold to gigabytes
            raise yaml.YAMLError("references (*name) are not understood here: write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands here twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = _resolvers()
