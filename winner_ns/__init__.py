"""winner_ns: fit any signal with a sine network whose initial weights suit it.

The library part (signals, spectrum, fields) works without nerfstudio; `ns-train winner-siren` is the plugin.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from winner_ns.errors import SignalError as SignalError
    from winner_ns.fields import Siren as Siren
    from winner_ns.fields import build_field as build_field
    from winner_ns.fields import winner_init as winner_init
    from winner_ns.fields.files import load_field as load_field
    from winner_ns.signals import load_signal as load_signal
    from winner_ns.spectrum import LAWS as LAWS
    from winner_ns.spectrum import spectral_centroid as spectral_centroid

_EXPORTS = {
    "SignalError": "winner_ns.errors",
    "Siren": "winner_ns.fields",
    "build_field": "winner_ns.fields",
    "winner_init": "winner_ns.fields",
    "load_field": "winner_ns.fields.files",
    "load_signal": "winner_ns.signals",
    "LAWS": "winner_ns.spectrum",
    "spectral_centroid": "winner_ns.spectrum",
}
__all__ = list(_EXPORTS)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Lazy, so that the plugin's discovery and `winner-ns --help` need not wait for torch.
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted([*globals(), *__all__])
