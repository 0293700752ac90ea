"""The names under which a search stores what it knows of its trials and of itself.

This module imports nothing slow, so that the state of a search can be read without Optuna.
"""

from collections.abc import Mapping
from typing import Any

#: Attributes of trials.
REJECTED, ERROR, INTERRUPTED, SURPLUS, RETRY_OF = "rejected", "error", "interrupted", "surplus", "retry_of"
#: The error of a trial whose process had ended when another one closed it.
GONE = "its process is gone"
OVERRIDES, FOLDER, RUN = "overrides", "folder", "run_id"
SECONDS, WORK, THREADS, METRICS = "seconds", "work_seconds", "threads", "metrics"
#: A note on a trial's metrics, and the number of steps after which a retried trial continued.
NOTE, CONTINUED = "note", "continued_after_epochs"
#: The number of the earlier trial with the same configuration, whose result was copied.
REPEAT_OF = "repeat_of"
#: The worker of a trial, if a launcher has started it.
LAUNCHED = "launched"
#: Whether the worker of a trial has died, and the batch job that it was part of.
DIED, JOB = "died", "batch_job"
#: The longest time that a trial took for an epoch, in seconds, stored by workers with a time limit.
EPOCH = "epoch_seconds"
#: The seeds of a trial that is trained with several; what is known of their jobs; the place of a seed after the first
#: and its number of steps; metric → standard deviation over the seeds.
SEEDS, SEED_JOBS, SEED_STEP, SPREAD = "seeds", "seed_jobs", "seed_step", "spread"
#: The owning process of a trial, and the time of its last heartbeat in seconds since 1970.
OWNER, ALIVE = "owner", "alive"

#: Attributes of studies: why a search ended, because of an error or because nothing is left to try.
SIGNATURE, RECORD, STOPPED, EXHAUSTED = "signature", "mlflow_parent", "stopped", "exhausted"
#: The IDs of the records of jobs that are marked as the best.
MARKED = "marked"
#: The number of workers that the study has had, on all machines.
WORKERS = "workers"
#: What another machine needs to join the search: its settings, and the overrides of its command.
COMMAND = "command"


def kind_of(state: str, attributes: Mapping[str, Any]) -> str:
    """Return the kind of a trial: waiting, running, finished, pruned, rejected, repeated, failed, interrupted, surplus.

    Args:
        state: the name of Optuna's state, ``RUNNING``.
        attributes: the trial's attributes.
    """
    if state == "FAIL":
        if attributes.get(SURPLUS):
            return "surplus"
        return "interrupted" if attributes.get(INTERRUPTED) else "failed"
    if state == "PRUNED" and REJECTED in attributes:
        return "rejected"
    if state in ("PRUNED", "COMPLETE") and REPEAT_OF in attributes:
        return "repeated"
    return {"PRUNED": "pruned", "COMPLETE": "finished", "RUNNING": "running", "WAITING": "waiting"}[state]
