"""Reads docs: from a folder of MyST markdown or HTML to sections, chunks and passages.

Start in `folder` (the pages of a folder) and `sections` (pages cut into chunks). `site` knows the addresses
of docs.flame-engine.org, and `anchors` those inside a page; `myst` turns MyST, the markdown of Sphinx, into
plain markdown; `html` reads a built site; `hidden` knows what a browser doesn't show, which is never
indexed; `names` bounds the names of pages and folders; `dartdoc` reads doc comments; `expansion` adds
questions that a section answers. Fetching a repository is the work of `sources`.

May import `sources` and `errors`.
"""
