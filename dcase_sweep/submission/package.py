"""Creation of a package: its systems, checks before the predictions, and its files."""

import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dcase_sweep.submission.archives import write_archive
from dcase_sweep.submission.check import check_package
from dcase_sweep.submission.event_output import write_events, write_scores
from dcase_sweep.submission.metadata import describe_system
from dcase_sweep.submission.metadata_check import check_metadata
from dcase_sweep.submission.problems import Problems
from dcase_sweep.submission.recordings import EvaluationRecording
from dcase_sweep.submission.rules import METADATA, REPORT, SCENE_OUTPUT, Label, SubmissionRules
from dcase_sweep.submission.scene_output import check_names, write_scenes
from dcase_sweep.submission.scores import ScoredRecording
from dcase_sweep.submission.systems import TrainedSystem, group_trainings
from dcase_sweep.submission.yaml_files import write_yaml
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_files import read_bytes

#: Prefix of the folder in which a package is built, and the age in seconds at which such a folder is abandoned.
_BUILDING, _LEFT_BEHIND = ".building-", 3600.0


@dataclass(frozen=True, slots=True)
class PlannedSystem:
    """A system of a package.

    Attributes:
        label: label of the system.
        trainings: its runs; several if the rules require them.
    """

    label: Label
    trainings: tuple[TrainedSystem, ...]


def plan_systems(systems: Sequence[TrainedSystem], first: Label, rules: SubmissionRules) -> list[PlannedSystem]:
    """Assign labels to the runs: each is a system, or each group of runs that differ only in their seed.

    Args:
        systems: the runs in the order of the command line.
        first: the label of the first one; the numbers of the others follow.
        rules: the rules of the challenge.

    Raises:
        UserError: for more systems than a submission may have, or a training that is given twice.
    """
    groups = group_trainings(systems) if rules.trainings > 1 else [[system] for system in systems]
    for group in groups:
        _check_different(group)
    if first.number + len(groups) - 1 > rules.most_systems:
        raise UserError(
            f"{len(groups)} systems from {first} on; expected at most {rules.most_systems} in a submission, numbered "
            f"from 1 to {rules.most_systems}"
        )
    return [
        PlannedSystem(replace(first, number=first.number + place), tuple(group)) for place, group in enumerate(groups)
    ]


def _check_different(trainings: Sequence[TrainedSystem]) -> None:
    """Check that the trainings of a system are different networks, so that their spread is one over seeds."""
    seen: dict[str, str] = {}
    for training in trainings:
        if training.identity in seen:
            same, given = printable(seen[training.identity]), printable(training.given)
            raise UserError(f"run={given}: the same network as run={same}; expected trainings with different seeds")
        seen[training.identity] = training.given


def check_output(output: Path, systems: Sequence[PlannedSystem], rules: SubmissionRules) -> None:
    """Check that the folder contains no system that is not in this submission.

    Raises:
        UserError: if there is one.
    """
    folder, labels = output / rules.folder, {str(each.label) for each in systems}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and path.name not in labels:
            raise UserError(
                f"{path}: a system that is not among these runs; expected all runs of a submission in one command, or "
                "another folder (-o)"
            )


def describe_systems(systems: Sequence[PlannedSystem], rules: SubmissionRules) -> dict[str, dict[str, Any]]:
    """Return the metadata from the runs, by label."""
    return {str(each.label): describe_system(each.label, each.trainings, rules) for each in systems}


def find_problems(
    systems: Sequence[PlannedSystem],
    metadata: Mapping[str, Mapping[str, Any]],
    recordings: Sequence[EvaluationRecording],
    report: Path | None,
    rules: SubmissionRules,
    person: Path,
) -> Problems:
    """Return the problems of a submission that can be found before the predictions.

    Args:
        systems: the systems of the package.
        metadata: metadata of each system by its label.
        recordings: the recordings of the evaluation set.
        report: the technical report.
        rules: the rules of the challenge.
        person: the file that the user fills in, for messages.
    """
    problems = Problems()
    for system in systems:
        where = f"{printable(person)}: {system.label}"
        check_metadata(metadata[str(system.label)], str(system.label), rules, where, problems)
        _check_training(system, rules, problems)
    names = [each.filename for each in recordings]
    check_names(names, [printable(each.path) for each in recordings], rules, "--recordings", problems)
    if report is None:
        problems.add("no technical report; expected --report FILE.pdf")
    else:
        with problems.caught():
            if b"%PDF" not in read_bytes(report, "the technical report (.pdf)")[:1024]:
                problems.add(f"--report {printable(report)}: is no PDF; expected the technical report")
    return problems


