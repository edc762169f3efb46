"""Turns MyST, the markdown of Sphinx, into plain markdown.

Start in `markdown` (blocks and fences) and `directives` (admonitions, includes, tabs); `inline` does roles
and links inside a line, `visible` removes what raw HTML hides.

May import `docs.hidden`.
"""
