"""What an analysis says of a field and its target, in a few sentences."""

from __future__ import annotations

from typing import List

from winner_ns.analysis.analysis import Analysis, StateAnalysis
from winner_ns.analysis.spectra import TARGET
from winner_ns.fields.layers import OUTPUT
from winner_ns.fitting.collapse import LEAST_STEPS, PLATEAU
from winner_ns.spectrum.expectation import NOISE_RATIO, band_verdict, rounded

REACH = 1000.0
"""What is learnt at least 1/REACH as fast as what is learnt first counts as within reach of a training."""
LITTLE = 0.1
"""Share of the target's energy within reach below which a training is expected to fail."""
LATE = 1.0 / 3.0
"""The same, below which most of the target is learnt late: of an ordinary photograph, plain fields of all families have
more within reach."""


def verdict(analysis: Analysis) -> List[str]:
    """A sentence each on the initial band, the kernel, a sine network's pre-activations, and the trained field."""
    initial = analysis.states["initial"]
    band = initial.spectra.band[OUTPUT]
    predicted = analysis.predicted_band
    if predicted is not None:
        # What is measured has aliases in it where the field is finer than the samples.
        sentences = [
            f"{band_verdict(analysis.omega, predicted, analysis.nyquist)} (predicted: {rounded(predicted)} rad/unit, "
            f"measured at the samples: {rounded(band)})"
        ]
    elif analysis.of_sines:
        # Of these the initial band was measured to tell what becomes of a training.
        sentences = [band_verdict(analysis.omega, band, analysis.nyquist)]
    else:
        sentences = [
            f"the initial field's band is {rounded(band)} rad/unit, the target's centroid {rounded(analysis.omega)}"
        ]
    noisy = predicted is not None and predicted > NOISE_RATIO * analysis.nyquist
    sentences.append(_kernel_sentence(initial, analysis.description.network.family_class.learns_encoding, noisy))
    layer = initial.statistics.get("layer 2")
    if layer is not None and layer.theory is not None:
        sentences.append(
            f"the pre-activations of layer 2 have a standard deviation of {layer.std_over_points:.3g} over the points, "
            f"theory says {layer.theory.std_over_points:.3g}"
        )
    if "trained" in analysis.states:
        sentences.append(_trained_sentence(analysis))
    return sentences


def _kernel_sentence(initial: StateAnalysis, learns_encoding: bool, noisy: bool) -> str:
    energy = initial.kernel.energy_within(REACH)
    share = f"{energy:.0%}" if energy >= 0.01 else "less than 1%"
    piece = " x ".join(str(n) for n in initial.kernel.shape)
    learnt = (
        f"{share} of the target's energy (in its liveliest {piece} samples) is what gradient descent learns at least a "
        "thousandth as fast as what it learns first"
    )
    # A hash grid's tables start at next to nothing, and its kernel is another one after a few steps.
    if energy >= LATE or learns_encoding:
        return learnt
    # With too much noise it is no bottleneck: all frequencies are learnt alike, and slowly.
    return f"{learnt}: expect {'the bottleneck' if energy < LITTLE and not noisy else 'most of it late or not at all'}"


def _trained_sentence(analysis: Analysis) -> str:
    trained = analysis.states["trained"]
    after = "after training" if analysis.step is None else f"after {analysis.step + 1} steps"
    output, target = (rounded(trained.spectra.band[name]) for name in (OUTPUT, TARGET))
    bands = f"the output's band is {output} rad/unit, the target's {target}"
    if analysis.variance is None:
        return f"{after} {bands}"
    ratio = trained.gradients.loss / analysis.variance
    if not ratio < PLATEAU:
        begun = analysis.step is None or analysis.step + 1 >= LEAST_STEPS
        became = "has collapsed to about its mean, or is yet to start" if begun else "has not left its mean yet"
        return f"{after} the loss is {ratio:.2g} of the target's variance: the field {became}"
    return f"{after} the loss is {ratio:.2g} of the target's variance; {bands}"
