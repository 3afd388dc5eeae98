"""Writing down what a finished training is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List

from nerfstudio.utils.rich_utils import CONSOLE
from rich.markup import escape

from winner_ns.export.output import replacing


def print_written(paths: List[Path]) -> None:
    """Says where the results are."""
    for path in paths:
        CONSOLE.print(f"[bold green]wrote[/bold green] {escape(str(path))}", soft_wrap=True)


def write_json(path: Path, content: Any) -> Path:
    """Writes JSON whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
