"""A local HTTP server with the faults of those on the internet, and archives to serve from it."""

import hashlib
import io
import re
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dcase_sweep.data.download.catalogue import Archive, DataSet


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer.

    Attributes:
        status: in place of 200 or 206; without contents.
        headers: in addition.
        cut_after: bytes after which the connection is closed.
        content: in place of the file's.
        ignores_range: the whole file is sent for a range.
        length: added to the Content-Length.
        chunk_seconds: between two chunks of 4 KiB.
        shift: of the range that is sent.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    content: bytes | None = None
    ignores_range: bool = False
    length: int = 0
    chunk_seconds: float = 0.0
    shift: int = 0


class Server:
    """Serves files, with the faults of the next answers.

    Attributes:
        files: contents by name.
        faults: of the next answers for a file, one after the other; the last one stays if ``stays`` has the name.
        requests: name and range of each request.
        tags: entity tags in place of digests.
        agents: what asked.
        busiest: the most answers at the same time.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.stays: set[str] = set()
        self.requests: list[tuple[str, str | None]] = []
        self.tags: dict[str, str] = {}
        self.agents: set[str | None] = set()
        self.busy = 0
        self.busiest = 0
        self.url = ""

    def ranges(self, name: str) -> list[str | None]:
        """The ranges that were asked for of a file, in their order."""
        return [asked for requested, asked in self.requests if requested == name]

    def next_fault(self, name: str) -> Fault:
        faults = self.faults[name]
        if not faults:
            return Fault()
        return faults[0] if len(faults) == 1 and name in self.stays else faults.pop(0)


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port of this machine."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.busy += 1
            server.busiest = max(server.busy, server.busiest)
            _answer(self, server)
            server.busy -= 1

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    class Http(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a connection that the reader has closed

    http = Http(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, server: Server) -> None:
    name = handler.path.lstrip("/")
    asked = handler.headers.get("Range")
    server.requests.append((name, asked))
    server.agents.add(handler.headers.get("User-Agent"))
    fault = server.next_fault(name)
    if fault.status is not None or name not in server.files:
        handler.send_response(fault.status or 404)
        for key, value in fault.headers.items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    content = server.files[name] if fault.content is None else fault.content
    tag = server.tags.get(name, f'"{hashlib.md5(content).hexdigest()}"')
    start = 0
    found = re.fullmatch(r"bytes=(\d+)-", asked or "")
    if found and not fault.ignores_range and handler.headers.get("If-Range", tag) == tag:
        start = int(found[1])
    if start and start >= len(content):
        handler.send_response(416)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    start += fault.shift if start else 0
    body = content[start:]
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(body) + fault.length))
    for key, value in fault.headers.items():
        handler.send_header(key, value)
    if tag:
        handler.send_header("ETag", tag)
    handler.end_headers()
    if fault.cut_after is not None or fault.length:
        handler.close_connection = True
    _send(handler, body[: fault.cut_after], fault.chunk_seconds)


def _send(handler: BaseHTTPRequestHandler, body: bytes, chunk_seconds: float) -> None:
    try:
        if not chunk_seconds:
            handler.wfile.write(body)
            return
        for start in range(0, len(body), 4096):
            handler.wfile.write(body[start : start + 4096])
            time.sleep(chunk_seconds)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the reader has enough


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def pack_folder(root: Path, names: str, folder: str) -> bytes:
    """A zip archive of the files of a folder that a pattern names, all within one folder."""
    return pack({f"{folder}/{path.relative_to(root)}": path.read_bytes() for path in sorted(root.glob(names))})


def make_data_set(server: Server, archives: Mapping[str, bytes], *, name: str = "tau2020", folder: str = "") -> DataSet:
    """Serve archives, and describe them as the catalogue describes those of a data set."""
    server.files |= archives
    return DataSet(
        name=name,
        title="A data set",
        page="https://example.org",
        licence="none",
        archives=tuple(
            Archive(
                name=each,
                url=f"{server.url}/{each}",
                size=len(content),
                digest=f"md5:{hashlib.md5(content).hexdigest()}",
                folder=folder,
            )
            for each, content in archives.items()
        ),
        unpacked=1000,
        command="data=tau2020 {root}",
    )
