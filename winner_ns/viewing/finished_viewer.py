"""nerfstudio's viewer on fields that are no longer trained."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from threading import Lock
from typing import Any, Dict, Mapping, Optional

from nerfstudio.configs.base_config import LocalWriterConfig, LoggingConfig, ViewerConfig
from nerfstudio.models.base_model import ModelConfig
from nerfstudio.pipelines.base_pipeline import Pipeline
from nerfstudio.utils import writer
from nerfstudio.viewer.viewer import Viewer

from winner_ns.fields.files import LoadedField
from winner_ns.interruption import Ended
from winner_ns.signals import Signal
from winner_ns.viewing.dataset import SignalDataset
from winner_ns.viewing.panel import SignalPanel
from winner_ns.viewing.viewed_model import ViewedModel


class FinishedModel(ViewedModel):
    """Fields to look at; there is nothing to train."""


class FinishedPipeline(Pipeline):
    """As much of a pipeline as the viewer wants."""

    def __init__(self, model: FinishedModel) -> None:
        super().__init__()
        self._model = model
        self.datamanager = FinishedData()

    @property
    def panel(self) -> SignalPanel:
        """The viewer's panel: nerfstudio looks for such elements in a pipeline's attributes."""
        assert self.model.panel is not None
        return self.model.panel


class FinishedData:
    """As much of a data manager as the viewer wants."""

    includes_time = False


def start_viewer(
    fields: Mapping[str, LoadedField],
    original: Optional[Signal],
    tables: Mapping[str, Mapping[str, Any]],
    folder: Path,
    host: str = "127.0.0.1",
    port: Optional[int] = None,
) -> Viewer:
    """Starts nerfstudio's viewer, which then runs in threads of its own.

    Args:
        fields: by name.
        original: what they were fitted to, where it is at hand.
        tables: what is known of each field (`run_figures`), for the panel.
        folder: where the panel's exports go, into a folder "exports".
        host: address to listen on.
        port: None: nerfstudio's usual one or the next that is free.
    """
    dataset = SignalDataset({})
    model = FinishedModel(ModelConfig(enable_collider=False), scene_box=dataset.scene_box, num_train_data=0)
    model.show(fields, original)
    assert model.panel is not None
    model.panel.facts = {name: _facts(table) for name, table in tables.items()}
    model.panel.update_figures({name: table.get("figures", {}) for name, table in tables.items()})
    model.panel.step = max(int(table.get("steps", 0)) for table in tables.values())
    viewer = Viewer(
        ViewerConfig(websocket_port=port, websocket_host=host),
        log_filename=folder / "viewer_log_filename.txt",
        datapath=folder,
        pipeline=FinishedPipeline(model.eval()),
        train_lock=Lock(),
    )
    # The viewer measures its own speed with the writer.
    writer.setup_local_writer(LoggingConfig(local_writer=LocalWriterConfig(enable=False)), max_iter=0)
    viewer.init_scene(dataset, "completed")
    viewer.update_scene(step=0)
    return viewer


def _facts(table: Mapping[str, Any]) -> Dict[str, str]:
    facts = {"weights": f"{table['parameters']:,}"}
    if "training_seconds" in table:
        facts["time"] = f"{table['training_seconds']:.0f} s"
    if "file_bytes" in table:
        facts["file"] = f"{table['file_bytes'] / 1000:,.0f} kB"
    return facts


def serve(viewer: Viewer) -> None:
    """Keeps a viewer until Ctrl-C, which is how one leaves it."""
    try:
        serve_forever()
    finally:
        viewer.viser_server.stop()


def serve_forever() -> None:
    """Keeps the program alive for the viewer's threads, until Ctrl-C."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
    except Ended as end:
        if end.number != signal.SIGINT:
            raise
