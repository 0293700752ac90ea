"""Validation of a package: its layout, and the files of each system. [V1], [V4] and [S] are the sources in `rules`."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.submission.archives import unpack
from dcase_sweep.submission.event_check import check_events
from dcase_sweep.submission.metadata_check import check_metadata
from dcase_sweep.submission.problems import Problems
from dcase_sweep.submission.recordings import EvaluationRecording
from dcase_sweep.submission.rules import METADATA, SCENE_OUTPUT, SubmissionRules, rules_of_label
from dcase_sweep.submission.scene_output import check_scenes
from dcase_sweep.submission.yaml_files import read_yaml
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

_EXPECTED = "a package with a folder for each system, named by its label: Kim_SNU_task1a_1"
#: Folders above that of a system in an archive [V1].
_DEPTH = 2


@dataclass(frozen=True, slots=True)
class CheckedPackage:
    """The result of a validation.

    Attributes:
        systems: the labels of the systems.
        problems: the problems, one line each.
    """

    systems: tuple[str, ...]
    problems: tuple[str, ...]


def check_package(path: Path, recordings: Sequence[EvaluationRecording] | None = None) -> CheckedPackage:
    """Validate a package by the rules of its task and year.

    Args:
        path: an archive, or a folder with its files.
        recordings: the recordings of the evaluation set; None = those that the rules define.

    Raises:
        UserError: for anything else, or a package without systems.
    """
    if path.is_dir():
        return _check_folder(path, recordings, Problems(), is_archive=False)
    problems = Problems()
    with tempfile.TemporaryDirectory(prefix="dcase_sweep-") as temporary:
        unpack(path, Path(temporary), problems)
        return _check_folder(Path(temporary), recordings, problems, is_archive=True)


def _check_folder(
    root: Path, recordings: Sequence[EvaluationRecording] | None, problems: Problems, *, is_archive: bool
) -> CheckedPackage:
    systems = list(_find_systems(root))
    if not systems and not len(problems):
        raise UserError(f"{root if not is_archive else 'the archive'}: no systems in it; expected {_EXPECTED}")
    names: dict[str, list[str]] = {}
    for folder in systems:
        where = folder.relative_to(root).as_posix()
        rules = rules_of_label(folder.name)
        if rules is None:
            problems.add(f"{where}: {printable(folder.name, 80)} is no label of a task; expected {_EXPECTED}")
            continue
        names.setdefault(rules.title, []).append(folder.name)
        if is_archive and rules.kind == "scenes" and where.count("/") != _DEPTH:  # [V1]
            problems.add(f"{where}: expected it in {rules.folder}/{folder.name}")
        with problems.caught():
            _check_system(folder, rules, where, recordings, problems)
        _check_number(folder.name, rules, where, problems)
    for title, labels in names.items():
        rules = rules_of_label(labels[0])
        if rules is not None and len(labels) > rules.most_systems:  # [S]
            problems.add(f"{title}: {len(labels)} systems; expected at most {rules.most_systems}")
        if len(set(labels)) < len(labels):
            problems.add(f"{title}: a label occurs twice; expected each once")
    _check_report(root, problems)
    # Messages about files contain their whole path. The name of a file is enough, because it contains the label.
    lines = [line.replace(f"{root}/", "") for line in problems]
    for folder in systems:
        lines = [line.removeprefix(f"{folder.relative_to(root).as_posix()}/") for line in lines]
    return CheckedPackage(tuple(folder.name for folder in systems), tuple(lines))


def _find_systems(root: Path) -> Iterator[Path]:
    """Return the folders that contain metadata or outputs, or have a label as their name."""
    for folder in sorted(path for path in root.rglob("*") if path.is_dir()):
        parts = folder.relative_to(root).parts
        if any(part.startswith(".") for part in parts):
            continue
        is_system = any(folder.glob(f"*{METADATA}")) or any(folder.glob("*.output*"))
        if is_system or (rules_of_label(folder.name) is not None and any(folder.iterdir())):
            yield folder


def _check_number(label: str, rules: SubmissionRules, where: str, problems: Problems) -> None:
    number = int(label.rpartition("_")[2])
    if not 1 <= number <= rules.most_systems:  # [V1]
        problems.add(f"{where}: its number is {number}; expected 1 to {rules.most_systems}")


def _check_system(
    folder: Path,
    rules: SubmissionRules,
    where: str,
    recordings: Sequence[EvaluationRecording] | None,
    problems: Problems,
) -> None:
    label = folder.name
    metadata = folder / f"{label}{METADATA}"
    if metadata.is_file():
        with problems.caught():
            check_metadata(read_yaml(metadata), label, rules, metadata.name, problems)
    else:
        problems.add(f"{where}: no {metadata.name}; found {_listed(folder)}")
    known = {metadata.name}
    if rules.kind == "scenes":
        known.add(_check_scene_output(folder, rules, where, recordings, problems))
    else:
        known |= check_events(folder, rules, recordings, problems)
    for path in sorted(folder.iterdir()):
        if path.name not in known and path.suffix != ".pdf":  # [V1]
            problems.add(f"{where}: {printable(path.name, 80)} is not a file of a submission; remove it")


def _check_scene_output(
    folder: Path,
    rules: SubmissionRules,
    where: str,
    recordings: Sequence[EvaluationRecording] | None,
    problems: Problems,
) -> str:
    output = folder / f"{folder.name}{SCENE_OUTPUT}"
    if output.is_file():
        expected = [each.filename for each in recordings] if recordings is not None else None
        check_scenes(output, rules, output.name, expected, problems)
    else:
        problems.add(f"{where}: no {output.name}; found {_listed(folder)}")
    return output.name


def _listed(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return printable(", ".join(names[:4]) or "nothing", 200) + (" ..." if len(names) > 4 else "")


def _check_report(root: Path, problems: Problems) -> None:
    """Check the technical report [S, V4]."""
    reports = [path for path in sorted(root.rglob("*.pdf")) if path.is_file()]
    if not reports:
        problems.add("no technical report; expected LABEL.technical_report.pdf next to the systems (--report FILE)")
    for path in reports:
        with path.open("rb") as handle:
            if b"%PDF" not in handle.read(1024):
                problems.add(f"{path.relative_to(root).as_posix()}: is no PDF; expected the technical report")
