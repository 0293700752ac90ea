"""The test clips of several runs of sound event detection, evaluated together."""

from collections.abc import Sequence
from pathlib import Path

from dcase_sweep.evaluation.events.detections_file import (
    DETECTIONS,
    StoredDetections,
    concatenate_runs,
    read_detections,
)
from dcase_sweep.evaluation.events.evaluation import Coverage, evaluate_detections
from dcase_sweep.evaluation.events.result import NetworkScores, combine_networks
from dcase_sweep.evaluation.events.rules import EventRules
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.utils.errors import UserError


def evaluate_event_files(folders: Sequence[Path], rules: EventRules) -> EvaluationResult:
    """Evaluate the detections in the test clips of several runs together.

    PSDS over all thresholds is not computed, because it requires the scores, which runs do not store.

    Args:
        folders: folders of the runs, each with the file that a run writes for a fold.
        rules: the rules of all runs.

    Raises:
        UserError: if a file is missing or damaged, a clip was tested in two runs, or the runs have other classes,
            networks or thresholds.
    """
    several = [read_detections(folder / DETECTIONS) for folder in folders]
    _check_alike(folders, several)
    pooled = concatenate_runs(several)
    coverage = Coverage(len(pooled.truth.clips), pooled.listed)
    evaluations = {
        name: evaluate_detections(
            network.detections,
            network.decisions,
            pooled.truth,
            coverage=coverage,
            scenarios=rules.scenarios,
            cross_trigger_average=rules.cross_trigger_average,
            criteria=rules.criteria,
        )
        for name, network in pooled.networks.items()
    }
    networks = {name: NetworkScores({}, network.loss_strong) for name, network in pooled.networks.items()}
    return combine_networks(evaluations, networks, rules)


def _check_alike(folders: Sequence[Path], several: Sequence[StoredDetections]) -> None:
    """Check that the runs have the same classes, networks and thresholds, and different clips."""
    tested: dict[str, Path] = {}
    for folder, kept in zip(folders, several, strict=True):
        if _describe(kept) != _describe(several[0]):
            raise UserError(
                f"{folder / DETECTIONS}: other classes, networks or thresholds than {folders[0] / DETECTIONS}; "
                "expected the same"
            )
        for clip in kept.truth.clips:
            if clip in tested:
                raise UserError(f"{folder / DETECTIONS}: {clip} is also in {tested[clip]}; expected it once")
            tested[clip] = folder / DETECTIONS


def _describe(kept: StoredDetections) -> tuple[object, ...]:
    thresholds = [[*network.detections.thresholds, *network.decisions.thresholds] for network in kept.networks.values()]
    return kept.truth.labels, list(kept.networks), thresholds
