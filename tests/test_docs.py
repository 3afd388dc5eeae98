"""What the documents show works when pasted: commands are such as the programs take, links lead somewhere."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
from pathlib import Path
from typing import List

import pytest
import tyro
from nerfstudio.configs.method_configs import AnnotatedBaseConfigUnion

import winner_ns
from docs.measurements.pasted import FENCED, commands
from winner_ns.commands import main
from winner_ns.signals import signal_of

ROOT = Path(__file__).parent.parent
PAGES = sorted({*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_such_as_the_programs_take(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _, program, *arguments in commands(page):
        try:
            if program == "winner-ns":
                main.parser().parse_args(arguments)
            elif program == "ns-train":
                tyro.cli(AnnotatedBaseConfigUnion, args=arguments)
            elif program == "python -m":
                assert importlib.util.find_spec(arguments[0]) is not None, arguments
        except SystemExit as end:
            said = capsys.readouterr()
            assert end.code == 0, f"{program} {shlex.join(arguments)}: {said.out}{said.err}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        prose = re.sub(r"`[^`\n]*`", "", FENCED.sub("", page.read_text()))
        for target in re.findall(r"\]\(([^)#\s]+)", prose):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page}: {target}"


SHOWN = [
    winner_ns.fit,
    winner_ns.load_field,
    winner_ns.build_field,
    winner_ns.winner_init,
    winner_ns.spectral_centroid,
    signal_of,
]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.__name__)
def test_examples_in_docstrings_give_what_they_say(shown) -> None:
    (found,) = doctest.DocTestFinder(recurse=False).find(shown, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said: List[str] = []
    runner.run(found, out=said.append)
    assert found.examples and not runner.failures, "".join(said)
