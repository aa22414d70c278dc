"""How Sphinx makes the site: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "_extension"))
import kernels  # noqa: E402, F401
from numpydoc.xref import DEFAULT_LINKS  # noqa: E402
from public_names import linked_types  # noqa: E402

import symad  # noqa: E402

project = "symad"
author = "the symad developers"
copyright = "the symad developers"
version = release = symad.__version__

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "mathml",
    "generated",
]

exclude_patterns = ["_build", "_extension", "_generated/ipynb", "conf.py", "images/*.py"]

# Markdown: formulas between dollar signs; links to headings.
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

# Notebooks are run whenever the site is built, and an error in one is an error of the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_merge_streams = True
nb_render_markdown_format = "myst"

# A reference to a name that is not described is an error, but for these, which are internal.
nitpicky = True
nitpick_ignore = {
    ("py:attr", "graph"),
    ("py:attr", "symad.plan.memory.MemoryUse.lower_bound"),
    ("py:class", "Event"),
    ("py:class", "SumLike"),
    ("py:data", "RULES"),
    ("py:func", "choose_step"),
    ("py:mod", "symad.demo.backpropagation"),
    ("py:mod", "symad.graph.cost"),
}

numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_aliases = {**{word: word for word in DEFAULT_LINKS}, **linked_types()}
numpydoc_xref_ignore = "all"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"

# Nothing is fetched when a page is viewed: the theme brings its fonts, formulas are MathML.
html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_title = "symad"
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # browsers fetch no page from a file
html_sidebars = {page: [] for page in ("index", "tutorial", "performance")}
html_sidebars |= {f"_generated/{page}": [] for page in ("gallery", "ops", "rules")}
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["symad.css"]
html_js_files = ["search_names.js", "flat_indices.js"]
html_theme_options = {
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "navigation_with_keys": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app: Any) -> None:
    """Leave pages that contain nearly every word out of the search."""

    def leave_out(app: Any, env: Any) -> None:
        for page in ("measurements", "changelog"):
            env.metadata[page]["nosearch"] = ""

    app.connect("env-updated", leave_out)
