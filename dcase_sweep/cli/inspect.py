"""``python -m dcase_sweep inspect``: the contents of a data set, before training."""

import argparse
from pathlib import Path
from typing import Any

from dcase_sweep.cli.parser import CONFIG_DIR, OneLineParser
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text

PROG = "python -m dcase_sweep inspect"

DESCRIPTION = """\
Clips of each class, device, city and split, lengths, formats, levels, clipping, silence, copies of the same recording
and files that cannot be used. Every recording is read from beginning to end. A page with a clip of each class, to
listen to and to look at, opens in any browser and needs no network.

OVERRIDES are those of an experiment: the data set and, if it is one of sound events, task=4. The exit code is 1 if a
recording cannot be used."""

EPILOG = f"""\
examples:
  {PROG} data=folder data.root=/path/to/recordings
  {PROG} task=4 data=desed data.root=/path/to/DESED --html desed.html"""


def main(arguments: list[str]) -> int:
    """Print the summary and write the page; return 0, or 1 if a recording cannot be used.

    Raises:
        UserError: for invalid overrides or an unusable data set.
    """
    options = _parser().parse_intermixed_args(arguments)
    page: Path | None = None if options.no_html else options.html
    if page is not None and (page.is_dir() or not page.parent.is_dir()):
        raise UserError(f"{page}: cannot be written; name a file in a folder that exists")

    from dcase_sweep.config import clip_seconds
    from dcase_sweep.config.compose import compose_experiments
    from dcase_sweep.data.inspection.recordings import measure_recordings
    from dcase_sweep.data.inspection.summary import summarize
    from dcase_sweep.data.inspection.text import print_inspection
    from dcase_sweep.utils.cpu import usable_cores

    composed = compose_experiments(options.overrides, options.config_dir, needs_network=False)
    if len(composed) != 1:
        raise UserError(f"{len(composed)} data sets at once; expected one value for each key")
    experiment = composed[0].experiment
    data = _load(experiment)
    names = list(data.filenames)
    with console.progress("inspect", len(names)) as bar:
        recordings = measure_recordings(
            Path(data.root),
            names,
            store_root=Path(experiment.store.root).expanduser(),
            workers=experiment.hardware.workers or usable_cores(),
            on_progress=bar.update,
        )
    inspection = summarize(data, recordings, seconds=clip_seconds(experiment))
    print_inspection(inspection)
    if page is not None:
        from dcase_sweep.data.inspection.examples import make_examples
        from dcase_sweep.data.inspection.page import make_page

        write_text(page, make_page(inspection, make_examples(data, recordings)))
        print(f"\nwrote {page}")
    return 1 if inspection.problems else 0


def _load(experiment: Any) -> Any:
    """Read the tables of the data set without checking its recordings, all of which are read later."""
    from dcase_sweep.config import build

    dataset = build("data", experiment.data)
    if hasattr(dataset, "check_root"):
        dataset.check_root()
    if hasattr(dataset, "prepare"):
        with console.progress("demo", 1) as bar:
            dataset.prepare(lambda done, total: bar.update(done, total=total))
    return dataset.load(check=lambda root, names: [])


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog=PROG,
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("overrides", metavar="OVERRIDE", nargs="*")
    parser.add_argument("--config-dir", metavar="FOLDER", help=CONFIG_DIR)
    parser.add_argument(
        "--html", metavar="OUT", type=Path, default=Path("inspect.html"), help="the page (default: inspect.html)"
    )
    parser.add_argument("--no-html", action="store_true", help="write no page")
    return parser
