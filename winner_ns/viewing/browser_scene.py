"""One browser's scene, kept up to date: what the panel asks for, drawn from the fields as they are."""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING, Callable, Dict, Hashable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
import viser
from jaxtyping import Float
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.glue.viewer_defects import has_gone
from winner_ns.safe_text import markdown
from winner_ns.viewing.allowance import Allowance
from winner_ns.viewing.browser_nodes import BrowserNodes, Place
from winner_ns.viewing.drawing import SCENE_SCALE, Beside, Drawing, Interrupted, Look, Part, Pose, Work
from winner_ns.viewing.exports import complaint
from winner_ns.viewing.kept import Kept
from winner_ns.viewing.signal_view import Framing, ViewSettings
from winner_ns.working_time import working_time

if TYPE_CHECKING:
    from winner_ns.viewing.panel import SignalPanel

POLL = 0.1
"""Seconds between two looks at what has changed."""
AT_REST = 0.15
"""Seconds without a motion, after which the camera has come to rest."""
PIECE = 2**13
"""Points that a field is asked for in one go, between which a drawing may be interrupted."""
BESIDE = 0.1
"""Room between two drawings that stand side by side, in units of the scene."""

CURSOR, NEARER, RED = 2.0, 0.006, (200, 40, 35)
"""The line where values are read: how far it reaches up and down in units of the scene, how much nearer than what is
drawn it is, of the camera's distance, and its colour."""

Asked = Tuple[Tuple[str, ...], ViewSettings]


