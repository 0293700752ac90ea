"""`python -m dcase_sweep complexity`: the complexity of networks before or after training."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.cli.parser import CONFIG_DIR, OneLineParser
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_table import terminal_width, wrap

if TYPE_CHECKING:
    from dcase_sweep.complexity.rules import Complexity

PROG = "python -m dcase_sweep complexity"

DESCRIPTION = """\
Print the parameters and bytes of each layer as in the table of the official task 1A baseline, multiply-accumulates,
peak activation memory, and whether the network is within the limits of the DCASE challenges. No recordings are read.

OVERRIDES are those of an experiment. Several choices or values, such as model=cnn4,cnn5, are compared in one table.
Before training all parameters count as non-zero; for a checkpoint, or the folder of a run, only those that are. A
checkpoint is not trusted to name code: add model._target_=CLASS to allow a class of your own."""

EPILOG = f"""\
examples:
  {PROG} model=cnn5 model.depth=4
  {PROG} model=baseline_cnn,cnn4,cnn5 --json complexity.json
  {PROG} outputs/2026-01-31/12-00-00-000000/checkpoints/best.ckpt"""

#: Largest number of classes of a head. A data set of sounds has some hundreds.
_MOST_CLASSES = 1_000_000
_RULES_OF = "The limits are those of acoustic scene classification; {names} {is_for} another task, which has no limits."


def main(arguments: list[str]) -> int:
    """Print the table, write files as requested and return 0; raise UserError if the configuration is invalid."""
    options = _parser().parse_intermixed_args(arguments)
    if options.json is not None and (options.json.is_dir() or not options.json.parent.is_dir()):
        raise UserError(f"{options.json}: cannot be written; name a file in a folder that exists")

    from dcase_sweep.complexity.report import comparing_table, complexity_table, to_json

    networks, unlimited, is_trained = _measured(options)
    if len(networks) == 1:
        print(complexity_table(next(iter(networks.values())), bits=options.bits, width=terminal_width()))
    else:
        print(comparing_table(networks, bits=options.bits, width=terminal_width()))
    if not is_trained:
        print(f"\nbefore training, for {options.classes:,} classes; --classes N sets the number of your data")
    if unlimited:
        is_for = "is for" if len(unlimited) == 1 else "are for"
        print("\n" + wrap(_RULES_OF.format(names=", ".join(unlimited), is_for=is_for), terminal_width()))
    if options.json is not None:
        figures = {name: to_json(complexity, bits=options.bits) for name, complexity in networks.items()}
        write_text(options.json, json.dumps(figures, indent=2, allow_nan=False) + "\n")
        print(f"\nwrote {options.json}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog=PROG,
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("what", metavar="OVERRIDE | CHECKPOINT", nargs="*")
    parser.add_argument("-m", "--multirun", action="store_true", help="accepted but not needed for several values")
    parser.add_argument(
        "--bits", type=int, choices=(32, 16, 8), default=16, help="bits of each parameter and activation (default: 16)"
    )
    parser.add_argument(
        "--classes", metavar="N", type=int, default=10, help="classes of the head before training (default: 10)"
    )
    parser.add_argument("--config-dir", metavar="FOLDER", help=CONFIG_DIR)
    parser.add_argument("--json", metavar="OUT", type=Path, help="write all values as JSON")
    return parser


def _named_classes(words: Sequence[str]) -> dict[str, str]:
    """Return the user's classes, which a checkpoint is not trusted to name."""
    from dcase_sweep.config.classes import names_code

    pairs = [word.partition("=") for word in words]
    for word, (key, _, value) in zip(words, pairs, strict=True):
        if not names_code(key):
            raise UserError(f"{word}: a trained network cannot be changed; expected checkpoints only")
        if not value:
            raise UserError(f"{word}: no value; expected the full name of a class")
    return {key: value for key, _, value in pairs}


def _measured(options: argparse.Namespace) -> tuple[dict[str, "Complexity"], list[str], bool]:
    """Measure the networks by name, list the names of those without a limit, and say whether they are trained."""
    from dcase_sweep.complexity.networks import complexity_before_training, network_complexity

    trained = [word for word in options.what if "=" not in word and not word.startswith("~")]
    if options.classes < 1:
        raise UserError(f"--classes {options.classes}: expected at least 1")
    if options.classes > _MOST_CLASSES:
        raise UserError(f"--classes {printable(options.classes, 60)}: expected at most {_MOST_CLASSES:,}")
    if not trained:
        from dcase_sweep.config.compose import compose_experiments

        composed = compose_experiments(options.what, options.config_dir, is_sweep=True)
        jobs = [(each.name, each.experiment) for each in composed]
        networks = {name: complexity_before_training(experiment, options.classes) for name, experiment in jobs}
    else:
        from dcase_sweep.config.search_path import named_in_folder
        from dcase_sweep.training.trained import open_trained

        folder = named_in_folder(options.config_dir) if options.config_dir else {}
        named = folder | _named_classes([word for word in options.what if word not in trained])
        opened = {word: open_trained(word, named) for word in trained}
        jobs = [(name, each.experiment) for name, each in opened.items()]
        networks = {name: network_complexity(each.network, each.experiment) for name, each in opened.items()}
    return networks, [name for name, experiment in jobs if experiment.task.size_limit_kib is None], bool(trained)
