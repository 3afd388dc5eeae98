"""winner_ns: fit any signal with a sine network whose initial weights suit it.

    field = winner_ns.fit("photo.jpg")

The library works without nerfstudio; `ns-train winner-siren` is the plugin.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from winner_ns.errors import SignalError as SignalError
    from winner_ns.fields import Field as Field
    from winner_ns.fields import Siren as Siren
    from winner_ns.fields import build_field as build_field
    from winner_ns.fields import register_family as register_family
    from winner_ns.fields import winner_init as winner_init
    from winner_ns.fields.files import load_field as load_field
    from winner_ns.fitting.fit import FitStep as FitStep
    from winner_ns.fitting.fit import FittedField as FittedField
    from winner_ns.fitting.fit import fit as fit
    from winner_ns.kinds import Kind as Kind
    from winner_ns.kinds import register_kind as register_kind
    from winner_ns.many.fit_many import fit_many as fit_many
    from winner_ns.many.store import load_fields as load_fields
    from winner_ns.signals import ReadOptions as ReadOptions
    from winner_ns.signals import load_signal as load_signal
    from winner_ns.spectrum import LAWS as LAWS
    from winner_ns.spectrum import Law as Law
    from winner_ns.spectrum import NoiseScales as NoiseScales
    from winner_ns.spectrum import register_law as register_law
    from winner_ns.spectrum import spectral_centroid as spectral_centroid

_EXPORTS = {
    "fit": "winner_ns.fitting.fit",
    "fit_many": "winner_ns.many.fit_many",
    "load_fields": "winner_ns.many.store",
    "FittedField": "winner_ns.fitting.fit",
    "FitStep": "winner_ns.fitting.fit",
    "load_field": "winner_ns.fields.files",
    "load_signal": "winner_ns.signals",
    "ReadOptions": "winner_ns.signals",
    "SignalError": "winner_ns.errors",
    "spectral_centroid": "winner_ns.spectrum",
    "LAWS": "winner_ns.spectrum",
    "Siren": "winner_ns.fields",
    "build_field": "winner_ns.fields",
    "winner_init": "winner_ns.fields",
    # What others bring their own families, laws and kinds with.
    "Field": "winner_ns.fields",
    "register_family": "winner_ns.fields",
    "Law": "winner_ns.spectrum",
    "NoiseScales": "winner_ns.spectrum",
    "register_law": "winner_ns.spectrum",
    "Kind": "winner_ns.kinds",
    "register_kind": "winner_ns.kinds",
}
__all__ = list(_EXPORTS)
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    # Lazy, so that the plugin's discovery and `winner-ns --help` need not wait for torch.
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted([*globals(), *__all__])
