"""The public implementations of the metrics, fed from our types: what the fast code is checked against.

psds_eval 0.5.3, sed_eval 0.2.1 and sed_scores_eval (sed-scores-eval-np2 0.0.4) are no dependencies of the metrics.
psds_eval was written for pandas 1 and NumPy 1; what it needs to run on later ones stands in `current_versions`.
"""

import builtins
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.psds import CrossTriggerAverage, PsdsParameters


@contextmanager
def current_versions() -> Iterator[None]:
    """Lets psds_eval 0.5.3 run on pandas 3 and NumPy 2.4, without its warnings on earlier ones.

    pandas 3 has no `fillna(method="ffill")`, and NumPy 2.4 no `int()` of an array [1, 1]. Both are restored after.
    """
    import pandas
    import psds_eval.psds

    original = pandas.DataFrame.fillna

    def fillna(frame: Any, value: Any = None, method: str | None = None, **options: Any) -> Any:
        return frame.ffill() if method == "ffill" else original(frame, value, **options)

    pandas.DataFrame.fillna = fillna
    psds_eval.psds.int = lambda value: builtins.int(np.asarray(value).item())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pandas.DataFrame.fillna = original
        del psds_eval.psds.int


def psds_eval_psds(
    detections: Detections,
    truth: GroundTruth,
    parameters: PsdsParameters,
    *,
    cross_trigger_average: CrossTriggerAverage = "others",
) -> tuple[float, dict[str, NDArray[np.float64]]]:
    """PSDS by psds_eval and the curve of each class, [2, point] (effective false positives an hour, true positives)."""
    with current_versions():
        evaluation = _psds_eval(truth, dtc=parameters.dtc, gtc=parameters.gtc, cttc=parameters.cttc)
        for index in range(len(detections.thresholds)):
            evaluation.add_operating_point(event_frame(detections.at(index)))
        if cross_trigger_average == "all":  # 0.3.0 kept a class's rate with itself as 0, 0.5 leaves it out
            evaluation.operating_points["ctr"] = [np.nan_to_num(rate) for rate in evaluation.operating_points["ctr"]]
        score = evaluation.psds(parameters.alpha_ct, parameters.alpha_st, parameters.max_efpr)
        roc = evaluation.psd_roc_curves(parameters.alpha_ct)[2]
    labels = [label for label, count in zip(truth.labels, truth.events_per_label(), strict=True) if count]
    return float(score.value), {
        label: np.stack([roc.xp, levels]) for label, levels in zip(sorted(labels), roc.yp, strict=True)
    }


def psds_eval_f1(
    detections: Detections, truth: GroundTruth, *, dtc: float = 0.5, gtc: float = 0.5, cttc: float = 0.3
) -> tuple[float, dict[str, float]]:
    """Macro intersection F1 by psds_eval and F1 of each class, of detections at one threshold."""
    with current_versions():
        macro, per_class = _psds_eval(truth, dtc=dtc, gtc=gtc, cttc=cttc).compute_macro_f_score(event_frame(detections))
    return float(macro), {label: float(value) for label, value in per_class.items()}


def sed_eval_collar(
    detections: Detections,
    truth: GroundTruth,
    *,
    onset_collar: float = 0.2,
    offset_fraction: float = 0.2,
) -> dict[str, Any]:
    """Results of sed_eval's EventBasedMetrics as the DCASE recipe calls it (one collar for onset and offset)."""
    metrics = _sed_eval().EventBasedMetrics(
        event_label_list=_occurring(detections, truth),
        t_collar=onset_collar,
        percentage_of_length=offset_fraction,
        empty_system_output_handling="zero_score",
    )
    return _sed_eval_results(metrics, detections, truth)


def sed_eval_segment(detections: Detections, truth: GroundTruth, *, segment_length: float = 1.0) -> dict[str, Any]:
    """Results of sed_eval's SegmentBasedMetrics as the DCASE recipe calls it."""
    metrics = _sed_eval().SegmentBasedMetrics(
        event_label_list=_occurring(detections, truth), time_resolution=segment_length
    )
    return _sed_eval_results(metrics, detections, truth)


def sed_scores_eval_psds(
    scores: Mapping[str, NDArray[np.floating[Any]]], truth: GroundTruth, parameters: PsdsParameters, *, hop: float
) -> tuple[float, dict[str, float]]:
    """Exact PSDS of (filtered) scores by sed_scores_eval, and of each class; every class needs a reference event."""
    from sed_scores_eval.base_modules.scores import create_score_dataframe
    from sed_scores_eval.intersection_based import psds

    frames = {
        clip: create_score_dataframe(
            np.asarray(values, dtype=np.float64), np.round(np.arange(len(values) + 1) * hop, 6), list(truth.labels)
        )
        for clip, values in scores.items()
    }
    value, per_class, *_ = psds(
        scores=frames,
        ground_truth={
            clip: [(event.onset, event.offset, event.label) for event in truth.events_in(clip)] for clip in scores
        },
        audio_durations=dict(zip(truth.clips, truth.durations.tolist(), strict=True)),
        dtc_threshold=parameters.dtc,
        gtc_threshold=parameters.gtc,
        cttc_threshold=parameters.cttc if parameters.alpha_ct else None,
        alpha_ct=parameters.alpha_ct,
        alpha_st=parameters.alpha_st,
        max_efpr=parameters.max_efpr,
    )
    return float(value), {label: float(area) for label, area in per_class.items()}


def event_frame(events: Detections | GroundTruth) -> Any:
    """The events as a pandas table in the layout of DESED."""
    import pandas

    return pandas.DataFrame(
        {
            "filename": np.array(events.clips, dtype=object)[events.clip],
            "onset": events.onset,
            "offset": events.offset,
            "event_label": np.array(events.labels, dtype=object)[events.label],
        }
    )


def _psds_eval(truth: GroundTruth, *, dtc: float, gtc: float, cttc: float) -> Any:
    import pandas
    from psds_eval import PSDSEval

    return PSDSEval(
        ground_truth=event_frame(truth),
        metadata=pandas.DataFrame({"filename": truth.clips, "duration": truth.durations}),
        dtc_threshold=dtc,
        gtc_threshold=gtc,
        cttc_threshold=cttc,
    )


def _sed_eval() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pkg_resources, which its dcase_util imports
        import sed_eval
    return sed_eval.sound_event


def _occurring(detections: Detections, truth: GroundTruth) -> list[str]:
    return sorted({truth.labels[i] for i in truth.label} | {detections.labels[i] for i in detections.label})


def _sed_eval_results(metrics: Any, detections: Detections, truth: GroundTruth) -> dict[str, Any]:
    for clip in truth.clips:
        reference, estimated = (
            [
                {"filename": clip, "onset": event.onset, "offset": event.offset, "event_label": event.label}
                for event in events.events_in(clip)
            ]
            for events in (truth, detections)
        )
        metrics.evaluate(reference_event_list=reference, estimated_event_list=estimated)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of no value
        results: dict[str, Any] = metrics.results()
    return results
