import os
from pathlib import Path

import pytest

from flame_server.docs.folder import MAX_PAGE_BYTES, Tree, open_tree
from flame_server.errors import FlameMcpError
from tests.support.server.git_commands import git


def read(root: Path) -> tuple[dict[str, str], Tree]:
    with open_tree(str(root)) as tree:
        return {page.path: page.text for page in tree.pages()}, tree


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("binary.md", bytes(range(256)), "binary"),
        ("latin.md", b"# T\n\n\xff\xfe caf\xe9\n", "not valid UTF-8 (byte 5)"),
        ("huge.md", b"x" * (MAX_PAGE_BYTES + 1), "the limit is 2.1 MB"),
        ("hashes.md", b"#" * 1_000_000, "a line of 1000000 characters"),
        ("headings.md", b"# x\n" * 6_000, "more than 5000 headings"),
        ("million.md", b"#\n" * 1_000_000, "1000001 lines"),
    ],
)
def test_a_bad_page_is_left_out_by_name_and_the_others_are_read(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / "good.md").write_text("# Good\n")
    (tmp_path / name).write_bytes(content)
    pages, tree = read(tmp_path)
    assert list(pages) == ["good.md"]
    assert tree.skipped == 1
    (warning,) = tree.warnings
    assert warning.startswith(f"{name}: skipped: ")
    assert reason in warning


def test_fifty_megabytes_are_never_read(tmp_path: Path) -> None:
    with (tmp_path / "big.md").open("wb") as file:
        file.truncate(50_000_000)
    pages, tree = read(tmp_path)
    assert not pages
    assert "50.0 MB" in tree.warnings[0]


def test_links_out_of_the_source_and_odd_files_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "docs"
    root.mkdir()
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "page.md").write_text("secret")
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    (root / "loop.md").symlink_to("loop.md")
    (root / "folder").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "pipe.md")
    pages, tree = read(root)
    assert not pages
    assert sorted(warning.split(":")[0] for warning in tree.warnings) == ["link.md", "loop.md", "pipe.md"]


def test_includes_are_expanded_inside_the_source_only(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    docs = tmp_path / "root" / "doc"
    docs.mkdir(parents=True)
    (tmp_path / "root" / "CONTRIBUTING.md").write_text("# Contributing\n")
    (docs / "ok.md").write_text("a\n\n```{include} ../CONTRIBUTING.md\n```\nb\n")
    (docs / "colons.md").write_text(":::{include} ../CONTRIBUTING.md\n:::\n")
    (docs / "bad.md").write_text("```{include} ../../secret.md\n```\n")
    (docs / "loop.md").write_text("x\n\n```{include} loop.md\n```\n")
    pages, tree = read(tmp_path / "root")
    assert "# Contributing" in pages["ok.md"]
    assert "# Contributing" in pages["colons.md"]
    assert "secret" not in pages["bad.md"]
    assert pages["loop.md"].startswith("x")
    assert sorted(warning.split(" ", 1)[0] for warning in tree.warnings) == ["doc/bad.md:", "doc/loop.md:"]


def test_dartdoc_is_read_from_the_packages_of_the_source_only(tmp_path: Path) -> None:
    library = tmp_path / "packages" / "flame_jenny" / "jenny" / "lib" / "src"
    library.mkdir(parents=True)
    (library / "x.dart").write_text("/// About X.\nclass X {}\n")
    (tmp_path / "doc").mkdir()
    with open_tree(str(tmp_path)) as tree:
        options = {"package": "jenny", "symbol": "X", "file": "src/x.dart"}
        assert tree.dartdoc(options, {}, "p.md") == "About X."
        assert not tree.dartdoc({**options, "symbol": "Y"}, {}, "p.md")
        assert not tree.dartdoc({**options, "package": "..", "file": "../../../../etc/passwd"}, {}, "p.md")
    assert len(tree.warnings) == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/folder", "is not there"),
        (__file__, "is not a folder"),
        ("http://example.invalid/x.git", "only https, ssh and file URLs"),
        ("ext::sh -c id", "is not there"),
        ("file:///no/such/repository.git", "file:///no/such/repository.git is not a git repository"),
    ],
)
def test_a_source_that_cannot_be_read_says_why(source: str, message: str) -> None:
    with pytest.raises(FlameMcpError, match=message), open_tree(source):
        pass


def test_path_must_stay_inside(tmp_path: Path) -> None:
    with pytest.raises(FlameMcpError, match="leads outside"), open_tree(str(tmp_path), path="../.."):
        pass


def test_a_git_url_is_cloned_at_its_ref(tmp_path: Path) -> None:
    repository = tmp_path / "flame"
    (repository / "doc").mkdir(parents=True)
    git(repository, "init", "--quiet", "-b", "main")
    for text in ("old", "new"):
        (repository / "doc" / "page.md").write_text(text)
        git(repository, "add", ".")
        git(repository, "commit", "--quiet", "-m", text)
        git(repository, "tag", text)
    with open_tree(f"file://{repository}", ref="old") as tree:
        assert [page.text for page in tree.pages()] == ["old"]
        assert tree.revision == git(repository, "rev-parse", "old")
        clone = tree.root
    assert not clone.exists()
    with (
        pytest.raises(FlameMcpError, match="no branch, tag or commit nowhere; it has main, new, old"),
        open_tree(f"file://{repository}", ref="nowhere"),
    ):
        pass
    with (
        pytest.raises(FlameMcpError, match="no branch"),
        open_tree(f"file://{repository}", ref="--upload-pack=x"),
    ):
        pass


def test_a_page_whose_name_can_be_no_part_of_a_link_is_left_out(tmp_path: Path) -> None:
    for name in (b"caf\xe9.md", b"two\nlines.md", "zero\u200bwidth.md".encode()):
        (tmp_path / os.fsdecode(name)).write_text("# Odd\n")
    (tmp_path / "gr\u00fc\u00dfe.md").write_text("# Good\n")
    pages, tree = read(tmp_path)
    assert list(pages) == ["gr\u00fc\u00dfe.md"]
    assert tree.skipped == 3
    assert any(warning.startswith(r"caf\udce9.md: skipped: its name") for warning in tree.warnings)
    "\n".join(tree.warnings).encode()
