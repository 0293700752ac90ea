"""``submit``: create the files of a submission to the challenge from runs, and validate them."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcase_sweep.cli.parser import CONFIG_DIR, OneLineParser, split_settings
from dcase_sweep.cli.stores import KEYS
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from dcase_sweep.config import Tracking
    from dcase_sweep.submission.package import PlannedSystem
    from dcase_sweep.submission.recordings import EvaluationRecording
    from dcase_sweep.submission.rules import SubmissionRules
    from dcase_sweep.submission.scores import ScoredRecording
    from dcase_sweep.submission.systems import TrainedSystem

PROG = "python -m dcase_sweep submit"
DESCRIPTION = """\
Create the package of a submission to the DCASE challenge from finished runs: output
files, metadata and a zip archive. The package is validated by the rules of the
challenge, and written only if it is valid.

RUN is a run's id, its folder, a checkpoint, an exported file or a model of MLflow,
as for predict. The first call writes a file for what no run contains, such as names
and addresses: fill it in and repeat the command. Each RUN is one system. With
--year 2023, three runs of task 4 that differ only in their seed are one system."""
EPILOG = f"""\
KEY=VALUE: tracking.uri or tracking.folder: the location of the runs, if not mlruns;
model._target_, front_end._target_ or task._target_: your own classes that the run
was trained with

