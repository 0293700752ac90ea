"""Transfer of one file over HTTP, which continues partial files and retries after temporary errors.

``requests`` carries the bytes, because it knows proxies, certificates and redirects, and comes with MLflow. What it
lacks is here: ranges, a check that what is continued is the same file, and waiting as the server asks.
"""

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from dcase_sweep import __version__
from dcase_sweep.data.download.headers import content_range, retry_after, strong_tag
from dcase_sweep.data.download.partial_files import held_bytes, read_tag, remove_part, tag_path
from dcase_sweep.utils.secrets import mask_url
from dcase_sweep.utils.text import printable

#: Bytes of a read. Those of an incomplete read are lost when the connection ends.
_CHUNK = 2**15
#: Seconds between two reports of progress.
_REPORT_SECONDS = 0.1
#: Timeouts in seconds: for the connection, and between two bytes.
_TIMEOUT = (15.0, 60.0)
#: Status codes after which the same request may succeed.
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
_ABSENT = (404, 410)
#: Zenodo asks programs to identify themselves (https://github.com/fatiando/pooch/issues/502).
_AGENT = f"dcase_sweep/{__version__}"


class TransferError(Exception):
    """A file cannot be transferred; the message has the reason in one line."""


class HostUnreachable(TransferError):
    """The server has never responded: no network, a wrong address, or the server is down."""


class WrongBytes(TransferError):
    """The server sends something other than the requested file."""


class Stopped(Exception):
    """The transfer was stopped."""


