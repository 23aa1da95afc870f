"""The site: Sphinx with MyST pages. Build it with ``nox -s docs``; a warning is an error."""

from __future__ import annotations

import importlib.metadata

project = "crmsync"
author = "the crmsync authors"
release = importlib.metadata.version("crmsync")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"crmsync {release}"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

default_role = "code"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_use_legacy_class_based = False
add_module_names = False
