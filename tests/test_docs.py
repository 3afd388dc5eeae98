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
from winner_ns.commands import main
from winner_ns.signals import signal_of

ROOT = Path(__file__).parent.parent
PAGES = sorted({*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)})
FENCED = re.compile(r"^```.*?^```", re.S | re.M)
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?(winner-ns|ns-train|python -m) (.*)")
SYNOPSIS = re.compile(r"\[--|…|\.\.\.|--(?!data)[a-z0-9.-]+ [A-Z][A-Z0-9]*\b")
"""Of lines that say what may stand in a command, or that leave a value to the reader."""


def commands(page: Path) -> List[List[str]]:
    """Program and arguments of every command in the blocks of a page."""
    text = page.read_text()
    indented = [line[4:] for line in FENCED.sub("", text).splitlines() if line.startswith("    ")]
    lines = "\n".join([*FENCED.findall(text), *indented]).replace("\\\n", " ").splitlines()
    found = [(match[1], match[2]) for match in map(COMMAND.match, lines) if match and not SYNOPSIS.search(match[2])]
    return [[program, *shlex.split(rest, comments=True)] for program, rest in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_such_as_the_programs_take(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for program, *arguments in commands(page):
        try:
            if program == "winner-ns":
                main.parser().parse_args(arguments)
            elif program == "ns-train":
                tyro.cli(AnnotatedBaseConfigUnion, args=arguments)
            else:
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
