"""Validation of a system's metadata. [V1], [V4] and so on are the sources in `rules`."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dcase_sweep.submission.metadata import DEVICES, OPEN, find_open, kilobytes
from dcase_sweep.submission.person import SECTIONS
from dcase_sweep.submission.problems import Problems
from dcase_sweep.submission.rules import SubmissionRules
from dcase_sweep.utils.numbers import is_integer
from dcase_sweep.utils.text import printable

#: Keys of the sections [V1]; task 4 has the same, but fewer of a description [V4].
_SUBMISSION = ("label", "name", "abbreviation", "authors")
_AUTHOR = ("lastname", "firstname", "email", "affiliation")
_SYSTEM = ("description", "complexity", "external_datasets", "source_code")
_SCENE_DESCRIPTION = (
    "input_sampling_rate",
    "acoustic_features",
    "embeddings",
    "data_augmentation",
    "machine_learning_method",
    "ensemble_method_subsystem_count",
    "decision_making",
    "external_data_usage",
)
_EVENT_DESCRIPTION = ("input_sampling_rate", "acoustic_features")
_DATASET = ("name", "url", "total_audio_length")
_PAIR = ("logloss", "accuracy")
#: Characters of an abbreviation [V1].
_LONGEST_ABBREVIATION = 10
#: Values of the template and of the organizers, which a submission must not contain [V4].
_TAKEN = ("Turpault_INR_task4_SED_1", "Wisdom_GOO_task4_SS_1")
#: Upper limit of counts.
_LARGEST = 2**63
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def check_metadata(
    metadata: Mapping[str, Any], label: str, rules: SubmissionRules, where: str, problems: Problems
) -> None:
    """Add a line for each problem of the metadata of a system.

    Args:
        metadata: keys and values of the file.
        label: label of the system in the names of its files.
        rules: the rules of the challenge.
        where: name of the file, for messages.
        problems: the lines are added to it.
    """
    for name in find_open(metadata):
        problems.add(f"{where}: {name} is open ({OPEN}); fill it in")
    check = _Check(where, problems)
    missing = check.missing(metadata, "", SECTIONS)
    if "submission" not in missing:
        _check_submission(check, metadata["submission"], label, rules)
    if "system" not in missing:
        _check_system(check, metadata["system"], rules)
    if "results" not in missing:
        _check_results(check, metadata["results"], rules)


class _Check:
    """Adds problems with the file and the key."""

    def __init__(self, where: str, problems: Problems) -> None:
        self._where = where
        self._problems = problems

    def add(self, key: str, line: str) -> None:
        self._problems.add(f"{self._where}: {key}: {line}" if key else f"{self._where}: {line}")

    def missing(self, section: Any, key: str, names: Sequence[str]) -> list[str]:
        """Add a line if a section lacks keys; return the missing ones."""
        if not isinstance(section, Mapping):
            self.add(key, f"{_shown(section)}; expected the keys {', '.join(names)}")
            return list(names)
        lacking = [name for name in names if name not in section]
        if lacking:
            self.add(key, f"no {', '.join(lacking)}; expected {', '.join(names)}")
        return lacking

    def of_type(self, section: Any, key: str, fits: Callable[[Any], bool], expected: str) -> None:
        """Add a line if an existing value that is not open has the wrong type."""
        name = key.rpartition(".")[2]
        if isinstance(section, Mapping) and name in section:
            value = section[name]
            if not _is_open(value) and not fits(value):
                self.add(key, f"{_shown(value)}; expected {expected}")


def _check_submission(check: _Check, section: Any, label: str, rules: SubmissionRules) -> None:
    if check.missing(section, "submission", _SUBMISSION):
        return
    check.of_type(section, "submission.label", lambda value: value == label, f"{label}, as the files are named")
    for name in ("name", "abbreviation"):
        check.of_type(section, f"submission.{name}", _is_text, "a text")
    abbreviation = section["abbreviation"]
    if isinstance(abbreviation, str) and len(abbreviation) > _LONGEST_ABBREVIATION:  # [V1]
        check.add(
            "submission.abbreviation",
            f"{printable(abbreviation, 60)}: {len(abbreviation)} characters; expected at most {_LONGEST_ABBREVIATION}",
        )
    if rules.kind == "events":  # [V4]
        if label in _TAKEN:
            check.add("submission.label", f"{label} is that of the organizers; expected your own")
        for name in ("label", "name", "abbreviation"):
            if "baseline" in str(section[name]).lower():
                check.add(f"submission.{name}", f"{printable(section[name], 60)}: expected no 'baseline' in it")
    _check_authors(check, section["authors"])


def _check_authors(check: _Check, authors: Any) -> None:
    if not isinstance(authors, list) or not authors:
        check.add("submission.authors", f"{_shown(authors)}; expected a list of authors")
        return
    for number, author in enumerate(authors, start=1):
        key = f"submission.authors.{number}"
        if check.missing(author, key, _AUTHOR):
            continue
        for name in ("lastname", "firstname"):  # [V4]
            check.of_type(author, f"{key}.{name}", _is_text, "a text")
        check.of_type(author, f"{key}.email", lambda value: bool(_EMAIL.fullmatch(str(value))), "an address")
        check.of_type(author, f"{key}.affiliation", lambda value: bool(value), "the institution")
    marked = sum(bool(author.get("corresponding")) for author in authors if isinstance(author, Mapping))
    if marked != 1:  # [V1]
        check.add("submission.authors", f"{marked} marked as corresponding; expected 1 (corresponding: true)")


def _check_system(check: _Check, section: Any, rules: SubmissionRules) -> None:
    lacking = check.missing(section, "system", _SYSTEM)
    if "description" not in lacking:
        wanted = _SCENE_DESCRIPTION if rules.kind == "scenes" else _EVENT_DESCRIPTION
        check.missing(section["description"], "system.description", wanted)
        if rules.kind == "events":  # [V4]
            key = "system.description.input_sampling_rate"
            check.of_type(section["description"], key, _is_number, "a number of Hz")
    if "complexity" not in lacking and not check.missing(
        section["complexity"], "system.complexity", ("total_parameters",)
    ):
        _check_complexity(check, section["complexity"], rules)
    datasets = section.get("external_datasets") if isinstance(section, Mapping) else None
    if datasets:  # may be empty [V1]
        for number, each in enumerate(datasets if isinstance(datasets, list) else [datasets], start=1):
            check.missing(each, f"system.external_datasets.{number}", _DATASET)


def _check_complexity(check: _Check, section: Mapping[str, Any], rules: SubmissionRules) -> None:
    key = "system.complexity"
    for name in ("total_parameters", "total_parameters_non_zero"):
        check.of_type(section, f"{key}.{name}", _is_count, "a whole number")
    total: Any = section["total_parameters"]
    nonzero: Any = section.get("total_parameters_non_zero")
    if _is_count(total) and _is_count(nonzero) and nonzero > total:
        check.add(f"{key}.total_parameters_non_zero", f"{nonzero:,}; expected at most total_parameters, {total:,}")
    size: Any = section.get("model_size")
    check.of_type(section, f"{key}.model_size", lambda value: value is None or _is_number(value), "a number of KB")
    if rules.size_limit is not None and _is_number(size) and size > kilobytes(rules.size_limit):
        # [P1]; KB as in https://github.com/marmoi/dcase2021_task1a_baseline (README.md, "Model size").
        limit = kilobytes(rules.size_limit)
        check.add(f"{key}.model_size", f"{size:g} KB; expected at most {limit:g} KB of non-zero parameters")


def _check_results(check: _Check, section: Any, rules: SubmissionRules) -> None:
    if check.missing(section, "results", ("development_dataset",)):
        return
    results, key = section["development_dataset"], "results.development_dataset"
    if rules.kind == "events":
        _check_event_results(check, results, key)
        return
    if check.missing(results, key, ("overall", "class_wise", "device_wise")):  # [V1]
        return
    # Incomplete results may be left out [V1, Y1]; what is there is whole.
    if results["overall"]:
        _check_pair(check, results["overall"], f"{key}.overall")
    for name, wanted in (("class_wise", rules.classes), ("device_wise", DEVICES)):
        if results[name] and not check.missing(results[name], f"{key}.{name}", wanted):
            for each, pair in results[name].items():
                _check_pair(check, pair, f"{key}.{name}.{each}")


def _check_pair(check: _Check, pair: Any, key: str) -> None:
    if not check.missing(pair, key, _PAIR):
        for name in _PAIR:
            check.of_type(pair, f"{key}.{name}", _is_number, "a number")


def _check_event_results(check: _Check, results: Any, key: str) -> None:
    if check.missing(results, key, ("overall", "class_wise")):  # [V4]
        return
    if not check.missing(results["overall"], f"{key}.overall", ("F-score",)):
        check.of_type(results["overall"], f"{key}.overall.F-score", _is_number, "a number")
    for name, each in results["class_wise"].items() if isinstance(results["class_wise"], Mapping) else ():
        if not check.missing(each, f"{key}.class_wise.{name}", ("F-score",)):
            check.of_type(each, f"{key}.class_wise.{name}.F-score", _is_number, "a number")


def _is_open(value: Any) -> bool:
    return isinstance(value, str) and value.strip() == OPEN


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST if isinstance(value, int) else math.isfinite(value)


def _is_count(value: Any) -> bool:
    return is_integer(value) and 0 <= value < _LARGEST


def _shown(value: Any) -> str:
    return "empty" if value is None else printable(repr(value), 60)
