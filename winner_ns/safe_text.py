"""Text that others may have written - in files, descriptions, names of files - made safe for where it goes: a terminal,
Markdown, HTML, a figure, a cell of a table, the name of a file. The only place for that.

Each function shows the text as it is, so that a reader sees what was written, and lets none of it act.
"""

from __future__ import annotations

import html as standard_html
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Optional, TextIO

if TYPE_CHECKING:
    from jinja2 import Environment

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
MOST_BYTES = 200
"""Of the name of a file: with what is put before and after it, file systems take 255."""

_HELD = "\u200c\u200d"
"""Joiners, which Persian and emoji are written with; they turn no direction of writing."""
_MARKUP = frozenset("\\`*_{}[]<>&|~$")
"""What Markdown, its dialects on the web and MDX take for their own within a line."""
_FIRST = ("#", "+", "-", "=", ">", ":")
"""What they do at the start of a line."""
_NUMBERED = re.compile(r"(\d{1,9})([.)])")
_CODE = re.compile(r"(?:import|export)\b")
"""What MDX takes for code at the start of a line."""
_LINKED = re.compile(r"www(?=\.)|https?:(?=//)|@", re.IGNORECASE)
"""After these a web or mail address is made a link, escaped or not."""
_WORD_JOINER = "\u2060"
"""Takes no room, and keeps an address from being one."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What programs for tables begin formulas with."""
_RESERVED = frozenset('<>:"/\\|?*')
"""What names of files cannot have on one system or another."""
_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
"""What Windows takes for a device, whatever the suffix."""


def is_harmless(letter: str) -> bool:
    """Whether a character only shows itself: letters, signs, spaces, the joiners of Persian and emoji; no line breaks,
    control characters, marks that turn the direction of writing, or halves of a character."""
    return letter.isprintable() or unicodedata.category(letter) == "Zs" or letter in _HELD


def is_word(text: object) -> bool:
    """Whether something is a name as families, laws and kinds have them: letters, digits, - and _, 64 at most."""
    return isinstance(text, str) and _WORD.fullmatch(text) is not None


def terminal(text: object) -> str:
    """Text in one line, what is not harmless spelled out as Python does it (an escape sequence begins with \\x1b).

    Tables and progress bars of rich take it as `Text`, or it would be markup.
    """
    written = str(text)
    if written.isprintable():
        return written
    return "".join(c if is_harmless(c) else c.encode("unicode_escape").decode("ascii") for c in written)


def tell(*lines: object, file: Optional[TextIO] = None, flush: bool = False) -> None:
    """Prints each of these in a line of its own, safe for a terminal.

    Args:
        lines: what to print.
        file: where to; None: standard output.
        flush: whether it is to be seen at once.
    """
    for line in lines:
        print(terminal(line), file=file or sys.stdout, flush=flush)


def markdown(text: object) -> str:
    """Text as Markdown (CommonMark, GitHub's, and MDX, which viser's pages render and where braces and tags are code)
    that shows it as it is. Addresses become no links.

    Args:
        text: goes into a line, or a cell of a table, of what is rendered.
    """
    line = _LINKED.sub(lambda found: found[0] + _WORD_JOINER, terminal(text).strip())
    escaped = "".join(f"\\{c}" if c in _MARKUP else c for c in line)
    if _CODE.match(escaped):
        return f"&#{ord(escaped[0])};{escaped[1:]}"
    if escaped.startswith(_FIRST):
        return f"\\{escaped}"
    return _NUMBERED.sub(r"\1\\\2", escaped, count=1) if _NUMBERED.match(escaped) else escaped


def code(text: object) -> str:
    """Text as a span of code in Markdown or MDX, as `markdown`, but for cells of tables."""
    written = terminal(text)
    fence = "`" * (max(map(len, re.findall("`+", written)), default=0) + 1)
    # One space at either end is the span's own.
    return f"{fence} {written} {fence}" if written[:1] in "` " or written[-1:] in "` " else f"{fence}{written}{fence}"


def html(text: object) -> str:
    """Text as HTML, also within the quotes of an attribute."""
    return standard_html.escape(terminal(text))


def page_templates(package: str) -> "Environment":
    """The templates of HTML pages in a package's folder: all that they show is escaped, and a name that is not given is
    an error.

    Args:
        package: as winner_ns.bench.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Before it is escaped, what text of files cannot show is spelled out.
        finalize=lambda value: terminal(value) if type(value) is str else value,
    )


def plot(text: object) -> str:
    """Text for matplotlib, which takes what stands between two dollars for a formula."""
    return terminal(text).replace("$", r"\$")


def cell(text: object) -> str:
    """Text as a cell of a CSV file: one that programs for tables would take for a formula has an apostrophe before it,
    which these do not show."""
    written = terminal(text)
    return f"'{written}" if written.startswith(_FORMULA) else written


def file_name(text: object) -> str:
    """A name that a file can have on every system, in one folder: without separators, what is reserved (`:`, `*`, con,
    nul, …), control characters, and spaces and dots at its end; at most MOST_BYTES long. Never empty, . or .."""
    name = "".join(c if is_harmless(c) and c not in _RESERVED else "_" for c in str(text))
    if not name.strip(" .") or _DEVICES.fullmatch(name.partition(".")[0].rstrip()):
        name = f"_{name}"
    return name.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore").rstrip(" .")
