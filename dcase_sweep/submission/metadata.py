"""The metadata of a system, filled in from its runs, in the keys of the challenge's template [Y1, V4 in `rules`]."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from dcase_sweep.config import flatten
from dcase_sweep.submission.rules import Label, SubmissionRules
from dcase_sweep.submission.systems import NONZERO_KIB, TrainedSystem

#: The value of a key that the user has to fill in.
OPEN = "TODO"
#: Length in seconds of the audio for which multiply-accumulates are counted [B4, dcase2023_task4_baseline/README.md].
_MACS_SECONDS = 10.0
#: Terms of the template for acoustic features [Y1], by the class of the front end.
_FEATURES = {
    "LogMel": "log-mel energies",
    "AmplitudeMel": "log-mel energies",
    "TorchAudioMel": "log-mel energies",
    "MFCC": "MFCC",
    "TorchAudioMFCC": "MFCC",
    "CQT": "CQT",
    "PCEN": "PCEN mel energies",
}
#: Devices of the development set [V1].
DEVICES = ("a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6")


def describe_system(label: Label, trainings: Sequence[TrainedSystem], rules: SubmissionRules) -> dict[str, Any]:
    """Return the metadata of a system from its runs. A value that they do not contain is `OPEN`.

    Args:
        label: label of the system.
        trainings: its runs. Results and energy are averaged over them.
        rules: the rules of the challenge.
    """
    first = trainings[0]
    results = _scene_results if rules.kind == "scenes" else _event_results
    return {
        "submission": {"label": str(label), "name": OPEN, "abbreviation": OPEN, "authors": [_author(label)]},
        "system": {
            "description": _describe(first, rules),
            "complexity": _complexity(first) | _energy(trainings, rules),
            "external_datasets": [],
            "source_code": None,
        },
        "results": {"development_dataset": results(trainings, rules)},
    }


def _author(label: Label) -> dict[str, Any]:
    affiliation = {"abbreviation": label.institution, "institute": OPEN, "department": None, "location": OPEN}
    return {
        "lastname": label.author,
        "firstname": OPEN,
        "email": OPEN,
        "corresponding": True,
        "affiliation": affiliation,
    }


def _describe(first: TrainedSystem, rules: SubmissionRules) -> dict[str, Any]:
    rate = first.model.front_end.sample_rate
    settings = flatten(first.settings) if first.settings is not None else {}
    network = str(settings.get("model._target_", first.model.name)).rpartition(".")[2]
    augmentation = first.model.choices.get("augmentation", OPEN).strip("[]").replace("event_", "").replace(",", ", ")
    return {
        # A number in task 4 [V4]; the template of task 1A has 44.1kHz [Y1].
        "input_sampling_rate": rate if rules.kind == "events" else f"{rate / 1000:g}kHz",
        "acoustic_features": _FEATURES.get(type(first.model.front_end).__name__, OPEN),
        "embeddings": None,
        "data_augmentation": None if augmentation == "none" else augmentation,
        "machine_learning_method": next((name for name in ("CRNN", "CNN") if name in network.upper()), OPEN),
        "ensemble_method_subsystem_count": None,
        "decision_making": None,
        "external_data_usage": None,
        **({"complexity_management": _management(first)} if rules.kind == "scenes" else {}),
        **({"machine_learning_semi_supervised": f"mean-teacher {first.member}"} if _has_teacher(first) else {}),
    }


def _has_teacher(system: TrainedSystem) -> bool:
    return system.settings is not None and system.settings.mean_teacher is not None


def _management(system: TrainedSystem) -> str | None:
    """Describe how the network was compressed, in the terms of the template [Y1]."""
    if system.settings is None:
        return OPEN
    means = []
    if system.settings.compressed is not None and system.settings.compressed.nonzero_kib is not None:
        means.append("sparsity")
    if system.bits == 16:
        means.append("weight quantization")
    return ", ".join(means) or None


def _complexity(system: TrainedSystem) -> dict[str, Any]:
    if system.complexity is None or system.bits is None:
        return _complexity_of_file(system)
    found = system.complexity
    macs = round(found.multiply_accumulates_per_second * _MACS_SECONDS)
    return {
        "total_parameters": found.parameters,
        "total_parameters_non_zero": found.nonzero,
        "model_size": round(kilobytes(system.complexity.size_bytes(system.bits, nonzero_only=True)), 3),
        "macs": macs,
        "bits": system.bits,
    }


def _complexity_of_file(system: TrainedSystem) -> dict[str, Any]:
    """Return the values of an exported file, which its run and its export have measured."""
    metrics = system.metrics
    names = {
        "total_parameters": "complexity/parameters",
        "total_parameters_non_zero": "complexity/nonzero_parameters",
    }
    described: dict[str, Any] = {key: round(metrics[name]) if name in metrics else OPEN for key, name in names.items()}
    described["model_size"] = round(metrics[NONZERO_KIB], 3) if NONZERO_KIB in metrics else OPEN
    if "complexity/mmac_per_clip" in metrics:
        per_second = 1e6 * metrics["complexity/mmac_per_clip"] / system.model.front_end.seconds
        described["macs"] = round(per_second * _MACS_SECONDS)
    return described


def kilobytes(size: int) -> float:
    """Convert bytes to KB of 1024 bytes, the unit of the limit of 2021."""
    return size / 1024


def _energy(trainings: Sequence[TrainedSystem], rules: SubmissionRules) -> dict[str, Any]:
    """Return the mean energy of training and test in kWh; since 2023 also that of the evaluation set [B4]."""
    found = {
        "training_kwh": _mean(trainings, "energy/training_kwh", digits=9),
        "development_test_kwh": _mean(trainings, "energy/evaluation_kwh", digits=9),
    }
    if rules.has_energy:
        return {"energy": {**found, "evaluation_kwh": OPEN}}
    known = {name: value for name, value in found.items() if value != OPEN}
    return {"energy": known} if known else {}


def _mean(trainings: Sequence[TrainedSystem], metric: str, *, factor: float = 1.0, digits: int = 4) -> Any:
    values = [system.metrics[metric] for system in trainings if metric in system.metrics]
    if len(values) < len(trainings):
        return OPEN
    return round(factor * statistics.fmean(values), digits)


def _scene_results(trainings: Sequence[TrainedSystem], rules: SubmissionRules) -> dict[str, Any]:
    """Log loss and accuracy in percent, overall averaged over scenes [Y1], by scene and by device.

    Results that lack a scene or a device are left out, which the rules allow [Y1].
    """

    def pair(suffix: str) -> dict[str, Any]:
        return {
            "logloss": _mean(trainings, f"test/log_loss{suffix}"),
            "accuracy": _mean(trainings, f"test/accuracy{suffix}", factor=100.0),
        }

    def group(names: Sequence[str], kind: str) -> dict[str, Any] | None:
        found = {name: pair(f"_{kind}_{name}") for name in names}
        return None if any(OPEN in each.values() for each in found.values()) else found

    return {
        "overall": pair(""),
        "class_wise": group(rules.classes, "scene"),
        "device_wise": group(DEVICES, "device"),
    }


def _event_results(trainings: Sequence[TrainedSystem], rules: SubmissionRules) -> dict[str, Any]:
    """F-score in percent by collars and PSDS of the network whose predictions are submitted [V4]."""
    of_test = f"test/{trainings[0].member}/"
    overall = {
        "F-score": _mean(trainings, f"{of_test}event_f1_macro", factor=100.0),
        "PSDS1": _mean(trainings, f"{of_test}psds_score_scenario1"),
        "PSDS2": _mean(trainings, f"{of_test}psds_score_scenario2"),
    }
    if len(trainings) > 1:
        for name, metric in (("PSDS1", "psds_score_scenario1"), ("PSDS2", "psds_score_scenario2")):
            values = [each.metrics.get(of_test + metric) for each in trainings]
            known = [value for value in values if value is not None]
            overall[f"{name}_std"] = round(statistics.stdev(known), 4) if len(known) == len(trainings) else OPEN
    classes = {name: {"F-score": _mean(trainings, f"{of_test}event_f1/{name}", factor=100.0)} for name in rules.classes}
    return {
        "overall": overall,
        "class_wise": {name: each for name, each in classes.items() if OPEN not in each.values()},
    }


def merge(filled: Mapping[str, Any], *given: Mapping[str, Any]) -> dict[str, Any]:
    """Replace values of the metadata by those that the user has given. Lists are replaced as a whole."""
    merged = dict(filled)
    for each in given:
        for key, value in each.items():
            before = merged.get(key)
            is_section = isinstance(before, Mapping) and isinstance(value, Mapping)
            merged[key] = merge(before, value) if is_section else value  # type: ignore[arg-type]
    return merged


def find_open(values: Any, name: str = "") -> list[str]:
    """Return the names of all open values: ``submission.authors.1.email``."""
    if isinstance(values, Mapping):
        pairs = [(f"{name}.{key}" if name else str(key), value) for key, value in values.items()]
    elif isinstance(values, list):
        pairs = [(f"{name}.{number}", value) for number, value in enumerate(values, start=1)]
    else:
        return [name] if isinstance(values, str) and values.strip() == OPEN else []
    return [each for key, value in pairs for each in find_open(value, key)]
