"""Attack 22: git repositories that need much memory or time to read."""

import os
import random
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from flame_server.sources.pack import Pack, PackError, TooLargeError
from tests.harness.pki import Authority, Certificate
from tests.support.server import git_bomb
from tests.support.server.git_bomb import BLOB, COMMIT, NAMED_DELTA, OFFSET_DELTA, TREE, stored
from tests.support.server.memory import peak_of

MOST = 256
CLONE = """
import sys
from pathlib import Path
from flame_server.errors import FlameMcpError
from flame_server.sources import git
try:
    git.clone(sys.argv[1], "main", Path(sys.argv[2]), git.Access(ca_file=Path(sys.argv[3])))
    print("read")
except FlameMcpError as error:
    print(error)
"""


def cloned(tmp_path: Path, objects: Sequence[bytes], tree: bytes, most: int = MOST) -> str:
    """Clones from a server that sends these objects and a commit of this tree; returns what it said."""
    commit = git_bomb.commit_of(git_bomb.name_of(TREE, tree))
    pack = git_bomb.pack_of([*objects, stored(TREE, tree), stored(COMMIT, commit)])
    authority = Authority(tmp_path / "authority")
    certificate = authority.pair("localhost", Certificate("localhost", addresses=("localhost", "127.0.0.1")))
    with git_bomb.pack_served(pack, git_bomb.name_of(COMMIT, commit), certificate) as url:
        peak, said = peak_of(CLONE, url, tmp_path / "out", authority.certificate)
    assert peak <= most
    return said


def test_a_blob_of_half_a_gigabyte_in_640_kilobytes(tmp_path: Path) -> None:
    """Attack 22: it was accepted and took 1,009 MiB. Now it is left out, as large files are."""
    size = 500 * 1024**2
    bomb = git_bomb.entry(BLOB, size, git_bomb.zeros(size))
    assert len(bomb) < 640_000
    entries = [
        ("100644", b"a.md", git_bomb.name_of(BLOB, b"# A\n")),
        ("100644", b"b.md", git_bomb.zeros_name(size)),
    ]
    assert cloned(tmp_path, [bomb, stored(BLOB, b"# A\n")], git_bomb.tree_of(entries)) == "read"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.md"]


def test_more_than_a_gigabyte_of_blobs(tmp_path: Path) -> None:
    """The kind of attack 22: many large blobs, each of them a thousandth on the way."""
    size = 500 * 1024**2
    bomb = git_bomb.entry(BLOB, size, git_bomb.zeros(size))
    assert "more than 1024 MiB" in cloned(tmp_path, [bomb] * 3, b"")


def test_a_blob_that_is_longer_than_it_says(tmp_path: Path) -> None:
    """The kind of attack 22: a header that lies."""
    bomb = git_bomb.entry(BLOB, 1_000, git_bomb.zeros(100 * 1024**2))
    assert "longer than the pack says" in cloned(tmp_path, [bomb], b"")


def test_deltas_that_copy_a_large_base_again_and_again(tmp_path: Path) -> None:
    """The kind of attack 22: 60,000 deltas of a few bytes, each of which makes 4 MiB of the one before."""
    size = 4 * 1024**2
    objects = [git_bomb.entry(BLOB, size, git_bomb.zeros(size))]
    # Copies all but one byte, and adds one of its own.
    for step in range(60_000):
        delta = git_bomb.number(size) * 2
        for at in range(0, size - 1, 0xFFFFFF):
            some = min(0xFFFFFF, size - 1 - at)
            delta += bytes([0b1111_0000 | 0b1000_0000 & 0xFF]) + some.to_bytes(3, "little")
        delta += bytes([1, step % 256])
        packed = zlib.compress(delta)
        objects.append(git_bomb.entry(OFFSET_DELTA, len(delta), packed, git_bomb.distance(len(objects[-1]))))
    started = time.monotonic()
    assert "deltas of deltas" in cloned(tmp_path, objects, b"")
    assert time.monotonic() - started < 40


def test_a_delta_that_makes_a_gigabyte(tmp_path: Path) -> None:
    """The kind of attack 22: a delta of a few bytes that says how much memory its result needs."""
    base = stored(BLOB, b"x" * 1_000)
    delta = git_bomb.number(1_000) + git_bomb.number(1024**3) + b"\x01x"
    name = git_bomb.name_of(BLOB, b"x" * 1_000)
    bomb = git_bomb.entry(NAMED_DELTA, len(delta), zlib.compress(delta), name)
    tree = git_bomb.tree_of([("100644", b"a.md", bytes(20))])
    assert cloned(tmp_path, [base, bomb], tree) == "read"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_tree_of_trees_without_end(tmp_path: Path) -> None:
    """The kind of attack 22: ten folders in each of ten levels are ten billion, and hold no file."""
    objects, tree = [], b""
    for _ in range(10):
        objects.append(stored(TREE, tree))
        name = git_bomb.name_of(TREE, tree)
        tree = git_bomb.tree_of([("40000", f"{at}".encode(), name) for at in range(10)])
    assert "more than 50000 folders" in cloned(tmp_path, objects, tree)


def test_large_trees_in_each_other(tmp_path: Path) -> None:
    """The kind of attack 22: trees of 140,000 entries, forty deep."""
    objects, tree = [], b""
    for level in range(40):
        name = git_bomb.name_of(TREE, tree)
        tree = git_bomb.tree_of(
            [("40000", b"0", name), *(("160000", b"%x" % at, bytes(20)) for at in range(20_000))]
        )
        objects.append(stored(TREE, tree)) if level < 39 else None
    assert "more than 100000 files" in cloned(tmp_path, [stored(TREE, b""), *objects], tree)


def test_a_million_objects(tmp_path: Path) -> None:
    """The kind of attack 22: so many objects that a list of them is too long."""
    assert "more than 200000 objects" in cloned(tmp_path, [stored(BLOB, b"")] * 1_000_000, b"")


@pytest.mark.parametrize("seed", range(20))
def test_damaged_packs_are_no_bug(tmp_path: Path, seed: int) -> None:
    """Whatever bytes a server sends, there is one plain line."""
    rng = random.Random(seed)  # noqa: S311
    good = git_bomb.pack_of([stored(BLOB, os.urandom(200)), stored(TREE, b""), stored(BLOB, b"x" * 5_000)])
    for _ in range(200):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path = tmp_path / "pack"
        path.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data)
        with path.open("rb") as file, suppress(PackError, TooLargeError, zlib.error):
            Pack(file, lambda base, delta: [base, delta])
