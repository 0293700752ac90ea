"""A gate before a server: connections pass, are refused, wait for an answer that never comes, or get it late."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.integration.test_passwords import free_port


class Gate:
    """Passes connections to a port of this machine on.

    Attributes:
        port: where it listens.
        delay: seconds before what a client sends is passed on.
    """

    def __init__(self, backend: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        self._backend = backend
        self._listener: socket.socket | None = None
        self._sockets: set[socket.socket] = set()
        self._is_silent = threading.Event()

    @property
    def url(self) -> str:
        """The address of the server behind the gate."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Let connections pass."""
        self._is_silent.clear()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def hang(self) -> None:
        """Accept connections from now on, and pass nothing on, in either direction."""
        self._is_silent.set()

    def close(self) -> None:
        """Refuse connections, and end those there are."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._backend)) as server:
            pair = {client, server}
            self._sockets |= pair
            answers = threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True)
            answers.start()
            self._pass_on(client, server, True)
            answers.join()
            self._sockets -= pair

    def _pass_on(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                while self._is_silent.is_set():
                    time.sleep(0.05)
                if is_request:
                    time.sleep(self.delay)
                target.sendall(content)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate_before(backend: int) -> Iterator[Gate]:
    """An open gate, which is closed at the end."""
    gate = Gate(backend)
    gate.open()
    try:
        yield gate
    finally:
        gate.open()  # what waits goes on
        gate.close()
