"""The documentation site: Sphinx with furo, over the Markdown pages of this repository as they stand.

The source folder is the repository, not docs/, so the same relative links lead from page to page here and on the site.
`make docs` builds it.
"""

import os
import re

import sharedkit

project = "sharedkit"
author = "the sharedkit contributors"
project_copyright = f"2026, {author}"
release = version = sharedkit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**.md", "examples/README.md"]
exclude_patterns = [".*", "build", "src", "ext", "tests", "docs/decisions/0000-template.md"]

myst_heading_anchors = 3  # the anchors that a repository's own view gives to headings
suppress_warnings = ["myst.header"]  # the changelog's headings skip a level

# In a docstring `name` is code, and leads to that name where there is one.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
python_display_short_literal_types = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = f"sharedkit {release}"
html_extra_path = ["site"]
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_baseurl = os.environ.get("SITE_URL", "")
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e70", "color-brand-content": "#0b6e70"},
    "dark_css_variables": {"color-brand-primary": "#4fc3c5", "color-brand-content": "#4fc3c5"},
}


def errors_apart(app, what, name, obj, options, lines):
    """Begin a paragraph where a docstring comes to its errors or to its method."""
    for place in reversed(range(1, len(lines))):
        if re.match(r"(Raises|Method:) ", lines[place]) and lines[place - 1].strip():
            lines.insert(place, "")


def legible(app, what, name, obj, options, signature, result):
    """Omit the arguments that typing.Protocol adds to a class without its own; write a ParamSpec as its name."""
    if signature == "(*args, **kwargs)":
        return "", result
    return signature and re.sub(r"(~typing\.)?~P\b", "P", signature), result


def setup(app):
    app.connect("autodoc-process-docstring", errors_apart)
    app.connect("autodoc-process-signature", legible)
