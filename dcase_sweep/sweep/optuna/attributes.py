"""The names under which a search stores what it knows of its trials and of itself."""

#: Attributes of trials.
REJECTED, ERROR, INTERRUPTED, SURPLUS, RETRY_OF = "rejected", "error", "interrupted", "surplus", "retry_of"
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
#: The owning process of a trial, and the time of its last heartbeat in seconds since 1970.
OWNER, ALIVE = "owner", "alive"

#: Attributes of studies: why a search ended, because of an error or because nothing is left to try.
SIGNATURE, RECORD, STOPPED, EXHAUSTED = "signature", "mlflow_parent", "stopped", "exhausted"
#: The number of workers that the study has had, on all machines.
WORKERS = "workers"
#: What another machine needs to join the search.
COMMAND = "command"
