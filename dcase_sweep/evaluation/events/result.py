"""The results of a student and its teacher as metrics, table, files and figures."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.clip_counts import count_clips, write_clip_counts
from dcase_sweep.evaluation.events.decode import psds_thresholds
from dcase_sweep.evaluation.events.detections_file import DETECTIONS, collect_detections, write_detections
from dcase_sweep.evaluation.events.evaluation import Coverage, EventEvaluation, evaluate, other_name, result_keys
from dcase_sweep.evaluation.events.figures import class_f1_figure, clip_figure, psd_roc_figure
from dcase_sweep.evaluation.events.ground_truth import Event, ground_truth_from_events
from dcase_sweep.evaluation.events.headline import format_headline
from dcase_sweep.evaluation.events.report import format_text, to_csv, to_json
from dcase_sweep.evaluation.events.rules import EventRules
from dcase_sweep.evaluation.result import EvaluationResult, Figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


#: The file of the teacher's counts by clip.
CLIP_COUNTS = "clip_counts.npz"
#: Ends of the names of metrics that are in the tables alone.
_DETAILED = ("_micro", "_error_rate", "_error_rate_macro", "segment_f1_macro", "psds_eval_0.3", "psds_eval_0.5")


@dataclass(frozen=True, slots=True)
class NetworkScores:
    """Scores of one network: clip → ``[frame, class]``, its loss on the frames, and further metrics by name."""

    scores: dict[str, NDArray[np.float32]]
    loss_strong: float
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClipView:
    """A clip to be drawn with its reference and detected events."""

    name: str
    #: ``[mel, frame]`` in dB.
    spectrogram: NDArray[np.floating[Any]]
    #: Time range of the spectrogram. Shorter clips are followed by silence in it; of longer ones it shows the
    #: beginning.
    seconds: float
    #: Centre of each band in Hz ``[mel]``, where it is known.
    frequencies: Sequence[float] | None = None


def evaluate_event_scores(
    networks: Mapping[str, NetworkScores],
    events: Sequence[tuple[str, float, float, str]],
    durations: Mapping[str, float],
    *,
    labels: Sequence[str],
    hop: float,
    median_length: int | Mapping[str, int],
    listed: int,
    rules: EventRules = EventRules(),  # noqa: B008 (it cannot change)
    clip_seconds: float | None = None,
    views: Sequence[ClipView] = (),
    note: str | None = None,
    keep_detections: bool = False,
) -> EvaluationResult:
    """Evaluate each network by the rules of task 4.

    Args:
        networks: name of the network (``student``, ``teacher``) → its scores.
        events: filename, onset (s), offset (s) and event label of the reference.
        durations: filename → seconds, of every clip.
        labels: the classes in the order of the columns of the scores.
        hop: time between frames of the scores in s.
        median_length: length of the median filter in frames.
        listed: number of clips of the set, including missing ones.
        rules: thresholds, scenarios and criteria.
        clip_seconds: length to which clips were padded or cut before they were scored; None if they were not.
        views: clips to draw.
        note: note that is shown with the results.
        keep_detections: also write what `pooling.evaluate_event_files` reads.
    """
    truth = ground_truth_from_events(
        [(name, Event(label, onset, offset)) for name, onset, offset, label in events], durations, labels=labels
    )
    coverage = Coverage(len(durations), listed)
    evaluations = {
        name: evaluate(
            network.scores,
            truth,
            hop=hop,
            labels=labels,
            coverage=coverage,
            median_length=median_length,
            thresholds=psds_thresholds(rules.thresholds),
            f1_threshold=rules.f1_threshold,
            scenarios=rules.scenarios,
            cross_trigger_average=rules.cross_trigger_average,
            criteria=rules.criteria,
            clip_seconds=clip_seconds,
            reference=rules.reference,
        )
        for name, network in networks.items()
    }
    result = combine_networks(evaluations, networks, rules, views=views, note=note)
    if not keep_detections:
        return result
    losses = {name: network.loss_strong for name, network in networks.items()}
    writer = partial(write_detections, collect_detections(evaluations, losses))
    return replace(result, writers={**result.writers, DETECTIONS: writer})


def combine_networks(
    evaluations: Mapping[str, EventEvaluation],
    networks: Mapping[str, NetworkScores],
    rules: EventRules,
    *,
    views: Sequence[ClipView] = (),
    note: str | None = None,
) -> EvaluationResult:
    """Metrics, tables, files and figures of networks that are evaluated.

    Args:
        evaluations: name of the network → its evaluation.
        networks: the same ones; their scores are not needed.
        rules: the rules of the evaluations.
        views: clips to draw.
        note: note that is shown with the results.
    """
    results = [_of_network(name, each, networks[name], views, note) for name, each in evaluations.items()]
    return _together(results, evaluations, next(iter(evaluations.values())).coverage, rules, note)


def _of_network(
    name: str, evaluation: EventEvaluation, network: NetworkScores, views: Sequence[ClipView], note: str | None
) -> EvaluationResult:
    """Return the results of one network, with its name in files and figures. Undefined metrics are NaN."""
    title = name.upper() + (f" ({note})" if note else "")
    return EvaluationResult(
        metrics=result_keys(evaluation, network=name, loss_strong=network.loss_strong)
        | network.extra
        | _reference_metrics(evaluation, name)
        | _more_metrics(evaluation, name),
        table=f"{title}\n{format_text(evaluation)}",
        files={
            f"{name}.csv": to_csv(evaluation),
            f"{name}.json": json.dumps({"note": note, **to_json(evaluation)}, indent=2) + "\n",
        },
        figures=Figures(
            {
                f"{name}_psd_roc.png": partial(psd_roc_figure, evaluation),
                f"{name}_class_f1.png": partial(class_f1_figure, evaluation),
            }
        )
        | _clip_figures(evaluation, name, views),
    )


def _together(
    results: Sequence[EvaluationResult],
    evaluations: Mapping[str, EventEvaluation],
    coverage: Coverage,
    rules: EventRules,
    note: str | None,
) -> EvaluationResult:
    """Combine the results of the networks: their tables, then the metrics under their published names."""
    # The first entry of the published dictionary: the student's larger PSDS.
    first = evaluations.get("student", next(iter(evaluations.values())))
    # Beside accuracy and log loss of scenes; the table of a sweep begins with the teacher's figures too.
    headline = evaluations.get("teacher", first)
    metrics = {
        **{f"test/psds{number}": score.value for number, score in enumerate(headline.psds, start=1)},
        "test/f1": headline.collar.macro,
        "hp_metric": first.hp_metric,
        "test/clips_scored": float(coverage.scored),
        "test/clips_listed": float(coverage.total),
    }
    files: dict[str, str] = {}
    figures = Figures()
    for result in results:
        metrics |= result.metrics
        files |= result.files
        figures |= result.figures
    table = "\n\n".join([*(result.table for result in results), keys_table(metrics, coverage)])
    defined = {name: value for name, value in metrics.items() if math.isfinite(value)}
    detailed = frozenset(name for name in defined if not _is_logged(name))
    return EvaluationResult(
        metrics=defined,
        table=table,
        fit=lambda width: format_headline(evaluations, note=note, width=width),
        files={"events.txt": table + "\n", **files},
        writers={CLIP_COUNTS: partial(_write_clip_counts, headline, rules)},
        figures=figures,
        detailed=detailed,
    )


def _write_clip_counts(evaluation: EventEvaluation, rules: EventRules, path: Path) -> None:
    """Write what resamples of the clips are computed from."""
    counts = count_clips(
        evaluation.detections,
        evaluation.decisions,
        evaluation.truth,
        scenarios=rules.scenarios,
        criteria=rules.criteria,
    )
    write_clip_counts(counts, path)


def _is_logged(name: str) -> bool:
    """Whether a run logs the metric: not those of single classes and of further averages."""
    return name.startswith("reference/") or (name.count("/") < 3 and not name.endswith(_DETAILED))


def keys_table(metrics: Mapping[str, float], coverage: Coverage) -> str:
    """Format the metrics of each network under the names of the published recipe, with - for undefined ones."""
    mark = "" if coverage.complete else " *"
    lines = [
        f"{key:<52} {'-' if math.isnan(value) else f'{value:.4f}'}{mark}"
        for key, value in metrics.items()
        if (key.count("/") == 2 and not key.startswith("reference/")) or key == "hp_metric"
    ]
    return "\n".join(lines if coverage.complete else [*lines, f"* scored on {coverage}"])


def _more_metrics(evaluation: EventEvaluation, network: str) -> dict[str, float]:
    """Return metrics without published names: exact PSDS, micro and segment F1, and metrics per class."""
    more: dict[str, float | None] = {
        "event_f1_micro": evaluation.collar.micro,
        "segment_f1_macro": evaluation.segment.macro,
        "segment_f1_micro": evaluation.segment.micro,
        "event_error_rate": evaluation.collar_errors.overall,
        "event_error_rate_macro": evaluation.collar_errors.macro,
        "segment_error_rate": evaluation.segment_errors.overall,
        "segment_error_rate_macro": evaluation.segment_errors.macro,
    }
    for score in evaluation.exact:
        more[f"psds_exact_{score.parameters.name.replace(' ', '')}"] = score.value
    for score in evaluation.exact_other:
        more[f"psds_exact_{other_name(score)}"] = score.value
    metrics = {f"test/{network}/{name}": float(value) for name, value in more.items() if value is not None}
    for name, result in (
        ("event_f1", evaluation.collar),
        ("segment_f1", evaluation.segment),
        ("intersection_f1", evaluation.intersection),
    ):
        metrics |= {f"test/{network}/{name}/{scored.label}": float(scored.f1) for scored in result.per_class}
    for score in evaluation.psds:
        name = f"psds_score_{score.parameters.name.replace(' ', '')}"
        values = zip(score.labels, score.per_class, strict=True)
        metrics |= {f"test/{network}/{name}/{label}": value for label, value in values}
    return metrics


def _reference_metrics(evaluation: EventEvaluation, network: str) -> dict[str, float]:
    """Return the metrics of psds_eval and sed_eval: ``reference/student/collar_f1_macro``."""
    return {
        f"reference/{network}/{figure.metric}" + ("" if figure.average == "overall" else f"_{figure.average}"): value
        for figure in evaluation.reference
        if (value := figure.theirs) is not None
    }


def _clip_figures(evaluation: EventEvaluation, network: str, views: Sequence[ClipView]) -> Figures:
    """Draw spectrograms with reference and detected events."""
    return Figures(
        {
            f"{network}_clip{number}.png": partial(_clip_figure, evaluation, network, view)
            for number, view in enumerate(views)
        }
    )


def _clip_figure(evaluation: EventEvaluation, network: str, view: ClipView) -> "Figure":
    duration = float(evaluation.truth.durations[evaluation.truth.clips.index(view.name)])
    frames = view.spectrogram.shape[1]
    return clip_figure(
        view.spectrogram[:, : max(1, round(frames * min(1.0, duration / view.seconds)))],
        duration=duration,
        covered=min(duration, view.seconds),
        reference=evaluation.truth.events_in(view.name),
        detected=evaluation.decisions.events_in(view.name),
        frequencies=view.frequencies,
        title=f"{view.name}: {network}",
    )
