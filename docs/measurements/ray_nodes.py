"""Nodes of a Ray cluster on one machine that start without waiting for each other's helpers."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Callable


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def start_early(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Has Ray not wait for its dashboard's agent, whose imports take longer than the 15 seconds that it allows where a
    machine has other work: of a plain `ray[client]` the agent says that it has no ports, which is known before.

    Args:
        replace: what sets an attribute.
    """
    from ray._private.node import Node
    from ray._private.utils import get_dashboard_dependency_error

    start = Node.start_raylet

    def started(node: Any, *arguments: Any, **more: Any) -> Any:
        if get_dashboard_dependency_error() is not None:
            for name in ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port"):
                (Path(node.get_session_dir_path()) / f"{name}_{node.node_id}").write_text("-1")
        return start(node, *arguments, **more)

    replace(Node, "start_raylet", started)
