"""Settings of the site: the Markdown of this project as it is, every link checked (`make docs`)."""

import re

from sphinx.application import Sphinx

project = html_title = "Earwitness"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_copy_source = False
html_extra_path = ["redirect"]  # the site's first page is docs/index.html

# Pages are read from the root of the project, so that a link leads to the same place here and in
# a listing of the repository; a link to a source file becomes a copy of that file.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [".*", "data", "runs", "site"]

PAGE = re.compile(r"\]\(([\w./]+)\.md[#)]")


def add_sidebar(app: Sphinx, page: str, source: list[str]) -> None:
    """List a page in the sidebar below the first heading of docs/index.md that links to it."""
    if page == root_doc:
        listed: set[str] = set()
        for section in source[0].split("\n## ")[1:]:
            heading = section.partition("\n")[0]
            new = [name for name in dict.fromkeys(PAGE.findall(section)) if name not in listed]
            listed.update(new)
            entries = "\n".join(new)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{entries}\n```\n"


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_sidebar)