examples:
  {PROG} RUN_ID --recordings TAU-evaluation \\
      --label Kim_SNU_task1a_1 --report report.pdf
  {PROG} --check Kim_SNU_task1a.zip"""
#: The default output folder, and names in it: the file to fill in, and the folder of predictions.
OUTPUT, PERSON, SCORES = Path("submission"), "submission.yaml", ".scores"
#: Largest number of problems that are printed.
_SHOWN = 25


def main(arguments: list[str]) -> int:
    """Create or validate a package; return 0 if it is valid or a draft.

    Raises:
        UserError: for an invalid option, an unusable run or recording, or an invalid submission.
    """
    options = _parser().parse_intermixed_args(arguments)
    settings, runs = split_settings(options.runs, KEYS)
    if options.check is not None:
        if runs:
            raise UserError(f"--check: validates an existing package; expected no {printable(runs[0])}")
        return _check(options)
    if not runs:
        raise UserError("no RUN named; expected a run, or --check PACKAGE")
    for name in ("recordings", "label"):
        if getattr(options, name) is None:
            raise UserError(f"no --{name}; expected --recordings FOLDER and --label AUTHOR_INSTITUTION_TASK_NUMBER")
    return _submit(options, runs, settings)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog=PROG,
        usage=f"{PROG} RUN ... --recordings FOLDER --label LABEL\n"
        "           [options] [KEY=VALUE ...]\n"
        f"       {PROG} --check ZIP|FOLDER [--recordings FOLDER]",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("runs", metavar="RUN", nargs="*", help="a trained system")
    parser.add_argument("--recordings", metavar="FOLDER", type=Path, help="folder of the evaluation set")
    parser.add_argument(
        "--table", metavar="FILE", type=Path, help="list of its recordings, with a column filename (default: TAU's)"
    )
    parser.add_argument("--label", help="label of the first system: AUTHOR_INSTITUTION_task1a_1, ..._task4_SED_1")
    parser.add_argument("--report", metavar="PDF", type=Path, help="the technical report")
    parser.add_argument("--meta", metavar="YAML", type=Path, help=f"the file to fill in (default: OUTPUT/{PERSON})")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, default=OUTPUT, help=f"folder of the package (default: {OUTPUT})"
    )
    parser.add_argument(
        "--year", type=int, default=2021, help="year of the rules: 2021 or, for task 4, 2023 (default: 2021)"
    )
    parser.add_argument(
        "--bits", type=int, choices=(32, 16), help="bits of a parameter (default: 16 for task 1A, 32 for task 4)"
    )
    parser.add_argument(
        "--network", choices=("student", "teacher"), help="network of a mean teacher to submit (default: the student)"
    )
    parser.add_argument("--energy", action="store_true", help="measure the energy of the predictions with CodeCarbon")
    parser.add_argument("--draft", action="store_true", help="write the package even if it is not valid")
    parser.add_argument("--check", metavar="ZIP|FOLDER", type=Path, help="validate an existing package")
    parser.add_argument("--config-dir", metavar="FOLDER", help=CONFIG_DIR)
    return parser


def _check(options: argparse.Namespace) -> int:
    from dcase_sweep.submission.check import check_package
    from dcase_sweep.submission.recordings import find_recordings

    recordings = None
    if options.recordings is not None:
        recordings = find_recordings(options.recordings.expanduser(), options.table)
    checked = check_package(options.check.expanduser(), recordings)
    if checked.problems:
        raise UserError(_list_problems(checked.problems))
    print(f"valid     {', '.join(checked.systems)}")
    return 0


def _submit(options: argparse.Namespace, runs: Sequence[str], settings: dict[str, str]) -> int:
    from dcase_sweep.submission.energy import check_measurable, state_energy
    from dcase_sweep.submission.package import check_output, describe_systems, find_problems, plan_systems
    from dcase_sweep.submission.person import begin, complete
    from dcase_sweep.submission.recordings import find_recordings
    from dcase_sweep.submission.rules import find_rules, parse_label

    output: Path = options.output.expanduser()
    if output.exists() and not output.is_dir():
        raise UserError(f"-o {output}: a file; expected a folder")
    table = options.table.expanduser() if options.table is not None else None
    recordings = find_recordings(options.recordings.expanduser(), table)
    opened = [_open(run, settings, options) for run in runs]
    kinds = {each.kind for each in opened}
    if len(kinds) > 1:
        raise UserError("runs of task 1a and of task 4; expected runs of one task in a submission")
    rules = find_rules(kinds.pop(), options.year)
    systems = plan_systems(opened, parse_label(options.label, rules), rules)
    check_output(output, systems, rules)
    filled = describe_systems(systems, rules)
    person: Path = options.meta.expanduser() if options.meta is not None else output / PERSON
    if not person.exists():
        begin(filled, person)
        print(f"written   {person}: fill it in, and repeat the command")
    metadata = complete(filled, person)
    if options.energy:
        check_measurable()
        for each in metadata.values():
            state_energy(each, 0.0)
    report = options.report.expanduser() if options.report is not None else None
    problems = tuple(find_problems(systems, metadata, recordings, report, rules, person))
    if problems and not options.draft:
        raise UserError(f"{_list_problems(problems)}\n  (--draft writes the package nevertheless)")
    return _make(options, systems, metadata, recordings, report, rules, output)


def _open(run: str, settings: dict[str, str], options: argparse.Namespace) -> "TrainedSystem":
    from dcase_sweep.config.search_path import named_in_folder
    from dcase_sweep.submission.systems import open_system

    folder_names = named_in_folder(options.config_dir) if options.config_dir else {}
    named = folder_names | {key: value for key, value in settings.items() if not key.startswith("tracking.")}
    return open_system(run, store=_store(settings), named=named, bits=options.bits, member=options.network)


def _store(settings: dict[str, str]) -> "Tracking":
    from dcase_sweep.config import Tracking

    where = {key.removeprefix("tracking."): value for key, value in settings.items() if key.startswith("tracking.")}
    return Tracking(**where)  # type: ignore[arg-type]


def _make(
    options: argparse.Namespace,
    systems: "Sequence[PlannedSystem]",
    metadata: dict[str, dict[str, Any]],
    recordings: "Sequence[EvaluationRecording]",
    report: Path | None,
    rules: "SubmissionRules",
    output: Path,
) -> int:
    from dcase_sweep.submission.package import building, copy_report, finish, write_system
    from dcase_sweep.utils.signals import Interrupted, interruptible

    seconds, began = sum(each.seconds for each in recordings), time.perf_counter()
    trainings = sum(len(system.trainings) for system in systems)
    scores = output / SCORES
    try:
        with interruptible(), building(output) as built:
            with console.progress("predict", max(trainings * seconds, 1.0)) as bar:
                done = 0.0
                for system in systems:
                    described = metadata[str(system.label)]
                    scored = _predict(
                        system,
                        recordings,
                        scores,
                        described if options.energy else None,
                        lambda now, done=done: bar.update(done + now),  # type: ignore[misc]
                    )
                    done += len(scored) * seconds
                    write_system(built, system, scored, described, rules)
            if report is not None:
                copy_report(report, built, systems[0].label, rules)
            name = f"{systems[0].label.stem}{'_draft' if options.draft else ''}.zip"
            archive, problems = finish(
                built, output, name, rules, recordings, lambda problems: not problems or options.draft
            )
    except Interrupted as interrupted:
        print(f"interrupted; the same command continues with the predictions in {scores}", file=sys.stderr)
        return interrupted.exit_code
    if archive is None:
        raise UserError(_list_problems(problems))
    if not options.draft:
        shutil.rmtree(scores, ignore_errors=True)
    _summarise(systems, recordings, time.perf_counter() - began)
    if problems:
        print(f"draft     {_list_problems(problems)}")
    else:
        print(f"valid     by the rules of {rules.title}")
    print(f"written   {archive}")
    return 0


def _predict(
    system: "PlannedSystem",
    recordings: "Sequence[EvaluationRecording]",
    scores: Path,
    described: dict[str, Any] | None,
    on_progress: Callable[[float], None],
) -> "list[list[ScoredRecording]]":
    """Predict the recordings with each training of a system.

    Args:
        system: the system.
        recordings: the recordings of the evaluation set.
        scores: the folder of predictions.
        described: the metadata in which the energy is stated; None = it is not measured.
        on_progress: called with the predicted seconds of audio.
    """
    from dcase_sweep.submission.energy import measured, read_energy, state_energy
    from dcase_sweep.submission.scores import ScoreCache, score_recordings

    seconds = sum(each.seconds for each in recordings)
    caches = [ScoreCache(scores, training) for training in system.trainings]
    scored = []
    for number, (training, cache) in enumerate(zip(system.trainings, caches, strict=True)):
        with measured(cache.folder) if described is not None else nullcontext():
            scored.append(
                score_recordings(
                    training.model,
                    recordings,
                    cache,
                    lambda now, number=number: on_progress(number * seconds + now),  # type: ignore[misc]
                )
            )
    if described is not None:
        state_energy(described, read_energy([cache.folder for cache in caches]))
    return scored


def _summarise(
    systems: "Sequence[PlannedSystem]",
    recordings: "Sequence[EvaluationRecording]",
    taken: float,
) -> None:
    for system in systems:
        first = system.trainings[0]
        size = first.size_bytes
        of_limit = f", {size / 1024:,.1f} KB at {first.bits} bit" if size is not None else ""
        many = f", {len(system.trainings)} trainings" if len(system.trainings) > 1 else ""
        print(f"system    {system.label}: {first.model.name}{of_limit}{many}")
    print(f"predicted {console.pluralize(len(recordings), 'recording')} in {taken:.1f} s")


def _list_problems(problems: Sequence[str]) -> str:
    shown = list(problems[:_SHOWN])
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    return "\n  ".join([f"{console.pluralize(len(problems), 'problem')} in the submission:", *shown])
