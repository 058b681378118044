"""How `make site` makes a web site of the pages: Sphinx, MyST and Furo; its search works without a server.

The source is the whole checkout, so that a link from one page to another is the same here and in the repository.
"""

project = "driftd"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "deploy/**.md", "monitor/demo/data/*.md"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]      # a page may begin its chapters with smaller headings
html_theme = "furo"
html_title = "driftd"
html_copy_source = False
html_show_copyright = False
