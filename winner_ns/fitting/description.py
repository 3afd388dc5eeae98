"""The description of a run: all that is needed to rebuild its field and read its values, as plain JSON."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional

from winner_ns.errors import SignalError
from winner_ns.fields import build_field
from winner_ns.fields.files import describe_field
from winner_ns.fitting.settings import SETTINGS
from winner_ns.fitting.target import ShapeTarget, Target, channels_of, dimensions_of, target_kind
from winner_ns.spectrum import SineNetwork, TargetSpectrum
from winner_ns.spectrum.target import NoiseReport, choose_noise
from winner_ns.spectrum.verdict import bottleneck_warning, start_warning

SINE_FAMILIES = ("winner", "siren")


def field_settings(
    target: Target, family: str, width: Optional[int], depth: Optional[int], **sine: Any
) -> Dict[str, Any]:
    """Constructor arguments of the family's class that follow from the kind and from what the user gave.

    Args:
        target: what is fitted.
        family: name of the field's family.
        width, depth: as given; None is the kind's default.
        sine: omega_0 and first_omega_0, for sine fields.
    """
    defaults = SETTINGS[target_kind(target)]
    given = {key: value for key, value in {"width": width, "depth": depth}.items() if value is not None}
    if family == "hash-grid":
        # The grid and its small network bring their own sizes; the finest cell and the tables follow the signal.
        if isinstance(target, ShapeTarget):
            if target.loss == "eikonal":
                given["implementation"] = "torch"  # tiny-cuda-nn has no second derivatives.
            return {"max_resolution": 512, "log2_hashmap_size": 15, **given}
        table_bits = math.ceil(math.log2(len(target.signal))) - 4
        finest = max(max(target.signal.shape), 16)
        return {"max_resolution": finest, "log2_hashmap_size": min(max(table_bits, 12), 19), **given}
    settings = {"width": defaults.width, "depth": defaults.depth, **given}
    return {**settings, **sine} if family in SINE_FAMILIES else settings


def noise_report(target: Target, settings: Dict[str, Any], family: str, **law: Any) -> Optional[NoiseReport]:
    """What the law says for a sine field; None for other families. Plain siren: the law "explicit" with zeros.

    Raises:
        SignalError: flags that contradict each other, or a law that does not know this kind.
    """
    if family not in SINE_FAMILIES:
        return None
    network = SineNetwork(
        dimensions_of(target), settings["width"], settings["depth"], settings["omega_0"], settings["first_omega_0"]
    )
    if family == "siren":
        law = {"law": "explicit"}
    try:
        return choose_noise(target.spectrum, network, **law)
    except ValueError as error:
        raise SignalError("--pipeline.model.law", str(error), "see ns-train winner-siren --help") from error


def describe_run(
    target: Target,
    family: str,
    settings: Dict[str, Any],
    report: Optional[NoiseReport],
    holdout: str,
    order: Optional[Dict[str, int]] = None,
) -> Dict[str, Any]:
    """Puts the pieces together; `order` is what decides on the order of samples (seed, batch_size).

    Raises:
        SignalError: settings that the family refuses.
    """
    try:
        # Built once to know every setting that it ends up with.
        network = build_field(family, dimensions_of(target), channels_of(target), settings)
    except ValueError as error:
        raise SignalError("--pipeline.model.field", str(error), "see ns-train winner-siren --help") from error
    return {
        "kind": target_kind(target),
        "name": target.signal.path.name,
        "data": str(target.signal.path.resolve()),
        "network": describe_field(network, family),
        "target": target.describe(),
        "signal": target.signal.describe(),
        "spectrum": report.as_dict() if report else None,
        "holdout": holdout,
        "order": order,
    }


def report_lines(
    description: Dict[str, Any], report: Optional[NoiseReport], warnings: List[str], spectrum: TargetSpectrum
) -> List[str]:
    """What a user is told when training starts.

    Args:
        description: `describe_run`.
        report: `noise_report`.
        warnings: further ones, of the reader.
        spectrum: the target's.
    """
    signal, network = description["signal"], description["network"]
    size = " x ".join(str(n) for n in signal["shape"]) if "shape" in signal else signal["source"]
    lines = [f"{description['kind']}   {description['name']}: {size}, {network['out_dim']} channel(s)"]
    if report is not None:
        lines += report.lines()
        if report.bright and description["holdout"] != "none":
            lines.append("NOTE      the spectrum is too bright to tell what lies between the samples, by any method")
        expected = start_warning(report, spectrum.nyquist)
        if expected is not None:
            lines.append(f"WARNING   {expected}")
    elif network["family"] != "hash-grid":
        # What such a field's band is no formula says; those of all of them lie near a plain SIREN's.
        expected = bottleneck_warning(choose_noise(spectrum, SineNetwork(network["in_dim"]), law="explicit"))
        if expected is not None:
            lines.append(f"WARNING   {expected}")
    settings = ", ".join(f"{key} {value}" for key, value in network["settings"].items() if value is not None)
    lines.append(f"field     {network['family']}: {network['in_dim']} -> {network['out_dim']}, {settings}")
    return lines + [f"note      {warning}" for warning in warnings]
