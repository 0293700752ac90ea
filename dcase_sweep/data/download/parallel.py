"""Work on several archives at a time."""

import threading
import time
from collections import deque

from dcase_sweep.data.download.archive_work import ArchiveWork, Progress
from dcase_sweep.data.download.catalogue import Archive
from dcase_sweep.data.download.members import BadArchive
from dcase_sweep.data.download.transfer import HostUnreachable, Stopped, TransferError
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.signals import check_interrupted

#: Seconds for threads to end after an interruption. A thread that waits for a server ends with the process.
_GRACE = 3.0


def run_all(work: ArchiveWork, archives: tuple[Archive, ...], jobs: int) -> list[str]:
    """Work on several archives at a time; return a line for each that failed, in their order.

    Raises:
        UserError: if the server cannot be reached.
        OSError: if a file cannot be written.
    """
    queue = _Queue(work, archives)
    # Daemons: a thread that waits for a server must not keep an interrupted process.
    threads = [threading.Thread(target=queue.process, daemon=True) for _ in range(min(jobs, len(archives)))]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            check_interrupted()
            for thread in threads:
                thread.join(0.05)
    except BaseException:
        work.transfer.stop.set()
        deadline = time.monotonic() + _GRACE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        raise
    if queue.fatal:
        raise queue.fatal[0]
    return [queue.problems[archive.name] for archive in archives if archive.name in queue.problems]


class _Queue:
    """The pending archives, and the errors of the others.

    Attributes:
        problems: name of an archive that failed → its line.
        fatal: errors that end the work on all archives.
    """

    def __init__(self, work: ArchiveWork, archives: tuple[Archive, ...]) -> None:
        self.problems: dict[str, str] = {}
        self.fatal: list[BaseException] = []
        self._work = work
        self._pending = deque(archives)
        self._stop = work.transfer.stop

    def process(self) -> None:
        """Work on one archive after another, until none is pending or the work is stopped."""
        while not self._stop.is_set():
            try:
                archive = self._pending.popleft()
            except IndexError:
                return
            try:
                self._work.run(archive)
            except Stopped:
                return
            except HostUnreachable as error:
                self._stop_all(UserError(f"{error}; connect to the network, or name a mirror"))
            except (TransferError, BadArchive, UserError) as error:
                self.problems[archive.name] = f"{archive.name}: {error}"
                self._work.report(Progress(archive, "failed", 0, 0))
            except OSError as error:  # that of a write has no name
                named = error if error.filename else OSError(error.errno, error.strerror, str(self._work.state.root))
                self._stop_all(named)
            except BaseException as error:
                self._stop_all(error)

    def _stop_all(self, error: BaseException) -> None:
        self.fatal.append(error)
        self._stop.set()
