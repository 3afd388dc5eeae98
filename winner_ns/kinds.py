"""Kinds of signals: one row each, with all that differs from kind to kind.

Nobody outside asks which kind something is; they ask its row for what they need. What a row names is "module:name" and
imported when it is needed, so that this module costs nothing and the rooms stay apart. A row's defaults are those of
samples on a grid, of which a new kind needs a reader and little else:

    register_kind(Kind("terrain", "a terrain", "terrains", reader="my_package.terrain:read", suffixes=(".hgt",)))
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple, Union

from winner_ns.registry import Registry, resolve

Reference = str
"""module:name"""


@dataclass(frozen=True)
class TrainingDefaults:
    """What is trained where nothing else is asked for; measured on 2 CPU cores (docs/benchmarks.md)."""

    width: int = 256
    depth: int = 4
    steps: int = 2000
    batch_size: int = 8192
    learning_rate: float = 1e-3
    """Adam's, for sine fields; other families bring their published one."""
    beta2: float = 0.999
    """Adam's decay of the squared gradients' average, of all families; 0.999 is Adam's own."""
    full_rate_up_to: Optional[float] = 20_000.0
    """The field's width times its initial band in radians per unit times the root of its channels, up to which it
    learns at the full rate (`winner_ns.fitting.plan.stable_share`). None: the rate suits every band."""
    full_rate_width: Optional[float] = None
    """The field's width up to which it learns at the full rate, whatever its band. None: any width."""


@dataclass(frozen=True)
class DenoisingDefaults:
    """What the purpose denoise trains with, where nothing else is asked for (docs/spectrum.md). The defaults are those
    of photographs: a plain SIREN, whose band is low, kept smooth by the decay of its weights."""

    kappa: float = 0.0
    """The initial band over the centroid frequency of what noise leaves of the samples."""
    learning_rate: float = 5e-4
    """Adam's, for sine fields."""
    weight_decay: float = 3.0
    """Part of the weights that goes with each step, over the learning rate, at most (`denoising_decay`)."""


@dataclass(frozen=True)
class Kind:
    """What is particular to a kind of signal. The defaults are those of samples on a grid of two or three axes."""

    name: str
    """As flags and files call it."""
    words: str
    """One of it, with its article."""
    plural: str
    """Several of it."""
    training: TrainingDefaults = TrainingDefaults()
    denoising: Optional[DenoisingDefaults] = DenoisingDefaults()
    """None: its values are no measurements that noise could be on."""

    # Reading
    reader: Optional[Reference] = None
    """Reads a file: (path) or, with `takes_read_options`, (path, ReadOptions) -> signal. None: it is no single file."""
    array_reader: Optional[Reference] = None
    """Takes an array: (array, name, ReadOptions) -> signal. None: arrays of it are not told from others."""
    takes_read_options: bool = False
    """Whether a part of it can be read, and resampled."""
    signatures: Tuple[Tuple[int, bytes], ...] = ()
    """Bytes that its files have at an offset within the first 32."""
    suffixes: Tuple[str, ...] = ()
    """Of files without a signature, or with one too short to trust alone; lower case, with the dot."""
    recognise: Optional[Reference] = None
    """Looks closer: (path, first 32 bytes) -> whether it is one, where signatures do not tell; asked first."""

    rates: Tuple[str, ...] = ()
    """What of a signal's facts is a rate in hertz."""

    # Measuring and fitting
    target: Reference = "winner_ns.fitting.grid_target:GridTarget"
    """The class of what training aims at."""
    units: Reference = "winner_ns.fields.units:GridUnits"
    """The class of the way from the original's coordinates and values to the network's and back."""
    measure: Reference = "winner_ns.spectrum.measure:GridMeasure"
    """The class of what is measured of it (`Measure`)."""
    figures: Optional[Reference] = None
    """Further figures of a fitted field: (field, target) -> figures by name."""
    figure_names: Tuple[str, ...] = ("psnr",)
    """Names of all its figures, the one that counts first; those at withheld samples go without saying."""
    sampled: Reference = "winner_ns.analysis.sampled:sampled_grid"
    """What an analysis sees of a target: (target) -> SampledTarget."""
    usual_purpose: str = "0.5"
    """Which purpose the law matching takes kappa from where none is asked for (docs/spectrum.md). The default: halfway
    between samples of several coordinates there are several times as many positions as samples, and a wider band rings
    there."""
    layer_two_variance: Optional[float] = None
    """V, the variance of the second layer's pre-activation that matching takes (plain SIREN: 1). None: 3. (In place of
    1.2 that was 0.6 dB ahead at withheld samples of a volume.)"""
    has_gaps: bool = True
    """Whether its samples are all that is known, so that a bright spectrum cannot be told between them."""

    # Giving back
    export_command: str = "volume"
    """`winner-ns export` by this name writes it."""
    writer: Reference = "winner_ns.export.volume:write_fitted"
    """Writes its own file: (field, folder) -> path, named <name>-fitted."""
    save: Reference = "winner_ns.export.volume:export_volume"
    """Writes a file whose suffix says the format: (field, path)."""
    page: Reference = "winner_ns.export.web.planes:planes"
    """What a web page shows of it: (fields by name, original or None, PageOptions) -> Exhibit."""
    comparison: Reference = "winner_ns.export.comparison:grid_figure"
    """Draws an original and a field: (field, signal) -> matplotlib figure."""
    fields_comparison: Reference = "winner_ns.export.fields_comparison:planes_figure"
    """Draws an original and several fields: (fields by name, signal) -> matplotlib figure."""
    planes: Reference = "winner_ns.export.excerpts:middle_planes"
    """Names and planes that show a grid: (signal) -> names, cuts."""
    thumbnail: Reference = "winner_ns.fitting.evaluation:no_picture"
    """A small picture for training's records: (field, signal) -> pictures by name."""
    export_example: str = "--scale 2"
    """A flag that shows what `winner-ns export` is for."""
    next_commands: Tuple[str, ...] = (
        "winner-ns view {run}",
        "winner-ns export {export} {run} {example}",
        "winner-ns analyze {run}",
    )
    """What one would do with a finished run: look at it, take it home, look into it."""
    heard: Optional[Reference] = None
    """What of a field can be listened to: (field, signal) -> samples [n], 1 at full scale, and their rate in hertz."""
    surface: Optional[Reference] = None
    """The module that `winner-ns export mesh` takes surfaces of equal value from, where it is no surface itself."""
    meshed: bool = False
    """Whether it is given back as a mesh, from a grid that may be finer or coarser."""
    reducer: Optional[Reference] = None
    """Writes a smaller copy: (signal, size, path without a suffix) -> path; `size` samples along its longest axis."""
    excerpt: Reference = "winner_ns.bench.plane_excerpt:PlaneExcerpt"
    """The class of what a benchmark shows of it (`winner_ns.bench.excerpt.Excerpt`)."""

    # Looking at it
    view: Reference = "winner_ns.viewing.image_view:ImageView"
    """The class that draws it in the viewer."""
    notebook: Optional[Reference] = "winner_ns.export.notebook:picture_html"
    """Shows a field in a notebook: (field, signal or None) -> HTML."""

    # In nerfstudio
    datamanager: Reference = "winner_ns.plugin.datamanager:SignalDataManager"
    model: Reference = "winner_ns.plugin.model:SignalModel"
    pipeline: Reference = "winner_ns.plugin.pipeline:SignalPipeline"

    def commands_for(self, run: Union[str, os.PathLike]) -> List[str]:
        """`next_commands` of a run's folder, or a field file."""
        quoted = shlex.quote(os.fspath(run))
        return [
            command.format(run=quoted, export=self.export_command, example=self.export_example)
            for command in self.next_commands
        ]

    def get(self, trait: str) -> Any:
        """What a row names, imported.

        Raises:
            AttributeError: there is no such trait, or the row leaves it open.
        """
        reference = getattr(self, trait)
        if reference is None:
            raise AttributeError(f"{self.plural} have no {trait}")
        return resolve(reference)


