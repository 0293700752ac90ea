"""The data set of an experiment and the stored features of its recordings."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcase_sweep.audio.front_end import ClipFrontEnd
from dcase_sweep.audio.packed import PackedWaveforms
from dcase_sweep.config import Experiment, build, build_front_end, build_task, stored_configuration
from dcase_sweep.data.files import check_samples
from dcase_sweep.data.leaks import find_copies
from dcase_sweep.data.store import FeatureStore, KnownFiles, open_store
from dcase_sweep.data.waveforms import TrainingWaveforms
from dcase_sweep.tasks.data_checks import check_loaded
from dcase_sweep.tasks.notes import SYNTHETIC
from dcase_sweep.tasks.protocols import TaskData
from dcase_sweep.utils import console
from dcase_sweep.utils.cpu import usable_cores
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.failures import naming_component
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)

#: Recordings whose length differs from the clip length by more than this factor are reported; they may be the wrong
#: files.
_FAR = 2.0


def load_features(experiment: Experiment, device: str = "cpu") -> tuple[TaskData, FeatureStore]:
    """Return the data set and the stored features of its recordings. Missing features are computed.

    Raises:
        DataError: with all problems found in the tables, headers and samples.
    """
    workers = experiment.hardware.workers or usable_cores()
    dataset = build("data", experiment.data)
    if hasattr(dataset, "prepare"):
        with console.progress("demo", 1) as bar:
            dataset.prepare(lambda done, total: bar.update(done, total=total))
    front_end = build_front_end(experiment)
    where: dict[str, Any] = {
        "store_root": Path(experiment.store.root).expanduser(),
        "configuration": stored_configuration(experiment, front_end),
    }

    def check(root: Path, names: Sequence[str]) -> list[str]:
        return _check_recordings(root, names, KnownFiles(root, **where), front_end, workers)

    data = _load_data(experiment, dataset, check)
    began = time.perf_counter()
    with (
        naming_component("front_end", experiment.front_end._target_, front_end),
        console.progress("features", len(data.filenames)) as bar,
    ):
        store = open_store(
            data.root,
            data.filenames,
            front_end,
            **where,
            device=device,
            workers=workers,
            name=data.name,
            on_progress=lambda done, total: bar.update(done, total=total),
            on_note=log.warning,
        )
    changed = describe_changes(data.filenames, store, front_end.seconds)
    if store.problems:
        data = _drop_invalid(experiment, dataset, data, store)
    _describe(data, store, time.perf_counter() - began, changed)
    return data, store


def load_waveforms(experiment: Experiment, data: TaskData) -> TrainingWaveforms:
    """Return the stored waveforms of the training clips, for ``front_end.store=false``. Missing ones are decoded.

    Args:
        experiment: the validated experiment.
        data: the data set, whose recordings can be read. Without ``splits`` all of its clips are training clips.
    """
    front_end = build_front_end(experiment)
    packed = PackedWaveforms(sample_rate=front_end.sample_rate, seconds=front_end.seconds, padding=front_end.padding)
    splits = getattr(data, "splits", {})
    rows = np.unique(splits["train"]) if "train" in splits else np.arange(len(data.filenames))
    filenames = data.filenames
    names = [filenames[row] for row in rows.tolist()]
    began = time.perf_counter()
    with console.progress("waveforms", len(names)) as bar:
        store = open_store(
            data.root,
            names,
            packed,
            store_root=Path(experiment.store.root).expanduser(),
            configuration=packed.configuration,
            workers=experiment.hardware.workers or usable_cores(),
            name=data.name,
            on_progress=lambda done, total: bar.update(done, total=total),
            on_note=log.warning,
        )
    if store.problems:
        raise DataError(store.problems)
    seconds = time.perf_counter() - began
    how = f"{store.computed} training clips in {seconds:.1f} s" if store.computed else "all in the store"
    console.field("waveforms", how)
    return TrainingWaveforms.of(store.features[:, 0].view(np.int16), rows, len(filenames))


def _check_recordings(
    root: Path, names: Sequence[str], known: KnownFiles, front_end: ClipFrontEnd, workers: int
) -> list[str]:
    """Return the problems of recordings. Those whose content is known are not read."""
    problems = known.problems(names)
    if problems is not None:
        return problems
    with console.progress("check", len(names)) as bar:
        problems = check_samples(
            root,
            names,
            sample_rate=front_end.sample_rate,
            seconds=front_end.seconds,
            workers=workers,
            on_progress=lambda done, _: bar.update(done),
            known=known,
        )
    known.contents.save()
    return problems


def _load_data(experiment: Experiment, dataset: Any, check: Callable[[Path, Sequence[str]], list[str]]) -> TaskData:
    """Load the data set and check that it is one for the task.

    Raises:
        UserError: if it is not.
    """
    task = build_task(experiment)
    with naming_component("data", experiment.data._target_):
        data: TaskData = dataset.load(check=check)
    if not isinstance(data, task.data_type):
        raise UserError(
            f"data={experiment.data._target_}: load() gave {type(data).__name__}; expected {task.data_type.__name__} "
            f"for task={experiment.task.name}"
        )
    check_loaded(data, experiment.data._target_)
    task.validate_data(experiment, data)
    return data


def _drop_invalid(experiment: Experiment, dataset: Any, data: TaskData, store: FeatureStore) -> TaskData:
    """Return the data without the recordings that cannot be read.

    Raises:
        DataError: if ``data.skip_invalid`` does not allow it, or no recording of a split is left.
    """
    if not getattr(dataset, "skip_invalid", False):
        raise DataError(store.problems)
    number = len(store.problems)
    log.warning(
        f"data      {console.pluralize(number, 'clip')} cannot be read and {'is' if number == 1 else 'are'} left out: "
        f"{store.problems[0]}"
    )
    valid = data.drop_invalid(store.valid)
    empty = getattr(valid, "empty_splits", ())
    if empty:
        raise DataError([*empty, *store.problems])
    build_task(experiment).validate_data(experiment, valid)
    return valid


def compute_fingerprint(data: TaskData, store: FeatureStore) -> str:
    """Compute a hash of the data of an experiment: names, labels, splits and file contents."""
    return hashlib.sha256(f"{data.fingerprint} {store.fingerprint}".encode()).hexdigest()[:16]


def describe_changes(names: Sequence[str], store: FeatureStore, seconds: float) -> list[str]:
    """Describe how many recordings were resampled, padded and cut, and which differs most from the clip length.

    Args:
        names: names of the store's clips.
        store: the store, with the changes of each clip.
        seconds: clip length, s.
    """
    changed = [f"{store.count(what)} {what}" for what in ("resampled", "padded", "cut") if store.count(what)]
    lengths = [(state.seconds, name) for state, name in zip(store.states, names, strict=True) if state.seconds]
    if lengths and min(lengths)[0] < seconds / _FAR:
        changed.append(f"the shortest {min(lengths)[0]:.2f} s of {seconds:g} s: {printable(min(lengths)[1])}")
    if lengths and max(lengths)[0] > seconds * _FAR:
        changed.append(f"the longest {max(lengths)[0]:,.2f} s of {seconds:g} s: {printable(max(lengths)[1])}")
    return changed


def _describe(data: TaskData, store: FeatureStore, seconds: float, changed: Sequence[str]) -> None:
    note = f" ({SYNTHETIC})" if data.is_synthetic else ""
    console.field("data", f"{data.description}{note}")
    for name, text in getattr(data, "notes", ()):
        console.field(name, printable(text))
    copies = find_copies(data.filenames, store.digests, getattr(data, "splits", {}))
    if copies:
        first, second = copies[0]
        log.warning(
            f"leak      {console.pluralize(len(copies), 'recording')} in two splits under different names, so that "
            f"results are too good: {printable(first)} is the same as {printable(second)}"
        )
    for part in getattr(data, "coverage", ()):
        if part.absence:
            console.field("missing", part.absence)
    how = f"{store.computed} clips in {seconds:.1f} s" if store.computed else "all in the store"
    console.field("features", ", ".join([how, *changed]))
