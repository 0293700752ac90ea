"""One study in shared storage: made, continued or refused; what each of its trials counts for."""

import json
import os
import re
import socket
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.errors import UserError

#: Attributes of trials.
REJECTED, ERROR, INTERRUPTED, SURPLUS, RETRY_OF = "rejected", "error", "interrupted", "surplus", "retry_of"
OVERRIDES, FOLDER, RUN, OWNER = "overrides", "folder", "run_id", "owner"
SECONDS, WORK, THREADS, METRICS = "seconds", "work_seconds", "threads", "metrics"
#: What must stand beside a trial's metrics; with how many epochs a trial that was tried again began.
NOTE, CONTINUED = "note", "continued_after_epochs"
#: Attributes of studies.
SIGNATURE, PARENT, STOPPED = "signature", "mlflow_parent", "stopped"


@dataclass(frozen=True, slots=True)
class Objective:
    """What a search optimises: metrics of finished runs, each to be made large or small."""

    metrics: tuple[str, ...]
    directions: tuple[str, ...]

    @staticmethod
    def parse(wanted: Mapping[str, str]) -> "Objective":
        """From metric → ``maximize`` or ``minimize``.

        Raises:
            UserError: for another direction.
        """
        for metric, direction in wanted.items():
            if direction not in ("maximize", "minimize"):
                raise UserError(f"search.objective.{metric}={direction}: expected maximize or minimize")
        return Objective(tuple(wanted), tuple(wanted.values()))

    @property
    def pruned_by(self) -> str | None:
        """The metric of an epoch that says how well a run does; None where there is none, or several objectives.

        ``best/X`` is the best epoch's ``X``.
        """
        if len(self.metrics) != 1 or not self.metrics[0].startswith("best/"):
            return None
        return self.metrics[0].removeprefix("best/")


#: Lines of a journal that the disk is waited for.
_LASTING = {JournalOperation.CREATE_STUDY, JournalOperation.SET_TRIAL_STATE_VALUES}


class _Journal(JournalFileBackend):
    """Optuna's journal file under a lock that the kernel drops with the process that held it.

    A kill leaves no storage locked; and a line that it cut short is dropped before the next one is written, since
    nobody could read past it. The disk is waited for, as a power cut demands, when a trial ends, not at each of the
    twenty lines before.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._file_lock = FileLock(path.with_name(path.name + ".lock"))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._file_lock:
            _drop_cut_line(self._path)
            with self._path.open("ab") as handle:
                handle.write(text.encode())
                handle.flush()
                if any(log["op_code"] in _LASTING for log in logs):
                    os.fsync(handle.fileno())


def _drop_cut_line(path: Path) -> None:
    with path.open("rb+") as handle:
        end = handle.seek(0, os.SEEK_END)
        if end == 0:
            return
        handle.seek(end - 1)
        if handle.read(1) == b"\n":
            return
        handle.seek(0)
        handle.truncate(handle.read().rfind(b"\n") + 1)


def open_storage(where: str) -> BaseStorage:
    """The storage that a URL names; a plain path is a journal file.

    Raises:
        UserError: if it cannot be opened.
    """
    if "://" not in where:
        path = Path(where)
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(_Journal(path))
    if where.startswith("sqlite:///"):
        Path(where.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        wait = {"connect_args": {"timeout": 60}} if where.startswith("sqlite") else {"pool_pre_ping": True}
        return RDBStorage(where, engine_kwargs=wait)
    except ImportError as error:
        driver = getattr(error.__cause__, "name", None) or error.name
        kind = where.partition(":")[0].partition("+")[0]
        raise UserError(
            f"hydra.sweeper.storage={kind}://...: its driver is not installed: expected the package {driver}; or name "
            f"another driver of SQLAlchemy's, as {kind}+DRIVER://..."
        ) from error
    except Exception as error:
        raise UserError(f"hydra.sweeper.storage={without_password(where)}: {str(error).splitlines()[0]}") from error


def without_password(url: str) -> str:
    """A URL as people may see it."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


@dataclass(frozen=True, slots=True)
class Signature:
    """What must stay as it is while a study goes on."""

    space: Mapping[str, str]
    objective: Mapping[str, str]
    limits: Mapping[str, float]
    #: The flattened configuration that all trials share, without what varies.
    configuration: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, dict[str, Any]]:
        """As JSON can hold it."""
        return {
            "space": dict(self.space),
            "objective": dict(self.objective),
            "limits": dict(self.limits),
            "configuration": dict(self.configuration),
        }


