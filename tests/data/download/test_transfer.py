"""Transfer of one file from a server with the faults of those on the internet."""

import email.utils
import gzip
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcase_sweep.data.download.transfer import (
    HostUnreachable,
    RetryPolicy,
    Stopped,
    Transfer,
    TransferError,
    WrongBytes,
)
from tests.download_server import Fault, Server, serving

#: Whole chunks of the transfer; what came of a chunk is lost when the connection ends.
CHUNK = 2**15
CONTENT = os.urandom(9 * CHUNK)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        served.files["a.zip"] = CONTENT
        yield served


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "a.zip.part"


def fetch(server: Server, part: Path, *, size: int | None = len(CONTENT), attempts: int = 4) -> list[int]:
    """Transfer the file; the number of bytes each time something was there."""
    seen: list[int] = []
    transfer = Transfer(retry_policy=RetryPolicy(attempts=attempts, unanswered=2, first=0.01, longest=0.02, asked=5))
    transfer.fetch(f"{server.url}/a.zip", part, size=size, on_bytes=seen.append)
    return seen


def test_a_file_is_transferred(server: Server, part: Path) -> None:
    assert fetch(server, part)[-1] == len(CONTENT)
    assert part.read_bytes() == CONTENT
    assert all(agent and agent.startswith("dcase_sweep/") for agent in server.agents)


def test_a_cut_connection_is_continued(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(cut_after=3 * CHUNK), Fault(cut_after=2 * CHUNK)]

    fetch(server, part)

    assert part.read_bytes() == CONTENT
    assert server.ranges("a.zip") == [None, f"bytes={3 * CHUNK}-", f"bytes={5 * CHUNK}-"]


def test_what_is_there_is_not_transferred_again(server: Server, part: Path) -> None:
    part.write_bytes(CONTENT[:200_000])

    fetch(server, part)

    assert part.read_bytes() == CONTENT
    assert server.ranges("a.zip") == ["bytes=200000-"]


def test_a_complete_file_is_not_asked_for(server: Server, part: Path) -> None:
    part.write_bytes(CONTENT)

    fetch(server, part)

    assert server.requests == []


def test_a_server_that_ignores_ranges_sends_all_again(server: Server, part: Path) -> None:
    part.write_bytes(CONTENT[:200_000])
    server.faults["a.zip"] = [Fault(ignores_range=True)]

    fetch(server, part)

    assert part.read_bytes() == CONTENT


def test_a_file_that_has_changed_is_begun_again(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(cut_after=3 * CHUNK, content=bytes(9 * CHUNK))]

    fetch(server, part)

    assert part.read_bytes() == CONTENT
    assert server.ranges("a.zip") == [None, f"bytes={3 * CHUNK}-"]


def test_another_range_than_the_one_asked_for_is_not_appended(server: Server, part: Path) -> None:
    part.write_bytes(CONTENT[:200_000])
    server.faults["a.zip"] = [Fault(shift=10)]

    fetch(server, part)

    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "fault",
    [
        Fault(content=b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}, ignores_range=True),
        Fault(content=b"another file", ignores_range=True),
    ],
    ids=["page", "other"],
)
def test_what_is_there_is_not_given_up_for_something_else(server: Server, part: Path, fault: Fault) -> None:
    part.write_bytes(CONTENT[:200_000])
    server.faults["a.zip"] = [fault, fault]

    fetch(server, part)

    assert part.read_bytes() == CONTENT
    assert server.ranges("a.zip") == ["bytes=200000-"] * 3


def test_a_partial_file_that_is_too_long_is_dropped(server: Server, part: Path) -> None:
    part.write_bytes(CONTENT + b"more")

    fetch(server, part)

    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [-CHUNK, CHUNK])
def test_a_wrong_content_length_does_no_harm(server: Server, part: Path, length: int) -> None:
    server.faults["a.zip"] = [Fault(length=length)]

    fetch(server, part)

    assert part.read_bytes() == CONTENT


def test_more_bytes_than_the_file_has_are_refused(server: Server, part: Path) -> None:
    with pytest.raises(WrongBytes, match="more than 1,000 bytes"):
        fetch(server, part, size=1000)


