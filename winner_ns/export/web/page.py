"""A page of one or several fields of the same signal."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from winner_ns.errors import SignalError
from winner_ns.export.web.exhibit import Exhibit, PageOptions
from winner_ns.fields.files import LoadedField
from winner_ns.fields.quantised import QuantisationLoss, check_bits, quantisation_loss
from winner_ns.figures.words import value_in_words, words_of
from winner_ns.safe_text import page_templates
from winner_ns.signals import Signal
from winner_ns.writing import check_output, replacing


def write_page(
    path: Path,
    fields: Mapping[str, LoadedField],
    figures: Mapping[str, Mapping[str, Optional[float]]],
    signal: Optional[Signal] = None,
    options: PageOptions = PageOptions(),  # noqa: B008 (it does not change)
) -> Dict[str, Any]:
    """Writes one .html that holds all it needs and asks the network for nothing.

    Args:
        path: the file.
        fields: of one signal, by name, at least one.
        figures: of each field, by name.
        signal: what they were fitted to, where that is to be in the page.
        options: of the page.

    Returns:
        path, kind, bytes, fields and warnings; and, where the page evaluates the fields' networks, bits of their
        weights, and the largest error of a value by that, in steps of 1/255 of the range, with the psnr against the
        whole weights in dB.

    Raises:
        SignalError: another suffix, a family that no page evaluates, or the file cannot be written.
    """
    first = next(iter(fields.values()))
    check_output(path, (".html",), first.description.data)
    check_bits(options.bits)
    row = first.description.row
    exhibit: Exhibit = row.get("page")(fields, signal, options)
    losses = {name: quantisation_loss(loaded, options.bits) for name, loaded in fields.items() if exhibit.evaluates}
    page = _rendered(fields, figures, exhibit, options, losses).encode()
    with replacing(path, first.description.data) as temporary:
        temporary.write_bytes(page)
    facts: Dict[str, Any] = {"path": str(path), "kind": first.kind, "bytes": len(page), "fields": len(fields)}
    if losses:
        worst = max(losses.values(), key=lambda loss: loss.largest)
        facts |= worst.as_facts(options.bits)
    return {**facts, **({"warnings": list(exhibit.warnings)} if exhibit.warnings else {})}


def save_page(field: Any, path: Path, bits: Optional[int] = None) -> Dict[str, Any]:
    """Writes the page of a `FittedField`, with its figures (`write_page`)."""
    options = PageOptions() if bits is None else PageOptions(bits=bits)
    family = field.description.network.family
    return write_page(path, {family: field}, {family: field.figures}, options=options)


def _rendered(
    fields: Mapping[str, LoadedField],
    figures: Mapping[str, Mapping[str, Optional[float]]],
    exhibit: Exhibit,
    options: PageOptions,
    losses: Mapping[str, QuantisationLoss],
) -> str:
    from markupsafe import Markup

    environment = page_templates("winner_ns.export.web")
    first = next(iter(fields.values()))
    style, script = _file("page.css"), "\n".join(map(_file, exhibit.scripts))
    return environment.get_template("page.html.jinja").render(
        name=first.description.name,
        row=first.description.row,
        families=list(dict.fromkeys(loaded.description.network.family for loaded in fields.values())),
        names=list(fields),
        sides=[*(["field"] if len(fields) == 1 else fields), *(["original"] if exhibit.data.get("original") else [])],
        size=_size(first),
        exhibit=exhibit,
        rows=_table(fields, figures),
        losses=losses,
        options=options,
        version=version("winner_ns"),
        # Nothing but these two may act, or come from anywhere: not even this page's own text.
        policy=f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        shaders={name: Markup(_file(name)) for name in exhibit.shaders},
        data=Markup(_json(exhibit.data)),
    )


def _file(name: str) -> str:
    return files("winner_ns.export.web").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(data: Any) -> str:
    """JSON that stands within a script's element, whatever its texts say."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII alone.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _size(loaded: LoadedField) -> str:
    """How large the original is."""
    shape = loaded.signal.get("shape")
    return "" if shape is None else " × ".join(f"{n:,}" for n in shape)


def _table(
    fields: Mapping[str, LoadedField], figures: Mapping[str, Mapping[str, Optional[float]]]
) -> List[Tuple[str, Sequence[str]]]:
    """What is said of the fields: a title and a text for each of them."""
    facts: Dict[str, Dict[str, str]] = {}

    def say(title: str, field: str, text: str) -> None:
        facts.setdefault(title, {})[field] = text

    for name in fields:
        for figure, value in figures.get(name, {}).items():
            if value is not None and math.isfinite(value):
                say(words_of(figure).name, name, value_in_words(figure, value).strip())
    for name, loaded in fields.items():
        made_of, report = loaded.description.network, loaded.description.spectrum
        say("family", name, made_of.family)
        say("network", name, _network_in_words(made_of.settings))
        say("parameters", name, f"{sum(p.numel() for p in loaded.network.parameters()):,}")
        if report is not None:
            say("spectral centroid ψ", name, f"{report.psi:.4g}")
            if made_of.family_class.takes_noise or report.s0 or report.s1:
                say(
                    "law",
                    name,
                    report.law if report.kappa is None else f"{report.law}, κ\u00a0=\u00a0{report.kappa:.3g}",
                )
                say("noise", name, report.in_words())
    return [(title, [texts.get(name, "–") for name in fields]) for title, texts in facts.items()]


def _network_in_words(settings: Mapping[str, Any]) -> str:
    sizes = [str(settings[name]) for name in ("depth", "width") if name in settings]
    others = [
        f"{_called(name)}\u00a0{f'{value:g}' if isinstance(value, float) else value}"
        for name, value in settings.items()
        if name not in ("depth", "width") and isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    return ", ".join([" × ".join(sizes), *others] if sizes else others)


def _called(setting: str) -> str:
    return setting.replace("omega_0", "ω₀").replace("_", " ")


def original_of_page(options: PageOptions, signal: Optional[Signal], name: str) -> Optional[Signal]:
    """The original where a page is to hold it.

    Raises:
        SignalError: it is asked for, and not at hand.
    """
    if options.original and signal is None:
        raise SignalError(name, "the original is not at hand", "name it by --data, or leave --original out")
    return signal if options.original else None
