"""The log of native code, which TensorFlow writes to the process's standard error."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

#: Lines that are not warnings, and the line that precedes the first one.
_NOTICE = re.compile(rb"I\d{4} |WARNING: All log messages before absl::InitializeLog")


@contextmanager
def without_notices() -> Iterator[None]:
    """Import TensorFlow in this context without the notices of its native code on the process's standard error.

    At import TensorFlow reports twice that oneDNN is on, before it reads any setting of its log.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # failures raise errors; the output contains only notices
    with tempfile.TemporaryFile() as written:
        terminal = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            written.seek(0)
            os.write(2, b"".join(line for line in written if not _NOTICE.match(line)))
