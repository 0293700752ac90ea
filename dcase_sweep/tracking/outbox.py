"""Sending of a run's records by a thread, so that training never waits for a server."""

import logging
import os
import shlex
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from dcase_sweep.tracking.delivery import deliver, is_refused, join_batches, refusal
from dcase_sweep.tracking.servers import describe_connection_error
from dcase_sweep.tracking.spool import ARTIFACT, END, Entry, Spool
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.console import pluralize

log = logging.getLogger(__name__)

#: Shortest and longest pause between two attempts to reach a server, in seconds.
_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


class Outbox:
    """Sends records in their order, and again while the server does not answer.

    Files may go another way than records, to a store such as S3: each waits for its own, except that the end of a run
    waits for both.

    Args:
        store: the store.
        spool: keeps the records on disk until they are sent.
        timeout: seconds that `close` waits for a server that does not answer.
    """

    def __init__(self, store: Store, spool: Spool, timeout: float) -> None:
        self._store = store
        self.spool = spool
        self._timeout = timeout
        self._pending: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        #: Whether the run waits for the end, and whether a line has said that the server does not answer.
        self._is_closing = self._has_warned = False
        #: Files? → when they may be sent again, after so many failures.
        self._away: dict[bool, tuple[float, int]] = {}
        self._answered = time.monotonic()
        #: Number of records that are sent one by one.
        self._apart = 0
        self._reason = ""

    def put(self, entry: Entry) -> None:
        """Send a record soon; returns at once."""
        with self._changed:
            self.spool.append(entry)
            self._pending.append(entry)
            if self._thread is None:
                self._answered = time.monotonic()
                self._thread = threading.Thread(target=self._run, daemon=True, name="tracking")
                self._thread.start()
            self._changed.notify_all()

    def put_file(self, run: str, name: str, folder: str, write: Callable[[Path], None]) -> None:
        """Send a file or a folder soon.

        Args:
            run: ID of the run.
            name: name of the file.
            folder: its folder among the artifacts; empty for none.
            write: writes it to a path.

        Raises:
            OSError: if it cannot be written.
        """
        with self._changed:  # the spool is not cleared before its record is written
            self.put(Entry(ARTIFACT, run, {"path": self.spool.keep(name, write), "folder": folder}))

    @property
    def is_waiting(self) -> bool:
        """Whether the server does not answer at the moment."""
        return bool(self._away)

    def close(self) -> int:
        """Wait until all records are sent, or the server has not answered for the timeout.

        Returns:
            the number of records that are not sent. They stay on disk, and the thread goes on while the process lives.
        """
        with self._changed:
            self._is_closing = True
            if not self._away:  # what is on its way may take its time from now on
                self._answered = time.monotonic()
            self._away = {is_file: (0.0, failures) for is_file, (_, failures) in self._away.items()}
            self._changed.notify_all()
            tried = time.monotonic()
            while self._pending:
                # One more attempt, even if the server has been away for long: it may be back.
                left = max(self._answered + self._timeout, tried + min(1.0, self._timeout)) - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._is_closing = False
            return len(self._pending)

    @property
    def reason(self) -> str:
        """Why the last attempt failed; the server has not answered if none has."""
        return self._reason or "no answer"

    def _run(self) -> None:
        while True:
            with self._changed:
                entries = self._next()
                if entries is None:
                    self._thread = None
                    return
            entry, count = (entries[0], 1) if self._apart else join_batches(entries)
            try:
                deliver(self._store, entry, self.spool.folder)
            except Exception as error:  # a store of artifacts may raise anything
                if is_refused(error) and count > 1:
                    self._apart = count  # one of them is refused
                elif is_refused(error):
                    log.warning(f"tracking  {refusal(self._store, entry, error)}")
                    self._done(entries[:count])
                else:
                    self._fail(entry, error)
            else:
                self._done(entries[:count])

    def _next(self) -> list[Entry] | None:
        """Wait for records that may be sent now, of one kind; None after some time without any."""
        while True:
            now = time.monotonic()
            if not self._pending:
                return None
            for is_file in (self._pending[0].kind == ARTIFACT, self._pending[0].kind != ARTIFACT):
                found = [entry for entry in self._pending if (entry.kind == ARTIFACT) == is_file]
                if found and found[0].kind == END and found[0] is not self._pending[0]:
                    continue  # it waits for the files
                if found and self._away.get(is_file, (0.0, 0))[0] <= now:
                    return found
            self._changed.wait(max(0.01, min(again for again, _ in self._away.values()) - now))

    def _done(self, entries: list[Entry]) -> None:
        with self._changed:
            for entry in entries:
                self._pending.remove(entry)
            self._apart = max(0, self._apart - 1)
            self._answered = time.monotonic()
            self._away.pop(entries[0].kind == ARTIFACT, None)
            if self._has_warned and not self._away and not self._pending:
                self._has_warned = False
                log.info(f"tracking  {self._store.uri} answers again, and has everything")
            if not self._pending:
                self.spool.clear()
            self._changed.notify_all()

    def _fail(self, entry: Entry, error: Exception) -> None:
        with self._changed:
            is_file = entry.kind == ARTIFACT
            failures = self._away.get(is_file, (0.0, 0))[1] + 1
            pause = min(_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
            self._away[is_file] = (time.monotonic() + (min(pause, 1.0) if self._is_closing else pause), failures)
            self._reason = describe_connection_error(error)
            if not self._has_warned:
                self._has_warned = True
                log.warning(
                    f"tracking  {self._store.uri} does not answer ({self._reason}); the run goes on, and what it logs "
                    f"is kept in {self.spool.folder} until then"
                )
            self._changed.notify_all()


def describe_left(count: int, store: Store, spool: Spool, reason: str) -> str:
    """Say where unsent records are, and how they follow."""
    where = "" if os.environ.get("MLFLOW_TRACKING_URI") == store.uri else f" tracking.uri={store.uri}"
    folder = shlex.quote(os.path.relpath(spool.folder.parent))
    return (
        f"tracking  {pluralize(count, 'record')} of this run not sent to {store.uri} ({reason}); to send them when it "
        f"answers: python -m dcase_sweep send {folder}{where}"
    )
