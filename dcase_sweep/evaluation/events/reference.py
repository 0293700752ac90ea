"""The public implementations of the metrics: adapters to psds_eval and sed_eval.

Tests compare the fast code with them, and ``evaluation.reference=true`` and ``evaluate events --reference`` show their
results next to ours. The extra "reference" installs psds_eval 0.5.3 and sed_eval 0.2.1 with the versions of pandas and
setuptools that they need.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.psds import CrossTriggerAverage, PsdsParameters
from dcase_sweep.utils.errors import UserError

PACKAGES = ("psds_eval", "sed_eval")
_INSTALL = 'python -m pip install "dcase-sweep[reference]"'


def check_reference(key: str) -> None:
    """Check that the reference packages are installed, and support the installed pandas.

    Args:
        key: the key or option that requires them, for the message.

    Raises:
        UserError: if not, in one line with what to install.
    """
    for name in (*PACKAGES, "pandas"):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise UserError(f"{key}: {name} is not installed; expected the extra reference: {_INSTALL}") from None
    if int(found.partition(".")[0]) >= 3:
        raise UserError(f"{key}: psds_eval cannot use pandas {found}; expected pandas below 3: {_INSTALL}")


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Suppress warnings about deprecated functions of pandas, NumPy and setuptools that psds_eval and sed_eval call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def psds_eval_psds(
    detections: Detections,
    truth: GroundTruth,
    parameters: PsdsParameters,
    *,
    cross_trigger_average: CrossTriggerAverage = "others",
) -> tuple[float, dict[str, NDArray[np.float64]]]:
    """Compute PSDS with psds_eval, and each class's curve, [2, point] (effective false positives per hour, TPR)."""
    with silence_warnings():
        evaluation = _psds_eval(truth, dtc=parameters.dtc, gtc=parameters.gtc, cttc=parameters.cttc)
        for index in range(len(detections.thresholds)):
            evaluation.add_operating_point(event_frame(detections.at(index)))
        if cross_trigger_average == "all":  # 0.3.0 sets a class's rate with itself to 0, 0.5 omits it
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
    """Compute macro intersection F1 with psds_eval and F1 of each class, from detections at one threshold."""
    with silence_warnings():
        macro, per_class = _psds_eval(truth, dtc=dtc, gtc=gtc, cttc=cttc).compute_macro_f_score(event_frame(detections))
    return float(macro), {label: float(value) for label, value in per_class.items()}


def sed_eval_collar(
    detections: Detections,
    truth: GroundTruth,
    *,
    onset_collar: float = 0.2,
    offset_fraction: float = 0.2,
) -> dict[str, Any]:
    """Return the results of sed_eval's EventBasedMetrics as in the DCASE recipe (one collar for onset and offset)."""
    metrics = _sed_eval().EventBasedMetrics(
        event_label_list=_occurring(detections, truth),
        t_collar=onset_collar,
        percentage_of_length=offset_fraction,
        empty_system_output_handling="zero_score",
    )
    return _sed_eval_results(metrics, detections, truth)


def sed_eval_segment(detections: Detections, truth: GroundTruth, *, segment_length: float = 1.0) -> dict[str, Any]:
    """Return the results of sed_eval's SegmentBasedMetrics as used in the DCASE recipe."""
    metrics = _sed_eval().SegmentBasedMetrics(
        event_label_list=_occurring(detections, truth), time_resolution=segment_length
    )
    return _sed_eval_results(metrics, detections, truth)


def event_frame(events: Detections | GroundTruth) -> Any:
    """Convert events to a pandas table in the layout of DESED."""
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
    with silence_warnings():  # of pkg_resources, which dcase_util imports
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
    with silence_warnings():  # from means of empty lists
        results: dict[str, Any] = metrics.results()
    return results