def differences(then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What changed between two signatures, a line each."""
    lines = []
    for part in now:
        before, after = then.get(part, {}), now[part]
        for key in [*before, *(key for key in after if key not in before)]:
            if before.get(key) != after.get(key):
                lines.append(f"{part} {key}: was {before.get(key, 'not there')}, is {after.get(key, 'not there')}")
    return lines


def open_study(storage: BaseStorage, name: str, objective: Objective, signature: Signature, *, fresh: bool) -> Any:
    """The study of this name: new, or continued if it has the same signature.

    A fresh one leaves the earlier ones as they are: it is called ``NAME.2`` and so on, and is the one that is
    continued from then on.

    Raises:
        UserError: for a changed signature, with the differences.
    """
    names = [found.study_name for found in storage.get_all_studies()]
    generation = max((_generation(found, name) for found in names), default=0)
    if generation and not fresh:
        study = optuna.load_study(study_name=_of_generation(name, generation), storage=storage)
        changed = differences(study.user_attrs.get(SIGNATURE, {}), signature.plain())
        if changed:
            more = f"; and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise UserError(
                f"study {study.study_name} was begun otherwise: {'; '.join(changed[:5])}{more}. Use another "
                "hydra.sweeper.study_name, or hydra.sweeper.fresh=true to begin anew beside it"
            )
        study.set_user_attr(STOPPED, None)
        return study
    study = optuna.create_study(
        study_name=_of_generation(name, generation + 1),
        storage=storage,
        directions=[*objective.directions],  # type: ignore[list-item]
    )
    study.set_user_attr(SIGNATURE, signature.plain())
    study.set_metric_names(list(objective.metrics))
    return study


def _generation(found: str, name: str) -> int:
    if found == name:
        return 1
    number = found.removeprefix(f"{name}.")
    return int(number) if found != number and number.isdigit() else 0


def _of_generation(name: str, generation: int) -> str:
    return name if generation == 1 else f"{name}.{generation}"


def kind(trial: FrozenTrial) -> str:
    """What became of a trial: waiting, running, finished, pruned, rejected, interrupted, surplus or failed."""
    if trial.state == TrialState.FAIL:
        if trial.user_attrs.get(SURPLUS):
            return "surplus"
        return "interrupted" if trial.user_attrs.get(INTERRUPTED) else "failed"
    if trial.state == TrialState.PRUNED:
        return "rejected" if REJECTED in trial.user_attrs else "pruned"
    return {TrialState.COMPLETE: "finished", TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}[trial.state]


def best_of(trials: Iterable[FrozenTrial], direction: str) -> FrozenTrial | None:
    """The first of the best finished trials of one objective; storages return equals in any order."""
    finished = sorted((trial for trial in trials if kind(trial) == "finished"), key=lambda trial: trial.number)
    choose = max if direction == "maximize" else min
    return choose(finished, key=lambda trial: float(trial.values[0]), default=None)


def notes(trials: Sequence[FrozenTrial]) -> list[str]:
    """What must stand beside the results of these trials."""
    return list(dict.fromkeys(trial.user_attrs[NOTE] for trial in trials if NOTE in trial.user_attrs))


def counts(trials: Sequence[FrozenTrial]) -> Counter[str]:
    """How many trials of each kind."""
    return Counter(kind(trial) for trial in trials)


def is_counted(trial: FrozenTrial) -> bool:
    """Whether a trial is one of the wanted number: finished, pruned, or on its way."""
    return kind(trial) in ("finished", "pruned", "running")


def ask(study: "optuna.Study", n_trials: int) -> "optuna.Trial | None":
    """The next trial, or None if enough are finished or on their way.

    Workers know nothing of one another: two may ask for the last one at once. Then the later number gives way.
    """
    if study.user_attrs.get(STOPPED) or sum(map(is_counted, study.get_trials(deepcopy=False))) >= n_trials:
        return None
    trial = study.ask()
    trial.set_user_attr(OWNER, f"{socket.gethostname()}:{os.getpid()}")
    earlier = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
    if sum(map(is_counted, earlier)) >= n_trials:
        trial.set_user_attr(SURPLUS, True)
        study.tell(trial, state=TrialState.FAIL)
        return None
    return trial


def fail(study: "optuna.Study", trial: FrozenTrial, error: str, *, interrupted: bool = False) -> None:
    """Close a trial that nobody works on any more."""
    storage, identity = study._storage, trial._trial_id
    storage.set_trial_user_attr(identity, ERROR, error)
    if interrupted:
        storage.set_trial_user_attr(identity, INTERRUPTED, True)
    storage.set_trial_state_values(identity, state=TrialState.FAIL)


def recover(study: "optuna.Study") -> list[FrozenTrial]:
    """Close the trials that an earlier command left running, and have each tried once more.

    Trials of a process that is alive on this machine are another command's and stay; so are those of other machines.
    """
    closed = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.RUNNING and not _is_alive(trial.user_attrs.get(OWNER, "")):
            fail(study, trial, "interrupted: its process is gone", interrupted=True)
            closed.append(trial)
    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
    for trial in trials:
        if kind(trial) == "interrupted" and trial.number not in retried and RETRY_OF not in trial.user_attrs:
            if not trial.params:
                continue  # killed before anything was sampled
            study.enqueue_trial(trial.params, user_attrs={RETRY_OF: trial.number})
    return closed


def _is_alive(owner: str) -> bool:
    host, _, pid = owner.rpartition(":")
    if not pid.isdigit():
        return False
    if host != socket.gethostname():
        return True  # nobody here can tell
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
