"""Reading docs: from a folder of MyST markdown or HTML to sections, chunks and passages.

Start in `source` (pages in a folder or repository) and `sections` (pages cut into chunks). `site` knows the
addresses and anchors of docs.flame-engine.org; `markdown`, `directives` and `inline` turn MyST into plain
markdown; `html` reads a built site; `dartdoc` reads doc comments; `expansion` adds questions that a section
answers.

May import `sources` and `errors`.
"""
