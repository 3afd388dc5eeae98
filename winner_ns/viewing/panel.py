"""The part of nerfstudio's control panel that belongs to fields of signals."""

from __future__ import annotations

import atexit
import copy
import time
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Callable, Dict, Hashable, Iterable, List, Mapping, Optional

import viser
from nerfstudio.viewer.viewer_elements import (
    ViewerButton,
    ViewerCheckbox,
    ViewerControl,
    ViewerDropdown,
    ViewerElement,
)

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField
from winner_ns.glue.viewer_defects import (
    LabelledSlider,
    emptied_tab,
    end_rendering,
    keep_hidden,
    remove_folder_of,
    watch,
)
from winner_ns.viewing.browser_scene import BESIDE, Asked, BrowserScene
from winner_ns.viewing.controls import Control, Dropdown
from winner_ns.viewing.described import FIGURES, described
from winner_ns.viewing.drawing import Look
from winner_ns.viewing.exports import Exports, complaint
from winner_ns.viewing.framing import frame_client, keep_framed
from winner_ns.viewing.signal_view import Framing, SignalView, ViewSettings
from winner_ns.working_time import working_time

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

GAINS = ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1000"]
SHARP = 1024
"""Pixels across a picture that is quickly drawn; nerfstudio's own is 512."""
FIGURES_EVERY, FIGURES_SHARE = 1.0, 39
"""Figures are measured a second of working time apart at least, and so that they take one part of it in so many and
one."""
EXPORTS = ("chosen", "export", "export_field")
"""Elements that stand in the tab Export."""


