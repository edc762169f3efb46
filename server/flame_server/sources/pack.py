"""Reads a pack of git objects from a file, with bounds on what an object may need in memory.

The format: https://git-scm.com/docs/pack-format. An object is inflated piece by piece when its name is
computed; one that is too large to be a page is left out, and so is what is a delta of it.
"""

import hashlib
import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_OBJECTS = 200_000
MAX_OBJECT_BYTES = 4 * 1024**2
"""A larger object is left out."""
MAX_INFLATED = 1024**3
"""Of all objects together, as they are stored."""
MAX_WORK = 3 * 1024**3
"""Bytes that are inflated or copied to read objects: many small deltas may each copy a large one."""
_CACHE_BYTES = 32 * 1024**2
# What an object costs besides its bytes.
_OVERHEAD = 256
_READ = 64 * 1024
_KINDS = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
_OFFSET_DELTA, _NAMED_DELTA = 6, 7
_ID_BYTES = 20

ApplyDelta = Callable[[bytes, bytes], list[bytes]]


class PackError(ValueError):
    """The pack is damaged."""


class TooLargeError(Exception):
    """The pack is larger than any docs, or made to take very long."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where the compressed bytes of an object begin, how many bytes it has, and what it is a delta of."""

    kind: int
    start: int
    size: int
    base: int | bytes | None


