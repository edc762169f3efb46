"""Sphinx for the Flame docs as their site has it, as far as headings, ids and texts go.

The site's own directives (a Flutter build, a Dart analyser) are stand-ins with the same shape of HTML.
"""

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

project = "Flame"
extensions = ["myst_parser"]
root_doc = "index"
html_theme = "basic"
myst_enable_extensions = [
    "colon_fence",
    "dollarmath",
    "html_admonition",
    "html_image",
    "linkify",
    "replacements",
    "smartquotes",
]
myst_heading_anchors = 4
# Yarn has a lexer of the site's own.
suppress_warnings = [
    "misc.highlighting_failure",
    "myst.xref_missing",
    "toc.not_included",
    "image.not_readable",
]


class SiteDirective(SphinxDirective):
    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = dict.fromkeys(
        ("sources", "page", "show", "width", "height", "subfolder", "package", "symbol", "file"),
        directives.unchanged,
    )


class FlutterApp(SiteDirective):
    def run(self) -> list[nodes.Node]:
        html = f'<iframe src="/_static/apps/flame/index.html?{self.options.get("page", "")}"></iframe>'
        return [nodes.raw("", html, format="html")]


class Mermaid(SiteDirective):
    def run(self) -> list[nodes.Node]:
        code = "\n".join(self.content).replace("&", "&amp;").replace("<", "&lt;")
        return [nodes.raw("", f'<pre class="mermaid">\n{code}\n</pre>', format="html")]


class Dartdoc(SiteDirective):
    def run(self) -> list[nodes.Node]:
        symbol = self.options["symbol"]
        # As the site has it: an id of its own, which is no section's.
        signature = nodes.container("", nodes.paragraph(text=f"class {symbol}"), ids=[symbol])
        self.state.document.note_explicit_target(signature)
        return [nodes.container("", signature, classes=["dartdoc"])]


class Package(SiteDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = nodes.container()
        self.state.nested_parse(self.content, 0, text)
        name = nodes.paragraph(text=self.arguments[0])
        return [nodes.container("", name, text, classes=["package"])]


def setup(app: Sphinx) -> None:
    app.add_directive("flutter-app", FlutterApp)
    app.add_directive("mermaid", Mermaid, override=True)
    app.add_directive("dartdoc", Dartdoc)
    app.add_directive("package", Package)