def test_a_redirect_is_followed(server: Server, part: Path) -> None:
    server.files["b.zip"] = CONTENT
    server.faults["a.zip"] = [Fault(status=302, headers={"Location": "/b.zip"})]

    fetch(server, part)

    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://[bad", "Invalid IPv6 URL"),
        ("file:///etc/passwd", "No connection adapters were found"),
        ("http://127.0.0.1:1/data.bin", r"Connection refused \(redirected to 127.0.0.1:1\)"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_described(server: Server, part: Path, target: str, says: str) -> None:
    server.faults["a.zip"] = [Fault(status=302, headers={"Location": target})]
    server.stays.add("a.zip")

    with pytest.raises(TransferError, match=says):
        fetch(server, part)


def test_bytes_are_not_decoded(server: Server, part: Path) -> None:
    """Some servers call a tar.gz a tar that they have compressed."""
    server.files["a.zip"] = gzip.compress(CONTENT)
    server.faults["a.zip"] = [Fault(headers={"Content-Encoding": "gzip"})]

    fetch(server, part, size=len(server.files["a.zip"]))

    assert part.read_bytes() == server.files["a.zip"]


def test_a_wait_is_reported(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(status=503)]
    reported: list[str] = []

    Transfer(retry_policy=RetryPolicy(first=0.01)).fetch(
        f"{server.url}/a.zip",
        part,
        size=len(CONTENT),
        on_bytes=lambda done: reported.append("bytes"),
        on_wait=lambda: reported.append("wait"),
    )

    assert reported[0] == "wait"
    assert reported.count("wait") == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Server, part: Path, status: int) -> None:
    server.faults["a.zip"] = [Fault(status=status), Fault(status=status)]

    fetch(server, part)

    assert len(server.requests) == 3


def test_the_server_says_how_long_to_wait(server: Server, part: Path) -> None:
    in_a_second = email.utils.formatdate(time.time() + 1, usegmt=True)
    server.faults["a.zip"] = [Fault(503, {"Retry-After": "1"}), Fault(429, {"Retry-After": in_a_second})]
    before = time.monotonic()

    fetch(server, part)

    assert 1.0 <= time.monotonic() - before < 20


def test_a_server_that_asks_to_wait_long_is_given_up(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(429, {"Retry-After": "3600"})]

    with pytest.raises(TransferError, match=r"HTTP 429.*asks to wait for 3,600 s"):
        fetch(server, part)


def test_a_file_that_is_not_there_is_not_asked_for_again(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(status=404)]

    with pytest.raises(TransferError, match=r"a\.zip: not there \(HTTP 404"):
        fetch(server, part)

    assert len(server.requests) == 1


def test_a_server_that_always_cuts_at_the_same_byte_is_given_up(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(cut_after=3 * CHUNK, ignores_range=True)]
    server.stays.add("a.zip")

    with pytest.raises(TransferError, match="4 times in a row, with 98,304 bytes here"):
        fetch(server, part)

    assert len(server.requests) == 4


def test_attempts_that_bring_something_do_not_count(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(cut_after=CHUNK)]
    server.stays.add("a.zip")

    fetch(server, part, attempts=2)

    assert part.read_bytes() == CONTENT


def test_a_file_of_unknown_size_ends_with_the_answer(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(cut_after=3 * CHUNK)]

    fetch(server, part, size=None)

    assert part.read_bytes() == CONTENT
    assert server.ranges("a.zip") == [None, f"bytes={3 * CHUNK}-"]


def test_a_file_of_unknown_size_and_identity_is_begun_again(server: Server, part: Path) -> None:
    server.tags["a.zip"] = ""
    server.faults["a.zip"] = [Fault(cut_after=3 * CHUNK)]

    fetch(server, part, size=None)

    assert part.read_bytes() == CONTENT
    assert server.ranges("a.zip") == [None, None]


def test_a_server_that_never_answers_is_named(part: Path) -> None:
    transfer = Transfer(retry_policy=RetryPolicy(unanswered=2, first=0.01))

    with pytest.raises(HostUnreachable, match=r"127\.0\.0\.1:9 cannot be reached: Connection refused"):
        transfer.fetch("http://127.0.0.1:9/a.zip", part, size=None, on_bytes=lambda done: None)


def test_a_transfer_is_stopped(server: Server, part: Path) -> None:
    server.faults["a.zip"] = [Fault(chunk_seconds=0.05)]
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    before = time.monotonic()

    with pytest.raises(Stopped):
        Transfer(stop=stop).fetch(f"{server.url}/a.zip", part, size=len(CONTENT), on_bytes=lambda done: None)

    assert time.monotonic() - before < 10
