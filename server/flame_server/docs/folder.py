"""Reads the pages of a docs source, a folder or a git repository, and skips pages that are unusable."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flame_server.docs import dartdoc
from flame_server.docs.myst.markdown import FENCES, clean, directive, parse
from flame_server.docs.names import MAX_PATH_CHARS
from flame_server.errors import FlameMcpError
from flame_server.sources import git
from flame_server.sources.below import OutsideError, files_below, opened

MAX_PAGE_BYTES = 2 * 1024 * 1024
# The largest Flame page has 60 headings and 1,009 lines; a page beyond these is generated, hostile or broken.
MAX_HEADINGS = 5_000
MAX_LINES = 50_000
MAX_LINE_CHARS = 20_000
_MAX_INCLUDE_DEPTH = 5
# Characters of other files that a page and all pages may bring in by includes and doc comments, and what
# opening a file counts besides. The docs of Flame bring in a hundredth of it.
MAX_BROUGHT_CHARS = 4 * 1024 * 1024
MAX_ALL_BROUGHT_CHARS = 128 * 1024 * 1024
_OPENING_CHARS = 1_000
_GIT_SCHEMES = ("https://", "ssh://", "file://", "git@")
_HEADING_LINE = re.compile(r"^ {0,3}(?:#{1,6}(?:[ \t]|$)|=+[ \t]*$|-+[ \t]*$)", re.MULTILINE)
_ODD_NAME = FlameMcpError("its name is not printable UTF-8, so no link could lead there")
_LONG_NAME = FlameMcpError(f"its path is longer than {MAX_PATH_CHARS} characters")
PageFormat = Literal["markdown", "html"]
AskedFormat = Literal["auto", "markdown", "html"]
_ENDINGS: dict[PageFormat, str] = {"markdown": ".md", "html": ".html"}
# Files of Sphinx that are not pages of the docs.
_NO_PAGES = {"genindex.html", "search.html", "py-modindex.html", "404.html"}
_SKIPPED_FOLDERS = {"node_modules", "build", "_build"}


@dataclass(frozen=True)
class Page:
    """A usable page: its path relative to the docs root, and its clean text.

    The text is markdown or HTML, see `Tree.format`. The path always ends in `.md`, e.g. `flame/camera.md`.
    """

    path: str
    text: str


@dataclass
class Tree:
    """A docs source on disk.

    Attributes:
        root: Nothing outside this folder is ever read.
        docs: The folder of pages inside it.
        format: The format of the pages.
        revision: The git commit, when known.
        warnings: One line for each thing that was left out, with the name of the file.
        skipped: How many pages were skipped.
        brought: How many characters of other files each page has brought in.
        all_brought: The same of all pages.
    """

    root: Path
    docs: Path
    format: PageFormat = "markdown"
    revision: str | None = None
    warnings: list[str] = field(default_factory=list)
    skipped: int = 0
    brought: Counter[str] = field(default_factory=Counter)
    all_brought: int = 0

    def pages(self) -> Iterator[Page]:
        """Every usable page, sorted by path; an unusable one becomes a warning."""
        for path in _page_files(self.root, self.docs, _ENDINGS[self.format]):
            relative = path.relative_to(self.docs).as_posix()
            if not relative.isprintable():
                self.skip(relative.encode("unicode_escape").decode(), _ODD_NAME)
                continue
            if len(relative) > MAX_PATH_CHARS:
                self.skip(f"{relative[:MAX_PATH_CHARS]}...", _LONG_NAME)
                continue
            try:
                text = self._read(path)
                if self.format == "markdown":
                    _check_size(text)
                    text = self._expand_includes(text, path, relative, depth=0)
                    _check_size(text)
                yield Page(Path(relative).with_suffix(".md").as_posix(), text)
            except (FlameMcpError, OSError) as error:
                self.skip(relative, error)

    def skip(self, page: str, error: Exception) -> None:
        """Skips the page at this path, with a warning that names its file."""
        file = Path(page).with_suffix(_ENDINGS[self.format]).as_posix()
        self.skipped += 1
        self.warnings.append(f"{file}: skipped: {_reason(error)}")

    def dartdoc(self, options: Mapping[str, str], references: Mapping[str, str], page: str) -> str:
        """The markdown of a `{dartdoc}` directive of `page`; empty, with a warning, without such a comment.

        `[Name]` is a link when `references` contains it, else the name of a symbol.
        """
        package, symbol, file = (options.get(key, "") for key in ("package", "symbol", "file"))
        packages = self.root / "packages"
        for library in (packages / package / "lib", packages / f"flame_{package}" / package / "lib"):
            path = library / file
            with suppress(FlameMcpError, OSError):
                if package and file:
                    source = self._bring(path, page)
                    if found := dartdoc.doc_of(source, symbol, references):
                        return found
        self.warnings.append(f"{page}: no doc comment found for {symbol} of package {package} ({file})")
        return ""

    def _read(self, path: Path) -> str:
        if not path.is_relative_to(self.root):
            raise OutsideError("it is a link to a file outside the docs source")
        with opened(self.root, str(path.relative_to(self.root))) as file:
            raw = file.read(MAX_PAGE_BYTES)
        if b"\0" in raw:
            raise FlameMcpError("it is binary, not text")
        try:
            return clean(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise FlameMcpError(f"it is not valid UTF-8 (byte {error.start})") from error

    def _bring(self, path: Path, page: str) -> str:
        """The text of another file for a page.

        Raises:
            FlameMcpError: It cannot be used, or too much has been brought in already.
        """
        if self.brought[page] > MAX_BROUGHT_CHARS or self.all_brought > MAX_ALL_BROUGHT_CHARS:
            raise FlameMcpError("too much is included already")
        text = ""
        try:
            text = self._read(path)
        finally:
            self.brought[page] += _OPENING_CHARS + len(text)
            self.all_brought += _OPENING_CHARS + len(text)
        _check_size(text)
        return text

    def _expand_includes(self, text: str, path: Path, page: str, depth: int) -> str:
        if "{include}" not in text:
            return text
        lines = text.split("\n")
        for token in reversed(parse(text).tokens):
            found = directive(token.info, token.content) if token.type in FENCES else None
            if found and found.name == "include" and token.map:
                start, end = token.map
                lines[start:end] = self._included(path, found.argument, page, depth).split("\n")
        return "\n".join(lines)

    def _included(self, path: Path, target: str, page: str, depth: int) -> str:
        included = path.parent / target
        name = path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name
        if depth >= _MAX_INCLUDE_DEPTH:
            self.warnings.append(f"{name}: include of {target} left out: includes are nested too deeply")
            return ""
        try:
            return self._expand_includes(self._bring(included, page), included, page, depth + 1)
        except (FlameMcpError, OSError) as error:
            self.warnings.append(f"{name}: include of {target} left out: {_reason(error)}")
            return ""


def _check_size(text: str) -> None:
    """Raises `FlameMcpError` for a text that would take minutes to parse, or fill the index by itself."""
    lines = text.split("\n")
    longest = max(map(len, lines))
    if len(lines) > MAX_LINES:
        raise FlameMcpError(f"it has {len(lines)} lines; the limit is {MAX_LINES}")
    if longest > MAX_LINE_CHARS:
        raise FlameMcpError(f"it has a line of {longest} characters; the limit is {MAX_LINE_CHARS}")
    if len(_HEADING_LINE.findall(text)) > MAX_HEADINGS:
        raise FlameMcpError(f"it has more than {MAX_HEADINGS} headings")


@contextmanager
def open_tree(
    source: str, ref: str | None = None, path: str | None = None, page_format: AskedFormat = "auto"
) -> Iterator[Tree]:
    """Opens a docs source as a `Tree`. A git repository is cloned to a temporary folder for the context.

    Args:
        source: A folder, or a git URL (https, ssh, file).
        ref: A branch, tag or commit; only for git.
        path: The folder of pages inside the source (default: `doc` if it exists, else the source itself).
        page_format: The format of the pages; `auto` looks for markdown first.

    Raises:
        FlameMcpError: The source does not exist, or cannot be cloned.
    """
    if _is_git_url(source):
        with tempfile.TemporaryDirectory(prefix="flame-mcp-clone-") as folder:
            revision = git.clone(source, ref, Path(folder))
            yield _tree(Path(folder), path, source, revision, page_format)
        return
    root = Path(source)
    if not root.exists():
        raise FlameMcpError(f"docs source {source} is not there: give a folder with markdown or a git URL")
    if not root.is_dir():
        raise FlameMcpError(f"docs source {source} is not a folder")
    if ref:
        raise FlameMcpError("--ref is for git URLs; a folder is read as it is")
    yield _tree(root.resolve(), path, source, git.revision(root), page_format)


def _tree(root: Path, path: str | None, source: str, revision: str | None, page_format: AskedFormat) -> Tree:
    docs = (root / (path or ("doc" if (root / "doc").is_dir() else "."))).resolve()
    if not docs.is_relative_to(root.resolve()):
        raise FlameMcpError(f"--path {path} leads outside {source}")
    if not docs.is_dir():
        raise FlameMcpError(f"{source} has no folder {path}: give the folder of the pages with --path")
    root = root.resolve()
    return Tree(root, docs, _format(root, docs) if page_format == "auto" else page_format, revision)


def _format(root: Path, docs: Path) -> PageFormat:
    has = {found: any(_page_files(root, docs, ending)) for found, ending in _ENDINGS.items()}
    return "html" if has["html"] and not has["markdown"] else "markdown"


def _is_git_url(source: str) -> bool:
    if source.startswith(_GIT_SCHEMES):
        return True
    if "://" in source:
        raise FlameMcpError(f"{source}: only https, ssh and file URLs of git repositories are read")
    return False


def _page_files(root: Path, docs: Path, ending: str) -> Iterator[Path]:
    for folder, folders, files in files_below(root, str(docs.relative_to(root))):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "_")) and f not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            if name.lower().endswith(ending) and not name.startswith(".") and name not in _NO_PAGES:
                yield root / folder / name


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return str(error)
