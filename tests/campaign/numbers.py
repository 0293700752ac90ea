"""Bad values for every number of a task's configuration."""

import copy
import itertools
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.initialize import initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config import check, flatten
from dcase_sweep.config.command_line import with_model_of_task
from dcase_sweep.config.compose import register_experiments
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.utils.errors import UserError

BAD = (
    "-1",
    "0",
    "2.5",
    "1e300",
    "1000000000",
    "9223372036854775808",
    400 * "9",
    "nan",
    "1e400",
    "true",
    "many",
    "[]",
    "[1,2,3]",
    "{a:1}",
)
#: Numbers of a configuration that are null until somebody sets them.
OPTIONAL = {
    "1a": (
        "model.depth",
        "compression.nonzero_kib",
        "hardware.threads",
        "hardware.workers",
        "data.train_clips",
        "data.test_clips",
        "data.generator_seed",
        "data.validation_fraction",
    ),
    "4": (
        "hardware.threads",
        "hardware.workers",
        "data.strong_clips",
        "data.weak_clips",
        "data.unlabeled_clips",
        "data.synthetic_validation_clips",
        "data.validation_clips",
        "data.generator_seed",
    ),
}
#: What may be named in a key's stead: it was right by itself and does not fit what is named, or it is what another key
#: takes its value from, or a list of which no single key is known.
ELSEWHERE = (
    "optimizer.eps=",  # which refers to training.adam_eps
    "model.blocks",
    "model.pools",
    "model: ",
    "front_end.",
    "data.",
    "task",
    "mean_teacher",
    "training.epochs",
    "training.batch_size",
    "compression.quantize_from",
    "evaluation.scenario",
)
#: Seconds of one check on a busy machine.
_LIMIT = 8.0


class _Slow(Exception):
    pass


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _Slow

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def compose_task(task: str) -> DictConfig:
    """A task's configuration on its demo data, before any check."""
    register_experiments()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composed = compose("config", with_model_of_task([f"task='{task}'"], SearchPath.of_arguments([])))
    OmegaConf.set_struct(composed, False)
    return composed


def numeric_keys(task: str, composed: DictConfig) -> list[str]:
    """The keys of a task's configuration whose values are numbers, or lists of some."""

    def is_number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    found = [
        key
        for key, value in flatten(check(composed)).items()
        if is_number(value) or (isinstance(value, list) and value and all(map(is_number, value)))
    ]
    return list(dict.fromkeys([*found, *OPTIONAL[task]]))


def fault_of(composed: DictConfig, key: str, value: Any) -> str | None:
    """What is wrong with how a value is answered; None if it is refused as it should be, or accepted."""
    changed = copy.deepcopy(composed)
    try:
        OmegaConf.update(changed, key, value, merge=False)
    except (OmegaConfBaseException, TypeError):
        return None  # a key within a list or a null group, which is no place for this value
    try:
        with _limited():
            check(changed)
    except _Slow:
        return f"no answer within {_LIMIT:g} s"
    except UserError as error:
        line = str(error)
        if "\n" in line or len(line) > 600:
            return f"not one line: {line[:200]!r}"
        return None if line.startswith((key, *ELSEWHERE)) else f"begins with another key: {line}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return None


def run_numbers(every: int = 1) -> int:
    """Try bad values for the numbers of both tasks, or one in ``every`` pairs of key and value; 1 if there is a fault.

    Prints how many were tried, then each that was neither refused in one line that begins with its key nor accepted,
    or that took more than some seconds.
    """
    return max(try_numbers(task, every) for task in OPTIONAL)


def try_numbers(task: str, every: int) -> int:
    """The same for one task."""
    composed = compose_task(task)
    parser = OverridesParser.create()
    values = {text: parser.parse_override(f"key={text}").value() for text in BAD}
    tried, faults = 0, []
    pairs = itertools.product(numeric_keys(task, composed), values.items())
    for key, (text, value) in itertools.islice(pairs, 0, None, every):
        tried += 1
        fault = fault_of(composed, key, value)
        if fault is not None:
            faults.append(f"{key}={text[:40]}: {fault}")
    print(f"task {task}: {tried} values tried, {len(faults)} faults", *faults, sep="\n", flush=True)
    return 1 if faults else 0
