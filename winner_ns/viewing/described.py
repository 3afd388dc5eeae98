"""What fields are and how good they are, in Markdown."""

from __future__ import annotations

from typing import Mapping

from winner_ns.fields.description import Description
from winner_ns.safe_text import markdown

FIGURES = {
    "psnr": ("PSNR", "{:.2f} dB"),
    "psnr_heldout": ("PSNR between", "{:.2f} dB"),
    "iou": ("IoU", "{:.4f}"),
}
"""The figures that count, how they are called and written."""


def described(
    descriptions: Mapping[str, Description],
    figures: Mapping[str, Mapping[str, float]],
    facts: Mapping[str, Mapping[str, str]],
) -> str:
    """One field with its figures below it, or a table of several.

    Args:
        descriptions: of the fields, by name.
        figures: by field and name, those of `FIGURES`.
        facts: further columns of the table, by field and title.
    """
    lines = [described_field(name, description) for name, description in descriptions.items()]
    shown = list(dict.fromkeys(figure for known in figures.values() for figure in known))
    if len(descriptions) == 1:
        known = next(iter(figures.values()), {})
        return "  \n".join([*lines, *(f"{FIGURES[key][0]} {FIGURES[key][1].format(known[key])}" for key in shown)])
    titles = list(dict.fromkeys(fact for known in facts.values() for fact in known))
    rows = [["field", *(FIGURES[key][0] for key in shown), *titles]]
    rows.append([":--", *("--:" for _ in rows[0][1:])])
    for name in descriptions:
        known, known_facts = figures.get(name, {}), facts.get(name, {})
        values = [FIGURES[key][1].format(known[key]) if key in known else "" for key in shown]
        rows.append([markdown(name), *values, *(known_facts.get(title, "") for title in titles)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return table + "\n\n" + "  \n".join(lines)


def described_field(name: str, description: Description) -> str:
    """A field and its noise, in a line of Markdown."""
    made_of, noise = description.network, description.spectrum
    depth, width = (made_of.settings.get(size, "") for size in ("depth", "width"))
    words = f"**{markdown(name)}** {markdown(f'{depth} x {width}')}"
    if noise is not None:
        words += f", psi {noise.psi:.4g}"
        if made_of.family_class.takes_noise or noise.s0 > 0:
            words += f", {markdown(noise.law)}: {markdown(noise.in_words())}"
    return words