class BrowserScene(Thread):
    """Draws for one browser, in a thread that ends with its connection.

    Args:
        client: the browser.
        panel: says what is asked for, and takes note of what has been drawn.
    """

    def __init__(self, client: viser.ClientHandle, panel: SignalPanel) -> None:
        super().__init__(daemon=True)
        self._client, self._panel, self._nodes = client, panel, BrowserNodes(client)
        self._running, self._changed, self._moved = True, Event(), 0.0
        self._blank = False
        self._cursor: Optional[viser.SceneNodeHandle] = None
        self._done: Optional[Tuple[Asked, Look, Hashable]] = None
        self._whole: Optional[Tuple[Asked, Hashable]] = None
        self._drawings: Dict[Tuple[str, ViewSettings], Drawing] = {}
        self._view, self._state, self._kept = panel.view, None, Kept()
        self._allowance = Allowance()

        @client.camera.on_update
        def _(_: viser.CameraHandle) -> None:
            self._moved = time.monotonic()

    def stop(self) -> None:
        """The browser has gone."""
        self._running = False
        self._changed.set()

    def wake(self) -> None:
        """Something was set, or the fields have changed."""
        self._changed.set()

    @torch.no_grad()
    def run(self) -> None:
        torch.set_flush_denormal(True)
        while self._running and not has_gone(self._client):
            self._changed.wait(POLL)
            self._changed.clear()
            try:
                self._panel.keep_true()
                self._nodes.reveal()
                self._update()
            except Interrupted:
                self._changed.set()

    def _update(self) -> None:
        asked = self._panel.asked()
        if asked is None:
            if self._cursor is not None:
                self._cursor.visible = False
            self._nodes.keep_only(())
            self._blank, self._done, self._whole = False, None, None
            return
        look = self._look()
        if look is None:
            return
        if not self._blank:
            white = np.full((1, 1, 3), 255, np.uint8)
            self._client.scene.set_background_image(white, format="png")
            self._blank = True
        self._show_cursor(look)
        self._follow()
        if (asked, look, self._state) == self._done:
            return
        same = self._done is not None and self._done[0] == asked
        if (same and self._moves()) or (self._whole == (asked, self._state) and not self._allowance.may_refine()):
            return
        started = time.thread_time()
        try:
            self._draw(asked, look)
        except (SignalError, MemoryError) as error:
            self._panel.say_legends([complaint(error)])
        finally:
            self._allowance.take(time.thread_time() - started)
        self._done = asked, look, self._state

    def _follow(self) -> None:
        """Takes the fields as they are now, as often as a training allows."""
        self._allowance.pass_until(working_time(), self._panel.trains())
        state, step = self._panel.state(), self._panel.step
        if state != self._state and self._allowance.may_follow(step):
            self._allowance.follow(step)
            self._view, self._state, self._kept = self._panel.snapshot(), state, Kept()
            self._drawings.clear()

    def _show_cursor(self, look: Look) -> None:
        """A line across the pictures where values are read, a little nearer to the camera than these."""
        x = self._panel.cursor()
        if x is None:
            return
        if self._cursor is None:
            ends = np.array([(0.0, -SCENE_SCALE * CURSOR, 0.0), (0.0, SCENE_SCALE * CURSOR, 0.0)])
            self._cursor = self._client.scene.add_spline_catmull_rom("/cursor", ends, line_width=2.0, color=RED)
        place = (SCENE_SCALE * x, 0.0, SCENE_SCALE * look.position[2] * NEARER)
        if not np.allclose(self._cursor.position, place, rtol=0.01, atol=0.0):
            self._cursor.position = place
        if self._cursor.visible != (abs(x) <= 1.0):
            self._cursor.visible = not self._cursor.visible

    def _moves(self) -> bool:
        return time.monotonic() - self._moved < AT_REST

    def _look(self) -> Optional[Look]:
        """How the browser looks at the scene; None as long as it has not said so."""
        camera = self._client.camera
        if camera._state.update_timestamp == 0.0:  # Its properties fail then, and there is no other way to know.
            return None
        x, y, z = (camera.position / SCENE_SCALE).tolist()
        rotation = tuple(map(tuple, viser.transforms.SO3(camera.wxyz).as_matrix().tolist()))
        return Look((x, y, z), rotation, float(camera.fov), float(camera.aspect), self._panel.resolution())

    # Drawing ---------------------------------------------------------------------------------------------------------

    def _draw(self, asked: Asked, look: Look) -> None:
        outputs, settings = asked
        started = self._moved
        drawings = [self._drawing(output, settings) for output in outputs]
        along, middles = row_direction(self._view.framing(settings)), side_by_side(drawings)
        half = middles[-1] + drawings[-1].room
        poses = [Pose(tuple((middle * along).tolist())) for middle in middles]
        parts: List[Tuple[int, Part]] = []
        for number, drawing in enumerate(drawings):
            seen = replace(poses[number].seen(look), beside=Beside(middles[number], half))
            parts += [(number, part) for part in drawing.parts(seen)]
        self._panel.say_legends(named_legends(outputs, [drawing.legend() for drawing in drawings]))

        def work(part: Part, hurry: bool) -> Work:
            def in_pieces(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
                results = []
                for piece in points.split(PIECE):
                    other = self._panel.asked() != asked or (part.refines and self._moved != started)
                    if not self._running or (other and not hurry):
                        raise Interrupted
                    results.append(function(piece))
                    self._panel.keep_true()
                    self._nodes.reveal()
                return torch.cat(results)

            return in_pieces

        def missing() -> Iterator[Tuple[Place, Part, Pose, Hashable, Hashable]]:
            for number, part in sorted(parts, key=lambda each: each[1].refines):
                place, subject = (number, part.key), (outputs[number], settings, poses[number])
                if not self._nodes.has(place, subject, self._state):
                    yield place, part, poses[number], subject, (outputs[number], settings, part.key)

        for place, part, pose, subject, key in missing():
            coarse = None if part.refines or key in self._kept or self._nodes.has(place, subject) else part.coarse()
            if coarse is not None:
                self._nodes.put(place, coarse, coarse.make(work(coarse, True)), pose, subject, "coarse")
        for place, part, pose, subject, key in missing():
            if part.refines:
                self._whole = asked, self._state
            made = self._kept.get(key, lambda part=part: part.make(work(part, False)))
            self._nodes.put(place, part, made, pose, subject, self._state)
            self._nodes.reveal()
        self._whole = asked, self._state
        self._nodes.reveal(wait=True)
        self._nodes.keep_only({(number, part.key) for number, part in parts})
        self._panel.say_resolution(look)

    def _drawing(self, output: str, settings: ViewSettings) -> Drawing:
        key = output, settings
        if key not in self._drawings:
            self._drawings[key] = self._view.drawing(output, settings)
        return self._drawings[key]


def named_legends(outputs: Sequence[str], legends: Sequence[str]) -> List[str]:
    """What the colours of each output mean; of several that are seen at once, with their names."""
    if len(outputs) == 1:
        return list(legends)
    return [f"**{markdown(output)}**: {legend}" for output, legend in zip(outputs, legends, strict=True) if legend]


def row_direction(framing: Framing) -> Float[np.ndarray, "3"]:
    """Where a row of drawings runs: to the right for a camera that faces the signal as it is framed, or down."""
    if framing.stacks:
        return -np.array(framing.up)
    across = np.cross(framing.up, framing.towards_camera)
    return across / np.linalg.norm(across)


def side_by_side(drawings: List[Drawing]) -> List[float]:
    """Where the middles of drawings are that stand in a row around the origin."""
    lengths = [2 * drawing.room for drawing in drawings]
    start = -(sum(lengths) + BESIDE * (len(lengths) - 1)) / 2
    middles = []
    for length in lengths:
        middles.append(start + length / 2)
        start += length + BESIDE
    return middles
