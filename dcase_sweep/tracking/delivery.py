"""Sending of records to MLflow, and what its answers mean."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcase_sweep.tracking.servers import describe_connection_error
from dcase_sweep.tracking.spool import (
    ARTIFACT,
    BATCH,
    DATA,
    END,
    Entry,
    claim_unsent,
    find_unsent,
    remove_unsent,
)
from dcase_sweep.tracking.stores import Store, retry
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_secrets

log = logging.getLogger(__name__)

#: MLflow accepts 1,000 values in one call, of which 100 may be parameters and 100 tags.
MOST_PAIRS, MOST_METRICS = 100, 800
#: Answers that may be others later: missing rights, timeouts, too many requests.
_PASSING = (401, 403, 407, 408, 425, 429)


def deliver(store: Store, entry: Entry, folder: Path) -> None:
    """Send one record; to send it again changes nothing.

    Args:
        store: the store.
        entry: the record.
        folder: the folder that the paths of artifacts are relative to.

    Raises:
        Exception: as MLflow and its artifact stores raise them.
    """
    client, content = store.client, entry.content
    if entry.kind == BATCH:
        client.log_batch(entry.run, **_batch(content))
    elif entry.kind == DATA:
        from mlflow.entities import Dataset, DatasetInput

        dataset = Dataset(name=content["name"], digest=content["digest"], source_type="local", source=content["source"])
        client.log_inputs(entry.run, [DatasetInput(dataset)])
    elif entry.kind == ARTIFACT:
        path, target = folder / content["path"], content["folder"] or None
        if path.is_dir():
            client.log_artifacts(entry.run, str(path), target)
        else:
            client.log_artifact(entry.run, str(path), target)
    elif entry.kind == END:
        client.set_terminated(entry.run, content["status"], content["time"])


def _batch(content: dict[str, Any]) -> dict[str, Any]:
    from mlflow.entities import Metric, Param, RunTag

    return {
        "metrics": [Metric(*metric) for metric in content["metrics"]],
        "params": [Param(*pair) for pair in content["params"]],
        "tags": [RunTag(*pair) for pair in content["tags"]],
    }


def join_batches(entries: Sequence[Entry]) -> tuple[Entry, int]:
    """Join the metrics of the first records, as far as one call takes them; returns them and the number of records."""
    first = entries[0]
    metrics, count = list(first.content.get("metrics", ())), 1
    if first.kind != BATCH:
        return first, 1
    for entry in entries[1:]:
        more = entry.content.get("metrics", ())
        is_like = entry.kind == BATCH and entry.run == first.run
        if not is_like or entry.content["params"] or entry.content["tags"] or len(metrics) + len(more) > MOST_METRICS:
            break
        metrics += more
        count += 1
    return Entry(first.kind, first.run, {**first.content, "metrics": metrics}), count


def is_refused(error: Exception) -> bool:
    """Whether a server has answered that it does not take a record, so that to wait changes nothing."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, FileNotFoundError):
        return True
    status = error.get_http_status_code() if isinstance(error, MlflowException) else None
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # of a store such as S3
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", status)
    elif response is not None:
        status = getattr(response, "status_code", status)
    return isinstance(status, int) and 400 <= status < 500 and status not in _PASSING


def send_unsent(store: Store, folder: Path) -> int:
    """Send what earlier runs have left at or under a folder; returns the number of records.

    Args:
        store: the store, whose server the records are of.
        folder: folder of runs.

    Raises:
        UserError: if the server cannot be reached, in one line; what is sent by then is sent again the next time,
            which changes nothing. Also for records of another server.
    """
    sent = 0
    for found in find_unsent(folder):
        with claim_unsent(found) as unsent:
            if unsent is None:
                log.info(f"tracking  {found}: its run is still going on and sends its records itself")
                continue
            if unsent.store != store.uri:
                raise UserError(
                    f"{unsent.folder}: records for {mask_secrets(unsent.store)}, not for {store.uri}; expected "
                    f"tracking.uri={mask_secrets(unsent.store)}, or the folder removed"
                )
            for entry in unsent.entries:
                _send(store, entry, unsent.folder)
            remove_unsent(unsent)
            sent += len(unsent.entries)
            log.info(f"tracking  {pluralize(len(unsent.entries), 'record')} of {found} sent to {store.uri}")
    return sent


def _send(store: Store, entry: Entry, folder: Path) -> None:
    try:
        retry(lambda: deliver(store, entry, folder))
    except UserError:
        raise
    except Exception as error:
        if not is_refused(error):
            raise UserError(
                f"{folder}: cannot be sent to {store.uri} ({describe_connection_error(error)}); it is kept"
            ) from None
        log.warning(f"tracking  {refusal(store, entry, error)}")


def refusal(store: Store, entry: Entry, error: Exception) -> str:
    """Describe what a server does not take."""
    what = entry.content.get("path", "").rpartition("/")[2] or f"a {entry.kind}"
    return f"{store.uri} does not take {what} of run {entry.run}: {describe_connection_error(error)}"
