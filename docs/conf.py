"""How Sphinx makes the site: `make docs`."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extension"))


project = "symad"
author = "the symad developers"
copyright = "the symad developers"
version = release = metadata.version("symad")

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "mathml",
    "generated",
]

exclude_patterns = ["_build", "_extension", "conf.py", "images/*.py"]

# Markdown: formulas between dollar signs; links to headings.
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "attrs_inline"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

# Notebooks are run as the site is built, and an error in one is an error of the build.
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 180

numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"

# Nothing is fetched when a page is viewed: the theme brings its fonts, formulas are MathML.
html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_title = "symad"
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"_generated/ops": [], "_generated/rules": [], "index": []}
html_static_path = ["_static"]
html_css_files = ["symad.css"]
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