IMAGE = Kind(
    "image",
    "an image",
    "images",
    TrainingDefaults(steps=1000),
    reader="winner_ns.signals.image:read_image",
    array_reader="winner_ns.signals.image:image_of_array",
    signatures=(
        (0, b"\x89PNG\r\n\x1a\n"),
        (0, b"\xff\xd8\xff"),
        (0, b"II*\0"),
        (0, b"MM\0*"),
        (0, b"II+\0"),
        (0, b"MM\0+"),
        (0, b"\x76\x2f\x31\x01"),
        (0, b"#?RADIANCE"),
        (0, b"#?RGBE"),
        (8, b"WEBP"),
    ),
    suffixes=(".bmp",),
    recognise="winner_ns.signals.image:is_image",
    figures="winner_ns.fitting.evaluation:image_figures",
    figure_names=("psnr", "ssim"),
    export_command="image",
    writer="winner_ns.export.image:write_fitted",
    save="winner_ns.export.image:export_image",
    planes="winner_ns.export.excerpts:whole_plane",
    reducer="winner_ns.bench.reduced_image:write_reduced",
    thumbnail="winner_ns.fitting.evaluation:image_picture",
)
AUDIO = Kind(
    "audio",
    "a sound",
    "sounds",
    TrainingDefaults(learning_rate=5e-4, full_rate_up_to=None),
    DenoisingDefaults(kappa=0.35, learning_rate=5e-4, weight_decay=0.0),
    reader="winner_ns.signals.audio:read_audio",
    array_reader="winner_ns.signals.audio:audio_of_array",
    takes_read_options=True,
    signatures=(
        (0, b"fLaC"),
        (0, b"OggS"),
        (0, b"ID3"),
        (0, b"RF64"),
        (0, b"riff\x2e\x91\xcf\x11"),
        (0, b".snd"),
        (0, b"caff"),
        (8, b"WAVE"),
        (8, b"AIFF"),
        (8, b"AIFC"),
    ),
    suffixes=(".mp3",),
    recognise="winner_ns.signals.audio:is_mpeg",
    rates=("sample_rate",),
    # Between the samples of a line there are no more positions than samples, which estimates hold.
    usual_purpose="fit",
    figures="winner_ns.fitting.evaluation:sound_figures",
    figure_names=("psnr", "snr", "log_spectral_distance"),
    export_command="audio",
    export_example="--sample-rate 48000",
    writer="winner_ns.export.audio:write_fitted",
    save="winner_ns.export.audio:export_audio",
    page="winner_ns.export.web.sounds:sounds",
    comparison="winner_ns.export.comparison:sound_figure",
    fields_comparison="winner_ns.export.fields_comparison:sounds_figure",
    heard="winner_ns.export.excerpts:heard",
    excerpt="winner_ns.bench.sound_excerpt:SoundExcerpt",
    view="winner_ns.viewing.audio_view:AudioView",
    notebook="winner_ns.export.notebook:player_html",
)
SHAPE = Kind(
    "shape",
    "a shape",
    "shapes",
    TrainingDefaults(steps=2500),
    denoising=None,
    reader="winner_ns.signals.shape_file:read_shape",
    array_reader="winner_ns.signals.shape_file:shape_of_array",
    signatures=((0, b"glTF"), (0, b"ply"), (0, b"PK\x03\x04")),
    suffixes=(".obj", ".ply", ".stl", ".off", ".glb", ".gltf", ".xyz", ".pts", ".asc", ".txt", ".csv", ".tsv", ".npz"),
    target="winner_ns.fitting.shape_target:ShapeTarget",
    units="winner_ns.fields.units:DistanceUnits",
    measure="winner_ns.spectrum.measure:ShapeMeasure",
    sampled="winner_ns.analysis.sampled:sampled_shape",
    figure_names=(
        "iou",
        "chamfer",
        "chamfer_percent_of_diagonal",
        "hausdorff_percent_of_diagonal",
        "f_score",
        "normal_consistency",
    ),
    has_gaps=False,
    export_command="mesh",
    export_example="--resolution 512",
    writer="winner_ns.export.mesh:write_fitted",
    save="winner_ns.export.mesh:export_mesh",
    page="winner_ns.export.web.surfaces:surfaces",
    comparison="winner_ns.export.comparison:shape_figure",
    fields_comparison="winner_ns.export.fields_comparison:surfaces_figure",
    meshed=True,
    excerpt="winner_ns.bench.surface_excerpt:SurfaceExcerpt",
    view="winner_ns.viewing.shape_view:ShapeView",
    notebook="winner_ns.export.notebook:surface_html",
)
VOLUME = Kind(
    "volume",
    "a volume",
    "volumes",
    reader="winner_ns.signals.volume:read_volume",
    array_reader="winner_ns.signals.volume:volume_of_array",
    surface="winner_ns.export.volume_surface",
)
VIDEO = Kind(
    "video",
    "a video",
    "videos",
    reader="winner_ns.signals.video:read_video",
    array_reader="winner_ns.signals.video:video_of_array",
    # A GIF of several pictures; images recognise those of one.
    signatures=(
        (0, b"\x1a\x45\xdf\xa3"),
        (0, b"GIF8"),
        (8, b"AVI "),
        *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
        (0, b"FLV\x01"),
        (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
        (0, b"\0\0\x01\xba"),
    ),
    recognise="winner_ns.signals.video:is_animation",
    rates=("frame_rate",),
    planes="winner_ns.export.excerpts:frames",
)
VIEWS = Kind(
    "views",
    "a scene in posed photographs",
    "posed photographs",
    TrainingDefaults(width=128, steps=5000, batch_size=1024, learning_rate=2e-4),
    denoising=None,
    # They are seen through volume rendering, which punishes a wide band early on.
    layer_two_variance=1.2,
    usual_purpose="0.3",  # Of radiance and surfaces alike, as measured best (docs/views.md).
    has_gaps=False,
    units="winner_ns.fields.units:NoUnits",
    datamanager="winner_ns.rays.views_datamanager:ViewsDataManager",
    model="winner_ns.rays.radiance_model:RadianceModel",
    pipeline="winner_ns.rays.views_pipeline:ViewsPipeline",
    next_commands=(
        "ns-viewer --load-config {run}/config.yml",
        "ns-render interpolate --load-config {run}/config.yml --output-path {run}/interpolated.mp4",
        "ns-eval --load-config {run}/config.yml --output-path {run}/eval.json",
    ),
)

KINDS: Registry[Kind] = Registry(
    "kind", "winner_ns.kinds", {kind.name: kind for kind in (IMAGE, AUDIO, SHAPE, VOLUME, VIDEO, VIEWS)}
)


def register_kind(kind: Kind) -> None:
    """Adds a kind of signal.

    Raises:
        ValueError: another one has its name.
    """
    KINDS.add(kind.name, kind, package=(kind.reader or "").partition(":")[0])


def kinds_of_files() -> Tuple[str, ...]:
    """Names of the kinds that are read from a single file."""
    return tuple(name for name in KINDS if KINDS[name].reader is not None)
