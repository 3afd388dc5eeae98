"""Reading a preset's YAML: data only, never code, and nothing in it twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict

import yaml

from winner_ns.bench.preset_values import shown
from winner_ns.errors import SignalError


def read_yaml(path: Path) -> Dict[Any, Any]:
    """A file's mapping.

    Raises:
        SignalError: it cannot be read, is no YAML, or no mapping; says where.
    """
    try:
        with open(path, encoding="utf-8") as file:
            data = yaml.load(file, _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise SignalError(path, f"cannot be read ({error})", "give a preset's YAML file") from error
    except RecursionError as error:
        raise SignalError(path, "has too many brackets within brackets", "give a preset's YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise SignalError(path, f"is no YAML{where}: {problem}", "correct that line") from error
    if not isinstance(data, dict):
        raise SignalError(path, "holds no settings", "write `title: …` and so on, see winner-ns bench --list")
    return data


class _Loader(yaml.SafeLoader):
    """YAML's plain data; 1e3 is a number, as in YAML 1.2, and no key is there twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: Dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            if key.value in lines:
                problem = f"{key.value} is there twice, in line {lines[key.value]}, too"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:  # A 13th month; more digits than int() takes.
            problem = f"{shown(node.value)} cannot be what it looks like"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+\Z", re.ASCII),
    list("-+.0123456789"),
)
