"""Decompresses xz within a bound on memory."""

import io
import lzma
from typing import IO

# xz -9 needs 65 MiB; an archive may ask for 4 GiB.
MAX_MEMORY = 66 * 1024**2
_MOST = 1024 * 1024
_READ = 64 * 1024


class Xz(io.RawIOBase):
    """Decompresses xz, one piece at a time, within `MAX_MEMORY`: the library's reader has no bound."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)

    def read(self, size: int = -1) -> bytes:
        """See `io.RawIOBase`.

        Raises:
            EOFError: The file ends too early.
        """
        found = b""
        while not found:
            if self._xz.eof:
                # More streams may follow, and zeros between them.
                rest = self._xz.unused_data.lstrip(b"\0") or self._file.read(_READ).lstrip(b"\0")
                if not rest:
                    return b""
                self._xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)
                data = rest
            elif self._xz.needs_input:
                data = self._file.read(_READ)
                if not data:
                    raise EOFError("it ends too early")
            else:
                data = b""
            found = self._xz.decompress(data, size if 0 <= size <= _MOST else _MOST)
        return found
