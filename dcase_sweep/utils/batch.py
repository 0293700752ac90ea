"""The batch job that this process is part of, and whether it was requeued."""

import os
import re
from dataclasses import dataclass

#: Digits of a job's number; Slurm's names of clusters are words.
_ID = re.compile(r"[\w.\-]{1,100}")


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A job of Slurm's.

    Attributes:
        id: the cluster, the job and its task in an array. It stays the same when the job is requeued.
        restarts: how often the job was restarted.
    """

    id: str
    restarts: int = 0

    def __str__(self) -> str:
        return f"{self.id}@{self.restarts}"

    def has_replaced(self, text: object) -> bool:
        """Whether this is a later start of the job that ``str(job)`` names: its processes have ended then."""
        name, _, restarts = str(text).rpartition("@")
        return name == self.id and restarts.isdecimal() and int(restarts) < self.restarts

    def is_same(self, text: object) -> bool:
        """Whether ``str(job)`` names this job or an earlier start of it."""
        return str(text).rpartition("@")[0] == self.id


def find_batch_job() -> BatchJob | None:
    """Return the job of Slurm's that this process is part of; None if there is none.

    The variables are described in the manual of ``sbatch``: ``SLURM_RESTART_COUNT`` is set after a restart only.
    """
    names = ("SLURM_CLUSTER_NAME", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    cluster, array, task = (os.environ.get(name, "") for name in names)
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
    if not _ID.fullmatch(job):
        return None
    restarts = os.environ.get("SLURM_RESTART_COUNT", "")
    where = f"{cluster}:" if _ID.fullmatch(cluster) else ""
    return BatchJob(f"slurm:{where}{job}", int(restarts) if restarts.isdecimal() else 0)


def is_requeued() -> bool:
    """Whether this process is part of a job that was restarted, after a preemption or the failure of a node."""
    job = find_batch_job()
    return job is not None and job.restarts > 0
