"""What the viewers of nerfstudio 1.1.5 and viser 0.2.7 do wrong, worked around: the only place for that."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import RLock
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import viser
from nerfstudio.viewer import viewer as viewer_module
from nerfstudio.viewer.render_state_machine import RenderAction, RenderStateMachine
from nerfstudio.viewer.utils import CameraState
from nerfstudio.viewer.viewer import Viewer
from nerfstudio.viewer.viewer_elements import ViewerElement, ViewerSlider
from viser import infra
from viser._gui_handles import GuiTabHandle
from viser.infra import ClientId, Message, WebsockClientConnection, WebsockMessageHandler, WebsockServer, _infra

LEAST_WIDTH = 256
"""Pixels across the smallest picture that a watched viewer's threads draw."""


class OrderedMessages(WebsockMessageHandler):
    """Sends what several threads say.

    viser's own lock is held for good once an exception leaves its `atomic`, as happens when a camera's motion is looked
    at after its browser has gone. From then on each message occupies one of the 32 threads that look at what browsers
    say, until all of them wait, and a server that is stopped waits for them. Here it is given back in any case, its
    holder may take it again, and messages go to their buffer at once: whoever has it waits for nobody but the buffer's
    own lock, under which nothing is waited for.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._sending = RLock()

    def queue_message(self, message: Message) -> None:
        with self._sending:
            if self._record_handle is not None:
                self._record_handle._insert_message(message)
            self.unsafe_send_message(message)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        with self._sending:
            yield


class Connection(OrderedMessages, WebsockClientConnection):
    """One browser's. What it says is looked at in other threads than the one that sees it go: for viser, a browser that
    has gone by then is one that has just come, and never goes."""

    leave: Callable[[Connection], None]
    """Takes it off the list of those that are there; where it is not on the list, nothing happens."""

    @property
    def has_gone(self) -> bool:
        """Whether the browser has been seen to go."""
        return self._state.message_buffer.done

    def _handle_incoming_message(self, client_id: ClientId, message: Message) -> None:
        if self.has_gone:
            return
        try:
            super()._handle_incoming_message(client_id, message)
        except Exception:
            if not self.has_gone:  # Else what belonged to it has been taken away meanwhile.
                raise
        if self.has_gone:
            self.leave(self)


class Listeners(ThreadPoolExecutor):
    """The threads that look at what browsers say. What is said when a program ends is not looked at any more; viser's
    own raise an error then, which the terminal shows."""

    def submit(self, fn: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        try:
            return super().submit(fn, *given, **named)
        except RuntimeError:  # They have been shut down.
            unheard: Future[Any] = Future()
            unheard.cancel()
            return unheard


class Server(OrderedMessages, WebsockServer):
    """Knows of browsers only as long as they are there."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._thread_executor = Listeners(max_workers=32)
        self.on_client_connect(self._welcome)

    def _welcome(self, connection: WebsockClientConnection) -> None:
        assert isinstance(connection, Connection)
        connection.leave = self._see_off

    def _see_off(self, connection: Connection) -> None:
        for callback in self._client_disconnect_cb:
            callback(connection)


infra.WebsockServer = Server  # type: ignore[misc]
_infra.WebsockClientConnection = Connection  # type: ignore[misc]


def has_gone(client: viser.ClientHandle) -> bool:
    """Whether a browser is no longer there."""
    connection = client._websock_connection
    assert isinstance(connection, Connection)
    return connection.has_gone


def remove_node(client: viser.ClientHandle, node: viser.SceneNodeHandle) -> None:
    """Removes a node of one browser's scene. viser keeps all names there ever were, and sends a browser that is slow
    what it has to remove again."""
    name = node._impl.name
    client.scene._handle_from_node_name.pop(name, None)
    buffer = client._websock_connection._state.message_buffer
    with buffer.buffer_lock:
        for number, message in tuple(buffer.message_from_id.items()):
            if getattr(message, "name", None) == name:
                del buffer.message_from_id[number]
                buffer.id_from_redundancy_key.pop(message.redundancy_key(), None)
    node.remove()