def _check_training(system: PlannedSystem, rules: SubmissionRules, problems: Problems) -> None:
    classes = system.trainings[0].model.classes
    if set(classes) != set(rules.classes):
        found = printable(", ".join(classes), 160)
        problems.add(f"{system.label}: trained on {found}; expected the classes {', '.join(rules.classes)}")
    if len(system.trainings) != rules.trainings:
        given = printable(", ".join(each.given for each in system.trainings))
        problems.add(
            f"{system.label}: {len(system.trainings)} trainings ({given}); expected {rules.trainings} that differ in "
            "their seed alone"
        )


def write_system(
    folder: Path,
    system: PlannedSystem,
    scored: Sequence[Sequence[ScoredRecording]],
    metadata: Mapping[str, Any],
    rules: SubmissionRules,
) -> None:
    """Write the files of a system.

    Args:
        folder: the root of the package.
        system: the system.
        scored: the predictions of each of its trainings.
        metadata: metadata of the system.
        rules: the rules of the challenge.
    """
    place = folder / rules.folder / str(system.label)
    place.mkdir(parents=True)
    write_text(place / f"{system.label}{METADATA}", write_yaml(dict(metadata)))
    if rules.kind == "scenes":
        classes = system.trainings[0].model.classes
        columns = rules.classes if set(classes) == set(rules.classes) else sorted(classes)
        write_text(place / f"{system.label}{SCENE_OUTPUT}", write_scenes(scored[0], classes, columns))
    elif rules.trainings == 1:
        write_events(place, str(system.label), scored[0], system.trainings[0])
    else:
        for number, (each, training) in enumerate(zip(scored, system.trainings, strict=True), start=1):
            write_scores(place, str(system.label), number, each, training)


@contextmanager
def building(output: Path) -> Iterator[Path]:
    """Yield an empty folder in ``output`` in which a package is built; remove it at the end.

    The folder of a killed process is removed after an hour.
    """
    for left in output.glob(f"{_BUILDING}*"):
        if left.stat().st_mtime < time.time() - _LEFT_BEHIND:
            shutil.rmtree(left, ignore_errors=True)
    folder = output / f"{_BUILDING}{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def finish(
    built: Path,
    output: Path,
    name: str,
    rules: SubmissionRules,
    recordings: Sequence[EvaluationRecording],
    is_wanted: Callable[[Sequence[str]], bool],
) -> tuple[Path | None, tuple[str, ...]]:
    """Validate a package, and move it and its archive to the output folder, whose other files stay.

    Args:
        built: the folder with its files.
        output: the output folder.
        name: name of the archive.
        rules: the rules of the challenge.
        recordings: the recordings of the evaluation set.
        is_wanted: tells whether to write a package with these problems.

    Returns:
        The archive, or None, and the problems.
    """
    problems = check_package(built, recordings).problems
    if not is_wanted(problems):
        return None, problems
    archive = output / name
    write_archive(archive, built, [path for path in built.rglob("*") if path.is_file()])
    (output / rules.folder).mkdir(parents=True, exist_ok=True)
    for part in (built / rules.folder).iterdir():  # folders of systems, and the report
        target = output / rules.folder / part.name
        if target.is_dir():
            shutil.rmtree(target)
        part.replace(target)
    return archive, problems


def copy_report(report: Path, folder: Path, label: Label, rules: SubmissionRules) -> None:
    """Copy the technical report to the folder of the systems."""
    shutil.copyfile(report, folder / rules.folder / f"{label.stem}{REPORT}")
