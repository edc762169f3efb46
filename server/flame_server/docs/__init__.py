"""Reads docs: from a folder of MyST markdown or HTML to sections, chunks and passages.

Start in `folder` (the pages of a folder) and `sections` (pages cut into chunks). `site` knows the addresses
of docs.flame-engine.org; `markdown`, `directives` and `inline` turn
MyST, the markdown of Sphinx, into plain markdown; `visible` removes what raw HTML hides in it; `html` reads
a built site; `dartdoc` reads doc comments; `expansion` adds questions that a section answers. Fetching a
repository is the work of `sources`.

May import `sources`, `text` and `errors`.
"""