class ResponsiveRenderer(RenderStateMachine):
    """nerfstudio's thread that draws on the server. For viewers that are `watched`, it rests while the browser draws by
    itself, and its pictures do not shrink to thumbnails where a picture's cost is not that of its pixels."""

    _renders = False

    def _rests(self) -> bool:
        browser_draws: Optional[Callable[[], bool]] = getattr(self.viewer, "browser_draws", None)
        return browser_draws is not None and browser_draws()

    def action(self, action: RenderAction) -> None:
        if not self._rests():
            super().action(action)
        elif self._renders:
            self.interrupt_render_flag = True  # Else a training would wait for what nobody asks for any more.

    def _render_img(self, camera_state: CameraState) -> Dict[str, Any]:
        self._renders = True
        try:
            return super()._render_img(camera_state)
        finally:
            self._renders = self.interrupt_render_flag = False  # Or the next one would be given up.

    def _send_output_to_viewer(self, outputs: Dict[str, Any], static_render: bool = True) -> None:
        # One that was under way would cover what the browser draws: it has depth.
        if not self._rests():
            if getattr(self.viewer, "keeps_outputs", False):
                self.output_keys = set(outputs.keys())  # Else all that is rendered would be offered anew.
            super()._send_output_to_viewer(outputs, static_render)

    def _calculate_image_res(self, aspect_ratio: float) -> Tuple[int, int]:
        height, width = super()._calculate_image_res(aspect_ratio)
        if not hasattr(self.viewer, "browser_draws") or width >= LEAST_WIDTH:
            return height, width
        return max(round(LEAST_WIDTH / aspect_ratio), 1), LEAST_WIDTH


viewer_module.RenderStateMachine = ResponsiveRenderer  # type: ignore[misc]


def watch(viewer: Viewer, browser_draws: Callable[[], bool], keeps_outputs: bool) -> None:
    """Makes a viewer's threads draw only what the browser does not, and leaves a training alone.

    nerfstudio lets a training sleep for as long as a camera moves, and says which step it is every thirty steps at
    most; here neither, so that somebody else has to say the step.

    Args:
        viewer: nerfstudio's.
        browser_draws: whether all that is shown is drawn by the browser.
        keeps_outputs: whether the outputs that are offered stay, whatever is rendered.
    """
    viewer.browser_draws, viewer.keeps_outputs = browser_draws, keeps_outputs  # type: ignore[attr-defined]
    update_scene = viewer.update_scene

    def update_without_waiting(step: int, num_rays_per_batch: Optional[int] = None) -> None:
        viewer.step = step
        if not browser_draws():
            viewer.last_move_time = 0
            update_scene(step, num_rays_per_batch)

    viewer.update_scene = update_without_waiting  # type: ignore[method-assign]
    viewer.update_step = lambda step: None  # type: ignore[method-assign]


def end_rendering(viewer: Viewer) -> None:
    """Ends the threads that draw on the server, which nerfstudio lets die with the program."""
    machines = tuple(viewer.render_statemachines.values())
    for machine in machines:
        machine.running, machine.interrupt_render_flag = False, True
    for machine in machines:
        machine.join()


def keep_hidden(element: ViewerElement) -> None:
    """Hides an element for good: nerfstudio shows some of them again whenever another one is used."""
    element.set_hidden(True)
    element.set_hidden = lambda hidden: None  # type: ignore[method-assign]


def remove_folder_of(element: ViewerElement) -> None:
    """Removes the folder that an element of the panel is in: viser can hide elements, but not folders."""
    handle: Any = element.gui_handle
    containers = handle._impl.gui_api._container_handle_from_id
    containers[handle._impl.parent_container_id].remove()


def emptied_tab(gui: viser.GuiApi, label: str) -> GuiTabHandle:
    """The tab of that name, without what is in it: viser has no public way to a tab that somebody else has added."""
    for container in gui._container_handle_from_id.values():
        if isinstance(container, GuiTabHandle):
            group = container._parent
            if group._labels[group._tabs.index(container)] == label:
                for child in tuple(container._children.values()):
                    child.remove()
                return container
    raise LookupError(label)


class LabelledSlider(ViewerSlider):
    """A slider with its range at its ends: viser writes whole numbers there, 0 and 0 for -0.1 to 0.1."""

    def _create_gui_handle(self, viser_server: viser.ViserServer) -> None:
        self.gui_handle = viser_server.gui.add_slider(
            self.name,
            self.min,
            self.max,
            self.step,
            self.default_value,
            marks=tuple((end, f"{end:.3g}".replace("-", "\u2212")) for end in (self.min, self.max)),
            disabled=self.disabled,
            visible=self.visible,
            hint=self.hint,
        )