class Pack:
    """The objects of a pack.

    Args:
        file: The pack. Must stay open.
        apply: Applies a delta to its base.

    Raises:
        TooLargeError: It is larger than any docs.
        PackError: It is damaged.
        zlib.error: Likewise.
    """

    def __init__(self, file: BinaryIO, apply: ApplyDelta) -> None:
        self._file = file
        self._apply = apply
        self._entries: dict[int, _Entry] = {}
        self._offsets: dict[bytes, int] = {}
        self._cache: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._cached = self._worked = self._inflated = 0
        self.incomplete = False
        """Whether objects were left out because they are too large."""
        self._scan()
        self._name_deltas()

    def get(self, name: bytes) -> tuple[bytes, bytes] | None:
        """The kind and the content of the object with this name, 20 bytes; None when it was left out.

        Raises:
            PackError: The pack holds no such object.
        """
        offset = self._offsets.get(name)
        if offset is None:
            if self.incomplete:
                return None
            raise PackError(f"object {name.hex()} is missing")
        found = self._resolved(offset)
        return found and (_KINDS[found[0]], found[1])

    def _scan(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        head = self._file.read(12)
        count = int.from_bytes(head[8:12])
        if head[:4] != b"PACK" or head[4:8] not in (b"\0\0\0\2", b"\0\0\0\3"):
            raise PackError("the server sent no pack")
        if count > MAX_OBJECTS:
            raise TooLargeError(f"it has more than {MAX_OBJECTS} objects")
        at = 12
        for _ in range(count):
            if at >= size - _ID_BYTES:
                raise PackError("the pack ends too early")
            try:
                entry = self._entry(at)
            except IndexError as error:
                raise PackError("the pack ends too early") from error
            self._entries[at] = entry
            at = self._measure(at, entry)

    def _entry(self, at: int) -> _Entry:
        self._file.seek(at)
        head = self._file.read(64)
        kind, size, used = (head[0] >> 4) & 7, head[0] & 15, 1
        shift = 4
        while head[used - 1] & 0x80:
            size |= (head[used] & 0x7F) << shift
            shift, used = shift + 7, used + 1
        base: int | bytes | None = None
        if kind == _OFFSET_DELTA:
            back = head[used] & 0x7F
            while head[used] & 0x80:
                used += 1
                back = ((back + 1) << 7) | (head[used] & 0x7F)
            used += 1
            base = at - back
            if base not in self._entries:
                raise PackError("a delta has no base")
        elif kind == _NAMED_DELTA:
            base = head[used : used + _ID_BYTES]
            used += _ID_BYTES
        elif kind not in _KINDS:
            raise PackError(f"it has an object of kind {kind}")
        return _Entry(kind, at + used, size, base)

    def _measure(self, at: int, entry: _Entry) -> int:
        """Computes the name of an object that is no delta; returns where the next object begins."""
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(_KINDS.get(entry.kind, b"") + b" %d\0" % entry.size)
        for piece, end in self._pieces(entry):
            digest.update(piece)
            self._inflated += len(piece)
            if self._inflated > MAX_INFLATED:
                raise TooLargeError(f"it has more than {MAX_INFLATED // 1024**2} MiB")
            if end:
                if entry.base is None:
                    self._offsets[digest.digest()] = at
                return end
        raise PackError("the pack ends too early")

    def _pieces(self, entry: _Entry) -> Iterator[tuple[bytes, int]]:
        """The inflated bytes of an object as it is stored, with the last piece also where it ends."""
        self._file.seek(entry.start)
        inflate, left, read = zlib.decompressobj(), entry.size, entry.start
        data = b""
        while not inflate.eof:
            if not data:
                data = self._file.read(_READ)
                read += len(data)
                if not data:
                    raise PackError("the pack ends too early")
            piece = inflate.decompress(data, _READ)
            data = inflate.unconsumed_tail
            left -= len(piece)
            if left < 0:
                raise PackError("an object is longer than the pack says")
            if not inflate.eof:
                yield piece, 0
        if left:
            raise PackError("an object is shorter than the pack says")
        yield piece, read - len(inflate.unused_data)

    def _name_deltas(self) -> None:
        """Computes the names of deltas: of those whose base is known, until none is left."""
        left = [at for at, entry in self._entries.items() if entry.base is not None]
        while left:
            later = []
            for at in left:
                if not self._reaches_base(at):
                    later.append(at)
                    continue
                found = self._resolved(at)
                if found is None:
                    continue
                kind, data = found
                digest = hashlib.sha1(_KINDS[kind] + b" %d\0" % len(data), usedforsecurity=False)
                digest.update(data)
                self._offsets[digest.digest()] = at
            if len(later) == len(left):
                if not self.incomplete:
                    raise PackError("a delta has no base")
                return
            left = later

    def _reaches_base(self, at: int) -> bool:
        base = self._entries[at].base
        return not isinstance(base, bytes) or base in self._offsets

    def _resolved(self, at: int) -> tuple[int, bytes] | None:
        """The kind and content of an object; None when it, or what it is a delta of, is too large."""
        chain: list[int] = []
        while (found := self._remembered(at)) is None:
            entry = self._entries[at]
            if entry.size > MAX_OBJECT_BYTES:
                self.incomplete = True
                return None
            if entry.base is None:
                found = self._remember(at, entry.kind, self._stored(entry))
                break
            chain.append(at)
            if len(chain) > len(self._entries):
                raise PackError("deltas go round in a circle")
            base = entry.base if isinstance(entry.base, int) else self._offsets.get(entry.base)
            if base is None:
                return None
            at = base
        for one in reversed(chain):
            delta = self._stored(self._entries[one])
            size = _result_size(delta)
            if size > MAX_OBJECT_BYTES:
                self.incomplete = True
                return None
            self._work(size)
            found = self._remember(one, found[0], b"".join(self._apply(found[1], delta)))
        return found

    def _work(self, size: int) -> None:
        self._worked += size + _OVERHEAD
        if self._worked > MAX_WORK:
            raise TooLargeError("its objects are deltas of deltas that take too long")

    def _stored(self, entry: _Entry) -> bytes:
        self._work(entry.size)
        return b"".join(piece for piece, _ in self._pieces(entry))

    def _remembered(self, at: int) -> tuple[int, bytes] | None:
        if at in self._cache:
            self._cache.move_to_end(at)
        return self._cache.get(at)

    def _remember(self, at: int, kind: int, data: bytes) -> tuple[int, bytes]:
        self._cache[at] = kind, data
        self._cached += len(data) + _OVERHEAD
        while self._cached > _CACHE_BYTES:
            self._cached -= len(self._cache.popitem(last=False)[1][1]) + _OVERHEAD
        return kind, data


def _result_size(delta: bytes) -> int:
    """The size of what a delta makes: the second of two numbers at its start, seven bits a byte."""
    size = at = 0
    for _ in range(2):
        size = shift = 0
        while True:
            if at >= len(delta) or shift > 56:
                raise PackError("a delta is damaged")
            size |= (delta[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not delta[at - 1] & 0x80:
                break
    return size
