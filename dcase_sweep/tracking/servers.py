"""Checks of MLflow servers and databases before use, because MLflow itself would retry for minutes."""

import logging
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from typing import TypeVar

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import MASK, encode_password, is_masked, mask_secrets, mask_url, split_credentials

log = logging.getLogger(__name__)

#: Seconds within which a server accepts a connection, and answers unless it is busy; and those that a busy one has.
SIGN_OF_LIFE, BUSY = 5.0, 60.0
#: The longest pause, in seconds, between two attempts to reach a server.
_LONGEST_PAUSE = 15.0
_DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_USER, _PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_FILES = "MLFLOW_ALLOW_FILE_STORE"
_EXPECTED = "expected sqlite:///FILE, http://HOST:PORT, or a database such as postgresql://USER@HOST/NAME"
Result = TypeVar("Result")


class ServerAway(UserError):
    """No server answers at an address; it may do so later."""


def wait_for_server(call: Callable[[], Result], patience: float, kind: type[UserError] = UserError) -> Result:
    """Call a function again, with growing pauses, while a server that has answered before does not.

    Args:
        call: uses the server.
        patience: seconds after which its error is raised.
        kind: the errors after which the server may answer.
    """
    began, pause, has_warned = time.monotonic(), 0.5, False
    while True:
        try:
            return call()
        except kind as error:
            left = patience - (time.monotonic() - began)
            if left <= 0:
                raise
            if not has_warned:
                has_warned = True
                log.warning(
                    f"tracking  waiting up to {patience:.0f} s (tracking.start_timeout) to begin a run: {error}"
                )
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)


def prepare_server(uri: str) -> str:
    """Check a store's address, pass its credentials to MLflow, and return the address for MLflow.

    User and password of a web address are set as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, so that no
    later message contains them.

    Raises:
        UserError: for a kind of store that MLflow does not support, a driver that is not installed, a masked password,
            or a wrong address.
        ServerAway: if no server answers.
    """
    if is_masked(uri):
        raise UserError(
            f"tracking.uri={mask_url(uri)}: the password was replaced by {MASK}; expected the password itself, "
            f"or an address without it and {_USER} and {_PASSWORD} in the environment"
        )
    scheme = uri.partition("://")[0].lower() if "://" in uri else ""
    if scheme in ("http", "https"):
        return _prepare_web(uri)
    if scheme.partition("+")[0] in _DATABASES:
        uri = encode_password(uri)
        _check_database(uri)
    elif scheme == "sqlite" or uri.startswith("sqlite:"):
        raise UserError(
            f"tracking.uri={uri}: no file; expected sqlite:///FILE, or sqlite:////FILE for an absolute path"
        )
    elif scheme in ("", "file") and uri != "databricks":
        if os.environ.get(_FILES, "").lower() not in ("true", "1"):
            raise UserError(
                f"tracking.uri={mask_url(uri)}: a folder of files, which MLflow no longer supports; {_EXPECTED}; "
                f"mlflow migrate-filestore converts its runs, {_FILES}=true allows it"
            )
    elif scheme != "databricks":
        raise UserError(f"tracking.uri={mask_url(uri)}: MLflow has no store of the kind {scheme!r}; {_EXPECTED}")
    return uri


def _prepare_web(uri: str) -> str:
    bare, user, password = split_credentials(uri)
    _check_web_address(uri, bare)
    if user is not None:
        os.environ[_USER], os.environ[_PASSWORD] = user, password or ""
    request = urllib.request.Request(f"{bare.rstrip('/')}/health")
    if os.environ.get(_USER) is not None:
        pair = f"{os.environ[_USER]}:{os.environ.get(_PASSWORD, '')}".encode()
        request.add_header("Authorization", f"Basic {b64encode(pair).decode()}")
    try:
        _ask(request, mask_url(bare))
    except urllib.error.HTTPError as error:
        if error.code == 401 and user is not None:
            raise UserError(
                f"tracking.uri={mask_url(uri)}: the server refuses this user or password (401); expected those of an "
                "account there"
            ) from None
        # Any other answer shows that there is a server; MLflow reports refusals better.
    except TimeoutError:
        raise ServerAway(
            f"tracking.uri={mask_url(uri)}: a server accepts connections there and has not answered for "
            f"{SIGN_OF_LIFE + BUSY:.0f} s; restart it if it hangs, correct the address, or choose tracking=local"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            reason = getattr(reason, "strerror", None) or reason
            raise ServerAway(
                f"tracking.uri={mask_url(uri)}: no MLflow server answers there ({reason}); start it, correct the "
                "address, or choose tracking=local"
            ) from None
    return bare


def _ask(request: urllib.request.Request, shown: str) -> None:
    """Wait for an answer, and longer from a server that accepts the connection but is busy.

    Raises:
        TimeoutError: if it accepts the connection and does not answer.
        OSError: any other error; URLError if there is no connection.
    """
    try:
        urllib.request.urlopen(request, timeout=SIGN_OF_LIFE).close()
    except TimeoutError:  # while it was read; that of a connection comes within a URLError
        log.warning(f"tracking  {shown} is slow to answer; waiting up to {BUSY:.0f} s")
        urllib.request.urlopen(request, timeout=BUSY).close()


def _check_web_address(uri: str, bare: str) -> None:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(bare)
        is_right = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_right = False
    if not is_right or re.search(r"\s", bare):
        raise UserError(f"tracking.uri={mask_url(uri)}: not a web address; expected http://HOST:PORT")


def _check_database(uri: str) -> None:
    """Check that SQLAlchemy has the driver and that a server listens."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    shown = mask_url(uri)
    kind = uri.partition("://")[0].partition("+")[0]
    try:
        address = make_url(uri)
        address.get_dialect().import_dbapi()
    except ImportError as error:
        raise UserError(
            f"tracking.uri={shown}: its driver is not installed: expected the Python package {error.name}; or name "
            f"another driver of SQLAlchemy's, as {kind}+DRIVER://..."
        ) from None
    except NoSuchModuleError:
        raise UserError(f"tracking.uri={shown}: SQLAlchemy has no such driver; {_EXPECTED}") from None
    except (ArgumentError, ValueError) as error:
        reason = mask_secrets(str(error).splitlines()[0], uri)
        raise UserError(
            f"tracking.uri={shown}: not an address of a database ({reason}); {_EXPECTED}; an @, / or : in a password "
            "is written %40, %2F or %3A"
        ) from None
    if address.host is None or address.host.startswith("/"):
        return
    try:
        socket.create_connection((address.host, address.port or _DATABASES[kind]), SIGN_OF_LIFE).close()
    except OSError as error:
        raise UserError(
            f"tracking.uri={shown}: no database answers there ({error.strerror or error}); start it, correct the "
            "address, or choose tracking=local"
        ) from None


def describe_connection_error(error: Exception) -> str:
    """Describe an error of MLflow's client in one line, without secrets and names of Python's objects."""
    from urllib3.exceptions import HTTPError

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HTTPError):
        cause = cause.__cause__ or cause.__context__
    reason = getattr(cause, "reason", None) or cause or error
    text = " ".join(str(reason).split()) or type(error).__name__
    # urllib3 puts the object of the connection in front: HTTPConnection(host='127.0.0.1', port=5000): Failed ...
    text = text.rpartition("): ")[2] if text.startswith("HTTP") else text
    return mask_secrets(re.sub(r"\[Errno -?\d+\] ", "", text))[:300]
