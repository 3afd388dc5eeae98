"""A page of a sound: waveform, spectrogram and player, all of samples that the browser evaluates."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.export.web.exhibit import Exhibit, PageOptions, base64_text, fields_data
from winner_ns.fields.files import LoadedField
from winner_ns.signals import GridSignal

LONGEST = 2**24
"""Samples that a browser evaluates and keeps: 6 minutes of 44,100 a second."""
MOST_VALUES = 2**26
"""Of all channels and fields: 256 MB of a browser's memory."""
LONGEST_ORIGINAL = 2**22
"""Samples, of all channels."""


def sounds(fields: Mapping[str, LoadedField], signal: Optional[GridSignal], options: PageOptions) -> Exhibit:
    """What a page shows of fields of a sound.

    Args:
        fields: by name.
        signal: the original that is to be in the page; or None.
        options: of the page.

    Raises:
        SignalError: a family that no page evaluates, or sounds that are too long.
    """
    first = next(iter(fields.values()))
    facts, name = first.signal, first.description.name
    count, rate = int(facts["shape"][0]), int(facts["sample_rate"])
    if len(facts["shape"]) != 1:
        raise SignalError(name, f"has {len(facts['shape'])} axes, and a sound has one", "export it as an array")
    if count > LONGEST:
        problem = f"has {count:,} samples, and a page evaluates at most {LONGEST:,}"
        raise SignalError(name, problem, "fit a part of it, or export it as a sound")
    if (values := count * first.channels * len(fields)) > MOST_VALUES:
        problem = f"is {values:,} values of all channels and fields, and a page keeps at most {MOST_VALUES:,}"
        raise SignalError(name, problem, "put fewer fields into a page, or export them as sounds")
    full_scale = facts.get("full_scale", 1.0)
    data: Dict[str, Any] = {
        "fields": [
            {
                **network,
                # From the network's values to samples of which 1 is full scale.
                "factor": facts["value_scale"] / (loaded.description.target["gain"] * full_scale),
                "shift": [
                    (offset * facts["value_scale"] + facts["value_offset"]) / full_scale
                    for offset in loaded.description.target["offset"]
                ],
            }
            for network, loaded in zip(fields_data(fields, options.bits), fields.values(), strict=True)
        ],
        "count": count,
        "channels": first.channels,
        "rate": rate,
        "extent": facts["half_extent"][0],
        "start": facts.get("start", 0.0),
        "original": None,
    }
    remarks: List[str] = [f"{count / rate:.2f} s of {rate:,} samples a second, evaluated when the page is opened."]
    if first.channels > 1:
        remarks.append("Waveform and spectrogram are of the first channel.")
    if signal is not None:
        if len(signal) * signal.channels > LONGEST_ORIGINAL:
            problem = f"has {len(signal) * signal.channels:,} samples, and a page's original at most"
            raise SignalError(signal.path, f"{problem} {LONGEST_ORIGINAL:,}", "leave the original out")
        samples = signal.samples.astype(np.float64) / full_scale
        # Of what is quiet nothing is lost that way, and what is beyond full scale, as floats may be, is not cut.
        step = max(float(np.abs(samples).max()), 1e-30) / 32767
        numbers = np.rint(samples / step).astype(np.int16)
        data |= {"original": base64_text(numbers), "originalStep": step}
        remarks.append(
            f"The original's samples are in this page in 16 bits of its loudest sample, {numbers.nbytes:,} bytes; the "
            "error is the field less the original."
        )
    keys = {"space": "play, stop", "arrow keys": "another moment", "+ and −": "zoom", "0": "the whole"}
    if len(fields) > 1 or signal is not None:
        keys["W and Shift+W"] = "move the divider"
    return Exhibit(
        stage="sounds.html.jinja",
        scripts=("evaluator.js", "sounds.js"),
        shaders=("sine.glsl", "layer.frag"),
        data=data,
        alt=f"Waveform of the field of {name}",
        keys=keys,
        remarks=remarks,
    )
