"""``predict``: predictions of a trained network for recordings."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.cli.parser import CONFIG_DIR, OneLineParser, split_settings
from dcase_sweep.cli.stores import KEYS, log_to_terminal
from dcase_sweep.utils import console
from dcase_sweep.utils.durations import format_duration
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from dcase_sweep.cli.prediction_files import Figures, Output
    from dcase_sweep.inference.sources import Source
    from dcase_sweep.inference.trained import TrainedModel

PROG = "python -m dcase_sweep predict"
DESCRIPTION = """\
Predict the scenes of recordings, or the sound events in them, with a trained network.

RUN is the id of a run in MLflow, its folder outputs/DATE/TIME, a checkpoint, a file
of export (.tflite, .onnx), or a model of MLflow, models:/NAME/VERSION. Recordings may
have any length, sample rate, number of channels and format that soundfile reads; of
a folder all recordings in it are used. With - standard input is read: an audio file,
or the names of files, one per line or separated by NUL.

A recording that is longer than the training clips is processed in overlapping
windows. Its scene has the highest mean probability over the windows; the scores of
events are joined frame by frame. Files that cannot be used are listed and skipped,
and the exit code is then 1."""
EPILOG = f"""\
KEY=VALUE: tracking.uri, tracking.folder: location of the runs, if not mlruns;
model._target_, front_end._target_, task._target_: your own classes with which the
run was trained

examples:
  {PROG} outputs/2026-01-31/12-00-00-000000 recordings/ -o scenes.csv
  {PROG} best.ckpt street.wav --format audacity > street.txt
  arecord -d 10 -f cd | {PROG} best.ckpt -"""


def main(arguments: list[str]) -> int:
    """Write predictions; return 0 if every recording could be used, otherwise 1.

    Raises:
        UserError: for an invalid option, run or output.
    """
    options = _parser().parse_intermixed_args(arguments)
    settings, words = split_settings([options.run, *options.recordings], KEYS)
    if not words:
        raise UserError(f"RUN: not given; see {PROG} --help")
    options.run, *words = words
    if not words:
        raise UserError("no recordings named; expected files, folders, or - for standard input")
    log_to_terminal(sys.stderr)

    from dcase_sweep.cli.prediction_files import Figures, open_output
    from dcase_sweep.inference.sources import find_sources
    from dcase_sweep.utils.signals import Interrupted, interruptible

    with ExitStack() as stack:
        sources = find_sources(words, stack)
        output = open_output(options, sources)
        figures = Figures.into(options.figures, sources)
        model = _load(options, settings)
        try:
            with interruptible():
                return _predict(model, output.remaining(sources), output, figures, options)
        except Interrupted as interrupted:
            print(f"interrupted; {output.progress}", file=sys.stderr)
            return interrupted.exit_code
        finally:
            output.close()


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog=PROG,
        usage=f"{PROG} RUN FILE|FOLDER|- ... [-o OUTPUT] [options]",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("run", metavar="RUN", help="what was trained")
    parser.add_argument("recordings", metavar="FILE|FOLDER|-", nargs="*", help="what is predicted")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUTPUT",
        type=Path,
        help="a table, .csv, .tsv or .jsonl; or a folder for label tracks (default: -, standard output)",
    )
    parser.add_argument(
        "--format",
        choices=("csv", "tsv", "jsonl", "audacity"),
        help="default: by the suffix of OUTPUT, else csv; audacity writes a label track for each recording",
    )
    parser.add_argument("--segments", action="store_true", help="a row for each window, not for each recording")
    parser.add_argument("--figures", metavar="FOLDER", type=Path, help="draw a figure of each recording into FOLDER")
    parser.add_argument("--overlap", metavar="FRACTION", type=float, help="overlap of windows (default: 0.5)")
    parser.add_argument(
        "--threshold", metavar="P", type=float, help="threshold of events (default: that of the evaluation)"
    )
    parser.add_argument("--continue", dest="go_on", action="store_true", help="continue an interrupted OUTPUT")
    parser.add_argument(
        "--classes", metavar="A,B,...", help="class labels, for checkpoints of versions that did not store them"
    )
    parser.add_argument("--config-dir", metavar="FOLDER", help=CONFIG_DIR)
    return parser


def _load(options: argparse.Namespace, settings: dict[str, str]) -> "TrainedModel":
    from dcase_sweep.config import Tracking
    from dcase_sweep.config.search_path import named_in_folder
    from dcase_sweep.inference.loading import load_model
    from dcase_sweep.inference.windows import OVERLAP, check_overlap

    options.overlap = check_overlap(OVERLAP if options.overlap is None else options.overlap)
    where = {key.removeprefix("tracking."): value for key, value in settings.items() if key.startswith("tracking.")}
    folder_names = named_in_folder(options.config_dir) if options.config_dir else {}
    named = folder_names | {key: value for key, value in settings.items() if not key.startswith("tracking.")}
    classes = [name.strip() for name in options.classes.split(",")] if options.classes else None
    store = Tracking(**where)  # type: ignore[arg-type]
    try:
        return load_model(options.run, store=store, classes=classes, named=named, search_store=False)
    except UserError as error:
        raise UserError(str(error).replace("classes=[...]", "--classes A,B,...")) from None


def _predict(
    model: "TrainedModel",
    sources: Sequence["Source"],
    output: "Output",
    figures: "Figures | None",
    options: argparse.Namespace,
) -> int:
    from dcase_sweep.audio.problems import AudioProblem
    from dcase_sweep.audio.recordings import open_recording
    from dcase_sweep.inference.tables import check_prediction

    task = model.settings.task.name if model.settings is not None else model.name
    began, done, skipped = time.perf_counter(), 0.0, 0
    with console.progress("predict", max(sum(source.seconds for source in sources), 1.0)) as bar:
        for number, source in enumerate(sources, start=1):
            bar.update(done, text=f"file {number}/{len(sources)}" if len(sources) > 1 else "s")
            try:
                if source.problem is not None:
                    raise AudioProblem(source.problem)
                with open_recording(source.path, sample_rate=model.front_end.sample_rate) as recording:
                    spectrogram = figures.begin(model.front_end, recording.seconds) if figures else None
                    prediction = check_prediction(
                        model.predict_recording(
                            recording,
                            overlap=options.overlap,
                            threshold=options.threshold,
                            on_progress=lambda seconds, done=done: bar.update(done + seconds),  # type: ignore[misc]
                            on_window=spectrogram.add if spectrogram is not None else None,
                        ),
                        task,
                    )
            except AudioProblem as problem:
                print(f"skipped: {printable(source.name)}: {problem}", file=sys.stderr)
                skipped += 1
                continue
            output.write(source.name, prediction, model.classes)
            if figures is not None and spectrogram is not None:
                figures.draw(source, prediction, model.classes, spectrogram)
            done += prediction.seconds
    _summarise(len(sources) - skipped, skipped, done, time.perf_counter() - began)
    return 1 if skipped else 0


def _summarise(count: int, skipped: int, seconds: float, taken: float) -> None:
    line = f"{console.pluralize(count, 'recording')}, {format_duration(seconds)}, in {format_duration(taken)}"
    if count:
        line += f" ({seconds / max(taken, 1e-9):,.0f} × real time)"
    print(line + (f"; {skipped} skipped" if skipped else ""), file=sys.stderr)
