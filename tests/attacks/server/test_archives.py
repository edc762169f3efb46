"""Attacks 20, 21 and 23: archives that need much memory to unpack."""

import io
import lzma
import os
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.support.server.memory import peak_of

MOST = 256
UNPACK = """
import sys
from pathlib import Path
from flame_server.errors import FlameMcpError
from flame_server.sources import archive
Path(sys.argv[2]).mkdir()
try:
    archive.unpack(Path(sys.argv[1]), Path(sys.argv[2]))
    print("unpacked")
except FlameMcpError as error:
    print(error)
"""


def refused(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "archive").write_bytes(data)
    return unpacked(tmp_path)


def unpacked(tmp_path: Path) -> str:
    peak, said = peak_of(UNPACK, tmp_path / "archive", tmp_path / "out")
    assert peak <= MOST
    return said


def test_a_zip_with_lzma_of_half_a_gigabyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attack 20: a zip of 74 kB with LZMA members took 1,039 MiB before it was refused."""
    thorough = lzma.LZMACompressor
    quick = {"mode": lzma.MODE_FAST, "mf": lzma.MF_HC3, "nice_len": 273, "depth": 1}
    monkeypatch.setattr(
        lzma, "LZMACompressor", lambda form, filters: thorough(form, filters=[{**filters[0], **quick}])
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as made, made.open("a.md", "w") as member:
        for _ in range(512):
            member.write(bytes(1024**2))
    assert len(out.getvalue()) < 90_000
    assert "unsupported compression: zip method 14" in refused(tmp_path, out.getvalue())


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, 9, 93, 98])
def test_other_methods_of_zip_are_refused_before_they_are_read(tmp_path: Path, method: int) -> None:
    """The kind of attack 20: a method that the library does not know, or comes to know."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.md", "# A\n")
    data = bytearray(out.getvalue())
    for mark, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        at = data.index(mark) + offset
        data[at : at + 2] = method.to_bytes(2, "little")
    assert f"unsupported compression: zip method {method}" in refused(tmp_path, bytes(data))


def test_a_tar_xz_with_a_dictionary_of_a_gigabyte(tmp_path: Path) -> None:
    """Attack 21: 6.4 MB of tar.xz that asks for a dictionary of 1 GiB took 936 MiB."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        info = tarfile.TarInfo("a.md")
        info.size = 6_400_000
        made.addfile(info, io.BytesIO(os.urandom(info.size)))
    data = bytearray(lzma.compress(out.getvalue(), preset=0))
    # The header of the block: its size, flags, the filter, the size of the dictionary, and a CRC.
    size = (data[12] + 1) * 4
    assert data[14:16] == b"\x21\x01"
    data[16] = 36
    data[12 + size - 4 : 12 + size] = zlib.crc32(data[12 : 12 + size - 4]).to_bytes(4, "little")
    assert "Memory usage limit" in refused(tmp_path, bytes(data))


def test_xz_in_pieces_is_read_as_before(tmp_path: Path) -> None:
    """No attack: several streams, and zeros between them, are one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name in "ab":
            info = tarfile.TarInfo(f"{name}.md")
            info.size = 1_500_000
            made.addfile(info, io.BytesIO(os.urandom(info.size)))
    data, half = out.getvalue(), len(out.getvalue()) // 2
    parts = lzma.compress(data[:half], preset=0) + bytes(8) + lzma.compress(data[half:], preset=6)
    assert refused(tmp_path, parts) == "unpacked"
    assert sorted(path.stat().st_size for path in (tmp_path / "out").iterdir()) == [1_500_000, 1_500_000]


def test_long_names_are_not_kept(tmp_path: Path) -> None:
    """The kind of attack 21: names of members that a library keeps until the end, here 300 MB of them."""
    with tarfile.open(tmp_path / "archive", mode="w", format=tarfile.GNU_FORMAT) as made:
        for number in range(6_000):
            info = tarfile.TarInfo("x" * 50_000 + str(number))
            info.type = tarfile.SYMTYPE
            made.addfile(info)
            made.members.clear()  # type: ignore[attr-defined]  # an attribute of long standing
    assert unpacked(tmp_path) == "unpacked"


def test_global_headers_are_not_kept(tmp_path: Path) -> None:
    """The kind of attack 21: headers for all members, each with another key."""
    header = tarfile.TarInfo().create_pax_global_header
    with (tmp_path / "archive").open("wb") as file:
        for number in range(6_000):
            file.write(header({f"key-{number}": "x" * 50_000}))
            file.write(tarfile.TarInfo("a.md").tobuf())
    assert "global headers are too long" in unpacked(tmp_path)


def test_many_names_in_a_zip(tmp_path: Path) -> None:
    """Attack 23: a zip of 690,000 entries took 272 MiB; of these 600,000, all names were read first."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.md", "")
    local, central, end = out.getvalue()[:34], out.getvalue()[34:-22], bytearray(out.getvalue()[-22:])
    names = central * 600_000
    end[12:16], end[16:20] = len(names).to_bytes(4, "little"), len(local).to_bytes(4, "little")
    assert "more than 50000 files" in refused(tmp_path, local + names + bytes(end))
