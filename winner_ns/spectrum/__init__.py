"""What the target's spectrum says, and the laws that turn it into noise scales."""

from winner_ns.spectrum.band import SineNetwork, band_gain, initial_band
from winner_ns.spectrum.centroid import spectral_centroid
from winner_ns.spectrum.laws import (
    LAWS,
    PURPOSES,
    ExplicitLaw,
    Law,
    MatchingLaw,
    NoiseScales,
    PaperLaw,
    ReferenceCodeLaw,
    TargetSpectrum,
    fitting_kappa,
    kappa_of,
    register_law,
)

__all__ = [
    "LAWS",
    "PURPOSES",
    "ExplicitLaw",
    "Law",
    "MatchingLaw",
    "NoiseScales",
    "PaperLaw",
    "ReferenceCodeLaw",
    "SineNetwork",
    "TargetSpectrum",
    "band_gain",
    "fitting_kappa",
    "initial_band",
    "kappa_of",
    "register_law",
    "spectral_centroid",
]
