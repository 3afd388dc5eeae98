"""The part of nerfstudio's control panel that belongs to fields of signals."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional

import viser
from nerfstudio.viewer.viewer_elements import (
    ViewerButton,
    ViewerCheckbox,
    ViewerControl,
    ViewerDropdown,
    ViewerElement,
    ViewerSlider,
)

from winner_ns.errors import SignalError
from winner_ns.export.field import export_field
from winner_ns.export.output import export_fitted, fitted_path
from winner_ns.fields.description import Description
from winner_ns.fields.files import LoadedField
from winner_ns.safe_text import code, markdown
from winner_ns.viewing.controls import Control, Dropdown
from winner_ns.viewing.framing import frame_client, keep_framed
from winner_ns.viewing.signal_view import SignalView, ViewSettings

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

GAINS = ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1000"]
FIGURES = {
    "psnr": ("PSNR", "{:.2f} dB"),
    "psnr_heldout": ("PSNR between", "{:.2f} dB"),
    "iou": ("IoU", "{:.4f}"),
}
"""The figures that count, how they are called and written."""
SHARP = 1024
"""Pixels across a picture that is quickly drawn; nerfstudio's own is 512."""
MOST_SENT = 2**26
"""Bytes up to which an exported file is also handed to the browser."""


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
        self._original: Optional[viser.SceneNodeHandle] = None
        names = list(view.fields)
        if len(names) > 1:
            self._add("difference", ViewerDropdown("Difference of", names[0], names))
            self._add("minus", ViewerDropdown("and", names[1], names))
        self._add("error_gain", ViewerDropdown("Error gain", "10", GAINS, hint="How much errors are enlarged"))
        self._controls = view.controls()
        for name, control in self._controls.items():
            self._add(name, _element(control))
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

    # What nerfstudio's viewer asks for -------------------------------------------------------------------------------

    def _create_gui_handle(self, viser_server: viser.ViserServer) -> None:
        self.gui_handle = viser_server.gui.add_markdown(self._description())

    def install(self, viser_server: viser.ViserServer) -> None:
        """Puts the elements into a folder at the top of nerfstudio's control tab."""
        with folder_at_the_top(viser_server.gui, "Field"):
            self._install(viser_server)

    def _install(self, viser_server: viser.ViserServer) -> None:
        self._create_gui_handle(viser_server)
        for name, element in self.elements.items():
            element.install(viser_server)
            if name in ("export", "export_field"):
                # Unlike nerfstudio's hook, viser's callback says which browser asked.
                element.gui_handle.on_click(lambda event, name=name: self._export(event.client, name))
            elif name == "play":
                element.gui_handle.on_click(lambda _: self._play())
            elif name == "original":
                element.cb_hook = lambda element: self._show_original(element.value)
            elif name not in ("frame_signal", "chosen", "heard"):
                element.cb_hook = lambda _: self.cb_hook(self)
        self.result = viser_server.gui.add_markdown("")

    def _setup(self, viewer: Viewer) -> None:
        super()._setup(viewer)
        viewer.hide_images.visible = False  # There are no photographs.
        hide_training(viewer)
        if self.view.is_quick(beside_training=viewer.trainer is not None):
            viewer.control_panel._max_res.value = SHARP  # Lines and letters want it.
        if len(self.view.fields) > 1:
            viewer.control_panel._split.value = True
        viewer.viser_server.scene.set_up_direction("+y")
        viewer.viser_server.on_client_connect(lambda client: keep_framed(client, self.view.framing(self.settings())))

    def _show_original(self, visible: bool) -> None:
        assert self.viewer is not None
        if self._original is not None:
            self._original.remove()
        self._original = self.view.add_overlay(self.viewer.viser_server) if visible else None

    def _frame_all(self) -> None:
        assert self.viewer is not None
        for client in self.viewer.viser_server.get_clients().values():
            frame_client(client, self.view.framing(self.settings()))

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
        lines = [self._described(name) for name in self.view.fields]
        figures = list(dict.fromkeys(figure for known in self.figures.values() for figure in known))
        if len(self.view.fields) == 1:
            known = next(iter(self.figures.values()), {})
            return "  \n".join(
                [*lines, *(f"{FIGURES[key][0]} {FIGURES[key][1].format(known[key])}" for key in figures)]
            )
        facts = list(dict.fromkeys(fact for known in self.facts.values() for fact in known))
        rows = [["field", *(FIGURES[key][0] for key in figures), *facts]]
        rows.append([":--", *("--:" for _ in rows[0][1:])])
        for name in self.view.fields:
            known, known_facts = self.figures.get(name, {}), self.facts.get(name, {})
            values = [FIGURES[key][1].format(known[key]) if key in known else "" for key in figures]
            rows.append([markdown(name), *values, *(known_facts.get(fact, "") for fact in facts)])
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return table + "\n\n" + "  \n".join(lines)

    def _described(self, name: str) -> str:
        """Which field it is and what its noise is, in a line."""
        return described_field(name, self.view.fields[name].description)

    # How they are taken home -----------------------------------------------------------------------------------------

    def _current(self) -> LoadedField:
        """A copy of the chosen field as it is now."""
        assert self.viewer is not None
        field = self.view.fields[self._value("chosen", next(iter(self.view.fields)))]
        lock = self.viewer.train_lock
        if lock is None:
            return copy.deepcopy(field)
        with lock:
            network = copy.deepcopy(field.network)
        return LoadedField(network.eval().requires_grad_(False), field.description)

    def _export(self, client: Optional[viser.ClientHandle], button: str) -> None:
        self.result.content = "exporting …"
        try:
            path = self._write(button)
        except (SignalError, MemoryError) as error:
            self._tell(error)
            return
        self.result.content = f"wrote {code(path)}"
        if client is not None and path.stat().st_size <= MOST_SENT:
            client.send_file_download(path.name, path.read_bytes())

    def _tell(self, error: Exception) -> None:
        self.result.content = f"**error** {markdown(error)}"

    def _write(self, button: str) -> Path:
        assert self.viewer is not None
        field, folder = self._current(), self.viewer.log_filename.parent / "exports"
        if len(self.view.fields) > 1:
            folder = folder / self._value("chosen", "")
        if button == "export_field":
            path = fitted_path(field, ".safetensors", folder)
            export_field(field, path)
            return path
        return export_fitted(field, folder)

    def _play(self) -> None:
        heard = self._value("heard", self.view.heard[0])
        try:
            self.result.content = self.view.player(self._current(), heard, self.settings())
        except (SignalError, MemoryError) as error:
            self._tell(error)


def _element(control: Control) -> ViewerElement:
    """A control as an element of nerfstudio's panel."""
    if isinstance(control, Dropdown):
        return ViewerDropdown(control.label, control.at_first, list(control.options))
    return ViewerSlider(control.label, control.at_first, control.least, control.most, control.step)


def described_field(name: str, description: Description) -> str:
    """A field and its noise, in a line of Markdown."""
    made_of, noise = description.network, description.spectrum
    depth, width = (made_of.settings.get(size, "") for size in ("depth", "width"))
    words = f"**{markdown(name)}** {markdown(f'{depth} x {width}')}"
    if noise is not None:
        words += f", psi {noise.psi:.4g}"
        if made_of.family_class.takes_noise or noise.s0 > 0:
            words += f", s0 {noise.s0:.4g}, s1 {noise.s1:.4g} ({markdown(noise.law)})"
    return words


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
