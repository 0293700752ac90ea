"""A file whose first bytes are replaced while it is read."""

import io
from io import FileIO
from typing import Any


class Overlaid(io.RawIOBase):
    """A file with other first bytes and another length than on disk.

    Args:
        handle: the file.
        begin: bytes that replace its first bytes.
        length: length in bytes.
    """

    def __init__(self, handle: FileIO, begin: bytes, length: int) -> None:
        super().__init__()
        self._handle = handle
        self._begin = begin
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._length - self._position))
        if self._position < len(self._begin):
            part = self._begin[self._position : self._position + count]
            view[: len(part)] = part
            count = len(part)
        elif count:
            self._handle.seek(self._position)
            count = self._handle.readinto(view[:count]) or 0
        self._position += count
        return count
