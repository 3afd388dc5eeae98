"""`winner-ns export audio`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict

from winner_ns.commands.arguments import positive

HELP = "a sound: WAV, FLAC, OGG, MP3, AIFF or .npy"
EXAMPLE = "winner-ns export audio RUN --sample-rate 48000 --duration 10"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sample-rate", type=int, help="hertz (default: the original's)")
    parser.add_argument("--duration", type=positive, help="seconds to write from the start (default: all)")
    parser.add_argument("--subtype", help="number format: PCM_16, PCM_24, FLOAT, … (default: the original's)")


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.audio import export_audio
    from winner_ns.export.output import fitted_path
    from winner_ns.fitting.run import load_run
    from winner_ns.progress import progress_bar

    run = load_run(source)
    output = options.output or fitted_path(run, ".wav")
    with progress_bar() as report:
        return export_audio(run, output, options.sample_rate, options.subtype, options.duration, report)
