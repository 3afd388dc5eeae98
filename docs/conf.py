"""The documentation site: `make docs` builds it into docs/_build, with warnings as errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
# Notebooks run in processes of their own, which are to see the same checkout.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("OMP_NUM_THREADS", "1")

from winner_ns import __version__  # noqa: E402

project = "winner_ns"
author = "The winner_ns authors"
project_copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxarg.ext",
]
exclude_patterns = ["_build", "jupyter_execute", "measurements", "**/.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"winner_ns {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"sidebar_hide_name": False, "navigation_with_keys": True}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Notebooks run when the site is built, each anew where it has changed, and an error in one ends the build.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True
highlight_language = "none"
# Quotes and dots, but no dashes: --steps is a flag.
smartquotes_action = "qe"

# One argument a line where there are many; a single back-tick is code.
python_maximum_signature_line_length = 90
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def _escape_shapes(app, what, name, object, options, lines) -> None:
    """Shapes such as [*batch, d] are no emphasis."""
    lines[:] = [line.replace("[*", r"[\*").replace(", *", r", \*") for line in lines]


def setup(app) -> None:
    app.connect("autodoc-process-docstring", _escape_shapes)