class _TemporaryFault(TransferError):
    """A temporary error.

    Attributes:
        wait: seconds to wait, as the server requests; None = no request.
        is_silent: whether no server responded.
    """

    def __init__(self, words: str, *, wait: float | None = None, is_silent: bool = False) -> None:
        super().__init__(words)
        self.wait = wait
        self.is_silent = is_silent


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The number of attempts, and waiting times.

    Attributes:
        attempts: largest number of consecutive attempts without a new byte.
        unanswered: the same, as long as no server has responded.
        first: seconds before the second attempt, doubled for each further one.
        longest: largest number of seconds between attempts.
        asked: largest waiting time in seconds that a server may request; if it requests more, the transfer fails.
    """

    attempts: int = 7
    unanswered: int = 3
    first: float = 1.0
    longest: float = 30.0
    asked: float = 300.0


@dataclass
class Transfer:
    """Transfers files, in several threads.

    Args:
        stop: set to end all transfers.
        retry_policy: the number of attempts after temporary errors.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    _hosts: set[str] = field(default_factory=set)
    _local: threading.local = field(default_factory=threading.local)

    def fetch(
        self,
        url: str,
        part: Path,
        *,
        size: int | None,
        on_bytes: Callable[[int], None],
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Transfer a file to ``part``, and continue it if it exists.

        Args:
            url: address of the file.
            part: path of the file; it is complete when this function returns.
            size: size of the file in bytes; None if it is not known before the end.
            on_bytes: called with the number of transferred bytes.
            on_wait: called before a wait after a temporary error.

        Raises:
            TransferError: if the server does not have the file, or faults do not pass.
            WrongBytes: if the server sends more than ``size`` bytes.
            Stopped: if ``stop`` was set.
        """
        failures, furthest = 0, held_bytes(part)
        while True:
            try:
                self._attempt(url, part, size, on_bytes)
                return
            except _TemporaryFault as fault:
                if held_bytes(part) > furthest:
                    failures, furthest = 0, held_bytes(part)
                failures += 1
                on_wait()
                self._wait(url, fault, failures, held_bytes(part))

    def read(self, url: str, limit: int) -> bytes:
        """Read a small file, such as the description of a record.

        Raises:
            TransferError: likewise, or if it has more than ``limit`` bytes.
            Stopped: if ``stop`` was set.
        """
        failures = 0
        while True:
            try:
                with self._get(url, {}) as response:
                    if url.startswith("https:") and not response.url.startswith("https:"):
                        raise TransferError(f"leads to {mask_url(response.url)}; expected an address with https")
                    content = b""
                    for chunk in _chunks(response):
                        content += chunk
                        if len(content) > limit:
                            raise TransferError(f"more than {limit:,} bytes; expected a description of files")
                    return content
            except _TemporaryFault as fault:
                failures += 1
                self._wait(url, fault, failures, 0)

    def _wait(self, url: str, fault: _TemporaryFault, failures: int, held: int) -> None:
        """Wait before the next attempt, or raise if there is none."""
        if fault.wait is not None and fault.wait > self.retry_policy.asked:
            raise TransferError(f"{fault}; the server asks to wait for {fault.wait:,.0f} s")
        host = urlsplit(url).netloc
        if fault.is_silent and host not in self._hosts and failures >= self.retry_policy.unanswered:
            raise HostUnreachable(f"{mask_url(host)} cannot be reached: {fault}")
        if failures >= self.retry_policy.attempts:
            raise TransferError(f"{fault}, {failures} times in a row, with {held:,} bytes here") from None
        delay = min(self.retry_policy.first * 2 ** (failures - 1), self.retry_policy.longest)
        if self.stop.wait(delay if fault.wait is None else fault.wait):
            raise Stopped from None

    def _attempt(self, url: str, part: Path, size: int | None, on_bytes: Callable[[int], None]) -> None:
        held = held_bytes(part)
        if size is not None and held > size:
            remove_part(part)
            held = 0
        if held and held == size:
            return
        tag = read_tag(part)
        headers: dict[str, str] = {}
        if held and (tag or size is not None):
            headers["Range"] = f"bytes={held}-"
            if tag:
                headers["If-Range"] = tag
        with self._get(url, headers) as response:
            held = self._begin(response, part, held if headers else 0, size, tag)
            with part.open("ab", buffering=0) as file:
                on_bytes(held)
                reported = time.monotonic()
                for chunk in _chunks(response):
                    if self.stop.is_set():
                        raise Stopped
                    held += len(chunk)
                    if size is not None and held > size:
                        raise WrongBytes(f"the server sends more than {size:,} bytes")
                    file.write(chunk)
                    if time.monotonic() - reported > _REPORT_SECONDS:
                        on_bytes(held)
                        reported = time.monotonic()
            on_bytes(held)
        if size is not None and held < size:
            raise _TemporaryFault(f"the connection ended after {held:,} of {size:,} bytes")

    def _begin(self, response: requests.Response, part: Path, asked: int, size: int | None, tag: str | None) -> int:
        """Return the position in the file at which the response begins; empty ``part`` if it is 0."""
        sent = strong_tag(response.headers)
        if response.status_code == 206 and asked:
            start, total = content_range(response.headers.get("Content-Range", ""))
            if start == asked and total in (None, size or total) and (not tag or sent in (None, tag)):
                return asked
        _check_whole(response, size, is_continued=asked > 0)
        remove_part(part)  # with its entity tag, before new bytes are written
        if response.status_code != 200:
            raise _TemporaryFault("the server sends another part of the file than was asked for")
        part.touch()
        if sent:
            tag_path(part).write_text(sent, encoding="utf-8")
        return 0

    def _get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Start a request whose response is 200, 206 or 416."""
        if self.stop.is_set():
            raise Stopped
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        try:
            # A range of a compressed response would count other bytes than those of the file.
            response: requests.Response = self._local.session.get(
                url,
                headers={"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers},
                stream=True,
                timeout=_TIMEOUT,
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            if isinstance(_innermost(error), ssl.SSLCertVerificationError):
                raise TransferError(f"{mask_url(url)}: {_cause(error)}") from None
            raise _TemporaryFault(_cause(error) + _describe_redirect(url, error), is_silent=True) from None
        except (requests.RequestException, ValueError) as error:  # ValueError: a redirect to an address that is none
            raise TransferError(f"{mask_url(url)}: {_cause(error)}") from None
        self._hosts.add(urlsplit(url).netloc)
        code = response.status_code
        if code in (200, 206) or (code == 416 and "Range" in headers):
            return response
        answer = f"HTTP {code} {printable(response.reason or '', 40)}".rstrip()
        response.close()
        if code in _ABSENT:
            raise TransferError(f"{mask_url(url)}: not there ({answer})")
        if code in _TEMPORARY:
            raise _TemporaryFault(answer, wait=retry_after(response.headers.get("Retry-After")))
        raise TransferError(f"{mask_url(url)}: {answer}")


def _check_whole(response: requests.Response, size: int | None, *, is_continued: bool) -> None:
    """Check that a response may be the whole file, before the partial file is replaced."""
    if response.status_code != 200:
        return
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _TemporaryFault("a web page in place of the file, as of a network that asks to log in")
    length = response.headers.get("Content-Length", "")
    if is_continued and size is not None and length.isdecimal() and int(length) != size:
        raise _TemporaryFault(f"a file of {int(length):,} bytes; expected {size:,}")


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield the bytes of a response as they were sent; an error of the connection is temporary.

    They are not decoded: some servers call a tar.gz a tar that they have compressed.
    """
    try:
        yield from response.raw.stream(_CHUNK, decode_content=False)
    except (HTTPError, OSError) as error:
        raise _TemporaryFault(f"the connection ended: {_cause(error)}") from None


def _describe_redirect(url: str, error: requests.RequestException) -> str:
    """Name the host that a redirect led to, which is the one that did not respond; empty without a redirect."""
    asked = error.request.url if error.request is not None else None
    host = urlsplit(str(asked or "")).netloc
    return f" (redirected to {mask_url(host)})" if host not in ("", urlsplit(url).netloc) else ""


def _cause(error: BaseException) -> str:
    """Return the innermost reason in words; requests wraps it twice, with addresses of objects."""
    inner = _innermost(error)
    words = getattr(inner, "strerror", None) or re.sub(r"<?\S+ object at 0x[0-9a-f]+>?:? ?", "", str(inner))
    return printable(words or type(inner).__name__, 160)


def _innermost(error: BaseException) -> BaseException:
    seen = {id(error)}
    while True:
        inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        if not isinstance(inner, BaseException) or id(inner) in seen:
            return error
        seen.add(id(inner))
        error = inner