class SignalPanel(ViewerElement[Any], ViewerControl):
    """What the fields are and how good they are, what of them is drawn, and how they are taken home.

    One element of nerfstudio's panel, made of nerfstudio's elements; as a control, it learns of the viewer itself.
    """

    def __init__(self, view: SignalView) -> None:
        super().__init__("Signal")
        self.view = view
        self.viewer: Optional[Viewer] = None
        self.figures: Dict[str, Dict[str, float]] = {}
        self.facts: Dict[str, Dict[str, str]] = {}
        """Further columns of the table of several fields, by field and title."""
        self.elements: Dict[str, Any] = {}
        self.measure: Optional[Callable[[Mapping[str, LoadedField]], Mapping[str, Mapping[str, Optional[float]]]]] = (
            None
        )
        """Measures figures of the fields, by field and name, where the panel is to keep them up to date."""
        self.step = 0
        """Steps of training that the fields have seen."""
        self._said = (-1, "")
        self._measured: Hashable = None
        self._measure_at = 0.0
        self._one_at_a_time = Lock()
        self._scenes: Dict[int, BrowserScene] = {}
        self._reads: Hashable = None
        """The cursor and the state of the fields that were last read there; None as long as nobody uses it."""
        self._exports = Exports(lambda: (self._current(), self._folder()), self._tell)
        self._original: Optional[viser.SceneNodeHandle] = None
        names = list(view.fields)
        if len(names) > 1:
            self._add("difference", ViewerDropdown("Difference of", names[0], names))
            self._add("minus", ViewerDropdown("and", names[1], names))
        self._add("error_gain", ViewerDropdown("Error gain", "10", GAINS, hint=view.gain_hint))
        self._controls = view.controls()
        for name, control in self._controls.items():
            self._add(name, _element(control))
        if view.cursor is not None:
            self._add("cursor", _element(view.cursor))
            view.pointed = self._point
        if view.has_overlay:
            self._add("original", ViewerCheckbox("Original over it", False))
        self._add("frame_signal", ViewerButton("Frame the signal", lambda _: self._frame_all()))
        if view.heard:
            self._add("heard", ViewerDropdown("Sound of the", view.heard[0], list(view.heard)))
            self._add("play", ViewerButton("Play", lambda _: None))
        if len(names) > 1:
            self._add("chosen", ViewerDropdown("Field", names[0], names, hint="Which field is exported and played"))
        self._add("export", ViewerButton(f"Export {view.exported}", lambda _: None))
        self._add("export_field", ViewerButton("Export field", lambda _: None))

    def _add(self, name: str, element: ViewerElement) -> None:
        self.elements[name] = element

    def _value(self, name: str, default: Any) -> Any:
        return self.elements[name].value if name in self.elements else default

    # What the view asks for ------------------------------------------------------------------------------------------

    def settings(self) -> ViewSettings:
        """What the panel is set to."""
        difference = (self._value("difference", ""), self._value("minus", ""))
        return ViewSettings(
            error_gain=float(self._value("error_gain", "10")),
            difference=difference if "difference" in self.elements else None,
            **self.view.settings({name: self.elements[name].value for name in self._controls}),
        )

    def shown(self, names: Iterable[str]) -> List[str]:
        """Which of these outputs the viewer is about to show; none without a viewer."""
        if self.viewer is None:
            return []
        panel, names = self.viewer.control_panel, list(names)
        wanted = [panel.output_render, *([panel.split_output_render] if panel.split else [])]
        shown = [name if name in names else names[0] for name in wanted]
        return list(dict.fromkeys([*shown, *(["depth"] if panel.layer_depth else [])]))

    # What the browsers' scenes ask for -------------------------------------------------------------------------------

    def asked(self) -> Optional[Asked]:
        """Which outputs are to be seen, side by side, and what else is set; None where browsers cannot draw all of them
        by themselves."""
        if self.viewer is None:
            return None
        panel = self.viewer.control_panel
        outputs = panel.output_render, *([panel.split_output_render] if panel.split else [])
        return (outputs, self.settings()) if set(outputs) <= set(self.view.outputs) else None

    def browser_draws(self) -> bool:
        """Whether the browser draws all that is to be seen by itself."""
        return self.asked() is not None

    def state(self) -> Hashable:
        """Tells the fields as they are now from what they were."""
        networks = [field.network for field in self.view.fields.values()]
        weights = tuple((p.data_ptr(), p._version) for network in networks for p in network.parameters())
        return weights, self.trains()

    def trains(self) -> bool:
        """Whether the fields change by themselves."""
        trainer = self.viewer.trainer if self.viewer is not None else None
        return trainer is not None and trainer.training_state == "training"

    def snapshot(self) -> SignalView:
        """The view of the fields as they are now, which no training changes any more."""
        assert self.viewer is not None
        if self.viewer.trainer is None:
            return self.view
        with self.viewer.train_lock or nullcontext():
            copies = {name: copy.deepcopy(field.network) for name, field in self.view.fields.items()}
        return self.view.of_fields(
            {
                name: LoadedField(network.eval().requires_grad_(False), self.view.fields[name].description)
                for name, network in copies.items()
            },
            quick=self.trains(),
        )

    def resolution(self) -> int:
        """Pixels along a view's longer side."""
        assert self.viewer is not None
        return self.viewer.control_panel.max_res

    def keep_true(self) -> None:
        """Brings the step and the figures up to date; called as long as somebody looks at them."""
        if not self._one_at_a_time.acquire(blocking=False):
            return  # For another browser, this very moment.
        try:
            self._say(self.step, self._said[1])
            state, now = self.state(), working_time()
            if self._reads is not None and self._reads != (self.elements["cursor"].value, state):
                self._read()
            if self.measure is not None and state != self._measured and (not self.trains() or now > self._measure_at):
                fields, started = self.snapshot().fields, time.thread_time()
                self.update_figures(self.measure(fields))
                cost = time.thread_time() - started
                self._measured = state
                self._measure_at = working_time() + max(FIGURES_EVERY, FIGURES_SHARE * cost)
        finally:
            self._one_at_a_time.release()

    def cursor(self) -> Optional[float]:
        """Where in the pictures values are read, x in units of the scene; None where they are not."""
        if self._reads is None:
            return None
        return self.view.place_of_cursor(self.elements["cursor"].value, self.settings())

    def _point(self, place: Callable[[ViewSettings], float]) -> None:
        """Somebody points at a picture."""
        cursor = self.elements["cursor"]
        cursor.value = min(max(place(self.settings()), cursor.min), cursor.max)
        self._read()

    def _read(self) -> None:
        """Says what the values are at the cursor."""
        cursor = self.elements["cursor"].value
        self._reads = cursor, self.state()
        self.reading.content = self.snapshot().reading(cursor)

    def say_resolution(self, look: Look) -> None:
        """What has been drawn is as sharp as a picture of so many pixels."""
        self._say(self.step, f"{round(look.height * look.aspect)}x{round(look.height)}px")

    def _say(self, step: int, resolution: str) -> None:
        if self.viewer is not None and (step, resolution) != self._said:
            self._said = step, resolution
            self.viewer.stats_markdown.content = self.viewer.make_stats_markdown(step, resolution or None)

    def say_legends(self, legends: Iterable[str]) -> None:
        """What the colours that are seen mean."""
        content = "\n\n".join(legend for legend in legends if legend)
        if content != self.legend.content:
            self.legend.content = content

    # What nerfstudio's viewer asks for -------------------------------------------------------------------------------

    def _create_gui_handle(self, viser_server: viser.ViserServer) -> None:
        self.gui_handle = viser_server.gui.add_markdown(self._description())

    def install(self, viser_server: viser.ViserServer) -> None:
        """Puts the elements into a folder at the top of nerfstudio's control tab."""
        with folder_at_the_top(viser_server.gui, "Field"):
            self._create_gui_handle(viser_server)
            self.legend = viser_server.gui.add_markdown("")
            for name, element in self.elements.items():
                if name not in EXPORTS:
                    element.install(viser_server)
                    if name == "play":
                        element.gui_handle.on_click(lambda _: self._play())
                    elif name == "original":
                        element.cb_hook = lambda element: self._show_original(element.value)
                    elif name == "cursor":
                        element.cb_hook = lambda _: self._read()
                        self.reading = viser_server.gui.add_markdown("")
                    elif name not in ("frame_signal", "heard"):
                        element.cb_hook = lambda _: self._set()
            self.player = viser_server.gui.add_markdown("")

    def _setup(self, viewer: Viewer) -> None:
        super()._setup(viewer)
        viewer.hide_images.visible = False  # There are no photographs.
        hide_training(viewer)
        panel, server = viewer.control_panel, viewer.viser_server
        remove_folder_of(panel._crop_viewport)
        panel._elements_by_tag["crop"].clear()
        for element in (panel._train_speed, panel._train_util):
            keep_hidden(element)
        if self.view.outputs:
            of_numbers = panel._elements_by_tag["colormap"] + panel._elements_by_tag["split_colormap"]
            for element in (*of_numbers, panel._colormap, panel._split_colormap, panel._layer_depth):
                keep_hidden(element)
            keep_hidden(panel._split_percentage)
            first, *others = self.view.outputs
            panel.update_output_options([first, *others[:-1], *self.view.rendered, *others[-1:]])
        with emptied_tab(server.gui, "Export"):
            self._install_exports(server)
        watch(viewer, self.browser_draws, bool(self.view.outputs))
        if self.view.is_quick(beside_training=viewer.trainer is not None):
            panel._max_res.value = SHARP  # Lines and letters want it.
        if len(self.view.fields) > 1:
            panel._split.value = True
        panel.update_control_panel()
        panel._split.gui_handle.on_update(lambda _: self._frame_all())
        server.scene.set_up_direction("+y")
        server.on_client_connect(self._connect)
        server.on_client_disconnect(self._disconnect)
        atexit.register(self.end_drawing)

    def _install_exports(self, server: viser.ViserServer) -> None:
        for name in EXPORTS:
            if name in self.elements:
                self.elements[name].install(server)
        self.result = server.gui.add_markdown("")
        # Unlike nerfstudio's hook, viser's callback says which browser asked.
        self.elements["export"].gui_handle.on_click(lambda event: self._exports.signal(event.client))
        self.elements["export_field"].gui_handle.on_click(lambda event: self._exports.field(event.client))

    def _connect(self, client: viser.ClientHandle) -> None:
        keep_framed(client, self._framing)
        self._scenes[client.client_id] = BrowserScene(client, self)
        self._scenes[client.client_id].start()

    def _disconnect(self, client: viser.ClientHandle) -> None:
        scene = self._scenes.pop(client.client_id, None)
        if scene is not None:  # Else it went before it was said to have come.
            scene.stop()

    def end_drawing(self) -> None:
        """Waits until nothing is drawn any more: a thread that is torn out of a calculation aborts the program."""
        assert self.viewer is not None
        scenes = tuple(self._scenes.values())
        for scene in scenes:
            scene.stop()
        for scene in scenes:
            scene.join()
        end_rendering(self.viewer)

    def _set(self) -> None:
        """Something was set that changes what is seen."""
        self.cb_hook(self)
        for scene in tuple(self._scenes.values()):
            scene.wake()

    def _framing(self) -> Framing:
        """Of all that is seen side by side."""
        framing, asked = self.view.framing(self.settings()), self.asked()
        count = 1 if asked is None else len(asked[0])
        return framing if count == 1 else framing.of_row(count, BESIDE)

    def _show_original(self, visible: bool) -> None:
        assert self.viewer is not None
        if self._original is not None:
            self._original.remove()
        self._original = self.view.add_overlay(self.viewer.viser_server) if visible else None

    def _frame_all(self) -> None:
        assert self.viewer is not None
        for client in self.viewer.viser_server.get_clients().values():
            frame_client(client, self._framing())

    # What the fields are and how good they are -----------------------------------------------------------------------

    def update_figures(self, figures: Mapping[str, Mapping[str, Optional[float]]]) -> None:
        """Shows figures by field and name (`FIGURES`; others are left out)."""
        self.figures = {
            field: {name: value for name, value in of_field.items() if name in FIGURES and value is not None}
            for field, of_field in figures.items()
        }
        if self.gui_handle is not None:
            self.gui_handle.content = self._description()

    def _description(self) -> str:
        descriptions = {name: field.description for name, field in self.view.fields.items()}
        return described(descriptions, self.figures, self.facts)

    # How they are taken home -----------------------------------------------------------------------------------------

    def _current(self) -> LoadedField:
        """A copy of the chosen field as it is now."""
        fields = self.snapshot().fields
        return fields[self._value("chosen", next(iter(fields)))]

    def _folder(self) -> Path:
        assert self.viewer is not None
        folder = self.viewer.log_filename.parent / "exports"
        return folder / self._value("chosen", "") if len(self.view.fields) > 1 else folder

    def _tell(self, content: str) -> None:
        self.result.content = content

    def _play(self) -> None:
        heard = self._value("heard", self.view.heard[0])
        try:
            self.player.content = self.view.player(self._current(), heard, self.settings())
        except (SignalError, MemoryError) as error:
            self.player.content = complaint(error)


def _element(control: Control) -> ViewerElement:
    """A control as an element of nerfstudio's panel."""
    if isinstance(control, Dropdown):
        return ViewerDropdown(control.label, control.at_first, list(control.options))
    return LabelledSlider(control.label, control.at_first, control.least, control.most, control.step)


def hide_training(viewer: Viewer) -> None:
    """Hides what only a training needs from a viewer without one."""
    if viewer.trainer is None:
        viewer.pause_train.visible = False
        for element in (viewer.control_panel._train_speed, viewer.control_panel._train_util):
            element.set_hidden(True)


def folder_at_the_top(gui: viser.GuiApi, label: str) -> viser.GuiFolderHandle:
    """A folder before all others, in place of the one at the very end that nerfstudio opens for custom elements."""
    given = gui._container_handle_from_id[gui._get_container_id()]
    # viser has no public way to another container, nor to move one.
    gui._set_container_id(given._parent_container_id)
    folder = gui.add_folder(label, order=-1.0)
    gui._set_container_id(given._id)
    given.remove()
    return folder
