"""``export``: convert a trained scene classifier to files for phones, boards and other programs."""

import sys
from pathlib import Path

from dcase_sweep.cli.parser import OneLineParser, fill_help
from dcase_sweep.cli.stores import log_to_terminal
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable, suggest

USAGE = """\
usage: python -m dcase_sweep export tflite|onnx run=RUN [calibration=300] [folder=FOLDER] [--config-dir FOLDER]
                                    [KEY=VALUE ...]

Convert a finished run of task 1A to float32, float16, dynamic-range and full-integer int8 files, evaluate each on the
test split with the runtime of devices (LiteRT, ONNX Runtime), and compare it with the float network: size, non-zero
parameters, accuracy, log loss, latency. Files and tables are written to the folder, and to the run in MLflow.

  run          ID of a run in MLflow, printed at the end of a training, or its folder outputs/DATE/TIME
  calibration  number of training clips for the ranges of int8
  folder       output folder; by default export/tflite or export/onnx in the run's folder, or a folder in exports/RUN
  --config-dir  your own configuration files; the run may use the classes that they name
  KEY=VALUE    data.root: the recordings (required, except for the demo); store.root, tracking.uri, tracking.folder, if
               not the defaults; hardware.workers; model._target_ and front_end._target_ for classes of your own. A
               run's file is not trusted to set any of these

example:
  python -m dcase_sweep export tflite run=outputs/2026-11-24/16-22-41-345012
  python -m dcase_sweep export onnx run=4089622b089047dcb86db678185d60ad data.root=/path/to/TAU"""

OWN = ("run", "calibration", "folder")


def main(arguments: list[str]) -> int:
    """Export a run; return 0.

    Raises:
        UserError: for an unknown argument, a missing package, or a run that cannot be exported.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        print(fill_help(USAGE))
        return 0 if arguments else 2
    from dcase_sweep.export.packages import FORMATS, check_packages

    what, rest = arguments[0], arguments[1:]
    if what not in FORMATS:
        raise UserError(f"export {what}: no such format; expected {' or '.join(FORMATS)}")
    config_dir, rest = _take_config_dir(rest)
    given, overrides = _parse(rest)
    if "run" not in given:
        raise UserError(f"export {what}: no run named; expected run= and its id in MLflow or its folder")
    calibration = _count(given.get("calibration", "300"))
    check_packages(what)
    log_to_terminal(sys.stdout)  # alone: libraries of TensorFlow add a handler to the root logger

    from dcase_sweep.export.exporting import export
    from dcase_sweep.export.runs import find_trained_run
    from dcase_sweep.utils.signals import Interrupted, interruptible

    run = find_trained_run(given["run"], overrides, config_dir)
    home = run.folder / "export" if run.folder else Path("exports") / run.id
    try:
        with interruptible():
            export(run, what, calibration=calibration, folder=Path(given.get("folder", home / what)).expanduser())
    except Interrupted as interrupted:
        return interrupted.exit_code
    return 0


def _take_config_dir(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the folder of ``--config-dir``, and the other words."""
    parser = OneLineParser("python -m dcase_sweep export", add_help=False)
    parser.add_argument("--config-dir")
    options, rest = parser.parse_known_args(words)
    return options.config_dir, rest


def _parse(words: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the command's own keys, and those of the run's configuration."""
    given: dict[str, str] = {}
    overrides: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"{word}: expected KEY=VALUE")
        if not value:
            raise UserError(f"{word}: no value; expected KEY=VALUE")
        if key in OWN:
            given[key] = value
        elif "." in key:
            overrides[key] = value
        else:
            hint = suggest(key, OWN, otherwise=f"expected {', '.join(OWN)} or a key of the configuration")
            raise UserError(f"{key}: no such key; {hint}")
    return given, overrides


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= 1):
        raise UserError(f"calibration={printable(text, 60)}: expected a positive number of clips")
    return int(text)
