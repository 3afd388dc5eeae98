"""nerfstudio's data parsers, chosen by what a folder holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Type

from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig

from winner_ns.rays.scene_dataparser import scene_dataparser


@dataclass
class SceneDataParserConfig(DataParserConfig):
    """Reads posed photographs with the data parser that fits what the folder holds: transforms_train.json (blender),
    transforms.json (nerfstudio), or a COLMAP model."""

    _target: Type = field(default_factory=lambda: DataParser)
    """Chosen when the folder is known."""
    data: Path = Path()
    """The folder, or its transforms.json."""

    def setup(self, **kwargs: Any) -> DataParser:
        """The data parser that fits.

        Raises:
            SignalError: the folder holds no scene.
        """
        return scene_dataparser(Path(self.data)).setup(**kwargs)
